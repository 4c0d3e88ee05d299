//! Row 31, by a client's own name: what the server fetches because a stranger said so.

use countersign_sim::stage::{REDIRECT, Raw, Reply, Settings, Site, Stage, place, post};
use countersign_store::Statement;
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

async fn set(hosts: &str) -> Stage {
    ruled(&format!("hosts = [{hosts}]\n")).await
}

async fn ruled(rules: &str) -> Stage {
    let stage = Stage::set(Settings { more: format!("[newcomers]\n{rules}"), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

/// The configuration says something else, and the server starts with it.
async fn changes(stage: &Stage, what: &[(&str, &str)]) {
    let file = stage.dir().join("countersign.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (old, new) in what {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    std::fs::write(&file, text).unwrap();
    stage.restart().await;
}

fn listed(stage: &Stage, id: &str) -> Option<Value> {
    let said = stage.command(&["client", "list", "--json"]).unwrap();
    said.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|c| c["id"] == id)
}

/// What a client hears that begins.
async fn begins(raw: &Raw, client: &str) -> u16 {
    let url = format!(
        "/authorize?client_id={client}&response_type=code&redirect_uri={REDIRECT}&scope=openid&code_challenge_method=S256&\
         code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    raw.send("GET", &url, &[], vec![]).await.status
}

/// What it hears that shows no key with a code that is none: `invalid_grant` where it may do so.
async fn bare(raw: &Raw, client: &str) -> Reply {
    let form = format!("client_id={}&grant_type=authorization_code&code=x", form_urlencoded::byte_serialize(client.as_bytes()).collect::<String>());
    post(raw, "/token", None, form.into_bytes()).await
}

#[tokio::test]
async fn x31_a_clients_document_is_read_where_it_says_and_nowhere_else() {
    let stage = set("\"*\"").await;
    let scene = stage.scene().await;
    let asks = async |client: &str| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", client).append_pair("response_type", "code").append_pair("redirect_uri", REDIRECT).append_pair("scope", "openid")
            .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").append_pair("code_challenge_method", "S256").finish();
        // Each from a network of its own: what one may ask for is counted.
        let raw = scene.raw(&place());
        raw.send("GET", &format!("/authorize?{query}"), &[], vec![]).await.status
    };
    let site = Site::open().await;
    // The good one first: else nothing would be shown.
    site.shows(&site.about(json!({})));
    assert_eq!(asks(&site.url).await, 303);
    // Names that are no address of a document, or of somewhere that nobody may be sent to.
    let (before, asked) = (scene.counts().await, site.asked());
    let port = site.url.split('/').nth(2).unwrap().split(':').nth(1).unwrap();
    for name in [
        "https://10.0.0.1/client.json", "https://169.254.169.254/latest/meta-data", "https://192.168.1.1/c", "https://100.100.100.200/c",
        "https://metadata.internal.invalid/c", "http://app.example/client.json", "ftp://localhost/c", "file:///etc/passwd",
        &format!("http://localhost:{port}"), &format!("http://localhost:{port}/"), &format!("http://localhost:{port}/a/../client.json"),
        &format!("http://LOCALHOST:{port}/client.json"), &format!("http://2130706433:{port}/client.json"),
    ] {
        assert_eq!(asks(name).await, 400, "{name}");
    }
    assert_eq!(site.asked(), asked);
    // Documents that are none, or about another.
    let other = Site::open().await;
    other.shows(&other.about(json!({})));
    let good = other.about(json!({})).to_string();
    let long = other.about(json!({"a": "x".repeat(6_000)})).to_string();
    for (status, headers, body) in [
        (302, vec![("location", site.url.as_str()), ("content-type", "application/json")], good.as_str()),
        (404, vec![("content-type", "application/json")], &good),
        (200, vec![("content-type", "text/html")], &good),
        (200, vec![("content-type", "application/json")], &long),
        (200, vec![("content-type", "application/json")], "[]"),
        (200, vec![("content-type", "application/json")], &site.about(json!({})).to_string()),
        (200, vec![("content-type", "application/json")], &other.about(json!({"redirect_uris": ["https://evil.example/cb"]})).to_string()),
        (200, vec![("content-type", "application/json")], &other.about(json!({"client_secret": "a"})).to_string()),
    ] {
        other.answers(status, &headers, body);
        assert_eq!(asks(&other.url).await, 400, "{status} {headers:?}");
    }
    assert_eq!((other.asked(), site.asked()), (8, asked), "no redirection is followed");
    assert_eq!(scene.counts().await["client"], before["client"]);
    // One network is not the one that lets us ask the whole world.
    let raw = scene.raw(&place());
    let mut heard = Vec::new();
    for n in 0..12 {
        heard.push(raw.send("GET", &format!("/authorize?client_id={}{n}&response_type=code", other.url), &[], vec![]).await.status);
    }
    assert_eq!((heard[9], heard[10], other.asked()), (400, 429, 18), "{heard:?}");
}

#[tokio::test]
async fn x31_hosts_that_are_not_listed_are_not_asked_and_their_clients_end_with_the_list() {
    let site = Site::open().await;
    site.shows(&site.about(json!({})));
    let closed = set("\"app.example\"").await;
    let scene = closed.scene().await;
    let raw = scene.raw(&place());
    assert_eq!((begins(&raw, &site.url).await, site.asked()), (400, 0));
    // Nobody registers where there is no token to show.
    let headers = [("content-type", "application/json".to_owned()), ("authorization", "Bearer a".to_owned())];
    assert_eq!(raw.send("POST", "/register", &headers, site.about(json!({})).to_string().into_bytes()).await.status, 404);
    // Somebody signed in to it while its host was listed. A shorter list ends that, and nobody asks the host any more.
    changes(&closed, &[("hosts = [\"app.example\"]", "hosts = [\"localhost\"]")]).await;
    let here = place();
    let phone = scene.phone("Ida", &here).await;
    let attempt = scene.open(&site.url, "openid", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await);
    changes(&closed, &[("hosts = [\"localhost\"]", "hosts = [\"app.example\"]")]).await;
    let asked = site.asked();
    assert_eq!((begins(&raw, &site.url).await, scene.works(&attempt, &tokens).await, site.asked()), (400, false, asked));
    assert_eq!(listed(&closed, &site.url).unwrap()["disabled"], true);
    // A node that has the longer list still writes it as that list has it: here this list counts.
    let sql = "UPDATE client SET body = replace(body, '\"disabled\":true', '\"disabled\":false') WHERE id = $1";
    scene.engine.upkeep(vec![Statement::any(sql, [site.url.as_str().into()])]).await.unwrap();
    assert_eq!(listed(&closed, &site.url).unwrap()["disabled"], false);
    assert_eq!((begins(&raw, &site.url).await, scene.works(&attempt, &tokens).await, site.asked()), (400, false, asked));
}

#[tokio::test]
async fn x31_what_clients_that_nobody_listed_may_do_is_what_the_rules_say_now() {
    let secret = "an initial access token, only for tests";
    let wide = format!("token_hash = \"{}\"\nscopes = [\"profile\", \"notes\"]\nhosts = [\"localhost\"]\ndanger_allow_bearer = true\n", b64::encode(&mac::h(secret.as_bytes())));
    let stage = ruled(&wide).await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let site = Site::open().await;
    site.shows(&site.about(json!({})));
    assert_eq!(begins(&raw, &site.url).await, 303);
    let headers = [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {secret}"))];
    let told = raw.send("POST", "/register", &headers, json!({"client_name": "Notes", "redirect_uris": [REDIRECT]}).to_string().into_bytes()).await.json();
    let both = [site.url.as_str(), told["client_id"].as_str().unwrap()];
    for id in both {
        assert_eq!(bare(&raw, id).await.code(), "invalid_grant", "{id}");
    }
    changes(&stage, &[("danger_allow_bearer = true", "danger_allow_bearer = false"), ("scopes = [\"profile\", \"notes\"]", "scopes = []")]).await;
    for id in both {
        let now = listed(&stage, id).unwrap();
        assert_eq!((&now["scopes"], &now["danger_allow_bearer"], &now["disabled"]), (&json!([]), &json!(false), &json!(false)), "{now}");
        assert_eq!(bare(&raw, id).await.code(), "invalid_dpop_proof", "{id}");
        // As a node writes it that has the wider rules still.
        let sql = "UPDATE client SET body = replace(body, '\"danger_allow_bearer\":false', '\"danger_allow_bearer\":true') WHERE id = $1";
        scene.engine.upkeep(vec![Statement::any(sql, [id.into()])]).await.unwrap();
        assert_eq!(bare(&raw, id).await.code(), "invalid_dpop_proof", "{id}");
    }
    // What the server says of itself follows what is so, whoever registered it.
    let required = async || raw.send("GET", "/.well-known/oauth-protected-resource", &[], vec![]).await.json()["dpop_bound_access_tokens_required"].clone();
    assert_eq!(required().await, true);
    let file = stage.dir().join("late.json");
    std::fs::write(&file, json!({"id": "late", "name": "Late", "redirect_uris": [REDIRECT], "danger_allow_bearer": true}).to_string()).unwrap();
    stage.command(&["client", "add", "--file", file.to_str().unwrap()]).unwrap();
    // What another process did is heard in a moment.
    let heard = async {
        while required().await != false {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(3), heard).await.unwrap();
}

#[tokio::test]
async fn x31_a_client_whose_document_is_gone_or_says_something_else_gets_no_tokens() {
    let stage = set("\"localhost\"").await;
    let scene = stage.scene().await;
    let here = place();
    let site = Site::open().await;
    let keyed = site.about(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [
        {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
    ]}}));
    site.shows(&site.about(json!({})));
    let phone = scene.phone("Ida", &here).await;
    let attempt = scene.open(&site.url, "openid", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    // What was read is remembered for minutes, but not over a restart.
    stage.restart().await;
    site.answers(404, &[("content-type", "application/json")], "{}");
    assert!(scene.tokens(&attempt, &redirect).await.is_err(), "a document that is gone");
    site.shows(&keyed);
    assert!(scene.tokens(&attempt, &redirect).await.is_err(), "it says that its client shows a key");
    assert_eq!(site.asked(), 3);
    stage.restart().await;
    site.shows(&site.about(json!({})));
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    assert!(scene.works(&attempt, &tokens).await, "nothing was used up");
    // Nobody is fetched here who never began, and one who did only as often as it may change.
    let other = Site::open().await;
    other.shows(&other.about(json!({})));
    let raw = scene.raw(&place());
    for _ in 0..3 {
        assert_eq!(bare(&raw, &other.url).await.code(), "invalid_client");
        assert_eq!(bare(&raw, &site.url).await.code(), "invalid_dpop_proof");
    }
    assert_eq!((other.asked(), site.asked()), (0, 4));
}

#[tokio::test]
async fn x31_documents_that_nobody_uses_keep_nobody_else_out() {
    let stage = set("\"localhost\", \"*.crowd.example\"").await;
    let scene = stage.scene().await;
    let here = place();
    let used = Site::open().await;
    used.shows(&used.about(json!({})));
    let phone = scene.phone("Ida", &here).await;
    let attempt = scene.open(&used.url, "openid", &here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let arrives = async || {
        let new = Site::open().await;
        new.shows(&new.about(json!({})));
        (begins(&scene.raw(&place()), &new.url).await, listed(&stage, &new.url).is_some())
    };
    // As many as there may be, all of them read and never used; then as many as one host may have.
    for names in [(0..1_000).map(|n| format!("https://h{n}.crowd.example/c")).collect::<Vec<_>>(), (0..100).map(|n| format!("http://localhost:1/{n}")).collect()] {
        scene.crowd(&used.url, &names).await;
        let full = scene.counts().await["client"];
        assert_eq!(arrives().await, (303, true));
        assert!(scene.counts().await["client"] < full, "it does not grow");
        assert!(scene.works(&attempt, &tokens).await, "who is used stays");
    }
    // Where all are in use nobody has to go, and the next one has to wait.
    scene.crowd_in_use().await;
    assert_eq!(arrives().await, (429, false));
    assert!(scene.works(&attempt, &tokens).await);
}
