//! What is judged again while it is under way, with a clock that goes on when a test says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::ceremony::{Around, call};
use super::tools::{self, Answer, Asked as Call};
use super::{Context, judge};
use crate::oidc::tests::world::{T0, World, client};
use countersign_store::{Commit, Write};
use countersign_trust::Refusal;
use countersign_trust::acr::Earned;
use countersign_trust::audit::Kind;
use countersign_trust::ceremony::{Approved, Ceremony, Opening, Scan, State};
use countersign_trust::session::SessionFacts;
use countersign_trust::signal::Subject;
use countersign_trust::terminal::{AtTerminal, Stands};
use countersign_wire::statement::{Asked, Asker, Boundary, Channel, Demanded, Plate, Purpose, Rights};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{CeremonyId, TerminalId, Thumbprint, b64, mac};
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
    let at = AtTerminal { id, plate, stands: Stands::Anywhere, keyboard: true };
    let c = ceremony(&w, Purpose::SignIn, Some(at), State::Confirmed).await;
    let mut commit = Commit::new(w.app.event(Kind::PersonChanged, &c.opening.txn, w.app.now()));
    commit.write(Write::to_judge(Some(&Subject::Person(w.session.person.clone())), &c.opening.txn, w.app.now()));
    w.app.commit(commit).await.unwrap();
    judge::judge_due(&w.app).await.unwrap();
    let after = w.app.store.ceremony(&c.opening.id).await.unwrap().unwrap();
    assert_eq!(after.state_name(), "refused");
}
