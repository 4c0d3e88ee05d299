//! The two functions everything in the ceremony is derived with (docs/protocol.md §1).

use aws_lc_rs::{digest, hmac};

/// SHA-256.
pub fn h(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 over a domain label, a zero byte and the bytes: one label never collides with another.
pub fn labelled(label: &str, bytes: &[u8]) -> [u8; 32] {
    let mut ctx = digest::Context::new(&digest::SHA256);
    ctx.update(label.as_bytes());
    ctx.update(&[0]);
    ctx.update(bytes);
    let mut out = [0; 32];
    out.copy_from_slice(ctx.finish().as_ref());
    out
}

/// HMAC-SHA-256 over `tag`, a zero byte, and each part behind its 4-byte big-endian length.
pub fn m(key: &[u8], tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut ctx = hmac::Context::with_key(&key);
    ctx.update(tag.as_bytes());
    ctx.update(&[0]);
    for part in parts {
        ctx.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        ctx.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(ctx.sign().as_ref());
    out
}
