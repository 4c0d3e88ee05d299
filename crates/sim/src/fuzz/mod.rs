//! A target for each parser of what strangers send: a plain function of bytes that panics when a
//! property of the parser does not hold. "Did not crash" is the least of them.
//!
//! - `crates/sim/tests/fuzz.rs` replays the corpus (`fuzz/corpus/NAME/`) and a bounded number of seeded
//!   mutations of it on stable Rust.
//! - `cargo run -p countersign-sim --example fuzz -- run` mutates for as long as it is told.
//! - `cargo +nightly fuzz run NAME` does the same led by coverage; `fuzz/fuzz_targets` are wrappers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agents;
mod bytes;
mod details;
mod drive;
pub mod evidence;
mod forms;
mod glass;
mod jose;
mod json;
mod passkeys;
mod questions;
mod signals;
mod texts;

pub use drive::{Dice, mutate};

use countersign_device::SoftwareKey;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One target.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics when a property does not hold for `data`.
    pub run: fn(data: &[u8], seen: &mut Seen),
}

macro_rules! targets {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $module::$name }),+];
    };
}

targets! {
    bytes::base64url, bytes::cbor, bytes::der, bytes::x509, bytes::pem,
    json::jcs, json::statement, json::message, json::claims_parameter,
    jose::jwk, jose::jws, jose::dpop, jose::dbsc, jose::htu, jose::approval, jose::request_object, jose::client_assertion,
    passkeys::assertion, passkeys::authenticator_data, passkeys::attestation_object, passkeys::cose_key,
    texts::frame, texts::user_code, texts::recovery_code, texts::id, texts::refresh_token, texts::rfc3339, texts::cookies,
    details::authorization_details,
    signals::subject_identifier, signals::security_event,
    evidence::tpm_public, evidence::tpm_attest, evidence::android_description, evidence::piece, evidence::posture_report,
    glass::glass_slip, glass::glass_grant, glass::glass_chain,
    questions::question, questions::access,
    agents::mcp_message, agents::mcp_gate, agents::client_metadata, agents::register,
    forms::form, forms::authorize, forms::token, forms::par, forms::device_authorization, forms::bc_authorize, forms::introspect, forms::revoke,
}

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}

/// One input of one target, for `fuzz/fuzz_targets`.
pub fn run(name: &str, data: &[u8]) {
    (target(name).unwrap().run)(data, &mut Seen::default());
}

/// Which parsers were called, and how often each took what it was given and refused it.
#[derive(Default)]
pub struct Seen(BTreeMap<&'static str, (u64, u64)>);

impl Seen {
    /// Writes down what a parser answered.
    pub fn note<O: Outcome>(&mut self, name: &'static str, outcome: O) -> Option<O::Given> {
        let given = outcome.given();
        let (taken, refused) = self.0.entry(name.trim_end_matches("::")).or_default();
        if given.is_some() {
            *taken += 1;
        } else {
            *refused += 1;
        }
        given
    }

    /// What was called, with how often it took and refused.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        self.0.iter().map(|(name, (taken, refused))| (*name, *taken, *refused))
    }
}

/// What parsers answer.
pub trait Outcome {
    /// What they give if they take their input.
    type Given;
    /// It, if they did.
    fn given(self) -> Option<Self::Given>;
}
impl<T, E> Outcome for Result<T, E> {
    type Given = T;
    fn given(self) -> Option<T> {
        self.ok()
    }
}
impl<T> Outcome for Option<T> {
    type Given = T;
    fn given(self) -> Option<T> {
        self
    }
}
impl Outcome for bool {
    type Given = ();
    fn given(self) -> Option<()> {
        self.then_some(())
    }
}

/// Calls a parser and writes down that it was called: the name is made from the call itself, so that
/// nothing can be claimed to be reached that is not.
macro_rules! tried {
    ($seen:expr, $($path:ident)::+ ( $($argument:expr),* $(,)? )) => {
        $seen.note(concat!($(stringify!($path), "::"),+), $($path)::+($($argument),*))
    };
}
use tried;

/// A key of this process, for what has to be signed before it is read.
fn key() -> &'static SoftwareKey {
    static KEY: OnceLock<SoftwareKey> = OnceLock::new();
    KEY.get_or_init(|| SoftwareKey::generate().unwrap())
}

/// Two parts: the first is as long as its first two bytes say.
fn two(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return (data, &[]) };
    rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()))
}

/// The form of [`two`].
pub fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&u16::try_from(first.len()).unwrap().to_be_bytes()[..], first, second].concat()
}

/// Text, and an end to whoever gives none: targets of text are about text.
fn text(data: &[u8]) -> &str {
    match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&data[..e.valid_up_to()]).unwrap(),
    }
}

/// `data` with one bit turned, at a few places that depend on the data.
fn spoilt(data: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let mut dice = Dice::new(data.iter().fold(7, |n, b| n * 31 % 1_000_003 + u64::from(*b)));
    (0..if data.is_empty() { 0 } else { 3 }).map(move |_| {
        let mut other = data.to_vec();
        other[dice.below(data.len())] ^= 1 << dice.below(8);
        other
    })
}
