//! What is done about news from others. Signals go the one way that all signals go; sessions end as an
//! operator ends them; all of it under the transaction that says who told us.

use crate::app::{App, Fault, sessions, signals};
use countersign_store::{Commit, Store, StoreError, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::posture::{Confidence, Fact, Name};
use countersign_trust::session::Session;
use countersign_trust::shared::heard::{Act, Devices, Lasting, Named, People};
use countersign_trust::signal::{self, About, Signal, Subject};
use countersign_trust::{Refusal, limits};
use countersign_wire::{DeviceId, PersonId, SessionId, TerminalId, Time, TxnId};

/// Who says something, and when it was so.
#[derive(Clone, Copy)]
pub struct Teller<'a> {
    /// Its name.
    pub source: &'a str,
    /// When it was so, by its word and never after now.
    pub at: Time,
    /// News that nobody takes back counts until then.
    pub until: Time,
    /// The cause, in our log.
    pub txn: &'a TxnId,
}

/// Whom news is about, as we know them.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// A person.
    pub person: Option<PersonId>,
    /// A device.
    pub device: Option<DeviceId>,
    /// A session.
    pub session: Option<SessionId>,
    /// A registered terminal.
    pub terminal: Option<TerminalId>,
}

/// Looks up whom a transmitter means. `None` where something that it names is nothing of ours: then
/// nothing is done, as what is left of the subject would be more than was meant.
pub async fn find(store: &Store, source: &str, named: &Named, people: Option<People>, devices: Option<Devices>) -> Result<Option<Target>, StoreError> {
    let mut target = Target::default();
    if let Some(names) = &named.person {
        for name in names {
            target.person = match people {
                Some(People::Login) => store.person_by_login(name).await?.map(|n| n.person.id),
                _ => match name.parse::<PersonId>() {
                    Ok(id) => store.person(&id).await?.map(|p| p.id),
                    Err(_) => None,
                },
            }
            .or(target.person);
        }
        if target.person.is_none() {
            return Ok(None);
        }
    }
    if let Some(names) = &named.device {
        for name in names {
            target.device = device(store, source, name, devices).await?.or(target.device);
        }
        if target.device.is_none() {
            return Ok(None);
        }
    }
    if let Some(names) = &named.session {
        let id = names.iter().find_map(|n| n.parse::<SessionId>().ok());
        target.session = match id {
            Some(id) => store.session(&id).await?.map(|s| s.facts.id),
            None => None,
        };
        if target.session.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(target))
}

/// The device that a source calls by this name.
pub async fn device(store: &Store, source: &str, name: &str, how: Option<Devices>) -> Result<Option<DeviceId>, StoreError> {
    Ok(match (how, name.parse::<DeviceId>()) {
        (Some(Devices::Managed), _) => store.managed(source, name).await?,
        (Some(Devices::Own), Ok(id)) => store.device(&id).await?.map(|d| d.device.id),
        _ => None,
    })
}

/// The registered terminal of this name or id.
pub async fn terminal(store: &Store, name: &str) -> Result<Option<TerminalId>, StoreError> {
    let found = match name.parse::<TerminalId>() {
        Ok(id) => store.terminal(&id).await?,
        Err(_) => store.terminal_by_name(name).await?,
    };
    Ok(found.map(|t| t.id))
}

/// Does what news means. Answers whether anything came of it.
pub async fn act(app: &App, teller: &Teller<'_>, target: &Target, acts: &[Act]) -> Result<bool, Fault> {
    let mut changed = false;
    for act in acts {
        changed |= match act {
            Act::Raise(kind, lasting) => {
                let until = (*lasting == Lasting::AWhile).then_some(teller.until);
                raise(app, teller, target, *kind, until).await?
            }
            Act::Clear(kind) => clear(app, teller, target, *kind).await?,
            Act::Compliant(yes) => {
                let word = if *yes { "yes" } else { "no" };
                learn(app, teller, target, &[(Name::Managed, "yes"), (Name::Compliant, word)]).await?
            }
            Act::End => end(app, teller, target).await?,
        };
    }
    Ok(changed)
}

fn subject(target: &Target, kind: signal::Kind) -> Option<Subject> {
    match kind.about() {
        About::Device => target.device.clone().map(Subject::Device),
        About::Person => target.person.clone().map(Subject::Person),
        About::Session => target.session.clone().map(Subject::Session),
        About::Terminal => target.terminal.clone().map(Subject::Terminal),
    }
}

/// Raises a signal of this source.
pub async fn raise(app: &App, teller: &Teller<'_>, target: &Target, kind: signal::Kind, until: Option<Time>) -> Result<bool, Fault> {
    let Some(subject) = subject(target, kind) else { return Ok(false) };
    let signal = Signal { kind, source: teller.source.to_owned(), at: teller.at, until };
    signals::raise(app, &subject, signal, teller.txn).await
}

/// Takes back what this source said, unless it said it after this: news may come out of order.
pub async fn clear(app: &App, teller: &Teller<'_>, target: &Target, kind: signal::Kind) -> Result<bool, Fault> {
    let Some(subject) = subject(target, kind) else { return Ok(false) };
    let known = match &subject {
        Subject::Device(id) => app.store.device(id).await?.map(|d| d.device.signals),
        Subject::Person(id) => app.store.person(id).await?.map(|p| p.signals),
        Subject::Session(id) => app.store.session(id).await?.map(|s| s.signals),
        Subject::Terminal(id) => app.store.terminal(id).await?.map(|t| t.facts.signals),
    };
    let newer = |s: &Signal| s.kind == kind && s.source == teller.source && s.at > teller.at;
    if known.unwrap_or_default().iter().any(newer) {
        return Ok(false);
    }
    signals::clear(app, &subject, kind, Some(teller.source), teller.txn).await
}

/// Keeps facts about a device, as this source measured them; one that it said later stays.
pub async fn learn(app: &App, teller: &Teller<'_>, target: &Target, news: &[(Name, &str)]) -> Result<bool, Fault> {
    let Some(device) = &target.device else { return Ok(false) };
    signals::learn(app, device, teller.txn, |known| {
        let is_old = |name: Name| known.facts.iter().any(|f| f.name == name && f.source == teller.source && f.at > teller.at);
        let fresh = news.iter().filter(|(name, _)| !is_old(*name));
        let facts: Vec<Fact> = fresh
            .map(|(name, value)| Fact {
                name: *name,
                value: (*value).to_owned(),
                source: teller.source.to_owned(),
                confidence: Confidence::Measured,
                at: teller.at,
            })
            .collect();
        Ok(known.learn(&facts))
    })
    .await
}

/// Ends the session, or the sessions of the device or the person that are meant; of both, those that
/// this device opened for this person.
async fn end(app: &App, teller: &Teller<'_>, target: &Target) -> Result<bool, Fault> {
    let mut ended = false;
    for _ in 0..limits::RACES {
        let sessions = match (&target.session, &target.device, &target.person) {
            (Some(id), _, _) => app.store.session(id).await?.into_iter().collect(),
            (None, Some(device), _) => app.store.sessions_by_device(device).await?,
            (None, None, Some(person)) => app.store.sessions_of(person).await?,
            (None, None, None) => Vec::new(),
        };
        let of = |s: &Session| {
            let person = target.person.as_ref().is_none_or(|p| *p == s.facts.person);
            let device = target.device.as_ref().is_none_or(|d| *d == s.facts.device);
            s.ended.is_none() && person && device
        };
        let meant: Vec<&Session> = sessions.iter().filter(|s| of(s)).collect();
        if meant.is_empty() {
            return Ok(ended);
        }
        for session in meant {
            let (writes, events) = sessions::ending(app, session, "told", app.now()).await?;
            let caused = events.into_iter().map(|e| Event { txn: teller.txn.clone(), ..e }.fact("source", teller.source));
            let Some(mut commit) = Commit::of(caused) else { continue };
            commit.guard(Table::Session, session.facts.id.as_str(), session.version).writes(writes);
            match app.commit(commit).await {
                Ok(_) => ended = true,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Err(Refusal::Unavailable.into())
}

/// Writes down that something was told, and that it was: once.
pub async fn told(app: &App, teller: &Teller<'_>, what: &str, did: &'static str, target: &Target, used: Write) -> Result<(), Fault> {
    let mut event = app.event(Kind::NewsHeard, teller.txn, app.now());
    event = event.fact("source", teller.source).fact("event", what).fact("did", did);
    if let Some(terminal) = &target.terminal {
        event = event.fact("terminal", terminal.as_str());
    }
    (event.person, event.device, event.session) = (target.person.clone(), target.device.clone(), target.session.clone());
    let mut commit = Commit::new(event);
    commit.write(used);
    match app.commit(commit).await {
        // Told twice at the same moment: the other one wrote it down.
        Ok(_) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
