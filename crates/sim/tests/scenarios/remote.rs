//! Remote support: a registered terminal that somebody far away has in hand gives nothing privileged (Q10).

use super::terminals::{market, open, till, tokens};
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, Phone, SoftwareKey};
use countersign_sim::stage::{Attempt, REDIRECT, SECRET, Scene, Settings, Stage, introspected, place, program};
use countersign_wire::message::{Open, TerminalReport};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// The word that the help desk's system shows.
const DESK: &str = "a word of the help desk, 32 bytes and more";

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || {
        let hash = |word: &str| b64::encode(&mac::h(word.as_bytes()));
        let more = format!(
            "[terminals.sites.market]\nnetworks = [\"10.77.0.0/16\"]\n\
             [[clients]]\nid = \"helped\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"refund\", \"stock\"]\nprivileged_scopes = [\"stock\"]\n\
             audience = \"https://helped.example\"\njust_in_time = [{{ scope = \"refund\", roles = [\"member\"], for_s = 600 }}]\n\
             [[clients]]\nid = \"helped-auditor\"\nname = \"Auditor\"\nredirect_uris = []\nauth = \"client_secret_basic\"\nsecret_hash = \"{}\"\n\
             introspects = [\"https://helped.example\"]\n\
             [[signals.sources]]\nid = \"helpdesk\"\ntoken_hash = \"{}\"\ndevice = \"/host\"\nterminals = true\nrules = [\n\
             {{ at = \"/session\", is = [\"begun\"], raise = \"terminal.remote_controlled\" }},\n\
             {{ at = \"/session\", is = [\"ended\"], clear = \"terminal.remote_controlled\" }} ]\n",
            hash(SECRET),
            hash(DESK)
        );
        Settings { more, ..Settings::default() }
    })
}

async fn told(scene: &Scene<'_>, here: &str, tokens: &Tokens) -> String {
    let heard = introspected(&scene.raw(here), "helped-auditor", &tokens.access_token).await;
    heard["scope"].as_str().unwrap_or("nothing").to_owned()
}

/// The till asks for a right in its running session: whether the server would ask the person's phone.
async fn asks(scene: &Scene<'_>, attempt: &Attempt, scope: &str) -> (CodeFlow, String, Result<(), Fault>) {
    let flow = CodeFlow::new("helped", REDIRECT, scope).unwrap();
    let url = flow.url(&scene.discovery, &attempt.terminal.tk().public().thumbprint());
    let Arrival::Flow(page) = attempt.terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    let resumed = attempt.terminal.resume(&page).await.map(|_| ());
    (flow, page, resumed)
}

async fn signed_in(scene: &Scene<'_>, here: &str, phone: &Phone) -> (Attempt, tempfile::TempDir, String) {
    let (terminal, dir, id) = till(scene, here, "till", Some("market")).await;
    let attempt = open(scene, terminal, "helped", "openid stock").await;
    scene.sign_in(phone, &attempt).await;
    (attempt, dir, id)
}

/// A right, approved on the phone.
async fn raised(scene: &Scene<'_>, attempt: Attempt, phone: &Phone) -> (Attempt, Tokens) {
    let (flow, page, resumed) = asks(scene, &attempt, "openid stock refund").await;
    assert!(resumed.is_err_and(|fault| fault.is("step_up")));
    let ceremony = attempt.terminal.open(&page).await.unwrap();
    let attempt = Attempt { flow, page, ceremony, ..attempt };
    scene.approve(phone, &attempt).await;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let given = tokens(scene, &attempt, &reply.next.unwrap()).await.unwrap();
    (attempt, given)
}

#[tokio::test]
async fn q10_a_terminal_that_somebody_far_away_has_in_hand_gives_nothing_privileged_and_loses_its_rights() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Kasse mit Hilfe", &here).await;
    let (attempt, dir, id) = signed_in(&scene, &here, &phone).await;
    let (attempt, given) = raised(&scene, attempt, &phone).await;
    assert_eq!(told(&scene, &here, &given).await, "openid stock refund");
    let till = attempt.terminal.registered.as_ref().unwrap();

    // Support begins: the device program tells, as its script would. The right is over, what is privileged rests, and
    // the session goes on.
    let device = |dir: &tempfile::TempDir, word: &str| {
        let state = dir.path().join("terminal");
        let mut command = Command::new(program().with_file_name("countersign-device"));
        command.args(["--state", state.to_str().unwrap(), "remote-control", word]).output().unwrap()
    };
    // From where this program runs, that terminal is not at its site: its word counts for nothing there, either way.
    for word in ["yes", "no"] {
        let out = device(&dir, word);
        assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("denied"), "{out:?}");
    }
    // One that has no site speaks from wherever it is.
    let (_till, loose, loose_id) = super::terminals::till(&scene, &here, "till", None).await;
    let out = device(&loose, "yes");
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(!super::terminals::told(&scene, &loose_id, "signal.raised").await.is_empty());
    assert_eq!(told(&scene, &here, &given).await, "openid stock refund");
    till.report(&attempt.terminal.http, true).await.unwrap();
    assert_eq!(told(&scene, &here, &given).await, "openid");
    let log = scene.log().await;
    let raised_line = log.iter().find(|l| l.kind == "signal.raised" && l.body["facts"]["terminal"] == json!(id)).unwrap();
    assert_eq!((&raised_line.body["facts"]["signal"], &raised_line.body["facts"]["source"]), (&json!("terminal.remote_controlled"), &json!("terminal")));
    let over = log.iter().find(|l| l.kind == "right.ended" && l.body["txn"] == raised_line.body["txn"]).unwrap();
    assert_eq!((&over.body["facts"]["why"], &over.body["facts"]["right"]["scope"]), (&json!("terminal.remote_controlled"), &json!("refund")));

    // Asked for anew it is refused with its own code, before anybody's phone is bothered; and opened all the same, the
    // phone shows nothing that is privileged.
    let (_, page, resumed) = asks(&scene, &attempt, "openid stock refund").await;
    scene.refused(resumed, "remote_controlled").await;
    let sneaked = attempt.terminal.open_as(&Open { flow: Some(page.clone()), raise: true, ..Open::default() }).await.unwrap();
    let shown = phone.scan(&[sneaked.frame()]).await.unwrap();
    assert_eq!(shown.statement.rights.scopes, ["openid"]);
    assert!(shown.statement.rights.timed.is_empty());
    phone.refuse(&shown).await.unwrap();
    // The same for whoever signs in there now.
    let colleague = scene.phone("Kollegin", &here).await;
    let fresh = open(&scene, countersign_device::Terminal::of(scene.http(&here), super::terminals::again_registered(&dir)).unwrap(), "helped", "openid stock").await;
    let shown = colleague.scan(&[fresh.ceremony.frame()]).await.unwrap();
    assert_eq!(shown.statement.rights.scopes, ["openid"]);
    colleague.refuse(&shown).await.unwrap();

    // It says that they left: what rested goes on, and the right does not come back by itself.
    till.report(&attempt.terminal.http, false).await.unwrap();
    assert_eq!(told(&scene, &here, &given).await, "openid stock", "a right that nobody approved again");
    let (attempt, given) = raised(&scene, attempt, &phone).await;
    assert_eq!(told(&scene, &here, &given).await, "openid stock refund");

    // An operator's word ends it as well, and the terminal's own no does not take it back.
    let name = attempt.terminal.registered.as_ref().unwrap().kept().plate.name.clone();
    scene.stage.command(&["signal", "raise", "terminal.remote_controlled", &name]).unwrap();
    assert_eq!(told(&scene, &here, &given).await, "openid");
    attempt.terminal.registered.as_ref().unwrap().report(&attempt.terminal.http, false).await.unwrap();
    scene.refused(asks(&scene, &attempt, "openid refund").await.2, "remote_controlled").await;
    scene.stage.command(&["signal", "clear", "terminal.remote_controlled", &id]).unwrap();
    assert!(asks(&scene, &attempt, "openid refund").await.2.is_err_and(|fault| fault.is("step_up")));
}

#[tokio::test]
async fn q10_a_support_system_tells_by_the_terminals_name_and_nobody_elses_key_speaks_for_it() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Fernwartung", &here).await;
    let (attempt, _dir, id) = signed_in(&scene, &here, &phone).await;
    let name = attempt.terminal.registered.as_ref().unwrap().kept().plate.name.clone();
    let raw = scene.raw(&place());
    let tell = async |session: &str, host: &str, word: &str| {
        let headers = [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {word}"))];
        raw.send("POST", "/signals/helpdesk", &headers, json!({"host": host, "session": session}).to_string().into_bytes()).await.status
    };
    assert_eq!(tell("begun", &name, "another word").await, 401);
    assert_eq!(tell("begun", "Till of nobody", DESK).await, 204);
    assert!(asks(&scene, &attempt, "openid refund").await.2.is_err_and(|fault| fault.is("step_up")));
    assert_eq!(tell("begun", &name, DESK).await, 204);
    scene.refused(asks(&scene, &attempt, "openid refund").await.2, "remote_controlled").await;
    // Neither a phone nor a stranger takes it back, nor the terminal itself: it did not say so.
    for key in [&phone.key, &SoftwareKey::generate().unwrap()] {
        let url = scene.stage.issuer.join("terminals/report").unwrap();
        let call = Call::post(url, &TerminalReport { remote_controlled: false }).unwrap().proved(Prover::device(key));
        let sent: Result<Value, Fault> = scene.http(&here).ask(&call).await;
        scene.refused(sent, "bad_proof").await;
    }
    let till = attempt.terminal.registered.as_ref().unwrap();
    till.report(&attempt.terminal.http, false).await.unwrap();
    scene.refused(asks(&scene, &attempt, "openid refund").await.2, "remote_controlled").await;
    assert_eq!(tell("ended", &id, DESK).await, 204);
    assert!(asks(&scene, &attempt, "openid refund").await.2.is_err_and(|fault| fault.is("step_up")));
    // A terminal that flickers stays in doubt.
    let mut last = Ok(());
    for _ in 0..40 {
        till.report(&attempt.terminal.http, true).await.unwrap();
        last = till.report(&attempt.terminal.http, false).await;
    }
    scene.refused(last, "too_many").await;
    scene.refused(asks(&scene, &attempt, "openid refund").await.2, "remote_controlled").await;
}
