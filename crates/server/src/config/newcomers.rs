//! Clients that nobody listed: those that describe themselves by a document at their own address (OAuth Client ID
//! Metadata Document), and those that register themselves with a token (RFC 7591). Both are off unless set.

use countersign_trust::workload::is_absolute;
use countersign_wire::b64;
use serde::Deserialize;
use url::Url;

/// What such clients may be, and may ask for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Newcomers {
    /// Hosts whose documents are read: `app.example`, `*.example` for every name below it, `*` for all.
    pub hosts: Vec<String>,
    /// Documents may stand where only this server reaches. Lowers security.
    pub allow_private_network: bool,
    /// base64url SHA-256 of the token that lets a client register itself (RFC 7591 §3, initial access token).
    pub token_hash: Option<String>,
    /// Scopes that they may ask for.
    pub scopes: Vec<String>,
    /// Audience of their tokens; the issuer if absent.
    pub audience: Option<String>,
    /// Further audiences that they may ask tokens for by `resource`.
    pub resources: Vec<String>,
    /// Bearer tokens instead of DPoP-bound ones. Lowers security.
    pub danger_allow_bearer: bool,
}

impl Newcomers {
    /// What makes the settings impossible.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("newcomers: {what}"));
        let name = |h: &str| !h.is_empty() && h.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if self.hosts.iter().any(|h| h != "*" && !name(h.strip_prefix("*.").unwrap_or(h))) {
            return wrong("hosts: names in lower case, `*.` before a name, or `*`");
        }
        if self.token_hash.as_ref().is_some_and(|h| b64::decode(h).map_or(0, |b| b.len()) != 32) {
            return wrong("token_hash: base64url SHA-256");
        }
        if self.audience.iter().chain(&self.resources).any(|a| !is_absolute(a)) {
            return wrong("audience and resources: absolute URIs without fragment");
        }
        Ok(())
    }

    /// Whether documents of this host are read.
    pub fn knows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.hosts.iter().any(|h| match h.strip_prefix('*') {
            Some("") => true,
            Some(end) => host.strip_suffix(end).is_some_and(|before| !before.is_empty()),
            None => h == host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_its_whole_name_or_by_all_below_another() {
        let of = |hosts: &[&str]| Newcomers { hosts: hosts.iter().map(|h| (*h).to_owned()).collect(), ..Newcomers::default() };
        let knows = |hosts: &[&str], url: &str| of(hosts).knows(&Url::parse(url).unwrap());
        assert!(knows(&["app.example"], "https://app.example/c") && !knows(&["app.example"], "https://an.app.example/c"));
        assert!(knows(&["*.example"], "https://app.example/c") && !knows(&["*.example"], "https://example/c"));
        assert!(!knows(&["*.example"], "https://notexample/c") && !knows(&[], "https://app.example/c") && knows(&["*"], "https://app.example/c"));
        for bad in ["", "App.example", "https://app.example", "*.", "*app.example", "a b"] {
            assert!(of(&[bad]).check().is_err(), "{bad}");
        }
        assert!(of(&["*.app.example", "*"]).check().is_ok());
    }
}
