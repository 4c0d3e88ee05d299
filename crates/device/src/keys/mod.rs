//! Software keys: P-256, kept as PKCS#8 files. Ed25519 is not needed here, since every device key
//! and passkey of the protocol may be ES256.

mod folder;
mod tpm;

pub use folder::Folder;
pub use tpm::TpmKey;

use crate::Fault;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use countersign_wire::Secret;
use countersign_wire::jose::jws::SignFault;
use countersign_wire::jose::{Alg, Jwk, Signer};

/// A key that can show whose it is, wherever it is kept.
pub trait Prove: Signer {
    /// The public half.
    fn public(&self) -> &Jwk;
}

/// A private P-256 key in this process's memory.
pub struct SoftwareKey {
    pkcs8: Secret,
    fixed: EcdsaKeyPair,
    asn1: EcdsaKeyPair,
    public: Jwk,
}

impl SoftwareKey {
    /// A new key.
    pub fn generate() -> Result<SoftwareKey, Fault> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| Fault::Local("cannot make a key".into()))?;
        let document = pair.to_pkcs8v1().map_err(|_| Fault::Local("cannot encode a key".into()))?;
        SoftwareKey::from_pkcs8(document.as_ref())
    }

    /// A key from its PKCS#8 form (RFC 5208).
    pub fn from_pkcs8(bytes: &[u8]) -> Result<SoftwareKey, Fault> {
        let wrong = || Fault::Local("not a P-256 key in PKCS#8 form".into());
        let fixed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map_err(|_| wrong())?;
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, bytes).map_err(|_| wrong())?;
        let point: [u8; 64] = match fixed.public_key().as_ref().split_first() {
            Some((4, rest)) => rest.try_into().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        Ok(SoftwareKey { pkcs8: Secret::new(bytes.to_vec()), fixed, asn1, public: Jwk::P256(point) })
    }

    /// Its PKCS#8 form, for the key file.
    pub fn pkcs8(&self) -> &Secret {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// A signature in ASN.1 DER, as WebAuthn wants it (Level 3 §6.5.5).
    pub fn sign_asn1(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let made = self.asn1.sign(&SystemRandom::new(), message).map_err(|_| SignFault)?;
        Ok(made.as_ref().to_vec())
    }
}

impl Signer for SoftwareKey {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let made = self.fixed.sign(&SystemRandom::new(), message).map_err(|_| SignFault)?;
        Ok(made.as_ref().to_vec())
    }
}

impl Prove for SoftwareKey {
    fn public(&self) -> &Jwk {
        &self.public
    }
}

impl From<SignFault> for Fault {
    fn from(_: SignFault) -> Fault {
        Fault::Local("the key could not sign".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_form_and_signs_in_both_encodings() {
        let key = SoftwareKey::generate().unwrap();
        let again = SoftwareKey::from_pkcs8(key.pkcs8().expose()).unwrap();
        assert_eq!(key.public(), again.public());
        assert!(key.public().verify(Alg::ES256, b"m", &again.sign(b"m").unwrap()));
        assert!(key.public().verify_webauthn(b"m", &again.sign_asn1(b"m").unwrap()));
        assert!(SoftwareKey::from_pkcs8(b"no key").is_err());
    }
}
