//! `packed` (WebAuthn L3 §8.2) and `fido-u2f` (§8.6): the authenticator's own batch key, or the new
//! key itself.

use super::{Kind, Statement, algorithm, bytes, chain, leaf_key, no_authority, same_model, signed_by};
use crate::jose::Jwk;
use crate::webauthn::{CoseAlg, Created, Fault};
use crate::x509::{Certificate, oid};

/// What the unit of the subject must be (§8.2.1).
const UNIT: &[u8] = b"Authenticator Attestation";

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    let (alg, signature) = (algorithm(made)?, bytes(made, "sig")?);
    if made.statement.member("x5c").is_none() {
        if alg != made.alg {
            return Err(Fault::Algorithm);
        }
        signed_by(&made.key, alg, &made.signed(), signature)?;
        return Ok(Statement { kind: Kind::Itself, hardware: false, chain: Vec::new() });
    }
    let (chain, leaf) = chain(made)?;
    signed_by(&leaf_key(&leaf)?, alg, &made.signed(), signature)?;
    named(&leaf)?;
    no_authority(&leaf)?;
    same_model(&leaf, made)?;
    Ok(Statement { kind: Kind::Certificate, hardware: true, chain })
}

/// The subject names a country, an organisation, the unit, and something of the vendor's choice.
fn named(leaf: &Certificate<'_>) -> Result<(), Fault> {
    let subject = leaf.subject().map_err(|_| Fault::Certificate)?;
    let every = |id: &[u8], fits: fn(&[u8]) -> bool| {
        let mut values = subject.iter().filter(|(kind, _)| *kind == id).map(|(_, value)| *value).peekable();
        values.peek().is_some() && values.all(fits)
    };
    let good = every(oid::COUNTRY, |v| v.len() == 2)
        && every(oid::ORGANISATION, |v| !v.is_empty())
        && every(oid::UNIT, |v| v == UNIT)
        && every(oid::COMMON_NAME, |v| !v.is_empty());
    if good { Ok(()) } else { Err(Fault::Certificate) }
}

pub(super) fn judge_u2f<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    let signature = bytes(made, "sig")?;
    let (chain, leaf) = chain(made)?;
    if chain.len() != 1 {
        return Err(Fault::Statement);
    }
    let Jwk::P256(point) = &made.key else { return Err(Fault::Algorithm) };
    let parts: [&[u8]; 6] = [&[0], &made.rp_id_hash, &made.client_hash, made.id, &[4], point];
    signed_by(&leaf_key(&leaf)?, CoseAlg::ES256, &parts.concat(), signature)?;
    Ok(Statement { kind: Kind::Certificate, hardware: true, chain })
}
