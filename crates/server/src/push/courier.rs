//! Brings phones the word that something waits. What is owed stands in the store, so a crash forgets nothing; a node takes a try
//! before it makes it, so no other makes the same. A push service that is slow, or away, holds up nobody's request: the page
//! shows it without any of this.

use super::{SEALED, event, reach};
use crate::app::ceremony::{is_stopped, silent};
use crate::app::{App, Fault};
use crate::config::Push;
use crate::jobs::rounds;
use crate::oidc::egress::{self, Went};
use countersign_store::sql::{OwedPush, Subscription};
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::{Ceremony, State};
use countersign_trust::principal::PersonState;
use countersign_trust::Refusal;
use countersign_wire::message::Subscribe;
use countersign_wire::webpush::{self, Subscriber};
use countersign_wire::{DeviceId, PersonId, Time};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A push service has this long to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// From each try to the next, seconds: longer than an answer takes. Without a further one, it is given up.
const WAITS_S: [i64; 5] = [8, 15, 45, 90, 90];
/// All that is said.
const WORDS: &[u8] = b"{\"waits\":true}";
/// What every message looks as long as, bytes: so that another word, one day, looks no different.
const LENGTH: usize = 64;
/// One word that was not delivered yet replaces another (RFC 8030 §5.4).
const TOPIC: &str = "waits";

/// What sends.
pub struct Courier {
    http: reqwest::Client,
    push: Push,
}

/// Whom a request rings for.
enum Rings {
    Nobody,
    /// Their phones, but not for this client now.
    Quietly(PersonId),
    /// Their phones, for so many seconds.
    For(PersonId, i64),
}

async fn rings(app: &App, c: &Ceremony, now: Time) -> Result<Rings, Fault> {
    let left_s = c.deadline().map_or(0, |end| now.ms_until(end)) / 1_000;
    let waits = c.opening.push && matches!(c.state, State::Opened(_)) && left_s > 0;
    let Some(person) = c.opening.offered.clone().filter(|_| waits) else { return Ok(Rings::Nobody) };
    let active = app.store.person(&person).await?.is_some_and(|p| p.state == PersonState::Active);
    if !active || is_stopped(app, c, &person, now).await? {
        return Ok(Rings::Nobody);
    }
    Ok(if silent(app, &person, &c.opening.asker.id, now).await? { Rings::Quietly(person) } else { Rings::For(person, left_s) })
}

fn counted(outcome: &'static str) {
    metrics::counter!("countersign_pushes_total", "outcome" => outcome).increment(1);
}

impl Courier {
    /// For this configuration; `None` where nobody is told anything.
    pub fn new(app: &App) -> Result<Option<Courier>, Fault> {
        let Some(push) = app.config.push.clone() else { return Ok(None) };
        let made = egress::client(app, reach(app).private, ANSWER);
        let (http, _) = made.map_err(|_| Fault::because(Refusal::Unavailable, "no HTTP client"))?;
        Ok(Some(Courier { http, push }))
    }

    async fn record(&self, app: &App, c: &Ceremony, person: &PersonId, kind: Kind, with: impl FnOnce(Event) -> Event) -> Result<(), Fault> {
        let mut event = with(app.event(kind, &c.opening.txn, app.now()));
        event.ceremony = Some(c.opening.id.clone());
        event.client = Some(c.opening.asker.id.clone());
        event.person = Some(person.clone());
        app.commit(Commit::new(event)).await?;
        Ok(())
    }

    /// A phone's browser unsubscribed without a word. What it gave meanwhile, if anything, stays.
    async fn gone(&self, app: &App, s: &Subscription) -> Result<(), Fault> {
        counted("gone");
        let Some(stored) = app.store.device(&s.device).await? else { return Ok(()) };
        let now = app.now();
        let mut commit = Commit::new(event(app, Kind::PushOff, &stored.device, &app.txn(now), now).fact("why", "gone"));
        commit.write(Write::push_gone(s));
        match app.commit(commit).await {
            Err(StoreError::Conflict) => Ok(()),
            done => Ok(done.map(|_| ())?),
        }
    }

    async fn tell(&self, app: &App, s: &Subscription, left_s: i64, now: Time) -> Went {
        let opened = app.keys.open_for(s.device.as_str(), SEALED, &s.sealed).ok();
        let Some(given) = opened.and_then(|plain| serde_json::from_slice::<Subscribe>(plain.expose()).ok()) else {
            return Went::Never("what its browser gave does not open");
        };
        // What was listed when it subscribed must be listed still.
        let Some(url) = self.push.endpoint(&given.endpoint, reach(app)) else { return Went::Never("a push service that is not listed") };
        // A key that this node does not have it may read in a moment.
        let Some(signer) = app.keys.vapid_of(&s.vapid) else { return Went::NotYet("its key is not known here") };
        let origin = url.origin().ascii_serialization();
        let Ok(sender) = webpush::authorization(&origin, &self.push.contact, &*signer, signer.public(), now) else {
            return Went::NotYet("nothing can be signed");
        };
        let Ok(to) = Subscriber::parse(&given.p256dh, &given.auth) else { return Went::Never("what its browser gave is no key") };
        let Some(body) = to.seal(&app.random(), &app.random(), WORDS, LENGTH) else { return Went::NotYet("no key by chance") };
        let sent = self
            .http
            .post(url)
            .header("authorization", sender)
            .header("ttl", left_s)
            .header("topic", TOPIC)
            .header("urgency", "high")
            .header("content-encoding", "aes128gcm")
            .header("content-type", "application/octet-stream")
            .body(body)
            .send()
            .await;
        egress::went(sent)
    }
}

impl rounds::Courier for Courier {
    type Owed = OwedPush;
    const WHAT: &'static str = "words to phones";

    fn woken(app: &App) -> &Notify {
        &app.rings
    }
    async fn due(app: &App, limit: i64) -> Result<Vec<OwedPush>, StoreError> {
        app.store.pushes_due(app.now(), limit).await
    }
    fn name(owed: &OwedPush) -> String {
        owed.ceremony.to_string()
    }
    async fn bring(&self, app: &App, owed: OwedPush) -> Result<(), Fault> {
        let now = app.now();
        let tries = usize::try_from(owed.tries).unwrap_or(usize::MAX);
        let found = app.store.ceremony(&owed.ceremony).await?.zip(WAITS_S.get(tries).copied());
        let Some((c, wait_s)) = found else { return Ok(app.store.push_dropped(&owed.ceremony).await?) };
        let (person, left_s) = match rings(app, &c, now).await? {
            Rings::Nobody => return Ok(app.store.push_dropped(&owed.ceremony).await?),
            Rings::Quietly(person) => (person, 0),
            Rings::For(person, left_s) => (person, left_s),
        };
        let mut all = app.store.subscriptions_of(&person, now).await?;
        all.retain(|s| !owed.told.contains(&s.device));
        if all.is_empty() {
            return Ok(app.store.push_dropped(&owed.ceremony).await?);
        }
        // From here on it is ours: no other node tells them, or writes down why not.
        if !app.store.push_tried(&owed, now.plus_s(wait_s)).await? {
            return Ok(());
        }
        if left_s == 0 {
            counted("quiet");
            self.record(app, &c, &person, Kind::PushFailed, |e| e.fact("because", "quiet")).await?;
            return Ok(app.store.push_dropped(&owed.ceremony).await?);
        }
        let sent = futures_util::future::join_all(all.iter().map(|s| self.tell(app, s, left_s, now))).await;
        let (mut told, mut failed, mut waiting) = (0_u32, 0_u32, Vec::new());
        let (mut because, mut settled): (&str, Vec<DeviceId>) = ("", owed.told.clone());
        for (s, went) in all.iter().zip(sent) {
            match went {
                Went::Taken => (told, ()) = (told + 1, counted("told")),
                Went::Gone => self.gone(app, s).await?,
                Went::Never(why) => (failed, because) = (failed + 1, why),
                Went::NotYet(why) => {
                    because = why;
                    waiting.push(s.device.clone());
                    continue;
                }
            }
            settled.push(s.device.clone());
        }
        let over = tries + 1 == WAITS_S.len() || wait_s >= left_s;
        if over {
            failed += u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        }
        if told > 0 {
            self.record(app, &c, &person, Kind::PushTold, |e| e.fact("devices", told)).await?;
        }
        if failed > 0 {
            metrics::counter!("countersign_pushes_total", "outcome" => "failed").increment(failed.into());
            tracing::warn!(ceremony = c.opening.id.as_str(), because, "a phone was not told that something waits");
            self.record(app, &c, &person, Kind::PushFailed, |e| e.fact("devices", failed).fact("because", because).fact("tries", owed.tries + 1)).await?;
        }
        if over || waiting.is_empty() {
            return Ok(app.store.push_dropped(&owed.ceremony).await?);
        }
        Ok(app.store.push_goes_on(&owed.ceremony, &settled, because).await?)
    }
}

/// The job; see [`rounds::run`].
pub async fn run(app: Arc<App>, stopped: watch::Receiver<bool>) {
    match Courier::new(&app) {
        Ok(Some(courier)) => rounds::run(app, courier, stopped).await,
        Ok(None) => {}
        Err(fault) => tracing::error!(because = fault.because, "phones cannot be told that something waits"),
    }
}
