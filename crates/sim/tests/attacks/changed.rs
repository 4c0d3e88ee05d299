//! Somebody changes what was asked, or who may have it, on the way: rows 14 and 15.

use super::stage;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, SoftwareKey};
use countersign_sim::stage::{Attempt, REDIRECT, Scene, place};
use countersign_wire::b64;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

#[tokio::test]
async fn x14_a_code_serves_its_client_its_address_its_verifier_and_its_key_alone() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Kodex", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
    let (http, key) = (&attempt.terminal.http, &attempt.terminal.key);
    let flow = &attempt.flow;
    let stranger = SoftwareKey::generate().unwrap();
    let clone = |client: &str, uri: &str| CodeFlow { client_id: client.into(), redirect_uri: uri.into(), ..flow.clone() };
    let verifier = CodeFlow { verifier: "x".repeat(43), ..flow.clone() };
    for (who, with, key) in [
        ("another client", clone("stock", REDIRECT), key),
        ("another address", clone("till", "http://127.0.0.1/other"), key),
        ("another verifier", verifier, key),
        ("another key", flow.clone(), &stranger),
    ] {
        let heard = with.exchange(http, &scene.discovery, key, &code).await.err();
        assert!(heard.as_ref().is_some_and(|fault| fault.is("invalid_grant")), "{who}: {heard:?}");
    }
    // None of them spoiled it for its owner, who gets it once.
    assert!(flow.exchange(http, &scene.discovery, key, &code).await.is_ok());
    assert!(flow.exchange(http, &scene.discovery, key, &code).await.is_err_and(|fault| fault.is("invalid_grant")));
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A client of this test's own, registered by command.
struct Own<'a> {
    scene: &'a Scene<'a>,
    id: String,
}

impl Own<'_> {
    fn register(&self, change: Value) {
        let mut client = json!({
            "id": self.id, "name": "Own", "redirect_uris": [REDIRECT], "refresh": "always",
            "scopes": ["profile", "refund"], "detail_types": ["payment"],
        });
        client.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let file = self.scene.stage.dir().join(format!("{}.json", self.id));
        std::fs::write(&file, client.to_string()).unwrap();
        self.scene.stage.command(&["client", "add", "--file", file.to_str().unwrap()]).unwrap();
    }
}

fn details() -> Value {
    json!([{"type": "payment", "amount": "1", "currency": "EUR", "to": "Ana", "account": "AT611904300234573201"}])
}

fn claims(tokens: &Tokens) -> Value {
    serde_json::from_slice(&b64::decode(tokens.access_token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A sign-in, interrupted by `change` before step `at`: opened, scanned, confirmed, approved,
/// redeemed, exchanged, renewed. Whatever tokens there are in the end.
async fn interrupted(scene: &Scene<'_>, change: &Value, at: usize) -> Result<Tokens, Fault> {
    let own = Own { scene, id: format!("own-{}", NEXT.fetch_add(1, Ordering::SeqCst)) };
    own.register(json!({}));
    let here = place();
    let phone = scene.phone("Wandler", &here).await;
    let change_before = |step: usize| {
        if step == at {
            own.register(change.clone());
        }
    };
    let terminal = scene.terminal(&here);
    let flow = CodeFlow::new(&own.id, REDIRECT, "openid profile refund")?;
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().append_pair("authorization_details", &details().to_string());
    let Arrival::Flow(page) = terminal.arrive(&url).await? else { panic!("sent away") };
    change_before(0);
    let ceremony = terminal.open(&page).await?;
    change_before(1);
    let attempt = Attempt { terminal, flow, page, ceremony };
    let checked = phone.scan(&[attempt.ceremony.frame()]).await?;
    change_before(2);
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await?;
    change_before(3);
    phone.approve(&checked).await?;
    change_before(4);
    let reply = attempt.terminal.redeem(&attempt.ceremony).await?;
    let redirect = scene.redirect(&attempt, reply).await;
    change_before(5);
    let tokens = scene.tokens(&attempt, &redirect).await?;
    change_before(6);
    let pairs = [("grant_type", "refresh_token"), ("client_id", &*own.id), ("refresh_token", tokens.refresh_token.as_deref().unwrap())];
    let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(Prover::terminal(&attempt.terminal.key));
    attempt.terminal.http.ask(&call).await
}

#[tokio::test]
async fn x15_a_registration_that_shrinks_between_two_steps_gives_no_more_than_it_says() {
    let scene = stage().scene().await;
    // Nothing changed: everything is there.
    let all = interrupted(&scene, &json!({}), 9).await.unwrap();
    assert_eq!((all.scope.as_deref(), &claims(&all)["authorization_details"]), (Some("openid profile refund"), &details()));
    for at in 0..=6 {
        let tokens = interrupted(&scene, &json!({"scopes": ["profile"]}), at).await.unwrap();
        assert_eq!(tokens.scope.as_deref(), Some("openid profile"), "before step {at}");
        assert_eq!(claims(&tokens)["scope"], "openid profile");
        // Details are all or nothing: what was approved is not made smaller in silence.
        let heard = interrupted(&scene, &json!({"detail_types": []}), at).await;
        assert!(heard.is_err_and(|fault| fault.is("denied") || fault.is("invalid_grant")), "details before step {at}");
        // Nothing is sent where the client was registered once.
        if at <= 4 {
            let heard = interrupted(&scene, &json!({"redirect_uris": ["https://elsewhere.example/cb"]}), at).await;
            assert!(heard.is_err_and(|fault| fault.is("denied")), "address before step {at}");
        }
    }
}

#[tokio::test]
async fn x15_what_is_said_later_changes_nothing_of_what_was_asked() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Fest", &here).await;
    let attempt = scene.open("till", "openid profile", &here).await;
    // The screen cannot open its page for more than the request says.
    let raw = scene.raw(&here);
    let body = json!({"flow": attempt.page, "scope": "openid refund"});
    let key = SoftwareKey::generate().unwrap();
    let nonce = raw.nonce().await;
    assert_eq!(raw.proved(&key, "/ceremonies", &body, Some(nonce)).await.code(), "malformed");
    let redirect = scene.sign_in(&phone, &attempt).await;
    // Nor the client with its code.
    let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", REDIRECT),
        ("client_id", "till"),
        ("code_verifier", &*attempt.flow.verifier),
        ("scope", "openid profile refund"),
        ("authorization_details", &*details().to_string()),
        ("acr_values", "phrh"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(Prover::terminal(&attempt.terminal.key));
    let tokens: Tokens = attempt.terminal.http.ask(&call).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid profile"));
    assert!(claims(&tokens).get("authorization_details").is_none());
    assert_eq!(claims(&tokens)["acr"], "urn:countersign:acr:xd2");
}
