//! Somebody whose events the server takes: its key, and what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Reply, Stage};
use countersign_device::{SoftwareKey, machine};
use countersign_trust::shared::caep::EventType;
use countersign_wire::jose::jws;
use countersign_wire::{b64, mac, set};
use serde_json::{Map, Value, json};

/// The Authorization header that it pushes with.
pub const SHOWN: &str = "Bearer a word between two servers";

/// A transmitter.
pub struct Mouth {
    /// Its name in the configuration.
    pub id: &'static str,
    /// Its issuer.
    pub issuer: String,
    /// Its key.
    pub key: SoftwareKey,
}

impl Mouth {
    /// One with a fresh key.
    pub fn new(id: &'static str) -> Mouth {
        Mouth { id, issuer: format!("https://{id}.example"), key: SoftwareKey::generate().unwrap() }
    }
    /// Its lines of the configuration.
    pub fn lines(&self, more: &str) -> String {
        let key = self.key.public().members();
        let members: Vec<String> = key.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        let hash = b64::encode(&mac::h(SHOWN.as_bytes()));
        format!(
            "[[signals.transmitters]]\nid = \"{}\"\nissuer = \"{}\"\nkeys = [{{ {} }}]\npush_authorization_hash = \"{hash}\"\n{more}\n",
            self.id,
            self.issuer,
            members.join(", ")
        )
    }
    /// Claims of an event, as it should be.
    pub fn claims(&self, stage: &Stage, event: EventType, subject: Value, body: Value) -> Map<String, Value> {
        let audience = stage.issuer.as_str().trim_end_matches('/');
        let claims = json!({
            "iss": self.issuer, "aud": audience, "jti": machine::name().unwrap(), "iat": machine::now().seconds(),
            "txn": "their-cause", "sub_id": subject, "events": { event.uri(): body },
        });
        claims.as_object().unwrap().clone()
    }
    /// Signed.
    pub fn signed(&self, typ: &str, claims: &Map<String, Value>) -> String {
        let header = json!({ "typ": typ }).as_object().unwrap().clone();
        jws::encode(header, &serde_json::to_vec(claims).unwrap(), &self.key).unwrap()
    }
    /// Pushes a text.
    pub async fn push(&self, stage: &Stage, place: &str, text: &str) -> Reply {
        let headers = [("content-type", set::MEDIA.to_owned()), ("authorization", SHOWN.to_owned())];
        stage.raw(place).send("POST", &format!("/ssf/events/{}", self.id), &headers, text.as_bytes().to_vec()).await
    }
    /// Says something, and is heard.
    pub async fn say(&self, stage: &Stage, place: &str, event: EventType, subject: Value, body: Value) {
        let text = self.signed(set::TYP, &self.claims(stage, event, subject, body));
        let reply = self.push(stage, place, &text).await;
        assert_eq!((reply.status, reply.body.len()), (202, 0), "{}", String::from_utf8_lossy(&reply.body));
    }
}
