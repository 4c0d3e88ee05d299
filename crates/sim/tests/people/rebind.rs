//! A phone that lost its key, or whose passkey was copied (docs/protocol.md §1).

use super::{did, id, run, stage};
use countersign_device::keys::Folder;
use countersign_device::{Fault, Phone, SoftwareKey};
use countersign_sim::stage::{Scene, place, program};
use countersign_store::Statement;
use countersign_wire::approval::Verb;
use countersign_wire::message::{Enrolled, Invite};
use std::process::Command;

const DAY_S: i64 = 24 * 3600;
const NOTHING: &str = "00000000-0000-7000-8000-000000000000";

fn fresh() -> SoftwareKey {
    SoftwareKey::generate().unwrap()
}

fn same(key: &SoftwareKey) -> SoftwareKey {
    SoftwareKey::from_pkcs8(key.pkcs8().expose()).unwrap()
}

/// A device with a copy of the passkey of `phone`, as a cloud account hands it out. It begins with a
/// copy of the device key, too, which it loses by binding its own.
fn copied(scene: &Scene<'_>, phone: &Phone, place: &str) -> Phone {
    let folder = Folder::open(&scene.stage.dir().join(format!("copy-{place}"))).unwrap();
    folder.write("device.key", phone.key.pkcs8().expose()).unwrap();
    folder.write("passkey.key", phone.passkey.key.pkcs8().expose()).unwrap();
    folder.write_json("phone.json", &phone.kept()).unwrap();
    let mut copy = Phone::load(folder, scene.transport.clone()).unwrap();
    copy.http = scene.http(place);
    copy
}

async fn bind(phone: &mut Phone) -> Result<Enrolled, Fault> {
    phone.rebind(fresh(), "Found again").await
}

fn state(made: &Enrolled) -> &str {
    made.device_state.as_str()
}

/// Every door that acts or tells refuses `phone` with `code`, and nothing comes of it.
async fn refused_everywhere(scene: &Scene<'_>, phone: &Phone, other: &str, code: &str) {
    let attempt = scene.open_till(&place()).await;
    let cid = &attempt.ceremony.cid;
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, code).await;
    scene.refused(phone.scan(&[attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)]).await, code).await;
    scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, code).await;
    scene.refused(phone.take(cid).await, code).await;
    scene.refused(phone.look(cid).await, code).await;
    scene.refused(phone.confirm(cid, "1234").await, code).await;
    scene.refused(phone.story(cid).await, code).await;
    scene.refused(phone.pending().await, code).await;
    scene.refused(phone.end_all().await, code).await;
    scene.refused(phone.end(NOTHING).await, code).await;
    for device in [id(phone).as_str(), other] {
        scene.refused(phone.rename(device, "Mine now").await, code).await;
        scene.refused(phone.allow(device).await, code).await;
        scene.refused(phone.lost(device).await, code).await;
        scene.refused(phone.not_mine(device).await, code).await;
    }
    scene.refused(phone.ok(NOTHING).await, code).await;
    scene.refused(phone.undo(NOTHING).await, code).await;
    let invite = Invite { name: "Friend".into(), login: "friend".into(), role: None };
    scene.refused(phone.invite(&invite).await, code).await;
    for verb in [Verb::Approve, Verb::Refuse, Verb::NotMe] {
        let decision = phone.signed(cid, &[0; 32], verb, None).unwrap();
        scene.refused(phone.decide(cid, &decision).await, "bad_proof").await;
    }
    assert_eq!(attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state, "opened");
}

/// `phone`, at `here`, may sign in, and nothing that lasts or costs.
async fn is_limited(scene: &Scene<'_>, phone: &Phone, here: &str, other: &str) {
    let attempt = scene.open("till", "openid profile refund", here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile"], "a new binding opens nothing privileged");
    scene.sign_in(phone, &scene.open_till(here).await).await;
    let terminal = scene.terminal(here);
    let ceremony = terminal.open_enrolment("One more").await.unwrap();
    scene.refused(phone.scan(&[ceremony.frame()]).await, "denied").await;
    scene.refused(phone.lost(other).await, "denied").await;
    scene.refused(phone.not_mine(other).await, "denied").await;
    scene.refused(phone.rename(other, "Mine now").await, "denied").await;
    let invite = Invite { name: "Friend".into(), login: "friend".into(), role: None };
    scene.refused(phone.invite(&invite).await, "denied").await;
}

/// Says what `seen` is told about `device`, and how long its rights are reduced.
async fn told(seen: &Phone, device: &str) -> (Vec<(String, String)>, Option<i64>) {
    let overview = seen.overview().await.unwrap();
    let name = overview.devices.iter().find(|d| d.id == device).map(|d| d.name.clone());
    let about = overview.notices.iter().filter(|n| n.device == name && n.undo);
    let limited = overview.devices.iter().find(|d| d.id == device).and_then(|d| d.limited_until);
    (about.map(|n| (n.kind.clone(), n.id.clone())).collect(), limited)
}

fn a_day(limited_until: Option<i64>) -> bool {
    let left = limited_until.unwrap() - countersign_device::machine::now().seconds();
    (DAY_S - 60..=DAY_S).contains(&left)
}

#[tokio::test]
async fn a_bound_passkey_brings_the_same_device_back_and_its_old_key_is_dead() {
    let scene = stage().scene().await;
    let here = place();
    let mut first = scene.phone("Ottilie", &here).await;
    let (second, third) = (scene.second_phone(&first, &here).await, scene.second_phone(&first, &here).await);
    scene.sign_in(&first, &scene.open_till(&here).await).await;
    // In its hand when the key is lost.
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&first, &attempt).await;
    let (before, key) = (id(&first), same(&first.key));
    let made = bind(&mut first).await.unwrap();
    assert_eq!((made.device_id.as_str(), state(&made)), (before.as_str(), "active"));
    // The old key is nobody's: it acts nowhere, and decides nothing.
    let new = std::mem::replace(&mut first.key, key);
    scene.refused(first.overview().await, "bad_proof").await;
    scene.refused(first.approve(&checked).await, "bad_proof").await;
    refused_everywhere(&scene, &first, &id(&second), "bad_proof").await;
    first.key = new;
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "denied").await;
    // It is the same device: what it opened before goes on.
    assert_eq!(second.overview().await.unwrap().sessions.len(), 1);
    assert_eq!(second.overview().await.unwrap().devices.len(), 3);
    // Both others are told, it itself is not.
    for other in [&second, &third] {
        let (notices, limited) = told(other, &before).await;
        assert_eq!(notices.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["device_rebound"]);
        assert!(a_day(limited));
    }
    assert!(told(&first, &before).await.0.is_empty());
    is_limited(&scene, &first, &here, &id(&second)).await;
    // Undone from one of them: the device is gone with all it opened, and its passkey with it.
    let (notices, _) = told(&third, &before).await;
    third.undo(&notices[0].1).await.unwrap();
    scene.refused(first.overview().await, "bad_proof").await;
    assert!(third.overview().await.unwrap().sessions.is_empty());
    scene.refused(second.undo(&notices[0].1).await, "no_such_thing").await;
    scene.refused(bind(&mut first).await, "bad_proof").await;
}

#[tokio::test]
async fn reduced_rights_are_whole_again_after_a_day() {
    let scene = stage().scene().await;
    let here = place();
    let mut first = scene.phone("Tagwerk", &here).await;
    let second = scene.second_phone(&first, &here).await;
    bind(&mut first).await.unwrap();
    scene.refused(first.lost(&id(&second)).await, "denied").await;
    // The day is over, as far as the store knows.
    let sql = "UPDATE device SET limited_until = 1 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [id(&first).as_str().into()])]).await.unwrap();
    let attempt = scene.open("till", "openid refund", &here).await;
    let checked = first.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.statement.rights.scopes, ["openid", "refund"]);
    first.lost(&id(&second)).await.unwrap();
}

#[tokio::test]
async fn a_synced_passkey_waits_for_another_device_and_can_do_nothing_before() {
    let scene = stage().scene().await;
    let (here, there) = (place(), place());
    let (first, _) = scene.synced_phone("Pirmin", &here).await;
    let second = scene.second_phone(&first, &here).await;
    let mut copy = copied(&scene, &first, &there);
    let made = bind(&mut copy).await.unwrap();
    assert_ne!(made.device_id, id(&first));
    assert_eq!(state(&made), "pending");
    // It sees itself, waiting, and nothing of the person's.
    let seen = copy.overview().await.unwrap();
    assert_eq!((seen.devices.len(), seen.sessions.len(), seen.activity.len(), seen.notices.len()), (1, 0, 0, 0));
    assert_eq!(seen.devices[0].state, "pending");
    refused_everywhere(&scene, &copy, &id(&first), "denied").await;
    // A ceremony of its person is as closed to it as any, and it stops no screen by saying "not me".
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&second, &attempt).await;
    let cid = &attempt.ceremony.cid;
    scene.refused(copy.story(cid).await, "denied").await;
    let not_me = copy.signed(cid, &checked.sd, Verb::NotMe, None).unwrap();
    scene.refused(copy.decide(cid, &not_me).await, "bad_proof").await;
    second.approve(&checked).await.unwrap();
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    assert_eq!(run(scene.stage, &["device", "resume", &made.device_id]).0, 1, "an operator never vouches");
    // Both devices of the person are told; either allows it.
    for other in [&first, &second] {
        let (notices, _) = told(other, &made.device_id).await;
        assert_eq!(notices.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["device_added"]);
    }
    second.allow(&made.device_id).await.unwrap();
    assert_eq!(copy.overview().await.unwrap().devices.len(), 3);
    assert!(a_day(told(&first, &made.device_id).await.1));
    is_limited(&scene, &copy, &there, &id(&first)).await;
    // Thrown out, it never comes back: not by being allowed, not by an operator, not with its key.
    first.lost(&made.device_id).await.unwrap();
    scene.refused(copy.overview().await, "bad_proof").await;
    scene.refused(second.allow(&made.device_id).await, "denied").await;
    assert_eq!(run(scene.stage, &["device", "resume", &made.device_id]).0, 1);
    let key = same(&copy.key);
    scene.refused(copy.rebind(key, "Once more").await, "bad_proof").await;
}

#[tokio::test]
async fn a_waiting_device_that_nobody_knows_is_thrown_out() {
    let scene = stage().scene().await;
    let (here, there) = (place(), place());
    let (first, _) = scene.synced_phone("Quasimodo", &here).await;
    let second = scene.second_phone(&first, &here).await;
    let mut copy = copied(&scene, &first, &there);
    let made = bind(&mut copy).await.unwrap();
    second.not_mine(&made.device_id).await.unwrap();
    scene.refused(copy.overview().await, "bad_proof").await;
    scene.refused(second.allow(&made.device_id).await, "denied").await;
    let key = same(&copy.key);
    scene.refused(copy.rebind(key, "Once more").await, "bad_proof").await;
    // Whoever goes on trying fills no list: five wait, the next is told so.
    for _ in 0..5 {
        assert_eq!(state(&bind(&mut copy).await.unwrap()), "pending");
    }
    scene.refused(bind(&mut copy).await, "too_many").await;
}

#[tokio::test]
async fn a_synced_passkey_without_another_device_acts_with_reduced_rights_until_it_is_undone() {
    let scene = stage().scene().await;
    let (here, there) = (place(), place());
    let (first, _) = scene.synced_phone("Ricarda", &here).await;
    let mut copy = copied(&scene, &first, &there);
    let made = bind(&mut copy).await.unwrap();
    assert_ne!(made.device_id, id(&first));
    assert_eq!(state(&made), "active");
    is_limited(&scene, &copy, &there, &id(&first)).await;
    // The phone it was copied from still works, is told, and undoes it.
    let (notices, limited) = told(&first, &made.device_id).await;
    assert!(a_day(limited));
    assert_eq!(notices.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["device_added"]);
    assert_eq!(first.overview().await.unwrap().sessions.len(), 1);
    scene.refused(copy.undo(&notices[0].1).await, "no_such_thing").await;
    first.undo(&notices[0].1).await.unwrap();
    scene.refused(copy.overview().await, "bad_proof").await;
    assert!(first.overview().await.unwrap().sessions.is_empty(), "what it opened goes on");
    // From now on the copied passkey does not begin by acting.
    let key = same(&copy.key);
    scene.refused(copy.rebind(key, "Once more").await, "bad_proof").await;
    let made = bind(&mut copy).await.unwrap();
    assert_eq!(state(&made), "pending");
    first.not_mine(&made.device_id).await.unwrap();
}

#[tokio::test]
async fn the_passkey_of_a_device_that_ended_binds_nothing() {
    let scene = stage().scene().await;
    let here = place();
    for (n, end) in ["lost", "revoked", "undone", "suspended"].into_iter().enumerate() {
        // Bound and synced alike.
        for synced in [false, true] {
            let name = format!("Ender{n}");
            let first = scene.phone(&name, &here).await;
            let mut second = if synced { scene.second_synced_phone(&first, &here).await } else { scene.second_phone(&first, &here).await };
            let mut copy = copied(&scene, &second, &place());
            let device = id(&second);
            match end {
                "lost" => first.lost(&device).await.unwrap(),
                "revoked" => drop(did(scene.stage, &["device", "revoke", &device])),
                "undone" => {
                    let (notices, _) = told(&first, &device).await;
                    first.undo(&notices[0].1).await.unwrap();
                }
                _ => drop(did(scene.stage, &["device", "suspend", &device])),
            }
            let code = if end == "suspended" { "denied" } else { "bad_proof" };
            for phone in [&mut second, &mut copy] {
                scene.refused(bind(phone).await, code).await;
                let key = same(&phone.key);
                scene.refused(phone.rebind(key, "Once more").await, "bad_proof").await;
            }
            if end != "suspended" {
                scene.refused(second.overview().await, "bad_proof").await;
                scene.refused(first.allow(&device).await, "denied").await;
                scene.refused(first.not_mine(&device).await, "denied").await;
                assert_eq!(run(scene.stage, &["device", "resume", &device]).0, 1, "{end} is for ever");
            }
            assert_eq!(first.overview().await.unwrap().devices.iter().filter(|d| d.state == "active").count(), 1);
        }
    }
}

#[tokio::test]
async fn the_device_program_shows_both_kinds_of_passkey() {
    let scene = stage().scene().await;
    for synced in [false, true] {
        let (link, _) = scene.invitation("Konsole").await;
        let state = scene.stage.dir().join(format!("konsole-{synced}"));
        let device = |words: &[&str]| -> serde_json::Value {
            let program = program().with_file_name("countersign-device");
            let out = Command::new(program).args(words).arg("--json").arg("--state").arg(&state).output().unwrap();
            assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
            serde_json::from_slice(&out.stdout).unwrap()
        };
        let words = ["enrol", &link, "--synced-passkey"];
        let first = device(if synced { &words } else { &words[..2] });
        let made = device(&["rebind"]);
        assert_eq!((made["device"] == first["device"], &made["state"]), (!synced, &serde_json::json!("active")));
        // It goes on with what it has now.
        assert_eq!(device(&["list"])["device"], made["device"]);
    }
}

#[tokio::test]
async fn a_locked_person_binds_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let (mut synced, login) = scene.synced_phone("Schloss", &here).await;
    let mut bound = scene.second_phone(&synced, &here).await;
    did(scene.stage, &["person", "lock", &login]);
    for phone in [&mut synced, &mut bound] {
        scene.refused(bind(phone).await, "denied").await;
        let attempt = scene.open_till(&here).await;
        scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    }
    did(scene.stage, &["person", "unlock", &login]);
    assert_eq!(state(&bind(&mut bound).await.unwrap()), "active");
    assert_eq!(state(&bind(&mut synced).await.unwrap()), "pending");
    did(scene.stage, &["person", "end", &login]);
    scene.refused(bind(&mut bound).await, "bad_proof").await;
}
