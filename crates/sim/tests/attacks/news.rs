//! Forged, replayed and misaddressed events from others: row 32.

use countersign_device::machine;
use countersign_sim::stage::{Mouth, Settings, Stage, place};
use countersign_trust::shared::caep::EventType;
use countersign_wire::{b64, set};
use serde_json::{Map, Value, json};

#[tokio::test]
async fn x32_an_event_that_is_not_its_transmitters_to_tell_changes_nothing() {
    let (idp, mdm) = (Mouth::new("idp"), Mouth::new("mdm"));
    let more = idp.lines("may = [\"session-revoked\", \"risk-level-change\"]\npeople = \"login\"") + &mdm.lines("may = [\"device-compliance-change\"]\ndevices = \"own\"");
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (link, login) = scene.invitation("Ziel").await;
    let phone = countersign_device::Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let device = phone.kept().device_id.to_string();
    let person = json!({"format": "email", "email": login});
    let good = || idp.claims(&stage, EventType::SessionRevoked, person.clone(), json!({}));
    let spoilt = |spoil: fn(&mut Map<String, Value>)| {
        let mut claims = good();
        spoil(&mut claims);
        idp.signed(set::TYP, &claims)
    };
    let put = |name: &'static str, value: Value| {
        let mut claims = good();
        claims.insert(name.into(), value);
        idp.signed(set::TYP, &claims)
    };
    let now = machine::now().seconds();
    let payload = |claims: &Map<String, Value>| b64::encode(&serde_json::to_vec(claims).unwrap());
    let whole = idp.signed(set::TYP, &good());
    let parts: Vec<&str> = whole.split('.').collect();
    let own_device = json!({"format": "complex", "device": {"format": "opaque", "id": device}, "user": person});
    let cases: Vec<(&str, &str, String)> = vec![
        ("another's signature", "invalid_key", mdm.signed(set::TYP, &good())),
        ("no signature", "invalid_request", format!("{}.{}.", b64::encode(br#"{"typ":"secevent+jwt","alg":"none"}"#), payload(&good()))),
        ("a symmetric one", "invalid_request", format!("{}.{}.AAAA", b64::encode(br#"{"typ":"secevent+jwt","alg":"HS256"}"#), payload(&good()))),
        ("changed after it was signed", "invalid_key", format!("{}.{}.{}", parts[0], payload(&good()), parts[2])),
        ("another type", "invalid_request", idp.signed("JWT", &good())),
        ("a log-out token", "invalid_request", idp.signed("logout+jwt", &good())),
        ("our own ID token", "invalid_request", tokens.id_token.clone().unwrap_or_default()),
        ("our own access token", "invalid_request", tokens.access_token.clone()),
        ("another issuer", "invalid_issuer", put("iss", json!("https://mdm.example"))),
        ("ours as issuer", "invalid_issuer", put("iss", json!(scene.raw(&here).origin()))),
        ("for another", "invalid_audience", put("aud", json!("https://other.example"))),
        ("for nobody", "invalid_audience", spoilt(|c| drop(c.remove("aud")))),
        ("from the future", "invalid_request", put("iat", json!(now + 600))),
        ("far too old", "invalid_request", put("iat", json!(now - 8 * 86_400))),
        ("with sub", "invalid_request", put("sub", json!("somebody"))),
        ("with exp", "invalid_request", put("exp", json!(now + 60))),
        ("two events", "invalid_request", put("events", json!({EventType::SessionRevoked.uri(): {}, EventType::CredentialChange.uri(): {}}))),
        ("no event", "invalid_request", put("events", json!({}))),
        ("of no known type", "invalid_request", put("events", json!({"https://schemas.example/event": {}}))),
        ("no jti", "invalid_request", spoilt(|c| drop(c.remove("jti")))),
        ("no subject", "invalid_request", spoilt(|c| drop(c.remove("sub_id")))),
        ("too long", "invalid_request", put("padding", json!("x".repeat(9_000)))),
        ("a type it may not tell", "access_denied", idp.signed(set::TYP, &idp.claims(&stage, EventType::CredentialChange, person.clone(), json!({"change_type": "revoke", "credential_type": "app"})))),
        ("a kind of subject it may not name", "access_denied", put("sub_id", own_device)),
        ("a session it may not name", "access_denied", put("sub_id", json!({"format": "opaque", "id": "x"}))),
        ("half of what it must say", "invalid_request", idp.signed(set::TYP, &idp.claims(&stage, EventType::RiskLevelChange, person.clone(), json!({"principal": "USER"})))),
        ("a state nobody asked for", "invalid_state", idp.signed(set::TYP, &idp.claims(&stage, EventType::Verification, json!({"format": "opaque", "id": "s"}), json!({"state": "x"})))),
        ("nothing", "invalid_request", String::new()),
        ("garbage", "invalid_request", "a.b.c".into()),
    ];
    let refused = cases.len();
    for (what, err, text) in cases {
        let reply = idp.push(&stage, &here, &text).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, err), "{what}");
    }
    // Without the agreed header, to a name of nobody, in another form.
    let raw = scene.raw(&here);
    let kind = ("content-type", set::MEDIA.to_owned());
    let reply = raw.send("POST", "/ssf/events/idp", std::slice::from_ref(&kind), whole.clone().into_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "authentication_failed"));
    assert_eq!(raw.send("POST", "/ssf/events/nobody", &[kind], whole.clone().into_bytes()).await.status, 404);
    // Nothing has changed, and each refusal is in the log with its code.
    assert!(scene.works(&attempt, &tokens).await);
    let log = scene.log().await;
    assert!(!log.iter().any(|l| ["news.heard", "signal.raised", "session.ended"].contains(&l.kind.as_str())));
    let lines = log.iter().filter(|l| l.kind == "step.refused" && l.body["facts"]["source"] == "idp" && l.body["facts"]["err"].is_string());
    assert_eq!(lines.count(), refused + 1);
    // Taken once: the copy is answered alike, and does nothing to what came after.
    assert_eq!(idp.push(&stage, &here, &whole).await.status, 202);
    let again = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &again).await;
    let tokens = scene.tokens(&again, &redirect).await.unwrap();
    stage.restart().await;
    assert_eq!(idp.push(&stage, &here, &whole).await.status, 202);
    let scene = stage.scene().await;
    assert!(scene.works(&again, &tokens).await, "a replay ended another session");
    let log = scene.log().await;
    assert_eq!(log.iter().filter(|l| l.kind == "news.heard").count(), 1);
    assert!(log.iter().any(|l| l.body["facts"]["err"] == "again"));
}
