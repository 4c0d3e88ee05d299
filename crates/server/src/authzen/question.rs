//! Questions as they come (Authorization API 1.0 §5): what must be there is, what nobody knows is passed over.

use countersign_trust::policy::access::{self, Ask};
use serde_json::{Map, Value};

/// A subject or a resource.
#[derive(Clone, Debug, Default)]
pub struct Thing {
    /// Its type.
    pub kind: String,
    /// Its name; empty where a search is to find it.
    pub id: String,
    /// What the request says of it.
    pub properties: Map<String, Value>,
}

/// One question.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Who.
    pub subject: Thing,
    /// Does what; empty where a search is to find it.
    pub action: String,
    /// How.
    pub action_properties: Map<String, Value>,
    /// To what.
    pub resource: Thing,
    /// In which surroundings.
    pub context: Map<String, Value>,
}

/// What a search leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Nothing: no search.
    Nothing,
    /// Who.
    Subject,
    /// Does what.
    Action,
    /// To what.
    Resource,
}

/// Longest name, bytes: a token as a subject is the longest.
const NAME_BYTES: usize = 16 * 1024;

fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Map<String, Value>>, String> {
    match of.get(name) {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(format!("`{name}` is not an object")),
    }
}

/// A text of `item`, or of what is true for all items. Whole objects take the place of what is true for all,
/// but for what must be there.
fn text(what: &str, name: &str, item: Option<&Map<String, Value>>, all: Option<&Map<String, Value>>) -> Result<String, String> {
    let found = item.and_then(|m| m.get(name)).or_else(|| all.and_then(|m| m.get(name)));
    match found {
        Some(Value::String(text)) if text.len() <= NAME_BYTES => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!("`{what}.{name}` is too long")),
        Some(_) => Err(format!("`{what}.{name}` is not a text")),
        None => Err(format!("`{what}.{name}` is missing")),
    }
}

fn properties(what: &str, of: Option<&Map<String, Value>>) -> Result<Map<String, Value>, String> {
    let found = of.map(|m| object(m, "properties")).transpose().map_err(|e| format!("{what}: {e}"))?;
    Ok(found.flatten().cloned().unwrap_or_default())
}

impl Question {
    /// Reads one. `all` is what is true for every item of a list, `item` is the item.
    pub fn read(all: &Map<String, Value>, item: &Map<String, Value>, open: Open) -> Result<Question, String> {
        let both = |name: &str| Ok::<_, String>((object(item, name)?, object(all, name)?));
        let thing = |name: &str, open: bool| {
            let (own, common) = both(name)?;
            if own.is_none() && common.is_none() {
                return Err(format!("`{name}` is missing"));
            }
            let id = if open { String::new() } else { text(name, "id", own, common)? };
            Ok(Thing { kind: text(name, "type", own, common)?, id, properties: properties(name, own.or(common))? })
        };
        let (subject, resource) = (thing("subject", open == Open::Subject)?, thing("resource", open == Open::Resource)?);
        let (own, common) = both("action")?;
        let (action, action_properties) = match open {
            Open::Action => (String::new(), Map::new()),
            _ if own.is_none() && common.is_none() => return Err("`action` is missing".to_owned()),
            _ => (text("action", "name", own, common)?, properties("action", own.or(common))?),
        };
        let (own, common) = both("context")?;
        let context = own.or(common).cloned().unwrap_or_default();
        Ok(Question { subject, action, action_properties, resource, context })
    }

    /// The question with what the server knows.
    pub fn ask<'a>(&'a self, subject: Option<&'a Value>, resource: Option<&'a Value>) -> Ask<'a> {
        let thing = |t: &'a Thing, live| access::Thing { kind: &t.kind, id: &t.id, properties: &t.properties, live };
        Ask {
            subject: thing(&self.subject, subject),
            action: &self.action,
            action_properties: &self.action_properties,
            resource: thing(&self.resource, resource),
            context: &self.context,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(all: Value, item: Value) -> Result<Question, String> {
        Question::read(all.as_object().unwrap(), item.as_object().unwrap(), Open::Nothing)
    }

    #[test]
    fn an_items_object_takes_the_place_of_the_common_one_but_for_what_must_be_there() {
        let all = json!({
            "subject": {"type": "user", "id": "a", "properties": {"x": 1}}, "action": {"name": "read", "properties": {"y": 1}},
            "resource": {"type": "record"}, "context": {"z": 1},
        });
        let q = read(all.clone(), json!({"resource": {"id": "r"}, "action": {"properties": {}}})).unwrap();
        assert_eq!((q.subject.id.as_str(), q.resource.kind.as_str(), q.resource.id.as_str()), ("a", "record", "r"));
        assert_eq!((q.action.as_str(), q.action_properties.len(), q.context.len()), ("read", 0, 1));
        let q = read(all.clone(), json!({"resource": {"id": "r"}, "subject": {"id": "b"}, "context": {}})).unwrap();
        assert_eq!((q.subject.id.as_str(), q.subject.properties.len(), q.context.len()), ("b", 0, 0));
        assert_eq!(read(all, json!({})).unwrap_err(), "`resource.id` is missing");
    }

    #[test]
    fn whatever_is_missing_or_of_another_type_is_named() {
        let good = json!({"subject": {"type": "u", "id": "a"}, "action": {"name": "r"}, "resource": {"type": "t", "id": "x"}, "more": 1});
        assert!(read(good.clone(), json!({})).is_ok());
        for (at, value, said) in [
            ("/subject", json!("alice"), "`subject` is not an object"),
            ("/subject/id", json!(7), "`subject.id` is not a text"),
            ("/action/name", json!(123), "`action.name` is not a text"),
            ("/context", json!([]), "`context` is not an object"),
            ("/subject/properties", json!(1), "subject: `properties` is not an object"),
            ("/resource/id", json!("x".repeat(20_000)), "`resource.id` is too long"),
        ] {
            let mut bad = good.clone();
            let (path, name) = at.rsplit_once('/').unwrap();
            bad.pointer_mut(path).unwrap()[name] = value;
            assert_eq!(read(bad, json!({})).unwrap_err(), said);
        }
    }
}
