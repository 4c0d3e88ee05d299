//! Policy: Cedar, and the only module that knows Cedar.
//!
//! A [`PolicySet`] is compiled once; [`PolicySet::decide`] judges one action over one set of facts.
//! Only candidates are evaluated, chosen by action, resource and principal; an unscoped policy is
//! always a candidate, so no `forbid` is ever missed (a property test compares with the full set).

mod select;

use crate::Refusal;
use crate::client::{Client, Far};
use crate::device::Device;
use crate::limits;
use crate::presence::Presence;
use crate::principal::Person;
use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, EntityId, EntityTypeName, EntityUid,
    ParseErrors, PolicyId, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use countersign_wire::statement::{Purpose, Rights};
use countersign_wire::{ClientId, Time};
use select::Index;
use std::collections::HashMap;
use std::str::FromStr;

/// The default rules, shipped with the program.
pub const DEFAULT: &str = include_str!("../../../../policies/ceremony.cedar");
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
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 5] =
        [Action::Scan, Action::Approve, Action::Redeem, Action::Issue, Action::Unlock];
    /// Name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Scan => "scan",
            Action::Approve => "approve",
            Action::Redeem => "redeem",
            Action::Issue => "issue",
            Action::Unlock => "unlock",
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
        }
    }
    /// The same, for a request with details of these types.
    pub fn with_details(self, types: Vec<String>) -> Facts {
        Facts { details: types, ..self }
    }
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
}

impl Denied {
    /// A refusal without rules: a fact that policy is not asked about.
    pub fn of(refusal: Refusal) -> Denied {
        Denied { refusal, policies: Vec::new(), say: None }
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
}

/// A compiled, validated set of policies.
pub struct PolicySet {
    index: Index,
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
            };
            (p.id().clone(), notes)
        });
        Ok(PolicySet {
            notes: notes.collect(),
            index: Index::build(&set)?,
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            names: Names::parse().map_err(|e| fault("names", &e))?,
        })
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
        };
        let uid = |kind: &EntityTypeName, id: &str| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
        let Some(act) = self.names.actions.get(&action).cloned() else { return closed };
        let principal = uid(&self.names.person, &facts.person);
        let resource = uid(&self.names.client, &facts.client);
        let Some(context) = context(facts, scope) else { return closed };
        let chosen = self.index.candidates(action, &principal, &resource, all);
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
        };
        for notes in answer.diagnostics().reason().filter_map(|id| self.notes.get(id)) {
            decision.policies.push(notes.id.clone());
            if !decision.allowed {
                decision.refusal = notes.code.unwrap_or(decision.refusal);
                decision.say = decision.say.or_else(|| notes.say.clone());
            }
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
    ])
    .ok()
}

#[cfg(test)]
mod tests;
