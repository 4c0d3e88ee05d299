//! A moment, in microseconds since the Unix epoch. Nothing here knows what time it is.

use crate::Malformed;
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
    /// A date and time as RFC 3339 §5.6 writes it: `2026-11-21T07:00:00Z`, with an offset or a
    /// fraction of a second if it likes. Fractions are cut to microseconds; no leap second.
    pub fn parse_rfc3339(text: &str) -> Result<Time, Malformed> {
        moment(text).ok_or(Malformed("a date and time as in RFC 3339"))
    }
    /// This moment as RFC 3339 §5.6 writes it, in whole seconds of UTC.
    pub fn rfc3339(self) -> String {
        let (days, rest) = (self.seconds().div_euclid(86_400), self.seconds().rem_euclid(86_400));
        // Days since 1 March of the year 0, in eras of 400 years; the year begins in March.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
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

/// Exactly `n` digits.
fn digits(text: &str, n: usize) -> Option<i64> {
    if text.len() == n && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn moment(text: &str) -> Option<Time> {
    let (date, clock) = text.split_once(['T', 't'])?;
    let (year, date) = date.split_once('-')?;
    let (month, day) = date.split_once('-')?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let (clock, offset) = match clock.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, behind) = clock.split_at_checked(clock.rfind(['+', '-'])?)?;
            let (hours, minutes) = behind.get(1..)?.split_once(':')?;
            let sign = if behind.starts_with('+') { 1 } else { -1 };
            let (hours, minutes) = (digits(hours, 2).filter(|h| *h < 24)?, digits(minutes, 2).filter(|m| *m < 60)?);
            (clock, sign * (hours * 60 + minutes) * 60)
        }
    };
    let (clock, micros) = match clock.split_once('.') {
        None => (clock, 0),
        Some((_, "")) => return None,
        Some((clock, fraction)) => {
            digits(fraction, fraction.len().min(18))?;
            (clock, digits(format!("{fraction:0<6}").get(..6)?, 6)?)
        }
    };
    let (hour, clock) = clock.split_once(':')?;
    let (minute, second) = clock.split_once(':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since the epoch, the year taken to begin in March so that a leap day is its last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (m * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    Some(Time(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_the_rfc_writes_them() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520_000),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130_000),
            ("2000-02-29T00:00:00+00:00", 951_782_400_000_000),
            ("3024-01-01T00:00:00Z", 33_260_976_000_000_000),
            ("2026-11-21t07:00:00.123456789z", 1_795_244_400_123_456),
        ] {
            assert_eq!(Time::parse_rfc3339(text), Ok(Time(want)), "{text}");
        }
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "1999-12-31T12:00:00Z", "2026-11-21T07:00:00Z", "3024-03-01T00:00:00Z", "1937-01-01T00:00:00Z"] {
            assert_eq!(Time::parse_rfc3339(text).unwrap().rfc3339(), text);
        }
        for bad in [
            "", "2026-11-21", "2026-11-21 07:00:00Z", "2026-11-21T07:00Z", "2026-11-21T07:00:00", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T07:00:60Z", "2026-11-21T07:00:00.Z",
            "2026-11-21T07:00:00+1:00", "2026-11-21T07:00:00+24:00", "+026-11-21T07:00:00Z", "2026-11-21T07:00:00ZZ",
        ] {
            assert!(Time::parse_rfc3339(bad).is_err(), "{bad}");
        }
    }
}
