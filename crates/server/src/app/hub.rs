//! Pages that wait for a ceremony, on this node. A page that is gone without a word is noticed.

use countersign_trust::limits;
use countersign_wire::CeremonyId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Waiting pages by ceremony.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    by: HashMap<CeremonyId, Entry>,
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
pub struct Wait {
    hub: Hub,
    cid: CeremonyId,
    changed: watch::Receiver<u64>,
}

impl Hub {
    fn pages(&self) -> MutexGuard<'_, Pages> {
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
    /// this node, or this ceremony, is waited for by as many as may be.
    pub fn wait(&self, cid: &CeremonyId) -> Option<Wait> {
        let mut pages = self.pages();
        let each = pages.by.get(cid).map_or(0, |e| e.watchers);
        if pages.waiting >= limits::WAITERS || each >= limits::WAITERS_EACH {
            return None;
        }
        pages.waiting += 1;
        let entry = pages.by.entry(cid.clone()).or_insert_with(|| Entry {
            wake: watch::channel(0).0,
            watchers: 0,
            seen: 0,
        });
        entry.watchers += 1;
        entry.seen += 1;
        Some(Wait { hub: self.clone(), cid: cid.clone(), changed: entry.wake.subscribe() })
    }
    /// Something changed.
    pub fn wake(&self, cid: &CeremonyId) {
        if let Some(entry) = self.pages().by.get(cid) {
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
    pub fn life(&self, cid: &CeremonyId) -> Option<(u64, bool)> {
        self.pages().by.get(cid).map(|e| (e.seen, e.watchers > 0))
    }
    /// Nobody waits any more.
    pub fn forget(&self, cid: &CeremonyId) {
        let mut pages = self.pages();
        if pages.by.get(cid).is_some_and(|e| e.watchers == 0) {
            pages.by.remove(cid);
        }
    }
}

impl Wait {
    /// Waits for the next change.
    pub async fn changed(&mut self) {
        // The sender lives as long as the entry; if it is gone, looking again is right as well.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut pages = self.hub.pages();
        pages.waiting = pages.waiting.saturating_sub(1);
        if let Some(entry) = pages.by.get_mut(&self.cid) {
            entry.watchers = entry.watchers.saturating_sub(1);
        }
    }
}
