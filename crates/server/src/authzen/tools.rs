//! "May this token do this at this MCP server, now?" The questions of COAZ's mapping for MCP (default mappings):
//! `subject` is whom the token speaks for, `action` the method, `resource` the tool. The token itself and its
//! proof go along as properties of the subject, as they are what is judged; [`crate::app::tools`] does.
//!
//! | method | judged as |
//! |---|---|
//! | `tools/call` | a call of the tool that `resource.id` names |
//! | one of [`DONE`] | a call of the tool `mcp:` and the method: whoever may read resources is registered so |
//! | one of [`HEARD`] | by the token alone |
//!
//! Every other method is refused. A yes that a person gave is used up by it.

use super::question::Question;
use crate::app::tools::{self, Answer, Asked};
use crate::app::{App, Fault, noise};
use crate::http::request::Incoming;
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_wire::jcs;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The type of whom a token speaks for.
const IDENTITY: &str = "identity";
/// The method that calls a tool, and the type of what it calls.
const CALL: &str = "tools/call";
const TOOL: &str = "tool";
/// What the names of methods begin with, where they stand for tools; no tool may be called so.
const METHOD: &str = "mcp:";
/// Methods that name things, and give none of them out.
pub const HEARD: [&str; 9] = [
    "initialize", "ping", "notifications", "server/discover", "tools/list", "resources/list", "resources/templates/list", "prompts/list",
    "subscriptions/listen",
];
/// Methods that do something with one thing, besides [`CALL`].
pub const DONE: [&str; 10] = [
    "resources/read", "resources/subscribe", "resources/unsubscribe", "prompts/get", "completion/complete", "logging/setLevel", "tasks/get",
    "tasks/list", "tasks/result", "tasks/cancel",
];
/// The longest wait for a person's word, seconds.
const WAIT_S: u64 = 50;

/// Whether a question is about what a token may do at an MCP server.
pub fn is_call(q: &Question) -> bool {
    q.subject.kind == IDENTITY && q.subject.properties.contains_key("token")
}

fn malformed(what: &str) -> Fault {
    Fault::because(Refusal::Malformed, "a call that cannot be read").saying(Some(what.to_owned()))
}

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// What is called, if anything is.
fn tool(q: &Question) -> Result<Option<String>, Fault> {
    let method = q.action.as_str();
    if method == CALL && q.resource.kind == TOOL {
        let good = jcs::is_plain(&q.resource.id) && (1..=128).contains(&q.resource.id.len()) && !q.resource.id.starts_with(METHOD);
        return if good { Ok(Some(q.resource.id.clone())) } else { Err(malformed("`resource.id`: 1 to 128 plain characters, and no method")) };
    }
    if DONE.contains(&method) {
        return Ok(Some(format!("{METHOD}{method}")));
    }
    if HEARD.contains(&method) { Ok(None) } else { Err(malformed("`action.name` is no method that may be asked about")) }
}

/// The answer to it. `waits` where whoever asks may wait for a person.
pub async fn told(app: &App, r: &Incoming, caller: &Client, q: &Question, waits: bool) -> Result<Value, Fault> {
    let said = &q.resource.properties;
    let server = text(said, "server").ok_or_else(|| malformed("`resource.properties.server` is missing"))?;
    let tool = tool(q)?;
    let mut arguments = match said.get("arguments") {
        None => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(_) => return Err(malformed("`resource.properties.arguments` is not an object")),
    };
    if tool.is_some() && q.action != CALL {
        arguments = Map::from_iter([("id".to_owned(), q.resource.id.clone().into())]);
    }
    let shown = &q.subject.properties;
    let token = text(shown, "token").ok_or_else(|| malformed("`subject.properties.token` is not a text"))?;
    let (proof, url) = (text(shown, "dpop"), text(shown, "url"));
    let named = q.context.get("approval").and_then(|a| a.get("id")).and_then(Value::as_str).map(str::parse);
    let approval = named.transpose().map_err(|_| malformed("`context.approval.id` is no id"))?;
    let wait = q.context.get("wait_s").and_then(Value::as_u64).filter(|_| waits).unwrap_or_default().min(WAIT_S);
    let asked = Asked {
        caller,
        token: &token,
        subject: &q.subject.id,
        proof: proof.as_deref().zip(url.as_deref()),
        server: &server,
        tool: tool.as_deref(),
        arguments: &arguments,
        unseen: said.get("unseen").is_some_and(|names| *names != json!([])),
        ask: said.get("ask") == Some(&Value::Bool(true)),
        approval: approval.as_ref(),
        wait: Duration::from_secs(wait),
    };
    Ok(match tools::judge(app, &r.ctx, &asked).await? {
        Answer::Go(policies) => json!({ "decision": true, "context": { "policies": policies } }),
        Answer::Waits(id, until) => json!({
            "decision": false,
            "context": { "reason": Refusal::Pending.code(), "approval": { "id": id.as_str(), "expires_at": until.rfc3339() } },
        }),
        Answer::No(fault) => no(app, r, &q.action, &fault).await?,
    })
}

/// A no is written down; a nonce is given along where one is missing.
async fn no(app: &App, r: &Incoming, method: &str, fault: &Fault) -> Result<Value, Fault> {
    let mut context = json!({ "reason": fault.refusal.code(), "ref": r.ctx.reference });
    if matches!(fault.refusal, Refusal::UseDpopNonce | Refusal::BadProof)
        && let Some(map) = context.as_object_mut()
    {
        map.insert("dpop_nonce".into(), crate::http::answer::nonce(app).into());
    }
    if fault.refusal != Refusal::UseDpopNonce && !fault.recorded {
        let mut event = r.ctx.refusal_event(app, &r.ctx.txn).fact("step", method).fact("because", fault.because);
        event.refusal = Some(fault.refusal);
        noise::record(app, &r.ctx, event).await.map_err(|instead| Fault::from(instead).recorded())?;
    }
    Ok(json!({ "decision": false, "context": context }))
}
