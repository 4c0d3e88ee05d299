//! Row 34: people and workloads, each with what belongs to the other; and a workload's proofs, tried
//! by others.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Reply, Robot, STOCK, Scene, introspected, place, post};
use countersign_wire::{b64, mac};
use serde_json::json;

async fn owner(scene: &Scene<'_>) -> String {
    let (link, login) = scene.invitation("Halter").await;
    countersign_device::Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
    login
}

async fn refused(scene: &Scene<'_>, reply: &Reply, error: &str, code: &str) {
    assert_eq!(reply.code(), error, "{}", reply.json());
    let said = reply.json()["error_description"].as_str().unwrap().to_owned();
    scene.recorded(said.strip_prefix("see ").unwrap(), code).await;
}

#[tokio::test]
async fn x34_neither_kind_gets_in_by_the_others_door() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let robot = Robot::new();
    robot.register(scene.stage, &owner(&scene).await, json!({})).unwrap();
    let machine = robot.token(&raw, "read").await;
    let phone = scene.phone("Grenze", &here).await;
    let attempt = scene.open_till(&here).await;
    // A workload scans, approves, watches: its key is no device's.
    let nonce = raw.nonce().await;
    let frames = json!({"frames": [attempt.ceremony.frame().text()]});
    let scan = raw.proved(&robot.key, "/device/scans", &frames, Some(nonce.clone())).await;
    assert_eq!((scan.status, scan.code().as_str()), (401, "bad_proof"));
    scene.recorded(scan.json()["ref"].as_str().unwrap(), "bad_proof").await;
    for path in ["/device/pending", "/device/overview"] {
        let proof = raw.proof(&robot.key, "GET", path, b"", |c| c.nonce = Some(nonce.clone()));
        assert_eq!(raw.send("GET", path, &[("dpop", proof)], vec![]).await.code(), "bad_proof", "{path}");
    }
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let human = tokens.access_token.clone();
    // Its token says nothing about a person.
    let ath = b64::encode(&mac::h(machine.as_bytes()));
    let nonce = raw.nonce().await;
    let proof = raw.proof(&robot.dpop, "GET", "/userinfo", b"", |c| {
        (c.bd, c.ath, c.nonce) = (None, Some(ath), Some(nonce));
    });
    let headers = [("dpop", proof), ("authorization", format!("DPoP {machine}"))];
    let reply = raw.send("GET", "/userinfo", &headers, vec![]).await;
    assert_eq!(reply.status, 401);
    assert!(reply.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    // It hears about its own tokens and about nobody else's; nor does it end them.
    let look = async |token: &str| {
        let reply = post(&raw, "/introspect", None, robot.form(&raw, &[("token", token)])).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()
    };
    assert_eq!(look(&machine).await["active"], true);
    assert_eq!(look(&human).await, json!({"active": false}));
    assert_eq!(post(&raw, "/revoke", None, robot.form(&raw, &[("token", &human)])).await.status, 200);
    assert!(scene.works(&attempt, &tokens).await);
    // A client ends no token of a workload.
    assert_eq!(post(&raw, "/revoke", None, format!("client_id=till&token={machine}").into_bytes()).await.status, 200);
    assert_eq!(introspected(&raw, "watch", &machine).await["active"], true);
    // Whatever a person has (a token, a phone's key, a screen's key) is no credential of a workload.
    for key in [&phone.key, &attempt.terminal.key, &robot.dpop] {
        let body = Robot::with(&robot.assertion(&raw, key, |_| ()), &[("grant_type", "client_credentials")]);
        refused(&scene, &post(&raw, "/token", Some(&robot.dpop), body).await, "invalid_client", "bad_proof").await;
    }
    let body = Robot::with(&human, &[("grant_type", "client_credentials"), ("client_id", &robot.client)]);
    refused(&scene, &post(&raw, "/token", Some(&robot.dpop), body).await, "invalid_client", "bad_proof").await;
    for pairs in [format!("client_id={}", robot.client), format!("client_id={}&client_secret=x", robot.client)] {
        let body = format!("grant_type=client_credentials&{pairs}").into_bytes();
        refused(&scene, &post(&raw, "/token", Some(&robot.dpop), body).await, "invalid_client", "bad_proof").await;
    }
    // A browser that asks for a workload is told nothing.
    let reply = raw.send("GET", &format!("/authorize?client_id={}&response_type=code", robot.client), &[], vec![]).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn x34_a_workload_proves_itself_each_time_and_for_this_server_alone() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    let login = owner(&scene).await;
    let robot = Robot::new();
    robot.register(scene.stage, &login, json!({})).unwrap();
    let grant = [("grant_type", "client_credentials"), ("scope", "read")];
    type Spoil = fn(&mut serde_json::Value);
    let spoils: [(&str, Spoil); 8] = [
        ("another server", |c| c["aud"] = json!("https://evil.example")),
        ("the endpoint as audience", |c| c["aud"] = json!(format!("{}/token", c["aud"].as_str().unwrap()))),
        ("a list of servers", |c| c["aud"] = json!([c["aud"], "https://evil.example"])),
        ("run out", |c| c["exp"] = json!(c["exp"].as_i64().unwrap() - 120)),
        ("for ever", |c| c["exp"] = json!(c["exp"].as_i64().unwrap() + 3_600)),
        ("another issuer", |c| c["iss"] = json!("till")),
        ("no jti", |c| c["jti"] = json!("")),
        ("from the future", |c| c["nbf"] = json!(c["exp"].as_i64().unwrap() + 3_600)),
    ];
    for (what, spoil) in spoils {
        let body = Robot::with(&robot.assertion(&raw, &robot.key, spoil), &grant);
        let reply = post(&raw, "/token", Some(&robot.dpop), body).await;
        assert_eq!(reply.code(), "invalid_client", "{what}");
        refused(&scene, &reply, "invalid_client", "bad_proof").await;
    }
    // Each assertion serves once, each proof serves once, also at the same moment.
    let body = robot.form(&raw, &grant);
    let replies = tokio::join!(
        post(&raw, "/token", Some(&robot.dpop), body.clone()),
        post(&raw, "/token", Some(&robot.dpop), body.clone()),
        post(&raw, "/token", Some(&robot.dpop), body.clone()),
    );
    let codes = [replies.0.code(), replies.1.code(), replies.2.code()];
    assert_eq!(codes.iter().filter(|c| c.is_empty()).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|c| *c == "invalid_client").count(), 2, "{codes:?}");
    refused(&scene, &post(&raw, "/token", Some(&robot.dpop), body).await, "invalid_client", "bad_proof").await;
    let nonce = raw.nonce().await;
    let proof = raw.proof(&robot.dpop, "POST", "/token", b"", |c| (c.bd, c.nonce) = (None, Some(nonce)));
    let headers = [("dpop", proof), ("content-type", "application/x-www-form-urlencoded".to_owned())];
    assert_eq!(raw.send("POST", "/token", &headers, robot.form(&raw, &grant)).await.status, 200);
    refused(&scene, &raw.send("POST", "/token", &headers, robot.form(&raw, &grant)).await, "invalid_dpop_proof", "bad_proof").await;
    // Without a key only where it is registered so, briefly, and for nothing privileged.
    refused(&scene, &robot.ask_bare(&raw, &[("scope", "read")]).await, "invalid_dpop_proof", "bad_proof").await;
    robot.register(scene.stage, &login, json!({"danger_allow_bearer": true})).unwrap();
    let bare = robot.ask_bare(&raw, &[("scope", "read")]).await.json();
    assert_eq!((&bare["token_type"], &bare["expires_in"]), (&json!("Bearer"), &json!(60)));
    refused(&scene, &robot.ask_bare(&raw, &[("scope", "read write")]).await, "unauthorized_client", "denied").await;
    assert_eq!(robot.ask(&raw, &[("scope", "read write")]).await.status, 200, "with its key");
    // For others than it is registered for, and for nobody in particular.
    refused(&scene, &robot.ask(&raw, &[("resource", "https://till.example")]).await, "invalid_target", "denied").await;
    robot.register(scene.stage, &login, json!({"audiences": [STOCK, "https://other.example"]})).unwrap();
    refused(&scene, &robot.ask(&raw, &[("scope", "read")]).await, "invalid_target", "denied").await;
    let one = robot.ask(&raw, &[("resource", "https://other.example")]).await.json();
    let token = one["access_token"].as_str().unwrap();
    assert_eq!(introspected(&raw, "watch", token).await, json!({"active": false}), "for another audience");
    // What is given back is worth nothing, at once.
    let (a, b) = (robot.ask(&raw, &[("resource", STOCK)]).await.json(), robot.ask(&raw, &[("resource", STOCK)]).await.json());
    let (a, b) = (a["access_token"].as_str().unwrap(), b["access_token"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(post(&raw, "/revoke", None, robot.form(&raw, &[("token", a)])).await.status, 200);
        assert_eq!(introspected(&raw, "watch", a).await, json!({"active": false}));
        assert_eq!(introspected(&raw, "watch", b).await["active"], true, "its other token stays");
    }
    let stranger = SoftwareKey::generate().unwrap();
    let body = Robot::with(&robot.assertion(&raw, &stranger, |_| ()), &[("token", b)]);
    refused(&scene, &post(&raw, "/revoke", None, body).await, "invalid_client", "bad_proof").await;
}
