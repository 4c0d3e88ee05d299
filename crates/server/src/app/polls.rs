//! How often clients ask for what they wait for (RFC 8628 §3.5; CIBA Core 1.0 §11). Counted in memory: a
//! node that ends forgets it, and a client that asks several nodes may ask each.

use countersign_trust::limits;
use countersign_wire::{CeremonyId, Time};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Clocks of networks are uneven: a question may come this much earlier, milliseconds.
const EARLY_MS: i64 = 500;

/// Clients that ask, on this node.
#[derive(Default)]
pub struct Polls(Mutex<HashMap<CeremonyId, Poll>>);

struct Poll {
    last: Time,
    every_s: i64,
    until: Time,
}

impl Polls {
    /// A client asks about what ends at `until`; false if it was told to ask less often. Each time it
    /// is, five seconds are added for good.
    pub fn may_ask(&self, ceremony: &CeremonyId, until: Time, now: Time) -> bool {
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if polls.len() >= limits::POLLING {
            polls.retain(|_, poll| now < poll.until);
        }
        let Some(poll) = polls.get_mut(ceremony) else {
            if polls.len() < limits::POLLING {
                polls.insert(ceremony.clone(), Poll { last: now, every_s: limits::POLL_S, until });
            }
            return true;
        };
        let early = now.ms_since(poll.last) < poll.every_s * 1_000 - EARLY_MS;
        if early {
            poll.every_s += limits::POLL_S;
        }
        poll.last = now;
        !early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_often_waits_five_seconds_more_for_good() {
        let (polls, t) = (Polls::default(), Time::from_seconds(1_800_000_000));
        let id = CeremonyId::new(t, [1; 10]);
        let asks = |s: i64| polls.may_ask(&id, t.plus_s(300), t.plus_s(s));
        assert!(asks(0) && asks(5) && asks(10));
        assert!(!asks(12), "two seconds after the last");
        assert!(!asks(17), "five, but ten are asked for now");
        assert!(asks(32), "fifteen");
        assert!(!asks(42), "ten, for good fifteen");
        let other = CeremonyId::new(t, [2; 10]);
        assert!(polls.may_ask(&other, t.plus_s(300), t.plus_s(42)), "each for itself");
    }
}
