//! Structures of a TPM (TPM 2.0 Library, Part 2), as much of them as is judged here.

use crate::jose::Jwk;
use aws_lc_rs::digest;

/// TPM_GENERATED_VALUE, TPM_ST_ATTEST_CERTIFY and TPM_ST_ATTEST_QUOTE.
const GENERATED: u32 = 0xff54_4347;
const CERTIFY: u16 = 0x8017;
const QUOTE: u16 = 0x8018;
/// TPM_ALG_ID.
const RSA: u16 = 0x0001;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
const RSASSA: u16 = 0x0014;
const ECDSA: u16 = 0x0018;
const ECC: u16 = 0x0023;
/// TPMA_OBJECT: fixedTPM, fixedParent, sensitiveDataOrigin. With all three the key was made in this
/// TPM and cannot leave it.
const FIXED: u32 = 0x02 | 0x10 | 0x20;
/// TPMA_OBJECT: restricted and sign. Such a key signs nothing that looks like the TPM's own word
/// and is not.
const RESTRICTED_SIGN: u32 = 0x0001_0000 | SIGN;
/// TPMA_OBJECT: sign.
const SIGN: u32 = 0x0004_0000;
/// TPMA_OBJECT: decrypt.
const DECRYPT: u32 = 0x0002_0000;

/// Fields one behind the other, numbers with their high byte first.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
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
pub struct Public {
    name_alg: u16,
    attributes: u32,
    /// The key, if it is of a kind that we verify with, and can be one.
    pub key: Option<Jwk>,
}

impl Public {
    /// Reads one, whole.
    pub fn parse(bytes: &[u8]) -> Option<Public> {
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
        f.0.is_empty().then_some(Public { name_alg, attributes, key: key.filter(Jwk::is_sound) })
    }

    /// Whether the key was made in its TPM and cannot leave it.
    pub fn is_fixed(&self) -> bool {
        self.attributes & FIXED == FIXED
    }

    /// Whether it is such a key, and one that signs nothing but what the TPM itself says.
    pub fn is_attestation_key(&self) -> bool {
        self.is_fixed() && self.attributes & RESTRICTED_SIGN == RESTRICTED_SIGN && self.attributes & DECRYPT == 0
    }

    /// Whether it is such a key, and one that signs what it is given.
    pub fn is_signing_key(&self) -> bool {
        self.is_fixed() && self.attributes & RESTRICTED_SIGN == SIGN && self.attributes & DECRYPT == 0
    }

    /// The name that the TPM gives to these bytes (Part 1 §16): the algorithm and the hash.
    pub fn name(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let hash = match self.name_alg {
            SHA256 => &digest::SHA256,
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

/// What a TPM attests.
#[derive(Debug, PartialEq, Eq)]
pub enum Attested<'a> {
    /// A key, by its name (§10.12.3).
    Certify {
        /// Its name.
        name: &'a [u8],
    },
    /// The state of platform registers (§10.12.1).
    Quote {
        /// Which of the SHA-256 bank, in order.
        pcrs: Vec<u8>,
        /// The hash over their values.
        digest: &'a [u8],
    },
}

/// TPMS_ATTEST (§10.12.8).
#[derive(Debug)]
pub struct Attest<'a> {
    /// What the asker gave along.
    pub extra: &'a [u8],
    /// What it is about.
    pub about: Attested<'a>,
}

impl<'a> Attest<'a> {
    /// Reads one, whole. Quotes of other banks than SHA-256 are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Attest<'a>> {
        let mut f = Fields(bytes);
        if f.u32()? != GENERATED {
            return None;
        }
        let kind = f.u16()?;
        f.sized()?;
        let extra = f.sized()?;
        // Clock, counts of resets and restarts, safe, firmware version.
        f.take(8 + 4 + 4 + 1 + 8)?;
        let about = match kind {
            CERTIFY => {
                let name = f.sized()?;
                f.sized()?;
                Attested::Certify { name }
            }
            QUOTE => {
                if f.u32()? != 1 || f.u16()? != SHA256 {
                    return None;
                }
                let n = f.u8()?;
                let chosen = f.take(usize::from(n)).filter(|_| n <= 4)?;
                let pcrs = (0..8 * n).filter(|p| chosen.get(usize::from(p / 8)).is_some_and(|b| b & (1 << (p % 8)) != 0)).collect();
                Attested::Quote { pcrs, digest: f.sized()? }
            }
            _ => return None,
        };
        f.0.is_empty().then_some(Attest { extra, about })
    }
}

/// TPMT_SIGNATURE (§11.3.4) with SHA-256, as `key` would verify it over `message`.
pub fn is_signed(key: &Jwk, message: &[u8], signature: &[u8]) -> bool {
    let inner = || {
        let mut f = Fields(signature);
        let scheme = f.u16()?;
        if f.u16()? != SHA256 {
            return None;
        }
        let good = match (scheme, key) {
            (ECDSA, Jwk::P256(_)) => {
                let both = [padded(f.sized()?, 32)?, padded(f.sized()?, 32)?].concat();
                key.verify(crate::jose::Alg::ES256, message, &both)
            }
            (RSASSA, Jwk::Rsa { .. }) => key.verify(crate::jose::Alg::RS256, message, f.sized()?),
            _ => return None,
        };
        (f.0.is_empty() && good).then_some(())
    };
    inner().is_some()
}
