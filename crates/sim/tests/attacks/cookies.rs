//! Row 25: cookies that somebody copied.

use super::stage;
use countersign_sim::stage::place;

#[tokio::test]
async fn x25_a_copied_cookie_opens_nothing_without_the_key_of_its_browser() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Keks", &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    let issuer = &scene.stage.issuer;
    for at in [here.clone(), place()] {
        let thief = scene.terminal(&at);
        let mut cookies = Vec::new();
        for name in ["__Host-cs_b", "__Host-cs_s"] {
            let value = attempt.terminal.http.jar().value(issuer, name).unwrap().to_owned();
            thief.http.jar().plant(issuer, name, &value);
            cookies.push(format!("{name}={value}"));
        }
        let (_, page) = scene.arrive(&thief, "till", "openid").await;
        assert!(thief.resume(&page).await.is_err_and(|fault| fault.is("no_session")), "a copy signed in");
        assert!(thief.end_session().await.is_err_and(|fault| fault.is("no_session")), "a copy signed out");
        // Nor is it a pass for an application behind a proxy.
        let headers = [("cookie", cookies.join("; ")), ("x-original-url", "https://records.example/".to_owned())];
        assert_eq!(scene.raw(&at).send("GET", "/forward-auth?client=till", &headers, vec![]).await.status, 401);
    }
    // The browser itself goes on.
    let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
    attempt.terminal.resume(&page).await.unwrap();
}
