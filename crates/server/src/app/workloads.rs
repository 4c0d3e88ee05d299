//! Workloads: registered by the configuration or by command, ended by their date, their owner or the
//! operator. What they ask for passes the one gate ([`super::issue::gate_workload`]).

use super::{App, Fault, devices, startup};
use countersign_store::sql::StoredWorkload;
use countersign_store::{Commit, StoreError, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use countersign_trust::workload::{Registration, Use, Workload};
use countersign_trust::{Refusal, limits};
use countersign_wire::{PersonId, Time, TxnId, WorkloadId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Why a workload ended that the configuration does not list any more: it may be listed again, as
/// another one.
const NOT_LISTED: &str = "not_listed";

fn denied(why: &'static str) -> Fault {
    Fault::because(Refusal::Denied, why)
}

/// An event about a workload.
pub fn event(app: &App, kind: Kind, txn: &TxnId, w: &Workload, now: Time) -> Event {
    let mut event = app.event(kind, txn, now).fact("workload", w.id.as_str());
    event.client = Some(w.client.clone());
    event
}

/// Registers a workload or changes the one of that name. Its owner must be somebody who may act, its
/// name and its keys nobody else's (OWASP NHI9).
pub async fn register(app: &App, r: &Registration, source: &str) -> Result<WorkloadId, Fault> {
    app.judged_anew(|_| async {
        let now = app.now();
        if r.until <= now || r.until > now.plus_s(limits::WORKLOAD_S) {
            return Err(denied("an end date within the next 366 days"));
        }
        let owner = app.store.person_by_login(&r.owner).await?.ok_or(denied("an owner whom nobody knows"))?.person;
        if owner.state != PersonState::Active {
            return Err(denied("an owner who may not act"));
        }
        if app.client(&r.client).await?.is_some() {
            return Err(denied("a client has this id"));
        }
        if let Some(agent) = &r.facts.agent {
            let device = app.store.device(&agent.device).await?.ok_or(denied("a device that nobody knows"))?.device;
            if device.person != owner.id || device.state != DeviceState::Active || device.is_shared() {
                return Err(denied("an agent runs on an active device of its owner's own"));
            }
        }
        keys_are_its_own(app, r).await?;
        let old = app.store.workload_by_client(&r.client).await?;
        let id = old.as_ref().map_or_else(|| WorkloadId::new(now, app.id10()), |s| s.workload.id.clone());
        let new = Workload {
            id: id.clone(),
            version: old.as_ref().map_or(0, |s| s.workload.version),
            client: r.client.clone(),
            owner: owner.id.clone(),
            until: r.until,
            ended: None,
            added_at: old.as_ref().map_or(now, |s| s.workload.added_at),
            facts: r.facts.clone(),
        };
        let what = if old.is_some() { "changed" } else { "added" };
        let record = event(app, Kind::WorkloadChanged, &app.txn(now), &new, now)
            .fact("what", what)
            .fact("by", source)
            .fact("owner", owner.id.as_str())
            .fact("environment", new.facts.environment.as_str())
            .fact("until", new.until.seconds());
        let mut commit = Commit::new(record);
        commit.guard(Table::Person, owner.id.as_str(), owner.version);
        commit.write(match &old {
            None => Write::workload_added(&new, source),
            Some(old) => {
                // A key that goes takes the tokens along that it asked for.
                let kept = old.workload.facts.keys.iter().all(|k| new.facts.keys.contains(k));
                let after = if kept { old.access_after } else { now.plus_ms(1) };
                Write::workload_changed(&new, after, source)
            }
        });
        app.commit(commit).await?;
        Ok(id)
    })
    .await
}

/// A key that another workload, a client or a device has cannot tell who asks.
async fn keys_are_its_own(app: &App, r: &Registration) -> Result<(), Fault> {
    for key in &r.facts.keys {
        if devices::is_key_taken(app, &key.thumbprint()).await? {
            return Err(denied("a key that is a device's or a terminal's"));
        }
    }
    let shared = |keys: &[countersign_wire::jose::Jwk]| r.facts.keys.iter().any(|k| keys.contains(k));
    if app.store.clients().await?.iter().any(|c| shared(&c.client.keys)) {
        return Err(denied("a key that is a client's"));
    }
    let others = |s: &StoredWorkload| s.workload.client != r.client && s.workload.ended.is_none();
    if all(app).await?.iter().any(|s| others(s) && shared(&s.workload.facts.keys)) {
        return Err(denied("a key that is another workload's"));
    }
    Ok(())
}

/// Every workload, ended or not.
pub async fn all(app: &App) -> Result<Vec<StoredWorkload>, StoreError> {
    let mut out: Vec<StoredWorkload> = Vec::new();
    loop {
        let after = out.last().map(|s| s.workload.id.to_string()).unwrap_or_default();
        let page = app.store.workloads(&after, limits::LIST).await?;
        let full = i64::try_from(page.len()).is_ok_and(|n| n == limits::LIST);
        out.extend(page);
        if !full {
            return Ok(out);
        }
    }
}

/// What ends a workload, with its record.
fn ending(app: &App, w: &Workload, why: &str, txn: &TxnId, now: Time) -> (Vec<Write>, Vec<Event>) {
    let record = event(app, Kind::WorkloadChanged, txn, w, now).fact("what", "ended").fact("why", why);
    (vec![Write::workload_ended(w, why)], vec![record])
}

/// Everything that an owner answers for, ended in the commit that ends them.
pub async fn without_owner(app: &App, owner: &PersonId, txn: &TxnId, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let mut all = (Vec::new(), Vec::new());
    for stored in app.store.workloads_of(owner).await? {
        let (writes, events) = ending(app, &stored.workload, "owner_ended", txn, now);
        all.0.extend(writes);
        all.1.extend(events);
    }
    Ok(all)
}

/// Ends a workload for good, by its id or the name under which it asks.
pub async fn end(app: &App, name: &str, why: &str) -> Result<(), Fault> {
    let unknown = || Fault::because(Refusal::NoSuchThing, "no such workload");
    app.judged_anew(|_| async {
        let found = match name.parse::<WorkloadId>() {
            Ok(id) => app.store.workload(&id).await?,
            Err(_) => app.store.workload_by_client(&name.parse().map_err(|_| unknown())?).await?,
        };
        let stored = found.filter(|s| s.workload.ended.is_none()).ok_or_else(unknown)?;
        finish(app, &stored.workload, why).await
    })
    .await
}

async fn finish(app: &App, w: &Workload, why: &str) -> Result<(), Fault> {
    let now = app.now();
    let (writes, events) = ending(app, w, why, &app.txn(now), now);
    if let Some(mut commit) = Commit::of(events) {
        commit.writes(writes);
        app.commit(commit).await?;
    }
    Ok(())
}

/// Ends what is past its date.
pub async fn sweep(app: &App) -> Result<(), Fault> {
    for stored in app.store.workloads_due(app.now(), limits::LIST).await? {
        match finish(app, &stored.workload, "end_date").await {
            // Somebody else changed or ended it: the next round looks again.
            Err(Fault { store: Some(StoreError::Conflict | StoreError::Late), .. }) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Workloads of the configuration as facts of the store. One that cannot be registered is left out,
/// with a warning: the server serves people all the same.
pub async fn configured(app: &App) -> Result<(), Fault> {
    for r in &app.config.workloads {
        let known = app.store.workload_latest(&r.client).await?;
        if let Some(old) = &known {
            if old.workload.ended.as_deref().is_some_and(|why| why != NOT_LISTED) {
                tracing::warn!(workload = r.client.as_str(), "it ended, and nothing that ended comes back: give it another id");
                continue;
            }
            if is_as(app, old, r).await? {
                continue;
            }
        }
        match register(app, r, startup::CONFIGURATION).await {
            Err(fault) if fault.store.is_none() => {
                tracing::warn!(workload = r.client.as_str(), because = fault.because, "a workload is not registered");
            }
            done => drop(done?),
        }
    }
    for old in all(app).await? {
        let listed = app.config.workloads.iter().any(|r| r.client == old.workload.client);
        if old.source == startup::CONFIGURATION && old.workload.ended.is_none() && !listed {
            finish(app, &old.workload, NOT_LISTED).await?;
        }
    }
    Ok(())
}

/// Whether a workload is as a registration says.
async fn is_as(app: &App, old: &StoredWorkload, r: &Registration) -> Result<bool, Fault> {
    let w = &old.workload;
    let owner = app.store.person_by_login(&r.owner).await?.map(|n| n.person.id);
    let same = w.until == r.until && w.facts == r.facts && owner.as_ref() == Some(&w.owner);
    Ok(same && w.ended.is_none() && old.source == startup::CONFIGURATION)
}

/// What was used on this node and is not written down yet. A node that ends forgets a few seconds.
#[derive(Default)]
pub struct Uses(Mutex<HashMap<(WorkloadId, &'static str, String), Time>>);

impl Uses {
    /// A workload got a token for an audience, with scopes.
    pub fn saw(&self, id: &WorkloadId, audience: &str, scopes: &[String], now: Time) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert((id.clone(), "audience", audience.to_owned()), now);
        for scope in scopes {
            uses.insert((id.clone(), "scope", scope.clone()), now);
        }
    }

    /// An agent called a tool.
    pub fn called(&self, id: &WorkloadId, tool: &str, now: Time) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert((id.clone(), "tool", tool.to_owned()), now);
    }

    /// Writes down what there is.
    pub async fn write(&self, app: &App) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(());
        }
        let uses: Vec<(WorkloadId, Use)> = taken
            .into_iter()
            .map(|((id, what, name), at)| (id, Use { what: what.to_owned(), name, at }))
            .collect();
        app.store.workloads_used(&uses).await
    }
}
