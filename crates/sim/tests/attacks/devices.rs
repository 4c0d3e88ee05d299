//! Devices: rows 20, 23, 30.

use super::stage;
use countersign_device::phone::{Enrolling, InviteLink};
use countersign_device::{Passkey, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::place;
use countersign_wire::message::FinishEnrolment;

#[tokio::test]
async fn x20_an_invitation_works_once() {
    let scene = stage().scene().await;
    let here = place();
    let (link, _) = scene.invitation("Einmal").await;
    let invite = InviteLink::parse(&link).unwrap();
    let http = scene.http(&here);
    // Two people with the link at the same moment: the first to begin has it.
    let keys = [SoftwareKey::generate().unwrap(), SoftwareKey::generate().unwrap()];
    let racers = keys.iter().map(|key| Enrolling { http: &http, invite: &invite, key }).collect::<Vec<_>>();
    for steps in &racers {
        assert_eq!(steps.look().await.unwrap().name, "Einmal");
    }
    let (a, b) = tokio::join!(racers[0].begin(), racers[1].begin());
    assert!(a.is_ok() != b.is_ok(), "both or none began with one link");
    let (winner, loser) = if a.is_ok() { (&racers[0], &racers[1]) } else { (&racers[1], &racers[0]) };
    let (wanted, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    scene.refused(lost.map(|_| ()), "invitation_over").await;
    let origin = scene.stage.issuer.origin().ascii_serialization();
    let finish = || {
        let (_, credential) = Passkey::create(wanted.as_ref().unwrap(), &origin).unwrap();
        FinishEnrolment { token: invite.token.clone(), device_name: "Racer".into(), credential, phone: None }
    };
    scene.refused(loser.finish(&finish()).await, "invitation_over").await;
    // And it ends once, even with two proofs of the right key.
    let (one, two) = (finish(), finish());
    let (a, b) = tokio::join!(winner.finish(&one), winner.finish(&two));
    assert!(a.is_ok() != b.is_ok(), "one link enrolled twice or never");
    let lost = if a.is_ok() { b } else { a };
    let code = lost.as_ref().unwrap_err().code().to_owned();
    assert!(matches!(code.as_str(), "invitation_over" | "bad_proof"), "{code}");
    scene.refused(lost, &code).await;
    // Used is used, for looking, beginning and finishing, with the same key or another.
    for steps in &racers {
        scene.refused(steps.look().await, "invitation_over").await;
        scene.refused(steps.begin().await.map(|_| ()), "invitation_over").await;
        scene.refused(steps.finish(&finish()).await, "invitation_over").await;
    }
    let third = Phone::enrol(scene.http(&here), &link, "Third", None).await;
    assert!(third.is_err_and(|fault| fault.is("invitation_over")));
    // A link that never was gets the same answer.
    let made_up = format!("{}enrol#AAAAAAAAAAAAAAAAAAAAAA", scene.stage.issuer);
    let nobody = Phone::enrol(scene.http(&here), &made_up, "Nobody", None).await;
    scene.refused(nobody.map(|_| ()), "invitation_over").await;
}

#[tokio::test]
async fn x23_a_device_revoked_meanwhile_approves_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let mut first = scene.phone("Irmgard", &here).await;
    let (mut approved, mut refused) = (0, 0);
    for round in 0..220_u64 {
        if round % 25 == 24 {
            first = scene.phone("Irmgard", &here).await;
        }
        let here = place();
        first.http = scene.http(&here);
        let second = scene.second_phone(&first, &here).await;
        let attempt = scene.open("stock", "openid", &here).await;
        let checked = scene.confirm(&second, &attempt).await;
        let id = second.kept().device_id.to_string();
        // The two requests race; now and then one gets a head start.
        let head_start = |on: bool| tokio::time::sleep(std::time::Duration::from_micros(if on { round * 37 % 4_000 } else { 0 }));
        let (lost, answer) = tokio::join!(
            async {
                head_start(round % 3 == 1).await;
                first.lost(&id).await
            },
            async {
                head_start(round % 3 == 2).await;
                second.approve(&checked).await
            },
        );
        lost.unwrap();
        let taken = attempt.terminal.redeem(&attempt.ceremony).await;
        assert!(taken.is_err(), "round {round}: a lost device opened a session");
        let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
        assert!(!log.iter().any(|l| l.kind == "session.opened"));
        match answer {
            Ok(_) => {
                approved += 1;
                // Then the approval came first in the log, and what it gave was cut.
                let approval = log.iter().find(|l| l.kind == "ceremony.approved").unwrap().seq.unwrap();
                let all = scene.log().await;
                let end = all.iter().find(|l| l.kind == "device.changed" && l.body["device"] == id.as_str()).unwrap();
                assert!(approval < end.seq.unwrap(), "round {round}: approved after the device was lost");
            }
            Err(fault) => {
                refused += 1;
                assert!(!log.iter().any(|l| l.kind == "ceremony.approved"), "round {round}: {fault}");
                assert!(matches!(fault.code(), "denied" | "gone" | "bad_proof"), "round {round}: {fault}");
                if round % 10 == 0 {
                    let code = fault.code().to_owned();
                    scene.refused(Err::<(), _>(fault), &code).await;
                }
            }
        }
        if round % 10 == 0 {
            scene.refused(second.scan_code("BCDF-GHJK").await, "bad_proof").await;
        }
    }
    assert!(refused > 0, "the revocation never came first: the race was none");
    println!("approved before the revocation: {approved}, refused by it: {refused}");
}

#[tokio::test]
async fn x30_one_device_cannot_play_both_roles() {
    let scene = stage().scene().await;
    let here = place();
    let mut phone = scene.phone("Solveig", &here).await;
    // The scan carries the ceremony's own cookie: one browser.
    let attempt = scene.open_till(&here).await;
    let cookie = attempt.terminal.http.jar().value(&scene.stage.issuer, "__Host-cs_b").unwrap().to_owned();
    phone.http.jar().plant(&scene.stage.issuer, "__Host-cs_b", &cookie);
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "same_device").await;
    scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, "same_device").await;
    assert_eq!(attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state, "opened");
    // The terminal's key is the device's: one program.
    phone.http = scene.http(&here);
    let mut terminal = Terminal::new(scene.http(&here), &scene.stage.issuer).unwrap();
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    terminal.key = SoftwareKey::from_pkcs8(phone.key.pkcs8().expose()).unwrap();
    let ceremony = terminal.open(&page).await.unwrap();
    scene.refused(phone.scan(&[ceremony.frame()]).await, "same_device").await;
}
