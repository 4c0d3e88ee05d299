//! The ceremony, step by step, with its loads and commits. The protocol itself is
//! `trust::ceremony`; this is where its facts come from and where its steps are kept.

pub mod collect;
pub mod call;
pub mod decide;
pub mod open;
mod recover;
pub mod right;
pub mod redeem;
pub mod scan;
pub mod story;
pub mod terminal;

use super::noise::{self, What};
use super::{App, Context, Fault, sessions};
use super::once::burn;
use countersign_store::sql::{Counter, StoredClient};
use countersign_store::{Commit, StoreError, Table, Write};
use countersign_trust::audit::Event;
use countersign_trust::ceremony::{Ceremony, Record, State, Step};
use countersign_trust::{Refusal, limits, quiet};
use countersign_wire::{ClientId, DeviceId, PersonId, Time, b64, code, statement};

/// What goes into the commit beside the step itself.
#[derive(Default)]
pub struct Around {
    /// Further writes.
    pub writes: Vec<Write>,
    /// Further guards.
    pub guards: Vec<(Table, String, i64)>,
    /// Further events.
    pub events: Vec<Event>,
    /// It holds only if it is written before this, beside the step's own end.
    pub before: Option<Time>,
    /// Who acted, for the record.
    pub person: Option<PersonId>,
    /// With what.
    pub device: Option<DeviceId>,
}

impl Around {
    /// What this device of this person does.
    pub fn by(person: &PersonId, device: &DeviceId) -> Around {
        Around { person: Some(person.clone()), device: Some(device.clone()), ..Around::default() }
    }
    /// A proof's `jti` is used up by this commit.
    pub fn burn(mut self, proof: &countersign_wire::dpop::Proof) -> Around {
        self.writes.push(burn(proof));
        self
    }
    /// What ends or begins along with it.
    pub fn also(&mut self, (writes, events): (Vec<Write>, Vec<Event>)) -> &mut Around {
        self.writes.extend(writes);
        self.events.extend(events);
        self
    }
}

/// Keeps a step: its state under its version and deadline, its records, and whatever ends with it.
/// Answers what the caller hears.
pub async fn keep(app: &App, ctx: &Context, c: &Ceremony, step: Step, around: Around) -> Result<(), Fault> {
    let Step { next, records, answer, before } = step;
    if let (None, Err(refusal)) = (&next, answer)
        && !records.is_empty()
    {
        noise::admit(app, ctx, What::Refusal, refusal.code())?;
    }
    let o = &c.opening;
    let mut events: Vec<Event> = records.iter().map(|r| told(app, ctx, c, r)).collect();
    events.extend(around.events);
    let mut writes = around.writes;
    let left = match (&next, answer) {
        (Some(State::Scanned(s)), Err(Refusal::WrongCode)) => Some(s.tries),
        _ => None,
    };
    if let (Some(State::Ended(ended)), State::Redeemed(redeemed)) = (&next, &c.state) {
        if let Some(sid) = &redeemed.session
            && let Some(session) = app.store.session(sid).await?
        {
            let (more, told) = sessions::ending(app, &session, &ended.reason, ctx.now).await?;
            writes.extend(more);
            events.extend(told);
        }
        let (more, told) = right::taken_back(app, c, &ended.reason, ctx.now).await?;
        writes.extend(more);
        events.extend(told);
    }
    if let Some(next) = next {
        writes.extend(moved(app, c, next).await?);
    }
    let recorded = !events.is_empty();
    let events = events.into_iter().map(|mut event| {
        event.ceremony.get_or_insert_with(|| o.id.clone());
        if o.asker.id.as_str() != countersign_trust::policy::OWN {
            event.client.get_or_insert_with(|| o.asker.id.clone());
        }
        if event.person.is_none() {
            event.person.clone_from(&around.person);
        }
        if event.device.is_none() {
            event.device.clone_from(&around.device);
        }
        event
    });
    if let Some(mut commit) = Commit::of(events) {
        if let Some(end) = before.into_iter().chain(around.before).min() {
            commit.before(end);
        }
        commit.guards(around.guards).writes(writes);
        app.commit(commit).await?;
    }
    answer.map_err(|refusal| Fault { recorded, left, ..Fault::from(refusal) })
}

/// A record of a step, for the log; a refusal with what it is called at the help desk.
fn told(app: &App, ctx: &Context, c: &Ceremony, r: &Record) -> Event {
    let mut event = app.event(r.kind, &c.opening.txn, ctx.now);
    if r.refusal.is_some() {
        event = event.fact("ref", ctx.reference.as_str());
    }
    event.facts.extend(r.facts.clone());
    event.refusal = r.refusal;
    event
}

/// The ceremony goes on; a push that waits for nobody any more leaves its places.
async fn moved(app: &App, c: &Ceremony, next: State) -> Result<Vec<Write>, StoreError> {
    let over = matches!(next, State::Redeemed(_) | State::Ended(_));
    let left = (c.opening.push && over).then(|| Write::push_places_left(&c.opening.id));
    let rung = rung(app, c, &next).await?;
    Ok(std::iter::once(Write::ceremony_moved(c, next)).chain(left).chain(rung).collect())
}

/// What a person's answer, or none, means for how their phones ring for this client. What was asked in silence rang nowhere, and
/// makes the silence no longer: else whoever goes on asking would keep it up for ever.
async fn rung(app: &App, c: &Ceremony, next: &State) -> Result<Option<Write>, StoreError> {
    let (Some(person), client) = (rings(app, c), &c.opening.asker.id) else { return Ok(None) };
    match (&c.state, next) {
        (_, State::Approved(_)) => Ok(Some(Write::push_answered(person, client))),
        (State::Opened(_) | State::Scanned(_) | State::Confirmed(_), State::Ended(ended)) => {
            let silent = silent(app, person, client, c.opening.at).await?;
            Ok((!silent).then(|| Write::push_missed(person, client, 1, ended.at)))
        }
        _ => Ok(None),
    }
}

/// Whose phones it rings, where any are rung.
pub fn rings<'a>(app: &App, c: &'a Ceremony) -> Option<&'a PersonId> {
    c.opening.offered.as_ref().filter(|_| c.opening.push && app.config.push.is_some())
}

/// Whether a client rings none of a person's phones at that time.
pub async fn silent(app: &App, person: &PersonId, client: &ClientId, at: Time) -> Result<bool, StoreError> {
    let missed = app.store.missed(person, client).await?;
    Ok(missed.and_then(|(misses, last)| quiet::until(misses, last)).is_some_and(|until| at < until))
}

/// Whether the screen of a ceremony may not ask this person now.
pub async fn is_stopped(app: &App, c: &Ceremony, person: &PersonId, now: Time) -> Result<bool, Fault> {
    let o = &c.opening;
    Ok(app.store.is_stopped(o.screen(), o.jkt.as_str(), o.asker.id.as_str(), Some(person), now).await?)
}

/// The ceremony that a path or a body names, if there is one.
pub async fn named(app: &App, cid: &str) -> Result<Option<Ceremony>, Fault> {
    match cid.parse() {
        Ok(id) => Ok(app.store.ceremony(&id).await?),
        Err(_) => Ok(None),
    }
}

/// The client of a ceremony; `None` where Countersign itself asks.
pub fn client_of(c: &Ceremony) -> Option<ClientId> {
    (!c.opening.purpose.is_own()).then(|| c.opening.asker.id.clone())
}

/// The same, as registered now.
pub async fn client(app: &App, c: &Ceremony) -> Result<Option<StoredClient>, Fault> {
    match client_of(c) {
        Some(id) => Ok(Some(app.client(&id).await?.ok_or(Refusal::Denied)?)),
        None => Ok(None),
    }
}

/// Digest of the statement as it was kept.
pub fn statement_digest(c: &Ceremony) -> Result<[u8; 32], Fault> {
    let scan = c.scan_facts().ok_or(Refusal::NoSuchCeremony)?;
    let bytes = b64::decode(&scan.statement)?;
    Ok(statement::digest(&bytes))
}

/// The digits for a direction, made anew from the server key that the ceremony names.
pub fn digits(app: &App, c: &Ceremony, direction: code::Direction) -> Result<String, Fault> {
    let scan = c.scan_facts().ok_or(Refusal::NoSuchCeremony)?;
    let k = app.keys.k_by_serial(c.opening.k).ok_or(Refusal::Gone)?;
    let sd = statement_digest(c)?;
    Ok(code::digits(k.expose(), direction, &sd, scan.device.as_str(), scan.demanded.digits))
}

/// What the person's passkey must sign to approve.
pub fn challenge(c: &Ceremony) -> Result<[u8; 32], Fault> {
    Ok(statement::challenge(&statement_digest(c)?))
}

/// Counts wrong digits for a person and device over a day.
pub fn digit_counter(person: &PersonId, device: &DeviceId, now: Time) -> Counter {
    Counter::new("digits", &format!("{person}/{device}"), 86_400, limits::WRONG_DIGITS_DAY, now)
}

/// Counts scans of a device that nobody decided yet.
pub fn scan_counter(device: &DeviceId, now: Time) -> Counter {
    Counter::new("scan", device.as_str(), 600, limits::UNDECIDED_SCANS_10_MIN, now)
}

/// Cuts a ceremony, whoever is waiting for it.
pub async fn cut(app: &App, ctx: &Context, c: &Ceremony, reason: &str) -> Result<(), Fault> {
    let step = c.cut(reason, ctx.now);
    keep(app, ctx, c, step, Around::default()).await
}

/// Writes and events that end other ceremonies in somebody else's commit.
pub async fn ended_along(app: &App, c: &Ceremony, step: &Step, now: Time) -> Result<(Vec<Write>, Vec<Event>), StoreError> {
    let writes = match &step.next {
        Some(next) => moved(app, c, next.clone()).await?,
        None => Vec::new(),
    };
    let events = step.records.iter().map(|r| {
        let mut event = app.event(r.kind, &c.opening.txn, now);
        event.facts.extend(r.facts.clone());
        event.ceremony = Some(c.opening.id.clone());
        event.client = client_of(c);
        event
    }).collect();
    Ok((writes, events))
}
