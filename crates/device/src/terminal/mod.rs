//! A console terminal: what a browser's sign-in page does, as a program.
//!
//! 1. `arrive` follows an authorization URL to its sign-in page, collecting the browser cookie.
//! 2. `open` opens a ceremony with this terminal's own key (`tk`); the reply carries what live
//!    frames are made of.
//! 3. `watch` hears the states; `confirm` sends digits typed here.
//! 4. `redeem` collects, with cookie, wait key and a proof by `tk`; `proceed` after the greeting.

mod ceremony;
mod glass;
mod registered;
mod watch;

pub use ceremony::Ceremony;
pub use glass::{Ask, GlassKept, Opening};
pub use registered::Registered;
pub use watch::{Watch, is_final};

use crate::http::{Call, Prover};
use crate::keys::Prove;
use crate::{Fault, Http, SoftwareKey};
use countersign_wire::message::{
    AssertionAsk, Beat, BeatTaken, Confirm, Next, Open, Opened, RedeemedReply, StateOnly, StateView,
};
use countersign_wire::webauthn::AssertionText;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

/// Redirects followed at most on the way to or from a sign-in page.
const HOPS: usize = 10;

/// A terminal with its browser and its key.
pub struct Terminal {
    /// Its connections and cookies. Tests may take others between two steps.
    pub http: Http,
    /// Its key (`tk`). Tests may change it between two steps.
    pub key: SoftwareKey,
    /// What it is registered as; then its registered key proves.
    pub registered: Option<Registered>,
    issuer: Url,
    /// Whether the session here was found too little for what is asked.
    raising: AtomicBool,
}

/// Where an authorization URL led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// To the sign-in page of this flow.
    Flow(String),
    /// Away again, e.g. to the client with an error.
    Away(Url),
}

impl Terminal {
    /// A terminal of `issuer` with a fresh key.
    pub fn new(http: Http, issuer: &Url) -> Result<Terminal, Fault> {
        Ok(Terminal { http, key: SoftwareKey::generate()?, registered: None, issuer: issuer.clone(), raising: AtomicBool::new(false) })
    }

    /// A registered terminal.
    pub fn of(http: Http, registered: Registered) -> Result<Terminal, Fault> {
        let fresh = Terminal::new(http, &registered.kept().issuer)?;
        Ok(Terminal { registered: Some(registered), ..fresh })
    }

    /// The key that proves.
    pub fn tk(&self) -> &dyn Prove {
        self.registered.as_ref().map_or(&self.key, Registered::key)
    }

    /// Its browser and its key, for a device that goes on with them.
    pub fn into_parts(self) -> (Http, SoftwareKey) {
        (self.http, self.key)
    }

    /// The server.
    pub fn issuer(&self) -> &Url {
        &self.issuer
    }

    /// Its origin as text, which frames begin with.
    pub fn origin(&self) -> String {
        self.issuer.origin().ascii_serialization()
    }

    /// Follows `url` as a browser would, to the sign-in page or away. It may begin at an
    /// application that redirects here.
    pub async fn arrive(&self, url: &Url) -> Result<Arrival, Fault> {
        let mut at = url.clone();
        let mut was_here = false;
        for _ in 0..HOPS {
            was_here |= self.is_here(&at);
            let answer = self.http.call(&Call::fetch(at.clone())).await?;
            match answer.location.filter(|_| (300..400).contains(&answer.status)) {
                Some(to) if was_here && !self.is_here(&to) => return Ok(Arrival::Away(to)),
                Some(to) => at = to,
                None => {
                    return match at.path().strip_prefix("/sign-in/") {
                        Some(flow) if self.is_here(&at) => Ok(Arrival::Flow(flow.to_owned())),
                        _ => Err(Fault::Unreachable(format!("`{}` leads to no sign-in page", at.path()))),
                    };
                }
            }
        }
        Err(Fault::Unreachable("too many redirects".into()))
    }

    /// Where `next` leads, followed while it stays on this server.
    pub async fn leave(&self, next: &str) -> Result<Url, Fault> {
        let mut at = Url::parse(next).map_err(|_| Fault::Unreachable("the server named no place to go".into()))?;
        for _ in 0..HOPS {
            if !self.is_here(&at) {
                return Ok(at);
            }
            let answer = self.http.call(&Call::fetch(at.clone())).await?;
            match answer.location.filter(|_| (300..400).contains(&answer.status)) {
                Some(to) => at = to,
                None => return Ok(at),
            }
        }
        Err(Fault::Unreachable("too many redirects".into()))
    }

    /// Opens a ceremony for the sign-in page `flow`.
    pub async fn open(&self, flow: &str) -> Result<Ceremony, Fault> {
        let raise = self.raising.load(Ordering::Relaxed);
        self.open_as(&Open { flow: Some(flow.to_owned()), raise, ..Open::default() }).await
    }

    /// Opens what the idle screen of a registered terminal's class is for.
    pub async fn open_idle(&self) -> Result<Ceremony, Fault> {
        self.http.call(&Call::fetch(self.url("/kiosk")?)).await?;
        self.open_as(&Open { kiosk: true, ..Open::default() }).await
    }

    /// Opens a ceremony in which an enrolled device lets this one in; `key` becomes its device
    /// key. The page is visited first, for cookie and nonce.
    pub async fn open_enrolment(&self, name: &str) -> Result<Ceremony, Fault> {
        self.http.call(&Call::fetch(self.url("/add")?)).await?;
        let open = Open { purpose: Some("enrol-device".into()), name: Some(name.to_owned()), ..Open::default() };
        self.open_as(&open).await
    }

    /// Opens a ceremony in which somebody lets the person of `login` back in, on this device.
    pub async fn open_recovery(&self, login: &str) -> Result<Ceremony, Fault> {
        self.http.call(&Call::fetch(self.url("/recover")?)).await?;
        let open = Open { purpose: Some("recover".into()), login: Some(login.to_owned()), ..Open::default() };
        self.open_as(&open).await
    }

    /// Opens as `open` says; a registered terminal counts.
    pub async fn open_as(&self, open: &Open) -> Result<Ceremony, Fault> {
        let mut open = open.clone();
        if let Some(registered) = &self.registered
            && open.purpose.is_none()
            && open.counter.is_none()
        {
            open.counter = Some(registered.count()?);
        }
        let open = &open;
        let call = Call::post(self.url("/ceremonies")?, open)?.proved(Prover::terminal(self.tk()));
        let opened: Opened = self.http.ask(&call).await?;
        Ceremony::new(&opened)
    }

    /// How the ceremony stands; waits up to 25 s for another state than `since`.
    pub async fn state(&self, ceremony: &Ceremony, since: Option<&str>) -> Result<StateView, Fault> {
        let mut url = self.ceremony_url(ceremony, "")?;
        if let Some(state) = since {
            url.query_pairs_mut().append_pair("since", state);
        }
        let view: StateView = self.http.ask(&self.watching(ceremony, Call::fetch(url))).await?;
        ceremony.hear(view.t_ms);
        Ok(view)
    }

    /// Watches the states.
    pub fn watch<'a>(&'a self, ceremony: &'a Ceremony) -> Watch<'a> {
        Watch::new(self, ceremony)
    }

    /// Sends the digits typed here.
    pub async fn confirm(&self, ceremony: &Ceremony, digits: &str) -> Result<StateOnly, Fault> {
        let body = Confirm { digits: digits.to_owned() };
        let call = Call::post(self.ceremony_url(ceremony, "/confirm")?, &body)?;
        self.http.ask(&self.watching(ceremony, call)).await
    }

    /// Gives the ceremony up.
    pub async fn abandon(&self, ceremony: &Ceremony) -> Result<(), Fault> {
        let call = Call::post(self.ceremony_url(ceremony, "/abandon")?, &json!({}))?;
        self.http.call(&self.watching(ceremony, call)).await.map(|_| ())
    }

    /// Collects what was approved. Never repeated: a lost answer means to abandon and open anew.
    pub async fn redeem(&self, ceremony: &Ceremony) -> Result<RedeemedReply, Fault> {
        let call = Call::post(self.ceremony_url(ceremony, "/redeem")?, &json!({}))?;
        self.http.ask(&self.watching(ceremony, call).proved(Prover::terminal(self.tk()))).await
    }

    /// Goes on after the greeting.
    pub async fn proceed(&self, ceremony: &Ceremony) -> Result<Next, Fault> {
        self.prove(&format!("/ceremonies/{}/continue", ceremony.cid), &json!({})).await
    }

    /// Goes on with a session that this browser and key hold already.
    pub async fn resume(&self, flow: &str) -> Result<Next, Fault> {
        let resumed = self.prove(&format!("/sign-in/{flow}/resume"), &json!({})).await;
        let too_little = resumed.as_ref().is_err_and(|fault: &Fault| fault.is("step_up") || fault.is("locked"));
        self.raising.store(too_little, Ordering::Relaxed);
        resumed
    }

    /// What a passkey on this screen would have to sign.
    pub async fn passkey_options(&self, flow: &str) -> Result<AssertionAsk, Fault> {
        self.prove(&format!("/sign-in/{flow}/passkey/options"), &json!({})).await
    }

    /// Signs in with a passkey on this screen.
    pub async fn passkey(&self, flow: &str, assertion: &AssertionText) -> Result<RedeemedReply, Fault> {
        let raise = self.raising.load(Ordering::Relaxed);
        self.prove(&format!("/sign-in/{flow}/passkey"), &json!({ "assertion": assertion, "raise": raise })).await
    }

    /// Goes back to the client without signing in.
    pub async fn cancel(&self, flow: &str) -> Result<Next, Fault> {
        self.prove(&format!("/sign-in/{flow}/cancel"), &json!({})).await
    }

    /// Says that this screen is in front of somebody (`visible`), or goes.
    pub async fn beat(&self, visible: bool) -> Result<BeatTaken, Fault> {
        self.prove("/session/beat", &Beat { visible }).await
    }

    /// Ends the session of this browser and key.
    pub async fn end_session(&self) -> Result<(), Fault> {
        let call = Call::post(self.url("/session/end")?, &json!({}))?.proved(Prover::terminal(self.tk()));
        self.http.call(&call).await.map(|_| ())
    }

    async fn prove<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Fault> {
        self.http.ask(&Call::post(self.url(path)?, body)?.proved(Prover::terminal(self.tk()))).await
    }

    fn watching<'a>(&self, ceremony: &Ceremony, call: Call<'a>) -> Call<'a> {
        let call = call.with("authorization", format!("Ceremony {}", ceremony.wait_key()));
        match &ceremony.collector {
            Some(collector) => call.with("ceremony-collector", collector),
            None => call,
        }
    }

    fn ceremony_url(&self, ceremony: &Ceremony, rest: &str) -> Result<Url, Fault> {
        self.url(&format!("/ceremonies/{}{rest}", ceremony.cid))
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        self.issuer.join(path).map_err(|_| Fault::Usage(format!("`{path}` is no path")))
    }

    fn is_here(&self, url: &Url) -> bool {
        url.origin() == self.issuer.origin()
    }
}
