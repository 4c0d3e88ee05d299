//! Pushes from many sides at once, and what their answers say about login names: row 10 once more.

use super::stage;
use countersign_device::terminal::Ceremony;
use countersign_device::{Fault, Phone, Terminal};
use countersign_sim::stage::{Scene, place};
use countersign_wire::message::Open;
use tokio::task::JoinSet;

/// A screen of its own, at the sign-in page of `client`, about to ask for `login`.
async fn ready(scene: &Scene<'_>, client: &str, login: &str) -> (Terminal, Open) {
    let terminal = scene.terminal(&place());
    let (_, page) = scene.arrive(&terminal, client, "openid").await;
    (terminal, Open { flow: Some(page), offer: Some(login.to_owned()), ..Open::default() })
}

pub(super) async fn push(scene: &Scene<'_>, client: &str, login: &str) -> (Terminal, Result<Ceremony, Fault>) {
    let (terminal, open) = ready(scene, client, login).await;
    let opened = terminal.open_as(&open).await;
    (terminal, opened)
}

/// Somebody with a phone, and their login name.
pub(super) async fn listed(scene: &Scene<'_>, name: &str) -> (Phone, String) {
    let (link, login) = scene.invitation(name).await;
    (Phone::enrol(scene.http(&place()), &link, "Phone", None).await.unwrap(), login)
}

#[tokio::test]
async fn x10_a_push_does_not_say_whether_anybody_has_that_name() {
    let scene = stage().scene().await;
    let (phone, login) = listed(&scene, "Gundula").await;
    let mut heard = vec![];
    for name in [login.clone(), format!("{login}-nobody")] {
        let mut codes = vec![];
        let (terminal, given) = push(&scene, "till", &name).await;
        let first = given.unwrap();
        for client in ["till", "stock", "office", "ledger", "stock"] {
            let (_, opened) = push(&scene, client, &name).await;
            codes.push(opened.err().map_or_else(|| "given".to_owned(), |fault| fault.code().to_owned()));
        }
        // What was given up leaves its place, to somebody and to nobody alike.
        terminal.abandon(&first).await.unwrap();
        for client in ["ledger", "till"] {
            let (_, opened) = push(&scene, client, &name).await;
            codes.push(opened.err().map_or_else(|| "given".to_owned(), |fault| fault.code().to_owned()));
        }
        heard.push(codes);
    }
    assert_eq!(heard[0], heard[1], "somebody and nobody are told apart");
    assert_eq!(heard[0], ["too_many", "given", "given", "too_many", "too_many", "given", "too_many"]);
    // A refusal leaves its place as well.
    let waiting = phone.pending().await.unwrap().pending;
    assert_eq!(waiting.len(), 3);
    let refused = waiting.iter().find(|p| p.client == "Client stock").unwrap();
    phone.refuse_unseen(&refused.cid.parse().unwrap(), false).await.unwrap();
    assert!(push(&scene, "stock", &login).await.1.is_ok());
}

#[tokio::test]
async fn x10_pushes_at_the_same_moment_are_as_few() {
    let scene = stage().scene().await;
    let (_phone, login) = listed(&scene, "Gleichzeitig").await;
    let (_other, second) = listed(&scene, "Ebenso").await;
    for (names, clients, most) in [
        ([login.clone(), format!("{login}-nobody")], &["crowd-0"][..], 1),
        ([second.clone(), format!("{second}-nobody")], &["crowd-1", "crowd-2", "crowd-3", "crowd-4", "crowd-5"][..], 3),
    ] {
        for name in names {
            let mut all = JoinSet::new();
            let mut standing = vec![];
            for n in 0..20 {
                standing.push(ready(&scene, clients[n % clients.len()], &name).await);
            }
            for (terminal, open) in standing {
                all.spawn(async move { terminal.open_as(&open).await.map(|_| ()) });
            }
            let heard = all.join_all().await;
            let given = heard.iter().filter(|h| h.is_ok()).count();
            assert_eq!(given, most, "{name} by {clients:?}");
            for fault in heard.into_iter().filter_map(Result::err) {
                scene.refused(Err::<(), _>(fault), "too_many").await;
            }
        }
    }
}
