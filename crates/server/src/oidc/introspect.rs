//! `/introspect` (RFC 7662): whether a token counts at this moment, for those whom it concerns.
//!
//! 1. The caller authenticates. It hears about tokens that were made for it, or for an audience that
//!    it is registered to answer for. About all others it hears what is said of a token that never was.
//! 2. The one gate judges as at every other door, so a session that ended, a lost device or a new
//!    policy shows in the next answer.
//! 3. Whoever asks for it gets the answer signed (RFC 9701).
//!
//! Nothing changes here: neither an assertion of the caller nor a refresh token is used up.

use super::access::{Access, WorkloadAccess};
use super::answer::{self, No, Party, kept_by_nobody, no, refused};
use super::{jwt, record};
use crate::app::issue::{Ground, gate_in_session};
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::client::{Client, ClientAuth};
use countersign_trust::grant::Shown;
use countersign_trust::issuance::Product;
use countersign_wire::ClientId;
use countersign_wire::jose::Alg;
use countersign_wire::refresh::RefreshToken;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Media type of a signed answer (RFC 9701 §4).
const SIGNED: &str = "application/token-introspection+jwt";

/// `POST /introspect`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match answer(&app, &r, &body).await {
        Ok(response) => kept_by_nobody(response),
        Err(no) => refused(&app, &r, "introspect", no).await,
    }
}

async fn answer(app: &App, r: &Incoming, body: &[u8]) -> Result<Response, No> {
    app.in_order()?;
    let params = answer::form(r, body)?;
    let party = answer::party(app, r, &params, false).await?;
    let caller = Caller::of(&party);
    if matches!(&party, Party::Client(known) if known.stored.client.auth == ClientAuth::None) {
        return Err(no("invalid_client", Refusal::BadProof, "a public client cannot ask about tokens"));
    }
    let token = params.one("token").ok_or(no("invalid_request", Refusal::Malformed, "token is missing"))?;
    let told = match look(app, r, &caller, token).await {
        Ok(active) => Value::Object(active),
        Err(fault) if matches!(fault.refusal, Refusal::Unavailable | Refusal::Clock) => return Err(fault.into()),
        Err(fault) => {
            // What simply ended is asked about all the time; what is somebody else's is not.
            if fault.refusal == Refusal::Denied {
                record(app, &r.ctx, "introspect", &fault).await.map_err(|instead| Fault::from(instead).recorded())?;
            }
            json!({ "active": false })
        }
    };
    if !wants_signed(&r.headers) {
        return Ok(Json(told).into_response());
    }
    let claims = json!({
        "iss": app.config.issuer,
        "aud": party.id().as_str(),
        "iat": r.ctx.now.seconds(),
        "token_introspection": told,
    });
    let text = jwt::sign(app, caller.alg(), jwt::INTROSPECTION, &claims).await?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIGNED));
    Ok(response)
}

fn wants_signed(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|l| l.split(',')).any(|m| m.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SIGNED))
}

/// Who asks, and about whose tokens it may.
struct Caller<'a> {
    id: &'a ClientId,
    /// None for a workload, which hears about its own tokens alone.
    client: Option<&'a Client>,
}

impl<'a> Caller<'a> {
    fn of(party: &'a Party) -> Caller<'a> {
        let client = match party {
            Party::Client(known) => Some(&known.stored.client),
            Party::Workload(_) => None,
        };
        Caller { id: party.id(), client }
    }
    fn alg(&self) -> Alg {
        self.client.map_or(Alg::ES256, |c| c.id_token_alg)
    }
    /// Refuses where a token of `owner` for an audience is none of its business.
    fn concerns(&self, owner: &ClientId, is_for: impl Fn(&str) -> bool) -> Result<(), Fault> {
        let answers_for = self.client.is_some_and(|c| c.introspects.iter().any(|a| is_for(a)));
        if owner == self.id || answers_for { Ok(()) } else { Err(Fault::because(Refusal::Denied, "a token that is for others")) }
    }
}

/// What is said of a token that counts.
async fn look(app: &App, r: &Incoming, caller: &Caller<'_>, text: &str) -> Result<Map<String, Value>, Fault> {
    let now = r.ctx.now;
    if let Ok(token) = RefreshToken::parse(text) {
        let client = caller.client.ok_or(Fault::because(Refusal::Denied, "a refresh token of somebody else"))?;
        return renewable(app, r, client, &token).await;
    }
    let (mut told, bound) = match Access::read(app, text) {
        Some(access) => {
            caller.concerns(&access.claims.client_id, |a| access.is_for(a))?;
            let permit = access.permit(app, Product::Introspection, now).await?;
            let mut told = access.all;
            told.insert("scope".into(), permit.scopes().join(" ").into());
            (told, access.claims.cnf.is_some())
        }
        None => {
            let access = WorkloadAccess::read(app, text).ok_or(Fault::because(Refusal::Gone, "not a token of this server"))?;
            caller.concerns(&access.claims.client_id, |a| access.is_for(a))?;
            access.permit(app, now).await?;
            (access.all, access.claims.cnf.is_some())
        }
    };
    told.insert("active".into(), true.into());
    told.insert("token_type".into(), super::token::token_type(bound).into());
    Ok(told)
}

/// The same of a refresh token, for its own client alone.
async fn renewable(app: &App, r: &Incoming, caller: &Client, token: &RefreshToken) -> Result<Map<String, Value>, Fault> {
    let (now, dead) = (r.ctx.now, || Fault::because(Refusal::Gone, "a refresh token that is not good"));
    let grant = app.store.grant(token.grant()).await?.ok_or_else(dead)?;
    let renewal = grant.renewal.as_ref().ok_or_else(dead)?;
    if renewal.judge(token, now) == Shown::Unknown {
        return Err(dead());
    }
    if grant.client != caller.id {
        return Err(Fault::because(Refusal::Denied, "a refresh token of another client"));
    }
    if renewal.judge(token, now) != Shown::Good || !grant.is_live(now) {
        return Err(dead());
    }
    let session = app.store.session(&grant.session).await?.ok_or_else(dead)?;
    let f = &grant.facts;
    let (permit, _) =
        gate_in_session(app, Product::Introspection, &caller.id, &session, &Ground::of(&session, &f.acr_values, &f.scopes), now).await?;
    let told = json!({
        "active": true,
        "iss": app.config.issuer,
        "client_id": caller.id.as_str(),
        "sub": permit.person().as_str(),
        "sid": grant.session.as_str(),
        "grant_id": grant.id.as_str(),
        "scope": permit.scopes().join(" "),
        "iat": renewal.at.seconds(),
        "exp": grant.until.seconds(),
    });
    let mut map = match told {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if let (Some(jkt), true) = (&f.jkt, caller.binds_refresh()) {
        map.insert("cnf".into(), json!({ "jkt": jkt.as_str() }));
    }
    Ok(map)
}
