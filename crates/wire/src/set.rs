//! Security Event Tokens (RFC 8417) as the Shared Signals Framework 1.0 profiles them: one event each,
//! typed, with a subject of its own, without `sub` and `exp` (§4.1), so that none is ever taken for a
//! token of another kind, nor any such token for one of these.

use crate::dpop::NumericDate;
use crate::jose::jws::Claims;
use crate::jose::{Alg, Jwk, Jws};
use crate::limits::JTI_BYTES;
use crate::subject::Subject;
use crate::{Malformed, Time};
use serde_json::{Map, Value, json};

/// `typ` of a SET (RFC 8417 §2.3).
pub const TYP: &str = "secevent+jwt";
/// Media type of a SET (RFC 8417 §7.2).
pub const MEDIA: &str = "application/secevent+jwt";
/// Longest SET taken, bytes: one event is far below a kilobyte.
pub const SET_BYTES: usize = 8 * 1_024;
/// Longest `txn` and `kid` taken, bytes.
pub const NAME_BYTES: usize = 256;
/// A transmitter's clock may run ahead by this much, seconds.
pub const AHEAD_S: i64 = 120;

/// One event as it is told.
pub struct Telling<'a> {
    /// `iss`.
    pub iss: &'a str,
    /// `aud`: one receiver, never several that do not belong together (SSF 1.0 §4.1.8).
    pub aud: &'a str,
    /// `jti`.
    pub jti: &'a str,
    /// `iat`.
    pub at: Time,
    /// `txn`: the cause.
    pub txn: &'a str,
    /// `sub_id`.
    pub subject: &'a Subject,
    /// Type of the event.
    pub event: &'a str,
    /// What the event says.
    pub body: &'a Map<String, Value>,
}

impl Telling<'_> {
    /// The claims of its SET.
    pub fn claims(&self) -> Value {
        json!({
            "iss": self.iss,
            "aud": self.aud,
            "jti": self.jti,
            "iat": self.at.seconds(),
            "txn": self.txn,
            "sub_id": self.subject.to_value(),
            "events": { self.event: self.body },
        })
    }
}

/// A SET whose signature and claims were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name, unique for its issuer.
    pub jti: String,
    /// When it was made, seconds.
    pub at_s: i64,
    /// The cause, as its issuer names it.
    pub txn: Option<String>,
    /// Whom or what it is about.
    pub subject: Subject,
    /// Type of its event.
    pub event: String,
    /// What the event says.
    pub body: Map<String, Value>,
}

/// A key of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerKey {
    /// `kid`, if the set names it.
    pub kid: Option<String>,
    /// The algorithm that it is for, if the set says so.
    pub alg: Option<Alg>,
    /// The key.
    pub key: Jwk,
}

impl IssuerKey {
    /// The keys of a JWK Set (RFC 7517 §5) that verify signatures here; others are left out.
    pub fn set(value: &Value) -> Vec<IssuerKey> {
        let all = value.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let one = |jwk: &Value| {
            let name = |member: &str| jwk.get(member).and_then(Value::as_str);
            Some(IssuerKey {
                kid: name("kid").map(str::to_owned),
                alg: name("alg").and_then(Alg::parse),
                key: Jwk::parse(jwk).ok()?,
            })
        };
        all.iter().take(32).filter_map(one).collect()
    }

    /// The claims, if one of `keys` that fits what the JWS says of its key made the signature.
    pub fn verify(keys: &[IssuerKey], jws: &Jws<'_>) -> Option<Claims> {
        let kid = jws.header_text("kid");
        let fits = |k: &&IssuerKey| k.alg.is_none_or(|alg| alg == jws.alg()) && (kid.is_none() || k.kid.is_none() || k.kid.as_deref() == kid);
        keys.iter().filter(fits).find_map(|k| jws.verify(&k.key).ok())
    }
}

/// What a SET must be to be taken.
pub struct Expected<'a> {
    /// The issuer it must name.
    pub iss: &'a str,
    /// The reader it must name.
    pub aud: &'a str,
    /// The issuer's keys.
    pub keys: &'a [IssuerKey],
    /// Algorithms taken from it.
    pub algs: &'a [Alg],
    /// Now.
    pub now: Time,
}

/// Why a SET was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetFault {
    /// Not a SET: unsigned, too long, of another type, with claims that a SET must not have.
    Request(&'static str),
    /// No key of the issuer made its signature.
    Key(&'static str),
    /// Another issuer's.
    Issuer,
    /// For another reader.
    Audience,
}

impl SetFault {
    /// The error code (RFC 8935 §2.4, RFC 8936 §2.6).
    pub fn err(self) -> &'static str {
        match self {
            SetFault::Request(_) => "invalid_request",
            SetFault::Key(_) => "invalid_key",
            SetFault::Issuer => "invalid_issuer",
            SetFault::Audience => "invalid_audience",
        }
    }
    /// What it was, in words without input.
    pub fn because(self) -> &'static str {
        match self {
            SetFault::Request(why) | SetFault::Key(why) => why,
            SetFault::Issuer => "a SET of another issuer",
            SetFault::Audience => "a SET for somebody else",
        }
    }
}

/// Reads and judges a SET.
pub fn read(text: &str, expected: &Expected<'_>) -> Result<Set, SetFault> {
    let bad = SetFault::Request;
    if text.len() > SET_BYTES {
        return Err(bad("a SET that is too long"));
    }
    let jws = Jws::parse(text.trim_ascii_end()).map_err(|Malformed(_)| bad("not a signed SET"))?;
    let typ = jws.header_text("typ").unwrap_or_default();
    // The prefix may be left out, and is (RFC 7515 §4.1.9); names of types know no case.
    if !typ.eq_ignore_ascii_case(TYP) && !typ.eq_ignore_ascii_case(MEDIA) {
        return Err(bad("a token of another type"));
    }
    if !expected.algs.contains(&jws.alg()) {
        return Err(SetFault::Key("an algorithm that is not agreed"));
    }
    // Whose it claims to be decides which error is told; nothing else rests on it.
    let claimed: Map<String, Value> = jws.unverified().map_err(|Malformed(_)| bad("claims that are not JSON"))?;
    if claimed.get("iss").and_then(Value::as_str) != Some(expected.iss) {
        return Err(SetFault::Issuer);
    }
    let claims: Map<String, Value> = IssuerKey::verify(expected.keys, &jws)
        .ok_or(SetFault::Key("a signature by no key of its issuer"))?
        .read()
        .map_err(|Malformed(_)| bad("claims that are not JSON"))?;
    judge(&claims, expected)
}

fn judge(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<Set, SetFault> {
    let bad = SetFault::Request;
    let is_us = |v: &Value| v == expected.aud;
    let ours = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(is_us),
        Some(one) => is_us(one),
        None => false,
    };
    if !ours {
        return Err(SetFault::Audience);
    }
    if claims.contains_key("sub") || claims.contains_key("exp") || claims.contains_key("nonce") {
        return Err(bad("a claim that no SET has"));
    }
    let text = |name: &str, most: usize| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(s)) if !s.is_empty() && s.len() <= most => Ok(Some(s.clone())),
        Some(_) => Err(bad("a claim of another form")),
    };
    let jti = text("jti", JTI_BYTES)?.ok_or(bad("no jti"))?;
    let txn = text("txn", NAME_BYTES)?;
    let iat: NumericDate = claims
        .get("iat")
        .and_then(|v| serde_json::from_value(v.clone()).ok())
        .ok_or(bad("no iat"))?;
    if iat.seconds() > expected.now.seconds() + AHEAD_S {
        return Err(bad("a SET from the future"));
    }
    let events = claims.get("events").and_then(Value::as_object).ok_or(bad("no events"))?;
    let mut each = events.iter();
    let (Some((event, Value::Object(body))), None) = (each.next(), each.next()) else {
        return Err(bad("not exactly one event"));
    };
    // Events older than the framework carry their subject inside (SSF 1.0 §3.1.1); they must not do
    // so in one place and otherwise in another.
    let subject = match (claims.get("sub_id"), body.get("subject")) {
        (Some(outer), None) => outer,
        (None, Some(inner)) => inner,
        _ => return Err(bad("not exactly one subject")),
    };
    let subject = Subject::parse(subject).map_err(|Malformed(_)| bad("a subject of no known form"))?;
    Ok(Set { jti, at_s: iat.seconds(), txn, subject, event: event.clone(), body: body.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::b64;
    use crate::jose::Signer;
    use crate::jose::jws::{self, SignFault};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    struct Key(EcdsaKeyPair);
    impl Signer for Key {
        fn alg(&self) -> Alg {
            Alg::ES256
        }
        fn sign(&self, m: &[u8]) -> Result<Vec<u8>, SignFault> {
            Ok(self.0.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec())
        }
    }

    const NOW: Time = Time(1_800_000_000_000_000);
    const EVENT: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

    fn key() -> (Key, IssuerKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = Jwk::P256(pair.public_key().as_ref()[1..].try_into().unwrap());
        (Key(pair), IssuerKey { kid: Some("k".into()), alg: Some(Alg::ES256), key: public })
    }

    fn good() -> Value {
        json!({"iss":"https://tr.example","aud":"https://us.example","jti":"1","iat":NOW.seconds(),"txn":"t",
            "sub_id":{"format":"opaque","id":"s"},"events":{EVENT:{"event_timestamp":1}}})
    }

    fn signed(key: &Key, header: Value, claims: &Value) -> String {
        jws::encode(header.as_object().unwrap().clone(), claims.to_string().as_bytes(), key).unwrap()
    }

    #[test]
    fn a_telling_is_read_back() {
        let (private, public) = key();
        let subject = Subject::parse(&json!({"format":"complex","session":{"format":"opaque","id":"s"}})).unwrap();
        let body = json!({"event_timestamp": 7}).as_object().unwrap().clone();
        let telling = Telling { iss: "https://tr.example", aud: "https://us.example", jti: "j", at: NOW, txn: "t", subject: &subject, event: EVENT, body: &body };
        let text = signed(&private, json!({"typ": TYP, "kid": "k"}), &telling.claims());
        let keys = [public];
        let expected = Expected { iss: "https://tr.example", aud: "https://us.example", keys: &keys, algs: &[Alg::ES256], now: NOW };
        let set = read(&text, &expected).unwrap();
        assert_eq!((set.subject, set.body, set.event.as_str(), set.txn.as_deref()), (subject, body, EVENT, Some("t")));
    }

    #[test]
    fn whatever_is_not_a_set_for_us_is_refused_with_its_code() {
        let (private, public) = key();
        let keys = [public];
        let expected = Expected { iss: "https://tr.example", aud: "https://us.example", keys: &keys, algs: &[Alg::ES256, Alg::RS256], now: NOW };
        let header = json!({"typ": TYP, "kid": "k"});
        assert!(read(&signed(&private, header.clone(), &good()), &expected).is_ok());
        type Spoil = fn(&mut Map<String, Value>);
        let spoils: &[(&str, Spoil)] = &[
            ("invalid_issuer", |c| c.insert("iss".into(), "https://other.example".into()).map_or((), drop)),
            ("invalid_issuer", |c| c.remove("iss").map_or((), drop)),
            ("invalid_audience", |c| c.insert("aud".into(), "https://other.example".into()).map_or((), drop)),
            ("invalid_audience", |c| c.remove("aud").map_or((), drop)),
            ("invalid_request", |c| c.insert("sub".into(), "x".into()).map_or((), drop)),
            ("invalid_request", |c| c.insert("exp".into(), 1_900_000_000.into()).map_or((), drop)),
            ("invalid_request", |c| c.insert("iat".into(), 1_800_000_121_i64.into()).map_or((), drop)),
            ("invalid_request", |c| c.remove("iat").map_or((), drop)),
            ("invalid_request", |c| c.remove("jti").map_or((), drop)),
            ("invalid_request", |c| c.insert("jti".into(), "j".repeat(129).into()).map_or((), drop)),
            ("invalid_request", |c| c.remove("events").map_or((), drop)),
            ("invalid_request", |c| c.insert("events".into(), json!({})).map_or((), drop)),
            ("invalid_request", |c| c.insert("events".into(), json!({"a": {}, "b": {}})).map_or((), drop)),
            ("invalid_request", |c| c.insert("events".into(), json!({"a": 1})).map_or((), drop)),
            ("invalid_request", |c| c.remove("sub_id").map_or((), drop)),
            ("invalid_request", |c| c.insert("sub_id".into(), json!({"format": "odd"})).map_or((), drop)),
        ];
        for (err, spoil) in spoils {
            let mut claims = good();
            spoil(claims.as_object_mut().unwrap());
            let fault = read(&signed(&private, header.clone(), &claims), &expected).unwrap_err();
            assert_eq!(fault.err(), *err, "{claims}");
        }
        for typ in [json!({"kid":"k"}), json!({"kid":"k","typ":"JWT"}), json!({"kid":"k","typ":"logout+jwt"})] {
            assert_eq!(read(&signed(&private, typ, &good()), &expected).unwrap_err().err(), "invalid_request");
        }
        let (stranger, _) = key();
        assert_eq!(read(&signed(&stranger, header.clone(), &good()), &expected).unwrap_err().err(), "invalid_key");
        assert_eq!(read(&signed(&private, json!({"typ": TYP, "kid": "other"}), &good()), &expected).unwrap_err().err(), "invalid_key");
        let only = Expected { algs: &[Alg::RS256], ..expected };
        assert_eq!(read(&signed(&private, header, &good()), &only).unwrap_err().err(), "invalid_key");
        let none = format!("{}.{}.", b64::encode(br#"{"typ":"secevent+jwt","alg":"none"}"#), b64::encode(good().to_string().as_bytes()));
        for text in [none.as_str(), "", "a.b.c", &"a".repeat(SET_BYTES + 1)] {
            assert_eq!(read(text, &only).unwrap_err().err(), "invalid_request");
        }
    }
}
