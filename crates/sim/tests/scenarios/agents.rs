//! Agents that call tools: T2, T7.

use super::stage;
use countersign_sim::stage::{Agent, STOCK, Scene, Settings, Stage, decided, health, introspected, place, until};
use countersign_store::Statement;
use countersign_wire::CeremonyId;
use serde_json::{Value, json};
use std::sync::OnceLock;

fn no(answer: &Value, reason: &str) {
    assert_eq!((&answer["decision"], &answer["context"]["reason"]), (&json!(false), &json!(reason)), "{answer}");
}
fn waits(answer: &Value) -> CeremonyId {
    no(answer, "pending");
    answer["context"]["approval"]["id"].as_str().unwrap().parse().unwrap()
}
fn goes(answer: &Value) {
    assert_eq!(answer["decision"], true, "{answer}");
}

async fn recorded(scene: &Scene<'_>, answer: &Value, reason: &str) {
    no(answer, reason);
    scene.recorded(answer["context"]["ref"].as_str().unwrap(), reason).await;
}

#[tokio::test]
async fn t2_a_call_needs_fresh_health_and_a_sensitive_one_a_person() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    let token = agent.robot.token(&raw, "read").await;
    let (none, refund) = (json!({}), json!({"order": "A-17", "amount": "12.50"}));
    goes(&agent.call(&raw, &token, "stock.read", &none).await);
    // What it was not registered for.
    recorded(&scene, &agent.call(&raw, &token, "stock.write", &none).await, "denied").await;
    // The device was not heard for too long: nothing, until it speaks.
    let device = agent.laptop.kept().device_id;
    let old = "UPDATE device SET seen_at = seen_at - 125000000 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(old, [device.as_str().into()])]).await.unwrap();
    recorded(&scene, &agent.call(&raw, &token, "stock.read", &none).await, "posture_old").await;
    recorded(&scene, &agent.call(&raw, &token, "refund", &refund).await, "posture_old").await;
    assert!(agent.phone.pending().await.unwrap().pending.is_empty(), "nobody is asked about a call that may not go on");
    health(&agent.laptop).await;
    goes(&agent.call(&raw, &token, "stock.read", &none).await);
    // A sensitive one waits for its owner; asking again asks nobody again.
    let id = waits(&agent.call(&raw, &token, "refund", &refund).await);
    assert_eq!(waits(&agent.call(&raw, &token, "refund", &refund).await), id);
    let pending = agent.phone.pending().await.unwrap().pending;
    assert_eq!(pending.len(), 1);
    let checked = agent.phone.take(&id).await.unwrap();
    let said = &checked.statement;
    assert_eq!(serde_json::to_value(said.purpose).unwrap(), "tool-call");
    let [detail] = &said.request.details[..] else { panic!("no detail") };
    let shown: Vec<String> = detail.rows.iter().map(|r| format!("{}={}", r.label, r.value)).collect();
    assert_eq!(shown, ["Tool=refund", &*format!("Server={STOCK}"), "Agent=Stock robot", "arguments amount=12.50", "arguments order=A-17"]);
    assert!(said.request.scopes.is_empty());
    waits(&agent.call(&raw, &token, "refund", &refund).await);
    assert_eq!(agent.phone.approve(&checked).await.unwrap().state, "approved");
    // Not with another argument; then once, and not again.
    let other = json!({"order": "A-17", "amount": "1250.00"});
    assert_ne!(agent.call(&raw, &token, "refund", &other).await["decision"], true);
    goes(&agent.call(&raw, &token, "refund", &refund).await);
    let next = waits(&agent.call(&raw, &token, "refund", &refund).await);
    assert_ne!(next, id);
    // Whoever waits hears of a yes at once, although it comes later.
    let mut waiting = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "refund", &refund).await;
    waiting["context"] = json!({"wait_s": 40});
    let (answer, ()) = tokio::join!(async { countersign_sim::stage::decided(&raw, "gate", &waiting).await.json() }, async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let checked = agent.phone.take(&next).await.unwrap();
        agent.phone.approve(&checked).await.unwrap();
    });
    goes(&answer);
    let next = waits(&agent.call(&raw, &token, "refund", &refund).await);
    // Its owner says no: the agent hears it.
    let checked = agent.phone.take(&next).await.unwrap();
    agent.phone.refuse(&checked).await.unwrap();
    let mut question = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "refund", &refund).await;
    question["context"] = json!({"approval": {"id": next}});
    recorded(&scene, &countersign_sim::stage::decided(&raw, "gate", &question).await.json(), "denied").await;
    // One chain in the log.
    let log = scene.log().await;
    let of_call: Vec<&str> = log.iter().filter(|l| l.body["ceremony"] == id.as_str()).map(|l| l.kind.as_str()).collect();
    assert_eq!(of_call, ["ceremony.opened", "ceremony.scanned", "ceremony.approved", "ceremony.redeemed", "tool.called"]);
    let called = log.iter().find(|l| l.kind == "tool.called" && l.body["ceremony"] == id.as_str()).unwrap();
    assert_eq!((&called.body["facts"]["tool"], &called.body["device"]), (&json!("refund"), &json!(device)));
}

#[tokio::test]
async fn t7_an_agent_ends_with_its_device_and_what_it_never_uses_is_listed() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    let token = agent.robot.token(&raw, "read").await;
    let counts = async || introspected(&raw, "watch", &token).await["active"] == true;
    goes(&agent.call(&raw, &token, "stock.read", &json!({})).await);
    // It runs on a device of its owner, and on no other.
    let stranger = scene.phone("Fremde", &here).await;
    let foreign = json!({"agent": {"device": stranger.kept().device_id, "tools": []}});
    assert!(agent.robot.register(scene.stage, &agent.owner, foreign).is_err());
    for odd in [json!({"device": agent.laptop.kept().device_id, "tools": ["a"], "ask": ["b"]}), json!({"tools": []})] {
        assert!(agent.robot.register(scene.stage, &agent.owner, json!({"agent": odd})).is_err(), "{odd}");
    }
    // News about the device: its tokens are worth nothing, and it gets none.
    let device = agent.laptop.kept().device_id;
    scene.stage.command(&["signal", "raise", "device.compromised", device.as_str()]).unwrap();
    assert!(!counts().await);
    recorded(&scene, &agent.call(&raw, &token, "stock.read", &json!({})).await, "denied").await;
    assert_eq!(agent.robot.ask(&raw, &[]).await.code(), "unauthorized_client");
    scene.stage.command(&["signal", "clear", "device.compromised", device.as_str()]).unwrap();
    assert!(counts().await);
    // What it never called is listed, once it had its time.
    let sql = "UPDATE workload SET added_at = added_at - 3456000000000 WHERE client = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [agent.robot.client.as_str().into()])]).await.unwrap();
    until("a use that is written down", async || agent.robot.listed(scene.stage, &[])["used_at"].as_i64()).await;
    let found = agent.robot.listed(scene.stage, &[])["findings"]["over_granted"].clone();
    assert!(found.as_array().unwrap().contains(&json!("tool refund")) && !found.as_array().unwrap().contains(&json!("tool stock.read")), "{found}");
    // The device is lost, for good.
    scene.stage.command(&["device", "revoke", device.as_str()]).unwrap();
    assert!(!counts().await);
    recorded(&scene, &agent.call(&raw, &token, "stock.read", &json!({})).await, "denied").await;
    assert_eq!(agent.robot.ask(&raw, &[]).await.code(), "unauthorized_client");
}

/// Where calls are for tokens with a key alone.
static BOUND: OnceLock<Stage> = OnceLock::new();

fn bound() -> &'static Stage {
    Stage::shared(&BOUND, || {
        let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap().keep().unwrap().1;
        let own = "@id(\"calls-by-key\") forbid (principal is Workload, action == Action::\"call\", resource) unless { context.bound };";
        std::fs::write(&rules, format!("{}\n{own}", countersign_trust::policy::DEFAULT)).unwrap();
        Settings { more: format!("policies = \"{}\"\n", rules.display()), ..Settings::default() }
    })
}

#[tokio::test]
async fn t2_a_rule_about_keys_sees_whether_a_call_came_with_one() {
    let scene = bound().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    let mut facts = agent.facts(&["stock.read"]);
    facts["danger_allow_bearer"] = json!(true);
    agent.robot.register(scene.stage, &agent.owner, facts).unwrap();
    let bare = agent.robot.ask_bare(&raw, &[("scope", "read")]).await;
    assert_eq!(bare.status, 200, "{}", bare.json());
    let bare = bare.json()["access_token"].as_str().unwrap().to_owned();
    let mut question = agent.question(&raw, &agent.robot.dpop, &bare, STOCK, "stock.read", &json!({})).await;
    question["subject"]["properties"] = json!({ "token": bare });
    recorded(&scene, &decided(&raw, "gate", &question).await.json(), "denied").await;
    let token = agent.robot.token(&raw, "read").await;
    goes(&agent.call(&raw, &token, "stock.read", &json!({})).await);
}
