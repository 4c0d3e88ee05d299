//! A backup that is brought back: what was stopped since stays stopped, and what is lost does not keep it shut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use countersign_device::keys::Folder;
use countersign_device::phone::Recovering;
use countersign_device::{Phone, SoftwareKey, Transport};
use countersign_sim::stage::{Scene, Settings, Stage, place};
use countersign_store::Statement;
use countersign_wire::approval::Verb;
use countersign_wire::message::AssertionAsk;

/// Takes the store away, as a broken disk would, and brings the backup back.
async fn restored(stage: &Stage, more: &[&str]) {
    stage.kill();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", stage.database.strip_prefix("sqlite:").unwrap()));
    }
    let mut words = vec!["restore", "backup.jsonl"];
    words.extend(more);
    stage.command(&words).unwrap();
    stage.restart().await;
}

async fn listed(scene: &Scene<'_>, name: &str, here: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    (Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap(), login)
}

#[tokio::test]
async fn what_was_stopped_since_the_backup_stays_stopped() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (good, _) = listed(&scene, "Bleibt", &here).await;
    let (locked, locked_login) = listed(&scene, "Gesperrt", &here).await;
    let (ended, ended_login) = listed(&scene, "Beendet", &here).await;
    let (first, _) = listed(&scene, "Zwei Telefone", &here).await;
    let second = scene.second_phone(&first, &here).await;
    let copied = scene.second_phone(&first, &here).await;
    stage.command(&["backup", "backup.jsonl"]).unwrap();

    stage.command(&["person", "lock", &locked_login]).unwrap();
    stage.command(&["person", "end", &ended_login]).unwrap();
    first.lost(second.kept().device_id.as_str()).await.unwrap();
    // One passkey is taken off by itself, while its device stays.
    let sql = "UPDATE credential SET live = 0, version = version + 1 WHERE device = $1";
    let id = copied.kept().device_id.to_string();
    assert_eq!(scene.engine.upkeep(vec![Statement::any(sql, [id.as_str().into()])]).await.unwrap(), 1);
    let list = stage.command(&["device", "ended"]).unwrap();
    std::fs::write(stage.dir().join("ended.txt"), &list).unwrap();
    restored(&stage, &["--revoked", "ended.txt"]).await;

    let scene = stage.scene().await;
    for phone in [&locked, &ended, &second] {
        let attempt = scene.open_till(&here).await;
        let heard = phone.scan(&[attempt.ceremony.frame()]).await;
        assert!(heard.is_err(), "a stopped one came back:\n{list}");
    }
    let people = stage.command(&["person", "list"]).unwrap();
    let state = |login: &str| people.lines().find(|l| l.starts_with(login)).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!((state(&locked_login).as_str(), state(&ended_login).as_str()), ("locked", "ended"));
    // The device whose passkey was taken off scans, and cannot approve.
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&copied, &attempt).await;
    let anybody = AssertionAsk { allow: vec![], ..checked.ask() };
    let signed = copied.signed(&checked.statement.cid, &checked.sd, Verb::Approve, Some(copied.assert(&anybody).unwrap())).unwrap();
    scene.refused(copied.decide(&checked.statement.cid, &signed).await, "bad_proof").await;
    scene.sign_in(&good, &scene.open_till(&here).await).await;
    // An operator lets the locked person act again, as before.
    stage.command(&["person", "unlock", &locked_login]).unwrap();
    scene.sign_in(&locked, &scene.open_till(&here).await).await;
}

#[tokio::test]
async fn a_store_comes_back_without_its_sealing_key() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Ohne Siegel", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    stage.command(&["backup", "backup.jsonl"]).unwrap();
    std::fs::remove_file(stage.dir().join("seal")).unwrap();
    restored(&stage, &["--nothing-ended-since"]).await;
    let scene = stage.scene().await;
    assert!(!scene.works(&attempt, &tokens).await, "a token came back");
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    assert!(scene.tokens(&attempt, &redirect).await.is_ok());
}

#[tokio::test]
async fn a_list_that_names_something_else_brings_nothing_back() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    stage.command(&["backup", "backup.jsonl"]).unwrap();
    stage.kill();
    let administrator = Phone::load(Folder::open(&stage.dir().join("administrator")).unwrap(), Transport::new(false)).unwrap();
    let id = administrator.kept().device_id.to_string();
    for bad in [format!("person {id} away"), format!("robot {id}"), format!("person {id}"), "passkey".to_owned(), format!("{id} {id}")] {
        std::fs::write(stage.dir().join("ended.txt"), bad).unwrap();
        let why = stage.command(&["restore", "backup.jsonl", "--revoked", "ended.txt"]).unwrap_err();
        assert!(why.contains("ended.txt") || why.contains("no line"), "{why}");
    }
}

#[tokio::test]
async fn a_recovery_code_that_was_used_does_not_come_back_with_a_backup() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (phone, login) = listed(&scene, "Papier", &here).await;
    let codes = phone.recovery_codes().await.unwrap();
    stage.command(&["backup", "backup.jsonl"]).unwrap();
    let new = |scene: &Scene<'_>| Recovering { http: scene.http(&here), key: SoftwareKey::generate().unwrap(), issuer: scene.stage.issuer.clone() };
    new(&scene).code(&login, &codes[0]).await.unwrap();
    restored(&stage, &["--nothing-ended-since"]).await;

    let scene = stage.scene().await;
    for code in &codes[..2] {
        scene.refused(new(&scene).code(&login, code).await, "not_recovered").await;
    }
    let codes = phone.recovery_codes().await.unwrap();
    new(&scene).code(&login, &codes[0]).await.unwrap();
}
