//! Step 4: the person decides. Refusing is free; approving takes the device key and a passkey.

use super::{Approved, Ceremony, End, Opening, Record, State, Step};
use crate::acr::Earned;
use crate::audit::Kind;
use crate::Refusal;
use crate::policy::Ruling;
use countersign_wire::statement::Purpose;
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{CredentialId, DeviceId, PersonId, Time, limits};

/// An approval whose decision and assertion were verified against the statement. Only code that
/// verified both may make one.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The decision JWS.
    pub jws: String,
    /// The assertion.
    pub assertion: AssertionText,
    /// The passkey that made it.
    pub credential: CredentialId,
    /// Whether hardware attested that passkey.
    pub attested: bool,
    /// Whether device or passkey came by a recovery, and is still held to it.
    pub recovering: bool,
    /// Whether others hold the device as well.
    pub shared: bool,
}

impl Opening {
    /// Whom to stop, and for whom a budget is, where this was not welcome: a registered terminal itself, as the screens of a
    /// shop share an address; else the network it came from.
    pub fn screen(&self) -> &str {
        self.terminal.as_ref().map_or(&self.source, |at| at.id.as_str())
    }
}

impl Ceremony {
    /// The scanner approves. `proof` is `None` when decision or assertion did not verify.
    pub fn approve(
        &self,
        device: &DeviceId,
        jti: &str,
        proof: Option<Proven>,
        ruling: &Ruling,
        now: Time,
    ) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        if self.scan_facts().is_none_or(|s| s.device != *device) {
            return Step::refused(Refusal::NoSuchCeremony);
        }
        match &self.state {
            State::Opened(_) => Step::refused(Refusal::NoSuchCeremony),
            State::Ended(_) => Step::refused(Refusal::Gone),
            State::Redeemed(r) => Self::repeated(&r.approved, jti),
            _ if self.is_late(now) => self.timed_out(now).answering(Refusal::Expired),
            State::Approved(a) => Self::repeated(a, jti),
            State::Scanned(_) => Step::refused(Refusal::ConfirmFirst),
            State::Confirmed(scan) => {
                let Some(proof) = proof else { return Step::refused(Refusal::BadProof) };
                let allowed = match ruling {
                    Ruling::Allow(allowed) => allowed,
                    Ruling::Deny(denied) => return self.refused_by_policy(denied, now),
                };
                let earned = match self.opening.purpose {
                    Purpose::Vouch => Earned::Vouched,
                    _ => Earned::by_ceremony(scan.channel, scan.transferred()).recovering(proof.recovering).shared(proof.shared),
                };
                let life_s = if self.opening.collects.is_some() { limits::COLLECT_S } else { limits::APPROVED_S };
                let approved = Approved {
                    scan: scan.clone(),
                    jws: proof.jws,
                    jti: jti.to_owned(),
                    assertion: proof.assertion,
                    credential: proof.credential,
                    attested: proof.attested,
                    earned,
                    at: now,
                    until: now.plus_s(life_s).min(self.ceiling()),
                };
                let record = Record::of(Kind::CeremonyApproved)
                    .fact("acr", earned.acr())
                    .fact("read_ms", now.ms_since(scan.at))
                    .fact("policies", allowed.policies.clone())
                    .judged(&allowed.judged);
                Step::to(State::Approved(approved), Some(scan.until), record)
            }
        }
    }

    fn repeated(approved: &Approved, jti: &str) -> Step {
        if approved.jti == jti { Step::same() } else { Step::refused(Refusal::Decided) }
    }

    /// Whether "not me" may still be said: while it is open, while what it gave lives, and for some
    /// minutes after its end.
    pub fn may_be_disowned(&self, gives: bool, now: Time) -> bool {
        let end = match &self.state {
            State::Ended(e) => e.at,
            State::Redeemed(r) if !gives => r.at,
            _ => return true,
        };
        now < end.plus_s(crate::limits::DISOWN_S)
    }

    /// The scanner refuses, or says that somebody else began it; for a push, the person it was
    /// offered to may as well.
    pub fn refuse(&self, device: &DeviceId, person: &PersonId, not_me: bool, now: Time) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        let reason = if not_me { "not_me" } else { "person" };
        let scanner = self.scan_facts().is_some_and(|s| s.device == *device);
        let offered = self.opening.offered.as_ref() == Some(person);
        match &self.state {
            State::Opened(_) if self.is_late(now) => {
                // A stranger hears what strangers always hear.
                let heard = if offered { Refusal::Expired } else { Refusal::NoSuchCeremony };
                self.timed_out(now).answering(heard)
            }
            State::Opened(_) if !offered => Step::refused(Refusal::NoSuchCeremony),
            State::Opened(_) => self.ended(End::Refused, reason, now),
            _ if !scanner && !offered => Step::refused(Refusal::NoSuchCeremony),
            State::Scanned(_) | State::Confirmed(_) | State::Approved(_) => {
                if self.is_late(now) {
                    self.timed_out(now).answering(Refusal::Expired)
                } else {
                    self.ended(End::Refused, reason, now)
                }
            }
            State::Redeemed(_) => self.ended(End::Revoked, reason, now),
            // A refusal repeated after a lost answer does no harm; "not me" counts even now.
            State::Ended(_) if not_me => {
                let record = Record::of(Kind::NotMe).fact("was", self.state_name());
                Step { records: vec![record], ..Step::same() }
            }
            State::Ended(_) => Step::same(),
        }
    }
}
