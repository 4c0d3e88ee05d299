//! Clients whose name is the address of a document about them (OAuth Client ID Metadata Document, as MCP 2026-07-28 asks
//! for). Off unless the configuration names hosts.
//!
//! 1. The name is an https address with a path, written as addresses are, on a host that is listed.
//! 2. It is fetched from where it says and from nowhere else: no redirection, no address of this network, little and soon.
//! 3. It must name itself, and nothing in it makes us call anybody ([`super::metadata`]).
//! 4. The client is kept as any other; the document is read again when its time ran out, and what it says then counts, also
//!    for what the client itself asks.
//! 5. There is room for some, and for fewer on one host. Who comes when it is full takes the place of one that is idle.

use super::egress::{self, Reach};
use super::metadata;
use crate::app::startup::same;
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use countersign_store::sql::StoredClient;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::{Refusal, limits};
use countersign_wire::{ClientId, Time};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use url::Url;

/// Registered by a document.
pub const DOCUMENT: &str = "document";
/// Longest document, bytes; longest wait for it.
const BYTES: usize = 5 * 1024;
const ANSWER: Duration = Duration::from_secs(3);
/// How long a document counts: at least, unless it says so, at most; seconds.
const KEPT_S: (i64, i64, i64) = (60, 300, 86_400);

/// A reading is for everybody who waits for it, and goes to its end though they leave: who asks often, or goes away, uses up
/// nobody's budget. What it found is given for so long after it began, seconds, if nobody stayed to keep it.
const SHARED_S: i64 = 10;

/// What was read, and for how long it counts, seconds.
type Read = Result<(Arc<Map<String, Value>>, i64), &'static str>;
type Reading = Shared<BoxFuture<'static, Read>>;

/// What this node read, and how often.
#[derive(Default)]
pub struct Documents {
    inner: Mutex<Inner>,
    http: OnceLock<(reqwest::Client, Reach)>,
}

#[derive(Default)]
struct Inner {
    until: HashMap<ClientId, Time>,
    under_way: HashMap<ClientId, (Time, Reading)>,
    minute: i64,
    fetched: HashMap<String, usize>,
    again: HashMap<ClientId, usize>,
}

impl Documents {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn is_fresh(&self, id: &ClientId, now: Time) -> bool {
        self.inner().until.get(id).is_some_and(|until| now < *until)
    }
    /// A reading is over, and what was read counts for so long; or it does not.
    fn done(&self, id: &ClientId, now: Time, life_s: Option<i64>) {
        let mut inner = self.inner();
        inner.under_way.remove(id);
        inner.until.retain(|_, until| now < *until);
        inner.until.extend(life_s.map(|life_s| (id.clone(), now.plus_s(life_s))));
    }
    /// The document at `url`, which this network asks for: the reading that is under way, or one more where there may be one.
    async fn read(&self, app: &App, id: &ClientId, url: &Url, source: &str, known: bool, now: Time) -> Result<(Arc<Map<String, Value>>, i64), Fault> {
        let wrong = |why| Fault::because(Refusal::Malformed, why);
        let http = self.http(app).map_err(wrong)?;
        let reading = {
            let mut inner = self.inner();
            inner.under_way.retain(|_, (begun, _)| now < begun.plus_s(SHARED_S));
            let under_way = inner.under_way.get(id).map(|(_, reading)| reading.clone());
            match under_way {
                Some(reading) => reading,
                None if !inner.may_fetch(source, known.then_some(id), now) => return Err(Fault::because(Refusal::TooMany, "documents of clients")),
                None => {
                    let task = tokio::spawn(fetch(http.clone(), url.clone()));
                    let reading = async { task.await.unwrap_or(Err("a document that was not read")) }.boxed().shared();
                    inner.under_way.insert(id.clone(), (now, reading.clone()));
                    reading
                }
            }
        };
        reading.await.map_err(wrong)
    }
    fn http(&self, app: &App) -> Result<&(reqwest::Client, Reach), &'static str> {
        if self.http.get().is_none() {
            let made = egress::client(app, app.config.newcomers.allow_private_network, ANSWER).map_err(|_| "no HTTP client")?;
            let _ = self.http.set(made);
        }
        self.http.get().ok_or("no HTTP client")
    }
}

impl Inner {
    /// Whether one more may be fetched this minute: for this network and for everybody, or of a client that is known.
    fn may_fetch(&mut self, source: &str, known: Option<&ClientId>, now: Time) -> bool {
        let minute = now.seconds().div_euclid(60);
        if self.minute != minute {
            (self.minute, self.fetched, self.again) = (minute, HashMap::new(), HashMap::new());
        }
        if let Some(id) = known {
            let count = self.again.entry(id.clone()).or_default();
            *count += 1;
            return *count <= limits::DOCUMENT_AGAIN_MIN;
        }
        let all: usize = self.fetched.values().sum();
        let own = self.fetched.entry(source.to_owned()).or_default();
        let may = all < limits::DOCUMENTS_MIN && *own < limits::DOCUMENTS_PER_SOURCE_MIN;
        *own += usize::from(may);
        may
    }
}

/// The address that a name is; `None` where it is none that could have a document.
fn address(app: &App, id: &ClientId) -> Option<Url> {
    let url = Url::parse(id.as_str()).ok()?;
    let near = url.scheme() == "http" && app.config.reaches_loopback();
    let plain = url.as_str() == id.as_str() && url.path() != "/" && url.query().is_none() && url.fragment().is_none();
    let port = url.port().is_none() || app.config.reaches_loopback();
    ((url.scheme() == "https" || near) && plain && port).then_some(url)
}

/// Whether a client that was kept may still be one: its host is listed.
pub fn is_known(app: &App, id: &ClientId) -> bool {
    address(app, id).is_some_and(|url| app.config.newcomers.knows(&url))
}

/// The client of that name, by its document where it has one.
pub async fn client(app: &App, r: &Incoming, id: &ClientId) -> Result<Option<StoredClient>, Fault> {
    let stored = app.client(id).await?;
    if stored.as_ref().is_some_and(|s| s.source != DOCUMENT) {
        return Ok(stored);
    }
    let Some(url) = address(app, id).filter(|url| app.config.newcomers.knows(url)) else {
        return Ok(None);
    };
    let now = r.ctx.now;
    if stored.as_ref().is_some_and(|s| !s.client.disabled) && app.documents.is_fresh(id, now) {
        return Ok(stored);
    }
    let kept = keep(app, r, id, &url, stored).await;
    app.documents.done(id, now, kept.as_ref().ok().copied());
    kept?;
    Ok(app.client(id).await?)
}

/// Keeps a client as its document says. Answers for how long that counts, seconds.
async fn keep(app: &App, r: &Incoming, id: &ClientId, url: &Url, stored: Option<StoredClient>) -> Result<i64, Fault> {
    let now = r.ctx.now;
    let (said, life_s) = app.documents.read(app, id, url, &r.ctx.source(), stored.is_some(), now).await?;
    if said.get("client_id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err(Fault::because(Refusal::Malformed, "a document that names another client"));
    }
    let host = url.host_str().unwrap_or_default();
    let new = metadata::client(&said, id.as_str(), host, Some(host), &app.config.newcomers)
        .map_err(|wrong| Fault::because(Refusal::Malformed, wrong.why()))?;
    if app.store.workload_by_client(id).await?.is_some() {
        return Err(Fault::because(Refusal::Denied, "a workload has the id of a client"));
    }
    if !stored.as_ref().is_some_and(|old| same(&old.client, &new)) {
        let forgotten = if stored.is_none() { room(app, url, now).await? } else { Vec::new() };
        let mut event = app.event(Kind::ClientChanged, &r.ctx.txn, now).fact("what", DOCUMENT);
        event.client = Some(id.clone());
        if !forgotten.is_empty() {
            event = event.fact("forgotten", forgotten.iter().map(|c| c.client.id.as_str().to_owned()).collect::<Vec<_>>());
        }
        let mut commit = Commit::new(event);
        commit.writes(forgotten.iter().map(Write::client_forgotten));
        match &stored {
            Some(old) => commit.write(Write::client_changed(old, &new, DOCUMENT)),
            None => commit.write(Write::client_added(&new, DOCUMENT)),
        };
        match app.commit(commit).await {
            // Somebody else read it at the same moment.
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(life_s)
}

/// Reads the document of a client that asks by itself again, where its time ran out: its keys, its end. Nobody is fetched whom
/// nobody has begun a sign-in to.
pub async fn again(app: &App, r: &Incoming, id: &ClientId) -> Result<(), Fault> {
    if !is_known(app, id) {
        return Ok(());
    }
    match app.store.client(id).await? {
        Some(stored) if stored.source == DOCUMENT => client(app, r, id).await.map(|_| ()),
        _ => Ok(()),
    }
}

/// Who makes room for one more at `url`, if somebody has to: idle ones, of its own host where that has too many. Only those
/// count whose host is listed.
async fn room(app: &App, url: &Url, now: Time) -> Result<Vec<StoredClient>, Fault> {
    let on = |c: &StoredClient| address(app, &c.client.id).is_some_and(|u| u.host_str() == url.host_str());
    let all = app.store.clients().await?;
    let all: Vec<&StoredClient> = all.iter().filter(|c| c.source == DOCUMENT && is_known(app, &c.client.id)).collect();
    let here = all.iter().filter(|c| on(c)).count() >= limits::NEWCOMERS_PER_HOST;
    if !here && all.len() < limits::NEWCOMERS {
        return Ok(Vec::new());
    }
    let until = now.plus_s(limits::BROWSER_S - limits::NEWCOMER_BUSY_S);
    let idle = app.store.idle_clients(DOCUMENT, until, now).await?.into_iter();
    let idle: Vec<StoredClient> = idle.filter(|c| is_known(app, &c.client.id) && (!here || on(c))).take(limits::NEWCOMERS_FORGOTTEN).collect();
    if idle.is_empty() { Err(Fault::because(Refusal::TooMany, "clients that nobody listed")) } else { Ok(idle) }
}

/// What stands there, and for how long it counts.
async fn fetch((client, reach): (reqwest::Client, Reach), url: Url) -> Read {
    if !egress::may_call(&url, reach) {
        return Err("a document at an address that may not be called");
    }
    let sent = client.get(url).header("accept", "application/json").send().await;
    let answer = sent.map_err(|_| "a document that cannot be reached")?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err("a document that is not there");
    }
    let text = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let kind = text("content-type");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        return Err("a document that is not JSON");
    }
    let (least, usual, most) = KEPT_S;
    let control = text("cache-control");
    let said = control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse::<i64>().ok());
    let never = control.contains("no-store") || control.contains("no-cache");
    let life_s = if never { least } else { said.unwrap_or(usual).clamp(least, most) };
    let body = egress::body(answer, BYTES).await?;
    Ok((Arc::new(serde_json::from_slice(&body).map_err(|_| "a document that cannot be read")?), life_s))
}
