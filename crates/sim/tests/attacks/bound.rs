//! Row 25 again, with a whole profile that somebody copied: cookies and the terminal's key. The browser here speaks Device
//! Bound Session Credentials by hand, as the draft of 17 February 2026 has it.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Attempt, Raw, Reply, Scene, place};
use countersign_wire::jose::jws;
use serde_json::{Value, json};

const COOKIE: &str = "__Host-cs_d";

/// A browser with a key in its hardware, on one screen.
struct Browser {
    attempt: Attempt,
    raw: Raw,
    key: SoftwareKey,
    /// The session, by the name that the server gave it.
    id: String,
}

fn proof(key: &SoftwareKey, challenge: &str, registers: bool) -> String {
    let Value::Object(mut header) = json!({"typ": "dbsc+jwt"}) else { unreachable!() };
    if registers {
        header.insert("jwk".into(), Value::Object(key.public().members()));
    }
    jws::encode(header, json!({"jti": challenge}).to_string().as_bytes(), key).unwrap()
}

fn cookies(attempt: &Attempt) -> String {
    attempt.terminal.http.jar().header(attempt.terminal.issuer()).unwrap()
}

/// Keeps what an answer sets, as a browser does.
fn keep(attempt: &Attempt, reply: &Reply) {
    for line in reply.headers.get_all("set-cookie") {
        attempt.terminal.http.jar().take(attempt.terminal.issuer(), line.to_str().unwrap());
    }
}

fn quoted<'a>(header: &'a str, name: &str) -> &'a str {
    header.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap()
}

/// Redeems what was approved, with an eye on the headers; what the answer offers.
async fn redeem(raw: &Raw, attempt: &Attempt) -> String {
    let path = format!("/ceremonies/{}/redeem", attempt.ceremony.cid);
    let nonce = raw.nonce().await;
    let dpop = raw.proof(&attempt.terminal.key, "POST", &path, b"", |claims| claims.nonce = Some(nonce));
    let wait = format!("Ceremony {}", attempt.ceremony.wait_key());
    let headers = [("cookie", cookies(attempt)), ("authorization", wait), ("origin", raw.origin()), ("dpop", dpop)];
    let reply = raw.send("POST", &path, &headers, vec![]).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    keep(attempt, &reply);
    if reply.json()["next"].is_null() {
        attempt.terminal.proceed(&attempt.ceremony).await.unwrap();
    }
    reply.headers["secure-session-registration"].to_str().unwrap().to_owned()
}

async fn register(raw: &Raw, cookies: &str, key: &SoftwareKey, offer: &str) -> Reply {
    let text = proof(key, quoted(offer, "challenge"), true);
    let headers = [("cookie", cookies.to_owned()), ("secure-session-response", format!("\"{text}\""))];
    raw.send("POST", quoted(offer, "path"), &headers, vec![]).await
}

async fn refresh(raw: &Raw, cookies: &str, id: &str, signed: Option<String>) -> Reply {
    let mut headers = vec![("cookie", cookies.to_owned()), ("sec-secure-session-id", format!("\"{id}\""))];
    headers.extend(signed.map(|text| ("secure-session-response", format!("\"{text}\""))));
    raw.send("POST", "/session/bound/refresh", &headers, vec![]).await
}

/// The challenge of an answer that asks for a proof.
fn challenge(reply: &Reply) -> String {
    assert_eq!(reply.status, 403, "{}", String::from_utf8_lossy(&reply.body));
    let header = reply.headers["secure-session-challenge"].to_str().unwrap();
    header.split('"').nth(1).unwrap().to_owned()
}

/// Signs in at `place`, and binds the session as a browser with DBSC does of itself; with what was offered.
async fn bound(scene: &Scene<'_>, phone: &countersign_device::Phone, place: &str) -> (Browser, String) {
    let attempt = scene.open_till(place).await;
    scene.approve(phone, &attempt).await;
    let (raw, key) = (scene.raw(place), SoftwareKey::generate().unwrap());
    let offer = redeem(&raw, &attempt).await;
    assert!(offer.starts_with("(ES256 RS256);path=\"/session/bound\";challenge=\""), "{offer}");
    let reply = register(&raw, &cookies(&attempt), &key, &offer).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    keep(&attempt, &reply);
    let told = reply.json();
    let id = told["session_identifier"].as_str().unwrap().to_owned();
    assert_eq!(told["refresh_url"], "/session/bound/refresh");
    assert_eq!(told["scope"]["origin"], raw.origin());
    assert_eq!(told["credentials"], json!([{"type": "cookie", "name": COOKIE, "attributes": "Path=/; Secure; HttpOnly; SameSite=Lax"}]));
    let set = reply.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).find(|v| v.starts_with(COOKIE)).unwrap();
    assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{set}");
    (Browser { attempt, raw, key, id }, offer)
}

impl Browser {
    fn forgets_its_bound_cookie(&self) {
        let issuer = self.attempt.terminal.issuer().clone();
        self.attempt.terminal.http.jar().take(&issuer, &format!("{COOKIE}=; Path=/; Secure; Max-Age=0"));
        assert!(self.attempt.terminal.http.jar().value(&issuer, COOKIE).is_none());
    }

    /// What a browser does when the cookie is over and something wants to be sent.
    async fn refreshes(&self) -> Reply {
        let asked = refresh(&self.raw, &cookies(&self.attempt), &self.id, None).await;
        if asked.status != 403 {
            return asked;
        }
        let reply = refresh(&self.raw, &cookies(&self.attempt), &self.id, Some(proof(&self.key, &challenge(&asked), false))).await;
        keep(&self.attempt, &reply);
        reply
    }

    async fn resumes(&self, scene: &Scene<'_>) -> Result<(), countersign_device::Fault> {
        let (_, page) = scene.arrive(&self.attempt.terminal, "till", "openid").await;
        self.attempt.terminal.resume(&page).await.map(|_| ())
    }
}

async fn is_refused(scene: &Scene<'_>, reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{}", String::from_utf8_lossy(&reply.body));
    assert!(!reply.headers.contains_key("secure-session-challenge") && !reply.headers.contains_key("set-cookie"));
    if code != "no_session" {
        scene.recorded(reply.json()["ref"].as_str().unwrap(), code).await;
    }
}

#[tokio::test]
async fn x25_a_copied_profile_is_worth_nothing_once_its_bound_cookie_is_over() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Profil", &here).await;
    let (browser, offer) = bound(&scene, &phone, &here).await;
    browser.resumes(&scene).await.unwrap();
    // A copy of everything that the profile holds, ten minutes later: every cookie but the one that is over, and the key.
    let issuer = &scene.stage.issuer;
    let mut thief = scene.terminal(&here);
    thief.key = SoftwareKey::from_pkcs8(browser.attempt.terminal.key.pkcs8().expose()).unwrap();
    for name in ["__Host-cs_b", "__Host-cs_s"] {
        let value = browser.attempt.terminal.http.jar().value(issuer, name).unwrap().to_owned();
        thief.http.jar().plant(issuer, name, &value);
    }
    let (_, page) = scene.arrive(&thief, "till", "openid").await;
    scene.refused(thief.resume(&page).await, "bad_proof").await;
    scene.refused(thief.beat(true).await, "bad_proof").await;
    // Nor with a made-up cookie, nor with one that another session got.
    let (other, _) = bound(&scene, &phone, &here).await;
    let theirs = other.attempt.terminal.http.jar().value(issuer, COOKIE).unwrap().to_owned();
    for value in ["A".repeat(43), theirs, "x".to_owned()] {
        thief.http.jar().plant(issuer, COOKIE, &value);
        scene.refused(thief.resume(&page).await, "bad_proof").await;
    }
    // What cookies alone showed before, they show no more: no name, no standing.
    let stolen = thief.http.jar().header(issuer).unwrap();
    let shown = browser.raw.send("GET", "/session", &[("cookie", stolen.clone())], vec![]).await;
    assert!(!String::from_utf8(shown.body).unwrap().contains("Profil"));
    assert_eq!(browser.raw.send("GET", "/session/watch", &[("cookie", stolen.clone())], vec![]).await.code(), "no_session");
    // Another cookie needs the hardware. What the copy can sign with is not it, and the session is bound once.
    let asked = challenge(&refresh(&browser.raw, &stolen, &browser.id, None).await);
    for key in [&SoftwareKey::generate().unwrap(), &thief.key] {
        is_refused(&scene, &refresh(&browser.raw, &stolen, &browser.id, Some(proof(key, &asked, false))).await, 401, "bad_proof").await;
        is_refused(&scene, &refresh(&browser.raw, &stolen, &browser.id, Some(proof(key, &asked, true))).await, 401, "bad_proof").await;
        is_refused(&scene, &register(&browser.raw, &stolen, key, &offer).await, 401, "bad_proof").await;
        is_refused(&scene, &register(&browser.raw, &stolen, key, &format!("path=\"/session/bound\";challenge=\"{asked}\"")).await, 401, "bad_proof").await;
        let id = key.public().thumbprint();
        is_refused(&scene, &refresh(&browser.raw, &stolen, id.as_str(), Some(proof(key, &asked, false))).await, 401, "no_session").await;
    }
    // What the hardware signs for another session, or signed before, serves nobody here.
    let foreign = challenge(&refresh(&other.raw, &cookies(&other.attempt), &other.id, None).await);
    challenge(&refresh(&browser.raw, &stolen, &browser.id, Some(proof(&browser.key, &foreign, false))).await);
    let signed = proof(&browser.key, &asked, false);
    assert_eq!(refresh(&browser.raw, &cookies(&browser.attempt), &browser.id, Some(signed.clone())).await.status, 200);
    challenge(&refresh(&browser.raw, &stolen, &browser.id, Some(signed)).await);
    // The browser itself goes on, with another cookie; and it need not have one to sign out.
    browser.forgets_its_bound_cookie();
    scene.refused(browser.resumes(&scene).await, "bad_proof").await;
    let reply = browser.refreshes().await;
    assert_eq!((reply.status, &reply.json()["session_identifier"]), (200, &json!(browser.id)));
    browser.resumes(&scene).await.unwrap();
    browser.forgets_its_bound_cookie();
    browser.attempt.terminal.end_session().await.unwrap();
    is_refused(&scene, &refresh(&browser.raw, &stolen, &browser.id, None).await, 401, "no_session").await;
}

#[tokio::test]
async fn x25_where_trust_has_fallen_there_is_nothing_to_sign() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Faellt", &here).await;
    let (browser, _) = bound(&scene, &phone, &here).await;
    let id = phone.kept().device_id.to_string();
    assert_eq!(browser.refreshes().await.status, 200);
    let asked = challenge(&refresh(&browser.raw, &cookies(&browser.attempt), &browser.id, None).await);
    // While its phone breaks the rules there is no challenge, and one from before is not taken. The browser keeps its key.
    scene.stage.command(&["signal", "raise", "device.noncompliant", &id]).unwrap();
    is_refused(&scene, &browser.refreshes().await, 503, "locked").await;
    let early = proof(&browser.key, &asked, false);
    is_refused(&scene, &refresh(&browser.raw, &cookies(&browser.attempt), &browser.id, Some(early)).await, 503, "locked").await;
    scene.stage.command(&["signal", "clear", "device.noncompliant", &id]).unwrap();
    assert_eq!(browser.refreshes().await.status, 200);
    // Once it is revoked, the browser hears that its binding is over.
    scene.stage.command(&["device", "revoke", &id]).unwrap();
    is_refused(&scene, &browser.refreshes().await, 401, "no_session").await;
}

#[tokio::test]
async fn x25_a_session_that_is_raised_is_bound_anew() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Steigt", &here).await;
    let (browser, old) = bound(&scene, &phone, &here).await;
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    scene.stage.command(&["signal", "raise", "session.network_changed", &session]).unwrap();
    assert!(browser.resumes(&scene).await.is_err_and(|fault| fault.is("step_up")));
    // To be raised it must show that it is this browser's, so it gets its cookie meanwhile.
    browser.forgets_its_bound_cookie();
    assert_eq!(browser.refreshes().await.status, 200);
    let Browser { attempt, raw, key, id } = browser;
    let (flow, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
    let ceremony = attempt.terminal.open(&page).await.unwrap();
    let attempt = Attempt { flow, page, ceremony, ..attempt };
    scene.approve(&phone, &attempt).await;
    let offer = redeem(&raw, &attempt).await;
    assert_eq!(phone.overview().await.unwrap().sessions[0].id, session, "raised, not another");
    // The former key is worth nothing any more, nor is what was offered before.
    is_refused(&scene, &refresh(&raw, &cookies(&attempt), &id, None).await, 401, "no_session").await;
    let fresh = SoftwareKey::generate().unwrap();
    let reply = register(&raw, &cookies(&attempt), &fresh, &offer).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    // Whoever did not hear the answer asks again; another key is too late.
    assert_eq!(register(&raw, &cookies(&attempt), &fresh, &offer).await.status, 200);
    for offer in [&offer, &old] {
        is_refused(&scene, &register(&raw, &cookies(&attempt), &key, offer).await, 401, "bad_proof").await;
    }
    keep(&attempt, &reply);
    let browser = Browser { attempt, raw, key: fresh, id: reply.json()["session_identifier"].as_str().unwrap().to_owned() };
    browser.resumes(&scene).await.unwrap();
    let log = scene.log().await;
    let lines: Vec<_> = log.iter().filter(|l| l.body["session"] == session.as_str() && l.kind == "session.bound").collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].body["facts"]["key"], browser.id.as_str());
}
