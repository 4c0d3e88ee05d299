//! A session lives only while both devices deserve it: T1, T4.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, Scene, place};
use serde_json::Value;
use std::time::Duration;

/// Waits for a line of the log that is like this; judging again is a job, though a prompt one.
async fn logged(scene: &Scene<'_>, like: impl Fn(&Value, &str) -> bool) -> Value {
    for _ in 0..100 {
        if let Some(line) = scene.log().await.into_iter().find(|l| like(&l.body, &l.kind)) {
            return line.body;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log never had it");
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
