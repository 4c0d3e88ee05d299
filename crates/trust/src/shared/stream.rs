//! A stream of events to one receiver: what it may be set to, what it carries, and how far it is
//! (Shared Signals Framework 1.0 §8.1).
//!
//! The log is the queue. A stream keeps the number up to which everything was taken, and the names of
//! what was taken out of turn beyond it; so nothing waits anywhere else, and nothing is forgotten when a
//! server ends. What belongs to no line of the log (verifications, changes of the stream itself) waits
//! as notes beside it.

use super::caep::EventType;
use countersign_wire::subject::Subject;
use countersign_wire::{ClientId, Malformed, StreamId, Time, TxnId, jcs};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Delivery by push (RFC 8935).
pub const PUSH: &str = "urn:ietf:rfc:8935";
/// Delivery by poll (RFC 8936).
pub const POLL: &str = "urn:ietf:rfc:8936";
/// Streams of one receiver: one by push, one by poll, and twice that while it moves house.
pub const STREAMS: usize = 4;
/// Longest description, characters; a longer one is cut.
pub const DESCRIPTION_CHARS: usize = 255;
/// Longest push endpoint, bytes.
pub const ENDPOINT_BYTES: usize = 1_024;
/// Longest authorization header of a receiver, bytes.
pub const AUTHORIZATION_BYTES: usize = 4_096;
/// Longest state of a verification, and longest reason of a status, bytes.
pub const STATE_BYTES: usize = 1_024;
/// Subjects that one stream leaves out, at most.
pub const REMOVED: usize = 1_000;
/// SETs under way to one receiver at a time: whatever is acknowledged out of turn is kept by name.
pub const WINDOW: usize = 100;
/// Notes that wait for one stream.
pub const NOTES: usize = 8;
/// Between two requests for verification, seconds.
pub const VERIFY_S: i64 = 10;
/// A stream that took nothing for this long, although something waits, is paused, seconds.
pub const UNTAKEN_S: i64 = 7 * 86_400;
/// Lines of the log that a stream may be behind before it is paused, where nothing was taken for
/// [`STILL_S`].
pub const BEHIND: i64 = 1_000_000;
/// How long a stream that is behind may stand still, seconds.
pub const STILL_S: i64 = 3_600;

/// Whether events flow (§8.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// They do.
    Enabled,
    /// They wait.
    Paused,
    /// They do not, and those of this time never will.
    Disabled,
}

impl Status {
    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Enabled => "enabled",
            Status::Paused => "paused",
            Status::Disabled => "disabled",
        }
    }
    /// From its text.
    pub fn parse(text: &str) -> Option<Status> {
        [Status::Enabled, Status::Paused, Status::Disabled].into_iter().find(|s| s.as_str() == text)
    }
}

/// How events go to the receiver (§6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// We send them.
    Push {
        /// Where to.
        endpoint_url: String,
        /// With an authorization header, which is sealed elsewhere.
        authorized: bool,
    },
    /// The receiver fetches them.
    Poll,
}

/// Something that waits to be told beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its name.
    pub jti: String,
    /// URI of its type.
    pub event: String,
    /// What it says.
    pub body: Map<String, Value>,
    /// When.
    pub at: Time,
    /// The cause.
    pub txn: TxnId,
}

/// What a receiver set, and what waits beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// How events go.
    pub delivery: Delivery,
    /// Types that it asked for, known or not; `None` where it asked for none in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Vec<String>>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Subjects that it does not want to hear about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Subject>,
}

/// A stream with the version of its row.
#[derive(Clone, Debug)]
pub struct Stream {
    /// `stream_id`.
    pub id: StreamId,
    /// Row version.
    pub version: i64,
    /// Whose it is.
    pub receiver: ClientId,
    /// Whether events flow.
    pub status: Status,
    /// Why not, or why again.
    pub reason: Option<String>,
    /// Everything up to this number of the log was taken.
    pub done: i64,
    /// Names of what was taken beyond it.
    pub taken: BTreeSet<String>,
    /// What waits beside the log.
    pub notes: Vec<Note>,
    /// When verification was asked for last.
    pub asked_at: Option<Time>,
    /// When something was taken last, or the receiver last set something.
    pub moved_at: Time,
    /// What the receiver set.
    pub facts: StreamFacts,
}

/// What a receiver asks a stream to be (§8.1.1): members it may set, as far as it named them.
#[derive(Debug, Default)]
pub struct Asked {
    /// How events go, with the authorization header for pushes.
    pub delivery: Option<(Delivery, Option<String>)>,
    /// Types of events.
    pub requested: Option<Vec<String>>,
    /// Description.
    pub description: Option<String>,
}

impl Asked {
    /// Reads the members that a receiver may set. Others are for the caller to compare.
    pub fn read(map: &Map<String, Value>) -> Result<Asked, Malformed> {
        let requested = match map.get("events_requested") {
            None | Some(Value::Null) => None,
            Some(Value::Array(all)) if all.len() <= 64 => {
                let text = |v: &Value| v.as_str().filter(|s| s.len() <= 256).map(str::to_owned);
                Some(all.iter().map(text).collect::<Option<Vec<_>>>().ok_or(Malformed("events_requested"))?)
            }
            Some(_) => return Err(Malformed("events_requested")),
        };
        let description = match map.get("description") {
            None | Some(Value::Null) => None,
            Some(Value::String(s)) if jcs::is_plain(s) => Some(s.chars().take(DESCRIPTION_CHARS).collect()),
            Some(_) => return Err(Malformed("description")),
        };
        let delivery = map.get("delivery").filter(|d| !d.is_null()).map(delivery).transpose()?;
        Ok(Asked { delivery, requested, description })
    }
}

fn delivery(value: &Value) -> Result<(Delivery, Option<String>), Malformed> {
    let wrong = Malformed("delivery");
    let map = value.as_object().ok_or(wrong)?;
    let text = |name: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.as_str())),
        Some(_) => Err(wrong),
    };
    let (endpoint, header) = (text("endpoint_url")?, text("authorization_header")?);
    match text("method")?.ok_or(wrong)? {
        // The poll endpoint is ours to name.
        POLL => Ok((Delivery::Poll, None)),
        PUSH => {
            let endpoint_url = endpoint.filter(|e| e.len() <= ENDPOINT_BYTES).ok_or(wrong)?.to_owned();
            let printable = |h: &&str| (1..=AUTHORIZATION_BYTES).contains(&h.len()) && h.bytes().all(|b| (0x20..0x7f).contains(&b));
            if header.is_some_and(|h| !printable(&h)) {
                return Err(Malformed("authorization_header"));
            }
            Ok((Delivery::Push { endpoint_url, authorized: header.is_some() }, header.map(str::to_owned)))
        }
        _ => Err(Malformed("a delivery method that is supported")),
    }
}

impl Stream {
    /// Types that it carries: those asked for among those that this receiver may have, in our order.
    pub fn delivered(&self, supported: &[EventType]) -> Vec<EventType> {
        let asked = |t: &EventType| self.facts.requested.as_ref().is_none_or(|all| all.iter().any(|uri| uri == t.uri()));
        supported.iter().copied().filter(asked).collect()
    }

    /// Whether it carries news about this subject.
    pub fn hears_of(&self, subject: &Subject) -> bool {
        !self.facts.removed.iter().any(|r| r.matches(subject))
    }

    /// Its configuration as it is told (§8.1.1).
    pub fn configuration(&self, issuer: &str, audience: &str, supported: &[EventType]) -> Value {
        let uris = |types: &[EventType]| -> Vec<&str> { types.iter().map(|t| t.uri()).collect() };
        let delivery = match &self.facts.delivery {
            Delivery::Push { endpoint_url, .. } => json!({"method": PUSH, "endpoint_url": endpoint_url}),
            Delivery::Poll => json!({"method": POLL, "endpoint_url": format!("{issuer}/ssf/poll/{}", self.id)}),
        };
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        put("stream_id", self.id.as_str().into());
        put("iss", issuer.into());
        put("aud", audience.into());
        put("delivery", delivery);
        put("events_supported", uris(supported).into());
        if let Some(requested) = &self.facts.requested {
            put("events_requested", requested.clone().into());
        }
        put("events_delivered", uris(&self.delivered(supported)).into());
        put("min_verification_interval", VERIFY_S.into());
        if let Some(description) = &self.facts.description {
            put("description", description.as_str().into());
        }
        Value::Object(map)
    }

    /// Whether members that are ours to set, where a receiver sends them, say what they say now
    /// (§8.1.1.3, §8.1.1.4).
    pub fn agrees(&self, sent: &Map<String, Value>, issuer: &str, audience: &str, supported: &[EventType]) -> bool {
        let now = self.configuration(issuer, audience, supported);
        let ours = ["stream_id", "iss", "aud", "events_supported", "events_delivered", "min_verification_interval"];
        ours.iter().all(|name| sent.get(*name).is_none_or(|v| Some(v) == now.get(*name)))
    }

    /// A note beside the others; the oldest verification goes where there are too many.
    pub fn noted(&self, note: Note) -> Vec<Note> {
        let mut notes = self.notes.clone();
        notes.push(note);
        if notes.len() > NOTES {
            let old = notes.iter().position(|n| n.event == EventType::Verification.uri()).unwrap_or(0);
            notes.remove(old);
        }
        notes
    }

    /// Why a stream that flows must be paused, if it must. `waiting` says whether anything waits.
    pub fn strain(&self, head: i64, waiting: bool, now: Time) -> Option<&'static str> {
        let untaken = waiting && now >= self.moved_at.plus_s(UNTAKEN_S);
        match () {
            () if self.status != Status::Enabled => None,
            () if waiting && head - self.done > BEHIND && now >= self.moved_at.plus_s(STILL_S) => {
                Some("the receiver is too far behind")
            }
            () if untaken => Some("nothing was taken for too long"),
            () => None,
        }
    }

    /// How far it is once these were taken. `sets` are the lines read beyond `done`, in order, each
    /// with the names of what it is told as; `scanned` is the number up to which lines were read.
    pub fn progress(&self, scanned: i64, sets: &[(i64, Vec<String>)], now_taken: &BTreeSet<String>) -> Progress {
        let is_taken = |jti: &String| self.taken.contains(jti) || now_taken.contains(jti);
        let open = sets.iter().position(|(_, jtis)| !jtis.iter().all(is_taken));
        let (done, rest) = match open.and_then(|at| sets.get(at..)) {
            None => (scanned, &[][..]),
            Some(rest) => (rest.first().map_or(scanned, |(seq, _)| seq - 1), rest),
        };
        let taken = rest.iter().flat_map(|(_, jtis)| jtis).filter(|j| is_taken(j)).cloned().collect();
        let notes = self.notes.iter().filter(|n| !now_taken.contains(&n.jti)).cloned().collect();
        Progress { done: done.max(self.done), taken, notes }
    }
}

/// How far a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to this number was taken.
    pub done: i64,
    /// And these beyond it.
    pub taken: BTreeSet<String>,
    /// What waits beside the log.
    pub notes: Vec<Note>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream {
            id: StreamId::new(Time(1), [1; 10]),
            version: 1,
            receiver: "siem".parse().unwrap(),
            status: Status::Enabled,
            reason: None,
            done: 10,
            taken: BTreeSet::new(),
            notes: Vec::new(),
            asked_at: None,
            moved_at: Time(0),
            facts: StreamFacts { delivery: Delivery::Poll, requested: None, description: None, removed: Vec::new() },
        }
    }
    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn what_is_taken_out_of_turn_is_kept_until_its_turn_comes() {
        let sets = [(12, vec!["a".to_owned(), "b".to_owned()]), (15, vec!["c".to_owned()]), (16, vec!["d".to_owned()])];
        let mut s = stream();
        let p = s.progress(20, &sets, &names(&["b", "c"]));
        assert_eq!((p.done, &p.taken), (11, &names(&["b", "c"])), "a waits");
        (s.done, s.taken) = (p.done, p.taken);
        let p = s.progress(20, &sets, &names(&["a"]));
        assert_eq!((p.done, &p.taken), (15, &names(&[])), "only d waits");
        (s.done, s.taken) = (p.done, p.taken);
        assert_eq!(s.progress(20, &sets[2..], &names(&["d", "unknown"])).done, 20);
        assert_eq!(s.progress(20, &[], &names(&[])).done, 20, "nothing there is for it");
        assert_eq!(s.progress(3, &[], &names(&[])).done, 15, "never back");
    }

    #[test]
    fn a_stream_is_asked_for_in_the_standards_words_and_nothing_else() {
        let read = |v: Value| Asked::read(v.as_object().unwrap());
        let asked = read(json!({"delivery": {"method": PUSH, "endpoint_url": "https://r.example/e", "authorization_header": "Bearer x"},
            "events_requested": ["urn:x"], "description": "d".repeat(300)})).unwrap();
        assert_eq!(asked.description.unwrap().len(), DESCRIPTION_CHARS);
        assert_eq!(asked.delivery.unwrap().1.as_deref(), Some("Bearer x"));
        assert!(read(json!({})).unwrap().delivery.is_none());
        assert_eq!(read(json!({"delivery": {"method": POLL, "endpoint_url": null}})).unwrap().delivery.unwrap().0, Delivery::Poll);
        for bad in [
            json!({"delivery": {}}), json!({"delivery": {"method": PUSH}}), json!({"delivery": {"method": "urn:x"}}), json!({"delivery": 1}),
            json!({"delivery": {"method": PUSH, "endpoint_url": "https://r.example/e", "authorization_header": "a\nb"}}),
            json!({"events_requested": "urn:x"}), json!({"events_requested": [1]}), json!({"description": 1}), json!({"description": "a\u{0}b"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_supported_and_asked_for_is_delivered() {
        let mut s = stream();
        assert_eq!(s.delivered(&EventType::CAEP).len(), 8);
        s.facts.requested = Some(vec![EventType::SessionRevoked.uri().into(), EventType::CredentialChange.uri().into(), "urn:x".into()]);
        assert_eq!(s.delivered(&[EventType::SessionRevoked, EventType::RiskLevelChange]), [EventType::SessionRevoked]);
        let said = s.configuration("https://id.example", "https://r.example", &EventType::CAEP);
        assert!(s.agrees(said.as_object().unwrap(), "https://id.example", "https://r.example", &EventType::CAEP));
        let other = json!({"aud": "https://other.example"});
        assert!(!s.agrees(other.as_object().unwrap(), "https://id.example", "https://r.example", &EventType::CAEP));
    }

    #[test]
    fn a_stream_nobody_takes_from_is_paused_and_says_why() {
        let s = stream();
        assert_eq!(s.strain(11, true, Time(0)), None);
        assert!(s.strain(11, true, Time(0).plus_s(UNTAKEN_S)).is_some());
        assert_eq!(s.strain(11, false, Time(0).plus_s(UNTAKEN_S)), None, "nothing waits");
        assert_eq!(s.strain(11 + BEHIND, true, Time(0)), None, "it moves");
        assert!(s.strain(11 + BEHIND, true, Time(0).plus_s(STILL_S)).is_some());
    }
}
