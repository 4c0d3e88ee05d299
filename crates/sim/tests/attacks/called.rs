//! Clients that ask for a person by name (CIBA): rows 9, 10, 14, 15, 19 and 2 once more.

use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::{CIBA, DEVICE, PATIENCE, Program, Reply, Scene, Settings, Stage, claims, place};
use countersign_wire::CeremonyId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What the client's screen shows.
const DIGITS: &str = "739204";

fn told(reply: &Reply, name: &str) -> String {
    reply.json()[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {}", reply.json())).to_owned()
}

fn heard(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

/// Somebody with a phone at `place`, and their login name.
async fn somebody(scene: &Scene<'_>, name: &str, place: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    (Phone::enrol(scene.http(place), &link, "Phone", None).await.unwrap(), login)
}

/// A client whose server is elsewhere.
fn program(scene: &Scene<'_>, client: &str) -> Program {
    Program::new(scene.raw(&place()), client).with_secret()
}

/// Asks for `login`, whose screen is at `place` by the client's word.
async fn call(program: &Program, login: &str, place: &str, more: &[(&str, &str)]) -> Reply {
    let context = json!({"ip_address": place}).to_string();
    let message = format!("Counter 3, number {DIGITS}");
    let base = [("scope", "openid profile refund"), ("login_hint", login), ("request_context", &context), ("binding_message", &message)];
    program.call(&[&base[..], more].concat()).await
}

fn cid(reply: &Reply) -> CeremonyId {
    told(reply, "auth_req_id").split('.').next().unwrap().parse().unwrap()
}

/// The person takes what is asked, types the digits and approves.
async fn approve(phone: &Phone, cid: &CeremonyId) {
    let checked = phone.take(cid).await.unwrap();
    phone.confirm(cid, DIGITS).await.unwrap();
    phone.approve(&checked).await.unwrap();
}

async fn waiting(phone: &Phone) -> usize {
    phone.pending().await.unwrap().pending.len()
}

#[tokio::test]
async fn a_person_who_is_asked_by_name_types_what_the_client_shows_and_it_gets_bound_tokens() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Ruf", &here).await;
    let hotline = program(&scene, "hotline");
    let payment = json!([{"type": "payment", "amount": "12.50", "currency": "EUR", "to": "Blumen Ana", "account": "AT611904300234573201"}]);
    let reply = call(&hotline, &login, &here, &[("authorization_details", &payment.to_string())]).await;
    assert_eq!((reply.status, reply.json()["expires_in"].as_i64()), (200, Some(300)), "{}", reply.json());
    let (id, cid) = (told(&reply, "auth_req_id"), cid(&reply));
    assert_eq!(heard(&hotline.hear(&id).await), (400, "authorization_pending".into()));
    // It stands on the open page, without a scan.
    let pending = phone.pending().await.unwrap().pending;
    assert_eq!(pending.iter().map(|p| (p.cid.as_str(), p.client.as_str())).collect::<Vec<_>>(), [(cid.as_str(), "Client hotline")]);
    let checked = phone.take(&cid).await.unwrap();
    let said = &checked.statement;
    assert_eq!((said.terminal.kind.as_str(), said.request.message.as_deref()), ("service", Some("Counter 3, number \u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}")));
    assert_eq!(said.request.details[0].asked, payment[0]);
    assert_eq!(said.rights.scopes, ["openid", "profile"], "nothing privileged by this way");
    assert!(checked.asks_digits_here() && !serde_json::to_string(said).unwrap().contains(DIGITS));
    // Before the digits nothing is approved; three wrong ones end it (elsewhere).
    scene.refused(phone.approve(&checked).await, "confirm_first").await;
    scene.refused(phone.confirm(&cid, "111111").await, "wrong_code").await;
    phone.confirm(&cid, DIGITS).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let tokens = hotline.hear(&id).await;
    assert_eq!(tokens.status, 200, "{}", tokens.json());
    let access = claims(&told(&tokens, "access_token"));
    assert_eq!(access["cnf"]["jkt"], json!(hotline.key.as_ref().unwrap().public().thumbprint().as_str()));
    assert_eq!((access["acr"].as_str(), access["cs"]["channel"].as_str()), (Some("urn:countersign:acr:xd2-push"), Some("push")));
    assert_eq!((&access["authorization_details"], told(&tokens, "scope")), (&payment, "openid profile".to_owned()));
    assert_eq!(claims(&told(&tokens, "id_token"))["aud"], "hotline");
    let renewed = hotline.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &told(&tokens, "refresh_token"))]).await;
    assert_eq!(renewed.status, 200, "{}", renewed.json());
    // Where nothing is carried over nothing is earned.
    let bare = program(&scene, "bare-hotline");
    let reply = call(&bare, &login, &here, &[]).await;
    let checked = phone.take(&self::cid(&reply)).await.unwrap();
    assert!(!checked.asks_digits_here());
    phone.approve(&checked).await.unwrap();
    let access = claims(&told(&bare.hear(&told(&reply, "auth_req_id")).await, "access_token"));
    assert_eq!(access["acr"], "0");
}

#[tokio::test]
async fn x09_whoever_does_not_know_a_persons_word_makes_no_phone_ring() {
    const WORD: &str = "seven grey gulls";
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Wort", &here).await;
    let (hotline, other) = (program(&scene, "word-hotline"), program(&scene, "other-word"));
    let ask = async |program: &Program, more: &[(&str, &str)]| call(program, &login, &here, more).await;
    let no = async |reply: &Reply| phone.refuse_unseen(&cid(reply), false).await.unwrap();
    // Who set none is asked as ever.
    assert_eq!(phone.overview().await.unwrap().user_code, Some(false));
    let reply = ask(&hotline, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    no(&reply).await;
    for bad in ["short", " padded word", "tab\tbed", &"x".repeat(65)] {
        scene.refused(phone.user_code(bad).await, "malformed").await;
    }
    phone.user_code(WORD).await.unwrap();
    assert_eq!(phone.overview().await.unwrap().user_code, Some(true));
    let without = ask(&hotline, &[]).await;
    assert_eq!(heard(&without), (400, "missing_user_code".into()));
    scene.recorded(without.json()["error_description"].as_str().unwrap().split(' ').nth(1).unwrap(), "malformed").await;
    let wrong = ask(&hotline, &[("user_code", "seven grey gull")]).await;
    assert_eq!(heard(&wrong), (400, "invalid_user_code".into()));
    scene.recorded(wrong.json()["error_description"].as_str().unwrap().split(' ').nth(1).unwrap(), "wrong_code").await;
    assert_eq!(waiting(&phone).await, 0, "a phone rang");
    let reply = ask(&hotline, &[("user_code", WORD)]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    assert_eq!(waiting(&phone).await, 1);
    no(&reply).await;
    // A right one gives back its own count alone: with four more wrong ones it is enough, also for the right one.
    for _ in 0..4 {
        assert_eq!(heard(&ask(&hotline, &[("user_code", "another word")]).await), (400, "invalid_user_code".into()));
    }
    assert_eq!(heard(&ask(&hotline, &[("user_code", WORD)]).await), (429, "temporarily_unavailable".into()));
    // That is this client's affair: another asks on, and one that is not registered to bring it asks as ever.
    let reply = ask(&other, &[("user_code", WORD)]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    no(&reply).await;
    assert_eq!(heard(&ask(&hotline, &[("user_code", WORD)]).await).0, 429);
    let reply = ask(&program(&scene, "bare-hotline"), &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    no(&reply).await;
    // Changed, then removed.
    phone.user_code("eight white swans").await.unwrap();
    assert_eq!(heard(&ask(&other, &[("user_code", WORD)]).await), (400, "invalid_user_code".into()));
    phone.user_code("").await.unwrap();
    assert_eq!(ask(&other, &[]).await.status, 200);
    // It is nowhere in what is kept, and the log says that it was set and removed.
    let person = phone.kept().sub.unwrap().to_string();
    let lines: Vec<_> = scene.log().await.into_iter().filter(|l| l.kind == "person.changed" && l.body["person"] == *person).collect();
    let told: Vec<_> = lines.iter().filter_map(|l| l.body["facts"]["user_code"].as_str()).collect();
    assert_eq!(told, ["set", "set", "removed"]);
    assert!(!scene.log().await.iter().any(|l| l.text.contains("gulls") || l.text.contains("swans")));
    let said = scene.raw(&here).send("GET", "/.well-known/openid-configuration", &[], vec![]).await.json();
    assert_eq!(said["backchannel_user_code_parameter_supported"], true);
}

#[tokio::test]
async fn x09_nobody_is_asked_by_name_for_a_client_that_is_not_registered_so() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Unbekannt", &here).await;
    for client in ["till", "stock", "tv", "loose-tv", "crowd-0", "screen"] {
        let program = Program::new(scene.raw(&here), client);
        let reply = call(&program, &login, &here, &[]).await;
        assert_eq!(heard(&reply), (400, "unauthorized_client".into()), "{client}");
        assert_eq!(program.hear("00000000-0000-7000-8000-000000000000.A").await.code(), "unauthorized_client", "{client}");
    }
    for client in ["office", "ledger", "desk", "cabinet"] {
        assert_eq!(call(&program(&scene, client), &login, &here, &[]).await.code(), "unauthorized_client", "{client}");
    }
    // Without its secret, and without a key.
    let nobody = Program::new(scene.raw(&here), "hotline");
    assert_eq!(heard(&call(&nobody, &login, &here, &[]).await), (401, "invalid_client".into()));
    let keyless = program(&scene, "hotline").without_key();
    assert_eq!(heard(&call(&keyless, &login, &here, &[]).await), (400, "invalid_dpop_proof".into()));
    assert_eq!(waiting(&phone).await, 0, "nothing of it reached the person");
}

#[tokio::test]
async fn x09_who_is_asked_from_afar_is_told_no_or_opens_nothing_privileged() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Weg", &here).await;
    // B4: the client does not say where the screen is, or says another place.
    let hotline = program(&scene, "hotline");
    for context in ["{}".to_owned(), json!({"ip_address": place()}).to_string(), json!({"ip_address": "here"}).to_string()] {
        let pairs = [("scope", "openid"), ("login_hint", &*login), ("request_context", &*context), ("binding_message", DIGITS)];
        let reply = hotline.call(&pairs).await;
        scene.refused(phone.take(&cid(&reply)).await, "too_far").await;
        phone.refuse_unseen(&cid(&reply), false).await.unwrap();
        assert_eq!(hotline.hear(&told(&reply, "auth_req_id")).await.code(), "access_denied");
    }
    // Whose word about a place does not count is far, and may only what far may.
    let branch = program(&scene, "branch");
    let reply = call(&branch, &login, &here, &[]).await;
    let checked = phone.take(&cid(&reply)).await.unwrap();
    assert!(checked.statement.near.is_empty() && checked.statement.rights.scopes == ["openid", "profile"]);
    phone.confirm(&cid(&reply), DIGITS).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let tokens = branch.hear(&told(&reply, "auth_req_id")).await;
    assert_eq!(told(&tokens, "scope"), "openid profile");
}

#[tokio::test]
async fn x14_an_auth_req_id_serves_its_client_its_key_and_its_grant_alone() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Vertauscht", &here).await;
    let hotline = program(&scene, "hotline");
    let reply = call(&hotline, &login, &here, &[]).await;
    let (id, cid) = (told(&reply, "auth_req_id"), cid(&reply));
    approve(&phone, &cid).await;
    let (name, secret) = id.split_once('.').unwrap();
    let wrong = format!("{name}.{}", "A".repeat(43));
    let tv = Program::new(scene.raw(&here), "tv");
    for (what, reply) in [
        ("another client", program(&scene, "branch").hear(&id).await),
        ("another key of the same client", program(&scene, "hotline").hear(&id).await),
        ("another secret", hotline.hear(&wrong).await),
        ("only the secret", hotline.hear(secret).await),
        ("only the name", hotline.hear(name).await),
        ("as a device code", tv.collect(&id).await),
        ("as a code", hotline.post("/token", &[("grant_type", "authorization_code"), ("code", &id), ("redirect_uri", "http://127.0.0.1/cb")]).await),
        ("as a refresh token", hotline.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &id)]).await),
    ] {
        assert_eq!(heard(&reply), (400, "invalid_grant".into()), "{what}: {}", reply.json());
    }
    assert_eq!(hotline.post("/token", &[("grant_type", DEVICE), ("device_code", &id)]).await.code(), "unauthorized_client");
    let bare = Program { secret: false, key: None, ..Program::new(scene.raw(&here), "hotline") };
    assert_eq!(bare.hear(&id).await.code(), "invalid_client");
    let keyless = program(&scene, "hotline").without_key();
    assert_eq!(keyless.hear(&id).await.code(), "invalid_dpop_proof");
    // A device code is none of this grant either.
    let asked = Program::new(scene.raw(&here), "tv").ask(&[("scope", "openid")]).await;
    assert_eq!(hotline.hear(&told(&asked, "device_code")).await.code(), "invalid_grant");
    // None of that used it up. Twenty at once: one wins, and later a copy takes back what it gave.
    let hotline = Arc::new(hotline);
    let mut all = JoinSet::new();
    for _ in 0..20 {
        let (hotline, id) = (hotline.clone(), id.clone());
        all.spawn(async move { hotline.hear(&id).await });
    }
    let all = all.join_all().await;
    let won: Vec<_> = all.iter().filter(|r| r.status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", all.iter().map(Reply::code).collect::<Vec<_>>());
    assert!(all.iter().all(|r| r.status == 200 || r.code() == "invalid_grant"));
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    assert_eq!(hotline.hear(&id).await.code(), "invalid_grant");
    let renewed = hotline.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &told(won[0], "refresh_token"))]).await;
    assert_eq!(renewed.code(), "invalid_grant");
}

/// A thief who stands beside the victim, is a client of every kind, and has read `readable`.
async fn moves_nothing(scene: &Scene<'_>, here: &str, readable: &[String]) {
    let raw = scene.raw(here);
    for text in readable {
        for client in ["tv", "other-tv"] {
            assert_eq!(Program::new(scene.raw(here), client).collect(text).await.code(), "invalid_grant", "{text}");
        }
        for client in ["hotline", "branch"] {
            assert_eq!(program(scene, client).hear(text).await.code(), "invalid_grant", "{text}");
        }
        let stranger = Program::new(scene.raw(here), "till");
        for pairs in [
            [("grant_type", "authorization_code"), ("code", text.as_str()), ("redirect_uri", "http://127.0.0.1/cb"), ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")],
            [("grant_type", "refresh_token"), ("refresh_token", text.as_str()), ("scope", "openid"), ("client_secret", "")],
        ] {
            let reply = stranger.post("/token", &pairs).await;
            assert!(reply.status >= 400, "{text}: {}", reply.json());
        }
        let cookie = format!("__Host-cs_s={text}; __Host-cs_b={text}");
        let page = raw.send("GET", "/userinfo", &[("cookie", cookie), ("authorization", format!("Bearer {text}"))], vec![]).await;
        assert_eq!(page.status, 401, "{text}");
    }
}

/// Whatever a person can read off their own devices and send to somebody moves nobody's session to them.
#[tokio::test]
async fn x19_nothing_that_a_person_can_read_and_send_moves_a_session() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Weitergabe", &here).await;
    let attempt = scene.open_till(&here).await;
    let checked = scene.confirm(&phone, &attempt).await;
    phone.approve(&checked).await.unwrap();
    let said = &checked.statement;
    let readable = [
        said.cid.to_string(), said.txn.to_string(), said.n.clone(), said.device.to_string(), said.sub.to_string(),
        checked.digits().unwrap_or_default().to_owned(), phone.kept().device_id.to_string(),
    ];
    moves_nothing(&scene, &here, &readable).await;
    // It is still there for the screen that began.
    attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
}

#[tokio::test]
async fn b5_a_code_that_the_victim_sends_on_joins_nobody_to_their_session() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Netz", &here).await;
    let (tv, thief) = (Program::new(scene.raw(&here), "tv"), scene.phone("Dieb", &here).await);
    let shown = tv.ask(&[("scope", "openid")]).await;
    let user_code = told(&shown, "user_code");
    let checked = phone.scan_code(&user_code).await.unwrap();
    phone.approve(&checked).await.unwrap();
    let readable = [user_code.clone(), user_code.replace('-', ""), told(&shown, "verification_uri_complete"), checked.statement.cid.to_string()];
    moves_nothing(&scene, &here, &readable).await;
    scene.refused(thief.scan_code(&user_code).await, "code_not_live").await;
    assert_eq!(tv.collect(&told(&shown, "device_code")).await.status, 200);
}

#[tokio::test]
async fn b7_what_a_service_shows_and_the_victim_sends_on_starts_nothing_elsewhere() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Start", &here).await;
    let (hotline, thief) = (program(&scene, "hotline"), scene.phone("Dieb", &here).await);
    let asked = call(&hotline, &login, &here, &[]).await;
    approve(&phone, &cid(&asked)).await;
    let readable = [cid(&asked).to_string(), DIGITS.to_owned(), format!("Counter 3, number {DIGITS}"), login];
    moves_nothing(&scene, &here, &readable).await;
    scene.refused(thief.take(&cid(&asked)).await, "no_such_ceremony").await;
    assert_eq!(hotline.hear(&told(&asked, "auth_req_id")).await.status, 200);
}

#[tokio::test]
async fn x10_a_client_asks_a_person_seldom_and_in_silence_once_they_said_no() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Flut", &here).await;
    let hotline = program(&scene, "hotline");
    // One waits for each person and client, also when they come at the same moment.
    let hotline = Arc::new(hotline);
    let mut all = JoinSet::new();
    for _ in 0..10 {
        let (hotline, login, here) = (hotline.clone(), login.clone(), here.clone());
        all.spawn(async move { call(&hotline, &login, &here, &[]).await });
    }
    let all = all.join_all().await;
    assert_eq!(all.iter().filter(|r| r.status == 200).count(), 1, "{:?}", all.iter().map(heard).collect::<Vec<_>>());
    assert!(all.iter().filter(|r| r.status != 200).all(|r| r.status == 429));
    assert_eq!(waiting(&phone).await, 1);
    // "Not me", from the list, unseen: this client is stopped for this person, whatever network or key it comes with.
    let first = all.iter().find(|r| r.status == 200).unwrap();
    phone.refuse_unseen(&cid(first), true).await.unwrap();
    assert_eq!(hotline.hear(&told(first, "auth_req_id")).await.code(), "access_denied");
    for _ in 0..3 {
        let elsewhere = program(&scene, "hotline");
        let reply = call(&elsewhere, &login, &here, &[]).await;
        assert_eq!(reply.status, 200, "it does not learn that it is stopped");
        assert_eq!(waiting(&phone).await, 0);
        scene.refused(phone.take(&cid(&reply)).await, "no_such_ceremony").await;
        assert_eq!(elsewhere.hear(&told(&reply, "auth_req_id")).await.code(), "authorization_pending");
        let opened = scene.log_of(cid(&reply).as_str()).await.into_iter().find(|l| l.kind == "ceremony.opened").unwrap();
        assert_eq!(opened.body["facts"]["quiet"], true);
    }
    // Others may go on.
    let branch = program(&scene, "branch");
    let reply = call(&branch, &login, &here, &[]).await;
    assert_eq!(waiting(&phone).await, 1);
    approve(&phone, &cid(&reply)).await;
    assert_eq!(branch.hear(&told(&reply, "auth_req_id")).await.status, 200);
    // B4.2: three refusals in a row are a "not me"; what was approved is counted for nothing.
    for n in 0..4 {
        let reply = call(&branch, &login, &here, &[]).await;
        assert_eq!((reply.status, waiting(&phone).await), (200, usize::from(n < 3)), "{n}");
        if n < 3 {
            phone.refuse_unseen(&cid(&reply), false).await.unwrap();
        }
    }
}

/// B4.1: a client that was taken over asks many people.
#[tokio::test]
async fn x10_a_client_that_several_people_did_not_expect_asks_nobody_any_more() {
    let hash = countersign_wire::b64::encode(&countersign_wire::mac::h(countersign_sim::stage::SECRET.as_bytes()));
    let more = format!("[[clients]]\nid = \"taken\"\nname = \"Taken\"\nauth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\nfar = \"unproven\"\nciba = {{ binding_digits = true }}\n");
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    for n in 0..3 {
        let (phone, login) = somebody(&scene, &format!("Liste{n}"), &place()).await;
        let reply = program(&scene, "taken").call(&[("scope", "openid"), ("login_hint", &login), ("binding_message", DIGITS)]).await;
        assert_eq!(reply.status, 200, "{n}: {}", reply.json());
        phone.refuse_unseen(&cid(&reply), true).await.unwrap();
    }
    let (_phone, login) = somebody(&scene, "Vierte", &place()).await;
    let reply = program(&scene, "taken").call(&[("scope", "openid"), ("login_hint", &login), ("binding_message", DIGITS)]).await;
    // CIBA Core 1.0 §13.
    assert_eq!(heard(&reply), (403, "access_denied".into()), "{}", reply.json());
}

#[tokio::test]
async fn x15_what_a_person_was_asked_by_name_changes_no_more() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Fest", &here).await;
    let hotline = program(&scene, "hotline");
    let reply = call(&hotline, &login, &here, &[]).await;
    approve(&phone, &cid(&reply)).await;
    let id = told(&reply, "auth_req_id");
    let elsewhere = [("grant_type", CIBA), ("auth_req_id", &id), ("resource", "https://evil.example")];
    assert_eq!(hotline.post("/token", &elsewhere).await.code(), "invalid_target");
    let more = [("grant_type", CIBA), ("auth_req_id", &*id), ("scope", "openid profile refund"), ("authorization_details", "[{\"type\":\"payment\"}]")];
    let tokens = hotline.post("/token", &more).await;
    assert_eq!(told(&tokens, "scope"), "openid profile");
    assert_eq!(claims(&told(&tokens, "access_token")).get("authorization_details"), None);
    // Three wrong numbers end it; whoever holds another phone has nothing to type into.
    let reply = call(&hotline, &login, &here, &[]).await;
    let thief = scene.phone("Fremd", &here).await;
    scene.refused(thief.take(&cid(&reply)).await, "no_such_ceremony").await;
    phone.take(&cid(&reply)).await.unwrap();
    for wrong in ["000000", "7392040", "73920"] {
        assert!(phone.confirm(&cid(&reply), wrong).await.is_err());
    }
    assert_eq!(hotline.hear(&told(&reply, "auth_req_id")).await.code(), "access_denied");
}

type Pinged = (String, Value);

/// A client's own door: what came, and what it answers.
async fn door(status: u16) -> (String, tokio::sync::mpsc::UnboundedReceiver<Pinged>) {
    use axum::http::{HeaderMap, StatusCode};
    let (tell, hear) = tokio::sync::mpsc::unbounded_channel();
    let take = async move |headers: HeaderMap, axum::Json(body): axum::Json<Value>| {
        tell.send((headers["authorization"].to_str().unwrap().to_owned(), body)).unwrap();
        (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")])
    };
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://127.0.0.1:{}/told", socket.local_addr().unwrap().port());
    let app = axum::Router::new().route("/told", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    (address, hear)
}

#[tokio::test]
async fn a_client_is_told_that_there_is_something_to_collect_and_nothing_else() {
    let ((good, mut hears), (bad, mut turned)) = (door(204).await, door(307).await);
    let hash = countersign_wire::b64::encode(&countersign_wire::mac::h(countersign_sim::stage::SECRET.as_bytes()));
    let client = |id: &str, to: &str| {
        format!("[[clients]]\nid = \"{id}\"\nname = \"{id}\"\nauth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\nfar = \"unproven\"\nciba = {{ binding_digits = true, notification_endpoint = \"{to}\" }}\n")
    };
    let stage = Stage::set(Settings { more: [client("told", &good), client("turns", &bad)].concat(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let (phone, login) = somebody(&scene, "Klingel", &here).await;
    let word = "8d67dc78-7faa-4d41-aabd-67707b374255";
    let ask = async |client: &str| {
        let program = program(&scene, client);
        let pairs = [("scope", "openid"), ("login_hint", &*login), ("binding_message", DIGITS), ("client_notification_token", word)];
        let reply = program.call(&pairs).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        (program, reply)
    };
    let soon = async |hears: &mut tokio::sync::mpsc::UnboundedReceiver<Pinged>| tokio::time::timeout(PATIENCE, hears.recv()).await.unwrap().unwrap();
    let (told_client, reply) = ask("told").await;
    let id = told(&reply, "auth_req_id");
    phone.take(&cid(&reply)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(hears.try_recv().is_err(), "nothing before there is something");
    phone.confirm(&cid(&reply), DIGITS).await.unwrap();
    phone.approve(&phone.look_again(&cid(&reply)).await.unwrap()).await.unwrap();
    assert_eq!(soon(&mut hears).await, (format!("Bearer {word}"), json!({"auth_req_id": id})));
    assert_eq!(told_client.hear(&id).await.status, 200);
    // A refusal is something to collect as well.
    let (told_client, reply) = ask("told").await;
    phone.refuse_unseen(&cid(&reply), false).await.unwrap();
    assert_eq!(soon(&mut hears).await.1, json!({"auth_req_id": told(&reply, "auth_req_id")}));
    assert_eq!(told_client.hear(&told(&reply, "auth_req_id")).await.code(), "access_denied");
    // A client that sends us elsewhere is not followed, and may ask by itself all the same.
    let (turns, reply) = ask("turns").await;
    approve(&phone, &cid(&reply)).await;
    soon(&mut turned).await;
    assert_eq!(turns.hear(&told(&reply, "auth_req_id")).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(turned.try_recv().is_err() && hears.try_recv().is_err(), "once each");
    // The word is kept sealed: whoever reads the store cannot ring.
    for file in ["countersign.db", "countersign.db-wal"] {
        let bytes = std::fs::read(stage.dir().join(file)).unwrap();
        for secret in [word, id.split('.').nth(1).unwrap()] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{file}");
        }
    }
}
