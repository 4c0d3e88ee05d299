//! Row 33: an agent's token in other hands, at other doors; and an approval in other hands.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Agent, Robot, STOCK, Scene, decided, place, question};
use serde_json::{Value, json};

async fn recorded(scene: &Scene<'_>, answer: &Value, reason: &str) {
    assert_eq!((&answer["decision"], &answer["context"]["reason"]), (&json!(false), &json!(reason)), "{answer}");
    scene.recorded(answer["context"]["ref"].as_str().unwrap(), reason).await;
}

#[tokio::test]
async fn x33_a_token_that_was_passed_on_opens_no_other_tool_and_serves_no_other_key() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    let more = json!({"audiences": [STOCK, "https://other.example"], "agent": agent.facts(&["stock.read", "refund"])["agent"]});
    agent.robot.register(scene.stage, &agent.owner, more).unwrap();
    let token = agent.robot.ask(&raw, &[("resource", STOCK)]).await.json()["access_token"].as_str().unwrap().to_owned();
    let elsewhere = agent.robot.ask(&raw, &[("resource", "https://other.example")]).await.json()["access_token"].as_str().unwrap().to_owned();
    let none = json!({});
    let ask = async |question: Value| decided(&raw, "gate", &question).await.json();
    let first = agent.call(&raw, &token, "stock.read", &none).await;
    assert_eq!(first["decision"], true, "{first}");
    // For another server; at another server.
    recorded(&scene, &agent.call(&raw, &elsewhere, "stock.read", &none).await, "denied").await;
    let mut there = agent.question(&raw, &agent.robot.dpop, &elsewhere, "https://other.example", "stock.read", &none).await;
    there["resource"]["properties"]["server"] = json!("https://other.example");
    recorded(&scene, &ask(there).await, "denied").await;
    // By another key, for another address, without a proof, with one that was used, without a nonce.
    let thief = SoftwareKey::generate().unwrap();
    recorded(&scene, &ask(agent.question(&raw, &thief, &token, STOCK, "stock.read", &none).await).await, "bad_proof").await;
    let away = agent.question(&raw, &agent.robot.dpop, &token, "https://other.example", "stock.read", &none).await;
    recorded(&scene, &ask(away).await, "bad_proof").await;
    let good = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "stock.read", &none).await;
    let mut bare = good.clone();
    bare["subject"]["properties"] = json!({"token": token});
    recorded(&scene, &ask(bare).await, "bad_proof").await;
    assert_eq!(ask(good.clone()).await["decision"], true);
    recorded(&scene, &ask(good.clone()).await, "bad_proof").await;
    let mut of_another = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "stock.read", &none).await;
    of_another["subject"]["properties"]["token"] = json!(agent.robot.ask(&raw, &[("resource", STOCK)]).await.json()["access_token"]);
    recorded(&scene, &ask(of_another).await, "bad_proof").await;
    // Under another name; and what was refused used its proof up all the same.
    let mut of_somebody = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "stock.read", &none).await;
    of_somebody["subject"]["id"] = json!(agent.owner);
    recorded(&scene, &ask(of_somebody).await, "denied").await;
    let mut no_tool_of_its = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "stock.write", &none).await;
    recorded(&scene, &ask(no_tool_of_its.clone()).await, "denied").await;
    no_tool_of_its["resource"]["id"] = json!("stock.read");
    recorded(&scene, &ask(no_tool_of_its).await, "bad_proof").await;
    let stale = raw.proof(&agent.robot.dpop, "POST", "/", b"", |c| {
        (c.htu, c.bd) = (STOCK.to_owned(), None);
        c.ath = Some(countersign_wire::b64::encode(&countersign_wire::mac::h(token.as_bytes())));
    });
    let mut without = good.clone();
    without["subject"]["properties"]["dpop"] = json!(stale);
    let answer = ask(without).await;
    assert_eq!(answer["context"]["reason"], "use_dpop_nonce");
    assert!(answer["context"]["dpop_nonce"].is_string());
    // Whoever does not answer for the server hears nothing about its tools.
    let reply = decided(&raw, "desk", &good).await.json();
    assert_eq!(reply["decision"], false);
    let narrow = decided(&raw, "narrow-desk", &good).await;
    assert_eq!(narrow.status, 403);
    // Methods that do something are tools as well, and no tool can be named like one of them.
    assert_eq!(agent.does(&raw, &token, "tools/list", ("mcp_server", STOCK)).await["decision"], true);
    recorded(&scene, &agent.does(&raw, &token, "resources/read", ("resource", "stock://all")).await, "denied").await;
    for (method, on) in [("tools/call", ("tool", "mcp:resources/read")), ("tools/call", ("resource", "stock.read")), ("roots/list", ("mcp_server", STOCK))] {
        let asked = question(&raw, &agent.robot.dpop, &token, STOCK, (method, on.0, on.1), &none).await;
        assert_eq!(decided(&raw, "gate", &asked).await.status, 400, "{method} {on:?}");
    }
    // A sensitive call brings nothing along that its person would not be shown.
    let mut more = agent.question(&raw, &agent.robot.dpop, &token, STOCK, "refund", &json!({"order": "A-16"})).await;
    more["resource"]["properties"]["unseen"] = json!(["inputResponses"]);
    recorded(&scene, &ask(more).await, "malformed").await;
    assert!(agent.phone.pending().await.unwrap().pending.is_empty());
    // What another agent was allowed is nobody else's: neither its tools nor an approval.
    let second = Agent { robot: Robot::new(), ..Agent::new(&scene, &here).await };
    second.robot.register(scene.stage, &second.owner, second.facts(&["refund"])).unwrap();
    let other = second.robot.ask(&raw, &[("resource", STOCK)]).await.json()["access_token"].as_str().unwrap().to_owned();
    recorded(&scene, &second.call(&raw, &other, "stock.read", &none).await, "denied").await;
    let refund = json!({"order": "A-18"});
    let waits = agent.call(&raw, &token, "refund", &refund).await;
    let id = waits["context"]["approval"]["id"].as_str().unwrap().parse().unwrap();
    let checked = agent.phone.take(&id).await.unwrap();
    agent.phone.approve(&checked).await.unwrap();
    let theirs = second.call(&raw, &other, "refund", &refund).await;
    assert_eq!(theirs["context"]["reason"], "pending", "{theirs}");
    assert!(second.phone.take(&id).await.is_err(), "it is not this person's to decide");
    // At one moment, one call of many goes on.
    let mut questions = Vec::new();
    for _ in 0..4 {
        questions.push(agent.question(&raw, &agent.robot.dpop, &token, STOCK, "refund", &refund).await);
    }
    let one = async |n: usize| decided(&raw, "gate", &questions[n]).await.json();
    let answers: [Value; 4] = tokio::join!(one(0), one(1), one(2), one(3)).into();
    assert_eq!(answers.iter().filter(|a| a["decision"] == true).count(), 1, "{answers:?}");
    // A phone that was lost since it approved gives nothing.
    let waits = agent.call(&raw, &token, "refund", &json!({"order": "A-19"})).await;
    if let Some(id) = waits["context"]["approval"]["id"].as_str() {
        let checked = agent.phone.take(&id.parse().unwrap()).await.unwrap();
        agent.phone.approve(&checked).await.unwrap();
        scene.stage.command(&["device", "revoke", agent.phone.kept().device_id.as_str()]).unwrap();
        assert_eq!(agent.call(&raw, &token, "refund", &json!({"order": "A-19"})).await["decision"], false);
    }
}
