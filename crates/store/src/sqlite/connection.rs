//! One SQLite connection: its settings, its texts, binding and reading.
#![expect(clippy::disallowed_methods, reason = "opening waits for another starter, with a limit, before anything is served")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::statement::numbered_places;
use crate::value::Shape;
use crate::{OpenError, Row, StoreError, Value, limits};

/// How carefully a connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A commit is on the disk before it is answered.
    Full,
    /// For stores that are deleted at the end anyway.
    None,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The only one that writes.
    Writer,
    /// One of several that only read.
    Reader,
}

/// A connection with its rewritten texts. Texts are constants, so their address is their name.
pub(super) struct Link {
    pub(super) conn: Connection,
    texts: HashMap<(usize, usize), Text>,
}

#[derive(Clone)]
struct Text {
    sql: Arc<str>,
    shape: Option<Arc<Shape>>,
}

impl Link {
    pub(super) fn open(path: &Path, durability: Durability, role: Role) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(unreachable)?;
        conn.set_prepared_statement_cache_capacity(limits::STATEMENTS_MAX);
        // Without it a statement may be compiled anew whenever its values change.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(unreachable)?;
        conn.busy_timeout(Duration::from_millis(limits::BUSY_MS))
            .map_err(unreachable)?;
        let mode = enter_wal(&conn)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(OpenError::Unreachable(
                "the file system does not allow a write-ahead log".to_owned(),
            ));
        }
        let sync = match durability {
            Durability::Full => "FULL",
            Durability::None => "OFF",
        };
        conn.execute_batch(&format!(
            "PRAGMA synchronous = {sync}; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
             PRAGMA temp_store = MEMORY; PRAGMA mmap_size = {}; PRAGMA journal_size_limit = {}; PRAGMA wal_autocheckpoint = {}; {}",
            limits::MAPPED_BYTES,
            limits::WAL_KEPT_BYTES,
            limits::WAL_PAGES,
            match role {
                Role::Writer => "PRAGMA cache_size = -16000;",
                Role::Reader => "PRAGMA cache_size = -2000; PRAGMA query_only = ON;",
            }
        ))
        .map_err(unreachable)?;
        Ok(Self {
            conn,
            texts: HashMap::new(),
        })
    }

    fn text(&mut self, sql: &'static str) -> Text {
        self.texts
            .entry((sql.as_ptr() as usize, sql.len()))
            .or_insert_with(|| Text {
                sql: numbered_places(sql).into(),
                shape: None,
            })
            .clone()
    }

    /// Runs a question to its end.
    pub(super) fn query(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let text = self.text(sql);
        let failed = |error: rusqlite::Error| fault(&error, sql);
        let mut statement = self.conn.prepare_cached(&text.sql).map_err(failed)?;
        bind(&mut statement, sql, params)?;
        let (shape, fresh) = match text.shape {
            Some(shape) => (shape, false),
            None => {
                let columns = statement.column_names().map(str::to_owned).collect();
                (Arc::new(Shape::of(sql, columns)), true)
            }
        };
        let width = shape.columns.len();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            if found.len() >= limits::ROWS_MAX {
                tracing::error!(sql, "a query returned more rows than any list may have");
                return Err(StoreError::Unavailable);
            }
            let mut values = Vec::with_capacity(width);
            for i in 0..width {
                values.push(read(row.get_ref(i).map_err(failed)?, &shape, i)?);
            }
            found.push(Row::new(Arc::clone(&shape), values));
        }
        drop(rows);
        drop(statement);
        if fresh && let Some(text) = self.texts.get_mut(&(sql.as_ptr() as usize, sql.len())) {
            text.shape = Some(shape);
        }
        Ok(found)
    }

    /// The single whole number a question answers with, if there is a row.
    pub(super) fn query_int(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Option<i64>, StoreError> {
        let text = self.text(sql);
        let failed = |error: rusqlite::Error| fault(&error, sql);
        let mut statement = self.conn.prepare_cached(&text.sql).map_err(failed)?;
        bind(&mut statement, sql, params)?;
        let mut rows = statement.raw_query();
        match rows.next().map_err(failed)? {
            Some(row) => row.get::<_, i64>(0).map(Some).map_err(failed),
            None => Ok(None),
        }
    }

    /// Runs a change to its end and tells how many rows it touched.
    pub(super) fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<u64, StoreError> {
        let text = self.text(sql);
        let failed = |error: rusqlite::Error| fault(&error, sql);
        let mut statement = self.conn.prepare_cached(&text.sql).map_err(failed)?;
        bind(&mut statement, sql, params)?;
        if statement.column_count() == 0 {
            return statement
                .raw_execute()
                .map(|touched| touched as u64)
                .map_err(failed);
        }
        // RETURNING: each row returned is a row touched.
        let mut touched = 0;
        let mut rows = statement.raw_query();
        while rows.next().map_err(failed)?.is_some() {
            touched += 1;
        }
        Ok(touched)
    }
}

/// Turns on the write-ahead log. On a new file that several open at once, SQLite refuses some of them without waiting (they would wait
/// for each other), so the waiting is done here.
fn enter_wal(conn: &Connection) -> Result<String, OpenError> {
    let start = Instant::now();
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < Duration::from_millis(limits::BUSY_MS) =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            answered => return answered.map_err(unreachable),
        }
    }
}

pub(super) fn bind(
    statement: &mut rusqlite::Statement<'_>,
    sql: &str,
    params: &[Value],
) -> Result<(), StoreError> {
    if statement.parameter_count() != params.len() {
        tracing::error!(
            sql,
            given = params.len(),
            "a statement was given the wrong number of values"
        );
        return Err(StoreError::Unavailable);
    }
    for (i, value) in params.iter().enumerate() {
        statement
            .raw_bind_parameter(i + 1, value)
            .map_err(|error| fault(&error, sql))?;
    }
    Ok(())
}

/// A row of a table whose columns were not asked for by name.
pub(super) fn read_values(row: &rusqlite::Row<'_>, width: usize) -> Result<Vec<Value>, OpenError> {
    let shape = Shape::default();
    let one = |i| Ok(read(row.get_ref(i).map_err(unreachable)?, &shape, i)?);
    (0..width).map(one).collect()
}

fn read(value: ValueRef<'_>, shape: &Shape, i: usize) -> Result<Value, StoreError> {
    let corrupt = || StoreError::Corrupt {
        table: shape.table.to_owned(),
        column: shape.columns.get(i).cloned().unwrap_or_default(),
        row: String::new(),
    };
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(int) => Ok(Value::Int(int)),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .map(|text| Value::Text(text.to_owned()))
            .map_err(|_| corrupt()),
        ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
        ValueRef::Real(_) => Err(corrupt()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Int(int) => ValueRef::Integer(*int),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

/// What an SQLite error means to a caller. Messages may quote values, so only codes are logged.
pub(super) fn fault(error: &rusqlite::Error, sql: &str) -> StoreError {
    let Some(code) = error.sqlite_error() else {
        tracing::error!(sql, "a statement does not fit its values");
        return StoreError::Unavailable;
    };
    match (code.code, code.extended_code) {
        // Unique, primary key, row id, foreign key: the world is not as the decision took it to be.
        (ErrorCode::ConstraintViolation, 2067 | 1555 | 2579 | 787) => StoreError::Conflict,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
            tracing::error!(
                sql,
                code = code.extended_code,
                "the database file is damaged"
            );
            StoreError::Corrupt {
                table: String::new(),
                column: String::new(),
                row: String::new(),
            }
        }
        (_, extended) => {
            tracing::error!(sql, code = extended, "a statement failed");
            StoreError::Unavailable
        }
    }
}

pub(super) fn unreachable(error: rusqlite::Error) -> OpenError {
    OpenError::Unreachable(error.to_string())
}
