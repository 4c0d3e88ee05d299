//! Bytes that must not be printed, compared in variable time, or left behind in memory.

use zeroize::Zeroizing;

/// Secret bytes: no `Debug`, no `Serialize`, overwritten when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }
    /// The bytes, for the one operation that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Whether two byte strings are equal, in time that depends on their lengths alone.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
