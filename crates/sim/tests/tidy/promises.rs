//! Documents promise; the tree must hold it.

use super::tree::{files, none, read, root};
use countersign_trust::Refusal;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every test function of the tree, in Rust and in JavaScript by its title.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files().iter().filter(|f| f.path.ends_with(".rs")) {
        let mut marked = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if marked && let Some((_, rest)) = line.split_once("fn ") {
                found.insert(rest.split('(').next().unwrap_or_default().to_owned());
                marked = false;
            }
        }
    }
    found
}

/// Rows of every table of a document: cells without their spaces.
fn rows(text: &str) -> impl Iterator<Item = Vec<String>> + '_ {
    text.lines()
        .filter(|l| l.starts_with('|') && !l.starts_with("|--") && !l.starts_with("| --"))
        .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
}

fn held(document: &str, done: &[&str]) {
    let tests = tests();
    let (text, mut wrong, mut read_rows) = (read(document), Vec::new(), 0);
    let mut ids = BTreeSet::new();
    for row in rows(&text) {
        let Some(status) = row.last() else { continue };
        if !done.contains(&status.as_str()) && !["planned", "later"].contains(&status.as_str()) {
            continue;
        }
        read_rows += 1;
        if !ids.insert(row[0].clone()) {
            wrong.push(format!("{}: a second row of this name", row[0]));
        }
        if !done.contains(&status.as_str()) {
            continue;
        }
        let named: Vec<&str> = row.iter().flat_map(|c| c.split('`').skip(1).step_by(2)).filter(|w| tests.contains(*w)).collect();
        // The examples are named by their number.
        let lower = format!("{}_", row[0].to_lowercase().replace('.', "_"));
        if named.is_empty() && !tests.iter().any(|t| t.starts_with(&lower)) {
            wrong.push(format!("{}: `{status}`, and no test of that name", row[0]));
        }
    }
    assert!(read_rows > 10, "`{document}` has no table of the expected form");
    none(wrong, document);
}

#[test]
fn every_attack_that_is_held_names_a_test() {
    held("docs/attacks.md", &["held"]);
}

#[test]
fn the_attacks_are_thirty_six_and_say_held_only_with_a_test() {
    let text = read("docs/attacks.md");
    let attacks: Vec<Vec<String>> = rows(&text).filter(|r| r[0].parse::<u32>().is_ok()).collect();
    assert_eq!(attacks.len(), 36);
    for (n, row) in (1..).zip(&attacks) {
        assert_eq!(row[0], n.to_string());
        assert_eq!(row.len(), 5, "{row:?}");
        let named = row[3].trim_matches('`').starts_with(&format!("x{n:02}_"));
        match row[4].as_str() {
            "held" | "planned" => assert!(named, "{row:?}"),
            "later" => assert_eq!(row[3], "—", "{row:?}"),
            other => panic!("`{other}` is no status"),
        }
    }
}

#[test]
fn every_scenario_that_works_names_a_test() {
    held("docs/scenarios.md", &["held", "works"]);
}

#[test]
fn every_clause_that_is_done_names_a_test() {
    held("docs/standards.md", &["done"]);
}

#[test]
fn every_refusal_is_in_the_protocol_and_has_words_for_people() {
    let protocol = read("docs/protocol.md");
    let mut pages = read("web/catalogue/en.json");
    for file in files() {
        if file.path.starts_with("web/script/") {
            pages.push_str(&file.text);
        }
    }
    let mut missing = Vec::new();
    for refusal in Refusal::ALL {
        let code = refusal.code();
        if !protocol.contains(&format!("`{code}`")) {
            missing.push(format!("docs/protocol.md: {code}"));
        }
        // Only a program that speaks wrongly hears the first; the page shows its general sentence. The
        // second is known by its status (410), as it has one page with one sentence.
        if matches!(refusal, Refusal::Malformed | Refusal::InvitationOver) {
            continue;
        }
        let forms = [format!("refusal.{code}"), format!("{code}:"), format!("TABLE.{code}"), format!("'{code}'"), format!("\"{code}\"")];
        if !forms.iter().any(|f| pages.contains(f)) {
            missing.push(format!("web: {code}"));
        }
    }
    none(missing, "a code nobody explains");
}

/// Paths that routers of `file` name, in the order in which they stand.
fn routes(file: &str) -> BTreeSet<String> {
    read(file)
        .lines()
        .filter_map(|l| l.trim().strip_prefix(".route(\""))
        .filter_map(|l| l.split('"').next())
        .map(|p| p.replace("{*path}", "{path}"))
        .collect()
}

/// Endpoints whose form a standard gives: discovery names them.
const STANDARD: [&str; 10] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/par",
    "/authorize",
    "/token",
    "/introspect",
    "/revoke",
    "/userinfo",
    "/logout",
];

/// Those of the decision point: its metadata names them.
const DECISIONS: [&str; 6] = [
    "/.well-known/authzen-configuration",
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/action",
    "/access/v1/search/resource",
    "/access/v1/search/subject",
];

#[test]
fn every_door_is_in_the_openapi_document_and_no_other() {
    let document: Value = serde_json::from_str(&read("crates/server/src/http/openapi.json")).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let written: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(routes("crates/server/src/http/mod.rs"), written);
    assert_eq!(routes("crates/server/src/authzen/mod.rs"), DECISIONS.map(str::to_owned).into());
    assert_eq!(routes("crates/server/src/oidc/mod.rs"), STANDARD.map(str::to_owned).into());
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let document: Value = serde_json::from_str(&read("crates/server/src/http/openapi.json")).unwrap();
    let (mut wrong, mut open) = (Vec::new(), vec![&document]);
    while let Some(value) = open.pop() {
        match value {
            Value::Array(list) => open.extend(list),
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref")
                    && document.pointer(to.trim_start_matches('#')).is_none()
                {
                    wrong.push(to.clone());
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
    none(wrong, "a reference to nothing");
}

#[test]
fn the_openapi_document_knows_exactly_the_refusals_there_are() {
    let document: Value = serde_json::from_str(&read("crates/server/src/http/openapi.json")).unwrap();
    let written: Vec<&str> = document["components"]["schemas"]["Refused"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    assert_eq!(written, Refusal::ALL.map(Refusal::code));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|f| f.path.ends_with(".md")) {
        let here = root().join(&file.path);
        for part in file.text.split("](").skip(1) {
            let to = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !to.is_empty() && !to.contains(':') && !here.parent().unwrap().join(to).exists() {
                wrong.push(format!("{}: {to}", file.path));
            }
        }
    }
    none(wrong, "a link to nothing");
}
