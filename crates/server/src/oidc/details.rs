//! `authorization_details` (RFC 9396): which types there are, and whether a request's details are of
//! them. What passes carries the words that the person will read, and is never changed again.
//!
//! A type is a file: how it is put into words ([`Wording`]) and a JSON Schema (2020-12) that its
//! details must fit. Two are shipped, `payment` and `tool_call`; `detail_types` of the configuration
//! adds others or replaces these.

use countersign_trust::client::Client;
use countersign_trust::detail::{self, Wording};
use countersign_wire::jcs;
use countersign_wire::statement::Detail;
use jsonschema::Validator;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The types that are shipped.
const SHIPPED: [(&str, &str); 2] = [
    ("payment", include_str!("../../../../policies/details/payment.json")),
    ("tool_call", include_str!("../../../../policies/details/tool_call.json")),
];

/// Types of details that are known here.
pub struct DetailTypes(BTreeMap<String, (Wording, Validator)>);

/// Why a request's details are refused; words for developers.
pub type Why = &'static str;

impl DetailTypes {
    /// The shipped types and those of `files`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(files: &[PathBuf]) -> Result<DetailTypes, String> {
        let mut all = BTreeMap::new();
        for (name, text) in SHIPPED {
            let (wording, validator) = read(text).map_err(|why| format!("the shipped type `{name}`: {why}"))?;
            all.insert(wording.r#type.clone(), (wording, validator));
        }
        for file in files {
            let of = |why: String| format!("`{}`: {why}", Path::new(file).display());
            let text = std::fs::read_to_string(file).map_err(|e| of(e.to_string()))?;
            let (wording, validator) = read(&text).map_err(of)?;
            all.insert(wording.r#type.clone(), (wording, validator));
        }
        Ok(DetailTypes(all))
    }

    /// Their names, for `authorization_details_types_supported`.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The details of a request (RFC 9396 §2), each of a type that the client is registered for (§10).
    ///
    /// # Errors
    /// `invalid_authorization_details` (§5), whatever the reason.
    pub fn read(&self, text: &str, client: &Client) -> Result<Vec<Detail>, Why> {
        let Ok(Value::Array(asked)) = serde_json::from_str(text) else { return Err("a JSON array") };
        if asked.is_empty() || asked.len() > detail::DETAILS {
            return Err("one to four details");
        }
        let details = asked.iter().map(|one| self.one(one, client)).collect::<Result<Vec<_>, _>>()?;
        let whole = serde_json::to_value(&details).map_err(|_| "details")?;
        jcs::encode(&whole, detail::DETAIL_DEPTH + 3, detail::ALL_BYTES).map_err(|_| "shorter details")?;
        Ok(details)
    }

    /// One call of a tool, in words.
    pub fn call(&self, asked: &Value) -> Result<Detail, Why> {
        let (wording, validator) = self.0.get("tool_call").ok_or("tool_call: no such type")?;
        if !validator.is_valid(asked) {
            return Err("a call that cannot be put into words");
        }
        wording.describe(asked).map_err(|m| m.0)
    }

    fn one(&self, asked: &Value, client: &Client) -> Result<Detail, Why> {
        let name = asked.get("type").and_then(Value::as_str).ok_or("a detail without `type`")?;
        let listed = client.detail_types.iter().any(|t| t == name);
        let (wording, validator) = self.0.get(name).filter(|_| listed).ok_or("a type this client may not ask for")?;
        if !validator.is_valid(asked) {
            return Err("a detail that does not fit the schema of its type");
        }
        wording.describe(asked).map_err(|m| m.0)
    }
}

fn read(text: &str) -> Result<(Wording, Validator), String> {
    let mut file: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let schema = file.remove("schema").ok_or("schema is missing")?;
    let wording: Wording = serde_json::from_value(Value::Object(file)).map_err(|e| e.to_string())?;
    wording.check().map_err(|m| m.0.to_owned())?;
    let validator = jsonschema::validator_for(&schema).map_err(|e| format!("schema: {e}"))?;
    Ok((wording, validator))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(types: &[&str]) -> Client {
        serde_json::from_value(json!({
            "id": "bank", "name": "Bank", "redirect_uris": ["https://bank.example/cb"], "detail_types": types
        }))
        .unwrap()
    }

    fn payment() -> Value {
        json!({"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"})
    }

    fn read(details: &Value, types: &[&str]) -> Result<Vec<Detail>, Why> {
        DetailTypes::load(&[]).unwrap().read(&details.to_string(), &client(types))
    }

    #[test]
    fn a_good_detail_has_its_words() {
        let [detail] = &read(&json!([payment()]), &["payment"]).unwrap()[..] else { panic!() };
        assert_eq!((detail.title.as_str(), detail.rows[0].value.as_str()), ("Pay", "12.50 EUR"));
        assert_eq!(detail.asked, payment());
        let tool = json!({"type": "tool_call", "tool": "delete_repository", "server": "https://git.example", "arguments": {"name": "x", "force": true}});
        let [detail] = &read(&json!([tool]), &["tool_call"]).unwrap()[..] else { panic!() };
        let shown: Vec<_> = detail.rows.iter().map(|r| format!("{}={}", r.label, r.value)).collect();
        assert_eq!(shown, ["Tool=delete_repository", "Server=https://git.example", "arguments force=true", "arguments name=x"]);
    }

    #[test]
    fn what_is_not_of_a_registered_type_is_refused() {
        let with = |name: &str, value: Value| {
            let mut one = payment();
            one[name] = value;
            json!([one])
        };
        for (details, types) in [
            (json!([payment()]), &[][..]),
            (json!([payment()]), &["tool_call"]),
            (json!([]), &["payment"]),
            (payment(), &["payment"]),
            (json!([payment(), payment(), payment(), payment(), payment()]), &["payment"]),
            (with("amount", json!(12.5)), &["payment"]),
            (with("amount", json!("-1")), &["payment"]),
            (with("extra", json!("x")), &["payment"]),
            (with("to", json!("a\u{202e}b")), &["payment"]),
            (with("type", json!("loan")), &["payment", "loan"]),
            (with("type", json!(["payment"])), &["payment"]),
        ] {
            assert!(read(&details, types).is_err(), "{details} {types:?}");
        }
        assert!(DetailTypes::load(&[]).unwrap().read("not json", &client(&["payment"])).is_err());
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"type":"a","title":"A","rows":[],"schema":{"type":"nonsense"}}"#,
            r#"{"type":"","title":"A","rows":[],"schema":{}}"#,
            r#"{"type":"a","title":"A","rows":[],"schema":{},"more":1}"#,
            r#"{"type":"a","title":"A","rows":[]}"#,
        ] {
            assert!(super::read(text).is_err(), "{text}");
        }
        assert!(DetailTypes::load(&["nowhere.json".into()]).err().unwrap().contains("nowhere.json"));
    }
}
