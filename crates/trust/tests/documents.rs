//! What the documents say about the code is what the code says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use countersign_trust::audit::Kind;
use std::path::Path;

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    std::fs::read_to_string(root.join("docs").join(name)).unwrap()
}

/// Cells of the lines that begin a table's row, without the outer bars.
fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .filter_map(|l| l.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|l| l.split(" | ").map(|c| c.trim().to_owned()).collect())
        .collect()
}

#[test]
fn the_csf_table_names_every_kind_of_event_and_nothing_else() {
    let text = document("mitigations.md");
    let (_, rest) = text.split_once("<!-- csf-table -->").unwrap();
    let (table, _) = rest.split_once("<!-- /csf-table -->").unwrap();
    let told: Vec<(String, String)> = rows(table)
        .into_iter()
        .skip(1)
        .map(|r| (r[0].trim_matches('`').to_owned(), r[1].clone()))
        .collect();
    let coded: Vec<(String, String)> =
        Kind::ALL.iter().map(|k| (k.as_str().to_owned(), k.csf().join(", "))).collect();
    assert_eq!(told, coded);
}

#[test]
fn the_mitigations_are_seventeen_in_order() {
    let text = document("mitigations.md");
    let numbers: Vec<usize> = rows(&text).iter().filter_map(|r| r[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
}

#[test]
fn the_state_table_of_the_specification_has_every_command() {
    let text = document("protocol.md");
    let table: Vec<String> = rows(&text).into_iter().filter(|r| r.len() == 7).map(|r| r[0].clone()).collect();
    for command in ["open", "scan, take", "confirm", "approve", "refuse, not_me", "redeem", "claim", "abandon", "cut", "sweep"] {
        assert!(table.iter().any(|t| t.starts_with(command)), "{command}");
    }
}
