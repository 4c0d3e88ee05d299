//! Every column of every table says what it holds.

use std::collections::{BTreeMap, BTreeSet};

use countersign_store::testing::Cluster;
use countersign_store::{Engine, Query};

const CLASSES: [&str; 4] = ["public", "personal", "secret-hash", "ciphertext"];

fn declared() -> BTreeSet<(String, String)> {
    let tables: BTreeMap<String, BTreeMap<String, String>> =
        toml::from_str(include_str!("../../columns.toml")).unwrap();
    let mut all = BTreeSet::new();
    for (table, columns) in tables {
        for (column, class) in columns {
            assert!(
                CLASSES.contains(&class.as_str()),
                "{table}.{column}: unknown class {class}"
            );
            all.insert((table.clone(), column));
        }
    }
    all
}

async fn real(engine: &Engine, sql: &'static str) -> BTreeSet<(String, String)> {
    let rows = engine.query(Query::new(sql, [])).await.unwrap();
    rows.iter()
        .map(|row| {
            (
                row.text(0).unwrap().to_owned(),
                row.text(1).unwrap().to_owned(),
            )
        })
        .collect()
}

fn compare(real: &BTreeSet<(String, String)>) {
    let declared = declared();
    let new: Vec<_> = real.difference(&declared).collect();
    let gone: Vec<_> = declared.difference(real).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "columns.toml does not know {new:?} and still has {gone:?}"
    );
}

#[tokio::test]
async fn every_column_of_sqlite_is_classified() {
    let engine = Engine::open("sqlite::memory:").await.unwrap();
    let sql = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    compare(&real(&engine, sql).await);
    let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'";
    assert!(
        engine
            .query(Query::new(loose, []))
            .await
            .unwrap()
            .is_empty(),
        "every table is strict"
    );
}

#[tokio::test]
async fn every_column_of_postgresql_is_classified() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let engine = Engine::open(&cluster.database().await.unwrap())
        .await
        .unwrap();
    let sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()";
    compare(&real(&engine, sql).await);
}
