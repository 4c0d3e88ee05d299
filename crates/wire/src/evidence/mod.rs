//! Evidence: what hardware signs about a device's health. One registry for all kinds, so that
//! nothing depends on a single vendor (docs/posture.md says what each proves and what not).
//!
//! Every piece is bound to one report: to its nonce and to the device key ([`binding`]). None of
//! them shows that the device key itself lives in the hardware that signed: whoever has the device
//! key and can ask another, sound machine shows that machine's state.

mod android;
pub mod tpm;

pub use android::AndroidKey;
pub use tpm::TpmQuote;

use crate::posture::Name;
use crate::x509::{ChainFault, Roots};
use crate::{Malformed, Thumbprint, Time, b64, mac};
use serde::{Deserialize, Serialize};

/// A piece of evidence, as a report carries it: an object with one member, its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A TPM's word about how the machine started.
    TpmQuote(TpmQuote),
    /// A phone's word about itself, in the certificate of a key.
    AndroidKey(AndroidKey),
}

/// The kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A TPM 2.0's quote by a key that the server knows to live in a TPM with a vendor's certificate.
    TpmQuote,
    /// Android key attestation.
    AndroidKey,
    /// WebAuthn attestation of a passkey ([`crate::attestation`]): about the key alone, once, when
    /// it is made. It says nothing of the device's health.
    WebAuthn,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::TpmQuote, Kind::AndroidKey, Kind::WebAuthn];
    /// Its name: the source of the facts it shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::TpmQuote => "tpm",
            Kind::AndroidKey => "android",
            Kind::WebAuthn => "webauthn",
        }
    }
    /// What it can show.
    pub fn shows(self) -> &'static [Name] {
        match self {
            Kind::TpmQuote => &[Name::Tpm, Name::SecureBoot],
            Kind::AndroidKey => &[Name::Os, Name::OsVersion, Name::SecureBoot, Name::Rooted],
            Kind::WebAuthn => &[],
        }
    }
}

/// Whose word counts, and what is expected; the operator's.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Who certifies TPMs.
    pub tpm: Roots,
    /// Values of register 7, SHA-256 bank, of machines that started with secure boot as wanted.
    pub secure_boot: Vec<[u8; 32]>,
    /// Who certifies phones.
    pub android: Roots,
    /// Applications whose word is taken: package, and SHA-256 of the certificate that signs it.
    pub applications: Vec<(String, [u8; 32])>,
}

/// What a piece must match.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Nonce of the report.
    pub nonce: &'a str,
    /// Thumbprint of the device key.
    pub device: &'a Thumbprint,
    /// Keys that a secret for a TPM can be of.
    pub keys: &'a [&'a [u8]],
    /// Whose word counts.
    pub trusted: &'a Trusted,
    /// The server's time.
    pub now: Time,
}

/// What a piece showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its kind.
    pub kind: Kind,
    /// The facts.
    pub facts: Vec<(Name, String)>,
}

/// Why a piece was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceFault {
    /// It is not of its form.
    Malformed,
    /// It is not about this report of this device.
    Unbound,
    /// A signature is not of its key.
    Signature,
    /// The key that signed is not one that only the hardware speaks with.
    Key,
    /// Its certificates lead to none of the roots, or there are none for this kind.
    Untrusted,
    /// A certificate of it is not valid at this time.
    Expired,
    /// It is another application's.
    Application,
}

impl EvidenceFault {
    /// A word for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            EvidenceFault::Malformed => "evidence of another form",
            EvidenceFault::Unbound => "evidence about something else",
            EvidenceFault::Signature => "evidence with a wrong signature",
            EvidenceFault::Key => "evidence by a key that is not the hardware's",
            EvidenceFault::Untrusted => "evidence that leads to no root",
            EvidenceFault::Expired => "evidence with a certificate out of its time",
            EvidenceFault::Application => "evidence of another application",
        }
    }
}

impl From<Malformed> for EvidenceFault {
    fn from(_: Malformed) -> EvidenceFault {
        EvidenceFault::Malformed
    }
}

/// Judges a piece.
pub fn judge(evidence: &Evidence, asked: &Asked<'_>) -> Result<Shown, EvidenceFault> {
    match evidence {
        Evidence::TpmQuote(quote) => tpm::judge(quote, asked),
        Evidence::AndroidKey(key) => android::judge(key, asked),
    }
}

/// What binds a piece to a report: the nonce that it was made for, and the key of the device.
pub fn binding(nonce: &str, device: &Thumbprint) -> [u8; 32] {
    mac::labelled("countersign-evidence", format!("{nonce}\0{device}").as_bytes())
}

/// Certificates in base64url, the leaf first.
fn chain(texts: &[String]) -> Result<Vec<Vec<u8>>, EvidenceFault> {
    texts.iter().map(|text| b64::decode(text).map_err(EvidenceFault::from)).collect()
}

fn leads_to(chain: &[Vec<u8>], roots: &Roots, now: Time) -> Result<(), EvidenceFault> {
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    roots.judge(&chain, now).map_err(|fault| match fault {
        ChainFault::Untrusted => EvidenceFault::Untrusted,
        ChainFault::Expired => EvidenceFault::Expired,
    })
}
