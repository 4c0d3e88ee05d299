//! Earlier attacks once more, each while trust falls in the middle of it: a device that is reported as compromised, or out
//! of order, between two steps. What must hold besides: nobody goes on where it stopped, nothing is told to those who
//! wait or watch, no budget and no place is given back, and nothing comes to life again when the news is taken back.
//! Between which steps of which way in it falls is the table's ([`super::lifecycle`]).

use super::pushes::{listed, push};
use super::result::{cookie_of, look, redeem};
use super::stage;
use super::tokens::renew;
use countersign_device::oidc::Tokens;
use countersign_device::phone::{Enrolling, InviteLink};
use countersign_device::{Fault, Passkey, Phone, SoftwareKey};
use countersign_sim::stage::{Attempt, Reply, Scene, Stage, place, until};
use countersign_wire::approval::Verb;
use countersign_wire::message::{AssertionAsk, FinishEnrolment, Invite};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

const WORST: &str = "device.compromised";
const REST: &str = "device.noncompliant";

fn news(stage: &Stage, word: &str, kind: &str, phone: &Phone) {
    stage.command(&["signal", word, kind, phone.kept().device_id.as_str()]).unwrap();
}

/// The same, while others go on.
fn falls(phone: Arc<Phone>) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || news(stage(), "raise", WORST, &phone))
}

/// Waits until a ceremony was judged again and has ended.
async fn cut(scene: &Scene<'_>, attempt: &Attempt) {
    let cid = attempt.ceremony.cid.as_str();
    until("the end of what was scanned", async || scene.log_of(cid).await.into_iter().find(|l| l.kind == "ceremony.refused")).await;
}

/// Waits until nothing that this phone opened lives.
async fn empty(phone: &Phone) {
    until("the end of its sessions", async || phone.overview().await.unwrap().sessions.is_empty().then_some(())).await;
}

#[tokio::test]
async fn x02_of_fifty_redemptions_while_the_phone_falls_nothing_lives_on() {
    let scene = stage().scene().await;
    let here = place();
    // Whether it falls only when one of them has won.
    for (spread_ms, late) in [(0, false), (2, false), (4, false), (0, true)] {
        let phone = Arc::new(scene.phone("Sturz", &here).await);
        let attempt = Arc::new(scene.open_till(&here).await);
        scene.approve(&phone, &attempt).await;
        let (raw, cookie) = (Arc::new(scene.raw(&here)), cookie_of(&attempt));
        let fallen = phone.clone();
        let mut falls = (!late).then(|| fallen.clone()).map(falls);
        let mut all = JoinSet::new();
        for n in 0..50 {
            let (raw, attempt, cookie) = (raw.clone(), attempt.clone(), cookie.clone());
            all.spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * spread_ms)).await;
                // Repetitions of one proof: by themselves they take nothing back.
                redeem(&raw, &attempt, &cookie, Some("the-one")).await
            });
        }
        let replies: Vec<Reply> = all.join_all().await;
        falls.get_or_insert_with(|| self::falls(fallen)).await.unwrap();
        let won: Vec<&Reply> = replies.iter().filter(|r| r.status == 200).collect();
        assert!(won.len() <= 1, "{} of them won", won.len());
        assert!(!late || won.len() == 1, "none of them won, though nothing fell");
        for lost in replies.iter().filter(|r| r.status != 200) {
            assert!(["already_redeemed", "bad_proof", "gone", "denied"].contains(&lost.code().as_str()), "{} {}", lost.status, lost.code());
        }
        if let Some(won) = won.first() {
            let next = won.json()["next"].as_str().unwrap().parse().unwrap();
            let heard = scene.tokens(&attempt, &next).await;
            assert!(heard.as_ref().is_err_and(|fault| fault.is("invalid_grant")), "a code outlived the fall");
        }
        empty(&phone).await;
        let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
        let count = |kind: &str| log.iter().filter(|l| l.kind == kind).count();
        assert_eq!(count("session.opened"), won.len());
        assert_eq!(count("session.opened"), count("session.ended"));
    }
}

/// What a sign-in hears at the step at which its phone fell, and nothing else.
const STOPPED: [&str; 3] = ["denied", "gone", "invalid_grant"];

/// A whole sign-in, as far as it goes.
async fn through(scene: &Scene<'_>, phone: &Phone, attempt: &Attempt) -> Result<Tokens, Fault> {
    let checked = phone.scan(&[attempt.ceremony.frame()]).await?;
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await?;
    phone.approve(&checked).await?;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await?;
    scene.tokens(attempt, &reply.next.unwrap().parse().unwrap()).await
}

#[tokio::test]
async fn x23_a_fall_at_any_moment_of_a_sign_in_leaves_nothing_that_works() {
    let scene = stage().scene().await;
    let here = place();
    let mut given = 0;
    for n in 0..12 {
        let phone = Arc::new(scene.phone("Irgendwann", &here).await);
        let attempt = scene.open_till(&here).await;
        let fallen = phone.clone();
        let falls = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(n * 6));
            news(stage(), "raise", WORST, &fallen);
        });
        let (came, fell) = tokio::join!(through(&scene, &phone, &attempt), falls);
        fell.unwrap();
        match came {
            Ok(tokens) => {
                given += 1;
                assert!(!scene.works(&attempt, &tokens).await, "a token goes on after the fall was accepted");
            }
            Err(fault) => assert!(STOPPED.iter().any(|code| fault.is(code)), "{n}: {fault}"),
        }
        scene.refused(phone.scan(&[scene.open_till(&here).await.ceremony.frame()]).await, "denied").await;
        empty(&phone).await;
    }
    println!("{given} of 12 came through before the fall");
    // After the last step: what came through worked, and stops.
    let phone = scene.phone("Zuletzt", &here).await;
    let attempt = scene.open_till(&here).await;
    let tokens = through(&scene, &phone, &attempt).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await, "nothing fell yet");
    news(stage(), "raise", WORST, &phone);
    assert!(!scene.works(&attempt, &tokens).await, "a token goes on after the fall was accepted");
    empty(&phone).await;
}

#[tokio::test]
async fn x05_where_a_fallen_phone_stopped_nobody_goes_on() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Gefallen", &here).await;
    let (second, other) = (scene.second_phone(&phone, &here).await, scene.phone("Beistand", &here).await);
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &attempt).await;
    let cid = &checked.statement.cid;
    // Signed while all was well, and kept back.
    let kept = phone.signed(cid, &checked.sd, Verb::Approve, Some(phone.assert(&checked.ask()).unwrap())).unwrap();
    news(stage(), "raise", WORST, &phone);
    // Neither the same person's other phone nor anybody else's takes over, by the picture or by the statement.
    for by in [&second, &other] {
        scene.refused(by.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;
        let anybody = AssertionAsk { allow: vec![], ..checked.ask() };
        let theirs = by.signed(cid, &checked.sd, Verb::Approve, Some(by.assert(&anybody).unwrap())).unwrap();
        scene.refused(by.decide(cid, &theirs).await, "no_such_ceremony").await;
    }
    cut(&scene, &attempt).await;
    scene.refused(phone.decide(cid, &kept).await, "gone").await;
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()), "denied").await;
    // Taken back in time: it stays where it is, and what was kept back is worth nothing.
    news(stage(), "clear", WORST, &phone);
    scene.refused(phone.decide(cid, &kept).await, "gone").await;
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()), "denied").await;
    let anew = scene.open_till(&here).await;
    let statement = scene.confirm(&phone, &anew).await;
    scene.refused(phone.decide(&statement.statement.cid, &kept).await, "bad_proof").await;
}

#[tokio::test]
async fn x06_whoever_waits_or_watches_does_not_learn_that_a_phone_fell() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Zacharias Still").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Pocket companion", None).await.unwrap();
    let (attempt, watcher) = (scene.open_till(&here).await, scene.open_till(&here).await);
    let raw = scene.raw(&here);
    let checked = scene.confirm(&phone, &attempt).await;
    let (own, right) = (cookie_of(&watcher), cookie_of(&attempt));
    let before = look(&raw, &attempt.ceremony, &own).await;
    news(stage(), "raise", WORST, &phone);
    cut(&scene, &attempt).await;
    let after = look(&raw, &attempt.ceremony, &own).await;
    assert_eq!((before.status, before.without_reference()), (after.status, after.without_reference()), "a watcher sees the fall");
    assert_eq!(after.code(), "no_such_ceremony");
    let ids = [phone.kept().device_id.to_string(), checked.statement.sub.to_string()];
    for reply in [look(&raw, &attempt.ceremony, &right).await, redeem(&raw, &attempt, &right, None).await] {
        let text = String::from_utf8_lossy(&reply.body).into_owned() + &format!("{:?}", reply.headers);
        for secret in ["Zacharias", "Pocket", &login, &ids[0], &ids[1], "compromised", "reported", "signal"] {
            assert!(!text.contains(secret), "`{secret}` in {text}");
        }
    }
}

#[tokio::test]
async fn x10_a_push_to_somebody_whose_phone_fell_looks_like_any_other_and_leads_nowhere() {
    let scene = stage().scene().await;
    let (phone, login) = listed(&scene, "Gefragt").await;
    let mut heard = vec![];
    for name in [login.clone(), format!("{login}-nobody")] {
        let (terminal, given) = push(&scene, "till", &name).await;
        let first = given.unwrap();
        if name == login {
            news(stage(), "raise", WORST, &phone);
        }
        // No place comes free, and none is taken away.
        let mut codes = vec![];
        for client in ["till", "stock", "office", "ledger"] {
            let (_, opened) = push(&scene, client, &name).await;
            codes.push(opened.err().map_or_else(|| "given".to_owned(), |fault| fault.code().to_owned()));
        }
        codes.push(terminal.state(&first, None).await.unwrap().state);
        if name == login {
            scene.refused(phone.take(&first.cid).await, "denied").await;
        }
        heard.push(codes);
    }
    assert_eq!(heard[0], heard[1], "a fallen phone and nobody's are told apart");
    assert_eq!(heard[0], ["too_many", "given", "given", "too_many", "opened"]);
}

#[tokio::test]
async fn x12_news_that_comes_and_goes_gives_no_guess_back() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Wankelmut", &here).await;
    for _ in 0..5 {
        let attempt = scene.open_till(&here).await;
        let right = phone.scan(&[attempt.ceremony.frame()]).await.unwrap().digits().unwrap().to_owned();
        let wrong: String = right.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
        for _ in 0..2 {
            scene.refused(attempt.terminal.confirm(&attempt.ceremony, &wrong).await, "wrong_code").await;
        }
        news(stage(), "raise", WORST, &phone);
        cut(&scene, &attempt).await;
        scene.refused(attempt.terminal.confirm(&attempt.ceremony, &right).await, "gone").await;
        news(stage(), "clear", WORST, &phone);
    }
    let attempt = scene.open_till(&here).await;
    let right = phone.scan(&[attempt.ceremony.frame()]).await.unwrap().digits().unwrap().to_owned();
    scene.refused(attempt.terminal.confirm(&attempt.ceremony, &right).await, "too_many").await;
}

#[tokio::test]
async fn x20_what_a_fallen_device_made_to_outlast_it_opens_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let login = format!("verwalter-{}", scene.invitation("Zahl").await.1);
    let invite = Invite { name: "Verwalter".into(), login, role: Some("administrator".into()) };
    let link = scene.administrator.invite(&invite).await.unwrap().link;
    let boss = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let guest = |n: u32| Invite { name: "Gast".into(), login: format!("gast-{n}-{}", invite.login), role: None };
    let unopened = boss.invite(&guest(1)).await.unwrap().link;
    // One of them has begun, and needs only to send its new passkey.
    let begun = InviteLink::parse(&boss.invite(&guest(2)).await.unwrap().link).unwrap();
    let (http, key) = (scene.http(&here), SoftwareKey::generate().unwrap());
    let enrolling = Enrolling { http: &http, invite: &begun, key: &key };
    let credential = Passkey::create(&enrolling.begin().await.unwrap(), &begun.issuer.origin().ascii_serialization()).unwrap().1;
    let finish = FinishEnrolment { token: begun.token.clone(), device_name: "Accomplice".into(), credential, phone: None };
    // A further device of theirs waits for a word.
    let (mut synced, _) = scene.synced_phone("Doppelt", &here).await;
    let beside = scene.second_phone(&synced, &here).await;
    synced.rebind(SoftwareKey::generate().unwrap(), "Anew").await.unwrap();
    let waiting = synced.kept().device_id.to_string();
    news(stage(), "raise", WORST, &boss);
    news(stage(), "raise", REST, &beside);
    // It invites nobody and lets nobody in, and whom it invited before does not come in either.
    scene.refused(boss.invite(&guest(3)).await, "denied").await;
    scene.refused(beside.allow(&waiting).await, "denied").await;
    scene.refused(Phone::enrol(scene.http(&here), &unopened, "Accomplice", None).await, "invitation_over").await;
    scene.refused(enrolling.begin().await.map(|_| ()), "invitation_over").await;
    scene.refused(enrolling.finish(&finish).await.map(|_| ()), "invitation_over").await;
    news(stage(), "clear", WORST, &boss);
    news(stage(), "clear", REST, &beside);
    // Nothing else was wrong with them.
    Phone::enrol(scene.http(&here), &unopened, "Phone", None).await.unwrap();
    enrolling.finish(&finish).await.unwrap();
    beside.allow(&waiting).await.unwrap();
}

#[tokio::test]
async fn x27_while_trust_rests_no_answer_is_told_again_and_no_token_is_used_up() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Pause", &here).await;
    let attempt = scene.open("renew", "openid profile", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let first = scene.tokens(&attempt, &redirect).await.unwrap().refresh_token.unwrap();
    let second = renew(&scene, &attempt, &first).await.unwrap().refresh_token.unwrap();
    let thief = scene.open("renew", "openid", &here).await;
    news(stage(), "raise", REST, &phone);
    for token in [&first, &second] {
        assert!(renew(&scene, &attempt, token).await.is_err(), "given while trust rests");
        assert!(renew(&scene, &thief, token).await.is_err_and(|fault| fault.is("invalid_grant")));
    }
    news(stage(), "clear", REST, &phone);
    let third = renew(&scene, &attempt, &second).await.unwrap();
    assert!(scene.works(&attempt, &third).await);
    // And what ended stays ended.
    let third = third.refresh_token.unwrap();
    news(stage(), "raise", WORST, &phone);
    assert!(renew(&scene, &attempt, &third).await.is_err_and(|fault| fault.is("invalid_grant")));
    empty(&phone).await;
    news(stage(), "clear", WORST, &phone);
    assert!(renew(&scene, &attempt, &third).await.is_err_and(|fault| fault.is("invalid_grant")));
}
