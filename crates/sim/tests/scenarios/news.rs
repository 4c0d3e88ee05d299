//! Events come in from others, and count as far as those may speak: T8.

use axum::Json;
use axum::extract::State;
use countersign_device::Phone;
use countersign_sim::stage::{Mouth, Scene, Settings, Stage, place, until};
use countersign_trust::shared::caep::EventType;
use countersign_wire::set;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const DEVICE: &str = "may = [\"device-compliance-change\", \"risk-level-change\"]\ndevices = \"managed\"";
const PEOPLE: &str = "may = [\"session-revoked\", \"credential-change\", \"assurance-level-change\", \"risk-level-change\"]\npeople = \"login\"\nsessions = true";

async fn logged(scene: &Scene<'_>, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, async || scene.log().await.into_iter().find(|l| is(&l.body))).await.body
}

/// Somebody with a session: phone, login, session.
async fn signed_in(scene: &Scene<'_>, name: &str) -> (Phone, String, String) {
    let here = place();
    let (link, login) = scene.invitation(name).await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    (phone, login, session)
}

#[tokio::test]
async fn t8_what_others_say_counts_at_once_and_under_one_cause() {
    let (mdm, idp) = (Mouth::new("mdm"), Mouth::new("idp"));
    let stage = Stage::set(Settings { more: mdm.lines(DEVICE) + &idp.lines(PEOPLE), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let (scene, here) = (stage.scene().await, place());
    let (phone, login, session) = signed_in(&scene, "Gemeldet").await;
    let device = phone.kept().device_id.to_string();
    stage.command(&["device", "managed", &device, "--by", "mdm", "--as", "MDM-4711"]).unwrap();
    // Its device is out of order: what it opened rests; and in order again: it goes on.
    let subject = json!({"format": "complex", "device": {"format": "iss_sub", "iss": "https://mdm.example", "sub": "MDM-4711"}});
    let state = |was: &str, is: &str| json!({"previous_status": was, "current_status": is});
    mdm.say(&stage, &here, EventType::DeviceComplianceChange, subject.clone(), state("compliant", "not-compliant")).await;
    let heard = logged(&scene, "the news", |b| b["kind"] == "news.heard").await;
    assert_eq!((&heard["facts"]["did"], &heard["device"]), (&json!("acted"), &json!(device)));
    let judged = logged(&scene, "the judgement", |b| b["kind"] == "session.judged" && b["session"] == session).await;
    assert_eq!((&judged["facts"]["effect"], &judged["txn"]), (&json!("lock"), &heard["txn"]));
    mdm.say(&stage, &here, EventType::DeviceComplianceChange, subject.clone(), state("not-compliant", "compliant")).await;
    logged(&scene, "its end", |b| b["kind"] == "session.judged" && b["session"] == session && b["facts"]["effect"] == "none").await;
    // Old news does not take back what is newer.
    mdm.say(&stage, &here, EventType::DeviceComplianceChange, subject.clone(), state("compliant", "not-compliant")).await;
    let mut late = state("not-compliant", "compliant");
    late["event_timestamp"] = json!(countersign_device::machine::now().seconds() - 3_600);
    mdm.say(&stage, &here, EventType::DeviceComplianceChange, subject, late).await;
    assert_eq!(scene.log().await.iter().filter(|l| l.kind == "signal.cleared").count(), 1);
    // Another system ends a session, by its own name for the person; under one cause.
    let (_, login_2, session_2) = signed_in(&scene, "Beendet").await;
    let by_name = json!({"format": "email", "email": login_2.to_uppercase()});
    idp.say(&stage, &here, EventType::SessionRevoked, by_name, json!({"event_timestamp": 1})).await;
    let ended = logged(&scene, "the end", |b| b["kind"] == "session.ended" && b["session"] == session_2).await;
    assert_eq!((&ended["facts"]["why"], &ended["facts"]["source"]), (&json!("told"), &json!("idp")));
    logged(&scene, "the same cause", |b| b["kind"] == "news.heard" && b["txn"] == ended["txn"]).await;
    // Risk, credentials, assurance: signals of the person.
    let by_name = |login: &str| json!({"format": "iss_sub", "iss": "https://idp.example", "sub": login});
    for (event, body, signal) in [
        (EventType::CredentialChange, json!({"credential_type": "password", "change_type": "revoke"}), "person.credential_changed"),
        (EventType::AssuranceLevelChange, json!({"namespace": "NIST-AAL", "current_level": "nist-aal1", "change_direction": "decrease"}), "person.assurance_lowered"),
        (EventType::RiskLevelChange, json!({"principal": "USER", "current_level": "HIGH"}), "person.risk_high"),
    ] {
        idp.say(&stage, &here, event, by_name(&login), body).await;
        logged(&scene, signal, |b| b["kind"] == "signal.raised" && b["facts"]["signal"] == signal && b["facts"]["source"] == "idp").await;
    }
    logged(&scene, "the end", |b| b["kind"] == "session.ended" && b["session"] == session).await;
    // Somebody nobody knows: taken, and nothing is done; a session by its id; what nobody need act on.
    idp.say(&stage, &here, EventType::SessionRevoked, by_name("nobody"), json!({})).await;
    logged(&scene, "the unknown", |b| b["kind"] == "news.heard" && b["facts"]["did"] == "unknown").await;
    let (_, _, session_3) = signed_in(&scene, "Einzeln").await;
    idp.say(&stage, &here, EventType::SessionRevoked, json!({"format": "opaque", "id": session_3}), json!({})).await;
    logged(&scene, "the end", |b| b["kind"] == "session.ended" && b["session"] == session_3 && b["facts"]["why"] == "told").await;
    idp.say(&stage, &here, EventType::Verification, json!({"format": "opaque", "id": "stream"}), json!({})).await;
}

/// A transmitter that is asked: what it has to tell, and what it was told.
#[derive(Clone, Default)]
struct Kept {
    sets: Arc<Mutex<serde_json::Map<String, Value>>>,
    told: Arc<Mutex<Vec<Value>>>,
}

async fn give(State(kept): State<Kept>, Json(asked): Json<Value>) -> Json<Value> {
    let mut sets = kept.sets.lock().unwrap();
    for jti in asked["ack"].as_array().unwrap().iter().filter_map(Value::as_str) {
        sets.remove(jti);
    }
    for jti in asked["setErrs"].as_object().unwrap().keys() {
        sets.remove(jti);
    }
    kept.told.lock().unwrap().push(asked);
    Json(json!({"sets": *sets, "moreAvailable": false}))
}

#[tokio::test]
async fn t8_what_others_keep_for_us_is_fetched_and_acknowledged() {
    let idp = Mouth::new("idp");
    let kept = Kept::default();
    let app = axum::Router::new().route("/poll", axum::routing::post(give)).with_state(kept.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let more = format!("{PEOPLE}\npoll_endpoint = \"http://127.0.0.1:{}/poll\"", socket.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    let stage = Stage::set(Settings { more: idp.lines(&more), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let (_, login, session) = signed_in(&scene, "Geholt").await;
    let subject = json!({"format": "email", "email": login});
    let good = idp.claims(&stage, EventType::SessionRevoked, subject.clone(), json!({}));
    let bad = idp.claims(&stage, EventType::DeviceComplianceChange, subject, json!({"current_status": "compliant", "previous_status": "compliant"}));
    for claims in [&good, &bad] {
        kept.sets.lock().unwrap().insert(claims["jti"].as_str().unwrap().to_owned(), idp.signed(set::TYP, claims).into());
    }
    logged(&scene, "the end", |b| b["kind"] == "session.ended" && b["session"] == session).await;
    until("a word that all was taken", async || kept.sets.lock().unwrap().is_empty().then_some(())).await;
    let told = kept.told.lock().unwrap();
    let errs: Vec<&Value> = told.iter().map(|t| &t["setErrs"][bad["jti"].as_str().unwrap()]).filter(|e| !e.is_null()).collect();
    assert_eq!(errs[0]["err"], "access_denied");
    assert!(told.iter().any(|t| t["ack"] == json!([good["jti"]])));
}

const HOOK: &str = r#"
[[signals.sources]]
id = "edr"
hmac_key_file = "KEYFILE"
each = "/alerts"
device = "/host/id"
rules = [
  { at = "/severity", is = ["high", "critical"], raise = "device.compromised" },
  { at = "/severity", is = ["resolved"], clear = "device.compromised" },
  { at = "/host/encrypted", is = [true], fact = "disk_encrypted", value = "yes" },
  { at = "/host/encrypted", is = [false], fact = "disk_encrypted", value = "no" },
]
"#;

#[tokio::test]
async fn t8_a_managing_system_speaks_in_its_own_form_and_is_held_to_its_signature() {
    let key = "a key only for tests, 32 bytes and more";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{key}\n")).unwrap();
    let stage = Stage::set(Settings { more: HOOK.replace("KEYFILE", &file.path().display().to_string()), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let (phone, _, session) = signed_in(&scene, "Bewacht").await;
    let device = phone.kept().device_id.to_string();
    stage.command(&["device", "managed", &device, "--by", "edr", "--as", "HOST-1"]).unwrap();
    assert!(stage.command(&["device", "managed", &device, "--by", "nobody", "--as", "HOST-1"]).is_err());
    let sign = |time: i64, body: &str, key: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, format!("{time}.{body}").as_bytes());
        tag.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let send = async |time: i64, body: &str, signature: String| {
        let headers = [("content-type", "application/json".to_owned()), ("x-timestamp", time.to_string()), ("x-signature", format!("sha256={signature}"))];
        raw.send("POST", "/signals/edr", &headers, body.as_bytes().to_vec()).await
    };
    let now = countersign_device::machine::now().seconds();
    let alert = |severity: &str| json!({"alerts": [{"severity": severity, "host": {"id": "HOST-1", "encrypted": false}}, {"severity": "high", "host": {"id": "HOST-unknown"}}]}).to_string();
    // Not signed so, too old, too new, changed, of another source: refused and recorded.
    let body = alert("critical");
    for (time, signature) in [(now, sign(now, &body, "another key")), (now - 400, sign(now - 400, &body, key)), (now + 400, sign(now + 400, &body, key)), (now, sign(now, &alert("low"), key)), (now, "00".to_owned())] {
        let reply = send(time, &body, signature).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "bad_proof"));
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "bad_proof").await;
    }
    assert!(!scene.log().await.iter().any(|l| l.kind == "signal.raised"));
    // As it should be: the device falls, and what it opened; the same once more is refused.
    let signature = sign(now, &body, key);
    assert_eq!(send(now, &body, signature.clone()).await.status, 204);
    logged(&scene, "the end", |b| b["kind"] == "session.ended" && b["session"] == session).await;
    assert_eq!(send(now, &body, signature).await.status, 401);
    let learnt = logged(&scene, "the fact", |b| b["kind"] == "posture.changed" && b["facts"]["facts"].to_string().contains("disk_encrypted")).await;
    assert_eq!(learnt["device"], json!(device));
    let body = alert("resolved");
    assert_eq!(send(now, &body, sign(now, &body, key)).await.status, 204);
    logged(&scene, "the all-clear", |b| b["kind"] == "signal.cleared" && b["facts"]["source"] == "edr").await;
}
