//! What this machine says: chance and time. Asked for here and nowhere else in this crate.

use crate::Unusable;
use aws_lc_rs::rand;
use countersign_wire::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// `N` random bytes.
#[expect(clippy::disallowed_methods, reason = "the one source of chance of a guard")]
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Unusable> {
    let mut out = [0; N];
    rand::fill(&mut out).map_err(|_| Unusable("the operating system gave no random bytes"))?;
    Ok(out)
}

/// This machine's time.
#[expect(clippy::disallowed_methods, reason = "the one clock of a guard")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
