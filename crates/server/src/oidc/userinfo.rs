//! `/userinfo` (OpenID Connect Core §5.3): who a token speaks for, as long as its session lives.
//!
//! The token must be ours, unexpired, unrevoked and, unless its client is registered otherwise,
//! shown together with a proof by the key it is bound to (RFC 9449 §7). The one gate judges again, and only
//! where trust holds is there a nonce for the next proof.

use super::access::Access;
use super::{claims, record};
use crate::app::{App, Fault, nonces};
use crate::http::answer::put_nonce_for;
use crate::http::request::Incoming;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_trust::issuance::Product;
use countersign_wire::dpop::{self, Fresh, Proof};
use countersign_wire::nonces::{Unfit, by_key};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /userinfo`.
pub async fn get(State(app): State<Arc<App>>, r: Incoming) -> Response {
    respond(&app, &r, "GET").await
}

/// `POST /userinfo`; the token comes in the header here too.
pub async fn post(State(app): State<Arc<App>>, r: Incoming) -> Response {
    respond(&app, &r, "POST").await
}

/// An error of RFC 6750 §3.1 or RFC 9449 §7.1; without a word if nothing was shown.
pub(crate) struct No {
    pub(crate) error: Option<&'static str>,
    pub(crate) fault: Box<Fault>,
}

fn no(error: &'static str, because: &'static str) -> No {
    let refusal = if error == "use_dpop_nonce" { Refusal::UseDpopNonce } else { Refusal::BadProof };
    No { error: Some(error), fault: Box::new(Fault::because(refusal, because)) }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        // A gate that says no to a token makes it worthless, unless its person can help it (RFC 9470 §3).
        let error = if fault.refusal == Refusal::StepUp { "insufficient_user_authentication" } else { "invalid_token" };
        No { error: Some(error), fault: Box::new(fault) }
    }
}

async fn respond(app: &App, r: &Incoming, method: &str) -> Response {
    match claims(app, r, method).await {
        Ok(claims) => {
            let mut response = Json(claims).into_response();
            put_nonce_for(app, r, &mut response);
            response
        }
        Err(no) => refused(app, r, no).await,
    }
}

/// Scheme and token of the one Authorization header.
pub(super) fn shown(headers: &HeaderMap) -> Result<(bool, &str), No> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(No { error: None, fault: Box::new(Fault::because(Refusal::NoSession, "no token")) });
    };
    let (scheme, token) = line.to_str().ok().and_then(|l| l.split_once(' ')).ok_or(no("invalid_request", "a header"))?;
    let bound = scheme.eq_ignore_ascii_case("dpop");
    if !bound && !scheme.eq_ignore_ascii_case("bearer") {
        return Err(no("invalid_request", "another scheme than DPoP or Bearer"));
    }
    Ok((bound, token.trim()))
}

async fn claims(app: &App, r: &Incoming, method: &str) -> Result<Value, No> {
    app.in_order()?;
    let now = r.ctx.now;
    let (bound, text) = shown(&r.headers)?;
    let bad = |why| no("invalid_token", why);
    let access = Access::read(app, text).ok_or(bad("not an access token of this server"))?;
    if !access.is_for(&app.config.issuer) {
        return Err(bad("for somebody else"));
    }
    let c = &access.claims;
    let client = app.client(&c.client_id).await.map_err(Fault::from)?.ok_or(bad("an unknown client"))?;
    let proof = match (&c.cnf, bound) {
        (Some(key), true) => Some(prove(r, &key.jkt, method, &format!("{}/userinfo", app.config.issuer), text, Some(&client.client))?),
        (None, false) if client.client.danger_allow_bearer => None,
        _ => return Err(bad("a token shown in another way than it is bound")),
    };
    access.seen(app, &r.ctx, &client.client).await?;
    let permit = access.permit(app, Product::UserInfo, now).await?;
    if let Some(proof) = &proof {
        nonced(app, r, proof, false).await?;
    }
    let person = access.person();
    let has = |scope: &str| permit.scopes().iter().any(|s| s == scope);
    if !has("openid") {
        return Err(no("insufficient_scope", "a token without openid"));
    }
    let mut answer = json!({ "sub": person.as_str() });
    if has(claims::SCOPE) {
        claims::add(app, person, &claims::ABOUT_PERSON, &mut answer).await?;
    }
    Ok(answer)
}

/// The proof by the key that a token is bound to, whatever its nonce.
pub(crate) fn prove(r: &Incoming, jkt: &str, method: &str, url: &str, token: &str, client: Option<&Client>) -> Result<Proof, No> {
    let mut lines = r.headers.get_all("dpop").iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(no("invalid_dpop_proof", "not exactly one proof"));
    };
    let text = line.to_str().map_err(|_| no("invalid_dpop_proof", "a proof that is not text"))?;
    let request = dpop::Request { method, url, token: Some(token), body: None, now: r.ctx.now, fresh: Fresh::Elsewhere };
    let proof = by_key(text, &request, jkt).map_err(|unfit| match unfit {
        Unfit::OtherKey => no("invalid_token", "a proof by another key"),
        Unfit::Bad(why) => no("invalid_dpop_proof", why),
        Unfit::Used | Unfit::Full => no("invalid_dpop_proof", "a proof that cannot be taken"),
    })?;
    if client.is_some_and(|c| !c.takes_proof(proof.made.seconds(), r.ctx.now)) {
        return Err(no("invalid_dpop_proof", "a proof older than this client's may be"));
    }
    Ok(proof)
}

/// Trust holds for the key of this proof: it gets a nonce, and needs one of those it got; the proof is used up.
pub(crate) async fn nonced(app: &App, r: &Incoming, proof: &Proof, matters: bool) -> Result<(), No> {
    r.trusts(&proof.jkt);
    if !nonces::is_fresh(app, proof, r.ctx.now) {
        return Err(no("use_dpop_nonce", "no live nonce of this key"));
    }
    nonces::use_up(app, proof, matters, r.ctx.now).await.map_err(|fault| match fault.refusal {
        Refusal::BadProof => no("invalid_dpop_proof", fault.because),
        _ => No::from(fault),
    })
}

fn later(status: StatusCode) -> Response {
    (status, Json(json!({ "error": "temporarily_unavailable" }))).into_response()
}

async fn refused(app: &App, r: &Incoming, no: No) -> Response {
    let recorded = if no.error.is_none() { Ok(()) } else { record(app, &r.ctx, "userinfo", &no.fault).await };
    match recorded.err().unwrap_or(no.fault.refusal) {
        Refusal::Unavailable | Refusal::Clock => return later(StatusCode::SERVICE_UNAVAILABLE),
        Refusal::TooMany => return later(StatusCode::TOO_MANY_REQUESTS),
        _ => {}
    }
    let algs = dpop::ALGS.map(|a| a.as_str()).join(" ");
    let challenge = match no.error {
        None => format!("DPoP algs=\"{algs}\""),
        Some(error) => format!("DPoP error=\"{error}\", error_description=\"see {}\", algs=\"{algs}\"", r.ctx.reference),
    };
    // RFC 9728 §5.1.
    let challenge = format!("{challenge}, resource_metadata=\"{}{}\"", app.config.issuer, super::protected::PATH);
    let status = match no.error {
        Some("insufficient_scope") => StatusCode::FORBIDDEN,
        Some("invalid_request") => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    };
    let mut response = status.into_response();
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    if r.trusted().is_some() {
        put_nonce_for(app, r, &mut response);
    }
    response
}
