//! Programs that act for themselves: A4, T7.

use super::stage;
use countersign_sim::stage::{Robot, STOCK, Scene, Settings, Stage, claims, day, introspected, place, post, until};
use countersign_store::Statement;
use serde_json::{Value, json};

/// A person who can answer for something, by login name.
async fn owner(scene: &Scene<'_>) -> String {
    let here = place();
    let (link, login) = scene.invitation("Halterin").await;
    countersign_device::Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    login
}

async fn refused(scene: &Scene<'_>, reply: &countersign_sim::stage::Reply, error: &str, code: &str) {
    assert_eq!(reply.code(), error, "{}", reply.json());
    let said = reply.json()["error_description"].as_str().unwrap().to_owned();
    scene.recorded(said.strip_prefix("see ").unwrap(), code).await;
}

#[tokio::test]
async fn a4_people_and_workloads_share_no_rule_and_no_token() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let login = owner(&scene).await;
    let robot = Robot::new();
    let id = robot.register(scene.stage, &login, json!({})).unwrap();
    // What a workload gets says that it is one.
    let reply = robot.ask(&raw, &[("scope", "read write"), ("resource", STOCK)]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    let told = reply.json();
    assert_eq!((&told["token_type"], &told["expires_in"], &told["scope"]), (&json!("DPoP"), &json!(300), &json!("read write")));
    assert!(told.get("id_token").is_none() && told.get("refresh_token").is_none());
    let token = told["access_token"].as_str().unwrap();
    let said = claims(token);
    assert_eq!((said["sub"].as_str(), said["client_id"].as_str(), said["aud"].as_str()), (Some(&*id), Some(&*robot.client), Some(STOCK)));
    assert_eq!(said["workload"]["environment"], "test");
    for of_people in ["sid", "acr", "amr", "auth_time", "grant_id", "cs"] {
        assert!(said.get(of_people).is_none(), "{of_people}");
    }
    let heard = introspected(&raw, "watch", token).await;
    assert_eq!((&heard["active"], &heard["sub"], &heard["token_type"]), (&json!(true), &json!(id), &json!("DPoP")));
    // The log calls it a workload, and nobody by that name is a person.
    let line = scene.log().await.into_iter().find(|l| l.kind == "workload.token" && l.body["facts"]["workload"] == *id).unwrap();
    assert!(line.body.get("person").is_none() && line.body["facts"]["owner"] == said["workload"]["owner"], "{}", line.text);
    // A person's approval gives no such token: not to their client, and not by their token.
    let phone = scene.phone("Mensch", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert!(claims(&tokens.access_token).get("workload").is_none());
    let form = b"grant_type=client_credentials&client_id=till&scope=read".to_vec();
    refused(&scene, &post(&raw, "/token", Some(&attempt.terminal.key), form).await, "unauthorized_client", "denied").await;
    // And a workload gets nothing of a person's.
    for (path, pairs) in [
        ("/token", vec![("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "http://127.0.0.1/cb")]),
        ("/token", vec![("grant_type", "refresh_token"), ("refresh_token", "x")]),
        ("/par", vec![("response_type", "code"), ("redirect_uri", "http://127.0.0.1/cb"), ("scope", "openid")]),
    ] {
        let reply = post(&raw, path, Some(&robot.dpop), robot.form(&raw, &pairs)).await;
        refused(&scene, &reply, "unauthorized_client", "denied").await;
    }
    for scope in ["openid", "profile", "offline_access", "read openid"] {
        refused(&scene, &robot.ask(&raw, &[("scope", scope)]).await, "invalid_scope", "denied").await;
    }
}

#[tokio::test]
async fn t7_a_workload_has_an_owner_an_end_and_keys_of_its_own() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let login = owner(&scene).await;
    // Without owner, without end, without key, with a key of somebody else: not registered.
    let robot = Robot::new();
    let phone = scene.phone("Schluessel", &here).await;
    for (what, value) in [
        ("owner", json!("nobody-at-all")),
        ("owner", json!("")),
        ("until", json!(day(-1))),
        ("until", json!(day(400))),
        ("until", json!("never")),
        ("keys", json!([])),
        ("keys", json!([phone.key.public().members()])),
        ("id", json!("till")),
        ("secret_hash", json!("AAAA")),
        ("scopes", json!(["openid"])),
    ] {
        let said = robot.register(scene.stage, &login, json!({what: value})).err();
        assert!(said.is_some(), "{what}: {value}");
    }
    assert_eq!(robot.listed(scene.stage, &[]), Value::Null);
    robot.register(scene.stage, &login, json!({})).unwrap();
    let twin = Robot { client: format!("{}-twin", robot.client), ..Robot::new() };
    assert!(twin.register(scene.stage, &login, json!({"keys": [robot.key.public().members()]})).is_err(), "a shared key");
    let token = robot.token(&raw, "read").await;
    let counts = async |token: &str| introspected(&raw, "watch", token).await["active"] == true;
    assert!(counts(&token).await);
    // Its owner is stopped: neither a new token nor an old one, until they may act again.
    scene.stage.command(&["person", "lock", &login]).unwrap();
    refused(&scene, &robot.ask(&raw, &[]).await, "unauthorized_client", "denied").await;
    assert!(!counts(&token).await);
    scene.stage.command(&["person", "unlock", &login]).unwrap();
    assert!(counts(&token).await);
    // A key that goes takes its tokens along.
    let next = Robot { client: robot.client.clone(), ..Robot::new() };
    next.register(scene.stage, &login, json!({})).unwrap();
    assert!(!counts(&token).await);
    refused(&scene, &robot.ask(&raw, &[]).await, "invalid_client", "bad_proof").await;
    let token = next.token(&raw, "read").await;
    assert!(counts(&token).await);
    // A scope that goes, too.
    next.register(scene.stage, &login, json!({"scopes": ["write"]})).unwrap();
    assert!(!counts(&token).await);
    refused(&scene, &next.ask(&raw, &[("scope", "read")]).await, "invalid_scope", "denied").await;
    // Its date comes: refused from that moment, and ended for good by the sweep.
    next.register(scene.stage, &login, json!({})).unwrap();
    let token = next.token(&raw, "read").await;
    let sql = "UPDATE workload SET until = 1 WHERE client = $1 AND ended IS NULL";
    scene.engine.upkeep(vec![Statement::any(sql, [next.client.as_str().into()])]).await.unwrap();
    let late = next.ask(&raw, &[]).await;
    assert!(["invalid_client", "unauthorized_client"].contains(&late.code().as_str()), "{}", late.json());
    assert!(!counts(&token).await);
    until("its end", async || (next.listed(scene.stage, &[])["ended"] == "end_date").then_some(())).await;
    // The name may be given again, to another workload.
    let again = Robot { client: next.client.clone(), ..Robot::new() };
    let id = again.register(scene.stage, &login, json!({})).unwrap();
    assert_ne!(claims(&token)["sub"], *id);
    assert!(!counts(&token).await);
    let token = again.token(&raw, "read").await;
    // Its owner is ended: it ends in the same commit.
    scene.stage.command(&["person", "end", &login]).unwrap();
    assert!(!counts(&token).await);
    refused(&scene, &again.ask(&raw, &[]).await, "invalid_client", "bad_proof").await;
    assert_eq!(again.listed(scene.stage, &[])["ended"], "owner_ended");
    let log = scene.log().await;
    let gone = log.iter().find(|l| l.kind == "workload.changed" && l.body["facts"]["why"] == "owner_ended" && l.body["facts"]["workload"] == *id);
    let gone = gone.expect("its end is not in the log");
    assert!(log.iter().any(|l| l.kind == "person.changed" && l.txn == gone.txn), "one cause");
}

#[tokio::test]
async fn t7_what_is_unused_over_granted_or_past_its_date_is_listed() {
    // A server of its own: its configuration is changed.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let login = owner(&scene).await;
    let (busy, idle, listed) = (Robot::new(), Robot::new(), Robot::new());
    for robot in [&busy, &idle] {
        robot.register(&stage, &login, json!({"audiences": [STOCK, "https://other.example"]})).unwrap();
    }
    let reply = busy.ask(&raw, &[("resource", STOCK), ("scope", "read")]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    // Uses are written down within seconds.
    until("a use that is written down", async || busy.listed(&stage, &[])["used_at"].as_i64()).await;
    assert_eq!(busy.listed(&stage, &[])["findings"]["over_granted"], json!([]), "it had no time yet");
    // As if they had been registered forty days ago.
    let sql = "UPDATE workload SET added_at = added_at - 3456000000000";
    scene.engine.upkeep(vec![Statement::any(sql, [])]).await.unwrap();
    let found = busy.listed(&stage, &[])["findings"].clone();
    assert_eq!(found, json!({"over": false, "without_owner": false, "unused": false, "over_granted": ["audience https://other.example", "scope write"]}));
    assert_eq!(idle.listed(&stage, &[])["findings"]["unused"], true);
    stage.command(&["person", "lock", &login]).unwrap();
    assert_eq!(idle.listed(&stage, &[])["findings"]["without_owner"], true);
    stage.command(&["person", "unlock", &login]).unwrap();
    let said = stage.command(&["workload", "list"]).unwrap();
    assert!(said.contains("unused") && said.contains("never asks for scope write"), "{said}");
    assert!(stage.command(&["workload", "list", "--findings"]).is_err(), "for a nightly job");
    // By the configuration as well; what it lists no more ends, what ended otherwise stays ended.
    let file = stage.dir().join("countersign.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let r = listed.registration(&login, json!({}));
    let entry = format!(
        "\n[[workloads]]\nid = \"{}\"\nname = \"Listed\"\nowner = \"{login}\"\nuntil = \"{}\"\nenvironment = \"test\"\naudiences = [\"{STOCK}\"]\nkeys = [{{ kty = \"EC\", crv = \"P-256\", x = {}, y = {} }}]\n",
        listed.client, day(30), r["keys"][0]["x"], r["keys"][0]["y"]
    );
    std::fs::write(&file, format!("{before}{entry}")).unwrap();
    stage.restart().await;
    assert_eq!(listed.ask(&raw, &[]).await.status, 200);
    let first = listed.listed(&stage, &[])["id"].clone();
    std::fs::write(&file, &before).unwrap();
    stage.restart().await;
    assert_eq!(listed.ask(&raw, &[]).await.code(), "invalid_client");
    std::fs::write(&file, format!("{before}{entry}")).unwrap();
    stage.restart().await;
    assert_eq!(listed.ask(&raw, &[]).await.status, 200);
    assert_ne!(listed.listed(&stage, &[])["id"], first, "another workload by the same name");
    stage.command(&["workload", "end", &listed.client]).unwrap();
    stage.restart().await;
    assert_eq!(listed.ask(&raw, &[]).await.code(), "invalid_client", "a restart is no way back");
}
