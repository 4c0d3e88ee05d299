//! Doors of the terminal.

use super::answer::{answer, put_nonce, refused};
use super::cookies;
use super::request::{Incoming, json};
use crate::app::ceremony::{open as opening, redeem as redeeming, terminal};
use crate::app::noise::{self, What};
use crate::app::{App, Fault, bound, passkey as passkeys, sessions};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use countersign_trust::{Refusal, limits};
use countersign_wire::dbsc;
use countersign_wire::message::{Beat, Confirm, Open};
use countersign_wire::object;
use countersign_wire::webauthn::AssertionText;
use serde::Deserialize;
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// A body without members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `POST /ceremonies`.
pub async fn open(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let asked: Open = json(&r.headers, &body)?;
        let opener = match r.browser() {
            Some(b) => {
                r.own_page(&app)?;
                opening::Opener::Browser(b)
            }
            None if asked.flow.is_none() => opening::Opener::Program,
            None => return Err(Fault::because(Refusal::NoSuchFlow, "no browser cookie")),
        };
        let proof = r.terminal_proof(&app)?;
        opening::open(&app, &r.ctx, &opener, &proof, r.session().as_deref(), &asked).await
    })
    .await
}

/// `POST /ceremonies/{cid}/confirm`.
pub async fn confirm(State(app): Shared, Path(cid): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let holder = r.holder(&app, true)?;
        let typed: Confirm = json(&r.headers, &body)?;
        terminal::confirm(&app, &r.ctx, &cid, &holder, &typed.digits).await
    })
    .await
}

/// `POST /ceremonies/{cid}/abandon`.
pub async fn abandon(State(app): Shared, Path(cid): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::NO_CONTENT, async {
        let holder = r.holder(&app, true)?;
        terminal::abandon(&app, &r.ctx, &cid, &holder, r.session().as_deref()).await
    })
    .await
}

/// `POST /ceremonies/{cid}/redeem`.
pub async fn redeem(State(app): Shared, Path(cid): Path<String>, r: Incoming) -> Response {
    let result = async {
        let holder = r.holder(&app, true)?;
        let proof = r.terminal_proof(&app)?;
        redeeming::redeem(&app, &r.ctx, &cid, &holder, &proof, r.session().as_deref()).await
    }
    .await;
    match result {
        Ok(done) => {
            let mut response = (StatusCode::OK, Json(done.reply)).into_response();
            if let Some(fresh) = done.cookies {
                put_cookies(&app, &mut response, &fresh);
            }
            super::answer::put_nonce(&app, &mut response);
            response
        }
        Err(fault) => refused(&app, &r.ctx, fault).await,
    }
}

fn put_cookies(app: &App, response: &mut Response, fresh: &sessions::Fresh) {
    cookies::set(response, cookies::BROWSER, &fresh.browser, limits::BROWSER_S);
    cookies::set(response, cookies::SESSION, &fresh.session, fresh.session_s);
    // What it was bound to before is over; it may be bound anew.
    cookies::clear(response, cookies::BOUND);
    if let Some(value) = bound::offer(app, &fresh.id).and_then(|offer| HeaderValue::from_str(&offer).ok()) {
        response.headers_mut().insert(dbsc::REGISTRATION, value);
    }
}

pub(super) fn no_session() -> Fault {
    Fault::because(Refusal::NoSession, "no session cookie")
}

/// `POST /ceremonies/{cid}/continue`.
pub async fn go_on(State(app): Shared, Path(cid): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        r.own_page(&app)?;
        let cookie = r.session().ok_or_else(no_session)?;
        let proof = r.terminal_proof(&app)?;
        redeeming::go_on(&app, &r.ctx, &cid, &cookie, &proof).await
    })
    .await
}

/// `POST /sign-in/{flow}/resume`.
pub async fn resume(State(app): Shared, Path(flow): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let browser = r.own_browser(&app)?;
        let cookie = r.session().ok_or_else(no_session)?;
        let proof = r.terminal_proof(&app)?;
        sessions::resume(&app, &r.ctx, &flow, &browser, &cookie, &proof).await
    })
    .await
}

/// `POST /sign-in/{flow}/cancel`.
pub async fn cancel(State(app): Shared, Path(flow): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let browser = r.own_browser(&app)?;
        sessions::cancel(&app, &r.ctx, &flow, &browser).await
    })
    .await
}

/// `POST /sign-in/{flow}/passkey/options`.
pub async fn passkey_options(State(app): Shared, Path(flow): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let browser = r.own_browser(&app)?;
        noise::admit(&app, &r.ctx, What::Challenge, "challenge")?;
        passkeys::options(&app, &r.ctx, &flow, &browser).await
    })
    .await
}

/// `POST /sign-in/{flow}/passkey`.
pub async fn passkey(State(app): Shared, Path(flow): Path<String>, r: Incoming, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(deserialize_with = "object::member")]
        assertion: AssertionText,
        #[serde(default)]
        raise: bool,
    }
    let result = async {
        let browser = r.own_browser(&app)?;
        let sent: Body = json(&r.headers, &body)?;
        let proof = r.terminal_proof(&app)?;
        passkeys::sign_in(&app, &r.ctx, &flow, &browser, r.session().as_deref(), &proof, &sent.assertion, sent.raise).await
    }
    .await;
    match result {
        Ok(done) => {
            let mut response = (StatusCode::OK, Json(done.reply)).into_response();
            put_cookies(&app, &mut response, &done.cookies);
            response
        }
        Err(fault) => refused(&app, &r.ctx, fault).await,
    }
}

/// `POST /session/end`.
pub async fn end_session(State(app): Shared, r: Incoming) -> Response {
    let result = async {
        r.own_page(&app)?;
        let cookie = r.session().ok_or_else(no_session)?;
        let proof = r.terminal_proof(&app)?;
        sessions::end_here(&app, &r.ctx, &cookie, &proof).await
    }
    .await;
    let mut response = match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        // Ended from elsewhere: what is left of it here goes all the same, if the screen's own page asks.
        Err(fault) if fault.refusal == Refusal::NoSession && r.own_page(&app).is_ok() => refused(&app, &r.ctx, fault).await,
        Err(fault) => return refused(&app, &r.ctx, fault).await,
    };
    cookies::clear(&mut response, cookies::SESSION);
    cookies::clear(&mut response, cookies::BROWSER);
    cookies::clear(&mut response, cookies::BOUND);
    // Not "storage": it may hold the key of an enrolled phone or of a registered screen. The page drops its own key.
    let kept = HeaderValue::from_static("\"cache\", \"cookies\"");
    response.headers_mut().insert("clear-site-data", kept);
    response
}

/// `POST /session/beat`: a page of a session is there, or goes.
pub async fn beat(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    let mut response = answer(&app, &r.ctx, StatusCode::OK, async {
        r.own_page(&app)?;
        let cookie = r.session().ok_or_else(no_session)?;
        let proof = r.terminal_proof(&app)?;
        let sent: Beat = json(&r.headers, &body)?;
        sessions::beat(&app, &r.ctx, &cookie, &proof, sent.visible).await
    })
    .await;
    put_nonce(&app, &mut response);
    response
}
