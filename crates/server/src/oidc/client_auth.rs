//! How a client shows who it is at the token endpoint: by the one method it registered, and by no
//! other (RFC 6749 §2.3, OpenID Connect Core §9, RFC 7523).

use super::jwt::Audience;
use super::params::Params;
use crate::app::{App, Fault};
use axum::http::{HeaderMap, header};
use countersign_store::Write;
use countersign_store::sql::{StoredClient, StoredWorkload};
use countersign_trust::Refusal;
use countersign_trust::client::{Client, ClientAuth, Profile};
use countersign_trust::workload::Workload;
use countersign_wire::dpop::NumericDate;
use countersign_wire::jose::{Alg, Jwk, Jws};
use countersign_wire::limits::JTI_BYTES;
use countersign_wire::secret::same;
use countersign_wire::{ClientId, Time, b64, mac};
use serde::Deserialize;

/// Longest life of an assertion, seconds: as long as common libraries make theirs. It serves once in
/// all that time.
const ASSERTION_S: i64 = 3600;
/// The same in the FAPI 2.0 profile.
const STRICT_ASSERTION_S: i64 = 300;
/// A client's clock may run ahead by this much, seconds.
const AHEAD_S: i64 = 10;
/// The one kind of assertion (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request shows.
pub enum Shown {
    /// Only a name.
    Name(ClientId),
    /// A secret, in the header or in the body.
    Secret {
        /// The name.
        id: ClientId,
        /// The secret.
        secret: zeroize::Zeroizing<String>,
        /// Whether it came in the header.
        in_header: bool,
    },
    /// A signed assertion.
    Assertion {
        /// The name it claims.
        id: ClientId,
        /// The JWS.
        text: String,
    },
}

impl Shown {
    /// The name that it says.
    pub fn id(&self) -> &ClientId {
        let (Shown::Name(id) | Shown::Secret { id, .. } | Shown::Assertion { id, .. }) = self;
        id
    }
}

/// A client that showed who it is.
pub struct Known {
    /// The client.
    pub stored: StoredClient,
    /// The assertion it used, which goes into the commit so that it serves once.
    pub assertion: Option<Used>,
}

/// A workload that showed who it is.
pub struct KnownWorkload {
    /// The workload.
    pub stored: StoredWorkload,
    /// The assertion it used.
    pub assertion: Used,
}

/// Who sent a request.
pub enum Party {
    /// A client, which serves people.
    Client(Known),
    /// A workload, which acts for itself.
    Workload(KnownWorkload),
}

/// Whose assertions are judged, and how strictly.
struct Asserting<'a> {
    id: &'a ClientId,
    keys: &'a [Jwk],
    /// The audience is the issuer, as a text by itself (FAPI 2.0 §5.3.2.1), and RS256 is not taken.
    strict: bool,
}

impl<'a> Asserting<'a> {
    fn client(c: &'a Client) -> Asserting<'a> {
        Asserting { id: &c.id, keys: &c.keys, strict: c.profile == Profile::Fapi2 }
    }
    fn workload(w: &'a Workload) -> Asserting<'a> {
        Asserting { id: &w.client, keys: &w.facts.keys, strict: true }
    }
}

/// An assertion that was used.
pub struct Used {
    name: String,
    until: Time,
}

impl Party {
    /// The name under which it asks.
    pub fn id(&self) -> &ClientId {
        match self {
            Party::Client(known) => &known.stored.client.id,
            Party::Workload(known) => &known.stored.workload.client,
        }
    }
    /// The assertion it used.
    pub fn assertion(&self) -> Option<&Used> {
        match self {
            Party::Client(known) => known.assertion.as_ref(),
            Party::Workload(known) => Some(&known.assertion),
        }
    }
}

impl Used {
    /// Uses it up.
    pub fn burn(&self) -> Write {
        Write::burnt("assertion", &self.name, self.until)
    }
    /// Whether it was used before.
    pub async fn is_burnt(&self, app: &App) -> Result<bool, Fault> {
        Ok(app.store.is_burnt("assertion", &self.name).await?)
    }
}

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    sub: String,
    aud: Audience,
    exp: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default)]
    iat: Option<NumericDate>,
    jti: String,
}

fn bad(why: &'static str) -> Fault {
    Fault::because(Refusal::BadProof, why)
}

/// What a request shows; two methods at once are refused.
pub fn shown(headers: &HeaderMap, params: &Params) -> Result<Shown, Fault> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(bad("two Authorization headers"));
    }
    let secret = params.one("client_secret");
    let assertion = params.one("client_assertion");
    let methods = usize::from(line.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
    if methods > 1 {
        return Err(bad("two ways of client authentication"));
    }
    let named: Option<ClientId> = params.one("client_id").map(str::parse).transpose().map_err(|_| bad("client_id"))?;
    if let Some(line) = line {
        let (id, secret) = basic(line.to_str().unwrap_or_default()).ok_or(bad("an Authorization header that is not Basic"))?;
        let id: ClientId = id.parse().map_err(|_| bad("client_id"))?;
        if named.is_some_and(|n| n != id) {
            return Err(bad("two client ids"));
        }
        return Ok(Shown::Secret { id, secret: secret.into(), in_header: true });
    }
    if let Some(text) = assertion {
        if params.one("client_assertion_type") != Some(JWT_BEARER) {
            return Err(bad("client_assertion_type"));
        }
        let claims: Assertion = Jws::parse(text).and_then(|j| j.unverified()).map_err(|m| bad(m.0))?;
        let id: ClientId = claims.sub.parse().map_err(|_| bad("client_id"))?;
        if named.is_some_and(|n| n != id) {
            return Err(bad("two client ids"));
        }
        return Ok(Shown::Assertion { id, text: text.to_owned() });
    }
    let id = named.ok_or(bad("no client_id"))?;
    Ok(match secret {
        Some(secret) => Shown::Secret { id, secret: secret.to_owned().into(), in_header: false },
        None => Shown::Name(id),
    })
}

/// Name and secret of a Basic header; both are form-encoded inside (RFC 6749 §2.3.1).
fn basic(line: &str) -> Option<(String, String)> {
    let (scheme, text) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    let bytes = zeroize::Zeroizing::new(b64::decode(&text).ok()?);
    let pair = std::str::from_utf8(&bytes).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

/// Checks what a request shows against what the client registered.
pub fn check(client: &Client, shown: &Shown, issuer: &str, now: Time) -> Result<Option<Used>, Fault> {
    if client.disabled {
        return Err(bad("a client that is switched off"));
    }
    match (client.auth, shown) {
        (ClientAuth::None, Shown::Name(_)) => Ok(None),
        (ClientAuth::ClientSecretBasic, Shown::Secret { secret, in_header: true, .. })
        | (ClientAuth::ClientSecretPost, Shown::Secret { secret, in_header: false, .. }) => {
            let known = client.secret_hash.as_deref().unwrap_or_default();
            let hash = b64::encode(&mac::h(secret.as_bytes()));
            if same(known.as_bytes(), hash.as_bytes()) { Ok(None) } else { Err(bad("a wrong client secret")) }
        }
        (ClientAuth::PrivateKeyJwt, Shown::Assertion { text, .. }) => assertion(&Asserting::client(client), text, issuer, now).map(Some),
        _ => Err(bad("another way of client authentication than registered")),
    }
}

fn assertion(by: &Asserting<'_>, text: &str, issuer: &str, now: Time) -> Result<Used, Fault> {
    let jws = Jws::parse(text).map_err(|m| bad(m.0))?;
    if jws.header_text("typ").is_some_and(|t| t != "JWT" && t != "client-authentication+jwt") {
        return Err(bad("an assertion of another typ"));
    }
    if by.strict && jws.alg() == Alg::RS256 {
        return Err(bad("an assertion with an algorithm that its profile forbids"));
    }
    let claims = by.keys.iter().find_map(|key| jws.verify(key).ok()).ok_or(bad("a wrong assertion signature"))?;
    let c: Assertion = claims.read().map_err(|m| bad(m.0))?;
    if c.iss != by.id.as_str() || c.sub != by.id.as_str() {
        return Err(bad("an assertion by another client"));
    }
    let audience = c.aud.only().ok_or(bad("an assertion for several servers"))?;
    // FAPI 2.0 §5.3.2.1: the issuer, as a text by itself.
    if by.strict && !matches!(&c.aud, Audience::One(one) if one == issuer) {
        return Err(bad("an assertion that does not name the issuer alone"));
    }
    // RFC 7523 §3 names the token endpoint, RFC 9126 §2 its own besides; libraries name the one they ask.
    if !matches!(audience.strip_prefix(issuer), Some("" | "/token" | "/par" | "/device_authorization" | "/bc-authorize" | "/introspect" | "/revoke")) {
        return Err(bad("an assertion for another server"));
    }
    let now_s = now.seconds();
    let left_s = c.exp.seconds() - now_s;
    let most_s = if by.strict { STRICT_ASSERTION_S } else { ASSERTION_S };
    if !(1..=most_s + AHEAD_S).contains(&left_s) {
        return Err(bad("an assertion that has expired, or lives too long"));
    }
    if [c.nbf, c.iat].iter().flatten().any(|t| t.seconds() > now_s + AHEAD_S) {
        return Err(bad("an assertion from the future"));
    }
    if c.jti.is_empty() || c.jti.len() > JTI_BYTES {
        return Err(bad("an assertion without a usable jti"));
    }
    Ok(Used { name: format!("{}/{}", by.id, c.jti), until: Time::from_seconds(c.exp.seconds() + 1) })
}

/// The parameters of a request that has none: then the header alone shows who sent it.
pub fn nothing() -> Params {
    Params::default()
}

/// Finds and checks the client of a request. A workload is none.
pub async fn authenticate(app: &App, headers: &HeaderMap, params: &Params, now: Time) -> Result<Known, Fault> {
    match party(app, &shown(headers, params)?, now, false).await? {
        Party::Client(known) => Ok(known),
        Party::Workload(_) => Err(bad("a workload where a client is asked for")),
    }
}

/// Finds and checks who sent a request. No name is both a client's and a workload's, so the order in
/// which they are looked for saves a question and changes no answer.
pub async fn party(app: &App, shown: &Shown, now: Time, workload: bool) -> Result<Party, Fault> {
    let id = shown.id();
    if workload && let Some(stored) = app.store.workload_by_client(id).await? {
        return known_workload(app, stored, shown, now).map(Party::Workload);
    }
    let Some(stored) = app.client(id).await? else {
        let stored = app.store.workload_by_client(id).await?.ok_or(bad("an unknown client"))?;
        return known_workload(app, stored, shown, now).map(Party::Workload);
    };
    let assertion = check(&stored.client, shown, &app.config.issuer, now)?;
    if let Some(used) = &assertion
        && used.is_burnt(app).await?
    {
        return Err(bad("an assertion that was used before"));
    }
    Ok(Party::Client(Known { stored, assertion }))
}

/// Whether its assertion was used before shows when it is used up.
fn known_workload(app: &App, stored: StoredWorkload, shown: &Shown, now: Time) -> Result<KnownWorkload, Fault> {
    let Shown::Assertion { text, .. } = shown else { return Err(bad("a workload without an assertion")) };
    let assertion = assertion(&Asserting::workload(&stored.workload), text, &app.config.issuer, now)?;
    Ok(KnownWorkload { stored, assertion })
}

#[cfg(test)]
mod tests;
