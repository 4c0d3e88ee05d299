//! Row 22: a phone that is not managed, or whose protections were removed.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Settings, Stage, place};
use countersign_wire::dpop::NumericDate;
use countersign_wire::message::Invite;
use countersign_wire::posture::{self, Confidence, Name, Report, Said, Why};
use serde_json::json;

async fn say(phone: &Phone, facts: &[(Name, &str)]) {
    phone.send_report(&report(phone, facts).await).await.unwrap();
}

async fn report(phone: &Phone, facts: &[(Name, &str)]) -> Report {
    let kept = phone.kept();
    let said = |value: &str| Said { value: value.into(), source: "test".into(), confidence: Confidence::Measured };
    Report {
        iss: kept.device_id,
        aud: kept.issuer,
        n: phone.next_report().unwrap(),
        nonce: phone.posture().await.unwrap().nonce,
        iat: NumericDate(0),
        why: Why::Change,
        beats: false,
        facts: facts.iter().map(|(name, value)| (*name, said(value))).collect(),
        evidence: Vec::new(),
    }
}

#[tokio::test]
async fn x22_a_phone_whose_protections_were_removed_approves_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Gerootet", &here).await;
    say(&phone, &[(Name::Rooted, "no")]).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &attempt).await;
    // Between scan and approval: what was scanned has ended by the time the approval comes.
    say(&phone, &[(Name::Rooted, "yes")]).await;
    let approved = phone.approve(&checked).await;
    assert!(approved.as_ref().is_err_and(|f| f.is("gone") || f.is("denied")), "{approved:?}");
    let again = scene.open_till(&here).await;
    scene.refused(phone.scan(&[again.ceremony.frame()]).await, "denied").await;
    // A report that says nothing about it is no way round: better news has to be said.
    say(&phone, &[(Name::Rooted, "no")]).await;
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
}

#[tokio::test]
async fn x22_where_policy_asks_for_a_managed_phone_no_word_of_its_own_makes_it_one() {
    let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap();
    let own = "@id(\"managed-only\")\nforbid (principal, action == Action::\"approve\", resource)\nwhen { context.posture.managed != \"yes\" || context.posture.disk_encrypted != \"yes\" };\n";
    let shipped = countersign_trust::policy::DEFAULT;
    std::fs::write(rules.path(), format!("{shipped}\n{own}")).unwrap();
    let stage = Stage::set(Settings { more: format!("policies = \"{}\"\n", rules.path().display()), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    // The administrator's phone is not managed either, and so it invites nobody: the console does.
    let invite = Invite { name: "Eigen".into(), login: "eigen".into(), role: None };
    scene.refused(scene.administrator.invite(&invite).await, "denied").await;
    let told = stage.command(&["invite", "Eigen", "eigen"]).unwrap();
    let link = told.split_whitespace().find(|word| word.contains("/enrol#")).unwrap();
    let phone = Phone::enrol(scene.http(&here), link, "Phone", None).await.unwrap();
    say(&phone, &[(Name::DiskEncrypted, "yes")]).await;
    let checked = scene.confirm(&phone, &scene.open_till(&here).await).await;
    scene.refused(phone.approve(&checked).await, "denied").await;
    let line = scene.log().await.into_iter().rfind(|l| l.body["code"] == "denied").unwrap();
    assert!(line.text.contains("managed-only"), "{}", line.text);
}

#[tokio::test]
async fn x22_good_news_of_another_time_or_another_device_is_none() {
    let scene = stage().scene().await;
    let here = place();
    let (mut phone, sound) = (scene.phone("Gefallen", &here).await, scene.phone("Gesund", &here).await);
    let raw = scene.raw(&here);
    let tell = async |phone: &Phone, text: &str| raw.proved(&phone.key, "/device/posture", &json!({"report": text}), Some(raw.nonce().await)).await;
    let signed = |report: &Report, by: &Phone| posture::make(report, by.key.public(), &by.key).unwrap();
    let good = signed(&report(&phone, &[(Name::Rooted, "no")]).await, &phone);
    assert_eq!(tell(&phone, &good).await.status, 200);
    let older = signed(&report(&phone, &[(Name::Rooted, "no")]).await, &phone);
    say(&phone, &[(Name::Rooted, "yes")]).await;
    // The same once more, and one that was kept back.
    for kept in [&good, &older] {
        let reply = tell(&phone, kept).await;
        assert_eq!((reply.status, reply.code().as_str()), (409, "posture_old"));
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "posture_old").await;
        let attempt = scene.open_till(&here).await;
        scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    }
    // Another device's word, our name and another's key, either way; another server's; the server's own word.
    let theirs = report(&sound, &[(Name::Rooted, "no")]).await;
    let ours = report(&phone, &[(Name::Rooted, "no")]).await;
    let elsewhere = Report { aud: "https://other.example".into(), ..ours.clone() };
    let attested = Said { value: "no".into(), source: "test".into(), confidence: Confidence::Attested };
    let attested = Report { facts: [(Name::Rooted, attested)].into(), ..ours.clone() };
    for (what, text) in [
        ("another's", signed(&theirs, &sound)),
        ("another's, signed by us", signed(&theirs, &phone)),
        ("ours, signed by another", signed(&ours, &sound)),
        ("to another server", signed(&elsewhere, &phone)),
        ("as the server's own word", signed(&attested, &phone)),
        ("with a nonce of nobody", signed(&Report { nonce: "AAAA".into(), ..ours.clone() }, &phone)),
    ] {
        let reply = tell(&phone, &text).await;
        assert!((400..500).contains(&reply.status), "{what}: {}", reply.status);
        scene.recorded(reply.json()["ref"].as_str().unwrap(), &reply.code()).await;
    }
    let attempt = scene.open_till(&here).await;
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    // A new key of the same device is no new device, and it makes no codes for one.
    scene.refused(phone.recovery_codes().await, "denied").await;
    let bound = phone.rebind(countersign_device::SoftwareKey::generate().unwrap(), "Anew").await;
    scene.refused(bound, "denied").await;
}
