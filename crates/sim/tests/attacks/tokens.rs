//! What applications hold, and everything that must stop it: rows 13, 15, 27.

use super::stage;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::phone::Checked;
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, Phone, SoftwareKey, Terminal};
use countersign_sim::stage::{Attempt, REDIRECT, SECRET, Scene, Settings, Stage, place};
use url::Url;

/// A renewal, as the program would ask for it.
pub(super) async fn renew(scene: &Scene<'_>, attempt: &Attempt, token: &str) -> Result<Tokens, Fault> {
    let pairs = [("grant_type", "refresh_token"), ("client_id", "renew"), ("refresh_token", token)];
    let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs);
    attempt.terminal.http.ask(&call.proved(Prover::terminal(&attempt.terminal.key))).await
}

/// Whether the refusal stands in the log, under the reference that OAuth errors carry as a sentence.
async fn recorded(scene: &Scene<'_>, fault: &Fault, code: &str) {
    let Fault::Refused(refusal) = fault else { panic!("no refusal: {fault}") };
    let said = refusal.say.clone().unwrap_or_default();
    scene.recorded(said.strip_prefix("see ").unwrap_or(&refusal.reference), code).await;
}

#[tokio::test]
async fn x27_a_refresh_token_used_twice_ends_what_its_session_gave() {
    // A server of its own: it is restarted.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Wiederholung", &here).await;
    let attempt = scene.open("renew", "openid profile", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let first = scene.tokens(&attempt, &redirect).await.unwrap();
    let first_token = first.refresh_token.clone().unwrap();
    let second = renew(&scene, &attempt, &first_token).await.unwrap();
    let second_token = second.refresh_token.clone().unwrap();
    // The thief has a copy, and no key: nothing happens.
    let thief = scene.open("renew", "openid", &here).await;
    for token in [&first_token, &second_token] {
        let heard = renew(&scene, &thief, token).await.err().unwrap();
        assert!(heard.is("invalid_grant"), "{heard}");
        recorded(&scene, &heard, "gone").await;
    }
    // An answer that was lost is told again, and is the same.
    let again = renew(&scene, &attempt, &first_token).await.unwrap();
    assert_eq!(again.refresh_token.as_deref(), Some(second_token.as_str()));
    let third = renew(&scene, &attempt, &second_token).await.unwrap();
    assert!(scene.works(&attempt, &third).await);
    // With the key as well, the copy is worth one thing: it ends everything, even after a restart.
    stage.restart().await;
    let heard = renew(&scene, &attempt, &first_token).await.err().unwrap();
    assert!(heard.is("invalid_grant"), "{heard}");
    recorded(&scene, &heard, "already_redeemed").await;
    stage.restart().await;
    for tokens in [&first, &second, &third] {
        assert!(!scene.works(&attempt, tokens).await);
        let heard = renew(&scene, &attempt, tokens.refresh_token.as_deref().unwrap()).await.err().unwrap();
        assert!(heard.is("invalid_grant"), "{heard}");
    }
    let told = scene.log().await;
    assert_eq!(told.iter().filter(|l| l.kind == "refresh.replayed").count(), 1, "recorded once");
    for line in &told {
        for secret in first_token.split('.').skip(1).chain(second_token.split('.').skip(2)) {
            assert!(!line.text.contains(secret), "a secret in the log: {}", line.text);
        }
    }
}

/// One sign-in as far as it came.
struct Walk<'a> {
    scene: &'a Scene<'a>,
    phone: Phone,
    begun: Option<(Terminal, CodeFlow, String)>,
    attempt: Option<Attempt>,
    checked: Option<Checked>,
    redirect: Option<Url>,
    tokens: Option<Tokens>,
}

const STEPS: [&str; 8] = ["open", "scan", "confirm", "approve", "redeem", "exchange", "renew", "userinfo"];

impl Walk<'_> {
    async fn step(&mut self, name: &str) -> Result<(), Fault> {
        let scene = self.scene;
        if name == "open" {
            let (terminal, flow, page) = self.begun.take().unwrap();
            let ceremony = terminal.open(&page).await?;
            self.attempt = Some(Attempt { terminal, flow, page, ceremony });
            return Ok(());
        }
        let attempt = self.attempt.as_ref().unwrap();
        match name {
            "scan" => self.phone.scan(&[attempt.ceremony.frame()]).await.map(|c| self.checked = Some(c)),
            "confirm" => {
                let digits = self.checked.as_ref().unwrap().digits().unwrap();
                attempt.terminal.confirm(&attempt.ceremony, digits).await.map(|_| ())
            }
            "approve" => self.phone.approve(self.checked.as_ref().unwrap()).await.map(|_| ()),
            "redeem" => {
                let reply = attempt.terminal.redeem(&attempt.ceremony).await?;
                self.redirect = Some(scene.redirect(attempt, reply).await);
                Ok(())
            }
            "exchange" => scene.tokens(attempt, self.redirect.as_ref().unwrap()).await.map(|t| self.tokens = Some(t)),
            "renew" => {
                let token = self.tokens.as_ref().unwrap().refresh_token.clone().unwrap();
                renew(scene, attempt, &token).await.map(|t| self.tokens = Some(t))
            }
            _ => {
                let url = scene.discovery.userinfo_endpoint.clone().unwrap();
                let token = &self.tokens.as_ref().unwrap().access_token;
                let prover = Prover { key: &attempt.terminal.key, body: false, token: Some(token) };
                attempt.terminal.http.call(&Call::fetch(url).proved(prover)).await.map(|_| ())
            }
        }
    }
}

#[tokio::test]
async fn x13_whoever_is_stopped_between_two_steps_gets_no_further() {
    // A server of its own: a client is switched off.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    for what in ["nothing", "person locked", "person ended", "device suspended", "device revoked", "client off"] {
        for last in 0..STEPS.len() {
            let (link, login) = scene.invitation("Gesperrt").await;
            let here = place();
            let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
            let terminal = scene.terminal(&here);
            let (flow, page) = scene.arrive(&terminal, "renew", "openid profile").await;
            let begun = Some((terminal, flow, page));
            let mut walk = Walk { scene: &scene, phone, begun, attempt: None, checked: None, redirect: None, tokens: None };
            for step in &STEPS[..last] {
                walk.step(step).await.unwrap_or_else(|fault| panic!("{step} before {what}: {fault}"));
            }
            let device = walk.phone.kept().device_id.to_string();
            let command: &[&str] = match what {
                "person locked" => &["person", "lock", &login],
                "person ended" => &["person", "end", &login],
                "device suspended" => &["device", "suspend", &device],
                "device revoked" => &["device", "revoke", &device],
                "client off" => &["client", "disable", "renew"],
                _ => &["client", "list"],
            };
            stage.command(command).unwrap();
            let before = scene.log().await.len();
            // Whatever came before the person was known can still be done, and leads nowhere.
            let mut stopped = None;
            for step in &STEPS[last..] {
                if let Err(fault) = walk.step(step).await {
                    stopped = Some((step, fault));
                    break;
                }
            }
            if what == "client off" {
                stage.command(&["client", "enable", "renew"]).unwrap();
            }
            let Some((step, fault)) = stopped else {
                assert_eq!(what, "nothing", "{what} before {}: it went through", STEPS[last]);
                continue;
            };
            assert_ne!(what, "nothing", "{step}: {fault}");
            assert!(matches!(fault, Fault::Refused(_)), "{what}, {step}: {fault}");
            let known = last > 1 || *step == STEPS[last] || *step == "scan";
            assert!(known, "{what} before {}: got as far as {step}", STEPS[last]);
            let since = &scene.log().await[before..];
            assert!(since.iter().any(|l| l.body["code"].is_string()), "{what} at {step}: {fault} is not in the log");
            for kind in ["session.opened", "code.issued", "tokens.issued", "tokens.refreshed"] {
                assert!(!since.iter().any(|l| l.kind == kind), "{what} before {}: {kind}", STEPS[last]);
            }
        }
    }
}

#[tokio::test]
async fn x15_nothing_changes_between_the_steps() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Gleichbleibend", &here).await;
    let key = SoftwareKey::generate().unwrap();
    let flow = CodeFlow::new("renew", REDIRECT, "openid profile").unwrap();
    let url = flow.url(&scene.discovery, &key.public().thumbprint());
    let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pairs: Vec<(&str, &str)> = asked.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let http = scene.http(&here);
    let raw = scene.raw(&here);
    // Pushed by the client itself; then every parameter is changed on the way through the browser.
    let call = Call::form(scene.stage.issuer.join("/par").unwrap(), &pairs);
    let told: serde_json::Value = http.ask(&call.proved(Prover::terminal(&key))).await.unwrap();
    let uri = told["request_uri"].as_str().unwrap();
    let terminal = Terminal::new(scene.http(&here), &scene.stage.issuer).unwrap();
    let mut changed = scene.discovery.authorization_endpoint.clone();
    changed.query_pairs_mut().extend_pairs([("client_id", "renew"), ("request_uri", uri)]);
    for (name, value) in &asked {
        if name != "client_id" {
            changed.query_pairs_mut().append_pair(name, &format!("{value}x"));
        }
    }
    let mut stolen = scene.discovery.authorization_endpoint.clone();
    stolen.query_pairs_mut().extend_pairs([("client_id", "till"), ("request_uri", uri)]);
    let path = format!("{}?{}", stolen.path(), stolen.query().unwrap());
    assert_eq!(raw.send("GET", &path, &[], vec![]).await.status, 400, "another client brings it");
    let Arrival::Flow(page) = terminal.arrive(&changed).await.unwrap() else { panic!("sent away") };
    let path = format!("{}?{}", changed.path(), changed.query().unwrap());
    assert_eq!(raw.send("GET", &path, &[], vec![]).await.status, 400, "a second browser brings it");
    // What the phone shows and signs is the request as it was pushed.
    let ceremony = terminal.open(&page).await.unwrap();
    let attempt = Attempt { terminal, flow, page, ceremony };
    let checked = scene.approve(&phone, &attempt).await;
    assert_eq!(checked.statement.request.scopes, ["openid", "profile"]);
    assert_eq!(checked.statement.client.id.as_str(), "renew");
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
    // At the token endpoint each thing the code is bound to is changed alone.
    let thief = SoftwareKey::generate().unwrap();
    let (mut other_client, mut other_place) = (attempt.flow.clone(), attempt.flow.clone());
    other_client.client_id = "stock".into();
    other_place.redirect_uri.push('/');
    let other_verifier = CodeFlow::new("renew", REDIRECT, "openid profile").unwrap();
    for (what, flow, with) in [
        ("client", &other_client, &key),
        ("redirect URI", &other_place, &key),
        ("verifier", &other_verifier, &key),
        ("key", &attempt.flow, &thief),
    ] {
        let heard = flow.exchange(&http, &scene.discovery, with, &code).await.err().unwrap();
        assert!(heard.is("invalid_grant"), "{what}: {heard}");
        recorded(&scene, &heard, "gone").await;
    }
    // More than was approved cannot be had, neither now nor by a renewal.
    let tokens = attempt.flow.exchange(&http, &scene.discovery, &key, &code).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid profile"));
    let refresh = tokens.refresh_token.unwrap();
    let wider = [("grant_type", "refresh_token"), ("client_id", "renew"), ("refresh_token", &refresh), ("scope", "openid refund")];
    let call = Call::form(scene.discovery.token_endpoint.clone(), &wider).proved(Prover::terminal(&key));
    let heard = http.ask::<Tokens>(&call).await.err().unwrap();
    assert!(heard.is("invalid_scope"), "{heard}");
    recorded(&scene, &heard, "denied").await;
}

#[tokio::test]
async fn a_request_for_one_person_is_refused_on_every_other_phone() {
    let scene = stage().scene().await;
    let here = place();
    let (ana, ben) = (scene.phone("Gemeint", &here).await, scene.phone("Anders", &here).await);
    let first = scene.open_till(&here).await;
    let redirect = scene.sign_in(&ana, &first).await;
    let hint = scene.tokens(&first, &redirect).await.unwrap().id_token.unwrap();
    // The same request again, for her alone, on a screen where nobody is signed in.
    let terminal = scene.terminal(&here);
    let flow = CodeFlow::new("till", REDIRECT, "openid").unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().append_pair("id_token_hint", &hint);
    let Arrival::Flow(page) = terminal.arrive(&url).await.unwrap() else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    scene.refused(ben.scan(&[ceremony.frame()]).await.map(|_| ()), "denied").await;
    let attempt = Attempt { terminal, flow, page, ceremony };
    let redirect = scene.sign_in(&ana, &attempt).await;
    assert!(scene.tokens(&attempt, &redirect).await.is_ok());
}

#[tokio::test]
async fn x28_what_ended_is_refused_from_the_next_answer_on() {
    // A server of its own: a client is switched off.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let basic = format!("Basic {}", base64_of(&format!("watch:{}", form_encoded(SECRET))));
    let look = async |token: &str| {
        let headers = [("authorization", basic.clone()), ("content-type", "application/x-www-form-urlencoded".to_owned())];
        let reply = raw.send("POST", "/introspect", &headers, format!("token={token}").into_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()["active"].as_bool().unwrap()
    };
    for what in ["ended on the phone", "signed out", "person locked", "device suspended", "given back", "client off"] {
        let here = place();
        let (link, login) = scene.invitation("Vorbei").await;
        let phone = Phone::enrol(scene.http(&here), &link, "Phone", None).await.unwrap();
        let attempt = scene.open("renew", "openid", &here).await;
        let redirect = scene.sign_in(&phone, &attempt).await;
        let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
        let refresh = tokens.refresh_token.clone().unwrap();
        assert!(look(&tokens.access_token).await && scene.works(&attempt, &tokens).await, "{what}");
        match what {
            "ended on the phone" => phone.end_all().await.unwrap(),
            "signed out" => attempt.terminal.end_session().await.unwrap(),
            "person locked" => drop(stage.command(&["person", "lock", &login]).unwrap()),
            "device suspended" => drop(stage.command(&["device", "suspend", phone.kept().device_id.as_str()]).unwrap()),
            "client off" => drop(stage.command(&["client", "disable", "renew"]).unwrap()),
            _ => {
                let kind = [("content-type", "application/x-www-form-urlencoded".to_owned())];
                let body = format!("client_id=renew&token={refresh}").into_bytes();
                assert_eq!(raw.send("POST", "/revoke", &kind, body).await.status, 200);
            }
        }
        assert!(!look(&tokens.access_token).await, "{what}: introspection");
        assert!(!scene.works(&attempt, &tokens).await, "{what}: userinfo");
        let heard = renew(&scene, &attempt, &refresh).await.err().unwrap();
        assert!(heard.is("invalid_grant") || heard.is("invalid_client"), "{what}: {heard}");
    }
}

fn base64_of(text: &str) -> String {
    countersign_wire::b64::encode(text.as_bytes()).replace('-', "+").replace('_', "/")
}

fn form_encoded(text: &str) -> String {
    text.replace(' ', "+").replace(',', "%2C")
}
