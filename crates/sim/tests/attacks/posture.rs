//! Row 22: a phone that is not managed, or whose protections were removed.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Settings, Stage, place};
use countersign_wire::dpop::NumericDate;
use countersign_wire::posture::{Confidence, Name, Report, Said, Why};

async fn say(phone: &Phone, facts: &[(Name, &str)]) {
    let kept = phone.kept();
    let said = |value: &str| Said { value: value.into(), source: "test".into(), confidence: Confidence::Measured };
    let report = Report {
        iss: kept.device_id,
        aud: kept.issuer,
        n: phone.next_report().unwrap(),
        nonce: phone.posture().await.unwrap().nonce,
        iat: NumericDate(0),
        why: Why::Change,
        beats: false,
        facts: facts.iter().map(|(name, value)| (*name, said(value))).collect(),
        evidence: Vec::new(),
    };
    phone.send_report(&report).await.unwrap();
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
    let phone = scene.phone("Eigen", &here).await;
    say(&phone, &[(Name::DiskEncrypted, "yes")]).await;
    let checked = scene.confirm(&phone, &scene.open_till(&here).await).await;
    scene.refused(phone.approve(&checked).await, "denied").await;
    let line = scene.log().await.into_iter().rfind(|l| l.body["code"] == "denied").unwrap();
    assert!(line.text.contains("managed-only"), "{}", line.text);
}
