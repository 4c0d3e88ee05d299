//! Rights without the line: who may open them, what the server makes of a chain that was handed in, and who reviews it.
//! Whether a use was opened as it had to be is [`countersign_wire::glass`]'s to say, for all who ask.
//!
//! 1. A client's registration lists what can be opened so ([`WithoutLine`]); a site names those who may.
//! 2. [`may_hold`] says whose phone goes on the list, as everything stands when the grant is sealed.
//! 3. A terminal has one open grant at a time. What was not handed in within [`limits::GLASS_GRACE_S`] of its end is missed.
//! 4. Every use waits for somebody who had no part in it ([`may_review`]), with the [`Mark`]s of what did not fit.

use crate::client::{Client, OFFLINE_ACCESS};
use crate::device::{Credential, Device, DeviceState};
use crate::limits;
use crate::principal::{Person, PersonState, Role};
use crate::signal::Signal;
use countersign_wire::glass::Opened;
use countersign_wire::limits::{GLASS_S, GLASS_SLACK_S, GLASS_USE_S, GLASS_USES};
use countersign_wire::{ClientId, CredentialId, DeviceId, GlassId, PersonId, TerminalId, Time};
use serde::{Deserialize, Serialize};

/// What two people can open at a registered terminal while it cannot ask the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithoutLine {
    /// Scopes.
    pub scopes: Vec<String>,
    /// How often, before the terminal must hand in.
    pub uses: i64,
    /// For how long each time at most, seconds.
    pub for_s: i64,
    /// How long a terminal's grant is good, seconds.
    pub valid_s: i64,
}

impl WithoutLine {
    /// Whether a client may be registered with it; the message says what is wrong.
    pub fn check(&self, client: &Client) -> Result<(), &'static str> {
        let own = |s: &String| client.scopes.contains(s) && s != "openid" && s != OFFLINE_ACCESS;
        let (mut sorted, listed) = (self.scopes.clone(), self.scopes.len());
        sorted.sort();
        sorted.dedup();
        if !(1..=countersign_wire::limits::GLASS_SCOPES).contains(&listed) || sorted.len() != listed || !self.scopes.iter().all(own) {
            return Err("without_line: one to eight scopes among its own, each once");
        }
        let numbers = (1..=GLASS_USES).contains(&self.uses) && (60..=GLASS_USE_S).contains(&self.for_s) && (600..=GLASS_S).contains(&self.valid_s);
        if numbers { Ok(()) } else { Err("without_line: uses from 1 to 5, for_s from 60 to 3600, valid_s from 600 to 86400") }
    }
}

/// Whether somebody can open by this phone and passkey: all of it in order, nothing said against any of it, and not
/// added a short while ago. Rules are asked besides.
pub fn may_hold(person: &Person, device: &Device, credential: &Credential, now: Time) -> bool {
    let quiet = |signals: &[Signal]| !signals.iter().any(|s| s.is_live(now));
    person.state == PersonState::Active
        && device.state == DeviceState::Active
        && device.person == person.id
        && !device.is_limited(now)
        && !device.is_shared()
        && credential.live
        && credential.person == person.id
        && credential.device == device.id
        && quiet(&person.signals)
        && quiet(&device.signals)
}

/// Where a grant is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlassState {
    /// A terminal has it.
    Open,
    /// It was handed in.
    Closed,
    /// It was not, in time.
    Missed,
}

impl GlassState {
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            GlassState::Open => "open",
            GlassState::Closed => "closed",
            GlassState::Missed => "missed",
        }
    }
    /// From the store.
    pub fn parse(text: &str) -> Option<GlassState> {
        [GlassState::Open, GlassState::Closed, GlassState::Missed].into_iter().find(|s| s.as_str() == text)
    }
}

/// A grant as the server remembers it. What it says stands in the terminal's copy, which the server signed.
#[derive(Clone, Debug)]
pub struct Glass {
    /// Its id.
    pub id: GlassId,
    /// Row version.
    pub version: i64,
    /// The terminal.
    pub terminal: TerminalId,
    /// The application.
    pub client: ClientId,
    /// The terminal's how many-th.
    pub serial: i64,
    /// Life.
    pub state: GlassState,
    /// When it was sealed.
    pub made_at: Time,
    /// Nothing is open after that.
    pub until: Time,
    /// Digest of the last record that was handed in, once it was.
    pub last: Option<String>,
}

impl Glass {
    /// Until when it must be handed in.
    pub fn due(&self) -> Time {
        self.until.plus_s(limits::GLASS_GRACE_S)
    }
}

/// What did not fit when a use was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The record, or what came with it, is not believed.
    NotBelieved,
    /// Another chain of this grant was handed in before: the terminal's files exist twice, or were put back.
    Forked,
    /// It was handed in too late.
    Late,
    /// It begins after it was handed in: the terminal's clock was wrong.
    FutureClock,
    /// One of the two could not act when it began.
    PersonStopped,
    /// One of the phones was stopped, lost or ended when it began.
    DeviceStopped,
    /// One of the passkeys had ended when it was handed in.
    PasskeyEnded,
    /// The only supervisor of the two is none any more.
    RoleChanged,
    /// The terminal was stopped or ended when it was handed in.
    TerminalStopped,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Mark; 9] = [
        Mark::NotBelieved,
        Mark::Forked,
        Mark::Late,
        Mark::FutureClock,
        Mark::PersonStopped,
        Mark::DeviceStopped,
        Mark::PasskeyEnded,
        Mark::RoleChanged,
        Mark::TerminalStopped,
    ];
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::NotBelieved => "not_believed",
            Mark::Forked => "forked",
            Mark::Late => "late",
            Mark::FutureClock => "future_clock",
            Mark::PersonStopped => "person_stopped",
            Mark::DeviceStopped => "device_stopped",
            Mark::PasskeyEnded => "passkey_ended",
            Mark::RoleChanged => "role_changed",
            Mark::TerminalStopped => "terminal_stopped",
        }
    }
    /// In plain words.
    pub fn words(self) -> &'static str {
        match self {
            Mark::NotBelieved => "the record does not hold together",
            Mark::Forked => "another chain of this grant was handed in before",
            Mark::Late => "handed in too late",
            Mark::FutureClock => "the terminal's clock was ahead",
            Mark::PersonStopped => "one of the two could not act any more",
            Mark::DeviceStopped => "one of the phones was stopped or lost already",
            Mark::PasskeyEnded => "one of the passkeys has ended",
            Mark::RoleChanged => "the supervisor is none any more",
            Mark::TerminalStopped => "the terminal was stopped",
        }
    }
    /// Whether it says that the terminal itself cannot be relied on.
    pub fn doubts_terminal(self) -> bool {
        matches!(self, Mark::NotBelieved | Mark::Forked)
    }
}

/// Who opened, without a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The person.
    pub person: PersonId,
    /// Their phone.
    pub device: DeviceId,
    /// Their passkey.
    pub credential: CredentialId,
    /// Whether as a supervisor.
    pub supervisor: bool,
}

/// What somebody who had no part in it said of a use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub by: PersonId,
    /// When.
    pub at: Time,
    /// In their words.
    pub word: String,
}

/// One use, as it was handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseFacts {
    /// Of which grant.
    pub glass: GlassId,
    /// At which terminal.
    pub terminal: TerminalId,
    /// For which application.
    pub client: ClientId,
    /// Which of the grant's uses.
    pub number: i64,
    /// What was open.
    pub scopes: Vec<String>,
    /// Why, in the asker's words.
    pub reason: String,
    /// Who worked with it, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub works: Option<PersonId>,
    /// Who opened it; where the record is not believed, everybody who could have.
    pub by: Vec<By>,
    /// From, by the terminal's clock, seconds.
    pub begin: i64,
    /// Until, seconds.
    pub end: i64,
    /// When it was handed in.
    pub handed_at: Time,
    /// What did not fit.
    pub marks: Vec<Mark>,
    /// Why it is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The record as the terminal signed it.
    pub record: String,
    /// What was said of it, once it was reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// A use with the version of its row.
#[derive(Clone, Debug)]
pub struct GlassUse {
    /// Digest of its record, base64url.
    pub id: String,
    /// Row version.
    pub version: i64,
    /// It.
    pub facts: UseFacts,
}

/// One of the two as they stood when a use began.
#[derive(Clone, Copy, Debug)]
pub struct Stood {
    /// Whether the person could act.
    pub person: bool,
    /// Whether the phone could.
    pub device: bool,
    /// Whether the passkey lives now.
    pub passkey: bool,
    /// Whether the person is a supervisor now.
    pub supervisor: bool,
}

/// What a thing was at a moment, by what it is now and the first change after that moment, which says what it was before.
pub fn was<T>(now: T, first_change: Option<T>) -> T {
    first_change.unwrap_or(now)
}

/// What does not fit to a use that is itself good, for its reviewer.
pub fn marks(opened: &Opened, stood: [Stood; 2], now: Time) -> Vec<Mark> {
    let [a, b] = stood;
    let [x, y] = &opened.by;
    let supervised = (x.supervisor && a.supervisor) || (y.supervisor && b.supervisor);
    let all = [
        (opened.begin > now.seconds() + GLASS_SLACK_S, Mark::FutureClock),
        (!a.person || !b.person, Mark::PersonStopped),
        (!a.device || !b.device, Mark::DeviceStopped),
        (!a.passkey || !b.passkey, Mark::PasskeyEnded),
        (!supervised, Mark::RoleChanged),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect()
}

/// Whether somebody may review a use: an operator who acts, and who neither opened it nor worked with it.
pub fn may_review(reviewer: &Person, f: &UseFacts) -> bool {
    let part = f.by.iter().any(|b| b.person == reviewer.id) || f.works.as_ref() == Some(&reviewer.id);
    reviewer.state == PersonState::Active && reviewer.role == Role::Operator && !part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::KeyClass;
    use crate::posture::Posture;
    use crate::signal::Kind;
    use countersign_wire::glass::Opener;
    use countersign_wire::jose::Jwk;
    use serde_json::json;

    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn person(n: u8, role: Role) -> Person {
        Person { id: PersonId::new(NOW, [n; 10]), version: 1, state: PersonState::Active, role, signals: vec![] }
    }

    fn phone(p: &Person) -> (Device, Credential) {
        let dk = Jwk::P256([4; 64]);
        let id = DeviceId::new(NOW, [9; 10]);
        let device = Device {
            id: id.clone(), version: 1, person: p.id.clone(), state: DeviceState::Active, jkt: dk.thumbprint(), dk: dk.clone(), key: KeyClass::Software,
            limited_until: None, added_at: NOW, posture: Posture::default(), seen_at: None, signals: vec![], recovered: false, seat: None,
        };
        let credential = Credential {
            id: "AAAA".parse().unwrap(), version: 1, person: p.id.clone(), device: id, live: true, key: dk, counter: 0, backup_eligible: false, attested: false,
        };
        (device, credential)
    }

    #[test]
    fn only_a_phone_that_is_in_order_with_its_own_passkey_goes_on_the_list() {
        let p = person(1, Role::Member);
        let (d, c) = phone(&p);
        assert!(may_hold(&p, &d, &c, NOW));
        let news = |kind| vec![Signal { kind, source: "x".into(), at: NOW, until: None }];
        for state in [PersonState::Invited, PersonState::Locked, PersonState::Ended] {
            assert!(!may_hold(&Person { state, ..p.clone() }, &d, &c, NOW), "{state:?}");
        }
        for state in DeviceState::ALL.into_iter().filter(|s| *s != DeviceState::Active) {
            assert!(!may_hold(&p, &Device { state, ..d.clone() }, &c, NOW), "{state:?}");
        }
        assert!(!may_hold(&p, &Device { limited_until: Some(NOW.plus_s(1)), ..d.clone() }, &c, NOW));
        let seat = crate::seat::Seat { phone: countersign_wire::TerminalId::new(NOW, [7; 10]), unlocked_until: Some(NOW.plus_s(60)), rests: false };
        assert!(!may_hold(&p, &Device { seat: Some(seat), ..d.clone() }, &c, NOW), "a phone that a shift shares");
        assert!(may_hold(&p, &Device { limited_until: Some(NOW), ..d.clone() }, &c, NOW));
        assert!(!may_hold(&p, &Device { signals: news(Kind::DeviceRiskMedium), ..d.clone() }, &c, NOW));
        assert!(!may_hold(&Person { signals: news(Kind::PersonRiskHigh), ..p.clone() }, &d, &c, NOW));
        assert!(!may_hold(&p, &d, &Credential { live: false, ..c.clone() }, NOW));
        assert!(!may_hold(&p, &d, &Credential { device: DeviceId::new(NOW, [8; 10]), ..c.clone() }, NOW), "a passkey of another phone");
        assert!(!may_hold(&person(2, Role::Member), &d, &c, NOW));
        assert!(!may_hold(&p, &Device { person: person(2, Role::Member).id, ..d }, &c, NOW));
    }

    #[test]
    fn what_is_listed_is_the_clients_own_and_bounded() {
        let client: Client = serde_json::from_value(json!({"id": "till", "name": "Till", "scopes": ["discount", "refund"], "refresh": "offline_access"})).unwrap();
        let rule = |scopes: serde_json::Value, uses, for_s, valid_s| WithoutLine { scopes: serde_json::from_value(scopes).unwrap(), uses, for_s, valid_s };
        assert!(rule(json!(["discount"]), 5, 3_600, 86_400).check(&client).is_ok() && rule(json!(["discount", "refund"]), 1, 60, 600).check(&client).is_ok());
        for bad in [
            rule(json!([]), 1, 60, 600), rule(json!(["openid"]), 1, 60, 600), rule(json!(["offline_access"]), 1, 60, 600), rule(json!(["void"]), 1, 60, 600),
            rule(json!(["refund", "refund"]), 1, 60, 600), rule(json!(["refund"]), 0, 60, 600), rule(json!(["refund"]), 6, 60, 600),
            rule(json!(["refund"]), 1, 59, 600), rule(json!(["refund"]), 1, 3_601, 600), rule(json!(["refund"]), 1, 60, 599), rule(json!(["refund"]), 1, 60, 86_401),
        ] {
            assert!(bad.check(&client).is_err(), "{bad:?}");
        }
    }

    fn opened(begin: i64) -> Opened {
        let by = |n: u8, supervisor| Opener {
            person: person(n, Role::Member).id, name: "N".into(), supervisor, device: DeviceId::new(NOW, [n; 10]), credential: "AAAA".parse().unwrap(),
        };
        Opened { number: 1, scopes: vec!["discount".into()], reason: "r".into(), works: Some(person(3, Role::Member).id), by: [by(1, false), by(2, true)], begin, end: begin + 60, digest: [0; 32] }
    }

    #[test]
    fn what_did_not_stand_when_it_began_is_marked() {
        let good = Stood { person: true, device: true, passkey: true, supervisor: false };
        let boss = Stood { supervisor: true, ..good };
        let say = |stood, begin| marks(&opened(begin), stood, NOW);
        let then = NOW.seconds() - 600;
        assert_eq!(say([good, boss], then), []);
        assert_eq!(say([good, boss], NOW.seconds() + GLASS_SLACK_S + 1), [Mark::FutureClock]);
        for (n, spoilt, mark) in [
            (0, Stood { person: false, ..good }, Mark::PersonStopped),
            (1, Stood { person: false, ..boss }, Mark::PersonStopped),
            (0, Stood { device: false, ..good }, Mark::DeviceStopped),
            (1, Stood { passkey: false, ..boss }, Mark::PasskeyEnded),
            (1, good, Mark::RoleChanged),
        ] {
            let mut both = [good, boss];
            both[n] = spoilt;
            assert_eq!(say(both, then), [mark]);
        }
        // That the other became a supervisor since does not help.
        assert_eq!(say([boss, good], then), [Mark::RoleChanged]);
        assert_eq!((was("active", None), was("active", Some("suspended")), was("lost", Some("active"))), ("active", "suspended", "active"));
    }

    #[test]
    fn a_use_is_reviewed_by_an_operator_who_had_no_part_in_it() {
        let o = opened(NOW.seconds());
        let by = o.by.iter().map(|b| By { person: b.person.clone(), device: b.device.clone(), credential: b.credential.clone(), supervisor: b.supervisor }).collect();
        let f = UseFacts {
            glass: GlassId::new(NOW, [1; 10]), terminal: TerminalId::new(NOW, [1; 10]), client: "till".parse().unwrap(), number: 1, scopes: o.scopes, reason: o.reason,
            works: o.works, by, begin: o.begin, end: o.end, handed_at: NOW, marks: vec![], why: None, record: String::new(), review: None,
        };
        assert!(may_review(&person(4, Role::Operator), &f));
        for n in 1..=3 {
            assert!(!may_review(&person(n, Role::Operator), &f), "{n} had a part in it");
        }
        for role in Role::ALL.into_iter().filter(|r| *r != Role::Operator) {
            assert!(!may_review(&person(4, role), &f), "{role:?}");
        }
        assert!(!may_review(&Person { state: PersonState::Locked, ..person(4, Role::Operator) }, &f));
    }

    #[test]
    fn names_read_back_and_every_mark_has_words() {
        for mark in Mark::ALL {
            assert_eq!(serde_json::to_value(mark).unwrap(), mark.as_str());
            assert!(!mark.words().is_empty());
        }
        for state in [GlassState::Open, GlassState::Closed, GlassState::Missed] {
            assert_eq!(GlassState::parse(state.as_str()), Some(state));
        }
    }
}
