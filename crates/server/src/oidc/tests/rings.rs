//! When a request by name rings a phone, and for how long it does not, by a clock that is moved by hand.

use super::{round, text};
use super::world::{Key, World, client, form};
use crate::app::Context;
use crate::app::once::hashed;
use crate::jobs::rounds::Courier as _;
use crate::push::courier::{self, Courier};
use crate::push::{subscribe, unsubscribe, view};
use countersign_store::sql::StoredDevice;
use countersign_trust::audit::Kind;
use countersign_trust::limits::{QUIET_MAX_S, SUBSCRIPTION_S};
use countersign_wire::CeremonyId;
use countersign_wire::message::Subscribe;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECRET: &str = "a secret only for tests, 32 bytes and more";
/// Of RFC 8291's example.
const BROWSER: (&str, &str) = ("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "BTBZMqHH6r4Tts7J_aSIgg");

struct Desk {
    w: World,
    courier: Courier,
}

impl Desk {
    /// A phone that subscribed where nobody listens: what rings is tried, and is owed after.
    async fn open() -> Desk {
        Desk::at(&["127.0.0.1:9"]).await
    }
    /// The same, at the first of these push services.
    async fn at(hosts: &[&str]) -> Desk {
        let more = json!({"auth": "client_secret_post", "secret_hash": hashed(SECRET.as_bytes()), "ciba": {}, "device_grant": true});
        let w = World::with(vec![client("desk", more.clone()), client("counter", more)], &format!("[push]\ncontact = \"mailto:a@b.example\"\nhosts = {hosts:?}")).await;
        w.app.keys.ensure_vapid(&w.app.store).await.unwrap();
        let courier = Courier::new(&w.app).unwrap().unwrap();
        let desk = Desk { w, courier };
        desk.subscribe(hosts[0]).await;
        desk
    }
    fn ctx(&self) -> Context {
        Context::new(&self.w.app, [127, 0, 0, 1].into(), "test".to_owned())
    }
    async fn device(&self) -> StoredDevice {
        self.w.app.store.device(&self.w.session.device).await.unwrap().unwrap()
    }
    async fn subscribe(&self, host: &str) {
        let device = self.device().await;
        let key = view(&self.w.app, &device, self.w.app.now()).await.unwrap().unwrap().key;
        let given = Subscribe { endpoint: format!("http://{host}/a"), p256dh: BROWSER.0.into(), auth: BROWSER.1.into(), key };
        subscribe(&self.w.app, &self.ctx(), &device, &given).await.unwrap();
    }
    async fn call(&self) -> CeremonyId {
        self.call_as("desk").await
    }
    async fn call_as(&self, client: &str) -> CeremonyId {
        let key = Key::new();
        let proof = self.w.proof_with(&key, "POST", "/bc-authorize", None, Some(countersign_wire::dpop::nonce(self.w.app.keys.k().1.expose(), self.w.app.now())));
        let body = form(&[("client_id", client), ("client_secret", SECRET), ("scope", "openid"), ("login_hint", "ana"), ("binding_message", "3")]);
        let answer = self.w.send("POST", "/bc-authorize", &[("dpop", &proof)], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        text(&answer.json(), "auth_req_id").split('.').next().unwrap().parse().unwrap()
    }
    /// Whether a phone is owed a word about this request, once the courier was on its way.
    async fn rings(&self, id: &CeremonyId) -> bool {
        let app = &self.w.app;
        round(&self.courier, app).await;
        app.store.pushes_due(app.now().plus_s(3_600), 100).await.unwrap().iter().any(|owed| owed.ceremony == *id)
    }
    /// A request that nobody answers: whether it rang.
    async fn unanswered(&self) -> bool {
        let id = self.call().await;
        let rang = self.rings(&id).await;
        self.w.later(301);
        crate::app::ceremony::terminal::sweep(&self.w.app, &self.ctx()).await.unwrap();
        assert!(!self.rings(&id).await, "what is over is owed to nobody");
        rang
    }
    async fn counted(&self, kind: Kind) -> usize {
        let engine = self.w.app.store.engine();
        engine.sequence().await.unwrap();
        engine.events_after(0, 500).await.unwrap().iter().filter(|e| e.event.kind == kind.as_str()).count()
    }
}

#[tokio::test]
async fn a_client_that_nobody_answers_rings_no_phone_for_longer_each_time() {
    let desk = Desk::open().await;
    assert!(desk.unanswered().await && desk.unanswered().await);
    assert!(!desk.unanswered().await, "silent for five minutes");
    // Asked about anew in each hour; the fourth of one would be shown to nobody. What came in silence makes it no longer.
    for quiet_s in [600, 1_200, 2_400] {
        desk.w.later(3_600);
        assert!(desk.unanswered().await, "it is over before {quiet_s} s are");
        assert!(!desk.unanswered().await && !desk.unanswered().await);
    }
    desk.w.later(3_600);
    assert!(desk.unanswered().await, "forty minutes are over");
    desk.w.later(3_600);
    assert!(!desk.unanswered().await, "an hour is less than eighty minutes");
    assert_eq!(desk.counted(Kind::PushFailed).await, 8);
    // However many there were, a day is enough.
    for _ in 0..8 {
        desk.w.later(QUIET_MAX_S);
        assert!(desk.unanswered().await);
        assert!(!desk.unanswered().await);
    }
    // And after two days it is as if nothing had been.
    desk.w.later(2 * QUIET_MAX_S + 1);
    desk.w.app.store.clear_expired(desk.w.app.now()).await.unwrap();
    assert!(desk.unanswered().await && desk.unanswered().await && !desk.unanswered().await);
}

#[tokio::test]
async fn only_what_is_offered_to_somebody_wakes_whoever_rings() {
    let desk = Desk::open().await;
    let woken = async || tokio::time::timeout(Duration::from_millis(20), desk.w.app.rings.notified()).await.is_ok();
    let asked = desk.w.post("/device_authorization", &Key::new(), &[("client_id", "desk"), ("client_secret", SECRET), ("scope", "openid")]).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    assert!(!woken().await);
    desk.call().await;
    assert!(woken().await);
}

#[tokio::test]
async fn what_a_browser_gave_is_renewed_in_half_its_time_and_forgotten_after_it() {
    let desk = Desk::open().await;
    let stands = async || view(&desk.w.app, &desk.device().await, desk.w.app.now()).await.unwrap().map(|p| (p.on, p.renew));
    assert_eq!(stands().await, Some((true, false)));
    desk.w.later(SUBSCRIPTION_S / 2);
    assert_eq!(stands().await, Some((true, true)));
    desk.subscribe("127.0.0.1:9").await;
    assert_eq!(stands().await, Some((true, false)));
    desk.w.later(SUBSCRIPTION_S);
    assert_eq!(stands().await, Some((false, false)));
    let id = desk.call().await;
    assert!(!desk.rings(&id).await);
    desk.subscribe("127.0.0.1:9").await;
    unsubscribe(&desk.w.app, &desk.ctx(), &desk.device().await).await.unwrap();
    assert_eq!(stands().await, Some((false, false)));
    assert_eq!((desk.counted(Kind::PushOn).await, desk.counted(Kind::PushOff).await), (3, 1));
}

#[tokio::test]
async fn a_push_service_that_never_answers_is_given_up_with_the_request() {
    let desk = Desk::open().await;
    let id = desk.call().await;
    let mut rounds = 0;
    while desk.rings(&id).await {
        rounds += 1;
        assert!(rounds < 10 && desk.counted(Kind::PushFailed).await == 0);
        // Before its time nothing is tried.
        assert_eq!(round(&desk.courier, &desk.w.app).await, 0);
        desk.w.later(90);
    }
    assert_eq!((rounds, desk.counted(Kind::PushFailed).await, desk.counted(Kind::PushTold).await), (3, 1, 0));
}

/// A push service that takes what it hears after a while; how much that was.
async fn service(after: Duration) -> (String, Arc<AtomicUsize>) {
    let (listener, heard) = (tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let (host, count) = (listener.local_addr().unwrap().to_string(), heard.clone());
    let take = move || {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(after).await;
            axum::http::StatusCode::CREATED
        }
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(take)).await });
    (host, heard)
}

async fn until(heard: &AtomicUsize, count: usize) {
    let told = async {
        while heard.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), told).await.unwrap();
}

#[tokio::test]
async fn a_push_service_that_is_slow_holds_up_no_other() {
    let ((slow, first), (quick, second)) = (service(Duration::from_secs(4)).await, service(Duration::ZERO).await);
    let desk = Desk::at(&[&slow, &quick]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let job = tokio::spawn(courier::run(desk.w.app.clone(), stopped));
    desk.call().await;
    until(&first, 1).await;
    desk.subscribe(&quick).await;
    desk.call_as("counter").await;
    until(&second, 1).await;
    // What is under way at the end may end, and nothing is sent twice.
    stop.send(true).unwrap();
    job.await.unwrap();
    assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst), desk.counted(Kind::PushTold).await), (1, 1, 2));
}

#[tokio::test]
async fn of_two_nodes_that_read_the_same_one_tells() {
    let (host, heard) = service(Duration::ZERO).await;
    let desk = Desk::at(&[&host]).await;
    let app = &desk.w.app;
    let due = async || Courier::due(app, 100).await.unwrap().remove(0);
    desk.call().await;
    let both = [due().await, due().await];
    for owed in both {
        desk.courier.bring(app, owed).await.unwrap();
    }
    assert_eq!((heard.load(Ordering::SeqCst), desk.counted(Kind::PushTold).await), (1, 1));
    // Where nobody is to be told, there is nothing to take, and nothing left of it.
    unsubscribe(app, &desk.ctx(), &desk.device().await).await.unwrap();
    desk.call_as("counter").await;
    let both = [due().await, due().await];
    for owed in both {
        desk.courier.bring(app, owed).await.unwrap();
    }
    assert!(Courier::due(app, 100).await.unwrap().is_empty());
}
