//! `/register` (RFC 7591): a client registers itself, with a token that the operator gave out. Off unless there is one.
//! It gets no secret and no way to change what it said (RFC 7592).

use super::metadata;
use super::record;
use crate::app::once::hashed;
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use crate::http::shells;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::client::ClientAuth;
use countersign_trust::{Refusal, limits};
use countersign_wire::b64;
use countersign_wire::secret::same;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Registered by itself.
pub const REGISTRATION: &str = "registration";

/// An error of RFC 7591 §3.2.2, of the token (RFC 6750 §3), or a fault of ours.
enum No {
    Metadata(&'static str, &'static str),
    Token,
    Fault(Fault),
}

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        No::Fault(fault)
    }
}

/// `POST /register`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    // Where nobody may, there is no such door.
    let Some(hash) = app.config.newcomers.token_hash.clone() else { return shells::not_found(State(app), r.headers).await };
    let (status, told, fault) = match register(&app, &r, &hash, &body).await {
        Ok(told) => return (StatusCode::CREATED, Json(told)).into_response(),
        Err(No::Metadata(code, why)) => (StatusCode::BAD_REQUEST, json!({ "error": code, "error_description": why }), Fault::because(Refusal::Malformed, why)),
        Err(No::Token) => (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_token" }), Fault::because(Refusal::BadProof, "no initial access token")),
        Err(No::Fault(fault)) => return crate::http::answer::refused(&app, &r.ctx, fault).await,
    };
    if let Err(instead) = record(&app, &r.ctx, "register", &fault).await {
        return crate::http::answer::refused(&app, &r.ctx, Fault::from(instead).recorded()).await;
    }
    let mut response = (status, Json(told)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer error=\"invalid_token\""));
    }
    response
}

fn shows_token(headers: &HeaderMap, hash: &str) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.split_once(' '));
    shown.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && same(hashed(token.as_bytes()).as_bytes(), hash.as_bytes()))
}

async fn register(app: &App, r: &Incoming, hash: &str, body: &[u8]) -> Result<Value, No> {
    app.in_order()?;
    let rules = &app.config.newcomers;
    if !shows_token(&r.headers, hash) {
        return Err(No::Token);
    }
    let said: Map<String, Value> = serde_json::from_slice(body).map_err(|_| No::Metadata("invalid_client_metadata", "not a JSON object"))?;
    let id = format!("self-{}", b64::encode(&app.random::<16>()));
    let client = metadata::client(&said, &id, "registered by itself", None, rules).map_err(|wrong| No::Metadata(wrong.code(), wrong.why()))?;
    if app.store.clients().await.map_err(Fault::from)?.iter().filter(|c| c.source == REGISTRATION).count() >= limits::NEWCOMERS {
        return Err(Fault::because(Refusal::TooMany, "clients that nobody listed").into());
    }
    let now = r.ctx.now;
    let mut event = app.event(Kind::ClientChanged, &r.ctx.txn, now).fact("what", REGISTRATION);
    event.client = Some(client.id.clone());
    let mut commit = Commit::new(event);
    commit.write(Write::client_added(&client, REGISTRATION));
    app.commit(commit).await.map_err(Fault::from)?;
    let mut told = json!({
        "client_id": client.id, "client_id_issued_at": now.seconds(), "client_name": said.get("client_name"), "redirect_uris": client.redirect_uris,
        "grant_types": ["authorization_code"], "response_types": ["code"], "scope": client.scopes.join(" "),
        "token_endpoint_auth_method": client.auth, "dpop_bound_access_tokens": !client.danger_allow_bearer,
    });
    if let (ClientAuth::PrivateKeyJwt, Some(map)) = (client.auth, told.as_object_mut()) {
        map.insert("jwks".into(), json!({ "keys": client.keys }));
    }
    Ok(told)
}
