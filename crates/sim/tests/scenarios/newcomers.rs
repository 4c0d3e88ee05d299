//! Clients that nobody listed: by a document at their own address, and by registering themselves (A6).

use countersign_sim::stage::{REDIRECT, Scene, Settings, Site, Stage, claims, place};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

const TOKEN: &str = "an initial access token, only for tests";
const TOOLS: &str = "https://tools.example/mcp";

async fn stage() -> Stage {
    let more = format!(
        "[newcomers]\nhosts = [\"localhost\"]\ntoken_hash = \"{}\"\nscopes = [\"profile\"]\naudience = \"{TOOLS}\"\n",
        b64::encode(&mac::h(TOKEN.as_bytes()))
    );
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

async fn walks(scene: &Scene<'_>, client: &str) -> (String, Value) {
    let here = place();
    let phone = scene.phone("Ida", &here).await;
    let attempt = scene.open(client, "openid profile", &here).await;
    let checked = scene.approve(&phone, &attempt).await;
    let reply = attempt.terminal.redeem(&attempt.ceremony).await.unwrap();
    let redirect = scene.redirect(&attempt, reply).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert_eq!(checked.statement.client.redirect_host, "127.0.0.1");
    (checked.statement.client.name.clone(), claims(&tokens.access_token))
}

#[tokio::test]
async fn a6_a_client_that_describes_itself_gets_what_such_clients_may_and_people_see_where_it_comes_from() {
    let stage = stage().await;
    let scene = stage.scene().await;
    let site = Site::open().await;
    site.shows(&site.about(json!({"scope": "admin", "logo_uri": "http://localhost:9/logo.png"})));
    let raw = scene.raw(&place());
    let told = raw.send("GET", "/.well-known/oauth-authorization-server", &[], vec![]).await.json();
    assert_eq!((&told["client_id_metadata_document_supported"], &told["registration_endpoint"]), (&json!(true), &json!(format!("{}/register", raw.origin()))));
    let (name, said) = walks(&scene, &site.url).await;
    assert_eq!(name, "Notes (localhost)");
    assert_eq!((&said["client_id"], &said["cnf"]["jkt"].is_string()), (&json!(site.url), &true));
    assert_eq!(said["aud"], json!([TOOLS, raw.origin()]));
    // It is read again when its time ran out, and not before.
    walks(&scene, &site.url).await;
    assert_eq!(site.asked(), 1);
    let line = scene.log().await.into_iter().find(|l| l.kind == "client.changed" && l.body["client"] == site.url).unwrap();
    assert_eq!(line.body["facts"]["what"], "document");
    // The operator's word counts for more than its own.
    stage.command(&["client", "disable", &site.url]).unwrap();
    let url = format!("/authorize?client_id={}&response_type=code&redirect_uri={REDIRECT}", site.url);
    assert_eq!(raw.send("GET", &url, &[], vec![]).await.status, 400);
    assert_eq!(site.asked(), 1);
    // Switched on again it is what it was before: a client of its document, of the configuration.
    let source = |id: &str| {
        let said = stage.command(&["client", "list", "--json"]).unwrap();
        let all: Vec<Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        all.into_iter().find(|c| c["id"] == id).unwrap()["source"].clone()
    };
    stage.command(&["client", "disable", "till"]).unwrap();
    stage.restart().await;
    for (id, was) in [(site.url.as_str(), "document"), ("till", "configuration")] {
        stage.command(&["client", "disable", id]).unwrap();
        assert_eq!(source(id), format!("command/{was}"));
        stage.command(&["client", "enable", id]).unwrap();
        assert_eq!(source(id), was);
    }
    walks(&scene, &site.url).await;
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn a6_a_client_registers_itself_only_with_the_operators_token_and_gets_no_secret() {
    let stage = stage().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let asks = async |token: &str, body: &Value| {
        let headers = [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))];
        raw.send("POST", "/register", &headers, body.to_string().into_bytes()).await
    };
    let notes = json!({"client_name": "Notes", "redirect_uris": [REDIRECT], "scope": "admin", "application_type": "native"});
    let before = scene.counts().await;
    for token in ["", "another", TOKEN.trim_end_matches('s')] {
        let reply = asks(token, &notes).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "invalid_token"));
    }
    for (more, code) in [
        (json!({"redirect_uris": ["http://notes.example/cb"]}), "invalid_redirect_uri"),
        (json!({"token_endpoint_auth_method": "client_secret_basic"}), "invalid_client_metadata"),
        (json!({"grant_types": ["client_credentials"]}), "invalid_client_metadata"),
    ] {
        let mut odd = notes.clone();
        odd.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = asks(TOKEN, &odd).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{more}");
    }
    assert_eq!(scene.counts().await["client"], before["client"]);
    let reply = asks(TOKEN, &notes).await;
    let told = reply.json();
    assert_eq!((reply.status, &told["token_endpoint_auth_method"], &told["scope"]), (201, &json!("none"), &json!("profile")), "{told}");
    assert!(told.get("client_secret").is_none());
    let (name, said) = walks(&scene, told["client_id"].as_str().unwrap()).await;
    assert_eq!((name.as_str(), &said["client_id"]), ("Notes (registered by itself)", &told["client_id"]));
}
