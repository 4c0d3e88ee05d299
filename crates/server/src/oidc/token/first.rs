//! The first tokens of a grant, whatever it is given for.

use super::Asked;
use crate::app::Fault;
use crate::oidc::claims;
use crate::oidc::jwt::{self, Shared};
use countersign_store::Write;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::grant::{Grant, GrantFacts, Renewal};
use countersign_trust::session::Session;
use countersign_wire::refresh::RefreshToken;
use countersign_wire::{GrantId, Time, TokenId, TxnId};
use serde_json::Value;

/// What they are made from, judged by the gate.
pub(super) struct First<'a> {
    pub(super) session: &'a Session,
    pub(super) txn: &'a TxnId,
    pub(super) grant: GrantId,
    /// H of the secret that it is given for.
    pub(super) hash: &'a str,
    /// Those that the gate left.
    pub(super) scopes: &'a [String],
    pub(super) details: Vec<Value>,
    pub(super) acr_values: &'a [String],
    pub(super) nonce: Option<&'a str>,
    pub(super) id_claims: &'a [String],
    /// The one resource that it is for, where one was named (RFC 8707).
    pub(super) resource: Option<&'a str>,
}

/// What is told, kept and recorded.
pub(super) struct Given {
    pub(super) answer: Value,
    pub(super) write: Write,
    pub(super) event: Event,
}

impl Asked<'_> {
    /// Makes them; nothing is kept yet.
    pub(super) async fn first(&self, f: First<'_>, now: Time) -> Result<Given, Fault> {
        let (app, client) = (self.app, &self.known.stored.client);
        let jkt = self.proof.map(|p| &p.jkt);
        // What would be bound to a key needs one to be bound to.
        let renewable = client.may_refresh(f.scopes) && (jkt.is_some() || !client.binds_refresh());
        let refresh = renewable.then(|| RefreshToken::first(f.grant.clone(), app.random(), app.random()));
        let about = &f.session.facts;
        let shared = Shared {
            issuer: &app.config.issuer,
            session: about,
            grant: &f.grant,
            client,
            scopes: f.scopes,
            resource: f.resource,
            details: &f.details,
            jkt,
            now,
        };
        let id = TokenId::new(now, app.id10());
        let mut answer = self.told(&shared, &id, refresh.as_ref()).await?;
        if f.scopes.iter().any(|s| s == "openid") {
            let mut told = shared.id(f.nonce);
            if !f.id_claims.is_empty() && f.scopes.iter().any(|s| s == claims::SCOPE) {
                claims::add(app, &about.person, f.id_claims, &mut told).await?;
            }
            let token = jwt::sign(app, client.id_token_alg, jwt::ID, &told).await?;
            if let Some(map) = answer.as_object_mut() {
                map.insert("id_token".into(), token.into());
            }
        }
        let mut event = self.record(Kind::TokensIssued, f.txn, f.session, &shared, &id).fact("refresh", refresh.is_some());
        event.ceremony.clone_from(&about.ceremony);
        let made = Grant {
            id: f.grant.clone(),
            version: 0,
            session: about.id.clone(),
            client: client.id.clone(),
            ended: None,
            until: about.until,
            access_after: Time(0),
            renewal: refresh.as_ref().map(|token| renewal(token, now)),
            facts: GrantFacts {
                txn: f.txn.clone(),
                scopes: f.scopes.to_vec(),
                details: f.details.clone(),
                acr_values: f.acr_values.to_vec(),
                resource: f.resource.map(str::to_owned),
                jkt: jkt.cloned(),
            },
        };
        Ok(Given { answer, write: Write::grant_made(&made, f.hash), event })
    }
}

fn renewal(token: &RefreshToken, now: Time) -> Renewal {
    Renewal { family: token.family_hash(), current: token.own_hash(), former: None, at: now, k: 0 }
}
