//! HTTP: every door in one table, with the headers that all of them carry.
//!
//! [`answer`] is the one file where a refusal becomes a status; [`request`] where headers become
//! facts.

pub mod answer;
pub mod bound;
pub mod cookies;
pub mod device;
pub mod enrolment;
pub mod events;
pub mod health;
pub mod openapi;
pub mod operator;
pub mod recovery;
pub mod request;
pub mod shells;
pub mod terminal;
pub mod terminals;

use crate::app::App;
use axum::response::IntoResponse;
use axum::{Json, Router};
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use countersign_trust::{Refusal, limits};
use std::sync::Arc;
use std::time::Duration;

/// How long a body may take to arrive; far below the life of a nonce.
const BODY: Duration = Duration::from_secs(10);

/// A caller's own name for its request.
const REQUEST_ID: &str = "x-request-id";

/// All doors of the server.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(crate::authzen::router())
        .merge(crate::oidc::router())
        .merge(crate::ssf::router())
        .route("/sign-in/{flow}", get(shells::sign_in))
        .route("/sign-in/{flow}/resume", post(terminal::resume))
        .route("/sign-in/{flow}/cancel", post(terminal::cancel))
        .route("/sign-in/{flow}/passkey/options", post(terminal::passkey_options))
        .route("/sign-in/{flow}/passkey", post(terminal::passkey))
        .route("/forward-auth", get(crate::oidc::forward::check))
        .route("/forward-auth/enter", get(crate::oidc::forward::enter))
        .route("/forward-auth/arrived", get(crate::oidc::forward::arrived))
        .route("/answer/{flow}", get(crate::oidc::back::get))
        .route("/ceremonies", post(terminal::open))
        .route("/ceremonies/{cid}", get(events::poll))
        .route("/ceremonies/{cid}/events", get(events::stream))
        .route("/ceremonies/{cid}/confirm", post(terminal::confirm))
        .route("/ceremonies/{cid}/abandon", post(terminal::abandon))
        .route("/ceremonies/{cid}/redeem", post(terminal::redeem))
        .route("/ceremonies/{cid}/continue", post(terminal::go_on))
        .route("/session", get(shells::session))
        .route("/session/watch", get(events::session))
        .route("/session/end", post(terminal::end_session))
        .route("/session/beat", post(terminal::beat))
        .route("/session/bound", post(bound::register))
        .route("/session/bound/refresh", post(bound::refresh))
        .route("/q", get(shells::scan))
        .route("/code", get(shells::code))
        .route("/phone", get(shells::phone))
        .route("/worker.js", get(shells::worker))
        .route("/enrol", get(shells::enrol))
        .route("/add", get(shells::add))
        .route("/badge", get(shells::badge))
        .route("/assets/{*path}", get(shells::asset))
        .route("/device/scans", post(device::scan))
        .route("/device/badges", post(device::badge))
        .route("/device/pending", get(device::pending))
        .route("/device/push", post(device::subscribe))
        .route("/device/push/end", post(device::unsubscribe))
        .route("/device/unlock/options", post(device::unlock_options))
        .route("/device/unlock", post(device::unlock))
        .route("/device/lock", post(device::lock))
        .route("/device/overview", get(device::overview))
        .route("/device/posture", get(device::posture).post(device::report))
        .route("/device/evidence/tpm", post(device::tpm))
        .route("/device/ceremonies/{cid}", get(device::ceremony))
        .route("/device/ceremonies/{cid}/story", get(device::story))
        .route("/device/ceremonies/{cid}/take", post(device::take))
        .route("/device/ceremonies/{cid}/confirm", post(device::confirm))
        .route("/device/ceremonies/{cid}/decision", post(device::decision))
        .route("/device/sessions/end", post(device::end_all))
        .route("/device/sessions/{id}/end", post(device::end_one))
        .route("/device/rights/{id}/end", post(device::end_right))
        .route("/device/devices/{id}/{verb}", post(device::manage))
        .route("/device/notices/{id}/{verb}", post(device::notice))
        .route("/device/invitations", post(device::invite))
        .route("/enrolments/look", post(enrolment::look))
        .route("/enrolments/begin", post(enrolment::begin))
        .route("/enrolments/finish", post(enrolment::finish))
        .route("/rebind/options", post(enrolment::rebind_options))
        .route("/rebind/finish", post(enrolment::rebind_finish))
        .route("/operator", get(operator::page))
        .route("/operator/enter", get(operator::enter))
        .route("/operator/lines", get(operator::lines))
        .route("/operator/refusals/{reference}", get(operator::refusal))
        .route("/operator/people/look", post(operator::look))
        .route("/operator/people/recovery", post(operator::recovery))
        .route("/operator/sessions/{id}/end", post(operator::end_session))
        .route("/operator/devices/{id}/suspend", post(operator::suspend))
        .route("/operator/devices/{id}/touched", get(operator::touched))
        .route("/operator/devices/{id}/touched/end", post(operator::end_touched))
        .route("/terminal", get(shells::terminal))
        .route("/kiosk", get(shells::kiosk))
        .route("/terminals/look", post(terminals::look))
        .route("/terminals/register", post(terminals::register))
        .route("/terminals/report", post(terminals::report))
        .route("/terminals/glass", post(terminals::glass))
        .route("/terminals/glass/end", post(terminals::glass_end))
        .route("/recover", get(shells::recover))
        .route("/recovery/code", post(recovery::code))
        .route("/recovery/standing", post(recovery::standing))
        .route("/recovery/collect", post(recovery::collect))
        .route("/recovery/cancel", post(recovery::cancel))
        .route("/device/recovery-codes/options", post(recovery::codes_options))
        .route("/device/recovery-codes", post(recovery::codes_make))
        .route("/device/user-code", post(device::user_code))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::document))
        .fallback(shells::not_found)
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .layer(middleware::from_fn(whole))
        .layer(middleware::from_fn(headers))
        .with_state(app)
}

/// Waits for the whole body, and not for long: only then a request's time begins. A request that
/// could be held open would outlive the memory of its proof.
async fn whole(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(BODY, to_bytes(body, limits::BODY_BYTES)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

/// Headers of every answer: nothing is cached, framed, sniffed or told to others. No CORS header
/// ever: another origin has no business here.
async fn headers(request: Request, next: Next) -> Response {
    // A caller's own name for its request comes back (AuthZEN Authorization API 1.0 §10.1.4).
    let name = request.headers().get(REQUEST_ID).filter(|_| request.uri().path().starts_with("/access/")).cloned();
    let mut response = spoken(next.run(request).await);
    let headers = response.headers_mut();
    headers.reserve(8);
    if let Some(name) = name {
        headers.insert(REQUEST_ID, name);
    }
    let mut put = |name: header::HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    put(header::CACHE_CONTROL, "no-store");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::X_FRAME_OPTIONS, "DENY");
    put(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    put(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    put(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    response
}

/// Refusals of the machinery before any door (a body too long, another method, a path that is not
/// text) carry a code like all others.
fn spoken(response: Response) -> Response {
    let has = |name: header::HeaderName, text: &[&str]| {
        let value = response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        text.iter().any(|t| value.starts_with(t))
    };
    let answered = has(header::CONTENT_TYPE, &["application/json", "application/problem+json", "text/html"])
        || response.headers().contains_key(header::WWW_AUTHENTICATE);
    if answered || !response.status().is_client_error() {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let code = serde_json::json!({"code": Refusal::Malformed.code()});
    let mut told = (response.status(), Json(code)).into_response();
    if let Some(allow) = allow {
        told.headers_mut().insert(header::ALLOW, allow);
    }
    told
}
