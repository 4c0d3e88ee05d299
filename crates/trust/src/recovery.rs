//! The way back for whoever has no device left: a code on paper, or two people of a named role and a
//! wait in which the person can stop it. Either ends in a device with reduced rights.

use crate::Refusal;
use crate::enrolment::Vouched;
use crate::limits;
use crate::principal::Role;
use countersign_wire::secret::same;
use countersign_wire::{CeremonyId, DeviceId, PersonId, RecoveryId, Thumbprint, Time, TxnId};
use serde::{Deserialize, Serialize};

/// A person's recovery codes with the version of their row.
#[derive(Clone, Debug)]
pub struct Codes {
    /// Row version.
    pub version: i64,
    /// The codes.
    pub facts: CodesFacts,
}

/// One set of codes; a new one replaces it as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodesFacts {
    /// Whose.
    pub person: PersonId,
    /// Made on this device.
    pub device: DeviceId,
    /// When.
    pub made_at: Time,
    /// Each code.
    pub codes: Vec<Code>,
}

/// One code, of which only a hash is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// base64url of its SHA-256.
    pub hash: String,
    /// When it was used, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Time>,
}

impl CodesFacts {
    /// A fresh set.
    pub fn new(person: &PersonId, device: &DeviceId, hashes: Vec<String>, now: Time) -> CodesFacts {
        let codes = hashes.into_iter().map(|hash| Code { hash, used_at: None }).collect();
        CodesFacts { person: person.clone(), device: device.clone(), made_at: now, codes }
    }
    /// How many were not used.
    pub fn left(&self) -> usize {
        self.codes.iter().filter(|c| c.used_at.is_none()).count()
    }
    /// The set after the code with this hash was used; `replayed` is told of one that was used before.
    /// Every code is compared, each in constant time.
    pub fn used(&self, hash: &str, now: Time) -> Result<CodesFacts, NoCode> {
        let mut after = self.clone();
        let mut found = Err(NoCode::Unknown);
        for code in &mut after.codes {
            if same(code.hash.as_bytes(), hash.as_bytes()) {
                found = if code.used_at.is_some() { Err(NoCode::Replayed) } else { Ok(()) };
                code.used_at = code.used_at.or(Some(now));
            }
        }
        found.map(|()| after)
    }
}

/// Why a code opens nothing. The caller hears one answer for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCode {
    /// No code of this person.
    Unknown,
    /// It was used before.
    Replayed,
}

/// Where a request of two approvals is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Under way.
    Open,
    /// The person stopped it, from any device.
    Stopped,
    /// Whoever asked gave it up.
    Cancelled,
    /// An approver may not vouch any more.
    Withdrawn,
    /// The device was let in.
    Used,
}

impl RequestState {
    /// Every state.
    pub const ALL: [RequestState; 5] =
        [RequestState::Open, RequestState::Stopped, RequestState::Cancelled, RequestState::Withdrawn, RequestState::Used];
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestState::Open => "open",
            RequestState::Stopped => "stopped",
            RequestState::Cancelled => "cancelled",
            RequestState::Withdrawn => "withdrawn",
            RequestState::Used => "used",
        }
    }
    /// From the store.
    pub fn parse(text: &str) -> Option<RequestState> {
        RequestState::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A person's way back through two others, with the version of its row. It begins with the first
/// approval.
#[derive(Clone, Debug)]
pub struct Request {
    /// Row version.
    pub version: i64,
    /// Where it is.
    pub state: RequestState,
    /// Its facts.
    pub facts: RequestFacts,
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// Its id.
    pub id: RecoveryId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// Who wants to come back.
    pub person: PersonId,
    /// The key of the new device: what is approved is this key and no other.
    pub jkt: Thumbprint,
    /// Who let them in so far.
    pub approvals: Vec<Approval>,
    /// First approved at.
    pub asked_at: Time,
    /// With all approvals: the wait is over then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Time>,
    /// Nothing comes of it later than this.
    pub until: Time,
}

/// One person's word that it is them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who, by which device and passkey, how near: judged again whenever something rests on it.
    pub by: Vouched,
    /// In which ceremony.
    pub ceremony: CeremonyId,
    /// When.
    pub at: Time,
}

/// How far it is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A further approval is needed.
    Asked,
    /// Approved; the person may stop it until this.
    Waiting(Time),
    /// The device may enrol.
    Ready,
    /// Stopped, used, or run out.
    Over,
}

/// Approvals that are needed.
pub const APPROVALS: usize = 2;

/// Whether a role may let somebody back in at all. Policy may ask for more.
pub fn may_vouch(role: Role) -> bool {
    matches!(role, Role::RecoveryOfficer | Role::Administrator)
}

impl RequestFacts {
    /// What the first approval begins.
    pub fn asked(id: RecoveryId, txn: TxnId, person: &PersonId, jkt: &Thumbprint, by: Approval, now: Time) -> Result<RequestFacts, Refusal> {
        if by.by.person == *person {
            return Err(Refusal::Denied);
        }
        Ok(RequestFacts {
            id,
            txn,
            person: person.clone(),
            jkt: jkt.clone(),
            approvals: vec![by],
            asked_at: now,
            ready_at: None,
            until: now.plus_s(limits::RECOVERY_S),
        })
    }
}

impl Request {
    /// How far it is.
    pub fn standing(&self, now: Time) -> Standing {
        if self.state != RequestState::Open || now >= self.facts.until {
            return Standing::Over;
        }
        match self.facts.ready_at {
            None => Standing::Asked,
            Some(at) if now < at => Standing::Waiting(at),
            Some(_) => Standing::Ready,
        }
    }

    /// A further approval: by somebody else than the person and than whoever approved before. With
    /// the last one the wait begins.
    pub fn approved(&self, by: Approval, delay_s: i64, now: Time) -> Result<RequestFacts, Refusal> {
        if self.standing(now) != Standing::Asked {
            return Err(Refusal::Gone);
        }
        if self.has_word_of(&by.by.person) {
            return Err(Refusal::Denied);
        }
        let mut facts = self.facts.clone();
        facts.approvals.push(by);
        if facts.approvals.len() >= APPROVALS {
            let ready = now.plus_s(delay_s.max(0));
            facts.ready_at = Some(ready);
            facts.until = ready.plus_s(limits::RECOVERY_S);
        }
        Ok(facts)
    }

    /// Whether somebody is the person, or approved before.
    pub fn has_word_of(&self, person: &PersonId) -> bool {
        self.facts.person == *person || self.facts.approvals.iter().any(|a| a.by.person == *person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acr::Earned;
    use countersign_wire::statement::{Channel, Purpose};

    const T0: Time = Time(1_000_000_000);

    fn person(n: u8) -> PersonId {
        PersonId::new(T0, [n; 10])
    }

    fn by(n: u8) -> Approval {
        Approval {
            by: Vouched {
                person: person(n),
                purpose: Purpose::Recover,
                device: DeviceId::new(T0, [n; 10]),
                credential: "c".parse().unwrap(),
                channel: Channel::Frame,
                near: vec![],
                earned: Earned::CrossDevice,
            },
            ceremony: CeremonyId::new(T0, [n; 10]),
            at: T0,
        }
    }

    fn asked() -> Request {
        let (id, txn) = (RecoveryId::new(T0, [1; 10]), TxnId::new(T0, [1; 10]));
        let facts = RequestFacts::asked(id, txn, &person(0), &Thumbprint::from_digest(&[1; 32]), by(1), T0).unwrap();
        Request { version: 1, state: RequestState::Open, facts }
    }

    #[test]
    fn two_others_and_a_wait_and_nobody_twice() {
        let first = asked();
        assert_eq!(first.standing(T0), Standing::Asked);
        assert_eq!(first.approved(by(1), 60, T0), Err(Refusal::Denied), "the same person again");
        assert_eq!(first.approved(by(0), 60, T0), Err(Refusal::Denied), "the person themself");
        let facts = first.approved(by(2), 60, T0).unwrap();
        let both = Request { facts, ..first.clone() };
        assert_eq!(both.standing(T0), Standing::Waiting(T0.plus_s(60)));
        assert_eq!(both.standing(T0.plus_s(60)), Standing::Ready);
        assert_eq!(both.standing(T0.plus_s(60 + limits::RECOVERY_S)), Standing::Over);
        assert_eq!(both.approved(by(3), 60, T0), Err(Refusal::Gone), "nothing is left to approve");
        for state in RequestState::ALL.into_iter().filter(|s| *s != RequestState::Open) {
            let over = Request { state, ..both.clone() };
            assert_eq!(over.standing(T0.plus_s(60)), Standing::Over, "{state:?}");
            assert!(Request { state, ..first.clone() }.approved(by(2), 60, T0).is_err());
        }
        assert_eq!(first.standing(T0.plus_s(limits::RECOVERY_S)), Standing::Over, "the second approval came too late");
    }

    #[test]
    fn nobody_begins_their_own_recovery() {
        let (id, txn) = (RecoveryId::new(T0, [1; 10]), TxnId::new(T0, [1; 10]));
        let own = RequestFacts::asked(id, txn, &person(1), &Thumbprint::from_digest(&[1; 32]), by(1), T0);
        assert_eq!(own, Err(Refusal::Denied));
    }

    #[test]
    fn a_code_works_once() {
        let hashes = vec!["a".to_owned(), "b".to_owned()];
        let set = CodesFacts::new(&person(1), &DeviceId::new(T0, [1; 10]), hashes, T0);
        assert_eq!(set.used("x", T0), Err(NoCode::Unknown));
        let after = set.used("a", T0).unwrap();
        assert_eq!((set.left(), after.left()), (2, 1));
        assert_eq!(after.used("a", T0), Err(NoCode::Replayed));
        assert_eq!(after.used("b", T0).unwrap().left(), 0);
    }
}
