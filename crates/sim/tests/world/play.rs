//! One world: who is in it, what may happen next, and what goes wrong on the way.

use super::actors::{Around, CALLBACK, Phone, Screen};
use super::chance::Seeded;
use super::invariants::{Before, Did};
use super::net::{Answer, Message, deliver};
use axum::Router;
use countersign_device::SoftwareKey;
use countersign_server::app::{App, Context, ceremony, sessions};
use countersign_server::{Config, http, serve};
use countersign_store::failing::{Failing, Fault, Faults};
use countersign_store::{Clock, Commit, Engine, Write};
use countersign_trust::audit::Kind;
use countersign_trust::client::Client;
use countersign_trust::device::{Credential, Device, DeviceState, KeyClass};
use countersign_trust::principal::{PersonState, Role};
use countersign_wire::{DeviceId, PersonId, Time, b64, dpop};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

mod turns;

/// The server's public address.
pub const ISSUER: &str = "http://localhost:7310";
const T0: i64 = 1_800_000_000_000_000;
const PEOPLE: usize = 4;
const PHONES_EACH: usize = 2;
const SCREENS: usize = 6;

/// Keys are made once; which of them a player holds makes no difference.
static KEYS: LazyLock<Vec<Arc<SoftwareKey>>> =
    LazyLock::new(|| (0..4_096).map(|_| Arc::new(SoftwareKey::generate().unwrap())).collect());

struct Hand(AtomicI64);
impl Clock for Hand {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What happened, counted.
#[derive(Default)]
pub struct Seen(BTreeMap<String, u64>);

impl Seen {
    fn one(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }
    /// Adds another world's.
    pub fn add(&mut self, more: &Seen) {
        for (what, n) in &more.0 {
            *self.0.entry(what.clone()).or_default() += n;
        }
    }
    /// Enough of everything happened.
    pub fn was_eventful(&self) {
        for (what, least) in [
            ("opened", 300),
            ("scanned", 200),
            ("approved", 100),
            ("redeemed", 60),
            ("tokens", 30),
            ("crash", 50),
            ("device lost", 10),
            ("refused: bad_proof", 50),
            ("refused: already_redeemed", 5),
            ("refused: wrong_code", 5),
            ("store: conflict", 50),
            ("store: lost before", 50),
            ("store: lost after", 50),
            ("net: doubled", 100),
            ("net: late", 50),
        ] {
            let n = self.0.get(what).copied().unwrap_or_default();
            assert!(n >= least, "only {n} × {what} in this world: {self}");
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(what, n)| format!("{what} {n}")).collect();
        f.write_str(&all.join(", "))
    }
}

/// A world.
pub struct World {
    chance: Seeded,
    clock: Arc<Hand>,
    engine: Engine,
    inner: Engine,
    faults: Faults,
    dir: tempfile::TempDir,
    server_chance: Seeded,
    app: Arc<App>,
    doors: Router,
    phones: Vec<Phone>,
    screens: Vec<Screen>,
    sent: Vec<Message>,
    used_keys: usize,
    did: Did,
    seen: Seen,
}

async fn open(engine: &Engine, dir: &tempfile::TempDir, chance: &Seeded) -> (Arc<App>, Router) {
    let mut config = Config::parse("", std::iter::empty()).unwrap();
    config.seal_key_file = dir.path().join("seal");
    let app = serve::open_on(engine.clone(), config, Arc::new(chance.clone())).await.unwrap();
    let doors = http::router(app.clone());
    (app, doors)
}

fn place(n: usize) -> IpAddr {
    IpAddr::from([10, 0, u8::try_from(n % 200).unwrap(), 7])
}

impl World {
    /// Plays `steps` steps; answers what happened, or what was broken.
    pub async fn run(chance: Seeded, steps: u64) -> Result<Seen, String> {
        let mut world = World::new(chance).await;
        let mut before = Before::default();
        let none = Did { maybe: true, broken: None, what: "the beginning".to_owned() };
        before.check(&world.app, &world.inner, &none).await?;
        for step in 1..=steps {
            world.did = Did { maybe: false, broken: None, what: String::new() };
            world.step().await;
            world.faults_over();
            before.check(&world.app, &world.inner, &world.did).await.map_err(|why| format!("step {step}: {why}\nafter: {}", world.did.what))?;
        }
        Ok(world.seen)
    }

    async fn new(chance: Seeded) -> World {
        let clock = Arc::new(Hand(AtomicI64::new(T0)));
        let inner = Engine::open_with("sqlite::memory:", clock.clone()).await.unwrap();
        let (engine, faults) = Failing::over(inner.clone());
        let dir = tempfile::tempdir().unwrap();
        let server_chance = chance.child();
        let (app, doors) = open(&engine, &dir, &server_chance).await;
        let mut world = World {
            chance,
            clock,
            engine,
            inner,
            faults,
            dir,
            server_chance,
            app,
            doors,
            phones: Vec::new(),
            screens: (0..SCREENS).map(|_| Screen::default()).collect(),
            sent: Vec::new(),
            used_keys: 0,
            did: Did { maybe: true, broken: None, what: String::new() },
            seen: Seen::default(),
        };
        world.settle_people().await;
        world
    }

    async fn settle_people(&mut self) {
        let now = self.app.now();
        let mut commit = Commit::new(self.app.event(Kind::PersonChanged, &self.app.txn(now), now));
        for id in ["till", "stock", "far"] {
            let client: Client = serde_json::from_value(json!({
                "id": id, "name": format!("Client {id}"), "redirect_uris": [CALLBACK], "scopes": ["profile"],
                "far": if id == "far" { "unproven" } else { "refused" },
            }))
            .unwrap();
            commit.write(Write::client_added(&client, "test"));
        }
        let people: Vec<PersonId> = (0..PEOPLE).map(|_| PersonId::new(now, self.app.id10())).collect();
        for (n, person) in people.iter().enumerate() {
            commit.write(Write::person_added(person, PersonState::Active, Role::Member, now));
            commit.write(Write::name_given(person, &format!("Person {n}"), &format!("person-{n}")));
        }
        self.app.commit(commit).await.unwrap();
        for (n, person) in people.iter().enumerate() {
            for _ in 0..PHONES_EACH {
                let phone = self.enrolled(person, n).await;
                self.phones.push(phone);
            }
        }
    }

    /// A further phone of a person, straight into the store.
    async fn enrolled(&mut self, person: &PersonId, n: usize) -> Phone {
        let (dk, passkey) = (self.key(), self.key());
        let now = self.app.now();
        let device = Device {
            id: DeviceId::new(now, self.app.id10()),
            version: 0,
            person: person.clone(),
            state: DeviceState::Active,
            jkt: dk.public().thumbprint(),
            dk: dk.public().clone(),
            key: KeyClass::Software,
            limited_until: None,
            added_at: now,
            posture: Default::default(),
            seen_at: None,
            signals: Vec::new(),
            recovered: false,
            seat: None,
        };
        let credential = Credential {
            id: b64::encode(&self.app.random::<16>()).parse().unwrap(),
            version: 0,
            person: person.clone(),
            device: device.id.clone(),
            live: true,
            key: passkey.public().clone(),
            counter: 0,
            backup_eligible: false,
            attested: false,
        };
        let mut event = self.app.event(Kind::DeviceEnrolled, &self.app.txn(now), now);
        event.device = Some(device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::device_added(&device, "Phone")).write(Write::credential_added(&credential, "none", now));
        self.app.commit(commit).await.unwrap();
        let skew_s = i64::try_from(self.chance.below(200_000)).unwrap() - 100_000;
        Phone {
            dk,
            passkey,
            device: device.id,
            credential: credential.id,
            person: person.clone(),
            at: place(n),
            skew_s,
            views: BTreeMap::new(),
            lost: false,
        }
    }

    fn key(&mut self) -> Arc<SoftwareKey> {
        let key = KEYS[self.used_keys % KEYS.len()].clone();
        self.used_keys += 1;
        key
    }

    fn now(&self) -> Time {
        Time(self.clock.now())
    }

    fn faults_over(&self) {
        self.faults.fail_reads(false);
        self.faults.forget();
    }

    /// Something happens.
    async fn step(&mut self) {
        match self.chance.below(100) {
            0..=59 => self.go_right().await,
            60..=74 => self.go_wrong().await,
            75..=79 => self.late().await,
            80..=89 => self.time_passes(),
            90..=94 => self.sweep().await,
            95..=97 => self.crash().await,
            _ => self.life().await,
        }
    }

    fn note(&mut self, what: &str) {
        if !self.did.what.is_empty() {
            self.did.what.push_str("; ");
        }
        self.did.what.push_str(what);
    }

    /// Sends a message through a bad network to a bad store. `None`: the answer never came.
    async fn send(&mut self, what: &str, message: Option<Message>) -> Option<Answer> {
        let message = message?;
        self.note(&format!("{what} {} {}", message.method, message.path));
        if self.sent.len() > 64 {
            let at = self.chance.below(self.sent.len());
            self.sent.swap_remove(at);
        }
        self.sent.push(message.clone());
        let fault = match self.chance.below(100) {
            0 | 1 => Some((Fault::Conflict, "conflict")),
            2 => Some((Fault::Late, "late")),
            3 | 4 => Some((Fault::BeforePersisting, "lost before")),
            5 | 6 => Some((Fault::AfterPersisting, "lost after")),
            7 => {
                self.faults.fail_reads(true);
                self.note("[store reads fail]");
                None
            }
            _ => None,
        };
        if let Some((fault, name)) = fault {
            self.faults.next(fault);
            self.note(&format!("[store: {name}]"));
            self.seen.one(&format!("store: {name}"));
        }
        match self.chance.below(100) {
            0..=3 => {
                self.note("[lost on the way]");
                self.seen.one("net: lost");
                None
            }
            4..=7 => {
                self.note("[answer lost]");
                self.seen.one("net: answer lost");
                self.deliver(&message).await;
                None
            }
            8..=11 => {
                self.note("[doubled]");
                self.seen.one("net: doubled");
                let first = self.deliver(&message).await;
                self.deliver(&message).await;
                Some(first)
            }
            _ => Some(self.deliver(&message).await),
        }
    }

    async fn deliver(&mut self, message: &Message) -> Answer {
        let answer = deliver(&self.doors, message).await;
        self.faults.fail_reads(false);
        let code = answer.code().to_owned();
        self.note(&format!("-> {} {code}", answer.status));
        // With `unavailable` it is not known what was kept.
        self.did.maybe |= answer.ok() || answer.status >= 500;
        if !answer.ok() {
            self.seen.one(&format!("refused: {code}"));
        }
        answer
    }

    fn around_parts(&self) -> (String, Time, Seeded) {
        let (_, k) = self.app.keys.k();
        (dpop::nonce(k.expose(), self.now()), self.now(), self.chance.clone())
    }

    fn screen_at(&self, s: usize) -> IpAddr {
        place(s % PEOPLE)
    }

    /// A phone for a screen: the one that scanned, or one in the same place.
    fn phone_for(&self, s: usize) -> usize {
        if let Some(p) = self.screens[s].scanned
            && !self.chance.percent(3)
        {
            return p;
        }
        let near = (s % PEOPLE) * PHONES_EACH + self.chance.below(PHONES_EACH);
        if self.chance.percent(85) { near } else { self.chance.below(self.phones.len()) }
    }

    /// A message arrives again, later.
    async fn late(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let at = self.chance.below(self.sent.len());
        let message = self.sent.swap_remove(at);
        self.note(&format!("late {} {}", message.method, message.path));
        self.seen.one("net: late");
        self.deliver(&message).await;
    }

    fn time_passes(&mut self) {
        let ms = match self.chance.below(100) {
            0..=59 => self.chance.below(3_000),
            60..=89 => self.chance.below(20_000),
            90..=98 => 30_000 + self.chance.below(120_000),
            _ => 1_000_000 + self.chance.below(3_000_000),
        };
        self.clock.0.fetch_add(i64::try_from(ms).unwrap() * 1_000, Ordering::SeqCst);
        self.note(&format!("{ms} ms pass"));
    }

    async fn sweep(&mut self) {
        self.note("sweep");
        self.did.maybe = true;
        let ctx = Context::new(&self.app, place(250), "sweep".to_owned());
        let _ = ceremony::terminal::sweep(&self.app, &ctx).await;
        let _ = sessions::sweep(&self.app, self.app.now()).await;
        let _ = self.app.store.clear_expired(self.app.now()).await;
    }

    /// The server is gone and comes again on the same store.
    async fn crash(&mut self) {
        self.note("crash");
        self.seen.one("crash");
        self.did.maybe = true;
        // A start that meets a broken store would only be tried again.
        self.faults.forget();
        (self.app, self.doors) = open(&self.engine, &self.dir, &self.server_chance).await;
    }

    /// What people do about their devices and sessions.
    async fn life(&mut self) {
        let (nonce, clock, chance) = self.around_parts();
        let around = Around { nonce: &nonce, clock, chance: &chance };
        let p = chance.below(self.phones.len());
        let sibling = p ^ 1;
        match chance.below(4) {
            0 => {
                let message = self.phones[p].end_all(&around);
                self.send("end all", Some(message)).await;
            }
            1 => {
                let s = chance.below(SCREENS);
                let from = self.screen_at(s);
                let message = self.screens[s].sign_out(&around, from);
                self.send("sign out", message).await;
            }
            2 if chance.percent(50) => {
                let lost = self.phones[p].device.clone();
                let message = self.phones[sibling].report_lost(&around, &lost);
                self.send("lost", Some(message)).await;
                let state = self.app.store.device(&lost).await.unwrap().unwrap().device.state;
                if state == DeviceState::Lost {
                    self.seen.one("device lost");
                    self.did.maybe = true;
                    let person = self.phones[p].person.clone();
                    self.faults.forget();
                    let fresh = self.enrolled(&person, p / PHONES_EACH).await;
                    // The lost one stays in somebody's hands.
                    let mut old = std::mem::replace(&mut self.phones[p], fresh);
                    old.lost = true;
                    let frames = self.screens[chance.below(SCREENS)].frames(clock, 0, false);
                    let message = old.scan(&around, &frames);
                    if self.send("scan by a lost phone", Some(message)).await.is_some_and(|a| a.ok()) {
                        self.did.broken = Some("a lost phone scanned".to_owned());
                    }
                }
            }
            _ => self.time_passes(),
        }
    }
}
