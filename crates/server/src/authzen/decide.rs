//! One question becomes one answer, in the words of the standard and of its two profiles.

use super::live::{self, Known};
use super::question::{Question, Thing};
use crate::app::{App, Fault};
use crate::oidc::jwt;
use countersign_trust::client::Client;
use countersign_trust::policy::access::{AccessSet, Duty, Requestable, Verdict};
use countersign_wire::jose::Alg;
use countersign_wire::{ClientId, Time, TokenId};
use serde_json::{Map, Value, json};

/// How long a denial can be turned into a request for access, seconds.
const REQUEST_S: i64 = 600;
/// `typ` of what binds such a request to its denial.
pub const BINDING: &str = "access-request-binding+jwt";

/// Whether a caller may ask about a type; the message says what it may not.
pub fn may_ask(caller: &Client, question: &Question) -> Result<(), String> {
    for kind in [&question.subject.kind, &question.resource.kind] {
        if !caller.may_ask_about(kind) {
            return Err(format!("`{}` is not registered to ask about `{kind}`", caller.id));
        }
    }
    Ok(())
}

/// The client that a question is about.
pub fn client_of(resource: &Thing) -> Option<ClientId> {
    if resource.kind == "client" { resource.id.parse().ok() } else { None }
}

/// Judges one question by what is known at this moment.
pub async fn verdict(app: &App, set: &AccessSet, caller: &Client, q: &Question, now: Time) -> Result<Verdict, Fault> {
    let client = client_of(&q.resource);
    let subject = live::look(app, set, caller, &q.subject, client.as_ref(), now).await?;
    verdict_on(app, set, caller, q, &subject, now).await
}

/// The same where the subject was looked up before.
pub async fn verdict_on(app: &App, set: &AccessSet, caller: &Client, q: &Question, subject: &Known, now: Time) -> Result<Verdict, Fault> {
    if let Some(no) = subject.refusal(&q.subject.id) {
        return Ok(no);
    }
    let resource = live::look(app, set, caller, &q.resource, None, now).await?;
    Ok(set.decide(&q.ask(subject.facts.as_ref(), resource.facts.as_ref())))
}

/// The answer as JSON (Authorization API 1.0 §6.2).
pub fn told(app: &App, caller: &Client, q: &Question, verdict: &Verdict, now: Time) -> Value {
    let mut context = Map::new();
    let mut put = |name: &str, value: Value| context.insert(name.to_owned(), value);
    if !verdict.policies.is_empty() {
        put("policies", json!(verdict.policies));
    }
    if let Some(reason) = &verdict.reason {
        put("reason", json!(reason));
    }
    if let Some(detail) = &verdict.detail {
        put("reason_admin", json!({ "en": detail }));
    }
    if let Some(say) = &verdict.say {
        put("reason_user", json!({ "en": say }));
    }
    if !verdict.duties.is_empty() {
        let duties = (1..).zip(&verdict.duties).map(|(n, duty)| obligation(n, duty, q));
        put("obligations", duties.collect());
    }
    // A right that somebody approves here is held by a session: for others there is no such request.
    let asked = verdict.request.as_ref().filter(|r| r.right.is_none() || requestable(q, verdict).is_some());
    if let Some(request) = asked {
        put("access_request", access_request(app, caller, q, request, now));
    }
    let mut told = json!({ "decision": verdict.allowed });
    if let (false, Some(map)) = (context.is_empty(), told.as_object_mut()) {
        map.insert("context".to_owned(), Value::Object(context));
    }
    told
}

fn obligation(n: usize, duty: &Duty, q: &Question) -> Value {
    let id = format!("obl-{n}");
    match duty {
        Duty::StepUp { acr } => json!({ "type": "step-up", "id": id, "acr_value": acr }),
        Duty::Notify { to, body } => json!({ "type": "notification", "id": id, "to": to, "body": body }),
        Duty::EndSessions => json!({ "type": "session_termination", "id": id, "subject": q.subject.id }),
        Duty::Custom(members) => {
            let mut all = members.clone();
            all.insert("type".into(), "custom".into());
            all.insert("id".into(), id.into());
            Value::Object(all)
        }
    }
}

/// A denial that can be turned into a request. What binds the request to it is signed, so that whoever
/// handles requests needs nothing of ours but the key set.
fn access_request(app: &App, caller: &Client, q: &Question, request: &Requestable, now: Time) -> Value {
    let until = now.plus_s(REQUEST_S);
    let elsewhere = request.form_url.clone().filter(|_| request.right.is_none());
    let audience = elsewhere.unwrap_or_else(|| app.config.issuer.clone());
    let claims = json!({
        "iss": app.config.issuer, "aud": audience, "iat": now.seconds(), "exp": until.seconds(),
        "jti": TokenId::new(now, app.id10()).as_str(), "binding_context_members": [], "client": caller.id.as_str(),
        "subject": thing(&q.subject), "action": action(q), "resource": thing(&q.resource),
    });
    let mut told = json!({ "template": request.template, "expires_at": until.rfc3339() });
    if let Some(map) = told.as_object_mut() {
        if request.right.is_some() {
            map.insert("endpoint".into(), json!(format!("{}/access/v1/requests", app.config.issuer)));
        }
        if let Some(url) = &request.form_url {
            map.insert("form_url".into(), json!(url));
        }
        if let Ok(token) = jwt::sign_now(app, Alg::ES256, BINDING, &claims) {
            map.insert("binding_token".into(), json!(token));
        }
    }
    told
}

/// A thing of a question, as it is bound.
pub fn thing(t: &Thing) -> Value {
    let mut all = json!({ "type": t.kind, "id": t.id });
    if let (false, Some(map)) = (t.properties.is_empty(), all.as_object_mut()) {
        map.insert("properties".into(), Value::Object(t.properties.clone()));
    }
    all
}

/// Its action, as it is bound.
pub fn action(q: &Question) -> Value {
    let mut action = json!({ "name": q.action });
    if let (false, Some(map)) = (q.action_properties.is_empty(), action.as_object_mut()) {
        map.insert("properties".into(), Value::Object(q.action_properties.clone()));
    }
    action
}

/// The right of a session that would turn this denial, if somebody may approve it here.
pub fn requestable<'a>(q: &Question, verdict: &'a Verdict) -> Option<&'a str> {
    let asked = verdict.request.as_ref().filter(|_| !verdict.allowed && q.subject.kind == "session")?;
    asked.right.as_deref()
}
