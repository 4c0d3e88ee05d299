//! Row 18 once more: where nothing was typed on the screen, the name is shown before anything opens.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, Scene, place};
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

/// A push that was approved and redeemed: the screen now asks "You are …?".
async fn greeted(scene: &Scene<'_>, name: &str, client: &str, here: &str) -> (Phone, Attempt) {
    let (link, login) = scene.invitation(name).await;
    let phone = Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap();
    let terminal = scene.terminal(here);
    let (flow, page) = scene.arrive(&terminal, client, "openid").await;
    let open = Open { flow: Some(page.clone()), offer: Some(login), ..Open::default() };
    let ceremony = terminal.open_as(&open).await.unwrap();
    phone.take(&ceremony.cid).await.unwrap();
    let shown = terminal.state(&ceremony, None).await.unwrap();
    phone.confirm(&ceremony.cid, shown.digits.as_deref().unwrap()).await.unwrap();
    phone.approve(&phone.look_again(&ceremony.cid).await.unwrap()).await.unwrap();
    assert!(terminal.redeem(&ceremony).await.unwrap().greet);
    (phone, Attempt { terminal, flow, page, ceremony })
}

#[tokio::test]
async fn x18_not_me_at_the_greeting_ends_it_at_once() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, mut attempt) = greeted(&scene, "Impostor", "office", &here).await;
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
    // A neighbour who knows the wait key, with a browser of their own, ends nothing.
    let raw = scene.raw(&here);
    let path = format!("/ceremonies/{}/abandon", attempt.ceremony.cid);
    let stranger = [
        ("origin", raw.origin()),
        ("authorization", format!("Ceremony {}", attempt.ceremony.wait_key())),
        ("cookie", format!("__Host-cs_b={}; __Host-cs_s={}", "a".repeat(43), "b".repeat(43))),
    ];
    assert_eq!(raw.send("POST", &path, &stranger, vec![]).await.status, 404);
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);

    attempt.terminal.abandon(&attempt.ceremony).await.unwrap();
    assert!(phone.overview().await.unwrap().sessions.is_empty(), "somebody else's session goes on");
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    let revoked = log.iter().find(|l| l.kind == "ceremony.revoked").expect("the log does not say so");
    assert_eq!(revoked.body["facts"]["reason"], "not_me_at_terminal");
    assert!(log.iter().any(|l| l.kind == "session.ended" && l.body["facts"]["why"] == "not_me_at_terminal"));
    assert!(attempt.terminal.proceed(&attempt.ceremony).await.is_err_and(|fault| fault.is("no_session")));
    assert!(attempt.terminal.resume(&attempt.page).await.is_err_and(|fault| fault.is("no_session")));
    // The same page may begin anew, with a new key as every page does.
    attempt.terminal.key = countersign_device::SoftwareKey::generate().unwrap();
    attempt.terminal.open(&attempt.page).await.unwrap();
}

#[tokio::test]
async fn x18_a_request_that_is_over_is_neither_redeemed_nor_continued() {
    let scene = stage().scene().await;
    let here = place();
    // Cancelled in another window while the greeting waits.
    let (phone, attempt) = greeted(&scene, "Zweifenster", "ledger", &here).await;
    attempt.terminal.cancel(&attempt.page).await.unwrap();
    scene.refused(attempt.terminal.proceed(&attempt.ceremony).await, "gone").await;
    assert!(phone.overview().await.unwrap().sessions.is_empty());
    // And between the approval and the redemption.
    let attempt = scene.open("stock", "openid", &here).await;
    scene.approve(&phone, &attempt).await;
    attempt.terminal.cancel(&attempt.page).await.unwrap();
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "gone").await;
    assert!(phone.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn signing_out_leaves_an_enrolled_phones_key_alone() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Laptop", &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    let raw = scene.raw(&here);
    let nonce = raw.nonce().await;
    let headers = [
        ("dpop", raw.proof(&attempt.terminal.key, "POST", "/session/end", b"", |c| c.nonce = Some(nonce))),
        ("cookie", attempt.terminal.http.jar().header(&scene.stage.issuer).unwrap()),
        ("origin", raw.origin()),
    ];
    let reply = raw.send("POST", "/session/end", &headers, vec![]).await;
    assert_eq!(reply.status, 204);
    let cleared = reply.headers["clear-site-data"].to_str().unwrap();
    assert!(cleared.contains("\"cookies\"") && !cleared.contains("storage") && !cleared.contains('*'), "{cleared}");
}
