//! An application in axum that lets in whoever Countersign still trusts.
//!
//! ```text
//! COUNTERSIGN=https://id.example SECRET=… cargo run -p countersign-guard --example axum
//! ```
//!
//! At the server, the application is a client with `introspects = ["https://records.example"]`, and the
//! clients that call it have `audience = "https://records.example"`.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "an example reads its settings where it stands")]

use axum::{Extension, Router, routing::get};
use countersign_guard::{Guard, Needs, Settings, Visitor};

#[tokio::main]
async fn main() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set"));
    let guard = Guard::new(Settings::new(
        &setting("COUNTERSIGN"),
        "https://records.example",
        "https://records.example",
        "records",
        &setting("SECRET"),
    ))
    .expect("settings");
    let app = Router::new()
        // Whoever has a good token.
        .route("/records", get(|Extension(who): Extension<Visitor>| async move { format!("records of {}", who.subject) }))
        .layer(guard.keep(Needs::nothing()))
        // Only with a scope, and an approval of the last five minutes.
        .merge(Router::new().route("/refunds", get(async || "refunds")).layer(guard.keep(Needs::nothing().scope("refund").max_age_s(300))));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:8080").await.expect("a free port");
    axum::serve(socket, app).await.expect("served");
}
