//! Promises about many callers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{BURN, SPEND, event, look, numbered, on, put, step};
use crate::{Batch, Engine, Statement, StoreError};

const WRITERS: usize = 64;

/// Of two who move the same version, one wins; five hundred times.
pub async fn of_two_racers_one_wins(engine: &Engine) {
    engine.commit(put("prize")).await.unwrap();
    for round in 1..=500 {
        let race = |name: &'static str| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(step("prize", round, name)).await })
        };
        let (left, right) = (race("left"), race("right"));
        let (left, right) = (left.await.unwrap(), right.await.unwrap());
        let winner = match (left, right) {
            (Ok(_), Err(StoreError::Conflict)) => "left",
            (Err(StoreError::Conflict), Ok(_)) => "right",
            both => panic!("round {round}: {both:?}"),
        };
        let row = look(engine, "prize").await.unwrap();
        assert_eq!((row.int(1), row.text(2)), (Ok(round + 1), Ok(winner)));
    }
    assert_eq!(numbered(engine).await.len(), 501);
}

/// A batch that rests on a row and one that moves the row: never does the first come after the second.
pub async fn a_guard_holds_until_the_commit(engine: &Engine) {
    engine.commit(put("watched")).await.unwrap();
    for round in 1..=100 {
        let resting = {
            let engine = engine.clone();
            let batch = put(&format!("dependent {round}")).guard(on("watched", round));
            tokio::spawn(async move { engine.commit(batch).await })
        };
        let moving = {
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(step("watched", round, "moved")).await })
        };
        let (rested, moved) = (resting.await.unwrap(), moving.await.unwrap());
        moved.unwrap();
        let all = numbered(engine).await;
        let dependent = all
            .iter()
            .position(|(_, event)| event.txn == format!("dependent {round}"));
        let change = all
            .iter()
            .rposition(|(_, event)| event.txn == "watched")
            .unwrap();
        match rested {
            Ok(_) => assert!(
                dependent.unwrap() < change,
                "round {round}: recorded after the fact it rests on was gone"
            ),
            Err(StoreError::Conflict) => assert_eq!(dependent, None),
            Err(other) => panic!("round {round}: {other}"),
        }
    }
}

/// Batches that touch the same rows in opposite orders all come through.
pub async fn opposite_orders_do_not_lock_each_other_out(engine: &Engine) {
    for id in ["a", "b", "c"] {
        engine.commit(put(id)).await.unwrap();
    }
    let touch = |id: &str| {
        Statement::one(
            "UPDATE trial SET note = $2, version = version + 1 WHERE id = $1",
            [id.into(), "x".into()],
        )
    };
    let mut tasks = Vec::new();
    for n in 0..40 {
        let order = if n % 2 == 0 {
            ["a", "b", "c"]
        } else {
            ["c", "b", "a"]
        };
        let batch = order
            .iter()
            .fold(Batch::new(event("t")), |batch, id| batch.write(touch(id)));
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move { engine.commit(batch).await }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(look(engine, "b").await.unwrap().int(1), Ok(41));
}

/// Under sixty-four writers events are numbered without gaps, and an event whose commit was answered before another commit was asked
/// for has the smaller number. Those refused leave nothing.
pub async fn events_are_gapless_and_in_commit_order(engine: &Engine) {
    let ticks = Arc::new(AtomicU64::new(0));
    let sequencer = {
        let engine = engine.clone();
        tokio::spawn(async move {
            loop {
                let _ = engine.sequence().await;
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            }
        })
    };
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let (engine, ticks) = (engine.clone(), Arc::clone(&ticks));
        tasks.push(tokio::spawn(async move {
            let mut spans = Vec::new();
            for n in 0..20 {
                let id = format!("row {writer}.{n}");
                let start = ticks.fetch_add(1, Ordering::SeqCst);
                engine.commit(put(&id).event(event(&id))).await.unwrap();
                spans.push((id.clone(), start, ticks.fetch_add(1, Ordering::SeqCst)));
                assert_eq!(engine.commit(put(&id)).await, Err(StoreError::Conflict));
            }
            spans
        }));
    }
    let mut spans = std::collections::HashMap::new();
    for task in tasks {
        spans.extend(
            task.await
                .unwrap()
                .into_iter()
                .map(|(id, start, end)| (id, (start, end))),
        );
    }
    sequencer.abort();
    let _ = sequencer.await;
    let all = numbered(engine).await;
    assert_eq!(all.len(), WRITERS * 20 * 2);
    let mut latest_start = 0;
    let mut seen = std::collections::HashMap::new();
    for (i, (seq, event)) in all.iter().enumerate() {
        assert_eq!(*seq, i64::try_from(i).unwrap() + 1);
        let (start, end) = spans[&event.txn];
        assert!(
            end > latest_start,
            "event {seq} was answered before an earlier numbered one was asked for"
        );
        latest_start = latest_start.max(start);
        let first = seen.insert(&event.txn, &event.id);
        assert!(
            first.is_none_or(|first| *first < event.id),
            "events of one commit keep their order"
        );
    }
}

/// A name can be burnt once, however many try.
pub async fn a_name_is_burnt_once(engine: &Engine) {
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let engine = engine.clone();
        let burn = Statement::one(BURN, ["proof".into(), 99.into()]);
        tasks.push(tokio::spawn(async move {
            engine.commit(Batch::new(event("t")).write(burn)).await
        }));
    }
    let mut burnt = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => burnt += 1,
            Err(error) => assert_eq!(error, StoreError::Conflict),
        }
    }
    assert_eq!(burnt, 1);
    assert_eq!(numbered(engine).await.len(), 1);
}

/// A budget lets through exactly what it holds, however many try at once.
pub async fn a_budget_is_never_overspent(engine: &Engine) {
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let engine = engine.clone();
        let spend = Statement::one(SPEND, ["guesses".into(), 0.into(), 99.into(), 5.into()]);
        tasks.push(tokio::spawn(async move {
            engine.commit(Batch::new(event("t")).write(spend)).await
        }));
    }
    let mut spent = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => spent += 1,
            Err(error) => assert_eq!(error, StoreError::Conflict),
        }
    }
    assert_eq!(spent, 5);
}

/// A batch that fails among others takes nobody with it, and leaves nothing.
pub async fn a_bad_batch_among_good_ones_fails_alone(engine: &Engine) {
    let known = event("known");
    engine.commit(Batch::new(known.clone())).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..200 {
        let (engine, known) = (engine.clone(), known.clone());
        tasks.push(tokio::spawn(async move {
            let batch = put(&format!("row {n}"));
            let batch = match n % 5 {
                0 => batch.write(Statement::any("UPDATE nowhere SET a = 1", [])),
                1 => batch.guard(on("nobody", 1)),
                2 => batch.event(known),
                _ => batch,
            };
            (n, engine.commit(batch).await)
        }));
    }
    for task in tasks {
        let (n, result) = task.await.unwrap();
        match n % 5 {
            0 => assert_eq!(result, Err(StoreError::Unavailable)),
            1 | 2 => assert_eq!(result, Err(StoreError::Conflict)),
            _ => assert!(result.is_ok(), "{result:?}"),
        }
        assert_eq!(look(engine, &format!("row {n}")).await.is_some(), n % 5 > 2);
    }
    let all = numbered(engine).await;
    assert_eq!(all.len(), 81);
    assert_eq!(
        all.last().unwrap().0,
        81,
        "no number was lost to a refused batch"
    );
}

/// A caller who goes away neither undoes a commit nor leaves anything half done.
pub async fn a_caller_who_goes_away_leaves_nothing_half_done(engine: &Engine) {
    for n in 0..100_u64 {
        let id = format!("row {n}");
        let commit = engine.commit(put(&id).event(event(&id)));
        let _ = tokio::time::timeout(std::time::Duration::from_micros(n * 20), commit).await;
    }
    // Whoever comes next is served, by a store without open transactions.
    engine.commit(put("last")).await.unwrap();
    for _ in 0..100 {
        let waiting = numbered(engine).await;
        if waiting.len() == 201 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let all = numbered(engine).await;
    let rows = engine
        .first(crate::Query::new("SELECT COUNT(*) FROM trial", []))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        i64::try_from(all.len()).unwrap(),
        2 * (rows.int(0).unwrap() - 1) + 1
    );
}
