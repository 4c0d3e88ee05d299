//! What the application decides.

use crate::denial::{Denial, Why};
use crate::token::Visitor;
use crate::Unusable;
use countersign_wire::Time;
use std::time::Duration;

/// How long the server may take to answer a question.
const ANSWER: Duration = Duration::from_secs(3);

/// When the server is asked whether trust holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// At every request: an end is known at the next one.
    #[default]
    EveryRequest,
    /// Whenever a nonce is given: an end is known at the latest after [`crate::denial::NONCE_S`], or as soon as an
    /// event says so.
    WithNonces,
}

/// Settings of a guard.
#[derive(Clone)]
pub struct Settings {
    /// The server's public URL, without a slash at its end.
    pub issuer: String,
    /// Whom tokens must be for: `audience` of the clients at the server.
    pub audience: String,
    /// This application's public URL as its callers see it, without path: what proofs must name. Never
    /// taken from a request.
    pub public_url: String,
    /// This application as a client of the server: `client_secret_basic`, registered with
    /// `introspects` for the audience.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// `aud` of events, where the receiver is registered with another than the audience of tokens.
    pub events_audience: Option<String>,
    /// Which of several processes this is; any number, another for each.
    pub node: u32,
    /// When the server is asked.
    pub ask: Ask,
    /// An answer of the server counts for so long, at most five seconds. Zero: each counts once.
    pub keep_answers: Duration,
    /// Tokens that are bound to no key. Whoever holds one can use it.
    pub danger_allow_bearer: bool,
    /// `http://localhost` for issuer and public URL, for trying it out.
    pub danger_allow_http: bool,
}

impl Settings {
    /// Settings that hide nothing: every request asks.
    pub fn new(issuer: &str, audience: &str, public_url: &str, client_id: &str, client_secret: &str) -> Settings {
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        Settings {
            issuer: bare(issuer),
            audience: audience.to_owned(),
            public_url: bare(public_url),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            events_audience: None,
            node: 0,
            ask: Ask::EveryRequest,
            keep_answers: Duration::ZERO,
            danger_allow_bearer: false,
            danger_allow_http: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Unusable> {
        let sound = |text: &str| {
            url::Url::parse(text).is_ok_and(|u| {
                let secure = u.scheme() == "https" || self.danger_allow_http && u.scheme() == "http";
                secure && u.path() == "/" && u.query().is_none() && u.fragment().is_none() && u.username().is_empty()
            })
        };
        if !sound(&self.issuer) || !sound(&self.public_url) {
            return Err(Unusable("issuer and public URL: https, a host, and nothing behind it"));
        }
        if self.audience.is_empty() || self.client_id.is_empty() || self.client_secret.is_empty() {
            return Err(Unusable("audience, client id and client secret"));
        }
        if self.keep_answers > Duration::from_secs(5) {
            return Err(Unusable("keep_answers: five seconds at most"));
        }
        Ok(())
    }

    pub(crate) fn client(&self) -> Result<reqwest::Client, reqwest::Error> {
        reqwest::Client::builder().timeout(ANSWER).redirect(reqwest::redirect::Policy::none()).https_only(!self.danger_allow_http).no_proxy().build()
    }
}

/// What a door needs beyond a good token.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Scopes, all of them.
    pub scopes: Vec<String>,
    /// Classes of authentication, one of them (RFC 9470).
    pub acr_values: Vec<String>,
    /// How long ago the person may have approved, seconds.
    pub max_age_s: Option<i64>,
}

impl Needs {
    /// Nothing beyond a good token.
    pub fn nothing() -> Needs {
        Needs::default()
    }
    /// This scope, too.
    pub fn scope(mut self, scope: &str) -> Needs {
        self.scopes.push(scope.to_owned());
        self
    }
    /// This class, or another that is named.
    pub fn acr(mut self, acr: &str) -> Needs {
        self.acr_values.push(acr.to_owned());
        self
    }
    /// An approval that is no older.
    pub fn max_age_s(mut self, seconds: i64) -> Needs {
        self.max_age_s = Some(seconds);
        self
    }

    pub(crate) fn met_by(&self, visitor: &Visitor, now: Time) -> Result<(), Denial> {
        if !self.scopes.iter().all(|s| visitor.scopes.contains(s)) {
            return Err(Why::InsufficientScope { scopes: self.scopes.clone() }.into());
        }
        let class = self.acr_values.is_empty() || visitor.acr.as_ref().is_some_and(|acr| self.acr_values.contains(acr));
        let fresh = self.max_age_s.is_none_or(|max| visitor.auth_time.is_some_and(|at| now.seconds() - at <= max));
        if class && fresh {
            return Ok(());
        }
        Err(Why::StepUp { acr_values: self.acr_values.clone(), max_age_s: self.max_age_s }.into())
    }
}
