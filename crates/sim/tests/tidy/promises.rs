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
        if !done.contains(&status.as_str()) && status != "later" {
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

/// How the headings of the tables begin in which attacks are tried again.
const AGAIN: &str = "\n## Again, ";
/// Those that live on a screen, once more where the screen is a registered terminal
const AT_TERMINALS: [u32; 13] = [2, 6, 7, 8, 10, 13, 18, 19, 20, 21, 22, 23, 30];
/// Those that are another thing where a shift has the phone in hand
const ON_SHARED_PHONES: [u32; 6] = [10, 13, 21, 23, 25, 29];

fn numbered(text: &str) -> Vec<Vec<String>> {
    rows(text).filter(|r| r[0].parse::<u32>().is_ok()).collect()
}

#[test]
fn every_attack_is_tried_again_while_trust_falls_and_at_terminals_or_says_why_not() {
    let (text, tests) = (read("docs/attacks.md"), tests());
    let again: Vec<&str> = text.split(AGAIN).skip(1).map(|rest| rest.split("\n## ").next().unwrap()).collect();
    let [falling, terminals, shared] = again[..] else { panic!("{} tables", again.len()) };
    let rows = |table: &str, ids: &[u32]| {
        let rows = numbered(table);
        assert_eq!(rows.len(), ids.len());
        for (n, row) in ids.iter().zip(&rows) {
            assert_eq!((row[0].parse(), row.len()), (Ok(*n), 3), "{row:?}");
            let named: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
            assert!(named.iter().all(|name| tests.contains(*name)), "{row:?}");
            assert!(!named.is_empty() || row[2] == "—" && row[1].len() > 15, "{row:?}");
        }
    };
    rows(falling, &(1..=36).collect::<Vec<u32>>());
    rows(terminals, &AT_TERMINALS);
    rows(shared, &ON_SHARED_PHONES);
}

#[test]
fn the_attacks_are_thirty_six_and_say_held_only_with_a_test() {
    let text = read("docs/attacks.md");
    let attacks: Vec<Vec<String>> = numbered(text.split(AGAIN).next().unwrap());
    assert_eq!(attacks.len(), 36);
    for (n, row) in (1..).zip(&attacks) {
        assert_eq!(row[0], n.to_string());
        assert_eq!(row.len(), 5, "{row:?}");
        let named = row[3].trim_matches('`').starts_with(&format!("x{n:02}_"));
        match row[4].as_str() {
            "held" => assert!(named, "{row:?}"),
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
fn every_story_says_what_it_refuses_and_names_tests_that_exist() {
    let (text, tests) = (read("docs/scenarios.md"), tests());
    for (letter, count) in [("A", 12), ("Q", 11), ("T", 10)] {
        for n in 1..=count {
            let id = format!("{letter}{n}");
            let row = rows(&text).find(|r| r[0] == id).unwrap_or_else(|| panic!("no row {id}"));
            assert_eq!(row.len(), 5, "{row:?}");
            let named: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
            assert!(named.iter().all(|name| tests.contains(*name)), "{row:?}");
            assert_eq!(row[4] == "works", row[4] != "later" && !named.is_empty(), "{row:?}");
            assert!(!row[1].is_empty() && !row[2].is_empty(), "{row:?}");
        }
    }
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
        // No page reports a device's health. Only a program that speaks wrongly hears the first; the page shows its general sentence. The
        // second is known by its status (410), as it has one page with one sentence. Only a client at the token endpoint is too quick.
        if matches!(refusal, Refusal::SlowDown | Refusal::Malformed | Refusal::InvitationOver | Refusal::PostureOld | Refusal::BadEvidence) {
            continue;
        }
        let forms = [format!("refusal.{code}"), format!("{code}:"), format!("TABLE.{code}"), format!("'{code}'"), format!("\"{code}\"")];
        if !forms.iter().any(|f| pages.contains(f)) {
            missing.push(format!("web: {code}"));
        }
    }
    none(missing, "a code nobody explains");
}

/// Every door that a router of the server names, as method and path; `/metrics` has a listener of its own.
fn doors() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files().iter().filter(|f| f.path.starts_with("crates/server/src/") && f.is_source() && !f.path.ends_with("/http/health.rs")) {
        for route in file.text.lines().filter_map(|l| l.trim().strip_prefix(".route(\"")) {
            let (path, by) = route.split_once("\", ").unwrap_or_else(|| panic!("{}: a route on several lines: {route}", file.path));
            let methods: Vec<&str> = ["get", "post", "put", "patch", "delete"].into_iter().filter(|m| by.contains(&format!("{m}("))).collect();
            assert!(!methods.is_empty(), "{}: {route}", file.path);
            found.extend(methods.iter().map(|m| format!("{m} {}", path.replace("{*", "{"))));
        }
    }
    found
}

fn openapi() -> Value {
    serde_json::from_str(&read("crates/server/src/http/openapi.json")).unwrap()
}

/// Method, path and description of every door of the document.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, all)| all.as_object().unwrap().iter().map(move |(method, one)| (method.as_str(), path.as_str(), one))).collect()
}

#[test]
fn every_door_is_in_the_openapi_document_and_no_other() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    let written: BTreeSet<String> = operations(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(doors(), written);
    assert!(written.len() > 50, "{written:?}");
}

#[test]
fn every_door_of_the_openapi_document_says_what_it_takes_and_what_can_come() {
    let (document, mut wrong) = (openapi(), Vec::new());
    let known = document["components"]["securitySchemes"].as_object().unwrap();
    for (method, path, one) in operations(&document) {
        let mut missing = |what: &str| wrong.push(format!("{method} {path}: {what}"));
        let named = |part: &str| -> BTreeSet<String> {
            let all = one["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == part);
            all.map(|p| p["name"].as_str().unwrap().to_owned()).collect()
        };
        let in_path: BTreeSet<String> = path.split('{').skip(1).map(|p| p.split('}').next().unwrap().to_owned()).collect();
        if named("path") != in_path {
            missing("the parameters of its path");
        }
        match one["security"].as_array() {
            None => missing("who may ask"),
            Some(ways) => {
                for name in ways.iter().flat_map(|w| w.as_object().unwrap().keys()).filter(|n| !known.contains_key(*n)) {
                    missing(&format!("what `{name}` is"));
                }
            }
        }
        if one["summary"].as_str().is_none_or(str::is_empty) || one["tags"].as_array().is_none_or(Vec::is_empty) {
            missing("summary and tags");
        }
        let responses = one["responses"].as_object().unwrap();
        if !responses.keys().any(|s| s.starts_with('2') || s == "303") {
            missing("what comes if all is well");
        }
        // Before any door: a body that is too long, or takes too long.
        for status in ["408", "413"] {
            if !responses.contains_key(status) {
                missing(status);
            }
        }
        if !in_path.is_empty() && !responses.contains_key("400") {
            missing("400, for a path that is not text");
        }
        for (status, response) in responses {
            let response = response["$ref"].as_str().map_or(response, |to| document.pointer(to.trim_start_matches('#')).unwrap());
            let empty = status == "204" || status == "303" || response.get("headers").is_some_and(|h| h.get("WWW-Authenticate").is_some());
            if response["content"].as_object().is_none_or(serde_json::Map::is_empty) && !empty && !["/revoke", "/ssf/subjects/add", "/ssf/events/{transmitter}", "/forward-auth"].contains(&path) {
                missing(&format!("what {status} carries"));
            }
        }
    }
    none(wrong, "the document says too little");
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let document = openapi();
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
    let document = openapi();
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
