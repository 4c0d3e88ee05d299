//! What the server knows at this moment of its own sessions, tokens, devices and people. A subject that
//! does not pass the gate is answered with no before any rule is asked.

use super::question::Thing;
use crate::app::issue::{Ground, gate_in_session};
use crate::app::{App, Fault};
use crate::oidc::access::Access;
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_trust::device::{Device, DeviceState};
use countersign_trust::issuance::Product;
use countersign_trust::policy::access::{AccessSet, Duty, Verdict};
use countersign_trust::policy;
use countersign_trust::posture::Name;
use countersign_trust::presence::Presence;
use countersign_trust::principal::PersonState;
use countersign_trust::session::Session;
use countersign_trust::signal::Signal;
use countersign_wire::statement::Purpose;
use countersign_wire::{ClientId, DeviceId, PersonId, SessionId, Time};
use serde_json::{Value, json};

/// Clients of a session that are tried, at most.
const CLIENTS: usize = 8;

/// One of ours.
#[derive(Default)]
pub struct Known {
    /// What rules may see of it.
    pub facts: Option<Value>,
    /// Why it may do nothing at all, and the class that its person has.
    pub veto: Option<(Refusal, Option<&'static str>)>,
}

impl Known {
    fn gone() -> Known {
        Known { facts: None, veto: Some((Refusal::Gone, None)) }
    }

    /// The answer about a subject that may do nothing.
    pub fn refusal(&self, id: &str) -> Option<Verdict> {
        let (why, acr) = self.veto?;
        let mut no = Verdict::no(why.code(), None);
        no.duties = match (why, acr) {
            (Refusal::StepUp, Some(acr)) => vec![Duty::StepUp { acr: acr.to_owned() }],
            (Refusal::Gone, _) if !id.is_empty() => vec![Duty::EndSessions],
            _ => Vec::new(),
        };
        Some(no)
    }
}

/// Whether a fault says something about the thing that was asked about, and not about the server.
fn veto(fault: Fault) -> Result<Refusal, Fault> {
    match fault.refusal {
        Refusal::Unavailable | Refusal::Clock => Err(fault),
        why => Ok(why),
    }
}

/// What is known of a thing. `client` is the one that the question is about, if it is about one.
pub async fn look(app: &App, set: &AccessSet, caller: &Client, thing: &Thing, client: Option<&ClientId>, now: Time) -> Result<Known, Fault> {
    match thing.kind.as_str() {
        "session" => session(app, &thing.id, client, now).await,
        "token" => token(app, caller, &thing.id, client, now).await,
        "device" => device(app, &thing.id, client, now).await,
        "user" => user(app, set, &thing.id, now).await,
        "workload" => Ok(Known::gone()),
        _ => Ok(Known::default()),
    }
}

async fn session(app: &App, id: &str, client: Option<&ClientId>, now: Time) -> Result<Known, Fault> {
    let Ok(id) = id.parse::<SessionId>() else { return Ok(Known::gone()) };
    let Some(session) = app.store.session(&id).await? else { return Ok(Known::gone()) };
    let f = &session.facts;
    let (mut why, scopes) = (Refusal::Gone, f.scopes_at(None, now));
    for one in f.clients.iter().filter(|c| client.is_none_or(|asked| asked == *c)).take(CLIENTS) {
        match gate_in_session(app, Product::Decision, one, &session, &Ground::of(&session, &[], &scopes), now).await {
            Ok((permit, _)) => return Ok(Known { facts: Some(session_facts(&session, permit.scopes(), now)), veto: None }),
            Err(fault) => why = veto(fault)?,
        }
    }
    Ok(Known { facts: Some(session_facts(&session, &[], now)), veto: Some((why, Some(f.earned.acr()))) })
}

/// A token is heard of by those whom it concerns, as at `/introspect`.
async fn token(app: &App, caller: &Client, text: &str, client: Option<&ClientId>, now: Time) -> Result<Known, Fault> {
    let Some(access) = Access::read(app, text) else { return Ok(Known::gone()) };
    let c = &access.claims;
    let concerns = c.client_id == caller.id || caller.introspects.iter().any(|a| access.is_for(a));
    if !concerns || client.is_some_and(|asked| *asked != c.client_id) {
        return Ok(Known::gone());
    }
    let permit = match access.permit(app, Product::Decision, now).await {
        Ok(permit) => permit,
        Err(fault) => return Ok(Known { facts: None, veto: Some((veto(fault)?, None)) }),
    };
    let Some(session) = app.store.session(access.session()).await? else { return Ok(Known::gone()) };
    Ok(Known { facts: Some(session_facts(&session, permit.scopes(), now)), veto: None })
}

/// A device is judged by the rules that judge a running session, as if it had opened one on a screen beside it.
async fn device(app: &App, id: &str, client: Option<&ClientId>, now: Time) -> Result<Known, Fault> {
    let Ok(id) = id.parse::<DeviceId>() else { return Ok(Known::gone()) };
    let Some(stored) = app.store.device(&id).await? else { return Ok(Known::gone()) };
    let device = &stored.device;
    let Some(person) = app.store.person(&device.person).await? else { return Ok(Known::gone()) };
    let client = match client {
        Some(id) => app.client(id).await?.map(|c| c.client),
        None => None,
    };
    let veto = match device.state {
        DeviceState::Lost | DeviceState::Revoked | DeviceState::Retired => Some(Refusal::Gone),
        DeviceState::Active if person.state == PersonState::Active && client.as_ref().is_none_or(|c| !c.disabled) => {
            let facts = policy::Facts::of(&person, device, client.as_ref(), Purpose::SignIn, "frame", Presence::Strong, now);
            let ruling = app.policies.current().decide(policy::Action::Continue, &facts, "");
            (!ruling.allowed).then_some(ruling.refusal)
        }
        _ => Some(Refusal::Denied),
    };
    Ok(Known { facts: Some(device_facts(device, now)), veto: veto.map(|why| (why, None)) })
}

/// A name in the form of our pseudonyms is one, unless the operator knows it.
async fn user(app: &App, set: &AccessSet, id: &str, now: Time) -> Result<Known, Fault> {
    let Ok(own) = id.parse::<PersonId>() else { return Ok(Known::default()) };
    let Some(person) = app.store.person(&own).await? else {
        return Ok(if set.knows("user", id) { Known::default() } else { Known::gone() });
    };
    let veto = match person.state {
        PersonState::Active => None,
        _ => Some((Refusal::Denied, None)),
    };
    Ok(Known { facts: Some(json!({ "role": person.role.as_str(), "signals": signals(&person.signals, now) })), veto })
}

fn session_facts(session: &Session, scopes: &[String], now: Time) -> Value {
    let f = &session.facts;
    let shown = |name: &str| f.shown.get(name).and_then(Value::as_str).unwrap_or_default();
    let age = |since: Time| now.seconds() - since.seconds();
    json!({
        "person": f.person.as_str(), "device": f.device.as_str(),
        "clients": f.clients.iter().map(ClientId::as_str).collect::<Vec<_>>(), "scopes": scopes,
        "acr": f.earned.acr(), "amr": f.earned.amr(f.attested), "vouched": f.vouched_by.is_some(), "channel": shown("channel"), "presence": shown("near"),
        "age_s": age(f.opened_at), "auth_age_s": age(f.auth_time), "signals": signals(&session.signals, now),
    })
}

fn signals(all: &[Signal], now: Time) -> Vec<&'static str> {
    all.iter().filter(|s| s.is_live(now)).map(|s| s.kind.as_str()).collect()
}

fn device_facts(device: &Device, now: Time) -> Value {
    let posture = Name::ALL.iter().filter_map(|n| device.posture.fact(*n)).map(|f| format!("{}={}", f.name.as_str(), f.value));
    json!({
        "person": device.person.as_str(), "state": device.state.as_str(), "limited": device.is_limited(now),
        "key": device.key.as_str(), "posture": posture.collect::<Vec<_>>(), "posture_age_s": device.seen_at.map_or(-1, |at| now.seconds() - at.seconds()), "signals": signals(&device.signals, now),
    })
}
