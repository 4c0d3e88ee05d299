//! What agents and clients that nobody listed send: messages before an MCP server, and what a client says of itself.

use super::forms::registering;
use super::{Seen, tried};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_server::config::Newcomers;
use countersign_server::mcp;
use countersign_server::mcp::message::{MESSAGE_BYTES, Message, Question};
use countersign_server::mcp::settings::Settings;
use countersign_server::oidc::metadata;
use countersign_trust::client::{Client, ClientAuth};
use countersign_wire::{b64, jcs};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tower::ServiceExt as _;
use url::Url;

/// Members of a message.
const MEMBERS: [&str; 4] = ["jsonrpc", "id", "method", "params"];

/// What goes on says once what was read in it, and whatever is in a call is asked about.
pub fn mcp_message(data: &[u8], seen: &mut Seen) {
    let Some(message) = tried!(seen, Message::parse(data)) else { return };
    let sent = message.whole.to_string();
    assert_eq!(Message::parse(sent.as_bytes()).as_ref(), Ok(&message), "what goes on reads otherwise");
    assert!(message.whole.as_object().unwrap().keys().all(|name| MEMBERS.contains(&name.as_str())), "{sent}");
    if let Some(question) = tried!(seen, Message::question(&message)) {
        says_all(&message, &question);
    }
}

/// Holds a question against its message.
fn says_all(message: &Message, q: &Question) {
    let notice = q.action == "notifications" && q.kind == "mcp_server" && message.method.starts_with("notifications/");
    assert_eq!(message.id.is_none(), notice, "a request is no notification");
    assert!(notice || q.action == message.method);
    assert!(q.id.as_ref().is_none_or(|id| !id.is_empty() && id.len() <= 1_024), "{:?}", q.id);
    assert_eq!(q.id.is_none(), q.kind == "mcp_server");
    if q.kind != "tool" {
        assert!(q.arguments.is_empty() && q.unseen.is_empty());
        return;
    }
    let params = message.whole["params"].as_object().unwrap();
    assert_eq!((message.method.as_str(), message.name(), q.id.as_deref()), ("tools/call", params["name"].as_str(), params["name"].as_str()));
    assert_eq!(params.get("arguments").cloned().unwrap_or_else(|| json!({})), Value::Object(q.arguments.clone()));
    let unseen = |name: &str| q.unseen.iter().any(|u| u == name);
    for (name, value) in params.iter().filter(|(name, _)| !["name", "arguments"].contains(&name.as_str())) {
        match value {
            Value::Object(meta) if name == "_meta" => {
                let about = |n: &str| n.starts_with("io.modelcontextprotocol/") || ["progressToken", "traceparent", "tracestate", "baggage"].contains(&n);
                assert!(meta.keys().all(|n| about(n) || unseen(&format!("_meta.{n}"))), "{message:?}");
            }
            _ => assert!(unseen(name), "`{name}` goes along, and nobody is told: {message:?}"),
        }
    }
}

/// What was asked, and what reached the server behind the gate.
#[derive(Default)]
struct Heard {
    asked: Vec<Value>,
    passed: Vec<(HeaderMap, Bytes)>,
}

type Log = Arc<Mutex<Heard>>;

/// A gate with somebody behind it, and somebody who says yes to everything.
struct Stand {
    runtime: tokio::runtime::Runtime,
    gate: Router,
    log: Log,
    _files: tempfile::TempDir,
}

fn stand() -> &'static Mutex<Stand> {
    static STAND: OnceLock<Mutex<Stand>> = OnceLock::new();
    STAND.get_or_init(|| {
        let log = Log::default();
        let ask = async |State(log): State<Log>, Json(question): Json<Value>| {
            log.lock().unwrap().asked.push(question);
            Json(json!({"decision": true}))
        };
        let pass = async |State(log): State<Log>, headers: HeaderMap, body: Bytes| {
            log.lock().unwrap().passed.push((headers, body));
            Json(json!({"jsonrpc": "2.0", "id": 1, "result": {}}))
        };
        let app = Router::new().route("/access/v1/evaluation", post(ask)).route("/behind", post(pass)).with_state(log.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let files = tempfile::tempdir().unwrap();
        let (secret, file) = (files.path().join("secret"), files.path().join("gate.toml"));
        std::fs::write(&secret, "only for tests").unwrap();
        let gate = runtime.block_on(async {
            let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port();
            tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
            let text = format!(
                "listen = \"127.0.0.1:0\"\nresource = \"http://localhost:{port}/mcp\"\nissuer = \"http://localhost:{port}\"\nclient_id = \"gate\"\n\
                 secret_file = \"{}\"\nupstream = \"http://localhost:{port}/behind\"\n",
                secret.display()
            );
            std::fs::write(&file, text).unwrap();
            mcp::router(Settings::load(&file).unwrap()).unwrap()
        });
        Mutex::new(Stand { runtime, gate, log, _files: files })
    })
}

/// The text of a header, out of Base64 where it says so.
fn plain(value: &HeaderValue) -> String {
    let text = value.to_str().unwrap();
    match text.strip_prefix("=?base64?").and_then(|t| t.strip_suffix("?=")) {
        Some(coded) => String::from_utf8(STANDARD.decode(coded).unwrap()).unwrap(),
        None => text.to_owned(),
    }
}

/// Lines of headers, an empty one, a body: what passes is what was asked about, in every header and member, and nothing
/// of what the caller showed who it is with.
pub fn mcp_gate(data: &[u8], seen: &mut Seen) {
    let (head, body) = match data.windows(2).position(|w| w == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (&[][..], data),
    };
    let token = format!("a.{}.b", b64::encode(br#"{"sub":"ana","client_id":"agent"}"#));
    let mut request = Request::post("/mcp").header("authorization", format!("Bearer {token}")).header("content-type", "application/json").header("cookie", "a=b");
    for line in head.split(|b| *b == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|b| *b == b':').unwrap_or(line.len()));
        let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii()));
        // Two of those that were given above are no message.
        if let (Ok(name), Ok(value)) = (name, value) {
            request = request.header(name, value);
        }
    }
    let stand = stand().lock().unwrap_or_else(PoisonError::into_inner);
    *stand.log.lock().unwrap() = Heard::default();
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let (status, told) = stand.runtime.block_on(async {
        let answer = stand.gate.clone().oneshot(request).await.unwrap();
        (answer.status(), to_bytes(answer.into_body(), 1 << 20).await.unwrap())
    });
    let heard = std::mem::take(&mut *stand.log.lock().unwrap());
    assert!(!status.is_server_error(), "{status}: {told:?}");
    seen.note("/mcp", !heard.passed.is_empty());
    let [(headers, sent)] = &heard.passed[..] else {
        assert!(heard.passed.is_empty(), "once, or not at all");
        assert!(status != StatusCode::OK || serde_json::from_slice::<Value>(&told).unwrap()["error"].is_object(), "{told:?}");
        return;
    };
    let [asked] = &heard.asked[..] else { panic!("passed, and nobody was asked") };
    assert!(body.len() <= MESSAGE_BYTES);
    let message = Message::parse(sent).unwrap();
    assert_eq!(Message::parse(body).as_ref(), Ok(&message), "not what came");
    let question = message.question().unwrap();
    says_all(&message, &question);
    let about = &asked["resource"]["properties"];
    assert_eq!((asked["action"]["name"].as_str(), asked["resource"]["type"].as_str()), (Some(question.action.as_str()), Some(question.kind)));
    assert!(question.id.is_none_or(|id| asked["resource"]["id"] == id));
    assert_eq!((&about["arguments"], &about["unseen"]), (&Value::Object(question.arguments), &json!(question.unseen)));
    for name in headers.keys().map(HeaderName::as_str) {
        let along = ["accept", "mcp-protocol-version", "mcp-method", "mcp-name", "content-type", "content-length", "host", "user-agent"];
        assert!(along.contains(&name) || name.starts_with("mcp-param-"), "`{name}` goes along");
        let said = match name {
            "mcp-method" => Some(message.method.clone()),
            "mcp-name" => message.name().map(str::to_owned),
            _ => match name.strip_prefix("mcp-param-") {
                None => continue,
                Some(name) => repeated(&message, name),
            },
        };
        assert_eq!(headers.get_all(name).iter().map(plain).collect::<Vec<_>>(), said.into_iter().collect::<Vec<_>>(), "`{name}`");
    }
    assert!(!headers.contains_key(header::AUTHORIZATION) && !String::from_utf8_lossy(sent).contains(&token));
}

/// The one plain argument of that name, whatever its case.
fn repeated(message: &Message, name: &str) -> Option<String> {
    let arguments = message.whole["params"]["arguments"].as_object()?;
    let mut all = arguments.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    match (all.next()?, all.next()) {
        (Value::String(text), None) => Some(text.clone()),
        (value @ (Value::Number(_) | Value::Bool(_)), None) => Some(value.to_string()),
        _ => None,
    }
}

/// What may become of a client that describes itself, at an address of `site` or by registering.
fn is_harmless(said: &Map<String, Value>, client: &Client, from: &str, site: Option<&str>, rules: &Newcomers) {
    let name = client.name.strip_suffix(&format!(" ({from})")).unwrap();
    assert_eq!(Some(name), said["client_name"].as_str(), "its own name, and where it comes from");
    assert!(jcs::is_plain(name) && (1..=40).contains(&name.chars().count()));
    assert!(["client_secret", "jwks_uri", "request_uris"].iter().all(|n| !said.contains_key(*n)));
    assert_eq!(json!(client.redirect_uris), said["redirect_uris"]);
    assert!((1..=10).contains(&client.redirect_uris.len()));
    for uri in &client.redirect_uris {
        let url = Url::parse(uri).unwrap();
        let near = ["localhost", "[::1]"].contains(&url.host_str().unwrap()) || url.host_str().unwrap().starts_with("127.");
        let web = url.scheme() == "https" && site.is_none_or(|site| url.host_str() == Some(site));
        assert!((web || url.scheme() == "http" && near) && url.fragment().is_none() && !uri.contains('@') | url.username().is_empty(), "{uri}");
    }
    match client.auth {
        ClientAuth::None => assert!(client.keys.is_empty()),
        ClientAuth::PrivateKeyJwt => assert!((1..=4).contains(&client.keys.len())),
        _ => panic!("{:?}", client.auth),
    }
    assert_eq!((&client.scopes, &client.audience, &client.resources, client.danger_allow_bearer), (&rules.scopes, &rules.audience, &rules.resources, rules.danger_allow_bearer));
    // Whatever else it says, it is the client that nobody gave anything to.
    let rest = json!({"id": client.id, "name": client.name, "redirect_uris": client.redirect_uris, "auth": client.auth, "keys": client.keys, "scopes": rules.scopes,
        "audience": rules.audience, "resources": rules.resources, "danger_allow_bearer": rules.danger_allow_bearer});
    let least: Client = serde_json::from_value(rest).unwrap();
    assert_eq!(serde_json::to_value(client).unwrap(), serde_json::to_value(least).unwrap());
}

/// What a client says of itself, in a document or to register: it gets what the rules give everybody, and no more.
pub fn client_metadata(data: &[u8], seen: &mut Seen) {
    let Ok(Value::Object(said)) = serde_json::from_slice::<Value>(data) else { return };
    let rules = Newcomers { scopes: vec!["profile".into()], resources: vec!["https://tools.example/mcp".into()], ..Newcomers::default() };
    for (from, site) in [("app.example", Some("app.example")), ("registered by itself", None)] {
        if let Some(client) = tried!(seen, metadata::client(&said, "https://app.example/client.json", from, site, &rules)) {
            is_harmless(&said, &client, from, site, &rules);
        }
    }
}

/// `/register`: whoever has no token is told so whatever they send; whoever has it gets no secret.
pub fn register(data: &[u8], seen: &mut Seen) {
    assert_eq!(registering(data, false).0, StatusCode::UNAUTHORIZED);
    let (status, told) = registering(data, true);
    seen.note("/register", status == StatusCode::CREATED);
    if status == StatusCode::CREATED {
        let said: Value = serde_json::from_slice(data).unwrap();
        assert!(told["client_id"].as_str().unwrap().starts_with("self-") && told.get("client_secret").is_none(), "{told}");
        assert_eq!((&told["redirect_uris"], &told["client_name"]), (&said["redirect_uris"], &said["client_name"]));
        assert!(["none", "private_key_jwt"].contains(&told["token_endpoint_auth_method"].as_str().unwrap()));
    } else if status == StatusCode::BAD_REQUEST {
        assert!(["invalid_client_metadata", "invalid_redirect_uri"].contains(&told["error"].as_str().unwrap()), "{told}");
    } else {
        // There are so many that nobody listed.
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{told}");
    }
}
