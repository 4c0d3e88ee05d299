//! Row 31, by a client's own name: what the server fetches because a stranger said so.

use countersign_sim::stage::{REDIRECT, Settings, Site, Stage, place};
use serde_json::json;

async fn set(hosts: &str) -> Stage {
    let stage = Stage::set(Settings { more: format!("[newcomers]\nhosts = [{hosts}]\n"), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
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
    let before = scene.counts().await;
    let port = site.url.split('/').nth(2).unwrap().split(':').nth(1).unwrap();
    for name in [
        "https://10.0.0.1/client.json", "https://169.254.169.254/latest/meta-data", "https://192.168.1.1/c", "https://100.100.100.200/c",
        "https://metadata.internal.invalid/c", "http://app.example/client.json", "ftp://localhost/c", "file:///etc/passwd",
        &format!("http://localhost:{port}"), &format!("http://localhost:{port}/"), &format!("http://localhost:{port}/a/../client.json"),
        &format!("http://LOCALHOST:{port}/client.json"), &format!("http://2130706433:{port}/client.json"),
    ] {
        assert_eq!(asks(name).await, 400, "{name}");
    }
    let asked = site.asked();
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
    let url = format!("/authorize?client_id={}&response_type=code&redirect_uri={REDIRECT}", site.url);
    assert_eq!((raw.send("GET", &url, &[], vec![]).await.status, site.asked()), (400, 0));
    // Nobody registers where there is no token to show.
    let headers = [("content-type", "application/json".to_owned()), ("authorization", "Bearer a".to_owned())];
    assert_eq!(raw.send("POST", "/register", &headers, site.about(json!({})).to_string().into_bytes()).await.status, 404);
}
