//! Bytes that cross a boundary, and proofs about them.
//!
//! This crate parses, encodes and verifies. It never signs, never asks for the time and never
//! asks for chance: signing and sealing are traits implemented elsewhere, the time and the random
//! bytes are arguments.
#![forbid(unsafe_code)]

pub mod android;
pub mod approval;
pub mod attestation;
pub mod b64;
pub mod cbor;
pub mod code;
pub mod dbsc;
pub mod der;
pub mod dpop;
pub mod evidence;
pub mod frame;
pub mod glass;
pub mod id;
pub mod jcs;
pub mod jose;
pub mod limits;
pub mod mac;
pub mod message;
pub mod nonces;
pub mod object;
pub mod posture;
pub mod recovery;
pub mod refresh;
pub mod secret;
pub mod set;
pub mod statement;
pub mod subject;
pub mod time;
pub mod tpm;
pub mod webauthn;
pub mod webpush;
pub mod x509;

pub use id::*;
pub use secret::Secret;
pub use time::Time;

/// Input that is not of the form it must have. Carries no input, so that it can be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(
    /// What was expected, for the log and for developers.
    pub &'static str,
);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}

impl std::error::Error for Malformed {}
