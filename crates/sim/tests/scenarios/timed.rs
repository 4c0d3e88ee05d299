//! Rights that are given just in time, by the rules that `countersign init --profile shop` makes: A1, A7.

use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::{Attempt, Mouth, REDIRECT, SECRET, Scene, Settings, Stage, introspected, place, post, program};
use countersign_wire::statement::Timed;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// How long a right is given for here, seconds.
const FOR_S: i64 = 20;

static SHOP: OnceLock<Stage> = OnceLock::new();

fn shop() -> &'static Stage {
    Stage::shared(&SHOP, settings)
}

/// A shop as its operator would set it up: rules made by the program, tried by the program.
fn settings() -> Settings {
    let dir = std::env::temp_dir().join(format!("countersign-shop-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&dir));
    let run = |words: &[&str]| {
        let out = Command::new(program()).args(words).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let folder = dir.to_str().unwrap();
    run(&["init", "--profile", "shop", folder]);
    let rules = format!("{folder}/policies");
    assert!(run(&["policy", "test", "--policies", &rules, &format!("{rules}/tests/shop.json")]).contains(" cases are good"));
    // What is there is not written over.
    assert_eq!(Command::new(program()).args(["init", "--profile", "shop", folder]).output().unwrap().status.code(), Some(3));
    let hash = b64::encode(&mac::h(SECRET.as_bytes()));
    let more = format!(
        "policies = \"{rules}\"\n{}\
         [[clients]]\nid = \"counter\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"discount\", \"refund\", \"close\"]\n\
         refresh = \"always\"\naudience = \"https://shop.example\"\n\
         just_in_time = [{{ scope = \"discount\", roles = [\"member\"], for_s = 600 }}, {{ scope = \"refund\", roles = [\"member\"], for_s = {FOR_S} }}, \
         {{ scope = \"close\", roles = [\"administrator\"], for_s = 60 }}]\n\
         [[clients]]\nid = \"auditor\"\nname = \"Auditor\"\nredirect_uris = []\nauth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\n\
         introspects = [\"https://shop.example\"]\n",
        Mouth::new("mdm").lines("may = [\"device-compliance-change\"]\ndevices = \"managed\"")
    );
    Settings { more, ..Settings::default() }
}

/// Somebody with a phone that the shop manages.
async fn associate(scene: &Scene<'_>, name: &str, here: &str) -> Phone {
    let phone = scene.phone(name, here).await;
    let device = phone.kept().device_id.to_string();
    scene.stage.command(&["device", "managed", &device, "--by", "mdm", "--as", &format!("MDM-{name}")]).unwrap();
    phone
}

/// The till asks in its running session.
async fn ask(scene: &Scene<'_>, terminal: &Terminal, scope: &str) -> (CodeFlow, String) {
    let flow = CodeFlow::new("counter", REDIRECT, scope).unwrap();
    let url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    let Arrival::Flow(page) = terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    (flow, page)
}

/// The same, approved on the phone.
async fn raised(scene: &Scene<'_>, attempt: Attempt, phone: &Phone, scope: &str) -> (Attempt, Tokens, Vec<Timed>) {
    let (flow, page) = ask(scene, &attempt.terminal, scope).await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")), "a right without an approval");
    let ceremony = attempt.terminal.open(&page).await.unwrap();
    let attempt = Attempt { flow, page, ceremony, ..attempt };
    let shown = scene.approve(phone, &attempt).await.statement;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    (attempt, tokens, shown.rights.timed)
}

async fn signed_in(scene: &Scene<'_>, phone: &Phone, scope: &str, here: &str) -> (Attempt, Tokens) {
    let attempt = scene.open("counter", scope, here).await;
    let redirect = scene.sign_in(phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    (attempt, tokens)
}

/// What an application hears about a token: its scopes, if it counts.
async fn told(scene: &Scene<'_>, here: &str, tokens: &Tokens) -> Option<String> {
    let heard = introspected(&scene.raw(here), "auditor", &tokens.access_token).await;
    (heard["active"] == true).then(|| heard["scope"].as_str().unwrap().to_owned())
}

async fn renew(scene: &Scene<'_>, here: &str, attempt: &Attempt, tokens: &Tokens) -> Value {
    let form = format!("grant_type=refresh_token&client_id=counter&refresh_token={}", tokens.refresh_token.as_deref().unwrap());
    let reply = post(&scene.raw(here), "/token", Some(&attempt.terminal.key), form.into_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

#[tokio::test]
async fn a1_discount_and_refund_exist_after_an_approval_in_that_session_for_that_time() {
    let scene = shop().scene().await;
    let here = place();
    let phone = associate(&scene, "Verkauf", &here).await;
    // Before the approval there is a session and no right.
    let (attempt, before) = signed_in(&scene, &phone, "openid", &here).await;
    assert_eq!(told(&scene, &here, &before).await.as_deref(), Some("openid"));
    // The phone shows what is opened, and for how long; then it exists.
    let (attempt, tokens, shown) = raised(&scene, attempt, &phone, "openid discount refund").await;
    let over = Instant::now() + Duration::from_secs(FOR_S.unsigned_abs() + 1);
    assert_eq!(shown, [Timed { scope: "discount".into(), for_s: 600 }, Timed { scope: "refund".into(), for_s: FOR_S }]);
    assert_eq!(tokens.scope.as_deref(), Some("openid discount refund"));
    assert!(tokens.expires_in.is_some_and(|s| s <= FOR_S), "a token that outlives its right: {:?}", tokens.expires_in);
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid discount refund"));
    // In that session only: what this one had before has no more now, and another till of the same person has nothing.
    assert_eq!(told(&scene, &here, &before).await.as_deref(), Some("openid"));
    let (other, _) = signed_in(&scene, &phone, "openid", &here).await;
    let (_, page) = ask(&scene, &other.terminal, "openid refund").await;
    assert!(other.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    // On the phone: what, where, how long; and its end, at once.
    let view = phone.overview().await.unwrap();
    let session = view.sessions.iter().find(|s| !s.timed.is_empty()).unwrap();
    assert_eq!(view.sessions.len(), 2);
    let discount = session.timed.iter().find(|t| t.scope == "discount").unwrap();
    assert!((500..=600).contains(&discount.left_s), "{discount:?}");
    phone.tell(&format!("/device/rights/{}/end", discount.id), &json!({})).await.unwrap();
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid refund"));
    let again = phone.tell(&format!("/device/rights/{}/end", discount.id), &json!({})).await;
    scene.refused(again, "no_such_thing").await;
    // While it lives, the session answers without asking; after its window it is gone wherever one looks.
    let (_, page) = ask(&scene, &attempt.terminal, "openid refund").await;
    assert!(attempt.terminal.resume(&page).await.is_ok());
    tokio::time::sleep_until(over).await;
    assert_eq!(told(&scene, &here, &tokens).await, None, "a token that carries a right outlived it");
    assert_eq!(renew(&scene, &here, &attempt, &tokens).await["scope"], "openid");
    let (_, page) = ask(&scene, &attempt.terminal, "openid refund").await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    assert!(phone.overview().await.unwrap().sessions.iter().all(|s| s.timed.is_empty() && s.rights == ["openid"]));
    // All of it is one story in the log.
    let log: Vec<_> = scene.log().await.into_iter().filter(|l| l.body["session"] == json!(session.id)).collect();
    let given = log.iter().find(|l| l.kind == "session.raised" && !l.body["facts"]["rights"].is_null()).unwrap();
    assert_eq!(given.body["facts"]["rights"].as_array().unwrap().len(), 2);
    let ended = log.iter().find(|l| l.kind == "right.ended").unwrap();
    assert_eq!((&ended.body["facts"]["right"]["scope"], &ended.body["facts"]["why"]), (&json!("discount"), &json!("from_device")));
}

#[tokio::test]
async fn a1_an_unmanaged_phone_opens_no_right_and_one_that_falls_out_of_management_keeps_none() {
    let scene = shop().scene().await;
    let here = place();
    let own = scene.phone("Privat", &here).await;
    let attempt = scene.open("counter", "openid refund", &here).await;
    let shown = scene.approve(&own, &attempt).await.statement;
    assert_eq!((shown.rights.scopes, shown.rights.timed), (vec!["openid".to_owned()], vec![]));
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    assert_eq!(scene.tokens(&attempt, &redirect).await.unwrap().scope.as_deref(), Some("openid"));
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    let scanned = log.iter().find(|l| l.kind == "ceremony.scanned").unwrap();
    assert_eq!(scanned.body["facts"]["cut"], json!(["refund"]));
    assert!(scanned.body["facts"]["policies"].as_array().unwrap().contains(&json!("shop-rights-from-managed-phones")), "{scanned:?}");
    // A right rests on the phone's standing now, not on what it was when it was given.
    let phone = associate(&scene, "Ausgemustert", &here).await;
    let (attempt, _) = signed_in(&scene, &phone, "openid", &here).await;
    let (attempt, tokens, _) = raised(&scene, attempt, &phone, "openid discount").await;
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid discount"));
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    scene.stage.command(&["signal", "raise", "session.remote_controlled", &session]).unwrap();
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid"), "a remote-controlled till keeps its right");
    scene.stage.command(&["signal", "clear", "session.remote_controlled", &session]).unwrap();
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid"), "a right came back by nobody's approval");
    let (_, tokens, _) = raised(&scene, attempt, &phone, "openid discount").await;
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid discount"));
    // The operator sees it and ends it.
    let listed = scene.stage.command(&["--json", "right", "list"]).unwrap();
    let one: Value = listed.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|r| r["session"] == session.as_str()).unwrap();
    assert_eq!((&one["scope"], &one["by"]["device"]), (&json!("discount"), &json!(phone.kept().device_id.to_string())));
    scene.stage.command(&["right", "end", &session, one["id"].as_str().unwrap()]).unwrap();
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid"));
    assert!(scene.stage.command(&["right", "end", &session, one["id"].as_str().unwrap()]).is_err());
}

#[tokio::test]
async fn a7_a_role_gets_what_it_may_ask_for_and_a_right_is_its_persons_alone() {
    let scene = shop().scene().await;
    let here = place();
    let phone = associate(&scene, "Rolle", &here).await;
    // `close` is for administrators: asked for, it is neither shown nor given.
    let attempt = scene.open("counter", "openid close discount", &here).await;
    let shown = scene.approve(&phone, &attempt).await.statement;
    assert_eq!((shown.rights.scopes, shown.rights.timed.len()), (vec!["openid".to_owned(), "discount".to_owned()], 1));
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid discount"));
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    assert_eq!(log.iter().find(|l| l.kind == "ceremony.scanned").unwrap().body["facts"]["cut"], json!(["close"]));
    // Somebody else neither sees nor ends it.
    let right = phone.overview().await.unwrap().sessions[0].timed[0].id.clone();
    let other = associate(&scene, "Nachbar", &here).await;
    scene.refused(other.tell(&format!("/device/rights/{right}/end"), &json!({})).await, "no_such_thing").await;
    assert_eq!(told(&scene, &here, &tokens).await.as_deref(), Some("openid discount"));
    // It ends with its session, and a session that follows has none.
    phone.end_all().await.unwrap();
    assert_eq!(told(&scene, &here, &tokens).await, None);
    let (_, after) = signed_in(&scene, &phone, "openid", &here).await;
    assert_eq!(told(&scene, &here, &after).await.as_deref(), Some("openid"));
}
