//! Events go out by standard streams, and none is lost: T8.

use countersign_sim::stage::{Came, Ear, Mood, Receiver, Reply, Robot, STOCK, Scene, Settings, Stage, place};
use countersign_trust::shared::caep::EventType;
use countersign_wire::set::Set;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

async fn stage(endpoints: &[&str]) -> Stage {
    let more = Receiver::lines("siem", endpoints) + &Receiver::lines("other", endpoints);
    let stage = Stage::set(Settings { more, ..Settings::default() }).await;
    stage.enrol_administrator().await;
    stage
}

fn kind(set: &Set) -> &'static str {
    EventType::parse(&set.event).unwrap().name()
}

/// What came, by name of the SET: a second copy must be the same to the last byte.
fn each_once(came: &[Came]) -> BTreeMap<String, String> {
    let mut each: BTreeMap<String, String> = BTreeMap::new();
    for (header, text) in came {
        assert_eq!(header, "Bearer into-the-ear");
        let payload = countersign_wire::b64::decode(text.split('.').nth(1).unwrap()).unwrap();
        let jti = serde_json::from_slice::<Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned();
        assert_eq!(each.entry(jti).or_insert_with(|| text.clone()), text, "one name, two SETs");
    }
    each
}

async fn sign_in_and_out(scene: &Scene<'_>, name: &str) -> String {
    let here = place();
    let phone = scene.phone(name, &here).await;
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
    let sessions = phone.overview().await.unwrap().sessions;
    let session = sessions[0].id.clone();
    phone.end_all().await.unwrap();
    session
}

#[tokio::test]
async fn t8_a_receiver_hears_by_push_what_happens_although_both_fall_over() {
    let ear = Ear::open().await;
    let stage = stage(&[&ear.url]).await;
    let scene = stage.scene().await;
    let siem = Receiver::new(&stage, "siem", &place());
    let stream = siem.stream(Some(&ear.url)).await;
    let session = sign_in_and_out(&scene, "Horcht").await;
    // Enrolled, signed in, ended.
    let came = ear.until(3).await;
    let mut sets = Vec::new();
    for (_, text) in &came {
        sets.push(siem.read(text).await);
    }
    assert_eq!(sets.iter().map(kind).collect::<Vec<_>>(), ["credential-change", "session-established", "session-revoked"]);
    let (opened, ended) = (&sets[1], &sets[2]);
    assert_eq!(opened.subject, ended.subject);
    let subject = ended.subject.to_value();
    assert_eq!((&subject["format"], &subject["session"]), (&json!("complex"), &json!({"format": "opaque", "id": session})));
    assert_eq!(subject["user"]["iss"], json!(scene.raw("10.1.1.1").origin()));
    assert_eq!(opened.body["acr"], "urn:countersign:acr:xd2");
    assert_eq!((&ended.body["initiating_entity"], &ended.body["reason_admin"]["en"]), (&json!("user"), &json!("ended from one of the person's devices")));
    // The cause goes along: what the log has under it is this very session.
    let log = scene.log().await;
    assert!(log.iter().any(|l| l.body["kind"] == "session.ended" && l.body["txn"] == ended.txn.clone().unwrap() && l.body["session"] == session));
    // The receiver is out of order, more happens, the server is killed; then both are there again.
    ear.turn(Mood::Fails);
    let second = sign_in_and_out(&scene, "Fehlt").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    drop(scene);
    stage.kill();
    ear.turn(Mood::Takes);
    stage.restart().await;
    let came = ear.until(6).await;
    let each = each_once(&came);
    assert_eq!(each.len(), 6, "something was lost, or made up");
    let mut of_second = 0;
    for text in each.values() {
        of_second += usize::from(siem.read(text).await.subject.to_value()["session"]["id"] == second);
    }
    assert_eq!(of_second, 2);
    let scene = stage.scene().await;
    let kinds: BTreeSet<String> = scene.log().await.iter().map(|l| l.kind.clone()).collect();
    assert!(kinds.contains("stream.failed") && kinds.contains("stream.delivered"), "{kinds:?}");
    let status = siem.ask("GET", &format!("/ssf/status?stream_id={stream}"), None).await.json();
    assert_eq!(status, json!({"stream_id": stream, "status": "enabled"}));
}

#[tokio::test]
async fn t8_a_receiver_fetches_acknowledges_out_of_turn_and_loses_nothing() {
    let stage = stage(&[]).await;
    let scene = stage.scene().await;
    let siem = Receiver::new(&stage, "siem", &place());
    let stream = siem.stream(None).await;
    assert_eq!(siem.poll(&stream, json!({"returnImmediately": true})).await, json!({"sets": {}, "moreAvailable": false}));
    // A poll that waits hears at once what happens meanwhile.
    let waits = async { siem.poll(&stream, json!({})).await };
    let acts = sign_in_and_out(&scene, "Holt");
    let (first, _) = tokio::join!(waits, acts);
    assert!(!first["sets"].as_object().unwrap().is_empty());
    let fetch = async |body: Value| -> BTreeMap<String, String> {
        let sets = siem.poll(&stream, body).await["sets"].clone();
        serde_json::from_value(sets).unwrap()
    };
    let all = fetch(json!({"returnImmediately": true})).await;
    assert_eq!(all.len(), 3, "{:?}", all.keys());
    let mut by_kind = BTreeMap::new();
    for (jti, text) in &all {
        let set = siem.read(text).await;
        assert_eq!(set.jti, *jti);
        by_kind.insert(kind(&set), jti.clone());
    }
    // The last one alone is acknowledged: the others come again, after a crash as well, as they were.
    let rest = fetch(json!({"ack": [by_kind["session-revoked"]], "returnImmediately": true})).await;
    assert_eq!(rest.len(), 2);
    stage.restart().await;
    let again = fetch(json!({"returnImmediately": true})).await;
    assert_eq!(again, rest, "the same names and the same bytes");
    // Fewer at a time; what cannot be taken is said, recorded, and does not come again.
    let one = siem.poll(&stream, json!({"maxEvents": 1, "returnImmediately": true})).await;
    assert_eq!((one["sets"].as_object().unwrap().len(), &one["moreAvailable"]), (1, &json!(true)));
    let bad = by_kind["credential-change"].clone();
    let errs = json!({"maxEvents": 0, "setErrs": {bad: {"err": "invalid_request", "description": "odd"}}, "ack": [by_kind["session-established"], "a name nobody told"]});
    assert_eq!(siem.poll(&stream, errs).await, json!({"sets": {}}));
    assert!(fetch(json!({"returnImmediately": true})).await.is_empty());
    let scene = stage.scene().await;
    let refused: Vec<_> = scene.log().await.into_iter().filter(|l| l.kind == "stream.refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!((&refused[0].body["facts"]["err"], &refused[0].body["facts"]["event"]), (&json!("invalid_request"), &json!("credential-change")));
}

#[tokio::test]
async fn t8_a_stream_is_made_read_set_verified_and_deleted() {
    let ear = Ear::open().await;
    let stage = stage(&[&ear.url]).await;
    let scene = stage.scene().await;
    let siem = Receiver::new(&stage, "siem", &place());
    let raw = scene.raw(&place());
    let found = raw.send("GET", "/.well-known/ssf-configuration", &[], vec![]).await;
    let issuer = raw.origin();
    let says = found.json();
    assert_eq!((found.status, &says["issuer"], &says["spec_version"]), (200, &json!(issuer), &json!("1_0")));
    assert_eq!(says["authorization_schemes"], json!([{"spec_urn": "urn:ietf:rfc:6749"}]));
    let revoked = EventType::SessionRevoked.uri();
    let established = EventType::SessionEstablished.uri();
    // Made: with what it asked for, and what of that is delivered.
    let asked = json!({"events_requested": [revoked, "urn:example:unknown"], "description": "The watch"});
    let made = siem.ask("POST", "/ssf/streams", Some(&asked)).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let id = made["stream_id"].as_str().unwrap().to_owned();
    assert_eq!((&made["iss"], &made["aud"]), (&json!(issuer), &json!("https://siem.example")));
    assert_eq!((&made["events_requested"], &made["events_delivered"]), (&json!([revoked, "urn:example:unknown"]), &json!([revoked])));
    assert_eq!(made["delivery"], json!({"method": "urn:ietf:rfc:8936", "endpoint_url": format!("{issuer}/ssf/poll/{id}")}));
    assert_eq!(made["events_supported"].as_array().unwrap().len(), 8);
    // Read: one, all.
    assert_eq!(siem.ask("GET", &format!("/ssf/streams?stream_id={id}"), None).await.json(), made);
    assert_eq!(siem.ask("GET", "/ssf/streams", None).await.json(), json!([made]));
    // Updated: what is not named stays. Replaced: what is not named goes. What is ours must be said as it is.
    let new = siem.ask("PATCH", "/ssf/streams", Some(&json!({"stream_id": id, "events_requested": [revoked, established], "aud": "https://siem.example"}))).await.json();
    assert_eq!((&new["events_delivered"], &new["description"]), (&json!([revoked, established]), &json!("The watch")));
    for wrong in [json!({"stream_id": id, "aud": "https://other.example"}), json!({"stream_id": id, "events_delivered": []}), json!({"stream_id": id, "iss": "x"}), json!({"description": "no name"})] {
        assert_eq!(siem.ask("PATCH", "/ssf/streams", Some(&wrong)).await.status, 400, "{wrong}");
    }
    let push = json!({"method": "urn:ietf:rfc:8935", "endpoint_url": ear.url, "authorization_header": "Bearer into-the-ear"});
    let new = siem.ask("PUT", "/ssf/streams", Some(&json!({"stream_id": id, "delivery": push, "events_requested": [revoked]}))).await.json();
    assert_eq!(new["delivery"], json!({"method": "urn:ietf:rfc:8935", "endpoint_url": ear.url}), "the header is told to nobody");
    assert!(new.get("description").is_none());
    // Verified: the state comes back, about the stream itself; not twice in a moment.
    let ask = json!({"stream_id": id, "state": "VGhpcyBpcw"});
    assert_eq!(siem.ask("POST", "/ssf/verification", Some(&ask)).await.status, 204);
    let set = siem.read(&ear.until(1).await[0].1).await;
    assert_eq!((kind(&set), &set.body["state"]), ("verification", &json!("VGhpcyBpcw")));
    assert_eq!(set.subject.to_value(), json!({"format": "opaque", "id": id}));
    assert_eq!(siem.ask("POST", "/ssf/verification", Some(&ask)).await.status, 429);
    // Paused: held. Enabled: told. Disabled: never told.
    let set_to = async |status: &str| siem.ask("POST", "/ssf/status", Some(&json!({"stream_id": id, "status": status, "reason": "maintenance"}))).await;
    assert_eq!(set_to("paused").await.json(), json!({"stream_id": id, "status": "paused", "reason": "maintenance"}));
    let held = sign_in_and_out(&scene, "Wartet").await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(ear.came().len(), 1);
    assert_eq!(set_to("enabled").await.status, 200);
    let set = siem.read(&ear.until(2).await[1].1).await;
    assert_eq!((kind(&set), &set.subject.to_value()["session"]["id"]), ("session-revoked", &json!(held)));
    set_to("disabled").await;
    sign_in_and_out(&scene, "Verfaellt").await;
    set_to("enabled").await;
    // Somebody is taken out of it, and put back.
    let here = place();
    let phone = scene.phone("Still", &here).await;
    scene.sign_in(&phone, &scene.open_till(&here).await).await;
    let of = |name: &str| json!({"stream_id": id, "subject": {"format": "iss_sub", "iss": issuer, "sub": name}});
    let session = phone.overview().await.unwrap().sessions[0].id.clone();
    let person = scene.log().await.iter().find(|l| l.body["session"] == session).unwrap().body["person"].as_str().unwrap().to_owned();
    assert_eq!(siem.ask("POST", "/ssf/subjects/remove", Some(&of(&person))).await.status, 204);
    assert_eq!(siem.ask("POST", "/ssf/subjects/remove", Some(&of("nobody at all"))).await.status, 204, "alike for whom we do not know");
    phone.end_all().await.unwrap();
    let other = sign_in_and_out(&scene, "Hoerbar").await;
    let set = siem.read(&ear.until(3).await[2].1).await;
    assert_eq!(set.subject.to_value()["session"]["id"], json!(other));
    assert_eq!(siem.ask("POST", "/ssf/subjects/add", Some(&of(&person))).await.status, 200);
    // Deleted: gone for everybody.
    assert_eq!(siem.ask("DELETE", &format!("/ssf/streams?stream_id={id}"), None).await.status, 204);
    assert_eq!(siem.ask("DELETE", &format!("/ssf/streams?stream_id={id}"), None).await.status, 404);
    assert_eq!(siem.ask("GET", "/ssf/streams", None).await.json(), json!([]));
    // As many as it may have.
    for _ in 0..4 {
        siem.stream(None).await;
    }
    assert_eq!(siem.ask("POST", "/ssf/streams", Some(&json!({}))).await.status, 409);
    assert!(scene.log().await.iter().any(|l| l.kind == "stream.changed" && l.body["facts"]["what"] == "deleted"));
}

const FEED: &str = "[[signals.receivers]]\nid = \"feed\"\naudience = \"https://feed.example\"\n";

#[tokio::test]
async fn t8_a_receiver_shows_who_it_is_by_client_credentials() {
    let stage = Stage::set(Settings { more: FEED.to_owned(), ..Settings::default() }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let raw = scene.raw(&place());
    let issuer = raw.origin();
    let may = json!({"audiences": [issuer, STOCK], "scopes": ["ssf.read", "ssf.manage"], "privileged_scopes": [], "danger_allow_bearer": true});
    let (feed, other) = (Robot::named("feed"), Robot::named("no-receiver"));
    for robot in [&feed, &other] {
        robot.register(&stage, "admin", may.clone()).unwrap();
    }
    let given = |reply: Reply| {
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    };
    let bare = async |robot: &Robot, scope: &str, to: &str| given(robot.ask_bare(&raw, &[("scope", scope), ("resource", to)]).await);
    let ask = async |method: &str, path: &str, shown: String, proof: Option<String>, body: Option<Value>| {
        let mut headers = vec![("authorization", shown)];
        headers.extend(proof.map(|proof| ("dpop", proof)));
        headers.extend(body.is_some().then(|| ("content-type", "application/json".to_owned())));
        raw.send(method, path, &headers, body.map(|b| b.to_string().into_bytes()).unwrap_or_default()).await
    };
    let (read, manage) = (bare(&feed, "ssf.read", &issuer).await, bare(&feed, "ssf.manage", &issuer).await);
    let made = ask("POST", "/ssf/streams", format!("Bearer {manage}"), None, Some(json!({}))).await;
    assert_eq!((made.status, &made.json()["aud"]), (201, &json!("https://feed.example")));
    let stream = made.json()["stream_id"].as_str().unwrap().to_owned();
    // To read is one thing, to set and to take another.
    for token in [&read, &manage] {
        let reply = ask("GET", "/ssf/streams", format!("Bearer {token}"), None, None).await;
        assert_eq!((reply.status, reply.json().as_array().unwrap().len()), (200, 1));
    }
    let poll = format!("/ssf/poll/{stream}");
    for (method, path, body) in [("POST", "/ssf/streams", json!({})), ("POST", poll.as_str(), json!({"returnImmediately": true}))] {
        let reply = ask(method, path, format!("Bearer {read}"), None, Some(body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "insufficient_scope"), "{path}");
        assert!(reply.headers["www-authenticate"].to_str().unwrap().contains("ssf.manage"));
    }
    assert_eq!(ask("POST", &poll, format!("Bearer {manage}"), None, Some(json!({"returnImmediately": true}))).await.status, 200);
    // A token that is bound counts with a fresh proof by its key, once, and in no other way.
    let bound = given(feed.ask(&raw, &[("scope", "ssf.manage"), ("resource", &issuer)]).await);
    let proof = |key: &countersign_device::SoftwareKey, token: &str, nonce: Option<&str>| {
        raw.proof(key, "GET", "/ssf/streams", b"", |c| {
            (c.bd, c.nonce) = (None, nonce.map(str::to_owned));
            c.ath = Some(countersign_wire::b64::encode(&countersign_wire::mac::h(token.as_bytes())));
        })
    };
    // Its nonce is for its key, and only where the token counts.
    let anybodys = raw.nonce().await;
    let mut nonce = String::new();
    for stale in [None, Some(anybodys.as_str())] {
        let reply = ask("GET", "/ssf/streams", format!("DPoP {bound}"), Some(proof(&feed.dpop, &bound, stale)), None).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "use_dpop_nonce"));
        nonce = reply.headers["dpop-nonce"].to_str().unwrap().to_owned();
    }
    let proof = |key: &countersign_device::SoftwareKey, token: &str| proof(key, token, Some(&nonce));
    let good = proof(&feed.dpop, &bound);
    for (what, status, shown, proof) in [
        ("with its proof", 200, format!("DPoP {bound}"), Some(good.clone())),
        ("the same proof again", 401, format!("DPoP {bound}"), Some(good)),
        ("without", 401, format!("DPoP {bound}"), None),
        ("as a bearer", 401, format!("Bearer {bound}"), None),
        ("by another key", 401, format!("DPoP {bound}"), Some(proof(&other.dpop, &bound))),
        ("for another token", 401, format!("DPoP {bound}"), Some(proof(&feed.dpop, &manage))),
        ("a bearer token as bound", 401, format!("DPoP {manage}"), Some(proof(&feed.dpop, &manage))),
        ("for somebody else", 401, format!("Bearer {}", bare(&feed, "ssf.manage", STOCK).await), None),
        ("of no receiver", 401, format!("Bearer {}", bare(&other, "ssf.manage", &issuer).await), None),
    ] {
        assert_eq!(ask("GET", "/ssf/streams", shown, proof, None).await.status, status, "{what}");
    }
    // What ends, ends at once.
    stage.command(&["workload", "end", "feed"]).unwrap();
    assert_eq!(ask("GET", "/ssf/streams", format!("Bearer {manage}"), None, None).await.status, 401);
    let refused = scene.log().await.into_iter().filter(|l| l.kind == "step.refused" && l.body["facts"]["step"].as_str().is_some_and(|s| s.starts_with("stream.")));
    assert_eq!(refused.count(), 11);
}
