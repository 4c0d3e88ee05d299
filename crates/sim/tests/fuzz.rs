//! The corpus of every fuzz target, on stable Rust: replayed whole, mutated a little by seeded dice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "fuzz/reached.rs"]
mod reached;

use countersign_sim::fuzz::{Dice, Seen, TARGETS, Target, mutate};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations of each target: some seconds for all of them together.
const MUTATIONS: usize = 1_000;
/// Longest mutated input, bytes; there are seeds beyond it.
const LIMIT: usize = 4_096;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The inputs of a target, by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("fuzz/corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("`{}`: {e}", folder.display()));
    let mut all: Vec<_> = entries
        .map(|e| e.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Runs one input; a property that does not hold is told with what broke it.
fn run(target: &Target, name: &str, data: &[u8], seen: &mut Seen) -> bool {
    let held = catch_unwind(AssertUnwindSafe(|| (target.run)(data, seen))).is_ok();
    if !held {
        eprintln!("`{}` does not hold for {name}: {:?}", target.name, String::from_utf8_lossy(data));
    }
    held
}

#[test]
fn every_input_of_the_corpus_holds_and_every_parser_takes_and_refuses_some() {
    let (mut seen, mut failed) = (Seen::default(), Vec::new());
    for target in TARGETS {
        let all = corpus(target);
        assert!(all.len() >= 3, "`{}` has {} inputs", target.name, all.len());
        for (name, data) in all {
            if !run(target, &name, &data, &mut seen) {
                failed.push(format!("{}/{name}", target.name));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    reached::check(&seen);
}

#[test]
fn mutations_of_the_corpus_hold() {
    let mut failed = Vec::new();
    // The doors are the slow ones: a request each.
    std::thread::scope(|scope| {
        let (slow, fast): (Vec<_>, Vec<_>) = TARGETS.iter().partition(|t| reached::DOORS.contains(&t.name));
        let halves = [slow, fast].map(|targets| scope.spawn(move || targets.into_iter().filter_map(broken).collect::<Vec<_>>()));
        for half in halves {
            failed.extend(half.join().unwrap());
        }
    });
    assert!(failed.is_empty(), "add it to the corpus when it is mended: {failed:#?}");
}

fn broken(target: &Target) -> Option<String> {
    let (all, mut seen) = (corpus(target), Seen::default());
    let mut dice = Dice::new(target.name.bytes().fold(20_261_121, |n, b| n * 31 % 1_000_003 + u64::from(b)));
    for n in 0..MUTATIONS {
        let (name, one) = &all[dice.below(all.len())];
        let (_, other) = &all[dice.below(all.len())];
        let data = mutate(&mut dice, one, other, LIMIT);
        if !run(target, &format!("mutation {n} of {name}"), &data, &mut seen) {
            return Some(format!("{}: {data:02x?}", target.name));
        }
    }
    None
}

#[test]
fn every_target_has_a_wrapper_for_cargo_fuzz_and_no_other_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    let folder = |path: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join(path)).unwrap();
        entries.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(folder("fuzz/fuzz_targets"), targets);
    assert_eq!(folder("fuzz/corpus"), targets);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "`{name}` is not in `fuzz/Cargo.toml`");
    }
}
