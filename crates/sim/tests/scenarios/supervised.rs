//! Rights that somebody else approves: a denial is asked for, decided on another person's phone, and asked again
//! (A7; AuthZEN Access Request and Approval Profile, draft).

use countersign_device::Phone;
use countersign_device::oidc::CodeFlow;
use countersign_device::terminal::Arrival;
use countersign_sim::stage::{Attempt, REDIRECT, Raw, Reply, SECRET, Scene, Settings, Stage, place};
use countersign_store::Statement;
use countersign_wire::b64;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the right is given for here, seconds.
const FOR_S: i64 = 20;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// A folder of rules by which a supervisor gives the right to cancel.
pub(crate) fn rules() -> PathBuf {
    let dir = tempfile::tempdir().unwrap().keep();
    std::fs::write(dir.join("shop.cedarschema"), "action \"void\" appliesTo { principal: [session], resource: [client] };").unwrap();
    let rules = "@id(\"void-with-the-right\") permit (principal is session, action == Action::\"void\", resource is client);\n\
        @id(\"void-by-supervisors\") @code(\"approval_required\") @request(\"supervisor\") @request_right(\"void\")\n\
        forbid (principal is session, action == Action::\"void\", resource is client) unless { principal.live.scopes.contains(\"void\") };";
    std::fs::write(dir.join("shop.cedar"), rules).unwrap();
    dir
}

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || {
        let more = format!(
            "access_policies = \"{}\"\n[[clients]]\nid = \"desk-till\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"void\"]\n\
             just_in_time = [{{ scope = \"void\", roles = [\"member\"], for_s = {FOR_S}, approved_by = [\"supervisor\"] }}]\n",
            rules().display()
        );
        Settings { more, ..Settings::default() }
    })
}

pub(crate) async fn send(raw: &Raw, method: &str, path: &str, body: Option<Value>) -> Reply {
    let pair = b64::encode(format!("desk:{SECRET}").as_bytes()).replace('-', "+").replace('_', "/");
    let pad = "=".repeat((4 - pair.len() % 4) % 4);
    let headers = [("authorization", format!("Basic {pair}{pad}")), ("content-type", "application/json".to_owned())];
    raw.send(method, path, &headers, body.map(|b| b.to_string().into_bytes()).unwrap_or_default()).await
}

pub(crate) fn question(session: &str, approval: Option<&Value>) -> Value {
    let mut q = json!({"subject": {"type": "session", "id": session}, "action": {"name": "void"}, "resource": {"type": "client", "id": "desk-till"}});
    if let Some(approval) = approval {
        q["context"] = json!({ "approval": approval });
    }
    q
}

pub(crate) async fn decided(raw: &Raw, session: &str, approval: Option<&Value>) -> Value {
    let reply = send(raw, "POST", "/access/v1/evaluation", Some(question(session, approval))).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

/// What is asked after a denial.
pub(crate) fn asking(session: &str, denied: &Value, approver: &str) -> Value {
    let mut body = question(session, None);
    body["context"] = json!({ "business_justification": "Scanned twice" });
    body["requested_access"] = json!({ "approver": approver });
    body["denial"] = denied["context"]["access_request"].clone();
    body
}

fn path(task: &Value) -> String {
    format!("/access/v1/requests/{}", task["task"]["id"].as_str().unwrap())
}

async fn task(raw: &Raw, task: &Value) -> Value {
    let reply = send(raw, "GET", &path(task), None).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

pub(crate) fn problem(reply: &Reply) -> (u16, String) {
    let kind = reply.json()["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
    (reply.status, kind)
}

pub(crate) async fn supervisor(scene: &Scene<'_>, here: &str) -> (Phone, String) {
    let login = format!("chefin-{}", here.replace('.', "-"));
    let said = scene.stage.command(&["invite", "Chefin", &login, "--role", "supervisor"]).unwrap();
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    (Phone::enrol(scene.http(here), &link, "Phone of the shop", None).await.unwrap(), login)
}

/// Somebody with a phone, their login, and a supervisor with both.
pub(crate) async fn shift(scene: &Scene<'_>, name: &str, here: &str) -> (Phone, String, Phone, String) {
    let (link, login) = scene.invitation(name).await;
    let phone = Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap();
    let (boss, boss_login) = supervisor(scene, here).await;
    (phone, login, boss, boss_login)
}

/// The supervisor takes what waits, types what the till shows, and says yes.
async fn approves(raw: &Raw, phone: &Phone, asked: &Value) {
    let id = phone.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
    phone.take(&id).await.unwrap();
    let code = task(raw, asked).await["task"]["code"].as_str().unwrap().to_owned();
    phone.confirm(&id, &code).await.unwrap();
    phone.approve(&phone.look_again(&id).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a7_somebody_elses_approval_gives_a_right_for_a_while_and_nobody_approves_for_themself() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let (phone, login, boss, boss_login) = shift(&scene, "Kassa", &here).await;
    let attempt = scene.open("desk-till", "openid void", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    assert_eq!(scene.tokens(&attempt, &redirect).await.unwrap().scope.as_deref(), Some("openid"), "one's own approval gave it");
    let session = phone.overview().await.unwrap().sessions[0].id.clone();

    // Denied, with how it can be asked for.
    let denied = decided(&raw, &session, None).await;
    let request = &denied["context"]["access_request"];
    assert_eq!((&denied["decision"], &denied["context"]["reason"], &request["template"]), (&json!(false), &json!("approval_required"), &json!("supervisor")));
    assert!(request["endpoint"].as_str().unwrap().ends_with("/access/v1/requests"));
    let metadata = raw.send("GET", "/.well-known/authzen-configuration", &[], vec![]).await.json();
    assert_eq!(metadata["access_request_endpoint"], request["endpoint"]);
    assert_eq!(metadata["capabilities"], json!(["urn:openid:authzen:capability:access-request"]));

    // Not by oneself, not about something else, not without the denial, not by anybody unknown to the task.
    let post = async |body: Value| send(&raw, "POST", "/access/v1/requests", Some(body)).await;
    assert_eq!(problem(&post(asking(&session, &denied, &login)).await), (400, "not_requestable".to_owned()));
    let mut other = asking(&session, &denied, &boss_login);
    other["resource"]["id"] = json!("till");
    assert_eq!(problem(&post(other).await), (400, "invalid_denial_binding".to_owned()));
    let mut bare = asking(&session, &denied, &boss_login);
    bare["denial"]["binding_token"] = json!("e30.e30.e30");
    assert_eq!(problem(&post(bare).await), (400, "invalid_denial_binding".to_owned()));
    let stranger = format!("/access/v1/requests/{session}");
    assert_eq!(problem(&send(&raw, "GET", &stranger, None).await), (404, "unknown_task".to_owned()));

    // Somebody who may not approve is told so, and the task waits on; withdrawn, it is over.
    let (link, colleague_login) = scene.invitation("Kollegin").await;
    let colleague = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let asked = post(asking(&session, &denied, &colleague_login)).await;
    assert_eq!((asked.status, &asked.json()["task"]["status"]), (202, &json!("pending")));
    let asked = asked.json();
    let id = colleague.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
    scene.refused(colleague.take(&id).await.map(|_| ()), "denied").await;
    assert_eq!(task(&raw, &asked).await["task"]["status"], "pending");
    let cancelled = send(&raw, "POST", &format!("{}/cancel", path(&asked)), Some(json!({}))).await;
    assert_eq!(cancelled.json()["task"]["status"], "cancelled");
    assert_eq!(problem(&send(&raw, "POST", &format!("{}/cancel", path(&asked)), Some(json!({}))).await), (409, "invalid_task_state".to_owned()));

    // The supervisor, beside the till, reads who asks for what and why, and says yes.
    let asked = post(asking(&session, &denied, &boss_login)).await.json();
    let id = boss.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
    let shown = boss.take(&id).await.unwrap().statement;
    assert_eq!(serde_json::to_value(shown.purpose).unwrap(), "right");
    let rows: Vec<_> = shown.request.details[0].rows.iter().map(|r| (r.label.as_str(), r.value.as_str())).collect();
    assert_eq!((shown.request.details[0].title.as_str(), &rows[..]), ("void", &[("For", "Kassa"), ("Reason", "Scanned twice")][..]));
    assert_eq!((shown.rights.timed[0].scope.as_str(), shown.rights.timed[0].for_s, shown.rights.session_s), ("void", FOR_S, 0));
    // Before it, nothing.
    assert_eq!(decided(&raw, &session, None).await["decision"], false);
    let code = task(&raw, &asked).await["task"]["code"].as_str().unwrap().to_owned();
    boss.confirm(&id, &code).await.unwrap();
    boss.approve(&boss.look_again(&id).await.unwrap()).await.unwrap();
    let done = task(&raw, &asked).await;
    assert_eq!((&done["task"]["status"], &done["result"]["mode"]), (&json!("approved"), &json!("reevaluate")));
    let approval = done["result"]["approval"].clone();

    // Asked again, it is allowed; tokens carry it and do not outlive it; the phone of its person shows it.
    let allowed = decided(&raw, &session, Some(&approval)).await;
    assert_eq!((&allowed["decision"], &allowed["context"]["approval"]["id"]), (&json!(true), &approval["id"]));
    let flow = CodeFlow::new("desk-till", REDIRECT, "openid void").unwrap();
    let url = flow.url(&scene.discovery, &attempt.terminal.key.public().thumbprint());
    let Arrival::Flow(page) = attempt.terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    let next = attempt.terminal.resume(&page).await.unwrap().next;
    let attempt = Attempt { flow, page, ..attempt };
    let tokens = scene.tokens(&attempt, &next.parse().unwrap()).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid void"));
    assert!(tokens.expires_in.is_some_and(|s| s <= FOR_S));
    let timed = phone.overview().await.unwrap().sessions[0].timed.clone();
    assert_eq!((timed[0].scope.as_str(), timed[0].reason.as_deref()), ("void", Some("Scanned twice")));
    // In no other session.
    let second = scene.open("desk-till", "openid", &here).await;
    scene.sign_in(&phone, &second).await;
    let sessions = phone.overview().await.unwrap().sessions;
    let elsewhere = &sessions.iter().find(|s| s.id != session).unwrap().id;
    let told = decided(&raw, elsewhere, Some(&approval)).await;
    assert_eq!((&told["decision"], &told["context"]["next_action"]), (&json!(false), &json!("request")));

    // After its window it is gone.
    tokio::time::sleep(Duration::from_secs(FOR_S.unsigned_abs() + 1)).await;
    assert_eq!(decided(&raw, &session, Some(&approval)).await["decision"], false);
    assert!(!scene.works(&attempt, &tokens).await, "a token that outlived its right");
    // Approved anew, it ends at once with whoever approved it.
    let denied = decided(&raw, &session, None).await;
    let asked = post(asking(&session, &denied, &boss_login)).await.json();
    approves(&raw, &boss, &asked).await;
    assert_eq!(decided(&raw, &session, None).await["decision"], true);
    scene.stage.command(&["person", "lock", &boss_login]).unwrap();
    assert_eq!(decided(&raw, &session, None).await["decision"], false, "a right outlived its giver");

    let log = scene.log().await;
    let given: Vec<_> = log.iter().filter(|l| l.kind == "right.given" && l.body["session"] == json!(session)).collect();
    assert_eq!(given.len(), 2);
    assert_eq!((&given[0].body["facts"]["right"]["scope"], &given[0].body["facts"]["presence"]), (&json!("void"), &json!("weak")));
    assert_ne!(given[0].body["person"], given[0].body["facts"]["by"]);
}

#[tokio::test]
async fn a7_an_approver_who_is_not_in_the_room_is_refused() {
    let scene = stage().scene().await;
    let (here, there) = (place(), place());
    let raw = scene.raw(&here);
    let phone = scene.phone("Filiale", &here).await;
    let (boss, boss_login) = supervisor(&scene, &there).await;
    let attempt = scene.open("desk-till", "openid", &here).await;
    scene.sign_in(&phone, &attempt).await;
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    let denied = decided(&raw, &session, None).await;
    let asked = send(&raw, "POST", "/access/v1/requests", Some(asking(&session, &denied, &boss_login))).await.json();
    let id = boss.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
    scene.refused(boss.take(&id).await.map(|_| ()), "too_far").await;
    assert_eq!(task(&raw, &asked).await["task"]["status"], "pending");
    assert_eq!(decided(&raw, &session, None).await["decision"], false);
}

#[tokio::test]
async fn a7_whoever_gave_a_right_takes_it_back_as_not_theirs_for_as_long_as_it_lives() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let (phone, _, boss, boss_login) = shift(&scene, "Kassa", &here).await;
    let attempt = scene.open("desk-till", "openid", &here).await;
    scene.sign_in(&phone, &attempt).await;
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    let give = async || {
        let denied = decided(&raw, &session, None).await;
        let asked = send(&raw, "POST", "/access/v1/requests", Some(asking(&session, &denied, &boss_login))).await.json();
        let id: countersign_wire::CeremonyId = boss.pending().await.unwrap().pending.remove(0).cid.parse().unwrap();
        approves(&raw, &boss, &asked).await;
        assert_eq!(decided(&raw, &session, None).await["decision"], true);
        // As if that had been eleven minutes ago.
        let sql = "UPDATE ceremony SET body = json_set(body, '$.at', json_extract(body, '$.at') - 660000000) WHERE id = $1";
        assert_eq!(scene.engine.upkeep(vec![Statement::any(sql, [id.as_str().into()])]).await.unwrap(), 1);
        id
    };
    let id = give().await;
    assert_eq!(boss.not_me(&boss.look_again(&id).await.unwrap()).await.unwrap().state, "revoked");
    assert_eq!(decided(&raw, &session, None).await["decision"], false, "a right that its giver disowned");
}
