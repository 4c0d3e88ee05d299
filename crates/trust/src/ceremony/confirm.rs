//! Step 3: digits travel from one screen to the other, in the hands of the person.

use super::{Ceremony, End, Record, State, Step};
use crate::audit::Kind;
use crate::Refusal;
use countersign_wire::Time;
use countersign_wire::code::Direction;

impl Ceremony {
    /// Digits arrived from the side where they are typed; `right` says whether they match.
    pub fn confirm(&self, typed: Direction, right: bool, now: Time) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        match &self.state {
            _ if self.is_late(now) && self.is_pending() => {
                self.timed_out(now).answering(Refusal::Expired)
            }
            State::Opened(_) => Step::refused(Refusal::NotYet),
            State::Scanned(scan) => {
                let open = scan.demanded.directions.contains(&typed) && !scan.done.contains(&typed);
                if !open {
                    return Step::same();
                }
                let mut next = scan.clone();
                if right {
                    next.done.push(typed);
                    let all = scan.demanded.directions.iter().all(|d| next.done.contains(d));
                    let record = Record::of(Kind::CeremonyConfirmed)
                        .fact("direction", typed.as_str())
                        .fact("all", all);
                    let state = if all { State::Confirmed(next) } else { State::Scanned(next) };
                    return Step::to(state, Some(scan.until), record);
                }
                next.tries = scan.tries.saturating_sub(1);
                if next.tries == 0 {
                    return self.ended(End::Refused, "wrong_digits", now).answering(Refusal::Denied);
                }
                let record = Record::of(Kind::StepRefused)
                    .fact("step", "confirm")
                    .fact("direction", typed.as_str())
                    .fact("left", next.tries);
                Step::to(State::Scanned(next), Some(scan.until), record)
                    .answering(Refusal::WrongCode)
            }
            State::Confirmed(_) | State::Approved(_) => Step::same(),
            State::Redeemed(_) | State::Ended(_) => Step::refused(Refusal::Gone),
        }
    }
}
