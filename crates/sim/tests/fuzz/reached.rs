//! Which parsers there are, read from the sources of `wire`, against which were called, written down
//! by the calls themselves.

use super::root;
use countersign_sim::fuzz::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Targets that ask a whole server.
pub const DOORS: [&str; 10] =
    ["authorize", "token", "par", "device_authorization", "bc_authorize", "introspect", "revoke", "access", "mcp_gate", "register"];
/// What the server reads by itself, beside the doors: `wire` knows nothing of it.
const SERVERS: [&str; 5] = ["Params::parse", "Question::read", "Message::parse", "Message::question", "metadata::client"];

/// Public functions of `wire` that answer with a `Result` and read nothing that a stranger sent; the last
/// two are ways for serde into `object`, gone by `message`.
const NO_PARSERS: [&str; 13] = [
    "glass::approve", "glass::keep", "glass::close", "glass::roster_bytes", "Sealed::seal",
    "approval::make", "dpop::make", "posture::make", "jws::encode", "webpush::authorization", "Nonces::burn", "object::member", "object::maybe",
];
/// What cannot refuse, or never takes, in the hands of a target, and why.
const ONE_SIDED: [(&str, &str); 6] = [
    ("Der::raw", "an element that cannot be cut out is refused before, by `any`"),
    ("Roots::judge", "with no root or a foreign one nobody is believed; chains are judged in `wire/tests/attestation.rs`"),
    ("Statement::leads_to", "likewise"),
    ("tpm::endorsed_key", "no TPM ever held the key of the target; with a TPM it is tried in `scenarios/tpm.rs`"),
    ("/token", "nothing was approved"),
    ("/bc-authorize", "nobody is there to be asked"),
];

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let dir = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            // What is re-exported is called by the name of its folder.
            let module = if stem == "mod" || dir == "webauthn" || dir == "glass" { dir } else { stem };
            found.push((module, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// `Type::function` or `module::function` of everything in `wire` that may refuse what it is given.
fn parsers() -> BTreeSet<String> {
    let (mut all, mut found) = (BTreeSet::new(), Vec::new());
    sources(&root().join("crates/wire/src"), &mut found);
    for (module, text) in &found {
        let text = text.split("#[cfg(test)]").next().unwrap();
        let mut owner = module.clone();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("impl").filter(|_| !line.ends_with('}')) {
                // `impl<'a> Der<'a> {`, `impl Trait for Type {`.
                let name = rest.rsplit(" for ").next().unwrap().trim_start_matches("<'a>").trim();
                owner = name.split(['<', ' ', '{']).next().unwrap().to_owned();
            } else if line == "}" {
                owner.clone_from(module);
            }
            let Some((_, rest)) = line.split_once("pub fn ").filter(|(before, _)| before.trim().is_empty()) else { continue };
            let mut signature = rest.to_owned();
            while !signature.contains('{') {
                signature.push_str(lines.next().unwrap());
            }
            let name = signature.split(['(', '<']).next().unwrap().to_owned();
            let gives = signature.split_once("->").map(|(_, g)| g).unwrap_or_default();
            if gives.contains("Result<") || name.starts_with("parse") || name.starts_with("decode") {
                all.insert(format!("{owner}::{name}"));
            }
        }
    }
    all
}

/// Every parser was called, and the corpus has something that it takes and something that it refuses.
pub fn check(seen: &Seen) {
    let mut called: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (name, taken, refused) in seen.calls() {
        let last: Vec<&str> = name.rsplit("::").take(2).collect();
        let short = last.into_iter().rev().collect::<Vec<_>>().join("::");
        let (t, r) = called.entry(short).or_default();
        (*t, *r) = (*t + taken, *r + refused);
    }
    let parsers = parsers();
    // Bodies that the server reads say so by what they refuse.
    let source = root().join("crates/wire/src");
    let parts = std::fs::read_dir(source.join("message")).unwrap().map(|entry| entry.unwrap().path());
    let mut bodies = Vec::new();
    for file in parts.chain([source.join("message.rs")]) {
        let (text, module) = (std::fs::read_to_string(&file).unwrap(), file.file_stem().unwrap().to_string_lossy().into_owned());
        let names = text.split("deny_unknown_fields").skip(1).filter_map(|rest| rest.split("pub struct ").nth(1)?.split([' ', '<']).next());
        bodies.extend(names.map(|name| format!("{module}::{name}")));
    }
    assert!(bodies.len() >= 15, "the bodies were not read: {bodies:?}");
    let unread: Vec<&String> = bodies.iter().filter(|name| !called.contains_key(*name)).collect();
    assert!(unread.is_empty(), "no fuzz target reads {unread:?}");
    assert!(parsers.len() > 40, "the sources were not read: {parsers:?}");
    let never: Vec<&String> = parsers.iter().filter(|p| !NO_PARSERS.contains(&p.as_str()) && !called.contains_key(*p)).collect();
    assert!(never.is_empty(), "no fuzz target calls {never:?}");
    assert!(SERVERS.iter().all(|name| called.contains_key(*name)), "no fuzz target calls one of {SERVERS:?}");
    let one_sided: Vec<_> = called
        .iter()
        .filter(|(name, (taken, refused))| (*taken == 0 || *refused == 0) && !ONE_SIDED.iter().any(|(n, _)| n == name))
        .collect();
    assert!(one_sided.is_empty(), "the corpus shows one side only of (taken, refused): {one_sided:?}");
}
