//! Access tokens (RFC 9068): signed by the server, for this application, in their time.

use crate::denial::{Denial, Why};
use crate::keys::{Keys, NoKey};
use crate::settings::Settings;
use countersign_wire::jose::Jws;
use countersign_wire::{Thumbprint, Time};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Clocks of server and application may differ by this, seconds.
const SLACK_S: i64 = 5;

/// Who was let in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The person's pseudonym.
    pub subject: String,
    /// The client that asks on their behalf.
    pub client: String,
    /// What it may.
    pub scopes: Vec<String>,
    /// How the person was authenticated.
    pub acr: Option<String>,
    /// When, seconds.
    pub auth_time: Option<i64>,
    /// The session at the server.
    pub session: Option<String>,
    /// Thumbprint of the key that the token is bound to.
    pub jkt: Option<Thumbprint>,
    /// When the token was made, seconds.
    pub made: i64,
    /// Everything it says.
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    sub: String,
    exp: i64,
    iat: i64,
    client_id: String,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    auth_time: Option<i64>,
    #[serde(default)]
    sid: Option<String>,
    #[serde(default)]
    cnf: Option<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    jkt: Thumbprint,
}

/// The token of the one header, and whether it came with the scheme of proofs.
pub(crate) fn shown<'a>(headers: &[&'a str], bearer: bool) -> Result<(bool, &'a str), Denial> {
    let line = match headers {
        [] => return Err(Why::Nothing.into()),
        [one] => one,
        _ => return Err(Why::InvalidRequest("two Authorization headers").into()),
    };
    let (scheme, token) = line.split_once(' ').ok_or(Why::InvalidRequest("an Authorization header without a token"))?;
    let bound = scheme.eq_ignore_ascii_case("dpop");
    if !(bound || bearer && scheme.eq_ignore_ascii_case("bearer")) {
        // Another scheme is nothing that is looked at here (RFC 9110 §11.6.1).
        return Err(Why::Nothing.into());
    }
    Ok((bound, token.trim()))
}

/// Verifies a token.
pub(crate) async fn verify(text: &str, settings: &Settings, keys: &Keys, now: Time) -> Result<Visitor, Denial> {
    let bad = |said| Denial::from(Why::InvalidToken(said));
    let jws = Jws::parse(text).map_err(|_| bad("not a JWT"))?;
    // RFC 9068 §4: the media type, with or without its prefix.
    if !matches!(jws.header_text("typ"), Some("at+jwt" | "application/at+jwt")) {
        return Err(bad("not an access token"));
    }
    let kid = jws.header_text("kid").ok_or_else(|| bad("a token without kid"))?;
    let key = keys.find(kid, now).await.map_err(|why| match why {
        NoKey::Unknown => bad("signed by an unknown key"),
        NoKey::Unavailable => Why::Unavailable.into(),
    })?;
    let verified = jws.verify(&key).map_err(|_| bad("a wrong signature"))?;
    let all: Map<String, Value> = verified.read().map_err(|_| bad("claims that cannot be read"))?;
    let c: Claims = verified.read().map_err(|_| bad("claims that cannot be read"))?;
    let is_ours = |aud: &Value| aud.as_str() == Some(&settings.audience);
    if c.iss != settings.issuer {
        return Err(bad("of another issuer"));
    }
    if !is_ours(&c.aud) && !c.aud.as_array().is_some_and(|list| list.iter().any(is_ours)) {
        return Err(bad("for somebody else"));
    }
    if now.seconds() >= c.exp.saturating_add(SLACK_S) {
        return Err(bad("expired"));
    }
    if [Some(c.iat), c.nbf].iter().flatten().any(|at| *at > now.seconds() + SLACK_S) {
        return Err(bad("from the future"));
    }
    Ok(Visitor {
        subject: c.sub,
        client: c.client_id,
        scopes: c.scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        acr: c.acr,
        auth_time: c.auth_time,
        session: c.sid,
        jkt: c.cnf.map(|b| b.jkt),
        made: c.iat,
        claims: all,
    })
}
