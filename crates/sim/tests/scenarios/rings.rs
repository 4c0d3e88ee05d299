//! Phones are told that something waits while nobody looks at their page: Web Push, from outside.

use countersign_device::{Http, Phone, SoftwareKey};
use countersign_sim::stage::{Bell, Browser, Program, Reply, Scene, Settings, Stage, place, until};
use countersign_wire::CeremonyId;
use countersign_wire::message::{Open, PushItem};
use serde_json::{Value, json};

/// All that a message says.
const WORDS: &[u8] = b"{\"waits\":true}";

async fn set(bell: &Bell) -> Stage {
    let stage = Stage::set(Settings { more: bell.lines(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

/// Somebody with a phone, and their login name.
async fn somebody(scene: &Scene<'_>, name: &str, here: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    (Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap(), login)
}

async fn push(phone: &Phone) -> PushItem {
    phone.overview().await.unwrap().push.unwrap()
}

/// The phone's page subscribes at `bell`.
async fn told(phone: &Phone, bell: &Bell, name: &str) -> Browser {
    let browser = Browser::at(bell, name);
    phone.subscribe(&browser.gives(&push(phone).await.key)).await.unwrap();
    browser
}

async fn call(scene: &Scene<'_>, client: &str, login: &str) -> Reply {
    let hotline = Program::new(scene.raw(&place()), client).with_secret();
    let reply = hotline.call(&[("scope", "openid"), ("login_hint", login), ("binding_message", "Counter 3, number 739204")]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply
}

fn cid(reply: &Reply) -> CeremonyId {
    reply.json()["auth_req_id"].as_str().unwrap().split('.').next().unwrap().parse().unwrap()
}

/// Waits for a line of the log about a ceremony.
async fn logged(scene: &Scene<'_>, cid: &CeremonyId, kind: &str) -> Value {
    until(kind, async || scene.log_of(cid.as_str()).await.into_iter().find(|l| l.kind == kind)).await.body["facts"].clone()
}

#[tokio::test]
async fn a_phone_that_wants_it_is_told_once_that_something_waits_and_nothing_of_what() {
    let (bell, here) = (Bell::open().await, place());
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (phone, login) = somebody(&scene, "Klingelmann", &here).await;
    let (other, _) = somebody(&scene, "Nachbar", &here).await;
    assert!(!push(&phone).await.on, "nobody is told who did not ask for it");
    let (browser, beside) = (told(&phone, &bell, "one").await, told(&other, &bell, "two").await);
    let item = push(&phone).await;
    assert!(item.on && !item.renew);

    let asked = call(&scene, "hotline", &login).await;
    let rung = bell.until(1).await.remove(0);
    assert_eq!((rung.path.as_str(), rung.header("topic"), rung.header("urgency"), rung.header("content-encoding")), ("/for/one", "waits", "high", "aes128gcm"));
    assert!((240..=300).contains(&rung.header("ttl").parse::<i64>().unwrap()), "as long as the request waits: {}", rung.header("ttl"));
    // Only this browser opens it, and there is nothing in it.
    assert_eq!(browser.opens(&rung.body).unwrap(), WORDS);
    assert!(beside.opens(&rung.body).is_none());
    // Who sends it says so to this push service alone.
    let (key, said) = rung.sender();
    assert_eq!((key, &said["aud"], &said["sub"]), (item.key.clone(), &json!(format!("http://{}", bell.host)), &json!("mailto:help@harbour.example")));
    let left_s = said["exp"].as_i64().unwrap() - countersign_device::machine::now().seconds();
    assert!((1..86_400).contains(&left_s), "{left_s}");
    let whole = format!("{} {:?} {}", rung.path, rung.headers, String::from_utf8_lossy(&rung.body)).to_lowercase();
    for word in ["hotline", "klingelmann", &login, cid(&asked).as_str(), phone.kept().device_id.as_str(), "739204", "openid"] {
        assert!(!whole.contains(&word.to_lowercase()), "`{word}` in {whole}");
    }
    // The page asks what it is with its own key, as ever.
    assert_eq!(phone.pending().await.unwrap().pending[0].cid, cid(&asked).to_string());
    assert_eq!(logged(&scene, &cid(&asked), "push.told").await, json!({"devices": 1}));
    assert_eq!(bell.settled().await.len(), 1, "once");

    // Another client, another purpose: no other length, no other word.
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    let open = Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() };
    let opened = terminal.open_as(&open).await.unwrap();
    let second = bell.until(2).await.remove(1);
    assert_eq!((second.body.len(), browser.opens(&second.body).unwrap()), (rung.body.len(), WORDS.to_vec()));
    assert_ne!(second.body, rung.body);
    // A name that nobody has: nothing is told to anybody.
    let nobody = Open { offer: Some(format!("{login}-nobody")), flow: open.flow.clone(), prev: Some(opened.cid.to_string()), ..Open::default() };
    let mut stranger = scene.terminal(&here);
    stranger.http = Http::fresh(&terminal.http);
    *stranger.http.jar() = terminal.http.jar().clone();
    stranger.key = SoftwareKey::generate().unwrap();
    stranger.open_as(&nobody).await.unwrap();
    assert_eq!(bell.settled().await.len(), 2);

    // What is kept says nothing to whoever finds the store, and the log never has the address.
    let kept = std::fs::read(stage.dir().join("countersign.db")).unwrap();
    let wal = std::fs::read(stage.dir().join("countersign.db-wal")).unwrap_or_default();
    for part in [browser.endpoint.as_bytes(), browser.gives("").auth.as_bytes(), browser.gives("").p256dh.as_bytes()] {
        assert!(![&kept, &wal].iter().any(|file| file.windows(part.len()).any(|w| w == part)));
    }
    // No more, by the person's own word; what stands on the page does.
    phone.unsubscribe().await.unwrap();
    assert!(!push(&phone).await.on);
    phone.unsubscribe().await.unwrap();
    call(&scene, "branch", &login).await;
    assert_eq!(bell.settled().await.len(), 2);
    assert_eq!(phone.pending().await.unwrap().pending.len(), 2);
    let off: Vec<Value> = scene.log().await.into_iter().filter(|l| l.kind == "push.off").map(|l| l.body["facts"].clone()).collect();
    assert_eq!(off, [json!({"why": "person"})]);
}

#[tokio::test]
async fn a_device_that_ends_is_suspended_or_bound_anew_is_told_nothing_more() {
    let (bell, here) = (Bell::open().await, place());
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (link, login) = scene.invitation("Vielgeraet").await;
    let mut phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let (lost, suspended) = (scene.second_phone(&phone, &here).await, scene.second_phone(&phone, &here).await);
    for (one, name) in [(&phone, "phone"), (&lost, "lost"), (&suspended, "suspended")] {
        told(one, &bell, name).await;
    }
    call(&scene, "hotline", &login).await;
    let mut paths: Vec<String> = bell.until(3).await.into_iter().map(|r| r.path).collect();
    paths.sort();
    assert_eq!(paths, ["/for/lost", "/for/phone", "/for/suspended"]);
    phone.lost(lost.kept().device_id.as_str()).await.unwrap();
    stage.command(&["device", "suspend", suspended.kept().device_id.as_str()]).unwrap();
    call(&scene, "branch", &login).await;
    assert_eq!(bell.until(4).await[3].path, "/for/phone");
    assert_eq!(bell.settled().await.len(), 4);
    // Resumed, it has to ask for it again.
    stage.command(&["device", "resume", suspended.kept().device_id.as_str()]).unwrap();
    assert!(!push(&suspended).await.on && push(&phone).await.on);
    // Whoever brings only the passkey has another browser.
    phone.rebind(SoftwareKey::generate().unwrap(), "Anew").await.unwrap();
    assert!(!push(&phone).await.on);
    // With a person goes what their devices gave.
    told(&phone, &bell, "anew").await;
    stage.command(&["person", "end", &login]).unwrap();
    assert_eq!(scene.counts().await["push_subscription"], 0);
}

#[tokio::test]
async fn a_push_service_that_fails_is_tried_again_and_one_that_says_gone_is_believed() {
    let (bell, here) = (Bell::open().await, place());
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (phone, login) = somebody(&scene, "Ausfall", &here).await;
    told(&phone, &bell, "one").await;
    // Out of order: later again, also over a restart, and the request does not wait for it.
    bell.turn(503, None);
    let first = call(&scene, "hotline", &login).await;
    bell.until(1).await;
    assert_eq!(phone.pending().await.unwrap().pending.len(), 1);
    stage.restart().await;
    bell.turn(201, None);
    bell.until(2).await;
    assert_eq!(logged(&scene, &cid(&first), "push.told").await, json!({"devices": 1}));
    // It refuses: once is enough, and the operator can see it.
    bell.turn(403, None);
    let second = call(&scene, "branch", &login).await;
    let failed = logged(&scene, &cid(&second), "push.failed").await;
    assert_eq!(failed, json!({"devices": 1, "because": "it does not know us", "tries": 1}));
    assert_eq!(scene.counts().await["push_owed"], 0);
    assert!(push(&phone).await.on);
    // Its browser takes nothing there any more.
    for (gone, client) in [(404, "bare-hotline"), (410, "hotline")] {
        phone.refuse_unseen(&cid(&first), false).await.unwrap();
        told(&phone, &bell, "one").await;
        bell.turn(gone, None);
        let before = bell.came().len();
        call(&scene, client, &login).await;
        bell.until(before + 1).await;
        until(&format!("{gone} ends it"), async || (!push(&phone).await.on).then_some(())).await;
    }
    let why: Vec<Value> = scene.log().await.into_iter().filter(|l| l.kind == "push.off").map(|l| l.body["facts"]["why"].clone()).collect();
    assert_eq!(why, ["gone", "gone"]);
}

#[tokio::test]
async fn whoever_signs_in_by_the_code_on_the_same_screen_has_answered_the_bell() {
    let (bell, here) = (Bell::open().await, place());
    let stage = set(&bell).await;
    let scene = stage.scene().await;
    let (phone, login) = somebody(&scene, "Scannerin", &here).await;
    told(&phone, &bell, "one").await;
    // Three times: after two that nobody answered it would be silent.
    for n in 1..=3 {
        let attempt = scene.open_till(&here).await;
        // Another page of the same browser, with a key of its own.
        let mut beside = scene.terminal(&here);
        beside.http = Http::fresh(&attempt.terminal.http);
        *beside.http.jar() = attempt.terminal.http.jar().clone();
        let (_, page) = scene.arrive(&beside, "till", "openid").await;
        let offered = beside.open_as(&Open { flow: Some(page), offer: Some(login.clone()), ..Open::default() }).await.unwrap();
        bell.until(n).await;
        scene.sign_in(&phone, &attempt).await;
        assert_eq!(logged(&scene, &offered.cid, "ceremony.abandoned").await["reason"], "another_redeemed");
    }
}
