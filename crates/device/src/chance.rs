//! The operating system's chance and time: asked for here and nowhere else in this crate.

use crate::Fault;
use aws_lc_rs::rand;
use countersign_wire::{Time, b64};
use std::time::{SystemTime, UNIX_EPOCH};

/// `N` random bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut out = [0; N];
    rand::fill(&mut out).map_err(|_| Fault::Local("the operating system gave no random bytes".into()))?;
    Ok(out)
}

/// 128 random bits as text: a name nobody else has (`jti`, `state`).
pub fn name() -> Result<String, Fault> {
    Ok(b64::encode(&bytes::<16>()?))
}

/// This machine's time. Only proofs without a nonce depend on it.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
