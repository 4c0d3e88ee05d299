//! Asks the decision point.

use super::settings::{Settings, secret};
use crate::oidc::egress;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value};
use std::time::Duration;

/// How long an answer takes at most where nobody is waited for.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer, bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// Who decides.
pub struct Decider {
    http: reqwest::Client,
    url: reqwest::Url,
    basic: HeaderValue,
}

/// What it said.
pub enum Told {
    /// It may go on.
    Yes,
    /// It may not, and this is why.
    No(Map<String, Value>),
    /// It cannot be asked so.
    Unmapped,
    /// Nothing that counts.
    Nothing,
}

/// RFC 6749 §2.3.1: name and secret are form-encoded before they go into the header.
fn coded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Decider {
    /// For these settings.
    pub fn new(settings: &Settings) -> Result<Decider, String> {
        let pair = zeroize::Zeroizing::new(format!("{}:{}", coded(&settings.client_id), coded(&secret(&settings.secret_file)?)));
        let mut basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes()))).map_err(|e| e.to_string())?;
        basic.set_sensitive(true);
        let http = reqwest::Client::builder()
            .timeout(ANSWER + Duration::from_secs(settings.wait_s))
            .connect_timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("countersign-mcp-gate")
            .build()
            .map_err(|e| e.to_string())?;
        let url = settings.issuer.join("/access/v1/evaluation").map_err(|e| e.to_string())?;
        Ok(Decider { http, url, basic })
    }

    /// One question. Whatever is not plainly a yes is none.
    pub async fn ask(&self, question: &Value) -> Told {
        let sent = self.http.post(self.url.clone()).header("authorization", self.basic.clone()).json(question).send().await;
        let answer = match sent {
            Ok(answer) if answer.status() == StatusCode::OK => answer,
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => return Told::Unmapped,
            Ok(answer) => {
                tracing::warn!(status = answer.status().as_u16(), "the decision point does not answer this gate");
                return Told::Nothing;
            }
            Err(e) => {
                tracing::warn!(error = %e.without_url(), "the decision point cannot be reached");
                return Told::Nothing;
            }
        };
        let Ok(body) = egress::body(answer, ANSWER_BYTES).await else { return Told::Nothing };
        let Ok(mut told) = serde_json::from_slice::<Map<String, Value>>(&body) else { return Told::Nothing };
        match (told.remove("decision"), told.remove("context")) {
            (Some(Value::Bool(true)), _) => Told::Yes,
            (Some(Value::Bool(false)), Some(Value::Object(context))) => Told::No(context),
            (Some(Value::Bool(false)), _) => Told::No(Map::new()),
            _ => Told::Nothing,
        }
    }
}
