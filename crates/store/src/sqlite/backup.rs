//! Backup and restore of an SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::connection::{Durability, Link, Role, read_values, unreachable};
use super::memory::Memory;
use super::writer::{Job, Pulse, Writer};
use super::{Sqlite, blocking, create_private, schema};
use crate::backup::{self, Line, Lines, Manifest, Sink};
use crate::migrate::{self, Migration};
use crate::{Batch, Clock, OpenError, StoreError};

impl Sqlite {
    pub(crate) async fn backup(&self, target: PathBuf) -> Result<Manifest, OpenError> {
        let store = self.clone();
        blocking(move || {
            // One read transaction sees one moment, however long it takes; writers do not wait for it.
            let link = Link::open(store.path(), store.inner.durability, Role::Reader)?;
            link.conn.execute_batch("BEGIN").map_err(unreachable)?;
            let applied = schema::applied(&link.conn)?;
            let mut sink = Sink::create(target, store.now(), applied)?;
            for table in backup::tables(migrate::MIGRATIONS) {
                copy(&link.conn, table, &mut sink)?;
            }
            sink.finish()
        })
        .await
    }

    pub(crate) async fn restore(
        target: PathBuf,
        lines: Lines,
        after: Batch,
        clock: Arc<dyn Clock>,
    ) -> Result<Manifest, OpenError> {
        blocking(move || {
            if target.metadata().is_ok_and(|file| file.len() > 0) {
                return Err(OpenError::NotEmpty);
            }
            let mut partial = target.clone().into_os_string();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            let done = build(&partial, lines, after, clock).and_then(|manifest| {
                std::fs::rename(&partial, &target)
                    .map_err(|error| OpenError::Unreachable(error.to_string()))?;
                backup::sync_directory(&target);
                Ok(manifest)
            });
            if done.is_err() {
                for suffix in ["", "-wal", "-shm"] {
                    let mut left = partial.clone().into_os_string();
                    left.push(suffix);
                    let _ = std::fs::remove_file(left);
                }
            }
            done
        })
        .await
    }
}

fn copy(conn: &Connection, table: &str, sink: &mut Sink) -> Result<(), OpenError> {
    let mut statement = conn
        .prepare(&format!("SELECT * FROM {table}"))
        .map_err(unreachable)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    sink.table(table, columns)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(unreachable)? {
        sink.row(read_values(row, width)?)?;
    }
    Ok(())
}

/// Builds the whole store in a file of its own, in one transaction; the caller gives it its name when it is whole.
fn build(
    partial: &Path,
    mut lines: Lines,
    after: Batch,
    clock: Arc<dyn Clock>,
) -> Result<Manifest, OpenError> {
    if partial.exists() {
        return Err(OpenError::Unreachable(format!(
            "`{}` is in the way",
            partial.display()
        )));
    }
    create_private(partial)?;
    let link = Link::open(partial, Durability::Full, Role::Writer)?;
    let (earlier, later) = backup::split_at(&lines.migrations)?;
    let now = clock.now();
    link.conn
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(unreachable)?;
    link.conn
        .execute_batch(&migrate::sqlite_text(migrate::MIGRATION_TABLE))
        .map_err(unreachable)?;
    apply(&link.conn, earlier, now)?;
    load(&link.conn, &mut lines, &backup::tables(earlier))?;
    apply(&link.conn, later, now)?;
    let numbered = link
        .conn
        .execute(&migrate::sqlite_places(backup::NUMBER), [i64::MAX])
        .map_err(unreachable)?;
    let numbered = i64::try_from(numbered).map_err(|_| StoreError::Unavailable)?;
    link.conn
        .execute(
            &migrate::sqlite_places("UPDATE event_head SET seq = seq + $1 WHERE id = 'head'"),
            [numbered],
        )
        .map_err(unreachable)?;
    let mut writer = Writer {
        link,
        clock,
        pulse: Arc::new(Pulse::new()),
        memory: Arc::new(Memory::of(partial)),
        broken: false,
    };
    let (answer, _) = tokio::sync::oneshot::channel();
    let Batch {
        guards,
        statements,
        events,
    } = after;
    writer.last_of_restore(Job::new(guards, statements, events, answer))?;
    let conn = writer.link.conn;
    conn.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")
        .map_err(unreachable)?;
    conn.close().map_err(|(_, error)| unreachable(error))?;
    Ok(lines.manifest().clone())
}

fn apply(conn: &Connection, migrations: &[Migration], now: i64) -> Result<(), OpenError> {
    migrations
        .iter()
        .try_for_each(|migration| schema::apply(conn, migration, now))
}

fn load(conn: &Connection, lines: &mut Lines, known: &[&'static str]) -> Result<(), OpenError> {
    let mut insert = None;
    let mut rows = 0;
    while let Some(line) = lines.read()? {
        match line {
            Line::Table(table, columns) => {
                let sql = migrate::sqlite_places(&backup::insert(&table, &columns, known)?);
                conn.execute(&backup::clear(&table), [])
                    .map_err(unreachable)?;
                insert = Some(conn.prepare(&sql).map_err(unreachable)?);
            }
            Line::Row(values) => {
                let statement = insert
                    .as_mut()
                    .ok_or_else(|| OpenError::Damaged("rows without a table".to_owned()))?;
                statement
                    .execute(rusqlite::params_from_iter(values))
                    .map_err(unreachable)?;
                rows += 1;
            }
        }
    }
    if rows != lines.manifest().rows {
        return Err(OpenError::Damaged(
            "the number of rows is not what its last line says".to_owned(),
        ));
    }
    Ok(())
}
