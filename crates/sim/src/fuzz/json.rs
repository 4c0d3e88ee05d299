//! Everything that is JSON before it is anything else.

use super::{Seen, text, tried};
use countersign_server::oidc;
use countersign_wire as wire;
use countersign_wire::message::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::limits::{STATEMENT_BYTES, STATEMENT_DEPTH};
use wire::statement::Statement;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Canonical bytes are read as they stand and as nothing else; any JSON that can be written so is.
pub fn jcs(data: &[u8], seen: &mut Seen) {
    let (levels, limit) = (6, 4_096);
    if let Some(value) = tried!(seen, wire::jcs::parse(data, levels, limit)) {
        assert!(data.len() <= limit && depth(&value) <= levels);
        assert_eq!(wire::jcs::encode(&value, levels, limit).unwrap(), data, "the bytes that were read");
        assert!(wire::jcs::parse(data, depth(&value).saturating_sub(1), limit).is_err() || depth(&value) == 0);
        assert!(wire::jcs::parse(data, levels, data.len() - 1).is_err());
        assert!(wire::jcs::is_plain(text(data)), "nothing hides");
    }
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if let Some(bytes) = tried!(seen, wire::jcs::encode(&value, levels, limit)) {
        let again = wire::jcs::parse(&bytes, levels, limit).unwrap();
        // Members that came twice are one by now; nothing else may have changed.
        assert_eq!(again, value);
    }
}

/// What is shown is what is hashed: a statement that is read writes back to the very bytes.
pub fn statement(data: &[u8], seen: &mut Seen) {
    let Some(read) = tried!(seen, Statement::parse(data)) else {
        // Any other order or spacing of a good one is none; nothing can be asked of the rest.
        return;
    };
    assert!(data.len() <= STATEMENT_BYTES);
    let again = tried!(seen, Statement::encode(&read)).unwrap();
    assert_eq!(text(&again), text(data), "every byte that is hashed is read");
    assert!(wire::jcs::parse(data, STATEMENT_DEPTH, STATEMENT_BYTES).is_ok());
    // Written out for people or for a file, it is no statement.
    assert!(Statement::parse(&serde_json::to_vec_pretty(&read).unwrap()).is_err());
    let mut long = read.clone();
    long.tpl = "x".repeat(STATEMENT_BYTES);
    assert!(tried!(seen, Statement::encode(&long)).is_none(), "an endless statement");
}

/// Whether everything in `read` stood in `sent` in that shape: members are named, never placed.
fn stood(read: &Value, sent: &Value) -> bool {
    match (read, sent) {
        (Value::Object(read), Value::Object(sent)) => read.iter().all(|(name, value)| match sent.get(name) {
            Some(other) => stood(value, other),
            // A default that was filled in.
            None => matches!(value, Value::Null | Value::Array(_) | Value::Bool(false) | Value::String(_) | Value::Number(_)),
        }),
        (Value::Array(read), Value::Array(sent)) => read.len() == sent.len() && read.iter().zip(sent).all(|(a, b)| stood(a, b)),
        (Value::Number(_), Value::Number(_)) => true,
        (read, sent) => read == sent,
    }
}

fn body<T: Serialize + DeserializeOwned>(data: &[u8], seen: &mut Seen) {
    let _: Option<T> = tried!(seen, wire::object::parse(data));
    let headers = super::forms::json_headers();
    let read: Result<T, _> = countersign_server::http::request::json(&headers, data);
    let Some(read) = seen.note(std::any::type_name::<T>(), read) else { return };
    let value = serde_json::to_value(&read).unwrap();
    if !data.is_empty() {
        let sent: Value = serde_json::from_slice(data).unwrap();
        assert!(stood(&value, &sent), "{sent} was read as {value}");
    }
    let again: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), value, "written and read again");
}

/// Bodies of every call.
pub fn message(data: &[u8], seen: &mut Seen) {
    body::<Open>(data, seen);
    body::<GlassAsk>(data, seen);
    body::<Confirm>(data, seen);
    body::<Scan>(data, seen);
    body::<DecisionBody>(data, seen);
    body::<Token>(data, seen);
    body::<FinishEnrolment>(data, seen);
    body::<Rebind>(data, seen);
    body::<Invite>(data, seen);
    body::<Rename>(data, seen);
    body::<UserCode>(data, seen);
    body::<NewCredential>(data, seen);
    body::<UseCode>(data, seen);
    body::<MakeCodes>(data, seen);
    body::<NewCredential>(data, seen);
    body::<Beat>(data, seen);
    body::<PostureBody>(data, seen);
    body::<TpmAsk>(data, seen);
    body::<RegisterTerminal>(data, seen);
    body::<TerminalReport>(data, seen);
    body::<TerminalTpm>(data, seen);
    body::<Unlock>(data, seen);
    body::<Subscribe>(data, seen);
    if let Ok(sent) = wire::object::parse::<Subscribe>(data)
        && let Some(to) = tried!(seen, wire::webpush::Subscriber::parse(&sent.p256dh, &sent.auth))
    {
        assert_eq!(to.seal(&[1; 32], &[2; 16], b"a", 9).unwrap().len(), to.seal(&[3; 32], &[4; 16], b"", 9).unwrap().len());
        assert!(wire::webpush::Subscriber::parse(&sent.auth, &sent.p256dh).is_err());
    }
}

/// `claims` (OpenID Connect Core §5.5).
pub fn claims_parameter(data: &[u8], seen: &mut Seen) {
    let text = text(data);
    let Some(wanted) = tried!(seen, oidc::claims::read(Some(text))) else { return };
    let sent: Value = serde_json::from_str(text).unwrap();
    assert!(sent.is_object());
    for name in &wanted.in_id_token {
        assert!(oidc::claims::ABOUT_PERSON.contains(&name.as_str()) && sent["id_token"].get(name).is_some(), "{name} was not asked for");
    }
    assert!(wanted.about_person || wanted.in_id_token.is_empty());
    if let Some(acr) = &wanted.acr {
        assert!(!acr.is_empty() && sent["id_token"]["acr"]["essential"] == true);
    }
    for part in ["id_token", "userinfo"] {
        if let Some(value) = sent[part].get("sub").and_then(|s| s.get("value")) {
            assert_eq!(wanted.person.as_ref().map(wire::PersonId::as_str), value.as_str(), "a request for one is for one");
        }
    }
}
