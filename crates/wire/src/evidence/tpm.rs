//! A TPM's quote.
//!
//! 1. The endorsement key's certificate leads to a vendor's root: there is a TPM.
//! 2. The server sealed a secret to that key and to the name of an attestation key
//!    (TPM2_MakeCredential, Part 1 §24); only the TPM that holds both gives it back. So the
//!    attestation key lives in that TPM, and signs nothing but the TPM's own word.
//! 3. With it the TPM signed the registers of this start, for this report.

use super::{Asked, EvidenceFault, Kind, Shown, binding, chain, leads_to};
use crate::jose::Jwk;
use crate::posture::Name;
use crate::secret::same;
use crate::tpm::{Attest, Attested, Public, is_signed};
use crate::x509::{Certificate, Roots};
use crate::{Thumbprint, Time, b64, mac};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// tcg-kp-EKCertificate, 2.23.133.8.1.
const EK: &[u8] = &[0x67, 0x81, 5, 8, 1];
/// The register with the state of secure boot (TCG PC Client Platform Firmware Profile §3.3.4).
pub const SECURE_BOOT: u8 = 7;
/// Most registers of one quote.
const PCRS: usize = 24;

/// A quote with all that it rests on; binary members in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmQuote {
    /// Certificate of the endorsement key, and those above it.
    pub ek: Vec<String>,
    /// The attestation key, TPMT_PUBLIC.
    pub ak: String,
    /// The secret that the TPM gave back.
    pub secret: String,
    /// TPMS_ATTEST.
    pub attest: String,
    /// TPMT_SIGNATURE over it.
    pub signature: String,
    /// Values of the quoted registers, SHA-256 bank.
    pub pcrs: BTreeMap<u8, String>,
}

/// A TPM that the server knows to be one, and the attestation key it speaks of.
#[derive(Debug)]
pub struct Endorsed {
    /// Modulus and exponent of the endorsement key.
    pub ek: (Vec<u8>, Vec<u8>),
    /// Name of the attestation key.
    pub ak_name: Vec<u8>,
    ek_digest: [u8; 32],
}

/// Holds the certificate of an endorsement key and an attestation key to what they must be.
pub fn endorsed(ek: &[String], ak: &[u8], roots: &Roots, now: Time) -> Result<Endorsed, EvidenceFault> {
    endorsed_as(ek, ak, roots, now, Public::is_attestation_key)
}

/// The same of a key that signs for itself: made in its TPM, never to leave it, and `key`.
pub fn endorsed_key(ek: &[String], public: &[u8], key: &Jwk, roots: &Roots, now: Time) -> Result<Endorsed, EvidenceFault> {
    endorsed_as(ek, public, roots, now, |area| area.is_signing_key() && area.key.as_ref() == Some(key))
}

fn endorsed_as(ek: &[String], ak: &[u8], roots: &Roots, now: Time, fits: impl Fn(&Public) -> bool) -> Result<Endorsed, EvidenceFault> {
    if roots.is_empty() {
        return Err(EvidenceFault::Untrusted);
    }
    let ders = chain(ek)?;
    let der = ders.first().ok_or(EvidenceFault::Malformed)?;
    let leaf = Certificate::parse(der)?;
    if !leaf.has_purpose(EK)? {
        return Err(EvidenceFault::Key);
    }
    leads_to(&ders, roots, now)?;
    let area = Public::parse(ak).ok_or(EvidenceFault::Malformed)?;
    if !fits(&area) {
        return Err(EvidenceFault::Key);
    }
    let Jwk::Rsa { n, e } = leaf.key()? else { return Err(EvidenceFault::Key) };
    let ak_name = area.name(ak).ok_or(EvidenceFault::Key)?;
    Ok(Endorsed { ek: (n, e), ak_name, ek_digest: mac::h(der) })
}

/// The secret for these two keys and this nonce of this device. Nothing needs to be kept for it.
pub fn secret(key: &[u8], endorsed: &Endorsed, nonce: &str, device: &Thumbprint) -> [u8; 32] {
    mac::m(key, "tpm-credential", &[nonce.as_bytes(), device.as_str().as_bytes(), &endorsed.ek_digest, &endorsed.ak_name])
}

pub(super) fn judge(quote: &TpmQuote, asked: &Asked<'_>) -> Result<Shown, EvidenceFault> {
    let ak = b64::decode(&quote.ak)?;
    let endorsed = endorsed(&quote.ek, &ak, &asked.trusted.tpm, asked.now)?;
    let given = b64::decode(&quote.secret)?;
    let good = |key: &&[u8]| same(&secret(key, &endorsed, asked.nonce, asked.device), &given);
    if !asked.keys.iter().any(good) {
        return Err(EvidenceFault::Key);
    }
    let key = Public::parse(&ak).and_then(|area| area.key).ok_or(EvidenceFault::Key)?;
    let attest = b64::decode(&quote.attest)?;
    if !is_signed(&key, &attest, &b64::decode(&quote.signature)?) {
        return Err(EvidenceFault::Signature);
    }
    let attest = Attest::parse(&attest).ok_or(EvidenceFault::Malformed)?;
    if attest.extra != binding(asked.nonce, asked.device) {
        return Err(EvidenceFault::Unbound);
    }
    let Attested::Quote { pcrs, digest } = attest.about else { return Err(EvidenceFault::Malformed) };
    let values = quote.pcrs.values().map(|v| b64::decode_array::<32>(v)).collect::<Result<Vec<_>, _>>()?;
    if quote.pcrs.len() > PCRS || !quote.pcrs.keys().eq(&pcrs) || mac::h(&values.concat()) != digest {
        return Err(EvidenceFault::Unbound);
    }
    let mut facts = vec![(Name::Tpm, "yes".to_owned())];
    let seventh = quote.pcrs.keys().zip(&values).find(|(n, _)| **n == SECURE_BOOT).map(|(_, v)| v);
    if let Some(value) = seventh.filter(|_| !asked.trusted.secure_boot.is_empty()) {
        let expected = asked.trusted.secure_boot.contains(value);
        facts.push((Name::SecureBoot, if expected { "yes" } else { "no" }.to_owned()));
    }
    Ok(Shown { kind: Kind::TpmQuote, facts })
}
