//! A whole store in one file, and back, on either engine.
//!
//! The file is lines of JSON: a header with the schema it was taken from; for each table a line with its name and columns, then a line
//! for each row; at the end the number of rows and the SHA-256 of everything before. A backup of one engine restores into the other.
//! It holds what the store holds: sealed keys, digests of secrets, personal data. Keep it as carefully as the store itself.
//!
//! A restore is one transaction: the schema as it was, the rows, the schema's later files, and a last [`Batch`] of the caller's, which ends
//! what must not come back to life (sessions, codes) and records the restore.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use file::{Line, Lines, Sink, sync_directory};

use crate::migrate::{self, Applied, Migration};
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::{Batch, Clock, Engine, OpenError, SystemClock};

/// What a backup file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// When it was taken, by the store's clock, microseconds.
    pub at: i64,
    /// Rows in all tables.
    pub rows: u64,
    /// SHA-256 of its content, lower-case hexadecimal.
    pub sha256: String,
}

impl Engine {
    /// Writes everything the store holds at one moment into a new file, which only its owner can read. The store goes on working.
    ///
    /// # Errors
    /// When the file exists or cannot be written, or the store cannot be read. Nothing is left behind then.
    pub async fn backup(&self, path: &Path) -> Result<Manifest, OpenError> {
        match self {
            Self::Sqlite(store) => store.backup(path.to_owned()).await,
            Self::Postgres(store) => store.backup(path.to_owned()).await,
            #[cfg(feature = "testing")]
            Self::Failing(store) => Box::pin(store.inner().backup(path)).await,
        }
    }
}

/// Brings a backup into an empty database: a file that does not exist yet, or a PostgreSQL database without tables.
///
/// # Errors
/// When the file is damaged or newer than this program, the database is not empty, or `after` is refused. Nothing is left behind then.
pub async fn restore(address: &str, path: &Path, after: Batch) -> Result<Manifest, OpenError> {
    restore_with(address, path, after, None).await
}

/// The same with a clock of the caller's, for tests.
pub async fn restore_with(
    address: &str,
    path: &Path,
    after: Batch,
    clock: Option<Arc<dyn Clock>>,
) -> Result<Manifest, OpenError> {
    let lines = {
        let path = path.to_owned();
        crate::sqlite::blocking(move || Lines::open(&path)).await?
    };
    if crate::engine::is_postgres(address) {
        return Postgres::restore(address, lines, after, clock).await;
    }
    match address.strip_prefix("sqlite:") {
        Some(target) if !target.is_empty() && target != ":memory:" => {
            let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
            Sqlite::restore(PathBuf::from(target), lines, after, clock).await
        }
        _ => Err(OpenError::Address(crate::engine::without_user(address))),
    }
}

/// Reads a backup from end to end and tells what it holds, without a database.
///
/// # Errors
/// When it is damaged or newer than this program.
pub fn check(path: &Path) -> Result<Manifest, OpenError> {
    Lines::open(path).map(|lines| lines.manifest().clone())
}

/// Tables whose rows mean nothing elsewhere: what was applied is in the header, and who numbers events is for the new nodes to settle.
const LEFT_OUT: [&str; 2] = ["migration", "lease"];

/// The tables of a schema in the order they were made, which is an order in which their rows can be inserted.
pub(crate) fn tables(migrations: &[Migration]) -> Vec<&'static str> {
    let mut tables = Vec::new();
    for migration in migrations {
        for line in migration.sql.lines() {
            let mut words = line
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|w| !w.is_empty());
            match (words.next(), words.next(), words.next()) {
                (Some("CREATE"), Some("TABLE"), Some(name)) if !LEFT_OUT.contains(&name) => {
                    tables.push(name)
                }
                (Some("DROP"), Some("TABLE"), Some(name)) => tables.retain(|known| *known != name),
                (Some("ALTER"), Some("TABLE"), Some(name)) => {
                    let renamed = words.skip_while(|w| *w != "RENAME").nth(2);
                    if let (Some(at), Some(new)) = (tables.iter().position(|t| *t == name), renamed) {
                        tables.splice(at..=at, [new]);
                    }
                }
                _ => {}
            }
        }
    }
    tables
}

/// The schema a backup was taken from as (what to apply before its rows, what to apply after).
pub(crate) fn split_at(
    taken: &[Applied],
) -> Result<(&'static [Migration], &'static [Migration]), OpenError> {
    let later = migrate::missing(taken)?;
    let earlier = migrate::MIGRATIONS.len() - later.len();
    Ok(migrate::MIGRATIONS.split_at(earlier))
}

/// The statement that brings one row back. Names come from a file, so only plain words are let through.
pub(crate) fn insert(
    table: &str,
    columns: &[String],
    known: &[&'static str],
) -> Result<String, OpenError> {
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if !known.contains(&table) || columns.is_empty() || !columns.iter().all(|column| plain(column))
    {
        return Err(OpenError::Damaged(format!(
            "table `{table}` is not part of this schema"
        )));
    }
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    Ok(format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        columns.join(", "),
        places.join(", ")
    ))
}

/// Rows the new schema comes with (a head, a default) give way to those of the backup.
pub(crate) fn clear(table: &str) -> String {
    format!("DELETE FROM {table}")
}

/// Numbers what had no number when the backup was taken, so that nothing is lost on an engine that numbers at the write.
pub(crate) const NUMBER: &str = "UPDATE event SET seq = fresh.seq FROM (\
    SELECT id, (SELECT seq FROM event_head WHERE id = 'head') \
        + ROW_NUMBER() OVER (ORDER BY written_at, place, id) AS seq \
    FROM (SELECT id, written_at, place FROM event WHERE seq IS NULL \
        ORDER BY written_at, place, id LIMIT $1) AS unnumbered) AS fresh \
    WHERE event.id = fresh.id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_in_the_order_they_were_made_and_dropped_ones_not_at_all() {
        let one = Migration {
            id: "1",
            sql: "CREATE TABLE b (x TEXT);\nCREATE TABLE a (\nCREATE INDEX i ON a (x);\n",
        };
        let two = Migration {
            id: "2",
            sql: "DROP TABLE b;\nCREATE TABLE lease(\nCREATE TABLE c (\nALTER TABLE a RENAME TO d;\nALTER TABLE c ADD COLUMN e TEXT;",
        };
        assert_eq!(tables(&[one, two]), ["d", "c"]);
        assert_eq!(tables(migrate::MIGRATIONS)[0], "event");
    }

    #[test]
    fn names_that_are_no_plain_words_are_refused() {
        let known = ["event"];
        assert_eq!(
            insert("event", &["id".into(), "at".into()], &known).unwrap(),
            "INSERT INTO event (id, at) VALUES ($1, $2)"
        );
        for (table, column) in [
            ("nowhere", "id"),
            ("event", "id) VALUES (1); --"),
            ("event", ""),
        ] {
            assert!(insert(table, &[column.to_owned()], &known).is_err());
        }
    }
}
