//! Back-Channel Logout 1.0: every client that got something in a session is told when it ends.
//!
//! What is owed stands in the store, written by the commit that ended the session; so a crash
//! forgets nothing. Two nodes may tell a client twice, which it must take (§2.6: a repeated log-out
//! is no error); only one of them writes it down.

use super::{egress, jwt};
use crate::app::{App, Fault};
use crate::jobs::rounds;
use countersign_store::sql::OwedLogout;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::Refusal;
use countersign_wire::b64;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use url::Url;

/// A client has this long to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Waits before the next try, seconds; after the last one it is given up.
const WAITS_S: [i64; 6] = [1, 5, 30, 120, 600, 3600];

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
        Ok(egress::went(sent).because().map_or(Ok(()), Err))
    }
}

impl rounds::Courier for Courier {
    type Owed = OwedLogout;
    const WHAT: &'static str = "log-outs";

    fn woken(app: &App) -> &Notify {
        &app.owed
    }
    async fn due(app: &App, limit: i64) -> Result<Vec<OwedLogout>, StoreError> {
        app.store.logouts_due(app.now(), limit).await
    }
    fn name(owed: &OwedLogout) -> String {
        owed.id.to_string()
    }
    async fn bring(&self, app: &App, owed: OwedLogout) -> Result<(), Fault> {
        let outcome = self.tell(app, &owed).await?;
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
        commit.write(Write::logout_tried(&owed, state, next));
        app.commit(commit).await?;
        Ok(())
    }
}

/// The job; see [`rounds::run`].
pub async fn run(app: Arc<App>, stopped: watch::Receiver<bool>) {
    match Courier::new(&app) {
        Ok(courier) => rounds::run(app, courier, stopped).await,
        Err(fault) => tracing::error!(because = fault.because, "log-outs cannot be delivered"),
    }
}
