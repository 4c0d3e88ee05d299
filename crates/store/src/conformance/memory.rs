//! What an engine may remember.

use super::{MOVE, event, put, step};
use crate::{Batch, Engine, Guard, Query, Row, Statement, StoreError, Table};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trial {
    version: i64,
    note: Option<String>,
}

fn read(row: &Row) -> Result<Trial, StoreError> {
    Ok(Trial { version: row.int(1)?, note: row.opt_text(2)?.map(str::to_owned) })
}

async fn by_id(engine: &Engine, id: &str) -> Option<Trial> {
    let query = Query::new("SELECT id, version, note FROM trial WHERE id = $1", [id.into()]);
    engine.noun(query.kept(Table::Trial, "id"), read).await.unwrap()
}

async fn by_note(engine: &Engine, note: &str) -> Option<Trial> {
    let query = Query::new("SELECT id, version, note FROM trial WHERE note = $1", [note.into()]);
    engine.noun(query.kept(Table::Trial, "note"), read).await.unwrap()
}

fn is(version: i64, note: &str) -> Option<Trial> {
    Some(Trial { version, note: Some(note.to_owned()) })
}

/// A change that says what the row becomes.
fn told(id: &str, version: i64, note: &str) -> Batch {
    let mut write = Statement::one(MOVE, [id.into(), version.into(), note.into()]);
    write.becomes = Some(crate::statement::Becomes {
        table: Table::Trial,
        id: id.to_owned(),
        names: vec![("id", id.to_owned()), ("note", note.to_owned())],
        noun: Arc::new(is(version + 1, note).unwrap()),
    });
    Batch::new(event(id)).write(write)
}

/// Whoever asks for a row hears what is in the store at that moment, whoever changed it and however often it was asked for. `other` is
/// another process on the same store.
pub async fn what_is_remembered_is_what_is_there(engine: &Engine, other: &Engine) {
    for id in ["a", "b"] {
        assert_eq!(by_id(engine, id).await, None);
        engine.commit(put(id)).await.unwrap();
    }
    let mut aside = 1;
    for n in 1..=20 {
        let (writer, note) = (if n % 3 == 0 { other } else { engine }, format!("note {n}"));
        let batch = if n % 2 == 0 { told("a", n, &note) } else { step("a", n, &note) };
        if n % 3 == 0 {
            // Another row, asked for only after the next own commit.
            other.commit(step("b", aside, "aside")).await.unwrap();
            aside += 1;
            engine.commit(put(&note)).await.unwrap();
        }
        writer.commit(batch).await.unwrap();
        for asked in [engine, other, engine] {
            assert_eq!(by_id(asked, "a").await, is(n + 1, &note));
            assert_eq!(by_note(asked, &note).await, is(n + 1, &note), "by another name");
            assert_eq!(by_note(asked, &format!("note {}", n - 1)).await, None, "a name it had before");
            assert_eq!(by_id(asked, "b").await.map(|b| b.version), Some(aside));
        }
    }
    for writer in [engine, other] {
        // Changes that name no row, and that no version tells.
        writer.upkeep(vec![Statement::any("UPDATE trial SET note = $1", ["all".into()])]).await.unwrap();
        assert_eq!((by_id(engine, "a").await, by_id(other, "b").await), (is(21, "all"), is(aside, "all")));
        writer.upkeep(vec![Statement::any("UPDATE trial SET note = $2 WHERE id = $1", ["b".into(), "one".into()])]).await.unwrap();
        assert_eq!((by_id(engine, "b").await, by_id(other, "b").await), (is(aside, "one"), is(aside, "one")));
    }
    let guard = Guard::Version { table: Table::Trial, id: "b".to_owned(), version: 99 };
    assert_eq!(engine.commit(told("a", 21, "not kept").guard(guard)).await, Err(StoreError::Conflict));
    assert_eq!(by_id(engine, "a").await, is(21, "all"), "a change that was not kept is not remembered");
    other.upkeep(vec![Statement::any("DELETE FROM trial WHERE id = $1", ["a".into()])]).await.unwrap();
    assert_eq!((by_id(engine, "a").await, by_id(other, "a").await), (None, None));
}

/// The same while both write as fast as they can: nobody ever hears of an older row than the last one that was acknowledged.
pub async fn what_is_remembered_never_goes_back(engine: &Engine, other: &Engine) {
    for id in ["left", "right"] {
        engine.commit(put(id)).await.unwrap();
    }
    let write = |engine: Engine, id: &'static str| {
        tokio::spawn(async move {
            for n in 1..=150 {
                let batch = if n % 2 == 0 { told(id, n, id) } else { step(id, n, id) };
                engine.commit(batch).await.unwrap();
                assert_eq!(by_id(&engine, id).await, is(n + 1, id));
            }
        })
    };
    let watch = |engine: Engine, id: &'static str| {
        tokio::spawn(async move {
            let mut last = 0;
            while last < 151 {
                let seen = by_id(&engine, id).await.unwrap().version;
                assert!(seen >= last, "{id} was {last} and is {seen}");
                last = seen;
                tokio::task::yield_now().await;
            }
        })
    };
    let all = [
        write(engine.clone(), "left"),
        write(other.clone(), "right"),
        watch(engine.clone(), "left"),
        watch(engine.clone(), "right"),
        watch(other.clone(), "left"),
        watch(other.clone(), "right"),
    ];
    for one in all {
        tokio::time::timeout(Duration::from_secs(60), one).await.unwrap().unwrap();
    }
}
