//! The server's keys: those that sign tokens, and K, from which everything short-lived is derived.
//!
//! 1. At first start one ES256 and one EdDSA key are made and used at once; RSA keys only when a
//!    client needs one ([`Keys::ensure`]).
//! 2. A signing key is `active` for [`ROTATE_S`]. Its successor is published as `next` for
//!    [`PUBLISH_S`] before it signs anything, so that whoever keeps a copy of the set has it by then.
//! 3. The predecessor stays published as `old` for [`KEEP_S`]: beyond every token it signed, and
//!    beyond every session whose ID token may come back as a hint.
//! 4. The key that push services know us by (VAPID, RFC 8292) has the same life, but longer: [`VAPID_S`], and it serves as long as a
//!    phone that subscribed with it is told anything. It signs nothing else, and nothing that it signed passes for ours.
//! 5. K is new every day. A new one is used only after [`K_LEAD_S`], when every node has read it;
//!    an old one is kept as long as a ceremony may name it.
//!
//! Nodes race to do this; a serial exists once, so one wins and the others read what it made.

mod pair;

pub use pair::OwnSigner;

use crate::chance::{self, Chance};
use crate::seal::{Seal, SealFault};
use countersign_store::sql::StoredKey;
use countersign_store::{Commit, Store, StoreError, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::limits::{K_KEEP_S, K_ROTATE_S, RACES, SUBSCRIPTION_S};
use countersign_wire::jose::jws::Claims;
use countersign_wire::jose::{Alg, Jws};
use countersign_wire::{EventId, KeyId, Secret, Time, TxnId, mac};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A signing key signs for this long, seconds.
pub const ROTATE_S: i64 = 30 * 86_400;
/// A successor is published for this long before it signs, seconds; far beyond [`JWKS_CACHE_S`].
pub const PUBLISH_S: i64 = 86_400;
/// A predecessor stays published for this long after it last signed, seconds: the longest session
/// (7 days) and a day more.
pub const KEEP_S: i64 = 8 * 86_400;
/// The key for push services signs for this long, seconds: with it every phone's page subscribes anew.
pub const VAPID_S: i64 = 180 * 86_400;
/// How long others may keep a copy of the key set, seconds.
pub const JWKS_CACHE_S: i64 = 3_600;
/// A new K is used after this, seconds: nodes read the keys several times within it.
pub const K_LEAD_S: i64 = 120;
/// Bytes of K.
const K_BYTES: usize = 32;

const SIGN: &str = "sign";
const VAPID: &str = "vapid";
const K: &str = "K";

/// The keys of this node, as last read.
pub struct Keys {
    seal: Seal,
    chance: Arc<dyn Chance>,
    ring: RwLock<Arc<Ring>>,
}

#[derive(Default)]
struct Ring {
    /// Newest first.
    ks: Vec<Arc<ServerKey>>,
    /// Serial of the K in use.
    serial: i64,
    signing: Vec<Arc<SigningKey>>,
    vapid: Vec<Arc<SigningKey>>,
    /// What our own tokens say whose signatures were found good, by digest; forgotten with the ring.
    verified: Mutex<HashMap<[u8; 32], Claims>>,
}

/// Tokens of ours that are remembered; when there are as many, it begins anew.
const VERIFIED: usize = 2_048;

struct ServerKey {
    id: KeyId,
    serial: i64,
    secret: Secret,
}

struct SigningKey {
    signer: Arc<OwnSigner>,
    state: String,
}

/// A JWS of this server, verified.
pub struct Own {
    /// `typ` of its header.
    pub typ: Option<String>,
    /// What it says.
    pub claims: Claims,
}

/// Why there are no keys to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFault {
    /// The store's answer.
    Store(StoreError),
    /// A sealed key does not open.
    Seal(SealFault),
    /// A key cannot be made or read.
    Broken(&'static str),
}

impl fmt::Display for KeysFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(e) => e.fmt(f),
            Self::Seal(e) => e.fmt(f),
            Self::Broken(what) => f.write_str(what),
        }
    }
}
impl std::error::Error for KeysFault {}
impl From<StoreError> for KeysFault {
    fn from(e: StoreError) -> KeysFault {
        KeysFault::Store(e)
    }
}
impl From<SealFault> for KeysFault {
    fn from(e: SealFault) -> KeysFault {
        KeysFault::Seal(e)
    }
}

impl Keys {
    /// Reads the keys; makes those that every server has and this one has not yet.
    pub async fn load(store: &Store, seal: Seal, chance: Arc<dyn Chance>) -> Result<Keys, KeysFault> {
        let keys = Keys { seal, chance, ring: RwLock::default() };
        keys.refresh(store).await?;
        Ok(keys)
    }

    /// Lets every key's life go on and reads what other nodes did. Called every half minute.
    pub async fn refresh(&self, store: &Store) -> Result<(), KeysFault> {
        self.tend(store, store.now(), &[Alg::ES256, Alg::EdDSA]).await
    }

    /// Makes sure that there is a key for `alg`; every other node reads it within half a minute.
    pub async fn ensure(&self, store: &Store, alg: Alg) -> Result<(), KeysFault> {
        if self.signer(alg).is_some() {
            return Ok(());
        }
        self.tend(store, store.now(), &[alg]).await
    }

    /// Makes sure that there is a key for push services.
    pub async fn ensure_vapid(&self, store: &Store) -> Result<(), KeysFault> {
        if self.vapid().is_some() {
            return Ok(());
        }
        self.tended(store, store.now(), |stored, now| {
            let vapid = of_purpose(stored, VAPID);
            plan_signing(&vapid, &PUSHING, Alg::ES256, now)
        })
        .await
    }

    async fn tend(&self, store: &Store, now: Time, wanted: &[Alg]) -> Result<(), KeysFault> {
        self.tended(store, now, |stored, now| plan(stored, wanted, now)).await
    }

    async fn tended(&self, store: &Store, now: Time, plan: impl Fn(&[StoredKey], Time) -> Vec<Step>) -> Result<(), KeysFault> {
        for _ in 0..RACES {
            let stored = store.keys().await?;
            let plan = plan(&stored, now);
            if plan.is_empty() {
                return self.read(&stored, now);
            }
            for step in plan {
                let commit = self.commit_of(step, now).await?;
                match store.commit(commit).await {
                    // Another node was faster: read again.
                    Err(StoreError::Conflict | StoreError::Late) => break,
                    other => other?,
                };
            }
        }
        Err(StoreError::Unavailable.into())
    }

    async fn commit_of(&self, step: Step, now: Time) -> Result<Commit, KeysFault> {
        let chance = &*self.chance;
        let event = |kind: Kind, purpose: &str, alg: &str, state: &str, serial: i64| {
            let txn = TxnId::new(now, chance::bytes(chance));
            Event::new(EventId::new(now, chance::bytes(chance)), txn, kind, now)
                .fact("purpose", purpose)
                .fact("alg", alg)
                .fact("state", state)
                .fact("serial", serial)
        };
        match step {
            Step::Make { purpose, alg, state, serial } => {
                let id = KeyId::new(now, chance::bytes(chance));
                let (plain, public) = match alg {
                    None => (Secret::new(chance::bytes::<K_BYTES>(chance).to_vec()), String::new()),
                    Some(alg) => {
                        // RSA takes a good part of a second: not on a thread that serves requests.
                        let made = tokio::task::spawn_blocking(move || pair::generate(alg)).await;
                        let plain = made.ok().flatten().ok_or(KeysFault::Broken("a key cannot be made"))?;
                        let signer = OwnSigner::read(id.clone(), alg, &plain)
                            .ok_or(KeysFault::Broken("a key that was just made cannot be read"))?;
                        let public = Value::Object(signer.public().members()).to_string();
                        (plain, public)
                    }
                };
                let alg = alg.map_or(K, Alg::as_str);
                let sealed = self.seal.seal(id.as_str(), purpose, &plain)?;
                let key = StoredKey {
                    id,
                    version: 0,
                    purpose: purpose.to_owned(),
                    alg: alg.to_owned(),
                    state: state.to_owned(),
                    public,
                    sealed,
                    made_at: now,
                    serial,
                };
                let made = event(Kind::KeyMade, purpose, alg, state, serial).fact("kid", key.id.as_str());
                let mut commit = Commit::new(made);
                commit.write(Write::key_made(&key));
                Ok(commit)
            }
            Step::Move { moves } => {
                let events = moves.iter().map(|(key, state)| {
                    let kind = if *state == "active" { Kind::KeyMade } else { Kind::KeyRetired };
                    event(kind, &key.purpose, &key.alg, state, key.serial).fact("kid", key.id.as_str())
                });
                let mut commit = Commit::of(events).ok_or(KeysFault::Broken("nothing to move"))?;
                commit.writes(moves.iter().map(|(key, state)| Write::key_moved(key, state)));
                Ok(commit)
            }
        }
    }

    /// Opens what was read; a key that is open already is not opened again.
    fn read(&self, stored: &[StoredKey], now: Time) -> Result<(), KeysFault> {
        let before = self.ring();
        let mut ring = Ring::default();
        for key in stored {
            let open = || self.seal.open(key.id.as_str(), &key.purpose, &key.sealed);
            if key.purpose == K {
                let known = before.ks.iter().find(|k| k.id == key.id).cloned();
                ring.ks.push(match known {
                    Some(known) => known,
                    None => Arc::new(ServerKey { id: key.id.clone(), serial: key.serial, secret: open()? }),
                });
            } else if let Some(alg) = Alg::parse(&key.alg) {
                let known = before.signing.iter().chain(&before.vapid).find(|k| k.signer.kid() == &key.id);
                let signer = match known {
                    Some(known) => known.signer.clone(),
                    None => Arc::new(
                        OwnSigner::read(key.id.clone(), alg, &open()?)
                            .ok_or(KeysFault::Broken("a signing key in the store cannot be read"))?,
                    ),
                };
                let kept = if key.purpose == VAPID { &mut ring.vapid } else { &mut ring.signing };
                kept.push(Arc::new(SigningKey { signer, state: key.state.clone() }));
            }
        }
        ring.ks.sort_by_key(|k| std::cmp::Reverse(k.serial));
        ring.serial = serial_in_use(stored, now);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// K in use, with its serial.
    pub fn k(&self) -> (i64, Secret) {
        let ring = self.ring();
        match ring.ks.iter().find(|k| k.serial == ring.serial) {
            Some(k) => (k.serial, k.secret.clone()),
            // Loading leaves at least one; without it nothing could be verified, so nothing is given.
            None => unreachable!("keys are loaded before they are used"),
        }
    }
    /// K of this serial, if it is still kept.
    pub fn k_by_serial(&self, serial: i64) -> Option<Secret> {
        self.ring().ks.iter().find(|k| k.serial == serial).map(|k| k.secret.clone())
    }
    /// Every K that is kept, newest first: what a nonce may have been made with.
    pub fn k_live(&self) -> Vec<Secret> {
        self.ring().ks.iter().map(|k| k.secret.clone()).collect()
    }
    /// Seals something that is not a key of ours, for the row of this id.
    pub fn seal_for(&self, id: &str, purpose: &str, plain: &Secret) -> Result<Vec<u8>, SealFault> {
        self.seal.seal(id, purpose, plain)
    }
    /// Opens what [`Keys::seal_for`] sealed.
    pub fn open_for(&self, id: &str, purpose: &str, sealed: &[u8]) -> Result<Secret, SealFault> {
        self.seal.open(id, purpose, sealed)
    }
    /// The key that signs with `alg` now; for RSA, [`Keys::ensure`] comes first.
    pub fn signer(&self, alg: Alg) -> Option<Arc<OwnSigner>> {
        use countersign_wire::jose::Signer as _;
        let ring = self.ring();
        ring.signing.iter().rev().find(|k| k.state == "active" && k.signer.alg() == alg).map(|k| k.signer.clone())
    }
    /// The key that phones subscribe with now; [`Keys::ensure_vapid`] comes first.
    pub fn vapid(&self) -> Option<Arc<OwnSigner>> {
        self.ring().vapid.iter().rev().find(|k| k.state == "active").map(|k| k.signer.clone())
    }
    /// The one that a phone subscribed with.
    pub fn vapid_of(&self, id: &KeyId) -> Option<Arc<OwnSigner>> {
        self.ring().vapid.iter().find(|k| k.signer.kid() == id).map(|k| k.signer.clone())
    }
    /// The published key set (RFC 7517 §5): those that sign, will sign, or signed something still good.
    pub fn jwks(&self) -> Value {
        use countersign_wire::jose::Signer as _;
        let keys: Vec<Value> = self
            .ring()
            .signing
            .iter()
            .map(|k| {
                let mut jwk = k.signer.public().members();
                jwk.insert("kid".into(), k.signer.kid().as_str().into());
                jwk.insert("alg".into(), k.signer.alg().as_str().into());
                jwk.insert("use".into(), "sig".into());
                Value::Object(jwk)
            })
            .collect();
        json!({ "keys": keys })
    }
    /// What a JWS says, if one of the published keys signed it. Whether it is of the right kind, for
    /// the right reader and of this time is for the caller to check.
    pub fn verify_own(&self, text: &str) -> Option<Own> {
        use countersign_wire::jose::Signer as _;
        let jws = Jws::parse(text).ok()?;
        let kid = jws.header_text("kid")?;
        let ring = self.ring();
        let key = ring.signing.iter().find(|k| k.signer.kid().as_str() == kid)?;
        if key.signer.alg() != jws.alg() {
            return None;
        }
        let digest = mac::h(text.as_bytes());
        let verified = || ring.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verified().get(&digest).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => {
                let claims = jws.verify(key.signer.public()).ok()?;
                let mut verified = verified();
                if verified.len() >= VERIFIED {
                    verified.clear();
                }
                verified.insert(digest, claims.clone());
                claims
            }
        };
        Some(Own { typ: jws.header_text("typ").map(str::to_owned), claims })
    }
}

/// The newest K that every node has had time to read; the oldest if there is none such.
fn serial_in_use(stored: &[StoredKey], now: Time) -> i64 {
    let ks = || stored.iter().filter(|k| k.purpose == K);
    let ready = ks().filter(|k| k.made_at.plus_s(K_LEAD_S) <= now).map(|k| k.serial).max();
    ready.or_else(|| ks().map(|k| k.serial).min()).unwrap_or_default()
}

/// One thing to do to the keys.
enum Step {
    Make { purpose: &'static str, alg: Option<Alg>, state: &'static str, serial: i64 },
    Move { moves: Vec<(StoredKey, &'static str)> },
}

/// What must be done to the keys now. Pure.
fn plan(stored: &[StoredKey], wanted: &[Alg], now: Time) -> Vec<Step> {
    let mut steps = plan_k(stored, now);
    let mut algs: Vec<Alg> = wanted.to_vec();
    let known: HashSet<&str> = stored.iter().filter(|k| k.purpose == SIGN).map(|k| k.alg.as_str()).collect();
    algs.extend(known.iter().filter_map(|a| Alg::parse(a)).filter(|a| !wanted.contains(a)));
    for alg in algs {
        let of: Vec<&StoredKey> = stored.iter().filter(|k| k.purpose == SIGN && k.alg == alg.as_str()).collect();
        steps.extend(plan_signing(&of, &SIGNING, alg, now));
    }
    let vapid = of_purpose(stored, VAPID);
    if !vapid.is_empty() {
        steps.extend(plan_signing(&vapid, &PUSHING, Alg::ES256, now));
    }
    steps
}

fn of_purpose<'a>(stored: &'a [StoredKey], purpose: &str) -> Vec<&'a StoredKey> {
    stored.iter().filter(|k| k.purpose == purpose).collect()
}

/// How long signing keys of one purpose live.
struct Life {
    purpose: &'static str,
    /// Signs for, seconds.
    rotate_s: i64,
    /// Is kept for after that, seconds.
    keep_s: i64,
}
const SIGNING: Life = Life { purpose: SIGN, rotate_s: ROTATE_S, keep_s: KEEP_S };
const PUSHING: Life = Life { purpose: VAPID, rotate_s: VAPID_S, keep_s: SUBSCRIPTION_S };

fn plan_k(stored: &[StoredKey], now: Time) -> Vec<Step> {
    let mut ks: Vec<&StoredKey> = stored.iter().filter(|k| k.purpose == K).collect();
    ks.sort_by_key(|k| std::cmp::Reverse(k.serial));
    let Some(newest) = ks.first() else {
        return vec![Step::Make { purpose: K, alg: None, state: "active", serial: 1 }];
    };
    if newest.made_at.plus_s(K_ROTATE_S) <= now {
        return vec![Step::Make { purpose: K, alg: None, state: "active", serial: newest.serial + 1 }];
    }
    // One that its successor replaced this long ago is in nobody's hands any more.
    ks.windows(2)
        .filter_map(|pair| match pair {
            [after, before] if after.made_at.plus_s(K_LEAD_S + K_LEAD_S + K_KEEP_S) <= now => {
                Some(Step::Move { moves: vec![((*before).clone(), "retired")] })
            }
            _ => None,
        })
        .collect()
}

fn plan_signing(of: &[&StoredKey], life: &Life, alg: Alg, now: Time) -> Vec<Step> {
    let newest = of.iter().map(|k| k.serial).max().unwrap_or_default();
    let make = |state| Step::Make { purpose: life.purpose, alg: Some(alg), state, serial: newest + 1 };
    let in_state = |state: &str| of.iter().filter(|k| k.state == state).max_by_key(|k| k.serial).copied();
    let Some(active) = in_state("active") else { return vec![make("active")] };
    let mut steps = Vec::new();
    match in_state("next") {
        None if active.made_at.plus_s(life.rotate_s) <= now => steps.push(make("next")),
        None => {}
        // A server that slept through the change publishes anew: so the change always follows the
        // making within two days, and the time an old key was last used need not be written down.
        Some(next) if next.made_at.plus_s(2 * PUBLISH_S) <= now => steps.push(make("next")),
        Some(next) if next.made_at.plus_s(PUBLISH_S) <= now => {
            steps.push(Step::Move { moves: vec![(active.clone(), "old"), (next.clone(), "active")] });
        }
        Some(_) => {}
    }
    let passed_over = |k: &&&StoredKey| k.state == "next" && k.serial < newest;
    for next in of.iter().filter(passed_over) {
        steps.push(Step::Move { moves: vec![((*next).clone(), "retired")] });
    }
    for old in of.iter().filter(|k| k.state == "old") {
        let after = of.iter().filter(|k| k.serial > old.serial && k.state != "next").min_by_key(|k| k.serial);
        if after.is_some_and(|a| a.made_at.plus_s(2 * PUBLISH_S + life.keep_s) <= now) {
            steps.push(Step::Move { moves: vec![((*old).clone(), "retired")] });
        }
    }
    steps
}

#[cfg(test)]
mod tests;
