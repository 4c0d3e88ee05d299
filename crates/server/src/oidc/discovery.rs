//! What clients can learn by themselves: OpenID Connect Discovery 1.0, RFC 8414, and the key set.
//! Exactly what is supported, nothing that is planned.

use crate::app::App;
use crate::app::clients::Registered;
use crate::app::keys::JWKS_CACHE_S;
use crate::http::answer::refused;
use crate::http::request::Incoming;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::acr::Earned;
use countersign_trust::client::OFFLINE_ACCESS;
use countersign_wire::dpop;
use countersign_wire::jose::Alg;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Algorithms of ID tokens and of client assertions.
pub const SIGNING: [Alg; 4] = [Alg::ES256, Alg::EdDSA, Alg::RS256, Alg::PS256];
/// Claims about a person and a sign-in.
const CLAIMS: [&str; 13] = [
    "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "cs", "name", "preferred_username",
];
/// Ways of client authentication; the first is none, which is not enough everywhere.
const METHODS: [&str; 4] = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
/// `prompt` values that mean something here.
pub const PROMPTS: [&str; 4] = ["none", "login", "consent", "select_account"];

fn names(algs: &[Alg]) -> Vec<&'static str> {
    algs.iter().map(|a| a.as_str()).collect()
}

fn document(app: &App, registered: &Registered) -> Value {
    let issuer = app.config.issuer.as_str();
    let at = |path: &str| format!("{issuer}{path}");
    let mut scopes: BTreeSet<&str> = ["openid", "profile"].into();
    if registered.refresh {
        scopes.insert(OFFLINE_ACCESS);
    }
    scopes.extend(app.config.newcomers.scopes.iter().map(String::as_str));
    scopes.extend(registered.scopes.iter().map(String::as_str));
    let mut told = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "device_authorization_endpoint": at("/device_authorization"),
        "token_endpoint": at("/token"),
        "introspection_endpoint": at("/introspect"),
        "revocation_endpoint": at("/revoke"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "end_session_endpoint": at("/logout"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": super::back::MODES,
        "authorization_signing_alg_values_supported": names(&SIGNING),
        "pushed_authorization_request_endpoint": at("/par"),
        "require_pushed_authorization_requests": app.config.require_pushed_authorization_requests,
        "grant_types_supported": super::token::GRANTS,
        "authorization_details_types_supported": app.details.names(),
        "acr_values_supported": Earned::SUPPORTED,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": names(&SIGNING),
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": names(&SIGNING),
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": names(&SIGNING),
        "introspection_endpoint_auth_methods_supported": METHODS[1..],
        "introspection_endpoint_auth_signing_alg_values_supported": names(&SIGNING),
        "introspection_signing_alg_values_supported": names(&SIGNING),
        "claim_types_supported": ["normal"],
        "claims_supported": CLAIMS,
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": names(&super::jar::ALGS),
        "request_uri_parameter_supported": false,
        "prompt_values_supported": PROMPTS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": names(&dpop::ALGS),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "ui_locales_supported": [crate::pages::LANGUAGE],
    });
    if let Some(map) = told.as_object_mut() {
        if !app.config.newcomers.hosts.is_empty() {
            map.insert("client_id_metadata_document_supported".into(), true.into());
        }
        if app.config.newcomers.token_hash.is_some() {
            map.insert("registration_endpoint".into(), at("/register").into());
        }
    }
    // CIBA Core 1.0 §4.
    let back = json!({
        "backchannel_authentication_endpoint": at("/bc-authorize"),
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_authentication_request_signing_alg_values_supported": names(&super::jar::ALGS),
        "backchannel_user_code_parameter_supported": registered.user_code,
    });
    if let (Some(all), Value::Object(more)) = (told.as_object_mut(), back) {
        all.extend(more);
    }
    told
}

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
pub async fn configuration(State(app): State<Arc<App>>, r: Incoming) -> Response {
    match app.registered().await {
        Ok(registered) => cached(Json(document(&app, &registered)).into_response()),
        Err(error) => refused(&app, &r.ctx, error.into()).await,
    }
}

/// `GET /jwks` (RFC 7517 §5).
pub async fn jwks(State(app): State<Arc<App>>) -> Response {
    cached(Json(app.keys.jwks()).into_response())
}

/// Copies may be kept for a time that every rotation allows for.
pub(super) fn cached(mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={JWKS_CACHE_S}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}
