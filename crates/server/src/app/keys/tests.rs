use super::*;
use crate::chance::System;
use countersign_store::{Clock, Engine};
use countersign_wire::jose::jws;

const T0: Time = Time(1_800_000_000_000_000);

/// A clock that is set by hand.
#[derive(Default)]
struct Hand(std::sync::atomic::AtomicI64);
impl Clock for Hand {
    fn now(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
impl Hand {
    fn set(&self, now: Time) {
        self.0.store(now.0, std::sync::atomic::Ordering::SeqCst);
    }
}

async fn store() -> (Store, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.set(T0);
    (Store::new(Engine::open_with("sqlite::memory:", clock.clone()).await.unwrap()), clock)
}
async fn keys(store: &Store) -> Keys {
    Keys::load(store, Seal::new(&[3; 32]), Arc::new(System::default())).await.unwrap()
}
async fn refreshed(node: &Keys, store: &Store, clock: &Hand, now: Time) {
    clock.set(now);
    node.refresh(store).await.unwrap();
}
fn token(keys: &Keys, alg: Alg) -> String {
    let signer = keys.signer(alg).unwrap();
    let mut header = serde_json::Map::new();
    header.insert("kid".into(), signer.kid().as_str().into());
    jws::encode(header, b"{}", &*signer).unwrap()
}
fn kids(keys: &Keys) -> Vec<String> {
    let set = keys.jwks();
    set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_first_start_makes_keys_and_a_second_finds_the_same() {
    let (store, _clock) = store().await;
    let first = keys(&store).await;
    let second = keys(&store).await;
    assert_eq!(kids(&first), kids(&second));
    assert_eq!(kids(&first).len(), 2);
    assert!(first.k().1.expose() == second.k().1.expose());
    assert!(second.verify_own(&token(&first, Alg::EdDSA)).is_some());
    assert!(first.signer(Alg::RS256).is_none());
    first.ensure(&store, Alg::RS256).await.unwrap();
    assert!(first.verify_own(&token(&first, Alg::RS256)).is_some());
    let published = first.jwks().to_string();
    assert!(!published.contains("\"d\"") && published.contains("RS256"));
}

#[tokio::test]
async fn keys_of_another_seal_do_not_open() {
    let (store, _clock) = store().await;
    keys(&store).await;
    let other = Keys::load(&store, Seal::new(&[4; 32]), Arc::new(System::default())).await;
    assert_eq!(other.err(), Some(KeysFault::Seal(SealFault::Opened)));
}

#[tokio::test]
async fn a_rotation_is_noticed_by_nobody() {
    let (store, clock) = store().await;
    let node = keys(&store).await;
    let mut copies: Vec<(Time, Vec<String>)> = Vec::new();
    let mut signed: Vec<(Time, String)> = Vec::new();
    let mut signers = HashSet::new();
    for half_day in 0..200 {
        let now = T0.plus_s(half_day * 43_200);
        refreshed(&node, &store, &clock, now).await;
        let kid = node.signer(Alg::ES256).unwrap().kid().to_string();
        // Whoever copied the set an hour ago knows the key that signs now.
        if let Some((_, copy)) = copies.last() {
            assert!(copy.contains(&kid), "half day {half_day}");
        }
        signed.push((now, token(&node, Alg::ES256)));
        signers.insert(kid);
        copies.push((now, kids(&node)));
        // Whatever was signed within the longest session still verifies.
        for (at, text) in &signed {
            if now.seconds() - at.seconds() <= 7 * 86_400 {
                assert!(node.verify_own(text).is_some(), "half day {half_day}");
            }
        }
    }
    assert!(signers.len() >= 3, "{}", signers.len());
    assert!(kids(&node).len() <= 6);
    assert!(node.verify_own(&signed[0].1).is_none());
}

#[tokio::test]
async fn a_server_that_slept_through_a_rotation_publishes_first() {
    let (store, clock) = store().await;
    let node = keys(&store).await;
    let first = node.signer(Alg::ES256).unwrap().kid().to_string();
    refreshed(&node, &store, &clock, T0.plus_s(ROTATE_S)).await;
    let late = T0.plus_s(ROTATE_S + 30 * 86_400);
    refreshed(&node, &store, &clock, late).await;
    assert_eq!(node.signer(Alg::ES256).unwrap().kid().as_str(), first);
    let text = token(&node, Alg::ES256);
    refreshed(&node, &store, &clock, late.plus_s(PUBLISH_S)).await;
    assert_ne!(node.signer(Alg::ES256).unwrap().kid().as_str(), first);
    assert!(node.verify_own(&text).is_some());
}

#[tokio::test]
async fn k_changes_daily_and_an_old_one_outlives_every_ceremony() {
    let (store, clock) = store().await;
    let one = keys(&store).await;
    let other = keys(&store).await;
    assert_eq!(one.k().0, 1);
    let due = T0.plus_s(K_ROTATE_S);
    refreshed(&one, &store, &clock, due).await;
    // Made, but not used before the other node had time to read it.
    assert_eq!((one.k().0, one.k_live().len()), (1, 2));
    refreshed(&other, &store, &clock, due.plus_s(30)).await;
    refreshed(&one, &store, &clock, due.plus_s(K_LEAD_S)).await;
    assert_eq!(one.k().0, 2);
    assert!(other.k_by_serial(2).is_some());
    refreshed(&one, &store, &clock, due.plus_s(K_LEAD_S + K_KEEP_S)).await;
    assert!(one.k_by_serial(1).is_some());
    refreshed(&one, &store, &clock, due.plus_s(2 * K_LEAD_S + K_KEEP_S)).await;
    assert!(one.k_by_serial(1).is_none());
}

#[tokio::test]
async fn two_nodes_that_start_together_agree() {
    let (store, _clock) = store().await;
    let (a, b) = tokio::join!(keys(&store), keys(&store));
    for node in [&a, &b] {
        node.refresh(&store).await.unwrap();
    }
    assert_eq!(kids(&a), kids(&b));
    assert_eq!(kids(&a).len(), 2);
    assert!(a.k().1.expose() == b.k().1.expose());
}

#[tokio::test]
async fn a_changed_token_or_an_unknown_key_does_not_verify() {
    let (store, _clock) = store().await;
    let node = keys(&store).await;
    let stranger = keys(&self::store().await.0).await;
    let text = token(&node, Alg::ES256);
    assert!(node.verify_own(&text).is_some());
    assert!(stranger.verify_own(&text).is_none());
    let (head, signature) = text.rsplit_once('.').unwrap();
    assert!(node.verify_own(&format!("{head}A.{signature}")).is_none());
    assert!(node.verify_own("a.b.c").is_none());
}

#[tokio::test]
async fn the_key_for_push_services_signs_no_token_and_lives_as_long_as_it_is_needed() {
    let (store, clock) = store().await;
    let node = keys(&store).await;
    assert!(node.vapid().is_none(), "nobody is told anything");
    node.ensure_vapid(&store).await.unwrap();
    let first = node.vapid().unwrap();
    node.ensure_vapid(&store).await.unwrap();
    assert_eq!((node.vapid().unwrap().kid(), node.signer(Alg::ES256).unwrap().kid() == first.kid()), (first.kid(), false));
    // What it signs passes for nothing of ours, and nobody is told to check anything by it.
    let mut header = serde_json::Map::new();
    header.insert("kid".into(), first.kid().as_str().into());
    let text = jws::encode(header, b"{}", &*first).unwrap();
    assert!(node.verify_own(&text).is_none() && !kids(&node).contains(&first.kid().to_string()));
    // Another node reads it.
    assert_eq!(keys(&store).await.vapid().unwrap().kid(), first.kid());
    let mut now = T0;
    while now < T0.plus_s(VAPID_S + 2 * 86_400) {
        now = now.plus_s(43_200);
        refreshed(&node, &store, &clock, now).await;
    }
    let second = node.vapid().unwrap();
    assert!(second.kid() != first.kid() && node.vapid_of(first.kid()).is_some());
    while now < T0.plus_s(VAPID_S + SUBSCRIPTION_S) {
        now = now.plus_s(86_400);
        refreshed(&node, &store, &clock, now).await;
        assert!(node.vapid_of(first.kid()).is_some(), "a phone may still have subscribed with it");
    }
    refreshed(&node, &store, &clock, now.plus_s(5 * 86_400)).await;
    assert!(node.vapid_of(first.kid()).is_none() && node.vapid_of(second.kid()).is_some());
}
