//! Requests by hand, for callers that follow no rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::document;
use countersign_device::SoftwareKey;
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::{b64, mac};
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

/// Requests by hand.
#[derive(Clone)]
pub struct Raw {
    pub(super) client: reqwest::Client,
    pub(super) issuer: Url,
    pub(super) place: String,
}

/// An answer to one.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    /// The refusal's code, ours or OAuth's.
    pub fn code(&self) -> String {
        let body = self.json();
        body["code"].as_str().or(body["error"].as_str()).or(body["err"].as_str()).unwrap_or_default().to_owned()
    }
    /// The nonce that it asks for, if it refused for want of one (RFC 9449 §8).
    pub fn told_nonce(&self) -> Option<String> {
        let asked = self.status == 400 && self.code() == "use_dpop_nonce";
        asked.then(|| self.headers["dpop-nonce"].to_str().unwrap().to_owned())
    }
    /// The body without its reference, which differs each time.
    pub fn without_reference(&self) -> Value {
        let mut body = self.json();
        if let Some(map) = body.as_object_mut() {
            map.remove("ref");
        }
        body
    }
}

impl Raw {
    /// From now on it calls another address.
    pub fn move_to(&mut self, address: Url) {
        self.issuer = address;
    }

    /// Sends whatever it is told to.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> Reply {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// The same where the server may hang up on a body that it does not want.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Reply, reqwest::Error> {
        let url = self.issuer.join(path).unwrap();
        let mut request = self.client.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap(), url.clone());
        request = request.header("x-forwarded-for", &self.place);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.body(body).send().await?;
        let reply = Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        };
        document::holds(method, url.path(), &reply);
        Ok(reply)
    }

    /// A fresh DPoP nonce.
    pub async fn nonce(&self) -> String {
        let key = SoftwareKey::generate().unwrap();
        let proof = self.proof(&key, "POST", "/rebind/options", b"", |_| ());
        let reply = self.send("POST", "/rebind/options", &[("dpop", proof)], vec![]).await;
        reply.headers["dpop-nonce"].to_str().unwrap().to_owned()
    }

    /// A proof over method, path and body, changed by `spoil`.
    pub fn proof(
        &self,
        key: &SoftwareKey,
        method: &str,
        path: &str,
        body: &[u8],
        spoil: impl FnOnce(&mut ProofClaims),
    ) -> String {
        let mut claims = ProofClaims {
            jti: countersign_device::machine::name().unwrap(),
            htm: method.to_owned(),
            htu: self.issuer.join(path).unwrap().to_string(),
            iat: NumericDate(countersign_device::machine::now().seconds()),
            nonce: None,
            ath: None,
            bd: Some(b64::encode(&mac::h(body))),
        };
        spoil(&mut claims);
        dpop::make(&claims, key.public(), key).unwrap()
    }

    /// A JSON body with a proof by `key` that carries `nonce`.
    pub async fn proved(&self, key: &SoftwareKey, path: &str, body: &Value, nonce: Option<String>) -> Reply {
        let bytes = serde_json::to_vec(body).unwrap();
        let proof = self.proof(key, "POST", path, &bytes, |claims| claims.nonce = nonce);
        self.send("POST", path, &[("dpop", proof), ("content-type", "application/json".into())], bytes).await
    }

    /// The server's own origin, as a page of it would send.
    pub fn origin(&self) -> String {
        self.issuer.origin().ascii_serialization()
    }
}
