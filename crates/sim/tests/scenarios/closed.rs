//! Out of order means closed, and slow means slow: Q6, Q9, Q10.

use super::stage;
use countersign_sim::stage::{PATIENCE, Settings, Stage, place, program};
use countersign_store::testing::Cluster;
use countersign_store::{Engine, Statement};
use std::process::Command;
use std::time::{Duration, Instant};

#[tokio::test]
async fn q6_a_closed_page_kills_its_code() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Seitenschluss", &here).await;
    // It says that it goes.
    let attempt = scene.open_till(&here).await;
    let live = attempt.ceremony.frame();
    attempt.terminal.abandon(&attempt.ceremony).await.unwrap();
    scene.refused(phone.scan(&[live]).await, "code_not_live").await;
    scene.refused(phone.scan_code(&attempt.ceremony.user_code).await, "code_not_live").await;
    // It goes after the approval: nothing is left to collect.
    let attempt = scene.open_till(&here).await;
    scene.approve(&phone, &attempt).await;
    attempt.terminal.abandon(&attempt.ceremony).await.unwrap();
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await, "gone").await;
    // It goes without a word: the stream breaks and does not come back.
    let attempt = scene.open_till(&here).await;
    {
        let mut watch = attempt.terminal.watch(&attempt.ceremony);
        assert_eq!(watch.next().await.unwrap().state, "opened");
    }
    // By then no frame could be made either; what is tried here is the best an attacker could have kept.
    tokio::time::sleep(Duration::from_millis(16_500)).await;
    scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, "code_not_live").await;
    let log = scene.log_of(attempt.ceremony.cid.as_str()).await;
    let gone = log.iter().find(|l| l.kind == "ceremony.abandoned").expect("nobody noticed that the page went");
    assert_eq!(gone.body["facts"]["reason"], "page_gone");
}

#[tokio::test]
async fn q9_out_of_order_means_refused() {
    // The store goes away while somebody signs in.
    if let Some(cluster) = Cluster::start().unwrap() {
        let database = cluster.database().await.unwrap();
        let stage = Stage::set(Settings { database: Some(database), ..Settings::default() }).await;
        stage.enrol_administrator().await;
        // A node that is not given the key that its fellows have makes none of its own.
        let (seal, aside) = (stage.dir().join("seal"), stage.dir().join("seal.aside"));
        std::fs::rename(&seal, &aside).unwrap();
        stage.try_restart().await;
        assert!(!stage.runs() && !seal.exists() && stage.said().contains("seal key file"), "{}", stage.said());
        std::fs::rename(&aside, &seal).unwrap();
        stage.restart().await;
        let scene = stage.scene().await;
        let here = place();
        let phone = scene.phone("Ausfall", &here).await;
        let done = scene.open_till(&here).await;
        let redirect = scene.sign_in(&phone, &done).await;
        let tokens = scene.tokens(&done, &redirect).await.unwrap();
        let approved = scene.open_till(&here).await;
        scene.approve(&phone, &approved).await;
        let confirmed = scene.open_till(&here).await;
        let checked = scene.confirm(&phone, &confirmed).await;
        let opened = scene.open("stock", "openid", &here).await;
        println!("signed in on PostgreSQL; now it goes away");
        drop(cluster);
        let closed = |what: &str, fault: Option<countersign_device::Fault>| match fault {
            Some(countersign_device::Fault::Refused(r)) => {
                assert!(r.status == 503 || r.code == "temporarily_unavailable", "{what}: {r:?}");
            }
            other => panic!("{what}: {other:?}"),
        };
        closed("redeem", approved.terminal.redeem(&approved.ceremony).await.err());
        closed("approve", phone.approve(&checked).await.err());
        closed("scan", phone.scan(&[opened.ceremony.frame()]).await.err());
        closed("overview", phone.overview().await.err());
        assert!(!scene.works(&done, &tokens).await, "a token was taken without asking the store");
        let raw = scene.raw(&here);
        assert_eq!(raw.send("GET", "/readyz", &[], vec![]).await.status, 503);
        assert_eq!(raw.send("GET", "/healthz", &[], vec![]).await.status, 200);
    }

    // A clock that was turned back: the newest commit lies ahead of it.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let here = place();
    stage.kill();
    let engine = Engine::open(&stage.database).await.unwrap();
    let turn = Statement::any("UPDATE event_head SET at = at + 3600000000", []);
    engine.upkeep(vec![turn]).await.unwrap();
    drop(engine);
    stage.try_restart().await;
    assert!(!stage.runs(), "with the clock turned back the server started");
    assert!(stage.said().contains("the clock is behind the newest record"), "{}", stage.said());

    // Rules that cannot be read: the server does not start rather than guess.
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("broken.cedar", "permit (principal, action"), ("odd.cedar", "permit (principal, action, resource) when { context.nothing_like_it };")] {
        let rules = dir.path().join(name);
        std::fs::write(&rules, text).unwrap();
        let config = dir.path().join("countersign.toml");
        let lines = format!(
            "issuer = \"http://localhost:7999\"\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite:{0}/{name}.db\"\n\
             seal_key_file = \"{0}/seal\"\npolicies = \"{1}\"\n",
            dir.path().display(),
            rules.display()
        );
        std::fs::write(&config, lines).unwrap();
        let mut child = Command::new(program())
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let mut ended = None;
        while ended.is_none() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
            ended = child.try_wait().unwrap();
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(ended.is_some_and(|status| !status.success()), "{name}: the server started on rules it cannot read");
    }
    // Rules that permit nothing: everything is refused, nothing falls back to the shipped ones.
    let rules = dir.path().join("nothing.cedar");
    std::fs::write(&rules, "@id(\"nothing\") forbid (principal, action, resource);").unwrap();
    let more = format!("policies = \"{}\"", rules.display());
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    scene.refused(terminal.open(&page).await.map(|_| ()), "denied").await;
}

#[tokio::test]
async fn q10_slow_networks_work_and_forwarded_pictures_do_not() {
    let scene = stage().scene().await;
    let (here, elsewhere) = (place(), place());
    let phone = scene.phone("Langsam", &here).await;
    let friend = scene.phone("Friend in a chat", &elsewhere).await;
    let slow = || tokio::time::sleep(Duration::from_secs(2));
    let shown = scene.open_till(&here).await;
    let forwarded = shown.ceremony.frame();
    // A picture that goes through a chat is refused where it arrives, at once and later.
    scene.refused(friend.scan(&[forwarded]).await, "too_far").await;
    // Two seconds for each round trip, and answers that get lost, so that calls are made twice.
    let attempt = scene.open_till(&here).await;
    let frame = attempt.ceremony.frame();
    slow().await;
    let lost = phone.scan(&[frame]).await.unwrap();
    slow().await;
    let checked = phone.scan(&[frame]).await.unwrap();
    assert_eq!(lost.sd, checked.sd);
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    slow().await;
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    let assertion = phone.assert(&checked.ask()).unwrap();
    let verb = countersign_wire::approval::Verb::Approve;
    let decision = phone.signed(&checked.statement.cid, &checked.sd, verb, Some(assertion)).unwrap();
    phone.decide(&checked.statement.cid, &decision).await.unwrap();
    slow().await;
    assert_eq!(phone.decide(&checked.statement.cid, &decision).await.unwrap().state, "approved");
    slow().await;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    slow().await;
    let redirect = scene.redirect(&attempt, reply).await;
    scene.tokens(&attempt, &redirect).await.unwrap();
    // By now the picture is useless even here.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    scene.refused(phone.scan(&[forwarded]).await, "code_not_live").await;
}
