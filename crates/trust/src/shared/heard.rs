//! What others tell us, and what it means here: which of our signals an event of CAEP raises or clears, or
//! that sessions end. Whether its transmitter may say so about that kind of subject is decided first.

use super::caep::EventType;
use crate::signal::{About, Kind};
use countersign_wire::subject::{Identifier, Subject};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How a transmitter names people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum People {
    /// By our own names: `iss_sub` with our issuer.
    Own,
    /// By login name: `email`, or `iss_sub` with its own issuer.
    Login,
}

/// How a transmitter names devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Devices {
    /// By our own names: `iss_sub` with our issuer, or `opaque`.
    Own,
    /// By its own names, which an operator bound to ours: `iss_sub` with its issuer, or `opaque`.
    Managed,
}

/// What a transmitter may speak about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    /// People, by this name.
    pub people: Option<People>,
    /// Devices, by this name.
    pub devices: Option<Devices>,
    /// Sessions of ours, by their `sid`.
    pub sessions: bool,
}

/// Whom an event is about, as its transmitter names them; still to be looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// A person: one of these names.
    pub person: Option<Vec<String>>,
    /// A device: one of these names.
    pub device: Option<Vec<String>>,
    /// A session.
    pub session: Option<Vec<String>>,
}

/// Why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Its transmitter may not speak about that.
    Trust(&'static str),
    /// It does not say what an event of its type must.
    Form(&'static str),
}

/// What is done about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A signal is raised; until it is taken back, or for a while.
    Raise(Kind, Lasting),
    /// What this transmitter said before is taken back.
    Clear(Kind),
    /// The device meets the rules of who manages it, or does not.
    Compliant(bool),
    /// Sessions end.
    End,
}

/// How long a signal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Until the transmitter takes it back.
    UntilCleared,
    /// For a configured time: nobody takes it back.
    AWhile,
}

/// What an event is about first of all.
fn about(event: EventType, body: &Map<String, Value>) -> Option<About> {
    Some(match event {
        EventType::DeviceComplianceChange => About::Device,
        EventType::CredentialChange | EventType::AssuranceLevelChange => About::Person,
        EventType::SessionRevoked => About::Session,
        EventType::RiskLevelChange => match body.get("principal").and_then(Value::as_str) {
            Some("USER") => About::Person,
            Some("DEVICE") => About::Device,
            Some("SESSION") => About::Session,
            _ => return None,
        },
        _ => return None,
    })
}

/// Whom an event names, as far as its transmitter may speak about them. A member that it may not name
/// refuses the whole: what is left of the subject would be more than was meant.
pub fn named(event: EventType, body: &Map<String, Value>, subject: &Subject, trust: Trust, theirs: &str, ours: &str) -> Result<Named, Outside> {
    let mut out = Named::default();
    let person = |id: &Identifier| match trust.people {
        None => Err(Outside::Trust("a transmitter that may not speak about people")),
        Some(form) => Ok(id.names().into_iter().filter_map(|n| person_name(n, form, theirs, ours)).collect()),
    };
    let device = |id: &Identifier| match trust.devices {
        None => Err(Outside::Trust("a transmitter that may not speak about devices")),
        Some(form) => Ok(id.names().into_iter().filter_map(|n| device_name(n, form, theirs, ours)).collect()),
    };
    let session = |id: &Identifier| match (trust.sessions, id) {
        (false, _) => Err(Outside::Trust("a transmitter that may not speak about sessions")),
        (true, Identifier::Opaque(id)) => Ok(vec![id.clone()]),
        (true, _) => Ok(Vec::new()),
    };
    match subject {
        Subject::Complex(members) => {
            out.person = members.get("user").map(person).transpose()?;
            out.device = members.get("device").map(device).transpose()?;
            out.session = members.get("session").map(session).transpose()?;
        }
        Subject::Simple(id) => match about(event, body) {
            Some(About::Device) => out.device = Some(device(id)?),
            Some(About::Session) if matches!(id, Identifier::Opaque(_)) => out.session = Some(session(id)?),
            // A session is revoked by its person's name as well.
            _ => out.person = Some(person(id)?),
        },
    }
    Ok(out)
}

fn person_name(id: &Identifier, form: People, theirs: &str, ours: &str) -> Option<String> {
    match (form, id) {
        (People::Own, Identifier::IssSub { iss, sub }) if iss == ours => Some(sub.clone()),
        (People::Login, Identifier::IssSub { iss, sub }) if iss == theirs => Some(sub.clone()),
        (People::Login, Identifier::Email(email)) => Some(email.to_lowercase()),
        _ => None,
    }
}

fn device_name(id: &Identifier, form: Devices, theirs: &str, ours: &str) -> Option<String> {
    match (form, id) {
        (Devices::Own, Identifier::IssSub { iss, sub }) if iss == ours => Some(sub.clone()),
        (Devices::Managed, Identifier::IssSub { iss, sub }) if iss == theirs => Some(sub.clone()),
        (_, Identifier::Opaque(id)) => Some(id.clone()),
        _ => None,
    }
}

/// What an event means, in order, and about what kind of thing; nothing where we only take note of it.
pub fn meaning(event: EventType, body: &Map<String, Value>) -> Result<Vec<Act>, Outside> {
    let word = |name: &str| body.get(name).and_then(Value::as_str);
    let bad = |why| Err(Outside::Form(why));
    Ok(match event {
        EventType::SessionRevoked => vec![Act::End],
        EventType::DeviceComplianceChange => match word("current_status") {
            Some("not-compliant") => vec![Act::Compliant(false), Act::Raise(Kind::DeviceNoncompliant, Lasting::UntilCleared)],
            Some("compliant") => vec![Act::Compliant(true), Act::Clear(Kind::DeviceNoncompliant)],
            _ => return bad("no current_status"),
        },
        EventType::CredentialChange => match word("change_type") {
            Some("revoke" | "update" | "delete") => vec![Act::Raise(Kind::PersonCredentialChanged, Lasting::AWhile)],
            Some("create") => Vec::new(),
            _ => return bad("no change_type"),
        },
        EventType::AssuranceLevelChange => match (word("current_level"), word("change_direction")) {
            (None, _) => return bad("no current_level"),
            (_, Some("decrease")) => vec![Act::Raise(Kind::PersonAssuranceLowered, Lasting::AWhile)],
            (_, Some("increase")) => vec![Act::Clear(Kind::PersonAssuranceLowered)],
            _ => Vec::new(),
        },
        EventType::RiskLevelChange => {
            let (high, medium) = match about(event, body) {
                Some(About::Person) => (Kind::PersonRiskHigh, Kind::PersonRiskMedium),
                Some(About::Device) => (Kind::DeviceRiskHigh, Kind::DeviceRiskMedium),
                _ if word("principal").is_none() => return bad("no principal"),
                _ => return Ok(Vec::new()),
            };
            match word("current_level") {
                Some("HIGH") => vec![Act::Raise(high, Lasting::UntilCleared), Act::Clear(medium)],
                Some("MEDIUM") => vec![Act::Raise(medium, Lasting::UntilCleared), Act::Clear(high)],
                Some("LOW") => vec![Act::Clear(high), Act::Clear(medium)],
                _ => return bad("no current_level"),
            }
        }
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(event: EventType, body: Value) -> Result<Vec<Act>, Outside> {
        meaning(event, body.as_object().unwrap())
    }
    fn names(event: EventType, body: Value, subject: Value, trust: Trust) -> Result<Named, Outside> {
        named(event, body.as_object().unwrap(), &Subject::parse(&subject).unwrap(), trust, "https://mdm.example", "https://id.example")
    }

    #[test]
    fn an_event_means_a_signal_its_end_or_nothing() {
        use EventType::*;
        let mdm = |s: &str| of(DeviceComplianceChange, json!({"current_status": s}));
        assert_eq!(mdm("not-compliant").unwrap()[1], Act::Raise(Kind::DeviceNoncompliant, Lasting::UntilCleared));
        assert_eq!(mdm("compliant").unwrap()[1], Act::Clear(Kind::DeviceNoncompliant));
        assert!(mdm("odd").is_err());
        let risk = |p: &str, l: &str| of(RiskLevelChange, json!({"principal": p, "current_level": l}));
        assert_eq!(risk("USER", "HIGH").unwrap()[0], Act::Raise(Kind::PersonRiskHigh, Lasting::UntilCleared));
        assert_eq!(risk("DEVICE", "LOW").unwrap(), [Act::Clear(Kind::DeviceRiskHigh), Act::Clear(Kind::DeviceRiskMedium)]);
        assert!(risk("TENANT", "HIGH").unwrap().is_empty() && risk("USER", "EXTREME").is_err());
        for change in ["revoke", "update", "delete"] {
            assert_eq!(of(CredentialChange, json!({"change_type": change})).unwrap(), [Act::Raise(Kind::PersonCredentialChanged, Lasting::AWhile)]);
        }
        assert!(of(CredentialChange, json!({"change_type": "create"})).unwrap().is_empty());
        assert_eq!(of(SessionRevoked, json!({})).unwrap(), [Act::End]);
        assert!(of(SessionPresented, json!({})).unwrap().is_empty());
    }

    #[test]
    fn nobody_speaks_about_what_is_not_theirs() {
        use EventType::*;
        let mdm = Trust { devices: Some(Devices::Managed), ..Trust::default() };
        let device = json!({"format": "complex", "device": {"format": "iss_sub", "iss": "https://mdm.example", "sub": "D1"}});
        assert_eq!(names(DeviceComplianceChange, json!({}), device, mdm).unwrap().device.unwrap(), ["D1"]);
        let both = json!({"format": "complex", "device": {"format": "opaque", "id": "D1"}, "user": {"format": "email", "email": "a@b"}});
        assert!(matches!(names(SessionRevoked, json!({}), both, mdm), Err(Outside::Trust(_))), "the whole is refused");
        let person = json!({"format": "iss_sub", "iss": "https://mdm.example", "sub": "ana"});
        assert!(matches!(names(CredentialChange, json!({}), person.clone(), mdm), Err(Outside::Trust(_))));
        let idp = Trust { people: Some(People::Login), ..Trust::default() };
        assert_eq!(names(CredentialChange, json!({}), person, idp).unwrap().person.unwrap(), ["ana"]);
        let foreign = json!({"format": "iss_sub", "iss": "https://third.example", "sub": "ana"});
        assert!(names(CredentialChange, json!({}), foreign, idp).unwrap().person.unwrap().is_empty(), "a name by another issuer is none");
        let sid = json!({"format": "opaque", "id": "s"});
        assert!(matches!(names(SessionRevoked, json!({}), sid, idp), Err(Outside::Trust(_))));
    }
}
