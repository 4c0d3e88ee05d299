//! Clients that collect by themselves: the device grant (RFC 8628), rows 9, 14, 15, 16 and 12 once more.

use super::stage;
use countersign_sim::stage::{DEVICE, Program, Reply, Scene, place};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

fn told(reply: &Reply, name: &str) -> String {
    reply.json()[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {}", reply.json())).to_owned()
}

/// A code for `client` at `place`, begun well.
async fn begun(scene: &Scene<'_>, client: &str, place: &str) -> (Program, Reply) {
    let program = Program::new(scene.raw(place), client);
    let reply = program.ask(&[("scope", "openid profile refund")]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    (program, reply)
}

fn claims(jwt: &str) -> Value {
    let part = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&countersign_wire::b64::decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_device_code_becomes_bound_tokens_once_a_person_typed_its_code_and_approved() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Fern", &here).await;
    let (program, reply) = begun(&scene, "tv", &here).await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    let (code, user_code) = (told(&reply, "device_code"), told(&reply, "user_code"));
    let issuer = scene.raw(&here).origin();
    assert_eq!(told(&reply, "verification_uri"), format!("{issuer}/code"));
    assert_eq!(told(&reply, "verification_uri_complete"), format!("{issuer}/code#{user_code}"));
    assert_eq!((reply.json()["expires_in"].as_i64(), reply.json()["interval"].as_i64()), (Some(300), Some(5)));
    assert!(code.split('.').nth(1).unwrap().len() == 43, "256 bits");
    assert_eq!(program.collect(&code).await.code(), "authorization_pending");
    let checked = phone.scan_code(&user_code).await.unwrap();
    let said = &checked.statement;
    assert_eq!((said.client.id.as_str(), said.client.name.as_str(), said.terminal.kind.as_str()), ("tv", "Client tv", "application"));
    assert_eq!(said.request.scopes, ["openid", "profile", "refund"]);
    assert_eq!(said.rights.scopes, ["openid", "profile"], "nothing privileged by this way");
    assert_eq!(said.terminal.jkt, program.key.as_ref().unwrap().public().thumbprint());
    phone.approve(&checked).await.unwrap();
    let tokens = program.collect(&code).await;
    assert_eq!(tokens.status, 200, "{}", tokens.json());
    assert_eq!((told(&tokens, "token_type"), told(&tokens, "scope")), ("DPoP".into(), "openid profile".into()));
    let access = claims(&told(&tokens, "access_token"));
    assert_eq!(access["cnf"]["jkt"], json!(program.key.as_ref().unwrap().public().thumbprint().as_str()));
    assert_eq!((access["acr"].as_str(), access["cs"]["channel"].as_str()), (Some("urn:countersign:acr:xd2"), Some("user_code")));
    assert_eq!(claims(&told(&tokens, "id_token"))["aud"], "tv");
    let renewed = program.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &told(&tokens, "refresh_token"))]).await;
    assert_eq!(renewed.status, 200, "{}", renewed.json());
    // Beside it nobody has the session: it is on the person's list and ends from there.
    let overview = phone.overview().await.unwrap();
    let [session] = &overview.sessions[..] else { panic!("{:?}", overview.sessions) };
    phone.end(&session.id).await.unwrap();
    let renewed = program.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &told(&renewed, "refresh_token"))]).await;
    assert_eq!(renewed.code(), "invalid_grant");
}

#[tokio::test]
async fn x09_no_client_gets_a_device_code_unless_it_is_registered_so() {
    let scene = stage().scene().await;
    for client in ["till", "stock", "renew", "bank", "far-bank", "far", "screen", "crowd-0"] {
        let program = Program::new(scene.raw(&place()), client);
        let reply = program.ask(&[("scope", "openid")]).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "unauthorized_client"), "{client}");
        assert_eq!(program.collect("00000000-0000-7000-8000-000000000000.A").await.code(), "unauthorized_client", "{client}");
    }
    for client in ["office", "watch", "ledger", "desk"] {
        let program = Program::new(scene.raw(&place()), client).with_secret();
        assert_eq!(program.ask(&[]).await.code(), "unauthorized_client", "{client}");
        // Without its secret nobody even learns that.
        assert_eq!(Program::new(scene.raw(&place()), client).ask(&[]).await.code(), "invalid_client", "{client}");
    }
    let nobody = Program::new(scene.raw(&place()), "nobody").ask(&[]).await;
    assert_eq!(nobody.code(), "invalid_client");
}

#[tokio::test]
async fn x09_a_code_sent_to_somebody_far_away_is_refused_and_opens_nothing_privileged_where_it_is_not() {
    let scene = stage().scene().await;
    // B2: a typed code and a threat; B1: a code that was mailed.
    let (program, reply) = begun(&scene, "tv", &place()).await;
    let phone = scene.phone("Weit", &place()).await;
    scene.refused(phone.scan_code(&told(&reply, "user_code")).await, "too_far").await;
    assert_eq!(program.collect(&told(&reply, "device_code")).await.code(), "authorization_pending");
    // Where a client opted for it: nothing privileged, and the digest of mitigations says what was not met.
    let (program, reply) = begun(&scene, "far-tv", &place()).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    assert!(checked.statement.near.is_empty() && checked.statement.rights.scopes == ["openid", "profile"]);
    phone.approve(&checked).await.unwrap();
    let tokens = program.collect(&told(&reply, "device_code")).await;
    assert_eq!(told(&tokens, "scope"), "openid profile");
    let story = phone.story(&checked.statement.cid).await.unwrap();
    let not: Vec<_> = story.verdicts.iter().filter(|v| v["verdict"] == "not").map(|v| v["n"].as_i64().unwrap()).collect();
    assert!(not.contains(&1) && not.contains(&16), "{not:?}");
}

#[tokio::test]
async fn x14_a_device_code_serves_its_client_its_key_and_its_grant_alone() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Vertauscht", &here).await;
    let (program, reply) = begun(&scene, "tv", &here).await;
    let code = told(&reply, "device_code");
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let (id, secret) = code.split_once('.').unwrap();
    let wrong = format!("{id}.{}", "A".repeat(43));
    let other = Program::new(scene.raw(&here), "tv");
    let stranger = Program { key: program.key.as_ref().map(|_| countersign_device::SoftwareKey::generate().unwrap()), ..Program::new(scene.raw(&here), "other-tv") };
    for (what, reply) in [
        ("another client", stranger.collect(&code).await),
        ("another key of the same client", other.collect(&code).await),
        ("another secret", program.collect(&wrong).await),
        ("only the secret", program.collect(secret).await),
        ("only the name", program.collect(id).await),
        ("the user code", program.collect(&told(&reply, "user_code")).await),
        ("as a code", program.post("/token", &[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "http://127.0.0.1/cb")]).await),
        ("as a refresh token", program.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &code)]).await),
    ] {
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_grant"), "{what}: {}", reply.json());
    }
    let bare = Program::new(scene.raw(&here), "tv").without_key();
    assert_eq!(bare.collect(&code).await.code(), "invalid_dpop_proof");
    assert_eq!(bare.ask(&[]).await.code(), "invalid_dpop_proof");
    // None of that used it up or ended it.
    assert_eq!(program.collect(&code).await.status, 200);
    // One that authenticates does so at both doors.
    let cabinet = Program::new(scene.raw(&here), "cabinet").with_secret();
    let reply = cabinet.ask(&[("scope", "openid")]).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let bare = Program { secret: false, key: None, ..Program::new(scene.raw(&here), "cabinet") };
    assert_eq!(bare.collect(&told(&reply, "device_code")).await.code(), "invalid_client");
    assert_eq!(cabinet.collect(&told(&reply, "device_code")).await.status, 200);
}

#[tokio::test]
async fn x02_a_device_code_that_comes_again_is_refused_at_once_and_later_takes_back_what_it_gave() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Doppelt", &here).await;
    let (program, reply) = begun(&scene, "tv", &here).await;
    let code = told(&reply, "device_code");
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.approve(&checked).await.unwrap();
    // Twenty at once: one wins.
    let program = Arc::new(program);
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let (program, code) = (program.clone(), code.clone());
        all.spawn(async move { program.collect(&code).await });
    }
    let all = all.join_all().await;
    let won: Vec<_> = all.iter().filter(|r| r.status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", all.iter().map(Reply::code).collect::<Vec<_>>());
    assert!(all.iter().all(|r| r.status == 200 || r.code() == "invalid_grant"));
    let refresh = told(won[0], "refresh_token");
    let renew = async |token: &str| program.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    let renewed = renew(&refresh).await;
    assert_eq!(renewed.status, 200, "a lost answer that is asked for again does no harm");
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    assert_eq!(program.collect(&code).await.code(), "invalid_grant");
    assert_eq!(renew(&told(&renewed, "refresh_token")).await.code(), "invalid_grant");
    assert!(scene.log_of(checked.statement.cid.as_str()).await.iter().any(|l| l.kind == "ceremony.revoked"));
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_so_and_one_that_is_refused_hears_that() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Nein", &here).await;
    let (program, reply) = begun(&scene, "tv", &here).await;
    let code = told(&reply, "device_code");
    let heard = |reply: Reply| (reply.status, reply.code());
    assert_eq!(heard(program.collect(&code).await), (400, "authorization_pending".into()));
    assert_eq!(heard(program.collect(&code).await), (400, "slow_down".into()));
    let before = scene.log_of(code.split('.').next().unwrap()).await.len();
    assert_eq!(heard(program.collect(&code).await), (400, "slow_down".into()));
    assert_eq!(scene.log_of(code.split('.').next().unwrap()).await.len(), before, "waiting fills no log");
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.refuse(&checked).await.unwrap();
    assert_eq!(heard(program.collect(&code).await), (400, "access_denied".into()));
    // "Not me": this client may not ask this person from this place for a while.
    let (program, reply) = begun(&scene, "tv", &here).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.not_me(&checked).await.unwrap();
    assert_eq!(program.collect(&told(&reply, "device_code")).await.code(), "access_denied");
    let (_, reply) = begun(&scene, "tv", &here).await;
    scene.refused(phone.scan_code(&told(&reply, "user_code")).await, "denied").await;
}

#[tokio::test]
async fn x15_what_was_asked_for_a_device_code_changes_no_more() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Fest", &here).await;
    let payment = json!([{"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"}]);
    let program = Program::new(scene.raw(&here), "tv");
    let reply = program.ask(&[("scope", "openid"), ("authorization_details", &payment.to_string())]).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    assert_eq!(checked.statement.request.details[0].asked, payment[0]);
    phone.approve(&checked).await.unwrap();
    let code = told(&reply, "device_code");
    let more = [("grant_type", DEVICE), ("device_code", &code), ("scope", "openid profile refund"), ("authorization_details", "[]")];
    let elsewhere = [("grant_type", DEVICE), ("device_code", &code), ("resource", "https://evil.example")];
    assert_eq!(program.post("/token", &elsewhere).await.code(), "invalid_target");
    let tokens = program.post("/token", &more).await;
    assert_eq!(told(&tokens, "scope"), "openid");
    assert_eq!(claims(&told(&tokens, "access_token"))["authorization_details"], payment);
    // What cannot be asked for is refused before there is a code.
    for (pairs, error) in [
        (vec![("authorization_details", "[{\"type\":\"loan\"}]")], "invalid_authorization_details"),
        (vec![("scope", "\"")], "invalid_scope"),
        (vec![("acr_values", "phr")], "unmet_authentication_requirements"),
        (vec![("acr_values", "urn:countersign:acr:xd2-push")], "unmet_authentication_requirements"),
        (vec![("acr_values", "gold")], "unmet_authentication_requirements"),
        (vec![("request", "e30.e30.e30")], "invalid_request"),
    ] {
        let reply = Program::new(scene.raw(&place()), "tv").ask(&pairs).await;
        assert_eq!(reply.code(), error, "{pairs:?}");
    }
}

#[tokio::test]
async fn x09_without_a_key_a_client_collects_only_where_it_is_registered_so_and_then_little() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Lose", &here).await;
    let loose = Program::new(scene.raw(&here), "loose-tv").without_key();
    let reply = loose.ask(&[("scope", "openid profile refund")]).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile"]);
    phone.approve(&checked).await.unwrap();
    let tokens = loose.collect(&told(&reply, "device_code")).await;
    assert_eq!((told(&tokens, "token_type"), tokens.json()["expires_in"].as_i64()), ("Bearer".into(), Some(60)));
    let story = phone.story(&checked.statement.cid).await.unwrap();
    assert!(story.verdicts.iter().any(|v| v["n"] == 12 && v["verdict"] == "not" && v["because"] == "bound_to_nothing"));
    let opened = scene.log_of(checked.statement.cid.as_str()).await.into_iter().find(|l| l.kind == "ceremony.opened").unwrap();
    assert_eq!(opened.body["facts"]["collector"], "client_only");
    // Nothing with details is approved for it.
    let payment = json!([{"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"}]).to_string();
    let reply = loose.ask(&[("authorization_details", &payment)]).await;
    scene.refused(phone.scan_code(&told(&reply, "user_code")).await, "denied").await;
    // Begun with a key, it is collected with that key, whatever the client may otherwise.
    let keyed = Program::new(scene.raw(&here), "loose-tv");
    let reply = keyed.ask(&[("scope", "openid")]).await;
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.approve(&checked).await.unwrap();
    assert_eq!(loose.collect(&told(&reply, "device_code")).await.code(), "invalid_grant");
    assert_eq!(told(&keyed.collect(&told(&reply, "device_code")).await, "token_type"), "DPoP");
}

#[tokio::test]
async fn x16_the_address_with_a_code_in_it_does_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Link", &here).await;
    let (program, reply) = begun(&scene, "tv", &here).await;
    let raw = scene.raw(&here);
    let (code, user_code) = (told(&reply, "device_code"), told(&reply, "user_code"));
    for path in ["/code".to_owned(), format!("/code?user_code={user_code}"), format!("/code?code={user_code}&approve=1")] {
        assert_eq!(raw.send("GET", &path, &[], vec![]).await.status, 200);
    }
    assert_eq!(raw.send("POST", "/code", &[], format!("user_code={user_code}").into_bytes()).await.status, 405);
    assert_eq!(raw.send("GET", &format!("/device_authorization?client_id=tv&user_code={user_code}"), &[], vec![]).await.status, 405);
    assert_eq!(program.collect(&code).await.code(), "authorization_pending");
    // A ceremony that a client collects is nobody's screen: neither watched, nor ended, nor redeemed from one.
    let id = code.split('.').next().unwrap();
    let secret = code.split('.').nth(1).unwrap();
    for (method, path) in [("GET", format!("/ceremonies/{id}")), ("POST", format!("/ceremonies/{id}/abandon")), ("POST", format!("/ceremonies/{id}/confirm"))] {
        let headers = [("authorization", format!("Ceremony {}", "A".repeat(43))), ("ceremony-collector", secret.to_owned()), ("content-type", "application/json".into())];
        assert_eq!(raw.send(method, &path, &headers, b"{\"digits\":\"1234\"}".to_vec()).await.status, 404, "{path}");
    }
    // And where it is switched off, there is no such address.
    let (_, reply) = begun(&scene, "other-tv", &here).await;
    assert!(reply.json().get("verification_uri_complete").is_none());
    let checked = phone.scan_code(&told(&reply, "user_code")).await.unwrap();
    phone.refuse(&checked).await.unwrap();
}
