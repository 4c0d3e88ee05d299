//! Our log in the words of CAEP 1.0: which lines are told to receivers, as which events, about whom.
//!
//! A line that is told is told from itself alone: what it says then is what it says after a restart, and
//! a receiver that hears it twice hears the same.

use countersign_wire::Time;
use countersign_wire::subject::{Identifier, Subject};
use serde_json::{Map, Value, json};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $uri:literal),+ $(,)?) => {
        /// A type of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType { $($(#[$doc])* $name),+ }
        impl EventType {
            /// Every type.
            pub const ALL: &'static [EventType] = &[$(EventType::$name),+];
            /// Its URI.
            pub fn uri(self) -> &'static str {
                match self { $(EventType::$name => concat!("https://schemas.openid.net/secevent/", $uri)),+ }
            }
        }
    };
}

event_types! {
    /// A session ended before its time, or with it (CAEP 1.0 §3.1).
    SessionRevoked = "caep/event-type/session-revoked",
    /// A claim of tokens has another value (§3.2).
    TokenClaimsChange = "caep/event-type/token-claims-change",
    /// A passkey came, went or changed (§3.3).
    CredentialChange = "caep/event-type/credential-change",
    /// A session was raised (§3.4).
    AssuranceLevelChange = "caep/event-type/assurance-level-change",
    /// A device meets the rules of who manages it, or does no more (§3.5).
    DeviceComplianceChange = "caep/event-type/device-compliance-change",
    /// A session began (§3.6).
    SessionEstablished = "caep/event-type/session-established",
    /// A session was used (§3.7).
    SessionPresented = "caep/event-type/session-presented",
    /// A person, a device or a session is worth more or less trust (§3.8).
    RiskLevelChange = "caep/event-type/risk-level-change",
    /// A stream works (SSF 1.0 §8.1.4.1).
    Verification = "ssf/event-type/verification",
    /// A stream's status was changed by its transmitter (SSF 1.0 §8.1.5).
    StreamUpdated = "ssf/event-type/stream-updated",
}

impl EventType {
    /// Those that streams can ask for.
    pub const CAEP: [EventType; 8] = [
        EventType::SessionRevoked,
        EventType::TokenClaimsChange,
        EventType::CredentialChange,
        EventType::AssuranceLevelChange,
        EventType::DeviceComplianceChange,
        EventType::SessionEstablished,
        EventType::SessionPresented,
        EventType::RiskLevelChange,
    ];
    /// The type of this URI.
    pub fn parse(uri: &str) -> Option<EventType> {
        EventType::ALL.iter().copied().find(|t| t.uri() == uri)
    }
    /// Its last word, as configurations write it.
    pub fn name(self) -> &'static str {
        self.uri().rsplit('/').next().unwrap_or_default()
    }
    /// The type of this last word.
    pub fn named(name: &str) -> Option<EventType> {
        EventType::ALL.iter().copied().find(|t| t.name() == name)
    }
}

/// Kinds of lines that may be told. The store looks for these and reads no others.
pub const KINDS: [&str; 11] = [
    "session.opened",
    "session.resumed",
    "session.raised",
    "session.judged",
    "session.ended",
    "device.enrolled",
    "device.rebound",
    "device.changed",
    "signal.raised",
    "signal.cleared",
    "server.restored",
];

/// Whether a line of this kind may be told.
pub fn may_be_told(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What happened.
    pub kind: &'a str,
    /// When.
    pub at: Time,
    /// In which session.
    pub session: Option<&'a str>,
    /// To whom, by pseudonym.
    pub person: Option<&'a str>,
    /// To or by which device.
    pub device: Option<&'a str>,
    /// Further facts.
    pub facts: &'a Map<String, Value>,
}

/// An event as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its type.
    pub event: EventType,
    /// Whom or what it is about.
    pub subject: Subject,
    /// What it says.
    pub body: Map<String, Value>,
}

/// What a line is told as, in order. `issuer` names people and devices.
pub fn told(line: &Line<'_>, issuer: &str) -> Vec<Told> {
    let teller = Teller { line, issuer };
    match line.kind {
        "session.opened" => vec![teller.session(EventType::SessionEstablished, "user", SIGNED_IN, |body| {
            copy(line, body, "acr", "acr");
            copy(line, body, "amr", "amr");
        })],
        "session.resumed" => vec![teller.session(EventType::SessionPresented, "user", PRESENTED, |_| ())],
        "session.raised" => teller.raised(),
        "session.judged" => teller.judged(),
        "session.ended" => teller.ended(),
        "device.enrolled" | "device.rebound" | "device.changed" => teller.credential(),
        "signal.raised" | "signal.cleared" => teller.signal(),
        "server.restored" => teller.restored(),
        _ => Vec::new(),
    }
}

/// A reason: for administrators, and for people where there is something to tell them.
type Reason = (&'static str, Option<&'static str>);

const SIGNED_IN: Reason = ("a person signed in", None);
const PRESENTED: Reason = ("a session answered another request", None);
const RAISED: Reason = ("a person approved anew in a running session", None);
const RESTORED: Reason = ("the server was restored from a backup", Some("Sign in again."));

fn copy(line: &Line<'_>, body: &mut Map<String, Value>, fact: &str, claim: &str) {
    if let Some(value) = line.facts.get(fact) {
        body.insert(claim.to_owned(), value.clone());
    }
}

/// Who ended a session, and why, from the word in the log.
fn ending(why: &str) -> (&'static str, Reason) {
    match why {
        "signed_out" => ("user", ("signed out at the terminal", None)),
        "client_asked" => ("user", ("signed out at an application", None)),
        "from_device" => ("user", ("ended from one of the person's devices", Some("You ended this session from your phone."))),
        "next_person" => ("user", ("the next person signed in at the terminal", None)),
        "not_me" => ("user", ("the person said that it was not them", Some("You said that this was not you."))),
        "lost" => ("user", ("the device that opened it was reported lost", Some("The phone that opened it was reported lost."))),
        "retired" => ("user", ("the device that opened it was retired", None)),
        "suspended" | "revoked" => ("admin", ("the device that opened it may not act", Some("The phone that opened it may not be used any more."))),
        "locked" | "ended" => ("admin", ("the person was stopped", Some("Ask the people who run this."))),
        "stopped" => ("admin", ("the person or the device may not act", None)),
        "idle" => ("policy", ("nothing was done for too long", Some("Nothing was done for a while."))),
        "absolute" => ("policy", ("its time was over", Some("Its time was over."))),
        "told" => ("system", ("another system revoked it", Some("Another system of your organisation ended it."))),
        "restored" => ("system", RESTORED),
        _ => ("policy", ("trust in it ended", Some("Sign in again."))),
    }
}

struct Teller<'a> {
    line: &'a Line<'a>,
    issuer: &'a str,
}

impl Teller<'_> {
    fn fact(&self, name: &str) -> Option<&str> {
        self.line.facts.get(name).and_then(Value::as_str)
    }

    fn user(&self) -> Option<Identifier> {
        let sub = self.line.person?.to_owned();
        Some(Identifier::IssSub { iss: self.issuer.to_owned(), sub })
    }
    fn device(&self) -> Option<Identifier> {
        let sub = self.line.device?.to_owned();
        Some(Identifier::IssSub { iss: self.issuer.to_owned(), sub })
    }
    fn tenant(&self) -> Option<Identifier> {
        Some(Identifier::Opaque(self.issuer.to_owned()))
    }

    fn told(&self, event: EventType, subject: Subject, by: &str, (admin, user): Reason, say: impl FnOnce(&mut Map<String, Value>)) -> Told {
        let mut body = Map::new();
        body.insert("event_timestamp".into(), self.line.at.seconds().into());
        body.insert("initiating_entity".into(), by.into());
        body.insert("reason_admin".into(), json!({ "en": admin }));
        if let Some(user) = user {
            body.insert("reason_user".into(), json!({ "en": user }));
        }
        say(&mut body);
        Told { event, subject, body }
    }

    /// About a session of a person, opened by a device (SSF 1.0 §3.3).
    fn session(&self, event: EventType, by: &str, reason: Reason, say: impl FnOnce(&mut Map<String, Value>)) -> Told {
        let session = self.line.session.map(|id| Identifier::Opaque(id.to_owned()));
        let members = [("session", session), ("user", self.user()), ("device", self.device()), ("tenant", self.tenant())];
        self.told(event, Subject::complex(members), by, reason, say)
    }

    fn raised(&self) -> Vec<Told> {
        let level = self.session(EventType::AssuranceLevelChange, "user", RAISED, |body| {
            body.insert("namespace".into(), "acr".into());
            copy(self.line, body, "acr", "current_level");
            copy(self.line, body, "acr_was", "previous_level");
            if let (Some(was), Some(is)) = (self.fact("acr_was").and_then(rank), self.fact("acr").and_then(rank))
                && was != is
            {
                body.insert("change_direction".into(), if was < is { "increase" } else { "decrease" }.into());
            }
        });
        let claims = self.session(EventType::TokenClaimsChange, "user", RAISED, |body| {
            let mut claims = Map::new();
            copy(self.line, &mut claims, "acr", "acr");
            copy(self.line, &mut claims, "amr", "amr");
            claims.insert("auth_time".into(), self.line.at.seconds().into());
            body.insert("claims".into(), claims.into());
        });
        vec![level, claims]
    }

    /// A running session stands otherwise: its risk is another, and what its tokens allow.
    fn judged(&self) -> Vec<Told> {
        let reason = ("the session was judged again", Some("Something about this session or its devices changed."));
        let (level, effect) = match self.fact("effect") {
            Some(effect @ ("limit" | "step_up")) => ("MEDIUM", effect),
            Some(effect @ ("lock" | "end")) => ("HIGH", effect),
            Some("none") | None => ("LOW", "none"),
            Some(_) => return Vec::new(),
        };
        vec![
            self.session(EventType::RiskLevelChange, "policy", reason, |body| {
                body.insert("principal".into(), "SESSION".into());
                body.insert("current_level".into(), level.into());
                body.insert("risk_reason".into(), effect.into());
            }),
            self.session(EventType::TokenClaimsChange, "policy", reason, |body| {
                body.insert("claims".into(), json!({ "standing": effect }));
            }),
        ]
    }

    fn ended(&self) -> Vec<Told> {
        let (by, reason) = ending(self.fact("why").unwrap_or_default());
        vec![self.session(EventType::SessionRevoked, by, reason, |_| ())]
    }

    /// Everything that lived ended, and no line says so of each: one event about all there is.
    fn restored(&self) -> Vec<Told> {
        let subject = Subject::complex([("tenant", self.tenant())]);
        vec![self.told(EventType::SessionRevoked, subject, "system", RESTORED, |_| ())]
    }

    fn credential(&self) -> Vec<Told> {
        let state = self.fact("state");
        let (change, reason): (_, Reason) = match (self.line.kind, state) {
            // One that waits for another device cannot be used yet.
            ("device.enrolled" | "device.rebound", Some("pending")) => return Vec::new(),
            ("device.enrolled", _) => ("create", ("a device with a passkey was enrolled", None)),
            ("device.rebound", _) => ("update", ("a device was bound again", None)),
            (_, Some("active")) if self.fact("was") == Some("pending") => ("create", ("a device that waited was allowed", None)),
            (_, Some("lost")) => ("revoke", ("a device was reported lost", None)),
            (_, Some("revoked")) => ("revoke", ("a device was revoked", None)),
            (_, Some("retired")) => ("delete", ("a device was retired", None)),
            _ => return Vec::new(),
        };
        let subject = Subject::complex([("user", self.user()), ("device", self.device()), ("tenant", self.tenant())]);
        let by = if self.fact("by") == Some("operator") { "admin" } else { "user" };
        vec![self.told(EventType::CredentialChange, subject, by, reason, |body| {
            // The passkey of a phone is the phone's own.
            body.insert("credential_type".into(), "fido2-platform".into());
            body.insert("change_type".into(), change.into());
            copy(self.line, body, "aaguid", "fido2_aaguid");
        })]
    }

    fn signal(&self) -> Vec<Told> {
        let raised = self.line.kind == "signal.raised";
        let Some(signal) = self.fact("signal") else { return Vec::new() };
        let by = if self.fact("source") == Some("operator") { "admin" } else { "system" };
        let reason: Reason = if raised { ("news that lowers trust", None) } else { ("news was taken back", None) };
        if signal == "device.noncompliant" {
            let subject = Subject::complex([("device", self.device()), ("user", self.user()), ("tenant", self.tenant())]);
            let (was, is) = if raised { ("compliant", "not-compliant") } else { ("not-compliant", "compliant") };
            return vec![self.told(EventType::DeviceComplianceChange, subject, by, reason, |body| {
                body.insert("previous_status".into(), was.into());
                body.insert("current_status".into(), is.into());
            })];
        }
        let (principal, subject) = match signal.split_once('.') {
            Some(("device", _)) => ("DEVICE", Subject::complex([("device", self.device()), ("user", self.user()), ("tenant", self.tenant())])),
            Some(("person", _)) => ("USER", Subject::complex([("user", self.user()), ("tenant", self.tenant())])),
            // Of the device kind by CAEP: an endpoint, not the person's.
            Some(("terminal", _)) => {
                let terminal = self.fact("terminal").map(|id| Identifier::Opaque(id.to_owned()));
                ("DEVICE", Subject::complex([("device", terminal), ("tenant", self.tenant())]))
            }
            _ => {
                let session = self.line.session.map(|id| Identifier::Opaque(id.to_owned()));
                ("SESSION", Subject::complex([("session", session), ("user", self.user()), ("tenant", self.tenant())]))
            }
        };
        let level = match signal {
            _ if !raised => "LOW",
            "device.compromised" | "device.cloned" | "device.risk_high" | "person.risk_high" | "session.remote_controlled" | "terminal.remote_controlled" => "HIGH",
            _ => "MEDIUM",
        };
        vec![self.told(EventType::RiskLevelChange, subject, by, reason, |body| {
            body.insert("principal".into(), principal.into());
            body.insert("current_level".into(), level.into());
            body.insert("risk_reason".into(), signal.to_uppercase().replace('.', "_").into());
        })]
    }
}

/// Our classes in their order: a change between two of one rank is neither up nor down.
fn rank(acr: &str) -> Option<u8> {
    match acr {
        "urn:countersign:acr:xd2" | "urn:countersign:acr:xd2-push" => Some(0),
        "phr" => Some(1),
        "phrh" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Kind;
    use std::collections::BTreeSet;

    const ISSUER: &str = "https://id.example";

    fn tell(kind: &str, facts: Value) -> Vec<Told> {
        let facts = facts.as_object().unwrap().clone();
        let line = Line { kind, at: Time::from_seconds(7), session: Some("s"), person: Some("p"), device: Some("d"), facts: &facts };
        told(&line, ISSUER)
    }

    #[test]
    fn every_type_has_its_uri_and_is_found_by_it() {
        for t in EventType::ALL {
            assert_eq!(EventType::parse(t.uri()), Some(*t));
            assert_eq!(EventType::named(t.name()), Some(*t));
        }
        assert_eq!(EventType::SessionRevoked.uri(), "https://schemas.openid.net/secevent/caep/event-type/session-revoked");
    }

    #[test]
    fn every_caep_event_comes_from_some_line_and_says_what_the_standard_demands() {
        let lines = [
            ("session.opened", json!({"acr": "phr", "amr": ["swk"]})),
            ("session.resumed", json!({})),
            ("session.raised", json!({"acr": "phr", "acr_was": "urn:countersign:acr:xd2"})),
            ("session.judged", json!({"effect": "lock"})),
            ("session.ended", json!({"why": "idle"})),
            ("device.enrolled", json!({})),
            ("device.rebound", json!({})),
            ("device.changed", json!({"state": "lost", "was": "active"})),
            ("signal.raised", json!({"signal": "device.noncompliant", "source": "mdm"})),
            ("signal.cleared", json!({"signal": "person.risk_high", "source": "idp"})),
            ("server.restored", json!({})),
        ];
        let mut seen = BTreeSet::new();
        for (kind, facts) in lines {
            assert!(may_be_told(kind));
            let all = tell(kind, facts);
            assert!(!all.is_empty(), "{kind}");
            for t in all {
                seen.insert(t.event);
                assert_eq!(t.body["event_timestamp"], 7, "{kind}");
                assert!(!t.body["reason_admin"]["en"].as_str().unwrap().is_empty(), "{kind}");
                assert!(["admin", "user", "policy", "system"].contains(&t.body["initiating_entity"].as_str().unwrap()));
                let must: &[&str] = match t.event {
                    EventType::TokenClaimsChange => &["claims"],
                    EventType::CredentialChange => &["credential_type", "change_type"],
                    EventType::AssuranceLevelChange => &["namespace", "current_level"],
                    EventType::DeviceComplianceChange => &["previous_status", "current_status"],
                    EventType::RiskLevelChange => &["principal", "current_level"],
                    _ => &[],
                };
                assert!(must.iter().all(|m| t.body.contains_key(*m)), "{kind}: {:?}", t.body);
            }
        }
        assert_eq!(seen, EventType::CAEP.into_iter().collect());
    }

    #[test]
    fn kinds_that_are_told_are_kinds_of_the_log() {
        let known: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        assert!(KINDS.iter().all(|k| known.contains(k)));
        assert!(tell("step.refused", json!({})).is_empty());
    }

    #[test]
    fn what_changes_nothing_for_others_is_not_told() {
        assert!(tell("device.enrolled", json!({"state": "pending"})).is_empty());
        assert!(tell("device.changed", json!({"state": "suspended", "was": "active"})).is_empty());
        assert_eq!(tell("device.changed", json!({"state": "active", "was": "pending"}))[0].body["change_type"], "create");
    }

    #[test]
    fn a_restore_is_told_of_everybody() {
        let [one] = tell("server.restored", json!({})).try_into().unwrap();
        assert_eq!(one.subject.to_value(), json!({"format": "complex", "tenant": {"format": "opaque", "id": ISSUER}}));
    }
}
