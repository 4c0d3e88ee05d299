#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn near() -> Facts {
    Facts {
        person: "p".into(),
        client: "till".into(),
        purpose: Purpose::SignIn,
        channel: "frame",
        presence: Presence::Weak,
        far_allowed: false,
        bearer_allowed: false,
        device_state: "active",
        device_limited: false,
        device_key: "software",
        role: "member",
        details: Vec::new(),
        health: Health::default(),
        signals: BTreeSet::new(),
        reconfirm: None,
    }
}

fn word(v: &Value, among: &[&'static str]) -> &'static str {
    among.iter().find(|w| Some(**w) == v.as_str()).unwrap_or_else(|| panic!("unknown word {v}"))
}

#[test]
fn every_shipped_policy_does_what_its_tests_say_and_has_one() {
    let set = PolicySet::shipped().unwrap();
    let files = [include_str!("../../../../policies/tests/ceremony.json"), include_str!("../../../../policies/tests/trust.json")];
    let cases: Vec<Value> = files.iter().flat_map(|f| serde_json::from_str::<Vec<Value>>(f).unwrap()).collect();
    let mut named = std::collections::HashSet::new();
    for case in &cases {
        let mut facts = near();
        let mut scope = "";
        for (name, value) in case["facts"].as_object().unwrap() {
            match name.as_str() {
                "presence" => {
                    facts.presence = match value.as_str().unwrap() {
                        "unproven" => Presence::Unproven,
                        "weak" => Presence::Weak,
                        "medium" => Presence::Medium,
                        _ => Presence::Strong,
                    }
                }
                "far_allowed" => facts.far_allowed = value.as_bool().unwrap(),
                "bearer_allowed" => facts.bearer_allowed = value.as_bool().unwrap(),
                "device_limited" => facts.device_limited = value.as_bool().unwrap(),
                "channel" => facts.channel = word(value, &["frame", "pair", "user_code", "push", "passkey"]),
                "device_state" => facts.device_state = word(value, &["pending", "active", "lost"]),
                "purpose" => facts.purpose = serde_json::from_value(value.clone()).unwrap(),
                "details" => facts.details = serde_json::from_value(value.clone()).unwrap(),
                "signals" => {
                    let known = |s: &Value| signal::Kind::parse(s.as_str().unwrap()).map_or(RECONFIRM, |k| k.as_str());
                    facts.signals = value.as_array().unwrap().iter().map(known).collect();
                }
                "posture" => facts.health.answers = serde_json::from_value(value.clone()).unwrap(),
                "scope" => scope = value.as_str().unwrap(),
                other => panic!("unknown fact {other}"),
            }
        }
        let action = Action::ALL.into_iter().find(|a| a.as_str() == case["action"]).unwrap();
        let got = set.decide(action, &facts, scope);
        let word = if got.allowed { "allow" } else { got.refusal.code() };
        assert_eq!(word, case["expect"], "{}: {got:?}", case["name"]);
        let effect = got.effect.map_or("none", Effect::as_str);
        assert_eq!(effect, case.get("effect").and_then(Value::as_str).unwrap_or("none"), "{}: {got:?}", case["name"]);
        if let Some(by) = case.get("by").and_then(Value::as_str) {
            assert!(got.policies.iter().any(|p| p == by), "{}: {got:?}", case["name"]);
            named.insert(by.to_owned());
        } else if got.allowed {
            named.extend(got.policies);
        }
    }
    for id in DEFAULT.lines().filter_map(|l| l.strip_prefix("@id(\"")) {
        let id = id.trim_end_matches("\")");
        assert!(named.contains(id), "policy `{id}` has no test");
    }
}

#[test]
fn a_bad_set_never_takes_effect() {
    for bad in [
        "permit (principal, action, resource",
        "permit (principal, action, resource) when { context.nonsense == 1 };",
        "permit (principal, action == Action::\"nonsense\", resource);",
        "permit (principal == ?principal, action, resource);",
    ] {
        assert!(PolicySet::compile(bad).is_err(), "{bad}");
    }
}

#[test]
fn no_policy_means_no() {
    let none = PolicySet::compile("").unwrap();
    assert!(!none.decide(Action::Scan, &near(), "").allowed);
}

fn scopes() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        Just("principal".to_owned()),
        Just("principal is Person".to_owned()),
        Just("principal == Person::\"p\"".to_owned()),
        Just("principal == Person::\"q\"".to_owned()),
    ];
    let action = prop_oneof![
        Just("action".to_owned()),
        Just("action == Action::\"scan\"".to_owned()),
        Just("action == Action::\"issue\"".to_owned()),
        Just("action in [Action::\"scan\", Action::\"redeem\"]".to_owned()),
    ];
    let resource = prop_oneof![
        Just("resource".to_owned()),
        Just("resource is Client".to_owned()),
        Just("resource == Client::\"till\"".to_owned()),
        Just("resource == Client::\"other\"".to_owned()),
    ];
    let when = prop_oneof![
        Just(String::new()),
        Just("when { context.presence == \"weak\" }".to_owned()),
        Just("unless { context.device_limited }".to_owned()),
    ];
    (prop_oneof![Just("permit"), Just("forbid")], principal, action, resource, when)
        .prop_map(|(effect, p, a, r, w)| format!("{effect} ({p}, {a}, {r}) {w};\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Selection may never change an answer: whatever the set, candidates and the full set agree.
    #[test]
    fn candidates_decide_as_the_full_set_does(
        policies in proptest::collection::vec(scopes(), 1..12),
        limited in any::<bool>(),
        client in prop_oneof![Just("till"), Just("other"), Just("third")],
        person in prop_oneof![Just("p"), Just("q"), Just("r")],
    ) {
        let set = PolicySet::compile(&policies.concat()).unwrap();
        let facts = Facts { device_limited: limited, client: client.into(), person: person.into(), ..near() };
        for action in Action::ALL {
            let chosen = set.decide_among(action, &facts, "", false);
            let full = set.decide_among(action, &facts, "", true);
            prop_assert_eq!(chosen, full);
        }
    }
}
