//! What every change of a stream goes through: judged on fresh facts, committed with its record, and told
//! to whatever works on streams.

use super::answer::No;
use crate::app::{App, Fault};
use countersign_store::sql::StoredStream;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::shared::stream::Stream;
use countersign_trust::{Refusal, limits};
use countersign_wire::{Time, TxnId};

/// An event about a stream.
pub fn event(app: &App, kind: Kind, stream: &Stream, txn: &TxnId, now: Time) -> Event {
    let event = app.event(kind, txn, now).fact("stream", stream.id.as_str());
    event.fact("receiver", stream.receiver.as_str())
}

/// Keeps a change of a stream; whoever pushes or waits for it looks again.
pub async fn keep(app: &App, commit: Commit) -> Result<(), Fault> {
    app.commit(commit).await?;
    app.signals.was_set();
    Ok(())
}

/// Sets a stream to what `change` makes of it, until nobody comes between. Answers the stream as it is
/// then.
pub async fn set<F, Fut, C>(app: &App, load: F, what: &'static str, txn: &TxnId, change: C) -> Result<Stream, No>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<StoredStream, No>>,
    C: Fn(&StoredStream, Time) -> Result<(Stream, Vec<u8>), No>,
{
    for _ in 0..limits::RACES {
        let old = load().await?;
        let now = app.now();
        let (new, sealed) = change(&old, now)?;
        let record = event(app, Kind::StreamChanged, &new, txn, now).fact("what", what).fact("status", new.status.as_str());
        let mut commit = Commit::new(record);
        commit.write(Write::stream_set(&old.stream, &new, &sealed));
        match keep(app, commit).await {
            Ok(()) => return Ok(Stream { version: old.stream.version + 1, ..new }),
            Err(Fault { store: Some(StoreError::Conflict | StoreError::Late), .. }) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(Fault::from(Refusal::Unavailable).into())
}
