//! Measures one engine: durable commits at several numbers of callers, and small reads.
//!
//! `cargo run --release -p countersign-store --features testing --example measure -- sqlite:/tmp/measure.db`, which must not exist yet;
//! or a PostgreSQL address; or `cluster` for a PostgreSQL of its own. Prints processor time of this whole process, user and kernel, for
//! each operation: on SQLite that is all there is, on PostgreSQL the server's comes on top.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program"
)]

use std::time::{Duration, Instant};

use countersign_store::testing::Cluster;
use countersign_store::{Batch, Engine, EventRow, Guard, Query, Statement, Table};

const MAKE: &str =
    "CREATE TABLE trial (id TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, note TEXT)";
const PUT: &str = "INSERT INTO trial (id, version, note) VALUES ($1, 1, $2)";
const MOVE: &str =
    "UPDATE trial SET note = $3, version = version + 1 WHERE id = $1 AND version = $2";
const LOOK: &str = "SELECT id, version, note FROM trial WHERE id = $1";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut address = std::env::args()
        .nth(1)
        .expect("give the address of an empty database, or `cluster`");
    let cluster = (address == "cluster").then(|| Cluster::start().unwrap()).flatten();
    if let Some(cluster) = &cluster {
        address = cluster.database().await.unwrap();
    }
    let engine = Engine::open(&address).await.unwrap();
    engine.upkeep(vec![Statement::any(MAKE, [])]).await.unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.trim());
    for callers in [1, 16, 64, 256] {
        commits(&engine, callers).await;
    }
    reads(&engine).await;
}

fn event(id: &str, n: usize) -> EventRow {
    EventRow {
        id: format!("e-{id}-{n:08}"),
        txn: id.to_owned(),
        kind: "ceremony.scanned".to_owned(),
        at: 1_800_000_000_000_000,
        ceremony: Some(id.to_owned()),
        session: None,
        person: Some("0190a4b2-0000-7000-8000-000000000001".to_owned()),
        device: Some("0190a4b2-0000-7000-8000-000000000002".to_owned()),
        client: Some("till".to_owned()),
        body: "{\"at\":1800000000000000,\"facts\":{},\"kind\":\"ceremony.scanned\",\"v\":1}"
            .repeat(4),
    }
}

/// What a ceremony's step costs: two guards, one row moved, one event, on the disk.
async fn commits(engine: &Engine, callers: usize) {
    let time = Duration::from_secs(3);
    let (cpu, start) = (processor_time(), Instant::now());
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let id = format!("row-{callers}-{caller}");
                let put = Statement::one(PUT, [(&id).into(), "x".into()]);
                engine
                    .commit(Batch::new(event(&id, 0)).write(put))
                    .await
                    .unwrap();
                let mut n = 1;
                while start.elapsed() < time {
                    let version = i64::try_from(n).unwrap();
                    let guard = Guard::Version {
                        table: Table::Trial,
                        id: id.clone(),
                        version,
                    };
                    let write = Statement::one(
                        MOVE,
                        [(&id).into(), version.into(), "some new state".into()],
                    );
                    let batch = Batch::new(event(&id, n))
                        .guard(guard)
                        .guard(Guard::Before(i64::MAX))
                        .write(write);
                    engine.commit(batch).await.unwrap();
                    n += 1;
                }
                n
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.unwrap();
    }
    report(&format!("commits, {callers} callers"), total, start, cpu);
}

/// What a load costs: one row by its id, in a table of a hundred thousand.
async fn reads(engine: &Engine) {
    for n in 0..100 {
        let mut batch = Batch::new(event("fill", n));
        for m in 0..1_000 {
            batch = batch.write(Statement::one(
                PUT,
                [format!("fill-{n}-{m}").into(), "some state".into()],
            ));
        }
        engine.commit(batch).await.unwrap();
    }
    for tasks in [1, 2, 16] {
        let each = 100_000 / tasks;
        let (cpu, start) = (processor_time(), Instant::now());
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    for n in 0..each {
                        let id = format!("fill-{}-{}", (n * 7 + task) % 100, (n * 13) % 1_000);
                        engine
                            .first(Query::new(LOOK, [id.into()]))
                            .await
                            .unwrap()
                            .unwrap();
                        if n % 16 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for task in running {
            task.await.unwrap();
        }
        report(&format!("reads, {tasks} callers"), each * tasks, start, cpu);
    }
}

fn report(what: &str, count: usize, start: Instant, cpu: Duration) {
    let (wall, used) = (
        start.elapsed().as_secs_f64(),
        (processor_time() - cpu).as_secs_f64(),
    );
    let count = count as f64;
    println!(
        "{what}: {:.0}/s, {:.1} µs of processor time each",
        count / wall,
        used / count * 1e6
    );
}

/// User and kernel time of this process, from `/proc/self/stat`, in ticks of ten milliseconds.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_ascii_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
