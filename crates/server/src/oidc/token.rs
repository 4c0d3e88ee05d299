//! `/token` (RFC 6749 §3.2): what a client shows becomes tokens.
//!
//! 1. The client shows who it is, by the one method it registered.
//! 2. It proves its key with a nonce of ours (RFC 9449 §8), which for a renewal only a key has whose
//!    trust holds ([`crate::app::nonces`]); bearer tokens only where a client is registered so.
//! 3. [`code`] takes a code, once; [`collected`] what was approved elsewhere, once; [`refresh`] takes a
//!    refresh token, each once. [`workload`] serves
//!    programs that act for themselves, and shares no step with people but the gate. [`exchange`] lets
//!    one act for a person, and takes the word of its platform ([`platform`]) for who it is.
//! 4. The one gate re-reads every fact. What was shown is used up, the proof burnt and the grant
//!    written down in one commit, guarded by every version the decision rested on.
//! 5. What comes again takes back what it gave.

pub(super) mod code;
pub(super) mod collected;
mod exchange;
mod first;
mod platform;
mod refresh;
mod workload;

use super::answer::{self, No, kept_by_nobody, no, refused};
use super::client_auth::{Known, Used};
use super::jwt::{self, Shared};
use super::params::Params;
use crate::app::{App, Fault, once};
use crate::http::answer::put_nonce_for;
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::client::Refresh;
use countersign_trust::session::Session;
use countersign_wire::dpop::Proof;
use countersign_wire::jose::Alg;
use countersign_wire::refresh::RefreshToken;
use countersign_wire::{TokenId, TxnId};
use serde_json::{Value, json};
use std::sync::Arc;

/// The grants there are, for the discovery document.
pub const GRANTS: [&str; 6] =
    ["authorization_code", "refresh_token", workload::GRANT, exchange::GRANT, collected::DEVICE, collected::CIBA];

fn dead(because: &'static str) -> Fault {
    Fault::because(Refusal::Gone, because)
}

/// A request by a client that showed who it is.
struct Asked<'a> {
    app: &'a App,
    r: &'a Incoming,
    params: &'a Params,
    known: &'a Known,
    proof: Option<&'a Proof>,
}

/// `POST /token`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match exchange(&app, &r, &body).await {
        Ok(tokens) => {
            let mut response = Json(tokens).into_response();
            put_nonce_for(&app, &r, &mut response);
            kept_by_nobody(response)
        }
        Err(no) => refused(&app, &r, "token", no).await,
    }
}

async fn exchange(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    let params = answer::form(r, body)?;
    match params.one("grant_type") {
        Some(workload::GRANT) => return workload::mint(app, r, &params).await,
        Some(exchange::GRANT) => return exchange::take(app, r, &params).await,
        _ => {}
    }
    let known = answer::client(app, r, &params).await?;
    let grant = params.one("grant_type").ok_or(no("invalid_request", Refusal::Malformed, "grant_type is missing"))?;
    if !GRANTS.contains(&grant) {
        return Err(no("unsupported_grant_type", Refusal::Malformed, "an unknown grant_type"));
    }
    let client = &known.stored.client;
    if grant == "refresh_token" && client.refresh == Refresh::Never {
        return Err(no("unauthorized_client", Refusal::Denied, "this client is not registered for refresh tokens"));
    }
    let collected = collected::grant(grant);
    if let Some(one) = collected {
        collected::may(client, one)?;
    }
    // Whether a renewal may have a nonce is known only when its session was judged.
    let renews = grant == "refresh_token";
    let proof = if renews { answer::proof_to_be_judged(app, r, client) } else { answer::proof(app, r, client) }?;
    if proof.is_none() && !client.danger_allow_bearer {
        return Err(no("invalid_dpop_proof", Refusal::BadProof, "no proof"));
    }
    let asked = Asked { app, r, params: &params, known: &known, proof: proof.as_ref() };
    match (collected, grant) {
        (Some(one), _) => collected::exchange(&asked, one).await,
        (None, "refresh_token") => refresh::renew(&asked).await,
        (None, _) => code::exchange(&asked).await,
    }
}

/// What is written down where an assertion comes again.
const ASSERTED_AGAIN: &str = "an assertion that was used before";

/// The same message sent twice is told so, without harm to what its first copy got.
pub(super) async fn refuse_repetition(app: &App, proof: Option<&Proof>, assertion: Option<&Used>) -> Result<(), Fault> {
    if let Some(proof) = proof
        && once::is_burnt(app, proof).await?
    {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    if let Some(used) = assertion
        && used.is_burnt(app).await?
    {
        return Err(Fault::because(Refusal::BadProof, ASSERTED_AGAIN));
    }
    Ok(())
}

/// RFC 6749 §7.1, RFC 9449 §5.
pub(super) fn token_type(bound: bool) -> &'static str {
    if bound { "DPoP" } else { "Bearer" }
}

impl Asked<'_> {
    async fn refuse_repetition(&self) -> Result<(), Fault> {
        refuse_repetition(self.app, self.proof, self.known.assertion.as_ref()).await
    }

    /// An access token and what is told with it (RFC 6749 §5.1).
    async fn told(&self, shared: &Shared<'_>, id: &TokenId, refresh: Option<&RefreshToken>) -> Result<Value, Fault> {
        let mut answer = json!({
            "access_token": jwt::sign(self.app, Alg::ES256, jwt::ACCESS, &shared.access(id)).await?,
            "token_type": token_type(shared.jkt.is_some()),
            "expires_in": shared.access_until().seconds() - shared.now.seconds(),
            "scope": shared.scopes.join(" "),
        });
        if let (false, Some(map)) = (shared.details.is_empty(), answer.as_object_mut()) {
            // RFC 9396 §7.
            map.insert("authorization_details".into(), json!(shared.details));
        }
        if let (Some(token), Some(map)) = (refresh, answer.as_object_mut()) {
            map.insert("refresh_token".into(), token.text().into());
        }
        Ok(answer)
    }

    /// The record of an access token.
    fn record(&self, kind: Kind, txn: &TxnId, session: &Session, shared: &Shared<'_>, id: &TokenId) -> Event {
        let mut event = self
            .app
            .session_event(kind, txn, &session.facts.id, shared.now)
            .fact("token", id.as_str())
            .fact("grant", shared.grant.as_str())
            .fact("scopes", shared.scopes.to_vec())
            .fact("bound", shared.jkt.is_some())
            .fact("boundary", shared.client.boundary.as_str())
            .fact("until", shared.access_until().seconds());
        event.person = Some(session.facts.person.clone());
        event.device = Some(session.facts.device.clone());
        event.client = Some(shared.client.id.clone());
        event
    }
}
