//! Approving what is elsewhere, or what somebody else began: rows 7, 8, 10, 18.

use super::stage;
use countersign_device::phone::Phone;
use countersign_sim::stage::{place, program};
use countersign_wire::message::Open;
use std::time::Duration;

#[tokio::test]
async fn x07_a_relayed_code_from_afar_is_too_far() {
    let scene = stage().scene().await;
    let (screen, home) = (place(), place());
    let phone = scene.phone("Wendelin", &home).await;
    // The bot opens a real sign-in and shows its live code on a false page; the victim scans it.
    let attempt = scene.open("till", "openid refund", &screen).await;
    for round in 1..=5 {
        let frames = [attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)];
        let refusal = scene.refused(phone.scan(&frames[..1 + round % 2]).await, "too_far").await;
        assert_eq!(refusal.status, 403);
        assert!(refusal.say.is_some(), "the person hears why");
        let state = attempt.terminal.state(&attempt.ceremony, None).await.unwrap();
        assert_eq!(state.state, if round < 5 { "opened" } else { "abandoned" });
    }
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;

    // Where a client allows it: digits both ways, and nothing privileged.
    let attempt = scene.open("far", "openid profile refund", &screen).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.view.ask.as_deref(), Some("both"));
    assert!(checked.statement.near.is_empty());
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile"]);
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    let shown = attempt.terminal.state(&attempt.ceremony, None).await.unwrap().digits.unwrap();
    phone.confirm(&attempt.ceremony.cid, &shown).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid profile"));

    // Moving after the approval is judged again: redeeming from afar is as far as scanning.
    let mut attempt = scene.open_till(&home).await;
    scene.approve(&phone, &attempt).await;
    let cookies = std::mem::replace(&mut attempt.terminal.http, scene.http(&place()));
    *attempt.terminal.http.jar() = cookies.jar().clone();
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "denied").await;
    assert!(phone.overview().await.unwrap().sessions.iter().all(|s| s.client != "Client till"));
}

#[tokio::test]
async fn x07_an_address_that_no_proxy_tells_is_no_evidence() {
    let scene = stage().scene().await;
    let mut phone = scene.phone("Hinterm Proxy", &place()).await;
    // A proxy that names nobody: then all that is known is the proxy, and everybody has that.
    for nobody in ["", "unknown", "_hidden", "203.0.113.7, unknown", "127.0.0.1"] {
        phone.http = scene.http(nobody);
        let attempt = scene.open("crowd-0", "openid", nobody).await;
        scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "too_far").await;
    }
    // Ports and brackets, as many proxies write them, are no part of the address.
    for (screen, pocket, near) in [
        ("203.0.113.7:4711", "203.0.113.7:5822", true),
        ("203.0.113.7:4711", "203.0.113.8:4711", false),
        ("[2001:db8:7::1]:443", "2001:db8:7::2", true),
        ("[2001:db8:7::1]", "[2001:db8:8::1]", false),
        ("203.0.113.9, 127.0.0.1:80", "203.0.113.9", true),
    ] {
        phone.http = scene.http(pocket);
        let attempt = scene.open("crowd-1", "openid", screen).await;
        let heard = phone.scan(&[attempt.ceremony.frame()]).await;
        if near {
            let checked = heard.unwrap();
            assert_eq!(checked.statement.near.len(), 1, "{screen} and {pocket}");
            scene.sign_in(&phone, &attempt).await;
        } else {
            scene.refused(heard, "too_far").await;
        }
    }
}

#[test]
fn config_check_names_a_proxy_that_nobody_listed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("countersign.toml");
    let said = |config: &str| {
        std::fs::write(&file, config).unwrap();
        let out = std::process::Command::new(program()).args(["config", "check", "--config"]).arg(&file).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let plain = "issuer = \"https://id.example\"\n";
    assert!(said(plain).contains("trusted_proxies"), "{}", said(plain));
    for good in [
        format!("{plain}trusted_proxies = [\"192.0.2.1/32\"]\n"),
        format!("{plain}[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n"),
        String::new(),
    ] {
        assert!(!said(&good).contains("trusted_proxies"), "{good}");
    }
}

#[tokio::test]
async fn x07_what_was_near_at_the_scan_is_not_near_at_a_redemption_from_afar() {
    let scene = stage().scene().await;
    let home = place();
    let phone = scene.phone("Mitgenommen", &home).await;
    let mut attempt = scene.open("far", "openid profile", &home).await;
    let checked = scene.approve(&phone, &attempt).await;
    assert_eq!(checked.statement.near.len(), 1);
    let before = std::mem::replace(&mut attempt.terminal.http, scene.http(&place()));
    *attempt.terminal.http.jar() = before.jar().clone();
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let id_token = tokens.id_token.unwrap();
    let claims = countersign_wire::b64::decode(id_token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["cs"]["near"], "unproven", "{claims}");
    let verdicts: Vec<&str> = claims["cs"]["verdicts"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    assert!(!verdicts.contains(&"1p") && !verdicts.contains(&"1"), "{verdicts:?}");
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    let redeemed = log.iter().find(|l| l.kind == "ceremony.redeemed").unwrap();
    assert_eq!(redeemed.body["facts"]["verdicts"][0]["because"], "nothing_shows_nearness");
}

#[tokio::test]
async fn x08_a_fresh_code_from_afar_is_refused_all_the_same() {
    let scene = stage().scene().await;
    let (bot, home) = (place(), place());
    let phone = scene.phone("Klara", &home).await;
    // Minted at the click, used three seconds later: no short life helps against that.
    let attempt = scene.open_till(&bot).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, "too_far").await;
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "too_far").await;
    let state = attempt.terminal.state(&attempt.ceremony, None).await.unwrap();
    assert_eq!(state.state, "opened");
    // "Not me" is taken about a refused scan, and stops that screen for this person.
    phone.refuse_unseen(&attempt.ceremony.cid, true).await.unwrap();
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    assert!(log.iter().any(|l| l.kind == "person.not_me"));
    let fresh = scene.open_till(&bot).await;
    scene.refused(phone.scan(&[fresh.ceremony.frame()]).await, "denied").await;
}

#[tokio::test]
async fn x10_pushes_are_few_and_each_needs_digits() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Fridolin").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let push = async |client: &str, login: &str| {
        let terminal = scene.terminal(&here);
        let (_, page) = scene.arrive(&terminal, client, "openid").await;
        let open = Open { flow: Some(page), offer: Some(login.to_owned()), ..Open::default() };
        let opened = terminal.open_as(&open).await;
        (terminal, opened)
    };
    let mut waiting = vec![];
    for client in ["till", "stock", "office"] {
        let (terminal, opened) = push(client, &login).await;
        waiting.push((terminal, opened.unwrap()));
        let (_, again) = push(client, &login).await;
        scene.refused(again, "too_many").await;
    }
    let (_, fourth) = push("ledger", &login).await;
    scene.refused(fourth, "too_many").await;
    assert_eq!(phone.pending().await.unwrap().pending.len(), 3);

    // An approval takes six digits that only the screen shows.
    let (terminal, ceremony) = &waiting[0];
    let checked = phone.take(&ceremony.cid).await.unwrap();
    assert_eq!((checked.view.ask.as_deref(), checked.view.n), (Some("type"), Some(6)));
    assert!(checked.digits().is_none(), "the phone must not show what has to be carried to it");
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    let digits = terminal.state(ceremony, None).await.unwrap().digits.unwrap();
    assert_eq!(digits.len(), 6);
    phone.confirm(&ceremony.cid, &digits).await.unwrap();
    phone.refuse(&checked).await.unwrap();

    // However often somebody gives up and asks again: ten an hour.
    for (terminal, ceremony) in &waiting[1..] {
        terminal.abandon(ceremony).await.unwrap();
    }
    let mut given = 3;
    for _ in 0..17 {
        match push("stock", &login).await {
            (terminal, Ok(ceremony)) => {
                given += 1;
                terminal.abandon(&ceremony).await.unwrap();
            }
            (_, Err(fault)) => {
                scene.refused(Err::<(), _>(fault), "too_many").await;
            }
        }
    }
    assert_eq!(given, 10);
    // A name that nobody has is answered alike, so that names cannot be tried.
    let (terminal, nobody) = push("till", "nobody-at-all").await;
    let nobody = nobody.unwrap();
    assert_eq!(terminal.state(&nobody, None).await.unwrap().state, "opened");
    scene.refused(phone.take(&nobody.cid).await, "no_such_ceremony").await;
}

#[tokio::test]
async fn x18_somebody_elses_approval_needs_your_digits() {
    let scene = stage().scene().await;
    let here = place();
    let victim = scene.phone("Leonore", &here).await;
    let attacker = scene.phone("Ruprecht", &here).await;
    let attempt = scene.open_till(&here).await;
    // The attacker, in the same room, scans the victim's screen first.
    let scanned = attacker.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(scanned.view.ask.as_deref(), Some("show"));
    scene.refused(attacker.approve(&scanned).await, "confirm_first").await;
    // The victim's own phone finds the code taken, and has no digits for this screen.
    scene.refused(victim.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;
    let other = scene.open_till(&here).await;
    let theirs = victim.scan(&[other.ceremony.frame()]).await.unwrap();
    let right = scanned.digits().unwrap();
    let guesses = [theirs.digits().unwrap(), "0000", "1111", "2222"];
    let mut wrong = guesses.iter().filter(|g| **g != right);
    for left in [2, 1] {
        let heard = attempt.terminal.confirm(&attempt.ceremony, wrong.next().unwrap()).await;
        assert_eq!(scene.refused(heard, "wrong_code").await.left, Some(left));
        scene.refused(attacker.approve(&scanned).await, "confirm_first").await;
        assert!(attempt.terminal.redeem(&attempt.ceremony).await.is_err());
    }
    let heard = attempt.terminal.confirm(&attempt.ceremony, wrong.next().unwrap()).await;
    scene.refused(heard, "denied").await;
    // The right digits come too late, and so does the approval.
    scene.refused(attempt.terminal.confirm(&attempt.ceremony, right).await, "gone").await;
    scene.refused(attacker.approve(&scanned).await, "gone").await;
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "denied").await;
    assert!(attacker.overview().await.unwrap().sessions.is_empty());
}
