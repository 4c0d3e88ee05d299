//! Whether a stream works, end to end (SSF 1.0 §8.1.4).

use super::access::{self, MANAGE};
use super::answer::No;
use super::settle;
use crate::app::App;
use crate::http::request::{Incoming, json};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredStream;
use countersign_trust::shared::caep::EventType;
use countersign_trust::shared::stream::{Note, STATE_BYTES, Status, Stream, VERIFY_S};
use countersign_wire::b64;
use serde::Deserialize;
use serde_json::Map;
use std::sync::Arc;

#[derive(Deserialize)]
struct Asked {
    stream_id: String,
    #[serde(default)]
    state: Option<String>,
}

/// `POST /ssf/verification` (§8.1.4.2).
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match ask(&app, &r, &body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.verify").await,
    }
}

async fn ask(app: &App, r: &Incoming, body: &[u8]) -> Result<(), No> {
    let receiver = access::receiver(app, r, MANAGE).await?;
    let asked: Asked = json(&r.headers, body)?;
    if asked.state.as_ref().is_some_and(|s| s.len() > STATE_BYTES || s.contains('\0')) {
        return Err(No::malformed("state"));
    }
    let jti = b64::encode(&app.random::<16>());
    let change = |old: &StoredStream, now| {
        let s = &old.stream;
        if s.status == Status::Disabled {
            return Err(No::malformed("a stream that is disabled"));
        }
        if s.asked_at.is_some_and(|at| now < at.plus_s(VERIFY_S)) {
            return Err(No::often("verification was asked for a moment ago"));
        }
        let mut body = Map::new();
        if let Some(state) = &asked.state {
            body.insert("state".into(), state.as_str().into());
        }
        let note = Note { jti: jti.clone(), event: EventType::Verification.uri().to_owned(), body, at: now, txn: r.ctx.txn.clone() };
        Ok((Stream { asked_at: Some(now), moved_at: now, notes: s.noted(note), ..s.clone() }, old.sealed.clone()))
    };
    settle::set(app, || access::stream(app, receiver, Some(&asked.stream_id)), "verification", &r.ctx.txn, change).await?;
    Ok(())
}
