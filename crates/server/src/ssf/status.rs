//! Whether a stream flows (SSF 1.0 §8.1.2), and what stops it from our side.

use super::access::{self, MANAGE, READ};
use super::answer::No;
use super::{settle, streams};
use crate::app::{App, Fault};
use crate::http::request::{Incoming, json};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredStream;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::shared::caep::EventType;
use countersign_trust::shared::stream::{Note, STATE_BYTES, Status, Stream};
use countersign_wire::{b64, jcs};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn told(stream: &Stream) -> Value {
    let mut map = Map::new();
    map.insert("stream_id".into(), stream.id.as_str().into());
    map.insert("status".into(), stream.status.as_str().into());
    if let Some(reason) = &stream.reason {
        map.insert("reason".into(), reason.as_str().into());
    }
    Value::Object(map)
}

/// `GET /ssf/status?stream_id=` (§8.1.2.1).
pub async fn read(State(app): State<Arc<App>>, RawQuery(query): RawQuery, r: Incoming) -> Response {
    let act = async || -> Result<Value, No> {
        let receiver = access::receiver(&app, &r, READ).await?;
        let id = streams::named(query.as_deref())?;
        Ok(told(&access::stream(&app, receiver, id.as_deref()).await?.stream))
    };
    match act().await {
        Ok(status) => Json(status).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.status").await,
    }
}

#[derive(Deserialize)]
struct Update {
    stream_id: String,
    status: Status,
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /ssf/status` (§8.1.2.2).
pub async fn update(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    let act = async || -> Result<Value, No> {
        let receiver = access::receiver(&app, &r, MANAGE).await?;
        let asked: Update = json(&r.headers, &body)?;
        if asked.reason.as_ref().is_some_and(|t| t.len() > STATE_BYTES || !jcs::is_plain(t)) {
            return Err(No::malformed("reason"));
        }
        let head = app.store.engine().last_seq().await?;
        let change = |old: &StoredStream, now| {
            let s = &old.stream;
            let mut new = Stream { status: asked.status, reason: asked.reason.clone(), moved_at: now, ..s.clone() };
            if s.status == Status::Disabled && asked.status != Status::Disabled {
                // Nothing of the time between is held for it.
                (new.done, new.taken) = (head.max(s.done), BTreeSet::new());
            }
            if asked.status == Status::Disabled {
                new.notes.clear();
            }
            Ok((new, old.sealed.clone()))
        };
        let load = || access::stream(&app, receiver, Some(&asked.stream_id));
        Ok(told(&settle::set(&app, load, "status", &r.ctx.txn, change).await?))
    };
    match act().await {
        Ok(status) => Json(status).into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.status").await,
    }
}

/// Pauses a stream from our side; its receiver is told before anything else (§8.1.5).
pub async fn pause(app: &App, old: &StoredStream, reason: &'static str) -> Result<(), Fault> {
    let now = app.now();
    let txn = app.txn(now);
    let body = json!({ "status": Status::Paused.as_str(), "reason": reason });
    let note = Note {
        jti: b64::encode(&app.random::<16>()),
        event: EventType::StreamUpdated.uri().to_owned(),
        body: body.as_object().cloned().unwrap_or_default(),
        at: now,
        txn: txn.clone(),
    };
    let s = &old.stream;
    let new = Stream { status: Status::Paused, reason: Some(reason.to_owned()), notes: s.noted(note), ..s.clone() };
    let mut commit = Commit::new(settle::event(app, Kind::StreamChanged, &new, &txn, now).fact("what", "paused").fact("because", reason));
    commit.write(Write::stream_set(s, &new, &old.sealed));
    settle::keep(app, commit).await
}
