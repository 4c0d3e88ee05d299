//! One chain in the log, complete and without anything that must not be there: Q5, A5, A12.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{Line, Settings, Stage, place};
use countersign_wire::b64;
use serde_json::Value;

const STEPS: [&str; 9] = [
    "request.accepted",
    "ceremony.opened",
    "ceremony.scanned",
    "ceremony.confirmed",
    "ceremony.approved",
    "ceremony.redeemed",
    "session.opened",
    "code.issued",
    "tokens.issued",
];

fn kinds(log: &[Line]) -> Vec<&str> {
    log.iter().map(|l| l.kind.as_str()).collect()
}

#[tokio::test]
async fn q5_one_transaction_id_from_opening_to_token() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Kettenglied", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    scene.tokens(&attempt, &redirect).await.unwrap();
    let txn = scene.log_of(attempt.ceremony.cid.as_str()).await[0].txn.clone();
    let chain: Vec<Line> = scene.log().await.into_iter().filter(|l| l.txn == txn).collect();
    let mut found = kinds(&chain);
    found.retain(|kind| STEPS.contains(kind));
    assert_eq!(found, STEPS, "{:?}", kinds(&chain));
    // Session, ceremony, person, device and client hang together in it.
    let of = |kind: &str| &chain.iter().find(|l| l.kind == kind).unwrap().body;
    let cid = attempt.ceremony.cid.as_str();
    assert_eq!(of("ceremony.redeemed")["ceremony"], cid);
    assert_eq!(of("session.opened")["ceremony"], cid);
    assert_eq!(of("session.opened")["session"], of("tokens.issued")["session"]);
    assert_eq!(of("ceremony.scanned")["device"], phone.kept().device_id.as_str());
    for kind in ["ceremony.scanned", "ceremony.approved", "session.opened", "code.issued"] {
        assert_eq!(of(kind)["person"], of("ceremony.scanned")["person"], "{kind}");
    }
    // The person can read it, with a verdict for each of the 17 mitigations; nobody else can.
    let story = phone.story(&attempt.ceremony.cid).await.unwrap();
    assert_eq!(story.verdicts.len(), 17);
    assert_eq!(of("ceremony.redeemed")["facts"]["verdicts"], Value::Array(story.verdicts));
    assert!(story.events.len() >= 7 && story.events.iter().all(|e| e["txn"] == txn.as_str()));
    let other = scene.phone("Neugierig", &here).await;
    scene.refused(other.story(&attempt.ceremony.cid).await.map(|_| ()), "no_such_ceremony").await;
    // And so can the operator, by any of its names.
    let told = scene.stage.command(&["log", "txn", &txn]).unwrap();
    for step in STEPS {
        assert!(told.contains(step), "{step} is missing in\n{told}");
    }
}

fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Number(n) => out.push(n.to_string()),
        Value::Array(items) => items.iter().for_each(|v| leaves(v, out)),
        Value::Object(map) => map.values().for_each(|v| leaves(v, out)),
        _ => {}
    }
}

#[tokio::test]
async fn a5_every_step_is_in_the_log_without_gaps() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Philomena Unverwechselbar").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Telefon der Philomena", None).await.unwrap();
    let attempt = scene.open_till(&here).await;
    let cookie = |name: &str| attempt.terminal.http.jar().value(&scene.stage.issuer, name).unwrap().to_owned();
    let before = cookie("__Host-cs_b");
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    let digits = checked.digits().unwrap().to_owned();
    let wrong: String = digits.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
    scene.refused(attempt.terminal.confirm(&attempt.ceremony, &wrong).await, "wrong_code").await;
    attempt.terminal.confirm(&attempt.ceremony, &digits).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    phone.end_all().await.unwrap();

    let log = scene.log().await;
    // Without gaps: number n is there for every n up to the newest.
    let mut numbers: Vec<i64> = log.iter().filter_map(|l| l.seq).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().zip(1..).all(|(seq, n)| *seq == n), "a number is missing or given twice");
    // Every event says what it gives evidence for, in NIST CSF 2.0 subcategories.
    for line in &log {
        let csf = line.body["csf"].as_array().unwrap();
        let function = |c: &Value| ["GV.", "ID.", "PR.", "DE.", "RS.", "RC."].iter().any(|f| c.as_str().unwrap().starts_with(f));
        assert!(!csf.is_empty() && csf.iter().all(function), "{}", line.text);
        assert!(line.body["txn"].is_string() && line.body["at"].is_i64(), "{}", line.text);
    }
    let functions: std::collections::HashSet<String> =
        log.iter().flat_map(|l| l.body["csf"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()[..2].to_owned())).collect();
    assert!(functions.is_superset(&["PR", "DE", "RS"].map(String::from).into()), "{functions:?}");
    // Nothing in it that a reader of the log could use, or that names a person.
    let kept = phone.kept();
    let plain_code = attempt.ceremony.user_code.replace('-', "");
    let secrets = [
        ("name", "Unverwechselbar".to_owned()),
        ("first name", "Philomena".to_owned()),
        ("login", login),
        ("invitation", link.split('#').nth(1).unwrap().to_owned()),
        ("cookie before", before),
        ("cookie after", cookie("__Host-cs_b")),
        ("session cookie", cookie("__Host-cs_s")),
        ("user code", attempt.ceremony.user_code.clone()),
        ("user code without hyphen", plain_code),
        ("handle", b64::encode(&attempt.ceremony.handle)),
        ("frame", attempt.ceremony.frame().text()[..22].to_owned()),
        ("channel key", b64::encode(&attempt.ceremony.ck)),
        ("wait key", attempt.ceremony.wait_key()),
        ("code", code),
        ("access token", tokens.access_token.clone()),
        ("ID token", tokens.id_token.clone().unwrap()),
        ("passkey", kept.passkey.id.clone()),
    ];
    for line in &log {
        for (what, secret) in &secrets {
            assert!(!line.text.contains(secret.as_str()), "{what} in {}", line.text);
        }
    }
    for line in log.iter().filter(|l| l.body["ceremony"] == attempt.ceremony.cid.as_str()) {
        let mut values = vec![];
        leaves(&line.body["facts"], &mut values);
        assert!(!values.contains(&digits) && !values.contains(&wrong), "digits in {}", line.text);
    }
}

#[tokio::test]
async fn a12_purposes_have_names_of_their_own() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Zweck", &here).await;
    let attempt = scene.open_till(&here).await;
    let signing = scene.approve(&phone, &attempt).await;
    let terminal = scene.terminal(&here);
    let ceremony = terminal.open_enrolment("Tablet").await.unwrap();
    let adding = phone.scan(&[ceremony.frame()]).await.unwrap();
    assert_eq!(serde_json::to_value(signing.statement.purpose).unwrap(), "sign-in");
    assert_eq!(serde_json::to_value(adding.statement.purpose).unwrap(), "enrol-device");
    for (cid, purpose) in [(&attempt.ceremony.cid, "sign-in"), (&ceremony.cid, "enrol-device")] {
        let log = scene.log_of(cid.as_str()).await;
        assert_eq!(log[0].kind, "ceremony.opened");
        assert_eq!(log[0].body["facts"]["purpose"], purpose);
    }
    // What an approval of one purpose gives, the other does not: no session from adding a device.
    terminal.confirm(&ceremony, adding.digits().unwrap()).await.unwrap();
    phone.approve(&adding).await.unwrap();
    let reply = terminal.redeem(&ceremony).await.unwrap();
    assert!(reply.next.is_none() && reply.ticket.is_some());
    assert!(terminal.http.jar().value(&scene.stage.issuer, "__Host-cs_s").is_none());
    let made_up = countersign_wire::message::Open { purpose: Some("recover".into()), ..Default::default() };
    scene.refused(scene.terminal(&here).open_as(&made_up).await.map(|_| ()), "malformed").await;
}

#[tokio::test]
async fn verdicts_are_those_of_the_day_whatever_is_set_later() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let (scene, here) = (stage.scene().await, place());
    let phone = scene.phone("Stichtag", &here).await;
    let first = scene.open_till(&here).await;
    scene.sign_in(&phone, &first).await;
    let before = phone.story(&first.ceremony.cid).await.unwrap().verdicts;
    let config = stage.dir().join("countersign.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("declared_filter = true\n{text}")).unwrap();
    stage.restart().await;
    let second = scene.open_till(&here).await;
    scene.sign_in(&phone, &second).await;
    let after = phone.story(&second.ceremony.cid).await.unwrap().verdicts;
    assert_eq!(after[4]["because"], "operator_declares_filter");
    assert_eq!(before[4]["because"], "fixed_prefix");
    assert_eq!(phone.story(&first.ceremony.cid).await.unwrap().verdicts, before);
}

#[tokio::test]
async fn an_invitation_that_ends_unused_says_so_in_the_log() {
    let scene = stage().scene().await;
    for words in [["invite", "Nachzügler", "nachzuegler"], ["invite", "Nachzügler", "nachzuegler"], ["person", "end", "nachzuegler"]] {
        scene.stage.command(&words).unwrap();
    }
    let log = scene.log().await;
    let person = &log.iter().rev().find(|l| l.body["facts"]["state"] == "ended").unwrap().body["person"];
    let of = |kind: &str, fact: &str| -> Vec<Value> {
        let those = log.iter().filter(|l| l.kind == kind && l.body["person"] == *person);
        those.map(|l| l.body["facts"][fact].clone()).collect()
    };
    assert_eq!(of("invitation.ended", "why"), ["invited_again", "ended"]);
    assert_eq!(of("invitation.ended", "invitation"), of("invitation.made", "invitation"));
}
