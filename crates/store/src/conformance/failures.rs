//! Promises about what fails.

use super::{event, look, numbered, on, put, step};
use crate::failing::{Failing, Fault};
use crate::{Batch, Engine, Query, Statement, StoreError};

/// What the double is told to lose is lost, and what it is told to keep is kept, over any engine.
pub async fn planned_failures_do_what_they_say(inner: &Engine) {
    let (engine, faults) = Failing::over(inner.clone());
    engine.commit(put("row")).await.unwrap();

    faults.next(Fault::Conflict);
    faults.next(Fault::Late);
    faults.next(Fault::BeforePersisting);
    assert_eq!(
        engine.commit(step("row", 1, "a")).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(
        engine.commit(step("row", 1, "b")).await,
        Err(StoreError::Late)
    );
    assert_eq!(
        engine.commit(step("row", 1, "c")).await,
        Err(StoreError::Unavailable)
    );
    assert_eq!(look(inner, "row").await.unwrap().int(1), Ok(1));

    faults.after(1, Fault::AfterPersisting);
    engine.commit(step("row", 1, "passes")).await.unwrap();
    assert_eq!(
        engine.commit(step("row", 2, "kept, and not heard")).await,
        Err(StoreError::Unavailable)
    );
    assert_eq!(
        look(inner, "row").await.unwrap().text(2),
        Ok("kept, and not heard")
    );
    // Who tries again is told that the fact has moved: the change happens once.
    assert_eq!(
        engine.commit(step("row", 2, "again")).await,
        Err(StoreError::Conflict)
    );
    assert_eq!(numbered(inner).await.len(), 3);

    faults.fail_reads(true);
    assert!(engine.query(Query::new("SELECT 1", [])).await.is_err());
    faults.fail_reads(false);
    engine.query(Query::new("SELECT 1", [])).await.unwrap();
    faults.deafen(true);
    assert!(engine.health().beat_age > std::time::Duration::from_secs(1));
    assert_eq!(faults.commits_seen(), 7);
}

/// The disk fills while sixty-four callers write: who was told yes is there, who was told no is not, and when there is room again the
/// store goes on without a gap.
pub async fn a_full_disk_keeps_what_was_acknowledged(engine: &Engine) {
    let Engine::Sqlite(store) = engine else {
        panic!("only SQLite fills a disk here")
    };
    store.fill_disk_after(40).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..256 {
        let engine = engine.clone();
        tasks.push(tokio::spawn(async move {
            let id = format!("row {n}");
            let note = "x".repeat(1_000 + 37 * n);
            let write = Statement::one(
                "UPDATE trial SET note = $2 WHERE id = $1",
                [(&id).into(), note.into()],
            );
            (
                id.clone(),
                engine.commit(put(&id).write(write).event(event(&id))).await,
            )
        }));
    }
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            (id, Ok(_)) => kept.push(id),
            (id, Err(StoreError::Unavailable)) => lost.push(id),
            (id, other) => panic!("{id}: {other:?}"),
        }
    }
    assert!(!lost.is_empty(), "the disk was not full");
    for id in &kept {
        assert!(
            look(engine, id).await.is_some(),
            "{id} was acknowledged and is gone"
        );
    }
    for id in &lost {
        assert!(
            look(engine, id).await.is_none(),
            "{id} was refused and is there"
        );
    }
    store.fill_disk_after(100_000).await.unwrap();
    engine.commit(put("afterwards")).await.unwrap();
    let all = numbered(engine).await;
    assert_eq!(all.len(), kept.len() * 2 + 1);
    assert_eq!(all.last().unwrap().0, i64::try_from(all.len()).unwrap());
}

/// What is in a store when it is closed is there when it is opened again. Run [`before_closing`] first.
pub async fn a_store_opened_again_holds_everything(engine: &Engine) {
    assert_eq!(look(engine, "kept").await.unwrap().text(2), Ok("moved"));
    engine
        .commit(step("kept", 2, "once more").guard(on("kept", 2)))
        .await
        .unwrap();
    let all = numbered(engine).await;
    assert_eq!(
        all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

/// See [`a_store_opened_again_holds_everything`].
pub async fn before_closing(engine: &Engine) {
    engine.commit(put("kept")).await.unwrap();
    engine.commit(step("kept", 1, "moved")).await.unwrap();
}

/// A batch of nothing but an event is a commit too.
pub async fn a_refusal_is_recorded_alone(engine: &Engine) {
    engine.commit(Batch::new(event("refused"))).await.unwrap();
    assert_eq!(numbered(engine).await[0].1.txn, "refused");
}
