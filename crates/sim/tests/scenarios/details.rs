//! Authorization details (RFC 9396): read, signed, carried to the token, never changed on the way.

use super::stage;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::{Attempt, REDIRECT, Scene, place};
use countersign_wire::b64;
use serde_json::{Value, json};

fn payment() -> Value {
    json!({"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"})
}

async fn arrive(scene: &Scene<'_>, terminal: &Terminal, client: &str, details: &Value) -> (CodeFlow, Arrival) {
    let flow = CodeFlow::new(client, REDIRECT, "openid").unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().append_pair("authorization_details", &details.to_string());
    let arrival = terminal.arrive(&url).await.unwrap();
    (flow, arrival)
}

async fn open(scene: &Scene<'_>, client: &str, details: &Value, here: &str) -> Attempt {
    let terminal = scene.terminal(here);
    let (flow, Arrival::Flow(page)) = arrive(scene, &terminal, client, details).await else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    Attempt { terminal, flow, page, ceremony }
}

fn claim(tokens: &Tokens) -> Value {
    let payload = tokens.access_token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&b64::decode(payload).unwrap()).unwrap();
    claims["authorization_details"].clone()
}

async fn signed_in(scene: &Scene<'_>, phone: &Phone, attempt: &Attempt) -> Tokens {
    let redirect = scene.sign_in(phone, attempt).await;
    scene.tokens(attempt, &redirect).await.unwrap()
}

#[tokio::test]
async fn q8_a_payment_is_read_signed_and_carried_to_the_token_unchanged() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Zahlerin", &here).await;
    let attempt = open(&scene, "bank", &json!([payment()]), &here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    // The words are in the statement, so the approval signs what was read and what will be issued.
    let [detail] = &checked.statement.request.details[..] else { panic!("no detail") };
    assert_eq!((detail.title.as_str(), &detail.asked), ("Pay", &payment()));
    let shown: Vec<String> = detail.rows.iter().map(|r| format!("{} {}", r.label, r.value)).collect();
    assert_eq!(shown, ["Amount 12.50 EUR", "To Blumen Ana", "Account AT611904300234573201"]);

    let tokens = signed_in(&scene, &phone, &attempt).await;
    assert_eq!(claim(&tokens), json!([payment()]));
    // A renewal carries the same, and cannot ask for other.
    let pairs = [("grant_type", "refresh_token"), ("client_id", "bank"), ("refresh_token", tokens.refresh_token.as_deref().unwrap())];
    let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(Prover::terminal(&attempt.terminal.key));
    let renewed: Tokens = attempt.terminal.http.ask(&call).await.unwrap();
    assert_eq!(claim(&renewed), json!([payment()]));

    // The session that came of it answers no second payment by itself: each is approved for itself.
    let other = json!([{"type": "payment", "amount": "9999", "currency": "EUR", "to": "Mallory", "account": "XX11111"}]);
    let (_, Arrival::Flow(page)) = arrive(&scene, &attempt.terminal, "bank", &other).await else { panic!() };
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
}

#[tokio::test]
async fn q8_details_that_are_not_registered_or_do_not_fit_go_back_with_their_code() {
    let scene = stage().scene().await;
    let here = place();
    let terminal = scene.terminal(&here);
    let changed = |name: &str, value: Value| {
        let mut one = payment();
        one[name] = value;
        json!([one])
    };
    for (client, details) in [
        ("till", json!([payment()])),
        ("bank", changed("type", json!("loan"))),
        ("bank", changed("amount", json!(12.5))),
        ("bank", changed("currency", json!("euro"))),
        ("bank", changed("note", json!("hidden"))),
        ("bank", changed("to", json!("Ana\u{202e}"))),
        ("bank", json!([])),
        ("bank", json!("payment")),
        ("bank", json!([payment(), payment(), payment(), payment(), payment()])),
    ] {
        let (flow, arrival) = arrive(&scene, &terminal, client, &details).await;
        let Arrival::Away(url) = arrival else { panic!("{client} {details}") };
        let heard = flow.code(&scene.discovery, &url);
        assert!(heard.is_err_and(|fault| fault.is("invalid_authorization_details")), "{client} {details}");
    }
}

#[tokio::test]
async fn q8_a_far_screen_gets_no_payment_approved_whatever_its_client_opted_for() {
    let scene = stage().scene().await;
    let phone = scene.phone("Ferne", &place()).await;
    let attempt = open(&scene, "far-bank", &json!([payment()]), &place()).await;
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "too_far").await;
}
