//! Nonces that are given to one key and only while trust holds, and the memory of the proofs that used them
//! (RFC 9449 §8 and §11.1).
//!
//! A nonce is `node ‖ boot ‖ window ‖ MAC(jkt)`: it serves one key, at one process, for two windows at most.
//! So nobody collects nonces for others, a restart forgets nothing that still counts, and what was used has
//! to be remembered for two windows and no longer. Time is an argument, chance comes from outside.

use crate::dpop::{self, Fresh, Proof, ProofFault, Request};
use crate::{Thumbprint, Time, mac};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// A window of nonces, seconds: a nonce is taken in its own window and in the next.
pub const WINDOW_S: i64 = crate::limits::NONCE_S / 2;
/// Proofs that are remembered in one window, at most; beyond that no proof is taken until the next.
pub const REMEMBERED: usize = 200_000;

/// The window of `now`.
pub fn window(now: Time) -> i64 {
    now.seconds().div_euclid(WINDOW_S)
}

/// How old the nonce of a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Of this window.
    Young,
    /// Of the window before: the caller should get a new one.
    Old,
}

/// The age of a nonce of `made`, if it still counts.
pub fn age(made: i64, now: Time) -> Option<Age> {
    match window(now).checked_sub(made)? {
        0 => Some(Age::Young),
        1 => Some(Age::Old),
        _ => None,
    }
}

/// Why a proof is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is of another key than the one it is for: nothing is said about its nonce.
    OtherKey,
    /// Its form, or what it names; the word is for the log.
    Bad(&'static str),
    /// It was used before.
    Used,
    /// So many proofs were used that the next could not be remembered.
    Full,
}

/// Verifies a proof that must be by `jkt`, whatever its nonce: that is judged afterwards, and only for whom it is
/// known that trust holds. `request.fresh` is not looked at.
pub fn by_key(text: &str, request: &Request<'_>, jkt: &str) -> Result<Proof, Unfit> {
    let anyhow = Request { fresh: Fresh::Elsewhere, ..*request };
    let proof = dpop::verify(text, &anyhow).map_err(|fault| match fault {
        ProofFault::Bad(why) => Unfit::Bad(why),
        ProofFault::UseNonce => Unfit::Bad("a nonce"),
    })?;
    if proof.jkt.as_str() == jkt { Ok(proof) } else { Err(Unfit::OtherKey) }
}

#[derive(Default)]
struct Used {
    window: i64,
    now: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
}

/// The nonces of one process, and the proofs that used them.
pub struct Nonces {
    key: [u8; 32],
    place: [u8; 8],
    used: Mutex<Used>,
}

impl Nonces {
    /// With a fresh random key and the place where they are given: four bytes of the node, four of this boot.
    pub fn new(key: [u8; 32], place: [u8; 8]) -> Nonces {
        Nonces { key, place, used: Mutex::default() }
    }

    /// A nonce for a key.
    pub fn give(&self, jkt: &Thumbprint, now: Time) -> String {
        dpop::bound_nonce(&self.key, &self.place, window(now), jkt)
    }

    /// The age of a nonce of this process for a key; `None` if it is none, or counts no more.
    pub fn age(&self, nonce: &str, jkt: &Thumbprint, now: Time) -> Option<Age> {
        age(dpop::window_of_nonce(&self.key, &self.place, nonce, jkt)?, now)
    }

    /// Uses a proof up. One that was used in this window or the one before comes too late.
    pub fn burn(&self, name: &str, now: Time) -> Result<(), Unfit> {
        let mut short = [0; 16];
        short.iter_mut().zip(mac::h(name.as_bytes())).for_each(|(s, b)| *s = b);
        let at = window(now);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.window != at {
            let last = std::mem::take(&mut used.now);
            used.before = if used.window == at - 1 { last } else { HashSet::new() };
            used.window = at;
        }
        if used.before.contains(&short) {
            return Err(Unfit::Used);
        }
        if used.now.len() >= REMEMBERED {
            return Err(Unfit::Full);
        }
        if used.now.insert(short) { Ok(()) } else { Err(Unfit::Used) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn jkt(n: u8) -> Thumbprint {
        crate::jose::Jwk::P256([n; 64]).thumbprint()
    }

    #[test]
    fn a_nonce_serves_its_key_at_its_process_for_two_windows() {
        let (here, key) = (Nonces::new([1; 32], [2; 8]), jkt(3));
        let nonce = here.give(&key, NOW);
        assert_eq!(here.age(&nonce, &key, NOW), Some(Age::Young));
        assert_eq!(here.age(&nonce, &key, NOW.plus_s(WINDOW_S)), Some(Age::Old));
        assert_eq!(here.age(&nonce, &key, NOW.plus_s(2 * WINDOW_S)), None);
        assert_eq!(here.age(&nonce, &key, NOW.plus_s(-WINDOW_S)), None, "from a window that is still to come");
        assert_eq!(here.age(&nonce, &jkt(4), NOW), None, "another key");
        assert_eq!(Nonces::new([1; 32], [9; 8]).age(&nonce, &key, NOW), None, "another boot");
        assert_eq!(Nonces::new([9; 32], [2; 8]).age(&nonce, &key, NOW), None, "another secret");
        assert_eq!(here.age("AAAA", &key, NOW), None);
    }

    #[test]
    fn the_memory_of_proofs_is_bounded_and_full_means_closed() {
        let nonces = Nonces::new([1; 32], [2; 8]);
        for n in 0..REMEMBERED {
            assert_eq!(nonces.burn(&n.to_string(), NOW), Ok(()));
        }
        assert_eq!(nonces.burn("one more", NOW), Err(Unfit::Full));
        assert_eq!(nonces.burn("7", NOW), Err(Unfit::Full), "full is said before anything is looked up");
        assert_eq!(nonces.burn("one more", NOW.plus_s(WINDOW_S)), Ok(()));
        assert_eq!(nonces.burn("7", NOW.plus_s(WINDOW_S)), Err(Unfit::Used));
        nonces.burn("later", NOW.plus_s(5 * WINDOW_S)).unwrap();
        assert!(nonces.used.lock().unwrap().before.is_empty());
    }
}
