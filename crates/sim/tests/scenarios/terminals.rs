//! Registered terminals: A1, A2, A3, A7, A9.

use countersign_device::http::{Call, Prover};
use countersign_device::keys::Folder;
use countersign_device::terminal::Registered;
use countersign_device::{Fault, Http, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Agent, Attempt, Program, Scene, Settings, Stage, place};
use countersign_store::{Query, Statement};
use countersign_wire::message::{Open, RegisterTerminal};
use countersign_wire::statement::Near;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// The shop's rules beside the shipped ones: who may begin at `office`, and where a refund may be unlocked.
const RULES: &str = r#"
@id("office-at-attested-kiosks")
forbid (principal, action == Action::"open", resource == Client::"office")
unless { context.terminal.attested && context.terminal.class == "kiosk" };

@id("nobody-begins-there")
forbid (principal, action == Action::"open", resource)
when { [Client::"other-tv", Client::"bare-hotline", Client::"gate"].contains(resource) };

@id("stock-on-registered-screens")
@say("Use one of the shop's own screens.")
forbid (principal, action in [Action::"approve"], resource == Client::"stock")
unless { context.terminal.registered };

@id("refund-at-tills")
forbid (principal, action == Action::"unlock", resource)
when { context.scope == "refund" }
unless { context.terminal.registered && context.terminal.class == "till" && !context.terminal.moved };
"#;

pub(crate) fn settings() -> Settings {
    let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap().keep().unwrap().1;
    let shipped = concat!(
        include_str!("../../../../policies/ceremony.cedar"),
        include_str!("../../../../policies/trust.cedar"),
        include_str!("../../../../policies/workload.cedar")
    );
    std::fs::write(&rules, format!("{shipped}{RULES}")).unwrap();
    let more = format!(
        "policies = \"{}\"\n[terminals.sites.market]\nnetworks = [\"10.77.0.0/16\"]\n[terminals.sites.harbour]\nnetworks = [\"10.78.0.0/16\"]\n\
         [terminals.classes.till.kiosk]\nclient = \"till\"\nscopes = [\"openid\", \"profile\"]\nstart = \"http://127.0.0.1/\"\n",
        rules.display()
    );
    Settings { more, ..Settings::default() }
}

pub(crate) fn stage() -> &'static Stage {
    Stage::shared(&STAGE, settings)
}

/// An address at the site, of nobody else.
pub(crate) fn market() -> String {
    let own = place();
    let rest = own.split_once('.').unwrap().1.split_once('.').unwrap().1;
    format!("10.77.{rest}")
}

/// A link for a terminal, and its id.
fn invited(name: &str, class: &str, site: Option<&str>) -> (String, String) {
    invited_to(stage(), name, class, site)
}

fn invited_to(stage: &Stage, name: &str, class: &str, site: Option<&str>) -> (String, String) {
    let mut words = vec!["terminal", "invite", "--name", name, "--place", "Market Street", "--class", class, "--json"];
    words.extend(site.into_iter().flat_map(|s| ["--site", s]));
    let made: Value = serde_json::from_str(&stage.command(&words).unwrap()).unwrap();
    (made["link"].as_str().unwrap().to_owned(), made["terminal"].as_str().unwrap().to_owned())
}

/// A name that no other test gives.
fn name() -> String {
    format!("Till {}", place())
}

pub(crate) fn folder(dir: &tempfile::TempDir) -> Folder {
    Folder::open(&dir.path().join("terminal")).unwrap()
}

/// A registered terminal at `here`.
pub(crate) async fn till(scene: &Scene<'_>, here: &str, class: &str, site: Option<&str>) -> (Terminal, tempfile::TempDir, String) {
    let (link, id) = invited_to(scene.stage, &name(), class, site);
    let dir = tempfile::tempdir().unwrap();
    let registered = Registered::join(&scene.http(here), &link, folder(&dir), None).await.unwrap();
    (Terminal::of(scene.http(here), registered).unwrap(), dir, id)
}

/// The same terminal with another browser: its cookies are gone, its key is not.
pub(crate) fn again(scene: &Scene<'_>, here: &str, dir: &tempfile::TempDir) -> Terminal {
    Terminal::of(scene.http(here), Registered::load(folder(dir), None).unwrap()).unwrap()
}

pub(crate) async fn open(scene: &Scene<'_>, terminal: Terminal, client: &str, scope: &str) -> Attempt {
    let (flow, page) = scene.arrive(&terminal, client, scope).await;
    let ceremony = terminal.open(&page).await.unwrap();
    Attempt { terminal, flow, page, ceremony }
}

pub(crate) async fn tokens(scene: &Scene<'_>, attempt: &Attempt, next: &str) -> Result<countersign_device::oidc::Tokens, Fault> {
    let code = attempt.flow.code(&scene.discovery, &next.parse().unwrap())?;
    attempt.flow.exchange(&attempt.terminal.http, &scene.discovery, attempt.terminal.tk(), &code).await
}

/// What the folder of a terminal holds, once more.
pub(crate) fn again_registered(dir: &tempfile::TempDir) -> Registered {
    Registered::load(folder(dir), None).unwrap()
}

async fn look(http: &Http, link: &str, key: &SoftwareKey) -> Result<Value, Fault> {
    let (issuer, token) = link.split_once("/terminal#").unwrap();
    let body = RegisterTerminal { token: token.to_owned(), tpm: None };
    let url = format!("{issuer}/terminals/look").parse().unwrap();
    http.ask(&Call::post(url, &body)?.proved(Prover::device(key))).await
}

fn row(scene_id: &str, all: &str) -> Value {
    all.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|t| t["terminal"] == scene_id).unwrap()
}

/// What the log says of a terminal, newest last.
pub(crate) async fn told(scene: &Scene<'_>, id: &str, kind: &str) -> Vec<Value> {
    let lines = scene.log().await;
    lines.into_iter().filter(|l| l.kind == kind && l.body["facts"]["terminal"] == id).map(|l| l.body).collect()
}

#[tokio::test]
async fn a1_a_registered_till_says_its_name_and_a_refund_is_unlocked_only_there() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Kassierin", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let plate = terminal.registered.as_ref().unwrap().kept().plate.clone();
    let attempt = open(&scene, terminal, "till", "openid profile refund").await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    let said = &checked.statement;
    assert_eq!(said.terminal.plate.as_ref(), Some(&plate), "the signed statement names the terminal");
    assert!(said.near.contains(&Near::Site) && said.rights.scopes.contains(&"refund".to_owned()), "{said:?}");
    // Something privileged: digits, typed on its keyboard.
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    assert!(!reply.greet);
    let given = tokens(&scene, &attempt, &reply.next.unwrap()).await.unwrap();
    assert!(given.scope.unwrap_or_default().contains("refund"));
    let open = phone.overview().await.unwrap().sessions;
    assert_eq!((open[0].terminal.as_deref(), open[0].place.as_deref()), (Some(plate.name.as_str()), Some("Market Street")));

    // The same person at an unknown screen of the same shop: no refund.
    let attempt = scene.open("till", "openid profile refund", &here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert!(checked.statement.terminal.plate.is_none() && !checked.statement.rights.scopes.contains(&"refund".to_owned()));
    phone.refuse(&checked).await.unwrap();
    // And at a registered kiosk, which is no till.
    let (kiosk, _kept, _) = till(&scene, &here, "kiosk", Some("market")).await;
    let attempt = self::open(&scene, kiosk, "till", "openid profile refund").await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert!(!checked.statement.rights.scopes.contains(&"refund".to_owned()));
}

#[tokio::test]
async fn a2_nothing_is_typed_at_a_kiosk_that_stands_where_it_should_and_the_phone_types_where_it_does_not() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Lager", &here).await;
    let (kiosk, _dir, _) = till(&scene, &here, "kiosk", Some("market")).await;
    let attempt = open(&scene, kiosk, "till", "openid profile").await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert!(checked.view.ask.is_none() && checked.digits().is_none(), "{:?}", checked.view);
    phone.approve(&checked).await.unwrap();
    assert!(!attempt.terminal.redeem(&attempt.ceremony).await.unwrap().greet);
    // A kiosk without a site, and a phone elsewhere: nothing shows nearness, so the phone types what the kiosk shows.
    let far = scene.phone("Fern", &place()).await;
    let (kiosk, _kept, _) = till(&scene, &place(), "kiosk", None).await;
    let attempt = open(&scene, kiosk, "till", "openid profile").await;
    let checked = far.scan(&[attempt.ceremony.frame()]).await.unwrap();
    assert_eq!(checked.view.ask.as_deref(), Some("type"));
    scene.refused(far.approve(&checked).await, "confirm_first").await;
    // A till without a site: the same the other way round.
    let (counter, _kept, _) = till(&scene, &place(), "till", None).await;
    let attempt = open(&scene, counter, "till", "openid profile").await;
    assert_eq!(far.scan(&[attempt.ceremony.frame()]).await.unwrap().view.ask.as_deref(), Some("show"));
}

#[tokio::test]
async fn a3_rules_demand_registered_or_attested_screens_at_the_opening_and_at_the_approval() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Fremdfirma", &here).await;
    // Only attested kiosks may begin there: neither an unknown screen nor a registered kiosk with a software key.
    let unknown = scene.terminal(&here);
    let (_, page) = scene.arrive(&unknown, "office", "openid").await;
    scene.refused(unknown.open(&page).await.map(|_| ()), "denied").await;
    let (kiosk, _dir, _) = till(&scene, &here, "kiosk", Some("market")).await;
    let (_, page) = scene.arrive(&kiosk, "office", "openid").await;
    scene.refused(kiosk.open(&page).await.map(|_| ()), "denied").await;
    let lines = scene.log().await;
    assert!(lines.iter().any(|l| l.text.contains("office-at-attested-kiosks") && l.body["code"] == "denied"));
    // A borrowed screen may begin, and nothing comes of it.
    let attempt = scene.open("stock", "openid", &here).await;
    let checked = scene.confirm(&phone, &attempt).await;
    let refused = scene.refused(phone.approve(&checked).await, "denied").await;
    assert_eq!(refused.say.as_deref(), Some("Use one of the shop's own screens."));
    // The shop's own works.
    let (till, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, till, "stock", "openid").await;
    scene.sign_in(&phone, &attempt).await;
}

#[tokio::test]
async fn a3_what_rules_let_nobody_begin_begins_in_no_way() {
    let scene = stage().scene().await;
    let here = market();
    let (link, login) = scene.invitation("Nirgends").await;
    let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
    let raw = scene.raw(&here);
    // A passkey on an unknown screen, where only attested kiosks begin.
    let unknown = scene.terminal(&here);
    let (_, page) = scene.arrive(&unknown, "office", "openid").await;
    let mut ask = unknown.passkey_options(&page).await.unwrap();
    ask.allow = vec![phone.passkey.about.id.clone()];
    scene.refused(unknown.passkey(&page, &phone.assert(&ask).unwrap()).await.map(|_| ()), "denied").await;
    assert!(phone.overview().await.unwrap().sessions.is_empty());
    // A client that asks for a code, one that names a person, and an agent that calls a tool.
    let told = Program::new(raw.clone(), "other-tv").ask(&[("scope", "openid")]).await;
    assert_eq!(told.code(), "access_denied", "{}", told.json());
    let told = Program::new(raw.clone(), "bare-hotline").with_secret().call(&[("scope", "openid"), ("login_hint", &login)]).await;
    assert_eq!(told.code(), "access_denied", "{}", told.json());
    let agent = Agent::new(&scene, &here).await;
    let token = agent.robot.token(&raw, "read").await;
    let told = agent.call(&raw, &token, "refund", &json!({"order": "A-1"})).await;
    assert_eq!((&told["decision"], &told["context"]["reason"]), (&json!(false), &json!("denied")), "{told}");
    for phone in [&phone, &agent.phone] {
        assert!(phone.pending().await.unwrap().pending.is_empty(), "somebody was asked");
    }
    let lines = scene.log().await;
    let refused = lines.iter().filter(|l| l.text.contains("nobody-begins-there") && l.body["facts"]["step"] == "open");
    assert_eq!(refused.count(), 3);
}

#[tokio::test]
async fn a7_a_session_knows_at_once_that_its_terminal_stands_elsewhere() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Umzug", &here).await;
    let (terminal, _dir, id) = till(&scene, &here, "till", Some("market")).await;
    let attempt = open(&scene, terminal, "till", "openid refund").await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    assert_eq!(tokens(&scene, &attempt, redirect.as_str()).await.unwrap().scope.as_deref(), Some("openid refund"));
    // The operator says that it belongs somewhere else: it speaks from where it did.
    stage().command(&["terminal", "rename", &id, "--site", "harbour"]).unwrap();
    let (flow, page) = scene.arrive(&attempt.terminal, "till", "openid refund").await;
    let next = attempt.terminal.resume(&page).await.unwrap().next;
    let attempt = Attempt { flow, page, ..attempt };
    assert_eq!(tokens(&scene, &attempt, &next).await.unwrap().scope.as_deref(), Some("openid"));
}

#[tokio::test]
async fn a1_a_link_registers_one_key_once_and_a_name_is_one_terminals() {
    let scene = stage().scene().await;
    let here = market();
    let name = name();
    let (link, id) = invited(&name, "till", None);
    // Taken while it lives, by whatever it is invited again.
    let refused = stage().command(&["terminal", "invite", "--name", &name, "--place", "Elsewhere"]).unwrap_err();
    assert!(refused.contains("denied"), "{refused}");
    let bulk = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bulk.path(), format!("{{\"name\":\"{name}\",\"place\":\"x\",\"class\":\"till\"}}\n")).unwrap();
    assert!(stage().command(&["terminal", "invite", "--bulk", bulk.path().to_str().unwrap()]).is_err());
    // Once.
    let dir = tempfile::tempdir().unwrap();
    Registered::join(&scene.http(&here), &link, folder(&dir), None).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let replay = Registered::join(&scene.http(&here), &link, folder(&other), None).await;
    scene.refused(replay.map(|_| ()), "invitation_over").await;
    assert_eq!(row(&id, &stage().command(&["terminal", "list", "--json"]).unwrap())["state"], "active");
    // Over.
    let (late, id) = invited(&self::name(), "till", None);
    let sql = "UPDATE terminal SET until = 1 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [id.as_str().into()])]).await.unwrap();
    scene.refused(look(&scene.http(&here), &late, &SoftwareKey::generate().unwrap()).await, "invitation_over").await;
    // Taken back before anybody used it.
    let (link, id) = invited(&self::name(), "till", None);
    stage().command(&["terminal", "revoke", &id]).unwrap();
    scene.refused(look(&scene.http(&here), &link, &SoftwareKey::generate().unwrap()).await, "invitation_over").await;
    // The key of somebody's phone is no terminal's.
    let phone = scene.phone("Doppelt", &here).await;
    let (link, _) = invited(&self::name(), "till", None);
    let (issuer, token) = link.split_once("/terminal#").unwrap();
    let http = scene.http(&here);
    let call = |key| {
        let url = format!("{issuer}/terminals/register").parse().unwrap();
        Call::post(url, &json!({ "token": token })).unwrap().proved(Prover::device(key))
    };
    let told: Result<Value, Fault> = http.ask(&call(&phone.key)).await;
    scene.refused(told, "denied").await;
    // Away from its site it does not even join.
    let (link, _) = invited(&self::name(), "till", Some("market"));
    let away = tempfile::tempdir().unwrap();
    let moved = Registered::join(&scene.http(&place()), &link, folder(&away), None).await;
    scene.refused(moved.map(|_| ()), "denied").await;
    // A list gives a link for each.
    let (one, two) = (self::name(), self::name());
    std::fs::write(bulk.path(), format!("{}\n{}\n", json!({"name": one, "place": "A", "class": "till"}), json!({"name": two, "place": "B", "class": "kiosk", "site": "market"}))).unwrap();
    let made = stage().command(&["terminal", "invite", "--bulk", bulk.path().to_str().unwrap(), "--json"]).unwrap();
    let links: Vec<Value> = made.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((links.len(), &links[1]["site"]), (2, &json!("market")));
    assert_ne!(links[0]["link"], links[1]["link"]);
}

#[tokio::test]
async fn a1_a_list_of_terminals_is_invited_whole_or_its_bad_lines_are_told_and_nothing_is_done() {
    let scene = stage().scene().await;
    let here = market();
    let (taken, _) = (name(), name());
    invited(&taken, "till", None);
    let names: Vec<String> = (0..3).map(|_| name()).collect();
    let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    let path = file.path().to_str().unwrap();
    let own = |text: &str| names.iter().any(|n| text.contains(&format!("\"{n}\"")));
    let known = async || {
        let listed = stage().command(&["terminal", "list", "--json"]).unwrap();
        (listed.lines().filter(|l| own(l)).count(), scene.log().await.iter().filter(|l| own(&l.text)).count())
    };
    // Every bad line by its number, in one go: an unknown class, a name that is taken, one that is there twice, an unknown site.
    let bad = format!(
        "name,place,class,site\n{},A,till,market\n{},B,spaceship,\n{taken},C,till,\n{},D,till,\n{},E,till,nowhere\n",
        names[0], names[1], names[0], names[2]
    );
    std::fs::write(path, bad).unwrap();
    let said = stage().command(&["terminal", "invite", "--bulk", path]).unwrap_err();
    for line in ["line 3: no class", "line 4: another terminal has this name", "line 5: a name that is in the list twice", "line 6: no site", "nobody was invited"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("line 2:"), "{said}");
    std::fs::write(path, format!("name,place,class\n{},A\n\"{},B,till\n", names[0], names[1])).unwrap();
    let said = stage().command(&["terminal", "invite", "--bulk", path]).unwrap_err();
    assert!(said.contains("line 2: 2 values for 3 columns") && said.contains("line 3: a quote"), "{said}");
    assert_eq!(known().await, (0, 0), "something was done");
    // A good one gives a table of links, each for one terminal, once.
    let good: String = names.iter().map(|n| format!("{n},\"Market, \"\"north\"\"\",till,market\n")).collect();
    std::fs::write(path, format!("name,place,class,site\n{good}")).unwrap();
    let table = stage().command(&["terminal", "invite", "--bulk", path]).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!((rows[0], rows.len()), ("name,place,class,site,link,until", 4));
    let links: Vec<String> = rows[1..].iter().map(|r| r.split('"').find(|v| v.contains("/terminal#")).unwrap().to_owned()).collect();
    assert_eq!(known().await.0, 3);
    for link in &links {
        let dir = tempfile::tempdir().unwrap();
        let joined = Registered::join(&scene.http(&here), link, folder(&dir), None).await.unwrap();
        assert_eq!(joined.kept().plate.place, "Market, \"north\"");
    }
    // Nobody joins by a link of the list a second time, and the list itself is not taken twice.
    let other = tempfile::tempdir().unwrap();
    let replay = Registered::join(&scene.http(&here), &links[0], folder(&other), None).await;
    scene.refused(replay.map(|_| ()), "invitation_over").await;
    let said = stage().command(&["terminal", "invite", "--bulk", path]).unwrap_err();
    assert!(said.contains("line 2: another") && said.contains("line 4: another"), "{said}");
}

#[tokio::test]
async fn x04_nobody_else_shows_a_code_under_a_terminals_name() {
    let scene = stage().scene().await;
    let here = market();
    let (terminal, dir, id) = till(&scene, &here, "till", Some("market")).await;
    // Another key that counts as if it were one.
    let stranger = scene.terminal(&here);
    let (_, page) = scene.arrive(&stranger, "till", "openid").await;
    let counted = Open { flow: Some(page), counter: Some(1), ..Open::default() };
    scene.refused(stranger.open_as(&counted).await.map(|_| ()), "bad_proof").await;
    let idle = Open { kiosk: true, ..Open::default() };
    scene.refused(stranger.open_as(&idle).await.map(|_| ()), "malformed").await;
    // A copy of its files elsewhere is not where it belongs.
    let thief = again(&scene, &place(), &dir);
    let (_, page) = scene.arrive(&thief, "till", "openid").await;
    scene.refused(thief.open(&page).await.map(|_| ()), "denied").await;
    assert_eq!(told(&scene, &id, "terminal.doubted").await.last().unwrap()["facts"]["why"], "place");
    // What the terminal opened is not redeemed by another, registered or not, nor elsewhere.
    let phone = scene.phone("Hier", &here).await;
    let mut attempt = open(&scene, terminal, "till", "openid profile").await;
    phone.approve(&phone.scan(&[attempt.ceremony.frame()]).await.unwrap()).await.unwrap();
    let (other, _kept, _) = till(&scene, &here, "till", Some("market")).await;
    let jar = attempt.terminal.http.jar().clone();
    *other.http.jar() = jar.clone();
    scene.refused(other.redeem(&attempt.ceremony).await.map(|_| ()), "bad_proof").await;
    attempt.terminal.http = scene.http(&place());
    *attempt.terminal.http.jar() = jar;
    scene.refused(attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()), "denied").await;
    assert!(phone.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn a3_a_copy_that_counts_behind_suspends_the_terminal_and_ends_what_runs_there() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Kopie", &here).await;
    let (terminal, dir, id) = till(&scene, &here, "till", Some("market")).await;
    let copy = tempfile::tempdir().unwrap();
    copied(&dir.path().join("terminal"), &copy.path().join("terminal"));
    let attempt = open(&scene, terminal, "till", "openid profile").await;
    scene.sign_in(&phone, &attempt).await;
    assert_eq!(phone.overview().await.unwrap().sessions.len(), 1);
    // Within a minute a word may have been overtaken: refused, and no more.
    let clone = again(&scene, &here, &copy);
    let (_, page) = scene.arrive(&clone, "till", "openid").await;
    scene.refused(clone.open(&page).await.map(|_| ()), "denied").await;
    assert!(told(&scene, &id, "terminal.doubted").await.is_empty());
    // Later nothing overtakes: there are two of it. As if the copy had not opened and the minute had gone by.
    let copy = tempfile::tempdir().unwrap();
    copied(&dir.path().join("terminal"), &copy.path().join("terminal"));
    let sql = "UPDATE terminal SET opened_at = opened_at - 61000000, counter = 9 WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [id.as_str().into()])]).await.unwrap();
    let clone = again(&scene, &here, &copy);
    let (_, page) = scene.arrive(&clone, "till", "openid").await;
    scene.refused(clone.open(&page).await.map(|_| ()), "denied").await;
    assert_eq!(told(&scene, &id, "terminal.doubted").await.last().unwrap()["facts"]["why"], "counter");
    assert!(phone.overview().await.unwrap().sessions.is_empty(), "what ran there has ended");
    // Neither of the two opens anything until the operator says which is right.
    let right = again(&scene, &here, &dir);
    let (_, page) = scene.arrive(&right, "till", "openid").await;
    scene.refused(right.open(&page).await.map(|_| ()), "denied").await;
    stage().command(&["terminal", "resume", &id]).unwrap();
    let counted = Open { flow: Some(page.clone()), counter: Some(10), ..Open::default() };
    right.open_as(&counted).await.unwrap();
    stage().command(&["terminal", "lost", &id]).unwrap();
    assert!(stage().command(&["terminal", "resume", &id]).is_err(), "what ended stays so");
    assert_eq!(row(&id, &stage().command(&["terminal", "list", "--json"]).unwrap())["state"], "lost");
}

pub(crate) fn copied(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

async fn steps(scene: &Scene<'_>, phone: &Phone, here: &str, until: usize) -> (Attempt, tempfile::TempDir, String, Option<String>) {
    let (terminal, dir, id) = till(scene, here, "till", Some("market")).await;
    let attempt = open(scene, terminal, "till", "openid profile").await;
    let mut next = None;
    if until > 0 {
        let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
        if until > 1 {
            phone.approve(&checked).await.unwrap();
        }
        if until > 2 {
            next = attempt.terminal.redeem(&attempt.ceremony).await.unwrap().next;
        }
    }
    (attempt, dir, id, next)
}

#[tokio::test]
async fn x13_a_terminal_that_is_stopped_between_two_steps_gives_nothing() {
    let scene = stage().scene().await;
    for verb in ["suspend", "retire", "lost", "revoke"] {
        let here = market();
        let phone = scene.phone("Halt", &here).await;
        for until in 0..4 {
            let (attempt, _dir, id, next) = steps(&scene, &phone, &here, until).await;
            stage().command(&["terminal", verb, &id]).unwrap();
            let what = format!("{verb} after {until} steps");
            // What was not redeemed ended with its screen; what was is no code any more, and the browser has let go of it.
            let (scanned, redeemed) = if until < 3 { ("code_not_live", "denied") } else { ("denied", "no_such_ceremony") };
            println!("{what}");
            scene.refused(phone.scan(&[attempt.ceremony.frame()]).await, scanned).await;
            scene.refused(attempt.terminal.redeem(&attempt.ceremony).await.map(|_| ()), redeemed).await;
            if let Some(next) = next {
                let fault = tokens(&scene, &attempt, &next).await.map(|_| ()).unwrap_err();
                assert!(fault.is("invalid_grant"), "{what}: {fault}");
                let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
                let fault = attempt.terminal.resume(&page).await.map(|_| ()).unwrap_err();
                assert!(fault.is("no_session"), "{what}: {fault}");
            }
            let (_, page) = scene.arrive(&attempt.terminal, "till", "openid").await;
            scene.refused(attempt.terminal.open(&page).await.map(|_| ()), "denied").await;
            let mut ask = attempt.terminal.passkey_options(&page).await.unwrap();
            ask.allow = vec![phone.passkey.about.id.clone()];
            scene.refused(attempt.terminal.passkey(&page, &phone.assert(&ask).unwrap()).await.map(|_| ()), "denied").await;
            assert!(phone.overview().await.unwrap().sessions.is_empty(), "{what}: something runs");
        }
    }
}

#[tokio::test]
async fn a9_the_next_person_ends_the_last_ones_session_and_no_step_up_is_made_of_it() {
    let scene = stage().scene().await;
    let here = market();
    let (ana, bo) = (scene.phone("Ana", &here).await, scene.phone("Bo", &here).await);
    let (terminal, dir, _) = till(&scene, &here, "till", Some("market")).await;
    let first = open(&scene, terminal, "till", "openid profile").await;
    let redirect = scene.sign_in(&ana, &first).await;
    let code = first.flow.code(&scene.discovery, &redirect).unwrap();
    let given = first.flow.exchange(&first.terminal.http, &scene.discovery, first.terminal.tk(), &code).await.unwrap();
    // The same browser, cookies and key: the next person is no step-up of the last.
    let second = open(&scene, first.terminal, "till", "openid profile").await;
    let checked = bo.scan(&[second.ceremony.frame()]).await.unwrap();
    assert_eq!(serde_json::to_value(checked.statement.purpose).unwrap(), "sign-in");
    bo.approve(&checked).await.unwrap();
    assert_eq!(second.terminal.redeem(&second.ceremony).await.unwrap().name, "Bo");
    assert!(ana.overview().await.unwrap().sessions.is_empty(), "the last person's session ended");
    assert_eq!(bo.overview().await.unwrap().sessions.len(), 1);
    let refresh = scene.discovery.userinfo_endpoint.clone().unwrap();
    let prover = Prover { key: second.terminal.tk(), body: false, token: Some(&given.access_token) };
    assert!(second.terminal.http.call(&Call::fetch(refresh).proved(prover)).await.is_err());
    // Cookies gone (the browser was closed): the next person ends it all the same.
    let third = open(&scene, again(&scene, &here, &dir), "till", "openid profile").await;
    scene.sign_in(&ana, &third).await;
    assert!(bo.overview().await.unwrap().sessions.is_empty());
    // A passkey of the next person, on the same key.
    let (_, page) = scene.arrive(&third.terminal, "till", "openid").await;
    let mut ask = third.terminal.passkey_options(&page).await.unwrap();
    ask.allow = vec![bo.passkey.about.id.clone()];
    assert_eq!(third.terminal.passkey(&page, &bo.assert(&ask).unwrap()).await.unwrap().name, "Bo");
    assert!(ana.overview().await.unwrap().sessions.is_empty());
}

#[tokio::test]
async fn a9_an_idle_screen_signs_in_without_a_request_and_its_session_answers_one() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Leerlauf", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let ceremony = terminal.open_idle().await.unwrap();
    let checked = phone.scan(&[ceremony.frame()]).await.unwrap();
    assert!(checked.view.ask.is_none());
    phone.approve(&checked).await.unwrap();
    let reply = terminal.redeem(&ceremony).await.unwrap();
    assert_eq!((reply.name.as_str(), reply.greet, reply.next), ("Leerlauf", false, None));
    assert_eq!(terminal.proceed(&ceremony).await.unwrap().next, "");
    // The application's own request is answered in silence, for what was read and no more.
    let (flow, page) = scene.arrive(&terminal, "till", "openid profile").await;
    let next = terminal.resume(&page).await.unwrap().next;
    let attempt = Attempt { terminal, flow, page, ceremony };
    tokens(&scene, &attempt, &next).await.unwrap();
    // The phone ends it with one tap, and nothing goes on.
    let open = phone.overview().await.unwrap().sessions;
    phone.end(&open[0].id).await.unwrap();
    let (_, page) = scene.arrive(&attempt.terminal, "till", "openid profile").await;
    assert!(attempt.terminal.resume(&page).await.is_err());
}

#[tokio::test]
async fn a9_what_an_idle_screen_took_and_never_claimed_is_taken_back() {
    let scene = stage().scene().await;
    let here = market();
    let phone = scene.phone("Verloren", &here).await;
    let (terminal, _dir, _) = till(&scene, &here, "till", Some("market")).await;
    let ceremony = terminal.open_idle().await.unwrap();
    phone.approve(&phone.scan(&[ceremony.frame()]).await.unwrap()).await.unwrap();
    terminal.redeem(&ceremony).await.unwrap();
    let sql = "SELECT deadline FROM ceremony WHERE id = $1";
    let rows = scene.engine.query(Query::new(sql, [ceremony.cid.as_str().into()])).await.unwrap();
    assert!(rows[0].opt_int(0).unwrap().is_some(), "it runs out unless the screen proves that it has it");
}
