//! What this machine says: chance, time, settings. Asked for here and nowhere else in this crate.

use crate::Fault;
use aws_lc_rs::rand;
use countersign_wire::{Time, b64};
use std::ffi::OsString;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// `N` random bytes.
#[expect(clippy::disallowed_methods, reason = "the one source of chance of the device program")]
pub fn bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut out = [0; N];
    rand::fill(&mut out).map_err(|_| Fault::Local("the operating system gave no random bytes".into()))?;
    Ok(out)
}

/// 128 random bits as text: a name nobody else has (`jti`, `state`).
pub fn name() -> Result<String, Fault> {
    Ok(b64::encode(&bytes::<16>()?))
}

/// This machine's time. Only proofs without a nonce and the life of cookies depend on it.
#[expect(clippy::disallowed_methods, reason = "the one wall clock of the device program")]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// This machine's monotonic clock, by which waits and the server's time left are counted down.
#[expect(clippy::disallowed_methods, reason = "a program that waits; the server's deadlines stay the server's")]
pub fn tick() -> Instant {
    Instant::now()
}

/// A variable of the environment, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment beside the command line")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
