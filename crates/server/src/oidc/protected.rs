//! What this server says of itself as a protected resource (RFC 9728): its userinfo endpoint takes tokens,
//! whose audience is the issuer.

use super::discovery;
use crate::app::App;
use crate::http::request::Incoming;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_wire::dpop;
use serde_json::json;
use std::sync::Arc;

/// Where it says so, below the issuer.
pub const PATH: &str = "/.well-known/oauth-protected-resource";

/// `GET /.well-known/oauth-protected-resource` (RFC 9728 §3). The resource is the issuer, which has no path.
pub async fn metadata(State(app): State<Arc<App>>, r: Incoming) -> Response {
    let issuer = app.config.issuer.as_str();
    let bearer = match app.registered().await {
        Ok(all) => all.bearer,
        Err(error) => return crate::http::answer::refused(&app, &r.ctx, error.into()).await,
    };
    let document = json!({
        "resource": issuer,
        "authorization_servers": [issuer],
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": ["openid", "profile"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": dpop::ALGS.map(|a| a.as_str()),
        "dpop_bound_access_tokens_required": !(app.config.newcomers.danger_allow_bearer || bearer),
        "resource_name": app.config.organisation,
    });
    discovery::cached(Json(document).into_response())
}
