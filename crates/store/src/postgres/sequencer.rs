//! Numbers events in commit order: one node at a time, leased and fenced.
//!
//! Ids made by many nodes are not in commit order, and a counter inside every transaction would make them wait for each other. So events
//! are written without a number, and one node numbers what it can see:
//! 1. Who holds the lease renews it; who does not takes it only when it has run out, and the fence grows.
//! 2. Renewing names holder and fence. If the row says otherwise, this node was replaced, and nothing is numbered.
//! 3. Renewing and numbering are one transaction, and the lease row stays locked in it, so two nodes never number at once.
//! 4. An event whose commit another commit could see is numbered first: it was visible in an earlier round, or it was written at an
//!    earlier time of the one database clock.
#![expect(clippy::disallowed_methods, reason = "the age of a beat is measured on the monotonic clock")]

use std::time::{Duration, Instant};

use deadpool_postgres::Object;

use super::value::{Trouble, trouble};
use super::{NOW, Postgres, ask};
use crate::{StoreError, limits};

const LOOK: &str = "SELECT holder, fence, until, beat, \
    (SELECT seq FROM event_head WHERE id = 'head'), \
    EXISTS (SELECT 1 FROM event WHERE seq IS NULL) FROM lease WHERE id = 'sequencer'";
const TAKE: &str = "UPDATE lease SET holder = $1, fence = fence + 1, until = $2, beat = beat + 1 \
    WHERE id = 'sequencer' AND fence = $3 AND until <= $4";
const RENEW: &str = "UPDATE lease SET until = $2, beat = beat + 1 \
    WHERE id = 'sequencer' AND holder = $1 AND fence = $3";
const HEAD_MOVE: &str = "UPDATE event_head SET seq = seq + $1, at = $2 WHERE id = 'head'";

/// How often a leader with nothing to number beats.
const BEAT: Duration = Duration::from_millis(200);

/// What this node heard of the sequencer.
#[derive(Default)]
pub(super) struct Hearing {
    beat: Option<i64>,
    heard: Option<Instant>,
    /// The fence under which this node numbers, while it believes to hold the lease.
    fence: Option<i64>,
    renewed: Option<Instant>,
}

impl Hearing {
    pub(super) fn age(&self) -> Duration {
        self.heard.map_or(Duration::MAX, |heard| heard.elapsed())
    }

    /// The first beat seen may be an old one; a beat counts when it differs from the one before.
    fn saw(&mut self, beat: i64) {
        if self.beat.is_some_and(|before| before != beat) {
            self.heard = Some(Instant::now());
        }
        self.beat = Some(beat);
    }

    fn led(&mut self, fence: i64) {
        self.heard = Some(Instant::now());
        self.renewed = self.heard;
        self.fence = Some(fence);
        self.beat = None;
    }
}

struct Lease {
    holder: String,
    fence: i64,
    until: i64,
    beat: i64,
    head: i64,
    unnumbered: bool,
}

pub(super) async fn round(store: &Postgres) -> Result<i64, StoreError> {
    let client = store.client().await?;
    match turn(store, &client).await {
        Ok(head) => Ok(head),
        Err(stopped) => {
            // Whatever state that connection is in, nobody else shall have it.
            drop(Object::take(client));
            Err(match stopped {
                Trouble::GiveWay => StoreError::Unavailable,
                Trouble::Answer(error) => error,
            })
        }
    }
}

async fn turn(store: &Postgres, client: &Object) -> Result<i64, Trouble> {
    let now = now(store, client).await?;
    let believed = { hearing(store).fence };
    let lease = look(client).await?;
    // A node that believes to lead asks the fence, not the lease it has just read: that is what the fence is for.
    let (sql, fence) = match believed {
        Some(fence) => (RENEW, fence),
        None if lease.until <= now => (TAKE, lease.fence),
        None => {
            hearing(store).saw(lease.beat);
            return Ok(lease.head);
        }
    };
    let rested = {
        hearing(store)
            .renewed
            .is_some_and(|renewed| renewed.elapsed() < BEAT)
    };
    if believed.is_some() && rested && !lease.unnumbered && lease.holder == store.inner.holder {
        return Ok(lease.head);
    }
    execute(client, "BEGIN").await?;
    let until = now.saturating_add(limits::LEASE_US);
    let held = match believed {
        Some(_) => change(client, sql, &[&store.inner.holder, &until, &fence]).await?,
        None => change(client, sql, &[&store.inner.holder, &until, &fence, &now]).await?,
    };
    if held != 1 {
        execute(client, "ROLLBACK").await?;
        let mut hearing = hearing(store);
        if hearing.fence.take().is_some() {
            tracing::info!("another node numbers events now");
        }
        hearing.saw(lease.beat);
        return Ok(lease.head);
    }
    let numbered = change(client, crate::backup::NUMBER, &[&limits::NUMBERED_MAX]).await?;
    let numbered = i64::try_from(numbered).map_err(|_| StoreError::Unavailable)?;
    if numbered > 0 {
        change(client, HEAD_MOVE, &[&numbered, &now]).await?;
    } else {
        // A beat may be lost in a crash; a number may not.
        execute(client, "SET LOCAL synchronous_commit = off").await?;
    }
    execute(client, "COMMIT").await?;
    hearing(store).led(if believed.is_some() { fence } else { fence + 1 });
    // The head is read again: it moved if another node numbered between the look and the renewal.
    if numbered == 0 {
        Ok(lease.head)
    } else {
        Ok(look(client).await?.head)
    }
}

fn hearing(store: &Postgres) -> std::sync::MutexGuard<'_, Hearing> {
    store
        .inner
        .hearing
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn now(store: &Postgres, client: &Object) -> Result<i64, Trouble> {
    let rows = ask(client, NOW, &[]).await?;
    let read = rows.first().ok_or(StoreError::Unavailable)?.int(0)?;
    store.saw_time(read);
    Ok(store.inner.clock.as_ref().map_or(read, |clock| clock.now()))
}

async fn look(client: &Object) -> Result<Lease, Trouble> {
    let rows = ask(client, LOOK, &[]).await?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupt {
        table: "lease".to_owned(),
        column: "id".to_owned(),
        row: "sequencer".to_owned(),
    })?;
    Ok(Lease {
        holder: row.text(0)?.to_owned(),
        fence: row.int(1)?,
        until: row.int(2)?,
        beat: row.int(3)?,
        head: row.int(4)?,
        unnumbered: row.flag(5)?,
    })
}

async fn execute(client: &Object, sql: &'static str) -> Result<(), Trouble> {
    client
        .batch_execute(sql)
        .await
        .map_err(|error| trouble(&error, sql))
}

async fn change(
    client: &Object,
    sql: &'static str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<u64, Trouble> {
    let statement = client
        .prepare_cached(sql)
        .await
        .map_err(|error| trouble(&error, sql))?;
    client
        .execute(&statement, params)
        .await
        .map_err(|error| trouble(&error, sql))
}
