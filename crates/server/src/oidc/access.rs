//! An access token of ours that comes back: what it says, and whether it still counts.

use super::jwt::{self, Audience};
use crate::app::issue::{Ground, gate_in_session};
use crate::app::{App, Fault};
use countersign_trust::Refusal;
use countersign_trust::issuance::{Permit, Product};
use countersign_wire::dpop::NumericDate;
use countersign_wire::{ClientId, GrantId, PersonId, SessionId, Time, TokenId};
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
        let own = app.keys.verify_own(text)?;
        if own.typ.as_deref() != Some(jwt::ACCESS) {
            return None;
        }
        let claims: Claims = own.claims.read().ok()?;
        let all = own.claims.read().ok()?;
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
