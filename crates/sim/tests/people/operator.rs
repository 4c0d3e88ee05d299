//! The operator's page from outside: who gets in, what can be done there, and what never.

use super::{did, id, stage};
use countersign_device::http::{Answer, Call, Prover};
use countersign_device::phone::Checked;
use countersign_device::terminal::{Arrival, Ceremony};
use countersign_device::{Fault, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Line, PATIENCE, Scene, place};
use countersign_store::{Query, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Somebody with a phone at `here`, and the login name.
async fn somebody(scene: &Scene<'_>, name: &str, role: Option<&str>, here: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    let phone = Phone::enrol(scene.http(here), &link, &format!("{name}'s phone"), None).await.unwrap();
    if let Some(role) = role {
        did(scene.stage, &["person", "role", &login, role]);
    }
    (phone, login)
}

/// A screen at the operator's page, with what is open on it.
async fn entered(scene: &Scene<'_>, terminal: &Terminal, query: &str) -> Ceremony {
    let url = scene.stage.issuer.join(&format!("/operator/enter{query}")).unwrap();
    let Arrival::Flow(flow) = terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    // As the page does: what its session answers is not asked again, and what is too little is raised.
    let _ = terminal.resume(&flow).await;
    terminal.open(&flow).await.unwrap()
}

async fn approved(phone: &Phone, terminal: &Terminal, ceremony: &Ceremony) -> Checked {
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    if let Some(digits) = checked.digits() {
        terminal.confirm(ceremony, digits).await.unwrap();
    }
    phone.approve(&checked).await.unwrap();
    checked
}

/// An operator's screen, signed in by their phone.
async fn desk(scene: &Scene<'_>, phone: &Phone, here: &str) -> Terminal {
    let terminal = scene.terminal(here);
    let ceremony = entered(scene, &terminal, "").await;
    let checked = approved(phone, &terminal, &ceremony).await;
    assert_eq!(checked.statement.client.name, "The operator's page");
    let reply = terminal.redeem(&ceremony).await.unwrap();
    let next = match reply.next {
        Some(next) => next,
        None => terminal.proceed(&ceremony).await.unwrap().next,
    };
    assert!(next.starts_with(&format!("{}operator?iss=", scene.stage.issuer)), "{next}");
    assert!(!next.contains("code="), "{next}");
    terminal
}

async fn send(terminal: &Terminal, key: &SoftwareKey, path: &str, body: Option<Value>) -> Result<Answer, Fault> {
    let url = terminal.issuer().join(path).unwrap();
    let call = match &body {
        None => Call::fetch(url).proved(Prover::terminal(key)),
        Some(body) => Call::post(url, body).unwrap().proved(Prover::device(key)),
    };
    terminal.http.call(&call).await
}

async fn ask(terminal: &Terminal, path: &str, body: Option<Value>) -> Result<Value, Fault> {
    send(terminal, &terminal.key, path, body).await.map(|answer| serde_json::from_slice(&answer.body).unwrap())
}

/// Every door of the page, as whoever has no right to it would try them.
fn doors(phone: &Phone, login: &str) -> Vec<(String, Option<Value>)> {
    let (device, none) = (id(phone), "00000000-0000-7000-8000-000000000000");
    vec![
        ("/operator/lines".to_owned(), None),
        ("/operator/refusals/R-000-000-000".to_owned(), None),
        (format!("/operator/devices/{device}/touched"), None),
        ("/operator/people/look".to_owned(), Some(json!({"login": login}))),
        ("/operator/people/recovery".to_owned(), Some(json!({"login": login}))),
        (format!("/operator/sessions/{none}/end"), Some(json!({}))),
        (format!("/operator/devices/{device}/suspend"), Some(json!({}))),
        (format!("/operator/devices/{device}/touched/end"), Some(json!({}))),
    ]
}

async fn refused_everywhere(scene: &Scene<'_>, terminal: &Terminal, victim: &(Phone, String), codes: &[&str]) {
    for (path, body) in doors(&victim.0, &victim.1) {
        match ask(terminal, &path, body).await {
            Err(Fault::Refused(refusal)) => assert!(codes.contains(&refusal.code.as_str()), "{path}: {refusal:?}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(victim.0.overview().await.unwrap().devices[0].state, "active");
    assert!(told(&victim.0).await.is_empty());
    assert!(acts(scene, terminal).await.is_empty());
}

async fn told(phone: &Phone) -> Vec<String> {
    phone.overview().await.unwrap().notices.into_iter().map(|n| n.kind).collect()
}

/// What the log says that operators did at this screen.
async fn acts(scene: &Scene<'_>, terminal: &Terminal) -> Vec<Line> {
    let key = terminal.key.public().thumbprint().to_string();
    let rows = scene.engine.query(Query::new("SELECT id FROM session WHERE jkt = $1", [key.into()]).long()).await.unwrap();
    let sessions: Vec<String> = rows.iter().map(|r| r.text(0).unwrap().to_owned()).collect();
    let lines = scene.log().await.into_iter();
    lines.filter(|l| l.kind == "operator.acted" && sessions.iter().any(|s| l.body["facts"]["from"] == s.as_str())).collect()
}

#[tokio::test]
async fn only_an_operator_gets_to_the_operators_page_and_nobody_without_the_sessions_key() {
    let scene = stage().scene().await;
    let here = place();
    let victim = somebody(&scene, "Viktor", None, &here).await;
    // No session, and a session of another application, whoever has it.
    let stranger = scene.terminal(&here);
    refused_everywhere(&scene, &stranger, &victim, &["no_session"]).await;
    let (phone, _) = somebody(&scene, "Olga", Some("operator"), &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&phone, &attempt).await;
    refused_everywhere(&scene, &attempt.terminal, &victim, &["no_session"]).await;
    // People of every other role are told on their own phone, and their screen learns nothing.
    for role in [None, Some("recovery_officer"), Some("administrator")] {
        let (other, _) = somebody(&scene, "Other", role, &here).await;
        let terminal = scene.terminal(&here);
        let ceremony = entered(&scene, &terminal, "").await;
        let refusal = scene.refused(other.scan(&[ceremony.frame()]).await, "denied").await;
        assert_eq!(refusal.say.as_deref(), Some("You are not one of those who run this server."), "{role:?}");
        assert_eq!(terminal.state(&ceremony, None).await.unwrap().state, "opened");
    }
    // The operator's own cookies without the key of that screen.
    let desk = desk(&scene, &phone, &here).await;
    assert!(ask(&desk, "/operator/lines", None).await.is_ok());
    let thief = SoftwareKey::generate().unwrap();
    for (path, body) in doors(&victim.0, &victim.1) {
        let stolen = send(&desk, &thief, &path, body).await;
        scene_refused(&path, stolen, "no_session");
    }
    // From a page of somebody else, with cookies and, were it possible, the key.
    let url = scene.stage.issuer.join(&format!("/operator/devices/{}/suspend", id(&victim.0))).unwrap();
    let foreign = Call::post(url, &json!({})).unwrap().proved(Prover::device(&desk.key)).with("sec-fetch-site", "cross-site");
    scene.refused(desk.http.call(&foreign).await.map(|_| ()), "bad_proof").await;
    // The page as a client gives no code and no token, to nobody.
    let raw = scene.raw(&here);
    let path = "/authorize?client_id=countersign-operator&response_type=code&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&redirect_uri=";
    let sent = raw.send("GET", &format!("{path}{}operator", scene.stage.issuer), &[], Vec::new()).await;
    assert!(sent.headers["location"].to_str().unwrap().contains("error=unauthorized_client"));
    // An administrator's phone names no operators.
    let invite = countersign_wire::message::Invite { name: "Mole".into(), login: "mole".into(), role: Some("operator".into()) };
    scene.refused(scene.administrator.invite(&invite).await, "denied").await;
}

fn scene_refused(what: &str, result: Result<Answer, Fault>, code: &str) {
    match result {
        Err(Fault::Refused(refusal)) => assert_eq!(refusal.code, code, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn an_operator_ends_and_stops_and_every_act_names_them() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Oskar", Some("operator"), &here).await;
    let (theirs, their_login) = somebody(&scene, "Tilda", None, &here).await;
    let desk = desk(&scene, &phone, &here).await;
    let me = ask(&desk, "/operator/people/look", Some(json!({"login": login}))).await.unwrap()["id"].clone();
    // A person: name, devices, sessions, and nothing that opens anything.
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&theirs, &attempt).await;
    let seen = ask(&desk, "/operator/people/look", Some(json!({"login": their_login}))).await.unwrap();
    assert_eq!((&seen["name"], &seen["role"], &seen["devices"][0]["state"]), (&json!("Tilda"), &json!("member"), &json!("active")));
    let text = seen.to_string();
    for secret in ["jkt", "cookie", "hash", "public", "credential"] {
        assert!(!text.contains(secret), "`{secret}` in {text}");
    }
    let session = seen["sessions"][0]["id"].as_str().unwrap().to_owned();
    ask(&desk, &format!("/operator/sessions/{session}/end"), Some(json!({}))).await.unwrap();
    assert!(theirs.overview().await.unwrap().sessions.is_empty());
    let again = ask(&desk, &format!("/operator/sessions/{session}/end"), Some(json!({}))).await;
    scene.refused(again, "no_such_thing").await;
    // One action for all that a phone touched: what it opened ends, and the device it let in is stopped.
    let second = scene.second_phone(&theirs, &here).await;
    let attempt = scene.open_till(&here).await;
    scene.sign_in(&theirs, &attempt).await;
    let path = format!("/operator/devices/{}/touched", id(&theirs));
    let before = ask(&desk, &path, None).await.unwrap();
    assert_eq!(before["let_in"][0]["state"], "active");
    let undone = ask(&desk, &format!("{path}/end"), Some(json!({}))).await.unwrap();
    assert!(undone["lived"].as_u64().unwrap() >= 2, "{undone}");
    assert!(undone["after"]["sessions"].as_array().unwrap().iter().all(|s| s["lives"] == false));
    assert_eq!(second.overview().await.unwrap().devices[0].state, "suspended");
    let scanned = theirs.scan(&[scene.open_till(&here).await.ceremony.frame()]).await;
    scene.refused(scanned.map(|_| ()), "denied").await;
    // Quarantine, and no way back from this page.
    ask(&desk, &format!("/operator/devices/{}/suspend", id(&theirs)), Some(json!({}))).await.unwrap();
    assert_eq!(theirs.overview().await.unwrap().devices[0].state, "suspended");
    let twice = ask(&desk, &format!("/operator/devices/{}/suspend", id(&theirs)), Some(json!({}))).await;
    scene.refused(twice, "denied").await;
    for verb in ["resume", "allow", "active"] {
        scene_refused(verb, send(&desk, &desk.key, &format!("/operator/devices/{}/{verb}", id(&theirs)), Some(json!({}))).await, "no_such_thing");
    }
    // Each act stands in the log before its effect, under the operator's pseudonym; refused ones do not.
    let acts = acts(&scene, &desk).await;
    let done: Vec<&str> = acts.iter().map(|l| l.body["facts"]["act"].as_str().unwrap()).collect();
    assert_eq!(done, ["end_session", "end_touched", "suspend_device"]);
    assert!(acts.iter().all(|l| l.body["facts"]["by"] == me && l.body["person"] == seen["id"]));
    assert_eq!(acts[0].body["session"], session.as_str());
    let log = scene.log().await;
    assert!(log.iter().filter(|l| l.kind == "operator.looked").any(|l| l.body["person"] == seen["id"] && l.body["facts"]["by"] == me));
    let ended = log.iter().find(|l| l.kind == "session.ended" && l.body["session"] == session.as_str()).unwrap();
    assert_eq!(ended.body["facts"]["why"], "operator");
    for act in ["end_touched", "suspend_device"] {
        let ordered = acts.iter().find(|l| l.body["facts"]["act"] == act).unwrap();
        assert!(log.iter().any(|l| l.txn == ordered.txn && l.kind != "operator.acted"), "{act} has no effect of its own cause");
    }
    // All of it is on the list, in the words of the log.
    let lines = ask(&desk, "/operator/lines", None).await.unwrap();
    let kinds: Vec<&str> = lines["lines"].as_array().unwrap().iter().map(|l| l["kind"].as_str().unwrap()).collect();
    for kind in ["operator.acted", "session.ended", "device.changed", "signal.raised", "step.refused"] {
        assert!(kinds.contains(&kind), "{kind} is not on the list: {kinds:?}");
    }
    assert!(!lines.to_string().contains("Tilda"), "the list knows no names");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test waits for a real program")]
async fn an_operator_finds_a_refusal_by_its_reference_and_hears_of_a_new_one_at_once() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, _) = somebody(&scene, "Otto", Some("operator"), &here).await;
    let desk = desk(&scene, &phone, &here).await;
    let upto = ask(&desk, "/operator/lines", None).await.unwrap()["upto"].as_i64().unwrap();
    let far = somebody(&scene, "Faraway", None, &place()).await.0;
    let attempt = scene.open_till(&here).await;
    let path = format!("/operator/lines?after={upto}");
    let (waiting, refusal) = tokio::join!(ask(&desk, &path, None), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.refused(far.scan(&[attempt.ceremony.frame()]).await, "too_far").await
    });
    // Other tests of this server make lines as well: this one comes in an answer soon.
    let (mut answer, begun) = (waiting.unwrap(), Instant::now());
    while !answer["lines"].as_array().unwrap().iter().any(|l| l["facts"]["ref"] == refusal.reference.as_str()) {
        assert!(begun.elapsed() < PATIENCE, "never told");
        let upto = answer["upto"].as_i64().unwrap();
        answer = ask(&desk, &format!("/operator/lines?after={upto}"), None).await.unwrap();
    }
    let found = ask(&desk, &format!("/operator/refusals/{}", refusal.reference), None).await.unwrap();
    assert_eq!((&found["line"]["code"], &found["line"]["kind"]), (&json!("too_far"), &json!("step.refused")));
    assert!(found["around"].as_array().unwrap().iter().any(|l| l["kind"] == "ceremony.opened"));
    let whole = found.to_string();
    assert!(!whole.contains(&attempt.ceremony.wait_key()) && !whole.contains("digits"), "{whole}");
    for wrong in ["R-000-000-000", "R-%25", "nonsense", "R-1-2-3"] {
        let none = ask(&desk, &format!("/operator/refusals/{wrong}"), None).await;
        assert!(matches!(&none, Err(Fault::Refused(r)) if r.code == "no_such_thing"), "{wrong}: {none:?}");
    }
}

#[tokio::test]
async fn what_an_operator_begins_lets_nobody_in_by_itself() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Odile", Some("operator"), &here).await;
    let (theirs, their_login) = somebody(&scene, "Rosa", None, &here).await;
    let desk = desk(&scene, &phone, &here).await;
    let begun = ask(&desk, "/operator/people/recovery", Some(json!({"login": their_login}))).await.unwrap();
    assert!(begun["address"].as_str().unwrap().ends_with("/recover"));
    let members: Vec<String> = begun.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["address", "login", "vouchers"], "no link, no ticket, no code");
    assert_eq!(told(&theirs).await, ["recovery_asked"]);
    // The person stops it, as any other.
    let notice = theirs.overview().await.unwrap().notices.remove(0);
    theirs.undo(&notice.id).await.unwrap();
    // An operator is no voucher: the new device's request is refused on the operator's own phone.
    let blank = scene.terminal(&here);
    let ceremony = blank.open_recovery(&their_login).await.unwrap();
    let scanned = phone.scan(&[ceremony.frame()]).await;
    scene.refused(scanned.map(|_| ()), "denied").await;
    // Not for oneself; and nobody approves for anybody: the page has no such door.
    let own = ask(&desk, "/operator/people/recovery", Some(json!({"login": login}))).await;
    scene.refused(own, "denied").await;
    let attempt = scene.open_till(&here).await;
    for door in ["decision", "confirm", "take"] {
        let path = format!("/device/ceremonies/{}/{door}", attempt.ceremony.cid);
        assert!(send(&desk, &desk.key, &path, Some(json!({"digits": "0000"}))).await.is_err(), "{door}");
    }
    assert_eq!(attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state, "opened");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test waits for a real program")]
async fn a_role_that_is_taken_away_counts_at_the_next_request_and_a_screen_that_rests_gets_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let victim = somebody(&scene, "Vera", None, &here).await;
    let (phone, login) = somebody(&scene, "Odo", Some("operator"), &here).await;
    let first = desk(&scene, &phone, &here).await;
    ask(&first, "/operator/people/look", Some(json!({"login": victim.1}))).await.unwrap();
    // In the middle of waiting, too.
    let upto = ask(&first, "/operator/lines", None).await.unwrap()["upto"].as_i64().unwrap();
    let waiting = async {
        let mut upto = upto;
        loop {
            match ask(&first, &format!("/operator/lines?after={upto}"), None).await {
                Ok(more) => {
                    let over = |l: &Value| l["kind"] == "person.changed" && l["facts"]["was"] == "operator";
                    assert!(!more["lines"].as_array().unwrap().iter().any(over), "told to who is none any more: {more}");
                    upto = more["upto"].as_i64().unwrap();
                }
                Err(fault) => return (fault, Instant::now()),
            }
        }
    };
    let ((fault, heard), taken) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        did(scene.stage, &["person", "role", &login, "member"]);
        Instant::now()
    });
    assert!(matches!(&fault, Fault::Refused(r) if ["denied", "gone", "no_session"].contains(&r.code.as_str())), "{fault}");
    let took = heard.saturating_duration_since(taken);
    assert!(took < Duration::from_secs(15), "in the middle of the wait: {took:?}");
    refused_everywhere(&scene, &first, &victim, &["denied", "gone", "no_session"]).await;
    // Given back, the old session stays ended.
    did(scene.stage, &["person", "role", &login, "operator"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    refused_everywhere(&scene, &first, &victim, &["no_session"]).await;
    // A session that rests, and one whose device fell.
    let second = desk(&scene, &phone, &here).await;
    did(scene.stage, &["signal", "raise", "device.noncompliant", &id(&phone)]);
    refused_everywhere(&scene, &second, &victim, &["locked"]).await;
    did(scene.stage, &["signal", "clear", "device.noncompliant", &id(&phone)]);
    ask(&second, "/operator/people/look", Some(json!({"login": victim.1}))).await.unwrap();
    // Some risk is enough to keep the privileged right away.
    did(scene.stage, &["signal", "raise", "device.risk_medium", &id(&phone)]);
    refused_everywhere(&scene, &second, &victim, &["denied"]).await;
    did(scene.stage, &["signal", "clear", "device.risk_medium", &id(&phone)]);
    did(scene.stage, &["device", "suspend", &id(&phone)]);
    refused_everywhere(&scene, &second, &victim, &["denied", "no_session"]).await;
}

#[tokio::test]
async fn an_act_needs_an_approval_of_the_last_minutes_and_looking_does_not() {
    let scene = stage().scene().await;
    let here = place();
    let (theirs, their_login) = somebody(&scene, "Theo", None, &here).await;
    let (phone, _) = somebody(&scene, "Odin", Some("operator"), &here).await;
    let desk = desk(&scene, &phone, &here).await;
    // Eleven minutes ago, as if the time had gone by.
    let key = desk.key.public().thumbprint().to_string();
    let rows = scene.engine.query(Query::new("SELECT body FROM session WHERE jkt = $1", [key.as_str().into()])).await.unwrap();
    let mut body: Value = serde_json::from_str(rows[0].text(0).unwrap()).unwrap();
    body["auth_time"] = (body["auth_time"].as_i64().unwrap() - 660_000_000).into();
    let sql = "UPDATE session SET body = $2, version = version + 1 WHERE jkt = $1";
    assert_eq!(scene.engine.upkeep(vec![Statement::any(sql, [key.into(), body.to_string().into()])]).await.unwrap(), 1);
    ask(&desk, "/operator/people/look", Some(json!({"login": their_login}))).await.unwrap();
    let path = format!("/operator/devices/{}/suspend", id(&theirs));
    assert!(matches!(ask(&desk, &path, Some(json!({}))).await, Err(Fault::Refused(r)) if r.code == "step_up"));
    assert_eq!(theirs.overview().await.unwrap().devices[0].state, "active");
    let ceremony = entered(&scene, &desk, "?again=1").await;
    approved(&phone, &desk, &ceremony).await;
    desk.redeem(&ceremony).await.unwrap();
    ask(&desk, &path, Some(json!({}))).await.unwrap();
    assert_eq!(theirs.overview().await.unwrap().devices[0].state, "suspended");
}

#[tokio::test]
async fn what_moves_beside_an_operator_is_judged_anew_and_sends_nobody_away() {
    let scene = stage().scene().await;
    let here = place();
    let victim = somebody(&scene, "Vera", None, &here).await;
    let (phone, _) = somebody(&scene, "Odo", Some("operator"), &here).await;
    let desk = desk(&scene, &phone, &here).await;
    let device = id(&phone);
    let renamed = async {
        for n in 0..40 {
            phone.rename(&device, &format!("Phone {n}")).await.unwrap();
        }
    };
    let looked = async {
        for _ in 0..40 {
            ask(&desk, "/operator/people/look", Some(json!({"login": victim.1}))).await.unwrap();
        }
    };
    tokio::join!(renamed, looked);
}
