//! Behind a broker (Q11); with a real one in `e2e/broker`.

use super::stage;
use countersign_sim::stage::{claims, decided, place};
use serde_json::{Value, json};

#[tokio::test]
async fn q11_what_a_broker_hands_on_can_be_asked_about_until_the_session_ends_and_for_that_broker_alone() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Nora", &here).await;
    // The till stands for the broker, the desk for an application behind it.
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let said = claims(tokens.id_token.as_deref().unwrap());
    for name in ["/sid", "/acr", "/auth_time", "/cs/channel", "/cs/near"] {
        assert!(said.pointer(name).is_some_and(|v| !v.is_null()), "{name}: {said}");
    }
    let raw = scene.raw(&here);
    let counts = async |sid: &Value, client: &str| {
        let asked = json!({"subject": {"type": "session", "id": sid}, "action": {"name": "continue"}, "resource": {"type": "client", "id": client}});
        decided(&raw, "other-desk", &asked).await.json()["decision"] == true
    };
    assert!(counts(&said["sid"], "till").await);
    assert!(!counts(&said["sid"], "shop").await, "it served another client");
    assert!(!counts(&json!("00000000-0000-7000-8000-000000000000"), "till").await && !counts(&json!(""), "till").await);
    let sessions = phone.overview().await.unwrap().sessions;
    phone.end(&sessions[0].id).await.unwrap();
    assert!(!counts(&said["sid"], "till").await);
}
