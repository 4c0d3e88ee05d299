//! The relying party's half of OpenID Connect's code flow: what a console program or a small
//! application needs to sign somebody in here, with PKCE and a sender-constrained token.

mod token;

pub use token::{IdClaims, Jwks, LogoutClaims};

use crate::http::{Call, Prover};
use crate::keys::Prove;
use crate::{Fault, Http, machine};
use countersign_wire::{Thumbprint, b64, mac};
use serde::Deserialize;
use url::Url;

/// What a server says about itself (OpenID Connect Discovery §3), as far as it is used here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Issuer, exactly as tokens name it.
    pub issuer: String,
    /// Where a browser is sent.
    pub authorization_endpoint: Url,
    /// Where codes become tokens.
    pub token_endpoint: Url,
    /// Signing keys.
    pub jwks_uri: Url,
    /// Claims about the person.
    #[serde(default)]
    pub userinfo_endpoint: Option<Url>,
    /// Sign-out started by the application.
    #[serde(default)]
    pub end_session_endpoint: Option<Url>,
    /// Whether every answer names its server (RFC 9207 §3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Reads what `issuer` says about itself, and holds it to its own name.
pub async fn discover(http: &Http, issuer: &Url) -> Result<Discovery, Fault> {
    let url = issuer
        .join("/.well-known/openid-configuration")
        .map_err(|_| Fault::Usage("the issuer is no address".into()))?;
    let found: Discovery = http.ask(&Call::fetch(url)).await?;
    if found.issuer.trim_end_matches('/') != issuer.as_str().trim_end_matches('/') {
        return Err(Fault::Unreachable(format!("that server calls itself `{}`", found.issuer)));
    }
    Ok(found)
}

/// One authorization request and what must be remembered until its answer.
#[derive(Clone)]
pub struct CodeFlow {
    /// Registered client.
    pub client_id: String,
    /// Registered redirect URI.
    pub redirect_uri: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Ties the answer to this request.
    pub state: String,
    /// Ties the ID token to this request.
    pub nonce: String,
    pub verifier: String,
}

/// What the token endpoint gave. It has no `Debug`: tokens must not print by accident.
#[derive(Clone, Deserialize)]
pub struct Tokens {
    /// Access token.
    pub access_token: String,
    /// `DPoP`.
    pub token_type: String,
    /// Life of the access token, seconds.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// ID token.
    #[serde(default)]
    pub id_token: Option<String>,
    /// Granted scopes.
    #[serde(default)]
    pub scope: Option<String>,
    /// Refresh token.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

impl CodeFlow {
    /// A new request with fresh `state`, `nonce` and PKCE verifier.
    pub fn new(client_id: &str, redirect_uri: &str, scope: &str) -> Result<CodeFlow, Fault> {
        Ok(CodeFlow {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: scope.to_owned(),
            state: machine::name()?,
            nonce: machine::name()?,
            verifier: b64::encode(&machine::bytes::<32>()?),
        })
    }

    /// Where to send the browser. `jkt` binds the code to the key that will exchange it
    /// (RFC 9449 §10).
    pub fn url(&self, discovery: &Discovery, jkt: &Thumbprint) -> Url {
        let mut url = discovery.authorization_endpoint.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", &self.scope),
            ("state", &self.state),
            ("nonce", &self.nonce),
            ("code_challenge", &b64::encode(&mac::h(self.verifier.as_bytes()))),
            ("code_challenge_method", "S256"),
            ("dpop_jkt", jkt.as_str()),
        ]);
        url
    }

    /// The code in the answer `redirect`, if it is the answer to this request (RFC 9207 included).
    pub fn code(&self, discovery: &Discovery, redirect: &Url) -> Result<String, Fault> {
        let value = |name: &str| {
            redirect.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        if value("state").as_deref() != Some(&self.state) {
            return Err(Fault::Unreachable("the answer belongs to another request".into()));
        }
        let named = value("iss").map_or(!discovery.authorization_response_iss_parameter_supported, |iss| iss == discovery.issuer);
        if !named {
            return Err(Fault::Unreachable("the answer comes from another server".into()));
        }
        match (value("code"), value("error")) {
            (_, Some(error)) if error == "access_denied" => {
                Err(Fault::Person("not approved, nothing was opened".into()))
            }
            (_, Some(error)) => Err(Fault::ended(&error)),
            (Some(code), None) => Ok(code),
            (None, None) => Err(Fault::Unreachable("the answer carries no code".into())),
        }
    }

    /// Exchanges `code` with a proof by `key`.
    pub async fn exchange(
        &self,
        http: &Http,
        discovery: &Discovery,
        key: &dyn Prove,
        code: &str,
    ) -> Result<Tokens, Fault> {
        let call = Call::form(discovery.token_endpoint.clone(), &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", &self.verifier),
        ]);
        http.ask(&call.proved(Prover::terminal(key))).await
    }
}

/// What the server tells about the person of `token` (OpenID Connect Core §5.3).
#[derive(Clone, Debug, Deserialize)]
pub struct Person {
    /// Subject; must be the ID token's.
    pub sub: String,
    /// Name, if `profile` was granted.
    #[serde(default)]
    pub name: Option<String>,
}

/// Asks for the claims about the person `sub` with their token and its key.
pub async fn person(
    http: &Http,
    discovery: &Discovery,
    key: &dyn Prove,
    token: &str,
    sub: &str,
) -> Result<Option<Person>, Fault> {
    let Some(url) = discovery.userinfo_endpoint.clone() else { return Ok(None) };
    let prover = Prover { key, body: false, token: Some(token) };
    let found: Person = http.ask(&Call::fetch(url).proved(prover)).await?;
    if found.sub == sub { Ok(Some(found)) } else { Err(Fault::Unreachable("the server told about another person".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        serde_json::from_value(serde_json::json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/jwks",
            "authorization_response_iss_parameter_supported": true,
        }))
        .unwrap()
    }

    #[test]
    fn only_the_answer_to_this_request_gives_a_code() {
        let flow = CodeFlow::new("till", "http://127.0.0.1/cb", "openid").unwrap();
        let answer = |query: String| flow.code(&discovery(), &format!("http://127.0.0.1/cb?{query}").parse().unwrap());
        let state = &flow.state;
        assert_eq!(answer(format!("code=c%20d&state={state}&iss=https://id.example")).unwrap(), "c d");
        assert!(answer("code=c&state=other".into()).is_err());
        assert!(answer("code=c".into()).is_err());
        assert!(answer(format!("code=c&state={state}")).is_err(), "this server names itself");
        assert!(answer(format!("code=c&state={state}&iss=https://evil.example")).is_err());
        assert_eq!(answer(format!("error=access_denied&state={state}&iss=https://id.example")).unwrap_err().exit_code(), 5);
        assert_eq!(answer(format!("error=invalid_scope&state={state}&iss=https://id.example")).unwrap_err().code(), "invalid_scope");
    }

    #[test]
    fn the_request_binds_browser_code_and_key() {
        let flow = CodeFlow::new("till", "http://127.0.0.1/cb", "openid profile").unwrap();
        let jkt = Thumbprint::from_digest(&[1; 32]);
        let url = flow.url(&discovery(), &jkt);
        let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge"], b64::encode(&mac::h(flow.verifier.as_bytes())));
        assert_eq!(query["dpop_jkt"], jkt.as_str());
        assert_eq!(query["scope"], "openid profile");
    }
}
