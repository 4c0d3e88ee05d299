//! Security events: rows 31 and 32. Where we may be made to send them, and who may have them.

use countersign_sim::stage::{Ear, Line, Mood, Raw, Receiver, Settings, Stage, place, until};
use serde_json::{Value, json};

/// Places that the operator listed by mistake, or that lead elsewhere than they say.
const PLACES: [&str; 8] = [
    "https://169.254.169.254/latest/meta-data",
    "https://[fe80::1]/events",
    "https://[::ffff:169.254.169.254]/events",
    "https://100.100.100.200/events",
    "https://0.0.0.0/events",
    "https://10.0.0.7/events",
    "https://192.168.1.1/events",
    "https://[fd00::1]/events",
];

async fn stage(more: &[&str]) -> Stage {
    let places: Vec<&str> = PLACES.iter().chain(more).copied().collect();
    let more = Receiver::lines("siem", &places) + &Receiver::lines("other", &places);
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

fn push(to: &str) -> Value {
    json!({"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": to}})
}

#[tokio::test]
async fn x31_events_go_where_the_operator_said_and_nowhere_near_the_server() {
    let ear = Ear::open().await;
    let elsewhere = Ear::open().await;
    let below = ear.url.replace("/events", "/below/");
    let stage = stage(&[&ear.url, &below]).await;
    let scene = stage.scene().await;
    let siem = Receiver::new(&stage, "siem", &place());
    let registered = ear.url.as_str();
    let not_registered = [
        elsewhere.url.clone(),
        registered.replace("127.0.0.1", "localhost"),
        format!("{registered}/more"),
        format!("{registered}?x=1"),
        format!("{registered}#part"),
        registered.replace("http://", "http://user@"),
        format!("{below}../events2"),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        "https://siem.example/events".to_owned(),
        "not a URL".to_owned(),
    ];
    for bad in PLACES.iter().map(|p| (*p).to_owned()).chain(not_registered) {
        let reply = siem.ask("POST", "/ssf/streams", Some(&push(&bad))).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{bad}");
    }
    assert_eq!(siem.ask("GET", "/ssf/streams", None).await.json(), json!([]));
    // Nor by changing one that is good.
    let good = siem.stream(Some(registered)).await;
    for bad in PLACES {
        let mut body = push(bad);
        body["stream_id"] = json!(good);
        for method in ["PATCH", "PUT"] {
            assert_eq!(siem.ask(method, "/ssf/streams", Some(&body)).await.status, 400, "{method} {bad}");
        }
    }
    // A place that sends us on is not followed, and is tried again.
    ear.turn(Mood::Redirects(elsewhere.url.clone()));
    siem.ask("POST", "/ssf/verification", Some(&json!({"stream_id": good}))).await;
    let redirects = |l: &Line| l.kind == "stream.failed" && l.body["facts"]["because"] == "it redirects";
    until("the failure in the log", async || scene.log().await.into_iter().find(redirects)).await;
    ear.turn(Mood::Takes);
    ear.until(1).await;
    assert!(elsewhere.came().is_empty());
}

async fn with(raw: &Raw, method: &str, path: &str, authorization: &str, body: &Value) -> (u16, Vec<u8>) {
    let headers = [("authorization", authorization.to_owned()), ("content-type", "application/json".to_owned())];
    let reply = raw.send(method, path, &headers, body.to_string().into_bytes()).await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn x32_a_stream_is_its_receivers_alone() {
    let stage = stage(&[]).await;
    let scene = stage.scene().await;
    let (siem, other) = (Receiver::new(&stage, "siem", &place()), Receiver::new(&stage, "other", &place()));
    let stream = siem.stream(None).await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    // Somebody else's is answered as one that never was, to the last byte.
    let doors = |id: &str| {
        [
            ("GET", format!("/ssf/streams?stream_id={id}"), None),
            ("DELETE", format!("/ssf/streams?stream_id={id}"), None),
            ("GET", format!("/ssf/status?stream_id={id}"), None),
            ("PATCH", "/ssf/streams".to_owned(), Some(json!({"stream_id": id, "description": "mine now"}))),
            ("PUT", "/ssf/streams".to_owned(), Some(json!({"stream_id": id}))),
            ("POST", "/ssf/status".to_owned(), Some(json!({"stream_id": id, "status": "disabled"}))),
            ("POST", "/ssf/verification".to_owned(), Some(json!({"stream_id": id}))),
            ("POST", "/ssf/subjects/add".to_owned(), Some(json!({"stream_id": id, "subject": {"format": "opaque", "id": "1"}}))),
            ("POST", "/ssf/subjects/remove".to_owned(), Some(json!({"stream_id": id, "subject": {"format": "opaque", "id": "1"}}))),
            ("POST", format!("/ssf/poll/{id}"), Some(json!({"returnImmediately": true}))),
        ]
    };
    let before = siem.ask("GET", &format!("/ssf/streams?stream_id={stream}"), None).await.json();
    for (theirs, none) in doors(&stream).into_iter().zip(doors(nobody)) {
        let a = other.ask(theirs.0, &theirs.1, theirs.2.as_ref()).await;
        let b = other.ask(none.0, &none.1, none.2.as_ref()).await;
        assert_eq!((a.status, &a.body), (404, &b.body), "{} {}", theirs.0, theirs.1);
        let quiet = |r: &countersign_sim::stage::Reply| r.headers.iter().filter(|(n, _)| n.as_str() != "date").map(|(n, v)| (n.clone(), v.clone())).collect::<Vec<_>>();
        assert_eq!(quiet(&a), quiet(&b));
    }
    assert_eq!(siem.ask("GET", &format!("/ssf/streams?stream_id={stream}"), None).await.json(), before);
    // Whoever is nobody gets nothing: no token, another's secret, a token in the address, an ID token of ours.
    let raw = scene.raw(&place());
    let here = place();
    let phone = scene.phone("Fremdes", &here).await;
    let attempt = scene.open_till(&here).await;
    let redirect = scene.sign_in(&phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let shown = ["", "Bearer", "Bearer ", "Basic c2llbTphIHRva2Vu", "Bearer a token of siem", "DPoP a token of siem that is only for tests"];
    let ours = [format!("Bearer {}", tokens.access_token), format!("DPoP {}", tokens.access_token), format!("Bearer {}", tokens.id_token.clone().unwrap_or_default())];
    for (method, path, body) in doors(&stream) {
        for authorization in shown.iter().map(|s| (*s).to_owned()).chain(ours.iter().cloned()) {
            let (status, _) = with(&raw, method, &path, &authorization, body.as_ref().unwrap_or(&json!({}))).await;
            assert_eq!(status, 401, "{method} {path} {authorization}");
        }
    }
    let (status, _) = with(&raw, "GET", "/ssf/streams?access_token=a%20token%20of%20siem%20that%20is%20only%20for%20tests", "", &json!({})).await;
    assert_eq!(status, 401);
    // All of it is in the log.
    let refused = scene.log().await.into_iter().filter(|l| l.kind == "step.refused" && l.body["facts"]["step"].as_str().is_some_and(|s| s.starts_with("stream.")));
    assert!(refused.count() > 20);
}
