//! The device grant as a client sees it, by a clock that is moved by hand.

use super::text;
use super::world::{Answer, Key, World, client};
use serde_json::json;

async fn world() -> World {
    World::new(vec![client("tv", json!({"device_grant": true})), client("till", json!({}))]).await
}
async fn ask(w: &World, key: &Key) -> Answer {
    w.post("/device_authorization", key, &[("client_id", "tv"), ("scope", "openid")]).await
}
async fn collect(w: &World, key: &Key, code: &str) -> String {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let answer = w.post("/token", key, &[("grant_type", grant), ("client_id", "tv"), ("device_code", code)]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    answer.error()
}

#[tokio::test]
async fn a_device_code_waits_as_often_as_it_was_told_and_ends_by_its_time() {
    let w = world().await;
    let key = Key::new();
    let answer = ask(&w, &key).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!answer.header("dpop-nonce").is_empty());
    let code = text(&answer.json(), "device_code");
    for (wait, heard) in [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        (4, "slow_down"),
        (9, "slow_down"),
        (15, "authorization_pending"),
        (15, "authorization_pending"),
        (251, "authorization_pending"),
        (1, "expired_token"),
        (1, "expired_token"),
        (9_999, "expired_token"),
    ] {
        w.later(wait);
        assert_eq!(collect(&w, &key, &code).await, heard, "after {wait} s");
    }
}

#[tokio::test]
async fn a_request_for_a_device_code_shows_who_sends_it_once() {
    let w = world().await;
    let key = Key::new();
    let pairs = [("client_id", "tv")];
    let proof = w.proof(&key, "POST", "/device_authorization", None);
    let send = async |proof: &str| w.send("POST", "/device_authorization", &[("dpop", proof)], &super::world::form(&pairs)).await;
    assert_eq!(send(&proof).await.status, 200);
    assert_eq!(send(&proof).await.error(), "invalid_dpop_proof", "a proof used before");
    let elsewhere = w.proof(&key, "POST", "/token", None);
    assert_eq!(send(&elsewhere).await.error(), "invalid_dpop_proof", "a proof for another door");
    let bare = w.proof_with(&key, "POST", "/device_authorization", None, None);
    let again = send(&bare).await;
    assert_eq!((again.error().as_str(), again.header("dpop-nonce").is_empty()), ("use_dpop_nonce", false));
    // Nobody opens more than a screen may.
    let mut heard = vec![];
    for _ in 0..31 {
        heard.push(ask(&w, &key).await.status.as_u16());
    }
    assert_eq!(heard.iter().filter(|s| **s == 200).count(), 29, "{heard:?}");
    assert!(heard.ends_with(&[429, 429]));
}
