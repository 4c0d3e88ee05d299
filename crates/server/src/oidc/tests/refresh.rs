//! Renewals: rotation, replay, the lost answer, and everything that can stop one.

use super::text;
use super::world::{Key, World, client, form};
use crate::app::people;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::client::Client;
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::sync::Arc;

async fn world() -> World {
    let secret = json!({"refresh": "always", "auth": "client_secret_post", "secret_hash": b64::encode(&mac::h(b"secret"))});
    let mut bound = secret.clone();
    bound["refresh_bound"] = json!(true);
    World::new(vec![
        client("till", json!({"refresh": "always"})),
        client("other", json!({"refresh": "always"})),
        client("asks", json!({"refresh": "offline_access"})),
        client("never", json!({})),
        client("secret", secret),
        client("bound", bound),
    ])
    .await
}
/// The tokens of a sign-in.
async fn tokens(w: &World, client: &str, key: &Key) -> Value {
    w.exchange(client, &w.code(client, None).await, key).await.json()
}
fn refresh(tokens: &Value) -> String {
    text(tokens, "refresh_token")
}
async fn lives(w: &World, tokens: &Value, key: &Key) -> bool {
    w.userinfo(&text(tokens, "access_token"), key).await.status == 200
}

#[tokio::test]
async fn a_renewal_gives_an_access_token_and_the_next_refresh_token() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    w.later(200);
    let answer = w.renew("till", &refresh(&first), &key).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let second = answer.json();
    assert_eq!((text(&second, "token_type"), second["expires_in"].as_i64()), ("DPoP".into(), Some(300)));
    assert_ne!(refresh(&first), refresh(&second));
    assert!(second.get("id_token").is_none(), "nobody was authenticated");
    assert_eq!(w.log().await[0], Kind::TokensRefreshed.as_str());
    let (a, b) = (super::verified(&w, &text(&first, "access_token")), super::verified(&w, &text(&second, "access_token")));
    for same in ["sub", "sid", "grant_id", "auth_time", "acr", "scope", "cnf", "aud"] {
        assert_eq!(a[same], b[same], "{same}");
    }
    assert_ne!(a["jti"], b["jti"]);
    assert!(lives(&w, &first, &key).await && lives(&w, &second, &key).await);
    w.later(120);
    assert!(!lives(&w, &first, &key).await && lives(&w, &second, &key).await);
    for _ in 0..3 {
        let third = w.renew("till", &refresh(&second), &key).await;
        assert_eq!(third.status, 200, "a lost answer is told again");
    }
    let stored = format!("{:?}", w.app.store.latest(50).await.unwrap());
    assert!(!stored.contains(&refresh(&second)[37..]), "a refresh token is in the log");
}

#[tokio::test]
async fn a_used_refresh_token_ends_everything_of_its_session_on_every_node() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    let elsewhere = tokens(&w, "other", &key).await;
    let second = w.renew("till", &refresh(&first), &key).await.json();
    w.later(10);
    let b = w.node().await;
    let again = b.renew("till", &refresh(&first), &key).await;
    assert_eq!((again.status.as_u16(), again.error().as_str()), (400, "invalid_grant"));
    assert_eq!(w.log().await[0], Kind::RefreshReplayed.as_str());
    for node in [&w, &b, &w.node().await] {
        assert_eq!(node.renew("till", &refresh(&second), &key).await.error(), "invalid_grant");
        assert_eq!(node.renew("other", &refresh(&elsewhere), &key).await.error(), "invalid_grant");
        assert!(!lives(node, &second, &key).await && !lives(node, &elsewhere, &key).await);
    }
    assert!(w.live().await.ended.is_none(), "the screen itself has lost nothing");
}

#[tokio::test]
async fn a_lost_answer_is_told_again_at_once_and_no_later_than_its_successor_is_used() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    let second = w.renew("till", &refresh(&first), &key).await.json();
    w.later(9);
    let again = w.node().await.renew("till", &refresh(&first), &key).await.json();
    assert_eq!(refresh(&again), refresh(&second), "the same successor, from any node");
    let third = w.renew("till", &refresh(&second), &key).await;
    assert_eq!(third.status, 200, "{}", third.text);
    // Its successor's successor exists: whoever comes with the first now has a copy.
    assert_eq!(w.renew("till", &refresh(&first), &key).await.error(), "invalid_grant");
    assert_eq!(w.log().await[0], Kind::RefreshReplayed.as_str());
    assert_eq!(w.renew("till", &refresh(&third.json()), &key).await.error(), "invalid_grant");
}

#[tokio::test]
async fn of_many_at_once_all_hear_the_same_successor() {
    let (w, key) = (Arc::new(world().await), Key::new());
    let first = refresh(&tokens(&w, "till", &key).await);
    let all = futures_util::future::join_all((0..10).map(|_| w.renew("till", &first, &key))).await;
    let heard: Vec<String> = all.iter().filter(|a| a.status == 200).map(|a| refresh(&a.json())).collect();
    assert!(!heard.is_empty() && heard.iter().all(|h| *h == heard[0]), "{:?}", all.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(all.iter().all(|a| a.status == 200 || a.error() == "temporarily_unavailable"));
    assert_eq!(w.renew("till", &heard[0], &key).await.status, 200);
}

#[tokio::test]
async fn the_same_message_twice_does_no_harm() {
    let (w, key) = (world().await, Key::new());
    let first = refresh(&tokens(&w, "till", &key).await);
    let proof = w.proof(&key, "POST", "/token", None);
    let body = form(&[("grant_type", "refresh_token"), ("client_id", "till"), ("refresh_token", &first)]);
    let second = w.send("POST", "/token", &[("dpop", &proof)], &body).await;
    assert_eq!(second.status, 200, "{}", second.text);
    w.later(30);
    assert_eq!(w.send("POST", "/token", &[("dpop", &proof)], &body).await.error(), "invalid_dpop_proof");
    assert_eq!(w.renew("till", &refresh(&second.json()), &key).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_serves_its_client_and_its_key_alone() {
    let (w, key) = (world().await, Key::new());
    let first = refresh(&tokens(&w, "till", &key).await);
    let parts: Vec<&str> = first.split('.').collect();
    let made_up = format!("{}.{}.{}", parts[0], parts[2], parts[2]);
    let of_no_grant = format!("{}.{}.{}", "01890000-0000-7000-8000-000000000000", parts[1], parts[2]);
    for (who, token, with, error) in [
        ("till", &first, &Key::new(), "invalid_grant"),
        ("other", &first, &key, "invalid_grant"),
        ("never", &first, &key, "unauthorized_client"),
        ("till", &made_up, &key, "invalid_grant"),
        ("till", &of_no_grant, &key, "invalid_grant"),
        ("till", &"garbage".to_owned(), &key, "invalid_grant"),
    ] {
        assert_eq!(w.renew(who, token, with).await.error(), error, "{who} {token}");
    }
    let bare = form(&[("grant_type", "refresh_token"), ("client_id", "till"), ("refresh_token", &first)]);
    assert_eq!(w.send("POST", "/token", &[], &bare).await.error(), "invalid_dpop_proof");
    let none = w.post("/token", &key, &[("grant_type", "refresh_token"), ("client_id", "till")]).await;
    assert_eq!(none.error(), "invalid_request");
    // None of it did any harm.
    assert_eq!(w.renew("till", &first, &key).await.status, 200);
    assert!(tokens(&w, "never", &key).await.get("refresh_token").is_none());
}

#[tokio::test]
async fn a_client_with_a_secret_may_change_its_key_unless_registered_otherwise() {
    let w = world().await;
    for (who, status) in [("secret", 200), ("bound", 400)] {
        let key = Key::new();
        let body = World::form(who, &w.code(who, None).await) + "&client_secret=secret";
        let proof = w.proof(&key, "POST", "/token", None);
        let first = w.send("POST", "/token", &[("dpop", &proof)], &body).await.json();
        let new = Key::new();
        let pairs = [("grant_type", "refresh_token"), ("client_id", who), ("refresh_token", &refresh(&first))];
        assert_eq!(w.post("/token", &key, &pairs).await.status, 401, "without its secret it is nobody");
        let with_secret = [&pairs[..], &[("client_secret", "secret")]].concat();
        let moved = w.post("/token", &new, &with_secret).await;
        assert_eq!(moved.status, status, "{who}: {}", moved.text);
        if status == 200 {
            assert!(lives(&w, &moved.json(), &new).await && !lives(&w, &moved.json(), &key).await);
        }
    }
}

#[tokio::test]
async fn scopes_only_get_fewer_and_offline_access_is_asked_for_where_it_must_be() {
    let (w, key) = (world().await, Key::new());
    let first = refresh(&tokens(&w, "till", &key).await);
    let ask = |token: String, scope: &'static str| {
        let (w, key) = (&w, &key);
        async move {
            let pairs = [("grant_type", "refresh_token"), ("client_id", "till"), ("refresh_token", &token), ("scope", scope)];
            w.post("/token", key, &pairs).await
        }
    };
    assert_eq!(ask(first.clone(), "openid refund").await.error(), "invalid_scope");
    let fewer = ask(first, "openid").await.json();
    assert_eq!(text(&fewer, "scope"), "openid");
    let info = w.userinfo(&text(&fewer, "access_token"), &key).await.json();
    assert!(info.get("name").is_none());
    let all = ask(refresh(&fewer), "").await.json();
    assert_eq!(text(&all, "scope"), "openid profile", "what was granted stays granted");

    assert!(tokens(&w, "asks", &key).await.get("refresh_token").is_none());
    let code = w.code_for("asks", None, "openid offline_access").await;
    let asked = w.exchange("asks", &code, &key).await.json();
    assert_eq!(w.renew("asks", &refresh(&asked), &key).await.status, 200);
}

/// Everything a renewal rests on, each taken away by itself.
#[tokio::test]
async fn a_renewal_reads_every_fact_again() {
    type Take = for<'a> fn(&'a World) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
    async fn commit(w: &World, write: Write) {
        let now = w.app.now();
        let mut commit = Commit::new(w.app.event(Kind::PersonChanged, &w.app.txn(now), now));
        commit.write(write);
        w.app.commit(commit).await.unwrap();
    }
    async fn device(w: &World, to: DeviceState) {
        let device = w.app.store.device(&w.session.device).await.unwrap().unwrap().device;
        commit(w, Write::device_moved(&device, to)).await;
    }
    async fn change(w: &World, change: impl FnOnce(&mut Client)) {
        let old = w.app.store.client(&"till".parse().unwrap()).await.unwrap().unwrap();
        let mut new = old.client.clone();
        change(&mut new);
        commit(w, Write::client_changed(&old, &new, "test")).await;
    }
    let ways: [(&str, &str, Take); 10] = [
        ("the person is locked", "invalid_grant", |w| Box::pin(async { people::change(&w.app, "ana", PersonState::Locked).await.unwrap() })),
        ("the person's row alone is locked", "invalid_grant", |w| Box::pin(async {
            let person = w.app.store.person(&w.session.person).await.unwrap().unwrap();
            commit(w, Write::person_moved(&person, PersonState::Locked)).await;
        })),
        ("the device is lost", "invalid_grant", |w| Box::pin(device(w, DeviceState::Lost))),
        ("the device is suspended", "invalid_grant", |w| Box::pin(device(w, DeviceState::Suspended))),
        ("the passkey ended", "invalid_grant", |w| Box::pin(async { commit(w, Write::credentials_ended(&w.session.device)).await })),
        ("the client is switched off", "invalid_client", |w| Box::pin(change(w, |c| c.disabled = true))),
        ("the client may not renew any more", "unauthorized_client", |w| Box::pin(change(w, |c| c.refresh = Default::default()))),
        ("the client's boundary", "invalid_grant", |w| Box::pin(change(w, |c| c.boundary = countersign_wire::statement::Boundary::Session))),
        ("the session ended", "invalid_grant", |w| Box::pin(w.end_session())),
        ("nobody was there for a while", "invalid_grant", |w| Box::pin(async { w.later(900) })),
    ];
    for (what, error, take) in ways {
        let (w, key) = (world().await, Key::new());
        let first = refresh(&tokens(&w, "till", &key).await);
        // A renewal is no sign of a person.
        w.later(600);
        let second = w.renew("till", &first, &key).await;
        assert_eq!(second.status, 200, "{what}: {}", second.text);
        take(&w).await;
        let after = w.renew("till", &refresh(&second.json()), &key).await;
        assert_eq!(after.error(), error, "{what}");
        assert!(!lives(&w, &second.json(), &key).await || error == "unauthorized_client", "{what}");
    }
}

#[tokio::test]
async fn a_program_that_counts_as_a_person_keeps_the_session_awake_but_not_for_ever() {
    let w = World::new(vec![client("till", json!({"refresh": "always", "refresh_is_activity": true}))]).await;
    let key = Key::new();
    let mut token = refresh(&tokens(&w, "till", &key).await);
    for _ in 0..5 {
        w.later(600);
        let answer = w.renew("till", &token, &key).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        token = refresh(&answer.json());
    }
    w.later(599);
    let last = w.renew("till", &token, &key).await.json();
    assert_eq!(last["expires_in"].as_i64(), Some(1), "no token outlives its session");
    w.later(1);
    assert_eq!(w.renew("till", &refresh(&last), &key).await.error(), "invalid_grant");
}
