//! A receiver of security events: its token, its streams, and a place where events are pushed to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Raw, Reply, Stage};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use countersign_wire::jose::Alg;
use countersign_wire::set::{self, Expected, IssuerKey, Set};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What the place answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Takes,
    /// Is out of order.
    Fails,
    /// Sends whoever comes elsewhere.
    Redirects(String),
    /// Calls everything bad, in this word.
    Complains(&'static str),
}

/// What came: the authorization header and the SET.
pub type Came = (String, String);

#[derive(Clone)]
struct Heard {
    came: Arc<Mutex<Vec<Came>>>,
    mood: Arc<Mutex<Mood>>,
}

/// A place that events are pushed to.
pub struct Ear {
    /// Where.
    pub url: String,
    heard: Heard,
}

async fn hear(State(heard): State<Heard>, headers: HeaderMap, body: String) -> Response {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(text("content-type"), set::MEDIA);
    let mood = heard.mood.lock().unwrap().clone();
    match mood {
        Mood::Takes => {
            heard.came.lock().unwrap().push((text("authorization"), body));
            StatusCode::ACCEPTED.into_response()
        }
        Mood::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Redirects(to) => (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response(),
        Mood::Complains(err) => (StatusCode::BAD_REQUEST, axum::Json(json!({"err": err, "description": "no"}))).into_response(),
    }
}

impl Ear {
    /// Opens one.
    pub async fn open() -> Ear {
        let heard = Heard { came: Arc::default(), mood: Arc::new(Mutex::new(Mood::Takes)) };
        let app = axum::Router::new().route("/events", axum::routing::post(hear)).with_state(heard.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/events", socket.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Ear { url, heard }
    }
    /// Answers otherwise from now on.
    pub fn turn(&self, mood: Mood) {
        *self.heard.mood.lock().unwrap() = mood;
    }
    /// What came so far.
    pub fn came(&self) -> Vec<Came> {
        self.heard.came.lock().unwrap().clone()
    }
    /// Waits until so much came.
    pub async fn until(&self, count: usize) -> Vec<Came> {
        super::wait::so_much("events", count, || self.came()).await
    }
}

/// Somebody who may have streams.
pub struct Receiver {
    /// Its name.
    pub id: &'static str,
    /// Its audience.
    pub audience: String,
    token: String,
    raw: Raw,
}

/// The token of a receiver of this name.
fn token(id: &str) -> String {
    format!("a token of {id} that is only for tests")
}

impl Receiver {
    /// Its lines of the configuration.
    pub fn lines(id: &str, endpoints: &[&str]) -> String {
        let hash = b64::encode(&mac::h(token(id).as_bytes()));
        format!(
            "[[signals.receivers]]\nid = \"{id}\"\naudience = \"https://{id}.example\"\ndanger_token_hash = \"{hash}\"\n\
             push_endpoints = {}\n",
            serde_json::to_string(endpoints).unwrap()
        )
    }
    /// The one of this name.
    pub fn new(stage: &Stage, id: &'static str, place: &str) -> Receiver {
        Receiver { id, audience: format!("https://{id}.example"), token: token(id), raw: stage.raw(place) }
    }

    /// Asks with its token.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut headers = vec![("authorization", format!("Bearer {}", self.token))];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        self.raw.send(method, path, &headers, body.map(|b| b.to_string().into_bytes()).unwrap_or_default()).await
    }
    /// A new stream; pushed if a place is named.
    pub async fn stream(&self, to: Option<&str>) -> String {
        let body = match to {
            Some(url) => json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": url, "authorization_header": "Bearer into-the-ear"}}),
            None => json!({}),
        };
        let made = self.ask("POST", "/ssf/streams", Some(&body)).await;
        assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
        made.json()["stream_id"].as_str().unwrap().to_owned()
    }
    /// One poll.
    pub async fn poll(&self, stream: &str, body: Value) -> Value {
        let reply = self.ask("POST", &format!("/ssf/poll/{stream}"), Some(&body)).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }
    /// What a SET says, checked as a receiver must.
    pub async fn read(&self, text: &str) -> Set {
        let issuer = self.raw.origin();
        let keys = IssuerKey::set(&self.raw.send("GET", "/jwks", &[], vec![]).await.json());
        let now = countersign_device::machine::now();
        let expected = Expected { iss: &issuer, aud: &self.audience, keys: &keys, algs: &[Alg::RS256], now };
        set::read(text, &expected).unwrap()
    }
}
