//! The stories of docs/scenarios.md, each driven from outside against the real program: what works,
//! and what the story must refuse with a stable code that is in the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Real time and this process's settings: these tests stand outside of the program.
#![allow(clippy::disallowed_methods, clippy::await_holding_lock)]

#[path = "scenarios/agents.rs"]
mod agents;
#[path = "scenarios/broker.rs"]
mod broker;
#[path = "scenarios/gate.rs"]
mod gate;
#[path = "scenarios/newcomers.rs"]
mod newcomers;
#[path = "scenarios/answers.rs"]
mod answers;
#[path = "scenarios/badges.rs"]
mod badges;
#[path = "scenarios/binding.rs"]
mod binding;
#[path = "scenarios/chain.rs"]
mod chain;
#[path = "scenarios/closed.rs"]
mod closed;
#[path = "scenarios/details.rs"]
mod details;
#[path = "scenarios/exchange.rs"]
mod exchange;
#[path = "scenarios/forward.rs"]
mod forward;
#[path = "scenarios/glass.rs"]
mod glass;
#[path = "scenarios/guarded.rs"]
mod guarded;
#[path = "scenarios/observed.rs"]
mod observed;
#[path = "scenarios/posture.rs"]
mod posture;
#[path = "scenarios/remote.rs"]
mod remote;
#[path = "scenarios/resources.rs"]
mod resources;
#[path = "scenarios/rings.rs"]
mod rings;
#[path = "scenarios/rights.rs"]
mod rights;
#[path = "scenarios/news.rs"]
mod news;
#[path = "scenarios/shared.rs"]
mod shared;
#[path = "scenarios/signals.rs"]
mod signals;
#[path = "scenarios/stood.rs"]
mod stood;
#[path = "scenarios/stepup.rs"]
mod stepup;
#[path = "scenarios/supervised.rs"]
mod supervised;
#[path = "scenarios/taken.rs"]
mod taken;
#[path = "scenarios/terminals.rs"]
mod terminals;
#[path = "scenarios/tether.rs"]
mod tether;
#[path = "scenarios/timed.rs"]
mod timed;
#[path = "scenarios/tpm.rs"]
mod tpm;
#[path = "scenarios/trust.rs"]
mod trust;
#[path = "scenarios/vouched.rs"]
mod vouched;
#[path = "scenarios/words.rs"]
mod words;
#[path = "scenarios/workloads.rs"]
mod workloads;

use countersign_sim::stage::{Settings, Stage};
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// The server that most stories share; each stands at places of its own.
fn stage() -> &'static Stage {
    Stage::shared(&STAGE, Settings::default)
}
