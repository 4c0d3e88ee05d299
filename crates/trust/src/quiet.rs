//! How long a client whose requests a person does not approve rings none of their phones. Its requests stand on an open page all
//! the same: what falls silent is the bell.

use crate::limits::{QUIET_MAX_S, QUIET_S, UNANSWERED_RINGS};
use countersign_wire::Time;

/// Until when, where `misses` of its requests in a row were not approved, the newest at `last`; `None` where it may ring.
pub fn until(misses: i64, last: Time) -> Option<Time> {
    // Twice as often would be beyond the longest long before.
    let doubled = u32::try_from((misses - UNANSWERED_RINGS).min(20)).ok()?;
    Some(last.plus_s(QUIET_S.saturating_mul(1 << doubled).min(QUIET_MAX_S)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_after_two_and_doubles_up_to_a_day() {
        let last = Time::from_seconds(1_000);
        let for_s = |misses| until(misses, last).map(|t| t.seconds() - 1_000);
        assert_eq!((for_s(0), for_s(1)), (None, None));
        assert_eq!([2, 3, 4, 5].map(for_s), [300, 600, 1_200, 2_400].map(Some));
        assert_eq!([10, 11, 12, 40, 70, i64::MAX].map(for_s), [76_800, 86_400, 86_400, 86_400, 86_400, 86_400].map(Some));
    }
}
