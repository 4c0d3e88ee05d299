//! Events that we fetch from others (RFC 8936). What was taken is acknowledged with the next request, what
//! is not taken is said with its code; after a crash both come again, and the names say so.

use super::hear::{self, Unheard};
use crate::app::{App, Context};
use crate::config::Transmitter;
use crate::oidc::egress;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// A transmitter may let a request wait for this long.
const ANSWER: Duration = Duration::from_secs(40);
/// Longest answer, bytes.
const ANSWER_BYTES: usize = 1_024 * 1_024;
/// Events of one request.
const EVENTS: usize = 50;
/// Between requests where nothing came, and after the first failure; the last again and again.
const PAUSE: Duration = Duration::from_secs(1);
const WAITS_S: [u64; 5] = [1, 5, 15, 60, 300];

/// What goes along with the next request.
#[derive(Default)]
struct Owed {
    ack: Vec<String>,
    errs: Map<String, Value>,
}

/// The job: fetches from one transmitter until told to stop.
pub async fn run(app: Arc<App>, from: Transmitter, mut stopped: watch::Receiver<bool>) {
    let (mut owed, mut tries) = (Owed::default(), 0);
    loop {
        let wait = tokio::select! {
            done = round(&app, &from, &mut owed) => match done {
                Ok(true) => { tries = 0; Duration::ZERO }
                Ok(false) => { tries = 0; PAUSE }
                Err(because) => {
                    if tries == 0 {
                        tracing::warn!(transmitter = from.id, because, "events cannot be fetched");
                    }
                    let wait = WAITS_S.get(tries).or(WAITS_S.last()).copied().unwrap_or(1);
                    tries += 1;
                    Duration::from_secs(wait)
                }
            },
            _ = stopped.wait_for(|s| *s) => return,
        };
        tokio::select! {
            _ = stopped.wait_for(|s| *s) => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One request; whether there may be more at once.
async fn round(app: &App, from: &Transmitter, owed: &mut Owed) -> Result<bool, &'static str> {
    let (client, reach) = egress::client(app, from.allow_private_network, ANSWER).map_err(|_| "no HTTP client")?;
    let address = from.poll_endpoint.as_deref().unwrap_or_default();
    let url = Url::parse(address).ok().filter(|u| egress::may_call(u, reach)).ok_or("an address that may not be called")?;
    let asked = json!({"maxEvents": EVENTS, "returnImmediately": false, "ack": owed.ack, "setErrs": owed.errs});
    let mut request = client.post(url).header("accept", "application/json").json(&asked);
    if let Some(file) = &from.poll_token_file {
        let token = tokio::fs::read_to_string(file).await.map_err(|_| "the token file cannot be read")?;
        request = request.bearer_auth(token.trim());
    }
    let answer = request.send().await.map_err(|_| "it cannot be reached")?;
    if !answer.status().is_success() {
        return Err("it refuses");
    }
    let body = egress::body(answer, ANSWER_BYTES).await?;
    let told: Value = serde_json::from_slice(&body).map_err(|_| "an answer that cannot be read")?;
    *owed = Owed::default();
    let none = Map::new();
    let sets = told.get("sets").and_then(Value::as_object).unwrap_or(&none);
    for (jti, text) in sets.iter().take(EVENTS) {
        let ctx = Context::new(app, IpAddr::V4(Ipv4Addr::LOCALHOST), "poll".to_owned());
        ctx.known_as("transmitter", &from.id);
        match hear::hear(app, &ctx, from, text.as_str().unwrap_or_default()).await {
            Ok(()) => owed.ack.push(jti.clone()),
            Err(Unheard::Deaf(no)) => {
                owed.errs.insert(jti.clone(), json!({"err": no.err, "description": no.because}));
            }
            // It comes again.
            Err(Unheard::Fault(_)) => return Err("an event could not be judged now"),
        }
    }
    Ok(!sets.is_empty())
}
