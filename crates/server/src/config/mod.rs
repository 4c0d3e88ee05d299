//! What the operator decides: a TOML file, overlaid by `COUNTERSIGN_…` variables. Unknown names are
//! refused in both, so that a misspelt setting never passes for a default.

mod check;
mod evidence;
mod network;
pub mod newcomers;
mod places;
mod platforms;
mod push;
mod signals;
pub use check::{Weakness, client as registrable, weaknesses};
pub use evidence::Evidence;
pub use network::{Origin, Place, Whereabouts};
pub use newcomers::Newcomers;
pub use places::{Class, Kiosk, Places};
pub use platforms::Platform;
pub use push::Push;
pub use signals::{Receiver, Signals, Source, Transmitter};

use countersign_trust::client::Client;
use countersign_trust::presence::Network;
use countersign_trust::workload::Registration;
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Public URL of this server without a path: `https://id.example`, or `http://localhost:7310`.
    #[serde(default = "default_issuer")]
    pub issuer: String,
    /// Address to listen on.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Address for `/metrics`; the main one does not serve it.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// `sqlite:PATH` or `postgres://…`.
    #[serde(default = "default_database")]
    pub database: String,
    /// File with the key that seals private keys; made at first start if it does not exist.
    #[serde(default = "default_seal")]
    pub seal_key_file: PathBuf,
    /// Name of the organisation, shown on every page.
    #[serde(default = "default_organisation")]
    pub organisation: String,
    /// Clients.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// Workloads: programs that act for themselves.
    #[serde(default)]
    pub workloads: Vec<Registration>,
    /// Platforms that vouch for workloads they run.
    #[serde(default)]
    pub platforms: Vec<Platform>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_proxies: Vec<Network>,
    /// Networks that strangers share (carrier NAT, VPN): no evidence of nearness.
    #[serde(default, deserialize_with = "networks")]
    pub shared_networks: Vec<Network>,
    /// Every client must push its authorization requests (RFC 9126 §5).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// Certificate and key, where no proxy speaks TLS for us.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// File with Cedar policies instead of the shipped ones.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// Folder with the operator's access policies: schemas, policies and entities.
    #[serde(default)]
    pub access_policies: Option<PathBuf>,
    /// Files with further types of `authorization_details` (RFC 9396); `payment` and `tool_call` are shipped.
    #[serde(default)]
    pub detail_types: Vec<PathBuf>,
    /// The operator's mail and chat filters know the prefix `/q#` (RFC 10027, mitigation 5).
    #[serde(default)]
    pub declared_filter: bool,
    /// What a new passkey must show about its authenticator.
    #[serde(default)]
    pub attestation: Attestation,
    /// PEM file with roots that attestation must lead to in order to count.
    #[serde(default)]
    pub attestation_roots: Option<PathBuf>,
    /// Browsers that can may bind a session to a key in their hardware (Device Bound Session Credentials).
    #[serde(default = "default_true")]
    pub device_bound_sessions: bool,
    /// Time a person has to confirm and decide after a scan, seconds (at most 300).
    #[serde(default = "default_decide")]
    pub decide_s: i64,
    /// Time in which a person can stop a recovery that two people approved, seconds (at most a week).
    #[serde(default = "default_recovery_delay")]
    pub recovery_delay_s: i64,
    /// A watching device program reports at least this often, seconds (1 to 3600).
    #[serde(default = "default_heartbeat")]
    pub heartbeat_s: i64,
    /// The same of a visible page of a session, seconds (1 to 40: its farewell is proved beforehand, and a
    /// nonce lives a minute).
    #[serde(default = "default_page_heartbeat")]
    pub page_heartbeat_s: i64,
    /// So many intervals without a word, and what was opened ends (2 to 10).
    #[serde(default = "default_misses")]
    pub heartbeat_misses: i64,
    /// Whose change of network is news, and how networks are told apart.
    #[serde(default)]
    pub network: Whereabouts,
    /// Whose word about a device's health is taken.
    #[serde(default)]
    pub evidence: Evidence,
    /// Deliver back-channel log-outs to loopback addresses although the issuer is not one.
    #[serde(default)]
    pub danger_allow_loopback_egress: bool,
    /// Shared Signals: who is told what happens here.
    #[serde(default)]
    pub signals: Signals,
    /// How phones are told that something waits while nobody looks at their page.
    #[serde(default)]
    pub push: Option<Push>,
    /// Clients that nobody listed.
    #[serde(default)]
    pub newcomers: Newcomers,
    /// Classes of registered terminals and the sites they stand at.
    #[serde(default)]
    pub terminals: Places,
    /// Log as JSON lines.
    #[serde(default)]
    pub log_json: bool,
}

/// Certificate files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// What a new passkey must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attestation {
    /// Not asked for.
    None,
    /// Asked for, verified where present.
    #[default]
    Wanted,
    /// Refused unless it leads to a listed root.
    Required,
}

fn default_issuer() -> String {
    "http://localhost:7310".to_owned()
}
fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7310))
}
fn default_database() -> String {
    "sqlite:countersign.db".to_owned()
}
fn default_seal() -> PathBuf {
    PathBuf::from("countersign.seal")
}
fn default_organisation() -> String {
    "Countersign".to_owned()
}
fn default_recovery_delay() -> i64 {
    countersign_trust::limits::RECOVERY_DELAY_S
}
fn default_decide() -> i64 {
    countersign_wire::limits::SCANNED_S
}

fn default_true() -> bool {
    true
}
fn default_heartbeat() -> i64 {
    30
}
fn default_page_heartbeat() -> i64 {
    15
}
fn default_misses() -> i64 {
    3
}

fn networks<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Network>, D::Error> {
    let texts = Vec::<String>::deserialize(d)?;
    texts
        .iter()
        .map(|t| t.parse().map_err(|_| serde::de::Error::custom(format!("`{t}` is not address/bits"))))
        .collect()
}

/// Why a configuration was not taken.
#[derive(Debug)]
pub struct ConfigFault(pub String);

impl std::fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for ConfigFault {}

/// Variables that are not settings of the file.
const OTHER_VARIABLES: [&str; 5] =
    ["COUNTERSIGN_SEAL_KEY", "COUNTERSIGN_CONFIG", "COUNTERSIGN_LOG", "COUNTERSIGN_FIXTURES", "COUNTERSIGN_WITHOUT_POSTGRES"];

impl Config {
    /// Reads `file` if there is one, then the variables.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, ConfigFault> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| ConfigFault(format!("cannot read `{}`: {e}", path.display())))?,
        };
        Config::parse(&text, variables)
    }

    /// The same from text.
    pub fn parse(
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, ConfigFault> {
        let mut table: toml::Table = text.parse().map_err(|e| ConfigFault(format!("{e}")))?;
        for (name, value) in variables {
            let Some(key) = name.strip_prefix("COUNTERSIGN_") else { continue };
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let key = key.to_ascii_lowercase();
            // A variable is TOML if it reads as such (numbers, lists, true), else it is text.
            let parsed = format!("v = {value}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut t| t.remove("v"))
                .unwrap_or(toml::Value::String(value));
            table.insert(key, parsed);
        }
        let config: Config =
            toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| ConfigFault(e.message().to_owned()))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigFault> {
        let wrong = |what: String| Err(ConfigFault(what));
        let url = url::Url::parse(&self.issuer)
            .map_err(|e| ConfigFault(format!("issuer `{}`: {e}", self.issuer)))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || self.issuer.ends_with('/') {
            return wrong("issuer: a URL without path and without a slash at its end".into());
        }
        let Some(url::Host::Domain(host)) = url.host() else {
            return wrong("issuer: a name, not an address, or browsers refuse passkeys".into());
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && host == "localhost") {
            return wrong("issuer: https, or http://localhost for trying it out".into());
        }
        if !(10..=countersign_wire::limits::SCANNED_MAX_S).contains(&self.decide_s) {
            return wrong("decide_s: 10 to 300".into());
        }
        if !(0..=7 * 86_400).contains(&self.recovery_delay_s) {
            return wrong("recovery_delay_s: 0 to 604800".into());
        }
        for (name, value, most) in [
            ("heartbeat_s", self.heartbeat_s, 1..=3_600),
            ("page_heartbeat_s", self.page_heartbeat_s, 1..=40),
            ("heartbeat_misses", self.heartbeat_misses, 2..=10),
        ] {
            if !most.contains(&value) {
                return wrong(format!("{name}: {} to {}", most.start(), most.end()));
            }
        }
        if self.attestation == Attestation::Required && self.attestation_roots.is_none() {
            return wrong("attestation = \"required\" needs attestation_roots".into());
        }
        let mut seen = std::collections::HashSet::new();
        for client in &self.clients {
            check::client(client).map_err(ConfigFault)?;
            if !seen.insert(&client.id) {
                return wrong(format!("client `{}` is listed twice", client.id));
            }
        }
        for workload in &self.workloads {
            workload.check().map_err(ConfigFault)?;
            if !seen.insert(&workload.client) {
                return wrong(format!("`{}` is listed twice among clients and workloads", workload.client));
            }
        }
        for (at, platform) in self.platforms.iter().enumerate() {
            platform.check(&self.issuer).map_err(ConfigFault)?;
            if self.platforms.iter().take(at).any(|p| p.id == platform.id || p.issuer == platform.issuer) {
                return wrong(format!("platform `{}` is listed twice", platform.id));
            }
        }
        self.network.validate().map_err(ConfigFault)?;
        self.newcomers.check().map_err(ConfigFault)?;
        self.push.iter().try_for_each(Push::validate).map_err(ConfigFault)?;
        self.terminals.validate(&self.clients).map_err(ConfigFault)?;
        self.signals.validate().map_err(ConfigFault)
    }

    /// Whether any client is told when there is something to collect (CIBA Core 1.0 §10.2).
    pub fn pings(&self) -> bool {
        self.clients.iter().filter_map(|c| c.ciba.as_ref()).any(|c| c.notification_endpoint.is_some())
    }

    /// Whether we may call this machine itself: only if the issuer is on it too, or the operator said so.
    pub fn reaches_loopback(&self) -> bool {
        matches!(self.rp_id().as_str(), "localhost" | "127.0.0.1") || self.danger_allow_loopback_egress
    }

    /// Host of the issuer: the WebAuthn relying party id.
    pub fn rp_id(&self) -> String {
        url::Url::parse(&self.issuer)
            .ok()
            .and_then(|u| u.host_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Host and port as people read them.
    pub fn host(&self) -> &str {
        self.issuer.split_once("://").map_or(self.issuer.as_str(), |(_, host)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, vars: &[(&str, &str)]) -> Result<Config, ConfigFault> {
        Config::parse(text, vars.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn defaults_run_on_localhost_and_variables_win_over_the_file() {
        let c = parse("", &[]).unwrap();
        assert_eq!(c.rp_id(), "localhost");
        let c = parse("organisation = \"A\"", &[("COUNTERSIGN_ORGANISATION", "B"), ("COUNTERSIGN_DECIDE_S", "60")]).unwrap();
        assert_eq!((c.organisation.as_str(), c.decide_s), ("B", 60));
    }

    #[test]
    fn what_weakens_attestation_is_named() {
        let named = |text: &str| -> Vec<String> {
            let base = "issuer = \"https://id.example\"\ntrusted_proxies = [\"127.0.0.1/32\"]";
            let config = parse(&format!("{base}\n{text}"), &[]).unwrap();
            weaknesses(&config).into_iter().map(|w| w.setting).collect()
        };
        assert_eq!(named("attestation = \"none\""), ["attestation"]);
        assert_eq!(named(""), ["attestation_roots"]);
        assert!(named("attestation_roots = \"roots.pem\"").is_empty());
        assert!(named("attestation = \"required\"\nattestation_roots = \"roots.pem\"").is_empty());
    }

    #[test]
    fn unknown_names_and_unsafe_issuers_are_refused() {
        for (text, vars) in [
            ("orgnisation = \"A\"", &[][..]),
            ("", &[("COUNTERSIGN_ORGNISATION", "A")][..]),
            ("issuer = \"http://id.example\"", &[]),
            ("issuer = \"https://192.0.2.1\"", &[]),
            ("issuer = \"https://id.example/\"", &[]),
            ("issuer = \"https://id.example/path\"", &[]),
            ("decide_s = 301", &[]),
            ("heartbeat_s = 0", &[]),
            ("page_heartbeat_s = 41", &[]),
            ("heartbeat_misses = 1", &[]),
            ("attestation = \"required\"", &[]),
            ("trusted_proxies = [\"nonsense\"]", &[]),
        ] {
            assert!(parse(text, vars).is_err(), "{text} {vars:?}");
        }
    }
}
