//! Workloads as tests play them: a key of their own, and no person anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::raw::{Raw, Reply};
use super::{PLACES, SECRET, Stage};
use countersign_device::SoftwareKey;
use countersign_wire::jose::jws;
use countersign_wire::b64;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// Whom robots' tokens are for.
pub const STOCK: &str = "https://stock.example/api";

/// RFC 8693 §2.1.
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 §3.
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A workload with its keys.
pub struct Robot {
    /// The name under which it asks.
    pub client: String,
    /// The key it is known by.
    pub key: SoftwareKey,
    /// The key that its tokens are bound to.
    pub dpop: SoftwareKey,
}

impl Robot {
    /// Keys for a workload that nobody registered yet.
    pub fn new() -> Robot {
        let client = format!("robot-{}", PLACES.fetch_add(1, Ordering::SeqCst));
        Robot { client, key: SoftwareKey::generate().unwrap(), dpop: SoftwareKey::generate().unwrap() }
    }

    /// The same under a name that is known before.
    pub fn named(client: &str) -> Robot {
        Robot { client: client.to_owned(), ..Robot::new() }
    }

    /// Its registration, with some members as `more` says.
    pub fn registration(&self, owner: &str, more: Value) -> Value {
        let mut file = json!({
            "id": self.client, "name": "Stock robot", "owner": owner, "until": day(90), "environment": "test",
            "keys": [self.key.public().members()], "audiences": [STOCK], "scopes": ["read", "write"],
            "privileged_scopes": ["write"],
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        file
    }

    /// Registers it by command, or changes it; answers its id.
    pub fn register(&self, stage: &Stage, owner: &str, more: Value) -> Result<String, String> {
        let file = stage.dir().join(format!("{}.json", self.client));
        std::fs::write(&file, self.registration(owner, more).to_string()).unwrap();
        stage.command(&["workload", "add", "--file", file.to_str().unwrap()]).map(|said| said.trim().to_owned())
    }

    /// Its line in the list of the operator.
    pub fn listed(&self, stage: &Stage, words: &[&str]) -> Value {
        let said = stage.command(&[&["workload", "list", "--json"], words].concat()).unwrap();
        let mut lines = said.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines.rfind(|l| l["client_id"] == *self.client).unwrap_or(Value::Null)
    }

    /// An assertion by `key` that says what `spoil` makes of it.
    pub fn assertion(&self, raw: &Raw, key: &SoftwareKey, spoil: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": self.client, "sub": self.client, "aud": raw.origin(),
            "exp": countersign_device::machine::now().seconds() + 60, "jti": countersign_device::machine::name().unwrap(),
        });
        spoil(&mut claims);
        jws::encode(Map::new(), claims.to_string().as_bytes(), key).unwrap()
    }

    /// A form by this workload, with a fresh assertion.
    pub fn form(&self, raw: &Raw, pairs: &[(&str, &str)]) -> Vec<u8> {
        let assertion = self.assertion(raw, &self.key, |_| ());
        Robot::with(&assertion, pairs)
    }

    /// A form with an assertion.
    pub fn with(assertion: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let shown = [("client_assertion_type", kind), ("client_assertion", assertion)];
        let all = pairs.iter().chain(&shown);
        let mut url = url::Url::parse("x:/").unwrap();
        url.query_pairs_mut().extend_pairs(all);
        url.query().unwrap().as_bytes().to_vec()
    }

    /// Asks for a token, bound to its DPoP key.
    pub async fn ask(&self, raw: &Raw, pairs: &[(&str, &str)]) -> Reply {
        let body = self.form(raw, &[&[("grant_type", "client_credentials")], pairs].concat());
        post(raw, "/token", Some(&self.dpop), body).await
    }

    /// Asks for a token to act with for the person of `subject`, bound to its DPoP key.
    pub async fn exchange(&self, raw: &Raw, subject: &str, pairs: &[(&str, &str)]) -> Reply {
        let handed = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
        let body = self.form(raw, &[&handed, pairs].concat());
        post(raw, "/token", Some(&self.dpop), body).await
    }

    /// Asks for a token that is bound to nothing.
    pub async fn ask_bare(&self, raw: &Raw, pairs: &[(&str, &str)]) -> Reply {
        let body = self.form(raw, &[&[("grant_type", "client_credentials")], pairs].concat());
        post(raw, "/token", None, body).await
    }

    /// A bound token with these scopes.
    pub async fn token(&self, raw: &Raw, scope: &str) -> String {
        let reply = self.ask(raw, &[("scope", scope)]).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }
}

impl Default for Robot {
    fn default() -> Robot {
        Robot::new()
    }
}

/// Posts a form, with a proof by `dpop` if there is one; then once more with the nonce that it is told to
/// take (RFC 9449 §8).
pub async fn post(raw: &Raw, path: &str, dpop: Option<&SoftwareKey>, body: Vec<u8>) -> Reply {
    let reply = post_with(raw, path, dpop.map(|key| (key, None)), body.clone()).await;
    match (dpop, reply.told_nonce()) {
        (Some(key), Some(nonce)) => post_with(raw, path, Some((key, Some(nonce))), body).await,
        _ => reply,
    }
}

async fn post_with(raw: &Raw, path: &str, dpop: Option<(&SoftwareKey, Option<String>)>, body: Vec<u8>) -> Reply {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
    if let Some((key, told)) = dpop {
        let nonce = match told {
            Some(nonce) => nonce,
            None => raw.nonce().await,
        };
        let proof = raw.proof(key, "POST", path, b"", |c| {
            c.bd = None;
            c.nonce = Some(nonce);
        });
        headers.push(("dpop", proof));
    }
    raw.send("POST", path, &headers, body).await
}

/// What an application that answers for an audience hears about a token; its secret is [`SECRET`].
pub async fn introspected(raw: &Raw, reader: &str, token: &str) -> Value {
    let pair = format!("{reader}:{}", SECRET.replace(' ', "+").replace(',', "%2C"));
    let basic = format!("Basic {}", b64::encode(pair.as_bytes()).replace('-', "+").replace('_', "/"));
    let headers = [("authorization", basic), ("content-type", "application/x-www-form-urlencoded".to_owned())];
    let reply = raw.send("POST", "/introspect", &headers, format!("token={token}").into_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

/// What a JWT says, unchecked.
pub fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&b64::decode(middle).unwrap()).unwrap()
}

/// A date so many days from now.
pub fn day(days: i64) -> String {
    let mut left = countersign_device::machine::now().seconds() / 86_400 + days;
    let mut year = 1970;
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}
