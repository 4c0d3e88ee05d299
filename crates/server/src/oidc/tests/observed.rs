//! What the server observes by itself: another network, another country, another key; and nonces that are given
//! while trust holds.

use super::asked::{ask, begun, resume_from};
use super::text;
use super::world::{Answer, HERE, ISSUER, Key, World, client, form};
use crate::app::ceremony::open::{Opener, attempt_open};
use crate::app::{Context, noise, nonces, observe};
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::limits;
use countersign_trust::session::Session;
use countersign_trust::signal::{self, Signal, Subject};
use countersign_wire::dpop::{self, Fresh};
use countersign_wire::CeremonyId;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

/// Somewhere else than [`HERE`].
const AWAY: &str = "198.51.100.7";
const FAR: &str = "203.0.113.9";
const PLACES: &str = "trusted_proxies = [\"0.0.0.0/32\"]\n\
    [[network.places]]\ncountry = \"DE\"\nnetworks = [\"0.0.0.0/24\", \"198.51.100.0/24\"]\n\
    [[network.places]]\ncountry = \"FR\"\nnetworks = [\"203.0.113.0/24\"]\n";

async fn world() -> World {
    let secret = json!({"refresh": "always", "auth": "client_secret_post", "secret_hash": b64::encode(&mac::h(b"secret"))});
    let clients = vec![
        client("till", json!({"refresh": "always"})),
        client("back", secret),
        client("split", json!({"refresh": "always", "any_network": true})),
    ];
    World::with(clients, PLACES).await
}
async fn tokens(w: &World, client: &str, key: &Key) -> Value {
    let body = World::form(client, &w.code(client, None).await) + if client == "back" { "&client_secret=secret" } else { "" };
    let proof = w.proof(key, "POST", "/token", None);
    w.send("POST", "/token", &[("dpop", &proof)], &body).await.json()
}
async fn renew_with(w: &World, client: &str, tokens: &Value, proof: &str, from: &str) -> Answer {
    let token = text(tokens, "refresh_token");
    let body = form(&[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", &token)]);
    let body = body + if client == "back" { "&client_secret=secret" } else { "" };
    w.send("POST", "/token", &[("dpop", proof), ("x-forwarded-for", from)], &body).await
}
async fn renew(w: &World, client: &str, tokens: &Value, key: &Key, from: &str) -> Answer {
    renew_with(w, client, tokens, &w.proof(key, "POST", "/token", None), from).await
}
async fn signals(w: &World) -> Vec<signal::Kind> {
    w.live().await.signals.iter().map(|s| s.kind).collect()
}
/// Its person approves from there.
async fn raised(w: &World, from: &str) -> Session {
    let old = w.live().await;
    let origin = w.app.config.network.origin(from.parse().unwrap());
    let new = countersign_trust::session::SessionFacts { networks: vec![origin.network], country: origin.country, ..old.facts.clone() };
    let mut commit = Commit::new(w.app.event(Kind::SessionRaised, &old.facts.txn, w.app.now()));
    commit.write(Write::session_raised(&old, &old.raised(new, w.app.now())));
    w.app.commit(commit).await.unwrap();
    w.live().await
}
async fn userinfo(w: &World, token: &str, key: &Key, from: &str, nonce: Option<String>) -> Answer {
    let proof = w.proof_with(key, "GET", "/userinfo", Some(token), nonce);
    w.send("GET", "/userinfo", &[("dpop", &proof), ("authorization", &format!("DPoP {token}")), ("x-forwarded-for", from)], "").await
}

#[tokio::test]
async fn a_renewal_from_another_network_gets_nothing_before_its_person_approved_there() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    let away = renew(&w, "till", &first, &key, AWAY).await;
    assert_eq!((away.status.as_u16(), away.error().as_str()), (400, "interaction_required"));
    assert!(away.header("dpop-nonce").is_empty(), "a nonce without trust");
    assert_eq!(signals(&w).await, [signal::Kind::SessionNetworkChanged]);
    // Back home it still has to be confirmed, and however often it goes there and back, no more is written.
    let version = w.live().await.version;
    for from in ["0.0.0.0", AWAY, "0.0.0.0", AWAY, AWAY] {
        assert_eq!(renew(&w, "till", &first, &key, from).await.error(), "interaction_required", "{from}");
    }
    assert_eq!(w.live().await.version, version, "each request wrote something");
    // Approved there, both are known.
    let session = raised(&w, AWAY).await;
    assert_eq!(session.facts.networks, [HERE, "198.51.100.0/24"]);
    let mut now = first;
    for from in [AWAY, "0.0.0.0", AWAY, "198.51.100.200"] {
        let next = renew(&w, "till", &now, &key, from).await;
        assert_eq!(next.status, 200, "{from}: {}", next.text);
        now = next.json();
    }
    assert!(signals(&w).await.is_empty());
}

#[tokio::test]
async fn another_country_is_told_of_beside_the_network() {
    let (w, key) = (world().await, Key::new());
    raised(&w, "0.0.0.0").await;
    let first = tokens(&w, "till", &key).await;
    assert_eq!(renew(&w, "till", &first, &key, FAR).await.error(), "interaction_required");
    assert_eq!(signals(&w).await, [signal::Kind::SessionNetworkChanged, signal::Kind::SessionPlaceChanged]);
    let session = raised(&w, FAR).await;
    assert_eq!(session.facts.country.as_deref(), Some("FR"));
    assert_eq!(renew(&w, "till", &first, &key, FAR).await.status, 200);
}

#[tokio::test]
async fn clients_that_call_from_servers_of_their_own_are_not_where_the_screen_is() {
    let w = world().await;
    for who in ["back", "split"] {
        let key = Key::new();
        let first = tokens(&w, who, &key).await;
        assert_eq!(renew(&w, who, &first, &key, AWAY).await.status, 200, "{who}");
    }
    assert!(signals(&w).await.is_empty());
}

#[tokio::test]
async fn every_door_of_a_sessions_screen_notices_where_it_is() {
    // A page that resumes.
    let w = world().await;
    let back = resume_from(&w, &ask(&w, "till", &[], true).await, &w.terminal, AWAY).await;
    assert_eq!((back.status.as_u16(), back.json()["code"].as_str()), (409, Some("step_up")));
    // A page that watches or beats, a program that asks who it speaks for, a code that is exchanged elsewhere.
    let w = world().await;
    let cookie = format!("__Host-cs_s={}", w.cookie);
    w.send("GET", "/session/watch", &[("cookie", &cookie), ("x-forwarded-for", AWAY)], "").await;
    assert_eq!(signals(&w).await, [signal::Kind::SessionNetworkChanged]);
    let w = world().await;
    let cookie = format!("__Host-cs_s={}", w.cookie);
    let proof = w.proof(&w.terminal, "POST", "/session/beat", None);
    let headers = [("cookie", cookie.as_str()), ("origin", ISSUER), ("dpop", &proof), ("content-type", "application/json"), ("x-forwarded-for", AWAY)];
    assert_eq!(w.send("POST", "/session/beat", &headers, "{\"visible\":true}").await.status, 200);
    assert_eq!(signals(&w).await, [signal::Kind::SessionNetworkChanged]);
    let (w, key) = (world().await, Key::new());
    let token = text(&tokens(&w, "till", &key).await, "access_token");
    let nonce = || Some(nonces::give(&w.app, &key.public().thumbprint()));
    assert_eq!(userinfo(&w, &token, &key, "0.0.0.0", nonce()).await.status, 200);
    let away = userinfo(&w, &token, &key, AWAY, nonce()).await;
    assert!(away.status == 401 && away.header("www-authenticate").contains("insufficient_user_authentication"), "{:?}", away.headers);
    assert!(away.header("dpop-nonce").is_empty());
    let (w, key) = (world().await, Key::new());
    let proof = w.proof(&key, "POST", "/token", None);
    let body = World::form("till", &w.code("till", None).await);
    let exchanged = w.send("POST", "/token", &[("dpop", &proof), ("x-forwarded-for", AWAY)], &body).await;
    assert_eq!(exchanged.error(), "interaction_required");
}

#[tokio::test]
async fn a_device_is_told_of_once_in_each_network_and_at_most_once_a_minute() {
    let w = world().await;
    let at = |w: &World, from: &str| Context::new(&w.app, from.parse().unwrap(), "A program".to_owned());
    let seen = async |from: &str| {
        let stored = w.app.store.device(&w.session.device).await.unwrap().unwrap();
        observe::device(&w.app, &at(&w, from), stored).await.unwrap()
    };
    // The first network is learnt without a word.
    assert!(seen("0.0.0.0").await.device.signals.is_empty());
    let told = seen(AWAY).await;
    assert_eq!((told.device.signals[0].kind, told.networks.len()), (signal::Kind::DeviceNetworkChanged, 2));
    let (at_first, version) = (told.device.signals[0].at, told.device.version);
    // A session that was approved before has to be confirmed; one that is approved now has not.
    assert!(countersign_trust::signal::reconfirm(told.device.signals.iter(), w.app.now()) > Some(w.session.auth_time.plus_s(-1)));
    for from in ["0.0.0.0", AWAY, FAR, FAR] {
        assert_eq!(seen(from).await.device.version, version, "{from}");
    }
    w.later(limits::NETWORK_PAUSE_S + 1);
    let again = seen(FAR).await;
    assert!(again.device.signals[0].at > at_first && again.networks.len() == 3, "{again:?}");
    assert_eq!(again.device.signals.len(), 1);
}

#[tokio::test]
async fn a_nonce_for_a_renewal_is_for_a_key_whose_trust_holds() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    let proof = |nonce: Option<String>| w.proof_with(&key, "POST", "/token", None, nonce);
    // One for whoever asks, of another key, of another process, or none: it gets one of its own.
    let node = w.node().await;
    let jkt = key.public().thumbprint();
    let others = [None, Some(w.nonce()), Some(nonces::give(&w.app, &Key::new().public().thumbprint())), Some(nonces::give(&node.app, &jkt))];
    for nonce in others {
        let asked = renew_with(&w, "till", &first, &proof(nonce.clone()), "0.0.0.0").await;
        assert_eq!(asked.error(), "use_dpop_nonce", "{nonce:?}");
        assert_eq!(asked.header("dpop-nonce"), nonces::give(&w.app, &jkt));
    }
    let second = renew_with(&w, "till", &first, &proof(Some(nonces::give(&w.app, &jkt))), "0.0.0.0").await;
    assert_eq!(second.status, 200, "{}", second.text);
    // The answer brought one for the next step, at whichever door.
    let token = text(&second.json(), "access_token");
    assert_eq!(userinfo(&w, &token, &key, "0.0.0.0", Some(second.header("dpop-nonce"))).await.status, 200);
    assert_eq!(userinfo(&w, &token, &key, "0.0.0.0", Some(w.nonce())).await.status, 401);
    // It runs out.
    let old = proof(Some(second.header("dpop-nonce")));
    w.later(61);
    assert_eq!(renew_with(&w, "till", &second.json(), &old, "0.0.0.0").await.error(), "use_dpop_nonce");
    // Whose trust does not hold gets none.
    w.end_session().await;
    let gone = renew_with(&w, "till", &second.json(), &proof(None), "0.0.0.0").await;
    assert!(gone.error() == "invalid_grant" && gone.header("dpop-nonce").is_empty(), "{}", gone.text);
    let gone = userinfo(&w, &token, &key, "0.0.0.0", None).await;
    assert!(gone.status == 401 && gone.header("dpop-nonce").is_empty());
}

#[tokio::test]
async fn a_message_of_long_ago_ends_nothing_and_a_used_token_with_a_fresh_proof_does() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    let old = w.proof(&key, "POST", "/token", None);
    let second = renew_with(&w, "till", &first, &old, "0.0.0.0").await.json();
    w.later(400);
    assert_eq!(renew_with(&w, "till", &first, &old, "0.0.0.0").await.error(), "use_dpop_nonce");
    let third = renew(&w, "till", &second, &key, "0.0.0.0").await;
    assert_eq!(third.status, 200, "{}", third.text);
    w.later(30);
    assert_eq!(renew(&w, "till", &first, &key, "0.0.0.0").await.error(), "invalid_grant");
    assert_eq!(renew(&w, "till", &third.json(), &key, "0.0.0.0").await.error(), "invalid_grant", "the session's grants live");
}

#[tokio::test]
async fn a_proof_for_a_resource_serves_once() {
    let (w, key) = (world().await, Key::new());
    let token = text(&tokens(&w, "till", &key).await, "access_token");
    let proof = w.proof(&key, "GET", "/userinfo", Some(&token));
    let headers = [("dpop", proof.as_str()), ("authorization", &format!("DPoP {token}"))];
    assert_eq!(w.send("GET", "/userinfo", &headers, "").await.status, 200);
    let again = w.send("GET", "/userinfo", &headers, "").await;
    assert!(again.status == 401 && again.header("www-authenticate").contains("invalid_dpop_proof"), "{:?}", again.headers);
}

#[tokio::test]
async fn a_sessions_cookie_with_other_keys_is_told_of_when_it_does_not_stop() {
    let w = world().await;
    let cookie = format!("__Host-cs_s={}", w.cookie);
    for n in 0..limits::WRONG_KEYS_MIN + 3 {
        assert_eq!(signals(&w).await.len(), usize::from(n > limits::WRONG_KEYS_MIN), "{n}");
        let proof = w.proof(&Key::new(), "POST", "/session/beat", None);
        let headers = [("cookie", cookie.as_str()), ("origin", ISSUER), ("dpop", &proof), ("content-type", "application/json")];
        assert_eq!(w.send("POST", "/session/beat", &headers, "{\"visible\":true}").await.json()["code"], "no_session");
    }
    assert_eq!(signals(&w).await, [signal::Kind::SessionKeyRefused]);
}

#[tokio::test]
async fn whoever_is_refused_without_end_or_approves_faster_than_people_do_is_told_of() {
    let w = world().await;
    let ctx = Context::new(&w.app, "192.0.2.1".parse().unwrap(), "A program".to_owned());
    ctx.known_as("session", w.session.id.as_str());
    for _ in 0..=limits::LINES_PER_CALLER_MIN {
        let _ = noise::admit(&w.app, &ctx, noise::What::Refusal, "x");
    }
    w.later(60);
    noise::tell(&w.app).await.unwrap();
    assert_eq!(signals(&w).await, [signal::Kind::SessionRateOdd]);
    let approves = async |id: &CeremonyId| observe::approval(&w.app, &ctx, &w.session.person, id).await.unwrap();
    let one = CeremonyId::new(w.app.now(), w.app.id10());
    // Judged anew, or sent again: one approval.
    for _ in 0..2 * limits::APPROVALS_MIN {
        approves(&one).await;
    }
    for _ in 1..limits::APPROVALS_MIN {
        approves(&CeremonyId::new(w.app.now(), w.app.id10())).await;
    }
    let risk = async || w.app.store.person(&w.session.person).await.unwrap().unwrap().signals;
    assert!(risk().await.is_empty());
    for _ in 0..3 {
        approves(&CeremonyId::new(w.app.now(), w.app.id10())).await;
    }
    let known = risk().await;
    assert_eq!((known.len(), known[0].kind), (1, signal::Kind::PersonRiskMedium));
    assert!(!known[0].is_live(w.app.now().plus_s(limits::ODD_S + 1)), "for ever");
}

/// A race that was lost to whoever judged the session again is no reason to refuse the session's own key.
#[tokio::test]
async fn a_session_is_raised_although_it_was_judged_again_meanwhile() {
    let w = world().await;
    let jkt = w.terminal.public().thumbprint();
    let mut commit = Commit::new(w.app.event(Kind::CeremonyOpened, &w.session.txn, w.app.now()));
    commit.write(Write::burnt("tk", jkt.as_str(), w.app.now().plus_s(86_400)));
    w.app.commit(commit).await.unwrap();
    let new = Signal { kind: signal::Kind::SessionNetworkChanged, source: "operator".into(), at: w.app.now(), until: None };
    crate::app::signals::raise(&w.app, &Subject::Session(w.session.id.clone()), new, &w.session.txn).await.unwrap();
    let (flow, browser) = begun(&ask(&w, "till", &[], true).await);
    let text = w.proof(&w.terminal, "POST", "/ceremonies", None);
    let url = format!("{ISSUER}/ceremonies");
    let request = dpop::Request { method: "POST", url: &url, token: None, body: None, now: w.app.now(), fresh: Fresh::Elsewhere };
    let proof = dpop::verify(&text, &request).unwrap();
    let ctx = Context::new(&w.app, "0.0.0.0".parse().unwrap(), "Firefox".to_owned());
    let body = serde_json::from_value(json!({"flow": flow, "raise": true})).unwrap();
    let opened = attempt_open(&w.app, &ctx, &Opener::Browser(browser), &proof, Some(&w.cookie), &body, 1).await.unwrap();
    let kept = w.app.store.ceremony(&opened.cid.parse().unwrap()).await.unwrap().unwrap();
    assert!(kept.opening.raises.is_some());
}
