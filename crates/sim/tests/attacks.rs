//! Attacks on the real program from outside: one test for each row of docs/attacks.md that is
//! within reach. Every refusal must also stand in the log, under the reference its caller heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Real time and this process's settings: these tests stand outside of the program.
#![allow(clippy::disallowed_methods, clippy::await_holding_lock)]

#[path = "attacks/agents.rs"]
mod agents;
#[path = "attacks/bound.rs"]
mod bound;
#[path = "attacks/called.rs"]
mod called;
#[path = "attacks/changed.rs"]
mod changed;
#[path = "attacks/codes.rs"]
mod codes;
#[path = "attacks/cookies.rs"]
mod cookies;
#[path = "attacks/decisions.rs"]
mod decisions;
#[path = "attacks/devices.rs"]
mod devices;
#[path = "attacks/distance.rs"]
mod distance;
#[path = "attacks/doors.rs"]
mod doors;
#[path = "attacks/exchange.rs"]
mod exchange;
#[path = "attacks/examples.rs"]
mod examples;
#[path = "attacks/falling.rs"]
mod falling;
#[path = "attacks/glass.rs"]
mod glass;
#[path = "attacks/grants.rs"]
mod grants;
#[path = "attacks/greeting.rs"]
mod greeting;
#[path = "attacks/guessing.rs"]
mod guessing;
#[path = "attacks/killed.rs"]
mod killed;
#[path = "attacks/noise.rs"]
mod noise;
#[path = "attacks/posture.rs"]
mod posture;
#[path = "attacks/pushes.rs"]
mod pushes;
#[path = "attacks/races.rs"]
mod races;
#[path = "attacks/rings.rs"]
mod rings;
#[path = "attacks/lifecycle/mod.rs"]
mod lifecycle;
#[path = "attacks/result.rs"]
mod result;
#[path = "attacks/newcomers.rs"]
mod newcomers;
#[path = "attacks/news.rs"]
mod news;
#[path = "attacks/signals.rs"]
mod signals;
#[path = "attacks/slow.rs"]
mod slow;
#[path = "attacks/tokens.rs"]
mod tokens;
#[path = "attacks/workloads.rs"]
mod workloads;

use countersign_sim::stage::{Settings, Stage};
use std::sync::OnceLock;

/// A relying party that only listens: its address, and what it is told.
async fn listener() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
    let hear = move |body: String| {
        let _ = tell.send(body);
        async {}
    };
    let app = axum::Router::new().route("/signed-out", axum::routing::post(hear));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://127.0.0.1:{}/signed-out", socket.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    (uri, heard)
}

static STAGE: OnceLock<Stage> = OnceLock::new();

/// The server that most tests share; each stands at places of its own.
fn stage() -> &'static Stage {
    Stage::shared(&STAGE, Settings::default)
}
