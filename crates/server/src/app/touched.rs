//! Looking back: everything that a device touched since a time, from the log, and what of it still lives.
//! One action ends that.

use super::{App, Fault, devices, judge, sessions, signals};
use crate::app::Context;
use countersign_store::EventRow;
use countersign_trust::device::DeviceState;
use countersign_trust::signal::{Kind, Signal, Subject};
use countersign_trust::Refusal;
use countersign_wire::{CeremonyId, DeviceId, GrantId, SessionId, Time};
use serde::Serialize;
use std::collections::BTreeSet;

/// Events read at once.
const PAGE: i64 = 500;
/// Why its sessions end.
const WHY: &str = "touched";

/// What a device touched.
#[derive(Debug, Serialize)]
pub struct Touched {
    /// The device.
    pub device: DeviceId,
    /// How it stands now.
    pub state: &'static str,
    /// Since when was looked, seconds.
    pub since: i64,
    /// Requests that it scanned, approved or refused.
    pub ceremonies: Vec<TouchedCeremony>,
    /// Sessions that it opened, raised or spoke for.
    pub sessions: Vec<TouchedSession>,
    /// What clients were given in these sessions.
    pub grants: Vec<TouchedGrant>,
    /// Devices that it let in.
    pub let_in: Vec<TouchedDevice>,
    /// Numbers of its events in the log, first and last.
    pub events: Option<(i64, i64)>,
}

/// One request.
#[derive(Debug, Serialize)]
pub struct TouchedCeremony {
    /// Its id.
    pub id: CeremonyId,
    /// Who asked.
    pub client: String,
    /// The screen, as it called itself.
    pub screen: String,
    /// How it stands now.
    pub state: String,
    /// Opened at, seconds.
    pub at: i64,
    /// Whether something can still come of it.
    pub lives: bool,
}

/// One session.
#[derive(Debug, Serialize)]
pub struct TouchedSession {
    /// Its id.
    pub id: SessionId,
    /// Opened at, seconds.
    pub at: i64,
    /// Why it ended; absent while it lives or where its time is over.
    pub ended: Option<String>,
    /// Whether it lives.
    pub lives: bool,
    /// Clients it serves.
    pub clients: Vec<String>,
    /// Scopes it has.
    pub scopes: Vec<String>,
}

/// What one client was given.
#[derive(Debug, Serialize)]
pub struct TouchedGrant {
    /// Its id; access tokens name it.
    pub id: GrantId,
    /// To whom.
    pub client: String,
    /// In which session.
    pub session: SessionId,
    /// Good until, seconds.
    pub until: i64,
    /// Whether tokens of it are still good.
    pub lives: bool,
}

/// A device that was let in.
#[derive(Debug, Serialize)]
pub struct TouchedDevice {
    /// Its id.
    pub id: DeviceId,
    /// How it stands now.
    pub state: &'static str,
}

impl Touched {
    /// How many things live that it touched.
    pub fn living(&self) -> usize {
        let ceremonies = self.ceremonies.iter().filter(|c| c.lives).count();
        let sessions = self.sessions.iter().filter(|s| s.lives).count();
        let grants = self.grants.iter().filter(|g| g.lives).count();
        ceremonies + sessions + grants + self.let_in.iter().filter(|d| d.state == DeviceState::Active.as_str()).count()
    }
}

/// Everything that `device` touched since `since`.
pub async fn since(app: &App, device: &DeviceId, since: Time) -> Result<Touched, Fault> {
    let stored = app.store.device(device).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no such device"))?;
    let now = app.now();
    let mut found = Found::default();
    let mut after = (since, String::new());
    loop {
        let page = app.store.events_of_device(&stored.device.person, device, &after.0, &after.1, PAGE).await?;
        let Some((_, last)) = page.last() else { break };
        after = (Time(last.at), last.id.clone());
        for (seq, event) in &page {
            found.event(*seq, event);
        }
    }
    for txn in found.txns.clone() {
        for (_, event) in app.store.transaction(&txn).await? {
            found.follow(&event, device);
        }
    }
    let mut touched = Touched {
        device: device.clone(),
        state: stored.device.state.as_str(),
        since: since.seconds(),
        ceremonies: Vec::new(),
        sessions: Vec::new(),
        grants: Vec::new(),
        let_in: Vec::new(),
        events: found.first.zip(found.last),
    };
    // Sessions that live are found by what they rest on as well, whatever the log was asked for.
    let mut last = String::new();
    loop {
        let page = app.store.sessions_of_device_after(device, &last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = end.facts.id.to_string();
        found.sessions.extend(page.iter().map(|s| s.facts.id.to_string()));
    }
    for id in parsed::<CeremonyId>(&found.ceremonies) {
        if let Some(c) = app.store.ceremony(&id).await? {
            let (client, screen) = (c.opening.asker.name.clone(), c.opening.agent.clone());
            let (state, at) = (c.state_name().to_owned(), c.opening.at.seconds());
            touched.ceremonies.push(TouchedCeremony { id, client, screen, state, at, lives: c.is_pending() });
        }
    }
    for id in parsed::<SessionId>(&found.sessions) {
        let Some(s) = app.store.session(&id).await? else { continue };
        for g in app.store.grants_of_session(&id).await? {
            let lives = g.ended.is_none() && now < g.until && s.is_live(now);
            let (client, until) = (g.client.to_string(), g.until.seconds());
            touched.grants.push(TouchedGrant { id: g.id, client, session: id.clone(), until, lives });
        }
        let f = &s.facts;
        let clients = f.clients.iter().map(ToString::to_string).collect();
        // What was given for a while counts as well, whether it is over or not.
        let timed = f.rights.iter().map(|r| &r.scope);
        let (at, scopes) = (f.opened_at.seconds(), f.scopes.iter().chain(timed).cloned().collect());
        touched.sessions.push(TouchedSession { id, at, lives: s.is_live(now), ended: s.ended, clients, scopes });
    }
    for id in parsed::<DeviceId>(&found.let_in) {
        if let Some(d) = app.store.device(&id).await? {
            touched.let_in.push(TouchedDevice { id, state: d.device.state.as_str() });
        }
    }
    Ok(touched)
}

/// Ends what lives of it: the device counts as compromised, its sessions and requests end, and devices it
/// let in are suspended. Answers what was found before, and what there is afterwards.
pub async fn end(app: &App, ctx: &Context, device: &DeviceId, time: Time) -> Result<(Touched, Touched), Fault> {
    let before = since(app, device, time).await?;
    let signal = Signal { kind: Kind::DeviceCompromised, source: "operator".to_owned(), at: app.now(), until: None };
    signals::raise(app, &Subject::Device(device.clone()), signal, &ctx.txn).await?;
    judge::judge_due(app).await?;
    // A session that another device raised since does not rest on this one any more, and still came of it.
    for touched in before.sessions.iter().filter(|s| s.lives) {
        if let Some(session) = app.store.session(&touched.id).await?.filter(|s| s.ended.is_none()) {
            sessions::end(app, &session, WHY, app.now()).await?;
        }
    }
    for d in before.let_in.iter().filter(|d| d.state == DeviceState::Active.as_str()) {
        devices::by_operator(app, ctx, d.id.as_str(), DeviceState::Suspended).await?;
    }
    let after = since(app, device, time).await?;
    Ok((before, after))
}

/// Names met in the log.
#[derive(Default)]
struct Found {
    txns: BTreeSet<String>,
    ceremonies: BTreeSet<String>,
    sessions: BTreeSet<String>,
    let_in: BTreeSet<String>,
    first: Option<i64>,
    last: Option<i64>,
}

impl Found {
    /// An event of the device itself.
    fn event(&mut self, seq: Option<i64>, e: &EventRow) {
        self.first = self.first.or(seq);
        self.last = seq.or(self.last);
        self.txns.insert(e.txn.clone());
        self.ceremonies.extend(e.ceremony.clone());
        self.sessions.extend(e.session.clone());
    }
    /// An event of the same cause.
    fn follow(&mut self, e: &EventRow, device: &DeviceId) {
        self.ceremonies.extend(e.ceremony.clone());
        self.sessions.extend(e.session.clone());
        if e.kind == "device.enrolled" {
            self.let_in.extend(e.device.clone().filter(|d| d != device.as_str()));
        }
    }
}

fn parsed<T: std::str::FromStr>(names: &BTreeSet<String>) -> impl Iterator<Item = T> + '_ {
    names.iter().filter_map(|n| n.parse().ok())
}
