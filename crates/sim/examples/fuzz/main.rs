//! Fuzzing on stable Rust, and the seeds of the corpus.
//!
//! ```text
//! cargo run --release -p countersign-sim --example fuzz -- run [TARGET…] --seconds 600
//! cargo run -p countersign-sim --example fuzz -- seeds
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod seeds;
#[path = "../../../wire/tests/forge/mod.rs"]
mod forge;

use clap::{Parser, Subcommand};
use countersign_sim::fuzz::{Dice, Seen, TARGETS, Target, mutate, target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Mutates the corpus, and prints what breaks a property.
    Run {
        /// Which targets; all, if none is named.
        targets: Vec<String>,
        /// For how long, all targets together.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Where the dice begin.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes the seeds that are made by programs; what was made by hand stays.
    Seeds,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("fuzz/corpus")
}

fn main() {
    match Args::parse().what {
        What::Seeds => seeds::write(&corpus()),
        What::Run { targets, seconds, seed } => {
            let named: Vec<&Target> = targets.iter().map(|n| target(n).unwrap_or_else(|| panic!("no target `{n}`"))).collect();
            let chosen: Vec<&Target> = if named.is_empty() { TARGETS.iter().collect() } else { named };
            let each = Duration::from_secs(seconds) / u32::try_from(chosen.len()).unwrap();
            let broken = chosen.into_iter().filter(|target| !run(target, each, seed)).count();
            assert_eq!(broken, 0, "targets broke");
        }
    }
}

fn run(target: &Target, time: Duration, seed: u64) -> bool {
    let folder = corpus().join(target.name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let all: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let (mut dice, mut seen, mut n) = (Dice::new(seed), Seen::default(), 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        let (one, other) = (&all[dice.below(all.len())], &all[dice.below(all.len())]);
        let mut data = mutate(&mut dice, one, other, 64 * 1024);
        if dice.below(3) == 0 {
            data = mutate(&mut dice, &data, other, 64 * 1024);
        }
        let asked = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&data, &mut seen))).is_err() {
            let name = folder.with_file_name("..").join("artifacts").join(target.name);
            std::fs::create_dir_all(&name).unwrap();
            let file = name.join(format!("{seed}-{n}"));
            std::fs::write(&file, &data).unwrap();
            println!("{}: broken by `{}`", target.name, file.display());
            return false;
        }
        if asked.elapsed() > Duration::from_secs(1) {
            println!("{}: {} bytes took {:?}", target.name, data.len(), asked.elapsed());
        }
        n += 1;
    }
    println!("{}: {n} inputs held", target.name);
    true
}
