//! What a column can hold, and rows of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::StoreError;

/// One column's value. Booleans are 0 and 1, times are microseconds, JSON is text.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// TEXT.
    Text(String),
    /// BIGINT.
    Int(i64),
    /// BYTEA.
    Bytes(Vec<u8>),
    /// Nothing.
    Null,
}

/// Says what kind of value it is and how long, never the value: rows hold personal data and digests of secrets.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Int(_) => f.write_str("Int"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Null => f.write_str("Null"),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(i64::from(flag))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What the columns of a result are called; shared by all its rows, so that an unreadable value can be named.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    pub(crate) columns: Vec<String>,
}

impl Shape {
    pub(crate) fn of(sql: &'static str, columns: Vec<String>) -> Self {
        Self {
            table: crate::statement::first_table(sql),
            columns,
        }
    }
}

/// One row of a result. Accessors go by position and answer [`StoreError::Corrupt`] for anything but the kind asked for.
#[derive(Clone, Debug)]
pub struct Row {
    shape: Arc<Shape>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(shape: Arc<Shape>, values: Vec<Value>) -> Self {
        Self { shape, values }
    }

    /// A row that came from no query, for tests of code that reads rows.
    pub fn of(values: impl Into<Vec<Value>>) -> Self {
        Self {
            shape: Arc::new(Shape::default()),
            values: values.into(),
        }
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value as it is.
    pub fn value(&self, i: usize) -> Result<&Value, StoreError> {
        self.values.get(i).ok_or_else(|| self.corrupt(i))
    }

    /// Text.
    pub fn text(&self, i: usize) -> Result<&str, StoreError> {
        self.opt_text(i)?.ok_or_else(|| self.corrupt(i))
    }

    /// Text or nothing.
    pub fn opt_text(&self, i: usize) -> Result<Option<&str>, StoreError> {
        match self.value(i)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Int(_) | Value::Bytes(_) => Err(self.corrupt(i)),
        }
    }

    /// A whole number.
    pub fn int(&self, i: usize) -> Result<i64, StoreError> {
        self.opt_int(i)?.ok_or_else(|| self.corrupt(i))
    }

    /// A whole number or nothing.
    pub fn opt_int(&self, i: usize) -> Result<Option<i64>, StoreError> {
        match self.value(i)? {
            Value::Int(int) => Ok(Some(*int)),
            Value::Null => Ok(None),
            Value::Text(_) | Value::Bytes(_) => Err(self.corrupt(i)),
        }
    }

    /// A whole number that is 0 or 1.
    pub fn flag(&self, i: usize) -> Result<bool, StoreError> {
        match self.int(i)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt(i)),
        }
    }

    /// Bytes.
    pub fn bytes(&self, i: usize) -> Result<&[u8], StoreError> {
        self.opt_bytes(i)?.ok_or_else(|| self.corrupt(i))
    }

    /// Bytes or nothing.
    pub fn opt_bytes(&self, i: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.value(i)? {
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Null => Ok(None),
            Value::Text(_) | Value::Int(_) => Err(self.corrupt(i)),
        }
    }

    /// Text that reads as a `T`: an id, a state, a kind.
    pub fn parsed<T: FromStr>(&self, i: usize) -> Result<T, StoreError> {
        self.text(i)?.parse().map_err(|_| self.corrupt(i))
    }

    /// Text that reads as a `T`, or nothing.
    pub fn opt_parsed<T: FromStr>(&self, i: usize) -> Result<Option<T>, StoreError> {
        self.opt_text(i)?
            .map(|text| text.parse().map_err(|_| self.corrupt(i)))
            .transpose()
    }

    /// What to answer when the value at `i` was read but makes no sense.
    pub fn corrupt(&self, i: usize) -> StoreError {
        let row = match (
            self.shape.columns.first().map(String::as_str),
            self.values.first(),
        ) {
            (Some("id"), Some(Value::Text(id))) => id.clone(),
            _ => String::new(),
        };
        StoreError::Corrupt {
            table: self.shape.table.to_owned(),
            column: self
                .shape
                .columns
                .get(i)
                .cloned()
                .unwrap_or_else(|| format!("column {i}")),
            row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_kind_is_named_by_table_column_and_row() {
        let shape = Shape::of(
            "SELECT id, name FROM device WHERE id = $1",
            vec!["id".to_owned(), "name".to_owned()],
        );
        let row = Row::new(Arc::new(shape), vec!["d-1".into(), 7.into()]);
        assert_eq!(
            row.text(1),
            Err(StoreError::Corrupt {
                table: "device".into(),
                column: "name".into(),
                row: "d-1".into()
            })
        );
        assert_eq!(row.int(1), Ok(7));
        assert!(row.int(2).is_err(), "a column that is not there is no zero");
        assert!(row.flag(1).is_err(), "seven is neither yes nor no");
    }

    #[test]
    fn a_value_never_prints_what_it_holds() {
        let shown = format!(
            "{:?}",
            [
                Value::from("hunter2"),
                Value::from(4711),
                Value::from(vec![1, 2, 3])
            ]
        );
        assert!(
            !shown.contains("hunter2") && !shown.contains("4711"),
            "{shown}"
        );
    }
}
