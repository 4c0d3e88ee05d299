//! Taking what belongs to another screen: rows 1, 2, 5, 6, 17.

use super::stage;
use countersign_device::phone::Phone;
use countersign_device::terminal::Ceremony;
use countersign_sim::stage::{Attempt, Raw, Reply, place};
use countersign_wire::approval::{self, Decision, Verb};
use countersign_wire::message::DecisionBody;
use countersign_wire::{CeremonyId, Time, b64};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The headers of a terminal: cookie, wait key, origin.
fn as_terminal(raw: &Raw, cookie: Option<&str>, wait_key: &str) -> Vec<(&'static str, String)> {
    let mut out = vec![("authorization", format!("Ceremony {wait_key}")), ("origin", raw.origin())];
    if let Some(cookie) = cookie {
        out.push(("cookie", format!("__Host-cs_b={cookie}")));
    }
    out
}

pub(super) fn cookie_of(attempt: &Attempt) -> String {
    let jar = attempt.terminal.http.jar();
    jar.value(attempt.terminal.issuer(), "__Host-cs_b").unwrap().to_owned()
}

pub(super) async fn redeem(raw: &Raw, attempt: &Attempt, cookie: &str, jti: Option<&str>) -> Reply {
    let path = format!("/ceremonies/{}/redeem", attempt.ceremony.cid);
    let nonce = raw.nonce().await;
    let proof = raw.proof(&attempt.terminal.key, "POST", &path, b"", |claims| {
        claims.nonce = Some(nonce);
        if let Some(jti) = jti {
            claims.jti = jti.to_owned();
        }
    });
    let mut headers = as_terminal(raw, Some(cookie), &attempt.ceremony.wait_key());
    headers.push(("dpop", proof));
    raw.send("POST", &path, &headers, vec![]).await
}

#[tokio::test]
async fn x01_a_watcher_of_the_code_gets_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Ottilie", &here).await;
    let attempt = scene.open_till(&here).await;
    // The watcher has the picture, the ceremony's id, and a browser of their own with a cookie.
    let watcher = scene.open_till(&here).await;
    let raw = scene.raw(&here);
    let own = cookie_of(&watcher);
    let handle = b64::encode(&attempt.ceremony.handle);
    let right_cookie = cookie_of(&attempt);
    let right_key = attempt.ceremony.wait_key();
    let unknown = CeremonyId::new(Time(1_790_000_000_000_000), [7; 10]).to_string();
    let known = attempt.ceremony.cid.to_string();
    for approved in [false, true] {
        if approved {
            scene.approve(&phone, &attempt).await;
        }
        let mut answers = vec![];
        for (cid, cookie, key) in [
            (&unknown, Some(&own), &right_key),
            (&unknown, Some(&right_cookie), &right_key),
            (&known, Some(&own), &handle),
            (&known, Some(&own), &watcher.ceremony.wait_key()),
            (&known, Some(&own), &right_key),
            (&known, Some(&handle), &right_key),
            (&known, None, &right_key),
            (&known, Some(&right_cookie), &handle),
        ] {
            for (method, rest, body) in
                [("GET", "", ""), ("GET", "/events", ""), ("POST", "/confirm", "{\"digits\":\"1234\"}"), ("POST", "/abandon", "{}"), ("POST", "/redeem", "")]
            {
                let mut headers = as_terminal(&raw, cookie.map(String::as_str), key);
                headers.push(("content-type", "application/json".into()));
                let path = format!("/ceremonies/{cid}{rest}");
                let nonce = raw.nonce().await;
                let proof = raw.proof(&watcher.terminal.key, "POST", &path, body.as_bytes(), |c| c.nonce = Some(nonce));
                headers.push(("dpop", proof));
                let reply = raw.send(method, &path, &headers, body.into()).await;
                let known_names: Vec<String> = {
                    let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
                    names.sort();
                    names
                };
                answers.push((reply.status, reply.without_reference(), reply.headers.get("content-length").cloned(), known_names));
                scene.recorded(reply.json()["ref"].as_str().unwrap(), "no_such_ceremony").await;
            }
        }
        assert!(answers.iter().all(|a| *a == answers[0]), "strangers hear different answers: {answers:#?}");
        assert_eq!((answers[0].0, &answers[0].1), (404, &json!({"code": "no_such_ceremony"})));
    }
    // With cookie and wait key, the terminal key is still missing.
    let path = format!("/ceremonies/{known}/redeem");
    let nonce = raw.nonce().await;
    let proof = raw.proof(&watcher.terminal.key, "POST", &path, b"", |c| c.nonce = Some(nonce));
    let mut headers = as_terminal(&raw, Some(&right_cookie), &right_key);
    headers.push(("dpop", proof));
    let reply = raw.send("POST", &path, &headers, vec![]).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "bad_proof"));
    scene.recorded(reply.json()["ref"].as_str().unwrap(), "bad_proof").await;
    // And nothing of it took anything from the rightful screen.
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Ottilie");
}

async fn is_open(phone: &Phone) -> bool {
    !phone.overview().await.unwrap().sessions.is_empty()
}

#[tokio::test]
async fn x02_one_of_fifty_redemptions_wins_and_a_replay_revokes() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Benedikt", &here).await;
    // Fifty at once, each with a valid proof of its own: what the winner got is taken back.
    let attempt = Arc::new(scene.open_till(&here).await);
    scene.approve(&phone, &attempt).await;
    let cookie = cookie_of(&attempt);
    let raw = Arc::new(scene.raw(&here));
    let mut all = JoinSet::new();
    for _ in 0..50 {
        let (raw, attempt, cookie) = (raw.clone(), attempt.clone(), cookie.clone());
        all.spawn(async move { redeem(&raw, &attempt, &cookie, None).await });
    }
    let replies = all.join_all().await;
    let won: Vec<&Reply> = replies.iter().filter(|r| r.status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", replies.iter().map(|r| (r.status, r.code())).collect::<Vec<_>>());
    for lost in replies.iter().filter(|r| r.status != 200) {
        let code = lost.code();
        assert!(matches!(code.as_str(), "already_redeemed" | "gone"), "{} {code}", lost.status);
        scene.recorded(lost.json()["ref"].as_str().unwrap(), &code).await;
    }
    assert!(!is_open(&phone).await, "a session survived its replay");
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    let count = |kind: &str| log.iter().filter(|l| l.kind == kind).count();
    assert_eq!((count("session.opened"), count("ceremony.revoked"), count("session.ended")), (1, 1, 1));
    let next = won[0].json()["next"].as_str().unwrap().parse().unwrap();
    scene_has_no_tokens(scene.tokens(&attempt, &next).await);

    // One after the other: the winner's own repetition is told so, a second proof takes it back.
    let attempt = scene.open_till(&here).await;
    scene.approve(&phone, &attempt).await;
    let cookie = cookie_of(&attempt);
    let first = redeem(&raw, &attempt, &cookie, Some("the-first")).await;
    assert_eq!(first.status, 200);
    let tokens = scene.tokens(&attempt, &first.json()["next"].as_str().unwrap().parse().unwrap()).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await);
    let again = redeem(&raw, &attempt, &cookie, Some("the-first")).await;
    assert_eq!((again.status, again.code().as_str()), (409, "already_redeemed"));
    scene.recorded(again.json()["ref"].as_str().unwrap(), "already_redeemed").await;
    assert!(is_open(&phone).await);
    let second = redeem(&raw, &attempt, &cookie, None).await;
    assert_eq!((second.status, second.code().as_str()), (409, "already_redeemed"));
    scene.recorded(second.json()["ref"].as_str().unwrap(), "already_redeemed").await;
    assert!(!is_open(&phone).await, "a session survived its replay");
    assert!(!scene.works(&attempt, &tokens).await, "a token survived its replay");
}

fn scene_has_no_tokens(result: Result<countersign_device::oidc::Tokens, countersign_device::Fault>) {
    match result {
        Ok(_) => panic!("a code of a revoked session gave tokens"),
        Err(fault) => assert!(fault.is("invalid_grant"), "{fault}"),
    }
}

#[tokio::test]
async fn x05_who_approves_comes_from_the_key_alone() {
    let scene = stage().scene().await;
    let here = place();
    let ana = scene.phone("Ana", &here).await;
    let mallory = scene.phone("Mallory", &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&ana, &attempt).await;
    let cid = &checked.statement.cid;
    let path = format!("/device/ceremonies/{cid}/decision");
    let raw = scene.raw(&here);

    // A body that names a person is no decision.
    let assertion = ana.assert(&checked.ask()).unwrap();
    let body = ana.signed(cid, &checked.sd, Verb::Approve, Some(assertion)).unwrap();
    for name in ["sub", "person", "user", "email", "device"] {
        let mut value = serde_json::to_value(&body).unwrap();
        value[name] = json!(mallory.kept().device_id.as_str());
        let json = vec![("content-type", "application/json".to_owned())];
        let reply = raw.send("POST", &path, &json, serde_json::to_vec(&value).unwrap()).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "malformed"), "{name}");
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "malformed").await;
    }
    // Mallory decides about Ana's scan with Mallory's key.
    let anybody = countersign_wire::message::AssertionAsk { allow: vec![], ..checked.ask() };
    let assertion = mallory.assert(&anybody).unwrap();
    let theirs = mallory.signed(cid, &checked.sd, Verb::Approve, Some(assertion.clone())).unwrap();
    let heard = mallory.decide(cid, &theirs).await;
    scene.refused(heard, "no_such_ceremony").await;
    // Mallory signs as Ana's device.
    let decision = Decision {
        iss: ana.kept().device_id,
        aud: ana.kept().issuer,
        cid: cid.clone(),
        sd: b64::encode(&checked.sd),
        decision: Verb::Approve,
        wa: Some(b64::encode(&assertion.decode().unwrap().digest())),
        jti: "forged".into(),
    };
    let forged = approval::make(&decision, ana.key.public(), &mallory.key).unwrap();
    let heard = mallory.decide(cid, &DecisionBody { approval: forged, assertion: Some(assertion.clone()) }).await;
    scene.refused(heard, "bad_proof").await;
    // Ana's device with Mallory's passkey, and with none.
    let mixed = ana.signed(cid, &checked.sd, Verb::Approve, Some(assertion)).unwrap();
    scene.refused(ana.decide(cid, &mixed).await, "bad_proof").await;
    let bare = ana.signed(cid, &checked.sd, Verb::Approve, None).unwrap();
    scene.refused(ana.decide(cid, &bare).await, "bad_proof").await;

    ana.decide(cid, &body).await.unwrap();
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Ana");
}

#[tokio::test]
async fn x06_a_waiting_page_learns_no_name() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Zebedee Quarrel").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Pocket companion", None).await.unwrap();
    let attempt = scene.open_till(&here).await;
    let raw = scene.raw(&here);
    let cookie = cookie_of(&attempt);
    let mut heard = vec![];
    heard.push(look(&raw, &attempt.ceremony, &cookie).await);
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    heard.push(look(&raw, &attempt.ceremony, &cookie).await);
    heard.push(redeem(&raw, &attempt, &cookie, None).await);
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    heard.push(look(&raw, &attempt.ceremony, &cookie).await);
    phone.approve(&checked).await.unwrap();
    heard.push(look(&raw, &attempt.ceremony, &cookie).await);
    let ids = [phone.kept().device_id.to_string(), checked.statement.sub.to_string()];
    for reply in &heard {
        let text = String::from_utf8_lossy(&reply.body).into_owned() + &format!("{:?}", reply.headers);
        for secret in ["Zebedee", "Quarrel", "Pocket", &login, &ids[0], &ids[1], "@"] {
            assert!(!text.contains(secret), "`{secret}` in {text}");
        }
        for member in reply.json().as_object().unwrap().keys() {
            assert!(["state", "left_ms", "t_ms", "ask", "n", "digits", "code", "ref"].contains(&member.as_str()), "{member}");
        }
    }
    let states: Vec<String> = heard.iter().map(|r| r.json()["state"].as_str().unwrap_or("-").to_owned()).collect();
    assert_eq!(states, ["opened", "scanned", "-", "confirmed", "approved"]);
    assert_eq!(attempt.terminal.redeem(&attempt.ceremony).await.unwrap().name, "Zebedee Quarrel");
}

pub(super) async fn look(raw: &Raw, ceremony: &Ceremony, cookie: &str) -> Reply {
    let headers = as_terminal(raw, Some(cookie), &ceremony.wait_key());
    raw.send("GET", &format!("/ceremonies/{}", ceremony.cid), &headers, vec![]).await
}

#[tokio::test]
async fn x17_a_planted_cookie_collects_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Victoria", &here).await;
    let issuer = scene.stage.issuer.clone();
    // The attacker begins, then plants their cookie in the victim's browser. The victim goes on
    // with the attacker's own sign-in page, under a cookie that the attacker knows.
    let attacker = scene.open_till(&here).await;
    let planted = cookie_of(&attacker);
    let victim = scene.terminal(&here);
    victim.http.jar().plant(&issuer, "__Host-cs_b", &planted);
    let ceremony = victim.open(&attacker.page).await.unwrap();
    let attempt = Attempt { terminal: victim, flow: attacker.flow.clone(), page: attacker.page.clone(), ceremony };
    scene.approve(&phone, &attempt).await;
    let raw = scene.raw(&here);
    // They have the cookie but neither wait key nor terminal key.
    let stolen = look(&raw, &attacker.ceremony, &planted).await;
    assert_eq!(stolen.json()["state"], "opened", "their own, which nobody approved");
    let path = format!("/ceremonies/{}/redeem", attempt.ceremony.cid);
    for wait_key in [attacker.ceremony.wait_key(), attempt.ceremony.wait_key()] {
        let nonce = raw.nonce().await;
        let proof = raw.proof(&attacker.terminal.key, "POST", &path, b"", |c| c.nonce = Some(nonce));
        let mut headers = as_terminal(&raw, Some(&planted), &wait_key);
        headers.push(("dpop", proof));
        let reply = raw.send("POST", &path, &headers, vec![]).await;
        let want = if wait_key == attempt.ceremony.wait_key() { "bad_proof" } else { "no_such_ceremony" };
        assert_eq!(reply.code(), want);
        scene.recorded(reply.json()["ref"].as_str().unwrap(), want).await;
    }
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    assert_eq!(reply.name, "Victoria");
    // The cookie was replaced, the session has one of its own, and the planted one opens nothing.
    let after = cookie_of(&attempt);
    assert_ne!(after, planted);
    let session = attempt.terminal.http.jar().value(&issuer, "__Host-cs_s").unwrap().to_owned();
    assert_ne!(session, planted);
    let theirs = attacker.terminal.resume(&attacker.page).await;
    assert!(theirs.is_err());
    attacker.terminal.http.jar().plant(&issuer, "__Host-cs_s", &planted);
    assert!(attacker.terminal.resume(&attacker.page).await.is_err());
    // Even the victim's session cookie is nothing without its key.
    let (_, page) = scene.arrive(&attacker.terminal, "till", "openid").await;
    attacker.terminal.http.jar().plant(&issuer, "__Host-cs_s", &session);
    match attacker.terminal.resume(&page).await {
        Err(fault) => assert!(fault.is("no_session"), "{fault}"),
        Ok(_) => panic!("a stolen session cookie went on without its key"),
    }
    // A browser with two cookies of that name has none.
    let twice = vec![
        ("cookie", format!("__Host-cs_b={planted}; __Host-cs_b={after}")),
        ("authorization", format!("Ceremony {}", attempt.ceremony.wait_key())),
    ];
    let reply = raw.send("GET", &format!("/ceremonies/{}", attempt.ceremony.cid), &twice, vec![]).await;
    assert_eq!(reply.status, 404);
}
