//! Badge mode: a registered terminal reads the phone's live badge. A2.

use crate::terminals::{market, stage, till, told};
use countersign_device::{Fault, Live};
use countersign_trust::limits;
use countersign_wire::frame::Frame;
use countersign_wire::message::Open;
use countersign_wire::statement::{Channel, Near};

/// What a terminal's camera makes of a badge: two frames one after the other.
fn seen(badge: &Live) -> Vec<String> {
    vec![badge.frame().text(), badge.frame_from_now(1).text()]
}

#[tokio::test]
async fn a2_a_terminal_reads_the_phones_badge_and_the_same_ceremony_goes_round_the_other_way() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Ausweis", &here).await;
    let (terminal, _dir, id) = till(&scene, &here, "kiosk", None).await;
    let (_, page) = scene.arrive(&terminal, "till", "openid profile").await;
    let badge = phone.badge().await.unwrap();
    let open = Open { flow: Some(page), badge: seen(&badge), ..Open::default() };
    let ceremony = terminal.open_as(&open).await.unwrap();
    let waits = phone.pending().await.unwrap().pending;
    assert_eq!((waits.len(), waits[0].badge), (1, true));
    let checked = phone.take(&ceremony.cid).await.unwrap();
    let said = &checked.statement;
    assert_eq!(said.channel, Channel::Badge);
    assert!(said.near.contains(&Near::Badge) && said.terminal.plate.is_some(), "{said:?}");
    assert!(checked.view.ask.is_none(), "nothing is typed");
    phone.approve(&checked).await.unwrap();
    let reply = terminal.redeem(&ceremony).await.unwrap();
    assert_eq!((reply.name.as_str(), reply.greet), ("Ausweis", false));
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
    assert!(phone.overview().await.unwrap().badge);
    let opened = told(&scene, &id, "ceremony.opened").await;
    assert_eq!(opened.last().unwrap()["facts"]["badge"], true);
    // An idle screen as well; what a terminal opens with nobody looking is refused from the phone unseen.
    let badge = phone.badge().await.unwrap();
    let idle = Open { kiosk: true, badge: seen(&badge), ..Open::default() };
    let (till, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    let ceremony = till.open_as(&idle).await.unwrap();
    phone.refuse_unseen(&ceremony.cid, false).await.unwrap();
    assert!(till.redeem(&ceremony).await.is_err());
}

#[tokio::test]
async fn a2_a_badge_is_one_opening_of_a_registered_terminal_and_nobody_elses() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, other) = (scene.phone("Eigen", &here).await, scene.phone("Fremd", &here).await);
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let tried = async |badge: Vec<String>| terminal.open_as(&Open { kiosk: true, badge, ..Open::default() }).await;
    let badge = phone.badge().await.unwrap();
    // An unknown screen reads none, and a picture is not enough: neither one frame, nor old ones, nor made ones.
    let unknown = scene.terminal(&here);
    let (_, page) = scene.arrive(&unknown, "till", "openid").await;
    let stranger = Open { flow: Some(page), badge: seen(&badge), ..Open::default() };
    scene.refused(unknown.open_as(&stranger).await.map(|_| ()), "malformed").await;
    scene.refused(tried(vec![badge.frame().text()]).await.map(|_| ()), "malformed").await;
    scene.refused(tried(vec![badge.frame().text(), badge.frame().text()]).await.map(|_| ()), "code_not_live").await;
    let early = vec![badge.frame_from_now(20).text(), badge.frame_from_now(21).text()];
    scene.refused(tried(early).await.map(|_| ()), "code_not_live").await;
    let made = Frame::make(&[3; 32], badge.handle, 0).text();
    let next = Frame::make(&[3; 32], badge.handle, 1).text();
    scene.refused(tried(vec![made, next]).await.map(|_| ()), "code_not_live").await;
    // The code of a screen is no badge, and the badge is no code of a screen.
    let attempt = scene.open("till", "openid", &here).await;
    let codes = vec![attempt.ceremony.frame().text(), attempt.ceremony.frame_from_now(1).text()];
    scene.refused(tried(codes).await.map(|_| ()), "code_not_live").await;
    scene.refused(other.scan(&[badge.frame()]).await, "code_not_live").await;
    // A newer badge ends the older one; each is read once.
    let newer = phone.badge().await.unwrap();
    scene.refused(tried(seen(&badge)).await.map(|_| ()), "code_not_live").await;
    let ceremony = tried(seen(&newer)).await.unwrap();
    scene.refused(tried(seen(&newer)).await.map(|_| ()), "code_not_live").await;
    // What it opened is its phone's: nobody takes, scans or types it.
    scene.refused(other.take(&ceremony.cid).await, "no_such_ceremony").await;
    assert!(other.pending().await.unwrap().pending.is_empty());
    scene.refused(other.scan(&[ceremony.frame()]).await, "denied").await;
    scene.refused(phone.scan(&[ceremony.frame()]).await, "code_not_live").await;
    scene.refused(phone.scan_code(&ceremony.user_code).await, "code_not_live").await;
    // "Not me": that terminal gets nothing more from this person for a while.
    phone.not_me(&phone.take(&ceremony.cid).await.unwrap()).await.unwrap();
    let again = tried(seen(&phone.badge().await.unwrap())).await.unwrap();
    scene.refused(phone.take(&again.cid).await, "denied").await;
    // Budgets.
    let mut last: Result<(), Fault> = Ok(());
    for _ in 0..=limits::BADGES_10_MIN {
        last = other.badge().await.map(|_| ());
    }
    scene.refused(last, "too_many").await;
    // A phone that was stopped shows a badge to nobody.
    let third = scene.phone("Halt", &here).await;
    let badge = third.badge().await.unwrap();
    stage().command(&["device", "suspend", third.kept().device_id.as_str()]).unwrap();
    scene.refused(tried(seen(&badge)).await.map(|_| ()), "code_not_live").await;
    scene.refused(third.badge().await.map(|_| ()), "denied").await;
}
