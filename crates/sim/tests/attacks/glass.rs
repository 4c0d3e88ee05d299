//! Rights without the line: what a terminal, a phone, an application and the server refuse, and what is noticed afterwards.

use countersign_device::http::{Call, Prover};
use countersign_device::terminal::{Ask, Registered};
use countersign_device::{Fault, SoftwareKey};
use countersign_guard::glass::{Panes, Shut};
use countersign_sim::stage::{GLASS_CLIENT, Scene, Shop, Till, ask, in_s, until};
use countersign_store::Statement;
use countersign_wire::glass::{self, Bundle, Chain, Closed, Grant, Sealed, Slip, Why, roster_bytes};
use countersign_wire::jose::Keys;
use countersign_wire::message::{GlassAsk, GlassGiven, GlassTaken};
use countersign_wire::{b64, object};
use serde_json::{Value, json};
use std::sync::OnceLock;

static SHOP: OnceLock<Shop> = OnceLock::new();

fn shop() -> &'static Shop {
    Shop::shared(&SHOP)
}

fn is(done: Result<impl Sized, Fault>, why: Why) {
    match done {
        Err(Fault::Glass(found)) => assert_eq!(found, why),
        Err(other) => panic!("expected `{}`, not: {other}", why.code()),
        Ok(_) => panic!("expected `{}`, but it was opened", why.code()),
    }
}

async fn handed(till: &Till, bundle: &Bundle, key: &dyn countersign_device::keys::Prove) -> Result<GlassTaken, Fault> {
    let url = till.registered.kept().issuer.join("terminals/glass/end").unwrap();
    till.http.ask(&Call::post(url, bundle)?.proved(Prover::device(key))).await
}

/// A last word about so many uses, as the terminal's key can say it.
fn closing(till: &Till, bundle: &Bundle, keys: &Value, uses: usize) -> String {
    let grant = Grant::open(&bundle.grant, &b64::decode(&bundle.roster).unwrap(), &Keys::of(keys)).unwrap();
    let mut chain = Chain::new(&grant);
    for record in &bundle.records[..uses] {
        chain.take(record).unwrap();
    }
    let closed = Closed { v: 1, id: grant.sealed.id.clone(), uses: chain.uses(), last: chain.last(), at: in_s(0).seconds() };
    glass::close(&closed, till.registered.key().public(), till.registered.key()).unwrap()
}

async fn doubted(scene: &Scene<'_>, till: &Till) -> Vec<String> {
    let log = scene.log().await;
    let of = log.iter().filter(|l| l.kind == "glass.doubted" && l.body["facts"]["terminal"] == till.id.as_str());
    of.map(|l| l.body["facts"]["why"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn glass_two_who_are_not_two_or_of_whom_none_supervises_open_nothing() {
    let (shop, till) = (shop(), shop().till().await);
    is(shop.two(&till, ["ana", "ana"]), Why::SameDevice);
    is(shop.two(&till, ["lea", "bo"]), Why::Supervisor);
    // Somebody of the server whom this shop does not name.
    is(shop.two(&till, ["ana", "max"]), Why::Stranger);
    // Whoever works with it cannot open it: their own phone says so, and so does the terminal whatever a phone says.
    let lea = shop.phone("lea").kept().sub.unwrap();
    let opening = till.registered.glass_ask(&Ask { works: Some(lea), ..ask("discount") }, in_s(0)).unwrap();
    is(shop.answer("lea", &opening), Why::Works);
    let answers = [shop.answer("ana", &opening).unwrap(), shop.answer("bo", &opening).unwrap()];
    till.registered.glass_keep(&opening, answers, in_s(0)).unwrap();
    assert_eq!(till.registered.glass().unwrap().unwrap().bundle.records.len(), 1, "what was refused was written down");
}

#[tokio::test]
async fn glass_no_more_is_opened_than_was_granted_nor_longer_nor_with_a_clock_that_went_back() {
    let (shop, till) = (shop(), shop().till().await);
    let asks = |ask: &Ask, s: i64| till.registered.glass_ask(ask, in_s(s));
    is(asks(&ask("void"), 0), Why::Scope);
    is(asks(&Ask { for_s: Some(61), ..ask("discount") }, 0), Why::Minutes);
    is(asks(&ask("discount"), -600), Why::Clock);
    is(asks(&ask("discount"), 3_700), Why::Time);
    // A terminal whose clock is not the phones' is noticed by whoever reads it there.
    let opening = asks(&ask("discount"), 1_800).unwrap();
    is(shop.answer("lea", &opening), Why::Clock);
    let (first, _) = shop.two(&till, ["lea", "ana"]).unwrap();
    is(asks(&ask("discount"), first.begin - in_s(0).seconds() - 1), Why::Clock);
    // Answers that came too late.
    let opening = asks(&ask("discount"), 0).unwrap();
    let answers = || [shop.answer("lea", &opening).unwrap(), shop.answer("cleo", &opening).unwrap()];
    is(till.registered.glass_keep(&opening, answers(), in_s(700)), Why::Time);
    till.registered.glass_keep(&opening, answers(), in_s(0)).unwrap();
    is(asks(&ask("discount"), 0), Why::Count);
    is(till.registered.glass_keep(&opening, answers(), in_s(0)), Why::Order);
}

#[tokio::test]
async fn glass_an_answer_serves_one_terminal_and_one_question() {
    let (shop, till, other) = (shop(), shop().till().await, shop().till().await);
    let (here, there) = (till.registered.glass_ask(&ask("discount"), in_s(0)).unwrap(), other.registered.glass_ask(&ask("discount"), in_s(0)).unwrap());
    let again = till.registered.glass_ask(&ask("discount"), in_s(0)).unwrap();
    let answers = |opening| [shop.answer("lea", opening).unwrap(), shop.answer("ana", opening).unwrap()];
    is(till.registered.glass_keep(&here, answers(&there), in_s(0)), Why::Device);
    is(till.registered.glass_keep(&here, answers(&again), in_s(0)), Why::Device);
    // A terminal that shows one thing and keeps another: the words are what was signed.
    is(till.registered.glass_keep(&there, answers(&there), in_s(0)), Why::Challenge);
    let both = answers(&here);
    till.registered.glass_keep(&here, both.clone(), in_s(0)).unwrap();
    is(till.registered.glass_keep(&here, both, in_s(0)), Why::Order);
}

#[tokio::test]
async fn glass_a_phone_reads_nothing_that_its_own_server_did_not_seal() {
    let (shop, till) = (shop(), shop().till().await);
    let opening = till.registered.glass_ask(&ask("discount"), in_s(0)).unwrap();
    let phone = shop.phone("lea");
    let evil = SoftwareKey::generate().unwrap();
    let kid = shop.keys().await["keys"][0]["kid"].as_str().unwrap().to_owned();
    let forged = |change: &dyn Fn(&mut Sealed)| {
        let mut sealed = opening.sealed.clone();
        change(&mut sealed);
        Slip { grant: sealed.seal(&kid, &evil).unwrap(), ..opening.slip.clone() }.text()
    };
    is(phone.glass_read(&forged(&|_| ()), in_s(0)), Why::Grant);
    is(phone.glass_read(&forged(&|s| s.scopes = vec!["discount".into(), "everything".into()]), in_s(0)), Why::Grant);
    is(phone.glass_read(&opening.slip.text().replace("CSG1.", "CSG1.x"), in_s(0)), Why::Malformed);
    is(phone.glass_read(&opening.slip.text(), in_s(3_700)), Why::Time);
    assert!(phone.glass_read(&opening.slip.text(), in_s(0)).is_ok());
    // A whole bundle that another server sealed: no application, and no hand-in, takes it.
    let scene = shop.stage.scene().await;
    let kept = till.registered.glass().unwrap().unwrap().bundle;
    let foreign = Bundle { grant: opening.sealed.seal(&kid, &evil).unwrap(), close: Some(closing(&till, &kept, &shop.keys().await, 0)), ..kept };
    scene.refused(handed(&till, &foreign, till.registered.key()).await, "no_such_thing").await;
    let panes = Panes::new(&opening.sealed.iss, GLASS_CLIENT, till.id.clone(), &shop.keys().await);
    assert_eq!(panes.judge(&json!(foreign).to_string(), "discount"), Err(Shut::NotOpened(Why::Grant)));
}

#[tokio::test]
async fn glass_files_on_two_machines_are_noticed_and_the_terminal_is_suspended() {
    let (shop, till) = (shop(), shop().till().await);
    let (scene, keys) = (shop.stage.scene().await, shop.keys().await);
    let copy = till.copied();
    let (_, one) = shop.two(&till, ["lea", "ana"]).unwrap();
    let (_, other) = shop.two(&copy, ["bo", "cleo"]).unwrap();
    // The application sees the two in one place, if it sees both.
    let issuer = shop.stage.issuer.origin().ascii_serialization();
    let panes = Panes::new(&issuer, GLASS_CLIENT, till.id.clone(), &keys);
    assert!(panes.judge(&json!(one).to_string(), "discount").is_ok());
    assert_eq!(panes.judge(&json!(other).to_string(), "discount"), Err(Shut::Replaced));
    // The first to hand in is believed; the second is kept, marked, and ends it.
    assert_eq!(till.registered.glass_end(&till.http).await.unwrap().unwrap(), GlassTaken { uses: 1, why: None });
    assert_eq!(shop.state(&till.id), "active");
    copy.registered.glass_end(&copy.http).await.unwrap();
    assert_eq!((shop.state(&till.id).as_str(), doubted(&scene, &till).await), ("suspended", vec!["forked".to_owned()]));
    let uses = shop.uses(&till.id, false);
    assert_eq!(uses.iter().map(|u| (u["by"].clone(), u["marks"].clone())).collect::<Vec<_>>(), [(json!(["lea", "ana"]), json!([])), (json!(["bo", "cleo"]), json!(["forked"]))]);
    let again = till.registered.glass_take(&till.http, GLASS_CLIENT).await;
    scene.refused(again, "denied").await;
}

#[tokio::test]
async fn glass_a_chain_with_something_cut_out_is_kept_and_not_believed() {
    let shop = shop();
    let (scene, keys) = (shop.stage.scene().await, shop.keys().await);
    // The first of two cut out: a gap.
    let till = shop.till().await;
    shop.two(&till, ["lea", "ana"]).unwrap();
    let (_, whole) = shop.two(&till, ["bo", "ana"]).unwrap();
    let word = closing(&till, &whole, &keys, 2);
    let gap = Bundle { records: whole.records[1..].to_vec(), close: Some(word.clone()), ..whole.clone() };
    assert_eq!(handed(&till, &gap, till.registered.key()).await.unwrap(), GlassTaken { uses: 0, why: Some("order".into()) });
    assert_eq!((shop.state(&till.id).as_str(), doubted(&scene, &till).await), ("suspended", vec!["order".to_owned()]));
    assert_eq!(shop.uses(&till.id, false).iter().map(|u| (u["marks"].clone(), u["why"].clone())).collect::<Vec<_>>(), [(json!(["not_believed"]), json!("order"))]);
    // The last one cut off, with a last word that says so: a shorter chain than another that came.
    let till = shop.till().await;
    shop.two(&till, ["lea", "ana"]).unwrap();
    let (_, whole) = shop.two(&till, ["bo", "ana"]).unwrap();
    let full = Bundle { close: Some(closing(&till, &whole, &keys, 2)), ..whole.clone() };
    let short = Bundle { records: whole.records[..1].to_vec(), close: Some(closing(&till, &whole, &keys, 1)), ..whole.clone() };
    let lying = Bundle { close: full.close.clone(), ..short.clone() };
    handed(&till, &full, till.registered.key()).await.unwrap();
    handed(&till, &short, till.registered.key()).await.unwrap();
    assert_eq!((shop.state(&till.id).as_str(), shop.uses(&till.id, false).len()), ("suspended", 2));
    // And with the word about two, while one came.
    assert_eq!(handed(&till, &lying, till.registered.key()).await.unwrap(), GlassTaken { uses: 1, why: Some("close".into()) });
    // The application notices what is gone.
    let panes = Panes::new(&shop.stage.issuer.origin().ascii_serialization(), GLASS_CLIENT, till.id.clone(), &keys);
    assert!(panes.judge(&json!(whole).to_string(), "discount").is_ok());
    assert_eq!(panes.judge(&json!(Bundle { close: None, ..short }).to_string(), "discount"), Err(Shut::Replaced));
    assert_eq!(panes.judge(&json!(full).to_string(), "discount"), Err(Shut::NotHere), "nothing is open once it is closed");
    assert_eq!(panes.judge(&json!(whole).to_string(), "discount"), Err(Shut::NotHere), "nor with the last word left out");
}

#[tokio::test]
async fn glass_a_hand_in_counts_once_and_is_its_terminals_alone() {
    let (shop, till, other) = (shop(), shop().till().await, shop().till().await);
    let (scene, keys) = (shop.stage.scene().await, shop.keys().await);
    let (_, bundle) = shop.two(&till, ["lea", "cleo"]).unwrap();
    let bundle = Bundle { close: Some(closing(&till, &bundle, &keys, 1)), ..bundle };
    // Nobody else hands it in, and not without its last word.
    scene.refused(handed(&till, &bundle, other.registered.key()).await, "malformed").await;
    scene.refused(handed(&till, &bundle, &SoftwareKey::generate().unwrap()).await, "bad_proof").await;
    scene.refused(handed(&till, &bundle, &shop.phone("lea").key).await, "bad_proof").await;
    scene.refused(handed(&till, &Bundle { close: None, ..bundle.clone() }, till.registered.key()).await, "malformed").await;
    scene.refused(handed(&till, &Bundle { roster: b64::encode(b"[]"), ..bundle.clone() }, till.registered.key()).await, "malformed").await;
    handed(&till, &bundle, till.registered.key()).await.unwrap();
    let before = (scene.counts().await["glass"], scene.counts().await["glass use"]);
    assert_eq!(handed(&till, &bundle, till.registered.key()).await.unwrap(), GlassTaken { uses: 1, why: None }, "the same again");
    assert_eq!((shop.uses(&till.id, true).len(), shop.state(&till.id).as_str(), doubted(&scene, &till).await.len()), (1, "active", 0));
    assert!(before.0 > 0 && before.1 > 0);
    // No second grant while there is one.
    let url = till.registered.kept().issuer.join("terminals/glass").unwrap();
    let call = || Call::post(url.clone(), &GlassAsk { client: GLASS_CLIENT.into() }).unwrap();
    let sent: Result<GlassGiven, Fault> = till.http.ask(&call().proved(Prover::device(till.registered.key()))).await;
    sent.unwrap();
    let sent: Result<GlassGiven, Fault> = till.http.ask(&call().proved(Prover::device(till.registered.key()))).await;
    scene.refused(sent, "denied").await;
    let sent: Result<GlassGiven, Fault> = till.http.ask(&call().proved(Prover::device(&shop.phone("lea").key))).await;
    scene.refused(sent, "bad_proof").await;
    // Nor because the terminal lost it: somebody must say so, and it is told.
    scene.refused(next(&till).await, "denied").await;
    shop.stage.command(&["glass", "forget", till.id.as_str()]).unwrap();
    assert_eq!((next(&till).await.unwrap().serial, doubted(&scene, &till).await), (3, vec!["lost".to_owned()]));
    // An application that has seen the newer grant takes the older one no more.
    let (_, newer) = shop.two(&till, ["bo", "cleo"]).unwrap();
    let panes = Panes::new(&shop.stage.issuer.origin().ascii_serialization(), GLASS_CLIENT, till.id.clone(), &keys);
    assert!(panes.judge(&json!(newer).to_string(), "discount").is_ok());
    assert_eq!(panes.judge(&json!(Bundle { close: None, ..bundle }).to_string(), "discount"), Err(Shut::Replaced));
}

#[tokio::test]
async fn glass_nobody_reviews_what_they_opened_or_worked_with() {
    let (shop, till) = (shop(), shop().till().await);
    let max = shop.phone("max").kept().sub.unwrap();
    let opening = till.registered.glass_ask(&Ask { works: Some(max), ..ask("refund") }, in_s(0)).unwrap();
    let answers = [shop.answer("oli", &opening).unwrap(), shop.answer("ana", &opening).unwrap()];
    till.registered.glass_keep(&opening, answers, in_s(0)).unwrap();
    till.registered.glass_end(&till.http).await.unwrap();
    let used = shop.uses(&till.id, false).remove(0);
    assert_eq!((&used["by"], &used["works"]), (&json!(["oli", "ana"]), &json!("max")));
    // Both are operators; one opened it, the other worked with it.
    for by in ["oli", "max", "ana"] {
        let told = shop.stage.command(&["glass", "review", used["id"].as_str().unwrap(), "--by", by, "--word", "fine"]);
        assert!(told.is_err_and(|told| told.contains("denied")), "{by}");
    }
    assert_eq!(shop.uses(&till.id, false).len(), 1);
}

fn on_list(till: &Till) -> Vec<String> {
    let kept = till.registered.glass().unwrap().unwrap();
    let mut names: Vec<String> = kept.judged().unwrap().grant.roster.into_iter().map(|h| h.name).collect();
    names.sort();
    names
}

/// A till takes its next grant.
async fn next(till: &Till) -> Result<Sealed, Fault> {
    till.registered.glass_take(&till.http, GLASS_CLIENT).await
}

#[tokio::test]
async fn x13_without_the_line_whoever_or_whatever_fell_is_on_no_list_and_falling_later_is_marked() {
    // People and tills of its own: they fall here.
    let shop = Shop::open().await;
    let scene = shop.stage.scene().await;
    let command = |words: &[&str]| shop.stage.command(words).unwrap();
    let till = shop.till().await;
    assert_eq!(on_list(&till), ["ana", "bo", "cleo", "lea", "oli"], "those whom the site names");
    // A site whose people are no two with a supervisor gets none.
    scene.refused(next(&shop.till_at("harbour").await).await, "denied").await;

    // Somebody falls after the grant was made: the terminal cannot know, and it is seen afterwards.
    let fallen = shop.till().await;
    command(&["person", "lock", "bo"]);
    command(&["device", "suspend", &shop.device_of("cleo")]);
    shop.two(&fallen, ["bo", "cleo"]).unwrap();
    let a_second = || tokio::time::sleep(std::time::Duration::from_millis(1_100));
    a_second().await;
    command(&["device", "resume", &shop.device_of("cleo")]);
    fallen.registered.glass_end(&fallen.http).await.unwrap();
    assert_eq!(shop.uses(&fallen.id, false)[0]["marks"], json!(["person_stopped", "device_stopped"]), "the phone acts again, and did not then");
    // One that was opened before they fell is not marked for it.
    let before = shop.till().await;
    shop.two(&before, ["lea", "cleo"]).unwrap();
    a_second().await;
    command(&["device", "suspend", &shop.device_of("cleo")]);
    before.registered.glass_end(&before.http).await.unwrap();
    assert_eq!(shop.uses(&before.id, false)[0]["marks"], json!([]));
    next(&till).await.unwrap();
    assert_eq!(on_list(&till), ["ana", "lea", "oli"]);
    command(&["signal", "raise", "device.compromised", &shop.device_of("lea")]);
    next(&till).await.unwrap();
    assert_eq!(on_list(&till), ["ana", "oli"]);
    command(&["signal", "raise", "terminal.remote_controlled", till.id.as_str()]);
    scene.refused(next(&till).await, "remote_controlled").await;
    command(&["signal", "clear", "terminal.remote_controlled", till.id.as_str()]);
    next(&till).await.unwrap();
    // The only supervisor who is left falls: nobody could open it.
    command(&["person", "lock", "ana"]);
    scene.refused(next(&till).await, "denied").await;
    command(&["person", "unlock", "ana"]);
    next(&till).await.unwrap();

    // Away from its site it takes none.
    let away = till.http.fresh().with_header("x-forwarded-for", "10.9.9.9");
    scene.refused(till.registered.glass_take(&away, GLASS_CLIENT).await, "denied").await;
    next(&till).await.unwrap();

    // A terminal that is stopped takes none, and hands in what it opened all the same.
    shop.two(&till, ["ana", "oli"]).unwrap();
    command(&["terminal", "suspend", till.id.as_str()]);
    assert_eq!(till.registered.glass_end(&till.http).await.unwrap().unwrap().uses, 1);
    assert_eq!(shop.uses(&till.id, false)[0]["marks"], json!(["terminal_stopped"]));
    scene.refused(next(&till).await, "denied").await;

    // Silence past its end: the terminal is suspended, and what it hands in then is marked.
    let silent = shop.till().await;
    shop.two(&silent, ["ana", "oli"]).unwrap();
    let past = "UPDATE glass SET due = 1, until = 1 WHERE terminal = $1";
    scene.engine.upkeep(vec![Statement::any(past, [silent.id.as_str().into()])]).await.unwrap();
    shop.stage.restart().await;
    until("its suspension", async || (shop.state(&silent.id) == "suspended").then_some(())).await;
    assert_eq!((shop.state(&silent.id).as_str(), doubted(&scene, &silent).await), ("suspended", vec!["missed".to_owned()]));
    silent.registered.glass_end(&silent.http).await.unwrap();
    assert_eq!(shop.uses(&silent.id, false)[0]["marks"], json!(["late", "terminal_stopped"]));
}

#[tokio::test]
async fn glass_what_lies_on_the_terminal_is_read_strictly() {
    let till = shop().till().await;
    let kept = till.registered.glass().unwrap().unwrap();
    // Somebody who writes the terminal's files adds themself to the list: nothing is opened with it any more.
    let bytes = b64::decode(&kept.bundle.roster).unwrap();
    let mut list: Vec<glass::Holder> = serde_json::from_slice(&bytes).unwrap();
    list[0].supervisor = true;
    let roster = b64::encode(&roster_bytes(&list).unwrap().0);
    let file = till.folder.join("glass.json");
    let mut text: Value = object::parse(&std::fs::read(&file).unwrap()).unwrap();
    text["bundle"]["roster"] = json!(roster);
    std::fs::write(&file, text.to_string()).unwrap();
    let again = || Registered::load(countersign_device::keys::Folder::open(&till.folder).unwrap(), None).unwrap();
    is(again().glass_ask(&ask("discount"), in_s(0)), Why::Roster);
    // Its grant put back after it was closed: the terminal's own file says that it was.
    text["bundle"]["roster"] = json!(kept.bundle.roster);
    std::fs::write(&file, text.to_string()).unwrap();
    assert!(again().glass_ask(&ask("discount"), in_s(0)).is_ok());
    again().glass_end(&till.http).await.unwrap();
    assert!(again().glass_ask(&ask("discount"), in_s(0)).is_err_and(|fault| fault.exit_code() == 4));
}
