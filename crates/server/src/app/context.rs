//! What is known about one HTTP request before anything is decided.

use super::App;
use super::noise::{self, Caller};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::presence;
use countersign_wire::{Time, TxnId, code};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// Agent family of our own programs.
pub const CONSOLE: &str = "Countersign console";
/// Agent family of whatever is no browser we know.
pub const PROGRAM: &str = "A program";

/// One request.
#[derive(Clone, Debug)]
pub struct Context {
    /// The store's time when it came in.
    pub now: Time,
    /// The address it came from, proxies resolved.
    pub address: IpAddr,
    /// A transaction for what belongs to no other.
    pub txn: TxnId,
    /// What a refusal is called at the help desk.
    pub reference: String,
    /// Agent family as the program calls itself.
    pub agent: String,
    /// The cookie of a bound session, if it came along.
    pub bound: Option<Cookie>,
    /// What the caller has shown to be, once it has.
    known: Arc<OnceLock<Caller>>,
}

/// A cookie that came with a request; it does not print.
#[derive(Clone)]
pub struct Cookie(Arc<str>);

impl Cookie {
    /// Its value.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a cookie")
    }
}

impl Context {
    /// A new one.
    pub fn new(app: &App, address: IpAddr, agent: String) -> Context {
        let now = app.now();
        Context { now, address, txn: app.txn(now), reference: code::reference(app.random()), agent, bound: None, known: Arc::default() }
    }
    /// The same, with the cookie of a bound session.
    pub fn bound_by(self, cookie: Option<String>) -> Context {
        Context { bound: cookie.map(|value| Cookie(value.into())), ..self }
    }
    /// The request for an attempt to do it. A lost race is judged by the time at which it is judged
    /// again: what ran out on the way is late, not out of order.
    pub fn anew(&self, app: &App, attempt: usize) -> Cow<'_, Context> {
        match attempt {
            0 => Cow::Borrowed(self),
            _ => Cow::Owned(Context { now: app.now(), ..self.clone() }),
        }
    }
    /// The caller has shown to be somebody: an enrolled device, the screen that opened a ceremony, a
    /// session's terminal, a client. The first that was shown counts.
    pub fn known_as(&self, role: &'static str, who: &str) {
        self.known.get_or_init(|| (role, who.to_owned()));
    }
    /// Who the lines of this request are counted for.
    pub fn caller(&self) -> Caller {
        self.known.get().cloned().unwrap_or_else(|| (noise::SOURCE, self.source()))
    }
    /// The network it came from, as budgets and quarantines count it.
    pub fn source(&self) -> String {
        presence::source(self.address)
    }
    /// Whether a browser sent it, by its own word: then a page of ours was shown.
    pub fn is_page(&self) -> bool {
        self.agent != PROGRAM && self.agent != CONSOLE
    }
    /// An event about a refusal carries the reference.
    pub fn refusal_event(&self, app: &App, txn: &TxnId) -> Event {
        app.event(Kind::StepRefused, txn, self.now).fact("ref", self.reference.as_str())
    }
}
