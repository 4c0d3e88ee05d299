//! Events from others, however they came: judged by who signed them, for whom, and whether their
//! transmitter may say so; then acted on, once.
//!
//! A name that was used is kept for longer than an event is taken, so none is taken twice. Acting comes
//! before the name is used up: after a crash in between it is done again, which changes nothing.

use super::act::{self, Target, Teller};
use crate::app::{App, Context, Fault};
use crate::config::Transmitter;
use crate::oidc::egress;
use countersign_store::Write;
use countersign_trust::Refusal;
use countersign_trust::shared::caep::EventType;
use countersign_trust::shared::heard::{self, Outside};
use countersign_wire::set::{self, Expected, IssuerKey, SetFault};
use countersign_wire::{Time, b64, mac};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// An event that is older is not taken, seconds.
const AGE_S: i64 = 7 * 86_400;
/// Its name is kept for longer, seconds.
const KEPT_S: i64 = AGE_S + 86_400;
/// Keys of a transmitter are kept for this long.
pub const KEYS: Duration = Duration::from_secs(600);
/// And are not fetched more often than this, whatever comes.
pub const KEYS_AGAIN: Duration = Duration::from_secs(20);
/// Longest key set, bytes.
const KEYS_BYTES: usize = 64 * 1_024;
/// What names of events are used up under.
const USED: &str = "set";

/// The keys of one transmitter, and when they were fetched.
type Kept = (Instant, Arc<Vec<IssuerKey>>);

/// Keys that were fetched, by transmitter.
#[derive(Default)]
pub struct Fetched(Mutex<HashMap<String, Kept>>);

/// Why an event was not taken: the code of RFC 8935 §2.4, and words of ours.
pub struct Deaf {
    /// The code.
    pub err: &'static str,
    /// Why.
    pub because: &'static str,
}

/// Why an event was not taken, or that it could not be judged now.
pub enum Unheard {
    /// It is not taken, and was written down so.
    Deaf(Deaf),
    /// Not now.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Unheard {
    fn from(error: E) -> Unheard {
        Unheard::Fault(error.into())
    }
}

fn deaf<T>(err: &'static str, because: &'static str) -> Result<T, Unheard> {
    Err(Unheard::Deaf(Deaf { err, because }))
}

/// Takes one event, or says why not; a refusal is recorded here.
pub async fn hear(app: &App, ctx: &Context, from: &Transmitter, text: &str) -> Result<(), Unheard> {
    let heard = judge(app, ctx, from, text).await;
    if let Err(Unheard::Deaf(no)) = &heard {
        refused(app, ctx, from, no).await?;
    }
    heard
}

/// Writes down that an event of a transmitter was not taken.
pub async fn refused(app: &App, ctx: &Context, from: &Transmitter, no: &Deaf) -> Result<(), Fault> {
    let mut event = ctx.refusal_event(app, &ctx.txn).fact("because", no.because).fact("step", "set").fact("source", from.id.as_str()).fact("err", no.err);
    let refusal = if no.err == "access_denied" { Refusal::Denied } else { Refusal::BadProof };
    event.refusal = Some(refusal);
    crate::app::noise::record(app, ctx, event).await.map_err(|instead| Fault::from(instead).recorded())
}

async fn judge(app: &App, ctx: &Context, from: &Transmitter, text: &str) -> Result<(), Unheard> {
    app.in_order()?;
    let now = ctx.now;
    let set = match read(app, from, text, now).await? {
        Ok(set) => set,
        Err(fault) => return deaf(fault.err(), fault.because()),
    };
    if set.at_s < now.seconds() - AGE_S {
        return deaf("invalid_request", "a SET that is too old");
    }
    let Some(event) = EventType::parse(&set.event) else { return deaf("invalid_request", "an event of no known type") };
    let name = format!("{}/{}", from.id, b64::encode(&mac::h(set.jti.as_bytes())));
    let used = || Write::burnt(USED, &name, now.plus_s(KEPT_S));
    let at = Time::from_seconds(set.body.get("event_timestamp").and_then(Value::as_i64).unwrap_or(set.at_s));
    let teller = Teller { source: &from.id, at: at.min(now), until: now.plus_s(from.lasts_s), txn: &ctx.txn };
    let done = async |did, target: Target| act::told(app, &teller, event.name(), did, &target, used()).await;
    if app.store.is_burnt(USED, &name).await? {
        // Once more, as one may who heard no answer: said to be taken, and nothing is done.
        return deaf_to_repetition(app, ctx, from).await;
    }
    match event {
        // Nobody here asked for one with a state; one without shows that the way is open.
        EventType::Verification if set.body.contains_key("state") => return deaf("invalid_state", "a state nobody asked for"),
        EventType::Verification | EventType::StreamUpdated => return Ok(done("noted", Target::default()).await?),
        _ => {}
    }
    if !from.may_tell(event) {
        return deaf("access_denied", "a type of event that its transmitter may not tell");
    }
    let named = match heard::named(event, &set.body, &set.subject, from.trust(), &from.issuer, &app.config.issuer) {
        Ok(named) => named,
        Err(Outside::Trust(why)) => return deaf("access_denied", why),
        Err(Outside::Form(why)) => return deaf("invalid_request", why),
    };
    let acts = match heard::meaning(event, &set.body) {
        Ok(acts) => acts,
        Err(Outside::Trust(why) | Outside::Form(why)) => return deaf("invalid_request", why),
    };
    let Some(target) = act::find(&app.store, &from.id, &named, from.people, from.devices).await? else {
        return Ok(done("unknown", Target::default()).await?);
    };
    let changed = act::act(app, &teller, &target, &acts).await?;
    Ok(done(if changed { "acted" } else { "noted" }, target).await?)
}

async fn deaf_to_repetition(app: &App, ctx: &Context, from: &Transmitter) -> Result<(), Unheard> {
    let again = Deaf { err: "again", because: "a SET that was taken before" };
    Ok(refused(app, ctx, from, &again).await?)
}

/// Reads a SET by its transmitter's keys; unknown keys are fetched anew, not too often.
async fn read(app: &App, from: &Transmitter, text: &str, now: Time) -> Result<Result<set::Set, SetFault>, Fault> {
    let ours = from.audience.as_deref().unwrap_or(&app.config.issuer);
    let by = |keys: &[IssuerKey]| set::read(text, &Expected { iss: &from.issuer, aud: ours, keys, algs: &from.algs, now });
    if from.jwks_uri.is_none() {
        return Ok(by(&IssuerKey::set(&serde_json::json!({ "keys": from.keys }))));
    }
    // Only what reads as a SET for us at all is worth a request to its issuer.
    match by(&keys(app, from, KEYS).await?) {
        Err(SetFault::Key(_)) => Ok(by(&keys(app, from, KEYS_AGAIN).await?)),
        done => Ok(done),
    }
}

async fn keys(app: &App, from: &Transmitter, fresh: Duration) -> Result<Arc<Vec<IssuerKey>>, Fault> {
    let address = from.jwks_uri.as_deref().unwrap_or_default();
    keys_at(app, &from.id, address, from.allow_private_network, fresh).await
}

/// The keys that are published at an address, kept under a name for as long as `fresh`.
pub async fn keys_at(app: &App, name: &str, address: &str, private: bool, fresh: Duration) -> Result<Arc<Vec<IssuerKey>>, Fault> {
    let gone = |why| Fault::because(Refusal::Unavailable, why);
    let mut all = app.signals.fetched.0.lock().await;
    if let Some((at, keys)) = all.get(name)
        && at.elapsed() < fresh
    {
        return Ok(keys.clone());
    }
    let (client, reach) = egress::client(app, private, KEYS_TIME).map_err(|_| gone("no HTTP client"))?;
    let url = Url::parse(address).ok().filter(|u| egress::may_call(u, reach)).ok_or(gone("an address that may not be called"))?;
    let answer = client.get(url).send().await.map_err(|_| gone("an issuer's keys cannot be fetched"))?;
    let body = egress::body(answer, KEYS_BYTES).await.map_err(gone)?;
    let set: Value = serde_json::from_slice(&body).map_err(|_| gone("an issuer's keys cannot be read"))?;
    let keys = Arc::new(IssuerKey::set(&set));
    all.insert(name.to_owned(), (Instant::now(), keys.clone()));
    Ok(keys)
}

const KEYS_TIME: Duration = Duration::from_secs(5);
