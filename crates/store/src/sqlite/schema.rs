//! Bringing an SQLite file to the schema of this program.

use rusqlite::{Connection, TransactionBehavior, params};

use super::connection::unreachable;
use crate::OpenError;
use crate::migrate::{self, Applied, Migration};

/// Applies what is missing, all in one transaction: of several processes that start at once, one does it and the others find it done.
pub(super) fn migrate(conn: &mut Connection, now: i64) -> Result<(), OpenError> {
    let work = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unreachable)?;
    work.execute_batch(&migrate::sqlite_text(migrate::MIGRATION_TABLE))
        .map_err(unreachable)?;
    for migration in migrate::missing(&applied(&work)?)? {
        apply(&work, migration, now)?;
    }
    work.commit().map_err(unreachable)
}

/// Runs one file and records it.
pub(super) fn apply(conn: &Connection, migration: &Migration, now: i64) -> Result<(), OpenError> {
    conn.execute_batch(&migrate::sqlite_text(migration.sql))
        .map_err(unreachable)?;
    conn.execute(
        migrate::sqlite_places(migrate::RECORD).as_str(),
        params![migration.id, migrate::digest(migration.sql), now],
    )
    .map_err(unreachable)?;
    Ok(())
}

pub(super) fn applied(conn: &Connection) -> Result<Vec<Applied>, OpenError> {
    let mut statement = conn.prepare(migrate::APPLIED).map_err(unreachable)?;
    let rows = statement
        .query_map([], |row| {
            Ok(Applied {
                id: row.get(0)?,
                sha256: row.get(1)?,
            })
        })
        .map_err(unreachable)?;
    rows.collect::<Result<_, _>>().map_err(unreachable)
}
