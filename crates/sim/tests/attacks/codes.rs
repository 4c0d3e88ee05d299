//! Links and pictures of codes: rows 16, 21, 24.

use super::stage;
use countersign_device::phone::InviteLink;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::{Settings, Stage, place};
use countersign_wire::dpop::NumericDate;
use countersign_wire::statement::Purpose;
use std::time::Duration;

#[tokio::test]
async fn x16_opening_a_link_changes_nothing() {
    // A server of its own: rows are counted.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Linda", &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    let open = scene.open_till(&here).await;
    let (link, _) = scene.invitation("Somebody").await;
    let invite = InviteLink::parse(&link).unwrap();
    let raw = scene.raw(&here);
    let jar = attempt.terminal.http.jar().header(&scene.stage.issuer).unwrap();
    let waiting = open.terminal.http.jar().header(&scene.stage.issuer).unwrap();
    let before = (scene.counts().await, scene.log().await.len());
    let frame = open.ceremony.frame().text();
    let flow = &open.page;
    for cookies in ["", &jar, &waiting] {
        for path in [
            format!("/q#{frame}"),
            format!("/q?{frame}"),
            format!("/code?user_code={}", open.ceremony.user_code),
            format!("/enrol#{}", invite.token),
            format!("/enrol?token={}", invite.token),
            "/add".into(),
            "/phone".into(),
            "/session".into(),
            format!("/sign-in/{flow}"),
            format!("/ceremonies/{}", open.ceremony.cid),
            format!("/ceremonies/{}/redeem", open.ceremony.cid),
            format!("/ceremonies/{}/abandon", open.ceremony.cid),
            format!("/device/ceremonies/{}/decision", open.ceremony.cid),
            format!("/device/devices/{}/lost", phone.kept().device_id),
            "/device/sessions/end".into(),
            "/session/end".into(),
            "/logout".into(),
        ] {
            for method in ["GET", "HEAD"] {
                let headers = [("cookie", cookies.to_owned()), ("accept", "text/html".to_owned())];
                let reply = raw.send(method, &path, &headers, vec![]).await;
                assert!(reply.status < 500, "{method} {path}: {}", reply.status);
            }
        }
    }
    let after = (scene.counts().await, scene.log().await);
    assert_eq!(after.0, before.0);
    for line in &after.1[before.1..] {
        assert_eq!(line.kind, "step.refused", "{}", line.text);
    }
    // The page for phones is the same for everybody, and sets nothing.
    let one = raw.send("GET", "/q", &[], vec![]).await;
    let other = raw.send("GET", "/q", &[("cookie", jar)], vec![]).await;
    assert_eq!((one.status, &one.body), (200, &other.body));
    assert!(one.headers.get("set-cookie").is_none() && other.headers.get("set-cookie").is_none());
    assert_eq!(open.terminal.state(&open.ceremony, None).await.unwrap().state, "opened");
}

#[tokio::test]
async fn x21_adding_a_device_needs_digits_and_says_so() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Sigrun", &here).await;
    // The attacker's "join our group" code is a request to add the attacker's device.
    let attacker = Terminal::new(scene.http(&here), &scene.stage.issuer).unwrap();
    let ceremony = attacker.open_enrolment("Group invitation").await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    assert_eq!(checked.statement.purpose, Purpose::EnrolDevice, "the signed text says what it is");
    assert_eq!(checked.statement.request.message.as_deref(), Some("Group invitation"));
    assert_eq!(checked.view.ask.as_deref(), Some("show"));
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    assert!(attacker.redeem(&ceremony).await.is_err_and(|fault| fault.is("pending")));
    phone.refuse(&checked).await.unwrap();
    scene.refused(attacker.redeem(&ceremony).await, "denied").await;
    assert_eq!(phone.overview().await.unwrap().devices.len(), 1);

    // Done rightly, the person's devices hear of it and can undo it; the ticket is for that key alone.
    let terminal = Terminal::new(scene.http(&here), &scene.stage.issuer).unwrap();
    let ceremony = terminal.open_enrolment("Tablet").await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let token = terminal.redeem(&ceremony).await.unwrap().ticket.unwrap();
    let invite = InviteLink { issuer: scene.stage.issuer.clone(), token };
    let thief = countersign_device::SoftwareKey::generate().unwrap();
    let stolen = Phone::enrol_with(scene.http(&here), &invite, thief, "Thief", None).await;
    assert!(stolen.is_err_and(|fault| matches!(fault, countersign_device::Fault::Refused(_))));
    let (http, key) = terminal.into_parts();
    let tablet = Phone::enrol_with(http, &invite, key, "Tablet", None).await.unwrap();
    let seen = phone.overview().await.unwrap();
    assert_eq!(seen.devices.len(), 2);
    let notice = seen.notices.iter().find(|n| n.undo).expect("a notice with undo");
    phone.undo(&notice.id).await.unwrap();
    scene.refused(tablet.overview().await, "bad_proof").await;
}

#[tokio::test]
async fn x24_late_early_and_skewed_scans_are_refused() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Uhrmacher", &here).await;
    let attempt = scene.open_till(&here).await;
    let picture = attempt.ceremony.frame();
    let pair = [attempt.ceremony.frame(), attempt.ceremony.frame_from_now(1)];
    // Early: frames of the future, made by a page whose clock was turned.
    scene.refused(phone.scan(&[attempt.ceremony.frame_from_now(2)]).await, "code_not_live").await;
    let early = [attempt.ceremony.frame_from_now(1), attempt.ceremony.frame_from_now(3)];
    scene.refused(phone.scan(&early).await, "code_not_live").await;
    // Out of order, doubled, of two ceremonies.
    let other = scene.open_till(&here).await;
    for frames in [[pair[1], pair[0]], [pair[0], pair[0]], [pair[0], other.ceremony.frame_from_now(1)]] {
        scene.refused(phone.scan(&frames).await, "code_not_live").await;
    }
    // Late: the pair after its seconds, the single picture after fifteen, while the page lives on.
    tokio::time::sleep(Duration::from_millis(12_200)).await;
    scene.refused(phone.scan(&pair).await, "code_not_live").await;
    tokio::time::sleep(Duration::from_millis(4_000)).await;
    scene.refused(phone.scan(&[picture]).await, "code_not_live").await;
    // Clocks of devices and screens that are a day wrong do no harm: only the server's counts.
    let raw = scene.raw(&here);
    for days in [-1, 1] {
        let fresh = scene.open_till(&here).await;
        let body = serde_json::json!({"frames": [fresh.ceremony.frame().text()]}).to_string().into_bytes();
        let skew = |claims: &mut countersign_wire::dpop::ProofClaims| {
            claims.iat = NumericDate(claims.iat.seconds() + days * 86_400);
        };
        let headers = [
            ("dpop", raw.proof(&phone.key, "POST", "/device/scans", &body, skew)),
            ("content-type", "application/json".to_owned()),
        ];
        let reply = raw.send("POST", "/device/scans", &headers, body).await;
        assert_eq!(reply.status, 201, "{}", reply.json());
        let digits = reply.json()["digits"].as_str().unwrap().to_owned();
        fresh.terminal.confirm(&fresh.ceremony, &digits).await.unwrap();
        let checked = phone.look_again(&fresh.ceremony.cid).await.unwrap();
        phone.approve(&checked).await.unwrap();
        let nonce = raw.nonce().await;
        let path = format!("/ceremonies/{}/redeem", fresh.ceremony.cid);
        let proof = raw.proof(&fresh.terminal.key, "POST", &path, b"", |claims| {
            skew(claims);
            claims.nonce = Some(nonce);
        });
        let cookie = fresh.terminal.http.jar().header(&scene.stage.issuer).unwrap();
        let headers = [
            ("dpop", proof),
            ("cookie", cookie),
            ("origin", raw.origin()),
            ("authorization", format!("Ceremony {}", fresh.ceremony.wait_key())),
        ];
        assert_eq!(raw.send("POST", &path, &headers, vec![]).await.status, 200);
    }
}
