//! Attestation (WebAuthn L3 §6.5, §8): who vouches for a new passkey.
//!
//! 1. [`judge`] holds the statement against its format: signature, certificate, and what binds it to
//!    this credential and this ceremony.
//! 2. [`Statement::leads_to`] follows its certificates to a root at a given time.
//!
//! Formats: `none`, `packed`, `fido-u2f`, `tpm`, `android-key`, `apple`. Others are
//! [`Fault::Format`]. SHA-1 is spoken nowhere.

mod android;
mod apple;
mod packed;
mod tpm;

use crate::cbor::Cbor;
use crate::der::{Der, Tag};
use crate::jose::Jwk;
use crate::webauthn::{CoseAlg, Created, Fault};
use crate::x509::{Certificate, ChainFault, Roots};
use crate::Time;

/// id-fido-gen-ce-aaguid, 1.3.6.1.4.1.45724.1.1.4 (§8.2.1).
const AAGUID: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0xe5, 0x1c, 1, 1, 4];

/// Who vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody.
    None,
    /// The new key itself: it shows that it exists, and nothing more.
    Itself,
    /// Whoever stands behind a chain of certificates.
    Certificate,
}

impl Kind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Itself => "self",
            Kind::Certificate => "certificate",
        }
    }
}

/// A statement that is good in form.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Who vouches.
    pub kind: Kind,
    /// Whether what vouches also says that the key cannot leave its hardware. `tpm` and
    /// `android-key` say it key by key; for the others it is the meaning of their roots.
    pub hardware: bool,
    chain: Vec<&'a [u8]>,
}

impl Statement<'_> {
    /// Whether its certificates lead to one of `roots` at `now`. Without certificates they lead
    /// nowhere.
    pub fn leads_to(&self, roots: &Roots, now: Time) -> Result<(), Fault> {
        roots.judge(&self.chain, now).map_err(|fault| match fault {
            ChainFault::Untrusted => Fault::Untrusted,
            ChainFault::Expired => Fault::Expired,
        })
    }
}

/// Holds the statement of `made` against its format.
pub fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    match made.format {
        "none" if made.statement == Cbor::Map(Vec::new()) => Ok(Statement { kind: Kind::None, hardware: false, chain: Vec::new() }),
        "none" => Err(Fault::Statement),
        "packed" => packed::judge(made),
        "fido-u2f" => packed::judge_u2f(made),
        "tpm" => tpm::judge(made),
        "android-key" => android::judge(made),
        "apple" => apple::judge(made),
        _ => Err(Fault::Format),
    }
}

fn bytes<'a>(made: &Created<'a>, name: &str) -> Result<&'a [u8], Fault> {
    made.statement.member(name).and_then(Cbor::bytes).ok_or(Fault::Statement)
}

fn algorithm(made: &Created<'_>) -> Result<CoseAlg, Fault> {
    let number = made.statement.member("alg").and_then(Cbor::int).ok_or(Fault::Statement)?;
    CoseAlg::of(number).ok_or(Fault::Algorithm)
}

/// `x5c`, its leaf first.
fn chain<'a>(made: &Created<'a>) -> Result<(Vec<&'a [u8]>, Certificate<'a>), Fault> {
    let list = made.statement.member("x5c").and_then(Cbor::list).ok_or(Fault::Statement)?;
    let chain: Vec<&[u8]> = list.iter().map(|c| c.bytes().ok_or(Fault::Statement)).collect::<Result<_, _>>()?;
    let leaf = Certificate::parse(chain.first().ok_or(Fault::Statement)?).map_err(|_| Fault::Certificate)?;
    Ok((chain, leaf))
}

fn leaf_key(leaf: &Certificate<'_>) -> Result<Jwk, Fault> {
    leaf.key().map_err(|_| Fault::Certificate)
}

fn signed_by(key: &Jwk, alg: CoseAlg, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
    if !alg.suits(key) {
        return Err(Fault::Algorithm);
    }
    if key.verify_webauthn(message, signature) { Ok(()) } else { Err(Fault::Signature) }
}

/// A certificate that names a model must name the one that the authenticator claims.
fn same_model(leaf: &Certificate<'_>, made: &Created<'_>) -> Result<(), Fault> {
    let Some(found) = leaf.extension(AAGUID) else { return Ok(()) };
    let mut inside = Der::new(found.value);
    let named = inside.take(Tag::OCTETS).map_err(|_| Fault::Certificate)?;
    if found.critical || !inside.is_empty() {
        return Err(Fault::Certificate);
    }
    if named == made.aaguid { Ok(()) } else { Err(Fault::Aaguid) }
}

fn no_authority(leaf: &Certificate<'_>) -> Result<(), Fault> {
    if leaf.is_authority().map_err(|_| Fault::Certificate)? == Some(false) { Ok(()) } else { Err(Fault::Certificate) }
}
