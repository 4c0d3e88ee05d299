//! Forms, and the doors that take them: a server in this process, asked as from outside.

use super::{Seen, key, tried};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use countersign_server::app::App;
use countersign_server::oidc::params::Params;
use countersign_server::{Config, Running, http, start};
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::{b64, mac};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tower::ServiceExt as _;

const FORM: &str = "application/x-www-form-urlencoded";
/// Where the clients' answers go.
pub const REDIRECT: &str = "https://till.example/cb";
/// Secret of the client that has one.
pub const SECRET: &str = "a secret only for tests, 32 bytes and more";

/// Headers of a JSON body.
pub(super) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn pairs(data: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(data).into_owned().collect()
}

/// A parameter comes once, an empty one not at all, and what was read is what was sent.
pub fn form(data: &[u8], seen: &mut Seen) {
    let Some(params) = tried!(seen, Params::parse(data)) else { return };
    let sent = pairs(data);
    let names: BTreeSet<&String> = sent.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), sent.len(), "a parameter came twice");
    let there: Vec<(&str, &str)> = sent.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(params.all(), there);
    for (name, value) in &there {
        assert_eq!(params.one(name), Some(*value));
        assert!(!value.chars().any(char::is_control) && params.list(name).iter().all(|p| !p.is_empty() && !p.contains(' ')));
    }
    let kept = params.asked();
    let again = Params::parse(kept.as_bytes()).unwrap();
    assert_eq!(again.asked(), kept, "written and read again");
    assert!(again.one("client_secret").is_none() && again.one("client_assertion").is_none(), "a secret is kept");
}

struct House {
    runtime: tokio::runtime::Runtime,
    doors: Router,
    app: Arc<App>,
    _running: Running,
    _files: tempfile::TempDir,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let files = tempfile::tempdir().unwrap();
        let seal = files.path().join("seal");
        let hash = b64::encode(&mac::h(SECRET.as_bytes()));
        let config = format!(
            "issuer = \"http://localhost:7310\"\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite::memory:\"\nseal_key_file = \"{}\"\n\
             trusted_proxies = [\"0.0.0.0/32\"]\n\
             [newcomers]\ntoken_hash = \"{hash}\"\nscopes = [\"profile\"]\n\
             [[clients]]\nid = \"till\"\nname = \"Till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"profile\"]\n\
             detail_types = [\"payment\"]\nrefresh = \"always\"\ndevice_grant = true\n\
             [[clients]]\nid = \"office\"\nname = \"Office\"\nredirect_uris = [\"{REDIRECT}\"]\nauth = \"client_secret_basic\"\n\
             secret_hash = \"{hash}\"\nintrospects = [\"http://localhost:7310\"]\nasks_about = [\"*\"]\n\
             detail_types = [\"payment\"]\nciba = {{ binding_digits = true, notification_endpoint = \"https://till.example/told\" }}\n",
            seal.display()
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(async { start(Config::parse(&config, std::iter::empty()).unwrap(), None).await.unwrap() });
        let app = running.app.clone();
        House { runtime, doors: http::router(app.clone()), app, _running: running, _files: files }
    })
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Asks a door; whatever is asked, the answer is of the form that all answers have.
fn ask(path: &str, data: &[u8], known: bool) -> Reply {
    send(Request::post(path).header("content-type", FORM), path, data, known)
}

fn send(request: Builder, path: &str, data: &[u8], known: bool) -> Reply {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let n = CALLS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let house = house();
    let (_, k) = house.app.keys.k();
    let claims = ProofClaims {
        jti: b64::encode(&n),
        htm: "POST".into(),
        htu: format!("http://localhost:7310{path}"),
        iat: NumericDate(house.app.now().seconds()),
        nonce: Some(dpop::nonce(k.expose(), house.app.now())),
        ..Default::default()
    };
    let mut request = request
        // Each comes from a network of its own, so that no budget hides what is behind it.
        .header("x-forwarded-for", format!("10.{}.{}.{}", n[1], n[2], n[3]))
        .header("dpop", dpop::make(&claims, key().public(), key()).unwrap());
    if known {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("office:{}", SECRET.replace(' ', "+")));
        request = request.header("authorization", format!("Basic {pair}"));
    }
    let request = request.body(Body::from(data.to_vec())).unwrap();
    let reply = house.runtime.block_on(async {
        let response: Response = house.doors.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Reply { status: head.status, headers: head.headers, body: to_bytes(body, 1 << 20).await.unwrap() }
    });
    let told = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(!reply.status.is_server_error(), "{}: {told}", reply.status);
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    let html = reply.headers.get("content-type").is_some_and(|k| k.to_str().unwrap().starts_with("text/html"));
    for (_, value) in pairs(data) {
        assert!(!html || !value.contains('<') || value.len() < 4 || !told.contains(&value), "`{value}` comes back as it is");
    }
    reply
}

/// A question in JSON, by nobody or by a client that may ask about everything.
pub(super) fn json_asked(path: &str, data: &[u8], known: bool) -> (StatusCode, Value) {
    let reply = send(Request::post(path).header("content-type", "application/json"), path, data, known);
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

/// What a client says of itself, by nobody or by somebody whom the operator gave the token.
pub(super) fn registering(data: &[u8], known: bool) -> (StatusCode, Value) {
    let mut request = Request::post("/register").header("content-type", "application/json");
    if known {
        request = request.header("authorization", format!("Bearer {SECRET}"));
    }
    let reply = send(request, "/register", data, false);
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

/// A refusal as RFC 6749 §5.2 words it.
fn refused(reply: &Reply) -> String {
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    let fits = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    for name in ["error", "error_description"] {
        assert!(told.get(name).is_none_or(|t| t.as_str().unwrap().chars().all(fits)), "{told}");
    }
    told["error"].as_str().unwrap_or_else(|| panic!("{}: {told}", reply.status)).to_owned()
}

fn twice(data: &[u8]) -> bool {
    let sent = pairs(data);
    let names: BTreeSet<&String> = sent.iter().map(|(name, _)| name).collect();
    names.len() < sent.len()
}

fn door(path: &'static str, data: &[u8], known: bool, seen: &mut Seen, name: &'static str) -> Option<Value> {
    let reply = ask(path, data, known);
    let good = reply.status.is_success();
    seen.note(name, good);
    if !good {
        refused(&reply);
        return None;
    }
    assert!(!twice(data), "a parameter came twice, and was taken");
    Some(if reply.body.is_empty() { Value::Null } else { serde_json::from_slice(&reply.body).unwrap() })
}

/// `/authorize`: nobody is sent anywhere but to the sign-in page or to a registered address.
pub fn authorize(data: &[u8], seen: &mut Seen) {
    let posted = ask("/authorize", data, false);
    assert!(posted.headers.get("location").is_none_or(|l| l.to_str().unwrap().starts_with("/authorize")));
    let odd = |b: &u8| !b.is_ascii_graphic() || b"#\"<>`{}|\\^'".contains(b);
    let query: String = data.iter().map(|b| if odd(b) { format!("%{b:02X}") } else { char::from(*b).to_string() }).collect();
    let reply = send(Request::get(format!("/authorize?{query}")), "/authorize", data, false);
    let to = reply.headers.get("location").map(|l| l.to_str().unwrap().to_owned());
    let kept = to.as_ref().is_some_and(|to| to.contains("/sign-in/"));
    seen.note("/authorize", kept);
    if let Some(to) = &to {
        let own = to.starts_with("/sign-in/") || to.starts_with("http://localhost:7310/");
        let back = to.strip_prefix(REDIRECT).is_some_and(|rest| rest.starts_with('?'));
        assert!(own || back, "sent to `{to}`");
        // A signed answer (JARM) says the same inside.
        assert!(!back || to.contains("?response=") || to.contains("error=") && to.contains("iss="), "{to}");
        assert!(!(kept && twice(data)), "a parameter came twice, and was taken");
    }
}

/// `/token`: nothing is given for what nobody approved.
pub fn token(data: &[u8], seen: &mut Seen) {
    assert!(door("/token", data, false, seen, "/token").is_none(), "tokens out of nothing");
    let reply = ask("/token", data, true);
    refused(&reply);
}

/// `/par`: what is pushed is kept under a name of its own.
pub fn par(data: &[u8], seen: &mut Seen) {
    if let Some(told) = door("/par", data, false, seen, "/par") {
        assert!(told["request_uri"].as_str().unwrap().starts_with("urn:ietf:params:oauth:request_uri:"));
        assert!(told["expires_in"].as_i64().unwrap() > 0);
    }
}

/// `/device_authorization`: what is begun has a code that people can type, and a page for it.
pub fn device_authorization(data: &[u8], seen: &mut Seen) {
    if let Some(told) = door("/device_authorization", data, false, seen, "/device_authorization") {
        assert!(countersign_wire::code::parse_user_code(told["user_code"].as_str().unwrap()).is_ok());
        assert!(told["device_code"].as_str().unwrap().len() > 43 && told["expires_in"].as_i64() == Some(300));
    }
}

/// `/bc-authorize`: whatever is asked, nobody is there to be asked.
pub fn bc_authorize(data: &[u8], seen: &mut Seen) {
    assert!(door("/bc-authorize", data, true, seen, "/bc-authorize").is_none());
}

/// `/introspect`: whatever is shown, nothing was given.
pub fn introspect(data: &[u8], seen: &mut Seen) {
    if let Some(told) = door("/introspect", data, true, seen, "/introspect") {
        assert_eq!(told, serde_json::json!({"active": false}));
    }
}

/// `/revoke`: a token that is none is as good as revoked (RFC 7009 §2.2).
pub fn revoke(data: &[u8], seen: &mut Seen) {
    door("/revoke", data, false, seen, "/revoke");
}
