//! OpenID Connect: the code flow with PKCE and DPoP, and both kinds of log-out.
//!
//! 1. [`authorize`] keeps a request for one browser and sends it to the sign-in page; [`par`] takes it
//!    from the client itself, [`back`] brings the answer.
//!    [`device`] begins where there is no browser, [`ciba`] where the client names the person;
//!    [`ping`] tells it when there is something to collect.
//! 2. [`token`] takes the code, once, and gives tokens bound to the client's key.
//! 3. [`userinfo`] answers about the person while the session lives.
//! 4. [`introspect`] answers whether a token counts, [`revoke`] ends what it came from.
//! 5. [`logout`] ends the session at the client's wish.
//! 6. [`backchannel`] tells every client that a session ended.
//! 7. [`discovery`] and [`protected`] say what there is.
//!
//! 8. [`documents`] and [`register`] are for clients that nobody listed.
//!
//! Refusals become OAuth errors here and in no other place of the server.

pub mod access;
mod answer;
pub mod authorize;
pub mod back;
pub mod backchannel;
pub mod ciba;
pub mod claims;
pub mod client_auth;
pub mod device;
pub mod documents;
pub mod discovery;
pub mod details;
pub mod egress;
pub mod forward;
mod hint;
pub mod introspect;
pub mod jar;
pub mod jwt;
pub mod logout;
pub mod metadata;
pub mod par;
pub mod params;
pub mod ping;
pub mod protected;
pub mod register;
pub mod revoke;
pub mod token;
pub mod userinfo;

use crate::app::{App, Context, Fault, noise};
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use countersign_trust::Refusal;
use std::sync::Arc;

/// The doors of this part.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery::configuration))
        .route("/.well-known/oauth-authorization-server", get(discovery::configuration))
        .route("/.well-known/oauth-protected-resource", get(protected::metadata))
        .route("/jwks", get(discovery::jwks))
        .route("/par", post(par::post))
        .route("/register", post(register::post))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/bc-authorize", post(ciba::post))
        .route("/device_authorization", post(device::post))
        .route("/token", post(token::post))
        .route("/introspect", post(introspect::post))
        .route("/revoke", post(revoke::post))
        .route("/userinfo", get(userinfo::get).post(userinfo::post))
        .route("/logout", get(logout::get).post(logout::post))
}

/// Writes a refusal down. If that was not done, nothing may be answered but what is said here.
pub(crate) async fn record(app: &App, ctx: &Context, step: &str, fault: &Fault) -> Result<(), Refusal> {
    metrics::counter!("countersign_refusals_total", "code" => fault.refusal.code()).increment(1);
    if fault.recorded || matches!(fault.refusal, Refusal::UseDpopNonce | Refusal::Unavailable | Refusal::Clock) {
        return Ok(());
    }
    let mut event = ctx.refusal_event(app, &ctx.txn).fact("because", fault.because).fact("step", step);
    event.refusal = Some(fault.refusal);
    noise::record(app, ctx, event).await
}

/// A refusal that a person sees, where nothing may be sent to the client.
pub(crate) async fn refused_here(app: &App, ctx: &Context, step: &str, fault: Fault) -> Response {
    let (status, headline, body) = match record(app, ctx, step, &fault).await.err().unwrap_or(fault.refusal) {
        Refusal::Unavailable | Refusal::Clock => (StatusCode::SERVICE_UNAVAILABLE, "error.headline", "error.help"),
        Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many.headline", "error.body_bare"),
        _ => (StatusCode::BAD_REQUEST, "sign_in.bad_start.headline", "sign_in.bad_start.body"),
    };
    // What is too much is not in the log line by line: there is no reference to ask about.
    let reference = (status != StatusCode::TOO_MANY_REQUESTS).then_some(ctx.reference.as_str());
    crate::http::shells::error(app, status, headline, body, reference)
}

#[cfg(test)]
pub(crate) mod tests;
