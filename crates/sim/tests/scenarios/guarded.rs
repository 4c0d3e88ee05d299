//! T5, T9 and row 28 for an application in Rust: `guard` in front of its doors.

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use countersign_device::SoftwareKey;
use countersign_device::oidc::Tokens;
use countersign_guard::{Ask, Guard, Needs, Settings as Guarded, Visitor};
use countersign_sim::stage::{Attempt, Raw, Receiver, Reply, SECRET, Scene, Settings, Stage, place};
use countersign_wire::{b64, mac};
use std::time::{Duration, Instant};
use url::Url;

/// A server, and an application that keeps its doors by it.
struct House {
    stage: Stage,
    address: String,
    guard: Guard,
}

async fn house(change: impl FnOnce(&mut Guarded)) -> House {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://localhost:{}", socket.local_addr().unwrap().port());
    let hash = b64::encode(&mac::h(SECRET.as_bytes()));
    let clients = format!(
        "[[clients]]\nid = \"records\"\nname = \"Records\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\nscopes = [\"refund\"]\naudience = \"{address}\"\n\
         [[clients]]\nid = \"loose\"\nname = \"Loose\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\ndanger_allow_bearer = true\naudience = \"{address}\"\n\
         [[clients]]\nid = \"keeper\"\nname = \"Keeper\"\nredirect_uris = []\nauth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\nintrospects = [\"{address}\"]\n"
    );
    let events = format!("{address}/events");
    let stage = Stage::set(Settings { more: clients + &Receiver::lines("records", &[&events]), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let issuer = stage.issuer.origin().ascii_serialization();
    let mut settings = Guarded::new(&issuer, &address, &address, "keeper", SECRET);
    settings.danger_allow_http = true;
    settings.events_audience = Some("https://records.example".to_owned());
    change(&mut settings);
    let guard = Guard::new(settings).unwrap();
    let door = |path: &str, needs: Needs| {
        let tell = |Extension(who): Extension<Visitor>| async move { format!("{}|{}", who.subject, who.scopes.join(" ")) };
        Router::new().route(path, get(tell)).layer(guard.keep(needs))
    };
    // Where the server pushes its events (RFC 8935).
    let hearing = guard.clone();
    let hear = move |body: String| {
        let guard = hearing.clone();
        async move {
            match guard.hear(&body).await {
                Ok(_) => StatusCode::ACCEPTED,
                Err(why) if why.err().is_some() => StatusCode::BAD_REQUEST,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    let app = door("/all", Needs::nothing())
        .merge(door("/refunds", Needs::nothing().scope("refund")))
        .merge(door("/strong", Needs::nothing().acr("phr")))
        .merge(door("/fresh", Needs::nothing().max_age_s(-1)))
        .route("/events", post(hear));
    tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
    House { stage, address, guard }
}

/// A program with a token and its key.
struct Caller {
    raw: Raw,
    attempt: Attempt,
    tokens: Tokens,
}

impl Caller {
    async fn of(house: &House, scene: &Scene<'_>, phone: &countersign_device::Phone, here: &str) -> Caller {
        let attempt = scene.open("records", "openid", here).await;
        let redirect = scene.sign_in(phone, &attempt).await;
        let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
        let mut raw = scene.raw(here);
        raw.move_to(Url::parse(&house.address).unwrap());
        Caller { raw, attempt, tokens }
    }

    fn proof(&self, key: &SoftwareKey, path: &str, nonce: Option<String>) -> String {
        let ath = b64::encode(&mac::h(self.tokens.access_token.as_bytes()));
        self.raw.proof(key, "GET", path, b"", |c| (c.nonce, c.ath, c.bd) = (nonce, Some(ath), None))
    }

    async fn send(&self, scheme: &str, path: &str, proofs: &[String]) -> Reply {
        let mut headers = vec![("authorization", format!("{scheme} {}", self.tokens.access_token))];
        headers.extend(proofs.iter().map(|p| ("dpop", p.clone())));
        self.raw.send("GET", path, &headers, vec![]).await
    }

    async fn get(&self, path: &str, nonce: Option<String>) -> Reply {
        self.send("DPoP", path, &[self.proof(&self.attempt.terminal.key, path, nonce)]).await
    }

    /// The nonce that the guard gives.
    async fn nonce(&self) -> String {
        let heard = self.get("/all", None).await;
        assert!(heard.status == 401 && challenge(&heard).contains("use_dpop_nonce"), "{heard:?}");
        heard.headers["dpop-nonce"].to_str().unwrap().to_owned()
    }
}

fn challenge(reply: &Reply) -> String {
    reply.headers.get("www-authenticate").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn t5_a_stolen_token_is_worth_nothing_at_a_guarded_door_without_its_key() {
    let house = house(|_| ()).await;
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Tresor", &here).await;
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    let nonce = caller.nonce().await;
    let good = caller.proof(&caller.attempt.terminal.key, "/all", Some(nonce.clone()));
    let served = caller.send("DPoP", "/all", std::slice::from_ref(&good)).await;
    assert_eq!(served.status, 200, "{}", challenge(&served));
    assert!(String::from_utf8_lossy(&served.body).ends_with("|openid"));
    // Nothing shown, in another way, again, twice, by another key, for another door: each with its word, none with a nonce.
    let thief = SoftwareKey::generate().unwrap();
    let bare = caller.raw.send("GET", "/all", &[], vec![]).await;
    assert!(bare.status == 401 && !challenge(&bare).contains("error"), "{}", challenge(&bare));
    let own = |path: &str| caller.proof(&caller.attempt.terminal.key, path, Some(nonce.clone()));
    for (what, scheme, proofs, error) in [
        ("as bearer", "Bearer", vec![], "DPoP algs"),
        ("without a proof", "DPoP", vec![], "invalid_dpop_proof"),
        ("again", "DPoP", vec![good], "invalid_dpop_proof"),
        ("two proofs", "DPoP", vec![own("/all"), own("/all")], "invalid_dpop_proof"),
        ("for another door", "DPoP", vec![own("/refunds")], "invalid_dpop_proof"),
        ("another key with the nonce", "DPoP", vec![caller.proof(&thief, "/all", Some(nonce.clone()))], "invalid_token"),
        ("another key without", "DPoP", vec![caller.proof(&thief, "/all", None)], "invalid_token"),
        ("rubbish", "DPoP", vec!["a.b.c".to_owned()], "invalid_dpop_proof"),
    ] {
        let heard = caller.send(scheme, "/all", &proofs).await;
        assert!(heard.status == 401 && challenge(&heard).contains(error), "{what}: {} {}", heard.status, challenge(&heard));
        assert!(heard.headers.get("dpop-nonce").is_none(), "{what}: a nonce for who may not have it");
    }
    // A token for somebody else, and one that is bound to no key.
    for client in ["till", "loose"] {
        let attempt = scene.open(client, "openid", &here).await;
        let redirect = scene.sign_in(&phone, &attempt).await;
        let code = attempt.flow.code(&scene.discovery, &redirect).unwrap();
        let tokens = attempt.flow.exchange(&attempt.terminal.http, &scene.discovery, &attempt.terminal.key, &code).await.unwrap();
        let other = Caller { raw: caller.raw.clone(), attempt, tokens };
        for scheme in ["Bearer", "DPoP"] {
            let heard = other.send(scheme, "/all", &[other.proof(&other.attempt.terminal.key, "/all", Some(nonce.clone()))]).await;
            assert_eq!(heard.status, 401, "{client} as {scheme}");
        }
    }
}

#[tokio::test]
async fn a_guarded_door_says_what_is_missing_in_the_words_of_the_standards() {
    let house = house(|_| ()).await;
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Worte", &here).await;
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    let nonce = caller.nonce().await;
    let heard = caller.get("/refunds", Some(nonce.clone())).await;
    assert!(heard.status == 403 && challenge(&heard).contains("error=\"insufficient_scope\"") && challenge(&heard).contains("scope=\"refund\""), "{}", challenge(&heard));
    let heard = caller.get("/strong", Some(nonce.clone())).await;
    assert_eq!(heard.status, 401);
    assert!(challenge(&heard).contains("error=\"insufficient_user_authentication\"") && challenge(&heard).contains("acr_values=\"phr\""), "{}", challenge(&heard));
    let heard = caller.get("/fresh", Some(nonce)).await;
    assert!(heard.status == 401 && challenge(&heard).contains("max_age=-1"), "{}", challenge(&heard));
}

/// Asks until it is refused; how long that took since the end was accepted, and how many were let in meanwhile.
async fn until_refused(caller: &Caller, nonce: &str, since: Instant) -> (Duration, usize) {
    let mut let_in = 0;
    loop {
        let heard = caller.get("/all", Some(nonce.to_owned())).await;
        if heard.status != 200 {
            assert!(heard.status == 401 && challenge(&heard).contains("invalid_token"), "{} {}", heard.status, challenge(&heard));
            assert!(heard.headers.get("dpop-nonce").is_none(), "a nonce after the end");
            return (since.elapsed(), let_in);
        }
        let_in += 1;
        assert!(since.elapsed() < Duration::from_secs(50), "never refused");
    }
}

#[tokio::test]
async fn x28_what_ended_is_refused_at_the_next_request_of_a_guarded_door() {
    let house = house(|_| ()).await;
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Ende", &here).await;
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    let nonce = caller.nonce().await;
    for _ in 0..3 {
        assert_eq!(caller.get("/all", Some(nonce.clone())).await.status, 200);
    }
    phone.end_all().await.unwrap();
    let (took, let_in) = until_refused(&caller, &nonce, Instant::now()).await;
    println!("revocation accepted, refused after {} ms", took.as_millis());
    assert_eq!(let_in, 0, "a request was let in after the end was accepted");
    // A device that falls ends it as well, without anybody ending a session.
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    let nonce = caller.nonce().await;
    scene.stage.command(&["signal", "raise", "device.compromised", &phone.kept().device_id.to_string()]).unwrap();
    assert_eq!(until_refused(&caller, &nonce, Instant::now()).await.1, 0, "let in after its device fell");
}

#[tokio::test]
async fn a_guard_that_asks_with_nonces_gives_none_after_the_end_and_one_that_cannot_ask_is_closed() {
    let house = house(|s| s.ask = Ask::WithNonces).await;
    let scene = house.stage.scene().await;
    let here = place();
    let phone = scene.phone("Nonce", &here).await;
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    let nonce = caller.nonce().await;
    assert_eq!(caller.get("/all", Some(nonce.clone())).await.status, 200);
    phone.end_all().await.unwrap();
    // What the key has is good until it runs out, a minute at most; nothing new is given.
    let heard = caller.get("/all", None).await;
    assert!(heard.status == 401 && challenge(&heard).contains("invalid_token") && heard.headers.get("dpop-nonce").is_none(), "{heard:?}");
    // Whoever cannot be asked about is not let in.
    let phone = scene.phone("Dunkel", &here).await;
    let caller = Caller::of(&house, &scene, &phone, &here).await;
    house.stage.kill();
    let heard = caller.get("/all", None).await;
    assert_eq!(heard.status, 503, "{heard:?}");
    assert!(heard.headers.get("dpop-nonce").is_none());
    // What is no event of the server changes nothing.
    assert!(house.guard.hear("a.b.c").await.is_err());
}

#[tokio::test]
async fn x28_an_event_ends_what_it_is_about_before_anybody_asks() {
    let house = house(|s| s.ask = Ask::WithNonces).await;
    let scene = house.stage.scene().await;
    let here = place();
    let receiver = Receiver::new(&house.stage, "records", &place());
    receiver.stream(Some(&format!("{}/events", house.address))).await;
    let (phone, other) = (scene.phone("Ruf", &here).await, scene.phone("Bleibt", &here).await);
    let (caller, beside) = (Caller::of(&house, &scene, &phone, &here).await, Caller::of(&house, &scene, &other, &here).await);
    let (nonce, theirs) = (caller.nonce().await, beside.nonce().await);
    assert_eq!(caller.get("/all", Some(nonce.clone())).await.status, 200);
    phone.end_all().await.unwrap();
    // The nonce that the key has would be good for up to a minute; the event is here before.
    let (took, let_in) = until_refused(&caller, &nonce, Instant::now()).await;
    println!("revocation accepted, event taken, refused after {} ms; {let_in} let in meanwhile", took.as_millis());
    assert!(took < Duration::from_secs(50), "{took:?}");
    assert_eq!(beside.get("/all", Some(theirs)).await.status, 200, "somebody else's session fell with it");
}
