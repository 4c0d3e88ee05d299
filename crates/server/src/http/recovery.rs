//! Doors of the way back. Those of the new device take a proof by the key it brings; those that make
//! codes one by an enrolled device.

use super::answer::answer;
use super::request::{Incoming, json};
use super::terminal::Nothing;
use crate::app::App;
use crate::app::noise::{self, What};
use crate::app::recovery::{codes, officers};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_trust::seat::Act;
use countersign_wire::message::{MakeCodes, UseCode};
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// `POST /device/recovery-codes/options`.
pub async fn codes_options(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Codes, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        noise::admit(&app, &r.ctx, What::Challenge, "challenge")?;
        codes::options(&app, &r.ctx, &device).await
    })
    .await
}

/// `POST /device/recovery-codes`.
pub async fn codes_make(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let device = r.device_once(&app, Act::Codes, &body).await?;
        let sent: MakeCodes = json(&r.headers, &body)?;
        codes::make(&app, &r.ctx, &device, &sent).await
    })
    .await
}

/// `POST /recovery/code`.
pub async fn code(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let sent: UseCode = json(&r.headers, &body)?;
        codes::use_code(&app, &r.ctx, &proof, &sent).await
    })
    .await
}

/// `POST /recovery/standing`.
pub async fn standing(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let proof = r.key_proof(&app, &body)?;
        let _: Nothing = json(&r.headers, &body)?;
        officers::standing(&app, &r.ctx, &proof).await
    })
    .await
}

/// `POST /recovery/collect`.
pub async fn collect(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let proof = r.key_proof(&app, &body)?;
        let _: Nothing = json(&r.headers, &body)?;
        officers::collect(&app, &r.ctx, &proof).await
    })
    .await
}

/// `POST /recovery/cancel`.
pub async fn cancel(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::NO_CONTENT, async {
        let proof = r.key_proof(&app, &body)?;
        let _: Nothing = json(&r.headers, &body)?;
        officers::cancel(&app, &r.ctx, &proof).await
    })
    .await
}
