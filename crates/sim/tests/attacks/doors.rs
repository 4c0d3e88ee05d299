//! Every door, pushed from outside: rows 26 and 29, and whatever is malformed.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::{Raw, Reply, Settings, Stage, place};
use serde_json::json;

/// Every path that takes a POST, with names that are well-formed but of nothing.
fn doors() -> Vec<&'static str> {
    vec![
        "/ceremonies",
        "/ceremonies/00000000-0000-7000-8000-000000000000/confirm",
        "/ceremonies/00000000-0000-7000-8000-000000000000/abandon",
        "/ceremonies/00000000-0000-7000-8000-000000000000/redeem",
        "/ceremonies/00000000-0000-7000-8000-000000000000/continue",
        "/sign-in/00000000-0000-7000-8000-000000000000/resume",
        "/sign-in/00000000-0000-7000-8000-000000000000/cancel",
        "/sign-in/00000000-0000-7000-8000-000000000000/passkey/options",
        "/sign-in/00000000-0000-7000-8000-000000000000/passkey",
        "/session/end",
        "/session/beat",
        "/session/bound",
        "/session/bound/refresh",
        "/operator/people/look",
        "/operator/people/recovery",
        "/operator/sessions/00000000-0000-7000-8000-000000000000/end",
        "/operator/devices/00000000-0000-7000-8000-000000000000/suspend",
        "/operator/devices/00000000-0000-7000-8000-000000000000/touched/end",
        "/device/scans",
        "/device/badges",
        "/device/push",
        "/device/push/end",
        "/device/unlock/options",
        "/device/unlock",
        "/device/lock",
        "/device/posture",
        "/device/evidence/tpm",
        "/device/ceremonies/00000000-0000-7000-8000-000000000000/take",
        "/device/ceremonies/00000000-0000-7000-8000-000000000000/confirm",
        "/device/ceremonies/00000000-0000-7000-8000-000000000000/decision",
        "/device/sessions/end",
        "/device/sessions/00000000-0000-7000-8000-000000000000/end",
        "/device/rights/00000000-0000-7000-8000-000000000000/end",
        "/device/devices/00000000-0000-7000-8000-000000000000/rename",
        "/device/devices/00000000-0000-7000-8000-000000000000/lost",
        "/device/devices/00000000-0000-7000-8000-000000000000/allow",
        "/device/devices/00000000-0000-7000-8000-000000000000/not-mine",
        "/device/devices/00000000-0000-7000-8000-000000000000/steal",
        "/device/notices/00000000-0000-7000-8000-000000000000/undo",
        "/device/notices/00000000-0000-7000-8000-000000000000/ok",
        "/device/invitations",
        "/enrolments/look",
        "/enrolments/begin",
        "/enrolments/finish",
        "/rebind/options",
        "/rebind/finish",
        "/terminals/look",
        "/terminals/register",
        "/terminals/report",
        "/terminals/glass",
        "/terminals/glass/end",
        "/recovery/code",
        "/recovery/standing",
        "/recovery/collect",
        "/recovery/cancel",
        "/device/recovery-codes/options",
        "/device/recovery-codes",
        "/device/user-code",
        "/par",
        "/register",
        "/device_authorization",
        "/bc-authorize",
        "/token",
        "/introspect",
        "/revoke",
        "/userinfo",
        "/access/v1/evaluation",
        "/access/v1/evaluations",
        "/access/v1/requests",
        "/access/v1/requests/00000000-0000-7000-8000-000000000000/cancel",
        "/access/v1/search/subject",
        "/access/v1/search/action",
        "/access/v1/search/resource",
        "/ssf/streams",
        "/ssf/status",
        "/ssf/subjects/add",
        "/ssf/subjects/remove",
        "/ssf/verification",
        "/ssf/poll/00000000-0000-7000-8000-000000000000",
        "/ssf/events/nobody",
        "/signals/nobody",
    ]
}

fn check(what: &str, door: &str, reply: Option<Reply>) {
    let Some(reply) = reply else { return };
    let text = String::from_utf8_lossy(&reply.body);
    assert!((400..500).contains(&reply.status), "{what} at {door}: {} {text}", reply.status);
    let kind = reply.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let spoken = !reply.code().is_empty() || kind.starts_with("text/html");
    let challenged = reply.headers.contains_key("www-authenticate");
    assert!(spoken || challenged, "{what} at {door}: {} without a code: `{text}` ({kind})", reply.status);
    assert!(reply.headers.get("access-control-allow-origin").is_none());
}

async fn send(raw: &Raw, key: Option<&SoftwareKey>, door: &str, kind: &str, body: Vec<u8>, nonce: &str) -> Option<Reply> {
    let mut headers = vec![
        ("content-type", kind.to_owned()),
        ("origin", raw.origin()),
        ("cookie", format!("__Host-cs_b={}; __Host-cs_s={}", "a".repeat(43), "b".repeat(43))),
        ("authorization", "Ceremony AAAA".to_owned()),
    ];
    if let Some(key) = key {
        headers.push(("dpop", raw.proof(key, "POST", door, &body, |c| c.nonce = Some(nonce.to_owned()))));
    }
    let long = body.len() > 64 * 1024;
    match raw.try_send("POST", door, &headers, body).await {
        Ok(reply) => Some(reply),
        // A door that reads no body may hang up while a long one is still coming.
        Err(fault) => {
            assert!(long, "{door}: {fault}");
            None
        }
    }
}

#[tokio::test]
async fn doors_refuse_whatever_is_malformed_and_change_nothing() {
    // A server of its own: rows are counted.
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Door keeper", &here).await;
    let attempt = scene.open_till(&here).await;
    let raw = scene.raw(&here);
    let before = (scene.counts().await, scene.log().await.len());
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes();
    let long = serde_json::to_vec(&json!({"flow": "x".repeat(70 * 1024)})).unwrap();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("not JSON", b"flow=1&digits=2".to_vec()),
        ("half JSON", b"{\"frames\":".to_vec()),
        ("another type", b"[]".to_vec()),
        ("a number", b"42".to_vec()),
        ("null", b"null".to_vec()),
        ("wrong types", br#"{"flow":1,"digits":[],"frames":{},"token":true,"approval":7,"name":{},"assertion":0}"#.to_vec()),
        ("unknown members", br#"{"unknown":1,"__proto__":{}}"#.to_vec()),
        ("invalid UTF-8", b"{\"digits\":\"\xff\xfe\"}".to_vec()),
        ("a lone surrogate", br#"{"digits":"\ud800"}"#.to_vec()),
        ("deep nesting", deep),
        ("70 KB", long),
    ];
    let stranger = SoftwareKey::generate().unwrap();
    let path_of = |door: &str| door.replace("/device/ceremonies/00000000-0000-7000-8000-000000000000", &format!("/device/ceremonies/{}", attempt.ceremony.cid));
    for door in doors() {
        let real = path_of(door);
        let nonce = raw.nonce().await;
        for (what, body) in &bodies {
            // Asking for a passkey challenge, for a badge, or how far one's own recovery is, takes nothing but a key.
            if body.is_empty() && ["/rebind/options", "/device/badges", "/recovery/standing", "/device/recovery-codes/options"].contains(&door) {
                continue;
            }
            for kind in ["application/json", "text/plain"] {
                check(what, door, send(&raw, None, door, kind, body.clone(), &nonce).await);
                check(what, door, send(&raw, Some(&stranger), door, kind, body.clone(), &nonce).await);
            }
            // An enrolled key: the proof is good, the rest is not. An empty body is fine where
            // there is nothing to say, and the names are of nothing.
            let empty_says_enough = body.is_empty() && ["/device/sessions/end", "/device/push/end"].contains(&door);
            if !empty_says_enough {
                check(what, &real, send(&raw, Some(&phone.key), &real, "application/json", body.clone(), &nonce).await);
            }
        }
        for garbage in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &"A".repeat(20_000)] {
            let headers = [("dpop", garbage.to_owned()), ("content-type", "application/json".to_owned())];
            check("a garbage proof", door, Some(raw.send("POST", door, &headers, b"{}".to_vec()).await));
        }
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            check(method, door, Some(raw.send(method, door, &[], vec![]).await));
        }
    }
    for path in ["/", "/nothing", "/ceremonies/x/y/z", "/assets/../Cargo.toml", "/assets/%2e%2e/secret", "/admin", "/%ff"] {
        for method in ["GET", "POST"] {
            check("nothing there", path, Some(raw.send(method, path, &[], vec![]).await));
        }
    }
    assert_eq!(scene.counts().await, before.0);
    for line in &scene.log().await[before.1..] {
        assert_eq!(line.kind, "step.refused", "{}", line.text);
        assert!(line.body["code"].is_string(), "{}", line.text);
    }
    assert_eq!(attempt.terminal.state(&attempt.ceremony, None).await.unwrap().state, "opened");
}

#[tokio::test]
async fn x26_a_proof_works_once_and_only_where_it_says() {
    let stage = Stage::set(Settings::default()).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let here = place();
    let phone = scene.phone("Prover", &here).await;
    let raw = scene.raw(&here);
    let path = format!("/device/devices/{}/rename", phone.kept().device_id);
    let body = br#"{"name":"Renamed"}"#.to_vec();
    let json = ("content-type", "application/json".to_owned());
    let call = async |proofs: &[String], path: &str, body: &[u8]| {
        let mut headers = vec![json.clone()];
        headers.extend(proofs.iter().map(|p| ("dpop", p.clone())));
        raw.send("POST", path, &headers, body.to_vec()).await
    };
    // Once.
    let nonce = raw.nonce().await;
    let good = raw.proof(&phone.key, "POST", &path, &body, |c| c.nonce = Some(nonce.clone()));
    assert_eq!(call(std::slice::from_ref(&good), &path, &body).await.status, 200);
    let again = call(std::slice::from_ref(&good), &path, &body).await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad_proof"));
    scene.recorded(again.json()["ref"].as_str().unwrap(), "bad_proof").await;
    // After a restart on the same files, still once.
    stage.restart().await;
    let again = call(std::slice::from_ref(&good), &path, &body).await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad_proof"));
    // Only for its own place, method, body; with a live nonce; alone; with a jti of sane length.
    let nonce = raw.nonce().await;
    type Spoil = Box<dyn Fn(&mut countersign_wire::dpop::ProofClaims)>;
    let other = raw.origin() + "/device/sessions/end";
    let spoils: Vec<(&str, &str, Spoil)> = vec![
        ("another path", "bad_proof", Box::new(move |c| c.htu.clone_from(&other))),
        ("another host", "bad_proof", Box::new(|c| c.htu = c.htu.replace("localhost", "evil.example"))),
        ("another port", "bad_proof", Box::new(|c| c.htu = c.htu.replacen("localhost:", "localhost:1", 1))),
        ("user info", "bad_proof", Box::new(|c| c.htu = c.htu.replace("localhost", "localhost@evil.example"))),
        ("dots in the path", "bad_proof", Box::new(|c| c.htu = c.htu.replace("/device/", "/x/../device/"))),
        ("another case of the path", "bad_proof", Box::new(|c| c.htu = c.htu.replace("/device/", "/Device/"))),
        ("another method", "bad_proof", Box::new(|c| c.htm = "GET".into())),
        ("a method in small letters", "bad_proof", Box::new(|c| c.htm = "post".into())),
        ("another body", "bad_proof", Box::new(|c| c.bd = Some("AAAA".into()))),
        ("no body digest", "bad_proof", Box::new(|c| c.bd = None)),
        ("no jti", "bad_proof", Box::new(|c| c.jti = String::new())),
        ("an endless jti", "bad_proof", Box::new(|c| c.jti = "j".repeat(129))),
        ("no nonce", "use_dpop_nonce", Box::new(|c| c.nonce = None)),
        ("a made-up nonce", "use_dpop_nonce", Box::new(|c| c.nonce = Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA".into()))),
    ];
    for (what, code, spoil) in &spoils {
        let proof = raw.proof(&phone.key, "POST", &path, &body, |c| {
            c.nonce = Some(nonce.clone());
            spoil(c);
        });
        let reply = call(&[proof], &path, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, *code), "{what}");
        if *code == "bad_proof" {
            scene.recorded(reply.json()["ref"].as_str().unwrap(), code).await;
        }
    }
    // Query and fragment do not count, nor does the case of the host (RFC 9449 §4.3).
    for change in [|htu: &str| format!("{htu}?x=1"), |htu: &str| htu.replace("localhost", "LocalHost")] {
        let proof = raw.proof(&phone.key, "POST", &path, &body, |c| {
            c.nonce = Some(nonce.clone());
            c.htu = change(&c.htu);
        });
        assert_eq!(call(&[proof], &path, &body).await.status, 200);
    }
    let fresh = || raw.proof(&phone.key, "POST", &path, &body, |c| c.nonce = Some(nonce.clone()));
    assert_eq!(call(&[fresh(), fresh()], &path, &body).await.code(), "bad_proof", "two proofs");
    let parts: Vec<String> = fresh().split('.').map(str::to_owned).collect();
    let none = countersign_wire::b64::encode(br#"{"typ":"dpop+jwt","alg":"none","jwk":{}}"#);
    assert_eq!(call(&[format!("{none}.{}.", parts[1])], &path, &body).await.code(), "bad_proof", "no signature");
    let stranger = SoftwareKey::generate().unwrap();
    let theirs = raw.proof(&stranger, "POST", &path, &body, |c| c.nonce = Some(nonce.clone()));
    assert_eq!(call(&[theirs], &path, &body).await.code(), "bad_proof", "a stranger's key");
}

/// Answers that no person gave are for conformance suites alone: no shipped program holds them, and no door leads there.
#[tokio::test]
async fn what_answers_in_place_of_people_is_in_no_program_that_is_shipped() {
    let server = countersign_sim::stage::program();
    for program in [server.clone(), server.with_file_name("countersign-device")] {
        let bytes = std::fs::read(&program).unwrap();
        for marker in ["test-endpoints", "countersign_approvals", "countersign-approvals"] {
            assert!(!bytes.windows(marker.len()).any(|w| w == marker.as_bytes()), "{}: {marker}", program.display());
        }
    }
    let manifest = |name: &str| std::fs::read_to_string(format!("{}/../{name}/Cargo.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for name in ["wire", "trust", "store", "server", "device", "guard"] {
        assert!(!manifest(name).contains("test-endpoints"), "{name}");
    }
    let own = manifest("sim");
    assert!(own.contains("test-endpoints = []") && !own.contains("default ="), "off unless asked for");
    assert!(own.contains("required-features = [\"test-endpoints\"]"));
    let scene = stage().scene().await;
    for method in ["GET", "POST"] {
        let reply = scene.raw(&place()).send(method, "/test-endpoints/answer?auth_req_id=a.b&action=allow", &[], vec![]).await;
        assert_eq!(reply.status, 404, "{method}");
    }
}

#[tokio::test]
async fn x29_there_is_no_weaker_way_in() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    // No door of the table speaks of passwords, codes by mail, or questions. The way back is no sign-in
    // (row A10): it ends in a device with reduced rights.
    let tables = concat!(include_str!("../../../server/src/http/mod.rs"), include_str!("../../../server/src/oidc/mod.rs"), include_str!("../../../server/src/authzen/mod.rs"), include_str!("../../../server/src/ssf/mod.rs"));
    let paths: Vec<&str> = tables.split(".route(").skip(1).filter_map(|t| t.split('"').nth(1)).collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in &paths {
        for word in ["password", "otp", "sms", "mail", "magic", "reset", "login", "question"] {
            assert!(!path.to_lowercase().contains(word), "{path}");
        }
    }
    for path in ["/login", "/password", "/register", "/forgot", "/admin"] {
        let reply = raw.send("POST", path, &[("content-type", "application/json".into())], b"{}".to_vec()).await;
        assert_eq!(reply.status, 404, "{path}");
    }
    // The token endpoint knows no grant that skips the person.
    for grant in ["password", "client_credentials", "implicit", "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba",
        "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange"] {
        let form = format!("grant_type={grant}&client_id=till&username=ana&password=ana&scope=openid");
        let kind = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        let reply = raw.send("POST", "/token", &kind, form.into_bytes()).await;
        assert!((400..500).contains(&reply.status), "{grant}");
        assert!(["unsupported_grant_type", "unauthorized_client"].contains(&reply.code().as_str()), "{grant}: {}", reply.code());
    }
    // A browser that says it can do nothing gets the same page as every other.
    let terminal = scene.terminal(&here);
    let (_, page) = scene.arrive(&terminal, "till", "openid").await;
    let cookie = terminal.http.jar().header(&scene.stage.issuer).unwrap();
    let mut seen = vec![];
    for agent in ["Mozilla/5.0 (X11) Firefox/150.0", "Mozilla/4.0 (compatible; MSIE 6.0)", "Lynx/2.8", ""] {
        let headers = [("cookie", cookie.clone()), ("user-agent", agent.to_owned())];
        let reply = raw.send("GET", &format!("/sign-in/{page}"), &headers, vec![]).await;
        assert_eq!(reply.status, 200);
        let text = String::from_utf8(reply.body).unwrap();
        for word in ["type=\"password\"", "autocomplete=\"current-password\"", "forgot", "Forgot", "username"] {
            assert!(!text.contains(word), "`{word}` on the sign-in page");
        }
        let nonce = text.split("data-nonce=\"").nth(1).and_then(|t| t.split('"').next()).unwrap_or_default().to_owned();
        seen.push(if nonce.is_empty() { text } else { text.replace(&nonce, "") });
    }
    assert!(seen.windows(2).all(|w| w[0] == w[1]), "the page depends on what a browser claims to be");
}
