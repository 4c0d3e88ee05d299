//! `/logout`: a client sends the browser to end what is open (RP-Initiated Logout 1.0).
//!
//! 1. Where to go afterwards must be registered, exactly, with the client that the hint or
//!    `client_id` names; before that nothing is sent anywhere.
//! 2. A hint whose session is this browser's own ends it at once. Anything else asks the person, and
//!    the answer must come from the form that was shown: it carries a MAC over the cookie.
//! 3. A POST from another site brings no cookie (SameSite=Lax), so it is turned into a GET that does.

use super::authorize::see_other;
use super::params::{Params, with_query};
use super::{hint, refused_here};
use crate::app::once::hashed;
use crate::app::{App, Fault, sessions};
use crate::http::cookies;
use crate::http::request::Incoming;
use crate::http::shells::page;
use crate::pages;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_trust::session::Session;
use countersign_wire::secret::same;
use countersign_wire::{ClientId, b64, mac};
use std::sync::Arc;

/// Parameters that mean something; they travel through the form as they came.
const NAMES: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

/// `GET /logout`.
pub async fn get(State(app): State<Arc<App>>, r: Incoming, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let done = match params {
        Ok(params) => asked(&app, &r, &params).await,
        Err(why) => Err(Fault::because(Refusal::Malformed, why)),
    };
    match done {
        Ok(response) => response,
        Err(fault) => refused_here(&app, &r.ctx, "logout", fault).await,
    }
}

/// `POST /logout`: from a client, or the answer of our own form.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    let done = match Params::of_form(&r.headers, &body) {
        Ok(params) if params.one("confirm") == Some("yes") => confirmed(&app, &r, &params).await,
        Ok(params) => Ok(again_as_get(&params)),
        Err(why) => Err(Fault::because(Refusal::Malformed, why)),
    };
    match done {
        Ok(response) => response,
        Err(fault) => refused_here(&app, &r.ctx, "logout", fault).await,
    }
}

fn again_as_get(params: &Params) -> Response {
    let kept = params.only(&NAMES);
    let pairs: Vec<(&str, &str)> = kept.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    see_other(&with_query("/logout", &pairs))
}

/// A request that was found good.
struct Wish {
    client: Option<Client>,
    hint: Option<hint::Hint>,
    next: Option<String>,
}

async fn wish(app: &App, params: &Params) -> Result<Wish, Fault> {
    let bad = |why| Fault::because(Refusal::Malformed, why);
    let hint = match params.one("id_token_hint") {
        Some(text) => Some(hint::read(app, text).ok_or(bad("id_token_hint is not an ID token of this server"))?),
        None => None,
    };
    let named: Option<ClientId> = params.one("client_id").map(str::parse).transpose()?;
    if let (Some(hint), Some(named)) = (&hint, &named)
        && hint.client != *named
    {
        return Err(bad("id_token_hint and client_id name two clients"));
    }
    let client = match hint.as_ref().map(|h| &h.client).or(named.as_ref()) {
        Some(id) => Some(app.client(id).await?.ok_or(bad("an unknown client"))?.client),
        None => None,
    };
    let next = match params.one("post_logout_redirect_uri") {
        None => None,
        Some(uri) => {
            let known = client.as_ref().is_some_and(|c| c.post_logout_redirect_uris.iter().any(|k| k == uri));
            if !known {
                return Err(bad("a post_logout_redirect_uri that is not registered"));
            }
            let state: Vec<(&str, &str)> = params.one("state").map(|s| ("state", s)).into_iter().collect();
            Some(with_query(uri, &state))
        }
    };
    Ok(Wish { client, hint, next })
}

/// What lives in this browser.
async fn here(app: &App, r: &Incoming) -> Result<Option<(String, Session)>, Fault> {
    let Some(cookie) = r.session() else { return Ok(None) };
    let session = app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?;
    Ok(session.filter(|s| s.is_live(r.ctx.now)).map(|s| (cookie, s)))
}

async fn asked(app: &App, r: &Incoming, params: &Params) -> Result<Response, Fault> {
    let wish = wish(app, params).await?;
    let Some((cookie, session)) = here(app, r).await? else { return Ok(signed_out(app, &wish)) };
    if wish.hint.as_ref().is_some_and(|h| h.session == session.facts.id) {
        end(app, r, &session).await?;
        return Ok(signed_out(app, &wish));
    }
    let mut fields = params.only(&NAMES);
    let (serial, k) = app.keys.k();
    fields.push(("form".to_owned(), format!("{serial}.{}", form_mac(k.expose(), &cookie, &fields))));
    let name = wish.client.as_ref().map(|c| c.name.as_str());
    Ok(page(StatusCode::OK, pages::logout_confirm(&app.config.organisation, name, &fields)))
}

async fn confirmed(app: &App, r: &Incoming, params: &Params) -> Result<Response, Fault> {
    let wish = wish(app, params).await?;
    let Some((cookie, session)) = here(app, r).await? else { return Ok(signed_out(app, &wish)) };
    let bad = || Fault::because(Refusal::BadProof, "a form that was not shown to this browser");
    let (serial, shown) = params.one("form").and_then(|f| f.split_once('.')).ok_or_else(bad)?;
    let k = serial.parse().ok().and_then(|s| app.keys.k_by_serial(s)).ok_or_else(bad)?;
    let want = form_mac(k.expose(), &cookie, &params.only(&NAMES));
    if !same(want.as_bytes(), shown.as_bytes()) {
        return Err(bad());
    }
    end(app, r, &session).await?;
    Ok(signed_out(app, &wish))
}

/// Binds the form to the cookie of the browser that it was shown to, and to what it says.
fn form_mac(k: &[u8], cookie: &str, fields: &[(String, String)]) -> String {
    let mut parts: Vec<&[u8]> = vec![cookie.as_bytes()];
    for (name, value) in fields {
        parts.push(name.as_bytes());
        parts.push(value.as_bytes());
    }
    b64::encode(&mac::m(k, "logout-form", &parts))
}

async fn end(app: &App, r: &Incoming, session: &Session) -> Result<(), Fault> {
    app.judged_anew(|_| sessions::end(app, session, "client_asked", r.ctx.now)).await
}

/// Nothing is open here any more. The page drops the terminal's key and goes on by itself. Only
/// caches are cleared by header: storage may hold the key of an enrolled phone, which is no session.
fn signed_out(app: &App, wish: &Wish) -> Response {
    let mut response = page(StatusCode::OK, pages::logged_out(&app.config.organisation, wish.next.as_deref()));
    cookies::clear(&mut response, cookies::SESSION);
    cookies::clear(&mut response, cookies::BOUND);
    let name = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(name, HeaderValue::from_static("\"cache\""));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_good_for_one_cookie_and_one_wish() {
        let fields = vec![("state".to_owned(), "s".to_owned())];
        let other = vec![("state".to_owned(), "t".to_owned())];
        let good = form_mac(&[1; 32], "a", &fields);
        assert_eq!(good, form_mac(&[1; 32], "a", &fields));
        assert_ne!(good, form_mac(&[1; 32], "b", &fields));
        assert_ne!(good, form_mac(&[1; 32], "a", &other));
        assert_ne!(good, form_mac(&[2; 32], "a", &fields));
    }
}
