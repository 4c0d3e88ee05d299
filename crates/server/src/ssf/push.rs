//! Events that are sent (RFC 8935): one task for each stream, so that a slow receiver holds up nobody else.
//!
//! What goes wrong is tried again, later and later, until the receiver is there again; the log waits. Only
//! a SET that the receiver itself calls bad, several times, is passed over, and that is recorded.

use super::outbox::{self, Out};
use super::poll::err;
use super::{settle, status, streams};
use crate::app::{App, Fault};
use crate::config::Receiver;
use crate::oidc::egress::{self, Reach};
use countersign_store::sql::StoredStream;
use countersign_store::{Commit, StoreError, Write};
use countersign_trust::audit::Kind;
use countersign_trust::limits;
use countersign_trust::shared::stream::{Delivery, Status};
use countersign_wire::{StreamId, Time, b64, set};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

/// A receiver has this long to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest answer that is read, bytes.
const ANSWER_BYTES: usize = 4 * 1_024;
/// How often the store is asked although nobody woke us: another node may have set a stream.
const TICK: Duration = Duration::from_secs(1);
/// A node keeps a stream for this long without a word, seconds.
const HOLD_S: i64 = 15;
/// Waits before the next try, seconds; the last one again and again.
const WAITS_S: [u64; 7] = [1, 2, 5, 15, 60, 180, 300];
/// Times that a receiver may call one SET bad before it is passed over.
const REFUSALS: usize = 3;
/// SETs sent before it is written down how far the receiver is: as many may come twice after a crash.
const BATCH: usize = 20;
/// How often streams are looked through for those that nobody takes from.
const STRAIN: Duration = Duration::from_secs(60);

/// What sends.
struct Sender {
    app: Arc<App>,
    node: String,
    public: reqwest::Client,
    private: reqwest::Client,
}

/// Why a SET was not taken.
enum Failed {
    /// The receiver calls this SET bad, in its own word.
    Refused(&'static str),
    /// It could not be given; a word for the log.
    Undelivered(&'static str),
}

impl Sender {
    fn new(app: Arc<App>) -> Result<Sender, reqwest::Error> {
        let ((public, _), (private, _)) = (egress::client(&app, false, ANSWER)?, egress::client(&app, true, ANSWER)?);
        let node = b64::encode(&app.random::<12>());
        Ok(Sender { public, private, app, node })
    }

    /// One stream, as long as it is pushed.
    async fn run(self: Arc<Sender>, id: StreamId, mut stopped: watch::Receiver<bool>) {
        let (mut told, mut set) = (self.app.signals.told.subscribe(), self.app.signals.set.subscribe());
        let (mut tries, mut held) = (0, Time(0));
        loop {
            told.mark_unchanged();
            set.mark_unchanged();
            let wait = match self.round(&id, &mut tries, &mut held).await {
                Ok(Some(wait)) => wait,
                // Gone, or not pushed any more.
                Ok(None) => return,
                Err(fault) => {
                    tracing::warn!(stream = %id, because = fault.because, "a round of pushes failed");
                    TICK
                }
            };
            let failing = tries > 0;
            tokio::select! {
                _ = stopped.wait_for(|s| *s) => return,
                _ = set.changed() => {}
                // While the receiver fails, news is no reason to try again.
                _ = told.changed(), if !failing && !wait.is_zero() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends what waits; answers how long to wait, or `None` where the stream is not to be pushed.
    async fn round(&self, id: &StreamId, tries: &mut usize, held: &mut Time) -> Result<Option<Duration>, Fault> {
        let app = &self.app;
        let Some(stored) = app.store.stream(id).await? else { return Ok(None) };
        let Some(receiver) = app.config.signals.receiver(&stored.stream.receiver) else { return Ok(None) };
        if !matches!(stored.stream.facts.delivery, Delivery::Push { .. }) {
            return Ok(None);
        }
        let now = app.now();
        // Nobody else takes it before the time is over, so it is not asked for anew at each round.
        if now.plus_s(HOLD_S / 2) >= *held {
            if !app.store.hold_stream(id, &self.node, now, now.plus_s(HOLD_S)).await? {
                return Ok(Some(TICK));
            }
            *held = now.plus_s(HOLD_S);
        }
        let outbox = outbox::read(app, &stored, receiver).await?;
        if outbox.out.is_empty() {
            *tries = 0;
            return Ok(Some(TICK));
        }
        let mut taken = BTreeSet::new();
        let mut refused = Vec::new();
        let mut failure = None;
        for out in outbox.out.iter().take(BATCH) {
            match self.give(&stored, receiver, out).await? {
                Ok(()) => {}
                Err(Failed::Refused(word)) if *tries + 1 >= REFUSALS => refused.push((out, word)),
                Err(Failed::Refused(word) | Failed::Undelivered(word)) => {
                    failure = Some(word);
                    break;
                }
            }
            taken.insert(out.jti.clone());
            *tries = 0;
        }
        self.keep(&stored, &outbox, &taken, &refused, failure.filter(|_| *tries == 0)).await?;
        match failure {
            None if outbox.more || outbox.out.len() > BATCH => Ok(Some(Duration::ZERO)),
            None => Ok(Some(TICK)),
            Some(_) => {
                let wait = WAITS_S.get(*tries).or(WAITS_S.last()).copied().unwrap_or(1);
                *tries += 1;
                Ok(Some(Duration::from_secs(wait)))
            }
        }
    }

    /// Writes down how far the receiver is. Whoever set the stream meanwhile goes first: then the same is
    /// kept on what the stream is now.
    async fn keep(&self, first: &StoredStream, outbox: &outbox::Outbox, taken: &BTreeSet<String>, refused: &[(&Out, &'static str)], failure: Option<&'static str>) -> Result<(), Fault> {
        if taken.is_empty() && failure.is_none() {
            return Ok(());
        }
        let app = &self.app;
        let mut stored = first.clone();
        for _ in 0..limits::RACES {
            let (now, s) = (app.now(), &stored.stream);
            let txn = app.txn(now);
            let mut events = Vec::new();
            let progress = s.progress(outbox.scanned, &outbox.lines, taken);
            if !taken.is_empty() {
                let record = settle::event(app, Kind::StreamDelivered, s, &txn, now);
                events.push(record.fact("count", taken.len()).fact("through", progress.done));
            }
            for (out, word) in refused {
                let record = settle::event(app, Kind::StreamRefused, s, &txn, now);
                events.push(record.fact("event", out.kind()).fact("set", out.jti.as_str()).fact("err", *word));
            }
            if let Some(because) = failure {
                events.push(settle::event(app, Kind::StreamFailed, s, &txn, now).fact("because", because));
            }
            let Some(mut commit) = Commit::of(events) else { return Ok(()) };
            if !taken.is_empty() {
                commit.write(Write::stream_taken(s, &progress, now));
            }
            match app.commit(commit).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|_| ())?),
            }
            // Disabled meanwhile, or deleted: there is nothing left to keep.
            match app.store.stream(&first.stream.id).await? {
                Some(moved) if moved.stream.done <= outbox.scanned && moved.stream.status != Status::Disabled => stored = moved,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends one SET (RFC 8935 §2.1).
    async fn give(&self, stored: &StoredStream, receiver: &Receiver, out: &Out) -> Result<Result<(), Failed>, Fault> {
        let Delivery::Push { endpoint_url, .. } = &stored.stream.facts.delivery else { return Ok(Err(Failed::Undelivered("not pushed"))) };
        let reach = Reach::of(&self.app, receiver.allow_private_network);
        // What was registered when the stream was set must be registered still.
        let url = match Url::parse(endpoint_url) {
            Ok(url) if receiver.lists(&url) && egress::may_call(&url, reach) => url,
            _ => return Ok(Err(Failed::Undelivered("an address that may not be called"))),
        };
        let text = out.signed(&self.app, receiver)?;
        let client = if reach.private { &self.private } else { &self.public };
        let mut request = client.post(url).header("content-type", set::MEDIA).header("accept", "application/json").body(text);
        if !stored.sealed.is_empty() {
            let Ok(header) = self.app.keys.open_for(stored.stream.id.as_str(), streams::SEALED, &stored.sealed) else {
                return Ok(Err(Failed::Undelivered("the authorization header does not open")));
            };
            request = request.header("authorization", header.expose());
        }
        Ok(match request.send().await {
            Ok(answer) if answer.status().as_u16() == 400 => Err(complaint(answer).await),
            sent => egress::went(sent).because().map_or(Ok(()), |why| Err(Failed::Undelivered(why))),
        })
    }
}

/// What a receiver says is wrong (RFC 8935 §2.3): with this SET, or with all of ours.
async fn complaint(answer: reqwest::Response) -> Failed {
    #[derive(Deserialize)]
    struct Complaint {
        err: String,
    }
    let body = match egress::body(answer, ANSWER_BYTES).await {
        Ok(body) => body,
        Err(why) => return Failed::Undelivered(why),
    };
    match serde_json::from_slice::<Complaint>(&body).map(|c| err(&c.err)) {
        // Its keys, its idea of us, or its door are out of order: no other SET would fare better.
        Ok(word @ ("invalid_key" | "invalid_issuer" | "invalid_audience" | "authentication_failed" | "access_denied")) => Failed::Undelivered(word),
        Ok(word) => Failed::Refused(word),
        Err(_) => Failed::Refused("other"),
    }
}

/// The job: a task for each stream that is pushed, and a look at those that nobody takes from. Ends when
/// told to stop.
pub async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    if app.config.signals.receivers.is_empty() {
        return;
    }
    let sender = match Sender::new(app.clone()) {
        Ok(sender) => Arc::new(sender),
        Err(_) => {
            tracing::error!("events cannot be pushed: no HTTP client");
            return;
        }
    };
    let mut set = app.signals.set.subscribe();
    let mut tasks: HashMap<StreamId, JoinHandle<()>> = HashMap::new();
    let mut looked = Instant::now();
    loop {
        set.mark_unchanged();
        match app.store.streams().await {
            Ok(all) => {
                tasks.retain(|_, task| !task.is_finished());
                for stored in &all {
                    let pushed = matches!(stored.stream.facts.delivery, Delivery::Push { .. });
                    if pushed && !tasks.contains_key(&stored.stream.id) {
                        let id = stored.stream.id.clone();
                        tasks.insert(id.clone(), tokio::spawn(sender.clone().run(id, stopped.clone())));
                    }
                }
                if looked.elapsed() >= STRAIN {
                    looked = Instant::now();
                    relieve(&app, &all).await;
                }
            }
            Err(error) => tracing::warn!(%error, "streams cannot be read"),
        }
        tokio::select! {
            _ = stopped.wait_for(|s| *s) => break,
            _ = set.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    for (_, task) in tasks {
        let _ = task.await;
    }
}

/// Pauses streams that nobody takes from.
async fn relieve(app: &App, all: &[StoredStream]) {
    let Ok(head) = app.store.engine().last_seq().await else { return };
    for stored in all {
        let Some(receiver) = app.config.signals.receiver(&stored.stream.receiver) else { continue };
        // Only what looks strained is read.
        if stored.stream.strain(head, true, app.now()).is_none() {
            continue;
        }
        let waiting = outbox::read(app, stored, receiver).await.is_ok_and(|o| !o.out.is_empty());
        if let Some(reason) = stored.stream.strain(head, waiting, app.now())
            && let Err(fault) = status::pause(app, stored, reason).await
        {
            tracing::warn!(because = fault.because, "a stream could not be paused");
        }
    }
}
