//! `tpm` (WebAuthn L3 §8.3): a TPM certifies the new key with an attestation key of its own.

use super::{Kind, Statement, algorithm, bytes, chain, leaf_key, no_authority, same_model, signed_by};
use crate::cbor::Cbor;
use crate::tpm::{Attest, Attested, Public};
use crate::webauthn::{CoseAlg, Created, Fault};
use crate::x509::Certificate;
use aws_lc_rs::digest;

/// tcg-kp-AIKCertificate, 2.23.133.8.3.
const AIK: &[u8] = &[0x67, 0x81, 5, 8, 3];
/// tcg-at-tpmManufacturer, -Model, -Version: 2.23.133.2.1 to .3.
const MAKER: [&[u8]; 3] = [&[0x67, 0x81, 5, 2, 1], &[0x67, 0x81, 5, 2, 2], &[0x67, 0x81, 5, 2, 3]];

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    if made.statement.member("ver").and_then(Cbor::text) != Some("2.0") {
        return Err(Fault::Statement);
    }
    let (alg, signature) = (algorithm(made)?, bytes(made, "sig")?);
    let (public, info) = (bytes(made, "pubArea")?, bytes(made, "certInfo")?);
    let (chain, leaf) = chain(made)?;
    let area = Public::parse(public).ok_or(Fault::Statement)?;
    let attest = Attest::parse(info).ok_or(Fault::Statement)?;
    let Attested::Certify { name } = attest.about else { return Err(Fault::Statement) };
    if area.key.as_ref() != Some(&made.key) {
        return Err(Fault::Statement);
    }
    let hash = match alg {
        CoseAlg::ES256 | CoseAlg::RS256 => &digest::SHA256,
        CoseAlg::ES384 => &digest::SHA384,
        CoseAlg::ES512 => &digest::SHA512,
        CoseAlg::EdDSA => return Err(Fault::Algorithm),
    };
    let bound = attest.extra == digest::digest(hash, &made.signed()).as_ref();
    if !bound || area.name(public).as_deref() != Some(name) {
        return Err(Fault::Statement);
    }
    signed_by(&leaf_key(&leaf)?, alg, info, signature)?;
    attests(&leaf)?;
    same_model(&leaf, made)?;
    Ok(Statement { kind: Kind::Certificate, hardware: area.is_fixed(), chain })
}

/// The certificate is one for attestation keys (§8.3.1): no subject, the TPM's maker, model and
/// version among its other names, the purpose, no authority.
fn attests(leaf: &Certificate<'_>) -> Result<(), Fault> {
    let wrong = |_| Fault::Certificate;
    let names = leaf.directory_names().map_err(wrong)?;
    let maker = MAKER.iter().all(|id| names.iter().any(|(kind, value)| kind == id && !value.is_empty()));
    let anonymous = leaf.subject().map_err(wrong)?.is_empty();
    if !anonymous || !maker || !leaf.has_purpose(AIK).map_err(wrong)? {
        return Err(Fault::Certificate);
    }
    no_authority(leaf)
}
