//! What a gate is told: one file (TOML).

use crate::config::Tls;
use crate::oidc::egress::{self, Reach};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::{Host, Url};
use zeroize::Zeroizing;

/// Longest wait for a person, and longest answer, seconds.
const WAIT_S: u64 = 50;
const STREAM_S: u64 = 3_600;

/// The settings of a gate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key, where no proxy speaks TLS for it.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The address by which clients know the server behind it: the audience of tokens and the address of proofs.
    pub resource: Url,
    /// Who decides.
    pub issuer: Url,
    /// The client that asks, with `asks_about` and `introspects`.
    pub client_id: String,
    /// File with its secret.
    pub secret_file: PathBuf,
    /// The MCP server behind it.
    pub upstream: Url,
    /// File with a bearer token for it: the gate's own.
    #[serde(default)]
    pub upstream_token_file: Option<PathBuf>,
    /// Tools for which somebody is asked, whoever calls them.
    #[serde(default)]
    pub ask: Vec<String>,
    /// Scopes that clients should ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How long a call waits for a person's word, seconds.
    #[serde(default = "wait")]
    pub wait_s: u64,
    /// How long one answer may take, and so how long a stream outlives the trust that opened it, seconds.
    #[serde(default = "stream")]
    pub stream_s: u64,
    /// Goes to a server on another machine without TLS. Lowers security.
    #[serde(default)]
    pub danger_allow_plain_upstream: bool,
}

fn wait() -> u64 {
    45
}
fn stream() -> u64 {
    300
}

/// A secret out of a file; surrounding blanks are not part of it.
pub fn secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

impl Settings {
    /// Reads and checks a file.
    pub fn load(file: &Path) -> Result<Settings, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let settings: Settings = toml::from_str(&text).map_err(|e| e.to_string())?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let anywhere = Reach { loopback: true, private: true };
        let bare = |url: &Url| url.query().is_none() && url.fragment().is_none();
        for (name, url) in [("resource", &self.resource), ("issuer", &self.issuer)] {
            if !egress::may_call(url, anywhere) || !bare(url) {
                return Err(format!("`{name}` must be https, or http on this machine, without query and fragment"));
            }
        }
        let plain = self.upstream.scheme() == "http" && self.danger_allow_plain_upstream && self.upstream.host().is_some();
        if !(plain || egress::may_call(&self.upstream, anywhere)) || self.upstream.fragment().is_some() {
            return Err("`upstream` must be https, or http on this machine".to_owned());
        }
        if self.upstream == self.resource {
            return Err("`upstream` is the gate itself".to_owned());
        }
        if self.wait_s > WAIT_S || !(10..=STREAM_S).contains(&self.stream_s) {
            return Err(format!("`wait_s` up to {WAIT_S}, `stream_s` from 10 to {STREAM_S}"));
        }
        Ok(())
    }

    /// The resource as tokens and proofs name it: as it was written, but for the slash that a bare host gets.
    pub fn audience(&self) -> String {
        let text = self.resource.as_str();
        if self.resource.path() == "/" { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
    }
    /// Path and address of what it says of itself (RFC 9728 §3.1).
    pub fn metadata(&self) -> (String, String) {
        let path = format!("/.well-known/oauth-protected-resource{}", self.resource.path().trim_end_matches('/'));
        let host = self.resource.origin().ascii_serialization();
        let address = format!("{host}{path}");
        (path, address)
    }
    /// Whether the server behind it is on this machine.
    pub fn is_near(&self) -> bool {
        match self.upstream.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(a)) => a.is_loopback(),
            Some(Host::Ipv6(a)) => a.is_loopback(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resource: &str, upstream: &str, more: &str) -> Result<Settings, String> {
        let text = format!(
            "listen = \"127.0.0.1:0\"\nresource = \"{resource}\"\nissuer = \"https://id.example\"\nclient_id = \"gate\"\n\
             secret_file = \"secret\"\nupstream = \"{upstream}\"\n{more}"
        );
        let settings: Settings = toml::from_str(&text).map_err(|e| e.to_string())?;
        settings.check().map(|()| settings)
    }

    #[test]
    fn a_gate_has_an_address_of_its_own_and_goes_nowhere_in_the_clear_by_accident() {
        let good = read("https://tools.example/mcp", "http://127.0.0.1:3000/mcp", "").unwrap();
        assert_eq!(good.audience(), "https://tools.example/mcp");
        assert_eq!(good.metadata().1, "https://tools.example/.well-known/oauth-protected-resource/mcp");
        let bare = read("https://tools.example", "https://inside.example/mcp", "").unwrap();
        assert_eq!((bare.audience().as_str(), bare.metadata().0.as_str()), ("https://tools.example", "/.well-known/oauth-protected-resource"));
        let plain = "http://inside.example/mcp";
        assert!(read("https://tools.example/mcp", plain, "").is_err());
        assert!(read("https://tools.example/mcp", plain, "danger_allow_plain_upstream = true").is_ok());
        for (resource, more) in [
            ("http://tools.example/mcp", ""), ("https://tools.example/mcp?a=b", ""), ("https://tools.example/mcp", "wait_s = 51"),
            ("https://tools.example/mcp", "stream_s = 5"), ("https://tools.example/mcp", "stream = 5"), ("http://127.0.0.1:3000/mcp", ""),
        ] {
            assert!(read(resource, "http://127.0.0.1:3000/mcp", more).is_err(), "{resource} {more}");
        }
    }
}
