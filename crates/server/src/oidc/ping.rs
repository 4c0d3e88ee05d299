//! Ping (CIBA Core 1.0 §10.2): a client that is registered so is told that there is something to collect, and
//! nothing of what it is. It comes to the token endpoint with its own authentication and key all the same.
//!
//! 1. The address is the operator's: what is registered at that moment counts, and is called as log-outs are.
//! 2. The word by which the client knows us, and the id that it was told, stand sealed in the ceremony.
//! 3. A few tries, all within the minute that an approval waits. Redirects are not followed.

use super::egress::{self, Reach, Went};
use crate::app::{App, Fault};
use countersign_trust::ceremony::State;
use countersign_trust::{Refusal, limits};
use countersign_wire::{CeremonyId, Secret, b64};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// What it is sealed for.
const SEALED: &str = "ciba-ping";
/// A client has this long to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Waits before each try, seconds.
const WAITS_S: [u64; 4] = [0, 1, 5, 15];
/// Shortest and longest word of a client: 128 bits in base64url; §7.1.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 22..=1_024;

/// Whether a word has the form of one (RFC 6750 §2.1).
pub fn is_token(text: &str) -> bool {
    let core = text.trim_end_matches('=');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    TOKEN_BYTES.contains(&text.len()) && !core.is_empty() && core.bytes().all(plain)
}

/// What a client will be told with, for its ceremony alone.
pub fn sealed(app: &App, id: &CeremonyId, token: &str, auth_req_id: &str) -> Result<String, Fault> {
    let plain = Secret::new(format!("{token}\n{auth_req_id}").into_bytes());
    let sealed = app.keys.seal_for(id.as_str(), SEALED, &plain);
    sealed.map(|bytes| b64::encode(&bytes)).map_err(|_| Fault::because(Refusal::Unavailable, "sealing"))
}

/// One try; it is taken where there is nothing to tell.
async fn tell(app: &App, http: &reqwest::Client, reach: Reach, id: &CeremonyId) -> Result<Went, Fault> {
    let Some(c) = app.store.ceremony(id).await? else { return Ok(Went::Taken) };
    let sealed = c.opening.collects.as_ref().and_then(|c| c.ping.as_deref());
    let (Some(sealed), State::Approved(_) | State::Ended(_)) = (sealed, &c.state) else { return Ok(Went::Taken) };
    let Some(stored) = app.client(&c.opening.asker.id).await? else { return Ok(Went::Taken) };
    let client = stored.client;
    let Some(to) = client.ciba.filter(|_| !client.disabled).and_then(|c| c.notification_endpoint) else { return Ok(Went::Taken) };
    let url = match Url::parse(&to) {
        Ok(url) if egress::may_call(&url, reach) => url,
        _ => return Ok(Went::Never("an address that may not be called")),
    };
    let opened = b64::decode(sealed).ok().and_then(|bytes| app.keys.open_for(id.as_str(), SEALED, &bytes).ok());
    let text = opened.as_ref().and_then(|plain| std::str::from_utf8(plain.expose()).ok());
    let Some((token, auth_req_id)) = text.and_then(|t| t.split_once('\n')) else {
        return Ok(Went::Never("what it is told with does not open"));
    };
    let body = json!({ "auth_req_id": auth_req_id }).to_string();
    let sent = http.post(url).bearer_auth(token).header("content-type", "application/json").body(body).send().await;
    Ok(egress::went(sent))
}

async fn deliver(app: Arc<App>, http: reqwest::Client, reach: Reach, id: CeremonyId) {
    let mut why = "";
    for wait in WAITS_S {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        match tell(&app, &http, reach, &id).await {
            Ok(Went::Taken) => return,
            Ok(Went::NotYet(because)) => why = because,
            Ok(never) => {
                why = never.because().unwrap_or_default();
                break;
            }
            Err(fault) => why = fault.because,
        }
    }
    metrics::counter!("countersign_pings_failed_total").increment(1);
    tracing::warn!(ceremony = id.as_str(), because = why, "a client was not told that it may collect");
}

/// The job: ends when told to stop.
pub async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let Ok((http, reach)) = egress::client(&app, true, ANSWER) else {
        tracing::error!("clients cannot be told that they may collect");
        return;
    };
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|s| *s) => return,
            () = app.pings.called.notified() => {}
            Some(_) = under_way.join_next() => continue,
        }
        for id in app.pings.take() {
            if under_way.len() < limits::PINGS_AT_ONCE {
                under_way.spawn(deliver(app.clone(), http.clone(), reach, id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_token;

    #[test]
    fn a_word_is_long_enough_and_reaches_a_header_as_it_is() {
        assert!(is_token("8d67dc78-7faa-4d41-aabd-67707b374255") && is_token(&"a".repeat(1_024)));
        for bad in ["", "short", "======================", "a b".repeat(20).as_str(), "a\r\nhost: b aaaaaaaaaaaaaaaaa", &"a".repeat(1_025)] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
