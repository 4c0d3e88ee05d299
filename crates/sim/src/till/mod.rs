//! An example application: the till of a bookshop, which lets nobody in by itself.
//!
//! A relying party as small as one can be and still be right: code flow with PKCE, a code bound to
//! the till's own key, ID tokens verified by the server's published keys, sign-out started here,
//! and sign-out heard from there (OpenID Connect Back-Channel Logout), after which the session
//! really is over.

mod page;
mod sessions;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use countersign_device::oidc::{self, CodeFlow, Discovery, Jwks};
use countersign_device::{Fault, Http, SoftwareKey, Transport, machine};
use serde::Deserialize;
use sessions::{Open, Sessions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// The session's cookie.
const SESSION: &str = "__Host-till";
/// The cookie of a sign-in that is under way.
const STARTED: &str = "__Host-till-start";
/// How long an open page waits for news, seconds.
const NEWS_S: u64 = 20;

/// Where the till stands and whom it trusts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its own address, `http://localhost:PORT`.
    pub origin: Url,
    /// The server.
    pub issuer: Url,
    /// Its registered client id.
    pub client: String,
    /// Its name.
    pub name: String,
}

struct Till {
    settings: Settings,
    http: Http,
    key: SoftwareKey,
    sessions: Sessions,
}

/// A running till.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// Closes the shop.
    pub fn stop(self) {
        self.task.abort();
    }
}

/// Starts a till on `listener`.
pub fn start(listener: TcpListener, settings: Settings) -> Result<Running, Fault> {
    let addr = listener.local_addr().map_err(|e| Fault::Local(format!("the till has no address: {e}")))?;
    let till = Arc::new(Till {
        settings,
        http: Http::new(Transport::new(false)),
        key: SoftwareKey::generate()?,
        sessions: Sessions::default(),
    });
    let routes = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in))
        .route("/cb", get(back))
        .route("/sign-out", post(sign_out))
        .route("/signed-out", get(|| async { Redirect::to("/") }))
        .route("/backchannel-logout", post(told))
        .route("/news", get(news))
        .route("/till.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE) }))
        .route("/till.js", get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], page::SCRIPT) }))
        .with_state(till);
    let task = tokio::spawn(async move {
        // Ends only when the task is stopped; a failing accept is retried inside.
        let _ = axum::serve(listener, routes).await;
    });
    Ok(Running { addr, task })
}

async fn home(State(till): State<Arc<Till>>, headers: HeaderMap) -> Response {
    let open = cookie(&headers, SESSION).and_then(|id| till.sessions.open(&id, machine::now().seconds()));
    let body = match &open {
        Some(open) => page::open(&till.settings.name, &open.name, open.until_s),
        None => page::closed(&till.settings.name),
    };
    page_of(&till, StatusCode::OK, body)
}

/// Sends the browser to the server.
async fn sign_in(State(till): State<Arc<Till>>) -> Result<Response, Problem> {
    let till = &*till;
    let discovery = till.discover().await?;
    let flow = CodeFlow::new(&till.settings.client, &till.address("/cb")?, "openid profile")?;
    let url = flow.url(&discovery, &till.key.public().thumbprint());
    let id = till.sessions.begin(flow, machine::now().seconds())?;
    Ok(([(header::SET_COOKIE, set(STARTED, &id, 600))], Redirect::to(url.as_str())).into_response())
}

/// The server's answer comes back with the browser.
async fn back(State(till): State<Arc<Till>>, headers: HeaderMap, Query(query): Query<Vec<(String, String)>>) -> Result<Response, Problem> {
    let now = machine::now();
    let flow = cookie(&headers, STARTED)
        .and_then(|id| till.sessions.begun(&id, now.seconds()))
        .ok_or(Problem::Start)?;
    let discovery = till.discover().await?;
    let mut redirect = till.settings.origin.clone();
    redirect.query_pairs_mut().extend_pairs(&query);
    let code = flow.code(&discovery, &redirect)?;
    let tokens = flow.exchange(&till.http, &discovery, &till.key, &code).await?;
    let text = tokens.id_token.ok_or(Problem::Start)?;
    let keys = Jwks::fetch(&till.http, &discovery).await?;
    let claims = keys.id_token(&text, &discovery.issuer, &till.settings.client, &flow.nonce, now)?;
    let name = match claims.name {
        Some(name) => name,
        None => oidc::person(&till.http, &discovery, &till.key, &tokens.access_token, &claims.sub)
            .await?
            .and_then(|person| person.name)
            .unwrap_or_default(),
    };
    let until_s = now.seconds().saturating_add(sessions::SESSION_S);
    let open = Open { name, sub: claims.sub, sid: claims.sid, id_token: text, until_s };
    let id = till.sessions.let_in(open)?;
    let cookies = [
        (header::SET_COOKIE, set(SESSION, &id, sessions::SESSION_S)),
        (header::SET_COOKIE, set(STARTED, "", 0)),
    ];
    Ok((axum::response::AppendHeaders(cookies), Redirect::to("/")).into_response())
}

/// Sign-out started here: the till's own session first, then the server's.
async fn sign_out(State(till): State<Arc<Till>>, headers: HeaderMap) -> Result<Response, Problem> {
    let ended = cookie(&headers, SESSION).and_then(|id| till.sessions.close(&id));
    let gone = (header::SET_COOKIE, set(SESSION, "", 0));
    let discovery = till.discover().await?;
    let (Some(ended), Some(mut url)) = (ended, discovery.end_session_endpoint) else {
        return Ok(([gone], Redirect::to("/")).into_response());
    };
    url.query_pairs_mut().extend_pairs([
        ("id_token_hint", ended.id_token.as_str()),
        ("client_id", &till.settings.client),
        ("post_logout_redirect_uri", &till.address("/signed-out")?),
    ]);
    Ok(([gone], Redirect::to(url.as_str())).into_response())
}

#[derive(Deserialize)]
struct Told {
    logout_token: String,
}

/// Sign-out heard from the server (OpenID Connect Back-Channel Logout §2.5).
async fn told(State(till): State<Arc<Till>>, Form(told): Form<Told>) -> Response {
    let verified = async {
        let discovery = till.discover().await?;
        let keys = Jwks::fetch(&till.http, &discovery).await?;
        keys.logout_token(&told.logout_token, &discovery.issuer, &till.settings.client, machine::now())
    };
    let answer = match verified.await {
        Ok(claims) => {
            till.sessions.end_told(&claims);
            StatusCode::OK
        }
        Err(Fault::Unreachable(_)) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (answer, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// Answers when the page's session ended, or after a while. Not there any more: 204.
async fn news(State(till): State<Arc<Till>>, headers: HeaderMap) -> StatusCode {
    let is_open = || {
        cookie(&headers, SESSION).and_then(|id| till.sessions.open(&id, machine::now().seconds())).is_some()
    };
    let mut changes = till.sessions.changes();
    let end = tokio::time::Instant::now() + Duration::from_secs(NEWS_S);
    while is_open() {
        match tokio::time::timeout_at(end, changes.changed()).await {
            Ok(Ok(())) => {}
            _ => return StatusCode::OK,
        }
    }
    StatusCode::NO_CONTENT
}

impl Till {
    async fn discover(&self) -> Result<Discovery, Fault> {
        oidc::discover(&self.http, &self.settings.issuer).await
    }

    fn address(&self, path: &str) -> Result<String, Fault> {
        let url = self.settings.origin.join(path);
        url.map(|url| url.to_string()).map_err(|_| Fault::Local("the till has no address".into()))
    }
}

/// Why a person is shown another page than they came for.
enum Problem {
    /// The sign-in was not started in this browser, or too long ago.
    Start,
    /// Anything else.
    Fault(Fault),
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem::Fault(fault)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, headline, body) = match self {
            Problem::Start => (StatusCode::BAD_REQUEST, "This link is not complete", "Start again at the till."),
            Problem::Fault(Fault::Person(_)) => (StatusCode::FORBIDDEN, "Not approved", "Nothing was opened."),
            Problem::Fault(Fault::Unreachable(_)) => {
                (StatusCode::BAD_GATEWAY, "The till can’t sign you in just now", "Nothing was opened. Try again in a moment.")
            }
            Problem::Fault(_) => (StatusCode::FORBIDDEN, "The till did not open", "Nothing was opened."),
        };
        let mut response = (status, Html(page::problem(headline, body))).into_response();
        guard(response.headers_mut(), "");
        response
    }
}

fn page_of(till: &Till, status: StatusCode, body: String) -> Response {
    let mut response = (status, Html(body)).into_response();
    guard(response.headers_mut(), &till.settings.issuer.origin().ascii_serialization());
    response
}

/// Headers of every page: nothing from elsewhere, no frames, nothing kept. Signing out ends at the
/// server, so forms may lead there.
fn guard(headers: &mut HeaderMap, issuer: &str) {
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self' {issuer}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_SECURITY_POLICY, &policy);
    put(header::CACHE_CONTROL, "no-store");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
}

fn set(name: &str, value: &str, life_s: i64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={life_s}")
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}
