//! The one place where a refusal becomes an HTTP answer, and where an unrecorded one is recorded.

use super::request::Incoming;
use crate::app::{App, Context, Fault, noise, nonces};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_wire::dpop;
use countersign_wire::message::Refused;
use serde::Serialize;

/// Status of each refusal (docs/protocol.md §6).
pub fn status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::BadProof | Refusal::UseDpopNonce | Refusal::NoSession => StatusCode::UNAUTHORIZED,
        Refusal::Denied | Refusal::TooFar | Refusal::AttestationNeeded | Refusal::NotRecovered | Refusal::RemoteControlled | Refusal::SharedPhone => StatusCode::FORBIDDEN,
        Refusal::NoSuchCeremony | Refusal::NoSuchFlow | Refusal::NoSuchThing => StatusCode::NOT_FOUND,
        Refusal::CodeNotLive
        | Refusal::SameDevice
        | Refusal::ConfirmFirst
        | Refusal::NotYet
        | Refusal::Pending
        | Refusal::SlowDown
        | Refusal::Decided
        | Refusal::AlreadyRedeemed
        | Refusal::StepUp
        | Refusal::Locked
        | Refusal::SeatLocked
        | Refusal::PostureOld => StatusCode::CONFLICT,
        Refusal::WrongCode | Refusal::BadEvidence => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Expired | Refusal::Gone | Refusal::InvitationOver => StatusCode::GONE,
        Refusal::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Clock | Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Part of the ordinary course: a line for each would bury the rest of the log.
fn is_ordinary(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UseDpopNonce | Refusal::Pending | Refusal::NoSession | Refusal::StepUp
            | Refusal::Unavailable | Refusal::Clock
    )
}

/// Does the act and answers with what came of it.
pub async fn answer<T, A>(app: &App, ctx: &Context, ok: StatusCode, act: A) -> Response
where
    T: Serialize,
    A: Future<Output = Result<T, Fault>>,
{
    match act.await {
        Ok(body) if ok == StatusCode::NO_CONTENT => {
            drop(body);
            ok.into_response()
        }
        Ok(body) => (ok, Json(body)).into_response(),
        Err(fault) => refused(app, ctx, fault).await,
    }
}

/// A fault as an answer: recorded, with its reference, telling no more than its code.
pub async fn refused(app: &App, ctx: &Context, fault: Fault) -> Response {
    let refusal = fault.refusal;
    metrics::counter!("countersign_refusals_total", "code" => refusal.code()).increment(1);
    if !fault.recorded && !is_ordinary(refusal) {
        let mut event = ctx.refusal_event(app, &ctx.txn).fact("because", fault.because);
        event.refusal = Some(refusal);
        if let Err(instead) = noise::record(app, ctx, event).await {
            return body(app, ctx, instead, &fault);
        }
    }
    body(app, ctx, refusal, &fault)
}

fn body(app: &App, ctx: &Context, refusal: Refusal, fault: &Fault) -> Response {
    let told = Refused {
        code: refusal.code().to_owned(),
        r#ref: ctx.reference.clone(),
        say: fault.say.clone(),
        left: fault.left,
    };
    let mut response = (status(refusal), Json(told)).into_response();
    if refusal == Refusal::TooMany {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    if matches!(refusal, Refusal::UseDpopNonce | Refusal::BadProof) {
        put_nonce(app, &mut response);
    }
    response
}

/// A fresh DPoP nonce.
pub fn nonce(app: &App) -> String {
    let (_, k) = app.keys.k();
    dpop::nonce(k.expose(), app.now())
}

/// Gives a nonce along for the key whose trust was found to hold, or else one for whoever asks, where that is enough.
pub fn put_nonce_for(app: &App, r: &Incoming, response: &mut Response) {
    let Some(jkt) = r.trusted() else { return put_nonce(app, response) };
    if let Ok(value) = HeaderValue::from_str(&nonces::give(app, jkt)) {
        response.headers_mut().insert("dpop-nonce", value);
    }
}

/// Gives a fresh DPoP nonce along.
pub fn put_nonce(app: &App, response: &mut Response) {
    if let Ok(value) = HeaderValue::from_str(&nonce(app)) {
        response.headers_mut().insert("dpop-nonce", value);
    }
}
