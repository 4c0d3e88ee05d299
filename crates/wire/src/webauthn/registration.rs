//! Registrations (WebAuthn L3 §7.1): what a new passkey is. Who vouches for it is judged by
//! [`crate::attestation`].

use super::client::AuthenticatorHead;
use super::{Asked, CoseAlg, Fault, cose_key};
use crate::cbor::Cbor;
use crate::jose::Jwk;
use crate::mac;

/// Longest credential id, bytes (§7.1 step 25).
const CREDENTIAL_ID: usize = 1023;

/// A registration, decoded.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Client data as JSON bytes.
    pub client_data_json: Vec<u8>,
    /// Attestation object (§6.5.4).
    pub attestation_object: Vec<u8>,
}

/// A new passkey that answers what was asked. Its attestation is not judged yet.
#[derive(Debug)]
pub struct Created<'a> {
    /// Credential id.
    pub id: &'a [u8],
    /// Its public key.
    pub key: Jwk,
    /// What it signs with.
    pub alg: CoseAlg,
    /// The model of authenticator by its own word; zeros where it says none.
    pub aaguid: [u8; 16],
    /// Signature counter.
    pub counter: u32,
    /// Whether it may be copied.
    pub backup_eligible: bool,
    /// Whether it has been.
    pub backup_state: bool,
    /// Whether the person was verified.
    pub user_verified: bool,
    /// Format of the attestation statement.
    pub format: &'a str,
    pub(crate) statement: Cbor<'a>,
    pub(crate) rp_id_hash: [u8; 32],
    pub(crate) client_hash: [u8; 32],
    authenticator_data: &'a [u8],
}

impl Created<'_> {
    /// authenticatorData ‖ H(clientDataJSON): what most formats sign.
    pub(crate) fn signed(&self) -> Vec<u8> {
        [self.authenticator_data, &self.client_hash].concat()
    }
}

/// Reads a registration and holds it against what was asked; the new key must be for one of
/// `algorithms`.
pub fn register<'a>(made: &'a Registration, asked: &Asked<'_>, algorithms: &[CoseAlg]) -> Result<Created<'a>, Fault> {
    let object = Cbor::whole(&made.attestation_object)?;
    let data = object.member("authData").and_then(Cbor::bytes).ok_or(Fault::Malformed)?;
    let head = asked.check("webauthn.create", &made.client_data_json, data)?;
    let (aaguid, id, rest) = credential(data).filter(|_| head.at()).ok_or(Fault::Malformed)?;
    if id.is_empty() || id.len() > CREDENTIAL_ID {
        return Err(Fault::CredentialId);
    }
    let (cose, rest) = Cbor::first(rest)?;
    let (alg, key) = cose_key(&cose)?;
    // Behind the key there are extensions or nothing, as the flags say.
    let extensions = if head.ed() { matches!(Cbor::whole(rest)?, Cbor::Map(_)) } else { rest.is_empty() };
    if !extensions {
        return Err(Fault::Malformed);
    }
    if !algorithms.contains(&alg) {
        return Err(Fault::Algorithm);
    }
    let format = object.member("fmt").and_then(Cbor::text).ok_or(Fault::Malformed)?;
    let statement = object.member("attStmt").filter(|s| matches!(s, Cbor::Map(_))).ok_or(Fault::Malformed)?;
    Ok(Created {
        id,
        key,
        alg,
        aaguid,
        counter: head.counter,
        backup_eligible: head.be(),
        backup_state: head.bs(),
        user_verified: head.uv(),
        format,
        statement: statement.clone(),
        rp_id_hash: head.rp_id_hash,
        client_hash: mac::h(&made.client_data_json),
        authenticator_data: data,
    })
}

/// Attested credential data (§6.5.2): AAGUID, credential id, and what follows.
fn credential(data: &[u8]) -> Option<([u8; 16], &[u8], &[u8])> {
    let rest = data.get(AuthenticatorHead::LEN..)?;
    let (aaguid, rest) = rest.split_first_chunk::<16>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (id, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((*aaguid, id, rest))
}
