//! What rings people's phones, and what the server calls because a browser said so: rows 10 and 31.

use super::pushes::{listed, push};
use countersign_device::Phone;
use countersign_device::terminal::Ceremony;
use countersign_sim::stage::{Bell, Browser, Scene, Settings, Stage, place};
use countersign_wire::message::Subscribe;
use serde_json::json;

async fn set(bell: &Bell) -> Stage {
    let stage = Stage::set(Settings { more: bell.lines(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

async fn key(phone: &Phone) -> String {
    phone.overview().await.unwrap().push.unwrap().key
}

/// A request by `client` that comes to its end, and whether the phone rang for it.
async fn asks(scene: &Scene<'_>, bell: &Bell, phone: &Phone, client: &str, login: &str, end: impl AsyncFnOnce(&countersign_device::Terminal, &Ceremony)) -> bool {
    let before = bell.came().len();
    let (terminal, opened) = push(scene, client, login).await;
    let opened = opened.unwrap();
    let rang = bell.settled().await.len() > before;
    assert!(phone.pending().await.unwrap().pending.iter().any(|p| p.cid == opened.cid.to_string()), "it stands on the page in any case");
    end(&terminal, &opened).await;
    rang
}

#[tokio::test]
async fn x10_a_client_that_nobody_answers_rings_no_phone_for_a_while() {
    let bell = Bell::open().await;
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (phone, login) = listed(&scene, "Gestoert").await;
    let (neighbour, beside) = listed(&scene, "Unbehelligt").await;
    for (one, name) in [(&phone, "one"), (&neighbour, "two")] {
        one.subscribe(&Browser::at(&bell, name).gives(&key(one).await)).await.unwrap();
    }
    // Given up, and refused: two of them, and the third rings no more, from wherever it comes.
    assert!(asks(&scene, &bell, &phone, "till", &login, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
    assert!(asks(&scene, &bell, &phone, "till", &login, async |_, opened| _ = phone.refuse_unseen(&opened.cid, false).await.unwrap()).await);
    for _ in 0..2 {
        assert!(!asks(&scene, &bell, &phone, "till", &login, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
    }
    let quiet = scene.log().await.into_iter().filter(|l| l.kind == "push.failed").map(|l| l.body["facts"].clone()).collect::<Vec<_>>();
    assert_eq!(quiet, [json!({"because": "quiet"}), json!({"because": "quiet"})], "the operator can see why");
    // Another client rings, and so does this one at another person's.
    assert!(asks(&scene, &bell, &phone, "stock", &login, async |_, opened| _ = phone.refuse_unseen(&opened.cid, true).await.unwrap()).await);
    assert!(asks(&scene, &bell, &neighbour, "till", &beside, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
    // "Not me" once is enough, for a screen that is not stopped as well: it stands elsewhere.
    assert!(!asks(&scene, &bell, &phone, "stock", &login, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
    // What was approved after all makes it ring again.
    let here = place();
    let (link, login) = scene.invitation("Versoehnt").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    phone.subscribe(&Browser::at(&bell, "three").gives(&key(&phone).await)).await.unwrap();
    for _ in 0..2 {
        assert!(asks(&scene, &bell, &phone, "till", &login, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
    }
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    let open = countersign_wire::message::Open { flow: Some(page), offer: Some(login.clone()), ..Default::default() };
    let before = bell.came().len();
    let opened = terminal.open_as(&open).await.unwrap();
    assert_eq!(bell.settled().await.len(), before);
    phone.take(&opened.cid).await.unwrap();
    let digits = terminal.state(&opened, None).await.unwrap().digits.unwrap();
    phone.confirm(&opened.cid, &digits).await.unwrap();
    phone.approve(&phone.look_again(&opened.cid).await.unwrap()).await.unwrap();
    terminal.redeem(&opened).await.unwrap();
    assert!(asks(&scene, &bell, &phone, "till", &login, async |terminal, opened| terminal.abandon(opened).await.unwrap()).await);
}

#[tokio::test]
async fn x31_what_a_browser_calls_its_push_service_is_called_only_where_it_is_listed() {
    let (bell, inside) = (Bell::open().await, Bell::open().await);
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (phone, login) = listed(&scene, "Umleiter").await;
    let key = key(&phone).await;
    let good = Browser::at(&bell, "one").gives(&key);
    let at = |endpoint: String| Subscribe { endpoint, ..good.clone() };
    let port = bell.host.split(':').nth(1).unwrap();
    for endpoint in [
        format!("http://{}/for/one", inside.host), format!("http://localhost:{port}/for/one"), format!("http://[::1]:{port}/for/one"),
        format!("http://2130706433:{}/for/one", inside.host.split(':').nth(1).unwrap()), format!("http://user@{}/for/one", bell.host),
        format!("http://{}/for/one#x", bell.host), format!("ftp://{}/for/one", bell.host), "https://10.0.0.1/a".into(), "https://192.168.1.1/a".into(),
        "https://169.254.169.254/latest/meta-data".into(), "https://metadata.internal.invalid/".into(), "https://fcm.googleapis.com/fcm/send/a".into(),
        "http://127.0.0.1/".into(), "file:///etc/passwd".into(), String::new(), format!("http://{}/{}", bell.host, "a".repeat(1_100)),
    ] {
        scene.refused(phone.subscribe(&at(endpoint)).await, "denied").await;
    }
    // Keys that are none, or of somebody else's server.
    for given in [
        Subscribe { p256dh: good.auth.clone(), ..good.clone() },
        Subscribe { auth: good.p256dh.clone(), ..good.clone() },
        Subscribe { key: good.p256dh.clone(), ..good.clone() },
        Subscribe { p256dh: countersign_wire::b64::encode(&[4; 65]), ..good.clone() },
    ] {
        scene.refused(phone.subscribe(&given).await, "malformed").await;
    }
    // A device that does not act gives nothing either.
    let id = phone.kept().device_id.to_string();
    stage.command(&["device", "suspend", &id]).unwrap();
    scene.refused(phone.subscribe(&good).await, "denied").await;
    stage.command(&["device", "resume", &id]).unwrap();
    assert_eq!(scene.counts().await["push_subscription"], 0);
    assert_eq!((bell.came().len(), inside.came().len()), (0, 0), "nothing is called to find out");
    // A push service that sends elsewhere is not followed, whatever the word.
    phone.subscribe(&good).await.unwrap();
    for (n, status) in [(1, 301), (2, 307)] {
        bell.turn(status, Some(&format!("http://{}/inside", inside.host)));
        let (terminal, opened) = push(&scene, "till", &login).await;
        bell.until(n).await;
        bell.settled().await;
        terminal.abandon(&opened.unwrap()).await.unwrap();
    }
    assert_eq!((bell.came().len(), inside.came().len()), (2, 0));
    // What was listed then and is not now is not called any more.
    bell.turn(201, None);
    let config = stage.dir().join("countersign.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&format!("hosts = [\"{}\"]", bell.host), "hosts = [\"push.example\"]")).unwrap();
    stage.restart().await;
    let (_, opened) = push(&scene, "stock", &login).await;
    bell.settled().await;
    assert_eq!(bell.came().len(), 2);
    let log = scene.log_of(opened.unwrap().cid.as_str()).await;
    assert!(log.iter().any(|l| l.kind == "push.failed" && l.body["facts"]["because"] == "a push service that is not listed"));
}
