//! What happened elsewhere: the exploit examples of RFC 10027 that touch this path, each played
//! as it was told. The rules that hold are those of the numbered attacks.

use super::stage;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::place;
use countersign_wire::message::Open;

#[tokio::test]
async fn b1_a_bonus_device_code_that_came_by_mail_opens_nothing() {
    let scene = stage().scene().await;
    let (studio, home) = (place(), place());
    let phone = scene.phone("Bonus viewer", &home).await;
    // Twenty emulated televisions, each with a code for somebody's mailbox.
    for _ in 0..20 {
        let attempt = scene.open("stock", "openid", &studio).await;
        let heard = phone.scan_code(&attempt.ceremony.user_code).await;
        scene.refused(heard, "too_far").await;
    }
    assert!(phone.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn b2_a_threat_with_a_typed_code_is_too_far_as_well() {
    let scene = stage().scene().await;
    let (office, elsewhere) = (place(), place());
    let phone = scene.phone("Whiteboard writer", &office).await;
    let attempt = scene.open("office", "openid refund", &elsewhere).await;
    let refusal = scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, "too_far").await;
    assert!(refusal.say.is_some());
}

#[tokio::test]
async fn b3_a_sticker_with_another_code_gives_digits_that_fit_nowhere() {
    let scene = stage().scene().await;
    let street = place();
    let phone = scene.phone("Rider", &street).await;
    // The rider stands before one screen; the sticker on it is the code of another.
    let mine = scene.open_till(&street).await;
    let stickers = scene.open_till(&street).await;
    let checked = phone.scan(&[stickers.ceremony.frame()]).await.unwrap();
    let heard = mine.terminal.confirm(&mine.ceremony, checked.digits().unwrap()).await;
    scene.refused(heard, "not_yet").await;
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    assert_eq!(mine.terminal.state(&mine.ceremony, None).await.unwrap().state, "opened");
}

#[tokio::test]
async fn b4_1_a_list_of_names_gets_few_pushes_and_each_needs_digits() {
    let scene = stage().scene().await;
    let centre = place();
    let mut people = vec![];
    for n in 0..3 {
        let (link, login) = scene.invitation(&format!("Listed {n}")).await;
        people.push((Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap(), login));
    }
    for (phone, login) in &people {
        let terminal = scene.terminal(&centre);
        let (_, page) = scene.arrive(&terminal, "stock", "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() };
        let ceremony = terminal.open_as(&open).await.unwrap();
        // Far from the call centre, the offer cannot even be taken.
        scene.refused(phone.take(&ceremony.cid).await, "too_far").await;
    }
    // Three people who say that it was not them stop that source for everybody.
    for (phone, login) in &people {
        let terminal = scene.terminal(&centre);
        let (_, page) = scene.arrive(&terminal, "office", "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() };
        let ceremony = terminal.open_as(&open).await.unwrap();
        phone.refuse_unseen(&ceremony.cid, true).await.unwrap();
    }
    let terminal = scene.terminal(&centre);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    scene.refused(terminal.open(&page).await, "denied").await;
}

#[tokio::test]
async fn b4_2_several_refusals_count_as_not_me_before_the_tired_approval() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Patient").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let push = async || {
        let terminal = scene.terminal(&here);
        let (_, page) = scene.arrive(&terminal, "ledger", "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() };
        terminal.open_as(&open).await.unwrap()
    };
    for _ in 0..3 {
        let ceremony = push().await;
        phone.refuse_unseen(&ceremony.cid, false).await.unwrap();
    }
    // The next one is not even shown, and cannot be taken.
    let ceremony = push().await;
    assert!(phone.pending().await.unwrap().pending.is_empty());
    scene.refused(phone.take(&ceremony.cid).await, "denied").await;
    assert!(scene.log_of(ceremony.cid.as_str()).await.iter().any(|l| l.body["code"] == "denied"));
}

#[tokio::test]
async fn b6_an_onboarding_code_collects_no_credentials() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Newcomer", &here).await;
    // The code leads to another server that shows the same pages: the phone neither scans nor signs.
    let attempt = scene.open_till(&here).await;
    let link = attempt.ceremony.link("https://onboarding.example");
    assert_eq!(phone.read(&link).unwrap_err().exit_code(), 2);
    // A false onboarding that asks to add a device says so and needs digits on that device.
    let terminal = Terminal::new(scene.http(&here), &scene.stage.issuer).unwrap();
    let ceremony = terminal.open_enrolment("Onboarding").await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
}

#[tokio::test]
async fn b8_a_false_page_that_relays_everything_live_is_too_far() {
    let scene = stage().scene().await;
    let (proxy, home) = (place(), place());
    let phone = scene.phone("Relayed", &home).await;
    let attempt = scene.open_till(&proxy).await;
    for _ in 0..3 {
        // The freshest frames there are, and the code for typing: all true, all relayed.
        let live = [attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)];
        scene.refused(phone.scan(&live).await, "too_far").await;
    }
    scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, "too_far").await;
    assert!(attempt.terminal.redeem(&attempt.ceremony).await.is_err());
}

#[tokio::test]
async fn b9_a_night_of_requests_on_an_administrator_ends_after_ten() {
    let scene = stage().scene().await;
    let (link, login) = scene.invitation("Night watch").await;
    let phone = Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap();
    let (mut given, mut refused) = (0, 0);
    for n in 0..40 {
        let terminal = scene.terminal(&place());
        let client = ["till", "stock", "office", "ledger"][n % 4];
        let (_, page) = scene.arrive(&terminal, client, "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() };
        match terminal.open_as(&open).await {
            Ok(ceremony) => {
                given += 1;
                assert!(phone.pending().await.unwrap().pending.len() <= 3);
                if n % 2 == 0 {
                    terminal.abandon(&ceremony).await.unwrap();
                }
            }
            Err(fault) => {
                refused += 1;
                scene.refused(Err::<(), _>(fault), "too_many").await;
            }
        }
    }
    assert!(given <= 10 && refused >= 30, "{given} given, {refused} refused");
}
