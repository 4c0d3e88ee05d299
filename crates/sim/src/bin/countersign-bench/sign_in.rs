//! Complete cross-device sign-ins, many at the same time.

use super::process::together;
use countersign_device::Phone;
use countersign_sim::stage::{Attempt, Scene, place};
use std::time::{Duration, Instant};
use url::Url;

/// Opens for each client within a minute stay below the budget of 600.
pub const CLIENTS: usize = 64;

/// Runs `count` sign-ins spread over the players; answers the times from approval to redemption, sorted.
pub async fn round(scene: &Scene<'_>, players: &mut [Phone], count: usize, salt: usize) -> Vec<Duration> {
    let each = count / players.len();
    let all = players.iter_mut().enumerate().map(|(n, phone)| async move {
        let mut waits = Vec::with_capacity(each);
        for i in 0..each {
            // Each round has a person's own clients: a newer scan for one ends the older.
            let client = format!("bench-{}", (n * 8 + i + salt) % CLIENTS);
            // Budgets are for each source: screen and phone move on together.
            let here = place();
            phone.http = scene.http(&here);
            let attempt = scene.open(&client, "openid profile", &here).await;
            waits.push(sign_in(scene, phone, &attempt).await);
        }
        waits
    });
    let mut waits = together(all.collect()).await.concat();
    waits.sort_unstable();
    waits
}

/// Open was before; scan, confirm, approve, hear of it, redeem, and change the code for tokens.
async fn sign_in(scene: &Scene<'_>, phone: &Phone, attempt: &Attempt) -> Duration {
    let checked = scene.confirm(phone, attempt).await;
    let begun = Instant::now();
    let heard = attempt.terminal.state(&attempt.ceremony, Some("confirmed"));
    let (state, approved) = tokio::join!(heard, phone.approve(&checked));
    assert_eq!(approved.unwrap().state, "approved");
    assert_eq!(state.unwrap().state, "approved");
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let waited = begun.elapsed();
    let redirect: Url = scene.redirect(attempt, reply).await;
    assert!(scene.tokens(attempt, &redirect).await.unwrap().id_token.is_some());
    waited
}
