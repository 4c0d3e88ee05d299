//! A gate before an MCP server as tests play them: the gate is the real one, the server writes down what reaches it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::agent::Agent;
use super::raw::{Raw, Reply};
use super::robot::STOCK;
use super::{SECRET, Stage};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use countersign_device::SoftwareKey;
use countersign_server::mcp::{self, settings::Settings};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use url::Url;

/// What the gate shows the server behind it.
pub const OWN_TOKEN: &str = "the gate's own token";

#[derive(Clone, Default)]
struct Behind {
    came: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answer: Arc<Mutex<Option<u16>>>,
}

/// The server behind it: takes everything, and says more than it should.
async fn behind(State(of): State<Behind>, headers: HeaderMap, body: String) -> Response {
    let said: Value = serde_json::from_str(&body).unwrap();
    of.came.lock().unwrap().push((headers, body));
    let status = *of.answer.lock().unwrap();
    let result = json!({"jsonrpc": "2.0", "id": said["id"], "result": {"of": said["method"]}}).to_string();
    let mut answer = match (said.get("id"), said["params"]["name"].as_str()) {
        (None, _) => StatusCode::ACCEPTED.into_response(),
        (_, Some("stream")) => ([("content-type", "text/event-stream")], format!("event: message\ndata: {result}\n\n")).into_response(),
        _ => ([("content-type", "application/json")], result).into_response(),
    };
    if let Some(status) = status {
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    }
    for (name, value) in [("set-cookie", "a=b"), ("location", "http://127.0.0.1:9/"), ("x-secret", "inside"), ("mcp-session-id", "first session")] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn serves(router: axum::Router) -> u16 {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
    port
}

/// A gate of [`STOCK`].
pub struct Gate {
    raw: Raw,
    behind: Behind,
}

impl Gate {
    /// Opens one with `more` settings.
    pub async fn open(stage: &Stage, raw: &Raw, more: &str) -> Gate {
        Gate::open_as(stage, raw, (&raw.origin(), SECRET), more).await
    }

    /// Opens one that asks somebody, as the client `gate` with a secret.
    pub async fn open_as(stage: &Stage, raw: &Raw, (issuer, secret): (&str, &str), more: &str) -> Gate {
        let behind_it = Behind::default();
        let inside = serves(axum::Router::new().route("/mcp", axum::routing::any(behind)).with_state(behind_it.clone())).await;
        let file = |name: &str, text: &str| {
            let path = stage.dir().join(format!("{name}-{inside}"));
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (secret, own) = (file("gate-secret", secret), file("gate-token", OWN_TOKEN));
        let text = format!(
            "listen = \"127.0.0.1:0\"\nresource = \"{STOCK}\"\nissuer = \"{issuer}\"\nclient_id = \"gate\"\nsecret_file = \"{secret}\"\n\
             upstream = \"http://127.0.0.1:{inside}/mcp\"\nupstream_token_file = \"{own}\"\n{more}"
        );
        let settings = Settings::load(file("gate.toml", &text).as_ref()).unwrap();
        let port = serves(mcp::router(settings).unwrap()).await;
        let mut raw = raw.clone();
        raw.move_to(Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap());
        Gate { raw, behind: behind_it }
    }

    /// What reached the server behind it: headers and body.
    pub fn came(&self) -> Vec<(HeaderMap, String)> {
        self.behind.came.lock().unwrap().clone()
    }
    /// From now on the server behind it answers with this status.
    pub fn turn(&self, status: u16) {
        *self.behind.answer.lock().unwrap() = Some(status);
    }

    /// Anything at all.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> Reply {
        self.raw.send(method, path, headers, body.as_bytes().to_vec()).await
    }

    /// What shows `token`, with a proof by `key`.
    pub async fn shown(&self, raw: &Raw, key: &SoftwareKey, token: &str) -> Vec<(&'static str, String)> {
        let nonce = raw.nonce().await;
        let proof = raw.proof(key, "POST", "/", b"", |c| {
            (c.htu, c.nonce, c.bd) = (STOCK.to_owned(), Some(nonce), None);
            c.ath = Some(b64::encode(&mac::h(token.as_bytes())));
        });
        vec![("authorization", format!("DPoP {token}")), ("dpop", proof), ("content-type", "application/json".to_owned())]
    }

    /// A message with `more` headers.
    pub async fn says(&self, raw: &Raw, agent: &Agent, token: &str, message: &str, more: &[(&'static str, &str)]) -> Reply {
        let mut headers = self.shown(raw, &agent.robot.dpop, token).await;
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.send("POST", "/api", &headers, message).await
    }

    /// A call of a tool.
    pub async fn call(&self, raw: &Raw, agent: &Agent, token: &str, tool: &str, arguments: &Value) -> Reply {
        self.says(raw, agent, token, &message("tools/call", &json!({"name": tool, "arguments": arguments})), &[]).await
    }
}

/// A request of JSON-RPC.
pub fn message(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": "m-1", "method": method, "params": params}).to_string()
}
