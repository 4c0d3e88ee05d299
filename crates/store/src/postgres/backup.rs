//! Backup and restore of a PostgreSQL database.

use std::path::PathBuf;
use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::TryStreamExt as _;

use super::value::{Trouble, places, trouble};
use super::{Postgres, cause, commit, schema};
use crate::backup::{self, Line, Lines, Manifest, Sink};
use crate::migrate;
use crate::{Batch, Clock, OpenError, StoreError, Value};

/// Rows sent before their answers are awaited.
const FLIGHT: usize = 200;

impl Postgres {
    pub(crate) async fn backup(&self, target: PathBuf) -> Result<Manifest, OpenError> {
        let store = self.clone();
        // A task of its own, and a connection nobody gets afterwards: a caller who goes away must not leave a transaction open.
        let work = tokio::spawn(async move {
            let client = Object::take(store.client().await?);
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
                SET LOCAL idle_in_transaction_session_timeout = 0";
            client.batch_execute(begin).await.map_err(unreachable)?;
            let applied = schema::applied(&client).await.map_err(unreachable)?;
            let mut sink = Sink::create(target, store.now(), applied)?;
            for table in backup::tables(migrate::MIGRATIONS) {
                let statement = client
                    .prepare(&format!("SELECT * FROM {table}"))
                    .await
                    .map_err(unreachable)?;
                sink.table(
                    table,
                    statement
                        .columns()
                        .iter()
                        .map(|column| column.name().to_owned())
                        .collect(),
                )?;
                let rows = client
                    .query_raw(&statement, std::iter::empty::<Value>())
                    .await
                    .map_err(unreachable)?;
                let mut rows = std::pin::pin!(rows);
                while let Some(row) = rows.try_next().await.map_err(unreachable)? {
                    let mut values = Vec::with_capacity(row.len());
                    for i in 0..row.len() {
                        values.push(row.try_get::<_, Value>(i).map_err(unreachable)?);
                    }
                    sink.row(values)?;
                }
            }
            sink.finish()
        });
        work.await
            .unwrap_or_else(|_| Err(StoreError::Unavailable.into()))
    }

    pub(crate) async fn restore(
        address: &str,
        lines: Lines,
        after: Batch,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Manifest, OpenError> {
        let store = Self::connect(address, clock).await?;
        let work = tokio::spawn(async move {
            let client = store.client().await?;
            let done = build(&store, &client, lines, &after).await;
            // Whatever happened, the connection ends here, and with it what was not committed.
            drop(Object::take(client));
            done
        });
        work.await
            .unwrap_or_else(|_| Err(StoreError::Unavailable.into()))
    }
}

async fn build(
    store: &Postgres,
    client: &Object,
    mut lines: Lines,
    after: &Batch,
) -> Result<Manifest, OpenError> {
    let (earlier, later) = backup::split_at(&lines.migrations)?;
    client
        .batch_execute("BEGIN; SET LOCAL statement_timeout = 0")
        .await
        .map_err(unreachable)?;
    let tables =
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()";
    let tables = client.query_one(tables, &[]).await.map_err(unreachable)?;
    if tables.try_get::<_, i64>(0).map_err(unreachable)? != 0 {
        return Err(OpenError::NotEmpty);
    }
    client
        .batch_execute(migrate::MIGRATION_TABLE)
        .await
        .map_err(unreachable)?;
    let now = store.now();
    for migration in earlier {
        schema::apply(client, migration, now)
            .await
            .map_err(unreachable)?;
    }
    load(client, &mut lines, &backup::tables(earlier)).await?;
    for migration in later {
        schema::apply(client, migration, now)
            .await
            .map_err(unreachable)?;
    }
    let numbered = client
        .execute(backup::NUMBER, &[&i64::MAX])
        .await
        .map_err(unreachable)?;
    let numbered = i64::try_from(numbered).map_err(|_| StoreError::Unavailable)?;
    let head = "UPDATE event_head SET seq = seq + $1 WHERE id = 'head'";
    client
        .execute(head, &[&numbered])
        .await
        .map_err(unreachable)?;
    match commit::finish(store, client, after).await {
        Ok(_) => Ok(lines.manifest().clone()),
        Err(Trouble::Answer(error)) => Err(error.into()),
        Err(Trouble::GiveWay) => Err(StoreError::Unavailable.into()),
    }
}

async fn load(client: &Object, lines: &mut Lines, known: &[&'static str]) -> Result<(), OpenError> {
    let mut insert = None;
    let mut waiting: Vec<Vec<Value>> = Vec::with_capacity(FLIGHT);
    let mut rows = 0;
    loop {
        let line = lines.read()?;
        if waiting.len() >= FLIGHT || !matches!(line, Some(Line::Row(_))) {
            send(client, insert.as_ref(), &mut waiting).await?;
        }
        match line {
            Some(Line::Table(table, columns)) => {
                let sql = backup::insert(&table, &columns, known)?;
                client
                    .batch_execute(&backup::clear(&table))
                    .await
                    .map_err(unreachable)?;
                insert = Some(client.prepare(&sql).await.map_err(unreachable)?);
            }
            Some(Line::Row(values)) => {
                rows += 1;
                waiting.push(values);
            }
            None => break,
        }
    }
    if rows != lines.manifest().rows {
        return Err(OpenError::Damaged(
            "the number of rows is not what its last line says".to_owned(),
        ));
    }
    Ok(())
}

async fn send(
    client: &Object,
    insert: Option<&tokio_postgres::Statement>,
    waiting: &mut Vec<Vec<Value>>,
) -> Result<(), OpenError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let insert = insert.ok_or_else(|| OpenError::Damaged("rows without a table".to_owned()))?;
    let one = async |values: &Vec<Value>| {
        let answered = client.execute(insert, &places(values)).await;
        answered.map_err(|error| {
            // Its message may quote the row.
            let _ = trouble(&error, "a row of a backup");
            OpenError::Damaged("a row does not fit its table".to_owned())
        })
    };
    for answered in futures_util::future::join_all(waiting.iter().map(one)).await {
        answered?;
    }
    waiting.clear();
    Ok(())
}

fn unreachable(error: tokio_postgres::Error) -> OpenError {
    OpenError::Unreachable(cause(&error))
}
