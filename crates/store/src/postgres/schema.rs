//! Bringing a PostgreSQL database to the schema of this program.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{cause, db_now};
use crate::migrate::{self, Applied, Migration};
use crate::{OpenError, limits};

enum Stopped {
    /// Another node is at the same work.
    Again,
    For(OpenError),
}

impl From<tokio_postgres::Error> for Stopped {
    fn from(error: tokio_postgres::Error) -> Self {
        let raced = [
            SqlState::UNIQUE_VIOLATION,
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_OBJECT,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        if error.code().is_some_and(|code| raced.contains(code)) {
            return Self::Again;
        }
        Self::For(OpenError::Unreachable(cause(&error)))
    }
}

impl From<OpenError> for Stopped {
    fn from(error: OpenError) -> Self {
        Self::For(error)
    }
}

/// Applies what is missing. Of several nodes that start at once one does it: each file's record is inserted before the file is run, so
/// the others wait for it, fail on the record, look again and find nothing missing.
pub(super) async fn migrate(client: &Object) -> Result<(), OpenError> {
    for rerun in 0..=limits::RERUNS_MAX {
        tokio::time::sleep(Duration::from_millis(u64::from(rerun * 50))).await;
        match once(client).await {
            Ok(()) => return Ok(()),
            Err(stopped) => {
                let _ = client.batch_execute("ROLLBACK").await;
                if let Stopped::For(error) = stopped {
                    return Err(error);
                }
            }
        }
    }
    Err(OpenError::Unreachable(
        "other nodes kept changing the schema".to_owned(),
    ))
}

async fn once(client: &Object) -> Result<(), Stopped> {
    client.batch_execute(migrate::MIGRATION_TABLE).await?;
    let now = db_now(client).await?;
    client.batch_execute("BEGIN").await?;
    let applied = applied(client).await?;
    for migration in migrate::missing(&applied)? {
        apply(client, migration, now).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Records one file and runs it.
pub(super) async fn apply(
    client: &Client,
    migration: &Migration,
    now: i64,
) -> Result<(), tokio_postgres::Error> {
    let record = [
        &migration.id as &(dyn ToSql + Sync),
        &migrate::digest(migration.sql),
        &now,
    ];
    client.execute(migrate::RECORD, &record).await?;
    client.batch_execute(migration.sql).await
}

pub(super) async fn applied(client: &Client) -> Result<Vec<Applied>, tokio_postgres::Error> {
    let rows = client.query(migrate::APPLIED, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                id: row.try_get(0)?,
                sha256: row.try_get(1)?,
            })
        })
        .collect()
}
