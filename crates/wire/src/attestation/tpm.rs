//! `tpm` (WebAuthn L3 §8.3): a TPM certifies the new key with an attestation key of its own. The
//! structures are those of TPM 2.0 Library, Part 2.

use super::{Kind, Statement, algorithm, bytes, chain, leaf_key, no_authority, same_model, signed_by};
use crate::cbor::Cbor;
use crate::jose::Jwk;
use crate::webauthn::{CoseAlg, Created, Fault};
use crate::x509::Certificate;
use aws_lc_rs::digest;

/// tcg-kp-AIKCertificate, 2.23.133.8.3.
const AIK: &[u8] = &[0x67, 0x81, 5, 8, 3];
/// tcg-at-tpmManufacturer, -Model, -Version: 2.23.133.2.1 to .3.
const MAKER: [&[u8]; 3] = [&[0x67, 0x81, 5, 2, 1], &[0x67, 0x81, 5, 2, 2], &[0x67, 0x81, 5, 2, 3]];

/// TPM_GENERATED_VALUE and TPM_ST_ATTEST_CERTIFY.
const GENERATED: u32 = 0xff54_4347;
const CERTIFY: u16 = 0x8017;
/// TPM_ALG_ID.
const RSA: u16 = 0x0001;
const NULL: u16 = 0x0010;
const ECC: u16 = 0x0023;
/// TPMA_OBJECT: fixedTPM, fixedParent, sensitiveDataOrigin. With all three the key was made in this
/// TPM and cannot leave it.
const FIXED: u32 = 0x02 | 0x10 | 0x20;

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    if made.statement.member("ver").and_then(Cbor::text) != Some("2.0") {
        return Err(Fault::Statement);
    }
    let (alg, signature) = (algorithm(made)?, bytes(made, "sig")?);
    let (public, info) = (bytes(made, "pubArea")?, bytes(made, "certInfo")?);
    let (chain, leaf) = chain(made)?;
    let area = Public::parse(public).ok_or(Fault::Statement)?;
    let certified = Certified::parse(info).ok_or(Fault::Statement)?;
    if area.key.as_ref() != Some(&made.key) {
        return Err(Fault::Statement);
    }
    let hash = match alg {
        CoseAlg::ES256 | CoseAlg::RS256 => &digest::SHA256,
        CoseAlg::ES384 => &digest::SHA384,
        CoseAlg::ES512 => &digest::SHA512,
        CoseAlg::EdDSA => return Err(Fault::Algorithm),
    };
    let bound = certified.extra == digest::digest(hash, &made.signed()).as_ref();
    if !bound || area.name(public).as_deref() != Some(certified.name) {
        return Err(Fault::Statement);
    }
    signed_by(&leaf_key(&leaf)?, alg, info, signature)?;
    attests(&leaf)?;
    same_model(&leaf, made)?;
    Ok(Statement { kind: Kind::Certificate, hardware: area.attributes & FIXED == FIXED, chain })
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

/// Fields one behind the other, numbers with their high byte first.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().map(u16::from_be_bytes).ok()
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().map(u32::from_be_bytes).ok()
    }
    /// A TPM2B: its length, then itself.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let n = self.u16()?;
        self.take(usize::from(n))
    }
    /// An algorithm and, unless it is none, the numbers that come with it.
    fn scheme(&mut self, numbers: usize) -> Option<()> {
        if self.u16()? != NULL {
            self.take(2 * numbers)?;
        }
        Some(())
    }
}

/// TPMT_PUBLIC (§12.2.4).
struct Public {
    name_alg: u16,
    attributes: u32,
    key: Option<Jwk>,
}

impl Public {
    fn parse(bytes: &[u8]) -> Option<Public> {
        let mut f = Fields(bytes);
        let kind = f.u16()?;
        let name_alg = f.u16()?;
        let attributes = f.u32()?;
        f.sized()?;
        // Symmetric algorithm with key bits and mode, then the signature scheme with its hash.
        f.scheme(2)?;
        f.scheme(1)?;
        let key = match kind {
            RSA => {
                f.u16()?;
                let exponent = f.u32()?;
                let e = if exponent == 0 { 65_537 } else { exponent };
                Jwk::rsa(f.sized()?, &e.to_be_bytes()).ok()
            }
            ECC => {
                let len = match f.u16()? {
                    3 => 32,
                    4 => 48,
                    5 => 66,
                    _ => return None,
                };
                f.scheme(1)?;
                Jwk::from_coordinates(&padded(f.sized()?, len)?, &padded(f.sized()?, len)?).ok()
            }
            _ => None,
        };
        f.0.is_empty().then_some(Public { name_alg, attributes, key })
    }

    /// The name that the TPM gives to these bytes (Part 1 §16): the algorithm and the hash.
    fn name(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let hash = match self.name_alg {
            0x000b => &digest::SHA256,
            0x000c => &digest::SHA384,
            0x000d => &digest::SHA512,
            _ => return None,
        };
        Some([&self.name_alg.to_be_bytes(), digest::digest(hash, bytes).as_ref()].concat())
    }
}

/// A coordinate without its leading zeros, or with some, made as long as its curve asks.
fn padded(bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    let bare: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    let mut whole = vec![0; len.checked_sub(bare.len())?];
    whole.extend(bare);
    Some(whole)
}

/// TPMS_ATTEST with TPMS_CERTIFY_INFO (§10.12).
struct Certified<'a> {
    extra: &'a [u8],
    name: &'a [u8],
}

impl<'a> Certified<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Certified<'a>> {
        let mut f = Fields(bytes);
        if f.u32()? != GENERATED || f.u16()? != CERTIFY {
            return None;
        }
        f.sized()?;
        let extra = f.sized()?;
        // Clock, counts of resets and restarts, safe, firmware version.
        f.take(8 + 4 + 4 + 1 + 8)?;
        let name = f.sized()?;
        f.sized()?;
        f.0.is_empty().then_some(Certified { extra, name })
    }
}
