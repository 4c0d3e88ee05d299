//! Tokens for one resource (RFC 8707), and what a resource says of itself (RFC 9728).

use super::stage;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::{CodeFlow, Tokens};
use countersign_device::terminal::Arrival;
use countersign_device::{Fault, Terminal};
use countersign_sim::stage::{Attempt, REDIRECT, STOCK, Scene, claims, place, post};
use serde_json::{Value, json};

const TOOLS: &str = "https://tools.example/mcp";

async fn arrive(scene: &Scene<'_>, terminal: &Terminal, client: &str, scope: &str, resource: &str) -> (CodeFlow, Arrival) {
    let flow = CodeFlow::new(client, REDIRECT, scope).unwrap();
    let mut url = flow.url(&scene.discovery, &terminal.key.public().thumbprint());
    url.query_pairs_mut().append_pair("resource", resource);
    let arrival = terminal.arrive(&url).await.unwrap();
    (flow, arrival)
}

async fn signed_in(scene: &Scene<'_>, scope: &str, resource: &str) -> (Attempt, Tokens) {
    let here = place();
    let phone = scene.phone("Rosa", &here).await;
    let terminal = scene.terminal(&here);
    let (flow, Arrival::Flow(page)) = arrive(scene, &terminal, "shop", scope, resource).await else { panic!("sent away") };
    let ceremony = terminal.open(&page).await.unwrap();
    let attempt = Attempt { terminal, flow, page, ceremony };
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    (attempt, tokens)
}

#[tokio::test]
async fn a6_a_token_is_for_the_resource_that_was_asked_for_and_for_no_other() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    // For our own endpoint only where the scope is asked for.
    let (_, tokens) = signed_in(&scene, "read", TOOLS).await;
    assert_eq!(claims(&tokens.access_token)["aud"], TOOLS);
    let (attempt, tokens) = signed_in(&scene, "openid read", TOOLS).await;
    assert_eq!(claims(&tokens.access_token)["aud"], json!([TOOLS, raw.origin()]));
    // A renewal is for the same; another is refused and takes nothing.
    let renew = async |resource: &str, token: &str| {
        let pairs = [("grant_type", "refresh_token"), ("client_id", "shop"), ("refresh_token", token), ("resource", resource)];
        let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(Prover::terminal(&attempt.terminal.key));
        attempt.terminal.http.ask::<Tokens>(&call).await
    };
    let token = tokens.refresh_token.as_deref().unwrap();
    let refused = renew(STOCK, token).await;
    assert!(refused.is_err_and(|fault| fault.is("invalid_target")));
    let renewed = renew(TOOLS, token).await.unwrap();
    assert_eq!(claims(&renewed.access_token)["aud"], json!([TOOLS, raw.origin()]));
    // What a client is not registered for goes back, pushed or not.
    let terminal = scene.terminal(&place());
    for (client, resource) in [("shop", "https://other.example"), ("till", TOOLS), ("shop", "https://tools.example/mcp/")] {
        let (flow, arrival) = arrive(&scene, &terminal, client, "openid", resource).await;
        let Arrival::Away(url) = arrival else { panic!("{client} {resource}") };
        let heard: Result<_, Fault> = flow.code(&scene.discovery, &url);
        assert!(heard.is_err_and(|fault| fault.is("invalid_target")), "{client} {resource}");
    }
    let form = format!(
        "client_id=shop&response_type=code&redirect_uri={REDIRECT}&scope=openid&code_challenge_method=S256&\
         code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&resource=https://other.example"
    );
    let reply = post(&raw, "/par", Some(&terminal.key), form.into_bytes()).await;
    assert_eq!(reply.code(), "invalid_target", "{}", reply.json());
}

#[tokio::test]
async fn a6_the_server_says_of_itself_which_tokens_it_takes() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    let read = async |path: &str| raw.send("GET", path, &[], vec![]).await;
    let told: Value = read("/.well-known/oauth-protected-resource").await.json();
    assert_eq!((&told["resource"], &told["authorization_servers"]), (&json!(raw.origin()), &json!([raw.origin()])));
    // One client of this stage may show tokens without a key.
    assert_eq!(told["dpop_bound_access_tokens_required"], false);
    // Whoever shows nothing at our own endpoint is told where to read that.
    let reply = read("/userinfo").await;
    let challenge = reply.headers["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains(&format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", raw.origin())), "{challenge}");
    // What clients of MCP insist on is in the metadata, under both names.
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let told = read(path).await.json();
        assert_eq!((&told["issuer"], &told["code_challenge_methods_supported"]), (&json!(raw.origin()), &json!(["S256"])), "{path}");
        assert_eq!(told["authorization_response_iss_parameter_supported"], true);
    }
}
