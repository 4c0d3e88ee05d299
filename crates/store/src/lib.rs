//! Keeps facts, and refuses to overwrite a fact that moved.
//!
//! A commit is data: guards that must still hold, statements, and at least one event ([`Batch`]). The engine checks the guards again
//! inside the transaction, applies the statements and appends the events; it knows no nouns.

pub mod backup;
mod clock;
#[cfg(feature = "testing")]
pub mod conformance;
mod engine;
mod error;
mod event;
#[cfg(feature = "testing")]
pub mod failing;
mod guard;
pub mod limits;
pub mod migrate;
mod postgres;
pub mod sql;
mod sqlite;
mod statement;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

pub use clock::{Clock, SystemClock};
pub use engine::{Engine, Health};
pub use error::{OpenError, StoreError};
pub use event::{EVENT_COLUMNS, EventRow, Numbered};
pub use guard::{Guard, Table};
pub use postgres::Postgres;
pub use sql::{Commit, Store, Write};
pub use sqlite::Sqlite;
pub use statement::{Batch, Committed, Expect, Query, Statement};
pub use value::{Row, Value};
