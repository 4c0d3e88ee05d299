//! Rows 33 and 34, where tokens are exchanged: each kind of token where the other belongs, and a token that
//! somebody else was handed.

use super::stage;
use countersign_device::{Phone, SoftwareKey};
use countersign_sim::stage::{ACCESS_TOKEN, EXCHANGE, Reply, Robot, STOCK, Scene, claims, introspected, place, post};
use serde_json::json;

async fn refused(scene: &Scene<'_>, reply: &Reply, error: &str, code: &str) {
    assert_eq!(reply.code(), error, "{}", reply.json());
    let said = reply.json()["error_description"].as_str().unwrap().to_owned();
    scene.recorded(said.strip_prefix("see ").unwrap(), code).await;
}

#[tokio::test]
async fn x34_no_exchange_makes_one_kind_of_token_of_the_other() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let (link, login) = scene.invitation("Halter").await;
    Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
    let (helper, other) = (Robot::named("helper-e"), Robot::named("helper-f"));
    helper.register(scene.stage, &login, json!({})).unwrap();
    other.register(scene.stage, &login, json!({})).unwrap();
    let phone = scene.phone("Mensch", &here).await;
    let attempt = scene.open("shop", "openid read", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let human = tokens.access_token.clone();
    let machine = helper.token(&raw, "read").await;
    let handed = helper.exchange(&raw, &human, &[("scope", "read")]).await.json()["access_token"].as_str().unwrap().to_owned();
    // A workload's own token speaks for no person: not to itself, not to another.
    for robot in [&helper, &other] {
        refused(&scene, &robot.exchange(&raw, &machine, &[]).await, "invalid_request", "bad_proof").await;
    }
    // A person's token, and one that was handed on, is no word of a platform and no workload's token.
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    for token in [&human, &handed, tokens.id_token.as_ref().unwrap()] {
        let body = format!("grant_type={EXCHANGE}&subject_token_type={jwt}&subject_token={token}").into_bytes();
        refused(&scene, &post(&raw, "/token", Some(&helper.dpop), body).await, "invalid_request", "bad_proof").await;
        let pairs = [("actor_token", token.as_str()), ("actor_token_type", ACCESS_TOKEN)];
        refused(&scene, &helper.exchange(&raw, &human, &pairs).await, "invalid_request", "bad_proof").await;
    }
    // What is no access token is not exchanged, whatever it is called.
    let id = tokens.id_token.as_ref().unwrap();
    refused(&scene, &helper.exchange(&raw, id, &[]).await, "invalid_request", "bad_proof").await;
    refused(&scene, &helper.exchange(&raw, tokens.refresh_token.as_ref().unwrap(), &[]).await, "invalid_request", "bad_proof").await;
    // Neither the client itself nor a stranger exchanges.
    let pairs = format!("grant_type={EXCHANGE}&subject_token_type={ACCESS_TOKEN}&subject_token={human}");
    refused(&scene, &post(&raw, "/token", Some(&attempt.terminal.key), format!("{pairs}&client_id=shop").into_bytes()).await, "unauthorized_client", "denied").await;
    let stranger = SoftwareKey::generate().unwrap();
    let body = Robot::with(&helper.assertion(&raw, &stranger, |_| ()), &[("grant_type", EXCHANGE), ("subject_token", &human), ("subject_token_type", ACCESS_TOKEN)]);
    refused(&scene, &post(&raw, "/token", Some(&helper.dpop), body).await, "invalid_client", "bad_proof").await;
    // Tokens of a client that names nobody are nobody's to exchange.
    let till = scene.open("till", "openid", &here).await;
    let redirect = scene.sign_in(&scene.phone("Andere", &here).await, &till).await;
    let of_till = scene.tokens(&till, &redirect).await.unwrap();
    let reply = helper.exchange(&raw, &of_till.access_token, &[("resource", STOCK)]).await;
    assert_eq!(reply.code(), "invalid_target", "it is for another audience");
    // It stays what it is: a person's, and says who holds it.
    let said = claims(&handed);
    assert!(said["sid"].is_string() && said["act"].is_object() && said.get("workload").is_none());
    assert_eq!(introspected(&raw, "watch", &handed).await["active"], true);
    // Each message serves once.
    let body = helper.form(&raw, &[("grant_type", EXCHANGE), ("subject_token", &human), ("subject_token_type", ACCESS_TOKEN)]);
    assert_eq!(post(&raw, "/token", Some(&helper.dpop), body.clone()).await.status, 200);
    refused(&scene, &post(&raw, "/token", Some(&helper.dpop), body).await, "invalid_client", "bad_proof").await;
}
