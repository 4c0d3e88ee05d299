//! Assertions (WebAuthn L3 §7.2).

use super::{Asked, Fault};
use crate::jose::Jwk;
use crate::{Malformed, b64, mac};
use serde::{Deserialize, Serialize};

/// An assertion as it arrives; binary members in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionText {
    /// Credential id.
    pub credential_id: String,
    /// Authenticator data.
    pub authenticator_data: String,
    /// The browser's account of the ceremony.
    pub client_data_json: String,
    /// Signature over authenticator data ‖ H(client data).
    pub signature: String,
    /// The user handle, where a discoverable credential was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_handle: Option<String>,
}

/// An assertion, decoded.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// Authenticator data (WebAuthn L3 §6.1).
    pub authenticator_data: Vec<u8>,
    /// Client data as JSON bytes.
    pub client_data_json: Vec<u8>,
    /// Signature.
    pub signature: Vec<u8>,
}

impl AssertionText {
    /// Decodes the binary members.
    pub fn decode(&self) -> Result<Assertion, Malformed> {
        Ok(Assertion {
            authenticator_data: b64::decode(&self.authenticator_data)?,
            client_data_json: b64::decode(&self.client_data_json)?,
            signature: b64::decode(&self.signature)?,
        })
    }
}

impl Assertion {
    /// `H(authenticatorData ‖ H(clientDataJSON) ‖ signature)`: what a decision's `wa` names.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = self.signed();
        bytes.extend_from_slice(&self.signature);
        mac::h(&bytes)
    }

    fn signed(&self) -> Vec<u8> {
        let mut bytes = self.authenticator_data.clone();
        bytes.extend_from_slice(&mac::h(&self.client_data_json));
        bytes
    }
}

/// What the assertion must match.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// What the page was asked.
    pub asked: Asked<'a>,
    /// Public key of the credential.
    pub key: &'a Jwk,
    /// Signature counter last seen; 0 if the authenticator has none.
    pub counter: u32,
    /// Whether the credential was registered as backup-eligible; this never changes (§6.1.3).
    pub backup_eligible: bool,
}

/// What a good assertion says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// New counter.
    pub counter: u32,
    /// Whether the credential is backed up now.
    pub backup_state: bool,
    /// Whether the person was verified.
    pub user_verified: bool,
}

/// Checks every step of WebAuthn L3 §7.2 that concerns us.
pub fn verify(assertion: &Assertion, want: &Expected<'_>) -> Result<Verified, Fault> {
    let head = want.asked.check("webauthn.get", &assertion.client_data_json, &assertion.authenticator_data)?;
    if head.be() != want.backup_eligible {
        return Err(Fault::Backup);
    }
    if !want.key.verify_webauthn(&assertion.signed(), &assertion.signature) {
        return Err(Fault::Signature);
    }
    if (head.counter > 0 || want.counter > 0) && head.counter <= want.counter {
        return Err(Fault::Counter);
    }
    Ok(Verified { counter: head.counter, backup_state: head.bs(), user_verified: head.uv() })
}
