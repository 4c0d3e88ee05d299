//! A platform vouches for a workload that it runs (RFC 8693 with a JWT as subject): a cluster's token of a
//! service account, a build server's token of a job. No key of the workload is stored anywhere.
//!
//! 1. The configuration lists the platform: issuer, audience, keys, and which claims mean which workload.
//!    Exactly one workload must be meant, and its registration must name the platform.
//! 2. Whoever holds such a token could show it, as often as it lives: so it is bound to the first key that is
//!    proved with it, and worth nothing with another. It is known again by what was signed: whoever sees a signature
//!    of ECDSA can make its twin, and that makes no other token of it.
//! 3. What is given is what the workload would get by its own key, by the same gate.

use super::workload::{ShownBy, mint_for};
use super::{No, no};
use crate::app::once::hashed;
use crate::app::{App, Fault};
use crate::config::Platform;
use crate::http::request::Incoming;
use crate::oidc::jwt::Audience;
use crate::oidc::params::Params;
use crate::ssf;
use countersign_store::Write;
use countersign_trust::Refusal;
use countersign_wire::Time;
use countersign_wire::dpop::{NumericDate, Proof};
use countersign_wire::jose::Jws;
use countersign_wire::set::IssuerKey;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Clocks of platforms may differ from ours by this, seconds.
const SLACK_S: i64 = 10;
/// What is written down where a token came with another key before.
pub(super) const ANOTHER_KEY: &str = "a platform's token that another key used before";
/// What platform tokens are kept under.
const USED: &str = "platform";

/// A platform's token that was judged.
pub(super) struct PlatformToken {
    digest: String,
    until: Time,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: NumericDate,
    iat: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
}

impl PlatformToken {
    /// What binds it to a key, at its first use; refused for every other key.
    pub(super) async fn keep(&self, app: &App, proof: Option<&Proof>) -> Result<Vec<Write>, Fault> {
        let key = proof.ok_or(Fault::because(Refusal::BadProof, "no proof"))?.jkt.as_str();
        let own = format!("{}/{key}", self.digest);
        if app.store.is_burnt(USED, &own).await? {
            return Ok(Vec::new());
        }
        if app.store.is_burnt(USED, &self.digest).await? {
            return Err(Fault::because(Refusal::BadProof, ANOTHER_KEY));
        }
        Ok(vec![Write::burnt(USED, &self.digest, self.until), Write::burnt(USED, &own, self.until)])
    }
}

fn bad(why: &'static str) -> No {
    no("invalid_request", Refusal::BadProof, why)
}

/// Gives a workload a token by the word of its platform.
pub(super) async fn take(app: &App, r: &Incoming, params: &Params, asked: Option<&str>) -> Result<Value, No> {
    let shows = ["client_assertion", "client_secret", "actor_token"].iter().any(|p| params.one(p).is_some());
    if shows || r.headers.contains_key("authorization") {
        return Err(no("invalid_request", Refusal::Malformed, "a platform's token beside another way of authentication"));
    }
    if asked.is_some_and(|t| t != super::exchange::ACCESS_TOKEN) {
        return Err(no("invalid_request", Refusal::Malformed, "another type of token than is given here"));
    }
    let text = params.one("subject_token").ok_or(no("invalid_request", Refusal::Malformed, "subject_token is missing"))?;
    let jws = Jws::parse(text).map_err(|_| bad("a platform's token that is no JWT"))?;
    let claimed: Claims = jws.unverified().map_err(|_| bad("a platform's token without iss, aud, exp and iat"))?;
    // Whose it claims to be only finds the keys.
    let platform = app.config.platforms.iter().find(|p| p.issuer == claimed.iss).ok_or(bad("a token of no platform that is listed"))?;
    if !platform.algs.contains(&jws.alg()) {
        return Err(bad("a platform's token with an algorithm that is not agreed"));
    }
    let all: Map<String, Value> = verified(app, platform, &jws).await?;
    let c: Claims = serde_json::from_value(Value::Object(all.clone())).map_err(|_| bad("claims that cannot be read"))?;
    let ours = platform.audience.as_deref().unwrap_or(&app.config.issuer);
    if c.aud.only() != Some(ours) {
        return Err(bad("a platform's token that is not for us alone"));
    }
    let now_s = r.ctx.now.seconds();
    if now_s >= c.exp.seconds() || c.exp.seconds() - c.iat.seconds() > platform.life_s {
        return Err(bad("a platform's token that has expired, or lives too long"));
    }
    if [Some(&c.iat), c.nbf.as_ref()].into_iter().flatten().any(|t| t.seconds() > now_s + SLACK_S) {
        return Err(bad("a platform's token from the future"));
    }
    let mut meant = platform.workloads.iter().filter(|m| m.means(&all)).map(|m| &m.workload);
    let (Some(name), None) = (meant.next(), meant.next()) else {
        return Err(no("invalid_request", Refusal::Denied, "a platform's token that means no workload, or several"));
    };
    if params.one("client_id").is_some_and(|id| id != name.as_str()) {
        return Err(no("invalid_request", Refusal::Denied, "a platform's token that means another workload"));
    }
    let stored = app.store.workload_by_client(name).await.map_err(Fault::from)?;
    let vouched = stored.filter(|s| s.workload.facts.platform.as_deref() == Some(platform.id.as_str()));
    let stored = vouched.ok_or(no("invalid_request", Refusal::Denied, "no workload that names this platform"))?;
    r.ctx.known_as("client", name.as_str());
    let token = PlatformToken { digest: hashed(jws.signed().as_bytes()), until: Time::from_seconds(c.exp.seconds() + 1) };
    let mut told = mint_for(app, r, params, &stored, &ShownBy::Platform(&token)).await?;
    if let Some(map) = told.as_object_mut() {
        map.insert("issued_token_type".into(), super::exchange::ACCESS_TOKEN.into());
    }
    Ok(told)
}

/// The claims, if a key of the platform signed them. Keys that are unknown are fetched anew, not too often.
async fn verified(app: &App, platform: &Platform, jws: &Jws<'_>) -> Result<Map<String, Value>, No> {
    let by = |keys: &[IssuerKey]| IssuerKey::verify(keys, jws);
    let claims = match &platform.jwks_uri {
        None => by(&filed(platform).await?),
        Some(address) => {
            let keys = async |fresh| ssf::hear::keys_at(app, &format!("platform/{}", platform.id), address, platform.allow_private_network, fresh).await;
            match by(&keys(ssf::hear::KEYS).await?) {
                None => by(&keys(ssf::hear::KEYS_AGAIN).await?),
                found => found,
            }
        }
    };
    claims.and_then(|c| c.read().ok()).ok_or(bad("a platform's token that no key of it signed"))
}

async fn filed(platform: &Platform) -> Result<Arc<Vec<IssuerKey>>, No> {
    let gone = || no("temporarily_unavailable", Refusal::Unavailable, "a platform's keys cannot be read");
    let path = platform.jwks_file.as_ref().ok_or_else(gone)?;
    let text = tokio::fs::read(path).await.map_err(|_| gone())?;
    let set: Value = serde_json::from_slice(&text).map_err(|_| gone())?;
    Ok(Arc::new(IssuerKey::set(&set)))
}
