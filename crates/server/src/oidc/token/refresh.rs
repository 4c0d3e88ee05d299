//! A refresh token becomes an access token and, unless the client's profile forbids it, its own
//! successor (RFC 6749 §6).
//!
//! 1. It serves its client alone, and its key where it is bound to one (RFC 9449 §5).
//! 2. The one gate judges as if the person signed in now: person, device, passkey, client, session
//!    and policy are read again. The session's end is its end; it moves no limit of the session.
//! 3. Its proof needs a nonce, which this key gets while trust holds ([`crate::app::nonces`]).
//! 4. Scopes only get fewer. No ID token comes along: nobody was authenticated.
//! 5. One that was used before ends everything of its session, for good ([`countersign_trust::grant`]).

use super::code::{refusing, resource_of};
use super::{Asked, No, dead, no};
use crate::app::{Fault, nonces, observe};
use crate::app::issue::{Ground, gate_in_session};
use crate::app::once::burn;
use crate::oidc::client_auth::Used;
use crate::oidc::jwt::Shared;
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::grant::{Grant, Shown};
use countersign_trust::detail;
use countersign_trust::issuance::Product;
use countersign_wire::TokenId;
use countersign_wire::refresh::RefreshToken;
use serde_json::Value;

/// Renews a grant.
pub(super) async fn renew(asked: &Asked<'_>) -> Result<Value, No> {
    let missing = no("invalid_request", Refusal::Malformed, "refresh_token is missing");
    let text = asked.params.one("refresh_token").ok_or(missing)?;
    let token = RefreshToken::parse(text).map_err(|_| dead("not a refresh token"))?;
    asked.app.judged_anew(|n| attempt(asked, &token, n)).await.map_err(refusing)?
}

/// The inner refusal is one that names its own OAuth error.
async fn attempt(asked: &Asked<'_>, token: &RefreshToken, n: usize) -> Result<Result<Value, No>, Fault> {
    let Asked { app, r, known, proof, .. } = *asked;
    let (now, client) = (r.ctx.now, &known.stored.client);
    let grant = app.store.grant(token.grant()).await?.ok_or(dead("a refresh token of no grant"))?;
    if grant.client != client.id {
        return Err(dead("a refresh token of another client"));
    }
    let renewal = grant.renewal.as_ref().ok_or(dead("a grant without refresh tokens"))?;
    let shown = renewal.judge(token, now);
    if shown == Shown::Unknown {
        return Err(dead("a refresh token that was never made"));
    }
    r.ctx.known_as("session", grant.session.as_str());
    let jkt = proof.map(|p| &p.jkt);
    if !grant.fits(client, jkt) {
        return Err(dead("another key than the refresh token is bound to"));
    }
    if !grant.is_live(now) {
        return Err(dead("a grant that ended"));
    }
    // A message of long ago shows nothing about who sends it now, and ends nothing.
    let fresh = proof.is_none_or(|proof| nonces::is_fresh(app, proof, now));
    if fresh && (n > 0 || shown != Shown::Good) {
        asked.refuse_repetition().await?;
    }
    if fresh && shown == Shown::Used {
        return Err(replayed(asked, &grant).await?);
    }
    let Some(scopes) = narrowed(asked.params.one("scope"), &grant) else {
        return Ok(Err(no("invalid_scope", Refusal::Denied, "a scope that was not granted")));
    };
    let session = app.store.session(&grant.session).await?.ok_or(dead("no session"))?;
    let session = observe::client(app, &r.ctx, client, session).await?;
    let acr_values = &grant.facts.acr_values;
    let ground = Ground::of(&session, acr_values, &scopes).about(detail::types_asked(&grant.facts.details));
    let (permit, vetoes) =
        gate_in_session(app, Product::Tokens, &client.id, &session, &ground, now).await?;
    let granted = grant.facts.resource.as_deref().or(client.audience.as_deref());
    resource_of(asked.params, client, granted)?;
    jkt.into_iter().for_each(|jkt| r.trusts(jkt));
    if !fresh {
        return Err(Fault::because(Refusal::UseDpopNonce, "no live nonce of this key"));
    }
    let (next, write) = match shown {
        // Asked for again: the same successor, made anew.
        Shown::Again { k } => {
            let k = app.keys.k_by_serial(k).ok_or(dead("its successor cannot be told again"))?;
            (Some(token.next(k.expose())), None)
        }
        _ if !client.rotates() => (None, None),
        _ => {
            let (serial, k) = app.keys.k();
            let next = token.next(k.expose());
            let write = Write::grant_renewed(&grant, &next.own_hash(), serial, now);
            (Some(next), Some(write))
        }
    };
    let shared = Shared {
        issuer: &app.config.issuer,
        session: &session.facts,
        grant: &grant.id,
        client,
        scopes: permit.scopes(),
        resource: grant.facts.resource.as_deref(),
        details: &grant.facts.details,
        jkt,
        now,
    };
    let id = TokenId::new(now, app.id10());
    let answer = asked.told(&shared, &id, next.as_ref()).await?;
    let record = asked
        .record(Kind::TokensRefreshed, &grant.facts.txn, &session, &shared, &id)
        .fact("again", shown != Shown::Good);
    let mut commit = Commit::new(record);
    commit.writes(write).writes(proof.map(burn)).writes(known.assertion.as_ref().map(Used::burn));
    commit.before(grant.until.min(session.idle_until));
    commit.guard(Table::Session, session.facts.id.as_str(), session.version);
    commit.guard(Table::Grant, grant.id.as_str(), grant.version);
    vetoes.guard(&mut commit);
    app.commit(commit).await?;
    if client.refresh_is_activity {
        app.store.session_seen(&session.facts.id, session.next_idle(now)).await?;
    }
    Ok(Ok(answer))
}

/// The scopes asked for, if all of them were granted; all of them if none is asked for.
fn narrowed(asked: Option<&str>, grant: &Grant) -> Option<Vec<String>> {
    let Some(asked) = asked else { return Some(grant.facts.scopes.clone()) };
    let mut out: Vec<String> = Vec::new();
    for scope in asked.split(' ').filter(|s| !s.is_empty()) {
        if !grant.facts.scopes.iter().any(|s| s == scope) {
            return None;
        }
        if !out.iter().any(|s| s == scope) {
            out.push(scope.to_owned());
        }
    }
    Some(out)
}

/// Somebody holds a copy: whatever this session gave is worth nothing from now on.
async fn replayed(asked: &Asked<'_>, grant: &Grant) -> Result<Fault, Fault> {
    let (app, ctx) = (asked.app, &asked.r.ctx);
    let mut event = app
        .session_event(Kind::RefreshReplayed, &grant.facts.txn, &grant.session, ctx.now)
        .fact("grant", grant.id.as_str())
        .fact("ref", ctx.reference.as_str());
    event.client = Some(grant.client.clone());
    event.refusal = Some(Refusal::AlreadyRedeemed);
    if let Some(session) = app.store.session(&grant.session).await? {
        event.person = Some(session.facts.person);
        event.ceremony = session.facts.ceremony;
    }
    let mut commit = Commit::new(event);
    commit.write(Write::grants_ended(&grant.session, "refresh_replayed"));
    app.commit(commit).await?;
    Ok(Fault::because(Refusal::AlreadyRedeemed, "a refresh token that was used before").recorded())
}
