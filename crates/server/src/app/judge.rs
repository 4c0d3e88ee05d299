//! Judging again. A change writes down what rests on it ([`Write::to_judge`]); this reads that, finds the
//! running sessions and the pending ceremonies by index, and decides each anew. What it decides is held to
//! the facts it was decided on, like everything else.
//!
//! Whoever uses a session meets the same rules at the gate, whether this has come to it or not: judging
//! again is what makes a session end that nobody uses, and what tells people and receivers at once.

use super::ceremony::ended_along;
use super::sessions::ending;
use super::{App, Fault, rights, terminals, vouch};
use crate::app::issue::Ground;
use countersign_store::sql::{Judgement, StoredClient};
use countersign_store::{Commit, StoreError, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::{Ceremony, Scan};
use countersign_trust::device::Device;
use countersign_trust::detail;
use countersign_trust::limits;
use countersign_trust::policy::{Action, Facts, PolicySet, Ruling};
use countersign_trust::presence::Presence;
use countersign_trust::principal::Person;
use countersign_trust::session::Session;
use countersign_trust::signal::Subject;
use countersign_trust::standing::{Effect, Standing};
use serde_json::Value;
use countersign_trust::terminal::Terminal;
use countersign_wire::{ClientId, DeviceId, PersonId, TerminalId, Time, TxnId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// Sessions judged in one commit.
const PAGE: i64 = 400;
/// Changes taken up at once.
const CHANGES: i64 = 100;
/// Why something ends that rests on a fact which is gone.
const GONE: &str = "nothing-to-rest-on";
/// How long a change waits at most where nobody woke this node: another node wrote it and fell.
const LOOK: Duration = Duration::from_secs(1);

/// Judges whatever asks for it, for ever.
pub async fn run(app: Arc<App>, mut stopped: Receiver<bool>) {
    let mut failing = false;
    loop {
        tokio::select! {
            _ = app.to_judge.notified() => {}
            _ = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|s| *s) => return,
        }
        match judge_due(&app).await {
            Ok(()) => failing = false,
            Err(fault) => {
                if !failing {
                    tracing::warn!(job = "judge", code = fault.refusal.code(), "a job failed");
                }
                failing = true;
            }
        }
    }
}

/// One round: every change that waits.
pub async fn judge_due(app: &App) -> Result<(), Fault> {
    loop {
        let due = app.store.judgements(CHANGES).await?;
        if due.is_empty() {
            return Ok(());
        }
        app.in_order()?;
        for change in &due {
            judge(app, change).await?;
            app.store.judged(change).await?;
        }
    }
}

/// One look at sessions that rest: a signal that is over by the clock wakes nobody.
pub async fn wake_resting(app: &App) -> Result<(), Fault> {
    let now = app.now();
    let resting = app.store.sessions_resting(limits::LIST).await?;
    judge_page(app, &resting, &app.txn(now)).await
}

async fn judge(app: &App, change: &Judgement) -> Result<(), Fault> {
    if let Some(Subject::Device(_) | Subject::Person(_) | Subject::Terminal(_)) = &change.subject {
        judge_pending(app, change).await?;
    }
    if let Some(Subject::Session(id)) = &change.subject {
        let session = app.store.session(id).await?.filter(|s| s.ended.is_none());
        return judge_page(app, session.as_slice(), &change.txn).await;
    }
    if let Some(Subject::Terminal(id)) = &change.subject {
        return judge_page(app, &app.store.sessions_at(id).await?, &change.txn).await;
    }
    let after = |id: String| async move {
        match &change.subject {
            Some(Subject::Device(of)) => app.store.sessions_of_device_after(of, &id, PAGE).await,
            Some(Subject::Person(of)) => app.store.sessions_of_person_after(of, &id, PAGE).await,
            _ => app.store.sessions_after(&id, PAGE).await,
        }
    };
    if let Some(Subject::Person(id)) = &change.subject {
        judge_page(app, &vouch::vouched_by(app, id).await?, &change.txn).await?;
    }
    let mut page = after(String::new()).await?;
    while let Some(last) = page.last() {
        // The next page is read while this one is written.
        let (judged, next) = tokio::join!(judge_page(app, &page, &change.txn), after(last.facts.id.to_string()));
        judged?;
        page = next?;
    }
    Ok(())
}

/// Judges these in one commit; where one of them moved meanwhile, each in its own.
async fn judge_page(app: &App, page: &[Session], txn: &TxnId) -> Result<(), Fault> {
    match judge_together(app, page, txn).await {
        Err(Fault { store: Some(StoreError::Conflict), .. }) => {}
        done => return done,
    }
    for session in page {
        app.judged_anew(|_| async {
            let now = app.store.session(&session.facts.id).await?.filter(|s| s.ended.is_none());
            judge_together(app, now.as_slice(), txn).await
        })
        .await?;
    }
    Ok(())
}

async fn judge_together(app: &App, page: &[Session], txn: &TxnId) -> Result<(), Fault> {
    let now = app.now();
    let mut known = Known { policies: app.policies.current(), people: HashMap::new(), devices: HashMap::new(), clients: HashMap::new(), terminals: HashMap::new(), givers: Vec::new() };
    let (mut writes, mut events, mut guards) = (Vec::new(), Vec::new(), Vec::new());
    for session in page {
        let (outcome, facts) = known.outcome(app, session, now).await?;
        if let Some(Standing { effect: Effect::End, policies, .. }) = &outcome {
            let why = policies.first().map_or("judged", String::as_str);
            let (w, e) = ending(app, session, why, now).await?;
            writes.extend(w);
            events.extend(e.into_iter().map(|e| Event { txn: txn.clone(), ..e }.fact("policies", policies.clone()).fact("judged", facts.clone())));
            guards.push((Table::Session, session.facts.id.to_string(), session.version));
            continue;
        }
        let same = match (&session.standing, &outcome) {
            (None, None) => true,
            (Some(was), Some(is)) => was.is_like(is),
            _ => false,
        };
        if !same {
            writes.push(Write::session_stands(session, outcome.as_ref()));
            events.push(judged(app, session, outcome.as_ref(), txn, now).fact("judged", facts));
        }
    }
    let Some(mut commit) = Commit::of(events) else { return Ok(()) };
    commit.writes(writes).guards(guards).guards(known.guards());
    app.commit(commit).await?;
    Ok(())
}

fn judged(app: &App, session: &Session, outcome: Option<&Standing>, txn: &TxnId, now: Time) -> Event {
    let f = &session.facts;
    let mut event = app.session_event(Kind::SessionJudged, txn, &f.id, now);
    event = event.fact("effect", outcome.map_or("none", |s| s.effect.as_str()));
    if let Some(standing) = outcome {
        event = event.fact("policies", standing.policies.clone());
        event.refusal = Some(standing.effect.refusal());
    }
    event.person = Some(f.person.clone());
    event.device = Some(f.device.clone());
    event.ceremony.clone_from(&f.ceremony);
    event
}

/// The rules and rows that one round rests on, each read once.
struct Known {
    policies: Arc<PolicySet>,
    people: HashMap<PersonId, Option<Person>>,
    devices: HashMap<DeviceId, Option<Device>>,
    clients: HashMap<ClientId, Option<StoredClient>>,
    terminals: HashMap<TerminalId, Option<Terminal>>,
    givers: Vec<(Table, String, i64)>,
}

impl Known {
    async fn load(&mut self, app: &App, session: &Session) -> Result<(), StoreError> {
        let f = &session.facts;
        for person in std::iter::once(&f.person).chain(&f.vouched_by) {
            if !self.people.contains_key(person) {
                self.people.insert(person.clone(), app.store.person(person).await?);
            }
        }
        if !self.devices.contains_key(&f.device) {
            self.devices.insert(f.device.clone(), app.store.device(&f.device).await?.map(|d| d.device));
        }
        if let Some(at) = f.terminal.as_ref().filter(|at| !self.terminals.contains_key(&at.id)) {
            self.terminals.insert(at.id.clone(), app.store.terminal(&at.id).await?);
        }
        if let Some(id) = f.clients.first().filter(|id| !self.clients.contains_key(*id)) {
            self.clients.insert(id.clone(), app.client(id).await?);
        }
        Ok(())
    }

    /// How a session stands now, `None` where it simply goes on; and what was judged.
    async fn outcome(&mut self, app: &App, session: &Session, now: Time) -> Result<(Option<Standing>, Value), Fault> {
        self.load(app, session).await?;
        let (given, givers) = rights::still_given(app, session, now).await?;
        self.givers.extend(givers);
        let f = &session.facts;
        let person = self.people.get(&f.person).and_then(Option::as_ref);
        let device = self.devices.get(&f.device).and_then(Option::as_ref);
        let screen = f.terminal.as_ref().map(|at| (self.terminals.get(&at.id).and_then(Option::as_ref), at));
        let stands = screen.is_none_or(|(t, _)| t.is_some_and(Terminal::is_active));
        let client = f.clients.first().and_then(|id| self.clients.get(id)).and_then(Option::as_ref).map(|c| &c.client);
        let voucher = f.vouched_by.as_ref().and_then(|id| self.people.get(id)).and_then(Option::as_ref);
        let vouches = || client.and_then(|c| c.without_phone.as_ref()).zip(voucher).zip(person).is_some_and(|((v, by), person)| v.may(by, person));
        let stands = stands && (f.vouched_by.is_none() || vouches());
        let (Some(person), Some(device), true) = (person, device, stands) else {
            let policies = vec![GONE.to_owned()];
            return Ok((Some(Standing { effect: Effect::End, policies, say: None, at: now }), Value::Bool(false)));
        };
        let scopes = given.facts.scopes_at(client, now);
        let ground = Ground::of(session, &[], &scopes);
        let facts = Facts::of(person, device, client, ground.purpose, ground.channel, ground.presence, now)
            .vouched_by(voucher, now)
            .at(screen.and_then(|(t, at)| Some((t?, terminals::stands(app, t?, at)))), now)
            .in_session(Some(session), now);
        Ok(match self.policies.rule(Action::Continue, &facts, client, &scopes) {
            Ruling::Deny(d) => {
                let effect = d.effect.unwrap_or(Effect::Lock);
                (Some(Standing { effect, policies: d.policies, say: d.say, at: now }), d.judged)
            }
            Ruling::Allow(allowed) => {
                let why = allowed.cut.iter().map(|scope| self.policies.decide(Action::Unlock, &facts, scope));
                let mut policies: Vec<String> = why.filter(|d| !d.allowed).flat_map(|d| d.policies).collect();
                policies.sort();
                policies.dedup();
                let limited = Standing { effect: Effect::Limit, policies, say: None, at: now };
                ((!allowed.cut.is_empty()).then_some(limited), allowed.judged)
            }
        })
    }

    fn guards(&self) -> Vec<(Table, String, i64)> {
        let people = self.people.values().flatten().map(|p| (Table::Person, p.id.to_string(), p.version));
        let devices = self.devices.values().flatten().map(|d| (Table::Device, d.id.to_string(), d.version));
        let terminals = self.terminals.values().flatten().map(|t| (Table::Terminal, t.id.to_string(), t.version));
        people.chain(devices).chain(terminals).chain(self.givers.iter().cloned()).collect()
    }
}

/// Ceremonies that somebody has scanned and that policy would not let be approved now end at once.
async fn judge_pending(app: &App, change: &Judgement) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let now = app.now();
        let pending = match &change.subject {
            Some(Subject::Person(id)) => app.store.ceremonies_of_person(id).await?,
            Some(Subject::Device(id)) => match app.store.device(id).await? {
                Some(d) => app.store.ceremonies_of_person(&d.device.person).await?,
                None => return Ok(()),
            },
            Some(Subject::Terminal(id)) => app.store.ceremonies_at(id).await?,
            _ => return Ok(()),
        };
        let (mut writes, mut events, mut guards) = (Vec::new(), Vec::new(), Vec::new());
        for c in pending {
            let Some(scan) = c.scan_facts().filter(|_| c.is_pending()) else { continue };
            let Some(person) = app.store.person(&scan.person).await? else { continue };
            guards.push((Table::Person, person.id.to_string(), person.version));
            let device = app.store.device(&scan.device).await?.map(|d| d.device);
            guards.extend(device.as_ref().map(|d| (Table::Device, d.id.to_string(), d.version)));
            let Some((why, judged)) = falls(app, &c, scan, &person, device.as_ref(), now).await? else { continue };
            let (w, e) = ended_along(app, &c, &c.cut(&why, now), now).await?;
            writes.extend(w);
            events.extend(e.into_iter().map(|e| e.fact("cause", change.txn.as_str()).fact("judged", judged.clone())));
        }
        guards.sort();
        guards.dedup();
        if let Some(mut commit) = Commit::of(events) {
            commit.writes(writes).guards(guards);
            app.commit(commit).await?;
        }
        Ok(())
    })
    .await
}

/// What was found, if it is there; that it could not be read is no answer.
fn there<T>(found: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.store.is_none() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// By which rule, judged on what, a ceremony that somebody scanned would not be approved now. Where a fact is gone that
/// it rests on, nothing of it can be judged any more; where it cannot be read, nothing is known.
async fn falls(app: &App, c: &Ceremony, scan: &Scan, person: &Person, device: Option<&Device>, now: Time) -> Result<Option<(String, Value)>, Fault> {
    let client = there(super::ceremony::client(app, c).await)?;
    let terminal = there(terminals::of_opening(app, &c.opening, None).await)?;
    let (Some(device), Some(client), Some(terminal)) = (device, client, terminal) else {
        return Ok(Some((GONE.to_owned(), Value::Bool(false))));
    };
    let client = client.as_ref().map(|c| &c.client);
    let facts = Facts::of(person, device, client, c.opening.purpose, scan.channel.as_str(), Presence::of(&scan.near), now)
        .at(terminal.as_ref().map(|(t, stands)| (t, *stands)), now)
        .with_details(detail::types(&c.opening.asked.details))
        .collected(c.opening.collects.as_ref().map(|c| c.by));
    Ok(match app.policies.current().rule(Action::Approve, &facts, client, &scan.rights.scopes) {
        Ruling::Deny(deny) => Some((deny.policies.first().map_or("judged", String::as_str).to_owned(), deny.judged)),
        Ruling::Allow(_) => None,
    })
}
