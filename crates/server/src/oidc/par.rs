//! `/par` (RFC 9126): a client hands its authorization request over itself, and the browser brings
//! only a name for it.
//!
//! 1. The client shows who it is, and its key if it has one: then the code serves that key alone
//!    (RFC 9449 §10.1).
//! 2. The request is judged here, once and for all, as `/authorize` would; it may be signed ([`jar`]).
//! 3. The name holds a secret of 256 bits. The first browser that brings it, with the same client's
//!    id, within a minute, has the request; no other browser has it then, and nobody after the answer.

use super::answer::{self, No, kept_by_nobody, no, refused};
use super::authorize::{self, Target};
use super::client_auth::Used;
use super::{documents, jar, jwt};
use crate::app::noise::{self, What};
use crate::app::once::{self, burn, hashed};
use crate::app::{App, Fault};
use crate::http::answer::put_nonce;
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::sql::{AuthRequest, Counter};
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::client::{Client, ClientAuth};
use countersign_trust::{Refusal, limits};
use countersign_wire::secret::same;
use countersign_wire::{RequestId, b64, mac};
use serde_json::{Value, json};
use std::sync::Arc;

/// What every name begins with (RFC 9126 §2.2).
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// `POST /par`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match push(&app, &r, &body).await {
        Ok(told) => {
            let mut response = (StatusCode::CREATED, Json(told)).into_response();
            put_nonce(&app, &mut response);
            kept_by_nobody(response)
        }
        Err(no) => refused(&app, &r, "par", no).await,
    }
}

async fn push(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    app.in_order()?;
    let outer = answer::form(r, body)?;
    if let Some(id) = outer.one("client_id").and_then(|id| id.parse().ok()) {
        documents::client(app, r, &id).await?;
    }
    let known = answer::client(app, r, &outer).await?;
    let client = &known.stored.client;
    if client.auth == ClientAuth::None {
        noise::admit(app, &r.ctx, What::Request, "request")?;
    }
    if outer.one("request_uri").is_some() {
        return Err(no("invalid_request", Refusal::Malformed, "a request_uri inside a pushed request"));
    }
    let proof = answer::proof(app, r, client)?;
    let params = match outer.one("request") {
        Some(text) => jar::open(text, client, &app.config.issuer, r.ctx.now)
            .map_err(|why| no("invalid_request_object", Refusal::Malformed, why))?,
        None => outer.clone(),
    };
    if outer.one("request").is_none() && client.require_signed_request_object {
        return Err(no("invalid_request", Refusal::Malformed, "this client signs its requests"));
    }
    let target = Target::of(client.clone(), &params).map_err(|f| no("invalid_request", f.refusal, f.because))?;
    let mut asked = authorize::good(app, &params, client).map_err(|n| no(n.0, Refusal::Malformed, n.1))?;
    if let Some(proof) = &proof {
        if asked.dpop_jkt.as_ref().is_some_and(|t| *t != proof.jkt.as_str()) {
            return Err(no("invalid_dpop_proof", Refusal::BadProof, "a proof by another key than dpop_jkt"));
        }
        asked.dpop_jkt = Some(proof.jkt.as_str().to_owned());
    }
    authorize::named_key(&asked, client).map_err(|n| no(n.0, Refusal::Malformed, n.1))?;
    jwt::ensure(app, client.id_token_alg).await?;
    let now = r.ctx.now;
    let count = Counter::new("par/client", client.id.as_str(), 60, limits::OPENS_PER_CLIENT_MIN, now);
    if app.store.used(&count).await.map_err(Fault::from)? >= count.limit {
        return Err(Fault::because(Refusal::TooMany, "pushed requests").into());
    }
    let hash = b64::encode(&mac::h(params.asked().as_bytes()));
    let facts = authorize::facts(app, &r.ctx, target, asked, hash);
    let secret = b64::encode(&app.random::<32>());
    let mut event = app
        .event(Kind::RequestPushed, &facts.txn, now)
        .fact("request", facts.id.as_str())
        .fact("signed", outer.one("request").is_some())
        .fact("bound", facts.dpop_jkt.is_some());
    event.client = Some(facts.client.clone());
    let mut commit = Commit::new(event);
    commit.write(Write::request_pushed(&facts, &hashed(secret.as_bytes()), now.plus_s(limits::PUSHED_S)));
    commit.write(Write::counted(&count));
    commit.writes(proof.as_ref().map(burn)).writes(known.assertion.as_ref().map(Used::burn));
    match app.commit(commit).await {
        Err(StoreError::Conflict) => {
            if let Some(proof) = &proof {
                once::refuse_if_burnt(app, 1, proof).await?;
            }
            return Err(Fault::from(StoreError::Conflict).into());
        }
        done => done.map_err(Fault::from)?,
    };
    Ok(json!({
        "request_uri": format!("{PREFIX}{}.{secret}", facts.id),
        "expires_in": limits::PUSHED_S,
    }))
}

/// The pushed request whose name a browser brings again before it answered: a reload, or a step back.
/// It is that browser's own, and nothing changes (FAPI 2.0 Security Profile §5.3.2.2, note 3).
pub(super) async fn again(app: &App, r: &Incoming, client: &Client, uri: &str) -> Result<Option<RequestId>, Fault> {
    let name = uri.strip_prefix(PREFIX).and_then(|name| name.split_once('.'));
    let (Some(browser), Some((id, _))) = (r.browser(), name) else { return Ok(None) };
    let Ok(id) = id.parse::<RequestId>() else { return Ok(None) };
    let own = |request: &AuthRequest| {
        let mine = same(hashed(browser.as_bytes()).as_bytes(), request.browser_hash.as_bytes());
        mine && request.facts.client == client.id && request.state == "open" && r.ctx.now < request.until
    };
    Ok(app.store.request(&id).await?.filter(own).map(|request| request.facts.id))
}

/// The pushed request that a browser brings the name of.
pub(super) async fn find(app: &App, r: &Incoming, client: &Client, uri: &str) -> Result<AuthRequest, Fault> {
    let bad = |why| Fault::because(Refusal::Malformed, why);
    let name = uri.strip_prefix(PREFIX).ok_or(bad("a request_uri that is not ours"))?;
    let (id, secret) = name.split_once('.').ok_or(bad("a request_uri that is not ours"))?;
    let id = id.parse().map_err(|_| bad("a request_uri that is not ours"))?;
    let request = app.store.request(&id).await?.ok_or(bad("an unknown request_uri"))?;
    if request.facts.client != client.id {
        return Err(bad("a request_uri of another client"));
    }
    if request.state != "pushed" {
        return Err(bad("a request_uri that was used"));
    }
    if !same(hashed(secret.as_bytes()).as_bytes(), request.browser_hash.as_bytes()) {
        return Err(bad("a request_uri with another secret"));
    }
    if r.ctx.now >= request.until {
        return Err(bad("a request_uri that has expired"));
    }
    Ok(request)
}
