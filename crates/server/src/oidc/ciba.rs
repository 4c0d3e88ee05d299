//! `/bc-authorize` (OpenID Connect CIBA Core 1.0 §7; FAPI-CIBA): a client that authenticates names a
//! person, whose devices are shown the request.
//!
//! 1. The client shows who it is, and its key: only that key collects. A signed request counts alone.
//! 2. Everything but the person is judged first: who is unknown is told last of all, and not often.
//! 3. The request stands on the person's open pages. One waits per person and client, three in all, ten
//!    an hour. Whom the person stopped ("not me", or three refusals), and whose last three went unanswered,
//!    waits for an answer that does not come: nothing of it is shown.
//! 4. Where the person set a word of their own and the client is registered to ask for it (`ciba.user_code`), a
//!    request without it, or with another, is told so and reaches nobody ([`user_code`]).
//! 5. Where the client is registered so, its binding message carries digits that its own screen shows; the
//!    phone sees them masked and the person types them. Where nothing travels, nothing is earned (`acr` 0).

use super::answer::{self, No, kept_by_nobody, no, refused};
use super::authorize;
use super::device;
use super::jar::{self, Signed};
use super::jwt::{self, Audience};
use super::params::Params;
use super::ping;
use super::token::collected;
use crate::app::ceremony::collect::{Asking, Begun};
use crate::app::user_code::{self, Shown};
use crate::app::{App, Fault};
use crate::http::answer::put_nonce;
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use countersign_store::Write;
use countersign_store::sql::{Counter, Named as Person};
use countersign_trust::acr::Earned;
use countersign_trust::ceremony::collect::{ClientGrant, Collector, Collects};
use countersign_trust::client::{Ciba, Client, Profile};
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::NumericDate;
use countersign_wire::jose::Jws;
use countersign_wire::{PersonId, Time, b64, jcs, limits as protocol, mac};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The parameters that name a person; one of them (CIBA Core 1.0 §7.1).
const HINTS: [&str; 3] = ["login_hint", "id_token_hint", "login_hint_token"];
/// What a signed request is used up under.
const SIGNED: &str = "ciba-request";
/// What stands for a digit that is typed.
const MASK: &str = "\u{2022}";
/// Most digits of a binding message.
const DIGITS_MOST: usize = 8;

/// `POST /bc-authorize`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match begin(&app, &r, &body).await {
        Ok(told) => {
            let mut response = Json(told).into_response();
            put_nonce(&app, &mut response);
            kept_by_nobody(response)
        }
        Err(no) => {
            let denied = no.error == "access_denied";
            let mut response = refused(&app, &r, "bc-authorize", no).await;
            // CIBA Core 1.0 §13; elsewhere the same word is an answer about what was asked before, and a 400.
            if denied && response.status() == StatusCode::BAD_REQUEST {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            response
        }
    }
}

fn bad(because: &'static str) -> No {
    no("invalid_request", Refusal::Malformed, because)
}

async fn begin(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    app.in_order()?;
    let outer = answer::form(r, body)?;
    let known = answer::client(app, r, &outer).await?;
    let client = &known.stored.client;
    collected::may(client, ClientGrant::Ciba)?;
    let ciba = client.ciba.clone().unwrap_or_default();
    let proof = device::proof(app, r, &known)?;
    let signed = signed(app, r, client, &outer).await?;
    let params = signed.as_ref().map_or(&outer, |s| &s.params);
    let message = message(params, &ciba)?;
    let best = if message.digits.is_some() { Earned::CrossDevicePush } else { Earned::Offered };
    let (mut asked, acr_values) = device::wanted(app, params, &known, best)?;
    if !params.list("scope").iter().any(|s| s == "openid") {
        return Err(bad("scope without openid"));
    }
    if client.profile == Profile::Fapi2 && asked.details.is_empty() && message.shown.is_none() {
        return Err(no("invalid_binding_message", Refusal::Malformed, "neither details nor a binding message"));
    }
    if let Some(digits) = &message.digits {
        // Nobody tries all numbers against what is signed.
        asked.hash = b64::encode(&mac::h(params.asked().replace(digits.as_str(), MASK).as_bytes()));
    }
    asked.message = message.shown;
    let context = context(params)?;
    let address = told_address(&ciba, context.as_ref());
    let life_s = life(params)?;
    let resource = &authorize::resource(params, client).map_err(|n| no(n.0, Refusal::Malformed, n.1))?;
    jwt::ensure(app, client.id_token_alg).await?;
    let token = notified(params, &ciba)?;
    let named = &whom(app, r, client, &ciba, params).await?;
    if ciba.user_code {
        match user_code::shown(app, &r.ctx, &named.person.id, &client.id, params.one("user_code")).await? {
            Shown::Right => {}
            Shown::Missing => return Err(no("missing_user_code", Refusal::Malformed, "this person's clients bring a word")),
            Shown::Wrong => return Err(no("invalid_user_code", Refusal::WrongCode, "another word than the person's")),
        }
    }
    let asking = Asking {
        client: &known.stored,
        asked,
        acr_values,
        collects: Collects {
            by: Collector { grant: ClientGrant::Ciba, bound: proof.is_some() },
            life_s,
            resource: resource.clone(),
            context,
            ping: None,
            binding: None,
        },
        proof: proof.as_ref(),
        offer: Some(named),
        ping: token,
        digits: message.digits.as_deref(),
        address,
        kind: "service",
    };
    let Begun { code, .. } = device::begun(app, r, &known, &asking, signed.as_ref()).await.map_err(device::refused_begin)?;
    Ok(json!({ "auth_req_id": code, "expires_in": life_s, "interval": limits::POLL_S }))
}

/// The signed request, where there is one or must be one; it serves once.
async fn signed(app: &App, r: &Incoming, client: &Client, outer: &Params) -> Result<Option<Signed>, No> {
    let Some(text) = outer.one("request") else {
        return if client.require_signed_request_object { Err(bad("this client signs its requests")) } else { Ok(None) };
    };
    let read = jar::open_signed(text, client, &app.config.issuer, r.ctx.now).map_err(bad)?;
    refuse_again(app, client, &read).await?;
    Ok(Some(read))
}

/// What a signed request is used up under.
fn name(client: &Client, signed: &Signed) -> String {
    format!("{}/{}", client.id, signed.jti)
}

/// Uses a signed request up.
pub(super) fn used(client: &Client, signed: &Signed) -> Write {
    Write::burnt(SIGNED, &name(client, signed), signed.until)
}

/// Refuses one that was used before.
pub(super) async fn refuse_again(app: &App, client: &Client, signed: &Signed) -> Result<(), Fault> {
    let used = app.store.is_burnt(SIGNED, &name(client, signed)).await?;
    if used { Err(Fault::because(Refusal::Malformed, "a signed request that was used before")) } else { Ok(()) }
}

/// A binding message as the person will see it, and the digits that they will type instead.
struct Message {
    shown: Option<String>,
    digits: Option<String>,
}

fn message(params: &Params, ciba: &Ciba) -> Result<Message, No> {
    let wrong = |why| no("invalid_binding_message", Refusal::Malformed, why);
    let Some(text) = params.one("binding_message") else {
        return if ciba.binding_digits { Err(wrong("digits are missing")) } else { Ok(Message { shown: None, digits: None }) };
    };
    if text.chars().count() > limits::BINDING_CHARS || !jcs::is_plain(text) {
        return Err(wrong("at most 128 plain characters"));
    }
    if !ciba.binding_digits {
        return Ok(Message { shown: Some(text.to_owned()), digits: None });
    }
    let least = usize::from(protocol::PUSH_DIGITS);
    let mut runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= least);
    match (runs.next(), runs.next()) {
        (Some(digits), None) if digits.len() <= DIGITS_MOST => {
            let masked = text.replace(digits, &MASK.repeat(digits.len()));
            Ok(Message { shown: Some(masked), digits: Some(digits.to_owned()) })
        }
        _ => Err(wrong("one number of six to eight digits")),
    }
}

/// What the client says about the circumstances (FAPI-CIBA §5.2.2): an object, kept as it came.
fn context(params: &Params) -> Result<Option<Value>, No> {
    let Some(text) = params.one("request_context") else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) if text.len() <= limits::CONTEXT_BYTES => Ok(Some(Value::Object(map))),
        _ => Err(bad("request_context: an object of 2 KiB at most")),
    }
}

/// Where the person's screen is, by the word of a client whose word counts; else nowhere.
fn told_address(ciba: &Ciba, context: Option<&Value>) -> String {
    let told = context.filter(|_| ciba.tells_address).and_then(|c| c.get("ip_address")).and_then(Value::as_str);
    told.and_then(|t| t.parse::<IpAddr>().ok()).map(|a| a.to_string()).unwrap_or_default()
}

/// The word by which the client will know us, where it is told that there is something to collect (§7.1).
fn notified<'a>(params: &'a Params, ciba: &Ciba) -> Result<Option<&'a str>, No> {
    if ciba.notification_endpoint.is_none() {
        return Ok(None);
    }
    match params.one("client_notification_token") {
        Some(token) if ping::is_token(token) => Ok(Some(token)),
        _ => Err(bad("client_notification_token: 22 to 1024 characters of RFC 6750")),
    }
}

/// How long the person has: what the client asks for, within our bounds.
fn life(params: &Params) -> Result<i64, No> {
    match params.one("requested_expiry").map(str::parse::<u32>) {
        None => Ok(protocol::PUSH_S),
        Some(Ok(s)) if s > 0 => Ok(i64::from(s).clamp(limits::ASK_MIN_S, protocol::PUSH_S)),
        Some(_) => Err(bad("requested_expiry: a number of seconds")),
    }
}

/// The person that is meant. One hint, no more (CIBA Core 1.0 §7.1).
async fn whom(app: &App, r: &Incoming, client: &Client, ciba: &Ciba, params: &Params) -> Result<Person, No> {
    let given: Vec<(&str, &str)> = HINTS.iter().filter_map(|h| params.one(h).map(|v| (*h, v))).collect();
    let [(name, value)] = given[..] else { return Err(bad("one hint of three")) };
    let named = match name {
        "login_hint" => Named::Login(value.to_owned()),
        "id_token_hint" => {
            let hint = super::hint::read(app, value).filter(|h| h.client == client.id);
            Named::Person(hint.ok_or(bad("id_token_hint is not an ID token for this client"))?.person)
        }
        _ => by_token(client, ciba, value, &app.config.issuer, r.ctx.now)?,
    };
    let misses = Counter::new("ciba/unknown", client.id.as_str(), 3_600, limits::UNKNOWN_HINTS_HOUR, r.ctx.now);
    // Counted before anybody is looked for: questions that come at the same moment pay as well.
    if !app.store.count_first(&misses).await.map_err(Fault::from)? {
        return Err(Fault::because(Refusal::TooMany, "unknown names").into());
    }
    let found = match named {
        Named::Login(login) if crate::app::people::is_login(&login) => app.store.person_by_login(&login).await.map_err(Fault::from)?,
        Named::Login(_) => None,
        Named::Person(id) => app.store.named(&id).await.map_err(Fault::from)?,
    };
    let found = found.ok_or(no("unknown_user_id", Refusal::NoSuchThing, "a hint that names nobody"))?;
    app.store.uncount(&misses).await.map_err(Fault::from)?;
    Ok(found)
}

enum Named {
    Login(String),
    Person(PersonId),
}

#[derive(Deserialize)]
struct HintClaims {
    iss: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default)]
    sub: Option<PersonId>,
    #[serde(default)]
    login_hint: Option<String>,
}

/// A `login_hint_token`: a JWT that the client or an issuer registered for it signed, for us.
fn by_token(client: &Client, ciba: &Ciba, text: &str, issuer: &str, now: Time) -> Result<Named, No> {
    let jws = Jws::parse(text).map_err(|m| bad(m.0))?;
    let said: HintClaims = jws.unverified().map_err(|_| bad("login_hint_token without iss, aud and exp"))?;
    let keys = match ciba.hint_issuers.iter().find(|i| i.issuer == said.iss) {
        Some(issuer) => &issuer.keys,
        None if said.iss == client.id.as_str() => &client.keys,
        None => return Err(bad("login_hint_token of an issuer that is not registered")),
    };
    let takes = jar::ALGS.contains(&jws.alg()) && keys.iter().any(|key| jws.verify(key).is_ok());
    if !takes || !said.aud.has(issuer) {
        return Err(bad("login_hint_token with a wrong signature, or for another server"));
    }
    if said.exp.seconds() <= now.seconds() {
        return Err(no("expired_login_hint_token", Refusal::Expired, "login_hint_token"));
    }
    match (said.sub, said.login_hint) {
        (Some(person), None) => Ok(Named::Person(person)),
        (None, Some(login)) => Ok(Named::Login(login)),
        _ => Err(bad("login_hint_token: sub or login_hint")),
    }
}
