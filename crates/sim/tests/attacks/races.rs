//! Two things at the same moment: rows 23 and 24 once more, and what a lock or a deadline leaves behind.

use super::stage;
use countersign_device::{Fault, Phone};
use countersign_sim::stage::{Attempt, PATIENCE, Scene, Settings, Stage, place, program};
use countersign_store::Query;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Clients that one person can be signing in to at the same time.
const CLIENTS: [&str; 10] =
    ["crowd-0", "crowd-1", "crowd-2", "crowd-3", "crowd-4", "crowd-5", "till", "stock", "office", "ledger"];

async fn living(scene: &Scene<'_>, sql: &'static str, of: &str) -> i64 {
    scene.engine.first(Query::new(sql, [of.into()])).await.unwrap().unwrap().int(0).unwrap()
}

/// Waits more exactly than a timer of milliseconds does.
async fn until(at: Instant) {
    while Instant::now() < at {
        tokio::task::yield_now().await;
    }
}

/// Many screens at once, each with an approval to collect.
async fn approved(scene: &Scene<'_>, phone: &Phone, here: &str) -> Vec<Attempt> {
    let mut all = vec![];
    for client in CLIENTS {
        let attempt = scene.open(client, "openid", here).await;
        scene.approve(phone, &attempt).await;
        all.push(attempt);
    }
    all
}

/// Redeems all, one `apart` after the other; how many succeeded.
async fn redeem(all: Vec<Attempt>, from: Instant, apart: Duration) -> usize {
    let mut racing = JoinSet::new();
    for (n, attempt) in (0_u32..).zip(all) {
        racing.spawn(async move {
            until(from + apart * n).await;
            attempt.terminal.redeem(&attempt.ceremony).await.is_ok()
        });
    }
    racing.join_all().await.into_iter().filter(|done| *done).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x23_what_a_lost_device_opened_at_that_moment_ends_as_well() {
    let scene = stage().scene().await;
    // How much earlier the loss sets out: brought to where it arrives in their midst.
    let (mut ahead, mut taken) = (Duration::ZERO, 0_usize);
    for round in 0..40_u64 {
        let here = place();
        let first = Arc::new(scene.phone("Edeltraud", &here).await);
        let second = scene.second_phone(&first, &here).await;
        let all = approved(&scene, &second, &here).await;
        let id = second.kept().device_id.to_string();
        let begun = Instant::now() + Duration::from_millis(1);
        let losing = tokio::spawn({
            let (first, id) = (first.clone(), id.clone());
            async move {
                until(begun + Duration::from_micros((round % 5) * 150)).await;
                first.lost(&id).await
            }
        });
        let done = redeem(all, begun + ahead, Duration::from_micros(300)).await;
        losing.await.unwrap().unwrap();
        let left = living(&scene, "SELECT COUNT(*) FROM session WHERE device = $1 AND ended IS NULL", &id).await;
        assert_eq!(left, 0, "round {round}: a session outlived its device");
        taken += done;
        ahead = if done > 5 { ahead + Duration::from_micros(600) } else { ahead.saturating_sub(Duration::from_micros(600)) };
    }
    assert!((1..400).contains(&taken), "{taken} of 400 were redeemed: they never met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_persons_session_of_that_moment_ends_as_well() {
    let scene = stage().scene().await;
    let (mut taken, mut whole) = (0, Duration::from_millis(40));
    for round in 0..20_u32 {
        let here = place();
        let (link, login) = scene.invitation("Verriegelt").await;
        let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
        let all = approved(&scene, &phone, &here).await;
        let person = phone.kept().sub.unwrap().to_string();
        // The command is a program of its own: it takes its time to come to the point.
        let mut command = std::process::Command::new(program());
        command.args(["person", "lock", &login]).arg("--config").arg(scene.stage.dir().join("countersign.toml"));
        let begun = Instant::now();
        let locking = tokio::task::spawn_blocking(move || (command.output().unwrap(), Instant::now()));
        taken += redeem(all, begun + whole / 2, whole / 18).await;
        let (done, ended) = locking.await.unwrap();
        assert!(done.status.success(), "round {round}: {done:?}");
        whole = ended - begun;
        let left = living(&scene, "SELECT COUNT(*) FROM session WHERE person = $1 AND ended IS NULL", &person).await;
        assert_eq!(left, 0, "round {round}: a session outlived the lock");
    }
    assert!((1..200).contains(&taken), "{taken} of 200 were redeemed: they never met");
}

#[tokio::test]
async fn more_sessions_than_one_list_holds_end_all_the_same() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Viele", &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.approve(&phone, &attempt).await;
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let person = checked.statement.sub.to_string();
    // As many again as one list of them holds, copied beside the server.
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 130) \
        INSERT INTO session (id, version, cookie_hash, person, device, jkt, ended, idle_until, until, body) \
        SELECT printf('%s%012x', substr(id, 1, 24), i), 1, cookie_hash || i, person, device, jkt, NULL, idle_until, until, \
        json_set(body, '$.id', printf('%s%012x', substr(id, 1, 24), i)) FROM session, n WHERE person = $1";
    let made = scene.engine.upkeep(vec![countersign_store::Statement::any(copies, [person.as_str().into()])]).await.unwrap();
    assert_eq!(made, 130);
    phone.end_all().await.unwrap();
    let left = living(&scene, "SELECT COUNT(*) FROM session WHERE person = $1 AND ended IS NULL", &person).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_session_that_a_crash_left_open_is_swept() {
    let (uri, mut heard) = crate::listener().await;
    let stage = Stage::set(Settings { logout: Some(uri), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let first = scene.phone("Absturz", &here).await;
    let second = scene.second_phone(&first, &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&second, &attempt).await;
    scene.tokens(&attempt, &redirect).await.unwrap();
    let id = second.kept().device_id.to_string();
    first.lost(&id).await.unwrap();
    tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    // As if the node had ended between the two commits.
    stage.kill();
    let open = countersign_store::Statement::any("UPDATE session SET ended = NULL WHERE device = $1", [id.as_str().into()]);
    assert_eq!(scene.engine.upkeep(vec![open]).await.unwrap(), 1);
    stage.restart().await;
    tokio::time::timeout(PATIENCE, heard.recv()).await.expect("the relying party was not told").unwrap();
    let left = living(&scene, "SELECT COUNT(*) FROM session WHERE device = $1 AND ended IS NULL", &id).await;
    assert_eq!(left, 0);
    assert!(scene.log().await.iter().any(|l| l.kind == "session.ended" && l.body["facts"]["why"] == "stopped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_approval_that_comes_twenty_times_at_once_is_one_and_no_copy_of_a_passkey() {
    let scene = stage().scene().await;
    let here = place();
    let phone = Arc::new(scene.phone("Zwanzigmal", &here).await);
    for client in CLIENTS.iter().take(6) {
        let attempt = scene.open(client, "openid", &here).await;
        let checked = scene.confirm(&phone, &attempt).await;
        let assertion = phone.assert(&checked.ask()).unwrap();
        let verb = countersign_wire::approval::Verb::Approve;
        let body = Arc::new(phone.signed(&checked.statement.cid, &checked.sd, verb, Some(assertion)).unwrap());
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (phone, body, cid) = (phone.clone(), body.clone(), checked.statement.cid.clone());
            all.spawn(async move { phone.decide(&cid, &body).await.map(|s| s.state) });
        }
        for heard in all.join_all().await {
            assert_eq!(heard.unwrap(), "approved", "{client}");
        }
    }
    let raised: Vec<_> = scene.log().await.into_iter().filter(|l| l.kind == "signal.raised" && l.body["facts"].get("signal").is_some()).collect();
    let device = phone.kept().device_id.to_string();
    let person = phone.kept().sub.unwrap().to_string();
    let ours: Vec<_> = raised.iter().filter(|l| l.text.contains(&device) || l.text.contains(&person)).map(|l| &l.text).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// Scanned, and the digits at hand.
async fn scanned(scene: &Scene<'_>, phone: &Phone, n: usize, here: &str) -> (Attempt, String) {
    let attempt = scene.open(&format!("crowd-{}", n % 6), "openid", here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    let digits = checked.digits().unwrap().to_owned();
    (attempt, digits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x24_a_deadline_that_passes_on_the_way_is_a_clean_refusal() {
    // Ten seconds to decide, so that many deadlines can be waited for.
    let stage = Stage::set(Settings { more: "decide_s = 10".into(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let mut phones = vec![];
    for n in 0..40 {
        let here = place();
        phones.push((scene.phone(&format!("Knapp {n}"), &here).await, here));
    }
    for _ in 0..2 {
        let mut waiting = vec![];
        for (n, (phone, here)) in phones.iter().enumerate() {
            let (attempt, digits) = scanned(&scene, phone, n, here).await;
            let left = attempt.terminal.state(&attempt.ceremony, None).await.unwrap().left_ms;
            waiting.push((attempt, digits, tokio::time::Instant::now() + Duration::from_millis(left.unsigned_abs())));
        }
        let mut all = JoinSet::new();
        for (n, (attempt, digits, end)) in waiting.into_iter().enumerate() {
            let attempt = Arc::new(attempt);
            // Some come before the deadline, some after; those in between are what this is about.
            let at = end - Duration::from_micros(2_500) + Duration::from_micros(n as u64 * 90);
            all.spawn(async move {
                tokio::time::sleep_until(at).await;
                attempt.terminal.confirm(&attempt.ceremony, &digits).await
            });
        }
        for heard in all.join_all().await {
            match heard {
                Ok(view) => assert_eq!(view.state, "confirmed"),
                // The sweep may have been there first.
                Err(Fault::Refused(refusal)) => assert!(matches!(refusal.code.as_str(), "expired" | "gone"), "{refusal:?}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
