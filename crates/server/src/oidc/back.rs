//! How the answer to an authorization request goes back: by the address or by a form (OAuth 2.0 Form
//! Post Response Mode), plain with `iss` (RFC 9207) or as one signed text (JARM).
//!
//! A form needs a page that sends it. Its fields travel to that page behind `#`, so that no log of
//! ours ever holds a code, and the page may send them to the registered address alone.

use super::authorize::see_other;
use super::jwt;
use super::params::{Params, with_query};
use crate::app::{App, Fault};
use crate::http::shells::page;
use crate::pages;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_store::sql::RequestFacts;
use countersign_trust::client::Client;
use countersign_trust::limits;
use countersign_wire::{RequestId, Time};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Ways there are; `jwt` is the default way, signed.
pub const MODES: [&str; 5] = ["query", "form_post", "jwt", "query.jwt", "form_post.jwt"];

/// The mode that a request asks for, as it is kept.
pub fn mode(params: &Params) -> Option<&'static str> {
    match params.one("response_mode") {
        None => Some("query"),
        Some("jwt") => Some("query.jwt"),
        Some(asked) => MODES.into_iter().find(|m| *m == asked),
    }
}

/// Where an answer goes.
pub struct Way<'a> {
    /// The client.
    pub client: &'a Client,
    /// Its redirect URI, checked.
    pub redirect_uri: &'a str,
    /// One of [`MODES`].
    pub mode: &'a str,
    /// `state`, returned as it came.
    pub state: Option<&'a str>,
}

impl<'a> Way<'a> {
    /// The way that a request fixed.
    pub fn of(request: &'a RequestFacts, client: &'a Client) -> Way<'a> {
        let (mode, state) = (request.response_mode.as_str(), request.state.as_deref());
        Way { client, redirect_uri: &request.redirect_uri, mode, state }
    }

    fn is_form(&self) -> bool {
        self.mode.starts_with("form_post")
    }

    /// What is sent.
    fn fields(&self, app: &App, first: &[(&str, &str)], now: Time) -> Result<Vec<(String, String)>, Fault> {
        let mut all: Vec<(&str, &str)> = first.to_vec();
        all.extend(self.state.map(|s| ("state", s)));
        all.push(("iss", &app.config.issuer));
        if !self.mode.ends_with(".jwt") {
            return Ok(all.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
        }
        let mut claims: Map<String, Value> = all.into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
        claims.insert("aud".into(), self.client.id.as_str().into());
        claims.insert("exp".into(), now.plus_s(limits::RESPONSE_S).seconds().into());
        let text = jwt::sign_now(app, self.client.id_token_alg, jwt::RESPONSE, &Value::Object(claims))?;
        Ok(vec![("response".to_owned(), text)])
    }

    /// Where a browser takes the answer to a request that was kept as `flow`.
    pub fn url(&self, app: &App, flow: &RequestId, first: &[(&str, &str)], now: Time) -> Result<String, Fault> {
        let fields = self.fields(app, first, now)?;
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        if !self.is_form() {
            return Ok(with_query(self.redirect_uri, &pairs));
        }
        let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Ok(format!("{}/answer/{flow}#{fields}", app.config.issuer))
    }

    /// The answer to a request that was not kept.
    pub fn now(&self, app: &App, first: &[(&str, &str)], now: Time) -> Result<Response, Fault> {
        let fields = self.fields(app, first, now)?;
        if self.is_form() {
            return Ok(form(app, self.redirect_uri, &fields));
        }
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Ok(see_other(&with_query(self.redirect_uri, &pairs)))
    }
}

/// `GET /answer/{flow}`: sends what stands behind `#` to the address that this request fixed.
pub async fn get(State(app): State<Arc<App>>, Path(flow): Path<String>) -> Response {
    let found = match flow.parse::<RequestId>() {
        Ok(id) => app.store.request(&id).await.ok().flatten(),
        Err(_) => None,
    };
    match found.filter(|r| r.facts.response_mode.starts_with("form_post")) {
        Some(request) => form(&app, &request.facts.redirect_uri, &[]),
        None => page(StatusCode::NOT_FOUND, pages::not_found(&app.config.organisation)),
    }
}

fn form(app: &App, to: &str, fields: &[(String, String)]) -> Response {
    let mut response = page(StatusCode::OK, pages::form_post(&app.config.organisation, to, fields));
    // In a list of sources a semicolon or comma would end the source.
    let source = to.split(['?', '#']).next().unwrap_or_default().replace(';', "%3B").replace(',', "%2C");
    let policy = pages::CSP.replace("form-action 'self'", &format!("form-action {source}"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
