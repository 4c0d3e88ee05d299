//! The only thread that writes.
//!
//! It takes what callers wait for and writes it as one durable group: `BEGIN IMMEDIATE`, job after job, one `COMMIT`.
//! 1. A job that fails leaves nothing, and the others in the group do not notice: most fail before they have changed anything; where one
//!    does not, the group is done again with a savepoint for each job (a savepoint copies every page that is changed under it).
//! 2. Nobody is answered before the commit: a refusal may rest on another job of the same group, so it holds only if that job does.
//! 3. If the commit fails, everyone in the group hears `Unavailable`.
//! 4. Events are numbered inside the transaction from a head row, because another process may write too.
#![expect(clippy::disallowed_methods, reason = "the age of a beat is measured on the monotonic clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::connection::Link;
use super::memory::{Memory, Moved};
use crate::{Clock, EventRow, Guard, Statement, StoreError, Value, limits};

const HEAD: &str = "SELECT seq, at FROM event_head WHERE id = 'head'";
const HEAD_MOVE: &str = "UPDATE event_head SET seq = $1, at = $2 WHERE id = 'head'";
const APPEND: &str = "INSERT INTO event \
    (id, txn, kind, at, ceremony, session, person, device, client, body, seq, written_at, place) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

/// Columns of an event that it brings along.
const EVENT_VALUES: usize = 10;

/// What the jobs of a group came to, and which statements of which jobs changed rows.
struct Outcome {
    results: Vec<Result<Done, StoreError>>,
    touched: Vec<(usize, usize)>,
}

/// What a job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) at: i64,
    pub(super) seq: Option<i64>,
    pub(super) touched: u64,
}

/// One caller's transaction.
pub(super) struct Job {
    guards: Vec<Guard>,
    statements: Vec<Statement>,
    /// Events as their columns; number, time and place come last.
    events: Vec<Vec<Value>>,
    answer: oneshot::Sender<Result<Done, StoreError>>,
}

impl Job {
    pub(super) fn new(
        guards: Vec<Guard>,
        statements: Vec<Statement>,
        events: Vec<EventRow>,
        answer: oneshot::Sender<Result<Done, StoreError>>,
    ) -> Self {
        let columns = |event: EventRow| {
            let mut values = Vec::with_capacity(13);
            values.extend(event.into_values());
            values
        };
        let events = events.into_iter().map(columns).collect();
        Self { guards, statements, events, answer }
    }
}

/// What reaches the writer.
pub(super) enum Order {
    Write(Job),
    /// Lets the database grow to so many pages and no further, as a full disk would.
    #[cfg(feature = "testing")]
    Pages(u32, oneshot::Sender<Result<(), StoreError>>),
}

/// When the writer last showed that it can write.
pub(super) struct Pulse {
    start: Instant,
    beat_us: AtomicU64,
    behind: AtomicBool,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            beat_us: AtomicU64::new(0),
            behind: AtomicBool::new(false),
        }
    }

    fn beat(&self) {
        let since = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.beat_us.store(since, Ordering::Relaxed);
    }

    pub(super) fn age_us(&self) -> u64 {
        let since = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        since.saturating_sub(self.beat_us.load(Ordering::Relaxed))
    }

    /// Whether the clock was found behind the newest commit.
    pub(super) fn clock_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }
}

pub(super) struct Writer {
    pub(super) link: Link,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) memory: Arc<Memory>,
    /// Whether the last group could not be kept; then an idle writer proves that it can write again before it beats.
    pub(super) broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Head {
    seq: i64,
    at: i64,
}

impl Writer {
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut group = Vec::new();
        loop {
            let mut order = match orders.recv_timeout(limits::TICK) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(next) = order.take() {
                match next {
                    Order::Write(job) => group.push(job),
                    #[cfg(feature = "testing")]
                    Order::Pages(pages, answer) => {
                        self.write(&mut group);
                        let _ = answer.send(self.limit_pages(pages));
                    }
                }
                if group.len() < limits::GROUP_MAX_JOBS {
                    order = orders.try_recv().ok();
                }
            }
            self.write(&mut group);
        }
    }

    /// Writes a group and answers everyone in it.
    fn write(&mut self, group: &mut Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let outcome = self.group(group);
        if outcome.is_err() && !self.link.conn.is_autocommit() {
            let _ = self.link.execute("ROLLBACK", &[]);
        }
        self.broken = outcome.is_err();
        if !self.broken {
            self.pulse.beat();
        }
        match outcome {
            Ok(results) => {
                for (job, result) in group.drain(..).zip(results) {
                    let _ = job.answer.send(result);
                }
            }
            Err(error) => {
                for job in group.drain(..) {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn group(&mut self, group: &mut [Job]) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        let whole = |_| StoreError::Unavailable;
        self.link.execute("BEGIN IMMEDIATE", &[]).map_err(whole)?;
        let mut header = self.memory.begin();
        let mut outcome = self.all(group, false)?;
        if outcome.is_none() {
            self.link.execute("ROLLBACK", &[]).map_err(whole)?;
            self.link.execute("BEGIN IMMEDIATE", &[]).map_err(whole)?;
            header = self.memory.begin();
            outcome = self.all(group, true)?;
        }
        let Outcome { results, touched } = outcome.ok_or(StoreError::Unavailable)?;
        if results.iter().all(Result::is_err) {
            self.link.execute("ROLLBACK", &[]).map_err(whole)?;
            return Ok(results);
        }
        if self.link.execute("COMMIT", &[]).is_err() {
            self.memory.lost();
            return Err(StoreError::Unavailable);
        }
        let moved = touched.into_iter().filter_map(|(job, n)| Moved::by(group.get_mut(job)?.statements.get_mut(n)?));
        self.memory.committed(header, moved.collect());
        Ok(results)
    }

    /// Does every job, each under a savepoint where they are kept `apart`. `None` where one failed that had changed something.
    fn all(&mut self, group: &mut [Job], apart: bool) -> Result<Option<Outcome>, StoreError> {
        let whole = |_| StoreError::Unavailable;
        let start = self.head().map_err(whole)?;
        let mut head = start;
        let mut results = Vec::with_capacity(group.len());
        let mut touched = Vec::new();
        for (n, job) in group.iter_mut().enumerate() {
            let before = head;
            if apart {
                self.link.execute("SAVEPOINT job", &[]).map_err(whole)?;
            }
            let mut own = Vec::new();
            let result = self.apply(job, &mut head, &mut own);
            match &result {
                Ok(_) => touched.extend(own.into_iter().map(|statement| (n, statement))),
                // A full disk may have ended the whole transaction; then there is nothing to go back to, and this fails for all.
                Err(_) if self.link.conn.is_autocommit() => return Err(StoreError::Unavailable),
                Err(_) if apart => self.link.execute("ROLLBACK TO job", &[]).map(|_| head = before).map_err(whole)?,
                Err(_) if own.is_empty() && head == before => {}
                Err(_) => return Ok(None),
            }
            if apart {
                self.link.execute("RELEASE job", &[]).map_err(whole)?;
            }
            results.push(result);
        }
        if head != start {
            self.link
                .execute(HEAD_MOVE, &[head.seq.into(), head.at.into()])
                .map_err(whole)?;
        }
        Ok(Some(Outcome { results, touched }))
    }

    /// Does one job; `touched` are its statements that changed rows, whatever became of it.
    fn apply(&mut self, job: &mut Job, head: &mut Head, touched: &mut Vec<usize>) -> Result<Done, StoreError> {
        let at = self.clock.now();
        let behind = at.saturating_add(limits::CLOCK_BEHIND_MAX_US) < head.at;
        self.pulse.behind.store(behind, Ordering::Relaxed);
        if behind {
            return Err(StoreError::Unavailable);
        }
        for guard in &job.guards {
            let kept = match guard {
                Guard::Version { table, id, .. } => {
                    self.link.query_int(table.version_sql(), &[id.into()])?
                }
                Guard::Before(_) | Guard::NotBefore(_) => None,
            };
            guard.holds(kept, at)?;
        }
        let mut rows = 0;
        for (n, statement) in job.statements.iter().enumerate() {
            let changed = self.link.execute(statement.sql, &statement.params)?;
            if changed > 0 {
                touched.push(n);
            }
            rows += statement.judge(changed)?;
        }
        let mut seq = None;
        for (place, event) in (0_i64..).zip(&mut job.events) {
            head.seq += 1;
            head.at = head.at.max(at);
            seq = Some(head.seq);
            event.truncate(EVENT_VALUES);
            event.extend([head.seq.into(), at.into(), place.into()]);
            self.link.execute(APPEND, event)?;
        }
        Ok(Done { at, seq, touched: rows })
    }

    /// The batch that ends a restore, inside the transaction the restore opened.
    pub(super) fn last_of_restore(&mut self, mut job: Job) -> Result<(), StoreError> {
        let mut head = self.head()?;
        self.apply(&mut job, &mut head, &mut Vec::new())?;
        self.link
            .execute(HEAD_MOVE, &[head.seq.into(), head.at.into()])?;
        Ok(())
    }

    fn head(&mut self) -> Result<Head, StoreError> {
        let rows = self.link.query(HEAD, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt {
            table: "event_head".to_owned(),
            column: "id".to_owned(),
            row: "head".to_owned(),
        })?;
        Ok(Head {
            seq: row.int(0)?,
            at: row.int(1)?,
        })
    }

    fn tick(&mut self) {
        if self.broken {
            let proof = [
                "BEGIN IMMEDIATE",
                "UPDATE event_head SET seq = seq",
                "COMMIT",
            ]
            .iter()
            .try_for_each(|sql| self.link.execute(sql, &[]).map(|_| ()));
            if proof.is_err() && !self.link.conn.is_autocommit() {
                let _ = self.link.execute("ROLLBACK", &[]);
            }
            self.broken = proof.is_err();
        }
        if !self.broken {
            self.pulse.beat();
        }
    }

    #[cfg(feature = "testing")]
    fn limit_pages(&mut self, pages: u32) -> Result<(), StoreError> {
        let now: u32 = self
            .link
            .conn
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(|_| StoreError::Unavailable)?;
        let most = now.saturating_add(pages);
        self.link
            .conn
            .query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))
            .map_err(|_| StoreError::Unavailable)
    }
}
