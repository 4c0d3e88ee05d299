//! Things people type or read: user codes, digits, references.

use crate::Malformed;
use crate::mac::m;

/// The 20 consonants of RFC 8628 §6.1: no vowels, so no words.
pub const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// An 8-letter user code from random bytes (34.6 bits), without the hyphen. Bytes that would bias
/// the choice are skipped; `None` if too few are left (ask for chance again).
pub fn user_code(chance: &[u8]) -> Option<String> {
    let code: String = chance
        .iter()
        .filter(|b| **b < 240)
        .filter_map(|b| ALPHABET.get(usize::from(b % 20)))
        .take(8)
        .map(|b| char::from(*b))
        .collect();
    (code.len() == 8).then_some(code)
}

/// The code in the form people read: `WDJB-MJHT`.
pub fn hyphenated(code: &str) -> String {
    match code.split_at_checked(4) {
        Some((a, b)) if !b.is_empty() => format!("{a}-{b}"),
        _ => code.to_owned(),
    }
}

/// What a person typed as a user code, brought to eight capital consonants.
pub fn parse_user_code(typed: &str) -> Result<String, Malformed> {
    let code: String = typed
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '\u{2013}' | '\u{2011}'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if code.len() == 8 && code.bytes().all(|b| ALPHABET.contains(&b)) {
        Ok(code)
    } else {
        Err(Malformed("a user code of eight consonants"))
    }
}

/// Which way the digits travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The device shows, the person types on the terminal.
    TypedOnTerminal,
    /// The terminal shows, the person types on the device.
    TypedOnDevice,
}

impl Direction {
    /// Name inside the derivation of the digits.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::TypedOnTerminal => "terminal",
            Direction::TypedOnDevice => "device",
        }
    }
}

/// `n` decimal digits for one statement and device: the first 8 bytes of
/// `M(K, "code", direction, SD, device)` modulo 10ⁿ. Never stored, equal on every node.
pub fn digits(k: &[u8], direction: Direction, sd: &[u8; 32], device: &str, n: u8) -> String {
    let mac = m(k, "code", &[direction.as_str().as_bytes(), sd, device.as_bytes()]);
    let mut value: u64 = 0;
    for byte in mac.iter().take(8) {
        value = (value << 8) | u64::from(*byte);
    }
    let n = n.clamp(1, 9);
    let modulus = 10_u64.pow(u32::from(n));
    format!("{:0width$}", value % modulus, width = usize::from(n))
}

/// A help-desk reference `R-481-720-936` from random bytes. It gives no power.
pub fn reference(chance: [u8; 4]) -> String {
    let value = u64::from(u32::from_be_bytes(chance)) * 1_000_000_000 / (1_u64 << 32);
    let (a, b, c) = (value / 1_000_000, value / 1_000 % 1_000, value % 1_000);
    format!("R-{a:03}-{b:03}-{c:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_code_is_read_however_it_is_spaced() {
        assert_eq!(parse_user_code(" wdjb-mjht ").unwrap(), "WDJBMJHT");
        assert_eq!(hyphenated("WDJBMJHT"), "WDJB-MJHT");
        for bad in ["WDJB-MJH", "WDJB-MJHA", "", "1234-5678", "WDJB-MJHTT"] {
            assert!(parse_user_code(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digits_differ_by_direction_statement_and_device() {
        let d = |dir, sd: u8, dev| digits(&[7; 32], dir, &[sd; 32], dev, 9);
        let one = d(Direction::TypedOnTerminal, 1, "a");
        assert_eq!(one.len(), 9);
        assert_ne!(one, d(Direction::TypedOnDevice, 1, "a"));
        assert_ne!(one, d(Direction::TypedOnTerminal, 2, "a"));
        assert_ne!(one, d(Direction::TypedOnTerminal, 1, "b"));
        assert_eq!(one, d(Direction::TypedOnTerminal, 1, "a"));
        assert_eq!(digits(&[7; 32], Direction::TypedOnDevice, &[0; 32], "a", 4).len(), 4);
    }

    #[test]
    fn a_reference_is_never_taken_for_a_code_or_digits() {
        let r = reference([0xff; 4]);
        assert_eq!(r.len(), 13);
        assert!(r.starts_with("R-999-999-9"));
        assert_eq!(reference([0; 4]), "R-000-000-000");
    }

    #[test]
    fn a_user_code_is_unbiased_and_skips_spoilt_bytes() {
        assert_eq!(user_code(&[255, 0, 1, 2, 3, 4, 5, 6, 7]).unwrap(), "BCDFGHJK");
        assert_eq!(user_code(&[255; 20]), None);
    }
}
