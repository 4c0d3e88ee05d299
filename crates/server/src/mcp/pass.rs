//! To the server behind the gate and back. What goes on is written anew; of headers only those named here go along, in
//! either direction, and never what the caller showed who it is with.

use super::message::{Message, Repeated};
use super::settings::{Settings, secret};
use super::SESSION;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::TryStreamExt as _;
use std::time::Duration;

/// Headers of requests that go along; besides them those that repeat an argument.
const ALONG: [&str; 4] = ["accept", "mcp-protocol-version", "mcp-method", "mcp-name"];
/// How those begin.
pub const PARAMETER: &str = "mcp-param-";
/// Headers of answers.
const BACK: [HeaderName; 3] = [header::CONTENT_TYPE, header::CACHE_CONTROL, HeaderName::from_static("x-accel-buffering")];
/// What an answer may be.
const KINDS: [&str; 2] = ["application/json", "text/event-stream"];
const CONNECT: Duration = Duration::from_secs(5);

/// The way to the server.
pub struct Passage {
    http: reqwest::Client,
    url: reqwest::Url,
    /// The gate's own token for it.
    own: Option<HeaderValue>,
}

impl Passage {
    /// For these settings.
    pub fn new(settings: &Settings) -> Result<Passage, String> {
        let own = match &settings.upstream_token_file {
            Some(file) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", *secret(file)?)).map_err(|e| e.to_string())?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.stream_s))
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("countersign-mcp-gate")
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Passage { http, url: settings.upstream.clone(), own })
    }

    /// Sends a message that was judged; the answer, or why there is none.
    pub async fn send(&self, headers: &HeaderMap, session: Option<&str>, message: &Message) -> Result<Response, &'static str> {
        let mut request = self.http.post(self.url.clone()).json(&message.whole);
        for (name, value) in headers {
            // What it says of an argument was compared; of what is no argument it could say anything.
            let repeats = name.as_str().strip_prefix(PARAMETER).is_some_and(|name| message.repeated(name) != Repeated::Nothing);
            if ALONG.contains(&name.as_str()) || repeats {
                request = request.header(name, value);
            }
        }
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        if let Some(own) = &self.own {
            request = request.header(header::AUTHORIZATION, own);
        }
        let answer = request.send().await.map_err(|e| {
            tracing::warn!(error = %e.without_url(), "the server behind the gate cannot be reached");
            "the server behind the gate cannot be reached"
        })?;
        let status = answer.status();
        // What it thinks of the gate's own token, or of itself, is nothing that a caller can mend.
        let told = status.is_success() || status.is_client_error() && ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::PROXY_AUTHENTICATION_REQUIRED].contains(&status);
        if !told {
            tracing::warn!(status = status.as_u16(), "the server behind the gate does not answer it");
            return Err("the server behind the gate does not answer it");
        }
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(|t| t.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let carries = kind.as_deref().is_some_and(|kind| KINDS.contains(&kind));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        for name in BACK.iter().chain([&SESSION]) {
            if let Some(value) = answer.headers().get(name).filter(|_| carries || *name == SESSION) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        if carries {
            *response.body_mut() = Body::from_stream(answer.bytes_stream().map_err(reqwest::Error::without_url));
        } else if status == StatusCode::OK {
            return Err("the server behind the gate answers what is no message");
        }
        Ok(response)
    }
}
