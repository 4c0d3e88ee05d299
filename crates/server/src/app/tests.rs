//! What is judged again while it is under way, with a clock that goes on when a test says so.

use super::ceremony::{Around, call};
use super::issue::{Ground, Vetoes, gate};
use super::once::hashed;
use super::sessions::{self, By, Started};
use super::tools::{self, Answer, Asked as Call};
use super::{Context, judge, signals};
use crate::oidc::tests::asked::resume_from;
use crate::oidc::tests::world::{CB, CHALLENGE, Key, T0, World, client, form};
use countersign_store::{Commit, Statement, Write};
use countersign_trust::Refusal;
use countersign_trust::acr::Earned;
use countersign_trust::audit::Kind;
use countersign_trust::ceremony::{Approved, Ceremony, Opening, Scan, State};
use countersign_trust::client::Client;
use countersign_trust::device::Device;
use countersign_trust::issuance::Product;
use countersign_trust::presence::Presence;
use countersign_trust::principal::{PersonState, Role};
use countersign_trust::right::Giver;
use countersign_trust::session::SessionFacts;
use countersign_trust::signal::{self, Signal, Subject};
use countersign_trust::terminal::{AtTerminal, Stands};
use countersign_wire::statement::{Asked, Asker, Boundary, Channel, Demanded, Plate, Purpose, Rights, Timed};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{CeremonyId, DeviceId, PersonId, SessionId, TerminalId, Thumbprint, b64, mac};
use serde_json::{Map, json};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Whose tools are called.
const STOCK: &str = "https://stock.example/api";

fn context(w: &World) -> Context {
    Context::new(&w.app, Ipv4Addr::UNSPECIFIED.into(), "A program".into())
}

/// A ceremony of the one person of `w`, as it stands in the store.
async fn ceremony(w: &World, purpose: Purpose, terminal: Option<AtTerminal>, state: impl FnOnce(Scan) -> State) -> Ceremony {
    let (now, f) = (w.app.now(), &w.session);
    let opening = Opening {
        id: CeremonyId::new(now, w.app.id10()),
        txn: w.app.txn(now),
        purpose,
        flow: None,
        asker: Asker { id: "gate".parse().unwrap(), name: "Gate".into(), redirect_host: String::new() },
        boundary: Boundary::Approval,
        asked: Asked { hash: "x".into(), scopes: vec![], details: vec![], message: None },
        acr_values: vec![],
        jkt: Thumbprint::from_digest(&[3; 32]),
        collector_hash: b64::encode(&w.app.random::<32>()),
        terminal_kind: "device".into(),
        agent: "A program".into(),
        source: "192.0.2.0/24".into(),
        address: String::new(),
        k: w.app.keys.k().0,
        offered: None,
        push: false,
        person: None,
        recovers: None,
        vouches: None,
        raises: None,
        collects: None,
        terminal,
        badge: None,
        at: now,
    };
    let device = w.app.store.device(&f.device).await.unwrap().unwrap().device;
    let scan = Scan {
        device: device.id,
        dk: device.jkt,
        person: f.person.clone(),
        statement: "e30".into(),
        channel: Channel::Push,
        near: vec![],
        page: true,
        demanded: Demanded { directions: vec![], digits: 0 },
        done: vec![],
        tries: 3,
        rights: Rights { scopes: vec![], session_s: 0, clients: vec![], timed: vec![] },
        at: now,
        until: now.plus_s(120),
    };
    let made = Ceremony { version: 0, opening, state: state(scan) };
    let handle = b64::encode(&mac::h(made.opening.id.as_str().as_bytes()));
    let mut commit = Commit::new(w.app.event(Kind::CeremonyOpened, &made.opening.txn, now));
    commit.write(Write::ceremony_opened(&made, &handle, None));
    w.app.commit(commit).await.unwrap();
    w.app.store.ceremony(&made.opening.id).await.unwrap().unwrap()
}

fn approved(f: &SessionFacts, scan: Scan) -> Approved {
    let assertion: AssertionText =
        serde_json::from_value(json!({"credential_id": "x", "authenticator_data": "", "client_data_json": "", "signature": ""})).unwrap();
    let (at, until) = (scan.at, scan.at.plus_s(30));
    Approved { scan, jws: String::new(), jti: "j".into(), assertion, credential: f.credential.clone(), attested: false, earned: Earned::CrossDevicePush, at, until }
}

#[tokio::test]
async fn what_ran_out_before_the_commit_lets_no_call_through() {
    let gate = client("gate", json!({"introspects": [STOCK]}));
    let w = World::new(vec![client("bearer", json!({"danger_allow_bearer": true, "audience": STOCK})), gate.clone()]).await;
    let code = w.code_for("bearer", None, "openid profile").await;
    let tokens = w.send("POST", "/token", &[], &World::form("bearer", &code)).await;
    let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
    let call = async |ctx: &Context| {
        let asked = Call {
            caller: &gate, token: &token, subject: w.session.person.as_str(), proof: None, server: STOCK, tool: Some("stock.read"),
            arguments: &Map::new(), unseen: false, ask: false, approval: None, wait: Duration::ZERO,
        };
        tools::judge(&w.app, ctx, &asked).await.unwrap()
    };
    let (soon, late) = (context(&w), context(&w));
    assert!(matches!(call(&soon).await, Answer::Go(_)));
    // A request that came in time, and whose turn to be written comes after the token's end.
    w.later(61);
    let answer = call(&late).await;
    assert!(matches!(&answer, Answer::No(fault) if fault.refusal == Refusal::Gone), "a call went on after the end of its token");
    assert_eq!(w.log().await.iter().filter(|k| *k == "tool.called").count(), 1);
}

#[tokio::test]
async fn an_approval_that_is_not_spent_leaves_no_record_of_a_call() {
    let w = World::new(vec![client("gate", json!({"introspects": [STOCK]}))]).await;
    let early = context(&w);
    w.later(10);
    let c = ceremony(&w, Purpose::ToolCall, None, |scan| State::Approved(approved(&w.session, scan))).await;
    let spend = async |ctx: &Context| {
        let record = w.app.event(Kind::ToolCalled, &c.opening.txn, ctx.now);
        call::spend(&w.app, ctx, &c, Around { events: vec![record], ..Around::default() }).await
    };
    // Judged by a moment before the approval: nobody can say that it was there.
    assert_eq!(spend(&early).await.unwrap_err().refusal, Refusal::Clock);
    let called = async || w.log().await.iter().filter(|k| *k == "tool.called").count();
    assert_eq!(called().await, 0, "a call that was refused is in the log as made");
    spend(&context(&w)).await.unwrap();
    assert_eq!(called().await, 1);
}

#[tokio::test]
async fn what_waits_at_a_terminal_that_is_gone_ends_when_it_is_judged() {
    let w = World::new(vec![client("gate", json!({}))]).await;
    let id = TerminalId::new(T0, w.app.id10());
    let plate = Plate { name: "Till".into(), place: "Market".into(), class: "till".into(), attested: false };
    let at = AtTerminal { id, plate, stands: Stands::Anywhere, keyboard: true, address: String::new() };
    let c = ceremony(&w, Purpose::SignIn, Some(at), State::Confirmed).await;
    let mut commit = Commit::new(w.app.event(Kind::PersonChanged, &c.opening.txn, w.app.now()));
    commit.write(Write::to_judge(Some(&Subject::Person(w.session.person.clone())), &c.opening.txn, w.app.now()));
    w.app.commit(commit).await.unwrap();
    judge::judge_due(&w.app).await.unwrap();
    let after = w.app.store.ceremony(&c.opening.id).await.unwrap().unwrap();
    assert_eq!(after.state_name(), "refused");
}

/// A till where refunds are unlocked for a while; by whom.
fn till(approved_by: &[&str]) -> Client {
    client("till", json!({"scopes": ["profile", "refund"], "just_in_time": [{"scope": "refund", "roles": ["member"], "for_s": 600, "approved_by": approved_by}]}))
}

#[tokio::test]
async fn a_right_whose_giver_may_not_act_is_in_no_code() {
    let w = World::new(vec![till(&["supervisor"])]).await;
    let (app, now) = (&w.app, w.app.now());
    let (boss, device) = (PersonId::new(now, app.id10()), app.store.device(&w.session.device).await.unwrap().unwrap().device);
    let dk = Key::new().public();
    let theirs = Device { id: DeviceId::new(now, app.id10()), person: boss.clone(), jkt: dk.thumbprint(), dk, ..device };
    let mut commit = Commit::new(app.event(Kind::PersonChanged, &w.session.txn, now));
    commit.write(Write::person_added(&boss, PersonState::Active, Role::Supervisor, now)).write(Write::device_added(&theirs, "Phone"));
    app.commit(commit).await.unwrap();
    let timed = Timed { scope: "refund".into(), for_s: 600 };
    let by = Giver { person: boss.clone(), device: theirs.id.clone(), ceremony: None };
    let right = super::rights::given(app, &"till".parse().unwrap(), timed, by, None, now);
    let old = w.live().await;
    let mut facts = old.facts.clone().with_rights([right], now);
    facts.scopes.push("refund".into());
    let mut commit = Commit::new(app.event(Kind::RightGiven, &w.session.txn, now));
    commit.write(Write::session_moved(&old, &facts));
    app.commit(commit).await.unwrap();
    let scopes = async || {
        let asked = [("client_id", "till"), ("redirect_uri", CB), ("response_type", "code"), ("scope", "openid refund"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
        let cookie = format!("__Host-cs_s={}", w.cookie);
        let asked = w.send("GET", &format!("/authorize?{}", form(&asked)), &[("cookie", &cookie)], "").await;
        let answer = resume_from(&w, &asked, &w.terminal, "0.0.0.0").await;
        let next = answer.json()["next"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned();
        let code = next.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        app.store.code(&hashed(code.as_bytes())).await.unwrap().unwrap().facts.scopes
    };
    assert_eq!(scopes().await, ["openid", "refund"]);
    let locked = app.store.person(&boss).await.unwrap().unwrap();
    let mut commit = Commit::new(app.event(Kind::PersonChanged, &w.session.txn, now));
    commit.write(Write::person_moved(&locked, PersonState::Locked));
    app.commit(commit).await.unwrap();
    assert_eq!(scopes().await, ["openid"], "a right outlived its giver");
}

#[tokio::test]
async fn what_was_given_for_a_while_is_no_scope_of_a_session_afterwards() {
    let w = World::new(vec![till(&[])]).await;
    let (app, now, f) = (&w.app, w.app.now(), &w.session);
    let id = "till".parse().unwrap();
    let vetoes = Vetoes::load(app, &f.person, &f.device, &f.credential, Some(&id)).await.unwrap();
    let scopes: Vec<String> = vec!["openid".into(), "refund".into()];
    let ground = Ground {
        earned: Earned::CrossDevice, acr_values: &[], scopes: &scopes, channel: "frame", presence: Presence::Strong,
        purpose: Purpose::SignIn, details: vec![], collector: None,
    };
    let (permit, _) = gate(app, Product::Session, &vetoes, &ground, now).unwrap();
    let timed = vec![Timed { scope: "refund".into(), for_s: 60 }];
    let started = Started {
        id: SessionId::new(now, app.id10()), txn: f.txn.clone(), by: By::Ceremony(CeremonyId::new(now, app.id10())), jkt: f.jkt.clone(), earned: f.earned, attested: false, auth_time: now,
        session_s: 3_600, agent: String::new(), shown: json!({}), collector: None, timed, origins: vec![], terminal: None,
    };
    let begun = sessions::begin(app, &permit, &vetoes, started, None, now).session.facts;
    let client = vetoes.client.unwrap().client;
    assert_eq!(begun.scopes_at(Some(&client), now), ["openid", "refund"]);
    let late = now.plus_s(61);
    assert_eq!(begun.scopes_at(Some(&client), late), ["openid"]);
    // Not even where the registration now offers it to nobody, or to everybody.
    let plain = Client { just_in_time: vec![], ..client.clone() };
    assert_eq!(begun.scopes_at(Some(&plain), late), ["openid"]);
    assert_eq!(begun.scopes_at(None, late), ["openid"]);
}

#[tokio::test]
async fn what_says_that_a_screen_is_controlled_from_afar_takes_its_rights_with_it_or_nothing() {
    let w = World::new(vec![till(&[])]).await;
    let (now, old) = (w.app.now(), w.live().await);
    let timed = Timed { scope: "refund".into(), for_s: 600 };
    let by = Giver { person: old.facts.person.clone(), device: old.facts.device.clone(), ceremony: None };
    let right = super::rights::given(&w.app, &"till".parse().unwrap(), timed, by, None, now);
    let mut commit = Commit::new(w.app.event(Kind::RightGiven, &old.facts.txn, now));
    commit.write(Write::session_moved(&old, &old.facts.clone().with_rights([right], now)));
    w.app.commit(commit).await.unwrap();
    let subject = Subject::Session(old.facts.id.clone());
    let raise = async || {
        let signal = Signal { kind: signal::Kind::SessionRemoteControlled, source: "operator".into(), at: now, until: None };
        signals::raise(&w.app, &subject, signal, &old.facts.txn).await
    };
    let sql = async |text| w.app.store.engine().upkeep(vec![Statement::any(text, [])]).await.unwrap();
    // A store that fails once the right is to end.
    sql("CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.kind = 'right.ended' BEGIN SELECT RAISE(ABORT, 'full'); END").await;
    assert!(raise().await.is_err());
    let half = w.live().await;
    assert!(half.signals.is_empty() && half.facts.rights.len() == 1, "one without the other");
    sql("DROP TRIGGER full").await;
    assert!(raise().await.unwrap());
    // They leave: what was given before does not come back.
    signals::clear(&w.app, &subject, signal::Kind::SessionRemoteControlled, None, &old.facts.txn).await.unwrap();
    assert!(w.live().await.facts.rights.is_empty(), "a right came back");
    assert_eq!(w.log().await.iter().filter(|k| *k == "right.ended").count(), 1);
}
