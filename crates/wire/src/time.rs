//! A moment, in microseconds since the Unix epoch. Nothing here knows what time it is.

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The moment `s` whole seconds after the epoch.
    pub const fn from_seconds(s: i64) -> Time {
        Time(s.saturating_mul(1_000_000))
    }
    /// Whole seconds since the epoch, rounded down (`NumericDate`, RFC 7519 §2).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
    /// This moment moved by `s` seconds.
    pub const fn plus_s(self, s: i64) -> Time {
        Time(self.0.saturating_add(s.saturating_mul(1_000_000)))
    }
    /// This moment moved by `ms` milliseconds.
    pub const fn plus_ms(self, ms: i64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1_000)))
    }
    /// Milliseconds from `earlier` to this moment; negative if this comes first.
    pub const fn ms_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(1_000)
    }
    /// Milliseconds left until `end`, never negative.
    pub fn ms_until(self, end: Time) -> i64 {
        end.ms_since(self).max(0)
    }
}
