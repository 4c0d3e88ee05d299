//! The device program against the real server: everything a person does with a phone that has no
//! camera, and with a terminal that has no browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use countersign_device::console::{Console, phone as phone_screen, sign_in as terminal_screen};
use countersign_device::http::Call;
use countersign_device::oidc::{self, CodeFlow, Jwks};
use countersign_device::phone::InviteLink;
use countersign_device::play::{self, Part};
use countersign_device::terminal::{Arrival, Ceremony};
use countersign_device::{Fault, Http, Phone, SoftwareKey, Terminal, machine};
use countersign_sim::demo::{self, CLIENT, PERSON, Settings, World};
use countersign_sim::stage::until;
use countersign_wire::code::parse_user_code;
use countersign_wire::message::Invite;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use url::Url;

async fn world() -> (World, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let settings = Settings::anywhere(&data.path().join("w")).unwrap();
    (demo::start(&settings).await.unwrap(), data)
}

fn browser(world: &World) -> Http {
    Http::new(world.transport.clone())
}

fn start(world: &World) -> Url {
    world.shop.join("/sign-in").unwrap()
}

/// A terminal with an open ceremony for the till.
async fn opened(world: &World) -> (Terminal, Ceremony) {
    let terminal = Terminal::new(browser(world), &world.issuer).unwrap();
    let Arrival::Flow(id) = terminal.arrive(&start(world)).await.unwrap() else { panic!("a sign-in page") };
    let ceremony = terminal.open(&id).await.unwrap();
    (terminal, ceremony)
}

/// What a console wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn console() -> (Console, mpsc::Sender<String>, Written) {
    let written = Written::default();
    let (typed, lines) = mpsc::channel(8);
    (Console::over(Box::new(written.clone()), lines), typed, written)
}

#[tokio::test]
async fn the_demonstration_opens_the_till_and_closes_it_again() {
    let (world, _data) = world().await;
    let mut steps = Vec::new();
    world.check(|step| steps.push(step.to_owned())).await.unwrap();
    assert_eq!(steps.len(), 6, "{steps:?}");
    world.stop().await;
}

#[tokio::test]
async fn two_frames_and_a_typed_code_lead_in_too() {
    let (world, _data) = world().await;
    for part in [Part { pair: true, ..Part::default() }, Part { typed_code: true, ..Part::default() }] {
        let played = world.sign_in(browser(&world), part).await.unwrap();
        assert_eq!(played.redirect.path(), "/cb", "{part:?}");
        assert_eq!(played.name.as_deref(), Some(PERSON));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_and_wrong_digits_open_nothing() {
    let (world, _data) = world().await;
    let play = |part| world.sign_in(browser(&world), part);
    let refused = play(Part { refuse: true, ..Part::default() }).await.unwrap_err();
    assert_eq!(refused.exit_code(), 5);
    let wrong = play(Part { wrong_digits: true, ..Part::default() }).await.unwrap_err();
    assert_eq!(wrong.exit_code(), 1, "{wrong}");
    assert!(world.phone.overview().await.unwrap().sessions.is_empty());
    let not_me = play(Part { not_me: true, ..Part::default() }).await.unwrap_err();
    assert_eq!(not_me.exit_code(), 5);
    let stopped = play(Part::default()).await.unwrap_err();
    assert!(stopped.is("denied"), "that screen is stopped now: {stopped}");
    world.stop().await;
}

#[tokio::test]
async fn a_second_device_joins_by_the_first_and_can_be_undone() {
    let (world, _data) = world().await;
    let terminal = Terminal::new(browser(&world), &world.issuer).unwrap();
    let ceremony = terminal.open_enrolment("Ana's tablet").await.unwrap();
    let checked = world.phone.scan(&[ceremony.frame()]).await.unwrap();
    let digits = checked.digits().expect("an added device is always confirmed by digits");
    terminal.confirm(&ceremony, digits).await.unwrap();
    world.phone.approve(&checked).await.unwrap();
    let reply = terminal.redeem(&ceremony).await.unwrap();
    let invite = InviteLink { issuer: world.issuer.clone(), token: reply.ticket.expect("a ticket") };
    let (http, key) = terminal.into_parts();
    let second = Phone::enrol_with(http, &invite, key, "Ana's tablet", None).await.unwrap();
    assert_eq!(second.kept().person, PERSON);

    let overview = world.phone.overview().await.unwrap();
    assert_eq!(overview.devices.len(), 2);
    let notice = overview.notices.iter().find(|n| n.kind == "device_added").expect("the first device is told");
    world.phone.undo(&notice.id).await.unwrap();
    let gone = second.overview().await.unwrap_err();
    assert!(gone.is("bad_proof"), "{gone}");
    world.stop().await;
}

#[tokio::test]
async fn an_invitation_works_once_and_only_administrators_make_them() {
    let (world, _data) = world().await;
    let someone = |login: &str| Invite { name: "Bo".into(), login: login.into(), role: None };
    let link = world.administrator.invite(&someone("bo")).await.unwrap().link;
    Phone::enrol(browser(&world), &link, "Bo's phone", None).await.unwrap();
    assert!(Phone::enrol(browser(&world), &link, "Thief's phone", None).await.is_err());
    assert_eq!(world.phone.invite(&someone("c")).await.unwrap_err().exit_code(), 1);
    world.stop().await;
}

#[tokio::test]
async fn two_screens_of_text_lead_a_person_through() {
    let (world, _data) = world().await;
    let terminal = Terminal::new(browser(&world), &world.issuer).unwrap();
    let discovery = oidc::discover(&terminal.http, &world.issuer).await.unwrap();
    let back = world.shop.join("/cb").unwrap().to_string();
    let flow = CodeFlow::new(CLIENT, &back, "openid profile").unwrap();
    let url = flow.url(&discovery, &terminal.key.public().thumbprint());
    let Arrival::Flow(id) = terminal.arrive(&url).await.unwrap() else { panic!("a sign-in page") };
    let ceremony = terminal.open(&id).await.unwrap();

    let (mut screen, type_here, screen_says) = console();
    let (mut hand, press, hand_says) = console();
    let person = async {
        let code = parse_user_code(&ceremony.user_code).unwrap();
        let checked = world.phone.scan_code(&code).await.unwrap();
        let digits = checked.digits().unwrap().to_owned();
        type_here.send("0".into()).await.unwrap();
        type_here.send(digits).await.unwrap();
        press.send(String::new()).await.unwrap();
        let decided = phone_screen::decide(&mut hand, &world.phone, checked);
        let later = async {
            until("the digits", async || hand_says.text().contains("The digits match.").then_some(())).await;
            press.send("a".into()).await.unwrap();
        };
        tokio::join!(decided, later).0.unwrap()
    };
    let (collected, outcome) =
        tokio::join!(terminal_screen::run(&mut screen, &terminal, &ceremony, "Sign in to the till"), person);
    let collected = collected.unwrap();
    assert_eq!(outcome, phone_screen::Outcome::Open, "{}", hand_says.text());
    assert!(screen_says.text().contains(&ceremony.user_code), "{}", screen_says.text());
    assert!(screen_says.text().contains("Those digits do not match"), "{}", screen_says.text());
    assert!(!screen_says.text().contains(PERSON), "no name before redemption");
    for said in ["Sign in on an unknown screen?", "Harbour Books Till", PERSON, "Refuse if you did not start this"] {
        assert!(hand_says.text().contains(said), "{said}: {}", hand_says.text());
    }
    let redirect = terminal.leave(&collected.next.unwrap()).await.unwrap();
    let code = flow.code(&discovery, &redirect).unwrap();
    let tokens = flow.exchange(&terminal.http, &discovery, &terminal.key, &code).await.unwrap();
    assert_eq!(tokens.token_type, "DPoP");
    let keys = Jwks::fetch(&terminal.http, &discovery).await.unwrap();
    let claims = keys.id_token(&tokens.id_token.unwrap(), &discovery.issuer, CLIENT, &flow.nonce, machine::now()).unwrap();
    let told = oidc::person(&terminal.http, &discovery, &terminal.key, &tokens.access_token, &claims.sub);
    assert_eq!(told.await.unwrap().unwrap().name.as_deref(), Some(PERSON));
    assert_eq!(claims.acr.as_deref(), Some("urn:countersign:acr:xd2"));

    let story = world.phone.story(&ceremony.cid).await.unwrap();
    assert_eq!(story.verdicts.len(), 17);
    assert_eq!(story.verdicts[13]["because"], "software_phone_or_quick", "no page was shown here");
    assert!(!story.events.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_phone_outlives_its_program_and_its_counter_never_goes_back() {
    let (world, data) = world().await;
    world.sign_in(browser(&world), Part::default()).await.unwrap();
    let folder = countersign_device::keys::Folder::open(&data.path().join("w/phone")).unwrap();
    let again = Phone::load(folder, world.transport.clone()).unwrap();
    assert_eq!(again.kept().passkey.counter, 1);
    play::authorize(&again, browser(&world), &start(&world), Part::default()).await.unwrap();
    // The first program was not told; the directory was.
    world.sign_in(browser(&world), Part::default()).await.unwrap();
    assert_eq!(world.phone.kept().passkey.counter, 3);
    world.stop().await;
}

#[tokio::test]
async fn signing_out_at_the_till_ends_what_the_phone_shows() {
    let (world, _data) = world().await;
    let terminal = Terminal::new(browser(&world), &world.issuer).unwrap();
    let played = play::authorize_at(&world.phone, &terminal, &start(&world), Part::default()).await.unwrap();
    terminal.http.call(&Call::fetch(played.redirect)).await.unwrap();
    assert_eq!(world.phone.overview().await.unwrap().sessions.len(), 1);
    let out = terminal.http.call(&Call::form(world.shop.join("/sign-out").unwrap(), &[])).await.unwrap();
    let to = out.location.unwrap();
    assert_eq!(to.path(), "/logout");
    let page = terminal.http.call(&Call::fetch(to)).await.unwrap();
    let back = world.shop.join("/signed-out").unwrap();
    assert!(String::from_utf8_lossy(&page.body).contains(back.as_str()), "the page leads back to the till");
    assert!(world.phone.overview().await.unwrap().sessions.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn another_key_cannot_collect_what_was_approved() {
    let (world, _data) = world().await;
    let (mut terminal, ceremony) = opened(&world).await;
    let checked = world.phone.scan(&[ceremony.frame()]).await.unwrap();
    terminal.confirm(&ceremony, checked.digits().unwrap()).await.unwrap();
    world.phone.approve(&checked).await.unwrap();
    let own = std::mem::replace(&mut terminal.key, SoftwareKey::generate().unwrap());
    assert!(matches!(terminal.redeem(&ceremony).await, Err(Fault::Refused(_))));
    terminal.key = own;
    assert_eq!(terminal.redeem(&ceremony).await.unwrap().name, PERSON);
    world.stop().await;
}
