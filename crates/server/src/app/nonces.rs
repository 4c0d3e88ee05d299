//! Nonces of our own doors for tokens that are bound to a key ([`countersign_wire::nonces`]): given to that key,
//! and only where it was just found that trust holds. Whoever has lost it gets none, so what was prepared
//! before the end is worth nothing after one nonce's life.
//!
//! 1. With a store that one process has, used proofs are remembered in memory. Nonces name this process:
//!    after a restart callers are asked to take a new one.
//! 2. With a store that several nodes share, a nonce is good at each of them, since callers try only once
//!    more and a balancer may bring them anywhere. Used proofs are remembered in the store, for what
//!    changes something or lets somebody through.

use super::once::DPOP;
use super::{App, Fault};
use countersign_store::Engine;
use countersign_trust::Refusal;
use countersign_wire::dpop::{self, Proof};
use countersign_wire::nonces::{self, Nonces, Unfit};
use countersign_wire::{Thumbprint, Time};

/// Place of nonces that are good at every node.
const ANYWHERE: [u8; 8] = [0; 8];

/// What this process keeps of its nonces; nothing where several nodes share them.
pub struct Kept(Option<Nonces>);

impl Kept {
    /// For a store, with fresh random bytes.
    pub fn new(engine: &Engine, key: [u8; 32], place: [u8; 8]) -> Kept {
        let shared = matches!(engine, Engine::Postgres(_));
        Kept((!shared).then(|| Nonces::new(key, place)))
    }
}

/// A nonce for a key: only for whom trust was just found to hold.
pub fn give(app: &App, jkt: &Thumbprint) -> String {
    let now = app.now();
    match &app.nonces.0 {
        Some(own) => own.give(jkt, now),
        None => dpop::bound_nonce(app.keys.k().1.expose(), &ANYWHERE, nonces::window(now), jkt),
    }
}

/// Whether a nonce was given to this key here, and counts still.
pub fn is_live(app: &App, nonce: &str, jkt: &Thumbprint, now: Time) -> bool {
    match &app.nonces.0 {
        Some(own) => own.age(nonce, jkt, now).is_some(),
        None => app.keys.k_live().iter().any(|k| {
            dpop::window_of_nonce(k.expose(), &ANYWHERE, nonce, jkt).and_then(|at| nonces::age(at, now)).is_some()
        }),
    }
}

/// Whether a proof carries such a nonce.
pub fn is_fresh(app: &App, proof: &Proof, now: Time) -> bool {
    proof.nonce.as_deref().is_some_and(|nonce| is_live(app, nonce, &proof.jkt, now))
}

/// Uses up a proof with such a nonce. In a shared store only where it `matters`.
pub async fn use_up(app: &App, proof: &Proof, matters: bool, now: Time) -> Result<(), Fault> {
    let first = match &app.nonces.0 {
        Some(own) => match own.burn(&proof.name(), now) {
            Ok(()) => true,
            Err(Unfit::Full) => return Err(Fault::because(Refusal::TooMany, "proofs of a minute")),
            Err(_) => false,
        },
        None => !matters || app.store.burn_first(DPOP, &proof.name(), proof.burn_until).await?,
    };
    if first { Ok(()) } else { Err(Fault::because(Refusal::BadProof, "a proof that was used before")) }
}
