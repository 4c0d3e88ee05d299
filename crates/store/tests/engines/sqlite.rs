//! What only SQLite can show.

use countersign_store::conformance::{self, event, look, numbered, prepare, put};
use countersign_store::{Batch, Engine, OpenError, Query, Statement, StoreError};

use crate::{NOON, file};

fn address(dir: &tempfile::TempDir) -> String {
    format!("sqlite:{}", dir.path().join("store.db").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_what_was_acknowledged() {
    let ground = file().await.unwrap();
    conformance::a_full_disk_keeps_what_was_acknowledged(&ground.engine).await;
}

#[tokio::test]
async fn a_file_opened_again_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(&address(&dir)).await.unwrap();
    prepare(&engine).await;
    conformance::before_closing(&engine).await;
    drop(engine);
    let engine = Engine::open(&address(&dir)).await.unwrap();
    conformance::a_store_opened_again_holds_everything(&engine).await;
}

#[tokio::test]
async fn what_is_in_memory_is_gone_with_its_directory() {
    let engine = Engine::open("sqlite::memory:").await.unwrap();
    let Engine::Sqlite(store) = &engine else {
        panic!()
    };
    let path = store.path().to_owned();
    assert!(path.exists());
    drop(engine);
    assert!(!path.exists() && !path.parent().unwrap().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_fails_everyone_in_its_group() {
    let ground = file().await.unwrap();
    let engine = ground.engine.clone();
    engine
        .upkeep(vec![Statement::any(
            "CREATE TABLE child (id TEXT REFERENCES trial (id))",
            [],
        )])
        .await
        .unwrap();
    // Another process holds the file, so that everything asked for meanwhile becomes one group behind a first one.
    let Engine::Sqlite(store) = &engine else {
        panic!()
    };
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ask = |batch: Batch| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.commit(batch).await })
    };
    let first = ask(put("first"));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let orphan = Batch::new(event("orphan"))
        .write(Statement::any("PRAGMA defer_foreign_keys = ON", []))
        .write(Statement::one(
            "INSERT INTO child (id) VALUES ($1)",
            ["nobody".into()],
        ));
    let group = [ask(put("a")), ask(orphan), ask(put("b")), ask(put("first"))];
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    other.execute_batch("COMMIT").unwrap();
    first.await.unwrap().unwrap();
    for one in group {
        assert_eq!(one.await.unwrap(), Err(StoreError::Unavailable));
    }
    assert!(look(&engine, "a").await.is_none() && look(&engine, "b").await.is_none());
    assert_eq!(
        engine.commit(put("a")).await.unwrap().seq,
        Some(2),
        "no number was lost"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_number_their_events_in_one_row() {
    let ground = file().await.unwrap();
    let Engine::Sqlite(store) = &ground.engine else {
        panic!()
    };
    let address = format!("sqlite:{}", store.path().display());
    let clock =
        std::sync::Arc::clone(&ground.clock) as std::sync::Arc<dyn countersign_store::Clock>;
    let command = Engine::open_with(&address, clock).await.unwrap();
    let write = |engine: Engine, name: &'static str| {
        tokio::spawn(async move {
            for n in 0..50 {
                engine.commit(put(&format!("{name} {n}"))).await.unwrap();
            }
        })
    };
    let (server, command) = (
        write(ground.engine.clone(), "server"),
        write(command, "command"),
    );
    server.await.unwrap();
    command.await.unwrap();
    let all = numbered(&ground.engine).await;
    assert_eq!(
        all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        (1..=100).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_by_a_clock_that_went_back() {
    let ground = file().await.unwrap();
    ground.engine.commit(put("a")).await.unwrap();
    ground.clock.advance(-5_000_000);
    ground.engine.commit(put("b")).await.unwrap();
    assert!(!ground.engine.health().clock_behind);
    ground.clock.advance(-1);
    assert_eq!(
        ground.engine.commit(put("c")).await,
        Err(StoreError::Unavailable)
    );
    assert!(ground.engine.health().clock_behind);
    ground.clock.advance(5_000_001);
    assert_eq!(ground.engine.commit(put("c")).await.unwrap().at, NOON);
    assert!(!ground.engine.health().clock_behind);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_cannot_write_is_not_heard_until_it_can() {
    let ground = file().await.unwrap();
    let Engine::Sqlite(store) = &ground.engine else {
        panic!()
    };
    let heard = async |want: bool| {
        for _ in 0..200 {
            if (ground.engine.health().beat_age < std::time::Duration::from_secs(1)) == want {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        false
    };
    assert!(heard(true).await);
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        ground.engine.commit(put("a")).await,
        Err(StoreError::Unavailable)
    );
    assert!(heard(false).await, "a store that cannot write still beats");
    other.execute_batch("COMMIT").unwrap();
    assert!(
        heard(true).await,
        "a store that can write again does not beat"
    );
}

#[tokio::test]
async fn a_schema_file_that_changed_after_it_was_applied_is_refused_at_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(Engine::open(&address(&dir)).await.unwrap());
    let other = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    other
        .execute_batch("UPDATE migration SET sha256 = 'another' WHERE id = '0001_start'")
        .unwrap();
    let refused = Engine::open(&address(&dir)).await.err();
    assert_eq!(
        refused,
        Some(OpenError::Changed {
            migration: "0001_start".into()
        })
    );
    other
        .execute_batch("DELETE FROM migration; INSERT INTO migration VALUES ('9999_later', 'x', 0)")
        .unwrap();
    let refused = Engine::open(&address(&dir)).await.err();
    assert_eq!(
        refused,
        Some(OpenError::Newer {
            migration: "9999_later".into()
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_start_on_one_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let address = address(&dir);
            tokio::spawn(async move { Engine::open(&address).await.map(|_| ()) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let ground = file().await.unwrap();
    let Engine::Sqlite(store) = &ground.engine else {
        panic!()
    };
    ground
        .engine
        .query(Query::new("SELECT 1", []))
        .await
        .unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", store.path().display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn a_long_question_is_answered_too() {
    let ground = file().await.unwrap();
    let rows = ground
        .engine
        .query(Query::new("SELECT id FROM lease", []).long())
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn a_question_cannot_write() {
    let ground = file().await.unwrap();
    let refused = ground
        .engine
        .query(Query::new("DELETE FROM event_head RETURNING id", []))
        .await;
    assert_eq!(refused.map(|_| ()), Err(StoreError::Unavailable));
    assert_eq!(ground.engine.last_seq().await, Ok(0));
}
