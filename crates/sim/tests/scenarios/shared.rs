//! A phone owned by the shop and shared by a shift, with each person's own passkey: Q10.

use super::terminals::{folder, market, told, tokens};
use countersign_device::http::{Call, Prover};
use countersign_device::keys::Prove;
use countersign_device::phone::{Enrolling, InviteLink};
use countersign_device::terminal::{Arrival, Registered};
use countersign_device::{Fault, Passkey, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{REDIRECT, Robot, SECRET, Scene, Settings, Stage, claims, place, runs_on};
use countersign_store::Statement;
use countersign_trust::operator;
use countersign_wire::approval::Verb;
use countersign_wire::message::{AssertionAsk, FinishEnrolment, Invite, Open, Overview, Unlock};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || {
        let more = format!(
            "recovery_delay_s = 0\n[terminals.sites.market]\nnetworks = [\"10.77.0.0/16\"]\n\
             [[clients]]\nid = \"desk-till\"\nname = \"Harbour Books till\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"profile\", \"stock\", \"refund\"]\n\
             privileged_scopes = [\"refund\"]\nwithout_phone = {{ approved_by = [\"supervisor\"], scopes = [\"openid\", \"profile\"], for_s = 600 }}\n\
             [[clients]]\nid = \"shared-reader\"\nname = \"Reader\"\nredirect_uris = [\"{REDIRECT}\"]\nauth = \"client_secret_basic\"\nsecret_hash = \"{}\"\n",
            b64::encode(&mac::h(SECRET.as_bytes()))
        );
        Settings { more, ..Settings::default() }
    })
}

/// A phone of the shop, its folder, and its id.
async fn handset(scene: &Scene<'_>, here: &str, site: Option<&str>) -> (Registered, tempfile::TempDir, String) {
    let name = format!("Shift phone {}", place());
    let mut words = vec!["terminal", "invite", "--name", &name, "--place", "Market Street", "--class", "shared-phone", "--json"];
    words.extend(site.into_iter().flat_map(|s| ["--site", s]));
    let made: Value = serde_json::from_str(&scene.stage.command(&words).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let joined = Registered::join(&scene.http(here), made["link"].as_str().unwrap(), folder(&dir), None).await.unwrap();
    (joined, dir, made["terminal"].as_str().unwrap().to_owned())
}

/// Somebody new with a seat on it, and their login.
async fn seat(scene: &Scene<'_>, here: &str, on: &Registered, name: &str, role: Option<&str>) -> (Phone, String) {
    let login = format!("{}-{}", name.to_lowercase(), place().replace('.', "-"));
    let mut words = vec!["invite", name, &login];
    words.extend(role.into_iter().flat_map(|r| ["--role", r]));
    let said = scene.stage.command(&words).unwrap();
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    (Phone::enrol_on(scene.http(here), &link, on.key(), "Shift phone").await.unwrap(), login)
}

fn id(phone: &Phone) -> String {
    phone.kept().device_id.to_string()
}

async fn seen(scene: &Scene<'_>, phone: &Phone, on: &Registered) -> Overview {
    scene.refused(phone.overview().await, "seat_locked").await;
    assert!(phone.unlock(on.key()).await.unwrap().left_ms > 100_000);
    phone.overview().await.unwrap()
}

#[tokio::test]
async fn q10_two_people_share_a_phone_and_neither_sees_what_is_the_others_without_their_passkey() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, _dir, terminal) = handset(&scene, &here, Some("market")).await;
    let (ana, ana_login) = seat(&scene, &here, &phone, "Ana", None).await;
    let (ben, _) = seat(&scene, &here, &phone, "Ben", None).await;
    // Who is there is chosen; a scan needs no more, and the approval is by that person's own passkey.
    let attempt = scene.open("desk-till", "openid profile stock refund", &here).await;
    let checked = scene.approve(&ana, &attempt).await;
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile", "stock"], "nothing privileged");
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let next = scene.redirect(&attempt, reply).await;
    let given = tokens(&scene, &attempt, next.as_str()).await.unwrap();
    // Of a class of its own: neither "several factors" nor a key that is theirs.
    let identity = claims(given.id_token.as_deref().unwrap());
    assert_eq!((&identity["acr"], &identity["amr"]), (&json!("urn:countersign:acr:shared"), &json!(["user"])));
    assert_eq!(given.scope.as_deref(), Some("openid profile stock"));
    // The device's key alone shows nothing, ends nothing and says "not me" in nobody's name.
    for one in [&ana, &ben] {
        scene.refused(one.overview().await, "seat_locked").await;
        scene.refused(one.pending().await, "seat_locked").await;
        scene.refused(one.end_all().await, "seat_locked").await;
        scene.refused(one.badge().await, "seat_locked").await;
        scene.refused(one.story(&attempt.ceremony.cid).await, "seat_locked").await;
        scene.refused(one.leave().await, "seat_locked").await;
    }
    scene.refused(ana.not_me(&checked).await, "seat_locked").await;
    assert!(scene.works(&attempt, &given).await);
    // Ben's passkey shows what is Ben's, and no other passkey does.
    let bens = seen(&scene, &ben, &phone).await;
    assert!(bens.sessions.is_empty() && bens.devices.len() == 1 && bens.devices[0].shared);
    scene.refused(ana.overview().await, "seat_locked").await;
    let anas = seen(&scene, &ana, &phone).await;
    assert_eq!((anas.sessions.len(), anas.notices.len(), anas.recovery.is_none()), (1, 0, true));
    // Handed on, and by itself after a while.
    ana.hand_on().await.unwrap();
    ana.hand_on().await.unwrap();
    scene.refused(ana.overview().await, "seat_locked").await;
    // Handed on while an answer of its person is under way, which opens nothing any more.
    let under_way = ana.unlock_options().await.unwrap();
    ana.hand_on().await.unwrap();
    scene.refused(ana.unlock_by(&under_way, phone.key()).await, "bad_proof").await;
    scene.refused(ana.overview().await, "seat_locked").await;
    let over = Statement::any("UPDATE device SET unlocked_until = 1, version = version + 1 WHERE id = $1", [id(&ben).into()]);
    scene.engine.upkeep(vec![over]).await.unwrap();
    scene.refused(ben.overview().await, "seat_locked").await;
    // Whoever runs the server sees who has a seat; the log, who had the phone in hand.
    let listed = scene.stage.command(&["terminal", "seats", &terminal, "--json"]).unwrap();
    let listed: Vec<Value> = listed.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((listed.len(), &listed[0]["login"], &listed[0]["state"]), (2, &json!(ana_login), &json!("active")));
    assert_eq!(told(&scene, &terminal, "seat.unlocked").await.len(), 2);
    assert_eq!((told(&scene, &terminal, "seat.locked").await.len(), told(&scene, &terminal, "device.enrolled").await.len()), (3, 2));
    // Whoever leaves loses their seat, with what they opened there; the other stays.
    ana.unlock(phone.key()).await.unwrap();
    ana.leave().await.unwrap();
    assert!(!scene.works(&attempt, &given).await);
    scene.refused(ana.overview().await, "bad_proof").await;
    ben.unlock(phone.key()).await.unwrap();
    assert_eq!(ben.overview().await.unwrap().devices[0].state, "active");
}

#[tokio::test]
async fn q10_a_shared_phone_that_is_lost_ends_every_seat_and_all_they_opened_in_one_commit() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, _dir, terminal) = handset(&scene, &here, Some("market")).await;
    let (ana, _) = seat(&scene, &here, &phone, "Ana", None).await;
    let (ben, _) = seat(&scene, &here, &phone, "Ben", None).await;
    let (cem, _) = seat(&scene, &here, &phone, "Cem", None).await;
    let opened = async |by: &Phone| {
        let attempt = scene.open("desk-till", "openid profile", &here).await;
        let next = scene.sign_in(by, &attempt).await;
        let given = scene.tokens(&attempt, &next).await.unwrap();
        (attempt, given)
    };
    // Somebody who is stopped for another reason stays stopped when the phone comes back.
    scene.stage.command(&["device", "suspend", &id(&cem)]).unwrap();
    let (hers, his) = (opened(&ana).await, opened(&ben).await);
    ana.unlock(phone.key()).await.unwrap();
    let waiting = scene.open("desk-till", "openid profile", &here).await;
    let scanned = scene.confirm(&ben, &waiting).await;
    scene.stage.command(&["terminal", "suspend", &terminal]).unwrap();
    assert!(!scene.works(&hers.0, &hers.1).await && !scene.works(&his.0, &his.1).await);
    scene.refused(ben.approve(&scanned).await, "bad_proof").await;
    scene.refused(ana.pending().await, "seat_locked").await;
    scene.refused(ana.unlock(phone.key()).await, "denied").await;
    let late = scene.open("desk-till", "openid profile", &here).await;
    scene.refused(ana.scan(&[late.ceremony.frame()]).await, "denied").await;
    // One commit: one transaction has the phone, both seats and both sessions.
    let log = scene.log().await;
    let moved = log.iter().find(|l| l.kind == "terminal.changed" && l.body["facts"]["terminal"] == terminal && l.body["facts"]["state"] == "suspended").unwrap();
    let of = |kind: &str| log.iter().filter(|l| l.kind == kind && l.body["txn"] == moved.body["txn"]).count();
    assert_eq!(of("device.changed"), 2);
    let along = log.iter().filter(|l| l.kind == "device.changed" && l.body["facts"]["by"] == "phone" && [id(&ana), id(&ben)].iter().any(|d| l.body["device"] == *d));
    assert_eq!(along.count(), 2);
    // Nobody gets their seat back before the phone is.
    assert!(scene.stage.command(&["device", "resume", &id(&ana)]).is_err());
    scene.stage.command(&["terminal", "resume", &terminal]).unwrap();
    assert!(seen(&scene, &ana, &phone).await.sessions.is_empty());
    scene.refused(cem.unlock(phone.key()).await, "denied").await;
    let again = opened(&ben).await;
    // Lost: for good.
    scene.stage.command(&["terminal", "lost", &terminal]).unwrap();
    assert!(!scene.works(&again.0, &again.1).await);
    for one in [&ana, &ben, &cem] {
        scene.refused(one.overview().await, "bad_proof").await;
        scene.refused(one.unlock_options().await, "bad_proof").await;
        assert!(scene.stage.command(&["device", "resume", &id(one)]).is_err());
    }
    assert!(scene.stage.command(&["terminal", "resume", &terminal]).is_err());
    let (link, _) = scene.invitation("Dora").await;
    scene.refused(Phone::enrol_on(scene.http(&here), &link, phone.key(), "Late").await.map(|_| ()), "bad_proof").await;
}

#[tokio::test]
async fn q10_a_seat_does_nothing_that_outlasts_it_and_answers_for_nobody_else() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, _dir, _) = handset(&scene, &here, Some("market")).await;
    let (mut chef, chef_login) = seat(&scene, &here, &phone, "Chef", Some("administrator")).await;
    chef.unlock(phone.key()).await.unwrap();
    let no = "shared_phone";
    // What would outlast the seat, or is settled on a device of one's own.
    let invite = Invite { name: "Eve".into(), login: format!("eve-{}", place().replace('.', "-")), role: None };
    scene.refused(chef.invite(&invite).await.map(|_| ()), no).await;
    let tell = async |path: &str, body: Value| {
        let url = scene.stage.issuer.join(path).unwrap();
        let proved = if body.is_null() { Call::fetch(url) } else { Call::post(url, &body).unwrap() };
        chef.http.call(&proved.proved(Prover::device(&chef.key))).await.map(|_| ())
    };
    let own = id(&chef);
    for (path, body) in [
        ("/device/recovery-codes/options", json!({})),
        ("/device/recovery-codes", json!({})),
        ("/device/push", json!({"endpoint": "https://push.example/1", "p256dh": "x", "auth": "y"})),
        ("/device/push/end", json!({})),
        ("/device/user-code", json!({"code": "a word of mine"})),
        ("/device/posture", Value::Null),
        ("/device/posture", json!({})),
        ("/device/evidence/tpm", json!({})),
        (&*format!("/device/devices/{own}/rename"), json!({"name": "Mine"})),
        (&*format!("/device/devices/{own}/lost"), json!({})),
        (&*format!("/device/devices/{own}/allow"), json!({})),
        (&*format!("/device/devices/{own}/not-mine"), json!({})),
        ("/device/notices/00000000-0000-7000-8000-000000000000/undo", json!({})),
        ("/device/notices/00000000-0000-7000-8000-000000000000/ok", json!({})),
    ] {
        scene.refused(tell(path, body).await, no).await;
    }
    // Another device of their own, somebody's way back, somebody's word.
    let adding = scene.terminal(&here).open_enrolment("Mine").await.unwrap();
    scene.refused(chef.scan(&[adding.frame()]).await.map(|_| ()), no).await;
    let (_, lost_login) = scene.synced_phone("Lost", &here).await;
    let recovering = scene.terminal(&here).open_recovery(&lost_login).await.unwrap();
    scene.refused(chef.scan(&[recovering.frame()]).await.map(|_| ()), no).await;
    let (boss, _) = seat(&scene, &here, &phone, "Boss", Some("supervisor")).await;
    let (terminal, _keep, _) = super::terminals::till(&scene, &here, "till", None).await;
    let (_, page) = scene.arrive(&terminal, "desk-till", "openid profile").await;
    let vouching = terminal.open_as(&Open { flow: Some(page), without_phone: Some(lost_login.clone()), ..Open::default() }).await.unwrap();
    scene.refused(boss.scan(&[vouching.frame()]).await.map(|_| ()), no).await;
    // What is pushed: nobody stands before it with the phone in hand.
    let far = scene.terminal(&here);
    let (_, page) = scene.arrive(&far, "desk-till", "openid").await;
    let offered = far.open_as(&Open { flow: Some(page), offer: Some(chef_login.clone()), ..Open::default() }).await.unwrap();
    assert!(chef.pending().await.unwrap().pending.is_empty());
    scene.refused(chef.take(&offered.cid).await.map(|_| ()), no).await;
    // The operator's page.
    let (oper, _) = seat(&scene, &here, &phone, "Oper", Some("operator")).await;
    let desk = scene.terminal(&here);
    let entered = desk.arrive(&scene.stage.issuer.join("/operator/enter").unwrap()).await.unwrap();
    let Arrival::Flow(page) = entered else { panic!("no page") };
    let ceremony = desk.open(&page).await.unwrap();
    assert_eq!(operator::CLIENT, "countersign-operator");
    scene.refused(oper.scan(&[ceremony.frame()]).await.map(|_| ()), no).await;
    // Its passkey is no way in by itself, and binds no other key.
    let screen = scene.terminal(&here);
    let (_, page) = scene.arrive(&screen, "desk-till", "openid").await;
    let ask = screen.passkey_options(&page).await.unwrap();
    let signed = chef.assert(&AssertionAsk { allow: vec![chef.passkey.about.id.clone()], ..ask }).unwrap();
    scene.refused(screen.passkey(&page, &signed).await.map(|_| ()), no).await;
    let bound = chef.rebind(SoftwareKey::generate().unwrap(), "Mine").await.map(|_| ());
    scene.refused(bound, no).await;
    // No agent runs on it, and no way back ends on it.
    let robot = Robot::new();
    assert!(robot.register(scene.stage, &chef_login, runs_on(&chef, &["read"])).is_err());
    let back = scene.stage.command(&["recover", &lost_login]).unwrap();
    let link = back.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    scene.refused(Phone::enrol_on(scene.http(&here), &link, phone.key(), "Back").await.map(|_| ()), no).await;
    // Whoever has seats alone is invited to a first device of their own, as ever.
    let said = scene.stage.command(&["invite", "Chef", &chef_login, "--role", "administrator"]).unwrap();
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap();
    let mine = Phone::enrol(scene.http(&here), link, "Mine", None).await.unwrap();
    let devices = mine.overview().await.unwrap().devices;
    assert_eq!(devices.iter().map(|d| d.shared).collect::<Vec<_>>(), [true, false]);
    // From there they end the seat.
    mine.lost(&own).await.unwrap();
    scene.refused(chef.unlock(phone.key()).await.map(|_| ()), "bad_proof").await;
}

#[tokio::test]
async fn q10_a_person_with_a_phone_of_their_own_takes_a_seat_by_it() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, _dir, terminal) = handset(&scene, &here, None).await;
    let own = scene.phone("Fay", &here).await;
    let screen = scene.terminal(&here);
    let ceremony = screen.open_enrolment("Shift phone").await.unwrap();
    let checked = own.scan(&[ceremony.frame()]).await.unwrap();
    screen.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
    own.approve(&checked).await.unwrap();
    let ticket = screen.redeem(&ceremony).await.unwrap().ticket.unwrap();
    let (http, key) = screen.into_parts();
    let issuer = scene.stage.issuer.clone();
    let link = InviteLink { issuer, token: ticket };
    let seat = Phone::enrol_with_on(http, &link, key, "Shift phone", phone.key()).await.unwrap();
    assert_eq!(told(&scene, &terminal, "device.enrolled").await.len(), 1);
    // Their own phone is told, and can take it back.
    let view = own.overview().await.unwrap();
    let notice = view.notices.iter().find(|n| n.kind == "device_added").unwrap();
    own.undo(&notice.id).await.unwrap();
    scene.refused(seat.unlock_options().await.map(|_| ()), "bad_proof").await;
}

/// Takes the seat's part in its own name, with what an attacker has of the rest.
async fn unlocks(seat: &Phone, passkey: &Phone, on: &dyn Prove) -> Result<(), Fault> {
    let mut ask = seat.unlock_options().await?;
    ask.allow = vec![passkey.passkey.about.id.clone()];
    let url = seat.issuer().join("/device/unlock").unwrap();
    let body = Unlock { assertion: passkey.assert(&ask)?, phone: seat.http.vouched(&url, on, &seat.key)? };
    seat.http.call(&Call::post(url, &body)?.proved(Prover::device(&seat.key))).await.map(|_| ())
}

#[tokio::test]
async fn q10_a_seats_key_works_on_its_phone_with_its_persons_passkey_alone() {
    let scene = stage().scene().await;
    let here = market();
    let (phone, dir, terminal) = handset(&scene, &here, Some("market")).await;
    let (other, _dir2, _) = handset(&scene, &here, Some("market")).await;
    let (ana, _) = seat(&scene, &here, &phone, "Ana", None).await;
    let (ben, _) = seat(&scene, &here, &phone, "Ben", None).await;
    // A seat's key that was carried to another browser, or to another phone of the shop.
    scene.refused(unlocks(&ana, &ana, &SoftwareKey::generate().unwrap()).await, "bad_proof").await;
    scene.refused(unlocks(&ana, &ana, other.key()).await, "bad_proof").await;
    scene.refused(unlocks(&ana, &ana, &ana.key).await, "bad_proof").await;
    // Another seat's passkey, and one of a phone of somebody's own.
    scene.refused(unlocks(&ana, &ben, phone.key()).await, "bad_proof").await;
    let own = scene.phone("Gil", &here).await;
    scene.refused(unlocks(&ana, &own, phone.key()).await, "bad_proof").await;
    // The proof of the phone is for this seat's key, and for one time.
    let url = ana.issuer().join("/device/unlock").unwrap();
    let ask = ana.unlock_options().await.unwrap();
    let for_ben = ana.http.vouched(&url, phone.key(), &ben.key).unwrap();
    let send = async |body: &Unlock| ana.http.call(&Call::post(url.clone(), body).unwrap().proved(Prover::device(&ana.key))).await.map(|_| ());
    scene.refused(send(&Unlock { assertion: ana.assert(&ask).unwrap(), phone: for_ben }).await, "bad_proof").await;
    let once = Unlock { assertion: ana.assert(&ask).unwrap(), phone: ana.http.vouched(&url, phone.key(), &ana.key).unwrap() };
    send(&once).await.unwrap();
    let ask = ana.unlock_options().await.unwrap();
    scene.refused(send(&Unlock { assertion: ana.assert(&ask).unwrap(), phone: once.phone.clone() }).await, "bad_proof").await;
    ana.hand_on().await.unwrap();
    // Off its site it opens nothing.
    let away = ana.http.fresh().with_header("x-forwarded-for", &place());
    let options = Call::post(ana.issuer().join("/device/unlock/options").unwrap(), &json!({})).unwrap();
    let ask = away.ask(&options.proved(Prover::device(&ana.key))).await.unwrap();
    let body = Unlock { assertion: ana.assert(&ask).unwrap(), phone: away.vouched(&url, phone.key(), &ana.key).unwrap() };
    let call = away.call(&Call::post(url.clone(), &body).unwrap().proved(Prover::device(&ana.key))).await;
    let refusal = scene.refused(call.map(|_| ()), "denied").await;
    assert_eq!(refusal.say.as_deref(), Some("This phone is not where it belongs."));
    // An approval by another's passkey.
    let attempt = scene.open("desk-till", "openid profile", &here).await;
    let checked = scene.confirm(&ana, &attempt).await;
    let mut ask = checked.ask();
    ask.allow = vec![ben.passkey.about.id.clone()];
    let body = ana.signed(&checked.statement.cid, &checked.sd, Verb::Approve, Some(ben.assert(&ask).unwrap())).unwrap();
    scene.refused(ana.decide(&checked.statement.cid, &body).await.map(|_| ()), "bad_proof").await;
    // Whoever has the phone in hand can refuse what was scanned there, and nothing more comes of it than that.
    for _ in 0..4 {
        let attempt = scene.open("desk-till", "openid profile", &here).await;
        let checked = scene.confirm(&ana, &attempt).await;
        ana.refuse(&checked).await.unwrap();
    }
    let attempt = scene.open("desk-till", "openid profile", &here).await;
    scene.sign_in(&ana, &attempt).await;
    // The phone's key is no screen's, and a screen's key makes no seat.
    let screen = Terminal::of(scene.http(&here), phone).unwrap();
    let (_, page) = scene.arrive(&screen, "desk-till", "openid profile").await;
    scene.refused(screen.open(&page).await.map(|_| ()), "denied").await;
    let phone = super::terminals::again_registered(&dir);
    scene.refused(phone.report(&scene.http(&here), true).await, "denied").await;
    let (till, _keep, _) = super::terminals::till(&scene, &here, "till", None).await;
    let (link, _) = scene.invitation("Hal").await;
    scene.refused(Phone::enrol_on(scene.http(&here), &link, till.registered.as_ref().unwrap().key(), "Seat").await.map(|_| ()), "bad_proof").await;
    // A phone that stops between the beginning and the end of an enrolment takes nobody any more.
    let (link, _) = scene.invitation("Ida").await;
    let (http, key) = (scene.http(&here), SoftwareKey::generate().unwrap());
    let invite = InviteLink::parse(&link).unwrap();
    let steps = Enrolling { http: &http, invite: &invite, key: &key };
    let wanted = steps.begin().await.unwrap();
    let (_, credential) = Passkey::create(&wanted, &scene.stage.issuer.origin().ascii_serialization()).unwrap();
    let vouched = http.vouched(&scene.stage.issuer.join("/enrolments/finish").unwrap(), phone.key(), &key).unwrap();
    scene.stage.command(&["terminal", "suspend", &terminal]).unwrap();
    let finish = FinishEnrolment { token: invite.token.clone(), device_name: "Seat".into(), credential, phone: Some(vouched) };
    scene.refused(steps.finish(&finish).await.map(|_| ()), "bad_proof").await;
}
