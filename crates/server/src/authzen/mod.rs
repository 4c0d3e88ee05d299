//! The decision point: "may this subject do this to that, now?" (OpenID AuthZEN Authorization API 1.0).
//!
//! 1. The caller is a client that authenticates and is registered to ask about these types.
//! 2. [`question`] reads what it asks, [`live`] what the server knows at this moment.
//! 3. [`decide`] judges: a subject of ours that does not pass the gate gets nothing; then the policies.
//! 4. A denial that somebody else could turn becomes a task ([`requests`]).
//! 5. [`search`] asks the same of every name, a page at a time.
//!
//! A denial is an answer (200). Errors are about the caller: 400, 401, 403. Nothing changes here but by a task.

mod decide;
mod live;
mod metadata;
pub mod question;
mod requests;
mod search;
mod tools;

use crate::app::{App, Fault};
use crate::http::answer;
use crate::http::request::Incoming;
use crate::oidc::client_auth;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use countersign_trust::Refusal;
use countersign_trust::client::{Client, ClientAuth};
use countersign_trust::policy::access::{AccessSet, Verdict};
use countersign_wire::Time;
use question::{Open, Question};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Questions in one request, at most.
const QUESTIONS: usize = 100;
/// What a client shows who it is with.
const CHALLENGE: &str = "Basic realm=\"countersign\"";

/// The doors of this part.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/authzen-configuration", get(metadata::configuration))
        .route("/access/v1/evaluation", post(evaluation))
        .route("/access/v1/evaluations", post(evaluations))
        .route("/access/v1/requests", post(requests::submit))
        .route("/access/v1/requests/{id}", get(requests::status))
        .route("/access/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/access/v1/search/subject", post(search_subject))
        .route("/access/v1/search/action", post(search_action))
        .route("/access/v1/search/resource", post(search_resource))
}

fn malformed(message: String) -> Fault {
    Fault::because(Refusal::Malformed, "a question that cannot be read").saying(Some(message))
}

/// The registered client that asks.
async fn caller(app: &App, r: &Incoming) -> Result<Client, Fault> {
    app.in_order()?;
    if !r.headers.contains_key(header::AUTHORIZATION) {
        return Err(Fault::because(Refusal::NoSession, "nothing that shows who asks"));
    }
    let known = client_auth::authenticate(app, &r.headers, &client_auth::nothing(), r.ctx.now).await?;
    let client = known.stored.client;
    if client.auth == ClientAuth::None {
        return Err(Fault::because(Refusal::BadProof, "a public client cannot ask for decisions"));
    }
    r.ctx.known_as("client", client.id.as_str());
    if client.disabled || client.asks_about.is_empty() {
        return Err(Fault::because(Refusal::Denied, "a client that is not registered to ask for decisions"));
    }
    Ok(client)
}

fn object(r: &Incoming, body: &[u8]) -> Result<Map<String, Value>, Fault> {
    let kind = r.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(malformed("the content type is not application/json".to_owned()));
    }
    serde_json::from_slice(body).map_err(|_| malformed("the body is not a JSON object".to_owned()))
}

async fn respond(app: &App, r: &Incoming, act: impl Future<Output = Result<Value, Fault>>) -> Response {
    match act.await {
        Ok(told) => (StatusCode::OK, Json(told)).into_response(),
        Err(fault) => {
            let mut response = answer::refused(app, &r.ctx, fault).await;
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            response
        }
    }
}

/// One question, its fault told as the fault of the whole request. `all` is what is true for every item of a list,
/// if there is one.
async fn one(app: &App, set: &AccessSet, caller: &Client, all: Option<&Map<String, Value>>, item: &Map<String, Value>, r: &Incoming) -> Result<Value, Fault> {
    let none = Map::new();
    let (alone, all) = (all.is_none(), all.unwrap_or(&none));
    let q = Question::read(all, item, Open::Nothing).map_err(malformed)?;
    decide::may_ask(caller, &q).map_err(|m| Fault::because(Refusal::Denied, "a type that it may not ask about").saying(Some(m)))?;
    if tools::is_call(&q) {
        return tools::told(app, r, caller, &q, alone).await;
    }
    let verdict = decide::verdict(app, set, caller, &q, r.ctx.now).await?;
    count(&verdict);
    let mut told = decide::told(app, caller, &q, &verdict, r.ctx.now);
    approval(app, &q, &verdict, &mut told, r.ctx.now).await?;
    Ok(told)
}

/// What is said of an approval that came along: whether it is this session's and lives, or what to do instead. The
/// decision itself rests on what the session holds.
async fn approval(app: &App, q: &Question, verdict: &Verdict, told: &mut Value, now: Time) -> Result<(), Fault> {
    let Some(id) = q.context.get("approval").and_then(|a| a.get("id")).and_then(Value::as_str) else { return Ok(()) };
    let held = match (q.subject.kind.as_str(), q.subject.id.parse()) {
        ("session", Ok(session)) => app.store.session(&session).await?,
        _ => None,
    };
    let right = held.and_then(|s| s.facts.rights.into_iter().find(|r| r.id.as_str() == id && r.is_live(now)));
    let context = told.as_object_mut().map(|m| m.entry("context").or_insert_with(|| json!({})));
    if let Some(Value::Object(context)) = context {
        match right {
            Some(right) => drop(context.insert("approval".into(), json!({ "id": id, "approved_until": right.until.rfc3339() }))),
            None if verdict.allowed => {}
            None => {
                let next = if context.contains_key("access_request") { "request" } else { "none" };
                context.insert("next_action".into(), next.into());
            }
        }
    }
    Ok(())
}

fn count(verdict: &Verdict) {
    metrics::counter!("countersign_decisions_total", "allowed" => if verdict.allowed { "yes" } else { "no" }).increment(1);
}

/// `POST /access/v1/evaluation` (§6).
async fn evaluation(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    let act = async {
        let caller = caller(&app, &r).await?;
        one(&app, &app.access.set(), &caller, None, &object(&r, &body)?, &r).await
    };
    respond(&app, &r, act).await
}

/// `POST /access/v1/evaluations` (§7).
async fn evaluations(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    let act = async {
        let caller = caller(&app, &r).await?;
        let (all, set) = (object(&r, &body)?, app.access.set());
        let items = match all.get("evaluations") {
            None => &[][..],
            Some(Value::Array(items)) => items,
            Some(_) => return Err(malformed("`evaluations` is not an array".to_owned())),
        };
        if items.is_empty() {
            return one(&app, &set, &caller, None, &all, &r).await;
        }
        if items.len() > QUESTIONS {
            return Err(malformed(format!("more than {QUESTIONS} evaluations")));
        }
        let stop_at = semantic(&all).map_err(malformed)?;
        let mut told = Vec::with_capacity(items.len());
        for item in items {
            let answer = match item.as_object() {
                Some(item) => one(&app, &set, &caller, Some(&all), item, &r).await,
                None => Err(malformed("an evaluation is not an object".to_owned())),
            };
            let answer = match answer {
                Err(fault) if matches!(fault.refusal, Refusal::Malformed | Refusal::Denied) => item_fault(&fault),
                other => other?,
            };
            let decided = answer.get("decision") == Some(&Value::Bool(true));
            told.push(answer);
            if stop_at == Some(decided) {
                break;
            }
        }
        Ok(json!({ "evaluations": told }))
    };
    respond(&app, &r, act).await
}

/// The decision after which nothing more is evaluated (§7.1.2).
fn semantic(all: &Map<String, Value>) -> Result<Option<bool>, String> {
    let options = match all.get("options") {
        None => return Ok(None),
        Some(Value::Object(options)) => options,
        Some(_) => return Err("`options` is not an object".to_owned()),
    };
    match options.get("evaluations_semantic") {
        None => Ok(None),
        Some(Value::String(word)) if word == "execute_all" => Ok(None),
        Some(Value::String(word)) if word == "deny_on_first_deny" => Ok(Some(false)),
        Some(Value::String(word)) if word == "permit_on_first_permit" => Ok(Some(true)),
        Some(_) => Err("`options.evaluations_semantic` is none of the three".to_owned()),
    }
}

/// A fault of one item: denied, with what was wrong.
fn item_fault(fault: &Fault) -> Value {
    let status = answer::status(fault.refusal).as_u16();
    json!({ "decision": false, "context": { "error": { "status": status, "message": fault.say.as_deref().unwrap_or_default() } } })
}

async fn searched(app: &App, r: &Incoming, body: &[u8], open: Open) -> Response {
    let act = async {
        let caller = caller(app, r).await?;
        let body = object(r, body)?;
        let q = Question::read(&Map::new(), &body, open).map_err(malformed)?;
        decide::may_ask(&caller, &q).map_err(|m| Fault::because(Refusal::Denied, "a type that it may not ask about").saying(Some(m)))?;
        search::search(app, &app.access.set(), &caller, open, &body, q, r.ctx.now).await
    };
    respond(app, r, act).await
}

/// `POST /access/v1/search/subject` (§8.4).
async fn search_subject(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    searched(&app, &r, &body, Open::Subject).await
}
/// `POST /access/v1/search/action` (§8.6).
async fn search_action(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    searched(&app, &r, &body, Open::Action).await
}
/// `POST /access/v1/search/resource` (§8.5).
async fn search_resource(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    searched(&app, &r, &body, Open::Resource).await
}
