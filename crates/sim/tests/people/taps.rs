//! "Undo", tapped on several times at once.

use super::recovery::{blank, person, told};
use super::stage;
use countersign_device::Phone;
use countersign_sim::stage::place;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Eight taps on the same "undo" at once: one of them does it, and the others hear that it is done.
async fn tapped(phone: &Arc<Phone>, kind: &str) {
    let (_, notice, _) = told(phone).await.into_iter().find(|n| n.0 == kind).unwrap();
    let mut taps = JoinSet::new();
    for _ in 0..8 {
        let (phone, notice) = (phone.clone(), notice.clone());
        taps.spawn(async move { phone.undo(&notice).await });
    }
    let (done, late): (Vec<_>, Vec<_>) = taps.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1, "{kind}: {late:?}");
    for fault in late.into_iter().map(Result::unwrap_err) {
        assert!(fault.is("no_such_thing"), "{kind}: {fault}");
    }
}

#[tokio::test]
async fn of_several_taps_at_once_one_undoes_and_the_others_hear_that_it_is_done() {
    let scene = stage().scene().await;
    let here = place();
    let (phone, login) = person(&scene, "Zugleich", None, &here).await;
    let phone = Arc::new(phone);
    let codes = phone.recovery_codes().await.unwrap();
    blank(&scene, &place()).code(&login, &codes[0]).await.unwrap();
    tapped(&phone, "recovery_asked").await;
    let second = scene.second_phone(&phone, &here).await;
    second.recovery_codes().await.unwrap();
    tapped(&phone, "recovery_codes").await;
    tapped(&phone, "device_added").await;
    scene.refused(second.overview().await, "bad_proof").await;
}
