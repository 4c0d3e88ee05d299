//! SQL with its values. One text serves both engines; places are `$1`, `$2`, ….

use std::any::Any;
use std::sync::Arc;

use crate::{EventRow, Guard, StoreError, Table, Value};

/// A question. At most [`ROWS_MAX`](crate::limits::ROWS_MAX) rows come back.
#[derive(Clone, Debug)]
pub struct Query {
    /// The text; every text is a constant of the program.
    pub sql: &'static str,
    /// The values for `$1`, `$2`, ….
    pub params: Vec<Value>,
    pub(crate) long: bool,
    pub(crate) kept: Option<Kept>,
}

/// What an engine may keep of an answer: one row of `table`, whose id stands in the first column, found by the text in `$1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) table: Table,
    /// What `$1` is; `id` where it is the row's id.
    pub(crate) by: &'static str,
}

/// A row as the program reads it.
pub(crate) type Noun = Arc<dyn Any + Send + Sync>;

/// What a row is once a change of it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Becomes {
    pub(crate) table: Table,
    pub(crate) id: String,
    /// What it is found by.
    pub(crate) names: Vec<(&'static str, String)>,
    pub(crate) noun: Noun,
}

impl Query {
    /// A question answered by an index in a few microseconds.
    pub fn new(sql: &'static str, params: impl Into<Vec<Value>>) -> Self {
        Self {
            sql,
            params: params.into(),
            long: false,
            kept: None,
        }
    }

    /// A question for one row, which the engine may remember for as long as it knows that the row is still the same.
    #[must_use]
    pub(crate) fn kept(mut self, table: Table, by: &'static str) -> Self {
        self.kept = Some(Kept { table, by });
        self
    }

    /// A question that may read much: answered away from the threads that serve requests.
    #[must_use]
    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }
}

/// How many rows a statement must touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly one; anything else is a conflict and nothing of the commit stays.
    One,
    /// Any number.
    Any,
}

/// A change.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text; every text is a constant of the program.
    pub sql: &'static str,
    /// The values for `$1`, `$2`, ….
    pub params: Vec<Value>,
    /// How many rows it must touch.
    pub expect: Expect,
    pub(crate) becomes: Option<Becomes>,
}

impl Statement {
    /// A change of exactly one row: `UPDATE … WHERE id = $1 AND version = $2`, an insert, a burn.
    pub fn one(sql: &'static str, params: impl Into<Vec<Value>>) -> Self {
        Self {
            sql,
            params: params.into(),
            expect: Expect::One,
            becomes: None,
        }
    }

    /// A change of as many rows as there are.
    pub fn any(sql: &'static str, params: impl Into<Vec<Value>>) -> Self {
        Self {
            sql,
            params: params.into(),
            expect: Expect::Any,
            becomes: None,
        }
    }

    /// The row that `UPDATE t … WHERE id = $n …` or `DELETE FROM t WHERE id = $n …` changes.
    pub(crate) fn target(&self) -> Option<(Table, &str)> {
        if !self.sql.starts_with("UPDATE") && !self.sql.starts_with("DELETE") {
            return None;
        }
        let (_, place) = self.sql.split_once("WHERE id = $")?;
        // Beside the id there may only be conditions that narrow: no other row, no other question.
        if place.contains("WHERE") || place.split(['(', ')']).step_by(2).any(|outside| outside.contains(" OR ")) {
            return None;
        }
        let digits = place.split(|c: char| !c.is_ascii_digit()).next()?;
        match self.params.get(digits.parse::<usize>().ok()?.checked_sub(1)?)? {
            Value::Text(id) => Some((Table::named(first_table(self.sql))?, id)),
            _ => None,
        }
    }

    /// Passes on how many rows it touched, if it may touch so many.
    pub(crate) fn judge(&self, rows: u64) -> Result<u64, StoreError> {
        if self.expect == Expect::One && rows != 1 {
            return Err(StoreError::Conflict);
        }
        Ok(rows)
    }
}

/// All that one commit does: it happens whole or not at all, and never without its record.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) guards: Vec<Guard>,
    pub(crate) statements: Vec<Statement>,
    pub(crate) events: Vec<EventRow>,
}

impl Batch {
    /// A commit that records at least this.
    pub fn new(event: EventRow) -> Self {
        Self {
            guards: Vec::new(),
            statements: Vec::new(),
            events: vec![event],
        }
    }

    /// Only if this still holds when the store writes.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Also change this; statements run in the order given.
    #[must_use]
    pub fn write(mut self, statement: Statement) -> Self {
        self.statements.push(statement);
        self
    }

    /// Also record this; events of a commit are numbered in the order given.
    #[must_use]
    pub fn event(mut self, event: EventRow) -> Self {
        self.events.push(event);
        self
    }
}

/// What a commit tells when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The store's clock at the write, microseconds.
    pub at: i64,
    /// The number of the commit's last event, where the engine numbers at once.
    pub seq: Option<i64>,
}

/// The first table a text reads or changes, for naming it in an error.
pub(crate) fn first_table(sql: &'static str) -> &'static str {
    let mut words = sql.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if ["FROM", "INTO", "UPDATE"]
            .iter()
            .any(|keyword| word.eq_ignore_ascii_case(keyword))
        {
            return words
                .next()
                .and_then(|table| {
                    table
                        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .next()
                })
                .unwrap_or("");
        }
    }
    ""
}

/// Rewrites `$n` to SQLite's `?n`. SQLite takes `$2 … $1` for names and numbers them by first appearance; `?n` means what it says.
pub(crate) fn numbered_places(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut quoted = false;
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted = !quoted;
        }
        let place = c == '$' && !quoted && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if place { '?' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_rewritten_and_quoted_text_is_left_alone() {
        assert_eq!(
            numbered_places("UPDATE t SET a = $2, b = '$1 it''s $3' WHERE id = $10"),
            "UPDATE t SET a = ?2, b = '$1 it''s $3' WHERE id = ?10"
        );
    }

    #[test]
    fn the_first_table_of_a_text_is_found() {
        assert_eq!(
            first_table("SELECT a FROM session WHERE id = $1"),
            "session"
        );
        assert_eq!(first_table("INSERT INTO burn(id) VALUES ($1)"), "burn");
        assert_eq!(first_table("update device SET a = 1"), "device");
        assert_eq!(first_table("SELECT 1"), "");
    }

    #[test]
    fn the_row_a_statement_changes_is_found_wherever_its_id_stands() {
        let moved = Statement::one(
            "UPDATE session SET state = $3, version = version + 1 WHERE id = $1 AND version = $2",
            ["s-1".into(), 4.into(), "ended".into()],
        );
        assert_eq!(moved.target(), Some((Table::Session, "s-1")));
        let last = Statement::any("DELETE FROM code WHERE id = $1", ["c-1".into()]);
        assert_eq!(last.target(), Some((Table::Code, "c-1")));
        let other = Statement::any("DELETE FROM burn WHERE id = $1", ["b-1".into()]);
        assert_eq!(other.target(), None);
        let many = Statement::any("UPDATE session SET a = 1 WHERE person = $1", ["p".into()]);
        assert_eq!(many.target(), None);
        let wider = Statement::any("UPDATE session SET a = 1 WHERE id = $1 OR person = $2", ["s-1".into(), "p".into()]);
        assert_eq!(wider.target(), None);
        let narrower = Statement::any("UPDATE device SET a = $2 WHERE id = $1 AND (a IS NULL OR a < $2)", ["d".into(), 1.into()]);
        assert_eq!(narrower.target(), Some((Table::Device, "d")));
        let insert = Statement::one("INSERT INTO session (id) VALUES ($1)", ["s-1".into()]);
        assert_eq!(insert.target(), None);
    }
}
