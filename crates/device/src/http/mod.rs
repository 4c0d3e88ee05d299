//! HTTP as this program speaks it: proofs of possession with nonces learnt on the way, a small
//! cookie jar, no redirects of its own, limits on everything, refusals as values.

mod events;
mod jar;

pub use events::EventStream;
pub use jar::{Jar, is_loopback, is_trustworthy};

use crate::fault::chain;
use crate::keys::Prove;
use crate::{Fault, Refusal, machine};
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::{b64, mac};
use reqwest::{Method, Response, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use url::Url;

/// Longest answer read, bytes: the biggest is a page of HTML.
const ANSWER_BYTES: usize = 1024 * 1024;
/// To reach a server, seconds.
const CONNECT_S: u64 = 5;
/// For a whole call, seconds: a long poll takes 25.
const CALL_S: u64 = 40;
/// Silence after which a stream counts as lost, seconds: servers tick each 5.
const SILENT_S: u64 = 20;

/// Connections and rules, shared by as many [`Http`] as wanted.
#[derive(Clone)]
pub struct Transport(Arc<Connections>);

/// One client for each kind of address, made when it is first needed: a machine without root
/// certificates can still reach itself.
struct Connections {
    plain: bool,
    here: OnceLock<reqwest::Client>,
    here_tls: OnceLock<reqwest::Client>,
    away: OnceLock<reqwest::Client>,
    away_tls: OnceLock<reqwest::Client>,
}

impl Transport {
    /// New connections. Plain HTTP goes to this machine only, unless
    /// `danger_allow_plain_http`.
    pub fn new(danger_allow_plain_http: bool) -> Transport {
        Transport(Arc::new(Connections {
            plain: danger_allow_plain_http,
            here: OnceLock::new(),
            here_tls: OnceLock::new(),
            away: OnceLock::new(),
            away_tls: OnceLock::new(),
        }))
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client, Fault> {
        let (connections, here) = (&*self.0, is_loopback(url));
        let (slot, tls) = match (url.scheme(), here) {
            ("https", true) => (&connections.here_tls, true),
            ("https", false) => (&connections.away_tls, true),
            ("http", true) => (&connections.here, false),
            ("http", false) if connections.plain => (&connections.away, false),
            ("http", false) => {
                return Err(Fault::Usage(format!(
                    "`{}` is not protected by TLS; only `localhost` may go without",
                    url.origin().ascii_serialization()
                )));
            }
            (other, _) => return Err(Fault::Usage(format!("`{other}` addresses are not understood"))),
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let made = build(here, tls)?;
        Ok(slot.get_or_init(|| made))
    }
}

fn build(here: bool, tls: bool) -> Result<reqwest::Client, Fault> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(CONNECT_S))
        .read_timeout(Duration::from_secs(CALL_S))
        .user_agent(concat!("countersign-device/", env!("CARGO_PKG_VERSION")));
    if here {
        builder = builder.no_proxy();
    }
    if !tls {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|e| Fault::Local(format!("cannot set up connections: {}", chain(&e))))
}

/// One browser or program: its connections, its cookies, the nonces it heard, headers it adds.
pub struct Http {
    transport: Transport,
    jar: Mutex<Jar>,
    nonces: Arc<Mutex<BTreeMap<String, String>>>,
    extra: Vec<(String, String)>,
}

/// What to prove with.
#[derive(Clone, Copy)]
pub struct Prover<'a> {
    /// The key.
    pub key: &'a dyn Prove,
    /// Whether the proof covers the body (`bd`), as a device's must.
    pub body: bool,
    /// An access token shown with it (`ath`).
    pub token: Option<&'a str>,
}

impl<'a> Prover<'a> {
    /// A terminal's or client's proof.
    pub fn terminal(key: &'a dyn Prove) -> Prover<'a> {
        Prover { key, body: false, token: None }
    }
    /// A device's proof, which covers the body.
    pub fn device(key: &'a dyn Prove) -> Prover<'a> {
        Prover { key, body: true, token: None }
    }
}

/// One call.
pub struct Call<'a> {
    method: Method,
    url: Url,
    kind: Option<&'static str>,
    body: Vec<u8>,
    prover: Option<Prover<'a>>,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Call<'a> {
    /// Reads `url`.
    pub fn fetch(url: Url) -> Call<'a> {
        Call { method: Method::GET, url, kind: None, body: vec![], prover: None, headers: vec![] }
    }
    /// Posts `body` as JSON.
    pub fn post<T: Serialize>(url: Url, body: &T) -> Result<Call<'a>, Fault> {
        let body = serde_json::to_vec(body).map_err(|e| Fault::Local(format!("cannot encode: {e}")))?;
        Ok(Call { method: Method::POST, kind: Some("application/json"), body, ..Call::fetch(url) })
    }
    /// Posts a form, as OAuth's token endpoint wants it.
    pub fn form(url: Url, pairs: &[(&str, &str)]) -> Call<'a> {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs);
        Call {
            method: Method::POST,
            kind: Some("application/x-www-form-urlencoded"),
            body: text.finish().into_bytes(),
            ..Call::fetch(url)
        }
    }
    /// With a proof.
    pub fn proved(mut self, prover: Prover<'a>) -> Call<'a> {
        self.prover = Some(prover);
        self
    }
    /// With one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Call<'a> {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where it came from.
    pub url: Url,
    /// `Location`, made absolute.
    pub location: Option<Url>,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u64>,
    /// `error` of `WWW-Authenticate`, where a resource server refuses (RFC 6750 §3).
    pub challenge: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as a structure of the protocol.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|e| {
            Fault::Unreachable(format!("`{}` answered something else than this protocol: {e}", self.url.path()))
        })
    }
    /// The refusal, if it is one.
    pub fn refused(self) -> Result<Answer, Fault> {
        if self.status < 400 {
            return Ok(self);
        }
        Err(Fault::Refused(self.refusal()))
    }

    fn refusal(&self) -> Refusal {
        let mut refusal = Refusal::read(self.status, &self.body, self.retry_after_s);
        if let (true, Some(error)) = (self.body.is_empty(), &self.challenge) {
            refusal.code.clone_from(error);
        }
        refusal
    }
}

impl Http {
    /// A fresh browser or program: no cookies, no nonces.
    pub fn new(transport: Transport) -> Http {
        Http { transport, jar: Mutex::default(), nonces: Arc::default(), extra: vec![] }
    }

    /// The same connections and headers with no memory of their own.
    pub fn fresh(&self) -> Http {
        Http { extra: self.extra.clone(), ..Http::new(self.transport.clone()) }
    }

    /// Adds a header to every call, e.g. one that a trusted proxy would set.
    pub fn with_header(mut self, name: &str, value: &str) -> Http {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The cookies, to look at or to change.
    pub fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the call; refusals are faults.
    pub async fn call(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        self.send(call).await?.refused()
    }

    /// Makes the call and reads the structure it answers with.
    pub async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Fault> {
        self.call(call).await?.read()
    }

    /// Makes the call; every status is an answer. Asked for a nonce, it tries once more with it.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        let (response, known) = self.once(call).await?;
        let answer = self.whole(call, response).await?;
        let asked = matches!(answer.status, 400 | 401) && answer.refusal().code == "use_dpop_nonce";
        if !(asked && call.prover.is_some() && self.nonce(&call.url) != known) {
            return Ok(answer);
        }
        let (response, _) = self.once(call).await?;
        self.whole(call, response).await
    }

    /// Opens a stream of events (text/event-stream).
    pub async fn events(&self, call: &Call<'_>) -> Result<EventStream, Fault> {
        let (response, _) = self.once(call).await?;
        let stream = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if response.status().is_success() && stream {
            return Ok(EventStream::new(response, Duration::from_secs(SILENT_S)));
        }
        self.whole(call, response).await?.refused()?;
        Err(Fault::Unreachable("the server sent no events".into()))
    }

    async fn once(&self, call: &Call<'_>) -> Result<(Response, Option<String>), Fault> {
        let client = self.transport.client(&call.url)?;
        let nonce = self.nonce(&call.url);
        let mut request = client.request(call.method.clone(), call.url.clone());
        if let Some(cookies) = self.jar().header(&call.url) {
            request = request.header(header::COOKIE, cookies);
        }
        if call.method != Method::GET {
            request = request.header(header::ORIGIN, call.url.origin().ascii_serialization());
        }
        if let Some(kind) = call.kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(prover) = &call.prover {
            request = request.header("dpop", proof(call, prover, nonce.clone())?);
            if let Some(token) = prover.token {
                request = request.header(header::AUTHORIZATION, format!("DPoP {token}"));
            }
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        for (name, value) in &self.extra {
            request = request.header(name, value);
        }
        if call.method != Method::GET {
            request = request.body(call.body.clone());
        }
        let response = request.send().await.map_err(|e| unreachable(&call.url, &e))?;
        self.learn(&call.url, &response);
        Ok((response, nonce))
    }

    fn learn(&self, url: &Url, response: &Response) {
        let mut jar = self.jar();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            if let Ok(text) = cookie.to_str() {
                jar.take(url, text);
            }
        }
        drop(jar);
        if let Some(nonce) = text_of(response, "dpop-nonce") {
            let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            nonces.insert(url.origin().ascii_serialization(), nonce);
        }
    }

    /// The nonce that the server of `url` gave last.
    pub fn nonce(&self, url: &Url) -> Option<String> {
        let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.get(&url.origin().ascii_serialization()).cloned()
    }

    /// A proof of a POST to `url` over something else than its body.
    pub(crate) fn proof_over(&self, url: &Url, key: &dyn Prove, over: &[u8]) -> Result<String, Fault> {
        let call = Call { body: over.to_vec(), ..Call::post(url.clone(), &())? };
        proof(&call, &Prover::device(key), self.nonce(url))
    }

    async fn whole(&self, call: &Call<'_>, mut response: Response) -> Result<Answer, Fault> {
        let mut answer = Answer {
            status: response.status().as_u16(),
            url: call.url.clone(),
            location: text_of(&response, "location").and_then(|to| call.url.join(&to).ok()),
            retry_after_s: text_of(&response, "retry-after").and_then(|s| s.parse().ok()),
            challenge: text_of(&response, "www-authenticate").and_then(|text| {
                let (_, rest) = text.split_once("error=\"")?;
                rest.split_once('"').map(|(error, _)| error.to_owned())
            }),
            body: vec![],
        };
        let read = async {
            while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&call.url, &e))? {
                if answer.body.len() + chunk.len() > ANSWER_BYTES {
                    return Err(Fault::Unreachable(format!("`{}` answered too much", call.url.path())));
                }
                answer.body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        match tokio::time::timeout(Duration::from_secs(CALL_S), read).await {
            Ok(done) => done.map(|()| answer),
            Err(_) => Err(Fault::Unreachable(format!("`{}` took too long", call.url.path()))),
        }
    }
}

fn text_of(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

fn proof(call: &Call<'_>, prover: &Prover<'_>, nonce: Option<String>) -> Result<String, Fault> {
    let mut bare = call.url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let claims = ProofClaims {
        jti: machine::name()?,
        htm: call.method.as_str().to_owned(),
        htu: bare.to_string(),
        iat: NumericDate(machine::now().seconds()),
        nonce,
        ath: prover.token.map(|t| b64::encode(&mac::h(t.as_bytes()))),
        bd: prover.body.then(|| b64::encode(&mac::h(&call.body))),
    };
    Ok(dpop::make(&claims, prover.key.public(), prover.key)?)
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Fault {
    Fault::Unreachable(format!("cannot reach `{}`: {}", url.origin().ascii_serialization(), spoken(error)))
}

/// The causes behind an error of the connection. Its head is left out: it repeats the address,
/// whose query could hold what must not be printed.
fn spoken(error: &reqwest::Error) -> String {
    match std::error::Error::source(error) {
        _ if error.is_timeout() => "it took too long".into(),
        Some(inner) => chain(inner),
        None => "the connection broke".into(),
    }
}
