//! A receiver's streams: made, read, updated, replaced, deleted (SSF 1.0 §8.1.1).

use super::access::{self, MANAGE, READ};
use super::answer::No;
use super::settle;
use crate::app::{App, Fault};
use crate::config::Receiver;
use crate::http::request::{Incoming, json};
use crate::oidc::egress::{self, Reach};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredStream;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::{Refusal, limits};
use countersign_trust::audit::Kind;
use countersign_trust::shared::stream::{Asked, Delivery, STREAMS, Status, Stream, StreamFacts};
use countersign_wire::{Secret, StreamId};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use url::Url;

/// What a sealed authorization header is for.
pub const SEALED: &str = "stream";

/// `POST /ssf/streams` (§8.1.1.1).
pub async fn create(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match made(&app, &r, &body).await {
        Ok(config) => (StatusCode::CREATED, Json(config)).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.create").await,
    }
}

async fn made(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    let receiver = access::receiver(app, r, MANAGE).await?;
    let asked = Asked::read(&json::<Map<String, Value>>(&r.headers, body)?)?;
    let _one_at_a_time = app.signals.making.lock().await;
    if app.store.streams_of(&receiver.id).await?.len() >= STREAMS {
        return Err(No::full());
    }
    let now = app.now();
    let id = StreamId::new(now, app.id10());
    let (facts, sealed) = facts(app, receiver, &id, asked, Vec::new())?;
    let stream = Stream {
        id,
        version: 1,
        receiver: receiver.id.clone(),
        status: Status::Enabled,
        reason: None,
        // What happened before it was made is nothing to it.
        done: app.store.engine().last_seq().await?,
        taken: BTreeSet::new(),
        notes: Vec::new(),
        asked_at: None,
        moved_at: now,
        facts,
    };
    let mut commit = Commit::new(settle::event(app, Kind::StreamChanged, &stream, &r.ctx.txn, now).fact("what", "created"));
    commit.write(Write::stream_made(&stream, &sealed));
    settle::keep(app, commit).await?;
    Ok(told(app, receiver, &stream))
}

/// What a receiver asked for, as far as it may have it; with its authorization header sealed.
fn facts(app: &App, receiver: &Receiver, id: &StreamId, asked: Asked, removed: Vec<countersign_wire::subject::Subject>) -> Result<(StreamFacts, Vec<u8>), No> {
    let (delivery, header) = asked.delivery.unwrap_or((Delivery::Poll, None));
    if let Delivery::Push { endpoint_url, .. } = &delivery {
        may_push(app, receiver, endpoint_url)?;
    }
    let sealed = match header {
        None => Vec::new(),
        Some(header) => {
            let plain = Secret::new(header.into_bytes());
            app.keys.seal_for(id.as_str(), SEALED, &plain).map_err(|_| Fault::because(Refusal::Unavailable, "sealing"))?
        }
    };
    Ok((StreamFacts { delivery, requested: asked.requested, description: asked.description, removed }, sealed))
}

/// Events go where the operator said that this receiver is, and nowhere that only a server could reach.
fn may_push(app: &App, receiver: &Receiver, endpoint: &str) -> Result<(), No> {
    let url = Url::parse(endpoint).map_err(|_| No::malformed("endpoint_url"))?;
    if !receiver.lists(&url) {
        return Err(No::malformed("an endpoint that is not registered"));
    }
    let reach = Reach::of(app, receiver.allow_private_network);
    if url.fragment().is_some() || !egress::may_call(&url, reach) {
        return Err(No::malformed("an endpoint that may not be called"));
    }
    Ok(())
}

fn told(app: &App, receiver: &Receiver, stream: &Stream) -> Value {
    stream.configuration(&app.config.issuer, &receiver.audience, &receiver.supported())
}

/// The one `stream_id` of a query.
pub fn named(query: Option<&str>) -> Result<Option<String>, No> {
    let all: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(n, _)| n == "stream_id").collect();
    match all.as_slice() {
        [] => Ok(None),
        [(_, id)] => Ok(Some(id.clone().into_owned())),
        _ => Err(No::malformed("two stream_ids")),
    }
}

/// `GET /ssf/streams` (§8.1.1.2): one, or all.
pub async fn read(State(app): State<Arc<App>>, RawQuery(query): RawQuery, r: Incoming) -> Response {
    let act = async || -> Result<Value, No> {
        let receiver = access::receiver(&app, &r, READ).await?;
        Ok(match named(query.as_deref())? {
            Some(id) => told(&app, receiver, &access::stream(&app, receiver, Some(&id)).await?.stream),
            None => app.store.streams_of(&receiver.id).await?.iter().map(|s| told(&app, receiver, &s.stream)).collect(),
        })
    };
    match act().await {
        Ok(config) => Json(config).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.read").await,
    }
}

/// `PATCH /ssf/streams` (§8.1.1.3).
pub async fn update(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match changed(&app, &r, &body, "updated").await {
        Ok(config) => Json(config).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.update").await,
    }
}

/// `PUT /ssf/streams` (§8.1.1.4).
pub async fn replace(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match changed(&app, &r, &body, "replaced").await {
        Ok(config) => Json(config).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.replace").await,
    }
}

async fn changed(app: &App, r: &Incoming, body: &[u8], what: &'static str) -> Result<Value, No> {
    let receiver = access::receiver(app, r, MANAGE).await?;
    let sent: Map<String, Value> = json(&r.headers, body)?;
    let id = sent.get("stream_id").and_then(Value::as_str);
    let supported = receiver.supported();
    let change = |old: &StoredStream, now| {
        if !old.stream.agrees(&sent, &app.config.issuer, &receiver.audience, &supported) {
            return Err(No::malformed("a member that is the transmitter's to set"));
        }
        let asked = Asked::read(&sent)?;
        let s = &old.stream;
        let delivers_anew = asked.delivery.is_some();
        let (mut facts, mut sealed) = facts(app, receiver, &s.id, asked, s.facts.removed.clone())?;
        if what == "updated" {
            // What is not named stays.
            if !delivers_anew {
                facts.delivery = s.facts.delivery.clone();
                sealed.clone_from(&old.sealed);
            }
            facts.requested = facts.requested.or_else(|| s.facts.requested.clone());
            facts.description = facts.description.or_else(|| s.facts.description.clone());
        }
        Ok((Stream { facts, moved_at: now, ..s.clone() }, sealed))
    };
    let stream = settle::set(app, || access::stream(app, receiver, id), what, &r.ctx.txn, change).await?;
    Ok(told(app, receiver, &stream))
}

/// `DELETE /ssf/streams?stream_id=` (§8.1.1.5).
pub async fn delete(State(app): State<Arc<App>>, RawQuery(query): RawQuery, r: Incoming) -> Response {
    let act = async || -> Result<(), No> {
        let receiver = access::receiver(&app, &r, MANAGE).await?;
        let id = named(query.as_deref())?;
        for _ in 0..limits::RACES {
            let old = access::stream(&app, receiver, id.as_deref()).await?.stream;
            let mut commit = Commit::new(settle::event(&app, Kind::StreamChanged, &old, &r.ctx.txn, app.now()).fact("what", "deleted"));
            commit.write(Write::stream_deleted(&old));
            match settle::keep(&app, commit).await {
                Err(Fault { store: Some(StoreError::Conflict), .. }) => {}
                done => return Ok(done?),
            }
        }
        Err(Fault::from(Refusal::Unavailable).into())
    };
    match act().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.delete").await,
    }
}
