//! Row 33: an agent's token in other hands, at other doors; and an approval in other hands.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Agent, Gate, Robot, SECRET, STOCK, Scene, decided, message, place, question};
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
    // Those that came too late have asked anew, and another question has no place beside that one: it is settled first.
    for one in agent.phone.pending().await.unwrap().pending {
        let checked = agent.phone.take(&one.cid.parse().unwrap()).await.unwrap();
        agent.phone.refuse(&checked).await.unwrap();
    }
    // A phone that was lost since it approved gives nothing, and what it approved has ended with it.
    let refund = json!({"order": "A-19"});
    let waits = agent.call(&raw, &token, "refund", &refund).await;
    let id = waits["context"]["approval"]["id"].as_str().unwrap_or_else(|| panic!("{waits}")).to_owned();
    let checked = agent.phone.take(&id.parse().unwrap()).await.unwrap();
    agent.phone.approve(&checked).await.unwrap();
    scene.stage.command(&["device", "revoke", agent.phone.kept().device_id.as_str()]).unwrap();
    let answer = agent.call(&raw, &token, "refund", &refund).await;
    assert_eq!((&answer["decision"], &answer["context"]["reason"]), (&json!(false), &json!("pending")), "{answer}");
    assert_ne!(answer["context"]["approval"]["id"], json!(id), "it is asked for anew");
    assert!(!scene.log_of(&id).await.iter().any(|l| l.kind == "ceremony.redeemed"), "the approval was spent");
}

#[tokio::test]
async fn x33_nothing_gets_through_a_gate_that_it_did_not_read_ask_about_and_write_anew() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    agent.robot.register(scene.stage, &agent.owner, json!({"audiences": [STOCK, "https://other.example"], "agent": agent.facts(&["stock.read"])["agent"]})).unwrap();
    let token = agent.robot.ask(&raw, &[("resource", STOCK)]).await.json()["access_token"].as_str().unwrap().to_owned();
    let elsewhere = agent.robot.ask(&raw, &[("resource", "https://other.example")]).await.json()["access_token"].as_str().unwrap().to_owned();
    let gate = Gate::open(scene.stage, &raw, "").await;
    let call = message("tools/call", &json!({"name": "stock.read", "arguments": {}}));
    assert_eq!(gate.says(&raw, &agent, &token, &call, &[]).await.status, 200);
    let reached = gate.came().len();
    // Other bodies, other methods, other sites, headers that say something else.
    let ping = message("ping", &json!({}));
    let (batch, huge) = (format!("[{ping},{call}]"), message("tools/call", &json!({"name": "stock.read", "arguments": {"a": "x".repeat(50_000)}})));
    let to = |arguments: Value| message("tools/call", &json!({"name": "stock.read", "arguments": arguments}));
    let (north, both) = (to(json!({"region": "north", "n": 7, "deep": {"n": 7}})), to(json!({"Region": "south", "region": "north"})));
    for (body, more, status) in [
        (&north, [("mcp-param-region", "south")], 400),
        (&north, [("mcp-param-region", "=?base64?c291dGg=?=")], 400),
        (&north, [("mcp-param-region", "")], 400),
        (&north, [("mcp-param-n", "8")], 400),
        (&north, [("mcp-param-deep", "7")], 400),
        (&both, [("mcp-param-region", "south")], 400),
        // Of a revision whose messages must say in headers what they are, these say nothing.
        (&call, [("mcp-protocol-version", "2026-07-28")], 400),
        (&ping, [("mcp-protocol-version", "2027-01-01")], 400),
        (&batch, [("x-a", "")], 400),
        (&"{".to_owned(), [("x-a", "")], 400),
        (&r#"{"jsonrpc":"2.0","id":"m-1","result":{}}"#.to_owned(), [("x-a", "")], 400),
        (&huge, [("x-a", "")], 413),
        (&call, [("origin", "https://evil.example")], 403),
        (&call, [("mcp-name", "refund")], 400),
        (&call, [("mcp-method", "tools/list")], 400),
        (&ping, [("mcp-name", "stock.read")], 400),
        (&call, [("mcp-session-id", "guessed")], 404),
    ] {
        let reply = gate.says(&raw, &agent, &token, body, &more).await;
        assert_eq!(reply.status, status, "{} {more:?}", &body[..body.len().min(80)]);
    }
    let unknown = gate.says(&raw, &agent, &token, &message("sampling/createMessage", &json!({})), &[]).await.json();
    assert_eq!(unknown["error"]["code"], -32001, "{unknown}");
    let silent = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "stock.read"}}).to_string();
    assert_eq!(gate.says(&raw, &agent, &token, &silent, &[]).await.status, 403, "a call that wants no answer");
    for method in ["GET", "DELETE", "PUT"] {
        let headers = gate.shown(&raw, &agent.robot.dpop, &token).await;
        assert_eq!(gate.send(method, "/api", &headers, "").await.status, 405);
    }
    // Tokens: of another server, by another key, without their proof, used before, twice in one request, ended, made up.
    let other = gate.says(&raw, &agent, &elsewhere, &call, &[]).await.json();
    assert_eq!(other["error"]["data"]["reason"], "denied", "{other}");
    let thief = SoftwareKey::generate().unwrap();
    let good = gate.shown(&raw, &agent.robot.dpop, &token).await;
    let bearer = ("authorization", format!("Bearer {token}"));
    let kind = good[2].clone();
    let (said, signature) = token.rsplit_once('.').unwrap();
    // The first character, whose bits all count, for another.
    let forged = format!("{said}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    for (headers, error) in [
        (gate.shown(&raw, &thief, &token).await, "invalid_dpop_proof"),
        (vec![bearer.clone(), kind.clone()], "invalid_dpop_proof"),
        (vec![good[0].clone(), bearer.clone(), good[1].clone(), kind.clone()], "invalid_token"),
        (vec![good[0].clone(), good[1].clone(), good[1].clone(), kind.clone()], "invalid_dpop_proof"),
        (vec![("authorization", "DPoP nothing".to_owned()), kind.clone()], "invalid_token"),
        (gate.shown(&raw, &agent.robot.dpop, &forged).await, "invalid_token"),
    ] {
        let reply = gate.send("POST", "/api", &headers, &call).await;
        let said: Vec<&str> = reply.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
        assert!(reply.status == 401 && said.iter().any(|s| s.contains(&format!("error=\"{error}\""))), "{error}: {} {said:?}", reply.status);
    }
    assert_eq!(gate.came().len(), reached, "nothing of it went on");
    assert_eq!(gate.send("POST", "/api", &good, &call).await.status, 200);
    assert_eq!(gate.send("POST", "/api", &good, &call).await.status, 401, "a proof serves once");
    // What the server behind it says of the gate, or where it sends it, is not passed on.
    let reached = gate.came().len();
    for status in [401, 403, 302, 307, 500] {
        gate.turn(status);
        let reply = gate.says(&raw, &agent, &token, &call, &[]).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!(-32603)), "{status}");
    }
    assert_eq!(gate.came().len(), reached + 5, "no redirection is followed");
    // Nobody decides, or not for this gate: closed.
    for who in [("http://localhost:9", SECRET), (&raw.origin(), "not its secret")] {
        let gate = Gate::open_as(scene.stage, &raw, who, "").await;
        let reply = gate.says(&raw, &agent, &token, &call, &[]).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"], gate.came().len()), (503, &json!(-32603), 0), "{who:?}");
    }
}
