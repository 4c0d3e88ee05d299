//! What an approval opens, and what it does not: A1, A3, A6, A7, A11, Q8.

use super::stage;
use countersign_device::phone::Checked;
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, SoftwareKey, Terminal};
use countersign_sim::stage::{Attempt, place};
use countersign_wire::message::Open;
use serde_json::json;

/// An authorization URL of the till with something changed.
async fn ask(scene: &countersign_sim::stage::Scene<'_>, terminal: &Terminal, client: &str, more: &[(&str, &str)]) -> (countersign_device::oidc::CodeFlow, Result<Arrival, Fault>) {
    let flow = countersign_device::oidc::CodeFlow::new(client, countersign_sim::stage::REDIRECT, "openid").unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().extend_pairs(more);
    (flow, terminal.arrive(&url).await)
}

#[tokio::test]
async fn a1_a_till_gets_its_rights_from_a_phone_and_only_for_minutes() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Associate", &here).await;
    let attempt = scene.open("till", "openid refund", &here).await;
    // Before the approval there is nothing.
    assert!(attempt.terminal.redeem(&attempt.ceremony).await.is_err_and(|fault| fault.is("pending")));
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid refund"));
    assert!(tokens.expires_in.is_some_and(|s| s <= 300), "minutes, not hours");
    assert!(tokens.refresh_token.is_none());
    // In this session only: another screen of the same person has its own approval to get.
    let other = scene.open("till", "openid", &here).await;
    let redirect = scene.sign_in(&phone, &other).await;
    assert_eq!(scene.tokens(&other, &redirect).await.unwrap().scope.as_deref(), Some("openid"));
    // The token is the terminal's: another key cannot use it, and it ends with the session.
    let thief = Attempt { terminal: scene.terminal(&here), ..scene.open_till(&here).await };
    assert!(!scene.works(&thief, &tokens).await);
    assert!(scene.works(&attempt, &tokens).await);
    phone.end_all().await.unwrap();
    assert!(!scene.works(&attempt, &tokens).await, "a right outlived its session");
}

#[tokio::test]
async fn a3_a_borrowed_screen_gets_a_short_session_for_one_client() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Contractor", &here).await;
    // A phone that is not enrolled is nobody.
    let attempt = scene.open_till(&here).await;
    let raw = scene.raw(&here);
    let body = serde_json::json!({"frames": [attempt.ceremony.frame().text()]});
    let heard = raw.proved(&SoftwareKey::generate().unwrap(), "/device/scans", &body, None).await;
    assert_eq!((heard.status, heard.code().as_str()), (401, "bad_proof"));
    scene.recorded(heard.json()["ref"].as_str().unwrap(), "bad_proof").await;

    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let session = phone.overview().await.unwrap().sessions.remove(0);
    assert!(session.until - session.opened_at <= 3_600, "a borrowed screen is not home");
    // It serves that client and no other: no single sign-on from a screen nobody knows.
    let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
    assert!(attempt.terminal.resume(&page).await.is_ok());
    let (_, page) = scene.arrive(&attempt.terminal, "stock", "openid").await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("no_session")));
    // Privileged scopes on a screen that is far: policy forbids them, whatever the client asks.
    let far = scene.open("far", "openid refund", &place()).await;
    let checked = phone.scan(&[far.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.statement.rights.scopes, ["openid"]);

    // Signed out, nothing is left: no cookie, no session, no working token.
    attempt.terminal.end_session().await.unwrap();
    let jar = attempt.terminal.http.jar().clone();
    for name in ["__Host-cs_b", "__Host-cs_s"] {
        assert!(jar.value(&scene.stage.issuer, name).is_none_or(str::is_empty), "{name} is left");
    }
    assert!(phone.overview().await.unwrap().sessions.is_empty());
    assert!(!scene.works(&attempt, &tokens).await);
    let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("no_session")));
}

#[tokio::test]
async fn a6_a_client_gets_nothing_beyond_its_boundary() {
    let scene = stage().scene().await;
    let here = place();
    let terminal = scene.terminal(&here);
    // A client that may have sessions asks for a code.
    let (flow, arrival) = ask(&scene, &terminal, "screen", &[]).await;
    match arrival {
        Ok(Arrival::Away(url)) => {
            let heard = flow.code(&scene.discovery, &url);
            assert!(heard.is_err_and(|fault| fault.is("unauthorized_client")), "{url}");
        }
        Ok(Arrival::Flow(_)) => panic!("a client without tokens was let in"),
        Err(fault) => assert!(matches!(fault, Fault::Refused(_)), "{fault}"),
    }
    // Every statement says what an approval is worth.
    let phone = scene.phone("Grenze", &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(serde_json::to_value(checked.statement.boundary).unwrap(), "tokens");
}

#[tokio::test]
async fn a7_what_was_shown_is_what_is_granted() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Genau", &here).await;
    let attempt = scene.open("till", "openid profile", &here).await;
    let checked = scene.approve(&phone, &attempt).await;
    assert_eq!(checked.statement.request.scopes, ["openid", "profile"]);
    assert_eq!(checked.statement.client.id.as_str(), "till");
    assert_eq!(checked.statement.client.redirect_host, "127.0.0.1");
    assert_eq!(checked.statement.terminal.jkt, attempt.terminal.key.public().thumbprint());
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    // At the end, nothing can be asked for beside it.
    let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
    let other = countersign_device::oidc::CodeFlow::new("stock", countersign_sim::stage::REDIRECT, "openid refund").unwrap();
    let stolen = other.exchange(&attempt.terminal.http, &scene.discovery, &attempt.terminal.key, &code).await;
    assert!(stolen.is_err_and(|fault| fault.is("invalid_grant")));
    // A statement that the phone did not get cannot be signed for: the digest is part of the decision.
    let second = scene.open("till", "openid refund", &here).await;
    let shown = scene.confirm(&phone, &second).await;
    let mut altered = shown.clone();
    altered.sd[0] ^= 1;
    let verb = countersign_wire::approval::Verb::Approve;
    let assertion = phone.assert(&shown.ask()).unwrap();
    let body = phone.signed(&shown.statement.cid, &altered.sd, verb, Some(assertion)).unwrap();
    scene.refused(phone.decide(&shown.statement.cid, &body).await, "bad_proof").await;
}

#[tokio::test]
async fn a11_a_class_that_was_not_earned_is_an_error() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Ehrlich", &here).await;
    // Asked for phishing resistance, a code on a screen cannot give it, and says so.
    let terminal = scene.terminal(&here);
    let (_, arrival) = ask(&scene, &terminal, "till", &[("acr_values", "phr")]).await;
    let Ok(Arrival::Flow(page)) = arrival else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    let heard = async {
        let checked: Checked = phone.scan(&[ceremony.frame()]).await?;
        terminal.confirm(&ceremony, checked.digits().unwrap()).await?;
        phone.approve(&checked).await?;
        terminal.redeem(&ceremony).await
    }
    .await;
    scene.refused(heard.map(|_| ()), "denied").await;
    assert!(!scene.log_of(ceremony.cid.as_str()).await.iter().any(|l| l.kind == "session.opened"));
    // What is given names what was earned.
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let keys = countersign_device::oidc::Jwks::fetch(&attempt.terminal.http, &scene.discovery).await.unwrap();
    let issuer = scene.discovery.issuer.clone();
    let now = countersign_device::machine::now();
    let claims = keys.id_token(&tokens.id_token.unwrap(), &issuer, "till", &attempt.flow.nonce, now).unwrap();
    assert_eq!(claims.acr.as_deref(), Some("urn:countersign:acr:xd2"));
    assert!(claims.amr.contains(&"mca".to_owned()) && !claims.amr.contains(&"hwk".to_owned()), "{:?}", claims.amr);
}

#[tokio::test]
async fn q8_privileged_scopes_pass_policy_one_by_one() {
    let scene = stage().scene().await;
    let here = place();
    let (link, login) = scene.invitation("Hochrisiko").await;
    let mut phone = countersign_device::Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    // Near, by a live code: granted, and shown before the approval.
    let attempt = scene.open("till", "openid profile refund", &here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile", "refund"]);
    // Each check that is missing stops the token: digits, passkey, user verification, approval.
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    assert!(attempt.terminal.redeem(&attempt.ceremony).await.is_err_and(|fault| fault.is("pending")));
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    let verb = countersign_wire::approval::Verb::Approve;
    let bare = phone.signed(&checked.statement.cid, &checked.sd, verb, None).unwrap();
    scene.refused(phone.decide(&checked.statement.cid, &bare).await, "bad_proof").await;
    let flags = std::mem::replace(&mut phone.passkey.flags, countersign_device::passkey::flag::UP);
    scene.refused(phone.approve(&checked).await, "bad_proof").await;
    phone.passkey.flags = flags | countersign_device::passkey::flag::BE | countersign_device::passkey::flag::BS;
    scene.refused(phone.approve(&checked).await, "bad_proof").await;
    phone.passkey.flags = flags;
    phone.approve(&checked).await.unwrap();
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid profile refund"));
    // By push, and from afar: the ordinary scopes stay, the privileged one is cut, and it is logged.
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid refund").await;
    let open = Open { flow: Some(page), offer: Some(login), ..Open::default() };
    let ceremony = terminal.open_as(&open).await.unwrap();
    assert_eq!(phone.take(&ceremony.cid).await.unwrap().statement.rights.scopes, ["openid"]);
    let far = scene.open("far", "openid refund", &place()).await;
    assert_eq!(phone.scan(&[far.ceremony.frame()]).await.unwrap().statement.rights.scopes, ["openid"]);
    for (cid, cut) in [(&attempt.ceremony.cid, json!([])), (&ceremony.cid, json!(["refund"])), (&far.ceremony.cid, json!(["refund"]))] {
        let log = scene.log_of(cid.as_str()).await;
        let facts = &log.iter().find(|l| l.kind == "ceremony.scanned").unwrap().body["facts"];
        assert_eq!(facts["cut"], cut);
        assert!(facts["policies"].as_array().is_some_and(|rules| !rules.is_empty()), "{facts}");
    }
}
