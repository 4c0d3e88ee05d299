//! Somebody's word, attacked: who could not go on does not begin, nobody begins twice, and nobody learns names; and what
//! else stops or begins by the wrong fact.

use super::stepup::passkey;
use super::supervised::{asking, decided, send, supervisor};
use super::terminals::{market, till};
use countersign_device::terminal::Ceremony;
use countersign_device::{Phone, Terminal};
use countersign_sim::stage::{REDIRECT, Scene, Settings, Stage, place};
use countersign_store::Query;
use countersign_wire::message::Open;
use serde_json::json;
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// Beside the shipped rules: what may not begin at one application.
const RULES: &str = r#"
@id("nobody-without-a-phone-there")
forbid (principal, action == Action::"open", resource == Client::"strict-till")
when { context.vouched };

@id("nothing-is-raised-there")
forbid (principal, action == Action::"open", resource == Client::"strict-till")
when { context.purpose == "step-up" };
"#;

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || {
        let dir = tempfile::tempdir().unwrap().keep();
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let shipped = concat!(
            include_str!("../../../../policies/ceremony.cedar"),
            include_str!("../../../../policies/trust.cedar"),
            include_str!("../../../../policies/workload.cedar")
        );
        let rules = write("rules.cedar", &format!("{shipped}{RULES}"));
        std::fs::create_dir(dir.join("access")).unwrap();
        write("access/shop.cedarschema", "action \"void\" appliesTo { principal: [session], resource: [client] };");
        write(
            "access/shop.cedar",
            "@id(\"void-by-supervisors\") @code(\"approval_required\") @request(\"supervisor\") @request_right(\"void\")\n\
             forbid (principal is session, action == Action::\"void\", resource is client) unless { principal.live.scopes.contains(\"void\") };",
        );
        let till = |id: &str| {
            format!(
                "[[clients]]\nid = \"{id}\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"profile\", \"stock\", \"close\", \"void\"]\n\
                 privileged_scopes = [\"close\"]\njust_in_time = [{{ scope = \"void\", roles = [\"member\"], for_s = 60, approved_by = [\"supervisor\"] }}]\n\
                 without_phone = {{ approved_by = [\"supervisor\"], scopes = [\"openid\", \"profile\", \"stock\"], for_s = 600 }}\n"
            )
        };
        let more = format!(
            "policies = \"{rules}\"\naccess_policies = \"{}\"\n[terminals.sites.market]\nnetworks = [\"10.77.0.0/16\"]\n\
             [terminals.classes.till.kiosk]\nclient = \"desk-till\"\nscopes = [\"openid\", \"profile\"]\nstart = \"http://127.0.0.1/\"\n{}{}",
            dir.join("access").display(),
            till("desk-till"),
            till("strict-till")
        );
        Settings { more, ..Settings::default() }
    })
}

/// Somebody with a phone that is elsewhere, and their login.
async fn member(scene: &Scene<'_>, name: &str, here: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    (Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap(), login)
}

/// The idle screen opens for somebody who only typed a name.
async fn idle(terminal: &Terminal, login: &str) -> Ceremony {
    terminal.open_as(&Open { kiosk: true, without_phone: Some(login.to_owned()), ..Open::default() }).await.unwrap()
}

async fn approved(terminal: &Terminal, ceremony: &Ceremony, boss: &Phone) {
    let checked = boss.scan(&[ceremony.frame()]).await.unwrap();
    terminal.confirm(ceremony, checked.digits().unwrap()).await.unwrap();
    boss.approve(&checked).await.unwrap();
}

async fn living(scene: &Scene<'_>, login: &str) -> i64 {
    let sql = "SELECT COUNT(*) FROM session s JOIN name n ON n.person = s.person WHERE n.login = $1 AND s.ended IS NULL";
    scene.engine.first(Query::new(sql, [login.into()])).await.unwrap().unwrap().int(0).unwrap()
}

#[tokio::test]
async fn x13_nobody_begins_on_somebodys_word_who_could_not_go_on() {
    let scene = stage().scene().await;
    let here = market();
    let (_, login) = member(&scene, "Anfaellig", &here).await;
    let (boss, _) = supervisor(&scene, &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    // News about whoever has no phone, between the approval and the screen.
    let ceremony = idle(&terminal, &login).await;
    approved(&terminal, &ceremony, &boss).await;
    scene.stage.command(&["signal", "raise", "person.risk_high", &login]).unwrap();
    scene.refused(terminal.redeem(&ceremony).await.map(|_| ()), "denied").await;
    assert_eq!(living(&scene, &login).await, 0, "a session of somebody at risk");
    // And before: whoever vouches hears that it is no use, and not why.
    let ceremony = idle(&terminal, &login).await;
    let refused = scene.refused(boss.scan(&[ceremony.frame()]).await, "denied").await;
    assert_eq!(refused.say.as_deref(), Some("This person can't work here now."));
    scene.stage.command(&["signal", "clear", "person.risk_high", &login]).unwrap();
    let ceremony = idle(&terminal, &login).await;
    approved(&terminal, &ceremony, &boss).await;
    terminal.redeem(&ceremony).await.unwrap();
    assert_eq!(living(&scene, &login).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x02_of_two_terminals_where_somebody_is_vouched_for_at_once_one_has_them() {
    let scene = stage().scene().await;
    let here = market();
    let (lea, login) = member(&scene, "Doppelt", &here).await;
    let ((boss, _), (deputy, _)) = (supervisor(&scene, &here).await, supervisor(&scene, &market()).await);
    let (one, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let (two, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    for round in 0..8 {
        let (first, second) = (idle(&one, &login).await, idle(&two, &login).await);
        approved(&one, &first, &boss).await;
        approved(&two, &second, &deputy).await;
        let (a, b) = tokio::join!(one.redeem(&first), two.redeem(&second));
        assert!(a.is_ok() && b.is_ok(), "round {round}: {a:?} {b:?}");
        assert_eq!(living(&scene, &login).await, 1, "round {round}: at two terminals at once");
    }
    // At the same terminal, in the same browser: the last one ends, once.
    let last = lea.overview().await.unwrap().sessions[0].id.clone();
    for terminal in [&one, &two] {
        let again = idle(terminal, &login).await;
        approved(terminal, &again, &boss).await;
        terminal.redeem(&again).await.unwrap();
    }
    let log = scene.log().await;
    let ends: Vec<_> = log.iter().filter(|l| l.kind == "session.ended" && l.body["session"] == json!(last)).collect();
    assert_eq!(ends.len(), 1, "a session that ended twice: {:?}", ends.iter().map(|l| &l.body["facts"]).collect::<Vec<_>>());
    assert_eq!((ends[0].body["facts"]["why"].as_str(), living(&scene, &login).await), (Some("vouched_again"), 1));
}

#[tokio::test]
async fn x06_whoever_vouches_for_nobody_learns_no_names() {
    let scene = stage().scene().await;
    let here = market();
    let (_, login) = member(&scene, "Gesucht", &here).await;
    let colleague = scene.phone("Neugierig", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let mut heard = vec![];
    for name in [login.as_str(), "nobody.of.that.name"] {
        let ceremony = idle(&terminal, name).await;
        let refused = scene.refused(colleague.scan(&[ceremony.frame()]).await, "denied").await;
        heard.push(refused.say);
    }
    assert_eq!(heard[0], heard[1], "a colleague hears who is somebody here");
    assert_eq!(heard[0].as_deref(), Some("You are not one of those who can vouch for somebody here."));
}

#[tokio::test]
async fn x13_rules_about_beginning_hear_what_begins() {
    let scene = stage().scene().await;
    let here = market();
    let (lea, login) = member(&scene, "Streng", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let (_, page) = scene.arrive(&terminal, "strict-till", "openid profile").await;
    let word = Open { flow: Some(page.clone()), without_phone: Some(login), ..Open::default() };
    scene.refused(terminal.open_as(&word).await.map(|_| ()), "denied").await;
    // Somebody's own session is not raised where no session is.
    let attempt = super::terminals::open(&scene, terminal, "strict-till", "openid profile").await;
    scene.sign_in(&lea, &attempt).await;
    let (_, page) = scene.arrive(&attempt.terminal, "strict-till", "openid profile stock").await;
    assert!(attempt.terminal.resume(&page).await.is_err_and(|fault| fault.is("step_up")));
    scene.refused(attempt.terminal.open(&page).await.map(|_| ()), "denied").await;
}

#[tokio::test]
async fn x10_what_stops_one_session_that_a_passkey_opened_stops_no_other() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let mut sessions = vec![];
    for name in ["Laestig", "Brav"] {
        let (phone, _) = member(&scene, name, &here).await;
        let terminal = scene.terminal(&here);
        let (_, page) = scene.arrive(&terminal, "desk-till", "openid profile").await;
        passkey(&terminal, &page, &phone).await.unwrap();
        sessions.push(phone.overview().await.unwrap().sessions[0].id.clone());
    }
    let ask = async |session: &str, approver: &str| {
        let denied = decided(&raw, session, None).await;
        let asked = send(&raw, "POST", "/access/v1/requests", Some(asking(session, &denied, approver))).await;
        assert_eq!(asked.status, 202, "{}", asked.json());
    };
    // Three people say of one of them that they want nothing of it: it asks nobody any more.
    for name in ["Eins", "Zwei", "Drei"] {
        let (phone, login) = member(&scene, name, &here).await;
        ask(&sessions[0], &login).await;
        let id = phone.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
        phone.refuse_unseen(&id, true).await.unwrap();
    }
    let (boss, login) = supervisor(&scene, &here).await;
    ask(&sessions[0], &login).await;
    assert!(boss.pending().await.unwrap().pending.is_empty(), "who was stopped asks on");
    let (deputy, login) = supervisor(&scene, &place()).await;
    ask(&sessions[1], &login).await;
    assert_eq!(deputy.pending().await.unwrap().pending.len(), 1, "stopped for what another session did");
}
