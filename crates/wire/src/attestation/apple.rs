//! `apple` (WebAuthn L3 §8.8): a certificate for this one key, with a hash of this ceremony in it.

use super::{Kind, Statement, chain, leaf_key};
use crate::der::{Der, Tag};
use crate::mac;
use crate::webauthn::{Created, Fault};
use crate::{Malformed, x509::Extension};

/// 1.2.840.113635.100.8.2.
const NONCE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 8, 2];

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    let (chain, leaf) = chain(made)?;
    let found = leaf.extension(NONCE).ok_or(Fault::Certificate)?;
    if nonce(found).map_err(|_| Fault::Certificate)? != mac::h(&made.signed()) {
        return Err(Fault::Statement);
    }
    if leaf_key(&leaf)? != made.key {
        return Err(Fault::Statement);
    }
    Ok(Statement { kind: Kind::Certificate, hardware: true, chain })
}

/// SEQUENCE { [1] EXPLICIT OCTET STRING }.
fn nonce(extension: Extension<'_>) -> Result<&[u8], Malformed> {
    let mut outer = Der::inside(extension.value, Tag::SEQUENCE)?;
    let mut inner = Der::new(outer.take(Tag::explicit(1))?);
    let nonce = inner.take(Tag::OCTETS)?;
    inner.end()?;
    outer.end()?;
    Ok(nonce)
}
