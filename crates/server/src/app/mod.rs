//! What the server does, one file a noun, always in the same four steps: load facts with their
//! versions, decide in `trust`, commit, publish what changed.

pub mod access;
pub mod attestation;
pub mod badges;
pub mod bound;
pub mod ceremony;
pub mod clients;
pub mod context;
pub mod devices;
pub mod enrol;
pub mod evidence;
pub mod fault;
pub mod glass;
pub mod hub;
pub mod issue;
pub mod judge;
pub mod keys;
pub mod noise;
pub mod nonces;
pub mod observe;
pub mod once;
pub mod operator;
pub mod passkey;
pub mod people;
pub mod pings;
pub mod policies;
pub mod polls;
pub mod posture;
pub mod rebind;
pub mod recovery;
pub mod rights;
pub mod seats;
pub mod sessions;
pub mod signals;
pub mod silence;
pub mod startup;
pub mod terminals;
pub mod tools;
pub mod touched;
pub mod user_code;
pub mod vouch;
pub mod workloads;
#[cfg(test)]
mod tests;

pub use context::Context;
pub use fault::Fault;

use crate::chance::{self, Chance};
use crate::config::Config;
use crate::oidc::details::DetailTypes;
use countersign_store::{Commit, Committed, Store, StoreError};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::limits;
use countersign_wire::evidence::Trusted;
use countersign_wire::{CeremonyId, EventId, SessionId, Time, TxnId, b64, mac};
use crate::oidc::documents::Documents;
use hub::Hub;
use keys::Keys;
use noise::Noise;
use pings::Pings;
use polls::Polls;
use policies::Policies;
use silence::Heard;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Everything a handler or job needs.
pub struct App {
    /// Facts.
    pub store: Store,
    /// What the operator decided.
    pub config: Arc<Config>,
    /// The server's keys.
    pub keys: Keys,
    /// The rules in force.
    pub policies: Policies,
    /// The operator's access policies.
    pub access: access::Access,
    /// Types of authorization details.
    pub details: DetailTypes,
    /// Random bytes.
    pub chance: Arc<dyn Chance>,
    /// Pages that wait for a ceremony.
    pub hub: Hub<CeremonyId>,
    /// Pages that watch their session.
    pub screens: Hub<SessionId>,
    /// Wakes the job that tells relying parties.
    pub owed: Notify,
    /// Wakes the job that judges again.
    pub to_judge: Notify,
    /// What callers made this node write.
    pub noise: Noise,
    /// What streams of events share.
    pub signals: crate::ssf::Shared,
    /// What workloads used lately.
    pub uses: workloads::Uses,
    /// Who spoke, of those who promised to.
    pub heard: Heard,
    /// How often clients ask for what they wait for.
    pub polls: Polls,
    /// What clients are registered for.
    pub known: clients::Known,
    /// Documents of clients that this node read.
    pub documents: Documents,
    /// Clients that are told when there is something to collect.
    pub pings: Pings,
    /// Wakes the job that tells phones that something waits.
    pub rings: Notify,
    /// Whose word about a device's health is taken.
    pub trusted: Trusted,
    /// Nonces for keys whose trust holds.
    pub nonces: nonces::Kept,
}

/// What the start makes of an app; see the fields of [`App`].
#[allow(missing_docs)]
pub struct Made {
    pub store: Store,
    pub config: Arc<Config>,
    pub keys: Keys,
    pub policies: Policies,
    pub access: access::Access,
    pub details: DetailTypes,
    pub trusted: Trusted,
    pub chance: Arc<dyn Chance>,
}

/// Whether an event of this kind comes with something to be judged again.
pub(crate) fn asks_for_judgement(kind: &str) -> bool {
    [Kind::SignalRaised, Kind::SignalCleared, Kind::PostureChanged, Kind::PolicyChanged, Kind::PersonChanged].iter().any(|k| k.as_str() == kind)
}

/// Longest silence of the sequencer that is still trusted.
pub(crate) const BEAT: Duration = Duration::from_secs(2);

impl App {
    /// From what the start makes; everything else begins empty.
    pub fn new(made: Made) -> App {
        let Made { store, config, keys, policies, access, details, trusted, chance } = made;
        let nonces = nonces::Kept::new(store.engine(), chance::bytes(&*chance), chance::bytes(&*chance));
        App {
            store,
            config,
            keys,
            policies,
            access,
            details,
            trusted,
            chance,
            nonces,
            hub: Hub::default(),
            screens: Hub::default(),
            owed: Notify::new(),
            to_judge: Notify::new(),
            noise: Noise::default(),
            signals: crate::ssf::Shared::default(),
            uses: workloads::Uses::default(),
            heard: Heard::default(),
            polls: Polls::default(),
            known: clients::Known::default(),
            documents: Documents::default(),
            pings: Pings::default(),
            rings: Notify::new(),
        }
    }
    /// The store's time: the only clock decisions see.
    pub fn now(&self) -> Time {
        self.store.now()
    }
    /// Ten random bytes, for an id.
    pub fn id10(&self) -> [u8; 10] {
        chance::bytes(&*self.chance)
    }
    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        chance::bytes(&*self.chance)
    }
    /// A new transaction of the log.
    pub fn txn(&self, now: Time) -> TxnId {
        TxnId::new(now, self.id10())
    }
    /// A new event of a transaction.
    pub fn event(&self, kind: Kind, txn: &TxnId, now: Time) -> Event {
        Event::new(EventId::new(now, self.id10()), txn.clone(), kind, now)
    }

    /// A network as the log knows it: a name that tells it from others for a day, by the server's
    /// key of the day, which nobody keeps.
    pub fn source_tag(&self, source: &str) -> String {
        let tag = mac::m(self.keys.k().1.expose(), "source", &[source.as_bytes()]);
        b64::encode(tag.get(..8).unwrap_or_default())
    }

    /// Refuses where a part that decisions rest on is out of order.
    pub fn in_order(&self) -> Result<(), Fault> {
        let health = self.store.engine().health();
        if health.clock_behind {
            return Err(Refusal::Clock.into());
        }
        if health.beat_age > BEAT {
            return Err(Refusal::Unavailable.into());
        }
        Ok(())
    }

    /// Keeps a commit and wakes whoever waits for what it changed.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let mut ceremonies: Vec<CeremonyId> = Vec::new();
        let mut sessions: Vec<SessionId> = Vec::new();
        let (mut ends, mut redeemed): (Vec<CeremonyId>, Option<CeremonyId>) = (Vec::new(), None);
        let (mut owed, mut to_judge, mut rings, mut clients) = (false, false, false, false);
        for event in commit.events() {
            if let Some(cid) = &event.ceremony {
                ceremonies.push(cid.clone());
                redeemed = redeemed.or_else(|| (event.kind == Kind::CeremonyRedeemed).then(|| cid.clone()));
                ends.extend((pings::may_end(event.kind) && self.config.pings()).then(|| cid.clone()));
            }
            sessions.extend(event.session.clone());
            owed |= event.kind == Kind::SessionEnded;
            clients |= event.kind == Kind::ClientChanged;
            rings |= self.config.push.is_some() && event.kind == Kind::CeremonyOpened && event.facts.get("push") == Some(&true.into());
            to_judge |= asks_for_judgement(event.kind.as_str());
        }
        let done = self.store.commit(commit).await?;
        for cid in ceremonies {
            self.hub.wake(&cid);
        }
        // Its page has what it waited for: nobody need look after it once it is gone.
        if let Some(cid) = redeemed {
            self.hub.forget(&cid);
        }
        for session in sessions {
            self.screens.wake(&session);
        }
        self.pings.tell(ends);
        if owed {
            self.owed.notify_one();
            // Whoever must refuse from now on does not wait for the next look at the log.
            if done.seq.is_some() {
                self.signals.wake();
            }
        }
        if to_judge {
            self.to_judge.notify_one();
        }
        if clients {
            self.known.forget();
        }
        if rings {
            self.rings.notify_one();
        }
        Ok(done)
    }

    /// Runs `attempt` until it settles: a lost race is judged anew, a bounded number of times.
    pub async fn judged_anew<T, F, Fut>(&self, attempt: F) -> Result<T, Fault>
    where
        F: Fn(usize) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        self.in_order()?;
        for n in 0..limits::RACES {
            match attempt(n).await {
                Err(Fault { store: Some(StoreError::Conflict | StoreError::Late), .. }) => {
                    tokio::task::yield_now().await;
                }
                done => return done,
            }
        }
        Err(Refusal::Unavailable.into())
    }

    /// Ids for a session event.
    pub fn session_event(&self, kind: Kind, txn: &TxnId, id: &SessionId, now: Time) -> Event {
        let mut event = self.event(kind, txn, now);
        event.session = Some(id.clone());
        event
    }
}
