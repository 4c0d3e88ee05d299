//! What the server observes by itself, from outside: a screen or a phone that moves, a passkey that exists twice,
//! more approvals than people make, and nonces that are given only while trust holds. T4, T5, T6.

use super::stage;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{Tokens, discover};
use countersign_device::{Fault, Http, Phone};
use countersign_sim::stage::{Attempt, Line, Raw, Reply, Scene, place};
use countersign_wire::approval::Verb;
use countersign_wire::{b64, mac};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

/// An address in a network that nobody was in: places share theirs.
fn elsewhere() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let n = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("172.{}.{}.9", 16 + (n >> 8 & 15), n & 255)
}

/// From now on it calls from `to`, with the cookies it has. What a proxy adds last is where a request came from.
fn moves(http: &mut Http, scene: &Scene<'_>, to: &str) {
    let old = std::mem::replace(http, scene.http(to));
    *http = old.with_header("x-forwarded-for", to);
}

async fn renew(scene: &Scene<'_>, attempt: &Attempt, tokens: &Tokens) -> Result<Tokens, Fault> {
    let pairs = [("grant_type", "refresh_token"), ("client_id", "renew"), ("refresh_token", tokens.refresh_token.as_deref().unwrap())];
    let prover = Prover { key: &attempt.terminal.key, body: false, token: None };
    attempt.terminal.http.ask(&Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(prover)).await
}

async fn signed_in(scene: &Scene<'_>, phone: &Phone, client: &str, scope: &str, here: &str) -> (Attempt, Tokens) {
    let attempt = scene.open(client, scope, here).await;
    let redirect = scene.sign_in(phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    (attempt, tokens)
}

/// The person approves on the same screen, wherever it is.
async fn step_up(scene: &Scene<'_>, phone: &Phone, attempt: Attempt, client: &str) -> Attempt {
    let Attempt { terminal, .. } = attempt;
    let (flow, page) = scene.arrive(&terminal, client, "openid profile").await;
    assert!(terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")), "it was let through");
    let ceremony = terminal.open(&page).await.unwrap();
    let attempt = Attempt { terminal, flow, page, ceremony };
    let checked = scene.approve(phone, &attempt).await;
    assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "step-up");
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    attempt
}

async fn raised(scene: &Scene<'_>, about: (&str, &str), signal: &str) -> Vec<Line> {
    let of = |l: &Line| l.kind == "signal.raised" && l.body[about.0] == about.1 && l.body["facts"]["signal"] == signal;
    scene.log().await.into_iter().filter(of).collect()
}

#[tokio::test]
async fn t4_a_session_whose_screen_moves_goes_on_only_once_its_person_approved_there() {
    let scene = stage().scene().await;
    let (here, away) = (place(), elsewhere());
    let mut phone = scene.phone("Wandert", &here).await;
    let (mut attempt, mut tokens) = signed_in(&scene, &phone, "renew", "openid profile", &here).await;
    let session = phone.overview().await.unwrap().sessions.remove(0).id;
    tokens = renew(&scene, &attempt, &tokens).await.unwrap();

    moves(&mut attempt.terminal.http, &scene, &away);
    assert!(renew(&scene, &attempt, &tokens).await.is_err_and(|fault| fault.is("interaction_required")), "tokens for a screen that moved");
    assert!(!scene.works(&attempt, &tokens).await);
    let told = raised(&scene, ("session", &session), "session.network_changed").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].body["facts"]["source"], "observed");
    assert!(told[0].body["facts"]["says"].as_str().unwrap().contains("another network"));
    assert!(!told[0].text.contains("172."), "the log has an address");
    // Going back is no answer, and there and back writes nothing more.
    for to in [&here, &away, &here, &away] {
        moves(&mut attempt.terminal.http, &scene, to);
        assert!(renew(&scene, &attempt, &tokens).await.is_err_and(|fault| fault.is("interaction_required")), "{to}");
    }
    assert_eq!(raised(&scene, ("session", &session), "session.network_changed").await.len(), 1);

    // Its person comes after it with the phone and approves: the same session goes on, in both networks.
    moves(&mut phone.http, &scene, &away);
    attempt = step_up(&scene, &phone, attempt, "renew").await;
    for to in [&away, &here, &away] {
        moves(&mut attempt.terminal.http, &scene, to);
        tokens = renew(&scene, &attempt, &tokens).await.unwrap();
        assert!(scene.works(&attempt, &tokens).await, "{to}");
    }
    assert_eq!(phone.overview().await.unwrap().sessions.remove(0).id, session);
    assert_eq!(raised(&scene, ("session", &session), "session.network_changed").await.len(), 1);
}

#[tokio::test]
async fn t4_what_a_phone_opened_is_confirmed_once_it_is_in_another_network() {
    let scene = stage().scene().await;
    let (here, away) = (place(), elsewhere());
    let mut phone = scene.phone("Reist", &here).await;
    let (attempt, tokens) = signed_in(&scene, &phone, "till", "openid profile", &here).await;
    assert!(scene.works(&attempt, &tokens).await);
    moves(&mut phone.http, &scene, &away);
    phone.overview().await.unwrap();
    assert!(!scene.works(&attempt, &tokens).await, "what it opened went on");
    let id = phone.kept().device_id.to_string();
    phone.overview().await.unwrap();
    assert_eq!(raised(&scene, ("device", &id), "device.network_changed").await.len(), 1);
    // Back at the screen.
    moves(&mut phone.http, &scene, &here);
    let attempt = step_up(&scene, &phone, attempt, "till").await;
    assert!(scene.works(&attempt, &tokens).await);
    // Both networks are known now.
    moves(&mut phone.http, &scene, &away);
    phone.overview().await.unwrap();
    assert!(scene.works(&attempt, &tokens).await);
}

#[tokio::test]
async fn t6_a_passkey_whose_counter_goes_back_exists_twice_and_that_is_explained() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Doppelt", &here).await;
    let (attempt, tokens) = signed_in(&scene, &phone, "till", "openid", &here).await;
    let next = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &next).await;
    // A copy, taken before the last approval, signs with a count that was used already.
    let origin = scene.raw(&here).origin();
    let assertion = phone.passkey.assert(&checked.ask(), &origin, 1).unwrap();
    let body = phone.signed(&checked.statement.cid, &checked.sd, Verb::Approve, Some(assertion)).unwrap();
    scene.refused(phone.decide(&checked.statement.cid, &body).await, "bad_proof").await;
    assert!(!scene.works(&attempt, &tokens).await, "what the device opened went on");
    let id = phone.kept().device_id.to_string();
    let told = raised(&scene, ("device", &id), "device.cloned").await;
    assert!(told[0].body["facts"]["says"].as_str().unwrap().contains("exists twice"));
    let again = scene.open_till(&here).await;
    let refusal = scene.refused(phone.scan(&[again.ceremony.frame()]).await, "denied").await;
    let explained = scene.stage.command(&["policy", "explain", &refusal.reference]).unwrap();
    assert!(explained.contains("device.cloned: Its counters say that it exists twice."), "{explained}");
}

#[tokio::test]
async fn t6_more_approvals_in_a_minute_than_a_person_makes_open_nothing_privileged() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Eilig", &here).await;
    let scope = |tokens: &Tokens| -> Value {
        let payload = b64::decode(tokens.access_token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()["scope"].clone()
    };
    let (first, tokens) = signed_in(&scene, &phone, "till", "openid refund", &here).await;
    assert_eq!(scope(&tokens), "openid refund");
    let person = scene.log().await.iter().rev().find(|l| l.kind == "tokens.issued" && l.body["ceremony"] == first.ceremony.cid.as_str()).unwrap().body["person"].as_str().unwrap().to_owned();
    // Two minutes may be touched: twice as many as one may have, and one.
    for n in 0..25 {
        let attempt = scene.open(&format!("crowd-{}", n % 6), "openid", &here).await;
        scene.approve(&phone, &attempt).await;
    }
    let told = raised(&scene, ("person", &person), "person.risk_medium").await;
    assert_eq!(told.len(), 1, "said once");
    assert_eq!(told[0].body["facts"]["says"], "More approvals in a minute than a person makes.");
    let (_, tokens) = signed_in(&scene, &phone, "till", "openid refund", &here).await;
    assert_eq!(scope(&tokens), "openid", "privileged rights in the middle of a burst");
}

async fn shown(raw: &Raw, attempt: &Attempt, token: &str, nonce: Option<String>) -> Reply {
    let proof = raw.proof(&attempt.terminal.key, "GET", "/userinfo", b"", |c| {
        (c.nonce, c.ath, c.bd) = (nonce, Some(b64::encode(&mac::h(token.as_bytes()))), None);
    });
    raw.send("GET", "/userinfo", &[("authorization", format!("DPoP {token}")), ("dpop", proof)], vec![]).await
}

#[tokio::test]
async fn t5_a_key_has_nonces_only_while_trust_holds() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Nonce", &here).await;
    let (attempt, tokens) = signed_in(&scene, &phone, "renew", "openid profile", &here).await;
    let (raw, token) = (scene.raw(&here), &tokens.access_token);
    let given = |reply: &Reply| reply.headers.get("dpop-nonce").map(|v| v.to_str().unwrap().to_owned());
    // One for whoever asks is not enough; whose trust holds is given one of its own.
    let asked = shown(&raw, &attempt, token, Some(raw.nonce().await)).await;
    assert!(asked.status == 401 && asked.headers["www-authenticate"].to_str().unwrap().contains("use_dpop_nonce"), "{asked:?}");
    let nonce = given(&asked);
    assert_eq!(shown(&raw, &attempt, token, nonce.clone()).await.status, 200);
    // It serves no other key: a thief with the nonce and the token hears nothing about either.
    let thief = scene.open_till(&here).await;
    let heard = shown(&raw, &thief, token, nonce.clone()).await;
    assert!(heard.status == 401 && given(&heard).is_none(), "{heard:?}");
    let refresh = async |nonce: Option<String>| {
        let pairs = [("grant_type", "refresh_token"), ("client_id", "renew"), ("refresh_token", tokens.refresh_token.as_deref().unwrap())];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let proof = raw.proof(&attempt.terminal.key, "POST", "/token", b"", |c| (c.nonce, c.bd) = (nonce, None));
        let kind = ("content-type", "application/x-www-form-urlencoded".to_owned());
        raw.send("POST", "/token", &[("dpop", proof), kind], body.into_bytes()).await
    };
    let asked = refresh(None).await;
    assert_eq!((asked.code().as_str(), given(&asked).is_some()), ("use_dpop_nonce", true));
    // After the end there is none, and what was had before is worth nothing.
    phone.end_all().await.unwrap();
    for nonce in [None, nonce] {
        let heard = shown(&raw, &attempt, token, nonce.clone()).await;
        assert!(heard.status == 401 && given(&heard).is_none(), "{heard:?}");
        let heard = refresh(nonce).await;
        assert!(heard.code() == "invalid_grant" && given(&heard).is_none(), "{heard:?}");
    }
    // A program that follows the rules notices nothing of all this.
    let (attempt, tokens) = signed_in(&scene, &phone, "renew", "openid profile", &here).await;
    let discovery = discover(&attempt.terminal.http, &scene.stage.issuer).await.unwrap();
    assert_eq!(discovery.token_endpoint, scene.discovery.token_endpoint);
    let tokens = renew(&scene, &attempt, &tokens).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await);
}
