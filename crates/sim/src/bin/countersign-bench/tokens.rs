//! What follows a sign-in, and the question of a screen that waits.

use super::process::together;
use base64::Engine as _;
use countersign_device::http::{Call, Prover};
use countersign_device::oidc::Tokens;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, SECRET, Scene, place};
use url::Url;

/// A client's user who has tokens.
pub struct Holder {
    attempt: Attempt,
    tokens: Tokens,
}

/// Signs each player in at the client that renews.
pub async fn holders(scene: &Scene<'_>, players: &mut [Phone]) -> Vec<Holder> {
    let all = players.iter_mut().map(|phone| async move {
        let here = place();
        phone.http = scene.http(&here);
        let attempt = scene.open("renew", "openid profile", &here).await;
        let redirect = scene.sign_in(phone, &attempt).await;
        let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
        Holder { attempt, tokens }
    });
    together(all.collect()).await
}

/// Each renews its tokens `each` times, with a proof by its key.
pub async fn refresh(scene: &Scene<'_>, holders: &mut [Holder], each: usize) {
    let all = holders.iter_mut().map(|holder| async move {
        for _ in 0..each {
            let token = holder.tokens.refresh_token.clone().unwrap();
            let pairs = [("grant_type", "refresh_token"), ("client_id", "renew"), ("refresh_token", token.as_str())];
            let call = Call::form(scene.discovery.token_endpoint.clone(), &pairs).proved(Prover::terminal(&holder.attempt.terminal.key));
            holder.tokens = holder.attempt.terminal.http.ask(&call).await.unwrap();
        }
    });
    together(all.collect()).await;
}

/// A protected resource asks `each` times about each access token.
pub async fn introspect(scene: &Scene<'_>, holders: &[Holder], each: usize) {
    let url: &Url = &scene.stage.issuer.join("/introspect").unwrap();
    let secret: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let basic = &format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("watch:{secret}")));
    let http = &scene.http(&place());
    let all = holders.iter().map(|holder| async move {
        for _ in 0..each {
            let call = Call::form(url.clone(), &[("token", &holder.tokens.access_token)]).with("authorization", basic.as_str());
            let told: serde_json::Value = http.ask(&call).await.unwrap();
            assert_eq!(told["active"], true, "{told}");
        }
    });
    together(all.collect()).await;
}

/// `screens` that wait ask `each` times how it stands.
pub async fn poll(scene: &Scene<'_>, screens: usize, each: usize) -> super::process::Cost {
    let mut open = Vec::new();
    for n in 0..screens {
        open.push(scene.open(&format!("bench-{}", n % super::sign_in::CLIENTS), "openid profile", &place()).await);
    }
    let all = open.iter().map(|attempt| async move {
        for _ in 0..each {
            assert_eq!(attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state, "opened");
        }
    });
    super::process::cost(scene.stage.pid().unwrap(), screens * each, together(all.collect::<Vec<_>>())).await.0
}
