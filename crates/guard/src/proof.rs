//! Proofs by the token's key (RFC 9449), with nonces of this process, and the memory of those that were used.
//!
//! A nonce is `node ‖ boot ‖ window ‖ MAC(jkt)`: it serves one key, at one process, for a minute at most.
//! So nobody collects nonces for others, a restart forgets nothing that still counts, and what was used has
//! to be remembered for two windows and no longer.

use crate::Unusable;
use crate::denial::{NONCE_S, Why};
use crate::machine;
use countersign_wire::dpop::{self, Fresh, ProofFault, Request};
use countersign_wire::{Thumbprint, Time, mac};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A window of nonces, seconds: a nonce is taken in its own window and in the next.
const WINDOW_S: i64 = NONCE_S / 2;
/// Proofs that are remembered in one window, at most; beyond that the guard is closed until the next.
const REMEMBERED: usize = 200_000;

/// How old the nonce of a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Of this window.
    Young,
    /// Of the window before: the caller should get a new one.
    Old,
}

#[derive(Default)]
struct Used {
    window: i64,
    now: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
}

pub(crate) struct Nonces {
    key: [u8; 32],
    place: [u8; 8],
    used: Mutex<Used>,
}

impl Nonces {
    pub(crate) fn new(node: u32) -> Result<Nonces, Unusable> {
        let boot = machine::bytes::<4>()?;
        let mut place = [0; 8];
        place.iter_mut().zip(node.to_be_bytes().into_iter().chain(boot)).for_each(|(p, b)| *p = b);
        Ok(Nonces { key: machine::bytes()?, place, used: Mutex::default() })
    }

    fn window(now: Time) -> i64 {
        now.seconds().div_euclid(WINDOW_S)
    }

    /// A nonce for a key.
    pub(crate) fn give(&self, jkt: &Thumbprint, now: Time) -> String {
        dpop::bound_nonce(&self.key, &self.place, Nonces::window(now), jkt)
    }

    fn age(&self, nonce: &str, jkt: &Thumbprint, now: Time) -> Option<Age> {
        let at = Nonces::window(now);
        match dpop::window_of_nonce(&self.key, &self.place, nonce, jkt)? {
            window if window == at => Some(Age::Young),
            window if window == at - 1 => Some(Age::Old),
            _ => None,
        }
    }

    /// Checks the one proof of a request, and uses it up.
    pub(crate) fn check(&self, proofs: &[&str], method: &str, url: &str, token: &str, jkt: &Thumbprint, now: Time) -> Result<Age, Why> {
        let proof = match proofs {
            [] => return Err(Why::InvalidProof("no proof")),
            [one] => one,
            _ => return Err(Why::InvalidProof("two proofs")),
        };
        let old = AtomicBool::new(false);
        let takes = |nonce: &str, by: &Thumbprint| {
            let age = self.age(nonce, by, now);
            old.store(age == Some(Age::Old), Ordering::Relaxed);
            age.is_some()
        };
        let request = Request { method, url, token: Some(token), body: None, now, fresh: Fresh::Bound(&takes) };
        // Another key is told apart before anything is said about its nonce.
        let proof = match dpop::verify(proof, &request) {
            Ok(proof) => proof,
            Err(ProofFault::UseNonce) => {
                let anyhow = Request { fresh: Fresh::Elsewhere, ..request };
                return match dpop::verify(proof, &anyhow) {
                    Ok(proof) if proof.jkt == *jkt => Err(Why::UseNonce),
                    Ok(_) => Err(Why::InvalidToken("bound to another key")),
                    Err(_) => Err(Why::InvalidProof("a proof of another form")),
                };
            }
            Err(ProofFault::Bad(why)) => return Err(Why::InvalidProof(why)),
        };
        if proof.jkt != *jkt {
            return Err(Why::InvalidToken("bound to another key"));
        }
        self.burn(&proof.name(), now)?;
        Ok(if old.load(Ordering::Relaxed) { Age::Old } else { Age::Young })
    }

    /// Uses a proof up. What was used in this window or the one before comes too late.
    fn burn(&self, name: &str, now: Time) -> Result<(), Why> {
        let mut short = [0; 16];
        short.iter_mut().zip(mac::h(name.as_bytes())).for_each(|(s, b)| *s = b);
        let at = Nonces::window(now);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.window != at {
            let last = std::mem::take(&mut used.now);
            used.before = if used.window == at - 1 { last } else { HashSet::new() };
            used.window = at;
        }
        if used.before.contains(&short) {
            return Err(Why::InvalidProof("a proof that was used before"));
        }
        if used.now.len() >= REMEMBERED {
            return Err(Why::Unavailable);
        }
        if !used.now.insert(short) {
            return Err(Why::InvalidProof("a proof that was used before"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use countersign_wire::dpop::{NumericDate, ProofClaims};
    use countersign_wire::jose::{Alg, Jwk, Signer, jws};
    use countersign_wire::b64;

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
        nonces.check(&[proof], "GET", "https://a.example/x", "token", jkt, now)
    }

    #[test]
    fn a_nonce_serves_its_key_at_its_process_for_two_windows_and_a_proof_serves_once() {
        let (nonces, key) = (Nonces::new(1).unwrap(), Key::new());
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
        assert_eq!(check(&Nonces::new(1).unwrap(), &key.proof(Some(nonce.clone()), "5"), &jkt, NOW), Err(Why::UseNonce));
        let thief = Key::new();
        assert_eq!(check(&nonces, &thief.proof(Some(nonce), "6"), &jkt, NOW), Err(Why::InvalidToken("bound to another key")));
        let theirs = nonces.give(&thief.public().thumbprint(), NOW);
        assert_eq!(check(&nonces, &thief.proof(Some(theirs), "7"), &jkt, NOW), Err(Why::InvalidToken("bound to another key")));
    }

    #[test]
    fn the_memory_of_proofs_is_bounded_and_full_means_closed() {
        let nonces = Nonces::new(0).unwrap();
        for n in 0..REMEMBERED {
            assert_eq!(nonces.burn(&n.to_string(), NOW), Ok(()));
        }
        assert_eq!(nonces.burn("one more", NOW), Err(Why::Unavailable));
        assert_eq!(nonces.burn("one more", NOW.plus_s(WINDOW_S)), Ok(()));
        assert_eq!(nonces.burn("7", NOW.plus_s(WINDOW_S)), Err(Why::InvalidProof("a proof that was used before")));
        nonces.burn("later", NOW.plus_s(5 * WINDOW_S)).unwrap();
        assert!(nonces.used.lock().unwrap().before.is_empty());
    }
}
