//! Events that others push to us (RFC 8935).

use super::hear::{self, Deaf, Unheard};
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_wire::secret::same;
use countersign_wire::{b64, mac, set};
use serde_json::json;
use std::sync::Arc;

/// `POST /ssf/events/{transmitter}` (RFC 8935 §2).
pub async fn post(State(app): State<Arc<App>>, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    match listen(&app, &r, &id, &body).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(Unheard::Deaf(no)) => (StatusCode::BAD_REQUEST, Json(json!({"err": no.err, "description": no.because}))).into_response(),
        Err(Unheard::Fault(fault)) => match fault.refusal {
            Refusal::NoSuchThing => (StatusCode::NOT_FOUND, Json(json!({"err": "access_denied"}))).into_response(),
            Refusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], Json(json!({"err": "access_denied"}))).into_response(),
            _ => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"err": "temporarily_unavailable"}))).into_response(),
        },
    }
}

async fn listen(app: &App, r: &Incoming, id: &str, body: &[u8]) -> Result<(), Unheard> {
    let Some(from) = app.config.signals.transmitters.iter().find(|t| t.id == id) else {
        let fault = Fault::because(Refusal::NoSuchThing, "no such transmitter");
        crate::oidc::record(app, &r.ctx, "set", &fault).await.map_err(|instead| Fault::from(instead).recorded())?;
        return Err(Unheard::Fault(fault.recorded()));
    };
    let text = |name: header::HeaderName| r.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if let Some(known) = &from.push_authorization_hash {
        let shown = b64::encode(&mac::h(text(header::AUTHORIZATION).as_bytes()));
        if !same(known.as_bytes(), shown.as_bytes()) {
            let no = Deaf { err: "authentication_failed", because: "another Authorization header than agreed" };
            hear::refused(app, &r.ctx, from, &no).await?;
            return Err(Unheard::Deaf(no));
        }
    }
    r.ctx.known_as("transmitter", &from.id);
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(text) = std::str::from_utf8(body).ok().filter(|_| kind == set::MEDIA) else {
        let no = Deaf { err: "invalid_request", because: "not a SET" };
        hear::refused(app, &r.ctx, from, &no).await?;
        return Err(Unheard::Deaf(no));
    };
    hear::hear(app, &r.ctx, from, text).await
}
