//! The engine for several nodes: PostgreSQL, or a database that speaks its protocol.
//!
//! Connections are not encrypted: the database belongs on the loopback interface, a Unix socket or a private network.
//! An address that demands TLS is refused rather than downgraded.
#![expect(clippy::disallowed_methods, reason = "the offset to the database clock is measured on the monotonic clock")]

mod backup;
mod commit;
mod schema;
mod sequencer;
mod value;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use self::sequencer::Hearing;
use self::value::{Trouble, places, rows, trouble};
use crate::{Batch, Clock, Committed, OpenError, Query, Row, Statement, StoreError, limits};

pub(crate) const NOW: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// A store in PostgreSQL. Clones share its connections.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    /// Instead of the database's clock, for tests.
    clock: Option<Arc<dyn Clock>>,
    /// When which time of the database was read.
    anchor: Mutex<(Instant, i64)>,
    /// This node's name on the sequencer's lease.
    holder: String,
    hearing: Mutex<Hearing>,
}

impl Postgres {
    /// Connects, and creates and migrates what is missing. Without a clock, the database's own decides.
    pub async fn open(address: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self, OpenError> {
        let store = Self::connect(address, clock).await?;
        schema::migrate(&store.client().await?).await?;
        Ok(store)
    }

    /// Connects, and leaves the schema as it is.
    async fn connect(address: &str, clock: Option<Arc<dyn Clock>>) -> Result<Self, OpenError> {
        let pool = pool(address)?;
        let client = pool
            .get()
            .await
            .map_err(|error| OpenError::Unreachable(cause(&error)))?;
        let now = db_now(&client).await?;
        drop(client);
        let inner = Inner {
            pool,
            clock,
            anchor: Mutex::new((Instant::now(), now)),
            holder: format!("{}-{now}-{:x}", std::process::id(), chance()),
            hearing: Mutex::new(Hearing::default()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Answers a question from what is committed.
    pub async fn query(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let answered = ask(&client, query.sql, &query.params).await;
        answered.map_err(|trouble| match trouble {
            Trouble::GiveWay => StoreError::Unavailable,
            Trouble::Answer(error) => error,
        })
    }

    /// Keeps a batch whole or not at all; answers when it is durable.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let store = self.clone();
        // In a task of its own: a caller who goes away must not leave a transaction open on a shared connection.
        let work = tokio::spawn(async move { commit::run(&store, &batch).await });
        let done = work.await.unwrap_or(Err(StoreError::Unavailable))?;
        Ok(Committed {
            at: done.at,
            seq: None,
        })
    }

    /// See [`Engine::upkeep`](crate::Engine::upkeep).
    pub async fn upkeep(&self, statements: Vec<Statement>) -> Result<u64, StoreError> {
        let store = self.clone();
        let batch = Batch {
            guards: Vec::new(),
            statements,
            events: Vec::new(),
        };
        let work = tokio::spawn(async move { commit::run(&store, &batch).await });
        Ok(work.await.unwrap_or(Err(StoreError::Unavailable))?.touched)
    }

    /// The database's clock as last read, carried forward by this machine's steady clock; or the injected one.
    pub fn now(&self) -> i64 {
        if let Some(clock) = &self.inner.clock {
            return clock.now();
        }
        let (read, at) = *self
            .inner
            .anchor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        at.saturating_add(i64::try_from(read.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// One round of the sequencer's job: take or keep the lease if it is free, number what is new, and hear whoever holds it.
    /// Answers the newest number.
    pub async fn sequence(&self) -> Result<i64, StoreError> {
        let store = self.clone();
        let work = tokio::spawn(async move { sequencer::round(&store).await });
        work.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// How long ago this node heard a sequencer beat; for ever if it never did.
    pub fn beat_age(&self) -> Duration {
        self.inner
            .hearing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .age()
    }

    async fn client(&self) -> Result<Object, StoreError> {
        self.inner.pool.get().await.map_err(|error| {
            tracing::warn!(error = cause(&error), "no database connection");
            StoreError::Unavailable
        })
    }

    fn saw_time(&self, at: i64) {
        *self
            .inner
            .anchor
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = (Instant::now(), at);
    }
}

fn pool(address: &str) -> Result<Pool, OpenError> {
    // The parser's error could quote the address, and with it a password.
    let mut config: tokio_postgres::Config = address
        .parse()
        .map_err(|_| OpenError::Unreachable("the PostgreSQL address cannot be read".to_owned()))?;
    if config.get_options().is_none() {
        config.options("-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(limits::POOL_WAIT);
    }
    config.application_name("countersign");
    let fast = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, NoTls, fast))
        .max_size(limits::POOL_MAX)
        .wait_timeout(Some(limits::POOL_WAIT))
        .create_timeout(Some(limits::POOL_WAIT))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| OpenError::Unreachable(error.to_string()))
}

async fn ask(
    client: &Object,
    sql: &'static str,
    params: &[crate::Value],
) -> Result<Vec<Row>, Trouble> {
    let statement = client
        .prepare_cached(sql)
        .await
        .map_err(|error| trouble(&error, sql))?;
    let found = client
        .query(&statement, &places(params))
        .await
        .map_err(|error| trouble(&error, sql))?;
    if found.len() > limits::ROWS_MAX {
        tracing::error!(sql, "a query returned more rows than any list may have");
        return Err(StoreError::Unavailable.into());
    }
    Ok(rows(sql, &found)?)
}

async fn db_now(client: &Object) -> Result<i64, OpenError> {
    let row = client
        .query_one(NOW, &[])
        .await
        .map_err(|error| OpenError::Unreachable(cause(&error)))?;
    row.try_get(0)
        .map_err(|error| OpenError::Unreachable(cause(&error)))
}

/// An error with what caused it, for the operator.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        text = format!("{text}: {inner}");
        next = inner.source();
    }
    text
}

/// Tells two nodes apart that started with one process id in one microsecond; nothing rests on it being hard to guess.
fn chance() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
