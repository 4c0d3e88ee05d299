//! Watching a ceremony: events while they come, long polls when they do not.

use super::{Ceremony, Terminal};
use crate::http::{Call, EventStream};
use crate::Fault;
use countersign_wire::message::StateView;
use std::time::Duration;

/// Tries in a row without an answer before giving up.
const TRIES: u32 = 10;
/// Between two tries, milliseconds.
const PAUSE_MS: u64 = 1_000;

/// A running watch. [`Watch::next`] may be dropped half way and called again.
pub struct Watch<'a> {
    terminal: &'a Terminal,
    ceremony: &'a Ceremony,
    stream: Option<EventStream>,
    streamed: bool,
    last: Option<String>,
    failed: u32,
}

impl<'a> Watch<'a> {
    pub(super) fn new(terminal: &'a Terminal, ceremony: &'a Ceremony) -> Watch<'a> {
        Watch { terminal, ceremony, stream: None, streamed: false, last: None, failed: 0 }
    }

    /// The next state the server tells, repeated ones included.
    pub async fn next(&mut self) -> Result<StateView, Fault> {
        loop {
            match self.try_next().await {
                Ok(Some(view)) => {
                    self.failed = 0;
                    self.last = Some(view.state.clone());
                    self.ceremony.hear(view.t_ms);
                    return Ok(view);
                }
                Ok(None) => self.stream = None,
                Err(Fault::Unreachable(why)) => {
                    self.stream = None;
                    self.failed += 1;
                    if self.failed >= TRIES {
                        return Err(Fault::Unreachable(why));
                    }
                    tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Waits for one of `states`, or for the end.
    pub async fn until(&mut self, states: &[&str]) -> Result<StateView, Fault> {
        loop {
            let view = self.next().await?;
            if states.contains(&view.state.as_str()) || is_final(&view.state) {
                return Ok(view);
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<StateView>, Fault> {
        // A stream that broke once is not asked for again: something on the way eats streams.
        if self.stream.is_none() && !self.streamed {
            self.streamed = true;
            let url = self.terminal.ceremony_url(self.ceremony, "/events")?;
            let call = self.terminal.watching(self.ceremony, Call::fetch(url).with("accept", "text/event-stream"));
            self.stream = Some(self.terminal.http.events(&call).await?);
        }
        match &mut self.stream {
            Some(stream) => {
                let Some(data) = stream.next("state").await? else { return Ok(None) };
                serde_json::from_str(&data)
                    .map(Some)
                    .map_err(|_| Fault::Unreachable("the server sent a strange event".into()))
            }
            None => self.terminal.state(self.ceremony, self.last.as_deref()).await.map(Some),
        }
    }
}

/// Whether nothing follows `state`.
pub fn is_final(state: &str) -> bool {
    matches!(state, "redeemed" | "refused" | "expired" | "abandoned" | "revoked")
}
