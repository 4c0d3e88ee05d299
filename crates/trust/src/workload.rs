//! Workloads: programs that act for themselves or for the person who answers for them. Never a
//! person: another type from the id up, another policy principal, another kind of token (OWASP
//! NHI10).
//!
//! 1. A workload has an owner who may act, an environment and an end date. Whatever of these is gone
//!    ends it; what ended never comes back, and its name may be given to another workload.
//! 2. It is known by its keys alone (RFC 7523), or by the word of the platform that runs it. There is no
//!    secret that could leak.
//! 3. It asks for tokens by name of audience and scope, and gets no other ([`crate::issuance`]).
//! 4. An agent is a workload on a device of its owner. Each call of a tool is judged by what is known of
//!    that device at this moment, and some need a person each time.
//! 5. With a person's token it may act for them, within what that token says, and never without
//!    saying so: another wish ([`Behalf`]), another action of policy, another kind of token.

use crate::client::{Client, OFFLINE_ACCESS};
use crate::device::Device;
use crate::issuance::Permit;
use crate::limits;
use crate::policy::Facts;
use crate::principal::Person;
use countersign_wire::jose::{Alg, Jwk};
use countersign_wire::{ClientId, DeviceId, PersonId, Time, WorkloadId, jcs};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A workload with the version of its row.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its id, which tokens and the log carry.
    pub id: WorkloadId,
    /// Row version.
    pub version: i64,
    /// The `client_id` under which it asks; unique among clients and workloads that live.
    pub client: ClientId,
    /// Who answers for it.
    pub owner: PersonId,
    /// When it ends by itself.
    pub until: Time,
    /// Whether it was ended, and why.
    pub ended: Option<String>,
    /// When it was registered.
    pub added_at: Time,
    /// As registered.
    pub facts: WorkloadFacts,
}

/// What a workload asks for, with whoever can veto it, re-read just now.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// Who asks.
    pub workload: &'a Workload,
    /// Who answers for it.
    pub owner: &'a Person,
    /// Whom the token is to be for.
    pub audience: &'a str,
    /// Scopes asked for.
    pub scopes: &'a [String],
    /// Whether the token is bound to a key.
    pub bound: bool,
    /// For whom it acts; `None` where it acts for itself.
    pub behalf: Option<Behalf<'a>>,
    /// The device that an agent runs on.
    pub device: Option<&'a Device>,
    /// The call that it is about; `None` where it is about a token.
    pub call: Option<Call<'a>>,
}

/// A person for whom a workload acts, as they were judged just now (RFC 8693 §1.1).
#[derive(Clone, Copy)]
pub struct Behalf<'a> {
    /// The gate's permit for the person's own token.
    pub permit: &'a Permit,
    /// What policy sees of person, session, device and client.
    pub facts: &'a Facts,
    /// The client whose token it was.
    pub client: &'a Client,
    /// How many act one for the other, this workload counted.
    pub depth: usize,
}

impl Wish<'_> {
    /// Whether one of the scopes is privileged.
    pub fn opens_privileged(&self) -> bool {
        self.scopes.iter().any(|s| self.workload.facts.privileged_scopes.contains(s))
    }
}

/// What is registered beside owner and end. Unknown members are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadFacts {
    /// Name shown to people.
    pub name: String,
    /// Where it runs: `production`, `test`. Policies keep environments apart (OWASP NHI8).
    pub environment: String,
    /// Its public keys.
    #[serde(default)]
    pub keys: Vec<Jwk>,
    /// The platform whose tokens show who it is (a name of the configuration), beside its keys or instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whom its tokens may be for: absolute URIs (RFC 8707 §2).
    pub audiences: Vec<String>,
    /// Scopes it may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Those of them that policy gives to bound tokens alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileged_scopes: Vec<String>,
    /// Life of a token, seconds.
    #[serde(default = "token_s")]
    pub token_s: i64,
    /// Bearer tokens instead of DPoP-bound ones. Lowers security.
    #[serde(default)]
    pub danger_allow_bearer: bool,
    /// What makes it an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

/// An agent: it runs on a device of its owner, and calls tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The device. With it ends what the agent may.
    pub device: DeviceId,
    /// Tools that it may call, by name.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Those of them for which a person is asked, each time.
    #[serde(default)]
    pub ask: Vec<String>,
}

/// One call of a tool by an agent.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The tool.
    pub tool: &'a str,
    /// Its plain arguments, as `name=value`.
    pub arguments: &'a [String],
    /// Whether a person is to be asked.
    pub ask: bool,
    /// Whether a person approved exactly this call.
    pub approved: bool,
}

fn token_s() -> i64 {
    limits::ACCESS_S
}

/// A registration as a file has it: the owner by login name, the end as a date.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Registration {
    /// The `client_id`.
    pub client: ClientId,
    /// Login name of who answers for it.
    pub owner: String,
    /// The end.
    pub until: Time,
    /// The rest.
    pub facts: WorkloadFacts,
}

impl TryFrom<Map<String, Value>> for Registration {
    type Error = String;
    fn try_from(mut map: Map<String, Value>) -> Result<Registration, String> {
        let mut text = |name: &str| match map.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(format!("`{name}` is missing or no text")),
        };
        let (id, owner, until) = (text("id")?, text("owner")?, text("until")?);
        Ok(Registration {
            client: id.parse().map_err(|_| format!("id `{id}` is no client id"))?,
            owner,
            until: Time::parse_rfc3339(&format!("{until}T00:00:00Z"))
                .map_err(|_| format!("until `{until}`: a date such as 2027-01-31"))?,
            facts: serde_json::from_value(Value::Object(map)).map_err(|e| e.to_string())?,
        })
    }
}

impl Registration {
    /// What makes it impossible. The end is judged where it is registered: a file may list what is over.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("workload `{}`: {what}", self.client));
        let f = &self.facts;
        if f.name.is_empty() || f.name.chars().count() > limits::NAME_CHARS || !jcs::is_plain(&f.name) {
            return wrong("name of 1 to 80 plain characters");
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=40).contains(&f.environment.len()) || !f.environment.bytes().all(plain) {
            return wrong("environment of 1 to 40 characters a-z 0-9 -");
        }
        if f.keys.len() > 4 || f.keys.is_empty() && f.platform.is_none() {
            return wrong("1 to 4 keys, or a platform: it is known by nothing else");
        }
        let good = |k: &Jwk| k.is_sound() && [Alg::ES256, Alg::EdDSA, Alg::PS256].iter().any(|alg| k.suits(*alg));
        if !f.keys.iter().all(good) {
            return wrong("keys for ES256, EdDSA or PS256");
        }
        if !(1..=LIST).contains(&f.audiences.len()) || f.scopes.len() > LIST {
            return wrong("1 to 50 audiences, 50 scopes at most");
        }
        if let Some(odd) = f.audiences.iter().find(|a| !is_absolute(a)) {
            return wrong(&format!("audience `{odd}`: an absolute URI without fragment"));
        }
        // RFC 6749 §3.3; what asks for an ID token or speaks of a session belongs to people.
        let visible = |b: u8| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\';
        let of_people = |s: &str| ["openid", "profile", OFFLINE_ACCESS].contains(&s);
        if let Some(odd) = f.scopes.iter().find(|s| s.is_empty() || s.len() > 100 || !s.bytes().all(visible) || of_people(s)) {
            return wrong(&format!("scope `{odd}` is no scope, or one for people"));
        }
        if f.privileged_scopes.iter().any(|s| !f.scopes.contains(s)) {
            return wrong("privileged_scopes must be among its scopes");
        }
        if let Some(agent) = &f.agent {
            let name = |t: &String| (1..=128).contains(&t.len()) && jcs::is_plain(t);
            if agent.tools.len() > LIST || !agent.tools.iter().all(name) || !agent.ask.iter().all(|t| agent.tools.contains(t)) {
                return wrong("agent: up to 50 tools with plain names, and `ask` among them");
            }
        }
        if !(limits::BEARER_S..=limits::ACCESS_S).contains(&f.token_s) {
            return wrong("token_s from 60 to 300");
        }
        Ok(())
    }
}

/// Most audiences or scopes of one workload: more than that is a workload that should be several.
const LIST: usize = 50;

/// Whether a text is an absolute URI without a fragment (RFC 8707 §2), as far as it matters here:
/// compared byte by byte, never fetched.
pub fn is_absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let of_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !rest.is_empty()
        && text.len() <= 512
        && text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'#')
}

impl Workload {
    /// Whether it lives at `now`, as far as it can say itself; its owner is asked apart.
    pub fn is_live(&self, now: Time) -> bool {
        self.ended.is_none() && now < self.until
    }
    /// Until when a token made at `now` is good: never beyond its own end.
    pub fn token_until(&self, bound: bool, now: Time) -> Time {
        let life_s = if bound { self.facts.token_s } else { limits::BEARER_S };
        now.plus_s(life_s).min(self.until)
    }
}

/// When something was last used: by what it is and its name (`scope`, `audience`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What.
    pub what: String,
    /// Its name.
    pub name: String,
    /// When.
    pub at: Time,
}

/// What an operator should look at (OWASP NHI1, NHI5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Its end date is over, or it was ended.
    pub over: bool,
    /// Its owner may not act.
    pub without_owner: bool,
    /// It asked for nothing since.
    pub unused: bool,
    /// Scopes and audiences that it has and did not ask for since.
    pub over_granted: Vec<String>,
}

impl Findings {
    /// What there is to say of a workload that used these things, about whatever was not used since `since`.
    pub fn of(w: &Workload, owner_acts: bool, uses: &[Use], since: Time, now: Time) -> Findings {
        let old = w.added_at < since;
        let used = |what: &str, name: &str| uses.iter().any(|u| u.what == what && u.name == name && u.at >= since);
        let unused = |what: &'static str, names: &[String]| -> Vec<String> {
            names.iter().filter(|n| !used(what, n)).map(|n| format!("{what} {n}")).collect()
        };
        let mut over_granted = unused("audience", &w.facts.audiences);
        over_granted.extend(unused("scope", &w.facts.scopes));
        over_granted.extend(w.facts.agent.iter().flat_map(|agent| unused("tool", &agent.tools)));
        Findings {
            over: !w.is_live(now),
            without_owner: !owner_acts,
            unused: old && !uses.iter().any(|u| u.at >= since),
            over_granted: if old { over_granted } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const T: Time = Time(1_800_000_000_000_000);

    fn file() -> Value {
        json!({
            "id": "sync", "name": "Stock sync", "owner": "ana", "until": "2027-06-30", "environment": "production",
            "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
            "audiences": ["https://stock.example/api"], "scopes": ["stock.read", "stock.write"],
            "privileged_scopes": ["stock.write"],
        })
    }
    fn with(name: &str, value: Value) -> Value {
        let mut file = file();
        file[name] = value;
        file
    }
    fn read(value: Value) -> Result<Registration, String> {
        let read: Registration = serde_json::from_value(value).map_err(|e| e.to_string())?;
        read.check().map(|()| read)
    }

    #[test]
    fn a_registration_says_all_that_a_workload_needs_and_nothing_else() {
        let good = read(file()).unwrap();
        assert_eq!((good.facts.token_s, good.until), (300, Time::parse_rfc3339("2027-06-30T00:00:00Z").unwrap()));
        for (name, value) in [
            ("owner", json!(null)),
            ("until", json!("never")),
            ("until", json!(2027)),
            ("id", json!("a b")),
            ("secret_hash", json!("x")),
            ("redirect_uris", json!([])),
            ("environment", json!("")),
            ("environment", json!("Prod")),
            ("keys", json!([])),
            ("keys", json!([{"kty": "oct", "k": "AAAA"}])),
            ("audiences", json!([])),
            ("audiences", json!(["stock"])),
            ("audiences", json!(["https://stock.example/#x"])),
            ("scopes", json!(["stock.write", "openid"])),
            ("scopes", json!(["stock.write", "a b"])),
            ("privileged_scopes", json!(["refund"])),
            ("token_s", json!(301)),
            ("token_s", json!(59)),
            ("name", json!("")),
        ] {
            assert!(read(with(name, value.clone())).is_err(), "{name} {value}");
        }
    }

    fn workload(until: Time) -> Workload {
        let r = read(file()).unwrap();
        Workload {
            id: WorkloadId::new(T, [1; 10]),
            version: 1,
            client: r.client,
            owner: PersonId::new(T, [2; 10]),
            until,
            ended: None,
            added_at: T,
            facts: r.facts,
        }
    }

    #[test]
    fn what_was_not_used_for_long_is_found() {
        let w = workload(T.plus_s(100_000));
        let used = |what: &str, name: &str, at| Use { what: what.into(), name: name.into(), at };
        let uses = [used("audience", "https://stock.example/api", T.plus_s(50)), used("scope", "stock.read", T.plus_s(50))];
        let fresh = Findings::of(&w, true, &[], T, T.plus_s(60));
        assert_eq!(fresh, Findings::default(), "it had no time yet");
        let later = Findings::of(&w, true, &uses, T.plus_s(10), T.plus_s(60));
        assert_eq!((later.unused, later.over_granted), (false, vec!["scope stock.write".to_owned()]));
        let idle = Findings::of(&w, false, &uses, T.plus_s(51), T.plus_s(60));
        assert!(idle.unused && idle.without_owner && !idle.over && idle.over_granted.len() == 3);
        assert!(Findings::of(&w, true, &uses, T, w.until).over);
    }

    #[test]
    fn a_token_never_outlives_its_workload() {
        let w = workload(T.plus_s(100));
        assert_eq!(w.token_until(true, T), w.until);
        assert_eq!(w.token_until(false, T), T.plus_s(limits::BEARER_S));
        assert!(!w.is_live(w.until) && !Workload { ended: Some("x".into()), ..w }.is_live(T));
    }
}
