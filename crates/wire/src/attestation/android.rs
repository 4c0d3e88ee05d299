//! `android-key` (WebAuthn L3 §8.4): a certificate for this one key, in which Android says where the
//! key was made and what it may do.

use super::{Kind, Statement, algorithm, bytes, chain, leaf_key, signed_by};
use crate::android::{DESCRIPTION, Description};
use crate::webauthn::{Created, Fault};

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    let (alg, signature) = (algorithm(made)?, bytes(made, "sig")?);
    let (chain, leaf) = chain(made)?;
    let key = leaf_key(&leaf)?;
    signed_by(&key, alg, &made.signed(), signature)?;
    if key != made.key {
        return Err(Fault::Statement);
    }
    let found = leaf.extension(DESCRIPTION).ok_or(Fault::Certificate)?;
    let described = Description::parse(found.value).map_err(|_| Fault::Certificate)?;
    if described.challenge != made.client_hash {
        return Err(Fault::Statement);
    }
    if !described.software.is_ours() || !described.hardware.is_ours() {
        return Err(Fault::Certificate);
    }
    Ok(Statement { kind: Kind::Certificate, hardware: described.in_hardware(), chain })
}
