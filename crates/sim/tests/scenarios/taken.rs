//! Whose a registered terminal is, and whose its key: A9.

use super::terminals::{again, folder, market, open, stage, till};
use countersign_device::phone::InviteLink;
use countersign_device::{Passkey, Phone, SoftwareKey};
use countersign_store::Query;

#[tokio::test]
async fn x13_a_key_is_a_terminals_or_a_devices_and_a_terminal_never_passes_for_an_unknown_screen() {
    let scene = stage().scene().await;
    let here = market();
    let (_terminal, dir, id) = till(&scene, &here, "till", Some("market")).await;
    // A device with the terminal's key.
    let key = || SoftwareKey::from_pkcs8(&folder(&dir).read("terminal.key").unwrap().unwrap()).unwrap();
    let (link, _) = scene.invitation("Kasse").await;
    let invite = InviteLink::parse(&link).unwrap();
    let told = Phone::enrol_making(scene.http(&here), &invite, key(), "Phone", None, Passkey::create).await;
    scene.refused(told.map(|_| ()), "bad_proof").await;
    // Its key without its counter, while it acts and when it does not.
    let mut unnamed = scene.terminal(&here);
    unnamed.key = key();
    let (_, page) = scene.arrive(&unnamed, "till", "openid").await;
    scene.refused(unnamed.open(&page).await.map(|_| ()), "denied").await;
    scene.refused(unnamed.open_enrolment("Phone").await.map(|_| ()), "denied").await;
    stage().command(&["terminal", "suspend", &id]).unwrap();
    scene.refused(unnamed.open(&page).await.map(|_| ()), "denied").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a9_two_people_who_take_a_terminal_at_the_same_moment_do_not_both_have_it() {
    let scene = stage().scene().await;
    let here = market();
    let (ana, bo) = (scene.phone("Ana", &here).await, scene.phone("Bo", &here).await);
    let (mut terminal, dir, id) = till(&scene, &here, "till", Some("market")).await;
    for round in 0..12 {
        let first = open(&scene, terminal, "till", "openid profile").await;
        let second = open(&scene, again(&scene, &here, &dir), "till", "openid profile").await;
        for (phone, attempt) in [(&ana, &first), (&bo, &second)] {
            phone.approve(&phone.scan(&[attempt.ceremony.frame()]).await.unwrap()).await.unwrap();
        }
        let (one, two) = tokio::join!(first.terminal.redeem(&first.ceremony), second.terminal.redeem(&second.ceremony));
        assert!(one.is_ok() || two.is_ok());
        let sql = "SELECT COUNT(*) FROM session WHERE terminal = $1 AND ended IS NULL";
        let living = scene.engine.first(Query::new(sql, [id.as_str().into()])).await.unwrap().unwrap().int(0).unwrap();
        assert!(living <= 1, "round {round}: {living} people have one terminal");
        terminal = again(&scene, &here, &dir);
    }
}
