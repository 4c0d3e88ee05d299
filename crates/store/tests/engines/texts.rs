//! Every SQL text of the nouns means something to both engines, and finds its rows by an index.

use std::collections::{BTreeMap, BTreeSet};

use countersign_store::testing::Cluster;
use countersign_store::{Engine, Table};
use tokio_postgres::types::Type;

/// Texts that may read a whole table, because it is always small.
const MAY_SCAN: &[&str] = &[
    // The server's own keys: a handful.
    "SELECT id, version, purpose, alg, state, public_key, sealed, made_at, serial FROM key WHERE state <> 'retired' ORDER BY made_at",
    // A restore ends everything that lived in the backup, once, before anything is served.
    "UPDATE code SET state = 'revoked', version = version + 1 WHERE state <> 'revoked'",
    "UPDATE request SET state = 'done', version = version + 1 WHERE state <> 'done'",
    "UPDATE oauth_grant SET ended = 'restored', version = version + 1 WHERE ended IS NULL",
    "UPDATE device SET unlocked_until = NULL WHERE unlocked_until IS NOT NULL",
];

/// The SQL texts in the sources of the nouns, with the macros that begin several texts alike put together.
fn texts() -> BTreeSet<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql");
    let mut all = BTreeSet::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let literals = literals(&source);
        let mut beginnings = BTreeMap::new();
        for (start, literal) in &literals {
            let before = &source[..*start];
            let in_macro = before
                .rfind("macro_rules! ")
                .filter(|at| !before[*at..].contains("\n}\n"));
            if let Some(at) = in_macro {
                let name = before[at + 13..].split(' ').next().unwrap().to_owned();
                beginnings.insert(format!("{name}!("), literal.clone());
                continue;
            }
            let begun = beginnings
                .iter()
                .find(|(call, _)| before.trim_end().ends_with(call.as_str()));
            if let Some((_, beginning)) = begun {
                all.insert(format!("{beginning}{literal}"));
            } else if ["SELECT ", "INSERT ", "UPDATE ", "DELETE "]
                .iter()
                .any(|verb| literal.starts_with(verb))
            {
                all.insert(literal.clone());
            }
        }
    }
    assert!(
        all.len() > 60,
        "only {} texts were found: does this test still understand the sources?",
        all.len()
    );
    all
}

/// String literals with where they start.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut chars = source.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        match c {
            // Comments and characters may hold a single quote.
            '/' if source[start..].starts_with("//") => {
                while chars.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '\'' if source[start..].starts_with("'\"'") => drop(chars.nth(1)),
            '"' => {
                let mut text = String::new();
                while let Some((_, c)) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some((_, '\n')) => {
                                while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
                            }
                            Some((_, escaped)) => text.push(escaped),
                            None => {}
                        },
                        c => text.push(c),
                    }
                }
                found.push((start, text));
            }
            _ => {}
        }
    }
    found
}

fn places(sql: &str) -> usize {
    (1..20)
        .rev()
        .find(|n| sql.contains(&format!("${n}")))
        .unwrap_or(0)
}

#[tokio::test]
async fn every_text_is_understood_by_sqlite_and_goes_by_an_index() {
    let engine = Engine::open("sqlite::memory:").await.unwrap();
    let Engine::Sqlite(store) = &engine else {
        panic!()
    };
    let conn = rusqlite::Connection::open(store.path()).unwrap();
    let mut scans = Vec::new();
    for text in texts() {
        let sql = text.replace('$', "?");
        let statement = conn
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(statement.parameter_count(), places(&text), "{text}");
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = vec![rusqlite::types::Null; places(&text)];
        let steps = plan
            .query_map(rusqlite::params_from_iter(nothing), |row| {
                row.get::<_, String>(3)
            })
            .unwrap();
        for step in steps {
            let step = step.unwrap();
            if step.starts_with("SCAN")
                && !step.contains("INDEX")
                && !MAY_SCAN.contains(&text.as_str())
            {
                scans.push(format!("{step}: {text}"));
            }
        }
    }
    assert!(
        scans.is_empty(),
        "these read a whole table:\n{}",
        scans.join("\n")
    );
}

#[tokio::test]
async fn every_text_is_understood_by_postgresql_with_the_same_places() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let address = cluster.database().await.unwrap();
    let _engine = Engine::open(&address).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let kept = [Type::TEXT, Type::INT8, Type::INT4, Type::BYTEA, Type::BOOL];
    for text in texts() {
        let statement = client
            .prepare(&text)
            .await
            .unwrap_or_else(|error| panic!("{text}: {:?}", error.as_db_error()));
        assert_eq!(statement.params().len(), places(&text), "{text}");
        for ty in statement
            .params()
            .iter()
            .chain(statement.columns().iter().map(|column| column.type_()))
        {
            assert!(
                kept.contains(ty),
                "{text}: `{ty}` is no kind of value the store keeps"
            );
        }
    }
}

#[tokio::test]
async fn every_table_that_can_be_guarded_is_there_with_id_and_version() {
    let mut addresses = vec!["sqlite::memory:".to_owned()];
    if let Some(cluster) = Cluster::shared().unwrap() {
        addresses.push(cluster.database().await.unwrap());
    }
    for address in addresses {
        let engine = Engine::open(&address).await.unwrap();
        for table in Table::ALL.iter().filter(|table| **table != Table::Trial) {
            let guard = countersign_store::Guard::Version {
                table: *table,
                id: "nothing".into(),
                version: 1,
            };
            let batch = countersign_store::Batch::new(countersign_store::conformance::event("t"))
                .guard(guard);
            let refused = engine.commit(batch).await;
            assert_eq!(
                refused,
                Err(countersign_store::StoreError::Conflict),
                "{}",
                table.name()
            );
        }
    }
}
