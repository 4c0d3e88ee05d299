//! Names, lengths, and what must not stand anywhere.

use super::tree::{files, none, read, root};

/// Longest file, in lines of code.
const LINES: usize = 500;

#[test]
fn no_file_is_longer_than_500_lines_of_code() {
    let kinds = [".rs", ".js", ".mjs", ".css", ".sql", ".html"];
    let long = files()
        .iter()
        .filter(|f| kinds.iter().any(|k| f.path.ends_with(k)))
        .map(|f| (f.code().len(), f.path.clone()))
        .filter(|(n, _)| *n > LINES)
        .map(|(n, path)| format!("{path}: {n}"))
        .collect();
    none(long, "too long to be read at one go");
}

#[test]
fn names_say_what_a_thing_is() {
    let mut found = Vec::new();
    for file in files().iter().filter(|f| f.path.ends_with(".rs")) {
        let stem = file.path.rsplit('/').next().unwrap_or_default();
        if ["utils.rs", "util.rs", "common.rs", "manager.rs", "helpers.rs", "misc.rs"].contains(&stem) {
            found.push(file.path.clone());
        }
        for (n, line) in file.code() {
            let bare: String = line.split('"').step_by(2).collect();
            let mut words = bare.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
            while let Some(word) = words.next() {
                if !["fn", "mod", "struct", "enum", "trait", "type"].contains(&word) {
                    continue;
                }
                let name = words.next().unwrap_or_default().to_ascii_lowercase();
                let module = word == "mod" && ["common", "helpers", "misc"].contains(&name.as_str());
                if module || name.starts_with("get_") || name.contains("utils") || name.ends_with("manager") {
                    found.push(format!("{}:{n}: {name}", file.path));
                }
            }
        }
    }
    none(found, "names that say nothing");
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    // Written apart, or this file would find itself.
    let words = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("db", "g!"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut found = Vec::new();
    for file in files().iter().filter(|f| f.path.ends_with(".rs") || f.path.ends_with(".js") || f.path.ends_with(".mjs")) {
        for (n, line) in file.text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) {
                found.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    none(found, "unfinished");
}

#[test]
fn nothing_names_a_registrys_host_or_one_machines_paths() {
    let words = [
        concat!("crates", ".io/"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("registry.npmjs", ".org"),
        concat!("pypi", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let mut found = Vec::new();
    for file in files() {
        // A lock file is written by its tool and must name where each package came from.
        if file.path == "Cargo.lock" || file.path.ends_with("package-lock.json") {
            continue;
        }
        for (n, line) in file.text.lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) {
                found.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    none(found, "true on one machine only");
}

#[test]
fn licences_and_the_first_pages_are_there() {
    for path in ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/protocol.md", "docs/attacks.md", "docs/scenarios.md", "docs/operate.md", "docs/benchmarks.md"] {
        assert!(read(path).len() > 200, "`{path}` is empty");
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "`{name}` does not take the workspace's lints");
    }
}

#[test]
fn every_source_file_says_what_it_is_for_or_is_named_by_one_that_does() {
    let without: Vec<String> = files()
        .iter()
        .filter(|f| f.is_source() && (f.path.ends_with("/mod.rs") || f.path.ends_with("/lib.rs")))
        .filter(|f| !f.text.starts_with("//!"))
        .map(|f| f.path.clone())
        .collect();
    none(without, "no header");
}
