//! One catalogue of texts for templates and scripts alike: `web/catalogue/en.json`.

use serde_json::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Language of the catalogue, as the pages declare it.
pub const LANGUAGE: &str = "en";

const SOURCE: &str = include_str!("../../../../web/catalogue/en.json");

fn texts() -> &'static HashMap<String, String> {
    static TEXTS: OnceLock<HashMap<String, String>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let parsed: HashMap<String, Value> = serde_json::from_str(SOURCE).unwrap_or_default();
        parsed
            .into_iter()
            .filter_map(|(key, value)| match value {
                Value::String(text) => Some((key, text)),
                Value::Object(forms) => forms.get("other").and_then(Value::as_str).map(|text| (key, text.to_owned())),
                _ => None,
            })
            .collect()
    })
}

/// The text of `key`; of several plural forms the general one. A key that is not there comes back as it
/// is, which a test over every page finds.
pub fn text(key: &str) -> &str {
    texts().get(key).map_or(key, String::as_str)
}

/// The text of `key` before and after `{name}`.
pub fn around(key: &'static str, name: &str) -> (&'static str, &'static str) {
    let whole: &'static str = texts().get(key).map_or(key, String::as_str);
    whole.split_once(&format!("{{{name}}}")).unwrap_or((whole, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_parses_and_holds_no_empty_text() {
        assert!(texts().len() > 200);
        for (key, value) in texts() {
            assert!(!value.trim().is_empty(), "{key}");
        }
    }

    #[test]
    fn a_sentence_is_split_around_its_name() {
        assert_eq!(around("sign_in.lead", "client"), ("to ", ", on this screen"));
        assert_eq!(around("sign_in.headline", "client"), ("Sign in", ""));
    }
}
