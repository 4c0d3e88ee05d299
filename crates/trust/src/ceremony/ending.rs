//! Step 6: everything else that ends a ceremony.

use super::{Ceremony, End, State, Step};
use crate::Refusal;
use countersign_wire::Time;

impl Ceremony {
    /// The terminal gives up: page closed, "start again", or "not me" at the greeting.
    pub fn abandon(&self, reason: &str, now: Time) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        match &self.state {
            State::Redeemed(r) if r.claimed => Step::refused(Refusal::Gone),
            State::Redeemed(_) => self.ended(End::Revoked, reason, now),
            State::Ended(_) => Step::same(),
            _ if self.is_late(now) => self.timed_out(now),
            _ => self.ended(End::Abandoned, reason, now),
        }
    }

    /// A signal, policy or a newer ceremony cuts it. A faulty clock does not stop this: nobody
    /// would hear of it and try again.
    pub fn cut(&self, reason: &str, now: Time) -> Step {
        match &self.state {
            State::Redeemed(_) => self.ended(End::Revoked, reason, now),
            State::Ended(_) => Step::same(),
            _ => self.ended(End::Refused, reason, now),
        }
    }

    /// The clock ends what is late.
    pub fn sweep(&self, now: Time) -> Step {
        if self.is_late(now) { self.timed_out(now) } else { Step::same() }
    }
}
