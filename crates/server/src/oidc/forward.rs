//! Forward-auth: a proxy asks about each request before it lets it through to an application that knows
//! nothing of us (nginx `auth_request`).
//!
//! 1. [`check`] hears the original request from a trusted proxy, and from nobody else. An access token
//!    counts with a proof by its key for that very request; a *pass* counts in the browser that has it.
//!    Both pass the one gate again, so an end is known at the next request.
//! 2. Whoever has neither is sent to [`enter`], which asks for a sign-in as any application would: with
//!    PKCE, and a verifier that stays in that browser. A running session answers by its key alone.
//! 3. [`arrived`] takes the code that came of it, once, and gives a pass: for one client, one network and
//!    five minutes. So the key is shown again every five minutes, and a copied pass is worth nothing elsewhere.

use super::access::Access;
use super::params::{Params, with_query};
use super::token::code::{check_verifier, spend};
use super::{record, refused_here, userinfo};
use crate::app::issue::{Ground, gate_in_session};
use crate::app::once::hashed;
use crate::app::{App, Context, Fault};
use crate::http::answer::put_nonce_for;
use crate::http::cookies;
use crate::http::request::Incoming;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_store::Write;
use countersign_trust::audit::Kind;
use countersign_trust::grant::{Grant, GrantFacts};
use countersign_trust::issuance::Product;
use countersign_trust::session::Session;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop;
use countersign_wire::secret::same;
use countersign_wire::{ClientId, GrantId, Secret, Time, b64, mac};
use std::sync::Arc;

/// Where a browser comes back to, at the application's own host.
const ARRIVED: &str = "/forward-auth/arrived";
/// Life of the cookie that holds a verifier, seconds: a whole sign-in.
const ENTER_S: i64 = 900;
/// Longest path that a browser is sent back to, bytes.
const BACK_BYTES: usize = 1_500;

/// The request that a proxy asks about.
struct Original {
    method: String,
    /// Scheme, host and path; no query.
    url: String,
    origin: String,
}

fn one<'a>(r: &'a Incoming, name: &str) -> Option<&'a str> {
    let mut all = r.headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// What a trusted proxy says of it: nginx by `X-Original-URL`, others by `X-Forwarded-…`.
fn original(r: &Incoming) -> Result<Original, Fault> {
    if !r.through_proxy {
        return Err(Fault::because(Refusal::Denied, "forward-auth is asked by trusted proxies alone"));
    }
    let forwarded = || Some(format!("{}://{}{}", one(r, "x-forwarded-proto")?, one(r, "x-forwarded-host")?, one(r, "x-forwarded-uri")?));
    let text = one(r, "x-original-url").map(str::to_owned).or_else(forwarded);
    let method = one(r, "x-original-method").or_else(|| one(r, "x-forwarded-method")).unwrap_or("GET").to_owned();
    let bad = || Fault::because(Refusal::Malformed, "a proxy that does not say what was asked");
    let text = text.ok_or_else(bad)?;
    let url = url::Url::parse(&text).ok().filter(|u| matches!(u.scheme(), "http" | "https")).ok_or_else(bad)?;
    // As it was written, without query: a proof names it so.
    let bare = text.split(['?', '#']).next().unwrap_or_default().to_owned();
    Ok(Original { method, url: bare, origin: url.origin().ascii_serialization() })
}

/// What the proxy's configuration asks for.
struct Wanted {
    client: Option<ClientId>,
    audience: Option<String>,
    scopes: Vec<String>,
    acr: Vec<String>,
    max_age_s: Option<i64>,
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Wanted, Fault> {
        let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|why| Fault::because(Refusal::Malformed, why))?;
        let bad = |_| Fault::because(Refusal::Malformed, "a setting of the proxy");
        let list = |name: &str| params.one(name).map(|t| t.split(' ').map(str::to_owned).collect()).unwrap_or_default();
        Ok(Wanted {
            client: params.one("client").map(str::parse).transpose().map_err(|_| bad(()))?,
            audience: params.one("audience").map(str::to_owned),
            scopes: list("scope"),
            acr: list("acr"),
            max_age_s: params.one("max_age").map(str::parse).transpose().map_err(|_| bad(()))?,
        })
    }
}

/// Why somebody is not let through: the error of a challenge, and what is written down.
struct No {
    error: Option<&'static str>,
    fault: Box<Fault>,
}

impl From<userinfo::No> for No {
    fn from(no: userinfo::No) -> No {
        No { error: no.error, fault: no.fault }
    }
}

fn no(error: &'static str, why: &'static str) -> No {
    No { error: Some(error), fault: Box::new(Fault::because(Refusal::BadProof, why)) }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        let error = match fault.refusal {
            Refusal::StepUp => "insufficient_user_authentication",
            _ => "invalid_token",
        };
        No { error: Some(error), fault: Box::new(fault) }
    }
}

/// Who was let through.
struct Let {
    session: Session,
    client: ClientId,
    scopes: Vec<String>,
}

/// `GET /forward-auth`.
pub async fn check(State(app): State<Arc<App>>, r: Incoming, RawQuery(query): RawQuery) -> Response {
    let result = async {
        app.in_order()?;
        let (original, wanted) = (original(&r)?, Wanted::read(query.as_deref())?);
        let found = if r.headers.contains_key(header::AUTHORIZATION) {
            by_token(&app, &r, &original, &wanted).await?
        } else {
            by_pass(&app, &r, &wanted).await?
        };
        enough(&found, &wanted, r.ctx.now)?;
        Ok(found)
    }
    .await;
    match result {
        Ok(found) => let_through(&found),
        Err(no) => kept_out(&app, &r, no).await,
    }
}

fn enough(found: &Let, wanted: &Wanted, now: Time) -> Result<(), No> {
    if !wanted.scopes.iter().all(|s| found.scopes.contains(s)) {
        return Err(no("insufficient_scope", "a scope is missing"));
    }
    let f = &found.session.facts;
    let stale = wanted.max_age_s.is_some_and(|max| now.seconds() - f.auth_time.seconds() > max);
    if stale || !f.earned.satisfies(&wanted.acr) {
        return Err(Fault::because(Refusal::StepUp, "more is needed than was earned").into());
    }
    Ok(())
}

async fn by_token(app: &App, r: &Incoming, original: &Original, wanted: &Wanted) -> Result<Let, No> {
    let bad = |why| no("invalid_token", why);
    let (bound, text) = userinfo::shown(&r.headers).map_err(|_| no("invalid_request", "an Authorization header of another form"))?;
    let access = Access::read(app, text).ok_or(bad("not an access token of this server"))?;
    let audience = wanted.audience.as_deref().ok_or(bad("tokens are not taken here"))?;
    if !access.is_for(audience) || wanted.client.as_ref().is_some_and(|c| *c != access.claims.client_id) {
        return Err(bad("for somebody else"));
    }
    let proof = match (&access.claims.cnf, bound) {
        // The proof is for the original request.
        (Some(key), true) => Some(userinfo::prove(r, &key.jkt, &original.method, &original.url, text, None)?),
        (None, false) => None,
        _ => return Err(bad("a token shown in another way than it is bound")),
    };
    if let Some(client) = app.client(&access.claims.client_id).await.map_err(Fault::from)? {
        access.seen(app, &r.ctx, &client.client).await?;
    }
    let permit = access.permit(app, Product::Decision, r.ctx.now).await?;
    if let Some(proof) = &proof {
        userinfo::nonced(app, r, proof, true).await?;
    }
    let gone = Fault::because(Refusal::Gone, "no session");
    let session = app.store.session(access.session()).await.map_err(Fault::from)?.ok_or(gone)?;
    Ok(Let { session, client: access.claims.client_id.clone(), scopes: permit.scopes().to_vec() })
}

/// A pass: which grant, until when, and a MAC that binds both to a client and a network.
fn pass(key: &[u8], grant: &GrantId, until: Time, client: &ClientId, source: &str) -> String {
    let mut bytes = until.0.to_be_bytes().to_vec();
    bytes.extend(grant.as_str().as_bytes());
    let whole = mac::m(key, "pass", &[&bytes, client.as_str().as_bytes(), source.as_bytes()]);
    b64::encode(&[whole.get(..16).unwrap_or_default(), &bytes].concat())
}

fn read_pass(app: &App, text: &str, client: &ClientId, source: &str, now: Time) -> Option<(GrantId, Time)> {
    let bytes = b64::decode(text).ok()?;
    let (_, said) = bytes.split_at_checked(16)?;
    let (until, grant) = said.split_at_checked(8)?;
    let (until, grant) = (Time(i64::from_be_bytes(until.try_into().ok()?)), std::str::from_utf8(grant).ok()?.parse().ok()?);
    let good = |k: &Secret| same(pass(k.expose(), &grant, until, client, source).as_bytes(), text.as_bytes());
    (now < until && app.keys.k_live().iter().any(good)).then_some((grant, until))
}

async fn by_pass(app: &App, r: &Incoming, wanted: &Wanted) -> Result<Let, No> {
    let none = || No { error: None, fault: Box::new(Fault::because(Refusal::NoSession, "no pass")) };
    let client = wanted.client.as_ref().ok_or_else(none)?;
    let now = r.ctx.now;
    let text = cookies::read_any(&r.headers, cookies::PASS).ok_or_else(none)?;
    let (id, until) = read_pass(app, &text, client, &r.ctx.source(), now).ok_or_else(none)?;
    let grant = app.store.grant(&id).await.map_err(Fault::from)?.ok_or_else(none)?;
    if !grant.counts(until.plus_s(-limits::PASS_S), now) || grant.client != *client {
        return Err(none());
    }
    let session = app.store.session(&grant.session).await.map_err(Fault::from)?.ok_or_else(none)?;
    r.ctx.known_as("session", session.facts.id.as_str());
    let ground = Ground::of(&session, &[], &grant.facts.scopes);
    let scopes = match gate_in_session(app, Product::Decision, client, &session, &ground, now).await {
        Ok((permit, _)) => permit.scopes().to_vec(),
        // What simply ended is asked about all the time.
        Err(fault) if fault.refusal == Refusal::Gone => return Err(none()),
        Err(fault) => return Err(fault.into()),
    };
    Ok(Let { session, client: client.clone(), scopes })
}

fn let_through(found: &Let) -> Response {
    let f = &found.session.facts;
    let mut response = StatusCode::OK.into_response();
    let mut put = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(name, value);
        }
    };
    put("countersign-subject", f.person.as_str());
    put("countersign-client", found.client.as_str());
    put("countersign-session", f.id.as_str());
    put("countersign-scopes", &found.scopes.join(" "));
    put("countersign-acr", f.earned.acr());
    put("countersign-auth-time", &f.auth_time.seconds().to_string());
    response
}

/// 401 or 403, which are what proxies understand; anything else keeps out as well.
async fn kept_out(app: &App, r: &Incoming, no: No) -> Response {
    let recorded = if no.error.is_none() { Ok(()) } else { record(app, &r.ctx, "forward-auth", &no.fault).await };
    match recorded.err().unwrap_or(no.fault.refusal) {
        Refusal::Unavailable | Refusal::Clock => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Refusal::TooMany => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        _ => {}
    }
    let status = match (no.error, no.fault.refusal) {
        (Some("insufficient_scope"), _) | (_, Refusal::Denied | Refusal::Locked | Refusal::Malformed) => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    let algs = dpop::ALGS.map(|a| a.as_str()).join(" ");
    let challenge = match no.error {
        None => format!("DPoP algs=\"{algs}\""),
        Some(error) => format!("DPoP error=\"{error}\", error_description=\"see {}\", algs=\"{algs}\"", r.ctx.reference),
    };
    let mut response = status.into_response();
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    if no.error == Some("use_dpop_nonce") {
        put_nonce_for(app, r, &mut response);
    }
    response
}

/// A path of the application's own host.
fn back(text: Option<&str>) -> String {
    let own = |t: &&str| t.starts_with('/') && !t.starts_with("//") && t.len() <= BACK_BYTES && t.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\');
    text.filter(own).unwrap_or("/").to_owned()
}

fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// `GET /forward-auth/enter`: begins a sign-in for the application that this browser wanted.
pub async fn enter(State(app): State<Arc<App>>, r: Incoming, RawQuery(query): RawQuery) -> Response {
    match entered(&app, &r, query.as_deref()).await {
        Ok(response) => response,
        Err(fault) => refused_here(&app, &r.ctx, "forward-auth", fault).await,
    }
}

async fn entered(app: &App, r: &Incoming, query: Option<&str>) -> Result<Response, Fault> {
    let original = original(r)?;
    // A proxy puts the path there as it came: whatever stands behind `to=` is the path, with its own query.
    let (query, to) = query.unwrap_or_default().split_once("&to=").unzip();
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|why| Fault::because(Refusal::Malformed, why))?;
    let (_, redirect) = registered(app, &params, &original).await?;
    let verifier = b64::encode(&app.random::<32>());
    let challenge = b64::encode(&mac::h(verifier.as_bytes()));
    let to = back(to);
    let client = params.one("client").unwrap_or_default();
    let asked = [
        ("client_id", client), ("redirect_uri", redirect.as_str()), ("response_type", "code"), ("scope", "openid"),
        ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256"), ("state", to.as_str()),
    ];
    let mut response = see_other(&with_query(&format!("{}/authorize", app.config.issuer), &asked));
    cookies::set(&mut response, cookies::ENTERING, &verifier, ENTER_S);
    Ok(response)
}

/// The client that a proxy stands for, which is registered for this host.
async fn registered(app: &App, params: &Params, original: &Original) -> Result<(ClientId, String), Fault> {
    let bad = |why| Fault::because(Refusal::Malformed, why);
    let id: ClientId = params.one("client").and_then(|c| c.parse().ok()).ok_or(bad("no client"))?;
    let client = app.client(&id).await?.ok_or(bad("an unknown client"))?.client;
    let redirect = format!("{}{ARRIVED}", original.origin);
    if client.disabled || !client.allows_redirect(&redirect) {
        return Err(bad("a host that is not registered"));
    }
    Ok((id, redirect))
}

/// `GET /forward-auth/arrived`: takes the code and gives a pass.
pub async fn arrived(State(app): State<Arc<App>>, r: Incoming, RawQuery(query): RawQuery) -> Response {
    match pass_given(&app, &r, query.as_deref()).await {
        Ok((to, pass)) => {
            let mut response = see_other(&to);
            cookies::set(&mut response, cookies::PASS, &pass, limits::PASS_S);
            cookies::clear(&mut response, cookies::ENTERING);
            response
        }
        Err(fault) => refused_here(&app, &r.ctx, "forward-auth", fault).await,
    }
}

async fn pass_given(app: &App, r: &Incoming, query: Option<&str>) -> Result<(String, String), Fault> {
    let original = original(r)?;
    let params = Params::parse(query.unwrap_or_default().as_bytes()).map_err(|why| Fault::because(Refusal::Malformed, why))?;
    let (client, redirect) = registered(app, &params, &original).await?;
    let bad = |why| Fault::because(Refusal::BadProof, why);
    if params.one("iss") != Some(app.config.issuer.as_str()) {
        return Err(bad("an answer of another server"));
    }
    let verifier = cookies::read(&r.headers, cookies::ENTERING).ok_or(bad("not the browser that entered"))?;
    let hash = hashed(params.one("code").ok_or(bad("no code"))?.as_bytes());
    let (client, redirect, verifier, hash) = (&client, redirect.as_str(), verifier.as_str(), hash.as_str());
    let pass = app.judged_anew(|n| async move { take(app, &r.ctx.anew(app, n), client, redirect, verifier, hash).await }).await?;
    Ok((back(params.one("state")), pass))
}

/// One attempt: the code, bound as any code is, becomes a grant without tokens.
async fn take(app: &App, ctx: &Context, client: &ClientId, redirect: &str, verifier: &str, hash: &str) -> Result<String, Fault> {
    let dead = |why| Fault::because(Refusal::Gone, why);
    let now = ctx.now;
    let code = app.store.code(hash).await?.ok_or(dead("an unknown code"))?;
    let f = &code.facts;
    if code.state != "open" || now >= code.until {
        return Err(dead("a code that was used, or is old"));
    }
    if f.client != *client || f.redirect_uri != redirect || f.dpop_jkt.is_some() {
        return Err(dead("a code that is for others"));
    }
    check_verifier(Some(verifier), f.code_challenge.as_deref())?;
    ctx.known_as("session", f.session.as_str());
    let session = app.store.session(&f.session).await?.ok_or(dead("no session"))?;
    let ground = Ground::of(&session, &[], &f.scopes);
    let (permit, vetoes) = gate_in_session(app, Product::Tokens, client, &session, &ground, now).await?;
    let grant = Grant {
        id: code.grant(),
        version: 0,
        session: f.session.clone(),
        client: client.clone(),
        ended: None,
        until: session.facts.until,
        access_after: Time(0),
        renewal: None,
        facts: GrantFacts { txn: f.txn.clone(), scopes: permit.scopes().to_vec(), details: Vec::new(), acr_values: Vec::new(), resource: None, jkt: None },
    };
    let until = now.plus_s(limits::PASS_S).min(session.facts.until);
    let mut event = app.session_event(Kind::PassGiven, &f.txn, &f.session, now).fact("until", until.seconds());
    event.person = Some(session.facts.person.clone());
    event.client = Some(client.clone());
    event.ceremony.clone_from(&session.facts.ceremony);
    spend(app, ctx, &code, &session, &vetoes, event, vec![Write::grant_made(&grant, hash)]).await?;
    let (_, k) = app.keys.k();
    Ok(pass(k.expose(), &grant.id, until, client, &ctx.source()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_host() {
        for good in ["/", "/a?b=c", "/a/b%20c"] {
            assert_eq!(back(Some(good)), good);
        }
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "a", "/a\r\nx: y", "/ä", "javascript:1"] {
            assert_eq!(back(Some(bad)), "/", "{bad}");
        }
        assert_eq!(back(Some(&format!("/{}", "a".repeat(2_000)))), "/");
    }
}
