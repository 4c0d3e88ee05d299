//! Proofs by the token's key (RFC 9449), with nonces of this process ([`countersign_wire::nonces`]).

use crate::Unusable;
use crate::denial::Why;
use crate::machine;
use countersign_wire::dpop::{Fresh, Request};
use countersign_wire::nonces::{self, Age, Nonces, Unfit};
use countersign_wire::{Thumbprint, Time};

/// Nonces for this process of this node.
pub(crate) fn nonces(node: u32) -> Result<Nonces, Unusable> {
    let boot = machine::bytes::<4>()?;
    let mut place = [0; 8];
    place.iter_mut().zip(node.to_be_bytes().into_iter().chain(boot)).for_each(|(p, b)| *p = b);
    Ok(Nonces::new(machine::bytes()?, place))
}

impl From<Unfit> for Why {
    fn from(unfit: Unfit) -> Why {
        match unfit {
            Unfit::OtherKey => Why::InvalidToken("bound to another key"),
            Unfit::Bad(why) => Why::InvalidProof(why),
            Unfit::Used => Why::InvalidProof("a proof that was used before"),
            Unfit::Full => Why::Unavailable,
        }
    }
}

/// Checks the one proof of a request, and uses it up.
pub(crate) fn check(
    nonces: &Nonces,
    proofs: &[&str],
    method: &str,
    url: &str,
    token: &str,
    jkt: &Thumbprint,
    now: Time,
) -> Result<Age, Why> {
    let text = match proofs {
        [] => return Err(Why::InvalidProof("no proof")),
        [one] => one,
        _ => return Err(Why::InvalidProof("two proofs")),
    };
    let request = Request { method, url, token: Some(token), body: None, now, fresh: Fresh::Elsewhere };
    let proof = nonces::by_key(text, &request, jkt.as_str())?;
    let age = proof.nonce.as_deref().and_then(|nonce| nonces.age(nonce, jkt, now)).ok_or(Why::UseNonce)?;
    nonces.burn(&proof.name(), now)?;
    Ok(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use countersign_wire::dpop::{NumericDate, ProofClaims};
    use countersign_wire::jose::{Alg, Jwk, Signer, jws};
    use countersign_wire::nonces::WINDOW_S;
    use countersign_wire::{b64, dpop, mac};

    struct Key(EcdsaKeyPair);
    impl Signer for Key {
        fn alg(&self) -> Alg {
            Alg::ES256
        }
        fn sign(&self, m: &[u8]) -> Result<Vec<u8>, jws::SignFault> {
            Ok(self.0.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec())
        }
    }
    impl Key {
        fn new() -> Key {
            Key(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        }
        fn public(&self) -> Jwk {
            Jwk::P256(self.0.public_key().as_ref()[1..].try_into().unwrap())
        }
        fn proof(&self, nonce: Option<String>, jti: &str) -> String {
            let claims = ProofClaims {
                jti: jti.into(), htm: "GET".into(), htu: "https://a.example/x".into(), iat: NumericDate(0), nonce,
                ath: Some(b64::encode(&mac::h(b"token"))), bd: None,
            };
            dpop::make(&claims, &self.public(), self).unwrap()
        }
    }
    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn check(nonces: &Nonces, proof: &str, jkt: &Thumbprint, now: Time) -> Result<Age, Why> {
        super::check(nonces, &[proof], "GET", "https://a.example/x", "token", jkt, now)
    }

    #[test]
    fn a_nonce_serves_its_key_at_its_process_for_two_windows_and_a_proof_serves_once() {
        let (nonces, key) = (super::nonces(1).unwrap(), Key::new());
        let jkt = key.public().thumbprint();
        let nonce = nonces.give(&jkt, NOW);
        let proof = key.proof(Some(nonce.clone()), "1");
        assert_eq!(check(&nonces, &proof, &jkt, NOW), Ok(Age::Young));
        assert_eq!(check(&nonces, &proof, &jkt, NOW), Err(Why::InvalidProof("a proof that was used before")));
        let next = NOW.plus_s(WINDOW_S);
        assert_eq!(check(&nonces, &proof, &jkt, next), Err(Why::InvalidProof("a proof that was used before")), "in the next window, too");
        assert_eq!(check(&nonces, &key.proof(Some(nonce.clone()), "2"), &jkt, next), Ok(Age::Old));
        assert_eq!(check(&nonces, &key.proof(Some(nonce.clone()), "3"), &jkt, NOW.plus_s(2 * WINDOW_S)), Err(Why::UseNonce));
        assert_eq!(check(&nonces, &key.proof(None, "4"), &jkt, NOW), Err(Why::UseNonce));
        // Another process, another key.
        assert_eq!(check(&super::nonces(1).unwrap(), &key.proof(Some(nonce.clone()), "5"), &jkt, NOW), Err(Why::UseNonce));
        let thief = Key::new();
        assert_eq!(check(&nonces, &thief.proof(Some(nonce), "6"), &jkt, NOW), Err(Why::InvalidToken("bound to another key")));
        let theirs = nonces.give(&thief.public().thumbprint(), NOW);
        assert_eq!(check(&nonces, &thief.proof(Some(theirs), "7"), &jkt, NOW), Err(Why::InvalidToken("bound to another key")));
    }
}
