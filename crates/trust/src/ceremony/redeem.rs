//! Step 5: the terminal that opened takes the result, once. A second valid proof takes it back.

use super::{Ceremony, End, Record, Redeemed, State, Step};
use crate::audit::Kind;
use crate::Refusal;
use crate::policy::{Allowed, Denied};
use crate::verdict::{Setting, verdicts};
use countersign_wire::code::Direction;
use countersign_wire::statement::{Near, Purpose};
use countersign_wire::{SessionId, Time};

/// The winner's own repetition is told so, without harm, for this long (milliseconds).
const REPEAT_MS: i64 = 10_000;

/// What a redemption brings that passed the gate.
#[derive(Clone, Copy)]
pub struct Passed<'a> {
    /// What policy says.
    pub allowed: &'a Allowed,
    /// What server and client contribute to the verdicts.
    pub setting: &'a Setting,
    /// Evidence of nearness as it is now: what was near at the scan may be far by the redemption.
    pub near: &'a [Near],
}

impl Ceremony {
    /// A redemption whose cookie, wait key and terminal key were all found right. Its record has a
    /// verdict for each mitigation of RFC 10027, as things stood when it was taken.
    pub fn redeem(
        &self,
        jti: &str,
        session: Option<SessionId>,
        passed: Result<Passed<'_>, &Denied>,
        now: Time,
    ) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        match &self.state {
            _ if self.is_late(now) && self.is_pending() => {
                self.timed_out(now).answering(Refusal::Expired)
            }
            State::Opened(_) | State::Scanned(_) | State::Confirmed(_) => {
                // Waiting pages ask often; a log line for each would bury the rest.
                Step { answer: Err(Refusal::Pending), ..Step::same() }
            }
            State::Approved(approved) => {
                let Passed { allowed, setting, near } = match passed {
                    Ok(passed) => passed,
                    Err(denied) => return self.refused_by_policy(denied, now),
                };
                let mut here = approved.clone();
                here.scan.near = near.to_vec();
                // A client that collects itself has no page of ours to greet on; a registered terminal shows the name
                // throughout.
                let greet = self.opening.purpose == Purpose::SignIn
                    && self.opening.collects.is_none()
                    && self.opening.terminal.is_none()
                    && !approved.scan.demanded.directions.contains(&Direction::TypedOnTerminal);
                let redeemed = Redeemed {
                    approved: approved.clone(),
                    jti: jti.to_owned(),
                    session,
                    greet,
                    claimed: false,
                    at: now,
                };
                let record = Record::of(Kind::CeremonyRedeemed)
                    .fact("greet", greet)
                    .fact("wait_ms", now.ms_since(approved.at))
                    .fact("policies", allowed.policies.clone())
                    .judged(&allowed.judged)
                    .fact("verdicts", serde_json::to_value(verdicts(self, &here, setting)).unwrap_or_default());
                Step::to(State::Redeemed(redeemed), Some(approved.until), record)
            }
            State::Redeemed(r) if r.jti == jti && now.ms_since(r.at) < REPEAT_MS => {
                Step::refused(Refusal::AlreadyRedeemed)
            }
            State::Redeemed(_) => {
                self.ended(End::Revoked, "redeemed_twice", now).answering(Refusal::AlreadyRedeemed)
            }
            State::Ended(ended) => Step::refused(match ended.end {
                End::Refused => Refusal::Denied,
                End::Expired => Refusal::Expired,
                End::Abandoned | End::Revoked => Refusal::Gone,
            }),
        }
    }

    /// What it gave is used for the first time.
    pub fn claim(&self, now: Time) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        match &self.state {
            State::Redeemed(r) if r.claimed => Step::same(),
            State::Redeemed(_) if self.is_late(now) => {
                self.timed_out(now).answering(Refusal::Gone)
            }
            State::Redeemed(r) => {
                let next = Redeemed { claimed: true, ..r.clone() };
                Step::to(State::Redeemed(next), self.deadline(), Record::of(Kind::CeremonyClaimed))
            }
            _ => Step::refused(Refusal::Gone),
        }
    }
}
