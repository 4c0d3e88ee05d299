//! Messages of MCP clients: one JSON-RPC request or notification in one body, and what is asked about it (the default
//! mappings of COAZ's binding for MCP). What was read is what goes on: the bytes that came are never passed along, so
//! nobody reads another call in them.

use serde_json::{Map, Value};

/// Longest message, bytes: a question carries its arguments, and a question has a limit.
pub const MESSAGE_BYTES: usize = 48 * 1024;
/// Longest name, bytes.
const NAME_BYTES: usize = 1_024;

/// JSON-RPC 2.0 §5.1, and the codes of COAZ's binding.
pub const NOT_JSON: i64 = -32_700;
/// Likewise.
pub const NO_REQUEST: i64 = -32_600;
/// A question cannot be made of it.
pub const UNMAPPED: i64 = -32_602;
/// Nobody answers.
pub const UNANSWERED: i64 = -32_603;
/// It may not go on.
pub const DENIED: i64 = -32_001;
/// The headers say something else (MCP 2026-07-28, `HeaderMismatch`).
pub const MISMATCH: i64 = -32_020;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its method.
    pub method: String,
    /// Its name; `None` of a notification.
    pub id: Option<Value>,
    /// All of it.
    pub whole: Value,
}

/// What is asked about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The action.
    pub action: String,
    /// Type of what it is done to.
    pub kind: &'static str,
    /// Its name; `None` where it is the server itself.
    pub id: Option<String>,
    /// What a tool is called with.
    pub arguments: Map<String, Value>,
    /// What goes along with a call besides its arguments.
    pub unseen: Vec<String>,
}

/// What a header may repeat of a message (MCP 2026-07-28, "Custom Headers from Tool Parameters").
#[derive(Clone, Debug, PartialEq)]
pub enum Repeated {
    /// There is no such argument.
    Nothing,
    /// This text.
    Text(String),
    /// It is nothing that a header could say.
    Never,
}

/// Why there is no question.
#[derive(Clone, Debug, PartialEq)]
pub enum Unasked {
    /// A method that nobody knows must not go on.
    Unknown,
    /// Something is missing.
    Unmapped(&'static str),
}

/// Members of `_meta` that say nothing about what is done.
fn says_nothing(name: &str) -> bool {
    name.starts_with("io.modelcontextprotocol/") || ["progressToken", "traceparent", "tracestate", "baggage"].contains(&name)
}

impl Message {
    /// Reads one; the code of the error otherwise. No lists of messages, no answers.
    pub fn parse(body: &[u8]) -> Result<Message, i64> {
        let whole: Value = serde_json::from_slice(body).map_err(|_| NOT_JSON)?;
        let map = whole.as_object().ok_or(NO_REQUEST)?;
        let known = map.keys().all(|name| ["jsonrpc", "id", "method", "params"].contains(&name.as_str()));
        let id = match map.get("id") {
            None => None,
            Some(id @ (Value::String(_) | Value::Number(_))) => Some(id.clone()),
            Some(_) => return Err(NO_REQUEST),
        };
        let params = map.get("params").is_none_or(Value::is_object);
        match map.get("method") {
            Some(Value::String(method)) if known && params && map.get("jsonrpc") == Some(&"2.0".into()) && method.len() <= NAME_BYTES => {
                Ok(Message { method: method.clone(), id, whole })
            }
            _ => Err(NO_REQUEST),
        }
    }

    fn param(&self, name: &str) -> Option<&Value> {
        self.whole.get("params").and_then(|p| p.get(name))
    }
    fn text(&self, name: &str) -> Option<&str> {
        self.param(name).and_then(Value::as_str).filter(|t| (1..=NAME_BYTES).contains(&t.len()))
    }

    /// What the header `Mcp-Name` repeats.
    pub fn name(&self) -> Option<&str> {
        match self.method.as_str() {
            "tools/call" | "prompts/get" => self.text("name"),
            "resources/read" => self.text("uri"),
            _ => None,
        }
    }

    /// What a header that repeats the argument `name` must say: names of headers know no case. Of objects, lists and
    /// nothing there is no such header, and of two arguments that one name could mean neither is repeated.
    pub fn repeated(&self, name: &str) -> Repeated {
        let Some(arguments) = self.param("arguments").and_then(Value::as_object).filter(|_| self.method == "tools/call") else { return Repeated::Nothing };
        let mut meant = arguments.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match (meant.next(), meant.next()) {
            (None, _) => Repeated::Nothing,
            (Some(Value::String(text)), None) => Repeated::Text(text.clone()),
            (Some(value @ (Value::Number(_) | Value::Bool(_))), None) => Repeated::Text(value.to_string()),
            _ => Repeated::Never,
        }
    }

    /// What is to be asked about it.
    pub fn question(&self) -> Result<Question, Unasked> {
        let method = self.method.as_str();
        let about = |kind, id: Option<&str>| {
            Ok(Question { action: method.to_owned(), kind, id: id.map(str::to_owned), arguments: Map::new(), unseen: Vec::new() })
        };
        let named = |kind, name: Option<&str>| about(kind, Some(name.ok_or(Unasked::Unmapped("a name is missing"))?));
        match method {
            _ if self.id.is_none() => {
                let notice = method.starts_with("notifications/");
                if notice { Ok(Question { action: "notifications".to_owned(), ..about("mcp_server", None)? }) } else { Err(Unasked::Unknown) }
            }
            "tools/call" => {
                let arguments = match self.param("arguments") {
                    None => Map::new(),
                    Some(Value::Object(map)) => map.clone(),
                    Some(_) => return Err(Unasked::Unmapped("arguments that are no object")),
                };
                Ok(Question { arguments, unseen: self.unseen(), ..named("tool", self.text("name"))? })
            }
            "initialize" | "ping" | "server/discover" | "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list"
            | "subscriptions/listen" | "logging/setLevel" | "tasks/list" => about("mcp_server", None),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => named("resource", self.text("uri")),
            "prompts/get" => named("prompt", self.text("name")),
            "tasks/get" | "tasks/result" | "tasks/cancel" => named("task", self.text("taskId")),
            "completion/complete" => {
                let of = |name: &str| self.param("ref").and_then(|r| r.get(name)).and_then(Value::as_str).filter(|t| (1..=NAME_BYTES).contains(&t.len()));
                if of("type") == Some("ref/prompt") { named("prompt", of("name")) } else { named("resource", of("uri")) }
            }
            _ => Err(Unasked::Unknown),
        }
    }

    /// What goes along with a call and is none of its arguments.
    fn unseen(&self) -> Vec<String> {
        let Some(params) = self.whole.get("params").and_then(Value::as_object) else { return Vec::new() };
        let besides = params.keys().filter(|name| !["name", "arguments", "_meta"].contains(&name.as_str())).cloned();
        let meta = match params.get("_meta") {
            Some(Value::Object(meta)) => meta.keys().filter(|name| !says_nothing(name)).map(|name| format!("_meta.{name}")).collect(),
            // What is no object can say anything.
            Some(_) => vec!["_meta".to_owned()],
            None => Vec::new(),
        };
        besides.chain(meta).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(method: &str, params: Value) -> Result<Question, Unasked> {
        let whole = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Message::parse(whole.to_string().as_bytes()).unwrap().question()
    }

    #[test]
    fn one_request_or_notification_is_a_message_and_nothing_else_is() {
        assert_eq!(Message::parse(b"{"), Err(NOT_JSON));
        for odd in [
            json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]), json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
            json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}), json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": {}, "method": "ping"}), json!({"jsonrpc": "2.0", "id": 1, "method": 1}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}), json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "more": 1}),
        ] {
            assert_eq!(Message::parse(odd.to_string().as_bytes()), Err(NO_REQUEST), "{odd}");
        }
        // Of two members with one name the last counts, here and for whoever reads what goes on.
        let twice = Message::parse(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}"#).unwrap();
        assert_eq!((twice.method.as_str(), twice.whole.to_string().matches("method").count()), ("ping", 1));
    }

    #[test]
    fn a_header_repeats_one_plain_argument_and_nothing_else() {
        let arguments = json!({"Region": "north", "n": 7, "sure": true, "deep": {"n": 7}, "list": [], "none": null, "a": 1, "A": 1});
        let message = |method: &str| Message::parse(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "t", "arguments": arguments}}).to_string().as_bytes()).unwrap();
        let call = message("tools/call");
        let text = |said: &str| Repeated::Text(said.to_owned());
        assert_eq!((call.repeated("region"), call.repeated("n"), call.repeated("sure")), (text("north"), text("7"), text("true")));
        for never in ["deep", "list", "none", "a"] {
            assert_eq!(call.repeated(never), Repeated::Never, "{never}");
        }
        assert_eq!((call.repeated("else"), message("prompts/get").repeated("region")), (Repeated::Nothing, Repeated::Nothing));
    }

    #[test]
    fn every_method_has_its_question_and_what_nobody_knows_has_none() {
        let call = asked("tools/call", json!({"name": "refund", "arguments": {"order": "A-1"}, "_meta": {"progressToken": 1}})).unwrap();
        assert_eq!((call.kind, call.id.as_deref(), call.arguments["order"].as_str(), call.unseen.len()), ("tool", Some("refund"), Some("A-1"), 0));
        let more = asked("tools/call", json!({"name": "refund", "inputResponses": {}, "_meta": {"tenant": "x", "io.modelcontextprotocol/clientInfo": {}}}));
        assert_eq!(more.unwrap().unseen, ["inputResponses", "_meta.tenant"]);
        assert_eq!(asked("tools/call", json!({"name": "refund", "_meta": "tenant=x"})).unwrap().unseen, ["_meta"]);
        for (method, params, kind, id) in [
            ("initialize", json!({}), "mcp_server", None),
            ("tools/list", json!({}), "mcp_server", None),
            ("resources/read", json!({"uri": "a:b"}), "resource", Some("a:b")),
            ("prompts/get", json!({"name": "p"}), "prompt", Some("p")),
            ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "p"}}), "prompt", Some("p")),
            ("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "a:b"}}), "resource", Some("a:b")),
            ("tasks/cancel", json!({"taskId": "t"}), "task", Some("t")),
        ] {
            let q = asked(method, params).unwrap();
            assert_eq!((q.action.as_str(), q.kind, q.id.as_deref()), (method, kind, id));
        }
        assert_eq!(asked("roots/list", json!({})), Err(Unasked::Unknown));
        for (method, params) in [("tools/call", json!({})), ("tools/call", json!({"name": "a", "arguments": []})), ("resources/read", json!({"uri": 1})), ("completion/complete", json!({"ref": {"type": "ref/resource", "uri": ""}}))] {
            assert!(matches!(asked(method, params), Err(Unasked::Unmapped(_))), "{method}");
        }
        let notice = |method: &str| Message::parse(json!({"jsonrpc": "2.0", "method": method}).to_string().as_bytes()).unwrap().question();
        assert_eq!(notice("notifications/initialized").unwrap().action, "notifications");
        // A call that wants no answer is no notification.
        assert_eq!(notice("tools/call"), Err(Unasked::Unknown));
    }
}
