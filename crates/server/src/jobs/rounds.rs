//! What is owed to somebody outside stands in the store until they were told, so a crash forgets nothing. Each try goes by
//! itself: whoever is slow, or away, holds up nobody else.

use crate::app::{App, Fault};
use countersign_store::StoreError;
use countersign_trust::limits::TOLD_AT_ONCE;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

/// How often the store is asked although nobody woke us: another node may have written it down.
const TICK: Duration = Duration::from_secs(1);
/// Read at a time: twice what may be under way, since that may stand first until it is done.
const DUE: i64 = 256;

/// Who brings it.
pub trait Courier: Sync {
    /// One thing that is owed.
    type Owed: Send;
    /// What is brought, for the log.
    const WHAT: &'static str;
    /// Wakes the job.
    fn woken(app: &App) -> &Notify;
    /// What is due, the longest first.
    fn due(app: &App, limit: i64) -> impl Future<Output = Result<Vec<Self::Owed>, StoreError>> + Send;
    /// Its name in the store.
    fn name(owed: &Self::Owed) -> String;
    /// One try, written down.
    fn bring(&self, app: &App, owed: Self::Owed) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// The job: at once when something is owed, and by the clock. Ends when told to stop, after what is under way.
pub async fn run<C: Courier>(app: Arc<App>, courier: C, mut stopped: watch::Receiver<bool>) {
    let (app, courier) = (&*app, &courier);
    let (mut under_way, mut names, mut more) = (FuturesUnordered::new(), HashSet::new(), false);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|s| *s) => break,
            () = C::woken(app).notified() => {}
            _ = tick.tick() => {}
            Some((name, done)) = under_way.next() => {
                names.remove(&name);
                // Where there was no room for everything, the rest comes as soon as there is some.
                more &= done;
                if !more || names.len() > TOLD_AT_ONCE / 2 {
                    continue;
                }
            }
        }
        let due = C::due(app, DUE).await.unwrap_or_else(|error| {
            tracing::warn!(%error, what = C::WHAT, "what is owed cannot be read");
            Vec::new()
        });
        more = due.len() > TOLD_AT_ONCE;
        for owed in due {
            let name = C::name(&owed);
            if names.len() < TOLD_AT_ONCE && names.insert(name.clone()) {
                under_way.push(async move { (name, brought(app, courier, owed).await) });
            }
        }
    }
    while under_way.next().await.is_some() {}
}

async fn brought<C: Courier>(app: &App, courier: &C, owed: C::Owed) -> bool {
    match courier.bring(app, owed).await {
        // Another node wrote it down first.
        Ok(()) | Err(Fault { store: Some(StoreError::Conflict), .. }) => true,
        Err(fault) => {
            tracing::warn!(because = fault.because, what = C::WHAT, "a try could not be written down");
            false
        }
    }
}
