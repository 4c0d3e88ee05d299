//! Values and errors of PostgreSQL in the store's words.

use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::Shape;
use crate::{Row, StoreError, Value};

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Text(text) if <&str as ToSql>::accepts(ty) => text.as_str().to_sql(ty, out),
            Value::Bytes(bytes) if *ty == Type::BYTEA => bytes.as_slice().to_sql(ty, out),
            Value::Int(int) if *ty == Type::INT8 => int.to_sql(ty, out),
            Value::Int(int) if *ty == Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
            Value::Int(int) if *ty == Type::INT2 => i16::try_from(*int)?.to_sql(ty, out),
            Value::Text(_) | Value::Bytes(_) | Value::Int(_) => {
                Err(format!("a value does not fit `{ty}`").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *ty {
            Type::INT8 => i64::from_sql(ty, raw).map(Value::Int),
            Type::INT4 => i32::from_sql(ty, raw).map(|int| Value::Int(int.into())),
            Type::INT2 => i16::from_sql(ty, raw).map(|int| Value::Int(int.into())),
            Type::BOOL => bool::from_sql(ty, raw).map(Value::from),
            Type::BYTEA => Vec::<u8>::from_sql(ty, raw).map(Value::Bytes),
            _ if <String as FromSql>::accepts(ty) => String::from_sql(ty, raw).map(Value::Text),
            _ => Err(format!("`{ty}` is no kind of value the store keeps").into()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(super) fn places(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

pub(super) fn rows(
    sql: &'static str,
    found: &[tokio_postgres::Row],
) -> Result<Vec<Row>, StoreError> {
    let Some(first) = found.first() else {
        return Ok(Vec::new());
    };
    let columns = first
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let shape = Arc::new(Shape::of(sql, columns));
    let mut out = Vec::with_capacity(found.len());
    for row in found {
        let mut values = Vec::with_capacity(row.len());
        for i in 0..row.len() {
            values.push(
                row.try_get::<_, Value>(i)
                    .map_err(|_| StoreError::Corrupt {
                        table: shape.table.to_owned(),
                        column: shape.columns.get(i).cloned().unwrap_or_default(),
                        row: String::new(),
                    })?,
            );
        }
        out.push(Row::new(Arc::clone(&shape), values));
    }
    Ok(out)
}

/// What went wrong inside a transaction.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database chose this transaction to give way: nothing was kept, run it again.
    GiveWay,
    /// An answer for the caller.
    Answer(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

/// What a PostgreSQL error means. Messages and details may quote values, so only codes are logged.
pub(super) fn trouble(error: &tokio_postgres::Error, sql: &str) -> Trouble {
    let Some(code) = error.code() else {
        // The server says nothing: the connection is gone, or a value does not fit its place.
        tracing::warn!(sql, closed = error.is_closed(), "no answer to a statement");
        return Trouble::Answer(StoreError::Unavailable);
    };
    match code {
        &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Trouble::GiveWay,
        &SqlState::UNIQUE_VIOLATION | &SqlState::FOREIGN_KEY_VIOLATION => {
            Trouble::Answer(StoreError::Conflict)
        }
        &SqlState::CHARACTER_NOT_IN_REPERTOIRE => {
            tracing::warn!(sql, "a text that the database cannot hold");
            Trouble::Answer(StoreError::Unfit)
        }
        &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => {
            tracing::error!(sql, code = code.code(), "the database is damaged");
            Trouble::Answer(StoreError::Corrupt {
                table: String::new(),
                column: String::new(),
                row: String::new(),
            })
        }
        code => {
            tracing::error!(sql, code = code.code(), "a statement failed");
            Trouble::Answer(StoreError::Unavailable)
        }
    }
}
