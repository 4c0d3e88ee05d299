//! A store that has grown: people with a device, a passkey, a running session, a grant and what the log says of them.

use countersign_store::{Engine, Statement, Value};

/// One statement for each table, each for people `$1` to `$2`.
const TEXTS: &str = include_str!("../../../../store/src/testing/grown.sql");

/// People that one step adds.
const STEP: i64 = 50_000;

/// Adds people until there are `people` of them.
pub async fn grow(engine: &Engine, from: i64, people: i64) {
    let mut first = from + 1;
    while first <= people {
        let last = (first + STEP - 1).min(people);
        for sql in TEXTS.split(';') {
            let values: [Value; 3] = [first.into(), last.into(), engine.now().into()];
            engine.upkeep(vec![Statement::any(sql, values)]).await.unwrap();
        }
        first = last + 1;
    }
}
