//! What tests of this and other crates need of a store: a clock that is set by hand, a private PostgreSQL.

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use cluster::Cluster;

use crate::Clock;

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// A clock that stands at this time, microseconds.
    pub fn at(now: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now)))
    }

    /// Moves it, forwards or backwards, microseconds.
    pub fn advance(&self, by: i64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}
