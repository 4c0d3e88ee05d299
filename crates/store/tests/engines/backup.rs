//! A store in a file, and back, between all engines.

use std::path::{Path, PathBuf};

use countersign_store::conformance::{event, numbered};
use countersign_store::testing::Cluster;
use countersign_store::{Batch, Engine, OpenError, Query, Statement, Value, backup};

const BURN: &str = "INSERT INTO burn (id, expires_at) VALUES ($1, $2)";

/// A store with some of everything, on every kind of engine, in the order of their names.
async fn filled(address: &str) -> Engine {
    let engine = Engine::open(address).await.unwrap();
    for n in 0..30 {
        let burn = Statement::one(
            BURN,
            [format!("proof {n} \u{1F600} \"\\").into(), i64::MAX.into()],
        );
        engine
            .commit(Batch::new(event("before")).write(burn))
            .await
            .unwrap();
    }
    let meta = Statement::one(
        "INSERT INTO meta (name, value) VALUES ($1, $2)",
        ["k".into(), "v".into()],
    );
    engine
        .commit(Batch::new(event("meta")).write(meta))
        .await
        .unwrap();
    engine
}

fn after() -> Batch {
    Batch::new(event("restored")).write(Statement::any("DELETE FROM meta", []))
}

async fn burnt(engine: &Engine) -> Vec<(String, i64)> {
    let rows = engine
        .query(Query::new(
            "SELECT id, expires_at FROM burn ORDER BY id",
            [],
        ))
        .await
        .unwrap();
    let mut all: Vec<_> = rows
        .iter()
        .map(|row| (row.text(0).unwrap().to_owned(), row.int(1).unwrap()))
        .collect();
    all.sort();
    all
}

/// Takes a backup of one store and restores it into another, and holds both side by side.
async fn there_and_back(from: &str, to: &str, dir: &Path) {
    let old = filled(from).await;
    let file = dir.join("backup.jsonl");
    let taken = old.backup(&file).await.unwrap();
    assert_eq!(backup::check(&file).unwrap(), taken);
    let restored = backup::restore(to, &file, after()).await.unwrap();
    assert_eq!(restored, taken);

    let new = Engine::open(to).await.unwrap();
    assert_eq!(burnt(&new).await, burnt(&old).await);
    let before = numbered(&old).await;
    // The lease of the new store is free, whoever held that of the old one.
    let now = numbered(&new).await;
    assert_eq!(now[..before.len()], before[..]);
    assert_eq!(now.len(), before.len() + 1);
    assert_eq!(
        (now.last().unwrap().0, now.last().unwrap().1.txn.as_str()),
        (32, "restored")
    );
    let left = new
        .query(Query::new("SELECT name FROM meta", []))
        .await
        .unwrap();
    assert!(left.is_empty(), "the last batch of the restore was not run");
    new.commit(Batch::new(event("goes on"))).await.unwrap();
    assert_eq!(numbered(&new).await.last().unwrap().0, 33);

    assert_eq!(
        backup::restore(to, &file, after()).await,
        Err(OpenError::NotEmpty)
    );
    assert!(
        matches!(old.backup(&file).await, Err(OpenError::Unreachable(_))),
        "a backup is never overwritten"
    );
}

fn sqlite(dir: &Path, name: &str) -> String {
    format!("sqlite:{}", dir.join(name).display())
}

async fn postgres() -> Option<String> {
    Some(Cluster::shared().unwrap()?.database().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_comes_back_as_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    there_and_back(
        &sqlite(dir.path(), "a.db"),
        &sqlite(dir.path(), "b.db"),
        dir.path(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_comes_back_as_postgresql() {
    let (dir, Some(to)) = (tempfile::tempdir().unwrap(), postgres().await) else {
        return;
    };
    there_and_back(&sqlite(dir.path(), "a.db"), &to, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_comes_back_as_sqlite_with_every_event_numbered() {
    let (dir, Some(from)) = (tempfile::tempdir().unwrap(), postgres().await) else {
        return;
    };
    there_and_back(&from, &sqlite(dir.path(), "b.db"), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_comes_back_as_postgresql() {
    let (dir, Some(from)) = (tempfile::tempdir().unwrap(), postgres().await) else {
        return;
    };
    there_and_back(&from, &postgres().await.unwrap(), dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_sees_one_moment_while_the_store_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let engine = filled(&sqlite(dir.path(), "a.db")).await;
    // Enough events that copying them takes a while; the burns that belong to newer ones are copied after them.
    for _ in 0..20 {
        let mut batch = Batch::new(event("long ago"));
        for _ in 1..1_000 {
            batch = batch.event(event("long ago"));
        }
        engine.commit(batch).await.unwrap();
    }
    let writer = {
        let engine = engine.clone();
        tokio::spawn(async move {
            for n in 0..2_000 {
                let burn = Statement::one(BURN, [format!("during {n}").into(), 1.into()]);
                engine
                    .commit(Batch::new(event("during")).write(burn))
                    .await
                    .unwrap();
            }
        })
    };
    let file = dir.path().join("backup.jsonl");
    engine.backup(&file).await.unwrap();
    let during = !writer.is_finished();
    writer.await.unwrap();
    assert!(
        during,
        "the backup was not taken while the store was written"
    );
    backup::restore(&sqlite(dir.path(), "b.db"), &file, after())
        .await
        .unwrap();
    let new = Engine::open(&sqlite(dir.path(), "b.db")).await.unwrap();
    let events = numbered(&new).await;
    assert_eq!(
        burnt(&new).await.len() + 20_002,
        events.len(),
        "each burn has its event, beside those that have none"
    );
}

#[tokio::test]
async fn a_backup_that_was_cut_changed_or_extended_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    filled("sqlite::memory:").await.backup(&good).await.unwrap();
    let text = std::fs::read_to_string(&good).unwrap();
    let lines = text.lines().count();
    let bad = [
        String::new(),
        "hello\n".to_owned(),
        text[..text.len() - 1].to_owned(),
        text.lines()
            .take(lines - 1)
            .map(|line| format!("{line}\n"))
            .collect(),
        text.replacen("proof 7", "proof 8", 1),
        format!("{text}[]\n"),
        text.replacen("\"countersign_backup\":1", "\"countersign_backup\":2", 1),
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        let path = dir.path().join(format!("bad {n}"));
        std::fs::write(&path, bad).unwrap();
        let target = dir.path().join("target.db");
        let refused = backup::restore(&sqlite(dir.path(), "target.db"), &path, after()).await;
        assert!(
            matches!(refused, Err(OpenError::Damaged(_))),
            "{n}: {refused:?}"
        );
        assert!(!target.exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_whose_last_batch_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    filled("sqlite::memory:").await.backup(&file).await.unwrap();
    let missing = Statement::one("DELETE FROM meta WHERE name = $1", ["nothing".into()]);
    let refused = || Batch::new(event("restored")).write(missing.clone());
    let target = sqlite(dir.path(), "target.db");
    assert!(backup::restore(&target, &file, refused()).await.is_err());
    assert!(!dir.path().join("target.db").exists());
    let files: Vec<PathBuf> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files, *std::slice::from_ref(&file));
    let Some(address) = postgres().await else {
        return;
    };
    assert!(backup::restore(&address, &file, refused()).await.is_err());
    backup::restore(&address, &file, after()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    filled("sqlite::memory:").await.backup(&file).await.unwrap();
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn text_that_looks_like_something_else_stays_text() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open("sqlite::memory:").await.unwrap();
    let odd = Statement::one(
        "INSERT INTO meta (name, value) VALUES ($1, $2)",
        ["[\"x\"]".into(), "7".into()],
    );
    engine
        .commit(Batch::new(event("t")).write(odd))
        .await
        .unwrap();
    let file = dir.path().join("backup");
    engine.backup(&file).await.unwrap();
    let to = sqlite(dir.path(), "b.db");
    backup::restore(&to, &file, Batch::new(event("t")))
        .await
        .unwrap();
    let new = Engine::open(&to).await.unwrap();
    let row = new
        .first(Query::new("SELECT name, value FROM meta", []))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.value(0), row.value(1)),
        (Ok(&Value::from("[\"x\"]")), Ok(&Value::from("7")))
    );
}
