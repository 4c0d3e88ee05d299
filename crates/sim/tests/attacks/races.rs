//! Two things at the same moment: row 24 once more.

use countersign_device::{Fault, Phone};
use countersign_sim::stage::{Attempt, Scene, Settings, Stage, place};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Scanned, and the digits at hand.
async fn scanned(scene: &Scene<'_>, phone: &Phone, n: usize, here: &str) -> (Attempt, String) {
    let attempt = scene.open(&format!("crowd-{}", n % 6), "openid", here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    let digits = checked.digits().unwrap().to_owned();
    (attempt, digits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x24_a_deadline_that_passes_on_the_way_is_a_clean_refusal() {
    // Ten seconds to decide, so that many deadlines can be waited for.
    let stage = Stage::set(Settings { more: "decide_s = 10".into(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let mut phones = vec![];
    for n in 0..40 {
        let here = place();
        phones.push((scene.phone(&format!("Knapp {n}"), &here).await, here));
    }
    for _ in 0..2 {
        let mut waiting = vec![];
        for (n, (phone, here)) in phones.iter().enumerate() {
            let (attempt, digits) = scanned(&scene, phone, n, here).await;
            let left = attempt.terminal.state(&attempt.ceremony, None).await.unwrap().left_ms;
            waiting.push((attempt, digits, tokio::time::Instant::now() + Duration::from_millis(left.unsigned_abs())));
        }
        let mut all = JoinSet::new();
        for (n, (attempt, digits, end)) in waiting.into_iter().enumerate() {
            let attempt = Arc::new(attempt);
            // Some come before the deadline, some after; those in between are what this is about.
            let at = end - Duration::from_micros(2_500) + Duration::from_micros(n as u64 * 90);
            all.spawn(async move {
                tokio::time::sleep_until(at).await;
                attempt.terminal.confirm(&attempt.ceremony, &digits).await
            });
        }
        for heard in all.join_all().await {
            match heard {
                Ok(view) => assert_eq!(view.state, "confirmed"),
                // The sweep may have been there first.
                Err(Fault::Refused(refusal)) => assert!(matches!(refusal.code.as_str(), "expired" | "gone"), "{refusal:?}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
