//! What the decision point says of itself (Authorization API 1.0 §9).

use crate::app::App;
use crate::app::keys::JWKS_CACHE_S;
use crate::oidc::jwt;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use countersign_wire::jose::Alg;
use serde_json::{Value, json};
use std::sync::Arc;

/// `typ` of the signed copy.
const SIGNED: &str = "JWT";

/// `GET /.well-known/authzen-configuration`. The signed copy says the same, by a key of `/jwks`.
pub async fn configuration(State(app): State<Arc<App>>) -> Response {
    let issuer = app.config.issuer.as_str();
    let at = |path: &str| format!("{issuer}/access/v1/{path}");
    let mut document = json!({
        "policy_decision_point": issuer,
        "access_evaluation_endpoint": at("evaluation"),
        "access_evaluations_endpoint": at("evaluations"),
        "search_subject_endpoint": at("search/subject"),
        "search_action_endpoint": at("search/action"),
        "search_resource_endpoint": at("search/resource"),
        "access_request_endpoint": at("requests"),
        "capabilities": ["urn:openid:authzen:capability:access-request"],
        "obligations_supported": ["step-up", "notification", "session_termination", "custom"],
        "jwks_uri": format!("{issuer}/jwks"),
    });
    if let Some(map) = document.as_object_mut() {
        let mut claims = map.clone();
        claims.insert("iss".into(), issuer.into());
        claims.insert("iat".into(), app.now().seconds().into());
        if let Ok(text) = jwt::sign_now(&app, Alg::ES256, SIGNED, &Value::Object(claims)) {
            map.insert("signed_metadata".into(), text.into());
        }
    }
    let mut response = Json(document).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={JWKS_CACHE_S}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}
