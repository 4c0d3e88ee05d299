//! A challenge bound to its browser, key and time, used once: Q1 to Q4, Q7.

use super::stage;
use countersign_device::{Http, SoftwareKey};
use countersign_sim::stage::place;
use countersign_wire::code::ALPHABET;
use std::collections::HashSet;
use std::time::Duration;

#[tokio::test]
async fn q1_each_attempt_has_its_own_unguessable_challenge() {
    let scene = stage().scene().await;
    let here = place();
    let mut terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    let (mut names, mut codes) = (HashSet::new(), HashSet::new());
    for _ in 0..20 {
        terminal.key = SoftwareKey::generate().unwrap();
        let ceremony = terminal.open(&page).await.unwrap();
        assert_eq!(ceremony.handle.len() * 8, 128);
        assert!(ceremony.user_code.bytes().filter(|b| *b != b'-').all(|b| ALPHABET.contains(&b)));
        names.insert(ceremony.handle);
        codes.insert(ceremony.user_code);
    }
    assert_eq!((names.len(), codes.len()), (20, 20));
    // A key serves one opening; a proof serves one request.
    scene.refused(terminal.open(&page).await.map(|_| ()), "bad_proof").await;
    let raw = scene.raw(&here);
    let key = SoftwareKey::generate().unwrap();
    let body = serde_json::json!({"flow": page}).to_string().into_bytes();
    let nonce = raw.nonce().await;
    let headers = [
        ("dpop", raw.proof(&key, "POST", "/ceremonies", &body, |c| c.nonce = Some(nonce))),
        ("content-type", "application/json".to_owned()),
        ("origin", raw.origin()),
        ("cookie", terminal.http.jar().header(&scene.stage.issuer).unwrap()),
    ];
    assert_eq!(raw.send("POST", "/ceremonies", &headers, body.clone()).await.status, 201);
    let again = raw.send("POST", "/ceremonies", &headers, body).await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad_proof"));
    scene.recorded(again.json()["ref"].as_str().unwrap(), "bad_proof").await;
}

#[tokio::test]
async fn q2_redeeming_needs_cookie_and_key() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Konstanze", &here).await;
    let mut attempt = scene.open_till(&here).await;
    scene.approve(&phone, &attempt).await;
    let other = scene.open_till(&here).await;
    // Another browser, which has the key but its own cookie; and no cookie at all.
    let own = std::mem::replace(&mut attempt.terminal.http, scene.http(&here));
    *attempt.terminal.http.jar() = other.terminal.http.jar().clone();
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "no_such_ceremony").await;
    attempt.terminal.http.jar().clear();
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "no_such_ceremony").await;
    // The right cookie, another key.
    attempt.terminal.http = own;
    let key = std::mem::replace(&mut attempt.terminal.key, SoftwareKey::generate().unwrap());
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "bad_proof").await;
    // None of that revoked anything: the rightful terminal still collects, once.
    attempt.terminal.key = key;
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Konstanze");
}

#[tokio::test]
async fn q3_old_pictures_and_second_scanners_are_refused() {
    let scene = stage().scene().await;
    let here = place();
    let (first, second) = (scene.phone("Erste", &here).await, scene.phone("Zweite", &here).await);
    let attempt = scene.open_till(&here).await;
    let picture = attempt.ceremony.frame();
    let film = [attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)];
    tokio::time::sleep(Duration::from_millis(16_200)).await;
    scene.refused(second.scan(&[picture]).await, "code_not_live").await;
    scene.refused(second.scan(&film).await, "code_not_live").await;
    // The page is alive, and so is what it shows now. The first scan takes it.
    let live = attempt.ceremony.frame();
    let scanned = first.scan(&[live]).await.unwrap();
    scene.refused(second.scan(&[live]).await, "code_not_live").await;
    scene.refused(second.scan_code(&attempt.ceremony.user_code).await, "code_not_live").await;
    // The scanner may ask again, and is shown the same statement.
    let again = first.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(again.sd, scanned.sd);
}

#[tokio::test]
async fn q4_one_result_once_and_a_replay_takes_it_back() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, late) = (scene.phone("Quirin", &here).await, scene.phone("Late", &here).await);
    let attempt = scene.open_till(&here).await;
    let checked = scene.approve(&phone, &attempt).await;
    // Dead at approval: for other phones, and for a second decision.
    scene.refused(late.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;
    scene.refused(phone.approve(&checked).await, "decided").await;
    // Dead at redemption, and the code in it lives for one exchange.
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await);
    assert!(scene.tokens(&attempt, &redirect).await.is_err_and(|fault| fault.is("invalid_grant")));
    assert!(!scene.works(&attempt, &tokens).await, "a token survived the replay of its code");
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    assert!(log.iter().any(|l| l.kind == "code.replayed"), "{:?}", log.iter().map(|l| &l.kind).collect::<Vec<_>>());
    assert_eq!(log.iter().filter(|l| l.kind == "session.opened").count(), 1);
}

#[tokio::test]
async fn q7_an_old_approval_fits_nothing_new() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Rosalind", &here).await;
    let old = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &old).await;
    let assertion = phone.assert(&checked.ask()).unwrap();
    let verb = countersign_wire::approval::Verb::Approve;
    let decision = phone.signed(&checked.statement.cid, &checked.sd, verb, Some(assertion.clone())).unwrap();
    old.terminal.abandon(&old.ceremony).await.unwrap();
    scene.refused(phone.decide(&checked.statement.cid, &decision).await, "gone").await;
    // A new attempt, confirmed: the old decision, and the old assertion under a new decision.
    let new = scene.open_till(&here).await;
    let fresh = scene.confirm(&phone, &new).await;
    scene.refused(phone.decide(&fresh.statement.cid, &decision).await, "bad_proof").await;
    let mixed = phone.signed(&fresh.statement.cid, &fresh.sd, verb, Some(assertion)).unwrap();
    scene.refused(phone.decide(&fresh.statement.cid, &mixed).await, "bad_proof").await;
    // The old page's cookie and key open nothing of the new one.
    let mut stranger = scene.terminal(&here);
    stranger.http = Http::fresh(&old.terminal.http);
    *stranger.http.jar() = old.terminal.http.jar().clone();
    phone.approve(&fresh).await.unwrap();
    scene.refused(stranger.redeem(&new.ceremony).await, "no_such_ceremony").await;
    scene.refused(old.terminal.redeem(&old.ceremony).await, "gone").await;
    // Another phone cannot go on where this one began.
    let other = scene.phone("Other", &here).await;
    let third = scene.open_till(&here).await;
    let begun = scene.confirm(&phone, &third).await;
    scene.refused(other.look(&begun.statement.cid).await, "no_such_ceremony").await;
    let anybody = countersign_wire::message::AssertionAsk { allow: vec![], ..begun.ask() };
    let theirs = other.signed(&begun.statement.cid, &begun.sd, verb, Some(other.assert(&anybody).unwrap())).unwrap();
    scene.refused(other.decide(&begun.statement.cid, &theirs).await, "no_such_ceremony").await;
}
