//! Doors of the operator's page. Each needs the session's cookie and a proof by its key; the page itself is the same
//! for everybody.

use super::answer::{answer, put_nonce, refused};
use super::events::POLL;
use super::request::{Incoming, json};
use super::shells;
use super::terminal::{Nothing, no_session};
use crate::app::operator::{Operator, act, see};
use crate::app::{App, Fault, operator};
use crate::oidc::authorize;
use crate::pages;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_trust::operator::Wish;
use countersign_wire::dpop::{self, Proof};
use serde::Deserialize;
use serde_json::json as object;
use std::sync::Arc;
use std::time::Duration;

type Shared = State<Arc<App>>;

/// How often is looked for news: another node, or the console, may have written them.
const LOOK: Duration = Duration::from_secs(1);

/// `GET /operator`.
pub async fn page(State(app): Shared) -> Response {
    let nonce = dpop::nonce(app.keys.k().1.expose(), app.now());
    shells::page(StatusCode::OK, pages::operator(&app.config.organisation, &nonce))
}

#[derive(Deserialize)]
pub struct Entering {
    again: Option<String>,
}

/// `GET /operator/enter`: begins a sign-in, as any application would; `again` asks for a new approval.
pub async fn enter(State(app): Shared, Query(query): Query<Entering>, r: Incoming) -> Response {
    let begun = async { authorize::own(&app, &r, &operator::request(&app, &r.ctx, query.again.is_some())?).await };
    match begun.await {
        Ok(response) => response,
        Err(fault) => crate::oidc::refused_here(&app, &r.ctx, "operator", fault).await,
    }
}

/// Who asks, and by which proof.
async fn operator(app: &App, r: &Incoming, body: Option<&[u8]>, wish: Wish) -> Result<(Operator, Proof), Fault> {
    if body.is_some() {
        r.own_page(app)?;
    }
    let cookie = r.session().ok_or_else(no_session)?;
    let proof = match body {
        Some(body) => r.key_proof(app, body)?,
        None => r.terminal_proof(app)?,
    };
    Ok((Operator::load(app, &r.ctx, &cookie, &proof, wish).await?, proof))
}

#[derive(Deserialize)]
pub struct After {
    after: Option<i64>,
}

/// `GET /operator/lines?after=N`: what happened since, as soon as something did, or after 25 s. Whether the operator
/// still is one is judged anew before every answer.
pub async fn lines(State(app): Shared, Query(query): Query<After>, r: Incoming) -> Response {
    let mut response = match waited(&app, &r, query.after).await {
        Ok(lines) => Json(lines).into_response(),
        Err(fault) => refused(&app, &r.ctx, fault).await,
    };
    put_nonce(&app, &mut response);
    response
}

async fn waited(app: &App, r: &Incoming, after: Option<i64>) -> Result<see::Lines, Fault> {
    let (mut by, _) = operator(app, r, None, Wish::Look).await?;
    let mut wait = app.screens.wait(&by.session.facts.id).ok_or(Fault::because(Refusal::TooMany, "waiting pages"))?;
    let end = tokio::time::Instant::now() + POLL;
    loop {
        let found = see::lines(app, after).await?;
        if after.is_none() || !found.lines.is_empty() || tokio::time::Instant::now() >= end {
            return Ok(found);
        }
        let _ = tokio::time::timeout(LOOK, wait.changed()).await;
        by = by.still(app, &r.ctx, Wish::Look).await?;
    }
}

/// `GET /operator/refusals/{reference}`.
pub async fn refusal(State(app): Shared, Path(reference): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        operator(&app, &r, None, Wish::Look).await?;
        see::refusal(&app, &reference).await
    })
    .await
}

/// `POST /operator/people/look`: the name travels in the body, which no log of a proxy holds.
pub async fn look(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (by, _) = operator(&app, &r, Some(&body), Wish::Look).await?;
        see::person(&app, &r.ctx, &by, &json(&r.headers, &body)?).await
    })
    .await
}

/// `POST /operator/people/recovery`.
pub async fn recovery(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (by, proof) = operator(&app, &r, Some(&body), Wish::Act).await?;
        act::recovery(&app, &r.ctx, &by, &json(&r.headers, &body)?, &proof).await
    })
    .await
}

/// `POST /operator/sessions/{id}/end`.
pub async fn end_session(State(app): Shared, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (by, proof) = operator(&app, &r, Some(&body), Wish::Act).await?;
        let _: Nothing = json(&r.headers, &body)?;
        act::end_session(&app, &r.ctx, &by, &id, &proof).await?;
        Ok(object!({}))
    })
    .await
}

/// `POST /operator/devices/{id}/suspend`.
pub async fn suspend(State(app): Shared, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (by, proof) = operator(&app, &r, Some(&body), Wish::Act).await?;
        let _: Nothing = json(&r.headers, &body)?;
        act::suspend(&app, &r.ctx, &by, &id, &proof).await?;
        Ok(object!({}))
    })
    .await
}

/// `GET /operator/devices/{id}/touched`.
pub async fn touched(State(app): Shared, Path(id): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        operator(&app, &r, None, Wish::Look).await?;
        act::touched(&app, &id).await
    })
    .await
}

/// `POST /operator/devices/{id}/touched/end`.
pub async fn end_touched(State(app): Shared, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (by, proof) = operator(&app, &r, Some(&body), Wish::Act).await?;
        let _: Nothing = json(&r.headers, &body)?;
        act::end_touched(&app, &r.ctx, &by, &id, &proof).await
    })
    .await
}
