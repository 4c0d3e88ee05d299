//! Authorization details (RFC 9396) of the shipped types.

use super::{Seen, jose, text, tried};
use countersign_server::oidc::details::DetailTypes;
use countersign_trust::detail;
use countersign_wire::jcs;
use countersign_wire::statement::Detail;
use serde_json::Value;
use std::sync::OnceLock;

/// Every value at the end of a branch, with the name it has there.
fn leaves<'a>(name: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(name, inner)| leaves(name, inner, found)),
        other => found.push((name, other)),
    }
}

fn types() -> &'static DetailTypes {
    static TYPES: OnceLock<DetailTypes> = OnceLock::new();
    TYPES.get_or_init(|| DetailTypes::load(&[]).unwrap())
}

/// Nothing is left out of what a person reads, nothing changes on the way, and it can be signed.
pub fn authorization_details(data: &[u8], seen: &mut Seen) {
    let Some(read) = tried!(seen, DetailTypes::read(types(), text(data), jose::bank())) else { return };
    let sent: Value = serde_json::from_str(text(data)).unwrap();
    let sent = sent.as_array().unwrap();
    assert!((1..=detail::DETAILS).contains(&read.len()) && read.len() == sent.len());
    for (detail, sent) in read.iter().zip(sent) {
        assert_eq!(&detail.asked, sent, "what is signed is what was asked");
        assert_eq!(sent["type"], detail.r#type.as_str());
        assert!(jcs::encode(sent, detail::DETAIL_DEPTH, detail::DETAIL_BYTES).is_ok());
        let mut all = Vec::new();
        for (name, value) in sent.as_object().unwrap().iter().filter(|(name, _)| *name != "type") {
            leaves(name, value, &mut all);
        }
        for (name, value) in all {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let row = detail.rows.iter().find(|r| r.value.contains(&shown));
            assert!(row.is_some(), "`{name}`: `{shown}` is not shown");
        }
        for row in &detail.rows {
            assert!(jcs::is_plain(&row.label) && jcs::is_plain(&row.value), "{row:?}");
        }
    }
    let whole = serde_json::to_value(&read).unwrap();
    let bytes = jcs::encode(&whole, detail::DETAIL_DEPTH + 3, detail::ALL_BYTES).unwrap();
    let again: Vec<Detail> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(again, read, "as a token carries it");
    // Another client may not ask for it.
    let mut poor = jose::bank().clone();
    poor.detail_types.clear();
    assert!(types().read(text(data), &poor).is_err());
}
