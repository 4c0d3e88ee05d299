//! What an operator sees: what was limited, ended and refused, and one person with devices and sessions. Codes,
//! digits, keys and secrets are nowhere in it; names only where a person was looked for.

use super::Operator;
use crate::app::{App, Context, Fault, seats};
use countersign_store::EventRow;
use countersign_store::sql::{Named, StoredDevice};
use countersign_trust::audit::Kind;
use countersign_trust::policy::QUESTIONS;
use countersign_trust::session::Session;
use countersign_trust::signal::Signal;
use countersign_trust::recovery::may_vouch;
use countersign_trust::{Refusal, limits};
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use countersign_wire::message::StandingItem;
use countersign_wire::{DeviceId, PersonId, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Facts of an event that are shown: words and pseudonyms of ours. All others stay in the log.
const SHOWN: [&str; 15] = [
    "act", "because", "by", "effect", "kind", "of", "policies", "ref", "role", "signal", "source", "state", "step", "was", "why",
];
/// Lines in one answer.
const LINES: i64 = 100;

/// One thing that happened.
#[derive(Serialize)]
pub struct Line {
    /// Its number in the log; none where it was written down just now.
    pub seq: Option<i64>,
    /// When, seconds.
    pub at: i64,
    /// What, as the log calls it.
    pub kind: String,
    /// The refusal's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the rules that decided say to people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
    /// Person, by pseudonym.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Further words of the log.
    pub facts: Map<String, Value>,
}

impl Line {
    fn of(app: &App, (seq, event): (Option<i64>, EventRow)) -> Line {
        let mut body: Value = serde_json::from_str(&event.body).unwrap_or(Value::Null);
        let mut facts = match body.get_mut("facts").map(Value::take) {
            Some(Value::Object(facts)) => facts,
            _ => Map::new(),
        };
        facts.retain(|name, _| SHOWN.contains(&name.as_str()));
        let policies = app.policies.current();
        let rules = facts.get("policies").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Line {
            seq,
            at: Time(event.at).seconds(),
            kind: event.kind,
            code: body.get("code").and_then(Value::as_str).map(str::to_owned),
            says: rules.filter_map(|rule| policies.sentence(rule)).map(str::to_owned).collect(),
            person: event.person,
            device: event.device,
            session: event.session,
            client: event.client,
            facts,
        }
    }
}

/// What happened lately.
#[derive(Serialize)]
pub struct Lines {
    /// Newest first.
    pub lines: Vec<Line>,
    /// The number up to which was looked.
    pub upto: i64,
}

/// What happened after a number, newest first; without one, the newest of all.
pub async fn lines(app: &App, after: Option<i64>) -> Result<Lines, Fault> {
    let upto = app.store.engine().last_seq().await?;
    let oldest = (upto - limits::OPERATOR_EVENTS).max(0);
    let found = app.store.notable(after.unwrap_or(0).max(oldest), LINES).await?;
    // What was numbered meanwhile is told now, and not again.
    let upto = found.iter().filter_map(|(seq, _)| *seq).max().map_or(upto, |seq| seq.max(upto));
    Ok(Lines { lines: found.into_iter().map(|line| Line::of(app, line)).collect(), upto })
}

/// A refusal that somebody was told by its reference.
#[derive(Serialize)]
pub struct Looked {
    /// It.
    pub line: Line,
    /// What else happened in the same request, or to the same screen, oldest first.
    pub around: Vec<Line>,
}

/// The refusal with a reference, and what happened around it.
pub async fn refusal(app: &App, reference: &str) -> Result<Looked, Fault> {
    let none = |why| Fault::because(Refusal::NoSuchThing, why);
    let digits = |part: &str| part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit());
    let shape = reference.strip_prefix("R-").is_some_and(|rest| rest.split('-').count() == 3 && rest.split('-').all(digits));
    if !shape {
        return Err(none("not a reference"));
    }
    let found = app.store.by_reference(reference).await?.ok_or_else(|| none("nothing is recorded under this reference"))?;
    let mut around = match found.1.ceremony.as_deref().map(str::parse) {
        Some(Ok(cid)) => app.store.story(&cid).await?,
        _ => app.store.transaction(&found.1.txn).await?,
    };
    around.truncate(usize::try_from(LINES).unwrap_or_default());
    Ok(Looked { line: Line::of(app, found), around: around.into_iter().map(|line| Line::of(app, line)).collect() })
}

/// Whom to look for: by login name, or by the pseudonym of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whom {
    /// Login name.
    #[serde(default)]
    pub login: Option<String>,
    /// Pseudonym.
    #[serde(default)]
    pub id: Option<String>,
}

/// One person.
#[derive(Serialize)]
pub struct PersonSeen {
    /// Pseudonym.
    pub id: PersonId,
    /// Name.
    pub name: String,
    /// Login name.
    pub login: String,
    /// Whether they may act.
    pub state: &'static str,
    /// Role.
    pub role: &'static str,
    /// News about them.
    pub signals: Vec<&'static str>,
    /// Their devices.
    pub devices: Vec<DeviceSeen>,
    /// What is open.
    pub sessions: Vec<SessionSeen>,
}

/// One device.
#[derive(Serialize)]
pub struct DeviceSeen {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Life.
    pub state: &'static str,
    /// The phone of a shift that it is a seat on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Whether it has reduced rights until a time, seconds.
    pub limited_until: Option<i64>,
    /// When it last spoke for itself, seconds.
    pub seen_at: Option<i64>,
    /// Answers to questions about its health, where anybody gave one: `yes` or `no`.
    pub health: Map<String, Value>,
    /// News about it.
    pub signals: Vec<&'static str>,
}

/// One session.
#[derive(Serialize)]
pub struct SessionSeen {
    /// Its id.
    pub id: String,
    /// The screen, as it called itself.
    pub screen: String,
    /// Applications it serves.
    pub clients: Vec<String>,
    /// The device it rests on.
    pub device: DeviceId,
    /// Opened at, seconds.
    pub opened_at: i64,
    /// Ends at the latest, seconds.
    pub until: i64,
    /// News about it.
    pub signals: Vec<&'static str>,
    /// Why it does not simply go on.
    pub standing: Option<StandingItem>,
}

fn news(signals: &[Signal], now: Time) -> Vec<&'static str> {
    signals.iter().filter(|s| s.is_live(now)).map(|s| s.kind.as_str()).collect()
}

fn device(d: &StoredDevice, phone: Option<String>, now: Time) -> DeviceSeen {
    let posture = &d.device.posture;
    let answered = QUESTIONS.iter().map(|q| (q.as_str(), posture.answer(*q).as_str())).filter(|(_, answer)| *answer != "unknown");
    DeviceSeen {
        id: d.device.id.clone(),
        name: d.name.clone(),
        state: d.device.state.as_str(),
        phone,
        limited_until: d.device.limited_until.filter(|_| d.device.is_limited(now)).map(Time::seconds),
        seen_at: d.device.seen_at.map(Time::seconds),
        health: answered.map(|(question, answer)| (question.to_owned(), answer.into())).collect(),
        signals: news(&d.device.signals, now),
    }
}

fn session(s: &Session, now: Time) -> SessionSeen {
    let f = &s.facts;
    SessionSeen {
        id: f.id.to_string(),
        screen: f.agent.clone(),
        clients: f.clients.iter().map(ToString::to_string).collect(),
        device: f.device.clone(),
        opened_at: f.opened_at.seconds(),
        until: f.until.seconds(),
        signals: news(&s.signals, now),
        standing: s.standing.as_ref().map(|s| StandingItem { effect: s.effect.as_str().to_owned(), say: s.say.clone(), since: s.at.seconds() }),
    }
}

/// Somebody by login name or pseudonym.
pub(super) async fn named(app: &App, whom: &Whom) -> Result<Named, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "nobody of that name");
    let found = match (&whom.login, &whom.id) {
        (Some(login), None) => app.store.person_by_login(login.trim()).await?,
        (None, Some(id)) => app.store.named(&id.parse().map_err(|_| none())?).await?,
        _ => return Err(Fault::because(Refusal::Malformed, "login or id")),
    };
    found.ok_or_else(none)
}

/// A person with devices and sessions. That somebody was looked at stands in the log.
pub async fn person(app: &App, ctx: &Context, by: &Operator, whom: &Whom) -> Result<PersonSeen, Fault> {
    let named = named(app, whom).await?;
    let mut event = by.event(app, ctx, Kind::OperatorLooked);
    event.person = Some(named.person.id.clone());
    by.record(app, ctx, event, None).await?;
    let now = app.now();
    let devices = app.store.devices_of(&named.person.id).await?;
    let sessions = app.store.sessions_of(&named.person.id).await?;
    let mut seen = Vec::with_capacity(devices.len());
    for d in &devices {
        seen.push(device(d, seats::phone_of(app, &d.device).await?, now));
    }
    Ok(PersonSeen {
        devices: seen,
        sessions: sessions.iter().filter(|s| s.is_live(now)).map(|s| session(s, now)).collect(),
        name: named.name,
        login: named.login,
        state: named.person.state.as_str(),
        role: named.person.role.as_str(),
        signals: news(&named.person.signals, now),
        id: named.person.id,
    })
}

/// Names of those who can let `person` back in: active people of the roles that vouch, with a device that acts.
pub(super) async fn vouchers(app: &App, person: &PersonId) -> Result<Vec<String>, Fault> {
    let now = app.now();
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = app.store.people(&after, limits::LIST).await?;
        let Some(last) = page.last() else { return Ok(names) };
        after.clone_from(&last.login);
        for one in page.iter().filter(|p| may_vouch(p.person.role) && p.person.state == PersonState::Active && p.person.id != *person) {
            let devices = app.store.devices_of(&one.person.id).await?;
            if devices.iter().any(|d| d.device.state == DeviceState::Active && !d.device.is_limited(now) && !d.device.is_shared()) {
                names.push(one.name.clone());
            }
        }
    }
}
