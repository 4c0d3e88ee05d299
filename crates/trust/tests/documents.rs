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
fn the_attacks_are_thirty_six_and_say_held_only_with_a_test() {
    let text = document("attacks.md");
    let attacks: Vec<Vec<String>> =
        rows(&text).into_iter().filter(|r| r[0].parse::<u32>().is_ok()).collect();
    assert_eq!(attacks.len(), 36);
    for (at, row) in attacks.iter().enumerate() {
        assert_eq!(row[0], (at + 1).to_string());
        assert_eq!(row.len(), 5, "{row:?}");
        let named = row[3].trim_matches('`').starts_with(&format!("x{:02}_", at + 1));
        match row[4].as_str() {
            "held" | "planned" => assert!(named, "{row:?}"),
            "later" => assert_eq!(row[3], "—", "{row:?}"),
            other => panic!("`{other}` is no status"),
        }
    }
}

#[test]
fn the_state_table_of_the_specification_has_every_command() {
    let text = document("protocol.md");
    let table: Vec<String> = rows(&text).into_iter().filter(|r| r.len() == 7).map(|r| r[0].clone()).collect();
    for command in ["open", "scan, take", "confirm", "approve", "refuse, not_me", "redeem", "claim", "abandon", "cut", "sweep"] {
        assert!(table.iter().any(|t| t.starts_with(command)), "{command}");
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut checked = 0;
    for folder in ["", "docs", "docs/decisions", "vectors", "web"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = target.split('#').next().unwrap();
                if file.is_empty() || target.contains("://") || target.contains(' ') {
                    continue;
                }
                checked += 1;
                assert!(path.with_file_name(file).exists(), "{}: {target}", path.display());
            }
        }
    }
    assert!(checked > 30, "{checked}");
}
