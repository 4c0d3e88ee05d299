//! Policy: Cedar, and the only module that knows Cedar.
//!
//! A [`PolicySet`] is compiled once; [`PolicySet::decide`] judges one action over one set of facts.
//! Only candidates are evaluated, chosen by action, resource and principal; an unscoped policy is
//! always a candidate, so no `forbid` is ever missed (a property test compares with the full set).

pub mod access;
mod select;

use crate::Refusal;
use crate::client::{Client, Far};
use crate::device::Device;
use crate::limits;
use crate::posture::{Confidence, Name};
use crate::presence::Presence;
use crate::principal::Person;
use crate::session::Session;
use crate::signal::{self, Signal};
use crate::standing::Effect;
use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, EntityId, EntityTypeName, EntityUid,
    ParseErrors, PolicyId, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use countersign_wire::statement::{Purpose, Rights};
use countersign_wire::{ClientId, Time, b64, mac};
use select::{Index, Known};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

/// The default rules, shipped with the program.
pub const DEFAULT: &str =
    concat!(include_str!("../../../../policies/ceremony.cedar"), "\n", include_str!("../../../../policies/trust.cedar"));
/// What rules may speak about.
pub const SCHEMA: &str = include_str!("../../../../policies/countersign.cedarschema");

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A device scans.
    Scan,
    /// A person approves.
    Approve,
    /// The terminal redeems.
    Redeem,
    /// A code or token is made in a running session.
    Issue,
    /// One privileged scope is opened.
    Unlock,
    /// A running session goes on: it is used, or something changed that it rests on.
    Continue,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 6] =
        [Action::Scan, Action::Approve, Action::Redeem, Action::Issue, Action::Unlock, Action::Continue];
    /// Name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Scan => "scan",
            Action::Approve => "approve",
            Action::Redeem => "redeem",
            Action::Issue => "issue",
            Action::Unlock => "unlock",
            Action::Continue => "continue",
        }
    }
}

/// What policies see.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Pseudonym of the person.
    pub person: String,
    /// Client id, or `countersign` for our own.
    pub client: String,
    /// What for.
    pub purpose: Purpose,
    /// `frame` `pair` `user_code` `push` `passkey`.
    pub channel: &'static str,
    /// Presence class.
    pub presence: Presence,
    /// Whether the client opted for far screens.
    pub far_allowed: bool,
    /// Whether its tokens may be unbound.
    pub bearer_allowed: bool,
    /// Life of the device.
    pub device_state: &'static str,
    /// Whether its rights are reduced.
    pub device_limited: bool,
    /// How its key is kept.
    pub device_key: &'static str,
    /// Role of the person.
    pub role: &'static str,
    /// Types of the authorization details that are asked for.
    pub details: Vec<String>,
    /// What is known of the device's health.
    pub health: Health,
    /// Live news about device, person and session.
    pub signals: BTreeSet<&'static str>,
    /// Since when a session must have been approved to go on without asking.
    pub reconfirm: Option<Time>,
}

impl Facts {
    /// Facts of one person, device and client.
    pub fn of(
        person: &Person,
        device: &Device,
        client: Option<&Client>,
        purpose: Purpose,
        channel: &'static str,
        presence: Presence,
        now: Time,
    ) -> Facts {
        Facts {
            person: person.id.to_string(),
            client: client.map_or_else(|| OWN.to_owned(), |c| c.id.to_string()),
            purpose,
            channel,
            presence,
            far_allowed: client.is_some_and(|c| c.far == Far::Unproven),
            bearer_allowed: client.is_some_and(|c| c.danger_allow_bearer),
            device_state: device.state.as_str(),
            device_limited: device.is_limited(now),
            device_key: device.key.as_str(),
            role: person.role.as_str(),
            details: Vec::new(),
            health: Health::of(device, now),
            signals: live(&device.signals, now).chain(live(&person.signals, now)).collect(),
            reconfirm: signal::reconfirm(device.signals.iter().chain(&person.signals), now),
        }
    }
    /// The same, in a running session.
    pub fn in_session(mut self, session: Option<&Session>, now: Time) -> Facts {
        let Some(session) = session else { return self };
        self.signals.extend(live(&session.signals, now));
        // What is over once its person approved anew says nothing about a session approved since.
        if self.reconfirm.is_some_and(|since| session.facts.auth_time < since) {
            self.signals.insert(RECONFIRM);
        }
        self
    }
    /// The same, for a request with details of these types.
    pub fn with_details(self, types: Vec<String>) -> Facts {
        Facts { details: types, ..self }
    }
}

/// In [`Facts::signals`] of a session that was approved before something that asks for a new approval.
pub const RECONFIRM: &str = "session.reconfirm";

/// Posture as policies see it: words and an age. Unknown is a word of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Operating system, empty where unknown.
    pub os: String,
    /// Its version.
    pub os_version: String,
    /// Version of the device program.
    pub program: String,
    /// `yes`, `no` or `unknown`, by name: see [`QUESTIONS`].
    pub answers: BTreeMap<String, String>,
    /// How well the best fact was shown, empty where there is none.
    pub confidence: String,
    /// Seconds since the device last spoke for itself; [`NEVER_S`] where it never did.
    pub age_s: i64,
}

/// Facts that are answered by yes, no or unknown.
pub const QUESTIONS: [Name; 8] = [
    Name::Managed,
    Name::Compliant,
    Name::DiskEncrypted,
    Name::ScreenLock,
    Name::SecureBoot,
    Name::Tpm,
    Name::Rooted,
    Name::AgentRunning,
];
/// Age of a posture that nobody ever reported, seconds: older than any rule would allow.
pub const NEVER_S: i64 = 1 << 40;

impl Health {
    /// Of a device at `now`.
    pub fn of(device: &Device, now: Time) -> Health {
        let p = &device.posture;
        let answers = QUESTIONS.iter().map(|n| (n.as_str().to_owned(), p.answer(*n).as_str().to_owned()));
        Health {
            os: p.text(Name::Os).to_owned(),
            os_version: p.text(Name::OsVersion).to_owned(),
            program: p.text(Name::Program).to_owned(),
            answers: answers.collect(),
            confidence: p.facts.iter().map(|f| f.confidence).max().map_or("", Confidence::as_str).to_owned(),
            age_s: device.seen_at.map_or(NEVER_S, |at| (now.seconds() - at.seconds()).max(0)),
        }
    }
}

fn live(signals: &[Signal], now: Time) -> impl Iterator<Item = &'static str> {
    signals.iter().filter(move |s| s.is_live(now)).map(|s| s.kind.as_str())
}

/// Name under which Countersign itself asks, for ceremonies without a client.
pub const OWN: &str = "countersign";

/// What policy says, with what it allows.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// Allowed, within rights.
    Allow(Allowed),
    /// Refused.
    Deny(Denied),
}

/// See [`Ruling::Allow`].
#[derive(Clone, Debug)]
pub struct Allowed {
    /// What may be unlocked at most.
    pub rights: Rights,
    /// Rules that decided.
    pub policies: Vec<String>,
    /// Privileged scopes that policy cut.
    pub cut: Vec<String>,
}

/// See [`Ruling::Deny`].
#[derive(Clone, Debug)]
pub struct Denied {
    /// Stable code.
    pub refusal: Refusal,
    /// Rules that decided.
    pub policies: Vec<String>,
    /// Sentence for the person.
    pub say: Option<String>,
    /// What it does to a running session, if a rule says so.
    pub effect: Option<Effect>,
}

impl Denied {
    /// A refusal without rules: a fact that policy is not asked about.
    pub fn of(refusal: Refusal) -> Denied {
        Denied { refusal, policies: Vec::new(), say: None, effect: None }
    }
}

/// One Cedar decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Allowed or not.
    pub allowed: bool,
    /// Ids of the rules that decided.
    pub policies: Vec<String>,
    /// Refusal code of the first forbid that carries one.
    pub refusal: Refusal,
    /// Its sentence.
    pub say: Option<String>,
    /// The strongest effect that the rules which decided have on a running session.
    pub effect: Option<Effect>,
}

/// A compiled, validated set of policies.
pub struct PolicySet {
    version: String,
    index: Index<Action>,
    authorizer: Authorizer,
    entities: Entities,
    notes: HashMap<PolicyId, Notes>,
    names: Names,
}

/// What a policy says of itself in annotations.
struct Notes {
    id: String,
    code: Option<Refusal>,
    say: Option<String>,
    effect: Option<Effect>,
}

/// Names that every request uses, parsed once.
struct Names {
    person: EntityTypeName,
    client: EntityTypeName,
    actions: HashMap<Action, EntityUid>,
}

impl Names {
    fn parse() -> Result<Names, Box<ParseErrors>> {
        let action = EntityTypeName::from_str("Action")?;
        let uid = |a: Action| EntityUid::from_type_name_and_id(action.clone(), EntityId::new(a.as_str()));
        Ok(Names {
            person: EntityTypeName::from_str("Person")?,
            client: EntityTypeName::from_str("Client")?,
            actions: Action::ALL.into_iter().map(|a| (a, uid(a))).collect(),
        })
    }
}

/// Why a set does not take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault(pub String);

impl std::fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for PolicyFault {}

impl PolicySet {
    /// Parses and validates strictly; a set with any fault never takes effect.
    pub fn compile(text: &str) -> Result<PolicySet, PolicyFault> {
        let fault = |what: &str, e: &dyn std::fmt::Display| PolicyFault(format!("{what}: {e}"));
        let (schema, _) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|e| fault("schema", &e))?;
        let set = cedar_policy::PolicySet::from_str(text).map_err(|e| fault("policies", &e))?;
        if set.templates().next().is_some() {
            return Err(PolicyFault("policies: templates are not supported".into()));
        }
        let checked = Validator::new(schema).validate(&set, ValidationMode::Strict);
        if let Some(error) = checked.validation_errors().next() {
            return Err(fault("policies", error));
        }
        let note = |policy: &cedar_policy::Policy, name: &str| policy.annotation(name).map(str::to_owned);
        let notes = set.policies().map(|p| {
            let notes = Notes {
                id: note(p, "id").unwrap_or_else(|| p.id().to_string()),
                code: note(p, "code").as_deref().and_then(Refusal::parse),
                say: note(p, "say"),
                effect: note(p, "effect").as_deref().and_then(Effect::parse),
            };
            (p.id().clone(), notes)
        });
        let names = Names::parse().map_err(|e| fault("names", &e))?;
        let known = names.actions.iter().map(|(a, uid)| Known { action: *a, names: vec![uid.clone()] });
        Ok(PolicySet {
            version: b64::encode(mac::h(text.as_bytes()).get(..12).unwrap_or_default()),
            notes: notes.collect(),
            index: Index::build(&set, &known.collect::<Vec<_>>())?,
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            names,
        })
    }

    /// Tells this set from every other: a digest of its text.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rules shipped with the program.
    pub fn shipped() -> Result<PolicySet, PolicyFault> {
        PolicySet::compile(DEFAULT)
    }

    /// Judges one action. Any fault of evaluation denies.
    pub fn decide(&self, action: Action, facts: &Facts, scope: &str) -> Decision {
        self.decide_among(action, facts, scope, false)
    }

    fn decide_among(&self, action: Action, facts: &Facts, scope: &str, all: bool) -> Decision {
        let closed = Decision {
            allowed: false,
            policies: Vec::new(),
            refusal: Refusal::Unavailable,
            say: None,
            effect: None,
        };
        let uid = |kind: &EntityTypeName, id: &str| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
        let Some(act) = self.names.actions.get(&action).cloned() else { return closed };
        let principal = uid(&self.names.person, &facts.person);
        let resource = uid(&self.names.client, &facts.client);
        let Some(context) = context(facts, scope) else { return closed };
        let (one, other) = (std::slice::from_ref(&principal), std::slice::from_ref(&resource));
        let chosen = self.index.candidates(action, one, other, all);
        let Ok(request) = Request::new(principal, act, resource, context, None) else {
            return closed;
        };
        let answer = self.authorizer.is_authorized(&request, &chosen, &self.entities);
        if answer.diagnostics().errors().next().is_some() {
            return closed;
        }
        let mut decision = Decision {
            allowed: answer.decision() == CedarDecision::Allow,
            policies: Vec::new(),
            refusal: Refusal::Denied,
            say: None,
            effect: None,
        };
        let mut decided: Vec<&Notes> = Vec::new();
        for notes in answer.diagnostics().reason().filter_map(|id| self.notes.get(id)) {
            decision.policies.push(notes.id.clone());
            if !decision.allowed {
                decided.push(notes);
            }
        }
        // The rule with the strongest effect speaks; among equals the first by name.
        decided.sort_by(|a, b| b.effect.cmp(&a.effect).then_with(|| a.id.cmp(&b.id)));
        if let Some(first) = decided.first() {
            decision.effect = first.effect;
            // Before there is a session, no is no.
            let runs = matches!(action, Action::Issue | Action::Continue);
            let by_effect = first.effect.filter(|_| runs).map_or(Refusal::Denied, Effect::refusal);
            decision.refusal = decided.iter().find_map(|n| n.code).unwrap_or(by_effect);
            decision.say = decided.iter().find_map(|n| n.say.clone());
        }
        decision.policies.sort();
        decision
    }

    /// Judges an action and, if allowed, which of the asked scopes stay and for how long.
    pub fn rule(&self, action: Action, facts: &Facts, client: Option<&Client>, scopes: &[String]) -> Ruling {
        let base = self.decide(action, facts, "");
        if !base.allowed {
            return Ruling::Deny(Denied {
                refusal: base.refusal,
                policies: base.policies,
                say: base.say,
                effect: base.effect,
            });
        }
        let mut policies = base.policies;
        let (mut kept, mut cut) = (Vec::new(), Vec::new());
        for scope in scopes {
            if client.is_some_and(|c| c.is_privileged(scope)) {
                let one = self.decide(Action::Unlock, facts, scope);
                policies.extend(one.policies);
                if !one.allowed {
                    cut.push(scope.clone());
                    continue;
                }
            }
            kept.push(scope.clone());
        }
        policies.sort();
        policies.dedup();
        let session_s = client.map_or(limits::UNKNOWN_SESSION_S, |c| c.session_s);
        let clients: Vec<ClientId> = client.map(|c| c.id.clone()).into_iter().collect();
        Ruling::Allow(Allowed {
            rights: Rights {
                scopes: kept,
                session_s: session_s.min(limits::UNKNOWN_SESSION_S),
                clients,
            },
            policies,
            cut,
        })
    }
}

fn context(facts: &Facts, scope: &str) -> Option<Context> {
    let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
    Context::from_pairs([
        ("purpose".to_owned(), text(facts.purpose.as_str())),
        ("channel".to_owned(), text(facts.channel)),
        ("presence".to_owned(), text(facts.presence.as_str())),
        ("terminal".to_owned(), text("unknown")),
        ("far_allowed".to_owned(), RestrictedExpression::new_bool(facts.far_allowed)),
        ("bearer_allowed".to_owned(), RestrictedExpression::new_bool(facts.bearer_allowed)),
        ("device_state".to_owned(), text(facts.device_state)),
        ("device_limited".to_owned(), RestrictedExpression::new_bool(facts.device_limited)),
        ("device_key".to_owned(), text(facts.device_key)),
        ("role".to_owned(), text(facts.role)),
        ("scope".to_owned(), text(scope)),
        ("details".to_owned(), RestrictedExpression::new_set(facts.details.iter().map(|d| text(d)))),
        ("signals".to_owned(), RestrictedExpression::new_set(facts.signals.iter().map(|s| text(s)))),
        ("posture".to_owned(), posture(&facts.health)?),
    ])
    .ok()
}

fn posture(health: &Health) -> Option<RestrictedExpression> {
    let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
    let answers = QUESTIONS.iter().map(|n| {
        let answer = health.answers.get(n.as_str()).map_or("unknown", String::as_str);
        (n.as_str().to_owned(), text(answer))
    });
    let rest = [
        ("os".to_owned(), text(&health.os)),
        ("os_version".to_owned(), text(&health.os_version)),
        ("program".to_owned(), text(&health.program)),
        ("confidence".to_owned(), text(&health.confidence)),
        ("age_s".to_owned(), RestrictedExpression::new_long(health.age_s)),
    ];
    RestrictedExpression::new_record(answers.chain(rest)).ok()
}

#[cfg(test)]
mod tests;
