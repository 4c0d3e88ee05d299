//! An access token of ours that comes back: what it says, and whether it still counts.

use super::jwt::{self, Audience};
use crate::app::issue::{Ground, WorkloadVetoes, gate_in_session, gate_workload};
use crate::app::{App, Fault};
use countersign_store::Write;
use countersign_store::sql::StoredWorkload;
use countersign_trust::Refusal;
use countersign_trust::issuance::{Permit, Product};
use countersign_wire::dpop::NumericDate;
use countersign_wire::{ClientId, GrantId, PersonId, SessionId, Time, TokenId, WorkloadId};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What an access token says, as far as the server asks.
#[derive(Deserialize)]
pub struct Claims {
    iss: String,
    aud: Audience,
    sub: PersonId,
    exp: NumericDate,
    jti: TokenId,
    scope: String,
    sid: SessionId,
    /// The grant it came from.
    pub grant_id: GrantId,
    /// Whom it was made for.
    pub client_id: ClientId,
    /// The key it is bound to.
    #[serde(default)]
    pub cnf: Option<Bound>,
}

/// RFC 7800 §3.1, RFC 9449 §6.1.
#[derive(Deserialize)]
pub struct Bound {
    /// Thumbprint of the key.
    pub jkt: String,
}

/// What an access token of ours says, if it says all that its kind must.
fn read<T: serde::de::DeserializeOwned>(app: &App, text: &str) -> Option<(T, Map<String, Value>)> {
    let own = app.keys.verify_own(text)?;
    let ours = own.typ.as_deref() == Some(jwt::ACCESS);
    ours.then(|| Some((own.claims.read().ok()?, own.claims.read().ok()?))).flatten()
}

/// An access token that this server signed; whether it counts is still to be asked.
pub struct Access {
    /// What the server asks of it.
    pub claims: Claims,
    /// All it says.
    pub all: Map<String, Value>,
}

impl Access {
    /// Reads one; `None` if it is not an access token of this server.
    pub fn read(app: &App, text: &str) -> Option<Access> {
        let (claims, all) = read::<Claims>(app, text)?;
        (claims.iss == app.config.issuer).then_some(Access { claims, all })
    }

    /// Whom it speaks for.
    pub fn person(&self) -> &PersonId {
        &self.claims.sub
    }
    /// The session it speaks for.
    pub fn session(&self) -> &SessionId {
        &self.claims.sid
    }
    /// When it was made, to the millisecond.
    pub fn made(&self) -> Time {
        self.claims.jti.made()
    }
    /// Whether `audience` is among those it was made for.
    pub fn is_for(&self, audience: &str) -> bool {
        self.claims.aud.has(audience)
    }

    /// Whether it counts now: its time, its grant, its session, and the one gate.
    pub async fn permit(&self, app: &App, product: Product, now: Time) -> Result<Permit, Fault> {
        let dead = |why| Fault::because(Refusal::Gone, why);
        let c = &self.claims;
        if now.seconds() >= c.exp.seconds() {
            return Err(dead("a token that has expired"));
        }
        let grant = app.store.grant(&c.grant_id).await?.ok_or(dead("a token of no grant"))?;
        if !grant.counts(self.made(), now) || grant.session != c.sid || grant.client != c.client_id {
            return Err(dead("a token that was revoked"));
        }
        let session = app.store.session(&c.sid).await?.ok_or(dead("no session"))?;
        if session.facts.person != c.sub {
            return Err(dead("a session of another person"));
        }
        let scopes: Vec<String> = c.scope.split(' ').map(str::to_owned).collect();
        Ok(gate_in_session(app, product, &c.client_id, &Ground::of(&session, &[], &scopes), now).await?.0)
    }
}

/// What a workload's token says, as far as the server asks. Neither kind of token reads as the other:
/// a person's has a session and no `workload`, this one has no session.
#[derive(Deserialize)]
pub struct WorkloadClaims {
    iss: String,
    aud: String,
    sub: WorkloadId,
    exp: NumericDate,
    jti: TokenId,
    #[serde(default)]
    scope: String,
    workload: Map<String, Value>,
    /// Whom it was made for.
    pub client_id: ClientId,
    /// The key it is bound to.
    #[serde(default)]
    pub cnf: Option<Bound>,
}

/// A workload's token that this server signed; whether it counts is still to be asked.
pub struct WorkloadAccess {
    /// What the server asks of it.
    pub claims: WorkloadClaims,
    /// All it says.
    pub all: Map<String, Value>,
}

/// What tokens that were given back are kept under, until they would have run out.
const GIVEN_BACK: &str = "workload-token";

impl WorkloadAccess {
    /// Reads one; `None` if it is none of this server.
    pub fn read(app: &App, text: &str) -> Option<WorkloadAccess> {
        let (claims, all) = read::<WorkloadClaims>(app, text)?;
        let ours = claims.iss == app.config.issuer && !claims.workload.is_empty() && !all.contains_key("sid");
        ours.then_some(WorkloadAccess { claims, all })
    }
    /// Whether it was made for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.claims.aud == audience
    }
    /// Its own id.
    pub fn id(&self) -> &TokenId {
        &self.claims.jti
    }
    /// Whether there is anything to give back.
    pub async fn is_open(&self, app: &App, now: Time) -> Result<bool, Fault> {
        let runs = now.seconds() < self.claims.exp.seconds();
        Ok(runs && !app.store.is_burnt(GIVEN_BACK, self.claims.jti.as_str()).await?)
    }
    /// What gives it back.
    pub fn given_back(&self) -> Write {
        Write::burnt(GIVEN_BACK, self.claims.jti.as_str(), Time::from_seconds(self.claims.exp.seconds() + 1))
    }

    /// Whether it counts now: its time, its workload, and the one gate.
    pub async fn permit(&self, app: &App, now: Time) -> Result<StoredWorkload, Fault> {
        let dead = |why| Fault::because(Refusal::Gone, why);
        let c = &self.claims;
        if !self.is_open(app, now).await? {
            return Err(dead("a token that has expired or was given back"));
        }
        let stored = app.store.workload(&c.sub).await?.ok_or(dead("no workload"))?;
        if c.jti.made() < stored.access_after || stored.workload.client != c.client_id {
            return Err(dead("a token that was revoked"));
        }
        let scopes: Vec<String> = c.scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let vetoes = WorkloadVetoes::of(app, stored).await?;
        gate_workload(app, &vetoes, &c.aud, &scopes, c.cnf.is_some(), now)?;
        Ok(vetoes.stored)
    }
}
