//! What Countersign signs for clients: access tokens (RFC 9068), ID tokens (OpenID Connect Core §2),
//! log-out tokens (Back-Channel Logout §2.4).

use crate::app::{App, Fault};
use countersign_trust::client::Client;
use countersign_trust::issuance::WorkloadPermit;
use countersign_trust::session::SessionFacts;
use countersign_trust::workload::Workload;
use countersign_trust::{Refusal, limits};
use countersign_wire::jose::{Alg, jws};
use countersign_wire::{GrantId, Thumbprint, Time, TokenId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// `typ` of an access token.
pub const ACCESS: &str = "at+jwt";
/// `typ` of an ID token.
pub const ID: &str = "JWT";
/// `typ` of a log-out token.
pub const LOGOUT: &str = "logout+jwt";
/// `typ` of a signed authorization response.
pub const RESPONSE: &str = "authorization-response+jwt";
/// `typ` of a signed answer about a token.
pub const INTROSPECTION: &str = "token-introspection+jwt";
/// The event a log-out token carries.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Life of a log-out token, seconds (at most two minutes by Back-Channel Logout §2.4).
const LOGOUT_S: i64 = 120;

/// `aud`: whom a JWT is for (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One reader.
    One(String),
    /// Several.
    List(Vec<String>),
}

impl Audience {
    /// Whether `reader` is among them.
    pub fn has(&self, reader: &str) -> bool {
        match self {
            Audience::One(one) => one == reader,
            Audience::List(list) => list.iter().any(|a| a == reader),
        }
    }
    /// The reader, if there is exactly one.
    pub fn only(&self) -> Option<&str> {
        match self {
            Audience::One(one) => Some(one),
            Audience::List(list) => match list.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }
}

/// Signs claims with the key in use for `alg`, which is made if there is none yet.
pub async fn sign(app: &App, alg: Alg, typ: &str, claims: &Value) -> Result<String, Fault> {
    ensure(app, alg).await?;
    sign_now(app, alg, typ, claims)
}

/// Makes sure that there is a key for `alg`.
pub async fn ensure(app: &App, alg: Alg) -> Result<(), Fault> {
    let broken = |_| Fault::because(Refusal::Unavailable, "no signing key");
    app.keys.ensure(&app.store, alg).await.map_err(broken)
}

/// Signs claims with the key in use for `alg`, which must be there.
pub fn sign_now(app: &App, alg: Alg, typ: &str, claims: &Value) -> Result<String, Fault> {
    let broken = |why| Fault::because(Refusal::Unavailable, why);
    let signer = app.keys.signer(alg).ok_or(broken("no signing key"))?;
    let mut header = Map::new();
    header.insert("typ".into(), typ.into());
    header.insert("kid".into(), signer.kid().as_str().into());
    let payload = serde_json::to_vec(claims).map_err(|_| broken("claims"))?;
    jws::encode(header, &payload, &*signer).map_err(|_| broken("signing"))
}

/// What tokens of one answer share.
pub struct Shared<'a> {
    /// Our issuer.
    pub issuer: &'a str,
    /// The session they speak for.
    pub session: &'a SessionFacts,
    /// The grant that access tokens name.
    pub grant: &'a GrantId,
    /// The client they are for.
    pub client: &'a Client,
    /// Scopes that the gate left.
    pub scopes: &'a [String],
    /// The only audience, where one was asked for (RFC 8707).
    pub resource: Option<&'a str>,
    /// Authorization details as approved (RFC 9396 §9.1).
    pub details: &'a [Value],
    /// The client's key; `None` for a client that may use bearer tokens.
    pub jkt: Option<&'a Thumbprint>,
    /// When.
    pub now: Time,
}

impl Shared<'_> {
    /// Until when the access token is good: never beyond the session, nor beyond a right that it carries.
    pub fn access_until(&self) -> Time {
        let life_s = if self.jkt.is_some() { limits::ACCESS_S } else { limits::BEARER_S };
        let until = self.now.plus_s(life_s).min(self.session.until);
        let carried = self.session.rights.iter().filter(|r| r.client == self.client.id && self.scopes.contains(&r.scope));
        carried.map(|r| r.until).fold(until, Time::min)
    }

    fn common(&self) -> Map<String, Value> {
        let s = self.session;
        // What the ceremony showed, and what the approval was worth to this client.
        let mut shown = s.shown.clone();
        if let Some(map) = shown.as_object_mut() {
            map.insert("boundary".into(), self.client.boundary.as_str().into());
        }
        let value = json!({
            "iss": self.issuer,
            "sub": s.person.as_str(),
            "iat": self.now.seconds(),
            "acr": s.earned.acr(),
            "amr": s.earned.amr(s.attested),
            "auth_time": s.auth_time.seconds(),
            "sid": s.id.as_str(),
            "cs": shown,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Claims of the access token.
    pub fn access(&self, id: &TokenId) -> Value {
        let mut map = self.common();
        let audience = match self.resource.or(self.client.audience.as_deref()) {
            // The second is for our own userinfo endpoint, which a token for one resource serves only where it may.
            Some(audience) if self.resource.is_some() && !self.scopes.iter().any(|s| s == "openid") => json!(audience),
            Some(audience) => json!([audience, self.issuer]),
            None => json!(self.issuer),
        };
        map.insert("aud".into(), audience);
        map.insert("exp".into(), self.access_until().seconds().into());
        map.insert("jti".into(), id.as_str().into());
        map.insert("grant_id".into(), self.grant.as_str().into());
        map.insert("client_id".into(), self.client.id.as_str().into());
        map.insert("scope".into(), self.scopes.join(" ").into());
        if !self.details.is_empty() {
            map.insert("authorization_details".into(), json!(self.details));
        }
        if let Some(jkt) = self.jkt {
            map.insert("cnf".into(), json!({ "jkt": jkt.as_str() }));
        }
        Value::Object(map)
    }

    /// Claims of the ID token.
    pub fn id(&self, nonce: Option<&str>) -> Value {
        let mut map = self.common();
        map.insert("aud".into(), self.client.id.as_str().into());
        map.insert("exp".into(), self.now.plus_s(limits::ID_TOKEN_S).min(self.session.until).seconds().into());
        if let Some(nonce) = nonce {
            map.insert("nonce".into(), nonce.into());
        }
        Value::Object(map)
    }
}

/// What a workload's token says.
pub struct WorkloadShared<'a> {
    /// Our issuer.
    pub issuer: &'a str,
    /// Whose.
    pub workload: &'a Workload,
    /// The gate's permit.
    pub permit: &'a WorkloadPermit,
    /// Its DPoP key; `None` where it may use bearer tokens.
    pub jkt: Option<&'a Thumbprint>,
    /// When.
    pub now: Time,
}

impl WorkloadShared<'_> {
    /// Until when the token is good.
    pub fn until(&self) -> Time {
        self.workload.token_until(self.jkt.is_some(), self.now)
    }

    /// Claims of the access token (RFC 9068 §2.2). `workload` tells it from a person's token, which has
    /// `sid` and `acr` instead.
    pub fn access(&self, id: &TokenId) -> Value {
        let w = self.workload;
        let mut value = json!({
            "iss": self.issuer,
            "sub": self.permit.workload().as_str(),
            "aud": self.permit.audience(),
            "client_id": w.client.as_str(),
            "iat": self.now.seconds(),
            "exp": self.until().seconds(),
            "jti": id.as_str(),
            "workload": { "owner": w.owner.as_str(), "environment": w.facts.environment },
        });
        if let Some(map) = value.as_object_mut() {
            if !self.permit.scopes().is_empty() {
                map.insert("scope".into(), self.permit.scopes().join(" ").into());
            }
            if let Some(jkt) = self.jkt {
                map.insert("cnf".into(), json!({ "jkt": jkt.as_str() }));
            }
        }
        value
    }
}

/// What a token says with which a workload acts for a person (RFC 8693 §4.1).
pub struct Delegated<'a> {
    /// What the person's own tokens say, with what is left of it.
    pub shared: Shared<'a>,
    /// Who acts.
    pub workload: &'a Workload,
    /// For whom it acts: the `act` of the token that it was handed.
    pub before: Option<&'a Value>,
    /// The gate's permit.
    pub permit: &'a WorkloadPermit,
    /// The tokens that it came from, the person's own first.
    pub chain: &'a [TokenId],
    /// When the one before it ends.
    pub parent_until: Time,
}

impl Delegated<'_> {
    /// Until when it is good: never beyond what it came from.
    pub fn until(&self) -> Time {
        self.workload.token_until(true, self.shared.now).min(self.parent_until).min(self.shared.access_until())
    }

    /// Its claims. It is a person's token and says so by `sid`; `act` tells who holds it.
    pub fn access(&self, id: &TokenId) -> Value {
        let mut value = self.shared.access(id);
        let w = self.workload;
        let mut act = json!({ "sub": w.id.as_str(), "client_id": w.client.as_str() });
        if let (Some(before), Some(map)) = (self.before, act.as_object_mut()) {
            map.insert("act".into(), before.clone());
        }
        if let Some(map) = value.as_object_mut() {
            map.insert("aud".into(), self.permit.audience().into());
            map.insert("exp".into(), self.until().seconds().into());
            map.insert("client_id".into(), w.client.as_str().into());
            map.insert("scope".into(), self.permit.scopes().join(" ").into());
            map.insert("act".into(), act);
            map.insert("chain".into(), self.chain.iter().map(TokenId::as_str).collect());
        }
        value
    }
}

/// Claims of a log-out token. It has no `nonce`, so that it never passes for an ID token.
pub fn logout(issuer: &str, client: &str, person: &str, session: &str, jti: &str, now: Time) -> Value {
    json!({
        "iss": issuer,
        "sub": person,
        "aud": client,
        "iat": now.seconds(),
        "exp": now.plus_s(LOGOUT_S).seconds(),
        "jti": jti,
        "sid": session,
        "events": { LOGOUT_EVENT: {} },
    })
}
