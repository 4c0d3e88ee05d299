//! What every engine promises, as tests over any engine.
//!
//! Each function takes an engine on an empty store that [`prepare`] has seen. They assert, so they belong in tests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "assertions of a test suite"
)]

mod failures;
mod memory;
mod races;

use std::sync::atomic::{AtomicU64, Ordering};

pub use failures::*;
pub use memory::*;
pub use races::*;

use crate::testing::HandClock;
use crate::{Batch, Engine, EventRow, Guard, Query, Row, Statement, StoreError, Table, Value};

const PUT: &str = "INSERT INTO trial (id, version, note) VALUES ($1, 1, $2)";
const MOVE: &str =
    "UPDATE trial SET note = $3, version = version + 1 WHERE id = $1 AND version = $2";
const LOOK: &str = "SELECT id, version, note FROM trial WHERE id = $1";
const BURN: &str =
    "INSERT INTO burn (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id";
const SPEND: &str = "INSERT INTO budget (id, window_start, count, expires_at) VALUES ($1, $2, 1, $3) \
    ON CONFLICT (id) DO UPDATE SET count = budget.count + 1 WHERE budget.count < $4";

/// Makes the table the suite works on.
pub async fn prepare(engine: &Engine) {
    let make = "CREATE TABLE trial (id TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, note TEXT, raw BYTEA)";
    engine.upkeep(vec![Statement::any(make, [])]).await.unwrap();
}

/// An event with an id of its own.
pub fn event(txn: &str) -> EventRow {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    EventRow {
        id: format!("e-{n:012}"),
        txn: txn.to_owned(),
        kind: "trial.moved".to_owned(),
        at: 7,
        ceremony: None,
        session: Some("s-1".to_owned()),
        person: None,
        device: None,
        client: Some("till".to_owned()),
        body: format!("{{\"n\":{n}}}"),
    }
}

/// A commit that puts one row.
pub fn put(id: &str) -> Batch {
    Batch::new(event(id)).write(Statement::one(PUT, [id.into(), Value::Null]))
}

/// A commit that moves one row.
pub fn step(id: &str, version: i64, note: &str) -> Batch {
    Batch::new(event(id)).write(Statement::one(
        MOVE,
        [id.into(), version.into(), note.into()],
    ))
}

/// The row, if it is there.
pub async fn look(engine: &Engine, id: &str) -> Option<Row> {
    engine.first(Query::new(LOOK, [id.into()])).await.unwrap()
}

fn on(id: &str, version: i64) -> Guard {
    Guard::Version {
        table: Table::Trial,
        id: id.to_owned(),
        version,
    }
}

/// All numbered events once everything written so far has its number.
pub async fn numbered(engine: &Engine) -> Vec<(i64, EventRow)> {
    for _ in 0..100 {
        engine.sequence().await.unwrap();
        let left = engine
            .first(Query::new(
                "SELECT COUNT(*) FROM event WHERE seq IS NULL",
                [],
            ))
            .await;
        if left.unwrap().unwrap().int(0) == Ok(0) {
            break;
        }
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |(seq, _)| *seq);
        let more = engine.events_after(after, 1_000).await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.extend(more.into_iter().map(|one| (one.seq, one.event)));
    }
}

/// Every kind of value comes back as it went in, and places may stand in any order.
pub async fn values_come_back_as_they_went_in(engine: &Engine) {
    let raw: Vec<u8> = (0..=255).collect();
    let text = "Zoë ✓ 'quoted' $1 \u{1F600}";
    let sql = "INSERT INTO trial (raw, note, version, id) VALUES ($4, $3, $2, $1)";
    for (id, int) in [("low", i64::MIN), ("high", i64::MAX)] {
        let write = Statement::one(
            sql,
            [id.into(), int.into(), text.into(), raw.clone().into()],
        );
        engine
            .commit(Batch::new(event("t")).write(write))
            .await
            .unwrap();
        let query = Query::new(
            "SELECT id, version, note, raw FROM trial WHERE id = $1",
            [id.into()],
        );
        let row = engine.first(query).await.unwrap().unwrap();
        assert_eq!(
            (row.text(0), row.int(1), row.text(2), row.bytes(3)),
            (Ok(id), Ok(int), Ok(text), Ok(&*raw))
        );
    }
    let empty = Statement::one(sql, ["none".into(), 1.into(), Value::Null, Value::Null]);
    engine
        .commit(Batch::new(event("t")).write(empty))
        .await
        .unwrap();
    let query = Query::new(
        "SELECT note, raw, version > 0, COUNT(*) FROM trial WHERE id = $1 GROUP BY 1, 2, 3",
        ["none".into()],
    );
    let row = engine.first(query).await.unwrap().unwrap();
    assert_eq!(
        (row.opt_text(0), row.opt_bytes(1), row.flag(2), row.int(3)),
        (Ok(None), Ok(None), Ok(true), Ok(1))
    );
    assert!(
        matches!(row.text(0), Err(StoreError::Corrupt { table, column, .. }) if table == "trial" && column == "note")
    );
    assert!(look(engine, "nobody").await.is_none());
}

/// A guard on a row that moved, or is gone, refuses the whole batch.
pub async fn a_guard_that_moved_refuses_the_whole_batch(engine: &Engine) {
    engine.commit(put("watched")).await.unwrap();
    engine.commit(step("watched", 1, "moved")).await.unwrap();
    for stale in [on("watched", 1), on("watched", 3), on("nobody", 1)] {
        let batch = put("dependent").guard(on("watched", 2)).guard(stale);
        assert_eq!(engine.commit(batch).await, Err(StoreError::Conflict));
        assert!(look(engine, "dependent").await.is_none());
    }
    engine
        .commit(put("dependent").guard(on("watched", 2)))
        .await
        .unwrap();
    // A batch may rest on the row it changes.
    engine
        .commit(step("watched", 2, "again").guard(on("watched", 2)))
        .await
        .unwrap();
    let refused = step("watched", 3, "never").guard(on("watched", 2));
    assert_eq!(engine.commit(refused).await, Err(StoreError::Conflict));
    assert_eq!(
        numbered(engine).await.len(),
        4,
        "a refused batch leaves no event"
    );
}

/// `Before` and `NotBefore` are judged by the clock at the write, to the microsecond.
pub async fn time_guards_are_judged_at_the_write(engine: &Engine, clock: &HandClock) {
    let now = engine.now();
    assert_eq!(
        engine.commit(put("a").guard(Guard::Before(now))).await,
        Err(StoreError::Late)
    );
    assert_eq!(
        engine
            .commit(put("a").guard(Guard::NotBefore(now + 1)))
            .await,
        Err(StoreError::Conflict)
    );
    assert!(look(engine, "a").await.is_none());
    let batch = put("a")
        .guard(Guard::Before(now + 1))
        .guard(Guard::NotBefore(now));
    assert_eq!(engine.commit(batch).await.unwrap().at, now);
    clock.advance(1);
    assert_eq!(
        engine.commit(put("b").guard(Guard::Before(now + 1))).await,
        Err(StoreError::Late)
    );
    engine
        .commit(put("b").guard(Guard::NotBefore(now + 1)))
        .await
        .unwrap();
    // The guard named first answers first, on every engine.
    let both = put("c").guard(Guard::Before(now)).guard(on("nobody", 1));
    assert_eq!(engine.commit(both).await, Err(StoreError::Late));
    let both = put("c").guard(on("nobody", 1)).guard(Guard::Before(now));
    assert_eq!(engine.commit(both).await, Err(StoreError::Conflict));
    let doomed = put("a").guard(Guard::Before(now));
    assert_eq!(
        engine.commit(doomed).await,
        Err(StoreError::Late),
        "guards answer before statements"
    );
}

/// A statement that must touch one row refuses the batch when it touches none or several.
pub async fn a_statement_that_misses_its_row_refuses_the_whole_batch(engine: &Engine) {
    engine.commit(put("a")).await.unwrap();
    engine.commit(put("b")).await.unwrap();
    assert_eq!(
        engine
            .commit(put("c").write(Statement::one(MOVE, ["a".into(), 9.into(), "x".into()])))
            .await,
        Err(StoreError::Conflict)
    );
    let several = Statement::one("UPDATE trial SET note = $1", ["x".into()]);
    assert_eq!(
        engine.commit(put("c").write(several)).await,
        Err(StoreError::Conflict)
    );
    assert!(look(engine, "c").await.is_none());
    assert_eq!(look(engine, "a").await.unwrap().opt_text(2), Ok(None));
    assert_eq!(
        engine.commit(put("a")).await,
        Err(StoreError::Conflict),
        "what exists is not made twice"
    );
    let any = Statement::any("UPDATE trial SET note = $1", ["x".into()]);
    engine
        .commit(Batch::new(event("t")).write(any))
        .await
        .unwrap();
    assert_eq!(look(engine, "b").await.unwrap().text(2), Ok("x"));
    let twice = event("t");
    engine.commit(Batch::new(twice.clone())).await.unwrap();
    assert_eq!(
        engine.commit(put("c").event(twice)).await,
        Err(StoreError::Conflict),
        "an event happens once"
    );
    assert!(look(engine, "c").await.is_none());
}

/// A text the database refuses is `Unavailable`, and the connection that met it still works.
pub async fn a_text_that_does_not_fit_leaves_no_trace(engine: &Engine) {
    let wrong = [
        Statement::any("UPDATE nowhere SET a = $1", [1.into()]),
        Statement::one(PUT, ["a".into()]),
        Statement::one(PUT, [Value::Null, Value::Null]),
    ];
    for wrong in wrong {
        assert_eq!(
            engine.commit(put("a").write(wrong)).await,
            Err(StoreError::Unavailable)
        );
        assert!(look(engine, "a").await.is_none());
    }
    assert!(
        engine
            .query(Query::new("SELECT nothing FROM nowhere", []))
            .await
            .is_err()
    );
    for n in 0..40 {
        engine.commit(put(&format!("row {n}"))).await.unwrap();
    }
}

/// Upkeep changes rows without a record.
pub async fn upkeep_needs_no_event(engine: &Engine) {
    for (id, end) in [("a", 5), ("b", 10), ("c", 15)] {
        let burn = Statement::one(BURN, [id.into(), end.into()]);
        engine
            .commit(Batch::new(event("t")).write(burn))
            .await
            .unwrap();
    }
    let clear = Statement::any("DELETE FROM burn WHERE expires_at <= $1", [10.into()]);
    assert_eq!(engine.upkeep(vec![clear]).await, Ok(2));
    assert_eq!(numbered(engine).await.len(), 3);
}

/// Events come back whole, in the order of their commits and of the list within a commit.
pub async fn events_come_back_in_order(engine: &Engine) {
    assert_eq!(engine.last_seq().await, Ok(0));
    let mut written = Vec::new();
    for n in 0..20 {
        let all: Vec<_> = (0..=n % 3).map(|_| event(&format!("txn {n}"))).collect();
        // Listed against the order of their ids: the list counts, not the ids.
        let mut batch = Batch::new(all[all.len() - 1].clone());
        for one in all.iter().rev().skip(1) {
            batch = batch.event(one.clone());
        }
        engine.commit(batch).await.unwrap();
        written.extend(all.into_iter().rev());
    }
    let read = numbered(engine).await;
    let gapless: Vec<i64> = (1..=i64::try_from(written.len()).unwrap()).collect();
    assert_eq!(
        read.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        gapless
    );
    assert_eq!(
        read.into_iter().map(|(_, event)| event).collect::<Vec<_>>(),
        written
    );
    let last = i64::try_from(written.len()).unwrap();
    assert_eq!(engine.last_seq().await, Ok(last));
    assert_eq!(
        engine.events_after(last - 2, 1).await.unwrap()[0].seq,
        last - 1
    );
    assert!(engine.events_after(last, 10).await.unwrap().is_empty());
}

/// The sequencer is heard while it works.
pub async fn a_working_sequencer_is_heard(engine: &Engine) {
    for _ in 0..3 {
        engine.sequence().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let age = engine.health().beat_age;
    assert!(age < std::time::Duration::from_secs(1), "{age:?}");
}
