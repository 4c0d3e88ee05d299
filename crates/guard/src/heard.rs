//! Events of the server (Security Event Tokens, RFC 8417, as CAEP sends them) about what ended, for a session,
//! for a person, or for everybody.

use crate::keys::{Keys, NoKey};
use crate::settings::Settings;
use countersign_wire::Time;
use countersign_wire::jose::{Alg, Jws};
use countersign_wire::set::{self, Expected, IssuerKey, SetFault};
use countersign_wire::subject::{Identifier, Subject};
use serde_json::Value;

/// The event that ends what it is about (CAEP 1.0 §3.1).
const ENDING: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// The CAEP interoperability profile signs by this alone (§2.6).
const ALGS: [Alg; 1] = [Alg::RS256];

/// What ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// A session.
    pub session: Option<String>,
    /// A person, with all sessions.
    pub subject: Option<String>,
    /// Everything there was, as after a restore.
    pub everything: bool,
    /// When, seconds.
    pub at: i64,
}

impl Heard {
    pub(crate) fn names(&self) -> Vec<String> {
        match (&self.session, &self.subject) {
            // With a session named, the person's others go on.
            (Some(session), _) => vec![format!("sid/{session}")],
            (None, Some(subject)) => vec![format!("sub/{subject}")],
            (None, None) => Vec::new(),
        }
    }
}

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeard {
    /// It will never be good.
    Bad(SetFault),
    /// Its key could not be fetched; to be sent again.
    Unavailable,
}

impl NotHeard {
    /// The error code of RFC 8935 §2.4; `None` where the answer is 503.
    pub fn err(self) -> Option<&'static str> {
        match self {
            NotHeard::Bad(fault) => Some(fault.err()),
            NotHeard::Unavailable => None,
        }
    }
}

/// Reads one. An event that ends nothing is taken and changes nothing.
pub(crate) async fn read(text: &str, settings: &Settings, keys: &Keys, now: Time) -> Result<Heard, NotHeard> {
    let no_key = NotHeard::Bad(SetFault::Key("an unknown key"));
    let kid = Jws::parse(text.trim_ascii_end()).ok().and_then(|jws| jws.header_text("kid").map(str::to_owned));
    let kid = kid.ok_or(NotHeard::Bad(SetFault::Request("not a signed SET with a kid")))?;
    let key = keys.find(&kid, now).await.map_err(|why| match why {
        NoKey::Unknown => no_key,
        NoKey::Unavailable => NotHeard::Unavailable,
    })?;
    let keys = [IssuerKey { kid: Some(kid), alg: None, key }];
    let aud = settings.events_audience.as_deref().unwrap_or(&settings.audience);
    let set = set::read(text, &Expected { iss: &settings.issuer, aud, keys: &keys, algs: &ALGS, now }).map_err(NotHeard::Bad)?;
    if set.event != ENDING {
        return Ok(Heard { at: set.at_s, ..Heard::default() });
    }
    let at = set.body.get("event_timestamp").and_then(Value::as_i64).unwrap_or(set.at_s).clamp(0, set.at_s);
    Ok(about(&set.subject, at, &settings.issuer))
}

/// Whom a subject means (RFC 9493, SSF 1.0 §3): a session by its opaque id, a person by issuer and subject.
fn about(subject: &Subject, at: i64, issuer: &str) -> Heard {
    let person = |id: &Identifier| match id {
        Identifier::IssSub { iss, sub } if iss == issuer => Some(sub.clone()),
        _ => None,
    };
    let opaque = |id: &Identifier| match id {
        Identifier::Opaque(id) => Some(id.clone()),
        _ => None,
    };
    match subject {
        Subject::Simple(id) => Heard { session: opaque(id), subject: person(id), at, everything: false },
        Subject::Complex(members) => {
            let session = members.get("session").and_then(opaque);
            let subject = members.get("user").and_then(person);
            let tenant = members.get("tenant").and_then(opaque).is_some_and(|t| t == issuer);
            Heard { everything: tenant && session.is_none() && subject.is_none(), session, subject, at }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subjects_are_read_as_the_standards_write_them() {
        let heard = |v: Value| about(&Subject::parse(&v).unwrap(), 1, "https://id.example");
        let person = json!({"format": "iss_sub", "iss": "https://id.example", "sub": "p"});
        let names = |v: Value| heard(v).names();
        assert_eq!(names(json!({"format": "complex", "session": {"format": "opaque", "id": "s"}, "user": person})), ["sid/s"]);
        assert_eq!(names(json!({"format": "complex", "user": person})), ["sub/p"]);
        assert_eq!(names(person), ["sub/p"]);
        assert_eq!(names(json!({"format": "opaque", "id": "s"})), ["sid/s"]);
        assert!(names(json!({"format": "iss_sub", "iss": "https://other.example", "sub": "p"})).is_empty());
        assert!(names(json!({"format": "email", "email": "a@b"})).is_empty());
        assert!(heard(json!({"format": "complex", "tenant": {"format": "opaque", "id": "https://id.example"}})).everything);
    }
}
