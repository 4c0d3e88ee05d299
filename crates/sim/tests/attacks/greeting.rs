//! Row 18 once more: where nothing was typed on the screen, the name is shown before anything opens.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::place;
use countersign_wire::message::Open;

#[tokio::test]
async fn x18_nothing_goes_round_a_greeting_that_nobody_answered() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Mallory").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "stock", "openid").await;
    let open = Open { flow: Some(page.clone()), offer: Some(login), ..Open::default() };
    let ceremony = terminal.open_as(&open).await.unwrap();
    phone.take(&ceremony.cid).await.unwrap();
    let shown = terminal.state(&ceremony, None).await.unwrap();
    phone.confirm(&ceremony.cid, shown.digits.as_deref().unwrap()).await.unwrap();
    phone.approve(&phone.look_again(&ceremony.cid).await.unwrap()).await.unwrap();
    let redeemed = terminal.redeem(&ceremony).await.unwrap();
    assert!(redeemed.greet && redeemed.next.is_none(), "{redeemed:?}");

    // A reload during the greeting has cookie and key, and still opens nothing.
    let again = terminal.resume(&page).await.unwrap_err();
    assert!(again.is("no_session"), "{again:?}");
    // After "Continue" it is a session like any other.
    assert!(terminal.proceed(&ceremony).await.unwrap().next.contains("code="));
    let (_, page) = scene.arrive(&terminal, "stock", "openid").await;
    assert!(terminal.resume(&page).await.unwrap().next.contains("code="));
}
