//! Measures complete cross-device sign-ins against the built server, and a peer beside it.
//!
//! CPU time of the server's process is what counts (user and kernel, from `/proc`): it moves little
//! on a shared machine. Wall-clock figures are printed for orientation and promise nothing.
//!
//! `cargo build --release && target/release/countersign-bench`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the monotonic clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use clap::Parser;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, Scene, Settings, Stage, place};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use url::Url;

/// What to measure.
#[derive(Parser)]
#[command(about = "Measures complete cross-device sign-ins, and a peer in the same run")]
struct Options {
    /// Sign-ins that are measured.
    #[arg(long, default_value_t = 2_000)]
    sign_ins: usize,
    /// Screens that sign in at the same time.
    #[arg(long, default_value_t = 8)]
    screens: usize,
    /// Flows of the peer.
    #[arg(long, default_value_t = 2_000)]
    flows: usize,
}

/// Opens for each client within a minute stay below the budget of 600.
const CLIENTS: usize = 64;

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let mut more = String::new();
    for n in 0..CLIENTS {
        let _ = writeln!(more, "[[clients]]\nid = \"bench-{n}\"\nname = \"Bench {n}\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\nscopes = [\"profile\"]");
    }
    let begun = Instant::now();
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    let first_start = begun.elapsed();
    stage.enrol_administrator().await;
    let begun = Instant::now();
    stage.restart().await;
    let start = begun.elapsed();
    let pid = stage.pid().unwrap();
    let pinned = Command::new("taskset").args(["-a", "-p", "-c", "0", &pid.to_string()]).output().is_ok_and(|o| o.status.success());
    let idle = memory(pid);

    let scene = stage.scene().await;
    let mut players = Vec::new();
    for n in 0..options.screens {
        players.push(scene.phone(&format!("Person {n}"), &place()).await);
    }
    // Warm: connections, caches, the first pages of the store.
    round(&scene, &mut players, options.sign_ins / 10, 0).await;
    let (before, begun) = (cpu(pid), Instant::now());
    let mut waits = round(&scene, &mut players, options.sign_ins, 1).await;
    let (used, took) = (cpu(pid) - before, begun.elapsed());
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() * part / 100).min(waits.len() - 1)];
    let alone = {
        let mut waits = round(&scene, &mut players[..1], 100, 2).await;
        waits.sort_unstable();
        (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
    };
    let after = memory(pid);

    println!("commit {}, load {}, {}", commit(), load(), if pinned { "server pinned to one core" } else { "server not pinned" });
    println!();
    println!("| what | figure |");
    println!("|---|---|");
    let per = used.as_secs_f64() * 1e6 / waits.len() as f64;
    println!("| CPU of the server for a complete sign-in | {per:.0} µs |");
    println!("| sign-ins a second, {} screens at once | {:.0} |", options.screens, waits.len() as f64 / took.as_secs_f64());
    println!("| approval sent → terminal redeemed, one screen | p50 {} ms, p99 {} ms |", ms(alone.0), ms(alone.1));
    println!("| the same, {} screens at once | p50 {} ms, p99 {} ms |", options.screens, ms(at(50)), ms(at(99)));
    println!("| memory of the server, idle / after the run | {idle:.1} MiB / {after:.1} MiB |");
    println!("| start / first start, until it listens | {} ms / {} ms |", ms(start), ms(first_start));
    match peer(options.flows) {
        Ok((cpu_us, per_second)) => {
            println!("| peer: CPU for a device flow in memory, no signatures of a phone, no log on disk | {cpu_us:.0} µs |");
            println!("| peer: flows a second | {per_second:.0} |");
            println!("| CPU of the peer ÷ ours | {:.2} |", cpu_us / per);
        }
        Err(why) => println!("\nthe peer was left out: {why}"),
    }
}

/// Runs `count` sign-ins spread over the players; answers the time from approval to redemption.
async fn round(scene: &Scene<'_>, players: &mut [Phone], count: usize, salt: usize) -> Vec<Duration> {
    let each = count / players.len();
    let all = players.iter_mut().enumerate().map(|(n, phone)| async move {
        let mut waits = Vec::with_capacity(each);
        for i in 0..each {
            // Each round has a person's own clients: a newer scan for one ends the older.
            let client = format!("bench-{}", (n * 8 + i + salt) % CLIENTS);
            // Budgets are for each source: screen and phone move on together.
            let here = place();
            phone.http = scene.http(&here);
            let attempt = scene.open(&client, "openid profile", &here).await;
            waits.push(sign_in(scene, phone, &attempt).await);
        }
        waits
    });
    join(all.collect()).await
}

async fn join<F: Future<Output = Vec<Duration>>>(all: Vec<F>) -> Vec<Duration> {
    let mut open: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        open.retain_mut(|f| match f.as_mut().poll(cx) {
            std::task::Poll::Ready(waits) => {
                done.extend(waits);
                false
            }
            std::task::Poll::Pending => true,
        });
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// Open was before; scan, confirm, approve, hear of it, redeem, and change the code for tokens.
async fn sign_in(scene: &Scene<'_>, phone: &Phone, attempt: &Attempt) -> Duration {
    let checked = scene.confirm(phone, attempt).await;
    let begun = Instant::now();
    let heard = attempt.terminal.state(&attempt.ceremony, Some("confirmed"));
    let (state, approved) = tokio::join!(heard, phone.approve(&checked));
    assert_eq!(approved.unwrap().state, "approved");
    assert_eq!(state.unwrap().state, "approved");
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let waited = begun.elapsed();
    let redirect: Url = scene.redirect(attempt, reply).await;
    assert!(scene.tokens(attempt, &redirect).await.unwrap().id_token.is_some());
    waited
}

/// CPU time that a process has used, user and kernel (proc(5), fields 14 and 15, in ticks of 10 ms).
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory, MiB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn ms(d: Duration) -> String {
    format!("{:.1}", d.as_secs_f64() * 1e3)
}

fn commit() -> String {
    let out = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The peer's CPU for a flow in µs, and its flows a second.
fn peer(flows: usize) -> Result<(f64, f64), String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/bench");
    if !dir.join("node_modules").is_dir() {
        return Err("`npm ci --prefix e2e/bench` was not run".to_owned());
    }
    let out = Command::new("node").arg(dir.join("driver.mjs")).arg(flows.to_string()).output().map_err(|e| e.to_string())?;
    let read: serde_json::Value = serde_json::from_slice(&out.stdout)
        .map_err(|_| String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default().to_owned())?;
    match (read["cpu_us"].as_f64(), read["per_second"].as_f64()) {
        (Some(cpu), Some(rate)) => Ok((cpu, rate)),
        _ => Err("it printed no figures".to_owned()),
    }
}
