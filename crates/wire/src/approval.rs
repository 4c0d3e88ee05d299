//! The decision of a person, signed by the device key (docs/protocol.md §3).

use crate::jose::{Alg, Jwk, Jws, Signer, jws};
use crate::limits::JTI_BYTES;
use crate::{CeremonyId, DeviceId, Malformed, b64};
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// `typ` of a decision.
pub const TYP: &str = "cs-approval+jws";

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Yes, with a passkey.
    Approve,
    /// No. Free: no passkey, no reason.
    Refuse,
    /// No, and somebody else started it.
    NotMe,
}

/// Claims of the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Device that decides.
    pub iss: DeviceId,
    /// The server, by its issuer URL.
    pub aud: String,
    /// Which ceremony.
    pub cid: CeremonyId,
    /// base64url of the statement's digest.
    pub sd: String,
    /// What was decided.
    pub decision: Verb,
    /// base64url of [`crate::webauthn::Assertion::digest`], on approve.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wa: Option<String>,
    /// Unique name, so that a repetition is known for one.
    pub jti: String,
}

/// What a decision must match.
pub struct Expected<'a> {
    /// Key of the device that scanned.
    pub key: &'a Jwk,
    /// That device.
    pub device: &'a DeviceId,
    /// This server.
    pub issuer: &'a str,
    /// This ceremony.
    pub cid: &'a CeremonyId,
    /// Digest of the statement as the server keeps it.
    pub sd: &'a [u8; 32],
}

/// Verifies a decision JWS. The `wa` claim is returned for the caller to compare with the
/// assertion it came with.
pub fn verify(text: &str, expected: &Expected<'_>) -> Result<Decision, Malformed> {
    let jws = Jws::parse(text)?;
    if jws.header_text("typ") != Some(TYP) {
        return Err(Malformed("typ cs-approval+jws"));
    }
    if jws.alg() != Alg::ES256 && jws.alg() != Alg::EdDSA {
        return Err(Malformed("an ES256 or EdDSA decision"));
    }
    if jws.header_text("kid") != Some(expected.key.thumbprint().as_str()) {
        return Err(Malformed("kid of the device that scanned"));
    }
    let decision: Decision = jws.verify(expected.key)?.read()?;
    let matches = decision.iss == *expected.device
        && decision.aud == expected.issuer
        && decision.cid == *expected.cid
        && decision.sd == b64::encode(expected.sd)
        && !decision.jti.is_empty()
        && decision.jti.len() <= JTI_BYTES
        && (decision.decision == Verb::Approve) == decision.wa.is_some();
    if matches { Ok(decision) } else { Err(Malformed("a decision about this statement")) }
}

/// Signs a decision, for programs that hold the device key.
pub fn make(decision: &Decision, key: &Jwk, signer: &dyn Signer) -> Result<String, jws::SignFault> {
    let mut header = Map::new();
    header.insert("typ".into(), TYP.into());
    header.insert("kid".into(), key.thumbprint().as_str().into());
    let payload = serde_json::to_vec(decision).map_err(|_| jws::SignFault)?;
    jws::encode(header, &payload, signer)
}
