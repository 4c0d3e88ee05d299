//! What workloads are judged by. They share no action and no facts with people.

use super::{Action, Decision, Denied, Health, PolicySet, uid};
use crate::workload::Wish;
use cedar_policy::{Context, RestrictedExpression};
use countersign_wire::Time;
use std::collections::BTreeSet;

/// What policy says to a workload: all it asks for, or nothing.
#[derive(Clone, Debug)]
pub enum WorkloadRuling {
    /// Allowed.
    Allow {
        /// Rules that decided.
        policies: Vec<String>,
    },
    /// Refused.
    Deny(Denied),
}

impl PolicySet {
    /// Judges what a workload asks for, whole.
    pub fn rule_workload(&self, wish: &Wish<'_>, now: Time) -> WorkloadRuling {
        let Decision { allowed, policies, refusal, say, effect } = self.decide_workload(wish, now);
        match allowed {
            true => WorkloadRuling::Allow { policies },
            false => WorkloadRuling::Deny(Denied { refusal, policies, say, effect, judged: serde_json::Value::Null }),
        }
    }

    fn decide_workload(&self, wish: &Wish<'_>, now: Time) -> Decision {
        let (action, to) = match (&wish.call, &wish.behalf) {
            (Some(call), _) => (Action::Call, uid(&self.names.tool, call.tool)),
            (None, Some(_)) => (Action::Delegate, uid(&self.names.audience, wish.audience)),
            (None, None) => (Action::Mint, uid(&self.names.audience, wish.audience)),
        };
        let who = (uid(&self.names.workload, wish.workload.id.as_str()), to);
        self.judge(action, who, context(wish, now), false)
    }
}

fn context(wish: &Wish<'_>, now: Time) -> Option<Context> {
    let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
    let news = wish.owner.signals.iter().filter(|s| s.is_live(now)).map(|s| s.kind.as_str());
    let news: BTreeSet<&str> = news.collect();
    let mut all = vec![
        ("environment".to_owned(), text(&wish.workload.facts.environment)),
        ("bound".to_owned(), RestrictedExpression::new_bool(wish.bound)),
        ("scopes".to_owned(), RestrictedExpression::new_set(wish.scopes.iter().map(|s| text(s)))),
        ("privileged".to_owned(), RestrictedExpression::new_bool(wish.opens_privileged())),
        ("owner_signals".to_owned(), RestrictedExpression::new_set(news.into_iter().map(text))),
    ];
    // What is no agent runs nowhere that we know of, and no rule may take that for health.
    let health = wish.device.map_or_else(Health::default, |d| Health::of(d, now));
    let news = wish.device.into_iter().flat_map(|d| &d.signals).filter(|s| s.is_live(now)).map(|s| text(s.kind.as_str()));
    all.push(("agent".to_owned(), RestrictedExpression::new_bool(wish.workload.facts.agent.is_some())));
    all.push(("device_signals".to_owned(), RestrictedExpression::new_set(news)));
    all.push(("posture".to_owned(), health.record()?));
    if let Some(call) = &wish.call {
        all.push(("audience".to_owned(), text(wish.audience)));
        all.push(("arguments".to_owned(), RestrictedExpression::new_set(call.arguments.iter().map(|a| text(a)))));
        all.push(("ask".to_owned(), RestrictedExpression::new_bool(call.ask)));
        all.push(("approved".to_owned(), RestrictedExpression::new_bool(call.approved)));
        all.push(("acts_for".to_owned(), RestrictedExpression::new_bool(wish.behalf.is_some())));
    } else if let Some(behalf) = &wish.behalf {
        let own = *behalf.permit.person() == wish.owner.id;
        all.push(("own_person".to_owned(), RestrictedExpression::new_bool(own)));
        all.push(("depth".to_owned(), RestrictedExpression::new_long(i64::try_from(behalf.depth).ok()?)));
        all.push(("for".to_owned(), behalf.facts.record()?));
    }
    Context::from_pairs(all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::issuance::Permit;
    use crate::policy::{Facts, case};
    use crate::principal::{Person, PersonState, Role, Workload};
    use crate::signal::{Kind, Signal};
    use crate::workload::{Behalf, Call};
    use countersign_wire::{PersonId, WorkloadId};
    use serde_json::{Value, json};

    fn workload() -> Workload {
        let facts = json!({"name": "Sync", "environment": "production", "keys": [], "audiences": ["https://stock.example"],
            "scopes": ["read", "write"], "privileged_scopes": ["write"]});
        Workload {
            id: WorkloadId::new(Time(0), [7; 10]),
            version: 1,
            client: "sync".parse().unwrap(),
            owner: PersonId::new(Time(0), [8; 10]),
            until: Time(1),
            ended: None,
            added_at: Time(0),
            facts: serde_json::from_value(facts).unwrap(),
        }
    }

    /// What a case says of the device that an agent runs on, and of a call.
    #[derive(Default)]
    struct Run {
        device: Option<crate::device::Device>,
        call: Option<(Vec<String>, bool, bool)>,
    }

    fn run(facts: &Value) -> Run {
        let device = facts.get("device").map(|said| {
            let mut device = case::device(&PersonId::new(Time(0), [8; 10]), Time(0));
            device.seen_at = said["age_s"].as_i64().map(|age| Time(1).plus_s(-age));
            let kinds: Vec<String> = serde_json::from_value(said["signals"].clone()).unwrap_or_default();
            device.signals = kinds.iter().map(|k| Signal { kind: Kind::parse(k).unwrap(), source: "test".into(), at: Time(0), until: None }).collect();
            device
        });
        let flag = |name: &str| facts[name].as_bool().unwrap_or(false);
        let arguments = || serde_json::from_value(facts["arguments"].clone()).unwrap_or_default();
        Run { device, call: facts.get("tool").map(|_| (arguments(), flag("ask"), flag("approved"))) }
    }

    /// `of` is whom it acts for, and how many do.
    fn wished(set: &PolicySet, scopes: &[String], bound: bool, news: &[String], of: Option<(&Facts, usize)>) -> Decision {
        wished_by(set, scopes, bound, news, of, &Run::default())
    }

    fn wished_by(set: &PolicySet, scopes: &[String], bound: bool, news: &[String], of: Option<(&Facts, usize)>, by: &Run) -> Decision {
        let signal = |kind: &String| Signal { kind: Kind::parse(kind).unwrap(), source: "test".into(), at: Time(0), until: None };
        let mut workload = workload();
        workload.facts.agent = by.device.as_ref().map(|d| serde_json::from_value(json!({"device": d.id})).unwrap());
        let owner = Person {
            id: workload.owner.clone(),
            version: 1,
            state: PersonState::Active,
            role: Role::Member,
            signals: news.iter().map(signal).collect(),
        };
        let client: Client = serde_json::from_value(json!({"id": "till", "name": "Till", "redirect_uris": []})).unwrap();
        let permit = Permit::for_tests(workload.owner.clone());
        let device = by.device.as_ref();
        let call = by.call.as_ref().map(|(arguments, ask, approved)| Call { tool: "refund", arguments, ask: *ask, approved: *approved });
        let behalf = of.map(|(facts, depth)| Behalf { permit: &permit, facts, client: &client, depth });
        set.decide_workload(&Wish { workload: &workload, owner: &owner, audience: "https://stock.example", scopes, bound, behalf, device, call }, Time(1))
    }

    #[test]
    fn every_shipped_policy_for_workloads_does_what_its_tests_say_and_has_one() {
        let set = PolicySet::shipped().unwrap();
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../../../policies/tests/workload.json")).unwrap();
        let mut decided = BTreeSet::new();
        for case in &cases {
            let facts = &case["facts"];
            let list = |name: &str| serde_json::from_value::<Vec<String>>(facts[name].clone()).unwrap_or_default();
            let of: Option<Facts> = facts.get("for").map(|of| serde_json::from_value(of.clone()).unwrap());
            let depth = facts["depth"].as_u64().map_or(1, |n| usize::try_from(n).unwrap());
            let of = of.as_ref().map(|of| (of, depth));
            let got = wished_by(&set, &list("scopes"), facts["bound"].as_bool().unwrap_or(true), &list("owner_signals"), of, &run(facts));
            let word = if got.allowed { "allow" } else { got.refusal.code() };
            assert_eq!(word, case["expect"], "{}: {got:?}", case["name"]);
            assert!(case["by"].as_str().is_none_or(|by| got.policies.iter().any(|p| p == by)), "{}: {got:?}", case["name"]);
            decided.extend(got.policies);
        }
        assert_eq!(case::untested(include_str!("../../../../policies/workload.cedar"), &decided), Vec::<&str>::new());
    }

    #[test]
    fn a_rule_for_people_never_fires_for_a_workload_nor_the_reverse() {
        let person = PolicySet::compile("permit (principal is Person, action, resource);").unwrap();
        let scopes = ["read".to_owned()];
        assert!(person.decide(Action::Issue, &Facts::default(), "").allowed);
        assert!(!wished(&person, &scopes, true, &[], None).allowed);
        let of_workloads = PolicySet::compile("permit (principal is Workload, action, resource);").unwrap();
        assert!(wished(&of_workloads, &scopes, true, &[], None).allowed);
        assert!(Action::ALL.iter().all(|a| !of_workloads.decide(*a, &Facts::default(), "").allowed));
        // Nor does acting for somebody follow from acting for oneself.
        let mints = PolicySet::compile("permit (principal is Workload, action == Action::\"mint\", resource);").unwrap();
        assert!(!wished(&mints, &scopes, true, &[], Some((&Facts::default(), 1))).allowed);
        // A permit says whom it is for; a forbid may be for all.
        for bad in [
            "permit (principal, action, resource);",
            "@id(\"wide\") permit (principal, action in [Action::\"scan\", Action::\"mint\"], resource);",
        ] {
            assert!(PolicySet::compile(bad).err().unwrap().0.contains("without saying"), "{bad}");
        }
        assert!(PolicySet::compile("forbid (principal, action, resource);").is_ok());
    }
}
