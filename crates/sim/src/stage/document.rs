//! Whatever a test is answered is held against the OpenAPI document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::raw::Reply;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

const TEXT: &str = include_str!("../../../server/src/http/openapi.json");

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(TEXT).unwrap())
}

fn led<'a>(value: &'a Value) -> &'a Value
where
    'static: 'a,
{
    value["$ref"].as_str().map_or(value, |to| document().pointer(to.trim_start_matches('#')).unwrap())
}

/// Whether `path` is one of `template`.
fn fits(template: &str, path: &str) -> bool {
    let (mut names, mut parts) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), parts.next()) {
            (None, None) => return true,
            // The path of an asset has parts of its own.
            (Some("{path}"), Some(_)) => return true,
            (Some(name), Some(part)) if name == part || name.starts_with('{') && !part.is_empty() => {}
            _ => return false,
        }
    }
}

/// The door that `path` leads to: one that is named in full before one with a name in it.
fn door(path: &str) -> Option<(&'static str, &'static Value)> {
    let all = document()["paths"].as_object().unwrap();
    let fit = all.iter().filter(|(template, _)| fits(template, path));
    fit.min_by_key(|(template, _)| template.matches('{').count()).map(|(template, door)| (template.as_str(), door))
}

/// Fails if the document does not know this answer of this door.
pub fn holds(method: &str, path: &str, reply: &Reply) {
    let Some((template, door)) = door(path) else { return };
    let Some(one) = door.get(method.to_ascii_lowercase()) else { return };
    let status = reply.status.to_string();
    let told = || format!("{method} {template}: {status} {}", String::from_utf8_lossy(&reply.body));
    let response = led(one["responses"].get(&status).unwrap_or_else(|| panic!("not in the document: {}", told())));
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        assert!(header["required"] != true || reply.headers.contains_key(name.as_str()), "without `{name}`: {}", told());
    }
    let kind = reply.headers.get("content-type").map(|v| v.to_str().unwrap().split(';').next().unwrap().trim().to_owned());
    let Some(content) = response["content"].as_object() else {
        assert!(reply.body.is_empty() || kind.is_none(), "a body that is not in the document: {}", told());
        return;
    };
    if reply.body.is_empty() && kind.is_none() {
        return;
    }
    let kind = kind.unwrap_or_default();
    let part = content.get(&kind).unwrap_or_else(|| panic!("`{kind}` is not in the document: {}", told()));
    if kind == "application/json" {
        let value: Value = serde_json::from_slice(&reply.body).unwrap();
        judge(&part["schema"], &value).unwrap_or_else(|why| panic!("{why}: {}", told()));
    }
}

/// Schemas of the document, ready to judge: made once each.
fn judge(schema: &Value, value: &Value) -> Result<(), String> {
    static READY: OnceLock<Mutex<HashMap<String, Validator>>> = OnceLock::new();
    let mut ready = READY.get_or_init(Mutex::default).lock().unwrap();
    let validator = ready.entry(schema.to_string()).or_insert_with(|| {
        let mut whole = json!({"components": document()["components"]});
        whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        jsonschema::validator_for(&whole).unwrap()
    });
    validator.validate(value).map_err(|e| e.to_string())
}
