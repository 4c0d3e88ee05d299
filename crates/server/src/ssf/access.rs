//! Which receiver calls, and whether it may (SSF 1.0 §8.1; CAEP Interoperability Profile 1.0 §2.7).

use super::answer::No;
use crate::app::{App, nonces};
use crate::config::Receiver;
use crate::http::request::Incoming;
use crate::oidc::access::WorkloadAccess;
use crate::oidc::userinfo;
use axum::http::header;
use countersign_store::sql::StoredStream;
use countersign_trust::Refusal;
use countersign_wire::secret::same;
use countersign_wire::{StreamId, b64, mac};

/// Reads streams.
pub const READ: &str = "ssf.read";
/// Reads and sets them, and takes events.
pub const MANAGE: &str = "ssf.manage";

/// The receiver that calls, if its token allows `scope`: the workload of its name with an access token of ours
/// (RFC 6749 §4.4), or whoever has its registered one. A token counts in the header alone, never in the
/// address (RFC 6750 §2.3).
pub async fn receiver<'a>(app: &'a App, r: &Incoming, scope: &'static str) -> Result<&'a Receiver, No> {
    app.in_order()?;
    let mut lines = r.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(No::stranger("not one Authorization header")) };
    let line = line.to_str().map_err(|_| No::stranger("a token that is not text"))?;
    let (scheme, token) = line.split_once(' ').map(|(s, t)| (s, t.trim())).unwrap_or_default();
    let bound = scheme.eq_ignore_ascii_case("dpop");
    if token.is_empty() || !(bound || scheme.eq_ignore_ascii_case("bearer")) {
        return Err(No::stranger("no access token"));
    }
    let receiver = match WorkloadAccess::read(app, token) {
        Some(access) => by_workload(app, r, &access, (token, bound), scope).await?,
        None if bound => return Err(No::stranger("not the token of a workload")),
        None => by_digest(app, token).ok_or(No::stranger("a token of nobody"))?,
    };
    r.ctx.known_as("receiver", receiver.id.as_str());
    Ok(receiver)
}

/// By an access token for this server, shown as it is bound, and judged by the gate at this moment.
async fn by_workload<'a>(app: &'a App, r: &Incoming, access: &WorkloadAccess, (token, bound): (&str, bool), scope: &str) -> Result<&'a Receiver, No> {
    if !access.is_for(&app.config.issuer) {
        return Err(No::stranger("a token for somebody else"));
    }
    let (method, url) = r.asked(app);
    let proof = match (&access.claims.cnf, bound) {
        (Some(key), true) => Some(userinfo::prove(r, &key.jkt, method, &url, token, None)?),
        (None, false) => None,
        _ => return Err(No::stranger("a token shown in another way than it is bound")),
    };
    match access.permit(app, r.ctx.now).await {
        Ok(_) => {}
        Err(fault) if fault.store.is_some() || matches!(fault.refusal, Refusal::Unavailable | Refusal::Clock) => return Err(fault.into()),
        Err(_) => return Err(No::stranger("a token that does not count any more")),
    }
    if let Some(proof) = proof {
        userinfo::nonced(app, r, &proof, true).await.map_err(|no| No::from(no).with_nonce(nonces::give(app, &proof.jkt)))?;
    }
    let receiver = app.config.signals.receiver(&access.claims.client_id).ok_or(No::stranger("a workload that is no receiver"))?;
    if access.has(scope) || access.has(MANAGE) { Ok(receiver) } else { Err(No::poor()) }
}

/// By a registered token. Every receiver is compared, so that time tells nothing about their order.
fn by_digest<'a>(app: &'a App, token: &str) -> Option<&'a Receiver> {
    let digest = b64::encode(&mac::h(token.as_bytes()));
    let mut found = None;
    for one in &app.config.signals.receivers {
        let known = one.danger_token_hash.as_deref().unwrap_or_default();
        if same(known.as_bytes(), digest.as_bytes()) {
            found = Some(one);
        }
    }
    found
}

/// A stream of this receiver.
pub async fn stream(app: &App, receiver: &Receiver, id: Option<&str>) -> Result<StoredStream, No> {
    let id: StreamId = id.ok_or(No::malformed("stream_id is missing"))?.parse().map_err(|_| No::unknown())?;
    let found = app.store.stream(&id).await?;
    found.filter(|s| s.stream.receiver == receiver.id).ok_or(No::unknown())
}
