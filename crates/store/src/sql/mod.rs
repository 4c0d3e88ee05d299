//! The nouns: how each is loaded and how each is written. One SQL text per kind of write, for both
//! engines; nothing else in the program speaks SQL.

mod beats;
mod budgets;
mod ceremonies;
mod clients;
mod devices;
mod glass;
mod grants;
mod invitations;
mod judgements;
mod keys;
mod listed;
mod log;
mod managed;
mod people;
mod pushes;
mod recovery;
mod requests;
mod restored;
mod sessions;
mod streams;
mod subscriptions;
mod tokens;
mod terminals;
mod workloads;

pub use beats::{DeviceBeat, LastReport};
pub use budgets::{Counter, Quarantine};
pub use clients::StoredClient;
pub use judgements::Judgement;
pub use grants::grant_of;
pub use devices::{Notice, StoredDevice};
pub use keys::StoredKey;
pub use listed::Listed;
pub use people::Named;
pub use requests::{AuthRequest, RequestFacts};
pub use restored::{Stopped, restored};
pub use streams::StoredStream;
pub use subscriptions::{OwedPush, Subscription};
pub use tokens::{CodeFacts, OwedLogout, StoredCode};
pub use terminals::Badge;
pub use workloads::StoredWorkload;

use crate::statement::Becomes;
use crate::{Batch, Committed, Engine, EventRow, Guard, Query, Row, Statement, StoreError, Table};
use countersign_trust::audit::Event;
use countersign_wire::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Typed loads and the one way to write, over either engine.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
}

/// One change. Made only by the constructors of its noun.
#[derive(Clone, Debug)]
pub struct Write(Statement);

/// What one decision does, whole or not at all: guards that must still hold, writes, and at least
/// one event.
#[derive(Clone, Debug)]
pub struct Commit {
    first: Event,
    more: Vec<Event>,
    guards: Vec<Guard>,
    writes: Vec<Write>,
}

impl Commit {
    /// A commit that records at least `event`.
    pub fn new(event: Event) -> Commit {
        Commit {
            first: event,
            more: Vec::new(),
            guards: Vec::new(),
            writes: Vec::new(),
        }
    }
    /// One that records all of these, in order; `None` where there is nothing to record.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Option<Commit> {
        let mut events = events.into_iter();
        let mut commit = Commit::new(events.next()?);
        commit.more.extend(events);
        Some(commit)
    }
    /// Only if the row still has this version.
    pub fn guard(&mut self, table: Table, id: &str, version: i64) -> &mut Commit {
        self.guards.push(Guard::Version {
            table,
            id: id.to_owned(),
            version,
        });
        self
    }
    /// Only if all of these rows still have these versions.
    pub fn guards(&mut self, rows: impl IntoIterator<Item = (Table, String, i64)>) -> &mut Commit {
        let version = |(table, id, version)| Guard::Version { table, id, version };
        self.guards.extend(rows.into_iter().map(version));
        self
    }
    /// Only if it is written before `end`, by the store's clock.
    pub fn before(&mut self, end: Time) -> &mut Commit {
        self.guards.push(Guard::Before(end.0));
        self
    }
    /// Also this change.
    pub fn write(&mut self, write: Write) -> &mut Commit {
        self.writes.push(write);
        self
    }
    /// Also these changes.
    pub fn writes(&mut self, writes: impl IntoIterator<Item = Write>) -> &mut Commit {
        self.writes.extend(writes);
        self
    }
    /// Also this record.
    pub fn event(&mut self, event: Event) -> &mut Commit {
        self.more.push(event);
        self
    }
    /// Also what ends or begins along with it: its changes and their records.
    pub fn also(&mut self, (writes, events): (Vec<Write>, Vec<Event>)) -> &mut Commit {
        self.writes.extend(writes);
        self.more.extend(events);
        self
    }
    /// All its records, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn into_batch(self) -> Batch {
        let mut batch = Batch::new(row_of(&self.first));
        for guard in self.guards {
            batch = batch.guard(guard);
        }
        for write in self.writes {
            batch = batch.write(write.0);
        }
        for event in &self.more {
            batch = batch.event(row_of(event));
        }
        batch
    }
}

fn row_of(event: &Event) -> EventRow {
    EventRow {
        id: event.id.to_string(),
        txn: event.txn.to_string(),
        kind: event.kind.as_str().to_owned(),
        at: event.at.0,
        ceremony: event.ceremony.as_ref().map(ToString::to_string),
        session: event.session.as_ref().map(ToString::to_string),
        person: event.person.as_ref().map(ToString::to_string),
        device: event.device.as_ref().map(ToString::to_string),
        client: event.client.as_ref().map(ToString::to_string),
        body: event.text(),
    }
}

impl Store {
    /// Over an opened engine.
    pub fn new(engine: Engine) -> Store {
        Store { engine }
    }
    /// The engine, for health, sequencing and backup.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
    /// The store's clock.
    pub fn now(&self) -> Time {
        Time(self.engine.now())
    }
    /// Keeps a commit; see [`Engine::commit`].
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.engine.commit(commit.into_batch()).await
    }
    /// The noun in the first row of the answer, if there is one.
    async fn one<T>(&self, query: Query, read: fn(&Row) -> Result<T, StoreError>) -> Result<Option<T>, StoreError>
    where
        T: Clone + Send + Sync + 'static,
    {
        self.engine.noun(query, read).await
    }
    /// A noun from every row of the answer.
    async fn many<T>(&self, query: Query, read: fn(&Row) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
        self.engine.query(query).await?.iter().map(read).collect()
    }
}

impl Write {
    /// What the row is once this is kept, for whoever asks for it next; `names` is what it is found by.
    fn becoming<T: Send + Sync + 'static>(mut self, table: Table, id: &str, names: &[(&'static str, &str)], noun: T) -> Write {
        let names = names.iter().map(|(by, name)| (*by, (*name).to_owned())).collect();
        self.0.becomes = Some(Becomes { table, id: id.to_owned(), names, noun: Arc::new(noun) });
        self
    }
}

/// JSON text of a value of ours.
fn json<T: Serialize>(value: &T) -> String {
    // Our own types have only text keys, so this cannot fail; an empty text would not read back.
    serde_json::to_string(value).unwrap_or_default()
}

/// A value from the JSON text in column `i`, if there is one.
fn opt_json<T: DeserializeOwned>(row: &Row, i: usize) -> Result<Option<T>, StoreError> {
    row.opt_text(i)?.map(|text| serde_json::from_str(text).map_err(|_| row.corrupt(i))).transpose()
}

/// A value from the JSON text in column `i`.
fn from_json<T: DeserializeOwned>(row: &Row, i: usize) -> Result<T, StoreError> {
    serde_json::from_str(row.text(i)?).map_err(|_| row.corrupt(i))
}
