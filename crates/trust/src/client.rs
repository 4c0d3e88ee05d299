//! Registered clients: applications that ask for sign-ins.

use crate::glass::WithoutLine;
use crate::right::Offered;
use crate::vouch::Vouching;
use countersign_wire::jose::{Alg, Jwk};
use countersign_wire::statement::Boundary;
use countersign_wire::{ClientId, Time};
use serde::{Deserialize, Serialize};

/// How a client proves itself at our endpoints (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// A public client.
    None,
    /// Secret in the Authorization header.
    ClientSecretBasic,
    /// Secret in the body.
    ClientSecretPost,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
}

/// Which rules beside those for everybody a client keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Code flow with PKCE and bound tokens, unless a `danger_` setting says otherwise.
    #[default]
    Classic,
    /// FAPI 2.0 Security Profile: pushed requests, `private_key_jwt`, bound tokens, fresh proofs.
    Fapi2,
}

/// What happens where nothing shows that phone and screen are in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Far {
    /// Refused.
    #[default]
    Refused,
    /// Allowed with both confirmations, for rights that policy gives to `unproven`.
    Unproven,
}

/// Whether a client may renew what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// Never.
    #[default]
    Never,
    /// Where it asked for the scope `offline_access` (OpenID Connect Core §11).
    OfflineAccess,
    /// Always.
    Always,
}

/// The scope that asks for a refresh token.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// How a client asks people by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ciba {
    /// Its binding messages carry digits that it shows to the person, who types them on the device. Without
    /// them nothing is transferred, and what is approved earns no class.
    pub binding_digits: bool,
    /// Its word about the address of the screen in front of the person counts (`ip_address` in
    /// `request_context`). Without it nothing shows nearness: a server's own address is nobody's.
    pub tells_address: bool,
    /// It asks people for the word that they set, and brings it (`backchannel_user_code_parameter`, CIBA Core 1.0 §4).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user_code: bool,
    /// Where it is told that there is something to collect (ping mode, §10.2); without it, it asks by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_endpoint: Option<String>,
    /// Whose `login_hint_token` it may bring besides its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hint_issuers: Vec<HintIssuer>,
}

/// Who may name a person to us, in the hands of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HintIssuer {
    /// Its name: `iss`.
    pub issuer: String,
    /// Its public keys.
    pub keys: Vec<Jwk>,
}

/// A client as registered. Unknown members are refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Client id.
    pub id: ClientId,
    /// Name shown to people.
    pub name: String,
    /// Exact redirect URIs (RFC 9700 §4.1.3); for native loopback ones the port is free.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Which profile it keeps.
    #[serde(default)]
    pub profile: Profile,
    /// How it authenticates.
    #[serde(default = "none_auth")]
    pub auth: ClientAuth,
    /// base64url SHA-256 of the secret, for the secret methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// Public keys, for `private_key_jwt` and for request objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Jwk>,
    /// It must push its authorization requests (RFC 9126 §6).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// It must sign its authorization requests (RFC 9101 §10.5).
    #[serde(default)]
    pub require_signed_request_object: bool,
    /// Scopes it may ask for; `openid` always.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Those of them that policy must allow one by one.
    #[serde(default)]
    pub privileged_scopes: Vec<String>,
    /// Those of them that are given just in time: asked for by a role, for minutes, in one session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub just_in_time: Vec<Offered>,
    /// Whether it takes people who have no phone at hand, on somebody else's word, and how. Off unless registered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_phone: Option<Vouching>,
    /// What two people can open at registered terminals that cannot ask the server, and how. Off unless registered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_line: Option<Box<WithoutLine>>,
    /// Types of `authorization_details` it may ask for (RFC 9396 §10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail_types: Vec<String>,
    /// What an approval yields at most.
    #[serde(default = "tokens")]
    pub boundary: Boundary,
    /// Algorithm of ID tokens.
    #[serde(default = "es256")]
    pub id_token_alg: Alg,
    /// Whether it gets refresh tokens.
    #[serde(default)]
    pub refresh: Refresh,
    /// Its refresh tokens are bound to its DPoP key although it authenticates by other means. Those
    /// of a public client always are.
    #[serde(default)]
    pub refresh_bound: bool,
    /// A renewal by the program counts as a sign of the person. Lowers security.
    #[serde(default)]
    pub refresh_is_activity: bool,
    /// Its requests must name the key that the code will serve (RFC 9449 §10).
    #[serde(default)]
    pub require_dpop_jkt: bool,
    /// No PKCE; `nonce` is demanded instead. Lowers security.
    #[serde(default)]
    pub danger_allow_no_pkce: bool,
    /// Neither PKCE nor `nonce` is demanded. Lowers security: a stolen code is told apart by nothing.
    #[serde(default)]
    pub danger_allow_no_nonce: bool,
    /// Bearer tokens instead of DPoP-bound ones. Lowers security.
    #[serde(default)]
    pub danger_allow_bearer: bool,
    /// It may use the device grant (RFC 8628).
    #[serde(default)]
    pub device_grant: bool,
    /// It may ask people by name (OpenID Connect CIBA Core 1.0), and how. Off unless registered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciba: Option<Ciba>,
    /// It is told an address that fills in half of the code (RFC 8628 §3.3.1).
    #[serde(default = "yes")]
    pub verification_uri_complete: bool,
    /// It may collect what a person approved without a key. Lowers security.
    #[serde(default)]
    pub danger_allow_unbound_collector: bool,
    /// It runs where the screen is (a public client), but with a way out of its own: requests from another network than
    /// the screen's are no news. Lowers security.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_network: bool,
    /// Where nothing shows nearness. Lowers security when `unproven`.
    #[serde(default)]
    pub far: Far,
    /// Exact URIs to return to after sign-out.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where to tell it that a session ended (OpenID Connect Back-Channel Logout).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// Session without activity, seconds.
    #[serde(default = "idle")]
    pub idle_s: i64,
    /// Session at most, seconds.
    #[serde(default = "session")]
    pub session_s: i64,
    /// Audience of access tokens; the issuer if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Further audiences that it may ask tokens for by `resource` (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Audiences that it answers for: it may look at tokens made for them (RFC 7662 §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspects: Vec<String>,
    /// Workloads that may act for people with tokens of this client, within what those tokens say (RFC 8693).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_act: Vec<ClientId>,
    /// Types of subject and resource that it may ask decisions about (AuthZEN); `*` is every type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks_about: Vec<String>,
    /// Switched off.
    #[serde(default)]
    pub disabled: bool,
}

fn none_auth() -> ClientAuth {
    ClientAuth::None
}
fn yes() -> bool {
    true
}
fn tokens() -> Boundary {
    Boundary::Tokens
}
fn es256() -> Alg {
    Alg::ES256
}
fn idle() -> i64 {
    crate::limits::IDLE_S
}
fn session() -> i64 {
    crate::limits::SESSION_S
}

impl Client {
    /// Whether `uri` is registered: exactly, or a loopback address with another port (RFC 8252 §7.3).
    pub fn allows_redirect(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri || is_loopback_twin(known, uri))
    }
    /// The scopes of `asked` that it may ask for, in the order asked, each once; `openid` if none.
    pub fn scopes_of(&self, asked: &str) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for scope in asked.split(' ') {
            if self.may_ask(scope) && !out.iter().any(|s| s == scope) {
                out.push(scope.to_owned());
            }
        }
        if out.is_empty() {
            out.push("openid".to_owned());
        }
        out
    }
    /// Whether it may ask for a scope.
    pub fn may_ask(&self, scope: &str) -> bool {
        scope == "openid"
            || scope == OFFLINE_ACCESS && self.refresh != Refresh::Never
            || self.scopes.iter().any(|s| s == scope)
    }
    /// Whether it may collect at the token endpoint what a person approved elsewhere.
    pub fn collects(&self) -> bool {
        self.device_grant || self.ciba.is_some()
    }
    /// Whether it must push its authorization requests.
    pub fn must_push(&self) -> bool {
        self.require_pushed_authorization_requests || self.profile == Profile::Fapi2
    }
    /// Whether `alg` is good enough for what it signs and what is signed for it (FAPI 2.0 §5.4.1).
    pub fn takes(&self, alg: Alg) -> bool {
        self.profile == Profile::Classic || alg != Alg::RS256
    }
    /// Whether a proof that was made at `made_s` is fresh enough, beside its nonce.
    pub fn takes_proof(&self, made_s: i64, now: Time) -> bool {
        use crate::limits::{STRICT_PROOF_S, STRICT_WAY_S};
        let age_s = now.seconds() - made_s;
        self.profile == Profile::Classic || (-STRICT_PROOF_S..=STRICT_PROOF_S + STRICT_WAY_S).contains(&age_s)
    }
    /// Whether a refresh token is new after each use. FAPI 2.0 §5.3.2.1 forbids it: its clients are
    /// known by other means, and a lost answer would cost them what they have.
    pub fn rotates(&self) -> bool {
        self.profile == Profile::Classic
    }
    /// Whether its refresh tokens serve its key alone.
    pub fn binds_refresh(&self) -> bool {
        self.auth == ClientAuth::None || self.refresh_bound
    }
    /// Whether a grant with these scopes can be renewed.
    pub fn may_refresh(&self, scopes: &[String]) -> bool {
        match self.refresh {
            Refresh::Never => false,
            Refresh::OfflineAccess => scopes.iter().any(|s| s == OFFLINE_ACCESS),
            Refresh::Always => true,
        }
    }
    /// Whether its tokens may be for an audience.
    pub fn may_reach(&self, audience: &str) -> bool {
        self.audience.as_deref() == Some(audience) || self.resources.iter().any(|r| r == audience)
    }
    /// Whether it may ask decisions about a type.
    pub fn may_ask_about(&self, kind: &str) -> bool {
        self.asks_about.iter().any(|k| k == "*" || k == kind)
    }
    /// Whether policy must allow this scope by itself.
    pub fn is_privileged(&self, scope: &str) -> bool {
        self.privileged_scopes.iter().any(|s| s == scope) || self.offers(scope).is_some()
    }
    /// How this scope is given just in time, if it is.
    pub fn offers(&self, scope: &str) -> Option<&Offered> {
        self.just_in_time.iter().find(|o| o.scope == scope)
    }
}

fn is_loopback_twin(known: &str, asked: &str) -> bool {
    ["http://127.0.0.1", "http://[::1]"].iter().any(|base| {
        let split = |uri: &str| -> Option<String> {
            let rest = uri.strip_prefix(base)?;
            let port_len = match rest.strip_prefix(':') {
                Some(digits) => 1 + digits.bytes().take_while(u8::is_ascii_digit).count(),
                None => 0,
            };
            let path = rest.get(port_len..)?;
            path.starts_with('/').then(|| path.to_owned())
        };
        matches!((split(known), split(asked)), (Some(a), Some(b)) if a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        serde_json::from_value(serde_json::json!({
            "id": "till", "name": "Till",
            "redirect_uris": ["https://till.example/cb", "http://127.0.0.1:1/cb"],
            "scopes": ["profile", "refund"]
        }))
        .unwrap()
    }

    #[test]
    fn redirects_match_exactly_and_only_loopback_ports_are_free() {
        let c = client();
        assert!(c.allows_redirect("https://till.example/cb"));
        assert!(c.allows_redirect("http://127.0.0.1:4711/cb"));
        for bad in [
            "https://till.example/cb?x", "https://till.example/cb/", "https://till.example/CB",
            "https://till.example.evil/cb", "http://127.0.0.1:4711/other",
            "http://127.0.0.1:4711@evil/cb", "http://127.0.0.1.evil/cb", "http://localhost:1/cb",
        ] {
            assert!(!c.allows_redirect(bad), "{bad}");
        }
    }

    #[test]
    fn unknown_scopes_fall_away_and_none_means_openid() {
        assert_eq!(client().scopes_of("openid refund admin refund"), ["openid", "refund"]);
        assert_eq!(client().scopes_of(""), ["openid"]);
        assert_eq!(client().scopes_of("openid offline_access"), ["openid"]);
        let renewing = Client { refresh: Refresh::OfflineAccess, ..client() };
        let scopes = renewing.scopes_of("openid offline_access");
        assert!(renewing.may_refresh(&scopes) && !renewing.may_refresh(&["openid".to_owned()]));
    }
}
