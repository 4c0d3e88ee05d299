//! What a request may say about how it is answered and about whom, and what every client hears of an
//! end and of new keys.

use super::text;
use super::world::{Answer, CB, CHALLENGE, ISSUER, Key, T0, World, client, form};
use crate::app::sessions;
use crate::oidc::backchannel::Courier;
use crate::oidc::jwt;
use countersign_trust::audit::Kind;
use countersign_wire::jose::{Alg, Jwk, Jws};
use countersign_wire::{PersonId, Time};
use serde_json::{Value, json};

async fn world() -> World {
    World::new(vec![client("till", json!({})), client("nameless", json!({"scopes": []}))]).await
}
pub(super) async fn ask(w: &World, client: &str, more: &[(&str, &str)], signed_in: bool) -> Answer {
    let base = [
        ("client_id", client),
        ("redirect_uri", CB),
        ("response_type", "code"),
        ("scope", "openid"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let cookie = format!("__Host-cs_s={}", w.cookie);
    let headers: &[(&str, &str)] = if signed_in { &[("cookie", &cookie)] } else { &[] };
    w.send("GET", &format!("/authorize?{}", form(&[&base[..], more].concat())), headers, "").await
}
fn error(answer: &Answer) -> String {
    let to = answer.header("location");
    let query = to.strip_prefix(CB).and_then(|q| q.strip_prefix('?')).unwrap_or_else(|| panic!("{} {to}", answer.status));
    form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == "error").unwrap().1.into_owned()
}
/// Flow and browser cookie of a request that was taken.
pub(super) fn begun(answer: &Answer) -> (String, String) {
    let to = answer.header("location");
    let flow = to.strip_prefix("/sign-in/").unwrap_or_else(|| panic!("{} {to}", answer.status)).to_owned();
    (flow, answer.header("set-cookie")["__Host-cs_b=".len()..][..43].to_owned())
}
/// What the page does first: the session's key answers, or not.
async fn resume(w: &World, answer: &Answer, key: &Key) -> Answer {
    resume_from(w, answer, key, "0.0.0.0").await
}
/// The same from another address.
pub(crate) async fn resume_from(w: &World, answer: &Answer, key: &Key, from: &str) -> Answer {
    let (flow, browser) = begun(answer);
    let path = format!("/sign-in/{flow}/resume");
    let proof = w.proof(key, "POST", &path, None);
    let cookies = format!("__Host-cs_b={browser}; __Host-cs_s={}", w.cookie);
    let headers = [("dpop", proof.as_str()), ("cookie", &cookies), ("origin", ISSUER), ("content-type", "application/json"), ("x-forwarded-for", from)];
    w.send("POST", &path, &headers, "").await
}
async fn hint(w: &World, person: &PersonId, client: &str) -> String {
    let claims = json!({"iss": ISSUER, "aud": client, "sub": person.as_str(), "sid": w.session.id.as_str()});
    jwt::sign(&w.app, Alg::ES256, jwt::ID, &claims).await.unwrap()
}

#[tokio::test]
async fn where_nobody_may_be_asked_the_session_answers_or_an_error_does() {
    let w = world().await;
    let none = [("prompt", "none")];
    assert_eq!(error(&ask(&w, "till", &none, false).await), "login_required");
    assert_eq!(error(&ask(&w, "till", &[("prompt", "none login")], true).await), "invalid_request");
    assert_eq!(error(&ask(&w, "till", &[none[0], ("acr_values", "phr")], true).await), "interaction_required");
    let good = ask(&w, "till", &none, true).await;
    let page = w.send("GET", &good.header("location"), &[("cookie", &format!("__Host-cs_b={}", begun(&good).1))], "").await;
    assert!(page.text.contains("silent.js") && !page.text.contains("code-card"), "{}", page.text);
    let answered = resume(&w, &good, &w.terminal).await;
    assert!(answered.status == 200 && text(&answered.json(), "next").contains("code="), "{}", answered.text);
    // The cookie alone is not enough; then the page may not ask, so it goes back.
    let stolen = ask(&w, "till", &none, true).await;
    assert_eq!(resume(&w, &stolen, &Key::new()).await.status, 401);
    let (flow, browser) = begun(&stolen);
    let headers = [("cookie", format!("__Host-cs_b={browser}")), ("origin", ISSUER.to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).chain([("content-type", "application/json")]).collect();
    let back = w.send("POST", &format!("/sign-in/{flow}/cancel"), &headers, "").await;
    assert!(text(&back.json(), "next").contains("error=login_required"), "{}", back.text);
    w.later(61);
    assert_eq!(error(&ask(&w, "till", &[none[0], ("max_age", "60")], true).await), "interaction_required");
    w.end_session().await;
    assert_eq!(error(&ask(&w, "till", &none, true).await), "login_required");
}

#[tokio::test]
async fn whoever_must_be_asked_is_asked_although_a_session_lives() {
    let w = world().await;
    w.later(10);
    for (more, code) in [
        (&[][..], ""),
        (&[("max_age", "10")][..], ""),
        (&[("max_age", "9")], "step_up"),
        (&[("max_age", "0")], "step_up"),
        (&[("prompt", "login")], "no_session"),
        (&[("prompt", "consent")], "no_session"),
        (&[("prompt", "select_account")], "no_session"),
        (&[("acr_values", "phr")], "step_up"),
        (&[("claims", r#"{"id_token":{"acr":{"essential":true,"value":"phr"}}}"#)], "step_up"),
        (&[("claims", r#"{"id_token":{"acr":{"value":"phr"}}}"#)], ""),
        (&[("ui_locales", "de fr-CA"), ("login_hint", "ana"), ("display", "touch")], ""),
    ] {
        let answer = resume(&w, &ask(&w, "till", more, true).await, &w.terminal).await;
        let heard = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(heard, code, "{more:?} {}", answer.text);
    }
    let unknown = [("claims", r#"{"id_token":{"acr":{"essential":true,"value":"gold"}}}"#)];
    assert_eq!(error(&ask(&w, "till", &unknown, true).await), "unmet_authentication_requirements");
    assert_eq!(error(&ask(&w, "till", &[("claims", "[]")], true).await), "invalid_request");
}

#[tokio::test]
async fn a_session_does_not_answer_for_a_scope_that_its_person_never_read() {
    let wide = json!({"scopes": ["profile", "stock", "refund"], "privileged_scopes": ["refund"]});
    let w = World::new(vec![client("till", wide)]).await;
    for (scope, code, silent) in [
        ("openid profile", "", ""),
        ("openid stock", "step_up", "interaction_required"),
        // Policy rules on this one each time, so it may have been read and cut.
        ("openid refund", "", ""),
    ] {
        let ask = async |prompt: &str| {
            let cookie = format!("__Host-cs_s={}", w.cookie);
            let pairs = [("client_id", "till"), ("redirect_uri", CB), ("response_type", "code"), ("scope", scope), ("prompt", prompt), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
            w.send("GET", &format!("/authorize?{}", form(&pairs)), &[("cookie", &cookie)], "").await
        };
        let answer = resume(&w, &ask("").await, &w.terminal).await;
        assert_eq!(answer.json()["code"].as_str().unwrap_or_default(), code, "{scope} {}", answer.text);
        let alone = ask("none").await;
        let heard = if alone.header("location").starts_with(CB) { error(&alone) } else { String::new() };
        assert_eq!(heard, silent, "{scope}");
    }
}

#[tokio::test]
async fn a_request_for_one_person_is_answered_by_nobody_else() {
    let w = world().await;
    let (own, other) = (w.session.person.clone(), PersonId::new(T0, [9; 10]));
    let sub = |person: &PersonId| format!(r#"{{"id_token":{{"sub":{{"value":"{person}"}}}}}}"#);
    for (person, good) in [(&own, true), (&other, false)] {
        for more in [("id_token_hint", hint(&w, person, "till").await), ("claims", sub(person))] {
            let more = [(more.0, more.1.as_str())];
            let arrived = ask(&w, "till", &more, true).await;
            assert_eq!(w.request(&begun(&arrived).0).await.facts.person.as_ref(), Some(person));
            assert_eq!(resume(&w, &arrived, &w.terminal).await.status == 200, good, "{more:?}");
            let silent = ask(&w, "till", &[more[0], ("prompt", "none")], true).await;
            assert_eq!(silent.header("location").starts_with("/sign-in/"), good, "{more:?}");
            // Whatever way the person came, the code is made for nobody else.
            let request = w.request(&begun(&arrived).0).await;
            let vetoes = crate::app::issue::Vetoes::of(&w.app, &w.live().await, Some(&request.facts.client), w.app.now()).await.unwrap();
            let made = sessions::code(&w.app, &request, None, &vetoes, w.app.now());
            assert_eq!(made.is_ok(), good);
        }
    }
    let (hinted, claimed) = (hint(&w, &own, "till").await, sub(&other));
    let two = [("id_token_hint", hinted.as_str()), ("claims", claimed.as_str())];
    assert_eq!(error(&ask(&w, "till", &two, true).await), "login_required");
    let foreign = hint(&w, &own, "nameless").await;
    assert_eq!(error(&ask(&w, "till", &[("id_token_hint", &foreign)], true).await), "invalid_request");
}

#[tokio::test]
async fn a_claim_that_is_asked_for_by_itself_is_shown_as_its_scope_and_given_in_the_id_token() {
    let w = world().await;
    let key = Key::new();
    let asked = [("claims", r#"{"id_token":{"name":{"essential":true},"email":null},"userinfo":{"preferred_username":null}}"#)];
    for (who, given) in [("till", true), ("nameless", false)] {
        let arrived = ask(&w, who, &asked, true).await;
        let kept = w.request(&begun(&arrived).0).await.facts;
        assert_eq!(kept.scopes.contains(&"profile".to_owned()), given, "what is given is shown");
        let next = text(&resume(&w, &arrived, &w.terminal).await.json(), "next");
        let code = next.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        let tokens = w.exchange(who, &code, &key).await.json();
        let id = super::verified(&w, &text(&tokens, "id_token"));
        assert_eq!(id["name"].as_str(), given.then_some("Ana Petrović"));
        assert!(id.get("preferred_username").is_none() && id.get("email").is_none());
        let info = w.userinfo(&text(&tokens, "access_token"), &key).await.json();
        assert_eq!(info["preferred_username"].as_str(), given.then_some("ana"));
    }
}

#[tokio::test]
async fn tokens_and_the_log_say_what_the_approval_was_worth() {
    let w = world().await;
    let tokens = w.exchange("till", &w.code("till", None).await, &Key::new()).await.json();
    for token in ["access_token", "id_token"] {
        assert_eq!(super::verified(&w, &text(&tokens, token))["cs"]["boundary"].as_str(), Some("tokens"));
    }
    let issued = w.app.store.latest(1).await.unwrap().remove(0).1;
    assert!(issued.kind == Kind::TokensIssued.as_str() && issued.body.contains("\"boundary\":\"tokens\""), "{}", issued.body);
}

#[tokio::test]
async fn every_client_that_got_something_hears_of_the_end_however_long_ago_it_was() {
    let mut places = Vec::new();
    let mut clients = Vec::new();
    for name in ["till", "stock", "office", "quiet"] {
        let (at, told) = super::receiver(0).await;
        clients.push(client(name, json!({"backchannel_logout_uri": at})));
        places.push(told);
    }
    let w = World::new(clients).await;
    for name in ["till", "stock", "office"] {
        assert_eq!(w.exchange(name, &w.code(name, None).await, &Key::new()).await.status, 200);
    }
    // Codes are cleared away a day after their minute; what a client was given is not.
    w.app.store.clear_expired(T0.plus_s(86_400 + 120)).await.unwrap();
    w.end_session().await;
    super::round(&Courier::new(&w.app).unwrap(), &w.app).await;
    let heard: Vec<usize> = places.iter().map(|told| told.lock().unwrap().len()).collect();
    assert_eq!(heard, [1, 1, 1, 0], "the last one got nothing");
}

#[tokio::test]
async fn a_client_that_keeps_its_copy_of_the_keys_notices_no_rotation() {
    let w = world().await;
    let (mut copy, mut fetched): (Value, Option<Time>) = (Value::Null, None);
    let (mut signers, mut hints) = (std::collections::BTreeSet::new(), Vec::new());
    let node = w.node().await;
    for step in 0..(100 * 24) {
        w.later(3_600);
        // Each node looks after the keys in its own time; here they are as far apart as may be.
        if step % 2 == 0 { &w } else { &node }.app.keys.refresh(&w.app.store).await.unwrap();
        let now = w.app.now();
        if fetched.is_none_or(|at| now >= at.plus_s(3_600)) {
            let answer = node.send("GET", "/jwks", &[], "").await;
            assert!(answer.header("cache-control").contains("max-age=3600"));
            (copy, fetched) = (answer.json(), Some(now));
        }
        let token = hint(&w, &w.session.person, "till").await;
        let jws = Jws::parse(&token).unwrap();
        let key = copy["keys"].as_array().unwrap().iter().find(|k| k["kid"].as_str() == jws.header_text("kid"));
        let key = key.unwrap_or_else(|| panic!("hour {step}: a key that the copy has not"));
        assert!(jws.verify(&Jwk::parse(key).unwrap()).is_ok());
        signers.insert(jws.header_text("kid").unwrap().to_owned());
        hints.push((now, token.clone()));
        // What was signed in the last week is still known, at either node.
        hints.retain(|(at, _)| now.seconds() - at.seconds() <= 7 * 86_400);
        if step % 97 == 0 {
            for app in [&w.app, &node.app] {
                assert!(hints.iter().all(|(_, t)| crate::oidc::hint::read(app, t).is_some()), "hour {step}");
            }
        }
    }
    assert!(signers.len() >= 3, "{} keys in a hundred days", signers.len());
}

#[tokio::test]
async fn a_proof_used_at_one_node_is_used_at_all() {
    let (w, key) = (world().await, Key::new());
    let b = w.node().await;
    let nonced = || w.proof_with(&key, "POST", "/token", None, Some(w.nonce()));
    let proof = nonced();
    let first = w.send("POST", "/token", &[("dpop", &proof)], &World::form("till", &w.code("till", None).await)).await;
    assert_eq!(first.status, 200, "{}", first.text);
    for node in [&w, &b, &w.node().await] {
        let code = w.code("till", None).await;
        let again = node.send("POST", "/token", &[("dpop", &proof)], &World::form("till", &code)).await;
        assert_eq!(again.error(), "invalid_dpop_proof");
        // A nonce of one node is good at the others.
        let fresh = nonced();
        assert_eq!(node.send("POST", "/token", &[("dpop", &fresh)], &World::form("till", &code)).await.status, 200);
    }
}
