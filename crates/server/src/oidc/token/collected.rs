//! What a person approved elsewhere becomes tokens, once, for the client that asked: the device grant
//! (RFC 8628 §3.4, §3.5) and CIBA (Core 1.0 §10.1).
//!
//! 1. The client shows who it is, as when it asked, and the same key if it showed one then.
//! 2. The state answers until there is something: `authorization_pending`, `slow_down`,
//!    `access_denied`, `expired_token`.
//! 3. Session and tokens pass the one gate, which re-reads every fact, and come in one commit with the
//!    end of the ceremony. A second question takes back what the first got.

use super::code::{ANOTHER_RESOURCE, resource_of};
use super::first::{First, Given};
use super::{Asked, No, no};
use crate::app::Fault;
use crate::app::ceremony::Around;
use crate::app::ceremony::collect::{self, is_bound};
use crate::app::issue::{Ground, gate};
use crate::app::once::burn;
use crate::oidc::client_auth::Used;
use countersign_store::sql::grant_of;
use countersign_trust::Refusal;
use countersign_trust::ceremony::collect::ClientGrant;
use countersign_trust::client::Client;
use countersign_trust::detail;
use countersign_trust::issuance::Product;
use serde_json::Value;

/// RFC 8628 §3.4.
pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// CIBA Core 1.0 §10.1.
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// The grant of this name, if it is one of these.
pub(super) fn grant(name: &str) -> Option<ClientGrant> {
    match name {
        DEVICE => Some(ClientGrant::DeviceCode),
        CIBA => Some(ClientGrant::Ciba),
        _ => None,
    }
}

/// Whether a client is registered for a grant.
pub(in crate::oidc) fn may(client: &Client, grant: ClientGrant) -> Result<(), No> {
    let listed = match grant {
        ClientGrant::DeviceCode => client.device_grant,
        ClientGrant::Ciba => client.ciba.is_some(),
    };
    if listed { Ok(()) } else { Err(no("unauthorized_client", Refusal::Denied, "this client is not registered for this grant")) }
}

/// Collects.
pub(super) async fn exchange(asked: &Asked<'_>, grant: ClientGrant) -> Result<Value, No> {
    let name = match grant {
        ClientGrant::DeviceCode => "device_code",
        ClientGrant::Ciba => "auth_req_id",
    };
    let missing = no("invalid_request", Refusal::Malformed, "device_code or auth_req_id is missing");
    let text = asked.params.one(name).ok_or(missing)?;
    asked.app.judged_anew(|n| attempt(asked, grant, text, n)).await.map_err(|fault| {
        let error = match fault.refusal {
            Refusal::Pending => "authorization_pending",
            Refusal::SlowDown => "slow_down",
            Refusal::Denied if fault.because == ANOTHER_RESOURCE => "invalid_target",
            Refusal::Denied | Refusal::TooFar => "access_denied",
            Refusal::Expired => "expired_token",
            _ => return fault.into(),
        };
        No { error, fault }
    })
}

async fn attempt(asked: &Asked<'_>, grant: ClientGrant, text: &str, n: usize) -> Result<Value, Fault> {
    let Asked { app, r, known, proof, .. } = *asked;
    let ctx = &r.ctx.anew(app, n);
    let client = &known.stored.client;
    if n > 0 {
        asked.refuse_repetition().await?;
    }
    let c = collect::find(app, text, grant, &known.stored, proof.map(|p| &p.jkt)).await?;
    ctx.known_as("ceremony", c.opening.id.as_str());
    if !is_bound(&c) && !client.danger_allow_unbound_collector {
        return Err(Fault::because(Refusal::Gone, "it was begun without a key, which is allowed no more"));
    }
    let granted = c.opening.collects.as_ref().and_then(|c| c.resource.as_deref());
    let resource = resource_of(asked.params, client, granted)?;
    let taken = collect::collect(app, ctx, &c).await?;
    let o = &c.opening;
    let scopes = taken.session.facts.scopes_at(Some(client), ctx.now);
    let ground = Ground::of(&taken.session, &o.acr_values, &scopes).about(detail::types(&o.asked.details));
    let permit = match gate(app, Product::Tokens, &taken.vetoes, &ground, ctx.now) {
        Ok((permit, _)) => permit,
        Err(fault) => return Err(collect::refused(app, ctx, &c, fault).await?),
    };
    proof.into_iter().for_each(|p| r.trusts(&p.jkt));
    let first = First {
        session: &taken.session,
        txn: &o.txn,
        grant: grant_of(&o.collector_hash, o.at),
        hash: &o.collector_hash,
        scopes: permit.scopes(),
        details: o.asked.details.iter().map(|d| d.asked.clone()).collect(),
        acr_values: &o.acr_values,
        nonce: None,
        id_claims: &[],
        resource,
    };
    let Given { answer, write, event } = asked.first(first, ctx.now).await?;
    let mut also = Around { events: vec![event], writes: vec![write], ..Around::default() };
    also.writes.extend(proof.map(burn));
    also.writes.extend(known.assertion.as_ref().map(Used::burn));
    taken.keep(app, ctx, &c, also).await?;
    Ok(answer)
}
