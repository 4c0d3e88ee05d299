//! Who may decide, when, and what a decision reaches: rows 10, 22 and 23 once more.

use super::stage;
use countersign_device::passkey::flag;
use countersign_device::{Phone, SoftwareKey};
use countersign_sim::stage::{Attempt, Scene, place};
use countersign_store::{Query, Statement};
use countersign_wire::CeremonyId;
use countersign_wire::approval::Verb;
use countersign_wire::message::{AssertionAsk, Open};

fn id(phone: &Phone) -> String {
    phone.kept().device_id.to_string()
}

/// The passkey of a phone becomes one that its maker synchronises.
async fn synced(scene: &Scene<'_>, phone: &mut Phone) {
    phone.passkey.flags |= flag::BE | flag::BS;
    let sql = "UPDATE credential SET backup_eligible = 1, version = version + 1 WHERE device = $1";
    assert_eq!(scene.engine.upkeep(vec![Statement::any(sql, [id(phone).as_str().into()])]).await.unwrap(), 1);
}

/// Moves the beginning of a ceremony's present state into the past.
async fn age(scene: &Scene<'_>, cid: &CeremonyId, minutes: i64) {
    let found = scene.engine.first(Query::new("SELECT body FROM ceremony WHERE id = $1", [cid.as_str().into()])).await.unwrap().unwrap();
    let mut body: serde_json::Value = serde_json::from_str(found.text(0).unwrap()).unwrap();
    body["at"] = (body["at"].as_i64().unwrap() - minutes * 60_000_000).into();
    let moved = Statement::any("UPDATE ceremony SET body = $2 WHERE id = $1", [cid.as_str().into(), body.to_string().into()]);
    assert_eq!(scene.engine.upkeep(vec![moved]).await.unwrap(), 1);
}

async fn count(scene: &Scene<'_>, sql: &'static str, of: &str) -> i64 {
    scene.engine.first(Query::new(sql, [of.into()])).await.unwrap().unwrap().int(0).unwrap()
}

async fn quarantines(scene: &Scene<'_>, source: &str) -> i64 {
    count(scene, "SELECT COUNT(*) FROM quarantine WHERE source = $1", source).await
}

async fn push(scene: &Scene<'_>, client: &str, login: &str, at: &str) -> Attempt {
    let terminal = scene.terminal(at);
    let (flow, page) = scene.arrive(&terminal, client, "openid").await;
    let open = Open { flow: Some(page.clone()), offer: Some(login.to_owned()), ..Open::default() };
    let ceremony = terminal.open_as(&open).await.unwrap();
    Attempt { terminal, flow, page, ceremony }
}

async fn state(attempt: &Attempt) -> String {
    attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state
}

#[tokio::test]
async fn a_device_that_does_not_act_decides_nothing_and_learns_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Halina").await;
    let mut waiting = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let acting = scene.second_phone(&waiting, &here).await;
    let stopped = scene.second_phone(&acting, &here).await;
    let lost = scene.second_phone(&acting, &here).await;
    let done = scene.open_till(&here).await;
    scene.sign_in(&acting, &done).await;
    let offered = push(&scene, "stock", &login, &here).await;
    let cid = &offered.ceremony.cid;

    // A stranger with the synchronised passkey; a phone that an operator stopped; one that was lost.
    synced(&scene, &mut waiting).await;
    let made = waiting.rebind(SoftwareKey::generate().unwrap(), "From the cloud").await.unwrap();
    assert_eq!(made.device_state, "pending");
    scene.stage.command(&["device", "suspend", &id(&stopped)]).unwrap();
    acting.lost(&id(&lost)).await.unwrap();
    let open = scene.open_till(&here).await;
    for (phone, heard) in [(&waiting, "denied"), (&stopped, "denied"), (&lost, "bad_proof")] {
        for not_me in [false, true] {
            scene.refused(phone.refuse_unseen(cid, not_me).await, "bad_proof").await;
        }
        scene.refused(phone.pending().await, heard).await;
        scene.refused(phone.story(&done.ceremony.cid).await.map(|_| ()), heard).await;
        scene.refused(phone.look(cid).await.map(|_| ()), heard).await;
        // A typed code is refused before it is looked for, so that none can be tried.
        for code in [&open.ceremony.user_code, "BCDF-GHJK"] {
            scene.refused(phone.scan_code(code).await.map(|_| ()), heard).await;
        }
        scene.refused(phone.take(cid).await.map(|_| ()), heard).await;
    }
    assert_eq!(waiting.overview().await.unwrap().devices.len(), 1, "it sees itself");
    assert_eq!(stopped.overview().await.unwrap().devices.len(), 1);
    assert_eq!(state(&offered).await, "opened");
    assert_eq!(quarantines(&scene, &here).await, 0);
    assert_eq!(acting.pending().await.unwrap().pending.len(), 1);
}

#[tokio::test]
async fn a_suspended_devices_passkey_approves_nothing_elsewhere() {
    let scene = stage().scene().await;
    let here = place();
    let first = scene.phone("Suspendiert", &here).await;
    let second = scene.second_phone(&first, &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&second, &attempt).await;
    let anybody = AssertionAsk { allow: vec![], ..checked.ask() };
    let signed = || second.signed(&checked.statement.cid, &checked.sd, Verb::Approve, Some(first.assert(&anybody).unwrap())).unwrap();
    scene.stage.command(&["device", "suspend", &id(&first)]).unwrap();
    scene.refused(second.decide(&checked.statement.cid, &signed()).await, "bad_proof").await;
    // Let act again, it serves on the person's other device as before.
    scene.stage.command(&["device", "resume", &id(&first)]).unwrap();
    assert_eq!(second.decide(&checked.statement.cid, &signed()).await.unwrap().state, "approved");
}

#[tokio::test]
async fn not_me_counts_once_and_not_for_ever() {
    let scene = stage().scene().await;
    let home = place();
    let mut phone = scene.phone("Einmalig", &home).await;
    // Said three times about one request, it stops the screen once.
    let here = place();
    phone.http = scene.http(&here);
    let attempt = scene.open_till(&here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    phone.refuse(&checked).await.unwrap();
    for _ in 0..3 {
        phone.not_me(&checked).await.unwrap();
    }
    assert_eq!(quarantines(&scene, &here).await, 1);
    // Some minutes after the end it is too late.
    let here = place();
    phone.http = scene.http(&here);
    let attempt = scene.open_till(&here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    phone.refuse(&checked).await.unwrap();
    age(&scene, &attempt.ceremony.cid, 16).await;
    scene.refused(phone.not_me(&checked).await, "gone").await;
    assert_eq!(quarantines(&scene, &here).await, 0);
    // So it is about a sign-in whose session has ended since.
    let here = place();
    phone.http = scene.http(&here);
    let attempt = scene.open_till(&here).await;
    let checked = scene.approve(&phone, &attempt).await;
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    phone.end_all().await.unwrap();
    age(&scene, &attempt.ceremony.cid, 16).await;
    scene.refused(phone.not_me(&checked).await, "gone").await;
    assert_eq!(quarantines(&scene, &here).await, 0);
}

#[tokio::test]
async fn ending_a_session_is_no_refusal() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Feierabend", &here).await;
    for _ in 0..3 {
        let attempt = scene.open("stock", "openid", &here).await;
        let checked = scene.approve(&phone, &attempt).await;
        let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
        scene.redirect(&attempt, reply).await;
        // What the phone page's [End session] sends.
        phone.refuse(&checked).await.unwrap();
        assert!(phone.overview().await.unwrap().sessions.is_empty());
    }
    assert_eq!(quarantines(&scene, &here).await, 0);
    let attempt = scene.open("stock", "openid", &here).await;
    scene.sign_in(&phone, &attempt).await;
}

#[tokio::test]
async fn not_me_ends_whatever_that_screen_has_open_for_the_person() {
    let scene = stage().scene().await;
    let (here, elsewhere) = (place(), place());
    let (link, login) = scene.invitation("Irina").await;
    let mut phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    // Each opening of a page has a key of its own: what they share is the place and the client.
    let same = scene.open_till(&here).await;
    scene.sign_in(&phone, &same).await;
    scene.sign_in(&phone, &scene.open("stock", "openid", &here).await).await;
    phone.http = scene.http(&elsewhere);
    scene.sign_in(&phone, &scene.open_till(&elsewhere).await).await;
    phone.http = scene.http(&here);
    let offered = push(&scene, "till", &login, &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 3);
    phone.not_me(&checked).await.unwrap();
    let left: Vec<String> = phone.overview().await.unwrap().sessions.into_iter().map(|s| s.client).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"Client stock".to_owned()) && left.contains(&"Client till".to_owned()));
    assert!(same.terminal.resume(&scene.arrive(&same.terminal, "till", "openid").await.1).await.is_err_and(|f| f.is("no_session")));
    assert_eq!(state(&offered).await, "refused");
    let log = scene.log().await;
    let ended: Vec<_> = log.iter().filter(|l| l.kind == "session.ended" && l.body["ceremony"] == same.ceremony.cid.as_str()).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].body["facts"]["why"], "not_me");
}

#[tokio::test]
async fn what_was_stopped_meanwhile_is_neither_approved_nor_redeemed() {
    let scene = stage().scene().await;
    let crowd = place();
    let mut people = vec![];
    for n in 0..5 {
        people.push(scene.phone(&format!("Stopped {n}"), &crowd).await);
    }
    let approved = scene.open("crowd-0", "openid", &crowd).await;
    scene.approve(&people[0], &approved).await;
    let confirmed = scene.open("crowd-1", "openid", &crowd).await;
    let checked = scene.confirm(&people[1], &confirmed).await;
    // Three people say that it was not them: the place may ask nobody for a while.
    for (n, phone) in people[2..].iter().enumerate() {
        let attempt = scene.open(&format!("crowd-{}", n + 2), "openid", &crowd).await;
        let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
        phone.not_me(&checked).await.unwrap();
    }
    scene.refused(people[1].approve(&checked).await, "denied").await;
    scene.refused(approved.terminal.redeem(&approved.ceremony).await, "denied").await;
    for phone in &people[..2] {
        assert!(phone.overview().await.unwrap().sessions.is_empty());
    }
}
