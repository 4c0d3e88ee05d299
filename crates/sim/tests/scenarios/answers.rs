//! T9: any enforcement point asks "still trusted for this?", and what else the decision point says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_sim::stage::{Raw, Reply, SECRET, Scene, Settings, Stage, place, until};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static STAGE: OnceLock<Stage> = OnceLock::new();

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A server with the records of the certification scenario.
fn stage() -> &'static Stage {
    Stage::shared(&STAGE, || Settings { more: format!("access_policies = \"{}\"\n", root().join("vectors/authzen").display()), ..Settings::default() })
}

fn basic(client: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{client}:{SECRET}")))
}

async fn ask_as(raw: &Raw, client: &str, at: &str, body: &Value) -> Reply {
    let headers = [("authorization", basic(client)), ("content-type", "application/json".to_owned()), ("x-request-id", "id-7/ä".to_owned())];
    let reply = raw.send("POST", &format!("/access/v1/{at}"), &headers, serde_json::to_vec(body).unwrap()).await;
    assert_eq!(reply.headers["x-request-id"].as_bytes(), "id-7/ä".as_bytes());
    reply
}

async fn ask(raw: &Raw, at: &str, body: &Value) -> Reply {
    ask_as(raw, "desk", at, body).await
}

async fn decided(raw: &Raw, subject: Value, action: &str, resource: Value) -> Value {
    let reply = ask(raw, "evaluation", &json!({"subject": subject, "action": {"name": action}, "resource": resource})).await;
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

fn names(results: &Value) -> Vec<&str> {
    results.as_array().unwrap().iter().map(|r| r["id"].as_str().or(r["name"].as_str()).unwrap()).collect()
}

#[tokio::test]
async fn the_certification_scenario_passes_with_every_field() {
    let raw = stage().raw(&place());
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(root().join("vectors/authzen.json")).unwrap()).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 50);
    for case in cases {
        let (at, what) = (case["at"].as_str().unwrap(), &case["what"]);
        let reply = ask(&raw, at, &case["body"]).await;
        let told = reply.json();
        assert_eq!(reply.status, case["status"].as_u64().map_or(200, |s| u16::try_from(s).unwrap()), "{what}: {told}");
        if let Some(decision) = case.get("decision") {
            assert_eq!(&told["decision"], decision, "{what}: {told}");
            assert!(told.get("context").is_none_or(Value::is_object), "{what}");
        }
        if let Some(decisions) = case.get("decisions") {
            let got: Vec<&Value> = told["evaluations"].as_array().unwrap().iter().map(|e| &e["decision"]).collect();
            assert_eq!(got, decisions.as_array().unwrap().iter().collect::<Vec<_>>(), "{what}: {told}");
            assert!(told.get("decision").is_none(), "{what}");
        }
        for name in case["includes"].as_array().into_iter().flatten() {
            assert!(names(&told["results"]).contains(&name.as_str().unwrap()), "{what}: {told}");
            assert!(told["page"]["next_token"].is_string(), "{what}: {told}");
        }
        if let Some(results) = case.get("results") {
            assert_eq!(&told["results"], results, "{what}: {told}");
        }
        if reply.status == 400 {
            assert_eq!(told["code"], "malformed");
            assert!(told["say"].as_str().is_some_and(|s| !s.is_empty()), "{what}: {told}");
        }
    }
    // Again and again, the same.
    for _ in 0..3 {
        assert_eq!(ask(&raw, "evaluation", &cases[3]["body"]).await.json(), ask(&raw, "evaluation", &cases[3]["body"]).await.json());
    }
    // Bodies that are no JSON, none at all, or called something else.
    for (kind, body) in [("application/json", "{\"subject\":"), ("application/json", ""), ("text/plain", "{}"), ("application/x-www-form-urlencoded", "a=b")] {
        let headers = [("authorization", basic("desk")), ("content-type", kind.to_owned())];
        assert_eq!(raw.send("POST", "/access/v1/evaluation", &headers, body.into()).await.status, 400, "{kind} {body}");
    }
}

#[tokio::test]
async fn the_published_scenario_decides_as_ours_does() {
    let raw = stage().raw(&place());
    let folder = std::env::var_os("COUNTERSIGN_FIXTURES").map(PathBuf::from);
    let folder = folder.or_else(|| root().ancestors().skip(1).map(|d| d.join("shared/fixtures")).find(|d| d.is_dir()));
    let Some(text) = folder.and_then(|f| std::fs::read_to_string(f.join("authzen/certification-fixture.json")).ok()) else {
        let _ = std::io::stderr().write_all(b"skipped: published data (AuthZEN certification scenario): set COUNTERSIGN_FIXTURES\n");
        return;
    };
    let published: Value = serde_json::from_str(&text).unwrap();
    let thing = |kind: &str, id: &Value, properties: &Value, otherwise: &str| {
        let mut all = json!({"type": kind, "id": id.as_str().unwrap_or(otherwise)});
        if properties.is_object() {
            all["properties"] = properties.clone();
        }
        all
    };
    let action = |case: &Value| {
        let mut all = json!({"name": case["action"]});
        if case["action_properties"].is_object() {
            all["properties"] = case["action_properties"].clone();
        }
        all
    };
    for case in published["decisions"].as_array().unwrap() {
        let subject = thing("user", &case["subject"], &case["subject_properties"], "bob");
        let resource = thing("record", &case["resource"], &case["resource_properties"], "record-2");
        let told = ask(&raw, "evaluation", &json!({"subject": subject, "action": action(case), "resource": resource})).await.json();
        assert_eq!(told["decision"], case["decision"], "{case}: {told}");
    }
    for case in published["searches_must_include"].as_array().unwrap() {
        let kind = case["search"].as_str().unwrap();
        let subject = if kind == "subject" { json!({"type": case["type"]}) } else { thing("user", &case["subject"], &case["subject_properties"], "") };
        let resource = if kind == "resource" { json!({"type": case["type"]}) } else { thing("record", &case["resource"], &case["resource_properties"], "") };
        let mut body = json!({"subject": subject, "resource": resource});
        if kind != "action" {
            body["action"] = action(case);
        }
        let told = ask(&raw, &format!("search/{kind}"), &body).await.json();
        for name in case["includes"].as_array().unwrap() {
            assert!(names(&told["results"]).contains(&name.as_str().unwrap()), "{case}: {told}");
        }
    }
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped_and_its_place_serves_it_alone() {
    let raw = stage().raw(&place());
    let mut body = json!({"subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record", "id": "record-1"}, "page": {"limit": 1}});
    let (mut found, mut pages) = (Vec::new(), 0);
    let first = ask(&raw, "search/subject", &body).await.json();
    let token = first["page"]["next_token"].clone();
    let mut told = first;
    loop {
        pages += 1;
        assert!(told["results"].as_array().unwrap().len() <= 1);
        found.extend(names(&told["results"]).into_iter().map(str::to_owned));
        if told["page"]["next_token"] == "" || pages > 500 {
            break;
        }
        body["page"]["token"] = told["page"]["next_token"].clone();
        told = ask(&raw, "search/subject", &body).await.json();
    }
    assert!(pages > 1 && found.starts_with(&["alice".to_owned(), "bob".to_owned()]), "{found:?}");
    // For another question, or another caller, it is worth nothing.
    body["page"]["token"] = token.clone();
    assert_eq!(ask(&raw, "search/subject", &body).await.status, 200);
    assert_eq!(ask_as(&raw, "other-desk", "search/subject", &body).await.status, 400);
    body["action"]["name"] = json!("write");
    assert_eq!(ask(&raw, "search/subject", &body).await.status, 400);
}

#[tokio::test]
async fn only_registered_callers_are_answered_and_only_about_their_types() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    let body = json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"}, "resource": {"type": "record", "id": "record-1"}});
    let bytes = serde_json::to_vec(&body).unwrap();
    let json = ("content-type", "application/json".to_owned());
    let none = raw.send("POST", "/access/v1/evaluation", std::slice::from_ref(&json), bytes.clone()).await;
    assert_eq!((none.status, none.code().as_str()), (401, "no_session"));
    assert!(none.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let wrong = format!("Basic {}", STANDARD.encode("desk:wrong"));
    let heard = raw.send("POST", "/access/v1/evaluation", &[json.clone(), ("authorization", wrong)], bytes.clone()).await;
    assert_eq!((heard.status, heard.code().as_str()), (401, "bad_proof"));
    scene.recorded(heard.json()["ref"].as_str().unwrap(), "bad_proof").await;
    for client in ["office", "narrow-desk"] {
        let heard = ask_as(&raw, client, "evaluation", &body).await;
        assert_eq!((heard.status, heard.code().as_str()), (403, "denied"), "{client}");
        scene.recorded(heard.json()["ref"].as_str().unwrap(), "denied").await;
    }
    let both = json!({"evaluations": [body, {"subject": {"type": "session", "id": "x"}, "action": {"name": "continue"}, "resource": {"type": "client", "id": "till"}}]});
    let told = ask_as(&raw, "narrow-desk", "evaluations", &both).await.json();
    assert_eq!(told["evaluations"][0]["context"]["error"]["status"], 403, "{told}");
    assert_eq!(told["evaluations"][1]["context"]["reason"], "gone", "{told}");
    let many = json!({"evaluations": vec![json!({}); 101]});
    assert_eq!(ask(&raw, "evaluations", &many).await.status, 400);
}

#[tokio::test]
async fn the_metadata_names_every_door_and_a_signed_copy_says_the_same() {
    let raw = stage().raw(&place());
    let reply = raw.send("GET", "/.well-known/authzen-configuration", &[], vec![]).await;
    let told = reply.json();
    assert_eq!(told["policy_decision_point"], raw.origin());
    for (name, path) in [
        ("access_evaluation_endpoint", "evaluation"), ("access_evaluations_endpoint", "evaluations"), ("search_subject_endpoint", "search/subject"),
        ("search_action_endpoint", "search/action"), ("search_resource_endpoint", "search/resource"),
    ] {
        assert_eq!(told[name], format!("{}/access/v1/{path}", raw.origin()));
    }
    let signed = told["signed_metadata"].as_str().unwrap();
    let jws = countersign_wire::jose::Jws::parse(signed).unwrap();
    let keys = raw.send("GET", "/jwks", &[], vec![]).await.json();
    let key = keys["keys"].as_array().unwrap().iter().find(|k| k["kid"].as_str() == jws.header_text("kid")).unwrap();
    let claims: Value = jws.verify(&countersign_wire::jose::Jwk::parse(key).unwrap()).unwrap().read().unwrap();
    assert_eq!(claims["iss"], raw.origin());
    assert_eq!(claims["search_action_endpoint"], told["search_action_endpoint"]);
}

/// A running session of the till, and its id as the token names it.
async fn session(scene: &Scene<'_>, phone: &countersign_device::Phone, here: &str) -> (String, String) {
    let attempt = scene.open_till(here).await;
    let redirect = scene.sign_in(phone, &attempt).await;
    let tokens = scene.tokens(&attempt, &redirect).await.unwrap();
    let part = tokens.access_token.split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&countersign_wire::b64::decode(&part).unwrap()).unwrap();
    (claims["sid"].as_str().unwrap().to_owned(), tokens.access_token)
}

#[tokio::test]
async fn t9_whoever_enforces_asks_whether_something_is_still_trusted() {
    let scene = stage().scene().await;
    let here = place();
    let raw = scene.raw(&here);
    let phone = scene.phone("Wache", &here).await;
    let (sid, token) = session(&scene, &phone, &here).await;
    let till = json!({"type": "client", "id": "till"});
    let device = phone.kept().device_id.to_string();
    let things = [("session", sid.as_str()), ("token", token.as_str()), ("device", device.as_str())];
    for (kind, id) in things {
        let told = decided(&raw, json!({"type": kind, "id": id}), "continue", till.clone()).await;
        assert_eq!((&told["decision"], &told["context"]["policies"]), (&json!(true), &json!(["still-trusted"])), "{kind}: {told}");
    }
    // For what it does not serve, for an unknown action, and with claims of the caller's own: no.
    assert_eq!(decided(&raw, json!({"type": "session", "id": sid}), "continue", json!({"type": "client", "id": "stock"})).await["decision"], false);
    assert_eq!(decided(&raw, json!({"type": "session", "id": sid}), "fly", till.clone()).await["context"]["reason"], "not_covered");
    let found = ask(&raw, "search/subject", &json!({"subject": {"type": "device"}, "action": {"name": "continue"}, "resource": till})).await.json();
    assert!(found["results"].is_array(), "{found}");
    // News about the phone: the next answer is no for it and for what it opened, and yes again when that is taken back.
    scene.stage.command(&["signal", "raise", "device.noncompliant", &device]).unwrap();
    for (kind, id) in things {
        let told = decided(&raw, json!({"type": kind, "id": id}), "continue", till.clone()).await;
        assert_eq!((&told["decision"], &told["context"]["reason"]), (&json!(false), &json!("locked")), "{kind}: {told}");
    }
    scene.stage.command(&["signal", "clear", "device.noncompliant", &device]).unwrap();
    for (kind, id) in things {
        assert_eq!(decided(&raw, json!({"type": kind, "id": id}), "continue", till.clone()).await["decision"], true, "{kind}");
    }
    // The phone ends everything it opened: the next answer is no, and says what to do.
    phone.end_all().await.unwrap();
    for (kind, id) in &things[..2] {
        let told = decided(&raw, json!({"type": kind, "id": id, "properties": {"live": {"state": "active"}}}), "continue", till.clone()).await;
        assert_eq!((&told["decision"], &told["context"]["reason"]), (&json!(false), &json!("gone")), "{kind}: {told}");
        assert_eq!(told["context"]["obligations"][0]["type"], "session_termination", "{told}");
    }
    assert_eq!(decided(&raw, json!({"type": "device", "id": device}), "continue", till.clone()).await["decision"], true, "the phone itself is as good as before");
    // What never was is answered alike.
    for (kind, id) in [("session", "00000000-0000-7000-8000-000000000000"), ("session", "x"), ("token", "a.b.c"), ("device", ""), ("user", "00000000-0000-7000-8000-000000000000")] {
        let told = decided(&raw, json!({"type": kind, "id": id}), "continue", till.clone()).await;
        assert_eq!((&told["decision"], &told["context"]["reason"]), (&json!(false), &json!("gone")), "{kind}: {told}");
    }
}

#[tokio::test]
async fn a_set_that_was_spoilt_leaves_the_old_one_in_force_and_a_good_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["records.cedarschema", "records.cedar", "records.json"] {
        std::fs::copy(root().join("vectors/authzen").join(name), dir.path().join(name)).unwrap();
    }
    let stage = Stage::set(Settings { more: format!("access_policies = \"{}\"\n", dir.path().display()), ..Settings::default() }).await;
    let raw = stage.raw(&place());
    let may = async || decided(&raw, json!({"type": "user", "id": "bob"}), "write", json!({"type": "record", "id": "record-1"})).await["decision"].clone();
    assert_eq!(may().await, false);
    let rule = "@id(\"more\") permit (principal == user::\"bob\", action == Action::\"write\", resource)";
    std::fs::write(dir.path().join("more.cedar"), format!("{rule} when {{ resource.nonsense }};")).unwrap();
    until("a word about the set", async || stage.said().contains("access policies").then_some(())).await;
    assert_eq!(may().await, false);
    std::fs::write(dir.path().join("more.cedar"), format!("{rule};")).unwrap();
    until("the new set", async || (may().await == true).then_some(())).await;
}

#[tokio::test]
async fn a_denial_that_can_be_asked_for_says_where_and_signs_what_was_denied() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["records.cedarschema", "records.cedar", "records.json"] {
        std::fs::copy(root().join("vectors/authzen").join(name), dir.path().join(name)).unwrap();
    }
    let rule = "@id(\"frozen\") @code(\"frozen\") @say(\"Ask the archive.\") @step_up(\"phr\") @notify(\"archive\") @duty(\"{\\\"action\\\":\\\"watermark\\\"}\")
        @request(\"archive\") @request_form(\"https://requests.example/archive\")
        forbid (principal, action == Action::\"write\", resource == record::\"record-2\");";
    std::fs::write(dir.path().join("more.cedar"), rule).unwrap();
    let stage = Stage::set(Settings { more: format!("access_policies = \"{}\"\n", dir.path().display()), ..Settings::default() }).await;
    let raw = stage.raw(&place());
    let told = decided(&raw, json!({"type": "user", "id": "bob", "properties": {"role": "admin"}}), "write", json!({"type": "record", "id": "record-2"})).await;
    let context = &told["context"];
    assert_eq!((&told["decision"], &context["reason"], &context["policies"]), (&json!(false), &json!("frozen"), &json!(["frozen"])));
    assert_eq!(context["reason_user"]["en"], "Ask the archive.");
    let kinds: Vec<&str> = context["obligations"].as_array().unwrap().iter().map(|o| o["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["custom", "step-up", "notification"]);
    assert!(context["obligations"].as_array().unwrap().iter().all(|o| o["id"].is_string()));
    let request = &context["access_request"];
    assert_eq!((&request["template"], &request["form_url"]), (&json!("archive"), &json!("https://requests.example/archive")));
    let until = countersign_wire::Time::parse_rfc3339(request["expires_at"].as_str().unwrap()).unwrap();
    let jws = countersign_wire::jose::Jws::parse(request["binding_token"].as_str().unwrap()).unwrap();
    let keys = raw.send("GET", "/jwks", &[], vec![]).await.json();
    let key = keys["keys"].as_array().unwrap().iter().find(|k| k["kid"].as_str() == jws.header_text("kid")).unwrap();
    let claims: Value = jws.verify(&countersign_wire::jose::Jwk::parse(key).unwrap()).unwrap().read().unwrap();
    assert_eq!((&claims["subject"]["id"], &claims["resource"]["id"], &claims["action"]["name"]), (&json!("bob"), &json!("record-2"), &json!("write")));
    assert_eq!((&claims["aud"], &claims["exp"]), (&json!("https://requests.example/archive"), &json!(until.seconds())));
    // Where it is allowed, none of this is said.
    let told = decided(&raw, json!({"type": "user", "id": "bob"}), "read", json!({"type": "record", "id": "record-2"})).await;
    assert_eq!(told, json!({"decision": true, "context": {"policies": ["all-read"]}}));
}
