//! Verifies WebAuthn assertions (Level 3 §7.2) over challenges that we derive ourselves, which
//! libraries refuse by design.

use crate::jose::Jwk;
use crate::{Malformed, b64, mac};
use serde::{Deserialize, Serialize};

/// An assertion as it arrives; binary members in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Expected<'a> {
    /// Challenge that the server derived.
    pub challenge: &'a [u8],
    /// Origin of the page, exactly.
    pub origin: &'a str,
    /// Relying party id.
    pub rp_id: &'a str,
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
}

/// Why an assertion was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionFault {
    /// Not of the form.
    Malformed,
    /// `type` is not `webauthn.get`.
    Type,
    /// Another challenge.
    Challenge,
    /// Another origin, or a cross-origin frame.
    Origin,
    /// Another relying party.
    RpId,
    /// Nobody was present, or nobody was verified.
    User,
    /// Backup flags changed or contradict each other.
    Backup,
    /// The signature is not of this key.
    Signature,
    /// The counter went backwards: perhaps a copy of the authenticator.
    Counter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

/// Fixed head of authenticator data: rpIdHash, flags, counter.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatorHead {
    /// SHA-256 of the relying party id.
    pub rp_id_hash: [u8; 32],
    /// UP 0x01, UV 0x04, BE 0x08, BS 0x10, AT 0x40, ED 0x80.
    pub flags: u8,
    /// Signature counter.
    pub counter: u32,
}

impl AuthenticatorHead {
    /// Reads the first 37 bytes.
    pub fn parse(bytes: &[u8]) -> Result<AuthenticatorHead, Malformed> {
        let wrong = Malformed("authenticator data");
        let (hash, rest) = bytes.split_first_chunk::<32>().ok_or(wrong)?;
        let (flags, rest) = rest.split_first().ok_or(wrong)?;
        let (counter, _) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        Ok(AuthenticatorHead {
            rp_id_hash: *hash,
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
        })
    }
    /// Somebody was present.
    pub fn up(&self) -> bool {
        self.flags & 0x01 != 0
    }
    /// The person was verified.
    pub fn uv(&self) -> bool {
        self.flags & 0x04 != 0
    }
    /// The credential may be copied to other devices.
    pub fn be(&self) -> bool {
        self.flags & 0x08 != 0
    }
    /// It has been.
    pub fn bs(&self) -> bool {
        self.flags & 0x10 != 0
    }
}

/// Checks every step of WebAuthn L3 §7.2 that concerns us; user verification is always required.
pub fn verify(assertion: &Assertion, want: &Expected<'_>) -> Result<Verified, AssertionFault> {
    let client: ClientData = serde_json::from_slice(&assertion.client_data_json)
        .map_err(|_| AssertionFault::Malformed)?;
    if client.r#type != "webauthn.get" {
        return Err(AssertionFault::Type);
    }
    if client.challenge != b64::encode(want.challenge) {
        return Err(AssertionFault::Challenge);
    }
    if client.origin != want.origin || client.cross_origin || client.top_origin.is_some() {
        return Err(AssertionFault::Origin);
    }
    let head = AuthenticatorHead::parse(&assertion.authenticator_data)
        .map_err(|_| AssertionFault::Malformed)?;
    if head.rp_id_hash != mac::h(want.rp_id.as_bytes()) {
        return Err(AssertionFault::RpId);
    }
    if !head.up() || !head.uv() {
        return Err(AssertionFault::User);
    }
    if head.be() != want.backup_eligible || (head.bs() && !head.be()) {
        return Err(AssertionFault::Backup);
    }
    if !want.key.verify_webauthn(&assertion.signed(), &assertion.signature) {
        return Err(AssertionFault::Signature);
    }
    if (head.counter > 0 || want.counter > 0) && head.counter <= want.counter {
        return Err(AssertionFault::Counter);
    }
    Ok(Verified { counter: head.counter, backup_state: head.bs() })
}
