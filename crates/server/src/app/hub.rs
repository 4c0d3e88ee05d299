//! Pages that wait for a ceremony or watch their session, on this node. A page that is gone without a word is noticed.

use countersign_trust::limits;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Waiting pages by what they wait for.
pub struct Hub<K>(Arc<Mutex<Pages<K>>>);

impl<K> Clone for Hub<K> {
    fn clone(&self) -> Self {
        Hub(self.0.clone())
    }
}

impl<K> Default for Hub<K> {
    fn default() -> Self {
        Hub(Arc::new(Mutex::new(Pages { by: HashMap::new(), waiting: 0 })))
    }
}

struct Pages<K> {
    by: HashMap<K, Entry>,
    /// Streams and polls of all of them.
    waiting: usize,
}

struct Entry {
    wake: watch::Sender<u64>,
    watchers: usize,
    /// Counts every sign of life, so that a timer can tell whether there was one since.
    seen: u64,
}

/// One page's wait; dropping it says that the page let go.
pub struct Wait<K: Clone + Eq + Hash> {
    hub: Hub<K>,
    id: K,
    changed: watch::Receiver<u64>,
}

impl<K: Clone + Eq + Hash> Hub<K> {
    fn pages(&self) -> MutexGuard<'_, Pages<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// How many streams and polls wait on this node.
    pub fn len(&self) -> usize {
        self.pages().waiting
    }
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Begins to wait; subscribe before loading the state, so that no change is missed. `None` where
    /// this node, or this one, is waited for by as many as may be.
    pub fn wait(&self, id: &K) -> Option<Wait<K>> {
        let mut pages = self.pages();
        let each = pages.by.get(id).map_or(0, |e| e.watchers);
        if pages.waiting >= limits::WAITERS || each >= limits::WAITERS_EACH {
            return None;
        }
        pages.waiting += 1;
        let entry = pages.by.entry(id.clone()).or_insert_with(|| Entry {
            wake: watch::channel(0).0,
            watchers: 0,
            seen: 0,
        });
        entry.watchers += 1;
        entry.seen += 1;
        Some(Wait { hub: self.clone(), id: id.clone(), changed: entry.wake.subscribe() })
    }
    /// Something changed.
    pub fn wake(&self, id: &K) {
        if let Some(entry) = self.pages().by.get(id) {
            entry.wake.send_modify(|n| *n += 1);
        }
    }
    /// Everybody looks again: after a gap nobody knows what was missed.
    pub fn wake_all(&self) {
        for entry in self.pages().by.values() {
            entry.wake.send_modify(|n| *n += 1);
        }
    }
    /// How much life was seen of a page, and whether it waits now.
    pub fn life(&self, id: &K) -> Option<(u64, bool)> {
        self.pages().by.get(id).map(|e| (e.seen, e.watchers > 0))
    }
    /// Nobody waits any more.
    pub fn forget(&self, id: &K) {
        let mut pages = self.pages();
        if pages.by.get(id).is_some_and(|e| e.watchers == 0) {
            pages.by.remove(id);
        }
    }
}

impl<K: Clone + Eq + Hash> Wait<K> {
    /// Waits for the next change.
    pub async fn changed(&mut self) {
        // The sender lives as long as the entry; if it is gone, looking again is right as well.
        let _ = self.changed.changed().await;
    }
}

impl<K: Clone + Eq + Hash> Drop for Wait<K> {
    fn drop(&mut self) {
        let mut pages = self.hub.pages();
        pages.waiting = pages.waiting.saturating_sub(1);
        if let Some(entry) = pages.by.get_mut(&self.id) {
            entry.watchers = entry.watchers.saturating_sub(1);
        }
    }
}
