//! Shared signals: whom an event is about, and the token that carries it.

use super::jose::{ISSUER, NOW, forged, signed};
use super::{Seen, key, text, tried};
use countersign_wire as wire;
use countersign_wire::jose::Alg;
use countersign_wire::set::{self, Expected, IssuerKey};
use countersign_wire::subject::{ALIASES, Identifier, MEMBERS, Subject};
use serde_json::{Value, json};

const US: &str = "https://us.example";

/// What was read says the same when it is written, is bounded, and matches itself.
pub fn subject_identifier(data: &[u8], seen: &mut Seen) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if let Some(one) = tried!(seen, Identifier::parse(&value)) {
        assert_eq!(Identifier::parse(&one.to_value()), Ok(one.clone()));
        assert!((1..=ALIASES).contains(&one.names().len()));
        for (name, member) in one.to_value().as_object().unwrap() {
            assert_eq!(Some(member), value.get(name).filter(|_| member.is_string()).or(Some(member)), "`{name}` was read as something else");
        }
    }
    let Some(subject) = tried!(seen, Subject::parse(&value)) else { return };
    let written = subject.to_value();
    assert_eq!(Subject::parse(&written), Ok(subject.clone()));
    assert_eq!(written["format"], value["format"]);
    assert!(subject.matches(&subject));
    if let Subject::Complex(members) = &subject {
        assert!((1..=MEMBERS).contains(&members.len()));
        for one in members.values() {
            let simple = Subject::Simple(one.clone());
            assert!(simple.matches(&subject) && subject.matches(&simple));
        }
    }
    let other = Subject::Simple(Identifier::Opaque("somebody else".into()));
    assert_eq!(other.matches(&subject), subject.matches(&other));
}

/// The input as it is, and as claims that a key of the issuer signed.
pub fn security_event(data: &[u8], seen: &mut Seen) {
    let keys = IssuerKey::set(&json!({"keys": [key().public(), {"kty": "oct"}]}));
    assert_eq!(keys.len(), 1);
    let want = Expected { iss: ISSUER, aud: US, keys: &keys, algs: &[Alg::ES256], now: NOW };
    tried!(seen, wire::set::read(text(data), &want));
    let made = signed(json!({"typ": set::TYP}), data);
    let Some(read) = tried!(seen, wire::set::read(&made, &want)) else { return };
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(said["iss"], ISSUER);
    assert!(said["aud"] == US || said["aud"].as_array().is_some_and(|all| all.iter().any(|one| one == US)));
    for never in ["sub", "exp", "nonce"] {
        assert!(said.get(never).is_none(), "`{never}` is in no SET");
    }
    assert!(said["jti"] == read.jti.as_str() && !read.jti.is_empty() && read.jti.len() <= wire::limits::JTI_BYTES);
    assert!(read.at_s <= NOW.seconds() + set::AHEAD_S);
    assert_eq!(said["events"][&read.event], Value::Object(read.body.clone()));
    assert_eq!(said["events"].as_object().unwrap().len(), 1);
    // As any other kind of token, for anybody else, by any other key, it is none.
    let access = signed(json!({"typ": "at+jwt"}), data);
    assert!(set::read(&access, &want).is_err(), "another kind of token");
    for other in [
        Expected { iss: "https://other.example", ..want },
        Expected { aud: "https://other.example", ..want },
        Expected { keys: &[], ..want },
        Expected { algs: &[Alg::RS256], ..want },
        Expected { now: NOW.plus_s(-10_000_000_000), ..want },
    ] {
        assert!(set::read(&made, &other).is_err());
    }
    for other in forged(&made) {
        assert!(set::read(&other, &want).is_err(), "forged");
    }
}
