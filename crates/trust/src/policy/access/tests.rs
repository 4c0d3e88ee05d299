use super::*;
use proptest::prelude::*;
use serde_json::json;

fn sources(schema: &str, policies: &str, entities: &str) -> Sources {
    let one = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    Sources { schemas: one("s", schema), policies: one("p", policies), entities: one("e", entities) }
}

fn records() -> AccessSet {
    let (schema, rules, things) = (
        include_str!("../../../../../vectors/authzen/records.cedarschema"),
        include_str!("../../../../../vectors/authzen/records.cedar"),
        include_str!("../../../../../vectors/authzen/records.json"),
    );
    AccessSet::compile(&sources(schema, rules, things)).unwrap()
}

/// A question in AuthZEN's JSON.
fn ask(set: &AccessSet, all: bool, q: Value) -> Verdict {
    let empty = Map::new();
    let map = |v: &Value| v.as_object().cloned().unwrap_or_default();
    let (sp, ap, rp) = (map(&q["subject"]["properties"]), map(&q["action"]["properties"]), map(&q["resource"]["properties"]));
    let text = |v: &'_ Value| v.as_str().unwrap().to_owned();
    let (sk, si) = (text(&q["subject"]["type"]), text(&q["subject"]["id"]));
    let (rk, ri) = (text(&q["resource"]["type"]), text(&q["resource"]["id"]));
    let context = map(&q["context"]);
    let live = q["subject"].get("live");
    let verdict = set.decide_among(
        &Ask {
            subject: Thing { kind: &sk, id: &si, properties: &sp, live },
            action: q["action"]["name"].as_str().unwrap(),
            action_properties: if ap.is_empty() { &empty } else { &ap },
            resource: Thing { kind: &rk, id: &ri, properties: &rp, live: None },
            context: &context,
        },
        all,
    );
    assert_eq!(verdict.allowed, verdict.reason.is_none(), "{verdict:?}");
    verdict
}

fn q(subject: Value, action: Value, resource: Value) -> Value {
    json!({"subject": subject, "action": action, "resource": resource})
}

#[test]
fn the_records_of_the_certification_scenario_are_decided_as_it_asks() {
    let set = records();
    let user = |id: &str| json!({"type": "user", "id": id});
    let record = |id: &str| json!({"type": "record", "id": id});
    for (who, what, which, expected) in [
        (user("alice"), json!({"name": "read"}), record("record-1"), true),
        (user("alice"), json!({"name": "write"}), record("record-1"), true),
        (user("bob"), json!({"name": "read"}), record("record-1"), true),
        (user("bob"), json!({"name": "write"}), record("record-1"), false),
        (user("alice"), json!({"name": "write"}), record("record-2"), false),
        (user("bob"), json!({"name": "write"}), record("record-2"), true),
        (user("alice"), json!({"name": "delete", "properties": {"soft": true}}), record("record-1"), true),
        (user("alice"), json!({"name": "delete", "properties": {"soft": false}}), record("record-1"), false),
    ] {
        let got = ask(&set, false, q(who.clone(), what.clone(), which.clone()));
        assert_eq!(got.allowed, expected, "{who} {what} {which}: {got:?}");
    }
    // A record that only the request describes.
    let new = json!({"type": "record", "id": "record-9", "properties": {"status": "active", "unknown": 1}});
    assert!(ask(&set, false, q(user("alice"), json!({"name": "write"}), new)).allowed);
}

#[test]
fn what_the_operator_wrote_down_counts_before_what_a_request_says() {
    let set = records();
    let lie = json!({"type": "record", "id": "record-2", "properties": {"status": "active"}});
    assert!(!ask(&set, false, q(json!({"type": "user", "id": "alice"}), json!({"name": "write"}), lie)).allowed);
    let lie = json!({"type": "user", "id": "alice", "properties": {"live": {"role": "administrator", "signals": []}}});
    assert!(ask(&set, false, q(lie, json!({"name": "read"}), json!({"type": "record", "id": "record-1"}))).allowed, "left out, not refused");
}

#[test]
fn whatever_is_not_declared_or_of_another_type_is_a_no_with_its_reason() {
    let set = records();
    let (alice, one) = (json!({"type": "user", "id": "alice"}), json!({"type": "record", "id": "record-1"}));
    for (question, reason) in [
        (q(json!({"type": "spaceship", "id": "x"}), json!({"name": "read"}), one.clone()), NOT_COVERED),
        (q(alice.clone(), json!({"name": "fly"}), one.clone()), NOT_COVERED),
        (q(one.clone(), json!({"name": "read"}), alice.clone()), NOT_COVERED),
        (q(alice.clone(), json!({"name": "read"}), json!({"type": "record", "id": "unheard-of"})), BAD_PROPERTY),
        (q(alice.clone(), json!({"name": "read"}), json!({"type": "record", "id": "new", "properties": {"status": 7}})), BAD_PROPERTY),
        (q(alice.clone(), json!({"name": "delete"}), one.clone()), BAD_PROPERTY),
        (q(json!({"type": "session", "id": "x"}), json!({"name": "continue"}), json!({"type": "client", "id": "till"})), BAD_PROPERTY),
    ] {
        assert_eq!(ask(&set, false, question.clone()).reason.as_deref(), Some(reason), "{question}");
    }
}

#[test]
fn a_bad_set_never_takes_effect() {
    let (schema, rules, things) = (
        include_str!("../../../../../vectors/authzen/records.cedarschema"),
        include_str!("../../../../../vectors/authzen/records.cedar"),
        include_str!("../../../../../vectors/authzen/records.json"),
    );
    let bad = |s: &str, p: &str, e: &str| AccessSet::compile(&sources(s, p, e)).err().unwrap().0;
    for more in [
        "permit (principal, action, resource);",
        "@id(\"x\") permit (principal, action == Action::\"read\", resource) when { resource.nonsense };",
        "@id(\"x\") permit (principal, action == Action::\"fly\", resource);",
        "@id(\"x\") permit (principal == ?principal, action, resource);",
        "@id(\"all-read\") permit (principal, action, resource);",
        "@id(\"still-trusted\") permit (principal, action, resource);",
        "@id(\"x\") @cod(\"y\") permit (principal, action, resource);",
        "@id(\"x\") @request_form(\"https://x\") permit (principal, action, resource);",
        "@id(\"x\") @duty(\"{\") permit (principal, action, resource);",
        "@id(\"x\") permit (principal",
    ] {
        bad(schema, &format!("{rules}{more}"), things);
    }
    for more in ["entity thing = { live: String };", "entity session = { live: Countersign::Person };", "entity user;", "namespace Countersign { type Person = {}; }", "entity"] {
        bad(&format!("{schema}{more}"), rules, things);
    }
    for more in [
        r#"[{"type": "record", "id": "x"}]"#,
        r#"[{"type": "record", "id": "x", "properties": {"status": 1}}]"#,
        r#"[{"type": "record", "id": "x", "properties": {"status": "", "colour": ""}}]"#,
        r#"[{"type": "user", "id": "x", "properties": {"live": {"role": "", "signals": []}}}]"#,
        r#"[{"type": "user", "id": "x", "parents": [{"type": "user", "id": "y"}]}]"#,
        r#"[{"type": "ship", "id": "x"}]"#,
        r#"[{"type": "user", "id": "x"}, {"type": "user", "id": "x"}]"#,
        r#"[{"type": "user", "id": "x", "colour": 1}]"#,
        "{}",
    ] {
        bad(schema, rules, more);
    }
    assert!(AccessSet::compile(&sources(schema, rules, things)).is_ok());
}

#[test]
fn groups_reach_up_and_a_circle_is_a_mistake() {
    let schema = "entity team in [team]; entity user in [team] = { boss?: user, grade?: Long };
        entity paper = { owner: user, stamp?: ipaddr };
        action edit; action amend in [edit] appliesTo { principal: user, resource: paper, context: { at?: datetime } };";
    let rules = "@id(\"teams\") permit (principal in team::\"all\", action in Action::\"edit\", resource);
        @id(\"grade\") @code(\"too_low\") @say(\"Ask your team.\") @notify(\"desk\") @step_up(\"phr\") @request(\"boss\") @request_form(\"https://x/y\")
        forbid (principal, action, resource is paper) when { resource.owner has boss && resource.owner.boss has grade && resource.owner.boss.grade > 3 };";
    let things = r#"[{"type":"team","id":"all"},{"type":"team","id":"sea","parents":[{"type":"team","id":"all"}]},
        {"type":"user","id":"ann","parents":[{"type":"team","id":"sea"}]},{"type":"user","id":"bo"},
        {"type":"user","id":"boss","properties":{"grade":4}},
        {"type":"user","id":"owner","properties":{"boss":{"type":"user","id":"boss"}}},
        {"type":"paper","id":"low","properties":{"owner":{"type":"user","id":"bo"}}},
        {"type":"paper","id":"high","properties":{"owner":{"type":"user","id":"owner"}}}]"#;
    let set = AccessSet::compile(&sources(schema, rules, things)).unwrap();
    let may = |who: &str, which: &str| ask(&set, false, q(json!({"type": "user", "id": who}), json!({"name": "amend"}), json!({"type": "paper", "id": which})));
    assert!(may("ann", "low").allowed);
    assert!(!may("bo", "low").allowed, "in no team");
    let no = may("ann", "high");
    assert_eq!((no.reason.as_deref(), no.say.as_deref()), (Some("too_low"), Some("Ask your team.")));
    assert_eq!(no.policies, ["grade"]);
    assert_eq!(no.duties.len(), 2);
    assert_eq!(no.request.unwrap().form_url.as_deref(), Some("https://x/y"));
    assert_eq!(set.names_after("user", "ann").collect::<Vec<_>>(), ["bo", "boss", "owner"]);
    assert_eq!(set.actions_between("user", "paper").collect::<Vec<_>>(), ["amend"]);
    let circle = r#"[{"type":"team","id":"a","parents":[{"type":"team","id":"b"}]},{"type":"team","id":"b","parents":[{"type":"team","id":"a"}]}]"#;
    assert!(AccessSet::compile(&sources(schema, rules, circle)).is_err());
}

#[test]
fn our_own_things_are_known_by_the_server_alone() {
    let set = AccessSet::shipped().unwrap();
    let live = json!({
        "person": "p", "device": "d", "clients": ["till"], "scopes": ["openid"], "acr": "a", "amr": ["swk"], "channel": "frame",
        "presence": "weak", "age_s": 1, "auth_age_s": 1, "signals": [],
    });
    let till = json!({"type": "client", "id": "till"});
    let session = json!({"type": "session", "id": "s", "live": live});
    assert!(ask(&set, false, q(session, json!({"name": "continue"}), till.clone())).allowed);
    let claimed = json!({"type": "session", "id": "s", "properties": {"live": live}});
    assert_eq!(ask(&set, false, q(claimed, json!({"name": "continue"}), till)).reason.as_deref(), Some(BAD_PROPERTY));
}

fn rule() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        Just("principal"), Just("principal is user"), Just("principal == user::\"a\""), Just("principal in team::\"t\""),
        Just("principal in team::\"top\""), Just("principal is user in team::\"t\""), Just("principal == user::\"b\""),
    ];
    let action = prop_oneof![
        Just("action"), Just("action == Action::\"read\""), Just("action in Action::\"any\""),
        Just("action in [Action::\"write\", Action::\"read\"]"), Just("action == Action::\"write\""),
    ];
    let resource = prop_oneof![
        Just("resource"), Just("resource is paper"), Just("resource == paper::\"x\""), Just("resource in shelf::\"s\""),
        Just("resource is paper in shelf::\"s\""), Just("resource == paper::\"y\""),
    ];
    let when = prop_oneof![Just(""), Just("when { principal == resource.owner }"), Just("unless { context.hot }")];
    (prop_oneof![Just("permit"), Just("forbid")], principal, action, resource, when)
        .prop_map(|(effect, p, a, r, w)| format!("{effect} ({p}, {a}, {r}) {w};\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    /// Selection may never change an answer: whatever the set, candidates and the full set agree.
    #[test]
    fn candidates_decide_as_the_full_set_does(rules in proptest::collection::vec(rule(), 1..14), hot in any::<bool>()) {
        let schema = "entity team in [team]; entity user in [team]; entity shelf; entity paper in [shelf] = { owner: user };
            action any; action read, write in [any] appliesTo { principal: user, resource: paper, context: { hot: Bool } };";
        let things = r#"[{"type":"team","id":"top"},{"type":"team","id":"t","parents":[{"type":"team","id":"top"}]},
            {"type":"user","id":"a","parents":[{"type":"team","id":"t"}]},{"type":"user","id":"b"},{"type":"shelf","id":"s"},
            {"type":"paper","id":"x","properties":{"owner":{"type":"user","id":"a"}},"parents":[{"type":"shelf","id":"s"}]},
            {"type":"paper","id":"y","properties":{"owner":{"type":"user","id":"b"}}}]"#;
        let text: String = rules.iter().enumerate().map(|(n, r)| format!("@id(\"r{n}\") {r}")).collect();
        // Strict validation refuses rules that can never be true.
        let Ok(set) = AccessSet::compile(&sources(schema, &text, things)) else { return Ok(()) };
        for who in ["a", "b", "c"] {
            for which in ["x", "y"] {
                for what in ["read", "write"] {
                    let mut question = q(json!({"type": "user", "id": who}), json!({"name": what}), json!({"type": "paper", "id": which}));
                    question["context"] = json!({"hot": hot});
                    prop_assert_eq!(ask(&set, false, question.clone()), ask(&set, true, question));
                }
            }
        }
    }
}
