//! Measures the built server, and a peer beside it.
//!
//! CPU time of the server's process is what counts (user and kernel, from `/proc`): it moves little on a shared machine. Wall-clock
//! figures are printed for orientation and promise nothing. The server, and the peer, are started on core 0 and see no other; whoever
//! asks them has the rest.
//!
//! `npm ci --prefix e2e/bench && cargo build --release && target/release/countersign-bench`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the monotonic clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod collected;
mod ends;
mod growth;
mod peer;
mod process;
mod sign_in;
mod tokens;
mod waiting;
mod workload;

use clap::Parser;
use countersign_device::Phone;
use countersign_sim::decisions;
use countersign_sim::stage::{Scene, Settings, Stage, place};
use process::{Cost, cost, memory, ms};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Instant;

/// What to measure.
#[derive(Parser)]
#[command(about = "Measures the server, and a peer in the same run")]
struct Options {
    /// Sign-ins that are measured.
    #[arg(long, default_value_t = 2_000)]
    sign_ins: usize,
    /// Screens that sign in at the same time.
    #[arg(long, default_value_t = 8)]
    screens: usize,
    /// Times of every other operation.
    #[arg(long, default_value_t = 4_000)]
    times: usize,
    /// Flows of the peer; none leaves it out.
    #[arg(long, default_value_t = 2_000)]
    flows: usize,
    /// Screens that wait; none leaves them out.
    #[arg(long, default_value_t = 0)]
    waiting: usize,
    /// People in the store; above the few that sign in, they are added, and everything is measured once more.
    #[arg(long, default_value_t = 0)]
    people: i64,
    /// Ends of sessions that are measured; none leaves them out.
    #[arg(long, default_value_t = 200)]
    ends: usize,
    /// Measures nothing else.
    #[arg(long)]
    ends_only: bool,
    /// Sessions of the one device that falls.
    #[arg(long, default_value_t = 10_000)]
    falls: i64,
    /// Holds streams to this port; for the benchmark itself.
    #[arg(long, hide = true)]
    hold: Option<u16>,
}

/// Costs of one store's size.
struct Costs {
    sign_in: Cost,
    refresh: Cost,
    introspect: Cost,
    poll: Cost,
    /// About a device, µs of CPU.
    decision_us: f64,
}

/// People that a small store holds at least, where a large one is measured.
const FEW: i64 = 1_000;

#[tokio::main]
async fn main() {
    let options = Options::parse();
    if let Some(port) = options.hold {
        return waiting::hold(port).await;
    }
    let core = process::can_pin().then_some(0);
    if options.ends_only {
        return ends(core, &options).await;
    }
    let mut more = String::new();
    for n in 0..sign_in::CLIENTS {
        let _ = writeln!(more, "[[clients]]\nid = \"bench-{n}\"\nname = \"Bench {n}\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\nscopes = [\"profile\"]");
    }
    more.push_str(&collected::lines());
    let begun = Instant::now();
    let stage = Stage::set(Settings { more, core, ..Settings::default() }).await;
    let first_start = begun.elapsed();
    stage.enrol_administrator().await;
    let begun = Instant::now();
    stage.restart().await;
    let start = begun.elapsed();
    let idle = memory(stage.pid().unwrap());
    let pinned = if core.is_some() { "server on one core" } else { "server not pinned" };
    println!("commit {}, load {}, {pinned}, {} screens at once\n", process::commit(), process::load(), options.screens);
    println!("| what | figure |\n|---|---|");

    let scene = stage.scene().await;
    let mut players = Vec::new();
    for n in 0..options.screens {
        players.push(scene.phone(&format!("Person {n}"), &place()).await);
    }
    if options.people > FEW {
        growth::grow(&scene.engine, 0, FEW).await;
        stage.restart().await;
    }
    let small = costs(&scene, &mut players, &options, "").await;
    let alone = sign_in::round(&scene, &mut players[..1], 100, 2).await;
    row("approval sent → terminal redeemed, one screen", &format!("p50 {} ms, p99 {} ms", ms(alone[alone.len() / 2]), ms(alone[alone.len() * 99 / 100])));
    let (bare, bound) = workload::measure(&scene, options.screens, options.times / options.screens).await;
    for (name, cost) in [("client credentials", bare), ("client credentials with DPoP", bound)] {
        row(&format!("CPU for {name}"), &figure(cost));
    }
    let each = options.times / options.screens;
    let typed = collected::device(&scene, options.screens, each).await;
    let asked = collected::ciba(&scene, options.screens, each / 4).await;
    for (name, costs) in [("device grant", &typed), ("CIBA", &asked)] {
        row(&format!("CPU for {name}: start / the same with a key's proof"), &[figure(costs.start), figure(costs.start_with_key)].join(" / "));
        row(&format!("CPU for {name}: poll of what waits / the same with a key's proof"), &[figure(costs.poll), figure(costs.poll_with_key)].join(" / "));
    }
    row("CPU for a decision about an agent's call of a tool, with a proof", &figure(calls::measure(&scene, options.screens, each).await));
    row("memory of the server, idle / after the run", &format!("{idle:.1} MiB / {:.1} MiB", memory(stage.pid().unwrap())));
    row("start / first start, until it listens", &format!("{} ms / {} ms", ms(start), ms(first_start)));
    if options.waiting > 0 {
        let w = waiting::measure(&scene, options.waiting).await;
        row(&format!("memory for a screen that waits, {} of them", w.screens), &format!("{:.1} KiB and {:.1} KiB of the kernel", w.user_kib, w.kernel_kib));
    }
    if options.people > 0 {
        growth::grow(&scene.engine, FEW.min(options.people), options.people).await;
        stage.restart().await;
        let name = format!(", {} people, devices, sessions", options.people);
        let large = costs(&scene, &mut players, &options, &name).await;
        let decision = format!("{:+.0} %", (large.decision_us / small.decision_us - 1.0) * 100.0);
        let pairs = [(small.sign_in, large.sign_in), (small.refresh, large.refresh), (small.introspect, large.introspect), (small.poll, large.poll)];
        let grown: Vec<String> = pairs.iter().map(|(a, b)| format!("{:+.0} %", (b.cpu_us / a.cpu_us - 1.0) * 100.0)).collect();
        row("growth of CPU: sign-in, refresh, introspection, poll, decision", &[grown.join(", "), decision].join(", "));
    }
    drop(scene);
    drop(stage);
    let f = decisions::measure(1_000, options.times, core).await;
    row("CPU for an access decision over HTTP, 1,000 policies of which 11 can apply, properties come along and are checked", &format!("{:.0} µs", f.told_us));
    row("the same where everything is stored / about an enrolled device, live", &format!("{:.0} µs / {:.0} µs", f.stored_us, f.live_us));
    row("the first without HTTP, candidates chosen / every policy evaluated, as Cedar alone does", &format!("{:.0} µs / {:.0} µs", f.bare_us, f.plain_us));
    ends(core, &options).await;
    if options.flows > 0 {
        match peer::measure(options.flows) {
            Ok(told) => beside(
                &told,
                &[
                    ("device flow", small.sign_in),
                    ("refresh with DPoP", small.refresh),
                    ("introspection", small.introspect),
                    ("client credentials", bare),
                    ("client credentials with DPoP", bound),
                    ("device grant: start", typed.start),
                    ("device grant: poll", typed.poll),
                    ("device grant: poll with DPoP", typed.poll_with_key),
                    ("CIBA: start", asked.start),
                    ("CIBA: poll", asked.poll),
                    ("CIBA: poll with DPoP", asked.poll_with_key),
                ],
            ),
            Err(why) => println!("\nthe peer was left out: {why}"),
        }
    }
    println!("\nload at the end {}", process::load());
}

/// Measures every operation against the store as it is.
async fn costs(scene: &Scene<'_>, players: &mut [Phone], options: &Options, size: &str) -> Costs {
    let pid = scene.stage.pid().unwrap();
    // Warm: connections, memory, the first pages of the store.
    sign_in::round(scene, players, options.sign_ins / 10, 0).await;
    let count = options.sign_ins / players.len() * players.len();
    let (sign_in, waits) = cost(pid, count, sign_in::round(scene, players, options.sign_ins, 1)).await;
    let at = |part: usize| ms(waits[(waits.len() * part / 100).min(waits.len() - 1)]);
    let mut holders = tokens::holders(scene, players).await;
    let each = options.times / holders.len();
    let count = each * holders.len();
    tokens::refresh(scene, &mut holders, each / 10).await;
    let (refresh, ()) = cost(pid, count, tokens::refresh(scene, &mut holders, each)).await;
    let (introspect, ()) = cost(pid, count, tokens::introspect(scene, &holders, each)).await;
    let poll = tokens::poll(scene, players.len(), each).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let about = decisions::live(&players[0].kept().device_id.to_string());
    let (decision_us, _) = decisions::cost(&client, scene.stage, &about, true, options.times).await;
    let costs = Costs { sign_in, refresh, introspect, poll, decision_us };
    for (name, cost) in [
        ("a complete sign-in", costs.sign_in),
        ("a refresh with rotation and a DPoP proof", costs.refresh),
        ("an introspection of an access token", costs.introspect),
        ("a poll of a screen that waits", costs.poll),
    ] {
        row(&format!("CPU for {name}{size}"), &figure(cost));
    }
    row(&format!("CPU for a decision about a device, live, over HTTP{size}"), &format!("{decision_us:.0} µs"));
    row(&format!("approval sent → terminal redeemed, all screens at once{size}"), &format!("p50 {} ms, p99 {} ms", at(50), at(99)));
    costs
}

async fn ends(core: Option<usize>, options: &Options) {
    if options.ends > 0 {
        for (what, figure) in ends::measure(core, options.ends, options.falls).await {
            row(&what, &figure);
        }
    }
}

fn figure(cost: Cost) -> String {
    format!("{:.0} µs ({:.0} a second)", cost.cpu_us, cost.per_second)
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// The peer's operations, and how many times ours they cost.
fn beside(told: &Value, ours: &[(&str, Cost)]) {
    for (name, own) in ours {
        let (Some(cpu), Some(rate)) = (told[name]["cpu_us"].as_f64(), told[name]["per_second"].as_f64()) else {
            println!("the peer did not say what `{name}` costs");
            continue;
        };
        row(&format!("peer: CPU for {name}"), &format!("{cpu:.0} µs ({rate:.0} a second), {:.2} times ours", cpu / own.cpu_us));
    }
}
