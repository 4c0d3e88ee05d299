//! Rights that are given just in time: in a session's row, told in the log, taken back from a phone or the
//! console. What they are is in [`countersign_trust::right`].

use super::issue::{self, Ground, Vetoes};
use super::{App, Fault};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::DeviceState;
use countersign_trust::policy::Action;
use countersign_trust::principal::PersonState;
use countersign_trust::right::{Giver, Right};
use countersign_trust::session::Session;
use countersign_wire::message::RightItem;
use countersign_wire::statement::Timed;
use countersign_wire::{ClientId, PersonId, RightId, SessionId, Time, TxnId};
use serde_json::{Value, json};

/// A right that begins now.
pub fn given(app: &App, client: &ClientId, timed: Timed, by: Giver, reason: Option<String>, now: Time) -> Right {
    let (until, id) = (now.plus_s(timed.for_s), RightId::new(now, app.id10()));
    Right { id, client: client.clone(), scope: timed.scope, at: now, until, by, reason }
}

/// As the log has it: no words of anybody's.
pub fn told(right: &Right) -> Value {
    json!({ "id": right.id.as_str(), "scope": right.scope, "until": right.until.seconds() })
}

/// As a phone shows it.
pub fn item(right: &Right, now: Time) -> RightItem {
    RightItem {
        id: right.id.to_string(),
        scope: right.scope.clone(),
        until: right.until.seconds(),
        left_s: right.until.seconds() - now.seconds(),
        reason: right.reason.clone(),
    }
}

/// The session without rights whose giver may not act now, and what the others rest on. Rights given by the
/// device that holds the session rest on what the session rests on.
pub async fn still_given(app: &App, session: &Session, now: Time) -> Result<(Session, Vec<(Table, String, i64)>), Fault> {
    let (mut kept, mut guards) = (Vec::new(), Vec::new());
    for right in session.facts.rights.iter().filter(|r| r.is_live(now)) {
        if right.by.device != session.facts.device {
            let person = app.store.person(&right.by.person).await?.filter(|p| p.state == PersonState::Active);
            let device = app.store.device(&right.by.device).await?.filter(|d| d.device.state == DeviceState::Active);
            let (Some(person), Some(device)) = (person, device) else { continue };
            guards.push((Table::Person, person.id.to_string(), person.version));
            guards.push((Table::Device, device.device.id.to_string(), device.device.version));
        }
        kept.push(right.clone());
    }
    let mut session = session.clone();
    session.facts.rights = kept;
    guards.sort();
    guards.dedup();
    Ok((session, guards))
}

/// A person ends a right of one of their sessions, from a device of theirs.
pub async fn end_from_device(app: &App, person: &PersonId, id: &str) -> Result<(), Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such right of this person");
    let id: RightId = id.parse().map_err(|_| none())?;
    app.judged_anew(|_| async {
        let sessions = app.store.sessions_of(person).await?;
        let session = sessions.iter().find(|s| s.facts.rights.iter().any(|r| r.id == id)).ok_or_else(none)?;
        end(app, session, &id, "from_device").await
    })
    .await
}

/// The operator ends a right.
pub async fn end_by_operator(app: &App, session: &SessionId, id: &RightId) -> Result<(), Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such right");
    app.judged_anew(|_| async {
        let session = app.store.session(session).await?.filter(|s| s.ended.is_none()).ok_or_else(none)?;
        end(app, &session, id, "operator").await
    })
    .await
}

async fn end(app: &App, session: &Session, id: &RightId, why: &str) -> Result<(), Fault> {
    let now = app.now();
    let none = || Fault::because(Refusal::NoSuchThing, "a right that is over");
    let right = session.facts.rights.iter().find(|r| r.id == *id && r.is_live(now)).ok_or_else(none)?;
    let mut facts = session.facts.clone();
    facts.rights.retain(|r| r.id != *id);
    let mut event = app.session_event(Kind::RightEnded, &facts.txn, &facts.id, now).fact("right", told(right)).fact("why", why);
    event.person = Some(facts.person.clone());
    event.client = Some(right.client.clone());
    let mut commit = Commit::new(event);
    commit.write(Write::session_moved(session, &facts));
    app.commit(commit).await?;
    Ok(())
}

/// Whether policy would unlock this scope in a session as it stands: asked before anybody is bothered for it.
pub fn may_ask(app: &App, vetoes: &Vetoes, session: &Session, scope: &str, now: Time) -> Result<(), Fault> {
    let facts = issue::facts(vetoes, &Ground::of(session, &[], &[]), now);
    let decided = app.policies.current().decide(Action::Unlock, &facts, scope);
    if decided.allowed {
        return Ok(());
    }
    Err(Fault::because(decided.refusal, "policy does not unlock it in this session").saying(decided.say))
}

/// What ends every right of these sessions: they are given anew or not at all.
pub fn ending_where(app: &App, sessions: &[Session], why: &str, txn: &TxnId, now: Time) -> (Vec<Write>, Vec<Event>) {
    let (mut writes, mut events) = (Vec::new(), Vec::new());
    for session in sessions.iter().filter(|s| s.ended.is_none() && s.facts.rights.iter().any(|r| r.is_live(now))) {
        let mut facts = session.facts.clone();
        for right in std::mem::take(&mut facts.rights).iter().filter(|r| r.is_live(now)) {
            let mut event = app.session_event(Kind::RightEnded, txn, &facts.id, now).fact("right", told(right)).fact("why", why);
            event.person = Some(facts.person.clone());
            event.client = Some(right.client.clone());
            events.push(event);
        }
        writes.push(Write::session_moved(session, &facts));
    }
    (writes, events)
}
