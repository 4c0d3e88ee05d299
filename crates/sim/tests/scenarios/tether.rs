//! Devices and the sessions they hold: A8, A9.

use super::stage;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use countersign_device::oidc::{Jwks, LogoutClaims};
use countersign_device::{SoftwareKey, machine};
use countersign_sim::stage::{Attempt, PATIENCE, Scene, Settings, Stage, place, until};
use countersign_store::Statement;
use std::collections::HashMap;
use tokio::sync::mpsc;

#[tokio::test]
async fn a8_only_an_active_device_of_this_person_approves() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Geraet", &here).await;
    let second = scene.second_phone(&phone, &here).await;
    // Somebody else's.
    let stranger = scene.phone("Fremd", &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&second, &attempt).await;
    let anybody = countersign_wire::message::AssertionAsk { allow: vec![], ..checked.ask() };
    let verb = countersign_wire::approval::Verb::Approve;
    let theirs = stranger.signed(&checked.statement.cid, &checked.sd, verb, Some(stranger.assert(&anybody).unwrap())).unwrap();
    scene.refused(stranger.decide(&checked.statement.cid, &theirs).await, "no_such_ceremony").await;
    let id = stranger.kept().device_id.to_string();
    scene.refused(phone.lost(&id).await, "no_such_thing").await;
    // Suspended between scan and approval, and on its way back.
    let id = second.kept().device_id.to_string();
    scene.stage.command(&["device", "suspend", &id]).unwrap();
    scene.refused(second.approve(&checked).await, "bad_proof").await;
    let attempt = scene.open_till(&here).await;
    scene.refused(second.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    scene.stage.command(&["device", "resume", &id]).unwrap();
    scene.sign_in(&second, &attempt).await;
    // Lost: it is not known any more, and what it opened has ended.
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
    phone.lost(&id).await.unwrap();
    assert!(phone.overview().await.unwrap().sessions.is_empty());
    let attempt = scene.open_till(&here).await;
    scene.refused(second.scan(&[attempt.ceremony.frame()]).await, "bad_proof").await;
    // Pending: bound by a passkey that may have been copied, while another device lives.
    let mut copied = scene.second_synced_phone(&phone, &here).await;
    let made = copied.rebind(SoftwareKey::generate().unwrap(), "From a backup").await.unwrap();
    assert_eq!(made.device_state, "pending");
    let attempt = scene.open_till(&here).await;
    scene.refused(copied.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    phone.not_mine(&made.device_id).await.unwrap();
    scene.refused(copied.overview().await, "bad_proof").await;
    // Locked: the person themself.
    let list = scene.stage.command(&["person", "list", "--json"]).unwrap();
    let people = list.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let login = people.into_iter().find(|p| p["name"] == "Geraet").unwrap()["login"].as_str().unwrap().to_owned();
    scene.stage.command(&["person", "lock", &login]).unwrap();
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    scene.stage.command(&["person", "unlock", &login]).unwrap();
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
}

/// A relying party that only listens.
async fn listener() -> (String, mpsc::UnboundedReceiver<String>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let hear = |State(tell): State<mpsc::UnboundedSender<String>>, body: String| async move {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        tell.send(form.get("logout_token").cloned().unwrap_or_default()).unwrap();
    };
    let app = Router::new().route("/signed-out", post(hear)).with_state(tell);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://127.0.0.1:{}/signed-out", socket.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    (uri, heard)
}

async fn told(scene: &Scene<'_>, heard: &mut mpsc::UnboundedReceiver<String>) -> LogoutClaims {
    let token = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("the relying party was not told").unwrap();
    let keys = Jwks::fetch(&scene.http(&place()), &scene.discovery).await.unwrap();
    keys.logout_token(&token, &scene.discovery.issuer, "till", machine::now()).unwrap()
}

#[tokio::test]
async fn a9_a_phone_ends_every_session_it_opened() {
    let (uri, mut heard) = listener().await;
    let stage = Stage::set(Settings { logout: Some(uri), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Halter", &here).await;
    let sign_in = async |phone: &countersign_device::Phone, attempt: &Attempt| {
        let redirect = scene.sign_in(phone, attempt).await;
        scene.tokens(attempt, &redirect).await.unwrap()
    };
    // One from the phone.
    let one = scene.open_till(&here).await;
    let tokens = sign_in(&phone, &one).await;
    let session = phone.overview().await.unwrap().sessions.remove(0);
    phone.end(&session.id).await.unwrap();
    assert!(!scene.works(&one, &tokens).await, "a token outlived its session");
    assert_eq!(told(&scene, &mut heard).await.sid.as_deref(), Some(session.id.as_str()));
    scene.refused(phone.end("00000000-0000-7000-8000-000000000000").await, "no_such_thing").await;

    // All of them with one touch.
    let (two, three) = (scene.open_till(&here).await, scene.open_till(&here).await);
    let tokens = [sign_in(&phone, &two).await, sign_in(&phone, &three).await];
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 2);
    phone.end_all().await.unwrap();
    for (attempt, tokens) in [(&two, &tokens[0]), (&three, &tokens[1])] {
        assert!(!scene.works(attempt, tokens).await);
        let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
        assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("no_session")));
        told(&scene, &mut heard).await;
    }

    // The next person at the same screen.
    let mut attempt = scene.open_till(&here).await;
    let tokens = sign_in(&phone, &attempt).await;
    let next = scene.phone("Next", &here).await;
    let old = std::mem::replace(&mut attempt.terminal.key, SoftwareKey::generate().unwrap());
    let (flow, page) = scene.arrive(&attempt.terminal, "till", "openid profile").await;
    let ceremony = attempt.terminal.open(&page).await.unwrap();
    let mut attempt = Attempt { terminal: attempt.terminal, flow, page, ceremony };
    sign_in(&next, &attempt).await;
    assert!(phone.overview().await.unwrap().sessions.is_empty(), "the last person's session goes on");
    told(&scene, &mut heard).await;
    assert!(scene.log().await.iter().any(|l| l.kind == "session.ended" && l.body["facts"]["why"] == "next_person"));
    attempt.terminal.key = old;
    assert!(!scene.works(&attempt, &tokens).await);

    // Idle: the limit is moved to the past in the store, as if a quarter of an hour had gone by.
    let id = next.overview().await.unwrap().sessions.remove(0).id;
    let idle = Statement::any("UPDATE session SET idle_until = 1 WHERE id = $1", [id.as_str().into()]);
    scene.engine.upkeep(vec![idle]).await.unwrap();
    assert_eq!(told(&scene, &mut heard).await.sid.as_deref(), Some(id.as_str()));
    assert!(next.overview().await.unwrap().sessions.is_empty());
    assert!(scene.log().await.iter().any(|l| l.kind == "session.ended" && l.body["facts"]["why"] == "idle"));

    // The phone itself is lost: what it opened ends with it.
    let second = scene.second_phone(&phone, &here).await;
    let last = scene.open_till(&here).await;
    let tokens = sign_in(&second, &last).await;
    phone.lost(second.kept().device_id.as_str()).await.unwrap();
    assert!(!scene.works(&last, &tokens).await);
    told(&scene, &mut heard).await;
    let delivered = async || scene.log().await.iter().filter(|l| l.kind == "logout.delivered").count();
    until("what was told, in the log", async || (delivered().await >= 6).then_some(())).await;
}
