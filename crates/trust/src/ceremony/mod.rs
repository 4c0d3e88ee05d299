//! One cross-device attempt, from opening to redemption (docs/protocol.md §5).
//!
//! 1. A terminal opens ([`Ceremony::open`]).
//! 2. A device scans ([`scan`]).
//! 3. Digits travel where they are asked ([`confirm`]).
//! 4. The person decides ([`decide`]).
//! 5. The terminal redeems, once ([`redeem`]).
//! 6. Anything else ends it ([`ending`]).
//!
//! Every command takes the ceremony as it was loaded and the time, and answers with a [`Step`]:
//! what it becomes, what the caller hears, what is written down. Nothing else changes a ceremony.

pub mod collect;
pub mod confirm;
pub mod decide;
pub mod ending;
pub mod redeem;
pub mod scan;

use crate::Refusal;
use crate::ceremony::collect::Collects;
use crate::acr::Earned;
use crate::audit::Kind;
use crate::policy::{Denied, MayBegin};
use crate::terminal::AtTerminal;
use countersign_wire::code::Direction;
use countersign_wire::statement::{Asked, Asker, Boundary, Channel, Demanded, Near, Purpose, Rights};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{
    CeremonyId, CredentialId, DeviceId, PersonId, RequestId, SessionId, Thumbprint, Time, TxnId,
    limits,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A ceremony with the version of its row.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// Row version, 0 before it is first written.
    pub version: i64,
    /// What was fixed at its opening.
    pub opening: Opening,
    /// Where it is.
    pub state: State,
}

/// What is fixed at the opening and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Ceremony id.
    pub id: CeremonyId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// What for.
    pub purpose: Purpose,
    /// The authorization request, for a sign-in.
    pub flow: Option<RequestId>,
    /// Who asks.
    pub asker: Asker,
    /// What it yields at most.
    pub boundary: Boundary,
    /// What was asked.
    pub asked: Asked,
    /// Classes asked for (`acr_values`).
    pub acr_values: Vec<String>,
    /// Thumbprint of the terminal key.
    pub jkt: Thumbprint,
    /// base64url H(b) or H(c).
    pub collector_hash: String,
    /// Kind of terminal: `browser`, `console`, `device`.
    pub terminal_kind: String,
    /// Agent family as the terminal calls itself.
    pub agent: String,
    /// Network address it came from, reduced to what two devices behind one router share.
    pub source: String,
    /// The full address, to compare with the device's.
    pub address: String,
    /// Version of K that its keys are derived from.
    pub k: i64,
    /// For push: the person it is offered to.
    pub offered: Option<PersonId>,
    /// Whether it was made as a push at all, even to nobody.
    pub push: bool,
    /// The only person who may approve, where the request names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// For a recovery: who wants to come back; `None` for a login name that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers: Option<PersonId>,
    /// For a step-up: the session that is to be raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raises: Option<Raises>,
    /// For a client that collects at the token endpoint; `None` for a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collects: Option<Collects>,
    /// The registered terminal that opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<AtTerminal>,
    /// The device whose badge the terminal read: nobody else may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge: Option<DeviceId>,
    /// For a [`Purpose::Vouch`]: who has no phone; `None` for a login name that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouches: Option<PersonId>,
    /// When.
    pub at: Time,
}

/// The session that a step-up raises; only its own person can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raises {
    /// Session.
    pub session: SessionId,
    /// Whose it is.
    pub person: PersonId,
}

/// Where a ceremony is, with what is true there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
#[expect(clippy::large_enum_variant, reason = "one is held at a time; a box would only hide it")]
pub enum State {
    /// Waiting for a device.
    Opened(Opened),
    /// A device has it; digits are still to travel.
    Scanned(Scan),
    /// Digits matched, or none were asked; the person may decide.
    Confirmed(Scan),
    /// Approved; the terminal may redeem.
    Approved(Approved),
    /// Taken by the terminal, once.
    Redeemed(Redeemed),
    /// Over.
    Ended(Ended),
}

/// See [`State::Opened`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Until when anything may begin it.
    pub until: Time,
    /// Scans that policy refused.
    pub denied: u8,
}

/// What a scan fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The device that scanned: nobody else may confirm or decide.
    pub device: DeviceId,
    /// Thumbprint of its key.
    pub dk: Thumbprint,
    /// Its person.
    pub person: PersonId,
    /// Exact bytes of the statement, base64url.
    pub statement: String,
    /// How it was met.
    pub channel: Channel,
    /// Evidence of nearness.
    pub near: Vec<Near>,
    /// Whether a page of ours scanned, by the word of the program; others show less.
    #[serde(default)]
    pub page: bool,
    /// Digits demanded.
    pub demanded: Demanded,
    /// Directions already confirmed.
    pub done: Vec<Direction>,
    /// Tries left.
    pub tries: u8,
    /// What may be unlocked at most.
    pub rights: Rights,
    /// When.
    pub at: Time,
    /// Until when.
    pub until: Time,
}

impl Scan {
    /// Whether digits enough to be worth a class were carried over and matched.
    pub fn transferred(&self) -> bool {
        self.demanded.digits >= limits::PUSH_DIGITS && self.done.contains(&Direction::TypedOnDevice)
    }
}

/// See [`State::Approved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// What was scanned.
    pub scan: Scan,
    /// The decision JWS, kept as evidence.
    pub jws: String,
    /// Its `jti`.
    pub jti: String,
    /// The passkey's assertion, kept as evidence.
    pub assertion: AssertionText,
    /// The passkey.
    pub credential: CredentialId,
    /// Whether hardware attested it.
    pub attested: bool,
    /// What was earned.
    pub earned: Earned,
    /// When: the `auth_time`.
    pub at: Time,
    /// Until when it may be redeemed.
    pub until: Time,
}

/// See [`State::Redeemed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// What was approved.
    pub approved: Approved,
    /// `jti` of the proof that won.
    pub jti: String,
    /// The session it gave, if any.
    pub session: Option<SessionId>,
    /// Whether the page still asks "You are …?".
    pub greet: bool,
    /// Whether the result was used.
    pub claimed: bool,
    /// When.
    pub at: Time,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// A person or policy said no.
    Refused,
    /// Time ran out.
    Expired,
    /// The terminal gave up.
    Abandoned,
    /// It was redeemed, and taken back.
    Revoked,
}

/// See [`State::Ended`]. What was there before is kept as evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Why: a word of ours.
    pub reason: String,
    /// When.
    pub at: Time,
    /// The scan, if there was one.
    pub scan: Option<Scan>,
    /// The approval, if there was one.
    pub approved: Option<Approved>,
    /// The session it had given, if any.
    pub session: Option<SessionId>,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Step {
    /// The new state; `None` if nothing changed.
    pub next: Option<State>,
    /// What the caller hears.
    pub answer: Result<(), Refusal>,
    /// What is written down; never empty for a change.
    pub records: Vec<Record>,
    /// The change holds only if it is written before this.
    pub before: Option<Time>,
}

/// One thing to write down about a step.
#[derive(Clone, Debug)]
pub struct Record {
    /// Kind of event.
    pub kind: Kind,
    /// Refusal, if it is one.
    pub refusal: Option<Refusal>,
    /// Facts.
    pub facts: Map<String, Value>,
}

impl Record {
    /// A record without facts.
    pub fn of(kind: Kind) -> Record {
        Record { kind, refusal: None, facts: Map::new() }
    }
    /// Adds a fact.
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Record {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
    /// Adds what policy judged, where it was asked.
    fn judged(self, judged: &Value) -> Record {
        if judged.is_null() { self } else { self.fact("judged", judged.clone()) }
    }
}

impl Step {
    /// Nothing changes, all is well; nothing needs writing down.
    pub(crate) fn same() -> Step {
        Step { next: None, answer: Ok(()), records: Vec::new(), before: None }
    }
    /// Nothing changes but the log.
    pub(crate) fn refused(refusal: Refusal) -> Step {
        let mut record = Record::of(Kind::StepRefused);
        record.refusal = Some(refusal);
        Step { next: None, answer: Err(refusal), records: vec![record], before: None }
    }
    pub(crate) fn to(next: State, before: Option<Time>, record: Record) -> Step {
        Step { next: Some(next), answer: Ok(()), records: vec![record], before }
    }
    pub(crate) fn answering(mut self, refusal: Refusal) -> Step {
        self.answer = Err(refusal);
        if let Some(first) = self.records.first_mut() {
            first.refusal = Some(refusal);
        }
        self
    }
}

impl Ceremony {
    /// A new ceremony, open for as long as its typed code; a QR code dies earlier, by its frames.
    pub fn open(opening: Opening, _: MayBegin) -> Ceremony {
        let most_s = if opening.push { limits::PUSH_S } else { limits::USER_CODE_S };
        let life_s = opening.collects.as_ref().map_or(most_s, |c| c.life_s.min(most_s));
        let until = opening.at.plus_s(life_s);
        Ceremony { version: 0, opening, state: State::Opened(Opened { until, denied: 0 }) }
    }

    /// Latest moment of any ceremony opened when this one was: a client was told another end.
    pub fn ceiling(&self) -> Time {
        let most_s = limits::CEREMONY_MAX_S;
        self.opening.at.plus_s(self.opening.collects.as_ref().map_or(most_s, |c| c.life_s.min(most_s)))
    }

    /// When the present state ends by itself; `None` for what has ended or was claimed.
    pub fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Opened(s) => Some(s.until),
            State::Scanned(s) | State::Confirmed(s) => Some(s.until),
            State::Approved(s) => Some(s.until),
            State::Redeemed(s) if !s.claimed => {
                Some(s.at.plus_s(limits::UNCLAIMED_S).min(self.ceiling()))
            }
            State::Redeemed(_) | State::Ended(_) => None,
        }
    }

    /// When the present state began.
    pub fn began(&self) -> Time {
        match &self.state {
            State::Opened(_) => self.opening.at,
            State::Scanned(s) | State::Confirmed(s) => s.at,
            State::Approved(s) => s.at,
            State::Redeemed(s) => s.at,
            State::Ended(s) => s.at,
        }
    }

    /// Name of the state, as terminals and the log see it.
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Opened(_) => "opened",
            State::Scanned(_) => "scanned",
            State::Confirmed(_) => "confirmed",
            State::Approved(_) => "approved",
            State::Redeemed(_) => "redeemed",
            State::Ended(e) => match e.end {
                End::Refused => "refused",
                End::Expired => "expired",
                End::Abandoned => "abandoned",
                End::Revoked => "revoked",
            },
        }
    }

    /// The scan, wherever the ceremony is.
    pub fn scan_facts(&self) -> Option<&Scan> {
        match &self.state {
            State::Opened(_) => None,
            State::Scanned(s) | State::Confirmed(s) => Some(s),
            State::Approved(a) => Some(&a.scan),
            State::Redeemed(r) => Some(&r.approved.scan),
            State::Ended(e) => e.scan.as_ref(),
        }
    }

    /// The approval, if it was given.
    pub fn approval(&self) -> Option<&Approved> {
        match &self.state {
            State::Approved(a) => Some(a),
            State::Redeemed(r) => Some(&r.approved),
            State::Ended(e) => e.approved.as_ref(),
            _ => None,
        }
    }

    /// The session it gave, if any.
    pub fn session(&self) -> Option<&SessionId> {
        match &self.state {
            State::Redeemed(r) => r.session.as_ref(),
            State::Ended(e) => e.session.as_ref(),
            _ => None,
        }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether it could still give something.
    pub fn is_pending(&self) -> bool {
        !matches!(self.state, State::Redeemed(_) | State::Ended(_))
    }

    fn is_late(&self, now: Time) -> bool {
        self.deadline().is_some_and(|end| now >= end)
    }

    /// A clock that stands before the beginning of the state cannot judge it.
    fn clock_fault(&self, now: Time) -> Option<Step> {
        let early = now < self.began().plus_ms(-limits::CLOCK_SLACK_MS);
        early.then(|| Step::refused(Refusal::Clock))
    }

    fn end(&self, end: End, reason: &str, now: Time) -> State {
        State::Ended(Ended {
            end,
            reason: reason.to_owned(),
            at: now,
            scan: self.scan_facts().cloned(),
            approved: self.approval().cloned(),
            session: self.session().cloned(),
        })
    }

    fn ended(&self, end: End, reason: &str, now: Time) -> Step {
        let kind = match end {
            End::Refused => Kind::CeremonyRefused,
            End::Expired => Kind::CeremonyExpired,
            End::Abandoned => Kind::CeremonyAbandoned,
            End::Revoked => Kind::CeremonyRevoked,
        };
        let record = Record::of(kind).fact("reason", reason).fact("was", self.state_name());
        Step::to(self.end(end, reason, now), None, record)
    }

    fn refused_by_policy(&self, denied: &Denied, now: Time) -> Step {
        let mut step = self.ended(End::Refused, "policy", now).answering(Refusal::Denied);
        let told = |r: Record| r.fact("policies", denied.policies.clone()).judged(&denied.judged);
        step.records = step.records.into_iter().map(told).collect();
        step
    }

    /// What becomes of a state whose time is over.
    fn timed_out(&self, now: Time) -> Step {
        match self.state {
            State::Redeemed(_) => self.ended(End::Revoked, "unclaimed", now),
            _ => self.ended(End::Expired, "time", now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::statement::Rights;

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        let at = Time(1_000_000);
        let scan = Scan {
            device: DeviceId::new(at, [1; 10]),
            dk: Thumbprint::from_digest(&[2; 32]),
            person: PersonId::new(at, [3; 10]),
            statement: "e30".into(),
            channel: Channel::Frame,
            near: vec![Near::SameNetwork],
            page: true,
            demanded: Demanded { directions: vec![Direction::TypedOnTerminal], digits: 4 },
            done: Vec::new(),
            tries: 3,
            rights: Rights { scopes: Vec::new(), session_s: 60, clients: Vec::new(), timed: Vec::new() },
            at,
            until: at.plus_s(1),
        };
        for state in [
            State::Opened(Opened { until: at, denied: 0 }),
            State::Scanned(scan.clone()),
            State::Confirmed(scan.clone()),
            State::Ended(Ended {
                end: End::Refused,
                reason: "person".into(),
                at,
                scan: Some(scan),
                approved: None,
                session: None,
            }),
        ] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state, "{text}");
        }
    }
}
