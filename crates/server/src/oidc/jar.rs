//! Request objects (RFC 9101): an authorization request that its client signed. Where there is one,
//! nothing beside it counts.

use super::jwt::Audience;
use super::params::Params;
use countersign_trust::client::{Client, Profile};
use countersign_trust::limits;
use countersign_wire::dpop::NumericDate;
use countersign_wire::jose::{Alg, Jws};
use countersign_wire::Time;
use countersign_wire::limits::JTI_BYTES;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Algorithms of request objects. An unsigned one does not even parse.
pub const ALGS: [Alg; 3] = [Alg::ES256, Alg::EdDSA, Alg::PS256];
/// What is about the object itself and no parameter of the request.
const ABOUT: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];
/// A client's clock may run ahead by this much, seconds.
const AHEAD_S: i64 = 10;

#[derive(Deserialize)]
struct About {
    iss: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default)]
    iat: Option<NumericDate>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
}

/// A request that a client signed for the back channel (CIBA Core 1.0 §7.1.1).
pub struct Signed {
    /// Its parameters.
    pub params: Params,
    /// Its name: it serves once.
    pub jti: String,
    /// When it expires.
    pub until: Time,
}

/// The parameters inside `text`, if `client` signed them for `issuer` and for now.
pub fn open(text: &str, client: &Client, issuer: &str, now: Time) -> Result<Params, &'static str> {
    let (params, about) = opened(text, client, issuer, now)?;
    if about.client_id.is_none() {
        return Err("a request object without client_id");
    }
    Ok(params)
}

/// The same for the back channel, where every claim about the object itself is demanded.
pub fn open_signed(text: &str, client: &Client, issuer: &str, now: Time) -> Result<Signed, &'static str> {
    let (params, about) = opened(text, client, issuer, now)?;
    let jti = about.jti.filter(|jti| !jti.is_empty() && jti.len() <= JTI_BYTES);
    match (jti, about.nbf, about.iat) {
        (Some(jti), Some(_), Some(_)) => Ok(Signed { params, jti, until: Time::from_seconds(about.exp.seconds() + 1) }),
        _ => Err("a signed request without iat, nbf and a usable jti"),
    }
}

fn opened(text: &str, client: &Client, issuer: &str, now: Time) -> Result<(Params, About), &'static str> {
    let jws = Jws::parse(text).map_err(|m| m.0)?;
    if !ALGS.contains(&jws.alg()) {
        return Err("a request object with another algorithm");
    }
    if jws.header_text("typ").is_some_and(|t| t != "JWT" && t != "oauth-authz-req+jwt") {
        return Err("a request object of another typ");
    }
    let claims = client.keys.iter().find_map(|key| jws.verify(key).ok()).ok_or("a wrong request signature")?;
    let about: About = claims.read().map_err(|_| "a request object without iss, aud and exp")?;
    let id = client.id.as_str();
    if about.iss != id || about.client_id.as_ref().is_some_and(|c| c != id) {
        return Err("a request object by another client");
    }
    if !about.aud.has(issuer) {
        return Err("a request object for another server");
    }
    if client.profile == Profile::Fapi2 && about.nbf.is_none() {
        return Err("a request object without nbf");
    }
    let now_s = now.seconds();
    let made_s = about.nbf.or(about.iat).map_or(now_s, NumericDate::seconds);
    let life = made_s.min(now_s)..=made_s + limits::REQUEST_OBJECT_S;
    if about.exp.seconds() <= now_s || !life.contains(&about.exp.seconds()) {
        return Err("a request object that has expired, or lives longer than an hour");
    }
    if [about.nbf, about.iat].iter().flatten().any(|t| t.seconds() > now_s + AHEAD_S) {
        return Err("a request object from the future");
    }
    let mut members: Map<String, Value> = claims.read().map_err(|_| "members")?;
    // RFC 9101 §10.8: one with a subject could pass for the client's own assertion.
    if members.contains_key("sub") || members.contains_key("request") || members.contains_key("request_uri") {
        return Err("a request object with sub, request or request_uri inside");
    }
    members.retain(|name, _| !ABOUT.contains(&name.as_str()));
    Ok((Params::of_members(members)?, about))
}
