//! `/authorize` (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2).
//!
//! 1. The client and its exact redirect URI come first: before they are known to be good, nothing is
//!    sent anywhere and a person sees our own page.
//! 2. Everything else that is wrong goes back to the client, with `state` and `iss` (RFC 9207).
//! 3. What is good is kept for one browser, under a digest of the whole request, and the browser goes
//!    to the sign-in page. Nobody is signed in here, whatever cookie there is: that needs a proof by
//!    the terminal's key, which only the page can make.

use super::details::DetailTypes;
use super::back::{self, Way};
use super::params::{Params, with_query};
use super::{claims, discovery, documents, hint, jar, jwt, par, record, refused_here};
use crate::app::once::hashed;
use crate::app::noise::{self, What};
use crate::app::{App, Context, Fault, sessions};
use crate::http::cookies;
use crate::http::request::Incoming;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_store::sql::RequestFacts;
use countersign_store::{Commit, Write};
use countersign_trust::acr::Earned;
use countersign_trust::audit::Kind;
use countersign_trust::client::Client;
use countersign_trust::{Refusal, limits};
use countersign_wire::statement::{Boundary, Detail};
use countersign_wire::{PersonId, RequestId, Thumbprint, Time, b64, mac};
use std::sync::Arc;

/// Classes that one request may ask for.
const ACR_VALUES: usize = 8;

/// `GET /authorize`.
pub async fn get(State(app): State<Arc<App>>, r: Incoming, RawQuery(query): RawQuery) -> Response {
    let raw = query.unwrap_or_default();
    answer(&app, &r, raw.as_bytes(), Params::parse(raw.as_bytes())).await
}

/// `POST /authorize`. A form of another site brings no cookie (SameSite=Lax), and an answer here
/// would replace the one that the browser has: it is turned into a GET that brings it.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    if r.browser().is_none()
        && let Ok(params) = Params::of_form(&r.headers, &body)
    {
        return see_other(&with_query("/authorize", &params.all()));
    }
    answer(&app, &r, &body, Params::of_form(&r.headers, &body)).await
}

/// Where the answer to a request goes.
pub(super) struct Target {
    client: Client,
    redirect_uri: String,
    state: Option<String>,
    mode: &'static str,
}

/// What a good request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    scopes: Vec<String>,
    code_challenge: Option<String>,
    nonce: Option<String>,
    /// The key that the code will serve.
    pub(super) dpop_jkt: Option<String>,
    acr_values: Vec<String>,
    prompt: Vec<String>,
    max_age_s: Option<i64>,
    person: Option<PersonId>,
    resource: Option<String>,
    id_claims: Vec<String>,
    details: Vec<Detail>,
}

/// An error of RFC 6749 §4.1.2.1 or OpenID Connect Core §3.1.2.6, with a word for developers.
#[derive(Debug, PartialEq, Eq)]
pub struct No(pub(super) &'static str, pub(super) &'static str);

async fn answer(app: &App, r: &Incoming, raw: &[u8], params: Result<Params, &'static str>) -> Response {
    let done = async {
        let params = params.map_err(|why| Fault::because(Refusal::Malformed, why))?;
        app.in_order()?;
        let client = client(app, r, &params).await?;
        match params.one("request_uri") {
            Some(uri) => taken(app, r, &client, uri).await,
            None => plain(app, r, raw, params, client).await,
        }
    };
    match done.await {
        Ok(response) => response,
        Err(fault) => refused_here(app, &r.ctx, "authorize", fault).await,
    }
}

/// The client, if it may ask at all.
async fn client(app: &App, r: &Incoming, params: &Params) -> Result<Client, Fault> {
    let bad = |why| Fault::because(Refusal::Malformed, why);
    let id = params.one("client_id").ok_or(bad("client_id is missing"))?.parse()?;
    let stored = documents::client(app, r, &id).await?.ok_or(bad("an unknown client"))?;
    if stored.client.disabled {
        return Err(Fault::because(Refusal::Denied, "a client that is switched off"));
    }
    Ok(stored.client)
}

/// A request that was pushed (RFC 9126 §4): whatever stands beside its name does not count.
async fn taken(app: &App, r: &Incoming, client: &Client, uri: &str) -> Result<Response, Fault> {
    if let Some(id) = par::again(app, r, client, uri).await? {
        return Ok(see_other(&format!("/sign-in/{id}")));
    }
    app.judged_anew(|_| async {
        let request = par::find(app, r, client, uri).await?;
        let write = |browser: &str, until| Write::request_taken(&request, browser, until);
        accept(app, r, &request.facts, write).await
    })
    .await
}

/// A request in the address itself, or signed in it.
async fn plain(app: &App, r: &Incoming, raw: &[u8], params: Params, client: Client) -> Result<Response, Fault> {
    let (params, hash, signed) = match params.one("request") {
        None => (params, b64::encode(&mac::h(raw)), false),
        Some(text) => {
            let inner = jar::open(text, &client, &app.config.issuer, r.ctx.now)
                .map_err(|why| Fault::because(Refusal::Malformed, why))?;
            let hash = b64::encode(&mac::h(inner.asked().as_bytes()));
            (inner, hash, true)
        }
    };
    let target = Target::of(client, &params)?;
    let client = &target.client;
    let asked = match () {
        () if client.must_push() || app.config.require_pushed_authorization_requests => {
            Err(No("invalid_request", "push the request first"))
        }
        () if client.require_signed_request_object && !signed => Err(No("invalid_request", "this client signs its requests")),
        () => good(app, &params, client).and_then(|asked| named_key(&asked, client).map(|()| asked)),
    };
    match asked {
        Ok(asked) => keep(app, r, target, asked, hash).await,
        Err(no) => sent_back(app, r, &target, no).await,
    }
}

impl Target {
    /// The way back to the client, or a refusal that stays here.
    pub(super) fn of(client: Client, params: &Params) -> Result<Target, Fault> {
        let bad = |why| Fault::because(Refusal::Malformed, why);
        let redirect_uri = params.one("redirect_uri").ok_or(bad("redirect_uri is missing"))?.to_owned();
        if !client.allows_redirect(&redirect_uri) {
            return Err(bad("a redirect_uri that is not registered"));
        }
        // An unknown mode is refused in the default one.
        let mode = back::mode(params).unwrap_or("query");
        Ok(Target { client, redirect_uri, state: params.one("state").map(str::to_owned), mode })
    }
}

/// What a request asks for, if all of it is good.
pub(super) fn good(app: &App, params: &Params, client: &Client) -> Result<Asked, No> {
    let mut asked = asked(params, client, &app.details)?;
    if let Some(text) = params.one("id_token_hint") {
        let bad = No("invalid_request", "id_token_hint is not an ID token for this client");
        let hinted = hint::read(app, text).filter(|h| h.client == client.id).ok_or(bad)?.person;
        if asked.person.as_ref().is_some_and(|p| *p != hinted) {
            return Err(No("login_required", "id_token_hint and claims name two persons"));
        }
        asked.person = Some(hinted);
    }
    Ok(asked)
}

/// Judges everything that goes back to the client if it is wrong.
fn asked(params: &Params, client: &Client, types: &DetailTypes) -> Result<Asked, No> {
    for (name, error) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if params.one(name).is_some() {
            return Err(No(error, "send plain parameters"));
        }
    }
    match params.one("response_type") {
        Some("code") => {}
        Some(_) => return Err(No("unsupported_response_type", "only `code`")),
        None => return Err(No("invalid_request", "response_type is missing")),
    }
    if back::mode(params).is_none() {
        return Err(No("invalid_request", "response_mode: an unknown way"));
    }
    if client.boundary < Boundary::Tokens {
        return Err(No("unauthorized_client", "this client is registered for less than tokens"));
    }
    let code_challenge = challenge(params, client)?;
    let prompt = prompt(params)?;
    let max_age_s = match params.one("max_age").map(str::parse::<u32>) {
        None => None,
        Some(Ok(s)) => Some(i64::from(s)),
        Some(Err(_)) => return Err(No("invalid_request", "max_age: seconds")),
    };
    let dpop_jkt = match params.one("dpop_jkt") {
        None => None,
        Some(text) if text.len() == 43 && text.parse::<Thumbprint>().is_ok() => Some(text.to_owned()),
        Some(_) => return Err(No("invalid_request", "dpop_jkt: a SHA-256 thumbprint")),
    };
    let wanted = claims::read(params.one("claims"))?;
    let mut scopes = scopes(params, client)?;
    let mut id_claims = wanted.in_id_token;
    // What is asked for one by one is shown to the person as the scope that stands for it.
    if wanted.about_person && client.may_ask(claims::SCOPE) {
        if !scopes.iter().any(|s| s == claims::SCOPE) {
            scopes.push(claims::SCOPE.to_owned());
        }
    } else {
        id_claims.clear();
    }
    Ok(Asked {
        scopes,
        code_challenge,
        nonce: params.one("nonce").map(str::to_owned),
        dpop_jkt,
        acr_values: match wanted.acr {
            Some(acr) => known_classes(acr)?,
            None => known_classes(params.list("acr_values"))?,
        },
        prompt,
        max_age_s,
        person: wanted.person,
        resource: resource(params, client)?,
        id_claims,
        details: details(params, client, types)?,
    })
}

/// The scopes asked for that the client may have.
pub(super) fn scopes(params: &Params, client: &Client) -> Result<Vec<String>, No> {
    let scope = params.one("scope").unwrap_or_default();
    if !scope.bytes().all(|b| b == b' ' || (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\') {
        return Err(No("invalid_scope", "scope: words separated by spaces"));
    }
    Ok(client.scopes_of(scope))
}

/// The one resource asked for (RFC 8707 §2.1).
pub(super) fn resource(params: &Params, client: &Client) -> Result<Option<String>, No> {
    match params.one("resource") {
        None => Ok(None),
        Some(asked) if client.may_reach(asked) => Ok(Some(asked.to_owned())),
        Some(_) => Err(No("invalid_target", "resource: none that this client is registered for")),
    }
}

/// The authorization details asked for, with their words.
pub(super) fn details(params: &Params, client: &Client, types: &DetailTypes) -> Result<Vec<Detail>, No> {
    match params.one("authorization_details") {
        None => Ok(Vec::new()),
        Some(text) => types.read(text, client).map_err(|why| No("invalid_authorization_details", why)),
    }
}

/// The PKCE challenge (RFC 7636): demanded of every client, by S256 alone. One that is registered to
/// go without sends a `nonce`, which binds the answer to its own browser session (RFC 9700 §2.1.1).
fn challenge(params: &Params, client: &Client) -> Result<Option<String>, No> {
    let Some(text) = params.one("code_challenge") else {
        let told_apart = client.danger_allow_no_nonce || params.one("nonce").is_some();
        let bare = params.one("code_challenge_method").is_none() && told_apart;
        return match client.danger_allow_no_pkce && bare {
            true => Ok(None),
            false => Err(No("invalid_request", "code_challenge is missing")),
        };
    };
    if params.one("code_challenge_method") != Some("S256") {
        return Err(No("invalid_request", "code_challenge_method: only `S256`"));
    }
    match b64::decode_array::<32>(text) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) => Err(No("invalid_request", "code_challenge: a SHA-256 digest in base64url")),
    }
}

fn prompt(params: &Params) -> Result<Vec<String>, No> {
    let all = params.list("prompt");
    if all.iter().any(|p| !discovery::PROMPTS.contains(&p.as_str())) {
        return Err(No("invalid_request", "prompt: an unknown value"));
    }
    if all.len() > 1 && all.iter().any(|p| p == "none") {
        return Err(No("invalid_request", "prompt: `none` stands alone"));
    }
    Ok(all)
}

/// The classes asked for that exist. If none does, none can be earned, and a lower one never passes
/// for it in silence.
pub(super) fn known_classes(all: Vec<String>) -> Result<Vec<String>, No> {
    if all.len() > ACR_VALUES {
        return Err(No("invalid_request", "acr_values: too many"));
    }
    let known: Vec<String> = all.iter().filter(|a| Earned::SUPPORTED.contains(&a.as_str())).cloned().collect();
    if known.is_empty() && !all.is_empty() {
        return Err(No("unmet_authentication_requirements", "acr_values: none of them is offered here"));
    }
    Ok(known)
}

/// Where a client is registered so, its request names the key that the code will serve.
pub(super) fn named_key(asked: &Asked, client: &Client) -> Result<(), No> {
    if client.require_dpop_jkt && asked.dpop_jkt.is_none() {
        return Err(No("invalid_request", "dpop_jkt is missing"));
    }
    Ok(())
}

/// What is kept of a good request.
pub(super) fn facts(app: &App, ctx: &Context, target: Target, asked: Asked, hash: String) -> RequestFacts {
    RequestFacts {
        id: RequestId::new(ctx.now, app.id10()),
        txn: ctx.txn.clone(),
        client: target.client.id.clone(),
        redirect_uri: target.redirect_uri,
        state: target.state,
        nonce: asked.nonce,
        scopes: asked.scopes,
        code_challenge: asked.code_challenge,
        dpop_jkt: asked.dpop_jkt,
        acr_values: asked.acr_values,
        prompt: asked.prompt,
        max_age_s: asked.max_age_s,
        person: asked.person,
        resource: asked.resource,
        id_claims: asked.id_claims,
        details: asked.details,
        response_mode: target.mode.to_owned(),
        hash,
        at: ctx.now,
    }
}

/// The request of a page of our own: kept for this browser, which goes to the sign-in page.
pub async fn own(app: &App, r: &Incoming, facts: &RequestFacts) -> Result<Response, Fault> {
    app.in_order()?;
    noise::admit(app, &r.ctx, What::Request, "request")?;
    accept(app, r, facts, |browser, until| Write::request_added(facts, browser, until)).await
}

async fn keep(app: &App, r: &Incoming, target: Target, asked: Asked, hash: String) -> Result<Response, Fault> {
    noise::admit(app, &r.ctx, What::Request, "request")?;
    jwt::ensure(app, target.client.id_token_alg).await?;
    let facts = facts(app, &r.ctx, target, asked, hash);
    accept(app, r, &facts, |browser, until| Write::request_added(&facts, browser, until)).await
}

/// The request belongs to this browser from now on, and the browser goes to the sign-in page.
async fn accept(
    app: &App,
    r: &Incoming,
    facts: &RequestFacts,
    write: impl FnOnce(&str, Time) -> Write,
) -> Result<Response, Fault> {
    if let Some((client, no)) = silent(app, r, facts).await? {
        return back_with(app, r, &Way::of(facts, &client), no).await;
    }
    let now = r.ctx.now;
    let browser = r.browser().unwrap_or_else(|| b64::encode(&app.random::<32>()));
    let mut event = app
        .event(Kind::RequestAccepted, &facts.txn, now)
        .fact("request", facts.id.as_str())
        .fact("scopes", facts.scopes.clone())
        .fact("acr_values", facts.acr_values.clone())
        .fact("source", app.source_tag(&r.ctx.source()));
    event.client = Some(facts.client.clone());
    let mut commit = Commit::new(event);
    commit.write(write(&hashed(browser.as_bytes()), now.plus_s(limits::BROWSER_S)));
    app.commit(commit).await?;
    let mut response = see_other(&format!("/sign-in/{}", facts.id));
    // Set again even if it was there: it must not end before the request does.
    cookies::set(&mut response, cookies::BROWSER, &browser, limits::BROWSER_S);
    Ok(response)
}

/// Where nobody may be asked (`prompt=none`), the browser must hold a session that answers. Whether it
/// also holds the session's key, only a page can show; it asks nobody either.
async fn silent(app: &App, r: &Incoming, facts: &RequestFacts) -> Result<Option<(Client, No)>, Fault> {
    if !facts.prompt.iter().any(|p| p == "none") {
        return Ok(None);
    }
    let client = app.client(&facts.client).await?.ok_or(Refusal::Denied)?.client;
    let session = match r.session() {
        Some(cookie) => app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?,
        None => None,
    };
    let now = r.ctx.now;
    let no = match session {
        Some(s) if sessions::answers(&s, facts, now).is_ok() => match sessions::reaches(&s, Some(&client), facts, now) {
            Ok(()) => return Ok(None),
            Err(_) => No("interaction_required", "the session must be raised first"),
        },
        _ => No("login_required", "no session here answers this request"),
    };
    Ok(Some((client, no)))
}

async fn sent_back(app: &App, r: &Incoming, target: &Target, no: No) -> Result<Response, Fault> {
    jwt::ensure(app, target.client.id_token_alg).await?;
    let Target { client, redirect_uri, state, mode } = target;
    back_with(app, r, &Way { client, redirect_uri, mode, state: state.as_deref() }, no).await
}

async fn back_with(app: &App, r: &Incoming, way: &Way<'_>, no: No) -> Result<Response, Fault> {
    let No(error, because) = no;
    let refusal = match error {
        "login_required" => Refusal::NoSession,
        "interaction_required" => Refusal::StepUp,
        _ => Refusal::Malformed,
    };
    let fault = Fault::because(refusal, because);
    record(app, &r.ctx, "authorize", &fault).await.map_err(|instead| Fault::from(instead).recorded())?;
    way.now(app, &[("error", error), ("error_description", because)], r.ctx.now)
}

/// A redirect that never repeats a POST (RFC 9700 §4.12).
pub(super) fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // A registered URI and percent-encoded parameters hold nothing that a header cannot.
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        serde_json::from_value(serde_json::json!({
            "id": "till", "name": "Till", "redirect_uris": ["https://till.example/cb"], "scopes": ["profile"]
        }))
        .unwrap()
    }
    const GOOD: &str = "response_type=code&scope=openid+profile+admin&code_challenge_method=S256&\
        code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn types() -> DetailTypes {
        DetailTypes::load(&[]).unwrap()
    }

    fn judge(more: &str) -> Result<Asked, &'static str> {
        asked(&Params::parse(format!("{GOOD}&{more}").as_bytes()).unwrap(), &client(), &types()).map_err(|No(e, _)| e)
    }

    #[test]
    fn a_good_request_keeps_what_it_may_ask_and_ignores_what_is_unknown() {
        let a = judge("nonce=n&max_age=60&prompt=login&acr_values=phr+other&colour=red&login_hint=ana").unwrap();
        assert_eq!(a.scopes, ["openid", "profile"]);
        assert_eq!((a.nonce.as_deref(), a.max_age_s), (Some("n"), Some(60)));
        assert_eq!((a.prompt, a.acr_values), (vec!["login".to_owned()], vec!["phr".to_owned()]));
    }

    #[test]
    fn each_wrong_parameter_has_its_error() {
        for (more, error) in [
            ("request=e30", "request_not_supported"),
            ("request_uri=urn:x", "request_uri_not_supported"),
            ("registration=x", "registration_not_supported"),
            ("response_mode=fragment", "invalid_request"),
            ("response_mode=fragment.jwt", "invalid_request"),
            ("prompt=none+login", "invalid_request"),
            ("prompt=create", "invalid_request"),
            ("max_age=-1", "invalid_request"),
            ("dpop_jkt=short", "invalid_request"),
            ("resource=https%3A%2F%2Fother.example", "invalid_target"),
            ("authorization_details=%5B%7B%22type%22%3A%22payment%22%7D%5D", "invalid_authorization_details"),
            ("acr_values=gold", "unmet_authentication_requirements"),
        ] {
            assert_eq!(judge(more).unwrap_err(), error, "{more}");
        }
        for (from, to, error) in [
            ("response_type=code", "response_type=token", "unsupported_response_type"),
            ("response_type=code", "x=y", "invalid_request"),
            ("code_challenge_method=S256", "code_challenge_method=plain", "invalid_request"),
            ("code_challenge_method=S256", "x=y", "invalid_request"),
            ("code_challenge=E9", "code_challenge=E", "invalid_request"),
            ("code_challenge=", "x=", "invalid_request"),
            ("profile", "%22", "invalid_scope"),
        ] {
            let params = Params::parse(GOOD.replace(from, to).as_bytes()).unwrap();
            assert_eq!(asked(&params, &client(), &types()).unwrap_err().0, error, "{to}");
        }
        let session_only = Client { boundary: Boundary::Session, ..client() };
        let params = Params::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(asked(&params, &session_only, &types()).unwrap_err().0, "unauthorized_client");
    }
}
