//! Whom we tell what happens (docs/signals.md).

use countersign_trust::shared::caep::EventType;
use countersign_wire::{ClientId, b64};
use serde::Deserialize;
use url::Url;

/// Shared Signals.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signals {
    /// Who may hear of what happens here.
    pub receivers: Vec<Receiver>,
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
    /// The receiver of this name.
    pub fn receiver(&self, id: &ClientId) -> Option<&Receiver> {
        self.receivers.iter().find(|r| r.id == *id)
    }

    /// What makes it impossible.
    pub fn validate(&self) -> Result<(), String> {
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
            let digest = |h: &String| b64::decode(h).is_ok_and(|d| d.len() == 32);
            if r.danger_token_hash.as_ref().is_some_and(|h| !digest(h)) {
                return wrong("danger_token_hash: 32 bytes in base64url");
            }
            for name in r.events.iter().flatten() {
                if !EventType::CAEP.iter().any(|t| t.name() == name) {
                    return wrong(&format!("events: `{name}` is none of CAEP's"));
                }
            }
            for endpoint in &r.push_endpoints {
                let good = Url::parse(endpoint).is_ok_and(|u| {
                    let local = matches!(u.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
                    let scheme = u.scheme() == "https" || (u.scheme() == "http" && local);
                    scheme && u.fragment().is_none() && u.username().is_empty() && u.password().is_none()
                });
                if !good {
                    return wrong(&format!("push_endpoints: `{endpoint}`: https (or http on loopback), without fragment and user"));
                }
            }
        }
        Ok(())
    }
}
