//! Rights without the line: what two people opened at a terminal that cannot ask the server, shown to the application there
//! as a *bundle*. Nothing is fetched: the server's keys are the application's own copy of its key set (`examples/glass.rs`).
//!
//! Ask at every use, not once: a right ends with its minutes. One [`Panes`] lives as long as the application, as it
//! remembers what it has seen.

use crate::machine;
pub use countersign_wire::TerminalId;
pub use countersign_wire::glass::{Opened, Opener, Why};
use countersign_wire::glass::{Bundle, Judged};
use countersign_wire::jose::Keys;
use countersign_wire::{ClientId, Time, object};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};

/// Longest bundle, bytes: no server would take a longer one back.
const BUNDLE_BYTES: usize = 64 * 1024;
/// A clock may step back by this much, seconds.
const SLACK_S: i64 = 60;

/// Why a bundle opens nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is not what two people opened as they had to.
    NotOpened(Why),
    /// It is for another application or terminal, or does not have this scope.
    NotHere,
    /// Its minutes are over, or have not begun.
    Over,
    /// Another was seen in its place, or a newer grant of this terminal: files that were put back, or exist twice.
    Replaced,
    /// This machine's clock went back behind what was seen.
    Clock,
}

impl Shut {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Shut::NotOpened(why) => why.code(),
            Shut::NotHere => "not_here",
            Shut::Over => "over",
            Shut::Replaced => "replaced",
            Shut::Clock => "clock",
        }
    }
}

impl std::fmt::Display for Shut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code())
    }
}
impl std::error::Error for Shut {}

/// What an application at one terminal needs in order to judge bundles.
pub struct Panes {
    issuer: String,
    client: String,
    terminal: TerminalId,
    keys: RwLock<Keys>,
    seen: Mutex<Seen>,
}

/// The newest grant that was shown, its records by their number, and the latest time.
#[derive(Default)]
struct Seen {
    serial: i64,
    grant: [u8; 32],
    records: BTreeMap<i64, [u8; 32]>,
    closed: bool,
    at_s: i64,
}

impl Panes {
    /// For the server at `issuer` with this key set (RFC 7517 §5), this application as the server's client, and the
    /// terminal where it runs.
    pub fn new(issuer: &str, client: &str, terminal: TerminalId, keys: &Value) -> Panes {
        let issuer = issuer.trim_end_matches('/').to_owned();
        Panes { issuer, client: client.to_owned(), terminal, keys: RwLock::new(Keys::of(keys)), seen: Mutex::default() }
    }

    /// The server's key set as it is now: it changes every month. What was seen stays.
    pub fn learn(&self, keys: &Value) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys::of(keys);
    }

    /// What of `bundle` is open here and now and has `scope`.
    pub fn judge(&self, bundle: &str, scope: &str) -> Result<Opened, Shut> {
        self.judge_at(bundle, scope, machine::now())
    }

    /// The same at `now`.
    pub fn judge_at(&self, bundle: &str, scope: &str, now: Time) -> Result<Opened, Shut> {
        let malformed = Shut::NotOpened(Why::Malformed);
        if bundle.len() > BUNDLE_BYTES {
            return Err(malformed);
        }
        let bundle: Bundle = object::parse(bundle.as_bytes()).map_err(|_| malformed)?;
        let judged = bundle.judge(&self.keys.read().unwrap_or_else(PoisonError::into_inner)).map_err(Shut::NotOpened)?;
        if let Some(why) = judged.wrong {
            return Err(Shut::NotOpened(why));
        }
        let s = &judged.grant.sealed;
        let client: Option<ClientId> = self.client.parse().ok();
        if s.iss != self.issuer || s.terminal != self.terminal || Some(&s.client) != client.as_ref() {
            return Err(Shut::NotHere);
        }
        let now_s = now.seconds();
        let closed = self.remember(s.serial, &judged, now_s)?;
        // Once its terminal has said the last word, nothing of it is open.
        let open = judged.opened.into_iter().rev().filter(|_| !closed).find(|o| o.scopes.iter().any(|had| had == scope));
        match open {
            None => Err(Shut::NotHere),
            Some(open) if open.is_open(now_s) => Ok(open),
            Some(_) => Err(Shut::Over),
        }
    }

    /// Whether the terminal has said its last word, then or now.
    fn remember(&self, serial: i64, judged: &Judged, now_s: i64) -> Result<bool, Shut> {
        let grant = &judged.grant.digest;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now_s < seen.at_s.saturating_sub(SLACK_S) {
            return Err(Shut::Clock);
        }
        if serial < seen.serial || (serial == seen.serial && *grant != seen.grant) {
            return Err(Shut::Replaced);
        }
        if serial > seen.serial {
            (seen.serial, seen.grant) = (serial, *grant);
            seen.records.clear();
            seen.closed = false;
        }
        // What was seen is still there, and the same.
        let here: BTreeMap<i64, [u8; 32]> = judged.opened.iter().map(|o| (o.number, o.digest)).collect();
        if seen.records.iter().any(|(number, digest)| here.get(number) != Some(digest)) {
            return Err(Shut::Replaced);
        }
        seen.records = here;
        seen.at_s = seen.at_s.max(now_s);
        seen.closed |= judged.is_closed;
        Ok(seen.closed)
    }
}
