//! Keeps the doors of a Rust application by Countersign's access tokens.
//!
//! 1. [`token`]: a token is a JWT that the server signed for this application (RFC 9068), unexpired.
//! 2. [`proof`]: it comes with a proof by the key it is bound to (RFC 9449), for this request, with a
//!    nonce that this process gave to that key. Each proof serves once.
//! 3. [`trust`]: whether the session behind it is still trusted is asked at the server, at every request
//!    or whenever a nonce is given; [`heard`] takes the server's own events, by which an end is known
//!    before anybody asks.
//! 4. [`denial`]: whoever is kept out hears why in the words of RFC 6750, RFC 9449 and RFC 9470.
//! 5. [`layer`]: all of it as one `tower` layer, for axum and whatever else is built of services.
//!
//! Out of order means closed: whoever cannot be judged is not let in.
#![forbid(unsafe_code)]

pub mod denial;
pub mod glass;
pub mod heard;
mod keys;
pub mod layer;
mod machine;
mod proof;
pub mod settings;
mod token;
pub mod trust;

pub use denial::{Denial, Why};
pub use heard::{Heard, NotHeard};
pub use layer::Keep;
pub use settings::{Ask, Needs, Settings};
pub use token::Visitor;

use countersign_wire::nonces::{Age, Nonces};
use countersign_wire::{Thumbprint, Time};
use keys::Keys;
use std::sync::Arc;
use trust::Trust;

/// Why a guard cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for Unusable {}

/// A guard: cheap to clone, all clones share what they know.
#[derive(Clone)]
pub struct Guard(Arc<Inside>);

struct Inside {
    settings: Settings,
    keys: Keys,
    nonces: Nonces,
    trust: Trust,
}

/// What a request shows.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Method.
    pub method: &'a str,
    /// Path, without query.
    pub path: &'a str,
    /// Every `Authorization` header.
    pub authorization: &'a [&'a str],
    /// Every `DPoP` header.
    pub dpop: &'a [&'a str],
}

/// Who was let in, and the nonce for the next proof where the old one grows old.
#[derive(Clone, Debug)]
pub struct LetIn {
    /// Who.
    pub visitor: Visitor,
    /// Goes into the header `DPoP-Nonce`.
    pub nonce: Option<String>,
}

impl Guard {
    /// A guard with these settings. Keys are fetched when they are needed first.
    pub fn new(settings: Settings) -> Result<Guard, Unusable> {
        settings.check()?;
        let fetch = settings.client().map_err(|_| Unusable("no HTTP client"))?;
        let keys = Keys::new(fetch.clone(), format!("{}/jwks", settings.issuer));
        let nonces = proof::nonces(settings.node)?;
        let trust = Trust::new(fetch, &settings);
        Ok(Guard(Arc::new(Inside { settings, keys, nonces, trust })))
    }

    /// Judges one request.
    pub async fn judge(&self, shown: &Shown<'_>, needs: &Needs) -> Result<LetIn, Denial> {
        let (inside, now) = (&*self.0, machine::now());
        let settings = &inside.settings;
        let (bound, text) = token::shown(shown.authorization, settings.danger_allow_bearer)?;
        let visitor = token::verify(text, settings, &inside.keys, now).await?;
        if inside.trust.is_over(&visitor, now) {
            return Err(Why::InvalidToken("what it speaks for has ended").into());
        }
        let nonce = match (&visitor.jkt, bound) {
            (Some(jkt), true) => self.proved(shown, text, &visitor, jkt, now).await?,
            (None, false) => None,
            _ => return Err(Why::InvalidToken("a token shown in another way than it is bound").into()),
        };
        if settings.ask == Ask::EveryRequest || visitor.jkt.is_none() {
            self.ask(text, &visitor, now).await?;
        }
        needs.met_by(&visitor, now)?;
        Ok(LetIn { visitor, nonce })
    }

    /// Checks the proof; a nonce is given only while trust holds.
    async fn proved(&self, shown: &Shown<'_>, text: &str, visitor: &Visitor, jkt: &Thumbprint, now: Time) -> Result<Option<String>, Denial> {
        let inside = &*self.0;
        let url = format!("{}{}", inside.settings.public_url, shown.path);
        match proof::check(&inside.nonces, shown.dpop, shown.method, &url, text, jkt, now) {
            Ok(Age::Young) => Ok(None),
            Ok(Age::Old) => {
                self.ask(text, visitor, now).await?;
                Ok(Some(inside.nonces.give(jkt, now)))
            }
            Err(Why::UseNonce) => {
                self.ask(text, visitor, now).await?;
                Err(Denial { why: Why::UseNonce, nonce: Some(inside.nonces.give(jkt, now)) })
            }
            Err(why) => Err(why.into()),
        }
    }

    async fn ask(&self, text: &str, visitor: &Visitor, now: Time) -> Result<(), Denial> {
        match self.0.trust.holds(text, visitor, now).await {
            trust::Answer::Yes => Ok(()),
            trust::Answer::No => Err(Why::InvalidToken("what it speaks for is not trusted any more").into()),
            trust::Answer::StepUp { acr } => Err(Why::StepUp { acr_values: acr, max_age_s: None }.into()),
            trust::Answer::Nobody => Err(Why::Unavailable.into()),
        }
    }

    /// Takes an event that the server sent (a Security Event Token). From then on nothing that it ends is let in.
    pub async fn hear(&self, set: &str) -> Result<Heard, NotHeard> {
        let (inside, now) = (&*self.0, machine::now());
        let heard = heard::read(set, &inside.settings, &inside.keys, now).await?;
        inside.trust.end(&heard, now);
        Ok(heard)
    }
}
