//! The server's key set: kept for an hour, fetched again for a key that is not known, and not more often
//! than every ten seconds, whatever callers show.

use countersign_wire::Time;
use countersign_wire::jose::{Jwk, Keys as Published};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// A copy of the set is good for so long, seconds; the server announces a new key a day ahead.
const KEEP_S: i64 = 3600;
/// Between two fetches, at least, seconds.
const PAUSE_S: i64 = 10;
/// Longest key set, bytes.
const BYTES: usize = 256 * 1024;

#[derive(Clone, Default)]
struct Set {
    keys: Arc<Published>,
    at: Option<Time>,
    tried: Option<Time>,
}

/// The server's signing keys.
pub(crate) struct Keys {
    fetch: reqwest::Client,
    url: String,
    set: RwLock<Set>,
    turn: Mutex<()>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The server has none of that name.
    Unknown,
    /// The server did not answer, and there is no copy that is good.
    Unavailable,
}

impl Keys {
    pub(crate) fn new(fetch: reqwest::Client, url: String) -> Keys {
        Keys { fetch, url, set: RwLock::default(), turn: Mutex::new(()) }
    }

    fn known(&self) -> Set {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key of that name.
    pub(crate) async fn find(&self, kid: &str, now: Time) -> Result<Jwk, NoKey> {
        let within = |since: Option<Time>, s: i64| since.is_some_and(|at| (0..s).contains(&(now.seconds() - at.seconds())));
        let found = |set: &Set| set.keys.find(kid).cloned();
        let set = self.known();
        if let (Some(key), true) = (found(&set), within(set.at, KEEP_S)) {
            return Ok(key);
        }
        let _turn = self.turn.lock().await;
        let set = self.known();
        if let (Some(key), true) = (found(&set), within(set.at, KEEP_S)) {
            return Ok(key);
        }
        if !within(set.tried, PAUSE_S) {
            let fresh = self.read().await;
            let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
            set.tried = Some(now);
            if let Some(keys) = fresh {
                (set.keys, set.at) = (Arc::new(keys), Some(now));
            }
        }
        let set = self.known();
        match found(&set).filter(|_| within(set.at, KEEP_S)) {
            Some(key) => Ok(key),
            None if within(set.at, KEEP_S) => Err(NoKey::Unknown),
            None => Err(NoKey::Unavailable),
        }
    }

    async fn read(&self) -> Option<Published> {
        let bytes = self.fetch.get(&self.url).send().await.ok()?.error_for_status().ok()?.bytes().await.ok()?;
        let set: Value = serde_json::from_slice(bytes.get(..bytes.len().min(BYTES))?).ok()?;
        set.get("keys")?.as_array()?;
        Some(Published::of(&set))
    }
}
