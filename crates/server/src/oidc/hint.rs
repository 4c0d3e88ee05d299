//! An ID token of ours that comes back as a hint (OpenID Connect Core §3.1.2.1, RP-Initiated
//! Logout §2): our signature counts, its time does not.

use super::jwt;
use crate::app::App;
use countersign_wire::{ClientId, PersonId, SessionId};
use serde::Deserialize;

/// What a good hint names.
pub struct Hint {
    /// The client it was made for.
    pub client: ClientId,
    /// The session it was made in.
    pub session: SessionId,
    /// Whom it is about.
    pub person: PersonId,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
}

/// Reads a hint; `None` if it is not an ID token of this server.
pub fn read(app: &App, text: &str) -> Option<Hint> {
    let own = app.keys.verify_own(text)?;
    if own.typ.as_deref() != Some(jwt::ID) {
        return None;
    }
    let claims: Claims = own.claims.read().ok()?;
    if claims.iss != app.config.issuer {
        return None;
    }
    Some(Hint { client: claims.aud.parse().ok()?, session: claims.sid.parse().ok()?, person: claims.sub.parse().ok()? })
}
