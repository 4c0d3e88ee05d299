//! One transaction, in two flights.
//!
//! 1. Sent together: `BEGIN`; the rows the batch rests on, locked in one order for all transactions (shared where they are only read,
//!    exclusive where the batch changes them); the clock; the statements; the events; the clock again, since statements may have waited.
//! 2. When all of that is answered and every guard holds: `COMMIT`; otherwise `ROLLBACK`.
//!
//! A transaction the database asks to give way (serialisation failure, deadlock) is run again a bounded number of times.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::join_all;

use super::value::{Trouble, places, trouble};
use super::{NOW, Postgres};
use crate::{Batch, Guard, Statement, StoreError, Table, Value, limits};

const APPEND: &str = "INSERT INTO event \
    (id, txn, kind, at, ceremony, session, person, device, client, body, place, written_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
    CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))";

/// What a transaction did.
pub(super) struct Done {
    pub(super) at: i64,
    pub(super) touched: u64,
}

pub(super) async fn run(store: &Postgres, batch: &Batch) -> Result<Done, StoreError> {
    for rerun in 0..=limits::RERUNS_MAX {
        if rerun > 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(rerun * rerun))).await;
        }
        let client = store.client().await?;
        match once(store, &client, batch).await {
            Ok(done) => return Ok(done),
            Err(Trouble::Answer(StoreError::Unavailable)) => {
                // Whatever state that connection is in, nobody else shall have it.
                drop(Object::take(client));
                return Err(StoreError::Unavailable);
            }
            Err(Trouble::Answer(error)) => return Err(error),
            Err(Trouble::GiveWay) => {}
        }
    }
    tracing::warn!("a transaction had to give way too often");
    Err(StoreError::Unavailable)
}

async fn once(store: &Postgres, client: &Object, batch: &Batch) -> Result<Done, Trouble> {
    end(store, client, batch, vec![Step::Begin]).await
}

/// Runs a batch as the end of a transaction that is already open, and commits or rolls back all of it.
pub(super) async fn finish(
    store: &Postgres,
    client: &Object,
    batch: &Batch,
) -> Result<Done, Trouble> {
    end(store, client, batch, Vec::new()).await
}

async fn end<'b>(
    store: &Postgres,
    client: &Object,
    batch: &'b Batch,
    start: Vec<Step<'b>>,
) -> Result<Done, Trouble> {
    let locks = locks(batch);
    let flight = Flight::load(client, batch, &locks, start).await?;
    let replies = flight.send(client).await;
    match judge(store, batch, &locks, &flight, replies) {
        Ok(done) => {
            client
                .batch_execute("COMMIT")
                .await
                .map_err(|error| trouble(&error, "COMMIT"))?;
            Ok(done)
        }
        Err(refused) => {
            client
                .batch_execute("ROLLBACK")
                .await
                .map_err(|error| trouble(&error, "ROLLBACK"))?;
            Err(refused)
        }
    }
}

/// The rows to lock, in the order every transaction locks them, and whether to change them.
type Locks<'b> = BTreeMap<(Table, &'b str), bool>;

fn locks(batch: &Batch) -> Locks<'_> {
    let mut locks = Locks::new();
    for guard in &batch.guards {
        if let Guard::Version { table, id, .. } = guard {
            locks.entry((*table, id.as_str())).or_insert(false);
        }
    }
    for (table, id) in batch.statements.iter().filter_map(Statement::target) {
        locks.insert((table, id), true);
    }
    // A single row that is changed and not guarded is locked well enough by its own statement.
    if batch
        .guards
        .iter()
        .all(|guard| !matches!(guard, Guard::Version { .. }))
        && locks.len() < 2
    {
        locks.clear();
    }
    locks
}

enum Step<'b> {
    Begin,
    /// A question of at most one whole number.
    Ask(&'static str, tokio_postgres::Statement, Vec<Value>),
    Change(
        &'static str,
        tokio_postgres::Statement,
        std::borrow::Cow<'b, [Value]>,
    ),
}

enum Reply {
    Begun,
    Number(Option<i64>),
    Touched(u64),
}

struct Flight<'b> {
    steps: Vec<Step<'b>>,
}

impl<'b> Flight<'b> {
    async fn load(
        client: &Object,
        batch: &'b Batch,
        locks: &Locks<'_>,
        mut steps: Vec<Step<'b>>,
    ) -> Result<Self, Trouble> {
        let prepare = async |sql: &'static str| {
            client
                .prepare_cached(sql)
                .await
                .map_err(|error| trouble(&error, sql))
        };
        for ((table, id), change) in locks {
            let sql = if *change {
                table.version_changing_sql()
            } else {
                table.version_shared_sql()
            };
            steps.push(Step::Ask(sql, prepare(sql).await?, vec![(*id).into()]));
        }
        let now = prepare(NOW).await?;
        steps.push(Step::Ask(NOW, now.clone(), Vec::new()));
        for statement in &batch.statements {
            steps.push(Step::Change(
                statement.sql,
                prepare(statement.sql).await?,
                (&statement.params).into(),
            ));
        }
        for (place, event) in (0_i64..).zip(&batch.events) {
            let mut values = Vec::from(event.clone().into_values());
            values.push(place.into());
            steps.push(Step::Change(APPEND, prepare(APPEND).await?, values.into()));
        }
        steps.push(Step::Ask(NOW, now, Vec::new()));
        Ok(Self { steps })
    }

    /// Sends everything before waiting for the first answer: the requests go out in the order the futures are first polled.
    async fn send(&self, client: &Object) -> Vec<Result<Reply, Trouble>> {
        join_all(self.steps.iter().map(|step| one(client, step))).await
    }
}

async fn one(client: &Object, step: &Step<'_>) -> Result<Reply, Trouble> {
    match step {
        Step::Begin => {
            client
                .batch_execute("BEGIN")
                .await
                .map_err(|error| trouble(&error, "BEGIN"))?;
            Ok(Reply::Begun)
        }
        Step::Ask(sql, statement, params) => {
            let row = client
                .query_opt(statement, &places(params))
                .await
                .map_err(|error| trouble(&error, sql))?;
            let number = row
                .map(|row| row.try_get(0))
                .transpose()
                .map_err(|error| trouble(&error, sql))?;
            Ok(Reply::Number(number))
        }
        Step::Change(sql, statement, params) => {
            let touched = client
                .execute(statement, &places(params))
                .await
                .map_err(|error| trouble(&error, sql))?;
            Ok(Reply::Touched(touched))
        }
    }
}

/// Holds the answers against the guards, in the order the caller gave them, then against what each statement had to touch.
fn judge(
    store: &Postgres,
    batch: &Batch,
    locks: &Locks<'_>,
    flight: &Flight<'_>,
    replies: Vec<Result<Reply, Trouble>>,
) -> Result<Done, Trouble> {
    let mut first_trouble = None;
    let mut numbers = Vec::with_capacity(locks.len() + 2);
    let mut touched = Vec::with_capacity(flight.steps.len());
    for reply in replies {
        match reply {
            Ok(Reply::Begun) => {}
            Ok(Reply::Number(number)) => numbers.push(number),
            Ok(Reply::Touched(rows)) => touched.push(rows),
            // After the first failure the server only says that the transaction has failed.
            Err(trouble) => {
                first_trouble.get_or_insert(trouble);
            }
        }
    }
    if matches!(
        first_trouble,
        Some(Trouble::GiveWay | Trouble::Answer(StoreError::Unavailable))
    ) || numbers.len() <= locks.len()
    {
        return Err(first_trouble.unwrap_or(Trouble::Answer(StoreError::Unavailable)));
    }
    let read = numbers
        .last()
        .copied()
        .flatten()
        .ok_or(StoreError::Unavailable)?;
    store.saw_time(read);
    let at = store.inner.clock.as_ref().map_or(read, |clock| clock.now());
    let versions: BTreeMap<_, _> = locks.keys().zip(&numbers).collect();
    for guard in &batch.guards {
        let kept = match guard {
            Guard::Version { table, id, .. } => {
                versions.get(&(*table, id.as_str())).and_then(|kept| **kept)
            }
            Guard::Before(_) | Guard::NotBefore(_) => None,
        };
        guard.holds(kept, at)?;
    }
    let mut total = 0;
    for (statement, rows) in batch.statements.iter().zip(&touched) {
        total += statement.judge(*rows)?;
    }
    first_trouble.map_or(Ok(Done { at, touched: total }), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_locked_in_one_order_whatever_the_batch_says() {
        let event = crate::EventRow {
            id: "e".into(),
            txn: "t".into(),
            kind: "k".into(),
            at: 0,
            ceremony: None,
            session: None,
            person: None,
            device: None,
            client: None,
            body: String::new(),
        };
        let batch = Batch::new(event)
            .guard(Guard::Version {
                table: Table::Session,
                id: "b".into(),
                version: 1,
            })
            .guard(Guard::Version {
                table: Table::Device,
                id: "z".into(),
                version: 1,
            })
            .guard(Guard::Version {
                table: Table::Session,
                id: "a".into(),
                version: 1,
            })
            .write(Statement::one(
                "UPDATE session SET x = 1 WHERE id = $1",
                ["b".into()],
            ));
        let order: Vec<_> = locks(&batch).into_iter().collect();
        assert_eq!(
            order,
            [
                ((Table::Device, "z"), false),
                ((Table::Session, "a"), false),
                ((Table::Session, "b"), true)
            ]
        );
    }
}
