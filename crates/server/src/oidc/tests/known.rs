//! Clients that nobody listed, and what is told of all that there are.

use super::world::{CHALLENGE, World, client};
use crate::app::startup::COMMAND;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CB: &str = "http://127.0.0.1/cb";

/// A site with a client's document, that answers slowly: the client's name, and how often it was asked.
async fn site() -> (String, Arc<AtomicUsize>) {
    let (listener, asked) = (tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let id = format!("http://localhost:{}/client.json", listener.local_addr().unwrap().port());
    let said = json!({
        "client_id": id, "client_name": "Notes", "redirect_uris": [CB], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"], "response_types": ["code"],
    });
    let count = asked.clone();
    let show = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let said = said.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            axum::Json(said)
        }
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(show)).await });
    (id, asked)
}

async fn begins(w: &World, id: &str) -> u16 {
    let url = format!("/authorize?client_id={id}&response_type=code&redirect_uri={CB}&scope=openid&code_challenge_method=S256&code_challenge={CHALLENGE}");
    w.send("GET", &url, &[], "").await.status.as_u16()
}

#[tokio::test]
async fn a_document_is_read_once_for_all_who_wait_for_it_and_to_its_end_though_they_leave() {
    let w = World::with(vec![], "[newcomers]\nhosts = [\"localhost\"]").await;
    let (id, asked) = site().await;
    let asked = || asked.load(Ordering::SeqCst);
    // Nobody knows it yet; then its time is over, twice.
    for n in 1..=3 {
        let all = futures_util::future::join_all((0..30).map(|_| begins(&w, &id))).await;
        assert!(all.iter().all(|status| *status == 303), "{all:?}");
        assert_eq!(asked(), n);
        w.later(400);
    }
    // Who goes away before it is read uses up nothing.
    for _ in 0..30 {
        let _ = tokio::time::timeout(Duration::from_millis(20), begins(&w, &id)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((begins(&w, &id).await, asked()), (303, 4));
}

#[tokio::test]
async fn what_is_told_of_clients_counts_those_that_a_command_made_and_not_those_it_switched_off() {
    let vouching = json!({"approved_by": ["administrator"], "scopes": [], "for_s": 600});
    let more = json!({"ciba": {"user_code": true}, "scopes": ["notes"], "refresh": "offline_access", "danger_allow_bearer": true, "without_phone": vouching});
    // An idle screen offers what the client does that it signs people in to, and no other.
    let idle = "[[clients]]\nid = \"desk\"\nname = \"Desk\"\nredirect_uris = [\"https://desk.example/cb\"]\n\
        [terminals.classes.till.kiosk]\nclient = \"desk\"\nscopes = []\nstart = \"https://desk.example/\"\n";
    let w = World::with(vec![client("till", json!({ "without_phone": vouching }))], idle).await;
    let told = async || {
        let said = w.send("GET", "/.well-known/openid-configuration", &[], "").await.json();
        let has = |scope: &str| said["scopes_supported"].as_array().unwrap().iter().any(|s| s == scope);
        let resource = w.send("GET", "/.well-known/oauth-protected-resource", &[], "").await.json();
        let page = w.send("GET", "/kiosk", &[], "").await.text;
        [
            said["backchannel_user_code_parameter_supported"] == true, has("notes"), has("offline_access"),
            resource["dpop_bound_access_tokens_required"] == false, page.contains("data-without-phone"),
        ]
    };
    let event = || Commit::new(w.app.event(Kind::ClientChanged, &w.app.txn(w.app.now()), w.app.now()));
    assert_eq!(told().await, [false; 5]);
    let (mut new, mut commit) = (client("desk", more), event());
    commit.write(Write::client_added(&new, COMMAND));
    w.app.commit(commit).await.unwrap();
    assert_eq!(told().await, [true; 5]);
    let old = w.app.store.client(&new.id).await.unwrap().unwrap();
    new.disabled = true;
    // As another process does it that this one hears nothing of.
    let mut commit = event();
    commit.write(Write::client_changed(&old, &new, COMMAND));
    w.app.store.commit(commit).await.unwrap();
    assert_eq!(told().await, [true; 5], "kept for a moment");
    w.later(6);
    assert_eq!(told().await, [false; 5]);
}
