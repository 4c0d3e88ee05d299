//! Authorization details (RFC 9396): what a type is called, and how one is put into words. The words
//! are part of the statement, so that the approval's signature covers what was read.
//!
//! 1. A type says which members stand in which row. It is data, not a language: a row is a label and
//!    JSON Pointers (RFC 6901), whose values are joined by a space.
//! 2. Nothing is left out: a member that no row names gets a row of its own, under its own name.

use countersign_wire::statement::{Detail, DetailRow};
use countersign_wire::{Malformed, jcs};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The type of what a request for a right says to whoever approves it: Countersign's own, and no client's to ask for.
pub const RIGHT: &str = "right";
/// The type of what tells whoever vouches for somebody what they vouch for: Countersign's own as well.
pub const VOUCH: &str = "vouch";
/// Details that one request may carry.
pub const DETAILS: usize = 4;
/// Length of one detail as canonical JSON, bytes.
pub const DETAIL_BYTES: usize = 1_500;
/// Length of all of them with their words, bytes: a statement has room for that and no more.
pub const ALL_BYTES: usize = 5_000;
/// Nesting of one detail.
pub const DETAIL_DEPTH: usize = 5;

/// How details of one type are put into words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// `type` in `authorization_details`.
    pub r#type: String,
    /// What approving it does, as a headline: "Pay".
    pub title: String,
    /// Its rows, in order.
    pub rows: Vec<RowOf>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowOf {
    /// What it is called.
    pub label: String,
    /// Where its values stand (RFC 6901), joined by a space; those that are absent are passed over.
    pub at: Vec<String>,
}

/// Types of details.
pub fn types(details: &[Detail]) -> Vec<String> {
    details.iter().map(|d| d.r#type.clone()).collect()
}

/// Types of details as tokens carry them.
pub fn types_asked(details: &[Value]) -> Vec<String> {
    details.iter().filter_map(|d| d.get("type")?.as_str()).map(str::to_owned).collect()
}

impl Wording {
    /// Whether it can be shown: plain words, pointers that point.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn check(&self) -> Result<(), Malformed> {
        let plain = |text: &str| !text.is_empty() && text.len() <= 80 && jcs::is_plain(text);
        let points = |row: &RowOf| plain(&row.label) && !row.at.is_empty() && row.at.iter().all(|at| at.starts_with('/'));
        if [RIGHT, VOUCH].contains(&self.r#type.as_str()) {
            return Err(Malformed("the types `right` and `vouch` are Countersign's own"));
        }
        if plain(&self.r#type) && plain(&self.title) && self.rows.iter().all(points) {
            Ok(())
        } else {
            Err(Malformed("type, title and labels of 1 to 80 plain characters, and pointers that begin with `/`"))
        }
    }

    /// The detail with its words.
    ///
    /// # Errors
    /// What cannot be signed or shown: see [`jcs`]; more than [`DETAIL_BYTES`], deeper than [`DETAIL_DEPTH`].
    pub fn describe(&self, asked: &Value) -> Result<Detail, Malformed> {
        jcs::encode(asked, DETAIL_DEPTH, DETAIL_BYTES)?;
        let mut named: BTreeSet<String> = BTreeSet::from(["/type".to_owned()]);
        let mut rows = Vec::new();
        for row in &self.rows {
            let values: Vec<String> = row.at.iter().filter_map(|at| asked.pointer(at)).map(text).collect();
            named.extend(row.at.iter().cloned());
            if !values.is_empty() {
                rows.push(DetailRow { label: row.label.clone(), value: values.join(" ") });
            }
        }
        rest("", asked, &named, &mut rows);
        Ok(Detail { r#type: self.r#type.clone(), title: self.title.clone(), rows, asked: asked.clone() })
    }
}

/// Rows for whatever has none.
fn rest(at: &str, value: &Value, named: &BTreeSet<String>, rows: &mut Vec<DetailRow>) {
    if named.contains(at) {
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() || at.is_empty() => {
            // In the order of the canonical bytes, whatever order they came in.
            for (name, inner) in map.iter().collect::<BTreeMap<_, _>>() {
                rest(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), inner, named, rows);
            }
        }
        _ => {
            let label = at.trim_start_matches('/').replace('/', " ").replace("~1", "/").replace("~0", "~");
            rows.push(DetailRow { label, value: text(value) });
        }
    }
}

/// A value as people read it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payment() -> Wording {
        let row = |label: &str, at: &[&str]| RowOf { label: label.into(), at: at.iter().map(|a| (*a).to_owned()).collect() };
        Wording {
            r#type: "payment".into(),
            title: "Pay".into(),
            rows: vec![row("Amount", &["/amount", "/currency"]), row("To", &["/to/name"])],
        }
    }

    fn rows(asked: Value) -> Vec<(String, String)> {
        payment().describe(&asked).unwrap().rows.into_iter().map(|r| (r.label, r.value)).collect()
    }

    fn pair(label: &str, value: &str) -> (String, String) {
        (label.to_owned(), value.to_owned())
    }

    #[test]
    fn rows_come_in_their_order_and_nothing_is_left_out() {
        let asked = json!({
            "type": "payment", "amount": "12.50", "currency": "EUR",
            "to": {"name": "Ana", "iban": "X1"}, "urgent": true, "a/b": [1, "two"], "none": {}
        });
        assert_eq!(
            rows(asked),
            [
                pair("Amount", "12.50 EUR"),
                pair("To", "Ana"),
                pair("a/b", "[1,\"two\"]"),
                pair("none", "{}"),
                pair("to iban", "X1"),
                pair("urgent", "true"),
            ]
        );
        assert_eq!(rows(json!({"type": "payment", "currency": "EUR"})), [pair("Amount", "EUR")]);
    }

    #[test]
    fn what_cannot_be_signed_or_shown_is_refused() {
        for asked in [
            json!({"type": "payment", "amount": 12.5}),
            json!({"type": "payment", "to": {"name": null}}),
            json!({"type": "payment", "to": {"name": "a\u{202e}b"}}),
            json!({"type": "payment", "to": {"name": "a".repeat(DETAIL_BYTES)}}),
            json!({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}),
        ] {
            assert!(payment().describe(&asked).is_err(), "{asked}");
        }
    }

    #[test]
    fn a_wording_that_cannot_be_shown_is_refused() {
        assert!(payment().check().is_ok());
        for broken in [
            Wording { title: String::new(), ..payment() },
            Wording { r#type: "a\u{7}".into(), ..payment() },
            Wording { r#type: RIGHT.into(), ..payment() },
            Wording { r#type: VOUCH.into(), ..payment() },
            Wording { rows: vec![RowOf { label: "A".into(), at: vec!["amount".into()] }], ..payment() },
            Wording { rows: vec![RowOf { label: "A".into(), at: vec![] }], ..payment() },
        ] {
            assert!(broken.check().is_err());
        }
    }
}
