//! Which part may know which.

use super::tree::{File, files, has_word, none, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn metadata(more: &[&str]) -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(more)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let arrows: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("wire", &[][..]),
        ("trust", &["wire"][..]),
        ("store", &["wire", "trust"][..]),
        ("server", &["wire", "trust", "store"][..]),
        ("device", &["wire"][..]),
        ("guard", &["wire"][..]),
        ("sim", &["wire", "trust", "store", "server", "device", "guard"][..]),
    ]);
    let mut wrong = Vec::new();
    let packages = metadata(&["--no-deps"]);
    for package in packages["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap().trim_start_matches("countersign-");
        let allowed = arrows.get(name).unwrap_or_else(|| panic!("`{name}` has no place among the arrows"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(on) = dependency["name"].as_str().unwrap().strip_prefix("countersign-") else { continue };
            if dependency["kind"] != "dev" && !allowed.contains(&on) {
                wrong.push(format!("{name} -> {on}"));
            }
        }
    }
    none(wrong, "an arrow that is not drawn");
}

#[test]
fn what_decides_has_no_clock_no_chance_and_no_sockets() {
    let forbidden = ["tokio", "axum", "hyper", "reqwest", "rusqlite", "SystemTime", "Instant", "SystemRandom", "async", "std::env", "std::fs", "std::net::TcpStream"];
    none(found_in(|f| f.path.starts_with("crates/wire/src/") || f.path.starts_with("crates/trust/src/"), &forbidden), "in wire or trust");
}

#[test]
fn only_the_policy_module_knows_the_policy_language() {
    let elsewhere = |f: &File| !f.path.starts_with("crates/trust/src/policy/");
    none(found_in(elsewhere, &["cedar_policy"]), "outside `trust::policy`");
}

#[test]
fn only_the_store_speaks_sql() {
    // The stage and the benchmark look at the store from beside it, so that no answer of the server is believed.
    let beside = ["crates/store/", "crates/sim/src/stage/", "crates/sim/src/bin/countersign-bench/"];
    let elsewhere = |f: &File| !beside.iter().any(|part| f.path.starts_with(part));
    none(found_in(elsewhere, &["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "rusqlite", "tokio_postgres"]), "SQL outside the store");
}

#[test]
fn refusals_become_a_status_in_one_file_for_each_protocol() {
    let speaking = ["http", "oidc", "authzen", "ssf", "mcp"].map(|part| format!("crates/server/src/{part}/"));
    let speaks = |f: &File| f.path.starts_with("crates/server/src/") && !speaking.iter().any(|part| f.path.starts_with(part));
    none(found_in(speaks, &["StatusCode", "axum::response"]).into_iter().filter(|l| !l.contains("/pages/") && !l.contains("/jobs/") && !l.contains("/serve.rs")).collect(), "HTTP outside the protocols");
}

fn found_in(wanted: impl Fn(&File) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files().iter().filter(|f| f.is_source() && wanted(f)) {
        for (n, line) in file.code() {
            // A word within a text is about something, not a use of it.
            let bare: String = if words.iter().any(|w| w.ends_with(' ') || w.contains("INTO")) {
                line.to_owned()
            } else {
                line.split('"').step_by(2).collect()
            };
            for word in words {
                let hit = if word.ends_with(' ') { bare.contains(&format!("\"{word}")) } else { has_word(&bare, word) };
                if hit {
                    found.push(format!("{}:{n}: {word}", file.path));
                }
            }
        }
    }
    found
}

#[test]
fn the_server_links_one_cryptographic_library() {
    // The lock file lists what features might bring; the tree is what is linked.
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "countersign-server", "-e", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(names.len() > 100 && names.contains("aws-lc-rs"), "the tree was not read");
    let bad = ["ring", "openssl", "openssl-sys", "native-tls", "boring"];
    none(bad.into_iter().filter(|b| names.contains(b)).map(str::to_owned).collect(), "beside aws-lc-rs");
}
