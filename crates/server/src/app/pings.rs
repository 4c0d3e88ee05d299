//! Ceremonies of clients that are told when there is something to collect (CIBA Core 1.0 §10.2). Kept in
//! memory, by the node that keeps the decision: what is lost with it harms nobody, because such a client
//! may ask by itself as well.

use countersign_trust::audit::Kind;
use countersign_trust::limits;
use countersign_wire::CeremonyId;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What waits to be told.
#[derive(Default)]
pub struct Pings {
    waiting: Mutex<Vec<CeremonyId>>,
    /// Wakes the job that tells.
    pub called: Notify,
}

/// Whether an event of this kind may be the end of a client's waiting.
pub fn may_end(kind: Kind) -> bool {
    use Kind::{CeremonyAbandoned, CeremonyApproved, CeremonyExpired, CeremonyRefused, CeremonyRevoked};
    matches!(kind, CeremonyAbandoned | CeremonyApproved | CeremonyExpired | CeremonyRefused | CeremonyRevoked)
}

impl Pings {
    /// Something may have come to its end.
    pub fn tell(&self, ceremonies: Vec<CeremonyId>) {
        if ceremonies.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::PINGS_AT_ONCE.saturating_sub(waiting.len());
        waiting.extend(ceremonies.into_iter().take(room));
        drop(waiting);
        self.called.notify_one();
    }
    /// What waits, taken.
    pub fn take(&self) -> Vec<CeremonyId> {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
