//! Strangers who make the server write: rows 3 and 26 once more, and what the log keeps of them.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Attempt, Raw, Settings, Stage, place};
use countersign_store::testing::Cluster;
use countersign_wire::message::Open;
use countersign_wire::{b64, mac};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Requests of each kind, and how many of them one place may have written down in a minute. The
/// minute may turn over once while they come.
const SENT: usize = 600;
const WRITTEN: usize = 240;

/// Sends `SENT` requests from `raw`'s place, a few at a time; how many were answered how.
async fn flood(raw: &Arc<Raw>, method: &'static str, path: &str, cookie: &str, proved: bool) -> Vec<(u16, String)> {
    let (mut all, nonce, key) = (JoinSet::new(), raw.nonce().await, Arc::new(SoftwareKey::generate().unwrap()));
    let mut heard = vec![];
    for _ in 0..SENT {
        if all.len() >= 8 {
            heard.push(all.join_next().await.unwrap().unwrap());
        }
        let (raw, path, cookie, nonce, key) = (raw.clone(), path.to_owned(), cookie.to_owned(), nonce.clone(), key.clone());
        all.spawn(async move {
            let mut headers = vec![("origin", raw.origin()), ("cookie", cookie)];
            if proved {
                headers.push(("dpop", raw.proof(&key, method, &path, b"", |c| c.nonce = Some(nonce))));
            }
            let reply = raw.send(method, &path, &headers, vec![]).await;
            (reply.status, reply.code())
        });
    }
    heard.extend(all.join_all().await);
    heard
}

/// Digits that nobody asked for, one request after the other.
async fn flood_digits(raw: &Raw, path: &str, headers: &[(&'static str, String)], sent: usize) -> Vec<String> {
    let mut headers = headers.to_vec();
    headers.push(("origin", raw.origin()));
    let mut heard = vec![];
    for _ in 0..sent {
        heard.push(raw.send("POST", path, &headers, br#"{"digits":"1234"}"#.to_vec()).await.code());
    }
    heard
}

fn authorize(client: &str) -> String {
    let challenge = b64::encode(&mac::h(b"verifier"));
    format!(
        "/authorize?response_type=code&client_id={client}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcb&scope=openid\
         &code_challenge={challenge}&code_challenge_method=S256"
    )
}

#[tokio::test]
async fn nobody_in_particular_makes_the_log_grow_without_end() {
    // A server of its own: lines and rows are counted.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Nachbarin", &here).await;
    let raw = Arc::new(scene.raw(&here));
    let attempt = scene.open_till(&here).await;
    let theirs = scene.open_till(&here).await;
    let cookie = attempt.terminal.http.jar().header(&stage.issuer).unwrap();
    let lines = async || scene.log().await.len();
    let sign_in = format!("/sign-in/{}/passkey/options", attempt.page);
    let floods = [
        ("refusals of a door", "POST", "/enrolments/look", "", false),
        ("refusals of OAuth", "GET", "/authorize?client_id=nobody", "", false),
        ("requests that are kept", "GET", &authorize("till"), "", false),
        ("challenges of a sign-in page", "POST", &sign_in, &cookie, false),
        ("challenges of phones", "POST", "/rebind/options", "", true),
    ];
    for (what, method, path, cookie, proved) in floods {
        let (before, counts) = (lines().await, scene.counts().await);
        let heard = flood(&raw, method, path, cookie, proved).await;
        let grown = lines().await - before;
        assert!(grown <= WRITTEN, "{what}: {grown} lines for {SENT} requests");
        let limited = heard.iter().filter(|(status, _)| *status == 429).count();
        assert!(limited >= SENT - WRITTEN, "{what}: only {limited} heard that it is too much");
        assert!(heard.iter().all(|(status, _)| *status < 500), "{what}: {heard:?}");
        let after = scene.counts().await;
        for table in ["request", "challenge"] {
            assert!(after[table] - counts[table] <= WRITTEN as i64, "{what}: rows of {table}");
        }
    }
    // Nor does somebody who opened a ceremony, for which nobody needs to be anybody.
    let path = format!("/ceremonies/{}/confirm", theirs.ceremony.cid);
    let own = vec![
        ("cookie", theirs.terminal.http.jar().header(&stage.issuer).unwrap()),
        ("authorization", format!("Ceremony {}", theirs.ceremony.wait_key())),
        ("content-type", "application/json".to_owned()),
    ];
    let before = lines().await;
    let heard = flood_digits(&raw, &path, &own, 1_000).await;
    assert!(heard.iter().all(|code| code == "not_yet" || code == "too_many"), "{heard:?}");
    assert!(lines().await - before <= 600, "{} lines about one ceremony", lines().await - before);
    // The neighbours behind the same address lose nothing: each step of somebody known is written.
    let old = [attempt.ceremony.frame_from_now(3)];
    for _ in 0..5 {
        scene.refused(phone.scan(&old).await, "code_not_live").await;
    }
    let mut stolen = attempt;
    stolen.terminal.key = SoftwareKey::generate().unwrap();
    scene.refused(stolen.terminal.redeem(&stolen.ceremony).await, "bad_proof").await;
    // Somewhere else nothing is different.
    let reply = scene.raw(&place()).send("POST", "/enrolments/look", &[], vec![]).await;
    assert_eq!(reply.code(), "bad_proof");
    scene.recorded(reply.json()["ref"].as_str().unwrap(), "bad_proof").await;
    // What was not written line by line is told in one line for the place and the minute.
    let mut told = 0;
    for _ in 0..75 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let log = scene.log().await;
        told = log.iter().filter_map(|l| l.body["facts"]["unwritten"]["bad_proof"].as_u64()).sum();
        if told >= (SENT - WRITTEN) as u64 {
            break;
        }
    }
    assert!(told >= (SENT - WRITTEN) as u64, "{told} of them were told");
}

#[tokio::test]
async fn the_log_knows_no_address() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Adresslos", &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    let again = scene.open_till(&here).await;
    let elsewhere = place();
    let other = scene.open_till(&elsewhere).await;
    let log = scene.log().await;
    let quoted = [format!("\"{here}\""), format!("\"{elsewhere}\"")];
    assert!(!log.iter().any(|l| quoted.iter().any(|q| l.text.contains(q))), "a full address is in the log");
    // What stands there instead tells one place from another for a day, and nothing else.
    let source_of = |attempt: &Attempt| {
        let line = log.iter().find(|l| l.kind == "request.accepted" && l.body["facts"]["request"] == attempt.page.as_str()).unwrap();
        line.body["facts"]["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source_of(&attempt), source_of(&again));
    assert_ne!(source_of(&attempt), source_of(&other));
    assert!(b64::decode(&source_of(&attempt)).is_ok_and(|tag| tag.len() == 8));
}

#[tokio::test]
async fn x26_no_text_of_a_stranger_disturbs_a_store() {
    let Some(cluster) = Cluster::shared().unwrap() else { return };
    let database = cluster.database().await.unwrap();
    let stage = Stage::set(Settings { database: Some(database), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Nullbyte", &here).await;
    let raw = scene.raw(&here);
    let path = format!("/device/devices/{}/rename", phone.kept().device_id);
    let body = br#"{"name":"Renamed"}"#.to_vec();
    for jti in ["a\0b", "\0", "a b", "tab\there", "ümlaut", "\u{7f}", "new\nline"] {
        let nonce = raw.nonce().await;
        let proof = raw.proof(&phone.key, "POST", &path, &body, |c| {
            c.nonce = Some(nonce);
            c.jti = jti.to_owned();
        });
        let headers = [("dpop", proof), ("content-type", "application/json".to_owned())];
        let reply = raw.send("POST", &path, &headers, body.clone()).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "bad_proof"), "{jti:?}");
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "bad_proof").await;
    }
    // A login name that cannot be one is one that nobody has.
    for login in ["nobody\0", "\0", "Nobody With Spaces", "", &"n".repeat(10_000)] {
        let terminal = scene.terminal(&place());
        let (_, page) = scene.arrive(&terminal, "till", "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.to_owned()), ..Open::default() };
        let ceremony = terminal.open_as(&open).await.unwrap();
        assert_eq!(terminal.state(&ceremony, None).await.unwrap().state, "opened");
    }
    phone.rename(phone.kept().device_id.as_str(), "Still here").await.unwrap();
    let said = stage.said();
    assert!(!said.contains("a statement failed"), "{said}");
}
