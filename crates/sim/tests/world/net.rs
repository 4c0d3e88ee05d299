//! Messages as they travel: what was sent once can be sent again, later, or be lost.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use axum::{Router, body::to_bytes};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use tower::ServiceExt as _;

/// One request, complete.
#[derive(Clone, Debug)]
pub struct Message {
    /// Method.
    pub method: &'static str,
    /// Path, with query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
    /// Where it comes from.
    pub from: IpAddr,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, if it is JSON.
    pub json: Value,
}

impl Answer {
    /// Whether it was done.
    pub fn ok(&self) -> bool {
        self.status < 400
    }
    /// The refusal's code, ours or OAuth's.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().or(self.json["error"].as_str()).unwrap_or_default()
    }
    /// A member that is text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.json[name].as_str().map(str::to_owned)
    }
    /// The value of a cookie that it sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all("set-cookie").iter();
        let found = all.filter_map(|v| v.to_str().ok()).find_map(|v| v.strip_prefix(&format!("{name}=")).map(str::to_owned))?;
        Some(found.split(';').next().unwrap_or_default().to_owned()).filter(|v| !v.is_empty())
    }
}

/// Delivers a message to the doors.
pub async fn deliver(doors: &Router, message: &Message) -> Answer {
    let mut request = Request::builder().method(message.method).uri(&message.path);
    for (name, value) in &message.headers {
        request = request.header(*name, value);
    }
    let mut request = request.body(Body::from(message.body.clone())).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(message.from, 40_000)));
    let response = doors.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}
