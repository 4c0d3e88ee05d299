//! What a managing system says about devices in a form of its own; the configuration says what its words mean.
//!
//! 1. It shows a bearer token, or signs: HMAC-SHA256 over the time, a dot and the body, with a time that is
//!    five minutes off at most. A signature serves once.
//! 2. Each piece of news names a device or a registered terminal; rules turn its words into signals and facts of it.

use super::act::{self, Target, Teller};
use crate::app::{App, Fault};
use crate::config::Source;
use crate::http::answer;
use crate::http::request::{Incoming, json};
use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_store::Write;
use countersign_trust::Refusal;
use countersign_trust::posture::Name;
use countersign_wire::secret::same;
use countersign_wire::{Secret, Time, b64, mac};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A signature's time may be this far from ours, seconds.
const WINDOW_S: i64 = 300;
/// Pieces of news in one request.
const EACH: usize = 100;
/// What signatures are used up under.
const USED: &str = "webhook";

/// `POST /signals/{source}`.
pub async fn post(State(app): State<Arc<App>>, Path(id): Path<String>, r: Incoming, body: Bytes) -> Response {
    match take(&app, &r, &id, &body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => answer::refused(&app, &r.ctx, fault).await,
    }
}

fn bad(why: &'static str) -> Fault {
    Fault::because(Refusal::BadProof, why)
}

/// Who sent it: the name under which it is used up, if it may serve only once.
async fn shown(source: &Source, r: &Incoming, body: &[u8]) -> Result<Option<String>, Fault> {
    let text = |name: &str| r.headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(known) = &source.token_hash {
        let line = text(header::AUTHORIZATION.as_str()).unwrap_or_default();
        let token = line.split_once(' ').filter(|(s, _)| s.eq_ignore_ascii_case("bearer")).map(|(_, t)| t.trim()).ok_or(bad("no bearer token"))?;
        let digest = b64::encode(&mac::h(token.as_bytes()));
        return if same(known.as_bytes(), digest.as_bytes()) { Ok(None) } else { Err(bad("a wrong bearer token")) };
    }
    let file = source.hmac_key_file.as_ref().ok_or(bad("nothing to be known by"))?;
    let key = Secret::new(tokio::fs::read(file).await.map_err(|_| Fault::because(Refusal::Unavailable, "the key file cannot be read"))?);
    let time = text(&source.timestamp_header).ok_or(bad("no time"))?;
    let signed_s: i64 = time.parse().map_err(|_| bad("a time of another form"))?;
    if (r.ctx.now.seconds() - signed_s).abs() > WINDOW_S {
        return Err(bad("a time that is too far off"));
    }
    let signature = text(&source.signature_header).ok_or(bad("no signature"))?;
    let signature = hex(signature.strip_prefix("sha256=").unwrap_or(signature)).ok_or(bad("a signature of another form"))?;
    let message = [time.as_bytes(), b".", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().trim_ascii_end());
    hmac::verify(&key, &message, &signature).map_err(|_| bad("a wrong signature"))?;
    Ok(Some(format!("{}/{}", source.id, b64::encode(&signature))))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes().chunks(2).map(|pair| match pair {
        [a, b] => Some(nibble(*a)? << 4 | nibble(*b)?),
        _ => None,
    }).collect()
}

async fn take(app: &App, r: &Incoming, id: &str, body: &[u8]) -> Result<(), Fault> {
    app.in_order()?;
    let source = app.config.signals.sources.iter().find(|s| s.id == id).ok_or(bad("an unknown source"))?;
    let once = shown(source, r, body).await?;
    r.ctx.known_as("source", &source.id);
    if let Some(name) = &once
        && app.store.is_burnt(USED, name).await?
    {
        return Err(bad("a signature that was used before"));
    }
    let whole: Value = Value::Object(json::<Map<String, Value>>(&r.headers, body)?);
    let malformed = |why| Fault::because(Refusal::Malformed, why);
    let news: Vec<&Value> = match &source.each {
        None => vec![&whole],
        Some(at) => whole.pointer(at).and_then(Value::as_array).ok_or(malformed("no list of news"))?.iter().collect(),
    };
    if news.len() > EACH {
        return Err(malformed("more than 100 pieces of news"));
    }
    let now = r.ctx.now;
    let teller = Teller { source: &source.id, at: now, until: now, txn: &r.ctx.txn };
    let (mut did, mut last) = ("noted", Target::default());
    for one in news {
        let name = one.pointer(&source.device).and_then(Value::as_str).ok_or(malformed("no device"))?;
        let target = if source.terminals {
            Target { terminal: act::terminal(&app.store, name).await?, ..Target::default() }
        } else {
            Target { device: act::device(&app.store, &source.id, name, Some(source.devices)).await?, ..Target::default() }
        };
        if target.device.is_none() && target.terminal.is_none() {
            if did == "noted" {
                did = "unknown";
            }
            continue;
        }
        if follow(app, &teller, source, &target, one).await? {
            did = "acted";
        }
        last = target;
    }
    let name = once.unwrap_or_else(|| format!("{}/{}", source.id, r.ctx.txn));
    let used = Write::burnt(USED, &name, Time::from_seconds(now.seconds() + 2 * WINDOW_S + 1));
    act::told(app, &teller, "webhook", did, &last, used).await
}

/// What the rules make of one piece of news. What lowers trust comes first.
async fn follow(app: &App, teller: &Teller<'_>, source: &Source, target: &Target, one: &Value) -> Result<bool, Fault> {
    let fits: Vec<_> = source.rules.iter().filter(|r| one.pointer(&r.at).is_some_and(|v| r.is.contains(v))).collect();
    let mut changed = false;
    for kind in fits.iter().filter_map(|r| r.raise) {
        changed |= act::raise(app, teller, target, kind, None).await?;
    }
    let mut facts: Vec<(Name, &str)> = fits.iter().filter_map(|r| Some((r.fact?, r.value.as_deref()?))).collect();
    if !facts.iter().any(|(name, _)| *name == Name::Managed) {
        facts.push((Name::Managed, "yes"));
    }
    changed |= act::learn(app, teller, target, &facts).await?;
    for kind in fits.iter().filter_map(|r| r.clear) {
        changed |= act::clear(app, teller, target, kind).await?;
    }
    Ok(changed)
}
