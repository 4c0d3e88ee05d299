//! Doors of registered terminals. The proof is by the key that the terminal brings.

use super::answer::answer;
use super::request::{Incoming, json};
use crate::app::{App, glass as without_line, terminals};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_wire::glass::Bundle;
use countersign_wire::message::{GlassAsk, RegisterTerminal, TerminalReport};
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// `POST /terminals/look`.
pub async fn look(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: RegisterTerminal = json(&r.headers, &body)?;
        terminals::look(&app, &r.ctx, &proof, &sent).await
    })
    .await
}

/// `POST /terminals/register`.
pub async fn register(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: RegisterTerminal = json(&r.headers, &body)?;
        terminals::register(&app, &r.ctx, &proof, &sent).await
    })
    .await
}

/// `POST /terminals/report`.
pub async fn report(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::NO_CONTENT, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: TerminalReport = json(&r.headers, &body)?;
        terminals::report(&app, &r.ctx, &proof, &sent).await
    })
    .await
}

/// `POST /terminals/glass`.
pub async fn glass(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: GlassAsk = json(&r.headers, &body)?;
        without_line::take(&app, &r.ctx, &proof, &sent).await
    })
    .await
}

/// `POST /terminals/glass/end`.
pub async fn glass_end(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: Bundle = json(&r.headers, &body)?;
        without_line::hand_in(&app, &r.ctx, &proof, &sent).await
    })
    .await
}
