use super::*;
use super::case::Case;
use super::facts::Answers;
use crate::posture::{Answer, Name};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn every_shipped_policy_does_what_its_tests_say_and_has_one() {
    let set = PolicySet::shipped().unwrap();
    let files = [include_str!("../../../../policies/tests/ceremony.json"), include_str!("../../../../policies/tests/trust.json")];
    let mut decided = BTreeSet::new();
    for case in files.iter().flat_map(|f| Case::read(f).unwrap()) {
        let by = case.try_on(&set).unwrap_or_else(|instead| panic!("{}: {instead}", case.name));
        // A rule is tested where it is named, or where it alone allows.
        decided.extend(if case.expect == "allow" { by } else { case.by.into_iter().collect() });
    }
    // Those for workloads are tested beside what they see.
    decided.extend(case::untested(include_str!("../../../../policies/workload.cedar"), &BTreeSet::new()).into_iter().map(str::to_owned));
    assert_eq!(case::untested(DEFAULT, &decided), Vec::<&str>::new());
}

#[test]
fn the_rules_for_each_place_do_what_their_tests_say_and_have_one() {
    for place in &PROFILES {
        let set = PolicySet::compile(&format!("{DEFAULT}\n{}", place.rules)).unwrap_or_else(|e| panic!("{}: {e}", place.name));
        let (mut decided, cases) = (BTreeSet::new(), Case::read(place.cases).unwrap());
        assert!(cases.iter().any(|c| c.expect == "allow"), "{}: nothing is allowed", place.name);
        for case in cases {
            case.try_on(&set).unwrap_or_else(|instead| panic!("{}: {}: {instead}", place.name, case.name));
            decided.extend(case.by);
        }
        assert_eq!(case::untested(place.rules, &decided), Vec::<&str>::new(), "{}", place.name);
        // A place is never laxer than the default: its rules only forbid.
        assert!(!place.rules.lines().any(|l| l.starts_with("permit")), "{}", place.name);
    }
}

#[test]
fn a_decision_that_was_written_down_is_asked_again_as_it_was() {
    let set = PolicySet::shipped().unwrap();
    let told = Facts { posture: Health { answers: Answers::default().with(Name::Managed, Answer::Yes), age_s: 7, ..Health::default() }, ..Facts::default() };
    let Ruling::Allow(allowed) = set.rule(Action::Scan, &told, None, &[]) else { panic!() };
    let judged: case::Judged = serde_json::from_value(allowed.judged).unwrap();
    assert_eq!(judged.facts, told);
    assert!(judged.again(&set).is_empty());
    let strict = format!("{DEFAULT} @id(\"strict\") forbid (principal is Person, action, resource) when {{ context.posture.age_s > 5 }};");
    let found = judged.again(&PolicySet::compile(&strict).unwrap());
    assert_eq!((found.len(), found[0].was, found[0].is.allowed), (1, true, false));
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
    assert!(!none.decide(Action::Scan, &Facts::default(), "").allowed);
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
    (prop_oneof![Just("permit"), Just("forbid")], principal, action, resource, when).prop_map(|(effect, p, a, r, w)| {
        // A permit for everybody does not compile, and what speaks of facts is about people.
        let p = if p == "principal" && (effect == "permit" || !w.is_empty()) { "principal is Person".to_owned() } else { p };
        format!("{effect} ({p}, {a}, {r}) {w};\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Selection may never change an answer: whatever the set, candidates and the full set agree.
    #[test]
    fn candidates_decide_as_the_full_set_does(
        policies in proptest::collection::vec(scopes(), 1..12),
        limited in any::<bool>(),
    ) {
        let set = PolicySet::compile(&policies.concat()).unwrap();
        for (client, person) in ["till", "other", "third"].into_iter().flat_map(|c| ["p", "q", "r"].map(|p| (c, p))) {
            let facts = Facts { device_limited: limited, client: client.into(), person: person.into(), ..Facts::default() };
            for action in Action::ALL {
                let full = set.decide_among(action, &facts, "", true);
                prop_assert_eq!(&set.decide_among(action, &facts, "", false), &full);
                // The same again, and as it is remembered from whoever asked before.
                prop_assert_eq!(&set.decide(action, &facts, ""), &full);
                prop_assert_eq!(&set.decide(action, &facts, ""), &full);
            }
        }
    }

    /// What is remembered of one question answers no other.
    #[test]
    fn a_decision_is_remembered_for_its_own_facts_alone(
        asked in proptest::collection::vec((any::<[bool; 3]>(), 0..3_i64, 0..3_usize, 0..2_usize), 2..12),
    ) {
        let text = "permit (principal is Person, action, resource);
            forbid (principal is Person, action == Action::\"scan\", resource) when { context.device_limited };
            forbid (principal is Person, action, resource) when { context.far_allowed && context.posture.age_s > 1 };
            forbid (principal is Person, action == Action::\"unlock\", resource) when { context.scope == \"refund\" && context.signals.contains(\"s1\") };
            forbid (principal is Person, action, resource) when { context.posture.managed == \"yes\" || context.signals.contains(\"s2\") };";
        let set = PolicySet::compile(text).unwrap();
        for ([limited, far, managed], age_s, signal, scope) in asked {
            let answer = if managed { Answer::Yes } else { Answer::No };
            let posture = Health { age_s, answers: Answers::default().with(Name::Managed, answer), ..Health::default() };
            let signals = BTreeSet::from([format!("s{signal}").into()]);
            let facts = Facts { device_limited: limited, far_allowed: far, posture, signals, ..Facts::default() };
            for action in [Action::Scan, Action::Unlock] {
                let scope = ["refund", ""][scope];
                prop_assert_eq!(set.decide(action, &facts, scope), set.decide_among(action, &facts, scope, true));
            }
        }
    }
}

#[test]
fn a_rule_may_rest_on_the_hour_and_the_log_keeps_it() {
    let rule = "@id(\"night\") @effect(\"limit\") forbid (principal is Person, action == Action::\"unlock\", resource) \
                when { context.hour >= 21 || context.hour < 4 };";
    let set = PolicySet::compile(&format!("{DEFAULT}\n{rule}")).unwrap();
    let at = |hour| Facts { hour, ..Facts::default() };
    for (hour, allowed) in [(3, false), (4, true), (12, true), (20, true), (21, false), (23, false)] {
        assert_eq!(set.decide(Action::Unlock, &at(hour), "refund").allowed, allowed, "{hour}");
        let kept = serde_json::to_value(at(hour)).unwrap();
        assert_eq!(serde_json::from_value::<Facts>(kept).unwrap().hour, hour);
    }
}
