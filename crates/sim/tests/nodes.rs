//! Two server programs on one PostgreSQL, a front before them that leads everybody to one or the other, and either
//! of them killed as a power cut would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

use countersign_device::phone::Recovering;
use countersign_device::{Fault, Phone};
use countersign_sim::stage::{Ear, Mood, Mouth, Nodes, PATIENCE, Raw, Receiver, Scene, Stage, introspected, place, until};
use countersign_store::testing::Cluster;
use countersign_trust::shared::caep::EventType;
use countersign_wire::b64;
use countersign_wire::dpop::NumericDate;
use countersign_wire::message::Invite;
use countersign_wire::posture::{Report, Why};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Two nodes with these lines of configuration; `None`, said aloud, where there is no PostgreSQL.
async fn nodes(more: &str) -> Option<Nodes> {
    let cluster = Cluster::shared().unwrap()?;
    Some(Nodes::set(&cluster.database().await.unwrap(), more).await)
}

/// Callers of one node itself, whatever the front does.
fn at(node: &Stage, place: &str) -> Raw {
    let mut raw = node.raw(place);
    raw.move_to(Nodes::address(node));
    raw
}

async fn ends(scene: &Scene<'_>, session: &str) -> usize {
    scene.log().await.iter().filter(|l| l.kind == "session.ended" && l.body["session"] == session).count()
}

/// A phone, its person's login name, its session and the access token.
async fn signed_in(scene: &Scene<'_>, name: &str) -> (Phone, String, String, String) {
    let here = place();
    let (link, login) = scene.invitation(name).await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let attempt = scene.open_till(&here).await;
    let next = scene.sign_in(&phone, &attempt).await;
    let token = scene.tokens(&attempt, &next).await.unwrap().access_token;
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    (phone, login, session, token)
}

#[tokio::test]
async fn t1_what_one_node_hears_the_other_refuses_at_once() {
    let idp = Mouth::new("idp");
    let Some(nodes) = nodes(&idp.lines("may = [\"risk-level-change\"]\npeople = \"login\"")).await else { return };
    let scene = nodes.a.scene().await;
    let other = at(&nodes.b, &place());
    let mut took = Vec::new();
    for n in 0..5 {
        let (_, login, session, token) = signed_in(&scene, &format!("Knoten {n}")).await;
        assert_eq!(introspected(&other, "watch", &token).await["active"], true, "a token of one node is good at the other");
        let subject = json!({"format": "iss_sub", "iss": idp.issuer, "sub": login});
        idp.say(&nodes.a, &place(), EventType::RiskLevelChange, subject, json!({"principal": "USER", "current_level": "HIGH"})).await;
        let heard = Instant::now();
        assert_eq!(introspected(&other, "watch", &token).await["active"], false, "the other node's next answer takes it still");
        took.push(heard.elapsed());
        // Both nodes judge it, and it ends once.
        until("its end", async || (ends(&scene, &session).await > 0).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ends(&scene, &session).await, 1);
    }
    took.sort();
    println!("from taken by one node to refused by the other: {took:?} (aim: 50 ms)");
}

/// What came, by name: a second copy must be the same to the last byte. Answers how many were copies.
fn copies(came: &[(String, String)]) -> (usize, usize) {
    let mut each: BTreeMap<String, &String> = BTreeMap::new();
    for (_, text) in came {
        let claims: Value = serde_json::from_slice(&b64::decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(*each.entry(claims["jti"].to_string()).or_insert(text), text, "one name, two SETs");
    }
    (each.len(), came.len() - each.len())
}

/// How long it takes at most until the other node goes on (docs/operate.md).
const GOES_ON: Duration = Duration::from_secs(17);
/// What a busy machine may add.
const LATE: Duration = Duration::from_secs(10);
/// Sign-ins whose events wait when a node ends: two events each, and more than are sent at once.
const WAITING: usize = 20;

#[tokio::test]
async fn t8_nothing_is_lost_or_made_up_when_either_node_ends() {
    let ear = Ear::open().await;
    let Some(nodes) = nodes(&Receiver::lines("siem", &[&ear.url])).await else { return };
    let scene = nodes.a.scene().await;
    Receiver::new(&nodes.a, "siem", &place()).stream(Some(&ear.url)).await;
    // Enrolled, signed in: two events for each person. Both nodes live: one of them sends.
    for name in ["Eins", "Zwei", "Drei"] {
        signed_in(&scene, name).await;
    }
    let came = ear.until(6).await;
    assert_eq!(copies(&came), (6, 0), "two nodes sent the same");
    // One ends in the middle of it, then the other, while more waits than is sent at once: whoever is left goes on.
    let mut all = 6;
    for (n, (ends, lives)) in [(&nodes.a, &nodes.b), (&nodes.b, &nodes.a)].into_iter().enumerate() {
        nodes.turn(ends).await;
        ear.turn(Mood::Fails);
        for m in 0..WAITING {
            signed_in(&scene, &format!("Davor {n} {m}")).await;
        }
        let (begun, before) = (ear.came().len(), copies(&ear.came()).1);
        ear.turn(Mood::Takes);
        ear.until(begun + 18).await;
        ends.kill();
        let died = Instant::now();
        nodes.turn(lives).await;
        all += WAITING * 2;
        while copies(&ear.came()).0 < all {
            assert!(died.elapsed() < GOES_ON + LATE, "{:?} of {all} came", copies(&ear.came()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("after a node ended, all was there within {:?}", died.elapsed());
        // What comes is as new as ever.
        signed_in(&scene, &format!("Danach {n}")).await;
        all += 2;
        while copies(&ear.came()).0 < all {
            assert!(died.elapsed() < GOES_ON * 2 + LATE, "{:?} of {all} came", copies(&ear.came()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let twice = copies(&ear.came()).1 - before;
        assert!(twice <= 20, "{twice} came twice");
        ends.restart().await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (each, twice) = copies(&ear.came());
    println!("{each} events, {twice} of them twice, by the same name");
    assert_eq!(each, all);
}

/// The device speaks, and promises to go on.
async fn speak(phone: &Phone) {
    let kept = phone.kept();
    let report = Report {
        iss: kept.device_id,
        aud: kept.issuer,
        n: phone.next_report().unwrap(),
        nonce: phone.posture().await.unwrap().nonce,
        iat: NumericDate(0),
        why: Why::Beat,
        beats: true,
        facts: BTreeMap::new(),
        evidence: Vec::new(),
    };
    phone.send_report(&report).await.unwrap();
}

#[tokio::test]
async fn t3_what_speaks_to_one_node_is_not_silent_to_the_other_and_its_silence_is_judged_by_whoever_lives() {
    let Some(nodes) = nodes("heartbeat_s = 3\nheartbeat_misses = 2\n").await else { return };
    let scene = nodes.a.scene().await;
    let (phone, _, session, token) = signed_in(&scene, "Stille").await;
    let other = at(&nodes.b, &place());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(9) {
        speak(&phone).await;
        assert_eq!(introspected(&other, "watch", &token).await["active"], true, "after {:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(ends(&scene, &session).await, 0);
    // The node that heard the last word ends with it.
    speak(&phone).await;
    let last = Instant::now();
    tokio::time::sleep(Duration::from_millis(700)).await;
    nodes.a.kill();
    nodes.turn(&nodes.b).await;
    while introspected(&other, "watch", &token).await["active"] == true {
        assert!(last.elapsed() < Duration::from_secs(7) + LATE, "silence is not noticed by the node that is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("refused {:?} after the last word (bound: 7 s)", last.elapsed());
    assert!(last.elapsed() >= Duration::from_secs(3), "one interval may pass");
    until("its end", async || (ends(&scene, &session).await > 0).then_some(())).await;
}

#[tokio::test]
async fn a10_two_approvals_at_two_nodes_give_one_way_back() {
    let Some(nodes) = nodes("recovery_delay_s = 0\n").await else { return };
    let (scene, here) = (nodes.a.scene().await, place());
    let (link, login) = scene.invitation("Verloren").await;
    Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let terminal = scene.terminal(&here);
    for (n, node) in [&nodes.a, &nodes.b].into_iter().enumerate() {
        nodes.turn(&nodes.a).await;
        let invite = Invite { name: "Officer".into(), login: format!("officer-{n}"), role: Some("recovery_officer".into()) };
        let link = scene.administrator.invite(&invite).await.unwrap().link;
        let officer = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
        // Opened at one, approved at the other.
        let ceremony = terminal.open_recovery(&login).await.unwrap();
        nodes.turn(node).await;
        let checked = officer.scan(&[ceremony.frame()]).await.unwrap();
        terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
        officer.approve(&checked).await.unwrap();
        assert_eq!(usize::from(terminal.redeem(&ceremony).await.unwrap().recovery.unwrap().approvals), n + 1);
    }
    let issuer = terminal.issuer().clone();
    let (http, key) = terminal.into_parts();
    let device = Recovering { http, key, issuer };
    let ticket = device.collect().await.unwrap();
    nodes.turn(&nodes.a).await;
    let again: Result<_, Fault> = device.collect().await;
    scene.refused(again.map(|_| ()), "gone").await;
    let back = device.enrol(&ticket, "Back", None).await.unwrap();
    nodes.turn(&nodes.b).await;
    assert!(back.overview().await.unwrap().devices.iter().any(|d| d.this && d.limited_until.is_some()));
}

#[tokio::test]
async fn t1_rules_that_change_are_in_force_at_every_node_and_end_a_session_once() {
    let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap();
    let shipped = concat!(include_str!("../../../policies/ceremony.cedar"), include_str!("../../../policies/workload.cedar"));
    std::fs::write(rules.path(), shipped).unwrap();
    let Some(nodes) = nodes(&format!("policies = \"{}\"\n", rules.path().display())).await else { return };
    let scene = nodes.a.scene().await;
    let (_, _, session, token) = signed_in(&scene, "Regel").await;
    let all = [at(&nodes.a, &place()), at(&nodes.b, &place())];
    std::fs::write(rules.path(), format!("{shipped}\n@id(\"closed\")\nforbid (principal, action, resource);\n")).unwrap();
    let begun = Instant::now();
    for node in &all {
        while introspected(node, "watch", &token).await["active"] == true {
            assert!(begun.elapsed() < PATIENCE, "a node goes by the old rules");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("new rules are in force after {:?}", begun.elapsed());
    }
    let judged = async || scene.log().await.iter().filter(|l| l.kind == "session.judged" && l.body["session"] == session).count();
    until("another judgement", async || (judged().await > 0).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(judged().await, 1, "each node wrote the same");
}
