//! What is good for one time: proofs by their `jti`, secrets by their hash.

use super::{App, Fault};
use countersign_store::{StoreError, Write};
use countersign_trust::Refusal;
use countersign_wire::dpop::Proof;
use countersign_wire::{b64, mac};

/// What proofs are burnt under.
pub const DPOP: &str = "dpop";

/// Uses up the `jti` of a proof (RFC 9449 §11.1).
pub fn burn(proof: &Proof) -> Write {
    Write::burnt(DPOP, &proof.name(), proof.burn_until)
}

/// Whether the `jti` of a proof was used before.
pub async fn is_burnt(app: &App, proof: &Proof) -> Result<bool, StoreError> {
    app.store.is_burnt(DPOP, &proof.name()).await
}

/// Refuses a `jti` that was used before; asked when a commit met a conflict.
pub async fn refuse_if_burnt(app: &App, attempt: usize, proof: &Proof) -> Result<(), Fault> {
    if attempt > 0 && is_burnt(app, proof).await? {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    Ok(())
}

/// base64url SHA-256: how secrets that machines made are kept.
pub fn hashed(secret: &[u8]) -> String {
    b64::encode(&mac::h(secret))
}
