//! Events that a receiver fetches (RFC 8936).
//!
//! A poll acknowledges what came before, and asks for more. What is not acknowledged comes again, under
//! the same name; what the receiver says it cannot take counts as taken, and is recorded.

use super::access::{self, MANAGE};
use super::answer::No;
use super::outbox::{self, Outbox};
use super::settle;
use crate::app::{App, Fault};
use crate::config::Receiver;
use crate::http::request::{Incoming, json};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredStream;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::shared::stream::WINDOW;
use countersign_trust::{Refusal, limits};
use countersign_wire::TxnId;
use countersign_wire::limits::JTI_BYTES;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Events of one answer, if the receiver does not ask for fewer.
const EVENTS: usize = 50;
/// How long a poll waits for something to tell: below what proxies cut off.
const WAIT: Duration = Duration::from_secs(25);
/// Another node may have heard what ours did not.
const TICK: Duration = Duration::from_secs(2);
/// Polls that may wait at once on one node: more are answered at once.
const WAITING: usize = 256;

/// What a receiver says (RFC 8936 §2.4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Poll {
    #[serde(default)]
    max_events: Option<u64>,
    #[serde(default)]
    return_immediately: bool,
    #[serde(default)]
    ack: Vec<String>,
    #[serde(default)]
    set_errs: BTreeMap<String, SetErr>,
}

/// Why it cannot take one (§2.6).
#[derive(Deserialize)]
struct SetErr {
    err: String,
}

/// `POST /ssf/poll/{stream}`.
pub async fn post(State(app): State<Arc<App>>, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    match poll(&app, &r, &id, &body).await {
        Ok(answer) => Json(answer).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.poll").await,
    }
}

async fn poll(app: &App, r: &Incoming, id: &str, body: &[u8]) -> Result<Value, No> {
    let receiver = access::receiver(app, r, MANAGE).await?;
    let mut stored = access::stream(app, receiver, Some(id)).await?;
    let asked: Poll = json(&r.headers, body)?;
    let names = || asked.ack.iter().chain(asked.set_errs.keys());
    if names().count() > 10 * WINDOW || names().any(|n| n.len() > JTI_BYTES) {
        return Err(No::malformed("more names than were told"));
    }
    let most = asked.max_events.map_or(EVENTS, |n| usize::try_from(n).unwrap_or(EVENTS).min(EVENTS));
    let mut told = app.signals.told.subscribe();
    if names().next().is_some() {
        stored = taken(app, receiver, stored, &asked, &r.ctx.txn).await?;
    }
    if most == 0 {
        return Ok(json!({ "sets": {} }));
    }
    let until = Instant::now() + WAIT;
    let place = Place::take(app);
    loop {
        let outbox = outbox::read(app, &stored, receiver).await?;
        let late = asked.return_immediately || place.is_none() || Instant::now() >= until;
        if !outbox.out.is_empty() || late {
            return answer(app, receiver, &outbox, most);
        }
        let next = until.min(Instant::now() + TICK);
        // Nobody sends only when the server ends.
        let _ = tokio::time::timeout_at(next, told.changed()).await;
        stored = access::stream(app, receiver, Some(id)).await?;
    }
}

fn answer(app: &App, receiver: &Receiver, outbox: &Outbox, most: usize) -> Result<Value, No> {
    let mut sets = Map::new();
    for out in outbox.out.iter().take(most) {
        sets.insert(out.jti.clone(), out.signed(app, receiver)?.into());
    }
    let more = outbox.out.len() > most || (outbox.more && !outbox.out.is_empty());
    Ok(json!({ "sets": sets, "moreAvailable": more }))
}

/// Keeps what was taken. Names that were never told, or are long taken, mean nothing.
async fn taken(app: &App, receiver: &Receiver, mut stored: StoredStream, asked: &Poll, txn: &TxnId) -> Result<StoredStream, No> {
    for _ in 0..limits::RACES {
        let outbox = outbox::read(app, &stored, receiver).await?;
        let waiting: BTreeSet<&str> = outbox.out.iter().map(|o| o.jti.as_str()).collect();
        let known = |name: &&String| waiting.contains(name.as_str());
        let acked: BTreeSet<String> = asked.ack.iter().chain(asked.set_errs.keys()).filter(known).cloned().collect();
        if acked.is_empty() {
            return Ok(stored);
        }
        let now = app.now();
        let progress = stored.stream.progress(outbox.scanned, &outbox.lines, &acked);
        let record = settle::event(app, Kind::StreamDelivered, &stored.stream, txn, now);
        let mut commit = Commit::new(record.fact("count", acked.len()).fact("through", progress.done));
        for out in outbox.out.iter() {
            if let Some(refused) = asked.set_errs.get(&out.jti) {
                let record = settle::event(app, Kind::StreamRefused, &stored.stream, txn, now);
                commit.event(record.fact("event", out.kind()).fact("set", out.jti.as_str()).fact("err", err(&refused.err)));
            }
        }
        commit.write(Write::stream_taken(&stored.stream, &progress, now));
        match app.commit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        stored = access::stream(app, receiver, Some(stored.stream.id.as_str())).await?;
    }
    Err(Fault::from(Refusal::Unavailable).into())
}

/// A receiver's word, if it is one of those that the standards know (RFC 8935 §2.4, SSF 1.0 §8.1.4.1).
pub fn err(word: &str) -> &'static str {
    const WORDS: [&str; 10] = [
        "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied",
        "invalid_state", "jwtParse", "setData", "json",
    ];
    WORDS.into_iter().find(|w| *w == word).unwrap_or("other")
}

/// A place among the polls that wait.
struct Place<'a>(&'a App);

impl<'a> Place<'a> {
    fn take(app: &'a App) -> Option<Place<'a>> {
        let waiting = app.signals.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(app);
        (waiting < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.signals.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
