//! The embedded engine: one file, one writing thread, readers beside it.

mod backup;
mod connection;
mod memory;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use self::connection::{Durability, Link, Role};
use self::memory::Memory;
use self::writer::{Done, Job, Order, Pulse, Writer};
use crate::statement::Kept;
use crate::{
    Batch, Clock, Committed, OpenError, Query, Row, Statement, StoreError, Value, limits,
};

/// A store in one file. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    durability: Durability,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    orders: Option<SyncSender<Order>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    memory: Arc<Memory>,
    /// A directory to delete at the end.
    ephemeral: Option<PathBuf>,
}

/// Connections nobody reads with at the moment. A small read takes a few microseconds, so it is done where it is asked, without
/// handing it to another thread, which would cost more than the read.
struct Readers {
    idle: Mutex<Idle>,
    returned: Condvar,
}

struct Idle {
    links: Vec<Link>,
    open: usize,
}

const READERS_MAX: usize = 16;

impl Sqlite {
    /// Opens the store in this file and creates it if it is not there.
    pub async fn open(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let path = path.into();
        blocking(move || Self::open_now(path, clock, Durability::Full, None)).await
    }

    /// A store that is deleted when it is closed and never waits for the disk.
    pub async fn ephemeral(clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        blocking(move || {
            let dir = fresh_directory()?;
            Self::open_now(dir.join("store.db"), clock, Durability::None, Some(dir))
        })
        .await
    }

    fn open_now(
        path: PathBuf,
        clock: Arc<dyn Clock>,
        durability: Durability,
        ephemeral: Option<PathBuf>,
    ) -> Result<Self, OpenError> {
        create_private(&path)?;
        let mut link = Link::open(&path, durability, Role::Writer)?;
        schema::migrate(&mut link.conn, clock.now())?;
        let reader = Link::open(&path, durability, Role::Reader)?;
        let pulse = Arc::new(Pulse::new());
        let memory = Arc::new(Memory::of(&path));
        let (orders, received) = sync_channel(limits::QUEUE_MAX_JOBS);
        let writer = Writer {
            link,
            clock: Arc::clone(&clock),
            pulse: Arc::clone(&pulse),
            memory: Arc::clone(&memory),
            broken: false,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&received))
            .map_err(|error| OpenError::Unreachable(error.to_string()))?;
        let readers = Readers {
            idle: Mutex::new(Idle {
                links: vec![reader],
                open: 1,
            }),
            returned: Condvar::new(),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                durability,
                clock,
                pulse,
                orders: Some(orders),
                writer: Some(writer),
                readers,
                memory,
                ephemeral,
            }),
        })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Answers a question from what is committed.
    pub async fn query(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        if query.long {
            let store = self.clone();
            return tokio::task::spawn_blocking(move || store.query_now(&query))
                .await
                .unwrap_or(Err(StoreError::Unavailable));
        }
        self.query_now(&query)
    }

    /// The noun in the first row of the answer: from memory, where the file would answer the same.
    pub(crate) async fn noun<T: Clone + Send + Sync + 'static>(
        &self,
        query: Query,
        kept: Kept,
        read: fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let memory = &self.inner.memory;
        let name = match query.params.first() {
            Some(Value::Text(name)) => name.clone(),
            _ => return Err(StoreError::Unavailable),
        };
        let ticket = match memory.find(kept, &name) {
            Ok(noun) => match noun.downcast_ref::<T>() {
                Some(noun) => return Ok(Some(noun.clone())),
                None => None,
            },
            Err(ticket) => ticket,
        };
        let rows = self.query(query).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let noun = read(row)?;
        memory.keep(ticket, kept, &name, row.text(0)?, Arc::new(noun.clone()));
        Ok(Some(noun))
    }

    fn query_now(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let mut link = self.reader()?;
        let rows = link.query(query.sql, &query.params);
        self.inner.readers.give_back(link);
        rows
    }

    fn reader(&self) -> Result<Link, StoreError> {
        let readers = &self.inner.readers;
        let mut idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(link) = idle.links.pop() {
                return Ok(link);
            }
            if idle.open < READERS_MAX {
                idle.open += 1;
                drop(idle);
                return Link::open(&self.inner.path, self.inner.durability, Role::Reader).map_err(
                    |_| {
                        readers
                            .idle
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .open -= 1;
                        StoreError::Unavailable
                    },
                );
            }
            idle = readers
                .returned
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Keeps a batch whole or not at all; answers when it is on the disk.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let Batch {
            guards,
            statements,
            events,
        } = batch;
        let done = self.write(guards, statements, events).await?;
        Ok(Committed {
            at: done.at,
            seq: done.seq,
        })
    }

    /// See [`Engine::upkeep`](crate::Engine::upkeep).
    pub async fn upkeep(&self, statements: Vec<Statement>) -> Result<u64, StoreError> {
        Ok(self
            .write(Vec::new(), statements, Vec::new())
            .await?
            .touched)
    }

    async fn write(
        &self,
        guards: Vec<crate::Guard>,
        statements: Vec<Statement>,
        events: Vec<crate::EventRow>,
    ) -> Result<Done, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Write(Job::new(guards, statements, events, answer)))?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }

    fn order(&self, order: Order) -> Result<(), StoreError> {
        let orders = self.inner.orders.as_ref().ok_or(StoreError::Unavailable)?;
        orders.try_send(order).map_err(|refused| {
            if matches!(refused, TrySendError::Disconnected(_)) {
                tracing::error!("the writing thread is gone");
            }
            StoreError::Unavailable
        })
    }

    /// The clock commits are judged by.
    pub fn now(&self) -> i64 {
        self.inner.clock.now()
    }

    /// How long ago the writer showed that it can write.
    pub fn beat_age(&self) -> Duration {
        Duration::from_micros(self.inner.pulse.age_us())
    }

    /// Whether the clock was found well behind the newest commit.
    pub fn clock_behind(&self) -> bool {
        self.inner.pulse.clock_behind()
    }

    /// Lets the database grow by so many pages and no further, as a full disk would.
    #[cfg(feature = "testing")]
    pub async fn fill_disk_after(&self, pages: u32) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Pages(pages, answer))?;
        answered.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

impl Readers {
    fn give_back(&self, link: Link) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .links
            .push(link);
        self.returned.notify_one();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when nobody can order any more; what is queued is still written.
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        if let Some(dir) = &self.ephemeral {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// Runs what waits for the disk away from the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(OpenError::Unreachable(
            "the thread that opened it ended early".to_owned(),
        ))
    })
}

/// Creates the file readable by its owner alone; SQLite gives its companions the same mode.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(|_| ())
        .map_err(|error| OpenError::Unreachable(format!("`{}`: {error}", path.display())))
}

fn fresh_directory() -> Result<PathBuf, OpenError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let base = std::env::temp_dir();
    for _ in 0..1_000 {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("countersign-{}-{n}", std::process::id()));
        if std::fs::create_dir(&dir).is_ok() {
            return Ok(dir);
        }
    }
    Err(OpenError::Unreachable(
        "no directory for temporary files".to_owned(),
    ))
}
