//! Verifies what the server signed: ID tokens and logout tokens.

use super::Discovery;
use crate::http::Call;
use crate::{Fault, Http};
use countersign_wire::Time;
use countersign_wire::jose::{Alg, Jwk, Jws};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Clocks of server and application may differ by this, seconds.
const SLACK_S: i64 = 60;

/// The server's signing keys.
#[derive(Clone, Debug, Default)]
pub struct Jwks(Vec<(Option<String>, Jwk)>);

/// Claims of a verified ID token (OpenID Connect Core §2).
#[derive(Clone, Debug, Deserialize)]
pub struct IdClaims {
    /// The person, as an opaque subject.
    pub sub: String,
    /// Ends, seconds.
    pub exp: i64,
    /// Name, if `profile` was granted.
    #[serde(default)]
    pub name: Option<String>,
    /// The server's session.
    #[serde(default)]
    pub sid: Option<String>,
    /// How the person was authenticated.
    #[serde(default)]
    pub acr: Option<String>,
    /// By what means.
    #[serde(default)]
    pub amr: Vec<String>,
    /// When the person approved, seconds.
    #[serde(default)]
    pub auth_time: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Claims of a verified logout token (OpenID Connect Back-Channel Logout §2.4).
#[derive(Clone, Debug, Deserialize)]
pub struct LogoutClaims {
    /// Whose sessions.
    #[serde(default)]
    pub sub: Option<String>,
    /// Which session.
    #[serde(default)]
    pub sid: Option<String>,
    /// Unique name.
    pub jti: String,
}

#[derive(Deserialize)]
struct Common {
    iss: String,
    aud: Value,
    exp: i64,
    iat: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    events: Option<Value>,
}

impl Jwks {
    /// Fetches the server's keys.
    pub async fn fetch(http: &Http, discovery: &Discovery) -> Result<Jwks, Fault> {
        let set: Value = http.ask(&Call::fetch(discovery.jwks_uri.clone())).await?;
        Ok(Jwks::parse(&set))
    }

    /// Reads a JWK set (RFC 7517 §5); keys of kinds unknown here are passed over.
    pub fn parse(set: &Value) -> Jwks {
        let keys = set.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
        Jwks(
            keys.iter()
                .filter_map(|key| {
                    let kid = key.get("kid").and_then(Value::as_str).map(str::to_owned);
                    Jwk::parse(key).ok().map(|jwk| (kid, jwk))
                })
                .collect(),
        )
    }

    /// Verifies an ID token for `client` that answers `nonce`.
    pub fn id_token(&self, text: &str, issuer: &str, client: &str, nonce: &str, now: Time) -> Result<IdClaims, Fault> {
        let (claims, common) = self.common(text, issuer, client, now)?;
        if common.nonce.as_deref() != Some(nonce) {
            return Err(bad("its nonce is of another request"));
        }
        claims
    }

    /// Verifies a logout token for `client`.
    pub fn logout_token(&self, text: &str, issuer: &str, client: &str, now: Time) -> Result<LogoutClaims, Fault> {
        let typ = Jws::parse(text).ok().and_then(|jws| jws.header_text("typ").map(str::to_owned));
        if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("logout+jwt")) {
            return Err(bad("it is of another kind"));
        }
        let (claims, common): (Result<LogoutClaims, Fault>, Common) = self.common(text, issuer, client, now)?;
        let claims = claims?;
        let event = common
            .events
            .as_ref()
            .and_then(|events| events.get("http://schemas.openid.net/event/backchannel-logout"));
        if event.is_none() || common.nonce.is_some() || (claims.sub.is_none() && claims.sid.is_none()) {
            return Err(bad("it is no logout token"));
        }
        Ok(claims)
    }

    /// Signature, issuer, audience and time; the claims are read for the caller.
    fn common<T: serde::de::DeserializeOwned>(
        &self,
        text: &str,
        issuer: &str,
        client: &str,
        now: Time,
    ) -> Result<(Result<T, Fault>, Common), Fault> {
        let jws = Jws::parse(text).map_err(|_| bad("it is no signed token"))?;
        let kid = jws.header_text("kid");
        let claims = self
            .0
            .iter()
            .filter(|(name, _)| kid.is_none() || name.as_deref() == kid)
            .filter(|(_, jwk)| matches!((jwk, jws.alg()), (Jwk::P256(_), Alg::ES256) | (Jwk::Ed25519(_), Alg::EdDSA) | (Jwk::Rsa { .. }, Alg::RS256 | Alg::PS256)))
            .find_map(|(_, jwk)| jws.verify(jwk).ok())
            .ok_or_else(|| bad("no key of the server signed it"))?;
        let common: Common = claims.read().map_err(|_| bad("claims are missing"))?;
        let audience = match &common.aud {
            Value::String(one) => one == client,
            Value::Array(many) => many.iter().any(|one| one == client),
            _ => false,
        };
        let now_s = now.seconds();
        let timely = common.exp > now_s - SLACK_S && common.iat <= now_s + SLACK_S;
        if common.iss != issuer || !audience || !timely {
            return Err(bad("it is of another server, for another client, or too old"));
        }
        Ok((claims.read().map_err(|_| bad("claims are missing")), common))
    }
}

fn bad(why: &str) -> Fault {
    Fault::Unreachable(format!("the server's token does not hold: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SoftwareKey;
    use countersign_wire::jose::jws;
    use serde_json::json;

    const NOW: Time = Time(1_800_000_000_000_000);

    fn check(change: impl FnOnce(&mut Value)) -> Result<IdClaims, Fault> {
        let key = SoftwareKey::generate().unwrap();
        let mut set = Value::Object(key.public().members());
        set["kid"] = json!("k1");
        let keys = Jwks::parse(&json!({"keys": [{"kty": "oct"}, set]}));
        let mut claims = json!({"iss": "https://id.example", "aud": "till", "sub": "s", "nonce": "n", "name": "Ana",
            "iat": NOW.seconds(), "exp": NOW.seconds() + 300});
        change(&mut claims);
        let mut header = Map::new();
        header.insert("kid".into(), claims.get("kid").cloned().unwrap_or(json!("k1")));
        let text = jws::encode(header, claims.to_string().as_bytes(), &key).unwrap();
        keys.id_token(&text, "https://id.example", "till", "n", NOW)
    }

    #[test]
    fn an_id_token_passes_only_whole() {
        assert_eq!(check(|_| ()).unwrap().name.unwrap(), "Ana");
        assert!(check(|c| c["aud"] = json!(["x", "till"])).is_ok());
        let bad: [fn(&mut Value); 7] = [
            |c| c["iss"] = json!("https://evil.example"),
            |c| c["aud"] = json!("other"),
            |c| c["nonce"] = json!("other"),
            |c| c["exp"] = json!(NOW.seconds() - 61),
            |c| c["iat"] = json!(NOW.seconds() + 61),
            |c| c["kid"] = json!("other"),
            |c| { c.as_object_mut().unwrap().remove("sub"); },
        ];
        for (at, change) in bad.into_iter().enumerate() {
            assert!(check(change).is_err(), "{at}");
        }
    }
}
