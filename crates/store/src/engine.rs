//! The contract of both engines.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{AFTER, LAST, Numbered};
#[cfg(feature = "testing")]
use crate::failing::Failing;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::{
    Batch, Clock, Committed, OpenError, Query, Row, Statement, StoreError, SystemClock, limits,
};

/// A store. Clones share it. Both engines answer alike; the suite in `conformance` says what that means.
#[derive(Clone)]
pub enum Engine {
    /// One file, one process (and the administrator's commands beside it).
    Sqlite(Sqlite),
    /// A database for several nodes.
    Postgres(Postgres),
    /// A double that fails on demand.
    #[cfg(feature = "testing")]
    Failing(Arc<Failing>),
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// How long ago the sequencer was heard. Beyond a second, caches must not be trusted.
    pub beat_age: Duration,
    /// The machine's clock is more than five seconds behind the newest commit: nothing is written until it is right.
    pub clock_behind: bool,
}

impl Engine {
    /// Opens `sqlite:PATH`, `sqlite::memory:` or `postgres://…`; creates and migrates what is missing. Time is the machine's clock on
    /// SQLite and the database's on PostgreSQL, where several machines must agree.
    pub async fn open(address: &str) -> Result<Self, OpenError> {
        if is_postgres(address) {
            return Ok(Self::Postgres(Postgres::open(address, None).await?));
        }
        Self::open_with(address, Arc::new(SystemClock)).await
    }

    /// The same with a clock of the caller's, for tests.
    pub async fn open_with(address: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        if is_postgres(address) {
            return Ok(Self::Postgres(Postgres::open(address, Some(clock)).await?));
        }
        match address.split_once(':') {
            Some(("sqlite", ":memory:")) => Ok(Self::Sqlite(Sqlite::ephemeral(clock).await?)),
            Some(("sqlite", path)) if !path.is_empty() => {
                Ok(Self::Sqlite(Sqlite::open(path, clock).await?))
            }
            _ => Err(OpenError::Address(without_user(address))),
        }
    }

    /// Answers a question from what is committed.
    pub async fn query(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(store) => store.query(query).await,
            Self::Postgres(store) => store.query(query).await,
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.query(query).await,
        }
    }

    /// The first row of the answer, if there is one.
    pub async fn first(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(self.query(query).await?.into_iter().next())
    }

    /// The noun in the first row of the answer, if there is one. An engine that knows for certain that a row is still what it was may
    /// answer from memory.
    pub(crate) async fn noun<T: Clone + Send + Sync + 'static>(
        &self,
        query: Query,
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match (self, query.kept) {
            (Self::Sqlite(store), Some(kept)) => store.noun(query, kept, read).await,
            _ => self.first(query).await?.as_ref().map(read).transpose(),
        }
    }

    /// Keeps a batch whole or not at all, with its record; answers when it is durable.
    ///
    /// `Conflict` and `Late` mean that nothing was kept. `Unavailable` means that it is not known.
    /// A caller who goes away while waiting does not undo the commit.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        match self {
            Self::Sqlite(store) => store.commit(batch).await,
            Self::Postgres(store) => store.commit(batch).await,
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.commit(batch).await,
        }
    }

    /// Changes that nobody decided and no record needs: clearing what expired, flushing when something was last seen.
    /// Answers how many rows were touched. Everything else is a [`commit`](Self::commit).
    pub async fn upkeep(&self, statements: Vec<Statement>) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(store) => store.upkeep(statements).await,
            Self::Postgres(store) => store.upkeep(statements).await,
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.upkeep(statements).await,
        }
    }

    /// The store's clock, microseconds: the one `Before` guards are judged by, or a close guess of it.
    pub fn now(&self) -> i64 {
        match self {
            Self::Sqlite(store) => store.now(),
            Self::Postgres(store) => store.now(),
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.inner().now(),
        }
    }

    /// One round of numbering events, where that is a job: call it every 50 ms on every node. Answers the newest number.
    pub async fn sequence(&self) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(_) => self.last_seq().await,
            Self::Postgres(store) => store.sequence().await,
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.sequence().await,
        }
    }

    /// How long ago the sequencer was heard.
    pub fn beat_age(&self) -> Duration {
        match self {
            Self::Sqlite(store) => store.beat_age(),
            Self::Postgres(store) => store.beat_age(),
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.beat_age(),
        }
    }

    /// How the store is, without asking it.
    pub fn health(&self) -> Health {
        let clock_behind = match self {
            Self::Sqlite(store) => store.clock_behind(),
            Self::Postgres(_) => false,
            #[cfg(feature = "testing")]
            Self::Failing(store) => store.inner().health().clock_behind,
        };
        Health {
            beat_age: self.beat_age(),
            clock_behind,
        }
    }

    /// Events with a number above `seq`, in order, at most `limit` (and at most [`limits::EVENTS_MAX`]).
    pub async fn events_after(&self, seq: i64, limit: i64) -> Result<Vec<Numbered>, StoreError> {
        let limit = limit.clamp(0, limits::EVENTS_MAX);
        let rows = self
            .query(Query::new(AFTER, [seq.into(), limit.into()]))
            .await?;
        rows.iter().map(Numbered::read).collect()
    }

    /// The newest number, 0 before the first.
    pub async fn last_seq(&self) -> Result<i64, StoreError> {
        let missing = || StoreError::Corrupt {
            table: "event_head".to_owned(),
            column: "seq".to_owned(),
            row: "head".to_owned(),
        };
        self.first(Query::new(LAST, []))
            .await?
            .ok_or_else(missing)?
            .int(0)
    }
}

pub(crate) fn is_postgres(address: &str) -> bool {
    address.starts_with("postgres://") || address.starts_with("postgresql://")
}

/// An address as it may be shown: what stands before an `@` can be a password.
pub(crate) fn without_user(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().to_owned()
}
