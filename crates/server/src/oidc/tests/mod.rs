
pub(crate) mod asked;
mod ciba;
mod device;
mod given;
mod known;
mod observed;
mod profiles;
mod pushed;
mod refresh;
mod rings;
pub(crate) mod world;

use super::backchannel::Courier;
use crate::app::App;
use crate::jobs::rounds;
use countersign_trust::audit::Kind;
use countersign_wire::jose::{Jwk, Jws};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use world::{CB, CHALLENGE, ISSUER, Key, World, client};

async fn world() -> World {
    let bearer = client("bearer", json!({"danger_allow_bearer": true}));
    World::new(vec![client("till", json!({})), client("other", json!({})), bearer]).await
}
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}
/// Claims of a JWS that some key of the published set signed.
fn verified(world: &World, jws: &str) -> Value {
    let jws = Jws::parse(jws).unwrap();
    let set = world.app.keys.jwks();
    let key = set["keys"].as_array().unwrap().iter().find(|k| k["kid"].as_str() == jws.header_text("kid")).unwrap();
    jws.verify(&Jwk::parse(key).unwrap()).unwrap().read().unwrap()
}

#[tokio::test]
async fn a_code_becomes_bound_tokens_that_say_what_was_earned() {
    let w = world().await;
    let key = Key::new();
    let code = w.code("till", None).await;
    let answer = w.exchange("till", &code, &key).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!((text(&tokens, "token_type"), tokens["expires_in"].as_i64()), ("DPoP".into(), Some(300)));
    let access = verified(&w, &text(&tokens, "access_token"));
    assert_eq!(access["cnf"]["jkt"].as_str(), Some(key.public().thumbprint().as_str()));
    assert_eq!(access["aud"].as_str(), Some(ISSUER));
    let id = verified(&w, &text(&tokens, "id_token"));
    assert_eq!((text(&id, "aud"), text(&id, "nonce")), ("till".into(), "n-1".into()));
    assert_eq!(text(&id, "acr"), "urn:countersign:acr:xd2");
    assert_eq!(id["amr"], json!(["mca", "mfa", "user", "swk"]));
    assert_eq!(text(&id, "sid"), w.session.id.as_str());
    assert_eq!(id["cs"]["channel"].as_str(), Some("frame"));
    assert!(id.get("azp").is_none());
    let info = w.userinfo(&text(&tokens, "access_token"), &key).await;
    assert_eq!(info.status, 200, "{}", info.text);
    assert_eq!(info.json(), json!({"sub": w.session.person.as_str(), "name": "Ana Petrović", "preferred_username": "ana"}));
}

#[tokio::test]
async fn without_a_live_nonce_the_server_gives_one_and_nothing_is_used_up() {
    let w = world().await;
    let key = Key::new();
    let code = w.code("till", None).await;
    let bare = w.proof_with(&key, "POST", "/token", None, None);
    let answer = w.send("POST", "/token", &[("dpop", &bare)], &World::form("till", &code)).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "use_dpop_nonce"));
    let proof = w.proof_with(&key, "POST", "/token", None, Some(answer.header("dpop-nonce")));
    let none = w.send("POST", "/token", &[], &World::form("till", &code)).await;
    assert_eq!(none.error(), "invalid_dpop_proof");
    let answer = w.send("POST", "/token", &[("dpop", &proof)], &World::form("till", &code)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_code_that_comes_again_takes_back_what_it_gave() {
    let w = world().await;
    let key = Key::new();
    let code = w.code("till", None).await;
    let tokens = w.exchange("till", &code, &key).await.json();
    let again = w.exchange("till", &code, &key).await;
    assert_eq!((again.status.as_u16(), again.error().as_str()), (400, "invalid_grant"));
    assert_eq!(w.log().await[0], Kind::CodeReplayed.as_str());
    assert_eq!(w.userinfo(&text(&tokens, "access_token"), &key).await.status, 401);
}

#[tokio::test]
async fn the_same_message_twice_is_refused_without_harm_to_its_first_copy() {
    let w = world().await;
    let key = Key::new();
    let code = w.code("till", None).await;
    let proof = w.proof(&key, "POST", "/token", None);
    let form = World::form("till", &code);
    let tokens = w.send("POST", "/token", &[("dpop", &proof)], &form).await.json();
    let again = w.send("POST", "/token", &[("dpop", &proof)], &form).await;
    assert_eq!(again.error(), "invalid_dpop_proof");
    assert_eq!(w.userinfo(&text(&tokens, "access_token"), &key).await.status, 200);
    // Nor does the proof serve for another code.
    let other = w.code("till", None).await;
    let moved = w.send("POST", "/token", &[("dpop", &proof)], &World::form("till", &other)).await;
    assert_eq!(moved.error(), "invalid_dpop_proof");
}

#[tokio::test]
async fn of_many_at_once_one_at_most_gets_tokens() {
    let w = Arc::new(world().await);
    let code = w.code("till", None).await;
    let key = Key::new();
    let tries = (0..20).map(|_| w.exchange("till", &code, &key));
    let all = futures_util::future::join_all(tries).await;
    assert_eq!(all.iter().filter(|a| a.status == 200).count(), 1);
    assert!(all.iter().filter(|a| a.status != 200).all(|a| a.error() == "invalid_grant"));
}

#[tokio::test]
async fn a_code_serves_its_own_client_key_and_minute_alone() {
    let w = world().await;
    let key = Key::new();
    let code = w.code("till", Some(key.public().thumbprint())).await;
    assert_eq!(w.exchange("other", &code, &key).await.error(), "invalid_grant");
    assert_eq!(w.exchange("till", &code, &Key::new()).await.error(), "invalid_grant");
    assert_eq!(w.exchange("till", "unknown", &key).await.error(), "invalid_grant");
    assert_eq!(w.exchange("nobody", &code, &key).await.status, 401);
    // None of this used it up.
    assert_eq!(w.exchange("till", &code, &key).await.status, 200);
    let late = w.code("till", None).await;
    w.later(60);
    assert_eq!(w.exchange("till", &late, &key).await.error(), "invalid_grant");
}

#[tokio::test]
async fn what_ended_gives_nothing_and_answers_nothing() {
    let w = world().await;
    let key = Key::new();
    let tokens = w.exchange("till", &w.code("till", None).await, &key).await.json();
    let waiting = w.code("till", None).await;
    w.end_session().await;
    assert_eq!(w.exchange("till", &waiting, &key).await.error(), "invalid_grant");
    assert_eq!(w.userinfo(&text(&tokens, "access_token"), &key).await.status, 401);
}

#[tokio::test]
async fn a_token_is_worth_nothing_without_its_key_after_its_time_or_as_another_kind() {
    let w = world().await;
    let key = Key::new();
    let tokens = w.exchange("till", &w.code("till", None).await, &key).await.json();
    let token = text(&tokens, "access_token");
    let bearer = w.send("GET", "/userinfo", &[("authorization", &format!("Bearer {token}"))], "").await;
    assert_eq!(bearer.status, 401);
    assert!(bearer.header("www-authenticate").contains("invalid_token"));
    assert_eq!(w.userinfo(&token, &Key::new()).await.status, 401);
    assert_eq!(w.userinfo(&text(&tokens, "id_token"), &key).await.status, 401);
    let nothing = w.send("GET", "/userinfo", &[], "").await;
    assert!(nothing.status == 401 && !nothing.header("www-authenticate").contains("error"));
    let stale = w.proof_with(&key, "GET", "/userinfo", Some(&token), None);
    let headers = [("dpop", stale.as_str()), ("authorization", &format!("DPoP {token}"))];
    let ask = w.send("GET", "/userinfo", &headers, "").await;
    assert!(ask.status == 401 && ask.header("www-authenticate").contains("use_dpop_nonce"));
    assert!(!ask.header("dpop-nonce").is_empty());
    w.later(300);
    assert_eq!(w.userinfo(&token, &key).await.status, 401);
}

#[tokio::test]
async fn bearer_tokens_exist_only_where_a_client_is_registered_so() {
    let w = world().await;
    let answer = w.send("POST", "/token", &[], &World::form("bearer", &w.code("bearer", None).await)).await;
    let token = text(&answer.json(), "access_token");
    assert_eq!(text(&answer.json(), "token_type"), "Bearer");
    let info = w.send("GET", "/userinfo", &[("authorization", &format!("Bearer {token}"))], "").await;
    assert_eq!(info.status, 200, "{}", info.text);
}

#[tokio::test]
async fn a_request_is_kept_for_one_browser_and_errors_go_only_where_they_may() {
    let w = world().await;
    let good = format!(
        "/authorize?client_id=till&redirect_uri={CB}&response_type=code&scope=openid+profile&state=s+1&nonce=n&\
         code_challenge={CHALLENGE}&code_challenge_method=S256&login_hint=ana"
    );
    let answer = w.send("GET", &good, &[], "").await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-cs_b=") && cookie.contains("Max-Age=1800") && cookie.contains("HttpOnly"));
    let to = answer.header("location");
    let kept = w.request(to.strip_prefix("/sign-in/").unwrap()).await;
    assert_eq!((kept.facts.state.as_deref(), kept.state.as_str()), (Some("s 1"), "open"));
    assert!(!format!("{kept:?}").contains("ana"));
    let value = &cookie["__Host-cs_b=".len()..][..43];
    let again = w.send("GET", &good, &[("cookie", &format!("__Host-cs_b={value}"))], "").await;
    assert!(again.header("set-cookie").contains(value));

    let none = w.send("GET", &good.replace("openid+profile", "openid&prompt=none"), &[], "").await;
    let to = none.header("location");
    assert!(to.starts_with(CB) && to.contains("error=login_required") && to.contains("state=s+1"), "{to}");
    assert!(to.contains("iss=http%3A%2F%2Flocalhost%3A7310"), "{to}");
    for bad in [
        good.replace("client_id=till", "client_id=nobody"),
        good.replace(CB, "https://till.example/other"),
        good.replace("client_id=till", "client_id=till&client_id=till"),
        "/authorize".to_owned(),
    ] {
        let answer = w.send("GET", &bad, &[], "").await;
        assert!(answer.status == 400 && answer.header("location").is_empty(), "{bad}");
        assert!(answer.header("set-cookie").is_empty());
    }
    assert_eq!(w.log().await[0], Kind::StepRefused.as_str());
}

#[tokio::test]
async fn discovery_says_what_there_is() {
    let w = world().await;
    let one = w.send("GET", "/.well-known/openid-configuration", &[], "").await;
    let other = w.send("GET", "/.well-known/oauth-authorization-server", &[], "").await;
    assert_eq!(one.json(), other.json());
    assert_eq!(one.json()["issuer"].as_str(), Some(ISSUER));
    let jwks = w.send("GET", "/jwks", &[], "").await;
    assert!(jwks.header("cache-control").contains("max-age=3600"));
    assert_eq!(jwks.json()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_client_signs_its_own_browser_out_and_anything_else_asks_the_person() {
    let w = world().await;
    let key = Key::new();
    let tokens = w.exchange("till", &w.code("till", None).await, &key).await.json();
    let hint = text(&tokens, "id_token");
    let cookie = format!("__Host-cs_s={}", w.cookie);
    let bye = "post_logout_redirect_uri=https://till.example/bye&state=s";
    // Elsewhere, a stranger's form, or no hint: nothing ends.
    for bad in ["https://elsewhere.example/", "https://till.example/bye/"] {
        let path = format!("/logout?id_token_hint={hint}&post_logout_redirect_uri={bad}");
        assert_eq!(w.send("GET", &path, &[("cookie", &cookie)], "").await.status, 400);
    }
    let away = w.send("GET", &format!("/logout?id_token_hint={hint}&{bye}"), &[], "").await;
    assert_eq!(away.status, 200);
    let ask = w.send("GET", &format!("/logout?client_id=till&{bye}"), &[("cookie", &cookie)], "").await;
    assert!(ask.status == 200 && ask.text.contains("name=\"form\""), "{}", ask.text);
    let forged = format!("client_id=till&{bye}&confirm=yes&form=1.AAAA");
    assert_eq!(w.send("POST", "/logout", &[("cookie", &cookie)], &forged).await.status, 400);
    let turned = w.send("POST", "/logout", &[], &format!("id_token_hint={hint}&{bye}")).await;
    assert!(turned.status == 303 && turned.header("location").starts_with("/logout?id_token_hint="));
    assert!(w.live().await.ended.is_none());
    // The form that was shown.
    let form = ask.text.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let confirm = format!("client_id=till&{bye}&confirm=yes&form={form}");
    let done = w.send("POST", "/logout", &[("cookie", &cookie)], &confirm).await;
    assert!(done.status == 200 && done.text.contains("https://till.example/bye?state=s"), "{}", done.text);
    assert!(done.header("clear-site-data").contains("cache") && done.header("set-cookie").contains("Max-Age=0"));
    assert!(w.live().await.ended.is_some());
}

#[tokio::test]
async fn the_clients_own_hint_ends_its_session_at_once() {
    let w = world().await;
    let tokens = w.exchange("till", &w.code("till", None).await, &Key::new()).await.json();
    w.later(400);
    let path = format!("/logout?id_token_hint={}", text(&tokens, "id_token"));
    let done = w.send("GET", &path, &[("cookie", &format!("__Host-cs_s={}", w.cookie))], "").await;
    assert_eq!(done.status, 200);
    assert!(w.live().await.ended.is_some());
}

/// One try of everything that is due; how much it was.
pub async fn round<C: rounds::Courier>(courier: &C, app: &App) -> usize {
    let due = C::due(app, 100).await.unwrap();
    let count = due.len();
    for owed in due {
        courier.bring(app, owed).await.unwrap();
    }
    count
}

type Told = Arc<Mutex<Vec<String>>>;

/// A client's log-out address that refuses the first `refusals` times.
async fn receiver(refusals: usize) -> (String, Told) {
    let told = Told::default();
    let seen = told.clone();
    let take = move |body: String| {
        let mut all = seen.lock().unwrap();
        all.push(body);
        let status = if all.len() <= refusals { 400 } else { 200 };
        std::future::ready(axum::http::StatusCode::from_u16(status).unwrap())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}/out", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/out", axum::routing::post(take))).await });
    (at, told)
}

#[tokio::test]
async fn a_client_is_told_when_its_session_ends_and_again_until_it_listens() {
    let (at, told) = receiver(2).await;
    let w = World::new(vec![client("till", json!({"backchannel_logout_uri": at}))]).await;
    let code = w.code("till", None).await;
    w.exchange("till", &code, &Key::new()).await;
    w.end_session().await;
    let courier = Courier::new(&w.app).unwrap();
    for (wait_s, due) in [(0, 1), (0, 0), (1, 1), (1, 0), (4, 1), (3600, 0)] {
        w.later(wait_s);
        assert_eq!(round(&courier, &w.app).await, due);
    }
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 3);
    let claims = verified(&w, told[2].strip_prefix("logout_token=").unwrap());
    assert_eq!((text(&claims, "aud"), text(&claims, "sid")), ("till".into(), w.session.id.to_string()));
    assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
    assert!(claims.get("nonce").is_none() && claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 120);
    let log = w.log().await;
    assert_eq!(log.iter().filter(|k| *k == Kind::LogoutFailed.as_str()).count(), 2);
    assert_eq!(log[0], Kind::LogoutDelivered.as_str());
}

#[tokio::test]
async fn a_client_that_never_listens_is_given_up_in_the_log() {
    let uri = "https://169.254.169.254/out";
    let w = World::new(vec![client("till", json!({"backchannel_logout_uri": uri}))]).await;
    w.exchange("till", &w.code("till", None).await, &Key::new()).await;
    w.end_session().await;
    let courier = Courier::new(&w.app).unwrap();
    let mut tries = 0;
    for _ in 0..20 {
        tries += round(&courier, &w.app).await;
        w.later(3600);
    }
    assert_eq!(tries, 7);
    assert_eq!(w.log().await[0], Kind::LogoutFailed.as_str());
}
