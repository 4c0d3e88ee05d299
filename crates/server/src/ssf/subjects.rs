//! Whom a stream is about (SSF 1.0 §8.1.3): everybody, but for those its receiver took out. Whether we
//! know a subject is told to nobody (§9.1).

use super::access::{self, MANAGE};
use super::answer::No;
use super::settle;
use crate::app::App;
use crate::http::request::{Incoming, json};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredStream;
use countersign_trust::shared::stream::{REMOVED, Stream};
use countersign_wire::subject::Subject;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Asked {
    stream_id: String,
    subject: Subject,
    /// Whether the receiver has checked it; nothing here depends on that.
    #[serde(default, rename = "verified")]
    _verified: Option<bool>,
}

/// `POST /ssf/subjects/add` (§8.1.3.2).
pub async fn add(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match set(&app, &r, &body, true).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.subject").await,
    }
}

/// `POST /ssf/subjects/remove` (§8.1.3.3).
pub async fn remove(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match set(&app, &r, &body, false).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(no) => no.told(&app, &r.ctx, "stream.subject").await,
    }
}

async fn set(app: &App, r: &Incoming, body: &[u8], wanted: bool) -> Result<(), No> {
    let receiver = access::receiver(app, r, MANAGE).await?;
    let asked: Asked = json(&r.headers, body)?;
    let old = access::stream(app, receiver, Some(&asked.stream_id)).await?;
    if old.stream.facts.removed.contains(&asked.subject) != wanted {
        return Ok(());
    }
    let change = |old: &StoredStream, now| {
        let mut new = Stream { moved_at: now, ..old.stream.clone() };
        new.facts.removed.retain(|s| *s != asked.subject);
        if !wanted {
            if new.facts.removed.len() >= REMOVED {
                return Err(No::denied("as many subjects as may be left out"));
            }
            new.facts.removed.push(asked.subject.clone());
        }
        Ok((new, old.sealed.clone()))
    };
    let what = if wanted { "subject_added" } else { "subject_removed" };
    settle::set(app, || access::stream(app, receiver, Some(&asked.stream_id)), what, &r.ctx.txn, change).await?;
    Ok(())
}
