//! Asking for a person by name (CIBA Core 1.0, FAPI-CIBA) as a client sees it, by a clock that is moved by hand.

use super::text;
use super::world::{Answer, ISSUER, Key, World, client, form};
use crate::app::once::hashed;
use crate::oidc::jwt;
use countersign_wire::b64;
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::jose::{Alg, jws};
use serde_json::{Map, Value, json};

const SECRET: &str = "a secret only for tests, 32 bytes and more";
const GRANT: &str = "urn:openid:params:grant-type:ciba";

struct Desk {
    w: World,
    key: Key,
    signer: Key,
    doctor: Key,
}

async fn desk() -> Desk {
    let (signer, doctor) = (Key::new(), Key::new());
    let hash = hashed(SECRET.as_bytes());
    let asking = |id: &str, ciba: Value, more: Value| {
        let mut all = json!({
            "auth": "client_secret_post", "secret_hash": hash, "keys": [signer.public().members()], "ciba": ciba, "detail_types": ["payment"],
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client(id, all)
    };
    let issuer = json!([{"issuer": "https://wards.example", "keys": [doctor.public().members()]}]);
    let clients = vec![
        asking("desk", json!({"hint_issuers": issuer}), json!({})),
        asking("till", json!({"binding_digits": true}), json!({})),
        asking("ledger", json!({}), json!({"require_signed_request_object": true})),
        asking("bank", json!({}), json!({"profile": "fapi2"})),
        asking("told", json!({"notification_endpoint": "https://till.example/told"}), json!({})),
    ];
    Desk { w: World::new(clients).await, key: Key::new(), signer, doctor }
}

impl Desk {
    async fn post(&self, path: &str, client: &str, more: &[(&str, &str)]) -> Answer {
        let nonce = dpop::nonce(self.w.app.keys.k().1.expose(), self.w.app.now());
        let claims = ProofClaims {
            jti: b64::encode(&self.w.app.random::<12>()),
            htm: "POST".into(),
            htu: format!("{ISSUER}{path}"),
            iat: NumericDate(self.now()),
            nonce: Some(nonce),
            ..ProofClaims::default()
        };
        let proof = dpop::make(&claims, &self.key.public(), &self.key).unwrap();
        let body = form(&[&[("client_id", client), ("client_secret", SECRET)][..], more].concat());
        self.w.send("POST", path, &[("dpop", &proof)], &body).await
    }
    async fn call(&self, client: &str, more: &[(&str, &str)]) -> Answer {
        self.post("/bc-authorize", client, &[&[("scope", "openid")][..], more].concat()).await
    }
    /// The id it is told, given up at once so that the next may be asked.
    async fn good(&self, client: &str, more: &[(&str, &str)]) -> String {
        let answer = self.call(client, more).await;
        assert_eq!(answer.status, 200, "{more:?} {}", answer.text);
        let told = text(&answer.json(), "auth_req_id");
        self.w.later(301);
        assert_eq!(self.hear(client, &told).await, "expired_token");
        self.w.later(3_600);
        told
    }
    async fn error(&self, client: &str, more: &[(&str, &str)]) -> String {
        let answer = self.call(client, more).await;
        assert_eq!(answer.status, 400, "{more:?} {}", answer.text);
        answer.error()
    }
    async fn hear(&self, client: &str, id: &str) -> String {
        let answer = self.post("/token", client, &[("grant_type", GRANT), ("auth_req_id", id)]).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        answer.error()
    }
    fn now(&self) -> i64 {
        self.w.app.now().seconds()
    }
    fn jwt(&self, key: &Key, claims: &Value) -> String {
        jws::encode(Map::new(), claims.to_string().as_bytes(), key).unwrap()
    }
    fn hint(&self, key: &Key, iss: &str, more: Value) -> String {
        let mut claims = json!({"iss": iss, "aud": ISSUER, "exp": self.now() + 60});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.jwt(key, &claims)
    }
    fn request(&self, client: &str, jti: &str, more: Value) -> String {
        let now = self.now();
        let mut claims = json!({
            "iss": client, "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 60, "jti": jti,
            "scope": "openid", "login_hint": "ana",
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.jwt(&self.signer, &claims)
    }
}

#[tokio::test]
async fn a_request_waits_as_often_as_it_was_told_and_ends_by_the_time_it_asked_for() {
    let d = desk().await;
    for (asked, s) in [("", 300), ("1", 30), ("45", 45), ("9999", 300)] {
        let more = [("login_hint", "ana"), ("requested_expiry", asked)];
        let answer = d.call("desk", if asked.is_empty() { &more[..1] } else { &more }).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.header("dpop-nonce").is_empty() && answer.header("cache-control") == "no-store");
        let told = answer.json();
        assert_eq!((told["expires_in"].as_i64(), told["interval"].as_i64()), (Some(s), Some(5)));
        let id = text(&told, "auth_req_id");
        assert_eq!(id.split('.').nth(1).unwrap().len(), 43, "256 bits");
        assert_eq!(d.hear("desk", &id).await, "authorization_pending");
        d.w.later(2);
        assert_eq!(d.hear("desk", &id).await, "slow_down");
        d.w.later(s - 3);
        assert_eq!(d.hear("desk", &id).await, "authorization_pending");
        d.w.later(1);
        assert_eq!(d.hear("desk", &id).await, "expired_token");
        d.w.later(3_600);
    }
    for bad in ["0", "-1", "soon", "1.5"] {
        assert_eq!(d.error("desk", &[("login_hint", "ana"), ("requested_expiry", bad)]).await, "invalid_request");
    }
}

#[tokio::test]
async fn whom_a_person_leaves_unanswered_again_and_again_asks_in_silence() {
    let d = desk().await;
    let mut offered = vec![];
    for client in ["desk", "desk", "desk", "desk", "told", "desk"] {
        let more = [("login_hint", "ana"), ("client_notification_token", "8d67dc78-7faa-4d41-aabd-67707b374255")];
        let answer = d.call(client, &more).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let id = text(&answer.json(), "auth_req_id").split('.').next().unwrap().parse().unwrap();
        offered.push(d.w.app.store.ceremony(&id).await.unwrap().unwrap().opening.offered.is_some());
        d.w.later(301);
        crate::app::ceremony::terminal::sweep(&d.w.app, &crate::app::Context::new(&d.w.app, [127, 0, 0, 1].into(), String::new())).await.unwrap();
    }
    assert_eq!(offered, [true, true, true, false, true, false], "three an hour for each client");
    d.w.later(3_600);
    let answer = d.call("desk", &[("login_hint", "ana")]).await;
    let id = text(&answer.json(), "auth_req_id").split('.').next().unwrap().parse().unwrap();
    assert!(d.w.app.store.ceremony(&id).await.unwrap().unwrap().opening.offered.is_some());
}

#[tokio::test]
async fn a_person_is_named_by_one_hint_that_its_client_may_bring() {
    let d = desk().await;
    let own = async |client: &str| {
        let s = &d.w.session;
        let claims = json!({"iss": ISSUER, "aud": client, "sub": s.person.as_str(), "sid": s.id.as_str()});
        jwt::sign(&d.w.app, Alg::ES256, jwt::ID, &claims).await.unwrap()
    };
    d.good("desk", &[("login_hint", "ana")]).await;
    d.good("desk", &[("id_token_hint", &own("desk").await)]).await;
    let login = json!({"login_hint": "ana"});
    d.good("desk", &[("login_hint_token", &d.hint(&d.signer, "desk", login.clone()))]).await;
    d.good("desk", &[("login_hint_token", &d.hint(&d.doctor, "https://wards.example", json!({"sub": d.w.session.person.as_str()})))]).await;
    for (what, name, value, error) in [
        ("nobody", "login_hint", "nobody".to_owned(), "unknown_user_id"),
        ("no login name", "login_hint", "An a".to_owned(), "unknown_user_id"),
        ("of another client", "id_token_hint", own("till").await, "invalid_request"),
        ("no ID token", "id_token_hint", d.hint(&d.signer, "desk", login.clone()), "invalid_request"),
        ("by another key", "login_hint_token", d.hint(&d.doctor, "desk", login.clone()), "invalid_request"),
        ("for another", "login_hint_token", d.hint(&d.signer, "desk", json!({"login_hint": "ana", "aud": "https://else.example"})), "invalid_request"),
        ("of nobody we know", "login_hint_token", d.hint(&d.doctor, "https://else.example", login.clone()), "invalid_request"),
        ("too late", "login_hint_token", d.hint(&d.signer, "desk", json!({"login_hint": "ana", "exp": d.now()})), "expired_login_hint_token"),
        ("two names", "login_hint_token", d.hint(&d.signer, "desk", json!({"login_hint": "ana", "sub": d.w.session.person.as_str()})), "invalid_request"),
        ("about nobody", "login_hint_token", d.hint(&d.signer, "desk", json!({"login_hint": "nobody"})), "unknown_user_id"),
    ] {
        assert_eq!(d.error("desk", &[(name, &value)]).await, error, "{what}");
    }
    assert_eq!(d.error("desk", &[]).await, "invalid_request", "no hint");
    assert_eq!(d.error("desk", &[("login_hint", "ana"), ("id_token_hint", &own("desk").await)]).await, "invalid_request", "two");
    // An issuer serves the client that it is registered for alone.
    let by_wards = d.hint(&d.doctor, "https://wards.example", login);
    assert_eq!(d.error("till", &[("login_hint_token", &by_wards), ("binding_message", "739204")]).await, "invalid_request");
    // A list of names is not gone through.
    let mut heard = vec![];
    for n in 0..40 {
        heard.push(d.call("desk", &[("login_hint", &format!("nobody{n}"))]).await.status.as_u16());
    }
    assert_eq!(heard.iter().filter(|s| **s == 400).count(), 27, "{heard:?}");
    assert!(heard.ends_with(&[429; 13]) && d.call("desk", &[("login_hint", "ana")]).await.status == 429);
}

#[tokio::test]
async fn what_a_person_should_not_be_asked_is_refused_before_anybody_is_looked_for() {
    let d = desk().await;
    let long = "x".repeat(129);
    let wide = format!("{{\"a\":\"{}\"}}", "x".repeat(2_048));
    for (client, name, value, error) in [
        ("desk", "scope", "profile", "invalid_request"),
        ("desk", "acr_values", "phr", "unmet_authentication_requirements"),
        ("desk", "acr_values", "urn:countersign:acr:xd2", "unmet_authentication_requirements"),
        ("desk", "acr_values", "urn:countersign:acr:xd2-push", "unmet_authentication_requirements"),
        ("desk", "authorization_details", "[{\"type\":\"loan\"}]", "invalid_authorization_details"),
        ("desk", "binding_message", &long, "invalid_binding_message"),
        ("desk", "binding_message", "a\u{202e}b", "invalid_binding_message"),
        ("desk", "request_context", "\"here\"", "invalid_request"),
        ("desk", "request_context", &wide, "invalid_request"),
        ("desk", "request", "e30.e30.e30", "invalid_request"),
        ("desk", "resource", "https://else.example", "invalid_target"),
        ("till", "scope", "openid", "invalid_binding_message"),
        ("till", "binding_message", "Till three", "invalid_binding_message"),
        ("till", "binding_message", "12345", "invalid_binding_message"),
        ("till", "binding_message", "123456789", "invalid_binding_message"),
        ("till", "binding_message", "123456 or 654321", "invalid_binding_message"),
        ("ledger", "scope", "openid", "invalid_request"),
        ("bank", "scope", "openid", "invalid_binding_message"),
        ("told", "scope", "openid", "invalid_request"),
        ("told", "client_notification_token", "short", "invalid_request"),
        ("told", "client_notification_token", "with a space and long enough", "invalid_request"),
    ] {
        let mut pairs = vec![("scope", "openid"), ("login_hint", "nobody")];
        pairs.retain(|pair| pair.0 != name);
        pairs.push((name, value));
        let answer = d.post("/bc-authorize", client, &pairs).await;
        assert_eq!(answer.error(), error, "{client} {name} {value}");
    }
    let payment = json!([{"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"}]).to_string();
    d.good("bank", &[("login_hint", "ana"), ("authorization_details", &payment)]).await;
    d.good("bank", &[("login_hint", "ana"), ("binding_message", "A1-77")]).await;
    d.good("told", &[("login_hint", "ana"), ("client_notification_token", "8d67dc78-7faa-4d41-aabd-67707b374255")]).await;
    // What a client says about the circumstances is kept as it came.
    let context = json!({"geo": {"lat": 48.2, "lon": 16.37}, "ip_address": "192.0.2.7"});
    let id = d.good("desk", &[("login_hint", "ana"), ("request_context", &context.to_string())]).await;
    let kept = d.w.app.store.ceremony(&id.split('.').next().unwrap().parse().unwrap()).await.unwrap().unwrap().opening;
    assert_eq!(kept.collects.unwrap().context, Some(context));
    assert_eq!(kept.address, "", "its word about a place counts only where it is registered so");
}

#[tokio::test]
async fn a_signed_request_says_everything_about_itself_and_serves_once() {
    let d = desk().await;
    let good = d.request("ledger", "one", json!({}));
    d.good("ledger", &[("request", &good)]).await;
    // Parameters beside it do not count.
    let second = d.request("ledger", "two", json!({"binding_message": "inside"}));
    let id = d.good("ledger", &[("request", &second), ("binding_message", "outside"), ("login_hint", "nobody")]).await;
    let kept = d.w.app.store.ceremony(&id.split('.').next().unwrap().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.opening.asked.message.as_deref(), Some("inside"));
    let again = d.request("ledger", "three", json!({}));
    assert_eq!(d.call("ledger", &[("request", &again)]).await.status, 200);
    assert_eq!(d.error("ledger", &[("request", &again)]).await, "invalid_request", "a second time");
    // Twice at one moment: the one that lost is told the same as one that comes later.
    d.w.later(3_600);
    let raced = d.request("ledger", "raced", json!({}));
    let raced = [("request", raced.as_str())];
    let all = futures_util::future::join_all((0..12).map(|_| d.call("ledger", &raced))).await;
    let lost: Vec<String> = all.iter().filter(|r| r.status != 200).map(Answer::error).collect();
    assert_eq!(lost, vec!["invalid_request"; 11]);
    d.w.later(3_600);
    let now = d.now();
    for (what, more) in [
        ("no jti", json!({"jti": ""})),
        ("for another", json!({"aud": "https://else.example"})),
        ("by another", json!({"iss": "desk"})),
        ("for another client", json!({"client_id": "desk"})),
        ("over", json!({"exp": now})),
        ("not yet", json!({"nbf": now + 600, "exp": now + 900})),
        ("too long", json!({"exp": now + 7_200})),
        ("no nbf", json!({"nbf": null})),
    ] {
        let text = d.request("ledger", &format!("bad {what}"), more);
        assert_eq!(d.error("ledger", &[("request", &text)]).await, "invalid_request", "{what}");
    }
    let foreign = d.jwt(&d.doctor, &json!({"iss": "ledger", "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 60, "jti": "x", "scope": "openid", "login_hint": "ana"}));
    assert_eq!(d.error("ledger", &[("request", &foreign)]).await, "invalid_request", "another key");
}
