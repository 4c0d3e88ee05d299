//! Every dependency stands under a licence that `deny.toml` allows. `cargo deny` says more; this runs
//! wherever the tests run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use serde_json::Value;
use std::collections::HashSet;
use std::io::Write as _;
use std::process::Command;

/// Names between quotes in the `allow` list.
fn allowed() -> HashSet<String> {
    let text = std::fs::read_to_string(fixtures::root().join("deny.toml")).unwrap();
    let (_, list) = text.split_once("allow = [").unwrap();
    let (list, _) = list.split_once("\n]").unwrap();
    list.lines()
        .filter_map(|l| l.trim().strip_prefix('"')?.strip_suffix("\","))
        .map(str::to_owned)
        .collect()
}

/// An SPDX expression: `AND` binds closer than `OR`; `/` is an old `OR`.
struct Licence<'a> {
    words: Vec<String>,
    at: usize,
    allowed: &'a HashSet<String>,
}

impl Licence<'_> {
    fn word(&mut self, is: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|w| w == is);
        self.at += usize::from(found);
        found
    }
    fn any(&mut self) -> bool {
        let mut good = self.all();
        while self.word("OR") {
            good |= self.all();
        }
        good
    }
    fn all(&mut self) -> bool {
        let mut good = self.one();
        while self.word("AND") {
            good &= self.one();
        }
        good
    }
    fn one(&mut self) -> bool {
        if self.word("(") {
            let good = self.any();
            assert!(self.word(")"));
            return good;
        }
        let mut name = self.words[self.at].clone();
        self.at += 1;
        if self.word("WITH") {
            name = format!("{name} WITH {}", self.words[self.at]);
            self.at += 1;
        }
        self.allowed.contains(&name)
    }
}

fn is_allowed(expression: &str, allowed: &HashSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words = spaced.split_whitespace().map(str::to_owned).collect();
    let mut licence = Licence { words, at: 0, allowed };
    let good = licence.any();
    good && licence.at == licence.words.len()
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &host])
        .current_dir(fixtures::root())
        .output()
        .unwrap();
    if !out.status.success() {
        let _ = std::io::stderr().write_all(b"skipped: licences: `cargo metadata` does not run here offline\n");
        return;
    }
    let data: Value = serde_json::from_slice(&out.stdout).unwrap();
    let allowed = allowed();
    assert!(allowed.len() > 10);
    let used: HashSet<&str> =
        data["resolve"]["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let mut refused = Vec::new();
    for package in data["packages"].as_array().unwrap() {
        if used.contains(package["id"].as_str().unwrap()) {
            let licence = package["license"].as_str().unwrap_or("none");
            if !is_allowed(licence, &allowed) {
                refused.push(format!("{}: {licence}", package["name"]));
            }
            let source = package["source"].as_str().unwrap_or("path");
            assert!(source.starts_with("path") || source.starts_with("registry+"), "{source}");
            for banned in ["openssl", "openssl-sys", "native-tls"] {
                assert_ne!(package["name"], banned);
            }
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed: HashSet<String> = ["MIT", "ISC", "A WITH B"].map(str::to_owned).into();
    for (text, want) in [
        ("MIT", true), ("GPL-3.0", false), ("GPL-3.0 OR MIT", true), ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false), ("MIT AND (GPL-3.0 OR ISC)", true), ("A WITH B", true),
        ("A", false), ("GPL-3.0 AND MIT OR ISC", true), ("none", false),
    ] {
        assert_eq!(is_allowed(text, &allowed), want, "{text}");
    }
}
