//! Questions to the decision point (OpenID AuthZEN Authorization API 1.0).

use super::forms::json_asked;
use super::{Seen, tried};
use axum::http::StatusCode;
use countersign_server::authzen::question::{Open, Question};
use countersign_trust::policy::access::AccessSet;
use serde_json::{Map, Value};
use std::sync::OnceLock;

const NAME_BYTES: usize = 16 * 1024;

fn shipped() -> &'static AccessSet {
    static SET: OnceLock<AccessSet> = OnceLock::new();
    SET.get_or_init(|| AccessSet::shipped().unwrap())
}

/// An item's own word or what is true for all items, and nothing that neither says; judged, it is denied.
pub fn question(data: &[u8], seen: &mut Seen) {
    let Ok(Value::Object(item)) = serde_json::from_slice::<Value>(data) else { return };
    let all = item.get("all").and_then(Value::as_object).cloned().unwrap_or_default();
    for open in [Open::Nothing, Open::Subject, Open::Action, Open::Resource] {
        let Some(q) = tried!(seen, Question::read(&all, &item, open)) else { continue };
        let said = |what: &str, name: &str| {
            let own = item.get(what).and_then(|o| o.get(name));
            own.or_else(|| all.get(what).and_then(|o| o.get(name))).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for (what, thing, left) in [("subject", &q.subject, Open::Subject), ("resource", &q.resource, Open::Resource)] {
            assert_eq!(thing.kind, said(what, "type"));
            assert_eq!(thing.id, if open == left { String::new() } else { said(what, "id") });
            assert!(thing.kind.len() <= NAME_BYTES && thing.id.len() <= NAME_BYTES);
        }
        assert_eq!(q.action, if open == Open::Action { String::new() } else { said("action", "name") });
        assert!(open != Open::Action || q.action_properties.is_empty());
        // Nobody wrote a rule that allows anything, and what a question says of itself is none.
        let ask = q.ask(None, None);
        let verdict = shipped().decide(&ask);
        assert!(!verdict.allowed, "allowed by nobody");
        assert_eq!(shipped().decide(&ask).reason, verdict.reason, "the same question, another answer");
    }
    assert!(Question::read(&Map::new(), &Map::new(), Open::Nothing).is_err());
}

/// The doors: whatever is asked, nothing is found, allowed or broken by it.
pub fn access(data: &[u8], seen: &mut Seen) {
    for path in ["/access/v1/evaluations", "/access/v1/search/subject", "/access/v1/search/action", "/access/v1/search/resource"] {
        let stranger = json_asked(path, data, false);
        assert_eq!(stranger.0, StatusCode::UNAUTHORIZED);
        let (status, told) = json_asked(path, data, true);
        seen.note("/access", status == StatusCode::OK);
        if status != StatusCode::OK {
            // What one caller's refusals make the server write has a budget.
            assert!([StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(&status), "{status}: {told}");
            continue;
        }
        let items = told["evaluations"].as_array().cloned().unwrap_or_else(|| vec![told.clone()]);
        for one in items.iter().filter(|_| path.ends_with("evaluations")) {
            assert_eq!(one["decision"], Value::Bool(false), "{one}");
        }
        assert!(told.get("results").is_none_or(|r| r.as_array().is_some_and(Vec::is_empty)), "{told}");
    }
}
