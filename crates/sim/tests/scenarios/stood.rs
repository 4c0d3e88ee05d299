//! Attacks 7, 8, 10, 18, 19, 21 to 23 and 30 once more, at registered terminals: a name and a place on the phone are no licence.

use crate::terminals::{market, open, stage, till, told};
use countersign_device::{Fault, Phone, Terminal};
use countersign_sim::stage::{Attempt, Scene, place};
use countersign_wire::message::Open;
use countersign_wire::statement::Near;
use serde_json::json;

async fn state(attempt: &Attempt) -> String {
    attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state
}

#[tokio::test]
async fn x07_a_registered_terminals_code_that_is_sent_on_is_near_nobody_by_the_terminals_place() {
    let scene = stage().scene().await;
    let (here, home) = (market(), place());
    let (victim, associate) = (scene.phone("Zuhause", &home).await, scene.phone("Im Laden", &market()).await);
    // Somebody in the shop films the live code, and a false page shows it far away (B8).
    for (class, ask) in [("till", "show"), ("kiosk", "type")] {
        let (terminal, _dir, _) = till(&scene, &here, class, Some("market")).await;
        let attempt = open(&scene, terminal, "till", "openid profile").await;
        let checked = victim.scan(&[attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)]).await.unwrap();
        assert_eq!(checked.statement.near, [Near::Site], "{class}");
        assert_eq!(checked.view.ask.as_deref(), Some(ask), "{class}: a tap is not enough");
        assert!(checked.statement.terminal.plate.is_some(), "the phone says where that is");
        scene.refused(victim.approve(&checked).await, "confirm_first").await;
        let line = scene.log_of(attempt.ceremony.cid.as_str()).await.into_iter().find(|l| l.kind == "ceremony.scanned").unwrap();
        assert_eq!(line.body["facts"]["presence"], "weak");
        victim.refuse(&checked).await.unwrap();
    }
    // Whoever is there, at another address of the shop, taps; and is nearer than that.
    let (terminal, _dir, _) = till(&scene, &here, "kiosk", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid profile").await;
    let checked = associate.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!((checked.statement.near.as_slice(), &checked.view.ask), (&[Near::SameNetwork, Near::Site][..], &None));
    associate.approve(&checked).await.unwrap();
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    assert_eq!(log.iter().find(|l| l.kind == "ceremony.scanned").unwrap().body["facts"]["presence"], "medium");
}

#[tokio::test]
async fn x08_a_code_minted_at_the_click_on_an_idle_screen_is_no_nearer() {
    let scene = stage().scene().await;
    let victim = scene.phone("Eilig", &place()).await;
    let (terminal, _dir, _) = till(&scene, &market(), "till", Some("market")).await;
    let ceremony = terminal.open_idle().await.unwrap();
    let checked = victim.scan(&[ceremony.frame()]).await.unwrap();
    assert_eq!(checked.view.ask.as_deref(), Some("show"));
    scene.refused(victim.approve(&checked).await, "confirm_first").await;
    // Typed from afar it opens nothing of the terminal's place at all.
    let (terminal, _dir, _) = till(&scene, &market(), "till", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid profile refund").await;
    let checked = victim.scan_code(&attempt.ceremony.user_code).await.unwrap();
    assert!(checked.statement.near.is_empty() && !checked.statement.rights.scopes.contains(&"refund".to_owned()), "{:?}", checked.statement);
}

async fn push(scene: &Scene<'_>, terminal: &Terminal, login: &str) -> Result<countersign_device::terminal::Ceremony, Fault> {
    let (_, page) = scene.arrive(terminal, "till", "openid profile").await;
    terminal.open_as(&Open { flow: Some(page), offer: Some(login.to_owned()), ..Open::default() }).await
}

#[tokio::test]
async fn x10_a_flood_of_pushes_from_all_tills_is_one_push() {
    let scene = stage().scene().await;
    let here = market();
    let (link, login) = scene.invitation("Nachts").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    // Every till of the shop asks for one administrator at night (B9).
    let mut tills = vec![];
    for _ in 0..4 {
        tills.push(till(&scene, &here, "till", Some("market")).await);
    }
    let first = push(&scene, &tills[0].0, &login).await.unwrap();
    for (terminal, ..) in &tills[1..] {
        scene.refused(push(&scene, terminal, &login).await.map(|_| ()), "too_many").await;
    }
    let pending = phone.pending().await.unwrap().pending;
    assert_eq!(pending.len(), 1);
    // At a terminal that stands where it should, too, six digits are typed, and nothing privileged comes of it.
    let checked = phone.take(&first.cid).await.unwrap();
    assert_eq!(checked.view.ask.as_deref(), Some("type"));
    assert_eq!(tills[0].0.state(&first, None).await.unwrap().digits.map(|d| d.len()), Some(6));
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    // "Not me" stops that terminal for this person, and for nobody else.
    phone.not_me(&checked).await.unwrap();
    let (another, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, another, "till", "openid").await;
    assert!(phone.scan(&[attempt.ceremony.frame()]).await.is_ok());
}

#[tokio::test]
async fn x18_a_till_that_several_people_did_not_mean_is_stopped_and_the_one_beside_it_is_not() {
    let scene = stage().scene().await;
    let here = market();
    let (bad, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let (beside, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    let mut terminal = bad;
    for n in 0..3 {
        let phone = scene.phone(&format!("Nicht ich {n}"), &here).await;
        let attempt = open(&scene, terminal, "till", "openid profile").await;
        let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
        phone.not_me(&checked).await.unwrap();
        terminal = attempt.terminal;
    }
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    scene.refused(terminal.open(&page).await.map(|_| ()), "denied").await;
    // The screens of a shop share an address: neither of the others is stopped for it, known or not.
    let phone = scene.phone("Nebenan", &here).await;
    let attempt = open(&scene, beside, "till", "openid profile").await;
    scene.sign_in(&phone, &attempt).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
}

#[tokio::test]
async fn x18_whoever_approves_on_somebody_elses_till_is_named_there_and_leaves_with_the_next() {
    let scene = stage().scene().await;
    let here = market();
    let (stranger, ana) = (scene.phone("Fremd", &here).await, scene.phone("Ana am Tresen", &here).await);
    let (terminal, dir, _) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid profile").await;
    // The stranger is quicker (B3).
    let theirs = stranger.scan(&[attempt.ceremony.frame()]).await.unwrap();
    scene.refused(ana.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;
    stranger.approve(&theirs).await.unwrap();
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Fremd", "the screen says whose it is");
    let again = Terminal::of(scene.http(&here), crate::terminals::again_registered(&dir)).unwrap();
    let second = open(&scene, again, "till", "openid profile").await;
    scene.sign_in(&ana, &second).await;
    assert!(stranger.overview().await.unwrap().sessions.is_empty(), "nobody works in the stranger's account");
}

#[tokio::test]
async fn x19_what_is_read_off_a_till_collects_nothing_at_another() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Abgelesen", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid profile").await;
    phone.approve(&phone.scan(&[attempt.ceremony.frame()]).await.unwrap()).await.unwrap();
    // Cookies, names and the wait key of that screen, shown by an unknown browser and by the till beside it (B5, B7).
    let jar = attempt.terminal.http.jar().clone();
    let (beside, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    for other in [scene.terminal(&here), beside] {
        *other.http.jar() = jar.clone();
        scene.refused(other.redeem(&attempt.ceremony).await.map(|_| ()), "bad_proof").await;
    }
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Abgelesen");
}

#[tokio::test]
async fn x21_a_registered_terminal_does_not_become_somebodys_device() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Zweitgeraet", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    // A till that poses as a further device of whoever scans it (B6).
    let refused = scene.refused(terminal.open_enrolment("Group invitation").await.map(|_| ()), "denied").await;
    assert_eq!(refused.status, 403);
    assert_eq!(phone.overview().await.unwrap().devices.len(), 1);
}

#[tokio::test]
async fn x22_a_phone_that_falls_or_is_taken_away_opens_no_till_at_any_step() {
    let scene = stage().scene().await;
    let here = market();
    for (words, back) in [(["signal", "raise", "device.compromised"], true), (["device", "revoke", ""], false)] {
        for after in 0..3 {
            let phone = scene.phone("Gefallen", &here).await;
            let id = phone.kept().device_id.as_str().to_owned();
            let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
            let attempt = open(&scene, terminal, "till", "openid profile").await;
            let mut checked = None;
            if after > 0 {
                checked = Some(phone.scan(&[attempt.ceremony.frame()]).await.unwrap());
            }
            if after > 1 {
                phone.approve(checked.as_ref().unwrap()).await.unwrap();
            }
            let fall: Vec<&str> = words.iter().copied().filter(|w| !w.is_empty()).chain([id.as_str()]).collect();
            stage().command(&fall).unwrap();
            let what = format!("{fall:?} after {after} steps");
            let heard = match (after, &checked) {
                (0, _) => phone.scan(&[attempt.ceremony.frame()]).await.map(|_| ()),
                (1, Some(c)) => phone.approve(c).await.map(|_| ()),
                _ => attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()),
            };
            // A device that is gone proves nothing any more. What was begun may have been judged before it is asked for.
            let codes: &[&str] = if !back && after < 2 { &["bad_proof"] } else { &["denied", "gone"] };
            assert!(matches!(&heard, Err(Fault::Refused(r)) if codes.contains(&r.code.as_str())), "{what}: {heard:?}");
            assert!(!["approved", "redeemed"].contains(&state(&attempt).await.as_str()) || after == 2, "{what}");
            assert!(!scene.log_of(attempt.ceremony.cid.as_str()).await.iter().any(|l| l.kind == "session.opened"), "{what}");
            assert!(back || phone.overview().await.is_err_and(|fault| fault.is("bad_proof")), "{what}");
        }
    }
}

#[tokio::test]
async fn x30_a_till_is_nobodys_phone_at_the_same_time() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Beides", &here).await;
    let (terminal, _dir, id) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid profile").await;
    let cookie = attempt.terminal.http.jar().value(&scene.stage.issuer, "__Host-cs_b").unwrap().to_owned();
    phone.http.jar().plant(&scene.stage.issuer, "__Host-cs_b", &cookie);
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "same_device").await;
    assert_eq!(state(&attempt).await, "opened");
    assert!(told(&scene, &id, "terminal.doubted").await.is_empty());
    let line = scene.log_of(attempt.ceremony.cid.as_str()).await.into_iter().find(|l| l.kind == "step.refused").unwrap();
    assert_eq!(line.body["code"], json!("same_device"));
}
