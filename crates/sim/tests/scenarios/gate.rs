//! An MCP server behind the gate: T2.

use super::stage;
use countersign_sim::stage::{Agent, Gate, OWN_TOKEN, STOCK, health, message, place, until};
use countersign_store::Statement;
use countersign_wire::CeremonyId;
use serde_json::{Value, json};

fn no(reply: &Value, reason: &str) {
    assert_eq!((&reply["error"]["code"], &reply["error"]["data"]["reason"], &reply["id"]), (&json!(-32001), &json!(reason), &json!("m-1")), "{reply}");
}

/// The one question that waits on the owner's phone; it comes while the gate waits for the answer.
async fn asked(agent: &Agent) -> CeremonyId {
    until("a question", async || match &agent.phone.pending().await.unwrap().pending[..] {
        [one] => Some(one.cid.parse().unwrap()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn t2_a_gate_lets_a_call_through_only_as_it_was_judged_and_without_the_callers_token() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let agent = Agent::new(&scene, &here).await;
    let token = agent.robot.token(&raw, "read").await;
    let gate = Gate::open(scene.stage, &raw, "scopes = [\"read\"]\nwait_s = 20\n").await;
    // It says of itself which tokens it takes, and who makes them (RFC 9728).
    let bare = gate.send("POST", "/api", &[("content-type", "application/json".into())], &message("ping", &json!({}))).await;
    let challenge = bare.headers["www-authenticate"].to_str().unwrap();
    assert_eq!(bare.status, 401);
    assert_eq!(challenge, "Bearer resource_metadata=\"https://stock.example/.well-known/oauth-protected-resource/api\"");
    let said = gate.send("GET", "/.well-known/oauth-protected-resource/api", &[], "").await.json();
    assert_eq!((&said["resource"], &said["authorization_servers"], &said["scopes_supported"]), (&json!(STOCK), &json!([raw.origin()]), &json!(["read"])));
    // What may be heard, is; what may be done, is done, in the words that were judged, with the gate's own token.
    let listed = gate.says(&raw, &agent, &token, &message("tools/list", &json!({})), &[("accept", "application/json, text/event-stream"), ("cookie", "a=b"), ("mcp-method", "tools/list")]).await;
    assert_eq!(listed.json()["result"]["of"], "tools/list", "{:?}", listed.json());
    let twice = r#"{"jsonrpc":"2.0","id":"m-1","method":"tools/call","params":{"name":"refund","name":"stock.read","arguments":{"a":1}}}"#;
    let more = [("mcp-name", "=?base64?c3RvY2sucmVhZA==?="), ("mcp-param-region", "north"), ("mcp-param-a", "1"), ("x-else", "1"), ("forwarded", "for=1")];
    let done = gate.says(&raw, &agent, &token, twice, &more).await;
    assert_eq!((done.status, &done.json()["result"]["of"]), (200, &json!("tools/call")));
    let came = gate.came();
    assert_eq!(came.len(), 2);
    let (headers, body) = &came[1];
    let names: std::collections::BTreeSet<&str> = headers.keys().map(|n| n.as_str()).collect();
    let all = ["accept", "authorization", "content-length", "content-type", "host", "mcp-name", "mcp-param-a", "user-agent"];
    assert_eq!(names, all.into(), "{headers:?}");
    assert_eq!(headers["authorization"], format!("Bearer {OWN_TOKEN}"));
    assert!(!body.contains("refund") && serde_json::from_str::<Value>(body).unwrap()["params"] == json!({"name": "stock.read", "arguments": {"a": 1}}), "{body}");
    for (headers, body) in &came {
        assert!(!format!("{headers:?}{body}").contains(&token), "the token went on");
    }
    // Of the answer nothing comes back that is the server's own business.
    assert!(["set-cookie", "location", "x-secret"].iter().all(|n| !done.headers.contains_key(*n)), "{:?}", done.headers);
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    assert_eq!(gate.says(&raw, &agent, &token, &note, &[]).await.status, 202);
    // A session is its beginner's.
    let session = done.headers["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(!session.contains("first session"));
    gate.says(&raw, &agent, &token, &message("tools/list", &json!({})), &[("mcp-session-id", &session)]).await;
    assert_eq!(gate.came().last().unwrap().0["mcp-session-id"], "first session");
    let reached = gate.came().len();
    for odd in ["first session", &session[1..], &format!("{session}x")] {
        assert_eq!(gate.says(&raw, &agent, &token, &message("tools/list", &json!({})), &[("mcp-session-id", odd)]).await.status, 404);
    }
    // Nobody is asked about a call that has none: a yes for it would be spent in vain.
    let refund = message("tools/call", &json!({"name": "refund", "arguments": {"order": "A-20"}}));
    assert_eq!(gate.says(&raw, &agent, &token, &refund, &[("mcp-session-id", "of a gate that ended")]).await.status, 404);
    assert!(agent.phone.pending().await.unwrap().pending.is_empty());
    let other = Agent::new(&scene, &here).await;
    let theirs = other.robot.token(&raw, "read").await;
    assert_eq!(gate.says(&raw, &other, &theirs, &message("tools/list", &json!({})), &[("mcp-session-id", &session)]).await.status, 404);
    // Stale health; a tool it has not; then well again.
    no(&gate.call(&raw, &agent, &token, "stock.write", &json!({})).await.json(), "denied");
    let device = agent.laptop.kept().device_id;
    let old = "UPDATE device SET seen_at = seen_at - 125000000 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(old, [device.as_str().into()])]).await.unwrap();
    no(&gate.call(&raw, &agent, &token, "stock.read", &json!({})).await.json(), "posture_old");
    assert_eq!(gate.came().len(), reached, "nothing that was refused went on");
    health(&agent.laptop).await;
    // A sensitive call waits at the gate until its owner's phone said yes, and goes on once.
    let order = json!({"order": "A-20"});
    let (reply, ()) = tokio::join!(gate.call(&raw, &agent, &token, "refund", &order), async {
        let pending = asked(&agent).await;
        assert_eq!(gate.came().len(), reached, "it waits");
        let checked = agent.phone.take(&pending).await.unwrap();
        agent.phone.approve(&checked).await.unwrap();
    });
    assert_eq!(reply.json()["result"]["of"], "tools/call", "{:?}", reply.json());
    assert_eq!(gate.came().len(), reached + 1);
    // Whoever says no, or nothing, is heard as well.
    let (reply, ()) = tokio::join!(gate.call(&raw, &agent, &token, "refund", &order), async {
        let checked = agent.phone.take(&asked(&agent).await).await.unwrap();
        agent.phone.refuse(&checked).await.unwrap();
    });
    no(&reply.json(), "denied");
    assert_eq!(gate.came().len(), reached + 1);
    // Answers come as they are made.
    agent.robot.register(scene.stage, &agent.owner, agent.facts(&["stream"])).unwrap();
    let streamed = gate.call(&raw, &agent, &token, "stream", &json!({})).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream");
    assert!(String::from_utf8(streamed.body).unwrap().starts_with("event: message\ndata: {"));
}
