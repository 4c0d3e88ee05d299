//! Typed names of things. One kind of id is never taken for another, people never for workloads.

use crate::{Malformed, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A UUIDv7 (RFC 9562 §5.7) made from a moment and ten random bytes, in its 36-character form.
fn uuid_v7(now: Time, chance: [u8; 10]) -> String {
    let ms = now.millis().max(0).to_be_bytes();
    let [_, _, t0, t1, t2, t3, t4, t5] = ms;
    let [a, b, c, d, e, f, g, h, i, j] = chance;
    let bytes = [
        t0, t1, t2, t3, t4, t5,
        0x70 | (a & 0x0f), b,
        0x80 | (c & 0x3f), d,
        e, f, g, h, i, j,
    ];
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The millisecond that a UUIDv7 begins with.
fn made(text: &str) -> Time {
    let digits = text.bytes().filter(|b| *b != b'-').take(12);
    let ms = digits.fold(0, |ms, b| (ms << 4) | i64::from(char::from(b).to_digit(16).unwrap_or(0)));
    Time(ms * 1_000)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new id, ordered by `now` and unguessable by `chance` (74 bits are used).
            pub fn new(now: Time, chance: [u8; 10]) -> $name {
                $name(uuid_v7(now, chance))
            }
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// When it was made, to the millisecond.
            pub fn made(&self) -> Time {
                made(&self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<$name, Malformed> {
                if is_uuid(text) { Ok($name(text.to_owned())) } else { Err(Malformed("an id")) }
            }
        }
        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<$name, Malformed> {
                if is_uuid(&text) { Ok($name(text)) } else { Err(Malformed("an id")) }
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )+};
}

uuid_ids! {
    /// A person. Its text is the pseudonym that events and tokens carry.
    PersonId,
    /// A workload: never a person.
    WorkloadId,
    /// An enrolled device.
    DeviceId,
    /// A registered screen: nobody's device.
    TerminalId,
    /// One cross-device attempt (`cid`).
    CeremonyId,
    /// Countersign's own session.
    SessionId,
    /// An authorization request, bound to one browser.
    RequestId,
    /// An invitation to enrol a device.
    InvitationId,
    /// A notice to a person's other devices.
    NoticeId,
    /// A request of a person to be let back in by two others.
    RecoveryId,
    /// One cause and everything that follows from it.
    TxnId,
    /// One recorded event.
    EventId,
    /// One access token (`jti`).
    TokenId,
    /// What a client was given in one exchange, with everything renewed from it.
    GrantId,
    /// One right that was given just in time.
    RightId,
    /// One signing or sealing key (`kid`).
    KeyId,
    /// One stream of security events to a receiver (`stream_id`).
    StreamId,
    /// One sealed grant of rights without the line.
    GlassId,
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident($max:literal, $what:literal, $ok:expr)),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<$name, Malformed> {
                $name::try_from(text.to_owned())
            }
        }
        impl TryFrom<String> for $name {
            type Error = Malformed;
            fn try_from(text: String) -> Result<$name, Malformed> {
                let ok: fn(u8) -> bool = $ok;
                if !text.is_empty() && text.len() <= $max && text.bytes().all(ok) {
                    Ok($name(text))
                } else {
                    Err(Malformed($what))
                }
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )+};
}

text_ids! {
    /// A registered client (RFC 6749 §2.2), chosen by the operator.
    ClientId(128, "a client id", |b| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b)),
    /// A WebAuthn credential id in base64url.
    CredentialId(1400, "a credential id", |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    /// An RFC 7638 SHA-256 thumbprint in base64url: 43 characters.
    Thumbprint(43, "a key thumbprint", |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_seven_and_sort_by_time() {
        let a = PersonId::new(Time(1_700_000_000_000_000), [0xff; 10]);
        let b = PersonId::new(Time(1_700_000_000_001_000), [0; 10]);
        assert!(a < b);
        assert_eq!(&a.as_str()[14..15], "7");
        assert!("89ab".contains(&a.as_str()[19..20]));
        assert_eq!(a.as_str().parse::<PersonId>().unwrap(), a);
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for bad in ["", "x", "0190a7a0-0000-7000-8000-00000000000G", "0190A7A0-0000-7000-8000-000000000000"] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad}");
        }
        assert!("a b".parse::<ClientId>().is_err());
    }
}
