//! The way back (scenario A10): another device, a code on paper, two people and a wait, the operator's
//! console; and everything that must not get anybody in.

use super::{did, id, run, stage};
use countersign_device::phone::Recovering;
use countersign_device::terminal::Ceremony;
use countersign_device::{Fault, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Scene, Settings, Stage, place};
use countersign_store::{Query, Statement};
use countersign_wire::message::{Enrolled, Invite, MakeCodes, RecoveryView, RedeemedReply};
use countersign_wire::{b64, recovery};
use serde_json::{Value, json};

/// A person with a phone at `place`, and the login name.
pub(crate) async fn person(scene: &Scene<'_>, name: &str, role: Option<&str>, place: &str) -> (Phone, String) {
    let login = format!("{}-{}", name.to_lowercase(), place.replace('.', "-"));
    let invite = Invite { name: name.to_owned(), login: login.clone(), role: role.map(str::to_owned) };
    let link = scene.administrator.invite(&invite).await.unwrap().link;
    (Phone::enrol(scene.http(place), &link, &format!("{name}'s phone"), None).await.unwrap(), login)
}

/// A new phone at `place` that nobody knows.
pub(crate) fn blank(scene: &Scene<'_>, place: &str) -> Recovering {
    Recovering { http: scene.http(place), key: SoftwareKey::generate().unwrap(), issuer: scene.stage.issuer.clone() }
}

/// The time until which the rights of `phone` are reduced, as a person's overview says.
async fn limited(phone: &Phone) -> bool {
    let overview = phone.overview().await.unwrap();
    overview.devices.iter().find(|d| d.this).unwrap().limited_until.is_some()
}

/// What `phone` is told, by kind, and the notice to answer.
pub(crate) async fn told(phone: &Phone) -> Vec<(String, String, bool)> {
    phone.overview().await.unwrap().notices.into_iter().map(|n| (n.kind, n.id, n.undo)).collect()
}

/// A recovered phone signs in with less, and its token says so; it can do nothing that lasts.
async fn is_less(scene: &Scene<'_>, phone: &Phone, here: &str) {
    assert!(limited(phone).await);
    let attempt = scene.open("till", "openid profile refund", here).await;
    let checked = scene.approve(phone, &attempt).await;
    assert_eq!(checked.statement.rights.scopes, ["openid", "profile"], "nothing privileged");
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let next = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &next).await.unwrap();
    let body = tokens.id_token.as_ref().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&b64::decode(&body).unwrap()).unwrap();
    assert_eq!(claims["acr"], "urn:countersign:acr:recovery");
    assert!(!claims["amr"].as_array().unwrap().contains(&"mfa".into()), "{claims}");
    // Whoever asks for a class that it has not earned gets nothing, and never a lower one in silence.
    let terminal = scene.terminal(here);
    let flow = countersign_device::oidc::CodeFlow::new("till", countersign_sim::stage::REDIRECT, "openid").unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().append_pair("acr_values", "urn:countersign:acr:xd2");
    let countersign_device::terminal::Arrival::Flow(page) = terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
    phone.approve(&checked).await.unwrap();
    scene.refused(terminal.redeem(&ceremony).await, "denied").await;
    // A passkey on the screen earns no more either.
    let terminal = scene.terminal(here);
    let (_, page) = scene.arrive(&terminal, "till", "openid refund").await;
    let mut ask = terminal.passkey_options(&page).await.unwrap();
    ask.allow = vec![phone.passkey.about.id.clone()];
    terminal.passkey(&page, &phone.assert(&ask).unwrap()).await.unwrap();
    let last = scene.log().await.into_iter().rev().find(|l| l.kind == "passkey.used" && l.body["device"] == id(phone).as_str()).unwrap();
    assert_eq!(last.body["facts"]["acr"], "urn:countersign:acr:recovery");
    // No further device, no invitation, no codes.
    let joining = scene.terminal(here).open_enrolment("One more").await.unwrap();
    scene.refused(phone.scan(&[joining.frame()]).await, "denied").await;
    scene.refused(phone.codes_options().await, "denied").await;
    let invite = Invite { name: "Friend".into(), login: "friend".into(), role: None };
    scene.refused(phone.invite(&invite).await, "denied").await;
}

#[tokio::test]
async fn a10_another_device_is_the_first_way_back() {
    let scene = stage().scene().await;
    let here = place();
    let first = scene.phone("Zweites", &here).await;
    let second = scene.second_phone(&first, &here).await;
    second.lost(&id(&first)).await.unwrap();
    scene.refused(first.overview().await, "bad_proof").await;
    // The second lets a third in, with full rights: nothing was recovered.
    let third = scene.second_phone(&second, &here).await;
    assert!(!limited(&third).await);
    scene.sign_in(&third, &scene.open_till(&here).await).await;
}

#[tokio::test]
async fn a_code_for_a_new_device_can_be_shown_anew_with_the_same_key() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Geduld", &here).await;
    let terminal = scene.terminal(&here);
    // It waited too long: the page renews, and the key is the one that the device will keep.
    terminal.open_enrolment("Tablet").await.unwrap();
    let ceremony = terminal.open_enrolment("Tablet").await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
    phone.approve(&checked).await.unwrap();
    assert!(terminal.redeem(&ceremony).await.unwrap().ticket.is_some());
}

#[tokio::test]
async fn a10_a_code_on_paper_lets_one_device_in_with_less() {
    let scene = stage().scene().await;
    let (here, there) = (place(), place());
    let (phone, login) = person(&scene, "Papier", None, &here).await;
    let second = scene.second_phone(&phone, &here).await;
    for (_, notice, _) in told(&phone).await {
        phone.ok(&notice).await.unwrap();
    }
    let codes = phone.recovery_codes().await.unwrap();
    assert_eq!(codes.len(), 8);
    assert!(codes.iter().all(|c| c.len() == 34 && c.split('-').count() == 7), "{codes:?}");
    // The other device hears of it; the store holds one SHA-256 of each and no code.
    assert_eq!(told(&second).await.iter().map(|n| (n.0.as_str(), n.2)).collect::<Vec<_>>(), [("recovery_codes", true)]);
    let rows = scene.engine.query(Query::new("SELECT body FROM recovery_codes", [])).await.unwrap();
    let kept: String = rows.iter().map(|r| r.text(0).unwrap()).collect();
    let bytes = recovery::parse(&codes[0]).unwrap();
    assert!(kept.contains(&b64::encode(&recovery::digest(&bytes))));
    assert!(!kept.contains(&codes[0]) && !kept.contains(&b64::encode(&bytes)));
    assert_eq!(phone.overview().await.unwrap().recovery.unwrap().left, 8);
    // Typed without care it is the same code.
    let new = blank(&scene, &there);
    let ticket = new.code(&login, &codes[3].to_lowercase().replace('-', " ")).await.unwrap();
    for seen in [&phone, &second] {
        assert!(told(seen).await.iter().any(|n| n.0 == "recovery_asked" && n.2), "every channel is told");
    }
    // The ticket is good for that key alone.
    let thief = blank(&scene, &there);
    scene.refused(thief.enrol(&ticket, "Thief", None).await.map(|_| ()), "invitation_over").await;
    let back = new.enrol(&ticket, "New phone", None).await.unwrap();
    assert_eq!(phone.overview().await.unwrap().recovery.unwrap().left, 7);
    is_less(&scene, &back, &there).await;
    // Used once is used up.
    let again = blank(&scene, &there);
    scene.refused(again.code(&login, &codes[3]).await, "not_recovered").await;
    // A device that came in by a code is thrown out from any other, with all that it opened.
    let notices = told(&second).await;
    assert!(!notices.iter().any(|n| n.0 == "recovery_asked"), "{notices:?}");
    let (_, undo, _) = notices.iter().find(|n| n.0 == "device_recovered").unwrap();
    assert!(!told(&back).await.iter().any(|n| n.0 == "device_recovered"), "it has no say about itself");
    second.undo(undo).await.unwrap();
    scene.refused(back.overview().await, "bad_proof").await;
    assert!(phone.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn a10_reduced_rights_end_with_their_time() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Frist", None, &here).await;
    let codes = phone.recovery_codes().await.unwrap();
    let new = blank(&scene, &here);
    let ticket = new.code(&login, &codes[0]).await.unwrap();
    let back = new.enrol(&ticket, "New phone", None).await.unwrap();
    let sql = "UPDATE device SET limited_until = 1 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [id(&back).as_str().into()])]).await.unwrap();
    let attempt = scene.open("till", "openid refund", &here).await;
    let checked = scene.approve(&back, &attempt).await;
    assert_eq!(checked.statement.rights.scopes, ["openid", "refund"]);
    let line = scene.log_of(attempt.ceremony.cid.as_str()).await.into_iter().find(|l| l.kind == "ceremony.approved").unwrap();
    assert_eq!(line.body["facts"]["acr"], "urn:countersign:acr:xd2");
    back.recovery_codes().await.unwrap();
}

#[tokio::test]
async fn codes_that_were_guessed_replayed_or_replaced_open_nothing_and_tell_nothing() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Raten", None, &here).await;
    let (other, other_login) = person(&scene, "Fremd", None, &place()).await;
    let (codes, others) = (phone.recovery_codes().await.unwrap(), other.recovery_codes().await.unwrap());
    let raw = scene.raw(&place());
    let key = SoftwareKey::generate().unwrap();
    let ask = async |login: &str, code: &str| {
        raw.proved(&key, "/recovery/code", &json!({"login": login, "code": code}), Some(raw.nonce().await)).await
    };
    let wrong = recovery::text(&[7; 16]);
    let mut answers = Vec::new();
    for (login, code) in [
        (login.as_str(), wrong.as_str()),
        (login.as_str(), others[0].as_str()),
        (other_login.as_str(), codes[0].as_str()),
        ("nobody-at-all", codes[0].as_str()),
        ("Not A Login", codes[0].as_str()),
        (login.as_str(), ""),
        (login.as_str(), &codes[0][..33]),
        (login.as_str(), "🦀"),
    ] {
        let reply = ask(login, code).await;
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "not_recovered").await;
        answers.push((reply.status, reply.without_reference()));
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]), "the answers differ: {answers:?}");
    assert_eq!(answers[0].0, 403);
    for seen in [&phone, &other] {
        assert_eq!(seen.overview().await.unwrap().recovery.unwrap().left, 8, "nothing was used up");
        assert!(!told(seen).await.iter().any(|n| n.0 == "recovery_asked"), "nor anybody told");
    }
    // New codes replace all that were before.
    let newer = phone.recovery_codes().await.unwrap();
    assert_eq!(ask(&login, &codes[1]).await.code(), "not_recovered");
    // A network has ten tries; a name that nobody has is counted as well.
    assert_eq!(ask(&login, &newer[0]).await.status, 201);
    assert_eq!(ask(&login, &newer[1]).await.code(), "too_many", "even a good one");
    let elsewhere = blank(&scene, &place());
    assert!(elsewhere.code(&login, &newer[1]).await.is_ok(), "a good code is good from another network");
    // A person is tried so often in an hour, from however many networks.
    for _ in 0..5 {
        let raw = scene.raw(&place());
        for _ in 0..4 {
            raw.proved(&key, "/recovery/code", &json!({"login": other_login, "code": wrong}), Some(raw.nonce().await)).await;
        }
    }
    scene.refused(blank(&scene, &place()).code(&other_login, &others[0]).await, "too_many").await;
    // Nothing about it is a code or a digest in the log.
    for line in scene.log().await {
        assert!(!line.text.contains(&codes[0]) && !line.text.contains(&newer[0]), "{}", line.text);
    }
}

#[tokio::test]
async fn two_at_the_same_moment_use_one_code_once() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Gleich", None, &here).await;
    let codes = phone.recovery_codes().await.unwrap();
    let (one, two, three) = (blank(&scene, &place()), blank(&scene, &place()), blank(&scene, &place()));
    let (a, b, c) = tokio::join!(one.code(&login, &codes[0]), two.code(&login, &codes[0]), three.code(&login, &codes[0]));
    let given = [a.is_ok(), b.is_ok(), c.is_ok()].into_iter().filter(|ok| *ok).count();
    assert_eq!(given, 1, "{a:?} {b:?} {c:?}");
}

#[tokio::test]
async fn codes_are_made_by_an_active_device_and_its_persons_passkey_alone() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Macher", None, &here).await;
    let (other, _) = person(&scene, "Nachbar", None, &place()).await;
    let body = |assertion| MakeCodes { assertion };
    // Without a passkey, with one of another person, over another device's challenge, twice.
    scene.refused(phone.post::<_, Value>("/device/recovery-codes", &json!({})).await, "malformed").await;
    let options = phone.codes_options().await.unwrap();
    let theirs = other.codes_options().await.unwrap();
    let signed = |by: &Phone, ask: &countersign_wire::message::AssertionAsk| {
        let allow = vec![by.passkey.about.id.clone()];
        body(by.assert(&countersign_wire::message::AssertionAsk { allow, ..ask.clone() }).unwrap())
    };
    scene.refused(phone.post::<_, Value>("/device/recovery-codes", &signed(&other, &options)).await, "bad_proof").await;
    scene.refused(phone.post::<_, Value>("/device/recovery-codes", &signed(&phone, &theirs)).await, "bad_proof").await;
    let assertion = phone.assert(&options).unwrap();
    phone.post::<_, Value>("/device/recovery-codes", &body(assertion.clone())).await.unwrap();
    scene.refused(phone.post::<_, Value>("/device/recovery-codes", &body(assertion)).await, "bad_proof").await;
    // Codes that a person did not make are undone by any other device; a later set stays.
    let second = scene.second_phone(&phone, &here).await;
    let codes = second.recovery_codes().await.unwrap();
    let (_, notice, _) = told(&phone).await.into_iter().find(|n| n.0 == "recovery_codes").unwrap();
    scene.refused(second.undo(&notice).await, "no_such_thing").await;
    phone.undo(&notice).await.unwrap();
    assert_eq!(phone.overview().await.unwrap().recovery.unwrap().left, 0);
    scene.refused(blank(&scene, &here).code(&login, &codes[0]).await, "not_recovered").await;
    // A suspended device makes none; who is locked comes back by none.
    let codes = phone.recovery_codes().await.unwrap();
    did(scene.stage, &["device", "suspend", &id(&second)]);
    scene.refused(second.codes_options().await, "denied").await;
    did(scene.stage, &["person", "lock", &login]);
    scene.refused(blank(&scene, &here).code(&login, &codes[0]).await, "not_recovered").await;
    did(scene.stage, &["person", "unlock", &login]);
    assert!(blank(&scene, &here).code(&login, &codes[0]).await.is_ok(), "it was not used up by being refused");
}

#[tokio::test]
async fn a_recovery_by_code_is_stopped_with_one_tap() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Halt", None, &here).await;
    let codes = phone.recovery_codes().await.unwrap();
    // Before the new device enrolled: its ticket is worth nothing.
    let new = blank(&scene, &place());
    let ticket = new.code(&login, &codes[0]).await.unwrap();
    let (_, notice, _) = told(&phone).await.into_iter().find(|n| n.0 == "recovery_asked").unwrap();
    phone.undo(&notice).await.unwrap();
    scene.refused(new.enrol(&ticket, "New", None).await.map(|_| ()), "invitation_over").await;
    assert!(scene.log().await.iter().any(|l| l.kind == "recovery.stopped" && l.body["facts"]["why"] == "person"));
    // Tapped at the very moment at which it enrolled: the device goes.
    let new = blank(&scene, &place());
    let ticket = new.code(&login, &codes[1]).await.unwrap();
    let (_, notice, _) = told(&phone).await.into_iter().find(|n| n.0 == "recovery_asked").unwrap();
    let (stopped, enrolled) = tokio::join!(phone.undo(&notice), new.enrol(&ticket, "New", None));
    match (stopped, enrolled) {
        (Ok(()), Ok(device)) => drop(scene.refused(device.overview().await, "bad_proof").await),
        (Ok(()), Err(fault)) => assert!(fault.is("invitation_over"), "{fault}"),
        // It enrolled first, and the notice about the device has taken the place of this one.
        (Err(fault), Ok(device)) => {
            assert!(fault.is("no_such_thing"), "{fault}");
            let (_, notice, _) = told(&phone).await.into_iter().find(|n| n.0 == "device_recovered").unwrap();
            phone.undo(&notice).await.unwrap();
            scene.refused(device.overview().await, "bad_proof").await;
        }
        (Err(a), Err(b)) => panic!("{a} and {b}"),
    }
}

/// A stage on which the wait after two approvals is short.
async fn quick(delay_s: u32) -> Stage {
    let stage = Stage::set(Settings { more: format!("recovery_delay_s = {delay_s}"), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

/// The new phone's page, and what it opened.
struct Asking {
    terminal: Terminal,
    login: String,
}

impl Asking {
    fn new(scene: &Scene<'_>, login: &str, place: &str) -> Asking {
        Asking { terminal: scene.terminal(place), login: login.to_owned() }
    }
    async fn open(&self) -> Ceremony {
        self.terminal.open_recovery(&self.login).await.unwrap()
    }
    /// `officer` scans, carries the digits and approves.
    async fn approved_by(&self, officer: &Phone) -> Result<RecoveryView, Fault> {
        let ceremony = self.open().await;
        let checked = officer.scan(&[ceremony.frame()]).await?;
        assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "recover");
        self.terminal.confirm(&ceremony, checked.digits().unwrap()).await?;
        officer.approve(&checked).await?;
        let reply: RedeemedReply = self.terminal.redeem(&ceremony).await?;
        assert!(reply.ticket.is_none() && reply.next.is_none(), "an approval is no way in by itself");
        Ok(reply.recovery.unwrap())
    }
    fn device(self) -> Recovering {
        let issuer = self.terminal.issuer().clone();
        let (http, key) = self.terminal.into_parts();
        Recovering { http, key, issuer }
    }
}

#[tokio::test]
async fn a10_two_people_and_a_wait_let_somebody_back_in_with_less() {
    let stage = quick(2).await;
    let scene = stage.scene().await;
    let here = place();
    scene.administrator.overview().await.unwrap();
    let mut administrator = Phone::load(countersign_device::keys::Folder::open(&stage.dir().join("administrator")).unwrap(), scene.transport.clone()).unwrap();
    administrator.http = scene.http(&here);
    let (officer, _) = person(&scene, "Officer", Some("recovery_officer"), &here).await;
    let (lost, login) = person(&scene, "Verlust", None, &here).await;
    let asking = Asking::new(&scene, &login, &here);
    let view = asking.approved_by(&officer).await.unwrap();
    assert_eq!((view.state.as_str(), view.approvals, view.needed), ("asked", 1, 2));
    assert!(told(&lost).await.iter().any(|n| n.0 == "recovery_asked" && n.2), "the person hears of the first approval");
    let view = asking.approved_by(&administrator).await.unwrap();
    assert_eq!((view.state.as_str(), view.approvals), ("waiting", 2));
    let device = asking.device();
    scene.refused(device.collect().await, "not_yet").await;
    assert_eq!(device.standing().await.unwrap().state, "waiting");
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    assert_eq!(device.standing().await.unwrap().state, "ready");
    // Another key's page knows of nothing.
    assert_eq!(blank(&scene, &here).standing().await.unwrap().state, "none");
    scene.refused(blank(&scene, &here).collect().await, "gone").await;
    let ticket = device.collect().await.unwrap();
    scene.refused(device.collect().await, "gone").await;
    let back = device.enrol(&ticket, "New phone", None).await.unwrap();
    is_less(&scene, &back, &here).await;
    // The log tells the whole of it under the person's name.
    let log = scene.log().await;
    let kinds: Vec<&str> = log.iter().filter(|l| l.kind.starts_with("recovery.")).map(|l| l.kind.as_str()).collect();
    assert_eq!(kinds, ["recovery.approved", "recovery.approved", "recovery.taken"]);
    let by: Vec<&Value> = log.iter().filter(|l| l.kind == "recovery.approved").map(|l| &l.body["facts"]["by"]).collect();
    assert_ne!(by[0], by[1]);
}

#[tokio::test]
async fn nobody_is_both_persons_nor_lets_themself_in_nor_does_it_without_the_role() {
    let stage = quick(0).await;
    let scene = stage.scene().await;
    let here = place();
    let (one, one_login) = person(&scene, "Eins", Some("recovery_officer"), &here).await;
    let (two, _) = person(&scene, "Zwei", Some("recovery_officer"), &here).await;
    let (far, _) = person(&scene, "Fern", Some("recovery_officer"), &place()).await;
    let (member, _) = person(&scene, "Mitglied", None, &here).await;
    let (_, login) = person(&scene, "Opfer", None, &here).await;
    let before = scene.counts().await;
    // An officer is not let in by their own word, first or second.
    let own = Asking::new(&scene, &one_login, &here);
    scene.refused(own.approved_by(&one).await, "denied").await;
    own.approved_by(&two).await.unwrap();
    scene.refused(own.approved_by(&one).await, "denied").await;
    // Nor is anybody by one officer twice, on whatever device.
    let asking = Asking::new(&scene, &login, &here);
    asking.approved_by(&one).await.unwrap();
    scene.refused(asking.approved_by(&one).await, "denied").await;
    let same = scene.second_phone(&one, &here).await;
    scene.refused(asking.approved_by(&same).await, "denied").await;
    // By nobody without the role, and from nowhere else.
    scene.refused(asking.approved_by(&member).await, "denied").await;
    scene.refused(asking.approved_by(&far).await, "too_far").await;
    // A name that nobody has opens alike, and nobody can approve it.
    scene.refused(Asking::new(&scene, "nobody-at-all", &here).approved_by(&two).await, "denied").await;
    // Two ceremonies scanned by one officer at the same time give one approval.
    let twice = Asking::new(&scene, &login, &here);
    let (a, b) = (twice.open().await, twice.open().await);
    let mut checked = Vec::new();
    for ceremony in [&a, &b] {
        let seen = two.scan(&[ceremony.frame()]).await.unwrap();
        twice.terminal.confirm(ceremony, seen.digits().unwrap()).await.ok();
        checked.push(two.approve(&seen).await);
    }
    let given = [twice.terminal.redeem(&a).await, twice.terminal.redeem(&b).await];
    assert!(given.iter().filter(|r| r.is_ok()).count() <= 1, "{given:?}");
    let device = asking.device();
    scene.refused(device.collect().await, "not_yet").await;
    let after = scene.counts().await;
    assert_eq!((after["invitation"] - before["invitation"], after["session"]), (1, before["session"]), "only the second phone's");
}

#[tokio::test]
async fn a_recovery_that_its_person_stopped_is_over_and_so_is_one_whose_approver_fell() {
    let stage = quick(1).await;
    let scene = stage.scene().await;
    let here = place();
    let (one, _) = person(&scene, "Eins", Some("recovery_officer"), &here).await;
    let (two, two_login) = person(&scene, "Zwei", Some("recovery_officer"), &here).await;
    let (owner, login) = person(&scene, "Inhaber", None, &here).await;
    let wait = std::time::Duration::from_millis(1_200);
    // Stopped after both approved, with one tap.
    let asking = Asking::new(&scene, &login, &here);
    asking.approved_by(&one).await.unwrap();
    asking.approved_by(&two).await.unwrap();
    let (_, notice, undo) = told(&owner).await.into_iter().find(|n| n.0 == "recovery_asked").unwrap();
    assert!(undo);
    owner.undo(&notice).await.unwrap();
    tokio::time::sleep(wait).await;
    let device = asking.device();
    assert_eq!(device.standing().await.unwrap().state, "over");
    scene.refused(device.collect().await, "gone").await;
    // Stopped after it was taken and before it enrolled.
    let asking = Asking::new(&scene, &login, &here);
    asking.approved_by(&one).await.unwrap();
    asking.approved_by(&two).await.unwrap();
    tokio::time::sleep(wait).await;
    let device = asking.device();
    let ticket = device.collect().await.unwrap();
    let (_, notice, _) = told(&owner).await.into_iter().find(|n| n.0 == "recovery_asked").unwrap();
    owner.undo(&notice).await.unwrap();
    scene.refused(device.enrol(&ticket, "Thief", None).await.map(|_| ()), "invitation_over").await;
    // Given up by whoever asked.
    let asking = Asking::new(&scene, &login, &here);
    asking.approved_by(&one).await.unwrap();
    let device = asking.device();
    device.cancel().await.unwrap();
    scene.refused(device.cancel().await, "gone").await;
    assert_eq!(device.standing().await.unwrap().state, "over");
    // An approver who may not vouch any more takes the approval along.
    let asking = Asking::new(&scene, &login, &here);
    asking.approved_by(&one).await.unwrap();
    asking.approved_by(&two).await.unwrap();
    tokio::time::sleep(wait).await;
    did(&stage, &["person", "lock", &two_login]);
    let device = asking.device();
    scene.refused(device.collect().await, "denied").await;
    did(&stage, &["person", "unlock", &two_login]);
    scene.refused(device.collect().await, "gone").await;
    let whys: Vec<String> = scene.log().await.into_iter().filter(|l| l.kind == "recovery.stopped").map(|l| l.body["facts"]["why"].as_str().unwrap().to_owned()).collect();
    for why in ["person", "stopped", "cancelled", "withdrawn"] {
        assert!(whys.iter().any(|w| w == why), "{why} is not in {whys:?}");
    }
}

#[tokio::test]
async fn a10_the_only_administrator_comes_back_at_the_console_and_by_no_page() {
    let stage = quick(60).await;
    let scene = stage.scene().await;
    let here = place();
    let lost = id(&scene.administrator);
    // What a page can reach: nothing lets the administrator in.
    for door in ["/recover", "/recovery/begin", "/recovery/operator", "/device/invitations", "/enrolments/begin"] {
        let reply = scene.raw(&here).send("POST", door, &[("content-type", "application/json".into())], br#"{"login":"admin"}"#.to_vec()).await;
        assert!((400..500).contains(&reply.status), "{door}: {}", reply.status);
    }
    scene.refused(blank(&scene, &here).code("admin", &recovery::text(&[1; 16])).await, "not_recovered").await;
    assert_eq!(run(&stage, &["invite", "Administrator", "admin", "--role", "administrator"]).0, 1, "the lost phone is still enrolled");
    // Without the key that seals the server's own, the command opens nothing.
    let seal = stage.dir().join("seal");
    let kept = std::fs::read(&seal).unwrap();
    std::fs::write(&seal, b64::encode(&[9; 32])).unwrap();
    assert_ne!(run(&stage, &["recover", "admin"]).0, 0, "another sealing key");
    std::fs::write(&seal, kept).unwrap();
    assert_eq!(run(&stage, &["recover", "nobody"]).0, 1);
    assert_eq!(run(&stage, &["recover", "admin", "--lost", "00000000-0000-7000-8000-000000000000"]).0, 1);
    let said = did(&stage, &["recover", "admin", "--lost", &lost]);
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    scene.refused(scene.administrator.overview().await, "bad_proof").await;
    let back = Phone::enrol(scene.http(&here), &link, "New phone", None).await.unwrap();
    assert_eq!(back.overview().await.unwrap().me.role, "administrator");
    is_less(&scene, &back, &here).await;
    let twice = Phone::enrol(scene.http(&here), &link, "Twice", None).await;
    scene.refused(twice.map(|_| ()), "invitation_over").await;
    assert!(scene.log().await.iter().any(|l| l.kind == "recovery.begun" && l.body["facts"]["by"] == "console"));
    // A phone that was not lost after all stops it.
    let (phone, login) = person_by_command(&stage, &scene, &here).await;
    let said = did(&stage, &["recover", &login]);
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    let (_, notice, _) = told(&phone).await.into_iter().find(|n| n.0 == "recovery_asked").unwrap();
    phone.undo(&notice).await.unwrap();
    let late = Phone::enrol(scene.http(&here), &link, "Late", None).await;
    scene.refused(late.map(|_| ()), "invitation_over").await;
}

/// A member, invited by the operator: the administrator cannot yet.
async fn person_by_command(stage: &Stage, scene: &Scene<'_>, here: &str) -> (Phone, String) {
    let said = did(stage, &["invite", "Wache", "wache"]);
    let link = said.split_whitespace().find(|w| w.contains("/enrol#")).unwrap().to_owned();
    (Phone::enrol(scene.http(here), &link, "Phone", None).await.unwrap(), "wache".to_owned())
}

#[tokio::test]
async fn a_recovered_device_that_binds_anew_stays_recovered() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Wieder", None, &here).await;
    let codes = phone.recovery_codes().await.unwrap();
    let new = blank(&scene, &here);
    let ticket = new.code(&login, &codes[0]).await.unwrap();
    let mut back = new.enrol(&ticket, "New phone", None).await.unwrap();
    let made: Enrolled = back.rebind(SoftwareKey::generate().unwrap(), "Again").await.unwrap();
    assert_eq!(made.device_state, "active");
    is_less(&scene, &back, &here).await;
}
