//! A web site with one document, as tests play it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What it answers.
#[derive(Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

#[derive(Clone)]
struct Shown {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<usize>>,
}

/// A site.
pub struct Site {
    /// Where its document is.
    pub url: String,
    shown: Shown,
}

async fn show(State(shown): State<Shown>) -> Response {
    *shown.asked.lock().unwrap() += 1;
    let Answer { status, headers, body } = shown.answer.lock().unwrap().clone();
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    }
    response
}

impl Site {
    /// Opens one that shows nothing yet.
    pub async fn open() -> Site {
        let shown = Shown { answer: Arc::new(Mutex::new(Answer { status: 404, headers: vec![], body: String::new() })), asked: Arc::default() };
        let app = axum::Router::new().fallback(show).with_state(shown.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/client.json", socket.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Site { url, shown }
    }
    /// What a client at this site says of itself, with some members as `more` says.
    pub fn about(&self, more: Value) -> Value {
        let mut said = json!({
            "client_id": self.url, "client_name": "Notes", "redirect_uris": [super::REDIRECT], "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"], "response_types": ["code"],
        });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said
    }
    /// Shows a document.
    pub fn shows(&self, document: &Value) {
        self.answers(200, &[("content-type", "application/json")], &document.to_string());
    }
    /// Answers so from now on.
    pub fn answers(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        *self.shown.answer.lock().unwrap() = Answer { status, headers, body: body.to_owned() };
    }
    /// How often it was asked.
    pub fn asked(&self) -> usize {
        *self.shown.asked.lock().unwrap()
    }
}
