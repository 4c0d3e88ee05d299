//! Waiting for what comes by itself. A busy machine is late; what never comes fails the test, with words.
#![allow(clippy::panic)]

use std::time::{Duration, Instant};

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until there is something; `what` says what was missed.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so much came.
pub(super) async fn so_much<T>(what: &str, count: usize, came: impl Fn() -> Vec<T>) -> Vec<T> {
    until(&format!("{count} {what}"), async || Some(came()).filter(|all| all.len() >= count)).await
}
