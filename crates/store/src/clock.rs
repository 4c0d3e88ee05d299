//! Where the store reads the time. Decisions take time as an argument; this is the clock at the write.
#![expect(clippy::disallowed_methods, reason = "this is the clock that is handed to everybody else")]

use std::time::{SystemTime, UNIX_EPOCH};

/// A wall clock in microseconds since the Unix epoch.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_micros()).ok())
            .unwrap_or(0)
    }
}
