//! What is written down: one event for every step, in the same transaction as the change.
//!
//! An event's text is canonical JSON and is stored as it stands, so that it can be hashed later
//! without being made again. It holds pseudonyms, never names, codes, digits or secrets.

use crate::Refusal;
use countersign_wire::{
    CeremonyId, ClientId, DeviceId, EventId, PersonId, SessionId, Time, TxnId, jcs,
};
use serde_json::{Map, Value, json};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal : $csf:expr),+ $(,)?) => {
        /// Kind of event, with the NIST CSF 2.0 subcategories it gives evidence for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name),+ }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),+];
            /// Name in the log.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text),+ }
            }
            /// NIST CSF 2.0 subcategories.
            pub fn csf(self) -> &'static [&'static str] {
                match self { $(Kind::$name => &$csf),+ }
            }
        }
    };
}

kinds! {
    /// A terminal opened a ceremony.
    CeremonyOpened = "ceremony.opened": ["PR.AA-03", "PR.PS-04"],
    /// A device scanned it, or took an offered one.
    CeremonyScanned = "ceremony.scanned": ["PR.AA-03", "PR.PS-04"],
    /// Digits matched.
    CeremonyConfirmed = "ceremony.confirmed": ["PR.AA-03", "PR.PS-04"],
    /// A person approved.
    CeremonyApproved = "ceremony.approved": ["PR.AA-03", "PR.AA-05", "PR.PS-04"],
    /// A person refused, or policy did.
    CeremonyRefused = "ceremony.refused": ["PR.AA-05", "DE.CM-03", "PR.PS-04"],
    /// The terminal took the result.
    CeremonyRedeemed = "ceremony.redeemed": ["PR.AA-03", "PR.AA-04", "PR.PS-04"],
    /// The result was used for the first time.
    CeremonyClaimed = "ceremony.claimed": ["PR.AA-04", "PR.PS-04"],
    /// Time ran out.
    CeremonyExpired = "ceremony.expired": ["PR.PS-04"],
    /// The terminal gave up.
    CeremonyAbandoned = "ceremony.abandoned": ["PR.PS-04"],
    /// What was redeemed was taken back.
    CeremonyRevoked = "ceremony.revoked": ["RS.MI-01", "PR.PS-04"],
    /// A step was refused and changed nothing.
    StepRefused = "step.refused": ["DE.CM-03", "DE.AE-03", "PR.PS-04"],
    /// "This was not me".
    NotMe = "person.not_me": ["DE.AE-02", "RS.MA-01", "PR.PS-04"],
    /// A screen may not ask a person, or anybody, for a while.
    Quarantined = "source.quarantined": ["RS.MI-01", "PR.PS-04"],
    /// A passkey was asked for on the terminal.
    PasskeyAsked = "passkey.asked": ["PR.AA-03", "PR.PS-04"],
    /// A passkey was used on the terminal.
    PasskeyUsed = "passkey.used": ["PR.AA-03", "PR.PS-04"],
    /// A session began.
    SessionOpened = "session.opened": ["PR.AA-03", "PR.AA-05", "PR.PS-04"],
    /// A running session was raised: its person approved or signed anew.
    SessionRaised = "session.raised": ["PR.AA-03", "PR.AA-05", "PR.PS-04"],
    /// A session was judged again, and stands otherwise than before.
    SessionJudged = "session.judged": ["PR.AA-05", "RS.MI-01", "PR.PS-04"],
    /// A right was given for a while, by somebody else's approval; by one's own it goes with the session's line.
    RightGiven = "right.given": ["PR.AA-05", "PR.PS-04"],
    /// A right ended before its time.
    RightEnded = "right.ended": ["PR.AA-05", "RS.MI-01", "PR.PS-04"],
    /// A session went on after a proof.
    SessionResumed = "session.resumed": ["PR.AA-03", "PR.PS-04"],
    /// A session was bound to a key that its browser keeps in hardware.
    SessionBound = "session.bound": ["PR.AA-03", "PR.PS-04"],
    /// A session ended.
    SessionEnded = "session.ended": ["PR.AA-05", "RS.MI-01", "PR.PS-04"],
    /// A relying party was told that a session ended.
    LogoutDelivered = "logout.delivered": ["RS.CO-02", "PR.PS-04"],
    /// A relying party could not be told.
    LogoutFailed = "logout.failed": ["RS.CO-02", "DE.CM-09", "PR.PS-04"],
    /// A receiver's stream of events was made, set or deleted, or was paused by us.
    StreamChanged = "stream.changed": ["ID.AM-03", "PR.PS-04"],
    /// A receiver took events.
    StreamDelivered = "stream.delivered": ["RS.CO-03", "PR.PS-04"],
    /// A receiver could not be told.
    StreamFailed = "stream.failed": ["RS.CO-03", "DE.CM-09", "PR.PS-04"],
    /// A receiver would not take an event, which was passed over.
    StreamRefused = "stream.refused": ["RS.CO-03", "DE.CM-09", "PR.PS-04"],
    /// A transmitter or a managing system told us something.
    NewsHeard = "news.heard": ["DE.CM-06", "ID.RA-03", "PR.PS-04"],
    /// A device got the name that a managing system knows it by.
    DeviceManaged = "device.managed": ["ID.AM-01", "PR.AA-02", "PR.PS-04"],
    /// A device wants to be told that something waits.
    PushOn = "push.on": ["ID.AM-03", "PR.PS-04"],
    /// A device is told no more.
    PushOff = "push.off": ["ID.AM-03", "PR.PS-04"],
    /// Devices were told that something waits.
    PushTold = "push.told": ["RS.CO-02", "PR.PS-04"],
    /// No device could be told.
    PushFailed = "push.failed": ["RS.CO-02", "DE.CM-09", "PR.PS-04"],
    /// A client pushed an authorization request.
    RequestPushed = "request.pushed": ["PR.AA-03", "PR.PS-04"],
    /// An authorization request was accepted.
    RequestAccepted = "request.accepted": ["PR.AA-03", "PR.PS-04"],
    /// A code was made for a client.
    CodeIssued = "code.issued": ["PR.AA-04", "PR.PS-04"],
    /// Tokens were made for a client.
    TokensIssued = "tokens.issued": ["PR.AA-04", "PR.AA-05", "PR.PS-04"],
    /// A browser got a pass for an application behind a proxy.
    PassGiven = "pass.given": ["PR.AA-04", "PR.AA-05", "PR.PS-04"],
    /// A client renewed what it was given.
    TokensRefreshed = "tokens.refreshed": ["PR.AA-04", "PR.AA-05", "PR.PS-04"],
    /// A refresh token that was used before came again: everything of its session was revoked.
    RefreshReplayed = "refresh.replayed": ["DE.AE-02", "RS.MI-01", "PR.PS-04"],
    /// A client gave back what it was given.
    TokensRevoked = "tokens.revoked": ["PR.AA-05", "PR.PS-04"],
    /// A code came twice: what it gave was revoked.
    CodeReplayed = "code.replayed": ["DE.AE-02", "RS.MI-01", "PR.PS-04"],
    /// Somebody was invited to enrol.
    InvitationMade = "invitation.made": ["PR.AA-01", "PR.PS-04"],
    /// Somebody invited by a device of theirs: the same transaction, about the other side.
    PersonInvited = "person.invited": ["PR.AA-01", "PR.PS-04"],
    /// An open invitation ended: another took its place, or its person was ended.
    InvitationEnded = "invitation.ended": ["PR.AA-01", "PR.PS-04"],
    /// An invited key asked for passkey options.
    EnrolmentBegun = "enrolment.begun": ["PR.AA-01", "PR.PS-04"],
    /// A device was enrolled.
    DeviceEnrolled = "device.enrolled": ["PR.AA-01", "PR.AA-02", "PR.PS-04"],
    /// A device got a new key.
    DeviceRebound = "device.rebound": ["PR.AA-01", "PR.AA-02", "PR.PS-04"],
    /// A device's life went on.
    DeviceChanged = "device.changed": ["PR.AA-01", "RS.MI-01", "PR.PS-04"],
    /// A terminal was invited, registered, renamed, or its life went on.
    TerminalChanged = "terminal.changed": ["PR.AA-01", "PR.AA-03", "ID.AM-01", "PR.PS-04"],
    /// A terminal's counter went back, or its key spoke from another site: it may exist twice.
    TerminalDoubted = "terminal.doubted": ["DE.CM-03", "DE.AE-02", "PR.AA-03", "PR.PS-04"],
    /// A terminal got a grant of rights that two people can open while it cannot ask.
    GlassSealed = "glass.sealed": ["PR.AA-05", "PR.IR-03", "PR.PS-04"],
    /// Two people opened such a right, as a terminal handed in later.
    GlassUsed = "glass.used": ["PR.AA-05", "DE.CM-03", "PR.PS-04"],
    /// A terminal handed such a grant in: so many uses, and no more.
    GlassClosed = "glass.closed": ["PR.AA-05", "PR.PS-04"],
    /// What was handed in does not hold together, or nothing was: the terminal is suspended.
    GlassDoubted = "glass.doubted": ["DE.AE-02", "RS.MI-01", "PR.AA-03", "PR.PS-04"],
    /// Somebody who had no part in it reviewed a use.
    GlassReviewed = "glass.reviewed": ["DE.AE-06", "RS.AN-03", "PR.PS-04"],
    /// Somebody showed by their passkey that they have a shared phone in hand.
    SeatUnlocked = "seat.unlocked": ["PR.AA-03", "PR.PS-04"],
    /// They handed it on.
    SeatLocked = "seat.locked": ["PR.AA-05", "PR.PS-04"],
    /// A phone made a live badge for a terminal to read.
    BadgeMade = "badge.made": ["PR.AA-03", "PR.PS-04"],
    /// What is known of a device's health became something else.
    PostureChanged = "posture.changed": ["ID.AM-01", "DE.CM-09", "PR.PS-04"],
    /// News about a device, a person or a session.
    SignalRaised = "signal.raised": ["DE.CM-03", "DE.AE-06", "PR.PS-04"],
    /// Such news was taken back.
    SignalCleared = "signal.cleared": ["DE.AE-06", "PR.PS-04"],
    /// Another set of policies took effect.
    PolicyChanged = "policy.changed": ["PR.AA-05", "PR.PS-04"],
    /// A device was renamed; the name is not here.
    DeviceRenamed = "device.renamed": ["ID.AM-01", "PR.PS-04"],
    /// Recovery codes were made anew; those before are worth nothing.
    RecoveryCodesMade = "recovery.codes_made": ["PR.AA-01", "PR.PS-04"],
    /// All recovery codes of a person were ended.
    RecoveryCodesEnded = "recovery.codes_ended": ["PR.AA-01", "RS.MI-01", "PR.PS-04"],
    /// A recovery code was used.
    RecoveryCodeUsed = "recovery.code_used": ["PR.AA-01", "PR.AA-03", "DE.CM-03", "PR.PS-04"],
    /// Somebody approved that a person comes back.
    RecoveryApproved = "recovery.approved": ["PR.AA-01", "PR.AA-05", "DE.CM-03", "PR.PS-04"],
    /// The operator began a recovery at the console.
    RecoveryBegun = "recovery.begun": ["PR.AA-01", "DE.CM-03", "PR.PS-04"],
    /// The wait is over and the new device may enrol.
    RecoveryTaken = "recovery.taken": ["PR.AA-01", "PR.AA-05", "PR.PS-04"],
    /// A recovery was stopped, given up, or lost an approver.
    RecoveryStopped = "recovery.stopped": ["DE.AE-02", "RS.MI-01", "PR.PS-04"],
    /// A notice was answered.
    NoticeAnswered = "notice.answered": ["RS.CO-02", "PR.PS-04"],
    /// A person was added or changed.
    PersonChanged = "person.changed": ["PR.AA-01", "PR.PS-04"],
    /// An operator came to the operator's page.
    OperatorEntered = "operator.entered": ["PR.AA-03", "PR.AA-05", "PR.PS-04"],
    /// An operator looked at a person by name.
    OperatorLooked = "operator.looked": ["PR.AA-05", "DE.CM-03", "PR.PS-04"],
    /// An operator ended, stopped or began something.
    OperatorActed = "operator.acted": ["PR.AA-05", "RS.MI-01", "PR.PS-04"],
    /// A client was registered or changed.
    ClientChanged = "client.changed": ["PR.AA-01", "ID.AM-02", "PR.PS-04"],
    /// Another set of access policies took effect.
    AccessChanged = "access.changed": ["PR.AA-05", "PR.PS-04"],
    /// A workload was registered, changed or ended.
    WorkloadChanged = "workload.changed": ["PR.AA-01", "PR.AA-05", "ID.AM-02", "PR.PS-04"],
    /// A workload got a token.
    WorkloadToken = "workload.token": ["PR.AA-03", "PR.AA-04", "PR.AA-05", "PR.PS-04"],
    /// A workload got a token to act for a person.
    TokensExchanged = "tokens.exchanged": ["PR.AA-03", "PR.AA-04", "PR.AA-05", "PR.PS-04"],
    /// An agent was let call a tool.
    ToolCalled = "tool.called": ["PR.AA-05", "DE.CM-09", "PR.PS-04"],
    /// A key was made.
    KeyMade = "key.made": ["PR.DS-01", "PR.PS-04"],
    /// A key was retired.
    KeyRetired = "key.retired": ["PR.DS-01", "PR.PS-04"],
    /// The server started.
    ServerStarted = "server.started": ["PR.PS-04", "DE.CM-09"],
    /// The server was restored from a backup.
    ServerRestored = "server.restored": ["RC.RP-01", "PR.PS-04"],
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The cause it belongs to.
    pub txn: TxnId,
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: Time,
    /// Ceremony, if any.
    pub ceremony: Option<CeremonyId>,
    /// Session, if any.
    pub session: Option<SessionId>,
    /// Person, by pseudonym.
    pub person: Option<PersonId>,
    /// Device.
    pub device: Option<DeviceId>,
    /// Client.
    pub client: Option<ClientId>,
    /// The refusal, if it is one.
    pub refusal: Option<Refusal>,
    /// Further facts: numbers, words of ours, never input.
    pub facts: Map<String, Value>,
}

impl Event {
    /// An event about nothing in particular yet.
    pub fn new(id: EventId, txn: TxnId, kind: Kind, at: Time) -> Event {
        Event {
            id,
            txn,
            kind,
            at,
            ceremony: None,
            session: None,
            person: None,
            device: None,
            client: None,
            refusal: None,
            facts: Map::new(),
        }
    }
    /// Adds a fact.
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Event {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
    /// Canonical text: what is stored and later hashed.
    pub fn text(&self) -> String {
        let mut value = json!({
            "v": 1, "id": self.id.as_str(), "txn": self.txn.as_str(), "kind": self.kind.as_str(),
            "at": self.at.0, "csf": self.kind.csf(), "facts": self.facts,
        });
        if let Some(map) = value.as_object_mut() {
            let mut put = |name: &str, text: Option<&str>| {
                if let Some(text) = text {
                    map.insert(name.to_owned(), text.into());
                }
            };
            put("ceremony", self.ceremony.as_ref().map(CeremonyId::as_str));
            put("session", self.session.as_ref().map(SessionId::as_str));
            put("person", self.person.as_ref().map(PersonId::as_str));
            put("device", self.device.as_ref().map(DeviceId::as_str));
            put("client", self.client.as_ref().map(ClientId::as_str));
            put("code", self.refusal.map(Refusal::code));
        }
        // Facts are ours: if they ever left the narrow JSON, the event is kept without them.
        match jcs::encode(&value, 8, 64 * 1024) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(_) => {
                let bare = Event { facts: Map::new(), ..self.clone() };
                let marked = bare.fact("facts_unreadable", true);
                let value = json!({
                    "v": 1, "id": marked.id.as_str(), "txn": marked.txn.as_str(),
                    "kind": marked.kind.as_str(), "at": marked.at.0, "csf": marked.kind.csf(),
                    "facts": marked.facts,
                });
                jcs::encode(&value, 8, 64 * 1024)
                    .ok()
                    .and_then(|b| String::from_utf8(b).ok())
                    .unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_its_own_name_and_csf_subcategories() {
        let names: HashSet<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|k| k.csf().contains(&"PR.PS-04")));
    }

    #[test]
    fn an_events_text_is_canonical() {
        let at = Time(1);
        let e = Event::new(EventId::new(at, [1; 10]), TxnId::new(at, [2; 10]), Kind::NotMe, at)
            .fact("n", 3)
            .fact("a", "x");
        let text = e.text();
        assert!(jcs::parse(text.as_bytes(), 8, 65536).is_ok(), "{text}");
        let odd = Event::new(EventId::new(at, [1; 10]), TxnId::new(at, [2; 10]), Kind::NotMe, at)
            .fact("n", 1.5);
        assert!(odd.text().contains("facts_unreadable"));
    }
}
