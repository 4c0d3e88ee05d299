//! Headers become facts: where a request came from, which proofs it carries.

use super::cookies;
use crate::app::context::{CONSOLE, PROGRAM};
use crate::app::{App, Context, Fault, nonces, observe, once};
use crate::app::ceremony::terminal::Holder;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use countersign_store::sql::StoredDevice;
use countersign_trust::Refusal;
use countersign_trust::device::DeviceState;
use countersign_trust::seat::{self, Act};
use countersign_wire::dpop::{self, Fresh, Proof};
use countersign_wire::{Thumbprint, object};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// What every handler begins with.
pub struct Incoming {
    /// The request's context.
    pub ctx: Context,
    /// Its headers.
    pub headers: HeaderMap,
    /// Whether a trusted proxy handed it on.
    pub through_proxy: bool,
    /// The key for which it was found that trust holds: nonces of the answer are for it.
    trusted: OnceLock<Thumbprint>,
    method: Method,
    path: String,
}

impl FromRequestParts<Arc<App>> for Incoming {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Incoming, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |c| c.0.ip());
        let address = client_address(app, peer, &parts.headers);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).map_or(PROGRAM, family);
        Ok(Incoming {
            ctx: Context::new(app, address, agent.to_owned()).bound_by(cookies::read(&parts.headers, cookies::BOUND)),
            headers: parts.headers.clone(),
            trusted: OnceLock::new(),
            through_proxy: app.config.trusted_proxies.iter().any(|n| n.contains(peer)),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
        })
    }
}

/// The client's address: the peer, or what a trusted proxy says, read from the right until an
/// address that is not a trusted proxy.
fn client_address(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |a: IpAddr| app.config.trusted_proxies.iter().any(|n| n.contains(a));
    if !trusted(peer) {
        return peer;
    }
    let line: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
    let joined = line.join(",");
    for hop in joined.rsplit(',') {
        match hop_address(hop.trim()) {
            Some(address) if trusted(address) => {}
            Some(address) => return address,
            None => return peer,
        }
    }
    peer
}

/// The address of a hop, with or without a port and brackets, as proxies differ in it.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|a| a.ip());
    hop.parse().ok().or_else(with_port).or_else(bare)
}

/// A family name for what calls itself by a User-Agent: a claim, shown as one.
fn family(agent: &str) -> &'static str {
    let has = |word: &str| agent.contains(word);
    let mobile = has("Mobile") || has("Android") || has("iPhone");
    match () {
        () if has("countersign-device") => CONSOLE,
        () if has("Edg/") => "Edge",
        () if has("Firefox/") && mobile => "Firefox on a phone",
        () if has("Firefox/") => "Firefox",
        () if has("Chrome/") && mobile => "Chrome on a phone",
        () if has("Chrome/") && has("Windows") => "Chrome on Windows",
        () if has("Chrome/") && has("Mac OS") => "Chrome on a Mac",
        () if has("Chrome/") => "Chrome on Linux",
        () if has("Safari/") && mobile => "Safari on a phone",
        () if has("Safari/") => "Safari",
        () => PROGRAM,
    }
}

impl Incoming {
    /// The browser cookie.
    pub fn browser(&self) -> Option<String> {
        cookies::read(&self.headers, cookies::BROWSER)
    }
    /// The session cookie.
    pub fn session(&self) -> Option<String> {
        cookies::read(&self.headers, cookies::SESSION)
    }

    /// Refuses what a foreign page could have sent: cookies alone authorise nothing, and whatever
    /// carries them must come from our own pages.
    pub fn own_page(&self, app: &App) -> Result<(), Fault> {
        let text = |name: &str| self.headers.get(name).and_then(|v| v.to_str().ok());
        if text("origin") != Some(app.config.issuer.as_str()) {
            return Err(Fault::because(Refusal::BadProof, "another origin"));
        }
        if text("sec-fetch-site").is_some_and(|s| s != "same-origin") {
            return Err(Fault::because(Refusal::BadProof, "another site"));
        }
        Ok(())
    }

    /// The browser cookie of a request that must come from our own page.
    pub fn own_browser(&self, app: &App) -> Result<String, Fault> {
        self.own_page(app)?;
        self.browser().ok_or(Fault::because(Refusal::NoSuchFlow, "no browser cookie"))
    }

    /// What shows that this is the terminal that opened: cookie or collector, and the wait key.
    pub fn holder(&self, app: &App, changes: bool) -> Result<Holder, Fault> {
        let none = |why| Fault::because(Refusal::NoSuchCeremony, why);
        let text = |name: &str| self.headers.get(name).and_then(|v| v.to_str().ok());
        let wait_key = text("authorization")
            .and_then(|v| v.strip_prefix("Ceremony "))
            .ok_or_else(|| none("no wait key"))?
            .to_owned();
        let collector = match text("ceremony-collector") {
            Some(c) => c.to_owned(),
            None => {
                if changes {
                    self.own_page(app)?;
                }
                self.browser().ok_or_else(|| none("no browser cookie"))?
            }
        };
        Ok(Holder { collector, wait_key })
    }

    /// Trust was found to hold for a key.
    pub fn trusts(&self, jkt: &Thumbprint) {
        self.trusted.get_or_init(|| jkt.clone());
    }
    /// The key for which it was.
    pub fn trusted(&self) -> Option<&Thumbprint> {
        self.trusted.get()
    }

    /// A proof by a terminal's key, with a nonce.
    pub fn terminal_proof(&self, app: &App) -> Result<Proof, Fault> {
        self.proof(app, None, true)
    }

    /// The same with whatever nonce: [`nonces::is_fresh`] is to be asked once it is known that trust holds.
    pub fn proof_to_be_judged(&self, app: &App) -> Result<Proof, Fault> {
        self.proof(app, None, false)
    }

    /// A proof by a device's key over this body.
    pub fn key_proof(&self, app: &App, body: &[u8]) -> Result<Proof, Fault> {
        self.proof(app, Some(body), true)
    }

    /// Method and address that a proof of this request must name.
    pub fn asked(&self, app: &App) -> (&str, String) {
        (self.method.as_str(), format!("{}{}", app.config.issuer, self.path))
    }

    /// A proof of this request by the key of the phone that a seat is on, over that seat's key.
    pub fn phone_proof(&self, app: &App, text: &str, seat: &Thumbprint) -> Result<Proof, Fault> {
        self.verified(app, text, Some(seat.as_str().as_bytes()), true)
    }

    fn proof(&self, app: &App, body: Option<&[u8]>, nonce: bool) -> Result<Proof, Fault> {
        let mut all = self.headers.get_all("dpop").iter();
        let text = match (all.next(), all.next()) {
            (Some(one), None) => one.to_str().map_err(|_| Fault::because(Refusal::BadProof, "proof is not text"))?,
            (None, _) => return Err(Fault::because(Refusal::BadProof, "no proof")),
            (Some(_), Some(_)) => return Err(Fault::because(Refusal::BadProof, "two proofs")),
        };
        self.verified(app, text, body, nonce)
    }

    fn verified(&self, app: &App, text: &str, body: Option<&[u8]>, nonce: bool) -> Result<Proof, Fault> {
        let keys = app.keys.k_live();
        let now = self.ctx.now;
        // A nonce for whoever asks, or one that was given to this key.
        let live = |n: &str, jkt: &Thumbprint| {
            keys.iter().any(|k| dpop::is_live_nonce(k.expose(), n, now)) || nonces::is_live(app, n, jkt, now)
        };
        let (method, url) = self.asked(app);
        let request = dpop::Request {
            method,
            url: &url,
            token: None,
            body,
            now,
            fresh: if nonce { Fresh::Bound(&live) } else { Fresh::Elsewhere },
        };
        Ok(dpop::verify(text, &request)?)
    }

    /// The enrolled device that sent this, and that acts. One that waits or was stopped hears that
    /// it may not, before anything is looked up for it.
    pub async fn active_device(&self, app: &App, act: Act, body: &[u8], framed: bool) -> Result<(StoredDevice, Proof), Fault> {
        let (device, proof) = self.known_device(app, act, body, framed).await?;
        if device.device.state == DeviceState::Active {
            Ok((device, proof))
        } else {
            Err(Fault::because(Refusal::Denied, "a device that does not act"))
        }
    }

    /// The same for a device in any state of a life that has not ended: for what it may see of
    /// itself. A live frame makes the proof fresh; anything else needs a nonce. An unknown key hears
    /// nothing more than that its proof is bad. What a seat may not do, or not yet, is refused here for every door.
    pub async fn known_device(&self, app: &App, act: Act, body: &[u8], framed: bool) -> Result<(StoredDevice, Proof), Fault> {
        let proof = self.proof(app, Some(body), !framed)?;
        let unknown = || Fault::because(Refusal::BadProof, "an unknown device key");
        let device = app.store.device_by_key(&proof.jkt).await?.ok_or_else(unknown)?;
        if matches!(device.device.state, DeviceState::Lost | DeviceState::Revoked | DeviceState::Retired) {
            return Err(Fault::because(Refusal::BadProof, "a device that ended"));
        }
        self.ctx.known_as("device", device.device.id.as_str());
        seat::may(&device.device, act, self.ctx.now)?;
        Ok((observe::device(app, &self.ctx, device).await?, proof))
    }

    /// The same for what changes something: the proof is used up before the act, so that nobody
    /// who heard it can do it again.
    pub async fn device_once(&self, app: &App, act: Act, body: &[u8]) -> Result<StoredDevice, Fault> {
        let (device, proof) = self.active_device(app, act, body, false).await?;
        if app.store.burn_first(once::DPOP, &proof.name(), proof.burn_until).await? {
            Ok(device)
        } else {
            Err(Fault::because(Refusal::BadProof, "a jti used before"))
        }
    }
}

/// A JSON body; an empty one stands for `{}`.
pub fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Fault> {
    let bad = |why| Fault::because(Refusal::Malformed, why);
    if body.is_empty() {
        return serde_json::from_str("{}").map_err(|_| bad("a body is missing"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json")) {
        return Err(bad("content type application/json"));
    }
    object::parse(body).map_err(|m| bad(m.0))
}
