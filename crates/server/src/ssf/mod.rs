//! Shared Signals Framework 1.0: what happens here is told to others as CAEP events, and theirs are heard.
//!
//! 1. [`streams`], [`status`], [`subjects`] and [`verification`] are where a receiver sets its streams;
//!    [`access`] says who it is.
//! 2. [`outbox`] reads a stream's part of the log, beginning after what was taken: the log is the queue.
//! 3. [`push`] sends it (RFC 8935), [`poll`] lets it be fetched (RFC 8936). Both keep how far the
//!    receiver is, so that nothing is lost over a restart and what comes twice has the same name.
//! 4. [`listen`] takes what others push, [`fetch`] what they keep for us; [`hear`] judges whether they may
//!    say so, [`act`] does what it means. [`webhook`] takes what has another form.

mod access;
mod act;
mod answer;
pub mod fetch;
pub mod hear;
mod listen;
mod outbox;
mod poll;
pub mod push;
mod settle;
mod status;
mod streams;
mod subjects;
mod verification;
mod webhook;

use crate::app::{App, Fault};
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countersign_trust::Refusal;
use countersign_trust::shared::stream::{POLL, PUSH};
use countersign_wire::jose::Alg;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::{Mutex, watch};

/// Every event is signed with this (CAEP Interoperability Profile 1.0 §2.6).
pub const ALG: Alg = Alg::RS256;

/// What streams share on this node.
pub struct Shared {
    /// Counts whatever may give a stream something to tell.
    pub told: watch::Sender<u64>,
    /// Counts changes that receivers and we ourselves make to streams.
    pub set: watch::Sender<u64>,
    /// Polls that wait.
    waiting: AtomicUsize,
    /// One stream is made at a time, so that nobody has more than they may.
    making: Mutex<()>,
    /// Keys of transmitters.
    fetched: hear::Fetched,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { told: watch::channel(0).0, set: watch::channel(0).0, waiting: AtomicUsize::new(0), making: Mutex::new(()), fetched: hear::Fetched::default() }
    }
}

impl Shared {
    /// There may be something to tell.
    pub fn wake(&self) {
        self.told.send_modify(|n| *n = n.wrapping_add(1));
    }
    /// A stream was set.
    fn was_set(&self) {
        self.set.send_modify(|n| *n = n.wrapping_add(1));
        self.wake();
    }
}

/// The doors of this part.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/ssf-configuration", get(configuration))
        .route("/ssf/streams", get(streams::read).post(streams::create).patch(streams::update).put(streams::replace).delete(streams::delete))
        .route("/ssf/status", get(status::read).post(status::update))
        .route("/ssf/subjects/add", post(subjects::add))
        .route("/ssf/subjects/remove", post(subjects::remove))
        .route("/ssf/verification", post(verification::post))
        .route("/ssf/poll/{stream}", post(poll::post))
        .route("/ssf/events/{transmitter}", post(listen::post))
        .route("/signals/{source}", post(webhook::post))
}

/// Where receivers look first (SSF 1.0 §7.1). Our issuer has no path, so there is one place.
async fn configuration(State(app): State<Arc<App>>) -> Response {
    Json(document(&app)).into_response()
}

fn document(app: &App) -> Value {
    let issuer = app.config.issuer.as_str();
    let at = |path: &str| format!("{issuer}{path}");
    json!({
        "spec_version": "1_0",
        "issuer": issuer,
        "jwks_uri": at("/jwks"),
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": at("/ssf/streams"),
        "status_endpoint": at("/ssf/status"),
        "add_subject_endpoint": at("/ssf/subjects/add"),
        "remove_subject_endpoint": at("/ssf/subjects/remove"),
        "verification_endpoint": at("/ssf/verification"),
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6749" }],
        "default_subjects": "ALL",
    })
}

/// What is needed before the first event is told.
pub async fn prepare(app: &App) -> Result<(), Fault> {
    if app.config.signals.receivers.is_empty() {
        return Ok(());
    }
    let broken = |_| Fault::because(Refusal::Unavailable, "no signing key");
    app.keys.ensure(&app.store, ALG).await.map_err(broken)
}
