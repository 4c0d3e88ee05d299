//! Doors for devices that are not enrolled yet. The proof is by the key they want to bring.

use super::answer::answer;
use super::request::{Incoming, json};
use super::terminal::Nothing;
use crate::app::noise::{self, What};
use crate::app::{App, enrol, rebind};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_wire::message::{FinishEnrolment, Rebind, Token};
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// `POST /enrolments/look`.
pub async fn look(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: Token = json(&r.headers, &body)?;
        enrol::look(&app, &r.ctx, &proof, &sent.token).await
    })
    .await
}

/// `POST /enrolments/begin`.
pub async fn begin(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: Token = json(&r.headers, &body)?;
        enrol::begin(&app, &r.ctx, &proof, &sent.token).await
    })
    .await
}

/// `POST /enrolments/finish`.
pub async fn finish(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: FinishEnrolment = json(&r.headers, &body)?;
        let on = sent.phone.as_deref().map(|text| r.phone_proof(&app, text, &proof.jkt)).transpose()?;
        enrol::finish(&app, &r.ctx, &proof, on.as_ref(), &sent).await
    })
    .await
}

/// `POST /rebind/options`.
pub async fn rebind_options(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let _: Nothing = json(&r.headers, &body)?;
        noise::admit(&app, &r.ctx, What::Challenge, "challenge")?;
        rebind::options(&app, &r.ctx, &proof).await
    })
    .await
}

/// `POST /rebind/finish`.
pub async fn rebind_finish(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: Rebind = json(&r.headers, &body)?;
        rebind::finish(&app, &r.ctx, &proof, &sent).await
    })
    .await
}
