//! `/revoke` (RFC 7009): a client gives back what it was given.
//!
//! 1. Any refresh token of a grant, the good one or one before it, ends the grant with everything
//!    that names it.
//! 2. An access token ends, with those of its grant that are older; what can be renewed stays. A grant
//!    that cannot be renewed ends with it.
//! 3. A workload's token ends alone; one with which it acts for a person takes along what came of it.
//! 4. A token that never was, ended before, or is another client's changes nothing, and the answer is
//!    the same.

use super::access::{Access, WorkloadAccess};
use super::answer::{self, No, Party, kept_by_nobody, no, refused};
use super::client_auth::Used;
use super::record;
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::{Commit, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::grant::{Grant, Shown};
use countersign_wire::{ClientId, Time, TokenId};
use countersign_wire::refresh::RefreshToken;
use std::sync::Arc;

/// Why grants end here.
const WHY: &str = "client_revoked";

/// `POST /revoke`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match revoke(&app, &r, &body).await {
        Ok(()) => kept_by_nobody(StatusCode::OK.into_response()),
        Err(no) => refused(&app, &r, "revoke", no).await,
    }
}

async fn revoke(app: &App, r: &Incoming, body: &[u8]) -> Result<(), No> {
    let params = answer::form(r, body)?;
    let party = answer::party(app, r, &params, false).await?;
    let token = params.one("token").ok_or(no("invalid_request", Refusal::Malformed, "token is missing"))?;
    match app.judged_anew(|_| attempt(app, r, &party, token)).await {
        Err(fault) if fault.refusal == Refusal::Denied => {
            record(app, &r.ctx, "revoke", &fault).await.map_err(|instead| Fault::from(instead).recorded().into())
        }
        done => Ok(done?),
    }
}

/// What a token is worth taking back.
enum Found {
    Nothing,
    Whole(Grant),
    Access(Grant, Time),
    /// A token that a workload holds: its client id, its own id, and what gives it back.
    Held(ClientId, TokenId, Write),
}

async fn attempt(app: &App, r: &Incoming, party: &Party, text: &str) -> Result<(), Fault> {
    let found = find(app, text, r.ctx.now).await?;
    let whose = match &found {
        Found::Nothing => return Ok(()),
        Found::Whole(grant) | Found::Access(grant, _) => &grant.client,
        Found::Held(client, ..) => client,
    };
    if whose != party.id() {
        return Err(Fault::because(Refusal::Denied, "a token of another client"));
    }
    if let Found::Held(client, id, given_back) = found {
        let mut event = app.event(Kind::TokensRevoked, &r.ctx.txn, r.ctx.now).fact("token", id.as_str()).fact("what", "workload");
        event.client = Some(client);
        let mut commit = Commit::new(event);
        commit.write(given_back).writes(party.assertion().map(Used::burn));
        app.commit(commit).await?;
        return Ok(());
    }
    let (Found::Whole(grant) | Found::Access(grant, _)) = &found else { return Ok(()) };
    let (what, write) = match &found {
        Found::Access(_, after) if grant.renewal.is_some() => ("access", Write::access_ended(&grant.id, *after)),
        _ => ("grant", Write::grant_ended(&grant.id, WHY)),
    };
    let mut event = app
        .session_event(Kind::TokensRevoked, &grant.facts.txn, &grant.session, r.ctx.now)
        .fact("grant", grant.id.as_str())
        .fact("what", what);
    event.client = Some(grant.client.clone());
    let mut commit = Commit::new(event);
    commit.write(write).writes(party.assertion().map(Used::burn));
    app.commit(commit).await?;
    Ok(())
}

async fn find(app: &App, text: &str, now: Time) -> Result<Found, Fault> {
    if let Ok(token) = RefreshToken::parse(text) {
        let grant = app.store.grant(token.grant()).await?.filter(|g| g.ended.is_none());
        let genuine = |g: &Grant| g.renewal.as_ref().is_some_and(|r| r.judge(&token, now) != Shown::Unknown);
        return Ok(grant.filter(genuine).map_or(Found::Nothing, Found::Whole));
    }
    if let Some(access) = WorkloadAccess::read(app, text) {
        let held = || Found::Held(access.claims.client_id.clone(), access.id().clone(), access.given_back());
        return Ok(if access.is_open(app, now).await? { held() } else { Found::Nothing });
    }
    let Some(access) = Access::read(app, text) else { return Ok(Found::Nothing) };
    if access.is_delegated() {
        // Nobody's but the workload's that holds it; what came of it ends with it.
        let held = || Found::Held(access.claims.client_id.clone(), access.id().clone(), access.given_back());
        return Ok(if access.is_open(app, now).await? { held() } else { Found::Nothing });
    }
    let grant = app.store.grant(&access.claims.grant_id).await?;
    let after = access.made().plus_ms(1);
    let counts = |g: &Grant| g.counts(access.made(), now);
    Ok(grant.filter(counts).map_or(Found::Nothing, |g| Found::Access(g, after)))
}
