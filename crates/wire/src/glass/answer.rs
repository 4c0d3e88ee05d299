//! A person's answer: their phone's key over the challenge and the passkey's word, their passkey over the challenge.

use super::{Challenge, Holder, Sealed, Why};
use crate::jose::jws::SignFault;
use crate::jose::{Alg, Jwk, Jws, Signer, jws};
use crate::limits::JWS_BYTES;
use crate::webauthn::{self, Asked, AssertionText, Expected};
use crate::{DeviceId, Malformed, b64, object};
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// `typ` of the device's word.
const TYP: &str = "cs-glass-answer+jws";

/// An answer, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The device's word, a JWS.
    pub answer: String,
    /// The passkey's.
    pub assertion: AssertionText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// The device.
    iss: DeviceId,
    /// The server whose grant it is.
    aud: String,
    /// base64url digest of the challenge.
    cd: String,
    /// base64url of [`webauthn::Assertion::digest`].
    wa: String,
}

impl Answer {
    /// As one line of text.
    pub fn text(&self) -> String {
        b64::encode(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads that line; whether it is true is not looked at.
    pub fn parse(text: &str) -> Result<Answer, Malformed> {
        let text = text.trim();
        if text.len() > 2 * JWS_BYTES {
            return Err(Malformed("a shorter answer"));
        }
        object::parse(&b64::decode(text)?)
    }

    /// The device that it says it is of.
    pub(super) fn device(&self) -> Result<DeviceId, Malformed> {
        Ok(Jws::parse(&self.answer)?.unverified::<Said>()?.iss)
    }
}

/// An answer to the challenge of this digest, once the passkey has signed [`Challenge::for_passkey`].
pub fn approve(sealed: &Sealed, digest: &[u8; 32], device: &DeviceId, assertion: AssertionText, key: &Jwk, signer: &dyn Signer) -> Result<Answer, SignFault> {
    // Nobody signs the user handle, and nobody needs it.
    let assertion = AssertionText { user_handle: None, ..assertion };
    let wa = assertion.decode().map_err(|_| SignFault)?.digest();
    let said = Said { iss: device.clone(), aud: sealed.iss.clone(), cd: b64::encode(digest), wa: b64::encode(&wa) };
    let mut header = Map::new();
    header.insert("typ".into(), TYP.into());
    header.insert("kid".into(), key.thumbprint().as_str().into());
    let payload = serde_json::to_vec(&said).map_err(|_| SignFault)?;
    Ok(Answer { answer: jws::encode(header, &payload, signer)?, assertion })
}

/// Whether `answer` is this holder's, to the challenge of this digest. The passkey's counter, if it counts, must be above
/// `counter`; the new one is given back.
pub fn answered(answer: &Answer, sealed: &Sealed, digest: &[u8; 32], holder: &Holder, counter: u32) -> Result<u32, Why> {
    let jws = Jws::parse(&answer.answer)?;
    if jws.header_text("typ") != Some(TYP) || !matches!(jws.alg(), Alg::ES256 | Alg::EdDSA) {
        return Err(Why::Malformed);
    }
    let said: Said = jws.verify(&holder.dk).map_err(|_| Why::Device)?.read()?;
    if answer.assertion.user_handle.is_some() {
        return Err(Why::Malformed);
    }
    let assertion = answer.assertion.decode()?;
    if said.iss != holder.device || said.aud != sealed.iss || said.cd != b64::encode(digest) {
        return Err(Why::Device);
    }
    if said.wa != b64::encode(&assertion.digest()) || answer.assertion.credential_id != holder.credential.as_str() {
        return Err(Why::Passkey);
    }
    let challenge = Challenge::for_passkey(digest);
    let want = Expected {
        asked: Asked::strictly(&challenge, &sealed.iss, &sealed.rp_id),
        key: &holder.passkey,
        counter,
        backup_eligible: holder.backup_eligible,
    };
    webauthn::verify(&assertion, &want).map(|v| v.counter).map_err(|_| Why::Passkey)
}
