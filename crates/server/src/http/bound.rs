//! Doors of bound sessions. Only a browser knocks here, of itself: no script can send `Sec-…`, and what a foreign page
//! sends with a header of its own would have to be allowed first, which nothing here is.

use super::answer::refused;
use super::cookies;
use super::request::Incoming;
use super::terminal::no_session;
use crate::app::bound::{self, Given, Refreshed};
use crate::app::{App, Fault};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use countersign_trust::{Refusal, limits};
use countersign_wire::dbsc;
use std::sync::Arc;

type Shared = State<Arc<App>>;

fn one<'a>(r: &'a Incoming, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut all = r.headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|text| Some(dbsc::string(text))).map_err(|_| odd()),
        _ => Err(odd()),
    }
}

fn odd() -> Fault {
    Fault::because(Refusal::Malformed, "not exactly one header that is text")
}

fn given(given: Given) -> Response {
    let mut response = (StatusCode::OK, Json(given.instructions)).into_response();
    cookies::set(&mut response, cookies::BOUND, &given.cookie, limits::BOUND_S);
    response
}

/// `POST /session/bound`.
pub async fn register(State(app): Shared, r: Incoming) -> Response {
    let act = async {
        let proof = one(&r, dbsc::RESPONSE)?.ok_or(Fault::because(Refusal::BadProof, "no proof"))?;
        bound::register(&app, &r.ctx, &r.session().ok_or_else(no_session)?, proof).await
    };
    match act.await {
        Ok(done) => given(done),
        Err(fault) => kept_out(&app, &r, fault).await,
    }
}

/// `POST /session/bound/refresh`.
pub async fn refresh(State(app): Shared, r: Incoming) -> Response {
    let act = async {
        let id = one(&r, dbsc::ID)?.ok_or(Fault::because(Refusal::BadProof, "no session is named"))?;
        bound::refresh(&app, &r.ctx, &r.session().ok_or_else(no_session)?, id, one(&r, dbsc::RESPONSE)?).await
    };
    match act.await {
        Ok(Refreshed::Given(done)) => given(done),
        Ok(Refreshed::Asked(challenge)) => {
            let mut response = kept_out(&app, &r, Fault::because(Refusal::UseDpopNonce, "a challenge comes first")).await;
            *response.status_mut() = StatusCode::FORBIDDEN;
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                response.headers_mut().insert(dbsc::CHALLENGE, value);
            }
            response
        }
        Err(fault) => kept_out(&app, &r, fault).await,
    }
}

/// A browser takes 403 for "sign and try again" and any other 4xx for the end of its binding; after 5xx it tries later.
/// A session that rests may go on, so its binding stays.
async fn kept_out(app: &App, r: &Incoming, fault: Fault) -> Response {
    let mut response = refused(app, &r.ctx, fault).await;
    match response.status() {
        StatusCode::FORBIDDEN => *response.status_mut() = StatusCode::UNAUTHORIZED,
        StatusCode::CONFLICT => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        _ => {}
    }
    response
}
