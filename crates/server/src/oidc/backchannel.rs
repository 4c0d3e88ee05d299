//! Back-Channel Logout 1.0: every client that got something in a session is told when it ends.
//!
//! What is owed stands in the store, written by the commit that ended the session; so a crash
//! forgets nothing. Two nodes may tell a client twice, which it must take (§2.6: a repeated log-out
//! is no error); only one of them writes it down.

use super::{egress, jwt};
use crate::app::{App, Fault};
use countersign_store::sql::OwedLogout;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::{Refusal, limits};
use countersign_wire::b64;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use url::Url;

/// A client has this long to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the store is asked although nobody woke us: another node may have ended a session.
const TICK: Duration = Duration::from_secs(1);
/// Waits before the next try, seconds; after the last one it is given up.
const WAITS_S: [i64; 6] = [1, 5, 30, 120, 600, 3600];
/// Deliveries of one round that run at the same time.
const AT_ONCE: usize = 16;

/// What delivers.
pub struct Courier {
    http: reqwest::Client,
    reach: egress::Reach,
}

impl Courier {
    /// For this configuration: this machine is reached only if the issuer is on it too, or the
    /// operator said so.
    pub fn new(app: &App) -> Result<Courier, Fault> {
        let made = egress::client(app, true, ANSWER);
        let (http, reach) = made.map_err(|_| Fault::because(Refusal::Unavailable, "no HTTP client"))?;
        Ok(Courier { http, reach })
    }

    /// One round: tries everything that is due. Answers how many were due.
    pub async fn round(&self, app: &App) -> Result<usize, Fault> {
        let due = app.store.logouts_due(app.now(), limits::LIST).await?;
        for some in due.chunks(AT_ONCE) {
            let tries = some.iter().map(|owed| self.deliver(app, owed));
            for done in futures_util::future::join_all(tries).await {
                match done {
                    // Another node wrote it down first.
                    Ok(()) | Err(Fault { store: Some(StoreError::Conflict), .. }) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(due.len())
    }

    async fn deliver(&self, app: &App, owed: &OwedLogout) -> Result<(), Fault> {
        let outcome = self.tell(app, owed).await?;
        let now = app.now();
        let wait = usize::try_from(owed.tries).ok().and_then(|n| WAITS_S.get(n));
        let (kind, state, next) = match (&outcome, wait) {
            (Ok(()), _) => (Kind::LogoutDelivered, "done", now),
            (Err(_), Some(wait_s)) => (Kind::LogoutFailed, "owed", now.plus_s(*wait_s)),
            (Err(_), None) => (Kind::LogoutFailed, "failed", now),
        };
        let mut event = app.session_event(kind, &owed.txn, &owed.session, now).fact("tries", owed.tries + 1);
        if let Err(why) = outcome {
            event = event.fact("because", why).fact("given_up", state == "failed");
        }
        event.person = Some(owed.person.clone());
        event.client = Some(owed.client.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::logout_tried(owed, state, next));
        app.commit(commit).await?;
        Ok(())
    }

    /// Sends one log-out token; the inner fault is a word for the log.
    async fn tell(&self, app: &App, owed: &OwedLogout) -> Result<Result<(), &'static str>, Fault> {
        let Some(stored) = app.client(&owed.client).await? else { return Ok(Err("the client is gone")) };
        let Some(uri) = &stored.client.backchannel_logout_uri else { return Ok(Err("the client has no address")) };
        let url = match Url::parse(uri) {
            Ok(url) if egress::may_call(&url, self.reach) => url,
            _ => return Ok(Err("an address that may not be called")),
        };
        let jti = b64::encode(&app.random::<16>());
        let (client, person, session) = (owed.client.as_str(), owed.person.as_str(), owed.session.as_str());
        let claims = jwt::logout(&app.config.issuer, client, person, session, &jti, app.now());
        let token = jwt::sign(app, stored.client.id_token_alg, jwt::LOGOUT, &claims).await?;
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        let sent = self
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await;
        Ok(match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) if answer.status().is_redirection() => Err("the client redirects"),
            Ok(_) => Err("the client refuses"),
            Err(e) if e.is_timeout() => Err("no answer in time"),
            Err(_) => Err("the client cannot be reached"),
        })
    }
}

/// The job: at once when something is owed, and by the clock. Ends when told to stop.
pub async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let courier = match Courier::new(&app) {
        Ok(courier) => courier,
        Err(fault) => {
            tracing::error!(because = fault.because, "log-outs cannot be delivered");
            return;
        }
    };
    loop {
        tokio::select! {
            _ = stopped.wait_for(|s| *s) => return,
            () = app.owed.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(fault) = courier.round(&app).await {
            tracing::warn!(because = fault.because, "a round of log-outs failed");
        }
    }
}
