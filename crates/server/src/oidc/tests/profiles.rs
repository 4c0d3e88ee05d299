//! What a client's registration asks of it beyond what is asked of everybody, and what it lets go.

use super::text;
use super::world::{Answer, CB, CHALLENGE, ISSUER, Key, VERIFIER, World, client, form};
use crate::config::registrable;
use countersign_trust::client::Client;
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::jose::{Alg, Signer, jws};
use countersign_wire::{b64, mac};
use serde_json::{Map, Value, json};

fn strict(key: &Key, more: Value) -> Client {
    let mut all = json!({"profile": "fapi2", "auth": "private_key_jwt", "keys": [key.public().members()], "refresh": "always"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client("bank", all)
}
async fn world(key: &Key) -> World {
    World::new(vec![strict(key, json!({}))]).await
}
fn assertion(w: &World, key: &dyn Signer, audience: Value) -> String {
    let claims = json!({"iss": "bank", "sub": "bank", "aud": audience, "exp": w.app.now().seconds() + 60,
        "jti": b64::encode(&w.app.random::<12>())});
    jws::encode(Map::new(), claims.to_string().as_bytes(), key).unwrap()
}
const KIND: (&str, &str) = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
/// Sends a form as the client, with a proof by `dpop` that was made `age_s` ago.
async fn send(w: &World, path: &str, key: &Key, dpop: Option<(&Key, i64)>, pairs: &[(&str, &str)]) -> Answer {
    let shown = assertion(w, key, json!(ISSUER));
    let body = form(&[pairs, &[KIND, ("client_assertion", &shown)]].concat());
    let headers = dpop.map(|(dpop, age_s)| {
        let claims = ProofClaims {
            jti: b64::encode(&w.app.random::<12>()),
            htm: "POST".into(),
            htu: format!("{ISSUER}{path}"),
            iat: NumericDate(w.app.now().seconds() - age_s),
            nonce: Some(crate::app::nonces::give(&w.app, &dpop.public().thumbprint())),
            ..ProofClaims::default()
        };
        dpop::make(&claims, &dpop.public(), dpop).unwrap()
    });
    let headers: Vec<(&str, &str)> = headers.iter().map(|p| ("dpop", p.as_str())).collect();
    w.send("POST", path, &headers, &body).await
}
fn wanted<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let base = [("client_id", "bank"), ("redirect_uri", CB), ("response_type", "code"), ("scope", "openid"), ("nonce", "n")];
    [&base[..], more].concat()
}
const PKCE: [(&str, &str); 2] = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];

#[tokio::test]
async fn fapi2_pushes_binds_and_proves_afresh() {
    let (key, dpop) = (Key::new(), Key::new());
    let w = world(&key).await;
    let plain = w.send("GET", &format!("/authorize?{}", form(&wanted(&PKCE))), &[], "").await;
    assert!(plain.header("location").contains("error=invalid_request"), "{}", plain.header("location"));
    for (pairs, proof, error) in [
        (wanted(&PKCE), Some((&dpop, 13)), "invalid_dpop_proof"),
        (wanted(&PKCE), Some((&dpop, -11)), "invalid_dpop_proof"),
        (wanted(&[]), Some((&dpop, 0)), "invalid_request"),
    ] {
        assert_eq!(send(&w, "/par", &key, proof, &pairs).await.error(), error);
    }
    let pushed = send(&w, "/par", &key, Some((&dpop, 10)), &wanted(&PKCE)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
    let uri = text(&pushed.json(), "request_uri");
    let by_name = [("client_id", "bank"), ("request_uri", uri.as_str())];
    assert_eq!(w.send("GET", &format!("/authorize?{}", form(&by_name)), &[], "").await.status, 303);
    // No other way of authentication, no other server's name, no weak algorithm.
    let bare = form(&wanted(&PKCE));
    assert_eq!(w.send("POST", "/par", &[], &bare).await.error(), "invalid_client");
    for audience in [json!([ISSUER]), json!(format!("{ISSUER}/token")), json!("https://elsewhere.example")] {
        let shown = assertion(&w, &key, audience.clone());
        let body = form(&[&wanted(&PKCE)[..], &[KIND, ("client_assertion", &shown)]].concat());
        assert_eq!(w.send("POST", "/par", &[], &body).await.error(), "invalid_client", "{audience}");
    }
    // The code, with tokens bound to the key of the push alone; and userinfo with a fresh proof.
    let code = w.code("bank", Some(dpop.public().thumbprint())).await;
    let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CB), ("code_verifier", VERIFIER)];
    for (proof, error) in [(None, "invalid_dpop_proof"), (Some((&dpop, 13)), "invalid_dpop_proof"), (Some((&key, 0)), "invalid_grant")] {
        assert_eq!(send(&w, "/token", &key, proof, &pairs).await.error(), error);
    }
    let tokens = send(&w, "/token", &key, Some((&dpop, 0)), &pairs).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    let old = w.userinfo(&text(&tokens.json(), "access_token"), &dpop).await;
    assert_eq!(old.status, 401, "the proof of this test's world was made in 1970");
}

#[tokio::test]
async fn rs256_signs_nothing_for_fapi2() {
    let w = World::new(vec![]).await;
    w.app.keys.ensure(&w.app.store, Alg::RS256).await.unwrap();
    let rsa = w.app.keys.signer(Alg::RS256).unwrap();
    let (key, public) = (Key::new(), rsa.public().members());
    let classic = Client { profile: Default::default(), ..strict(&key, json!({"keys": [public.clone()]})) };
    for (client, status) in [(classic, 201), (strict(&key, json!({"keys": [public]})), 401)] {
        let w = World::new(vec![client]).await;
        let shown = assertion(&w, &*rsa, json!(ISSUER));
        let body = form(&[&wanted(&PKCE)[..], &[KIND, ("client_assertion", &shown)]].concat());
        assert_eq!(w.send("POST", "/par", &[], &body).await.status, status);
    }
}

#[tokio::test]
async fn a_refresh_token_of_fapi2_stays_the_same_and_ends_with_everything_else() {
    let (key, dpop) = (Key::new(), Key::new());
    let w = world(&key).await;
    let code = w.code("bank", None).await;
    let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CB), ("code_verifier", VERIFIER)];
    let first = send(&w, "/token", &key, Some((&dpop, 0)), &pairs).await.json();
    let token = text(&first, "refresh_token");
    let renew = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    for _ in 0..4 {
        w.later(60);
        let answer = send(&w, "/token", &key, Some((&dpop, 0)), &renew).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.json().get("refresh_token").is_none(), "it stays good");
    }
    assert_eq!(send(&w, "/token", &key, None, &renew).await.error(), "invalid_dpop_proof");
    w.end_session().await;
    assert_eq!(send(&w, "/token", &key, Some((&dpop, 0)), &renew).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_client_may_have_to_name_its_key() {
    let (key, dpop) = (Key::new(), Key::new());
    let w = World::new(vec![strict(&key, json!({"require_dpop_jkt": true})), client("till", json!({"require_dpop_jkt": true}))]).await;
    assert_eq!(send(&w, "/par", &key, None, &wanted(&PKCE)).await.error(), "invalid_request");
    assert_eq!(send(&w, "/par", &key, Some((&dpop, 0)), &wanted(&PKCE)).await.status, 201);
    let jkt = dpop.public().thumbprint();
    assert_eq!(send(&w, "/par", &key, None, &[&wanted(&PKCE)[..], &[("dpop_jkt", jkt.as_str())]].concat()).await.status, 201);
    let mut asked = wanted(&PKCE);
    asked[0].1 = "till";
    let plain = w.send("GET", &format!("/authorize?{}", form(&asked)), &[], "").await;
    assert!(plain.header("location").contains("error=invalid_request"));
}

#[tokio::test]
async fn without_pkce_a_registered_client_sends_a_nonce_and_no_verifier_counts() {
    let secret = json!({"auth": "client_secret_post", "secret_hash": b64::encode(&mac::h(b"secret")), "danger_allow_no_pkce": true, "danger_allow_bearer": true});
    let mut older = secret.clone();
    older["danger_allow_no_nonce"] = true.into();
    let w = World::new(vec![client("old", secret), client("older", older), client("till", json!({}))]).await;
    let ask = async |who: &str, drop: &str| {
        let mut pairs = wanted(&[]);
        pairs[0].1 = who;
        pairs.retain(|(n, _)| *n != drop);
        w.send("GET", &format!("/authorize?{}", form(&pairs)), &[], "").await.header("location")
    };
    assert!(ask("old", "").await.starts_with("/sign-in/"));
    assert!(ask("old", "nonce").await.contains("error=invalid_request"));
    assert!(ask("older", "nonce").await.starts_with("/sign-in/"));
    assert!(ask("till", "").await.contains("error=invalid_request"));
    // Its code is taken without a verifier, and not with one.
    for (challenge, verifier, good) in [(None, None, true), (None, Some(VERIFIER), false), (Some(CHALLENGE), Some(VERIFIER), true), (Some(CHALLENGE), None, false)] {
        let code = w.code_challenged("old", challenge).await;
        let mut pairs = vec![("grant_type", "authorization_code"), ("client_id", "old"), ("client_secret", "secret"), ("code", &code), ("redirect_uri", CB)];
        pairs.extend(verifier.map(|v| ("code_verifier", v)));
        let answer = w.send("POST", "/token", &[], &form(&pairs)).await;
        assert_eq!(answer.status == 200, good, "{challenge:?} {verifier:?} {}", answer.text);
        if good {
            let told = answer.json();
            assert_eq!((text(&told, "token_type"), told["expires_in"].as_i64()), ("Bearer".into(), Some(60)), "short-lived");
        }
    }
}

#[test]
fn a_registration_that_does_not_hold_together_is_refused() {
    let key = Key::new();
    let secret = json!({"auth": "client_secret_post", "secret_hash": "x"});
    assert!(registrable(&strict(&key, json!({}))).is_ok());
    let with = |of: &Value, more: Value| {
        let mut all = of.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client("x", all)
    };
    for bad in [
        strict(&key, json!({"auth": "none"})),
        strict(&key, json!({"keys": []})),
        strict(&key, json!({"danger_allow_bearer": true})),
        strict(&key, json!({"danger_allow_no_pkce": true})),
        strict(&key, json!({"id_token_alg": "RS256"})),
        client("x", json!({"danger_allow_no_pkce": true})),
        with(&secret, json!({"danger_allow_no_nonce": true})),
        client("x", json!({"danger_allow_bearer": true, "refresh": "always"})),
        client("x", json!({"refresh_bound": true})),
        client("x", json!({"refresh": "always", "boundary": "session"})),
        client("x", json!({"introspects": ["a"]})),
        client("x", json!({"redirect_uris": []})),
        client("x", json!({"require_signed_request_object": true})),
    ] {
        assert!(registrable(&bad).is_err(), "{bad:?}");
    }
    for good in [
        with(&secret, json!({"danger_allow_no_pkce": true, "danger_allow_bearer": true, "refresh": "always"})),
        with(&secret, json!({"danger_allow_no_pkce": true, "danger_allow_no_nonce": true})),
        with(&secret, json!({"introspects": ["a"], "redirect_uris": []})),
        client("x", json!({"refresh": "offline_access"})),
    ] {
        assert!(registrable(&good).is_ok(), "{good:?} {:?}", registrable(&good));
    }
}
