//! A client that collects by itself: it has a key, perhaps a secret, and no browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::SECRET;
use super::raw::{Raw, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_device::SoftwareKey;

/// Grant of RFC 8628 §3.4.
pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Grant of CIBA Core 1.0 §10.1.
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// Such a client.
pub struct Program {
    /// How it calls.
    pub raw: Raw,
    /// Its name.
    pub client: String,
    /// Its key; without one it shows none.
    pub key: Option<SoftwareKey>,
    /// Whether it shows the secret of the stage.
    pub secret: bool,
}

impl Program {
    /// A public one with a key of its own.
    pub fn new(raw: Raw, client: &str) -> Program {
        Program { raw, client: client.to_owned(), key: Some(SoftwareKey::generate().unwrap()), secret: false }
    }
    /// The same that shows a secret.
    pub fn with_secret(self) -> Program {
        Program { secret: true, ..self }
    }
    /// The same without a key.
    pub fn without_key(self) -> Program {
        Program { key: None, ..self }
    }

    /// Sends a form as itself; once more with the nonce that it is told to take (RFC 9449 §8).
    pub async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Reply {
        let reply = self.post_with(path, pairs, self.raw.nonce().await).await;
        match reply.told_nonce() {
            Some(nonce) => self.post_with(path, pairs, nonce).await,
            None => reply,
        }
    }

    async fn post_with(&self, path: &str, pairs: &[(&str, &str)], nonce: String) -> Reply {
        // Not held while it waits: the writer of forms stays on its thread.
        let name = (!self.secret).then_some(("client_id", self.client.as_str()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).extend_pairs(name).finish().into_bytes();
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        if self.secret {
            let pair = format!("{}:{}", self.client, SECRET.replace(' ', "+"));
            headers.push(("authorization", format!("Basic {}", STANDARD.encode(pair))));
        }
        if let Some(key) = &self.key {
            headers.push(("dpop", self.raw.proof(key, "POST", path, &body, |c| (c.nonce, c.bd) = (Some(nonce), None))));
        }
        self.raw.send("POST", path, &headers, body).await
    }

    /// Asks for a person.
    pub async fn call(&self, pairs: &[(&str, &str)]) -> Reply {
        self.post("/bc-authorize", pairs).await
    }

    /// Asks for what that person approved.
    pub async fn hear(&self, auth_req_id: &str) -> Reply {
        self.post("/token", &[("grant_type", CIBA), ("auth_req_id", auth_req_id)]).await
    }

    /// Asks for a code that a person types.
    pub async fn ask(&self, pairs: &[(&str, &str)]) -> Reply {
        self.post("/device_authorization", pairs).await
    }

    /// Asks for what was approved.
    pub async fn collect(&self, device_code: &str) -> Reply {
        self.post("/token", &[("grant_type", DEVICE), ("device_code", device_code)]).await
    }
}
