//! The server is killed while it works. What it acknowledged is there when it comes back, and
//! nothing was taken twice.

use countersign_device::oidc::{CodeFlow, Discovery};
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, Http, Phone, Terminal, Transport};
use countersign_sim::stage::{REDIRECT, Settings, Stage, place};
use countersign_store::{Engine, Query};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Kills without `COUNTERSIGN_KILLS`; a release's gate asks for more.
const KILLS: u32 = 200;
/// Phones that sign in at the same time.
const PLAYERS: usize = 4;
/// A phone may leave ten scans undecided in ten minutes, and each kill may cost it one.
const KILLS_PER_PHONE: u32 = 9;

/// What the server said was done.
#[derive(Default)]
struct Acknowledged {
    approved: Vec<String>,
    redeemed: Vec<String>,
    tokens: Vec<String>,
    ended: Vec<String>,
}

/// One person's turn, as far as it comes.
async fn turn(transport: &Transport, discovery: &Discovery, phone: &mut Phone, done: &Mutex<Acknowledged>) -> Result<(), Fault> {
    let here = place();
    phone.http = Http::new(transport.clone()).with_header("x-forwarded-for", &here);
    let terminal = Terminal::new(phone.http.fresh(), phone.issuer())?;
    // A client may open 600 in a minute, which one alone would exceed.
    let [n] = countersign_device::machine::bytes::<1>()?;
    let flow = CodeFlow::new(&format!("crowd-{}", n % 6), REDIRECT, "openid profile")?;
    let Arrival::Flow(page) = terminal.arrive(&flow.url(discovery, &terminal.key.public().thumbprint())).await? else {
        panic!("sent away")
    };
    let ceremony = terminal.open(&page).await?;
    let checked = phone.scan(&[ceremony.frame()]).await?;
    terminal.confirm(&ceremony, checked.digits().unwrap()).await?;
    phone.approve(&checked).await?;
    done.lock().unwrap().approved.push(ceremony.cid.to_string());
    let next = terminal.redeem(&ceremony).await?.next.unwrap().parse().unwrap();
    done.lock().unwrap().redeemed.push(ceremony.cid.to_string());
    let code = flow.code(discovery, &next)?;
    let tokens = flow.exchange(&terminal.http, discovery, &terminal.key, &code).await?;
    let claims = countersign_wire::b64::decode(tokens.access_token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    done.lock().unwrap().tokens.push(claims["grant_id"].as_str().unwrap().to_owned());
    let session = phone.overview().await?.sessions.first().map(|s| s.id.clone());
    if let Some(session) = session {
        phone.end(&session).await?;
        done.lock().unwrap().ended.push(session);
    }
    Ok(())
}

async fn pairs(engine: &Engine, sql: &'static str) -> HashMap<String, String> {
    let rows = engine.query(Query::new(sql, []).long()).await.unwrap();
    rows.iter().map(|r| (r.text(0).unwrap().to_owned(), r.opt_text(1).unwrap().unwrap_or_default().to_owned())).collect()
}

async fn check(engine: &Engine, done: &Acknowledged) {
    let states = pairs(engine, "SELECT id, state FROM ceremony").await;
    let approvals = pairs(engine, "SELECT ceremony, kind FROM event WHERE kind = 'ceremony.approved'").await;
    for cid in &done.approved {
        assert!(approvals.contains_key(cid), "an acknowledged approval is not in the log: {cid}");
        let state = states.get(cid).map(String::as_str);
        assert!(!matches!(state, None | Some("opened" | "scanned" | "confirmed")), "{cid} went back to {state:?}");
    }
    let sessions = pairs(engine, "SELECT id, ended FROM session").await;
    let opened = pairs(engine, "SELECT ceremony, session FROM event WHERE kind = 'session.opened'").await;
    for cid in &done.redeemed {
        assert!(opened.get(cid).is_some_and(|s| sessions.contains_key(s)), "an acknowledged session is gone: {cid}");
    }
    let tokens = pairs(engine, "SELECT id, session FROM oauth_grant").await;
    for id in &done.tokens {
        assert!(tokens.contains_key(id), "an acknowledged token is gone: {id}");
    }
    for id in &done.ended {
        let ended = sessions.get(id);
        assert!(ended.is_some_and(|why| !why.is_empty()), "an ended session lives again: {id}");
    }
    for (what, sql) in [
        ("a ceremony gave two sessions", "SELECT COUNT(*) FROM (SELECT ceremony FROM event WHERE kind = 'session.opened' AND ceremony IS NOT NULL GROUP BY ceremony HAVING COUNT(*) > 1) AS twice"),
        ("a ceremony was redeemed twice", "SELECT COUNT(*) FROM (SELECT ceremony FROM event WHERE kind = 'ceremony.redeemed' GROUP BY ceremony HAVING COUNT(*) > 1) AS twice"),
        ("a code gave two grants", "SELECT COUNT(*) FROM (SELECT code FROM oauth_grant GROUP BY code HAVING COUNT(*) > 1) AS twice"),
        ("events without a number", "SELECT COUNT(*) FROM event WHERE seq IS NULL"),
        ("a gap in the log", "SELECT MAX(seq) - COUNT(*) FROM event"),
        ("a log that is not as long as its head says", "SELECT (SELECT seq FROM event_head) - (SELECT MAX(seq) FROM event)"),
    ] {
        let found = engine.first(Query::new(sql, [])).await.unwrap().unwrap().int(0).unwrap();
        assert_eq!(found, 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k9_killed_two_hundred_times_nothing_acknowledged_is_lost() {
    let kills = std::env::var("COUNTERSIGN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let done = Arc::new(Mutex::new(Acknowledged::default()));
    let mut phones: Vec<Phone> = vec![];
    let discovery = stage.scene().await.discovery.clone();
    let transport = Transport::new(false);
    let begun = Instant::now();
    for kill in 0..kills {
        if kill % KILLS_PER_PHONE == 0 {
            phones.clear();
            let scene = stage.scene().await;
            for n in 0..PLAYERS {
                phones.push(scene.phone(&format!("Player {n}"), &place()).await);
            }
        }
        let mut playing = JoinSet::new();
        for mut phone in phones.drain(..) {
            let (transport, discovery, done) = (transport.clone(), discovery.clone(), done.clone());
            playing.spawn(async move {
                loop {
                    match turn(&transport, &discovery, &mut phone, &done).await {
                        Ok(()) => {}
                        Err(Fault::Unreachable(_)) => return phone,
                        Err(fault) => panic!("refused in the middle of a turn: {fault}"),
                    }
                }
            });
        }
        let [a, b] = countersign_device::machine::bytes::<2>().unwrap();
        let burst = Duration::from_micros(u64::from(u16::from_be_bytes([a, b])) * 3);
        tokio::time::sleep(burst).await;
        stage.kill();
        while let Some(phone) = playing.join_next().await {
            phones.push(phone.unwrap());
        }
        if kill % 50 == 49 {
            // Nothing else has the file open, so this reads what the dead server left.
            check(&Engine::open(&stage.database).await.unwrap(), &done.lock().unwrap()).await;
        }
        stage.restart().await;
    }
    stage.kill();
    let done = done.lock().unwrap();
    check(&Engine::open(&stage.database).await.unwrap(), &done).await;
    println!(
        "{kills} kills in {:?}: {} approvals, {} sessions, {} tokens, {} endings acknowledged and found",
        begun.elapsed(),
        done.approved.len(),
        done.redeemed.len(),
        done.tokens.len(),
        done.ended.len()
    );
    assert!(done.tokens.len() > kills as usize / 4, "hardly anything happened between the kills");
}
