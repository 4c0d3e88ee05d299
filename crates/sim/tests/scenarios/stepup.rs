//! Step-up (RFC 9470): a running session is raised by its own person on its own screen, and an `acr`
//! is never more than what was earned.

use super::stage;
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Attempt, REDIRECT, Scene, place};
use countersign_wire::b64;
use serde_json::Value;

async fn arrive(scene: &Scene<'_>, terminal: &Terminal, more: &[(&str, &str)]) -> (CodeFlow, String) {
    let flow = CodeFlow::new("till", REDIRECT, "openid profile").unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().extend_pairs(more);
    let Arrival::Flow(page) = terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    (flow, page)
}

fn claims(tokens: &Tokens) -> Value {
    let text = tokens.id_token.as_ref().unwrap();
    serde_json::from_slice(&b64::decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn tokens(scene: &Scene<'_>, terminal: &Terminal, flow: &CodeFlow, next: &str) -> Result<Tokens, Fault> {
    let code = flow.code(&scene.discovery, &next.parse().unwrap())?;
    flow.exchange(&terminal.http, &scene.discovery, &terminal.key, &code).await
}

pub(crate) async fn passkey(terminal: &Terminal, page: &str, phone: &Phone) -> Result<String, Fault> {
    let mut ask = terminal.passkey_options(page).await?;
    ask.allow = vec![phone.passkey.about.id.clone()];
    Ok(terminal.passkey(page, &phone.assert(&ask)?).await?.next.unwrap())
}

#[tokio::test]
async fn a11_a_session_is_raised_by_what_was_earned_and_by_nothing_else() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Steiger", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let first = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(claims(&first)["acr"], "urn:countersign:acr:xd2");
    let Attempt { terminal, .. } = attempt;

    // A code on a screen does not earn a phishing-resistant class, however often it is approved.
    let (flow, page) = arrive(&scene, &terminal, &[("acr_values", "phr")]).await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    let ceremony = terminal.open(&page).await.unwrap();
    let attempt = Attempt { terminal, flow, page, ceremony };
    let checked = scene.approve(&phone, &attempt).await;
    assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "step-up");
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()), "denied").await;
    let Attempt { terminal, .. } = attempt;

    // A passkey on the screen does: the same session, a later time, nothing of it ended.
    let (flow, page) = arrive(&scene, &terminal, &[("acr_values", "phr")]).await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    let next = passkey(&terminal, &page, &phone).await.unwrap();
    let raised = tokens(&scene, &terminal, &flow, &next).await.unwrap();
    assert_eq!((&claims(&raised)["acr"], &claims(&raised)["sid"]), (&Value::from("phr"), &claims(&first)["sid"]));
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
    let (flow, page) = arrive(&scene, &terminal, &[("acr_values", "phr")]).await;
    let next = terminal.resume(&page).await.unwrap().next;
    assert_eq!(claims(&tokens(&scene, &terminal, &flow, &next).await.unwrap())["acr"], "phr");
    let lines = scene.log().await;
    assert!(lines.iter().any(|l| l.kind == "session.raised" && l.body["facts"]["acr"] == "phr"));
}

#[tokio::test]
async fn a11_a_session_that_is_too_old_is_raised_on_the_phone_and_by_its_own_person_alone() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Eigene", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let first = scene.tokens(&attempt, &redirect).await.unwrap();
    let Attempt { terminal, .. } = attempt;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;

    let (flow, page) = arrive(&scene, &terminal, &[("max_age", "0")]).await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    let ceremony = terminal.open(&page).await.unwrap();
    // Somebody else's phone beside it, and somebody else's passkey on it, raise nothing.
    let other = scene.phone("Andere", &here).await;
    scene.refused(other.scan(&[ceremony.frame()]).await, "denied").await;
    scene.refused(passkey(&terminal, &page, &other).await, "denied").await;
    let attempt = Attempt { terminal, flow, page, ceremony };
    scene.approve(&phone, &attempt).await;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    assert!(!reply.greet);
    let raised = tokens(&scene, &attempt.terminal, &attempt.flow, &reply.next.unwrap()).await.unwrap();
    assert_eq!(claims(&raised)["sid"], claims(&first)["sid"]);
    assert!(claims(&raised)["auth_time"].as_i64() > claims(&first)["auth_time"].as_i64());
    assert!(scene.works(&attempt, &first).await, "what it had before was taken away");
    // A second redemption takes all of it back, as ever.
    let again = attempt.terminal.redeem(&attempt.ceremony).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a11_a_key_without_its_session_raises_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Ohne", &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    let Attempt { mut terminal, .. } = attempt;
    // The cookie with another key is a fresh sign-in, not a step-up.
    let own = std::mem::replace(&mut terminal.key, SoftwareKey::generate().unwrap());
    let (_, page) = arrive(&scene, &terminal, &[("max_age", "0")]).await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("no_session")));
    let ceremony = terminal.open(&page).await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "sign-in");
    // The key without the cookie served before.
    let mut elsewhere = scene.terminal(&here);
    elsewhere.key = own;
    let (_, page) = arrive(&scene, &elsewhere, &[]).await;
    scene.refused(elsewhere.open(&page).await.map(|_| ()), "bad_proof").await;
}
