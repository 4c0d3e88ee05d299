//! What was given: asked about, and given back.

use super::text;
use super::world::{Answer, ISSUER, Key, World, client, form};
use crate::app::people;
use countersign_trust::audit::Kind;
use countersign_trust::principal::PersonState;
use countersign_wire::jose::Jws;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

const API: &str = "https://api.example";

async fn world() -> World {
    let secret = |more: Value| {
        let mut all = json!({"auth": "client_secret_post", "secret_hash": b64::encode(&mac::h(b"secret"))});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    World::new(vec![
        client("till", json!({"refresh": "always", "audience": API})),
        client("shop", secret(json!({"refresh": "always"}))),
        client("api", secret(json!({"introspects": [API], "redirect_uris": []}))),
        client("other", secret(json!({"introspects": ["https://other.example"]}))),
    ])
    .await
}
async fn tokens(w: &World, client: &str, key: &Key) -> Value {
    let body = World::form(client, &w.code(client, None).await) + "&client_secret=secret";
    let body = if client == "till" { body.replace("&client_secret=secret", "") } else { body };
    let proof = w.proof(key, "POST", "/token", None);
    w.send("POST", "/token", &[("dpop", &proof)], &body).await.json()
}
fn access(tokens: &Value) -> String {
    text(tokens, "access_token")
}
fn refresh(tokens: &Value) -> String {
    text(tokens, "refresh_token")
}
fn shown(client: &str, token: &str) -> String {
    form(&[("client_id", client), ("client_secret", "secret"), ("token", token)])
}
async fn ask(w: &World, client: &str, token: &str) -> Answer {
    w.send("POST", "/introspect", &[], &shown(client, token)).await
}
async fn active(w: &World, client: &str, token: &str) -> bool {
    let answer = ask(w, client, token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    let active = told["active"].as_bool().unwrap();
    assert!(active || told == json!({"active": false}), "{told}");
    active
}
async fn give_back(w: &World, client: &str, token: &str) {
    let body = if client == "till" { form(&[("client_id", "till"), ("token", token)]) } else { shown(client, token) };
    let answer = w.send("POST", "/revoke", &[], &body).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn an_answer_says_what_the_token_is_to_those_whom_it_concerns() {
    let (w, key) = (world().await, Key::new());
    let t = tokens(&w, "till", &key).await;
    let answer = ask(&w, "api", &access(&t)).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    let claims = super::verified(&w, &access(&t));
    assert_eq!(told["active"].as_bool(), Some(true));
    assert_eq!((text(&told, "token_type"), text(&told, "client_id")), ("DPoP".into(), "till".into()));
    assert_eq!(text(&told, "scope"), "openid profile");
    for same in ["iss", "sub", "aud", "exp", "iat", "jti", "acr", "amr", "auth_time", "cnf", "sid"] {
        assert!(!claims[same].is_null() && claims[same] == told[same], "{same}");
    }
    assert!(!answer.text.contains("Ana") && told.get("username").is_none());
    // Its own client, if it can show who it is; nobody else.
    let own = tokens(&w, "shop", &Key::new()).await;
    assert!(active(&w, "shop", &access(&own)).await && active(&w, "shop", &refresh(&own)).await);
    for (who, token) in [
        ("other", access(&t)),
        ("shop", access(&t)),
        ("api", access(&own)),
        ("api", refresh(&t)),
        ("other", refresh(&own)),
        ("api", "garbage".to_owned()),
        ("shop", text(&own, "id_token")),
    ] {
        assert!(!active(&w, who, &token).await, "{who}");
    }
    let log = w.log().await;
    assert_eq!(log.iter().filter(|k| *k == Kind::StepRefused.as_str()).count(), 5, "questions about others' tokens are recorded");
}

#[tokio::test]
async fn only_a_caller_that_authenticates_is_answered() {
    let (w, key) = (world().await, Key::new());
    let token = access(&tokens(&w, "till", &key).await);
    for (body, status, error) in [
        (form(&[("client_id", "till"), ("token", &token)]), 401, "invalid_client"),
        (form(&[("client_id", "api"), ("token", &token)]), 401, "invalid_client"),
        (form(&[("client_id", "api"), ("client_secret", "wrong"), ("token", &token)]), 401, "invalid_client"),
        (form(&[("token", &token)]), 401, "invalid_client"),
        (form(&[("client_id", "api"), ("client_secret", "secret")]), 400, "invalid_request"),
    ] {
        let answer = w.send("POST", "/introspect", &[], &body).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, error), "{body}");
        let till = body.starts_with("client_id=till");
        let answer = w.send("POST", "/revoke", &[], &body).await;
        assert_eq!(answer.status.as_u16(), if till { 200 } else { status }, "{body}");
    }
}

#[tokio::test]
async fn an_answer_shows_at_once_whatever_ended() {
    for what in ["session", "person", "row", "time", "idle", "client"] {
        let (w, key) = (world().await, Key::new());
        let t = tokens(&w, "till", &key).await;
        let own = tokens(&w, "shop", &Key::new()).await;
        assert!(active(&w, "api", &access(&t)).await && active(&w, "shop", &refresh(&own)).await);
        let now = w.app.now();
        let mut commit = countersign_store::Commit::new(w.app.event(Kind::PersonChanged, &w.app.txn(now), now));
        match what {
            "session" => w.end_session().await,
            "person" => people::change(&w.app, "ana", PersonState::Locked).await.unwrap(),
            "row" => {
                let person = w.app.store.person(&w.session.person).await.unwrap().unwrap();
                commit.write(countersign_store::Write::person_moved(&person, PersonState::Locked));
                w.app.commit(commit).await.unwrap();
            }
            "time" => w.later(300),
            "idle" => w.later(900),
            _ => {
                let old = w.app.store.client(&"till".parse().unwrap()).await.unwrap().unwrap();
                let off = countersign_trust::client::Client { disabled: true, ..old.client.clone() };
                commit.write(countersign_store::Write::client_changed(&old, &off, "test"));
                w.app.commit(commit).await.unwrap();
            }
        }
        assert!(!active(&w, "api", &access(&t)).await, "{what}");
        assert_eq!(active(&w, "shop", &refresh(&own)).await, ["time", "client"].contains(&what), "{what}");
    }
}

#[tokio::test]
async fn a_question_about_a_refresh_token_does_not_use_it() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "shop", &key).await;
    let renew = async |token: &str| {
        let pairs = [("grant_type", "refresh_token"), ("client_id", "shop"), ("client_secret", "secret"), ("refresh_token", token)];
        w.post("/token", &key, &pairs).await
    };
    for _ in 0..3 {
        assert!(active(&w, "shop", &refresh(&first)).await);
    }
    let second = renew(&refresh(&first)).await.json();
    w.later(30);
    assert!(!active(&w, "shop", &refresh(&first)).await, "used");
    assert!(active(&w, "shop", &refresh(&second)).await, "and the question was no replay");
    assert_eq!(renew(&refresh(&second)).await.status, 200);
}

#[tokio::test]
async fn whoever_asks_for_it_gets_the_answer_signed() {
    let (w, key) = (world().await, Key::new());
    let t = tokens(&w, "till", &key).await;
    for (token, alive) in [(access(&t), true), ("garbage".to_owned(), false)] {
        let accept = [("accept", "application/json;q=0.5, application/token-introspection+jwt")];
        let answer = w.send("POST", "/introspect", &accept, &shown("api", &token)).await;
        assert_eq!(answer.header("content-type"), "application/token-introspection+jwt");
        assert_eq!(Jws::parse(&answer.text).unwrap().header_text("typ"), Some("token-introspection+jwt"));
        let claims = super::verified(&w, &answer.text);
        assert_eq!((text(&claims, "iss"), text(&claims, "aud")), (ISSUER.into(), "api".into()));
        assert_eq!(claims["token_introspection"]["active"].as_bool(), Some(alive));
        assert!(claims.get("exp").is_none() && claims.get("sub").is_none(), "it never passes for a token");
        // Nor does the answer itself.
        assert!(!active(&w, "api", &answer.text).await);
        assert_eq!(w.userinfo(&answer.text, &key).await.status, 401);
    }
}

#[tokio::test]
async fn a_refresh_token_given_back_ends_its_grant_even_an_old_one() {
    for old in [false, true] {
        let (w, key) = (world().await, Key::new());
        let first = tokens(&w, "till", &key).await;
        let elsewhere = tokens(&w, "shop", &key).await;
        let second = w.renew("till", &refresh(&first), &key).await.json();
        w.later(20);
        give_back(&w, "till", &refresh(if old { &first } else { &second })).await;
        assert_eq!(w.log().await[0], Kind::TokensRevoked.as_str());
        for t in [&first, &second] {
            assert!(!active(&w, "api", &access(t)).await);
            assert_eq!(w.userinfo(&access(t), &key).await.status, 401);
        }
        assert_eq!(w.renew("till", &refresh(&second), &key).await.error(), "invalid_grant");
        assert!(active(&w, "shop", &access(&elsewhere)).await, "no other client loses anything");
        assert!(w.live().await.ended.is_none());
    }
}

#[tokio::test]
async fn an_access_token_given_back_leaves_what_can_be_renewed() {
    let (w, key) = (world().await, Key::new());
    let first = tokens(&w, "till", &key).await;
    w.clock_ms(2);
    let second = w.renew("till", &refresh(&first), &key).await.json();
    give_back(&w, "till", &access(&first)).await;
    assert!(!active(&w, "api", &access(&first)).await && active(&w, "api", &access(&second)).await);
    w.clock_ms(2);
    give_back(&w, "till", &access(&second)).await;
    assert!(!active(&w, "api", &access(&second)).await);
    w.clock_ms(2);
    let third = w.renew("till", &refresh(&second), &key).await.json();
    assert!(active(&w, "api", &access(&third)).await, "made in the same second, and later");
}

#[tokio::test]
async fn what_cannot_be_given_back_changes_nothing_and_is_answered_alike() {
    let (w, key) = (world().await, Key::new());
    let t = tokens(&w, "till", &key).await;
    let r = refresh(&t);
    let made_up = format!("{}{}", &r[..40], "A".repeat(r.len() - 40));
    for (who, token) in [
        ("shop", access(&t)),
        ("shop", r.clone()),
        ("till", "garbage".to_owned()),
        ("till", made_up),
        ("till", text(&t, "id_token")),
    ] {
        give_back(&w, who, &token).await;
    }
    assert!(active(&w, "api", &access(&t)).await);
    assert_eq!(w.renew("till", &r, &key).await.status, 200);
    let twice = tokens(&w, "till", &key).await;
    for _ in 0..2 {
        give_back(&w, "till", &refresh(&twice)).await;
    }
    let revoked = w.log().await.iter().filter(|k| *k == Kind::TokensRevoked.as_str()).count();
    assert_eq!(revoked, 1);
}
