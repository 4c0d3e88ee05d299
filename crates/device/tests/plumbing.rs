//! The HTTP client against a small server of this test: proofs, nonces, cookies, refusals. Whether
//! the server of this project and this client understand each other is shown elsewhere, with the
//! real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use countersign_device::http::{Call, Prover};
use countersign_device::{Fault, Http, SoftwareKey, Transport};
use countersign_wire::dpop::{self, Fresh, Request};
use countersign_wire::message::StateOnly;
use countersign_device::machine::now;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::Url;

const KEY: &[u8] = &[7; 32];

#[derive(Clone)]
struct Here {
    origin: String,
    calls: Arc<AtomicUsize>,
}

async fn proved(State(here): State<Here>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    here.calls.fetch_add(1, Ordering::SeqCst);
    let request = Request {
        method: "POST",
        url: &format!("{}{}", here.origin, uri.path()),
        token: None,
        body: Some(&body),
        now: now(),
        fresh: Fresh::Nonce(&[KEY]),
    };
    let proof = headers.get("dpop").unwrap().to_str().unwrap();
    match dpop::verify(proof, &request) {
        Ok(_) => axum::Json(json!({"state": "scanned"})).into_response(),
        Err(_) => (
            StatusCode::UNAUTHORIZED,
            [("dpop-nonce", dpop::nonce(KEY, now()))],
            axum::Json(json!({"code": "use_dpop_nonce", "ref": "R-000-000-001"})),
        )
            .into_response(),
    }
}

async fn start() -> (Url, Here) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let here = Here { origin: origin.clone(), calls: Arc::default() };
    let app = Router::new()
        .route("/proved", post(proved))
        .route("/never", post(|| async {
            (StatusCode::UNAUTHORIZED, axum::Json(json!({"code": "use_dpop_nonce", "ref": "R-000-000-002"})))
        }))
        .route("/cookie", get(|| async { ([("set-cookie", "__Host-cs_b=v1; Path=/; Secure; HttpOnly")], "x") }))
        .route("/echo", get(|headers: HeaderMap| async move {
            axum::Json(json!({"state": headers.get("cookie").map_or("", |v| v.to_str().unwrap())}))
        }))
        .route("/away", get(|| async { (StatusCode::SEE_OTHER, [("location", "/echo?a=b")]) }))
        .route("/busy", get(|| async {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], axum::Json(json!({"code": "too_many", "ref": "R-000-000-003"})))
        }))
        .route("/bare", get(|| async {
            (StatusCode::UNAUTHORIZED, [("www-authenticate", "DPoP error=\"invalid_token\", algs=\"ES256\"")])
        }))
        .route("/long", get(|| async { "x".repeat(2 * 1024 * 1024) }))
        .with_state(here.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (origin.parse().unwrap(), here)
}

fn http() -> Http {
    Http::new(Transport::new(false))
}

#[tokio::test]
async fn a_nonce_is_learnt_once_and_kept() {
    let (url, here) = start().await;
    let (http, key) = (http(), SoftwareKey::generate().unwrap());
    let call = Call::post(url.join("/proved?x=1").unwrap(), &json!({"a": 1})).unwrap().proved(Prover::device(&key));
    let answer: StateOnly = http.ask(&call).await.unwrap();
    assert_eq!(answer.state, "scanned");
    assert_eq!(here.calls.load(Ordering::SeqCst), 2, "asked for a nonce, then with it");
    http.ask::<StateOnly>(&call).await.unwrap();
    assert_eq!(here.calls.load(Ordering::SeqCst), 3, "the nonce is known now");
}

#[tokio::test]
async fn a_server_that_gives_no_nonce_is_not_asked_for_ever() {
    let (url, _) = start().await;
    let (http, key) = (http(), SoftwareKey::generate().unwrap());
    let call = Call::post(url.join("/never").unwrap(), &json!({})).unwrap().proved(Prover::device(&key));
    assert!(http.call(&call).await.unwrap_err().is("use_dpop_nonce"));
}

#[tokio::test]
async fn cookies_come_back_and_redirects_are_only_reported() {
    let (url, _) = start().await;
    let http = http();
    http.call(&Call::fetch(url.join("/cookie").unwrap())).await.unwrap();
    let answer: StateOnly = http.ask(&Call::fetch(url.join("/echo").unwrap())).await.unwrap();
    assert_eq!(answer.state, "__Host-cs_b=v1");
    let answer = http.call(&Call::fetch(url.join("/away").unwrap())).await.unwrap();
    assert_eq!((answer.status, answer.location), (303, Some(url.join("/echo?a=b").unwrap())));
    let answer: StateOnly = http.fresh().ask(&Call::fetch(url.join("/echo").unwrap())).await.unwrap();
    assert_eq!(answer.state, "", "another browser has other cookies");
}

#[tokio::test]
async fn refusals_and_broken_answers_are_told_apart() {
    let (url, _) = start().await;
    let http = http();
    let Fault::Refused(refusal) = http.call(&Call::fetch(url.join("/busy").unwrap())).await.unwrap_err() else {
        panic!("a refusal")
    };
    assert_eq!((refusal.code.as_str(), refusal.retry_after_s, refusal.reference.as_str()), ("too_many", Some(7), "R-000-000-003"));
    let fault = http.call(&Call::fetch(url.join("/none").unwrap())).await.unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("http_404", 1));
    let fault = http.call(&Call::fetch(url.join("/bare").unwrap())).await.unwrap_err();
    assert_eq!((fault.code(), fault.exit_code()), ("invalid_token", 1));
    assert_eq!(http.call(&Call::fetch(url.join("/long").unwrap())).await.unwrap_err().exit_code(), 3);
    assert_eq!(http.ask::<StateOnly>(&Call::fetch(url.join("/cookie").unwrap())).await.unwrap_err().exit_code(), 3);
    let nobody = Url::parse("http://127.0.0.1:1/").unwrap();
    assert_eq!(http.call(&Call::fetch(nobody)).await.unwrap_err().exit_code(), 3);
}

#[tokio::test]
async fn plain_http_leads_to_this_machine_only() {
    for bad in ["http://id.example/", "ftp://localhost/"] {
        let fault = http().call(&Call::fetch(bad.parse().unwrap())).await.unwrap_err();
        assert_eq!(fault.exit_code(), 2, "{bad}");
    }
}
