//! Whom we tell what happens, and whom we believe what (docs/signals.md).

use countersign_trust::posture::Name;
use countersign_trust::shared::caep::EventType;
use countersign_trust::shared::heard::{Devices, People, Trust};
use countersign_trust::signal::{About, Kind};
use countersign_wire::jose::Alg;
use countersign_wire::set::IssuerKey;
use countersign_wire::{ClientId, b64};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use url::Url;

/// Shared Signals.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signals {
    /// Who may hear of what happens here.
    pub receivers: Vec<Receiver>,
    /// Whose events we take.
    pub transmitters: Vec<Transmitter>,
    /// Managing systems that tell us about devices in a form of their own.
    pub sources: Vec<Source>,
}

/// Somebody whose events we take, and what about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transmitter {
    /// Its name here: in addresses, in the log, and as the source of its signals.
    pub id: String,
    /// `iss` of its events.
    pub issuer: String,
    /// `aud` of its events; our issuer if absent.
    #[serde(default)]
    pub audience: Option<String>,
    /// Where its keys are.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Its keys, where they are nowhere to be fetched.
    #[serde(default)]
    pub keys: Vec<Value>,
    /// Algorithms that it signs with.
    #[serde(default = "algs")]
    pub algs: Vec<Alg>,
    /// Types of events that it may tell, by the last word of their names.
    pub may: Vec<String>,
    /// How it names people; absent: it may not speak about any.
    #[serde(default)]
    pub people: Option<People>,
    /// How it names devices; absent: it may not speak about any.
    #[serde(default)]
    pub devices: Option<Devices>,
    /// It may speak about sessions of ours.
    #[serde(default)]
    pub sessions: bool,
    /// base64url SHA-256 of the Authorization header that it must push with.
    #[serde(default)]
    pub push_authorization_hash: Option<String>,
    /// Where its events are fetched from; absent: it pushes.
    #[serde(default)]
    pub poll_endpoint: Option<String>,
    /// File with the bearer token for that.
    #[serde(default)]
    pub poll_token_file: Option<PathBuf>,
    /// Its endpoints may stand in a private network.
    #[serde(default)]
    pub allow_private_network: bool,
    /// News that nobody takes back counts for this long, seconds.
    #[serde(default = "lasts")]
    pub lasts_s: i64,
}

/// A managing system with a form of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name here: in its address, in the log, and as the source of its signals.
    pub id: String,
    /// base64url SHA-256 of its bearer token.
    #[serde(default)]
    pub token_hash: Option<String>,
    /// File with the key of its signatures (HMAC-SHA256 over time, a dot, and the body).
    #[serde(default)]
    pub hmac_key_file: Option<PathBuf>,
    /// Header with the signature, in hexadecimal; `sha256=` before it is passed over.
    #[serde(default = "signature")]
    pub signature_header: String,
    /// Header with the time, seconds since 1970.
    #[serde(default = "timestamp")]
    pub timestamp_header: String,
    /// Where the list of its news is (JSON pointer, RFC 6901); absent: the body is one.
    #[serde(default)]
    pub each: Option<String>,
    /// Where the name of the device is (JSON pointer).
    pub device: String,
    /// Its news is about registered terminals: what stands there is the id or the name of one.
    #[serde(default)]
    pub terminals: bool,
    /// How it names devices.
    #[serde(default = "managed")]
    pub devices: Devices,
    /// What its words mean.
    pub rules: Vec<Rule>,
}

/// What a word of a managing system means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where the word is (JSON pointer).
    pub at: String,
    /// The words it is about.
    pub is: Vec<Value>,
    /// A signal that is raised then.
    #[serde(default)]
    pub raise: Option<Kind>,
    /// A signal that is taken back then.
    #[serde(default)]
    pub clear: Option<Kind>,
    /// A fact about the device's health that is learnt then.
    #[serde(default)]
    pub fact: Option<Name>,
    /// Its value.
    #[serde(default)]
    pub value: Option<String>,
}

fn algs() -> Vec<Alg> {
    vec![Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA]
}
fn lasts() -> i64 {
    86_400
}
fn signature() -> String {
    "x-signature".to_owned()
}
fn timestamp() -> String {
    "x-timestamp".to_owned()
}
fn managed() -> Devices {
    Devices::Managed
}

impl Transmitter {
    /// What it may speak about.
    pub fn trust(&self) -> Trust {
        Trust { people: self.people, devices: self.devices, sessions: self.sessions }
    }
    /// Whether it may tell events of this type.
    pub fn may_tell(&self, event: EventType) -> bool {
        self.may.iter().any(|n| n == event.name())
    }

    fn validate(&self) -> Result<(), String> {
        if self.keys.is_empty() == self.jwks_uri.is_none() {
            return Err("either jwks_uri or keys".into());
        }
        let set = serde_json::json!({ "keys": self.keys });
        if IssuerKey::set(&set).len() != self.keys.len() {
            return Err("keys: public JWKs for ES256, EdDSA, RS256 or PS256".into());
        }
        for address in self.jwks_uri.iter().chain(&self.poll_endpoint) {
            if !callable(address) {
                return Err(format!("`{address}`: https (or http on loopback), without fragment and user"));
            }
        }
        for name in &self.may {
            if !EventType::CAEP.iter().any(|t| t.name() == name) {
                return Err(format!("may: `{name}` is none of CAEP's"));
            }
        }
        if self.people.is_none() && self.devices.is_none() && !self.sessions {
            return Err("people, devices or sessions: it may speak about nothing".into());
        }
        if self.algs.is_empty() || self.issuer.is_empty() {
            return Err("issuer and algs".into());
        }
        if self.push_authorization_hash.as_ref().is_some_and(|h| !digest(h)) {
            return Err("push_authorization_hash: 32 bytes in base64url".into());
        }
        if !(60..=31_536_000).contains(&self.lasts_s) {
            return Err("lasts_s from 60 to 31536000".into());
        }
        Ok(())
    }
}

impl Source {
    fn validate(&self) -> Result<(), String> {
        if self.token_hash.is_some() == self.hmac_key_file.is_some() {
            return Err("either token_hash or hmac_key_file".into());
        }
        if self.token_hash.as_ref().is_some_and(|h| !digest(h)) {
            return Err("token_hash: 32 bytes in base64url".into());
        }
        let is_pointer = |p: &str| p.is_empty() || p.starts_with('/');
        let pointers = self.rules.iter().map(|r| &r.at).chain(&self.each).chain([&self.device]);
        if let Some(odd) = pointers.into_iter().find(|p| !is_pointer(p)) {
            return Err(format!("`{odd}` is no JSON pointer: it begins with a slash"));
        }
        for rule in &self.rules {
            let (about, what) = if self.terminals { (About::Terminal, "terminal") } else { (About::Device, "device") };
            let odd = |k: Option<Kind>| k.is_some_and(|k| k.about() != about);
            if odd(rule.raise) || odd(rule.clear) || (self.terminals && rule.fact.is_some()) {
                return Err(format!("rule at `{}`: a signal about a {what}", rule.at));
            }
            if rule.fact.is_some() != rule.value.is_some() || (rule.raise.is_none() && rule.clear.is_none() && rule.fact.is_none()) {
                return Err(format!("rule at `{}`: raise, clear, or fact with its value", rule.at));
            }
            if rule.is.is_empty() {
                return Err(format!("rule at `{}`: no words", rule.at));
            }
        }
        Ok(())
    }
}

fn digest(text: &str) -> bool {
    b64::decode(text).is_ok_and(|d| d.len() == 32)
}

fn callable(address: &str) -> bool {
    Url::parse(address).is_ok_and(|u| {
        let local = matches!(u.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let scheme = u.scheme() == "https" || (u.scheme() == "http" && local);
        scheme && u.fragment().is_none() && u.username().is_empty() && u.password().is_none()
    })
}

/// Names that say who said something, where it was nobody else.
const OUR_OWN: [&str; 7] = ["operator", "observed", "silence", "device", "any", "tpm", "terminal"];

/// A name that stands in addresses and in the log, and that nobody else has.
fn named<'a>(id: &'a str, seen: &mut std::collections::HashSet<&'a str>) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=40).contains(&id.len()) || !id.bytes().all(plain) || OUR_OWN.contains(&id) {
        return Err("id of 1 to 40 characters a-z 0-9 -, none of our own words".into());
    }
    if seen.insert(id) { Ok(()) } else { Err("is listed twice".into()) }
}

/// Somebody who may have streams of events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Its name; also the client or workload that may take tokens for it.
    pub id: ClientId,
    /// `aud` of its events, and of nobody else's (SSF 1.0 §4.1.8).
    pub audience: String,
    /// base64url SHA-256 of a bearer token, for a receiver that takes no access tokens. Lowers security:
    /// it never runs out.
    #[serde(default)]
    pub danger_token_hash: Option<String>,
    /// Types of events it may have, by the last word of their names; all if absent.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// Where events may be pushed to: exactly there, or anywhere below where it ends with a slash.
    #[serde(default)]
    pub push_endpoints: Vec<String>,
    /// Its endpoints may stand in a private network. Without it, names that lead there are not called.
    #[serde(default)]
    pub allow_private_network: bool,
}

impl Receiver {
    /// Types of events it may have.
    pub fn supported(&self) -> Vec<EventType> {
        let may = |t: &EventType| self.events.as_ref().is_none_or(|all| all.iter().any(|n| n == t.name()));
        EventType::CAEP.into_iter().filter(may).collect()
    }
    /// Whether it registered this endpoint.
    pub fn lists(&self, endpoint: &Url) -> bool {
        let below = |listed: &Url| listed.path().ends_with('/') && listed.origin() == endpoint.origin() && endpoint.path().starts_with(listed.path());
        self.push_endpoints.iter().filter_map(|e| Url::parse(e).ok()).any(|listed| listed == *endpoint || below(&listed))
    }
}

impl Signals {
    /// Whether devices have names of this source's.
    pub fn manages(&self, id: &str) -> bool {
        let told = self.transmitters.iter().any(|t| t.id == id && t.devices == Some(Devices::Managed));
        told || self.sources.iter().any(|s| s.id == id && s.devices == Devices::Managed && !s.terminals)
    }
    /// The receiver of this name.
    pub fn receiver(&self, id: &ClientId) -> Option<&Receiver> {
        self.receivers.iter().find(|r| r.id == *id)
    }

    /// What makes it impossible.
    pub fn validate(&self) -> Result<(), String> {
        let mut sources = std::collections::HashSet::new();
        for t in &self.transmitters {
            named(&t.id, &mut sources).and_then(|()| t.validate()).map_err(|what| format!("transmitter `{}`: {what}", t.id))?;
        }
        for s in &self.sources {
            named(&s.id, &mut sources).and_then(|()| s.validate()).map_err(|what| format!("source `{}`: {what}", s.id))?;
        }
        let mut ids = std::collections::HashSet::new();
        let mut audiences = std::collections::HashSet::new();
        for r in &self.receivers {
            let wrong = |what: &str| Err(format!("receiver `{}`: {what}", r.id));
            if !ids.insert(&r.id) {
                return wrong("is listed twice");
            }
            if r.audience.is_empty() || r.audience.len() > 512 {
                return wrong("audience of 1 to 512 characters");
            }
            if !audiences.insert(&r.audience) {
                return wrong("an audience that another receiver has");
            }
            if r.danger_token_hash.as_ref().is_some_and(|h| !digest(h)) {
                return wrong("danger_token_hash: 32 bytes in base64url");
            }
            for name in r.events.iter().flatten() {
                if !EventType::CAEP.iter().any(|t| t.name() == name) {
                    return wrong(&format!("events: `{name}` is none of CAEP's"));
                }
            }
            for endpoint in &r.push_endpoints {
                if !callable(endpoint) {
                    return wrong(&format!("push_endpoints: `{endpoint}`: https (or http on loopback), without fragment and user"));
                }
            }
        }
        Ok(())
    }
}
