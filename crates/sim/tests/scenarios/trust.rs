//! A session lives only while both devices deserve it: T1, T4.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, Scene, place, until};
use countersign_store::Query;
use countersign_wire::message::Invite;
use serde_json::Value;

/// Waits for a line of the log that is like this; judging again is a job, though a prompt one.
async fn logged(scene: &Scene<'_>, like: impl Fn(&Value, &str) -> bool) -> Value {
    until("a line of the log", async || scene.log().await.into_iter().find(|l| like(&l.body, &l.kind))).await.body
}

fn signal(scene: &Scene<'_>, words: &[&str]) -> Value {
    let said = scene.stage.command(&[&["--json", "signal"], words].concat()).unwrap();
    serde_json::from_str(&said).unwrap()
}

fn device(phone: &Phone) -> String {
    phone.kept().device_id.to_string()
}

#[tokio::test]
async fn t1_a_phone_that_falls_takes_its_sessions_tokens_and_pending_approvals_with_it() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, other) = (scene.phone("Fall", &here).await, scene.phone("Steht", &here).await);
    let open = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &open).await;
    let tokens = scene.tokens(&open, &redirect).await.unwrap();
    let beside = scene.open_till(&here).await;
    let redirect = scene.sign_in(&other, &beside).await;
    let theirs = scene.tokens(&beside, &redirect).await.unwrap();
    let pending = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &pending).await;

    let said = signal(&scene, &["raise", "device.compromised", &device(&phone)]);
    // At once, whoever asks: nothing waits for the job that judges again.
    assert!(!scene.works(&open, &tokens).await, "a token outlived the fall of its device");
    assert!(scene.works(&beside, &theirs).await, "somebody else's session fell with it");
    let ended = logged(&scene, |l, kind| kind == "session.ended" && l["txn"] == said["txn"]).await;
    assert_eq!(ended["facts"]["why"], "compromised-device");
    scene.refused(phone.approve(&checked).await, "gone").await;
    let cut = logged(&scene, |l, kind| kind == "ceremony.refused" && l["facts"]["cause"] == said["txn"]).await;
    assert_eq!(cut["ceremony"], checked.statement.cid.as_str());
    // And nothing begins.
    let again = scene.open_till(&here).await;
    scene.refused(phone.scan(&[again.ceremony.frame()]).await, "denied").await;

    // Taken back: a new beginning is possible, what ended stays ended.
    assert_eq!(signal(&scene, &["clear", "device.compromised", &device(&phone)])["changed"], true);
    assert!(!scene.works(&open, &tokens).await);
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
}

#[tokio::test]
async fn t1_what_a_device_opened_rests_while_it_breaks_the_rules_and_goes_on_afterwards() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Ruhe", &here).await;
    let open = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &open).await;
    let tokens = scene.tokens(&open, &redirect).await.unwrap();
    let raised = signal(&scene, &["raise", "device.noncompliant", &device(&phone)]);
    assert!(!scene.works(&open, &tokens).await);
    let (_, page) = scene.arrive(&open.terminal, "till", "openid profile").await;
    scene.refused(open.terminal.resume(&page).await, "locked").await;
    let judged = logged(&scene, |l, kind| kind == "session.judged" && l["txn"] == raised["txn"]).await;
    assert_eq!((&judged["facts"]["effect"], &judged["code"]), (&"lock".into(), &"locked".into()));
    let cleared = signal(&scene, &["clear", "device.noncompliant", &device(&phone)]);
    assert!(scene.works(&open, &tokens).await, "the session did not go on");
    let judged = logged(&scene, |l, kind| kind == "session.judged" && l["txn"] == cleared["txn"]).await;
    assert_eq!(judged["facts"]["effect"], "none");
}

#[tokio::test]
async fn t4_after_a_change_of_network_a_session_goes_on_only_once_its_person_approved_anew() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Netz", &here).await;
    let open = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &open).await;
    let tokens = scene.tokens(&open, &redirect).await.unwrap();
    let session = phone.overview().await.unwrap().sessions.remove(0).id;
    signal(&scene, &["raise", "session.network_changed", &session]);
    assert!(!scene.works(&open, &tokens).await);
    let Attempt { terminal, .. } = open;
    let (flow, page) = scene.arrive(&terminal, "till", "openid profile").await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    let ceremony = terminal.open(&page).await.unwrap();
    let open = Attempt { terminal, flow, page, ceremony };
    let checked = scene.approve(&phone, &open).await;
    assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "step-up");
    open.terminal.redeem(&open.ceremony).await.unwrap();
    assert!(scene.works(&open, &tokens).await, "the same session did not go on");
    assert_eq!(phone.overview().await.unwrap().sessions.remove(0).id, session);
}

#[tokio::test]
async fn t10_everything_that_a_bad_phone_touched_is_one_question_with_one_action() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, other) = (scene.phone("Schlecht", &here).await, scene.phone("Gut", &here).await);
    let mut given = Vec::new();
    for _ in 0..2 {
        let open = scene.open_till(&here).await;
        let redirect = scene.sign_in(&phone, &open).await;
        let tokens = scene.tokens(&open, &redirect).await.unwrap();
        given.push((open, tokens));
    }
    let beside = scene.open_till(&here).await;
    let redirect = scene.sign_in(&other, &beside).await;
    let theirs = scene.tokens(&beside, &redirect).await.unwrap();
    let let_in = scene.second_phone(&phone, &here).await;
    let pending = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &pending).await;

    let ask = |more: &[&str]| -> Value {
        let id = device(&phone);
        let words = [&["--json", "device", "touched", &id, "--since", "1h"], more].concat();
        serde_json::from_str(&scene.stage.command(&words).unwrap()).unwrap()
    };
    let said = ask(&[]);
    let list = |name: &str| -> Vec<Value> { said["touched"][name].as_array().unwrap().clone() };
    // What the report knows against what the store has: no token that lives is left out.
    let rows = scene
        .engine
        .query(Query::new(
            "SELECT g.id FROM oauth_grant g JOIN session s ON s.id = g.session WHERE s.device = $1 AND g.ended IS NULL",
            [device(&phone).into()],
        ).long())
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert!(list("grants").iter().any(|g| g["id"] == row.text(0).unwrap() && g["lives"] == true), "{said}");
    }
    assert_eq!(list("sessions").iter().filter(|s| s["lives"] == true).count(), 2);
    assert!(list("ceremonies").iter().any(|c| c["id"] == checked.statement.cid.as_str() && c["lives"] == true));
    assert_eq!(list("let_in")[0]["id"], device(&let_in));

    let done = ask(&["--end"]);
    assert_eq!(done["left"], 0, "{done}");
    for (open, tokens) in &given {
        assert!(!scene.works(open, tokens).await);
    }
    assert!(scene.works(&beside, &theirs).await, "somebody else's session fell with it");
    scene.refused(let_in.scan(&[scene.open_till(&here).await.ceremony.frame()]).await, "denied").await;
    scene.refused(phone.approve(&checked).await, "gone").await;
}

#[tokio::test]
async fn t10_whom_a_bad_administrators_phone_invited_is_part_of_what_it_touched() {
    let scene = stage().scene().await;
    let here = place();
    let login = |n: u32| format!("bad-{n}{}", here.replace('.', "-"));
    let invite = |n: u32, role: Option<&str>| Invite { name: "Geladen".into(), login: login(n), role: role.map(str::to_owned) };
    let link = scene.administrator.invite(&invite(0, Some("administrator"))).await.unwrap().link;
    let bad = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let link = bad.invite(&invite(1, None)).await.unwrap().link;
    let guest = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let open = bad.invite(&invite(2, None)).await.unwrap().link;
    let ask = |more: &[&str]| -> Value {
        let id = device(&bad);
        serde_json::from_str(&scene.stage.command(&[&["--json", "device", "touched", &id, "--since", "1h"], more].concat()).unwrap()).unwrap()
    };
    let said = ask(&[]);
    assert!(said["touched"]["let_in"].as_array().unwrap().iter().any(|d| d["id"] == device(&guest)), "{said}");
    assert_eq!(ask(&["--end"])["left"], 0);
    scene.refused(guest.scan(&[scene.open_till(&here).await.ceremony.frame()]).await, "denied").await;
    scene.refused(Phone::enrol(scene.http(&here), &open, "Phone", None).await, "invitation_over").await;
}

#[tokio::test]
async fn t6_a_refusal_is_explained_in_plain_words_and_another_set_is_asked_the_same() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Warum", &here).await;
    let open = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &open).await;
    scene.tokens(&open, &redirect).await.unwrap();
    signal(&scene, &["raise", "device.risk_high", &device(&phone)]);
    let (_, page) = scene.arrive(&open.terminal, "till", "openid").await;
    let refusal = scene.refused(open.terminal.resume(&page).await, "locked").await;
    assert!(refusal.say.is_none(), "the screen learns what is for the person's own device");
    let next = scene.open_till(&here).await;
    let refusal = scene.refused(phone.scan(&[next.ceremony.frame()]).await, "denied").await;
    assert!(refusal.say.is_some_and(|s| s.contains("suspicion")));
    let told = scene.stage.command(&["policy", "explain", &refusal.reference]).unwrap();
    assert!(told.contains("`scan` is refused: by risky-device"), "{told}");
    assert!(told.lines().any(|l| l.contains("signals") && l.contains("device.risk_high") && l.ends_with('*')), "{told}");

    // A set without that rule would have let it pass, and says so before it takes effect.
    let dir = scene.stage.dir().join("other-policies");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("all.cedar"), "@id(\"all\") permit (principal is Person, action, resource);").unwrap();
    let path = dir.to_str().unwrap();
    let told = scene.stage.command(&["policy", "replay", "--policies", path]).unwrap();
    assert!(told.lines().any(|l| l.contains("scan was refused, would be allowed by all")), "{told}");
    let cases = dir.join("cases.json");
    std::fs::write(&cases, r#"[{"name": "a risky phone scans", "action": "scan", "facts": {"signals": ["device.risk_high"]}, "expect": "allow"}]"#).unwrap();
    scene.stage.command(&["policy", "test", "--policies", path, cases.to_str().unwrap()]).unwrap();
    assert!(scene.stage.command(&["policy", "test", cases.to_str().unwrap()]).unwrap_err().contains("decided otherwise"));
}
