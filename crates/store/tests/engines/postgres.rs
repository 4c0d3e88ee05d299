//! What only PostgreSQL can show: several nodes on one store.

use std::sync::Arc;
use std::time::Duration;

use countersign_store::conformance::{self, event, numbered, prepare, put};
use countersign_store::testing::{Cluster, HandClock};
use countersign_store::{Batch, Clock, Engine, OpenError, Query, Statement, StoreError};

use crate::NOON;

async fn address() -> Option<String> {
    Some(Cluster::shared().unwrap()?.database().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_opened_again_holds_everything() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    prepare(&engine).await;
    conformance::before_closing(&engine).await;
    drop(engine);
    // The first node is gone; its lease runs out, and the next one numbers on.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let engine = Engine::open(&address).await.unwrap();
    conformance::a_store_opened_again_holds_everything(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequencer_that_was_replaced_numbers_nothing() {
    let Some(address) = address().await else {
        return;
    };
    let node = async || {
        let clock = HandClock::at(NOON);
        let engine = Engine::open_with(&address, Arc::clone(&clock) as Arc<dyn Clock>)
            .await
            .unwrap();
        (engine, clock)
    };
    let ((old, _), (new, new_clock)) = (node().await, node().await);
    old.commit(Batch::new(event("a"))).await.unwrap();
    assert_eq!(old.sequence().await, Ok(1), "the first to come leads");
    new.commit(Batch::new(event("b"))).await.unwrap();
    assert_eq!(
        new.sequence().await,
        Ok(1),
        "who does not hold the lease numbers nothing"
    );
    assert_eq!(fence(&new).await, 1);

    // The old node stops hearing the time; the new one sees the lease run out and takes it.
    new_clock.advance(10_000_000);
    assert_eq!(new.sequence().await, Ok(2));
    assert_eq!(fence(&new).await, 2);
    // The old node still believes to lead. Its fence is old, so it numbers nothing, also under a clock of its own.
    old.commit(Batch::new(event("c"))).await.unwrap();
    assert_eq!(old.sequence().await, Ok(2));
    assert_eq!(unnumbered(&old).await, 1);
    assert_eq!(old.sequence().await, Ok(2), "having learnt it, it follows");
    assert_eq!(new.sequence().await, Ok(3));
    assert_eq!(fence(&new).await, 2);
}

async fn fence(engine: &Engine) -> i64 {
    engine
        .first(Query::new("SELECT fence FROM lease", []))
        .await
        .unwrap()
        .unwrap()
        .int(0)
        .unwrap()
}

async fn unnumbered(engine: &Engine) -> i64 {
    let sql = "SELECT COUNT(*) FROM event WHERE seq IS NULL";
    engine
        .first(Query::new(sql, []))
        .await
        .unwrap()
        .unwrap()
        .int(0)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_number_at_once_leave_no_gap() {
    let Some(address) = address().await else {
        return;
    };
    let mut tasks = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        // Each node's clock runs far ahead of the last, so that all of them keep taking the lease from each other.
        let clock = HandClock::at(NOON);
        let engine = Engine::open_with(&address, Arc::clone(&clock) as Arc<dyn Clock>)
            .await
            .unwrap();
        nodes.push(engine.clone());
        for n in 0..4 {
            let engine = engine.clone();
            let clock = Arc::clone(&clock);
            tasks.push(tokio::spawn(async move {
                for _ in 0..25 {
                    engine.commit(Batch::new(event("t"))).await.unwrap();
                    if n == 0 {
                        clock.advance(4_000_000);
                    }
                    // A round that collides with another may fail; numbers may not.
                    let _ = engine.sequence().await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    for node in &nodes {
        let _ = node.sequence().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ahead = HandClock::at(NOON * 2);
    let last = Engine::open_with(&address, ahead as Arc<dyn Clock>)
        .await
        .unwrap();
    let all = numbered(&last).await;
    assert_eq!(
        all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        (1..=300).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_hears_the_sequencer_of_another_and_its_silence() {
    let Some(address) = address().await else {
        return;
    };
    let leader = Engine::open(&address).await.unwrap();
    let follower = Engine::open(&address).await.unwrap();
    assert!(
        follower.beat_age() > Duration::from_secs(1),
        "nothing was heard yet"
    );
    leader.sequence().await.unwrap();
    follower.sequence().await.unwrap();
    assert!(
        follower.beat_age() > Duration::from_secs(1),
        "one old beat is no sign of life"
    );
    tokio::time::sleep(Duration::from_millis(250)).await;
    leader.sequence().await.unwrap();
    follower.sequence().await.unwrap();
    assert!(follower.beat_age() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    follower.sequence().await.unwrap();
    assert!(
        follower.beat_age() > Duration::from_secs(1),
        "silence was not noticed"
    );
    tokio::time::sleep(Duration::from_millis(600)).await;
    follower.sequence().await.unwrap();
    assert!(
        follower.beat_age() < Duration::from_secs(1),
        "nobody took the lease that had run out"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_start_on_one_new_database_at_once() {
    let Some(address) = address().await else {
        return;
    };
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { Engine::open(&address).await.map(|_| ()) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_file_that_changed_after_it_was_applied_is_refused_at_start() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    let change = "UPDATE migration SET sha256 = 'another' WHERE id = '0001_start'";
    engine
        .upkeep(vec![countersign_store::Statement::one(change, [])])
        .await
        .unwrap();
    let refused = Engine::open(&address).await.err();
    assert_eq!(
        refused,
        Some(OpenError::Changed {
            migration: "0001_start".into()
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_costs_one_answer() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    prepare(&engine).await;
    engine.commit(put("a")).await.unwrap();
    let other = Engine::open(&address).await.unwrap();
    let cut = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    other.query(Query::new(cut, [])).await.unwrap();
    let mut failed = 0;
    for n in 0..20 {
        match engine.commit(put(&format!("row {n}"))).await {
            Ok(_) => {}
            Err(StoreError::Unavailable) => failed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(failed <= 2, "{failed}");
}

#[tokio::test]
async fn the_time_is_the_databases() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    let at = engine.commit(Batch::new(event("t"))).await.unwrap().at;
    assert!((engine.now() - at).abs() < 1_000_000);
    let guard = countersign_store::Guard::Before(at);
    assert_eq!(
        engine.commit(Batch::new(event("t")).guard(guard)).await,
        Err(StoreError::Late)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_no_transaction_open() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    prepare(&engine).await;
    let other = Engine::open(&address).await.unwrap();
    for round in 0..20_u64 {
        let gone: Vec<_> = (0..8)
            .map(|n| {
                let engine = engine.clone();
                let patience = Duration::from_micros((round * 8 + n) * 40);
                tokio::spawn(async move {
                    let commit = engine.commit(put(&format!("row {round} {n}")));
                    let _ = tokio::time::timeout(patience, commit).await;
                })
            })
            .collect();
        for one in gone {
            one.await.unwrap();
        }
        // What is still under way ends soon; a transaction nobody will end stays until its connection is used again.
        let mut open = i64::MAX;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            open = other
                .first(Query::new(sql, []))
                .await
                .unwrap()
                .unwrap()
                .int(0)
                .unwrap();
            if open == 0 {
                break;
            }
        }
        assert_eq!(open, 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_the_database_cannot_hold_is_refused_and_disturbs_nothing() {
    let Some(address) = address().await else {
        return;
    };
    let engine = Engine::open(&address).await.unwrap();
    prepare(&engine).await;
    let asked = engine
        .query(Query::new("SELECT id FROM burn WHERE id = $1", ["a\0b".into()]))
        .await;
    assert_eq!(asked.map(|rows| rows.len()), Err(StoreError::Unfit));
    let burn = "INSERT INTO burn (id, expires_at) VALUES ($1, $2)";
    let kept = engine
        .commit(Batch::new(event("nul")).write(Statement::one(burn, ["a\0b".into(), 1.into()])))
        .await;
    assert_eq!(kept.map(|_| ()), Err(StoreError::Unfit));
    engine
        .commit(Batch::new(event("after")).write(Statement::one(burn, ["ab".into(), 1.into()])))
        .await
        .unwrap();
}
