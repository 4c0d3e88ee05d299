//! Pages: what is there before scripts run.

use super::cookies;
use super::request::Incoming;
use crate::app::sessions::open_request;
use crate::app::once::hashed;
use crate::app::{App, bound};
use crate::pages::{self, PhoneKind};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use countersign_trust::limits;
use countersign_trust::session::Session;
use countersign_wire::{b64, dpop};
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// A page with the headers that pages carry.
pub fn page(status: StatusCode, html: String) -> Response {
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(pages::CSP));
    headers.insert("permissions-policy", HeaderValue::from_static(pages::PERMISSIONS));
    response
}

/// An error page; both texts are keys of the catalogue.
pub fn error(app: &App, status: StatusCode, headline: &str, body: &str, reference: Option<&str>) -> Response {
    let told = pages::ErrorPage { organisation: &app.config.organisation, headline, body, reference, again: None };
    page(status, pages::error(&told))
}

/// `GET /sign-in/{flow}`: bound to the browser that asked.
pub async fn sign_in(State(app): Shared, Path(flow): Path<String>, r: Incoming) -> Response {
    let browser = r.browser().unwrap_or_default();
    let bad = |app: &App| error(app, StatusCode::NOT_FOUND, "sign_in.bad_start.headline", "sign_in.bad_start.body", Some(&r.ctx.reference));
    let Ok(request) = open_request(&app, &flow, &browser, r.ctx.now).await else { return bad(&app) };
    let Ok(Some(client)) = app.client(&request.facts.client).await else { return bad(&app) };
    let nonce = dpop::nonce(app.keys.k().1.expose(), app.now());
    if request.facts.prompt.iter().any(|p| p == "none") {
        return page(StatusCode::OK, pages::silent(&app.config.organisation, &flow, &nonce));
    }
    let shown = pages::SignIn {
        flow,
        nonce,
        client_name: client.client.name,
        organisation: app.config.organisation.clone(),
        host: app.config.host().to_owned(),
        // A passkey here signs nothing that was read: details are approved on the phone.
        passkey: request.facts.details.is_empty(),
    };
    let mut response = page(StatusCode::OK, pages::sign_in(&shown));
    super::answer::put_nonce(&app, &mut response);
    response
}

/// `GET /session`.
pub async fn session(State(app): Shared, r: Incoming) -> Response {
    let live = live(&app, &r).await.map(|(_, live)| live);
    let nonce = dpop::nonce(app.keys.k().1.expose(), app.now());
    page(StatusCode::OK, pages::session(&app.config.organisation, &nonce, live.as_ref()))
}

/// The session that lives on this screen, with what a page shows of it.
async fn live(app: &App, r: &Incoming) -> Option<(Session, pages::Live)> {
    let cookie = r.session()?;
    let session = app.store.session_by_cookie(&hashed(cookie.as_bytes())).await.ok()??;
    if !session.is_live(r.ctx.now) || !bound::is_shown(app, &r.ctx, &session) {
        return None;
    }
    let name = app.store.named(&session.facts.person).await.ok()??.name;
    let f = &session.facts;
    let live = pages::Live {
        name,
        left_s: f.until.seconds() - r.ctx.now.seconds(),
        whole_s: f.until.seconds() - f.opened_at.seconds(),
    };
    Some((session, live))
}

/// `GET /kiosk`: the idle screen of a registered terminal. It opens ceremonies, so it gets a browser cookie.
pub async fn kiosk(State(app): Shared, r: Incoming) -> Response {
    let found = live(&app, &r).await;
    let class = found.as_ref().and_then(|(s, _)| s.facts.terminal.as_ref()).and_then(|t| app.config.terminals.class(&t.plate.class));
    let start = class.and_then(|c| c.kiosk).map(|k| k.start);
    let nonce = dpop::nonce(app.keys.k().1.expose(), app.now());
    let without_phone = app.registered().await.is_ok_and(|all| all.without_phone);
    let html = pages::kiosk(&app.config.organisation, app.config.host(), &nonce, found.as_ref().map(|(_, live)| live), start.as_deref(), without_phone);
    with_browser(&app, page(StatusCode::OK, html), &r.headers)
}

fn shell(app: &App, kind: PhoneKind) -> Response {
    page(StatusCode::OK, pages::phone_shell(kind, &app.config.organisation, app.config.host()))
}

/// `GET /q`: the same bytes for everybody; no cookie, no lookup; nothing changes.
pub async fn scan(State(app): Shared) -> Response {
    let mut response = shell(&app, PhoneKind::Scan);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// `GET /code`.
pub async fn code(State(app): Shared) -> Response {
    shell(&app, PhoneKind::Code)
}

/// `GET /phone`. Where phones are told that something waits, this page may register what tells them.
pub async fn phone(State(app): Shared) -> Response {
    let mut response = shell(&app, PhoneKind::Overview);
    if app.config.push.is_some() {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(pages::CSP_TELLING));
    }
    response
}

/// `GET /worker.js`: the same bytes for everybody, at the same address for ever, or a release would end what was subscribed.
pub async fn worker() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], pages::worker()).into_response()
}

/// `GET /enrol`: the invitation stands behind `#` and never comes here by itself.
pub async fn enrol(State(app): Shared) -> Response {
    shell(&app, PhoneKind::Enrol)
}

/// `GET /badge`: what a registered terminal reads.
pub async fn badge(State(app): Shared) -> Response {
    shell(&app, PhoneKind::Badge)
}

/// `GET /terminal`: the same for a screen that joins.
pub async fn terminal(State(app): Shared) -> Response {
    shell(&app, PhoneKind::Terminal)
}

/// `GET /add`: a device that wants to join opens a ceremony, so it gets a browser cookie.
pub async fn add(State(app): Shared, headers: HeaderMap) -> Response {
    opening(&app, PhoneKind::Add, &headers)
}

/// `GET /recover`: the same for whoever has no device left.
pub async fn recover(State(app): Shared, headers: HeaderMap) -> Response {
    opening(&app, PhoneKind::Recover, &headers)
}

fn opening(app: &App, kind: PhoneKind, headers: &HeaderMap) -> Response {
    with_browser(app, shell(app, kind), headers)
}

fn with_browser(app: &App, mut response: Response, headers: &HeaderMap) -> Response {
    if cookies::read(headers, cookies::BROWSER).is_none() {
        let fresh = b64::encode(&app.random::<32>());
        cookies::set(&mut response, cookies::BROWSER, &fresh, limits::BROWSER_S);
    }
    response
}

/// `GET /assets/…`: own files, named by their content.
pub async fn asset(State(app): Shared, Path(path): Path<String>, asked: HeaderMap) -> Response {
    let Some((bytes, kind, mut etag)) = pages::asset(&path) else {
        return page(StatusCode::NOT_FOUND, pages::not_found(&app.config.organisation));
    };
    let zipped = if takes_gzip(&asked) { pages::zipped(&path) } else { None };
    let mut response = zipped.map_or_else(|| bytes.into_response(), IntoResponse::into_response);
    let headers = response.headers_mut();
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, kind);
    put(header::CACHE_CONTROL, pages::FOR_EVER);
    put(header::VARY, "accept-encoding");
    if zipped.is_some() {
        put(header::CONTENT_ENCODING, "gzip");
        etag.insert_str(1, "gzip-");
    }
    put(header::ETAG, &etag);
    response
}

/// Whether `gzip` is among what the caller takes (RFC 9110 §12.5.3), in whatever case (§8.4.1) and with any weight but 0 (§12.4.2); nothing
/// else is read out of that header.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut listed = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    listed.any(|one| {
        let (coding, weight) = one.split_once(';').map_or((one, None), |(coding, rest)| (coding, Some(rest)));
        let weight = weight.map(|rest| rest.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")));
        let wanted = weight.is_none_or(|named| named.is_some_and(|(_, q)| q.trim().parse::<f32>().is_ok_and(|q| q > 0.0)));
        coding.trim().eq_ignore_ascii_case("gzip") && wanted
    })
}

/// Nothing is here.
pub async fn not_found(State(app): Shared, headers: HeaderMap) -> Response {
    let wants_page = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    if wants_page {
        return page(StatusCode::NOT_FOUND, pages::not_found(&app.config.organisation));
    }
    (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({"code": "no_such_thing"}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_in_any_case_and_with_any_weight_but_none() {
        let takes = |text: &str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, text.parse().unwrap())]));
        for yes in ["gzip", "GZip", "br, gzip", "gzip;q=0.5", "br;q=1.0, GZIP ; Q=0.001", "gzip;q=1", "identity;q=0,gzip"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "gzipped", "gzip;q=0", "gzip; q=0.000", "GZIP;Q=0", "gzip;q=", "gzip;q=a", "br;q=1, gzip;q=0"] {
            assert!(!takes(no), "{no}");
        }
    }
}
