//! One signing key pair: made, brought back from its sealed form, used.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use countersign_wire::jose::jws::SignFault;
use countersign_wire::jose::{Alg, Jwk};
use countersign_wire::{KeyId, Secret};

/// A key pair of the server. It cannot be printed.
pub struct OwnSigner {
    kid: KeyId,
    alg: Alg,
    public: Jwk,
    private: Private,
}

enum Private {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key in its PKCS#8 form, to be sealed.
pub(super) fn generate(alg: Alg) -> Option<Secret> {
    let document = match alg {
        Alg::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            pair.to_pkcs8v1().ok()?.as_ref().to_vec()
        }
        Alg::EdDSA => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?.as_ref().to_vec(),
        Alg::RS256 | Alg::PS256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            der.as_ref().to_vec()
        }
    };
    Some(Secret::new(document))
}

impl OwnSigner {
    /// The pair of a PKCS#8 form that [`generate`] made.
    pub(super) fn read(kid: KeyId, alg: Alg, pkcs8: &Secret) -> Option<OwnSigner> {
        let bytes = pkcs8.expose();
        let (public, private) = match alg {
            Alg::ES256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).ok()?;
                let point = pair.public_key().as_ref().get(1..)?.try_into().ok()?;
                (Jwk::P256(point), Private::P256(pair))
            }
            Alg::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8(bytes).ok()?;
                (Jwk::Ed25519(pair.public_key().as_ref().try_into().ok()?), Private::Ed25519(pair))
            }
            Alg::RS256 | Alg::PS256 => {
                let pair = RsaKeyPair::from_pkcs8(bytes).ok()?;
                let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
                let e = pair.public_key().exponent().big_endian_without_leading_zero().to_vec();
                (Jwk::Rsa { n, e }, Private::Rsa(pair))
            }
        };
        Some(OwnSigner { kid, alg, public, private })
    }

    /// Its name in JWKS and headers.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }
    /// Its public half.
    pub fn public(&self) -> &Jwk {
        &self.public
    }
}

impl countersign_wire::jose::Signer for OwnSigner {
    fn alg(&self) -> Alg {
        self.alg
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let chance = SystemRandom::new();
        match (&self.private, self.alg) {
            (Private::P256(pair), _) => pair.sign(&chance, message).map(|s| s.as_ref().to_vec()),
            (Private::Ed25519(pair), _) => Ok(pair.sign(message).as_ref().to_vec()),
            (Private::Rsa(pair), alg) => {
                let encoding = if alg == Alg::PS256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &chance, message, &mut out).map(|()| out)
            }
        }
        .map_err(|_| SignFault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::Time;
    use countersign_wire::jose::{Jws, jws};

    #[test]
    fn what_each_kind_of_key_signs_verifies_with_its_public_half_and_no_other() {
        let kid = || KeyId::new(Time(1), [1; 10]);
        let made: Vec<OwnSigner> = [Alg::ES256, Alg::EdDSA, Alg::RS256, Alg::PS256]
            .into_iter()
            .map(|alg| OwnSigner::read(kid(), alg, &generate(alg).unwrap()).unwrap())
            .collect();
        for (at, signer) in made.iter().enumerate() {
            let text = jws::encode(serde_json::Map::new(), b"{}", signer).unwrap();
            for (other, key) in made.iter().enumerate() {
                assert_eq!(Jws::parse(&text).unwrap().verify(key.public()).is_ok(), at == other);
            }
        }
    }
}
