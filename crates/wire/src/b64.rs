//! base64url without padding (RFC 4648 §5), strict: no padding, no white space, no loose last bits.

use crate::Malformed;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of `text`, or [`Malformed`] when any character is out of place.
pub fn decode(text: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed("base64url without padding"))
}

/// Exactly `N` bytes of `text`.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Malformed> {
    decode(text)?.try_into().map_err(|_| Malformed("base64url of another length"))
}
