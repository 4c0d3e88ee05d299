//! The only thread that writes.
//!
//! It takes what callers wait for and writes it as one durable group: `BEGIN IMMEDIATE`, a savepoint for each job, one `COMMIT`.
//! 1. A job that fails is rolled back to its savepoint; the others in the group do not notice.
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
use crate::{Clock, EventRow, Guard, Statement, StoreError, limits};

const HEAD: &str = "SELECT seq, at FROM event_head WHERE id = 'head'";
const HEAD_MOVE: &str = "UPDATE event_head SET seq = $1, at = $2 WHERE id = 'head'";
const APPEND: &str = "INSERT INTO event \
    (id, txn, kind, at, ceremony, session, person, device, client, body, seq, written_at, place) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

/// What a job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) at: i64,
    pub(super) seq: Option<i64>,
    pub(super) touched: u64,
}

/// One caller's transaction.
pub(super) struct Job {
    pub(super) guards: Vec<Guard>,
    pub(super) statements: Vec<Statement>,
    pub(super) events: Vec<EventRow>,
    pub(super) answer: oneshot::Sender<Result<Done, StoreError>>,
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
        let header = self.memory.begin();
        let start = self.head().map_err(whole)?;
        let mut head = start;
        let mut results = Vec::with_capacity(group.len());
        let mut changed = false;
        let mut moved = Vec::new();
        for job in group.iter_mut() {
            let (before, known) = (head, moved.len());
            self.link.execute("SAVEPOINT job", &[]).map_err(whole)?;
            let result = self.apply(job, &mut head, &mut moved);
            if result.is_err() {
                head = before;
                moved.truncate(known);
                // A full disk may have ended the whole transaction; then there is nothing to go back to, and this fails for all.
                self.link.execute("ROLLBACK TO job", &[]).map_err(whole)?;
            }
            self.link.execute("RELEASE job", &[]).map_err(whole)?;
            changed |= result.is_ok();
            results.push(result);
        }
        if head != start {
            self.link
                .execute(HEAD_MOVE, &[head.seq.into(), head.at.into()])
                .map_err(whole)?;
        }
        if !changed {
            self.link.execute("ROLLBACK", &[]).map_err(whole)?;
            return Ok(results);
        }
        if self.link.execute("COMMIT", &[]).is_err() {
            self.memory.lost();
            return Err(StoreError::Unavailable);
        }
        self.memory.committed(header, moved);
        Ok(results)
    }

    fn apply(&mut self, job: &mut Job, head: &mut Head, moved: &mut Vec<Moved>) -> Result<Done, StoreError> {
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
        let mut touched = 0;
        for statement in &mut job.statements {
            let rows = statement.judge(self.link.execute(statement.sql, &statement.params)?)?;
            touched += rows;
            if rows > 0 {
                moved.extend(Moved::by(statement));
            }
        }
        let mut seq = None;
        for (place, event) in (0_i64..).zip(job.events.drain(..)) {
            head.seq += 1;
            head.at = head.at.max(at);
            seq = Some(head.seq);
            let mut values = Vec::from(event.into_values());
            values.extend([head.seq.into(), at.into(), place.into()]);
            self.link.execute(APPEND, &values)?;
        }
        Ok(Done { at, seq, touched })
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
