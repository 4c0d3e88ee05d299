//! Whom or what a security event is about: Subject Identifiers (RFC 9493) and those that the Shared
//! Signals Framework 1.0 adds (§3.4): complex ones, and identifiers of tokens and networks.

use crate::Malformed;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Longest member of an identifier, bytes.
pub const MEMBER_BYTES: usize = 1_024;
/// Most members of a complex subject: the framework names seven.
pub const MEMBERS: usize = 8;
/// Most identifiers in a list of aliases, and most addresses of one.
pub const ALIASES: usize = 16;

/// One identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identifier {
    /// `account`: an `acct` URI (RFC 9493 §3.2.1).
    Account(String),
    /// `email` (§3.2.2).
    Email(String),
    /// `iss_sub` (§3.2.3).
    IssSub {
        /// Who knows it by this name.
        iss: String,
        /// The name.
        sub: String,
    },
    /// `opaque` (§3.2.4).
    Opaque(String),
    /// `phone_number` (§3.2.5).
    PhoneNumber(String),
    /// `did` (§3.2.6).
    Did(String),
    /// `uri` (§3.2.7).
    Uri(String),
    /// `aliases` (§3.2.8): several names of one thing, none of them aliases again.
    Aliases(Vec<Identifier>),
    /// `jwt_id` (SSF 1.0 §3.4.1).
    JwtId {
        /// Who made the token.
        iss: String,
        /// Its name.
        jti: String,
    },
    /// `saml_assertion_id` (§3.4.2).
    SamlAssertionId {
        /// Who made the assertion.
        issuer: String,
        /// Its name.
        assertion_id: String,
    },
    /// `ip-addresses` (§3.4.3), as text.
    IpAddresses(Vec<String>),
}

/// A subject: one identifier, or several that narrow each other down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Subject {
    /// One (SSF 1.0 §3.2).
    Simple(Identifier),
    /// By member, such as `user` and `device` (SSF 1.0 §3.3).
    Complex(BTreeMap<String, Identifier>),
}

fn wrong() -> Malformed {
    Malformed("a subject identifier")
}

fn text(map: &Map<String, Value>, name: &str) -> Result<String, Malformed> {
    match map.get(name) {
        Some(Value::String(s)) if !s.is_empty() && s.len() <= MEMBER_BYTES && !s.contains('\0') => Ok(s.clone()),
        _ => Err(wrong()),
    }
}

fn list<'a>(map: &'a Map<String, Value>, name: &str) -> Result<&'a Vec<Value>, Malformed> {
    match map.get(name) {
        Some(Value::Array(all)) if (1..=ALIASES).contains(&all.len()) => Ok(all),
        _ => Err(wrong()),
    }
}

impl Identifier {
    /// Reads one; members that its format does not name are ignored (SSF 1.0 §4.2.3).
    pub fn parse(value: &Value) -> Result<Identifier, Malformed> {
        let map = value.as_object().ok_or(wrong())?;
        let own = |name: &str| text(map, name);
        Ok(match own("format")?.as_str() {
            "account" => Identifier::Account(own("uri")?),
            "email" => Identifier::Email(own("email")?),
            "iss_sub" => Identifier::IssSub { iss: own("iss")?, sub: own("sub")? },
            "opaque" => Identifier::Opaque(own("id")?),
            "phone_number" => Identifier::PhoneNumber(own("phone_number")?),
            "did" => Identifier::Did(own("url")?),
            "uri" => Identifier::Uri(own("uri")?),
            "jwt_id" => Identifier::JwtId { iss: own("iss")?, jti: own("jti")? },
            "saml_assertion_id" => {
                Identifier::SamlAssertionId { issuer: own("issuer")?, assertion_id: own("assertion_id")? }
            }
            "aliases" => {
                let one = |v: &Value| match Identifier::parse(v)? {
                    Identifier::Aliases(_) => Err(wrong()),
                    other => Ok(other),
                };
                // Nested lists end here, before they are read: depth is two at most.
                let nested = |v: &Value| v.get("format").is_some_and(|f| f == "aliases");
                let all = list(map, "identifiers")?;
                if all.iter().any(nested) {
                    return Err(wrong());
                }
                Identifier::Aliases(all.iter().map(one).collect::<Result<_, _>>()?)
            }
            "ip-addresses" => {
                let one = |v: &Value| match v {
                    Value::String(s) => s.parse::<std::net::IpAddr>().map(|_| s.clone()).map_err(|_| wrong()),
                    _ => Err(wrong()),
                };
                Identifier::IpAddresses(list(map, "ip-addresses")?.iter().map(one).collect::<Result<_, _>>()?)
            }
            _ => return Err(Malformed("a known format of subject identifiers")),
        })
    }

    /// Its JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Identifier::Account(uri) => json!({"format": "account", "uri": uri}),
            Identifier::Email(email) => json!({"format": "email", "email": email}),
            Identifier::IssSub { iss, sub } => json!({"format": "iss_sub", "iss": iss, "sub": sub}),
            Identifier::Opaque(id) => json!({"format": "opaque", "id": id}),
            Identifier::PhoneNumber(n) => json!({"format": "phone_number", "phone_number": n}),
            Identifier::Did(url) => json!({"format": "did", "url": url}),
            Identifier::Uri(uri) => json!({"format": "uri", "uri": uri}),
            Identifier::Aliases(all) => {
                json!({"format": "aliases", "identifiers": all.iter().map(Identifier::to_value).collect::<Vec<_>>()})
            }
            Identifier::JwtId { iss, jti } => json!({"format": "jwt_id", "iss": iss, "jti": jti}),
            Identifier::SamlAssertionId { issuer, assertion_id } => {
                json!({"format": "saml_assertion_id", "issuer": issuer, "assertion_id": assertion_id})
            }
            Identifier::IpAddresses(all) => json!({"format": "ip-addresses", "ip-addresses": all}),
        }
    }

    /// Each of the names it gives; an alias is read as each of its names.
    pub fn names(&self) -> Vec<&Identifier> {
        match self {
            Identifier::Aliases(all) => all.iter().collect(),
            one => vec![one],
        }
    }
}

impl Subject {
    /// Reads one (SSF 1.0 §3). A complex subject names its format since 1.0; members that are no
    /// identifier are ignored.
    pub fn parse(value: &Value) -> Result<Subject, Malformed> {
        let map = value.as_object().ok_or(wrong())?;
        if map.get("format").is_none_or(|f| f != "complex") {
            return Identifier::parse(value).map(Subject::Simple);
        }
        let members = map.iter().filter(|(name, value)| name.as_str() != "format" && value.is_object());
        let mut all = BTreeMap::new();
        for (name, value) in members {
            if all.len() == MEMBERS || name.len() > 64 {
                return Err(wrong());
            }
            all.insert(name.clone(), Identifier::parse(value)?);
        }
        if all.is_empty() { Err(wrong()) } else { Ok(Subject::Complex(all)) }
    }

    /// Of these members.
    pub fn complex<const N: usize>(members: [(&str, Option<Identifier>); N]) -> Subject {
        let some = members.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?)));
        Subject::Complex(some.collect())
    }

    /// Its JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Subject::Simple(one) => one.to_value(),
            Subject::Complex(members) => {
                let mut map: Map<String, Value> = members.iter().map(|(n, id)| (n.clone(), id.to_value())).collect();
                map.insert("format".into(), "complex".into());
                Value::Object(map)
            }
        }
    }

    /// A member of a complex subject.
    pub fn member(&self, name: &str) -> Option<&Identifier> {
        match self {
            Subject::Simple(_) => None,
            Subject::Complex(members) => members.get(name),
        }
    }

    /// Whether two subjects match (SSF 1.0 §8.1.3.1): simple ones are identical; of complex ones every
    /// member is identical or missing on one side. Two that have no member in common do not match
    /// here: taking one out of a stream would silence whoever it does not mention. A simple one
    /// matches a complex one that has it as a member.
    pub fn matches(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Simple(a), Subject::Simple(b)) => a == b,
            (Subject::Simple(one), Subject::Complex(all)) | (Subject::Complex(all), Subject::Simple(one)) => {
                all.values().any(|id| id == one)
            }
            (Subject::Complex(a), Subject::Complex(b)) => {
                let mut both = a.iter().filter_map(|(name, id)| Some((id, b.get(name)?))).peekable();
                both.peek().is_some() && both.all(|(x, y)| x == y)
            }
        }
    }
}

impl TryFrom<Value> for Subject {
    type Error = Malformed;
    fn try_from(value: Value) -> Result<Subject, Malformed> {
        Subject::parse(&value)
    }
}
impl From<Subject> for Value {
    fn from(subject: Subject) -> Value {
        subject.to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_rfc_and_of_the_framework_is_read_and_written_back() {
        for value in [
            json!({"format":"account","uri":"acct:example.user@service.example.com"}),
            json!({"format":"email","email":"user@example.com"}),
            json!({"format":"iss_sub","iss":"https://issuer.example.com/","sub":"145234573"}),
            json!({"format":"opaque","id":"11112222333344445555"}),
            json!({"format":"phone_number","phone_number":"+12065550100"}),
            json!({"format":"did","url":"did:example:123456"}),
            json!({"format":"uri","uri":"https://user.example.com/"}),
            json!({"format":"jwt_id","iss":"https://idp.example.com/123456789/","jti":"B70BA622-9515-4353-A866-823539EECBC8"}),
            json!({"format":"saml_assertion_id","issuer":"https://idp.example.com/","assertion_id":"_8e8dc5f69a98cc4c1ff3427e5ce34606fd672f91e6"}),
            json!({"format":"ip-addresses","ip-addresses":["10.29.37.75","2001:db8::8a2e:370:7334"]}),
            json!({"format":"aliases","identifiers":[{"format":"email","email":"user@example.com"},{"format":"opaque","id":"1"}]}),
            json!({"format":"complex","user":{"format":"email","email":"bar@example.com"},"tenant":{"format":"iss_sub","iss":"https://example.com/idp1","sub":"1234"}}),
        ] {
            assert_eq!(Subject::parse(&value).unwrap().to_value(), value, "{value}");
        }
    }

    #[test]
    fn what_is_no_subject_does_not_parse() {
        let long = "x".repeat(MEMBER_BYTES + 1);
        let many: Vec<Value> = (0..20).map(|n| json!({"format":"opaque","id":n.to_string()})).collect();
        for bad in [
            json!(null), json!("x"), json!([]), json!({}), json!({"format":"opaque"}), json!({"format":"opaque","id":1}),
            json!({"format":"opaque","id":""}), json!({"format":"opaque","id":long}), json!({"format":"odd","id":"1"}),
            json!({"format":"complex"}), json!({"format":"complex","user":{"format":"odd"}}),
            json!({"format":"ip-addresses","ip-addresses":["nowhere"]}), json!({"format":"aliases","identifiers":[]}),
            json!({"format":"aliases","identifiers":[{"format":"aliases","identifiers":[{"format":"opaque","id":"1"}]}]}),
            json!({"format":"aliases","identifiers":many}),
            json!({"format":"complex","user":{"format":"complex","user":{"format":"opaque","id":"1"}}}),
        ] {
            assert!(Subject::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn subjects_match_as_the_framework_says_and_none_matches_by_saying_nothing() {
        let parse = |v: Value| Subject::parse(&v).unwrap();
        let jdoe = json!({"format":"email","email":"jdoe@example.com"});
        let tenant = json!({"format":"opaque","id":"example-a38h4792-uw2"});
        let both = parse(json!({"format":"complex","tenant":tenant,"user":jdoe}));
        let one = parse(json!({"format":"complex","tenant":tenant}));
        assert!(one.matches(&both) && both.matches(&one), "a missing member is a wildcard");
        let other = parse(json!({"format":"complex","user":{"format":"email","email":"else@example.com"},"tenant":tenant}));
        assert!(!both.matches(&other));
        assert!(parse(jdoe.clone()).matches(&both) && both.matches(&parse(jdoe.clone())) && parse(jdoe.clone()).matches(&parse(jdoe)));
        let group = parse(json!({"format":"complex","group":{"format":"did","url":"did:example:123456"}}));
        assert!(!group.matches(&both), "nothing in common");
    }
}
