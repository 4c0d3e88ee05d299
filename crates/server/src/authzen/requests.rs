//! A denial that can be asked for becomes a task, and an approval by somebody else on their own phone
//! (AuthZEN Access Request and Approval Profile, draft).
//!
//! 1. The caller sends back what was denied with the token that bound it. The question is asked once more: only
//!    what is still denied, and still can be asked for, begins a task.
//! 2. The task is a ceremony that is pushed to the approver ([`crate::app::ceremony::right`]): they read who asks for
//!    what, for how long and why, type the digits that the caller shows, and sign.
//! 3. Approved, the session holds a right. The task tells its id and its end; access itself is decided by asking
//!    again, by the policies of that moment.

use super::decide::{self, BINDING};
use super::question::{Open, Question};
use super::{caller, malformed, object};
use crate::app::ceremony::right as rights;
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use crate::oidc::jwt;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::ceremony::{Ceremony, End, State as At};
use countersign_trust::client::Client;
use countersign_wire::Time;
use countersign_wire::code::Direction;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Media type of an error (RFC 9457 §3).
const PROBLEM: &str = "application/problem+json";
/// Where the kinds of error are named.
const ERROR: &str = "urn:openid:authzen:access-request:error:";

/// What a denial was bound to.
#[derive(Deserialize)]
struct Bound {
    iss: String,
    aud: jwt::Audience,
    exp: i64,
    #[serde(default)]
    client: String,
    subject: Value,
    action: Value,
    resource: Value,
}

/// Why nothing came of it: what the caller hears, and the kind of error if it is one of the standard's.
struct No(Fault, Option<&'static str>);

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        No(fault, None)
    }
}

fn no(kind: &'static str, refusal: Refusal, because: &'static str) -> No {
    No(Fault::because(refusal, because), Some(kind))
}

/// `POST /access/v1/requests` (§ Access Request Submission).
pub async fn submit(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    let act = async {
        let caller = caller(&app, &r).await?;
        let body = object(&r, &body)?;
        let c = submitted(&app, &r, &caller, &body).await?;
        Ok((StatusCode::ACCEPTED, task(&app, &c, r.ctx.now).await?))
    };
    respond(&app, &r, act).await
}

/// `GET /access/v1/requests/{id}` (§ Task Status Endpoint).
pub async fn status(State(app): State<Arc<App>>, Path(id): Path<String>, r: Incoming) -> Response {
    let act = async {
        let caller = caller(&app, &r).await?;
        let c = own(&app, &caller, &id).await?;
        Ok((StatusCode::OK, task(&app, &c, r.ctx.now).await?))
    };
    respond(&app, &r, act).await
}

/// `POST /access/v1/requests/{id}/cancel` (§ Cancellation). Its body says nothing that counts.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>, r: Incoming) -> Response {
    let act = async {
        let caller = caller(&app, &r).await?;
        let c = own(&app, &caller, &id).await?;
        if !c.is_pending() {
            return Err(no("invalid_task_state", Refusal::Decided, "a task that is over"));
        }
        rights::withdraw(&app, &r.ctx, &c).await?;
        let c = own(&app, &caller, &id).await?;
        Ok((StatusCode::OK, task(&app, &c, r.ctx.now).await?))
    };
    respond(&app, &r, act).await
}

async fn submitted(app: &App, r: &Incoming, caller: &Client, body: &Map<String, Value>) -> Result<Ceremony, No> {
    let now = r.ctx.now;
    let q = Question::read(&Map::new(), body, Open::Nothing).map_err(malformed)?;
    decide::may_ask(caller, &q).map_err(|m| Fault::because(Refusal::Denied, "a type that it may not ask about").saying(Some(m)))?;
    let unbound = |why| no("invalid_denial_binding", Refusal::Malformed, why);
    let token = body.get("denial").and_then(|d| d.get("binding_token")).and_then(Value::as_str).ok_or(unbound("no binding_token"))?;
    let own = app.keys.verify_own(token).filter(|own| own.typ.as_deref() == Some(BINDING)).ok_or(unbound("no token of ours"))?;
    let bound: Bound = own.claims.read().map_err(|_| unbound("no token of ours"))?;
    let same = bound.subject == decide::thing(&q.subject) && bound.resource == decide::thing(&q.resource) && bound.action == decide::action(&q);
    let ours = bound.iss == app.config.issuer && bound.aud.has(&app.config.issuer) && bound.client == caller.id.as_str();
    if !same || !ours {
        return Err(unbound("a token about something else"));
    }
    if now.seconds() >= bound.exp {
        return Err(no("expired_denial", Refusal::Gone, "a denial of long ago"));
    }
    let verdict = decide::verdict(app, &app.access.set(), caller, &q, now).await?;
    let wanted = decide::requestable(&q, &verdict).ok_or(no("not_requestable", Refusal::Malformed, "nothing that can be asked for now"))?;
    let access = body.get("requested_access").and_then(Value::as_object);
    let word = |of: Option<&Map<String, Value>>, name: &str| of.and_then(|m| m.get(name)).and_then(Value::as_str).map(str::to_owned);
    let Some(approver) = word(access, "approver") else {
        return Err(malformed("`requested_access.approver` is missing: the login name of somebody who may approve".to_owned()).into());
    };
    let reason = word(Some(&q.context), "business_justification");
    let ask = rights::Ask { caller, session: &q.subject.id, scope: wanted, approver: &approver, reason };
    rights::ask(app, &r.ctx, &ask).await.map_err(|fault| match fault.refusal {
        Refusal::Denied => No(fault, Some("not_requestable")),
        _ => fault.into(),
    })
}

/// A task of this caller; what was approved and not kept yet is kept now.
async fn own(app: &App, caller: &Client, id: &str) -> Result<Ceremony, No> {
    let found = rights::task_of(app, caller, id).await?;
    found.ok_or(no("unknown_task", Refusal::NoSuchThing, "no task of this caller"))
}

fn word(c: &Ceremony, now: Time) -> &'static str {
    let late = c.deadline().is_some_and(|d| now >= d) && c.is_pending();
    match &c.state {
        _ if late => "expired",
        At::Opened(_) | At::Scanned(_) | At::Confirmed(_) | At::Approved(_) => "pending",
        At::Redeemed(_) => "approved",
        At::Ended(ended) => match ended.end {
            End::Refused => "denied",
            End::Expired => "expired",
            End::Abandoned | End::Revoked => "cancelled",
        },
    }
}

/// The task as its caller sees it (§ Access Request Response).
async fn task(app: &App, c: &Ceremony, now: Time) -> Result<Value, No> {
    let status = word(c, now);
    let at = format!("{}/access/v1/requests/{}", app.config.issuer, c.opening.id);
    let mut task = json!({ "id": c.opening.id.as_str(), "status": status, "status_endpoint": at });
    let mut told = json!({});
    if let (true, Some(map)) = (status == "pending", task.as_object_mut()) {
        map.insert("links".into(), json!({ "cancel": format!("{at}/cancel") }));
        if let Some(end) = c.deadline() {
            map.insert("expires_at".into(), end.rfc3339().into());
        }
        // What the approver must hear from whoever asks, before their phone takes a yes.
        if let At::Scanned(_) = &c.state {
            map.insert("code".into(), crate::app::ceremony::digits(app, c, Direction::TypedOnDevice)?.into());
        }
    }
    if status == "approved" {
        match rights::right_of(app, c, now).await? {
            Some(right) => {
                let approval = json!({ "id": right.id.as_str(), "approved_at": right.at.rfc3339(), "approved_until": right.until.rfc3339() });
                put(&mut told, "result", json!({ "mode": "reevaluate", "approval": approval }));
            }
            None => put(&mut task, "status", "expired".into()),
        }
    }
    put(&mut told, "task", task);
    Ok(told)
}

fn put(value: &mut Value, name: &str, what: Value) {
    if let Some(map) = value.as_object_mut() {
        map.insert(name.to_owned(), what);
    }
}

async fn respond(app: &App, r: &Incoming, act: impl Future<Output = Result<(StatusCode, Value), No>>) -> Response {
    let No(fault, kind) = match act.await {
        Ok((status, told)) => {
            let at = told.pointer("/task/status_endpoint").and_then(Value::as_str).and_then(|at| HeaderValue::from_str(at).ok());
            let mut response = (status, Json(told)).into_response();
            if let (StatusCode::ACCEPTED, Some(at)) = (status, at) {
                response.headers_mut().insert(header::LOCATION, at);
            }
            return response;
        }
        Err(no) => no,
    };
    let because = fault.because;
    let plain = matches!(kind, Some("not_requestable" | "invalid_denial_binding"));
    let refused = super::respond(app, r, async { Err(fault) }).await;
    // Whoever asks too much is told that, whatever they asked.
    let Some(kind) = kind.filter(|_| refused.status() != StatusCode::TOO_MANY_REQUESTS) else { return refused };
    let status = if plain { StatusCode::BAD_REQUEST } else { refused.status() };
    let problem = json!({ "type": format!("{ERROR}{kind}"), "title": because, "status": status.as_u16(), "ref": r.ctx.reference });
    (status, [(header::CONTENT_TYPE, PROBLEM)], problem.to_string()).into_response()
}
