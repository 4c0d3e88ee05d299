//! Somebody without a phone, on a supervisor's word: A1, A7, A11.

use super::supervised::{asking, decided, problem, rules, send, shift};
use super::terminals::{market, open, till, tokens};
use countersign_device::http::{Call, Prover};
use countersign_device::phone::Checked;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::{Attempt, Line, REDIRECT, Scene, Settings, Stage, place, until};
use countersign_wire::b64;
use countersign_wire::message::Open;
use serde_json::{Value, json};
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || {
        let more = format!(
            "access_policies = \"{}\"\n[terminals.sites.market]\nnetworks = [\"10.77.0.0/16\"]\n\
             [[clients]]\nid = \"desk-till\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"profile\", \"stock\", \"close\", \"refund\", \"void\"]\n\
             privileged_scopes = [\"close\"]\njust_in_time = [{{ scope = \"void\", roles = [\"member\"], for_s = 60, approved_by = [\"supervisor\"] }}, \
             {{ scope = \"refund\", roles = [\"member\"], for_s = 60 }}]\n\
             without_phone = {{ approved_by = [\"supervisor\"], scopes = [\"openid\", \"profile\", \"stock\"], for_s = 600 }}\n",
            rules().display()
        );
        Settings { more, ..Settings::default() }
    })
}

const ASKED: &str = "openid profile stock close refund void";

/// The terminal opens for somebody who only typed a name.
async fn without(scene: &Scene<'_>, terminal: Terminal, login: &str) -> Attempt {
    let (flow, page) = scene.arrive(&terminal, "desk-till", ASKED).await;
    let ceremony = terminal.open_as(&Open { flow: Some(page.clone()), without_phone: Some(login.to_owned()), ..Open::default() }).await.unwrap();
    Attempt { terminal, flow, page, ceremony }
}

async fn approved(attempt: &Attempt, boss: &Phone) -> Checked {
    let checked = boss.scan(&[attempt.ceremony.frame()]).await.unwrap();
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    boss.approve(&checked).await.unwrap();
    checked
}

fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&b64::decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a7_a_supervisor_lets_somebody_work_without_a_phone_for_a_while_with_less_and_both_are_recorded() {
    let scene = stage().scene().await;
    let here = market();
    let (lea, login, boss, boss_login) = shift(&scene, "Lea", &here).await;
    let (terminal, _dir, id) = till(&scene, &here, "till", Some("market")).await;
    let plate = terminal.registered.as_ref().unwrap().kept().plate.name.clone();
    let attempt = without(&scene, terminal, &login).await;
    // The supervisor reads who, where and for how long, carries digits to that very terminal, and signs.
    let checked = approved(&attempt, &boss).await;
    let said = &checked.statement;
    assert_eq!((serde_json::to_value(said.purpose).unwrap(), said.request.message.as_deref()), (json!("vouch"), Some("Lea")));
    let rows: Vec<_> = said.request.details[0].rows.iter().map(|r| (r.label.as_str(), r.value.as_str())).collect();
    assert_eq!(rows, [("Who", "Lea"), ("At", plate.as_str()), ("Minutes", "10")]);
    assert_eq!((&said.rights.scopes, said.rights.session_s), (&vec!["openid".to_owned(), "profile".to_owned(), "stock".to_owned()], 600));
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    assert_eq!((reply.name.as_str(), reply.greet), ("Lea", false));
    let given = tokens(&scene, &attempt, &reply.next.unwrap()).await.unwrap();
    assert_eq!(given.scope.as_deref(), Some("openid profile stock"));
    // It is Lea's, of a class of its own that claims nothing of what people have or know.
    let identity = claims(given.id_token.as_deref().unwrap());
    assert_eq!((&identity["acr"], &identity["amr"]), (&json!("urn:countersign:acr:vouched"), &json!(["urn:countersign:amr:vouched"])));
    let access = claims(&given.access_token);
    assert_eq!(access["acr"], "urn:countersign:acr:vouched");
    // Both see it on phones of their own, and Lea is told.
    let hers = lea.overview().await.unwrap();
    let session = hers.sessions[0].clone();
    assert_eq!((session.vouched_by.as_deref(), session.whose.as_deref(), session.terminal.as_deref()), (Some("Chefin"), None, Some(plate.as_str())));
    assert!(session.left_s <= 600 && hers.notices.iter().any(|n| n.kind == "vouched"));
    let seen = boss.overview().await.unwrap().sessions;
    assert_eq!((seen.len(), seen[0].whose.as_deref(), &seen[0].id), (1, Some("Lea"), &session.id));
    let log = scene.log().await;
    let opened = log.iter().find(|l| l.kind == "session.opened" && l.body["session"] == json!(session.id)).unwrap();
    let by = log.iter().find(|l| l.kind == "ceremony.approved" && l.body["txn"] == opened.body["txn"]).unwrap();
    assert_eq!(opened.body["facts"]["vouched_by"], by.body["person"]);
    assert_ne!(opened.body["person"], by.body["person"]);
    assert!(log.iter().any(|l| l.kind == "ceremony.opened" && l.body["facts"]["terminal"] == json!(id) && l.body["facts"]["purpose"] == "vouch"));

    // Nothing privileged, by no way: neither by asking for it on the spot, nor by the supervisor's own phone, nor as a
    // right that somebody else approves.
    let (_, page) = scene.arrive(&attempt.terminal, "desk-till", "openid refund").await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    let raising = attempt.terminal.open_as(&Open { flow: Some(page), raise: true, ..Open::default() }).await.unwrap();
    scene.refused(boss.scan(&[raising.frame()]).await, "denied").await;
    let raw = scene.raw(&here);
    let denied = decided(&raw, &session.id, None).await;
    let asked = send(&raw, "POST", "/access/v1/requests", Some(asking(&session.id, &denied, &boss_login))).await;
    assert_eq!(problem(&asked), (400, "not_requestable".to_owned()));
    // No device joins by it: neither that terminal, nor a browser that carries its session along and is approved by whoever vouched.
    scene.refused(attempt.terminal.open_enrolment("The till itself").await.map(|_| ()), "denied").await;
    let joining = scene.terminal(&here);
    *joining.http.jar() = attempt.terminal.http.jar().clone();
    let added = joining.open_enrolment("Another phone").await.unwrap();
    let shown = boss.scan(&[added.frame()]).await.unwrap();
    assert_eq!(shown.view.me.as_deref(), Some("Chefin"), "whoever vouches adds devices for nobody else");
    joining.confirm(&added, shown.digits().unwrap()).await.unwrap();
    boss.approve(&shown).await.unwrap();
    joining.redeem(&added).await.unwrap();
    let opened = scene.log_of(added.cid.as_str()).await;
    assert!(!opened.is_empty() && opened.iter().all(|l| l.body["session"].is_null()), "a session on somebody's word took part");
    assert_eq!(lea.overview().await.unwrap().devices.len(), 1);

    // The supervisor takes it back with one tap.
    assert!(scene.works(&attempt, &given).await);
    boss.end(&session.id).await.unwrap();
    assert!(!scene.works(&attempt, &given).await && boss.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn a7_nobody_vouches_for_themself_and_only_those_who_may_beside_a_registered_terminal() {
    let scene = stage().scene().await;
    let here = market();
    let (lea, login, mut boss, boss_login) = shift(&scene, "Lena", &here).await;
    let (terminal, dir, _) = till(&scene, &here, "till", Some("market")).await;
    let again = || Terminal::of(scene.http(&here), super::terminals::again_registered(&dir)).unwrap();
    let attempt = without(&scene, terminal, &boss_login).await;
    let refused = scene.refused(boss.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    assert_eq!(refused.say.as_deref(), Some("Nobody can vouch for themselves."));
    // Neither the person nor a colleague; a name that nobody has opens alike, and is told to whoever scans.
    let attempt = without(&scene, again(), &login).await;
    scene.refused(lea.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    let colleague = scene.phone("Kollege", &here).await;
    scene.refused(colleague.scan(&[attempt.ceremony.frame()]).await, "denied").await;
    let nobody = without(&scene, again(), "nobody.of.that.name").await;
    let refused = scene.refused(boss.scan(&[nobody.ceremony.frame()]).await, "denied").await;
    assert_eq!(refused.say.as_deref(), Some("Nobody here has that name."));
    // Not by a code that was typed, and not from elsewhere where nothing shows nearness.
    let attempt = without(&scene, again(), &login).await;
    scene.refused(boss.scan_code(&attempt.ceremony.user_code).await, "denied").await;
    let (anywhere, _kept, _) = till(&scene, &place(), "till", None).await;
    let far = without(&scene, anywhere, &login).await;
    scene.refused(boss.scan(&[far.ceremony.frame()]).await, "too_far").await;
    // Nor from home, by a live code that somebody films at a terminal which is at its site.
    let beside = std::mem::replace(&mut boss.http, scene.http(&place()));
    let filmed = without(&scene, again(), &login).await;
    scene.refused(boss.scan(&[filmed.ceremony.frame()]).await, "too_far").await;
    boss.http = beside;
    // Not on an unknown screen, not with a push, not at an application that takes nobody so.
    let unknown = scene.terminal(&here);
    let (_, page) = scene.arrive(&unknown, "desk-till", "openid").await;
    let sent = unknown.open_as(&Open { flow: Some(page), without_phone: Some(login.clone()), ..Open::default() }).await;
    scene.refused(sent.map(|_| ()), "malformed").await;
    let till = again();
    let (_, page) = scene.arrive(&till, "desk-till", "openid").await;
    let sent = till.open_as(&Open { flow: Some(page), without_phone: Some(login.clone()), offer: Some(boss_login.clone()), ..Open::default() }).await;
    scene.refused(sent.map(|_| ()), "malformed").await;
    let (_, page) = scene.arrive(&till, "stock", "openid").await;
    let sent = till.open_as(&Open { flow: Some(page), without_phone: Some(login.clone()), ..Open::default() }).await;
    scene.refused(sent.map(|_| ()), "denied").await;
    // What was approved is nobody else's terminal's.
    let attempt = without(&scene, again(), &login).await;
    approved(&attempt, &boss).await;
    let (other, _kept, _) = super::terminals::till(&scene, &here, "till", Some("market")).await;
    let jar = attempt.terminal.http.jar().clone();
    *other.http.jar() = jar;
    scene.refused(other.redeem(&attempt.ceremony).await.map(|_| ()), "bad_proof").await;
}

#[tokio::test]
async fn a7_what_rests_on_somebodys_word_ends_with_them_their_phone_and_their_role() {
    let scene = stage().scene().await;
    // Between approval and redemption, and while it runs.
    for running in [false, true] {
        for fall in ["person lock BOSS", "person role BOSS member", "device suspend PHONE", "signal raise person.risk_high BOSS", "person lock LOGIN", "terminal suspend TILL"] {
            let here = market();
            let (_, login, boss, boss_login) = shift(&scene, "Lotte", &here).await;
            let (terminal, _dir, id) = till(&scene, &here, "till", Some("market")).await;
            let attempt = without(&scene, terminal, &login).await;
            approved(&attempt, &boss).await;
            let command = fall.replace("BOSS", &boss_login).replace("LOGIN", &login).replace("TILL", &id).replace("PHONE", boss.kept().device_id.as_str());
            let words: Vec<&str> = command.split(' ').collect();
            if !running {
                scene.stage.command(&words).unwrap();
                let redeemed = attempt.terminal.redeem(&attempt.ceremony).await;
                assert!(redeemed.as_ref().is_err_and(|fault| fault.is("denied") || fault.is("gone")), "{fall}: {redeemed:?}");
                continue;
            }
            let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
            let given = tokens(&scene, &attempt, &reply.next.unwrap()).await.unwrap();
            assert!(scene.works(&attempt, &given).await);
            scene.stage.command(&words).unwrap();
            // By itself, before anybody uses it.
            let sid = claims(&given.access_token)["sid"].clone();
            let over = |l: &Line| l.kind == "session.ended" && l.body["session"] == sid;
            until(&format!("{fall}: the session's end"), async || scene.log().await.into_iter().find(over)).await;
            assert!(!scene.works(&attempt, &given).await, "{fall}: a token goes on");
        }
    }
}

#[tokio::test]
async fn a7_one_session_at_a_time_on_somebodys_word_and_the_persons_own_phone_makes_it_their_own() {
    let scene = stage().scene().await;
    let here = market();
    let (lea, login, boss, _) = shift(&scene, "Livia", &here).await;
    let (one, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let (two, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    let first = without(&scene, one, &login).await;
    approved(&first, &boss).await;
    let reply = first.terminal.redeem(&first.ceremony).await.unwrap();
    let given = tokens(&scene, &first, &reply.next.unwrap()).await.unwrap();
    let second = without(&scene, two, &login).await;
    approved(&second, &boss).await;
    second.terminal.redeem(&second.ceremony).await.unwrap();
    assert!(!scene.works(&first, &given).await, "at two terminals at once");
    // Her phone has power again: what she approves herself is an ordinary session.
    let (terminal, _more, _) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, terminal, "desk-till", "openid stock").await;
    let redirect = scene.sign_in(&lea, &attempt).await;
    let own = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(claims(own.id_token.as_deref().unwrap())["acr"], "urn:countersign:acr:xd2");
    let url = scene.discovery.userinfo_endpoint.clone().unwrap();
    let prover = Prover { key: attempt.terminal.tk(), body: false, token: Some(&own.access_token) };
    assert!(attempt.terminal.http.call(&Call::fetch(url).proved(prover)).await.is_ok());
}
