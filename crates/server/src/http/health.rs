//! Whether the server lives, whether it may be asked, and how it does.

use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers, the sequencer is heard, the clock is right.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    let reachable = app.store.engine().last_seq().await.is_ok();
    match (reachable, app.in_order()) {
        (true, Ok(())) => "ready\n".into_response(),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "store\n").into_response(),
        (_, Err(fault)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", fault.refusal.code())).into_response(),
    }
}

/// The listener for `/metrics`, apart from everything else.
pub fn metrics(app: Arc<App>, handle: PrometheusHandle) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move {
            let beat = app.store.engine().health().beat_age.as_secs_f64();
            metrics::gauge!("countersign_waiting_pages").set(f64::from(u32::try_from(app.hub.len()).unwrap_or(u32::MAX)));
            metrics::gauge!("countersign_sequencer_beat_age_seconds").set(beat);
            handle.render()
        }),
    )
}
