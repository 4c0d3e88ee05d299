//! What the store can answer instead of a result.

use std::fmt;

/// Why a load or a commit gave nothing. Callers need no more than these five to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A guarded fact moved, or something that may exist once exists already: load again, decide again.
    Conflict,
    /// A `Before` guard had passed when the store came to write.
    Late,
    /// The store cannot be reached, is full, or is overloaded. After a commit this means *not known*: it may have been kept.
    Unavailable,
    /// A text that the database cannot hold, such as one with a zero byte: somebody's input was let through. Nothing was kept.
    Unfit,
    /// What is kept is not what may be kept.
    Corrupt {
        /// The table, as far as it is known.
        table: String,
        /// The column.
        column: String,
        /// The row's id, empty where the query did not ask for it.
        row: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("a fact moved before it could be written"),
            Self::Late => f.write_str("the time allowed had passed when the store came to write"),
            Self::Unavailable => f.write_str("the store is unavailable"),
            Self::Unfit => f.write_str("a text that the store cannot hold"),
            Self::Corrupt { table, column, row } => {
                write!(f, "unreadable value in `{table}`.`{column}`, row `{row}`")
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a store could not be opened, backed up or restored: something for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The address is not one of `sqlite:PATH`, `sqlite::memory:`, `postgres://…`.
    Address(String),
    /// The database or file could not be reached or created.
    Unreachable(String),
    /// A migration that was already applied reads differently in this program.
    Changed {
        /// Its name, such as `0001_start`.
        migration: String,
    },
    /// The database was written by a newer program.
    Newer {
        /// The first migration this program does not know.
        migration: String,
    },
    /// A restore wants an empty database and this one is not.
    NotEmpty,
    /// A backup file is cut off, changed, or not a backup.
    Damaged(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(
                f,
                "`{address}` is not a database address: write `sqlite:PATH` or `postgres://…`"
            ),
            Self::Unreachable(what) => write!(f, "the database cannot be opened: {what}"),
            Self::Changed { migration } => write!(
                f,
                "migration `{migration}` was applied with another text than this program has"
            ),
            Self::Newer { migration } => write!(
                f,
                "the database was written by a newer program (migration `{migration}`)"
            ),
            Self::NotEmpty => {
                f.write_str("the database already holds data; restore wants an empty one")
            }
            Self::Damaged(what) => write!(f, "the backup cannot be used: {what}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Unreachable(error.to_string())
    }
}
