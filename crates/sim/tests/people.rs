//! The life of devices and people, against the real program and its commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "people/operator.rs"]
mod operator;
#[path = "people/rebind.rs"]
mod rebind;
#[path = "people/recovery.rs"]
mod recovery;
#[path = "people/taps.rs"]
mod taps;

use countersign_device::{Phone, SoftwareKey};
use countersign_sim::stage::{Settings, Stage, place, program};
use std::process::Command;
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, Settings::default)
}

/// Runs a command beside the server: its exit code and what it printed.
fn run(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let done = Command::new(program())
        .args(arguments)
        .arg("--config")
        .arg(stage.dir().join("countersign.toml"))
        .current_dir(stage.dir())
        .env_remove("COUNTERSIGN_CONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code().unwrap(), said)
}

fn did(stage: &Stage, arguments: &[&str]) -> String {
    let (code, said) = run(stage, arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

fn id(phone: &Phone) -> String {
    phone.kept().device_id.to_string()
}

#[tokio::test]
async fn a_suspended_device_comes_back_by_an_operator_alone() {
    let scene = stage().scene().await;
    let here = place();
    let mut first = scene.phone("Ludmila", &here).await;
    let second = scene.second_phone(&first, &here).await;
    did(scene.stage, &["device", "suspend", &id(&first)]);
    // Neither its passkey nor the person's other device is a way around that.
    let rebound = first.rebind(SoftwareKey::generate().unwrap(), "Again").await;
    scene.refused(rebound.map(|_| ()), "denied").await;
    scene.refused(second.allow(&id(&first)).await, "denied").await;
    scene.refused(first.lost(&id(&second)).await, "denied").await;
    assert_eq!(first.overview().await.unwrap().devices.len(), 1, "a suspended device sees itself alone");
    did(scene.stage, &["device", "resume", &id(&first)]);
    assert_eq!(first.overview().await.unwrap().devices.len(), 2);
    did(scene.stage, &["device", "revoke", &id(&first)]);
    assert_eq!(run(scene.stage, &["device", "resume", &id(&first)]).0, 1, "revoked is for ever");
    scene.refused(first.overview().await, "bad_proof").await;
    let rebound = first.rebind(SoftwareKey::generate().unwrap(), "Again").await;
    assert!(rebound.is_err(), "a revoked device's passkey bound a new key");
}

#[tokio::test]
async fn a_device_has_no_say_about_the_notice_on_itself() {
    let scene = stage().scene().await;
    let here = place();
    let first = scene.phone("Norbert", &here).await;
    assert!(first.overview().await.unwrap().notices.is_empty(), "the first device has nobody to tell");
    let second = scene.second_phone(&first, &here).await;
    let notice = first.overview().await.unwrap().notices.remove(0);
    assert!(notice.undo && notice.kind == "device_added");
    assert!(second.overview().await.unwrap().notices.is_empty());
    scene.refused(second.ok(&notice.id).await, "no_such_thing").await;
    scene.refused(second.undo(&notice.id).await, "no_such_thing").await;
    first.undo(&notice.id).await.unwrap();
    scene.refused(second.overview().await, "bad_proof").await;
    scene.refused(first.undo(&notice.id).await, "no_such_thing").await;
}

#[tokio::test]
async fn what_an_operator_stopped_stays_stopped_after_a_restart() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    did(&stage, &["client", "disable", "stock"]);
    did(&stage, &["person", "lock", "admin"]);
    stage.restart().await;
    let clients = did(&stage, &["client", "list"]);
    let state = |id: &str| clients.lines().find(|l| l.starts_with(id)).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!((state("stock").as_str(), state("till").as_str()), ("disabled", "enabled"));
    assert_eq!(run(&stage, &["client", "secret", "till"]).0, 1, "it uses none");
    assert_eq!(run(&stage, &["client", "secret", "office"]).0, 1, "the configuration holds it");
    did(&stage, &["client", "enable", "stock"]);
    did(&stage, &["person", "unlock", "admin"]);
    stage.restart().await;
    assert!(did(&stage, &["client", "list"]).lines().any(|l| l.starts_with("stock") && l.contains("enabled")));
    assert_eq!(run(&stage, &["invite", "Administrator", "admin", "--role", "administrator"]).0, 1, "it has a device");
    assert!(did(&stage, &["device", "list", "admin"]).contains("Counter phone"));
}

#[tokio::test]
async fn a_file_of_roots_without_a_root_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("roots.pem"), "no certificate\n").unwrap();
    let config = "listen = \"127.0.0.1:0\"\nattestation = \"required\"\nattestation_roots = \"roots.pem\"\n";
    std::fs::write(dir.path().join("countersign.toml"), config).unwrap();
    let done = Command::new(program()).arg("serve").current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("attestation_roots"), "{said}");
}
