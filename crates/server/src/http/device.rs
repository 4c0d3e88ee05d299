//! Doors of enrolled devices. Every one needs a proof by the device key over the body; a decision
//! is its own proof.

use super::answer::{answer, put_nonce};
use super::request::{Incoming, json};
use super::terminal::Nothing;
use crate::app::ceremony::{decide, scan as scanning, story as stories};
use crate::app::noise::What;
use crate::push;
use crate::app::{App, Fault, badges, devices, evidence, people, noise, posture as health, rights, seats, sessions, user_code};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_trust::Refusal;
use countersign_trust::seat::Act;
use countersign_wire::message::{Confirm, DecisionBody, Invite, Pending, PostureBody, Rename, Scan, Subscribe, TpmAsk, Unlock, UserCode};
use serde_json::json as object;
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// `POST /device/scans`.
pub async fn scan(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        // Proof before anything is looked up: an unenrolled observer learns nothing.
        let framed = json::<Scan>(&r.headers, &body).is_ok_and(|s| !s.frames.is_empty());
        let (device, proof) = r.active_device(&app, Act::Scan, &body, framed).await?;
        let sent: Scan = json(&r.headers, &body)?;
        let cookie = r.browser();
        let by = scanning::Scanning { device: &device, proof: &proof, cookie: cookie.as_deref() };
        scanning::scan(&app, &r.ctx, &by, &sent).await
    })
    .await
}

/// `POST /device/badges`.
pub async fn badge(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let (device, proof) = r.active_device(&app, Act::Badge, &body, false).await?;
        let _: Nothing = json(&r.headers, &body)?;
        badges::make(&app, &r.ctx, &device, &proof).await
    })
    .await
}

/// `GET /device/pending`.
pub async fn pending(State(app): Shared, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.active_device(&app, Act::See, b"", false).await?;
        Ok::<_, Fault>(Pending { pending: scanning::pending(&app, &r.ctx, &device).await? })
    })
    .await
}

/// `POST /device/push`: this device is told that something waits while nobody looks.
pub async fn subscribe(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Subscribe, &body).await?;
        let sent: Subscribe = json(&r.headers, &body)?;
        push::subscribe(&app, &r.ctx, &device, &sent).await?;
        Ok(object!({}))
    })
    .await
}

/// `POST /device/push/end`: no more.
pub async fn unsubscribe(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Subscribe, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        push::unsubscribe(&app, &r.ctx, &device).await?;
        Ok(object!({}))
    })
    .await
}

/// `POST /device/unlock/options`: the passkey of a seat.
pub async fn unlock_options(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Unlock, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        noise::admit(&app, &r.ctx, What::Challenge, "challenge")?;
        seats::options(&app, &r.ctx, &device).await
    })
    .await
}

/// `POST /device/unlock`.
pub async fn unlock(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Unlock, &body).await?;
        let sent: Unlock = json(&r.headers, &body)?;
        let on = r.phone_proof(&app, &sent.phone, &device.device.jkt)?;
        seats::unlock(&app, &r.ctx, &device, &on, &sent).await
    })
    .await
}

/// `POST /device/lock`: the phone is handed on.
pub async fn lock(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Unlock, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        seats::lock(&app, &r.ctx, &device).await?;
        Ok(object!({}))
    })
    .await
}

/// `GET /device/overview`.
pub async fn overview(State(app): Shared, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.known_device(&app, Act::See, b"", false).await?;
        devices::overview(&app, &r.ctx, &device).await
    })
    .await
}

/// `GET /device/posture`. A device that waits or is suspended reports as well: that is how it gets in
/// order.
pub async fn posture(State(app): Shared, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.known_device(&app, Act::Report, b"", false).await?;
        health::view(&app, &r.ctx, &device).await
    })
    .await
}

/// `POST /device/posture`. The report's number does what burning the proof does elsewhere, without a
/// write for each.
pub async fn report(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    let mut response = answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.known_device(&app, Act::Report, &body, false).await?;
        let sent: PostureBody = json(&r.headers, &body)?;
        health::take(&app, &r.ctx, &device, &sent).await
    })
    .await;
    put_nonce(&app, &mut response);
    response
}

/// `POST /device/evidence/tpm`.
pub async fn tpm(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.known_device(&app, Act::Report, &body, false).await?;
        let sent: TpmAsk = json(&r.headers, &body)?;
        evidence::seal(&app, &r.ctx, &device, &sent)
    })
    .await
}

/// `GET /device/ceremonies/{cid}`.
pub async fn ceremony(State(app): Shared, Path(cid): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.active_device(&app, Act::Follow, b"", false).await?;
        scanning::look(&app, &r.ctx, &device, &cid).await
    })
    .await
}

/// `GET /device/ceremonies/{cid}/story`.
pub async fn story(State(app): Shared, Path(cid): Path<String>, r: Incoming) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, _) = r.active_device(&app, Act::See, b"", false).await?;
        stories::of_person(&app, &device, &cid).await
    })
    .await
}

/// `POST /device/ceremonies/{cid}/take`.
pub async fn take(State(app): Shared, Path(cid): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let (device, proof) = r.active_device(&app, Act::Take, &body, false).await?;
        let _: Nothing = json(&r.headers, &body)?;
        let cookie = r.browser();
        let by = scanning::Scanning { device: &device, proof: &proof, cookie: cookie.as_deref() };
        scanning::take(&app, &r.ctx, &by, &cid).await
    })
    .await
}

/// `POST /device/ceremonies/{cid}/confirm`.
pub async fn confirm(State(app): Shared, Path(cid): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Follow, &body).await?;
        let typed: Confirm = json(&r.headers, &body)?;
        scanning::confirm(&app, &r.ctx, &device, &cid, &typed.digits).await
    })
    .await
}

/// `POST /device/ceremonies/{cid}/decision`.
pub async fn decision(State(app): Shared, Path(cid): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let sent: DecisionBody = json(&r.headers, &body)?;
        decide::decide(&app, &r.ctx, &cid, &sent).await
    })
    .await
}

/// `POST /device/sessions/end`: all of them.
pub async fn end_all(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    end(app, r, body, None).await
}

/// `POST /device/sessions/{id}/end`.
pub async fn end_one(State(app): Shared, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    end(app, r, body, Some(id)).await
}

async fn end(app: Arc<App>, r: Incoming, body: Bytes, which: Option<String>) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::End, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        let n = sessions::end_from_device(&app, &r.ctx, &device.device.person, which.as_deref()).await?;
        Ok(object!({"ended": n}))
    })
    .await
}

/// `POST /device/rights/{id}/end`.
pub async fn end_right(State(app): Shared, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::End, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        rights::end_from_device(&app, &device.device.person, &id).await?;
        Ok(object!({}))
    })
    .await
}

/// `POST /device/devices/{id}/{rename,lost,allow,not-mine,leave}`.
pub async fn manage(
    State(app): Shared,
    Path((id, verb)): Path<(String, String)>,
    r: Incoming,
    body: Bytes,
) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let act = match verb.as_str() {
            "leave" => Act::Leave,
            _ => Act::Manage,
        };
        let device = r.device_once(&app, act, &body).await?;
        match verb.as_str() {
            "rename" => {
                let sent: Rename = json(&r.headers, &body)?;
                devices::rename(&app, &r.ctx, &device, &id, &sent.name).await?;
            }
            verb => {
                let _: Nothing = json(&r.headers, &body)?;
                match verb {
                    "leave" if id == device.device.id.as_str() => devices::leave(&app, &r.ctx, &device).await?,
                    "lost" => devices::lost(&app, &r.ctx, &device, &id).await?,
                    "allow" => devices::allow(&app, &r.ctx, &device, &id).await?,
                    "not-mine" => devices::not_mine(&app, &r.ctx, &device, &id).await?,
                    _ => return Err(Fault::because(Refusal::NoSuchThing, "no such act")),
                }
            }
        }
        Ok(object!({}))
    })
    .await
}

/// `POST /device/notices/{id}/{undo,ok}`.
pub async fn notice(
    State(app): Shared,
    Path((id, verb)): Path<(String, String)>,
    r: Incoming,
    body: Bytes,
) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Answer, &body).await?;
        let _: Nothing = json(&r.headers, &body)?;
        match verb.as_str() {
            "undo" => devices::notice_undo(&app, &r.ctx, &device, &id).await?,
            "ok" => devices::notice_ok(&app, &r.ctx, &device, &id).await?,
            _ => return Err(Fault::because(Refusal::NoSuchThing, "no such act")),
        }
        Ok(object!({}))
    })
    .await
}

/// `POST /device/user-code`.
pub async fn user_code(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::OK, async {
        let device = r.device_once(&app, Act::Word, &body).await?;
        let sent: UserCode = json(&r.headers, &body)?;
        user_code::set(&app, &r.ctx, &device, &sent.code).await?;
        Ok(object!({}))
    })
    .await
}

/// `POST /device/invitations`.
pub async fn invite(State(app): Shared, r: Incoming, body: Bytes) -> Response {
    answer(&app, &r.ctx, StatusCode::CREATED, async {
        let device = r.device_once(&app, Act::Invite, &body).await?;
        let sent: Invite = json(&r.headers, &body)?;
        people::invite_by_device(&app, &r.ctx, &device, &sent).await
    })
    .await
}
