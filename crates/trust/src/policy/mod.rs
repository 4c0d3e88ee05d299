//! Policy: Cedar, and the only module that knows Cedar.
//!
//! A [`PolicySet`] is compiled once; [`PolicySet::decide`] judges one action over one set of facts.
//! Only candidates are evaluated, chosen by action, resource and principal; an unscoped policy is
//! always a candidate, so no `forbid` is ever missed (a property test compares with the full set).

pub mod access;
pub mod case;
mod facts;
mod memo;
mod select;
mod workload;

pub use workload::WorkloadRuling;
pub use facts::{Facts, Health, NOBODY, OWN, Screen, QUESTIONS, RECONFIRM};

use crate::Refusal;
use crate::client::Client;
use crate::limits;
use crate::presence::Presence;
use crate::principal::Role;
use crate::right;
use crate::standing::Effect;
use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, EntityId, EntityTypeName, EntityUid,
    ParseErrors, PolicyId, Request, Schema, ValidationMode, Validator,
};
use countersign_wire::statement::{Purpose, Rights};
use countersign_wire::{ClientId, b64, mac};
use select::{Index, Known};
use case::judged;
use memo::Memo;
use serde_json::Value;
use std::collections::HashMap;
use std::str::FromStr;

/// The default rules, shipped with the program.
pub const DEFAULT: &str =
    concat!(
        include_str!("../../../../policies/ceremony.cedar"), "\n",
        include_str!("../../../../policies/trust.cedar"), "\n",
        include_str!("../../../../policies/workload.cedar")
    );
/// The same, file by file.
pub const SHIPPED: [(&str, &str); 3] = [
    ("ceremony", include_str!("../../../../policies/ceremony.cedar")),
    ("trust", include_str!("../../../../policies/trust.cedar")),
    ("workload", include_str!("../../../../policies/workload.cedar")),
];

/// Rules for one kind of place, in force beside the default ones.
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Its rules.
    pub rules: &'static str,
    /// Their tests.
    pub cases: &'static str,
}

macro_rules! profile {
    ($name:literal) => {
        Profile {
            name: $name,
            rules: include_str!(concat!("../../../../policies/profiles/", $name, "/", $name, ".cedar")),
            cases: include_str!(concat!("../../../../policies/profiles/", $name, "/tests.json")),
        }
    };
}

/// The places that rules are shipped for.
pub const PROFILES: [Profile; 4] = [profile!("shop"), profile!("workshop"), profile!("contractor"), profile!("operations")];

/// What rules may speak about.
pub const SCHEMA: &str = include_str!("../../../../policies/countersign.cedarschema");

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A screen asks to begin: nobody is known yet but the client, the terminal and what is asked.
    Open,
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
    /// A workload gets a token.
    Mint,
    /// A workload gets a token to act for a person.
    Delegate,
    /// An agent calls a tool.
    Call,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 10] = [
        Action::Open, Action::Scan, Action::Approve, Action::Redeem, Action::Issue, Action::Unlock, Action::Continue, Action::Mint,
        Action::Delegate, Action::Call,
    ];
    /// Name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Open => "open",
            Action::Scan => "scan",
            Action::Approve => "approve",
            Action::Redeem => "redeem",
            Action::Issue => "issue",
            Action::Unlock => "unlock",
            Action::Continue => "continue",
            Action::Mint => "mint",
            Action::Delegate => "delegate",
            Action::Call => "call",
        }
    }
    /// Whether it happens in a running session.
    pub fn runs(self) -> bool {
        matches!(self, Action::Issue | Action::Continue)
    }
}

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
    /// Whether a privileged scope is among what stays.
    pub privileged: bool,
    /// What was judged, for the log.
    pub judged: Value,
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
    /// What was judged, for the log.
    pub judged: Value,
}

impl Denied {
    /// A refusal without rules: a fact that policy is not asked about.
    pub fn of(refusal: Refusal) -> Denied {
        Denied { refusal, policies: Vec::new(), say: None, effect: None, judged: Value::Null }
    }
}

/// Rules let this begin. Only [`PolicySet::opens`] makes one, and nothing begins without.
#[derive(Clone, Copy, Debug)]
pub struct MayBegin(());

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
    memo: Memo,
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
    workload: EntityTypeName,
    audience: EntityTypeName,
    tool: EntityTypeName,
    actions: HashMap<Action, EntityUid>,
}

impl Names {
    fn parse() -> Result<Names, Box<ParseErrors>> {
        let action = EntityTypeName::from_str("Action")?;
        let uid = |a: Action| EntityUid::from_type_name_and_id(action.clone(), EntityId::new(a.as_str()));
        Ok(Names {
            person: EntityTypeName::from_str("Person")?,
            client: EntityTypeName::from_str("Client")?,
            workload: EntityTypeName::from_str("Workload")?,
            audience: EntityTypeName::from_str("Audience")?,
            tool: EntityTypeName::from_str("Tool")?,
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
        if let Some(odd) = set.policies().find(|p| !select::says_whom(p)) {
            let id = odd.annotation("id").map_or_else(|| odd.id().to_string(), str::to_owned);
            return Err(PolicyFault(format!("policies: `{id}` permits something without saying whether to `Person` or `Workload`")));
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
            memo: Memo::of(&set, &names.person, &names.client),
            names,
        })
    }

    /// Tells this set from every other: a digest of its text.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What a rule of this set says to people.
    pub fn sentence(&self, rule: &str) -> Option<&str> {
        self.notes.values().find(|n| n.id == rule).and_then(|n| n.say.as_deref())
    }

    /// The rules shipped with the program.
    pub fn shipped() -> Result<PolicySet, PolicyFault> {
        PolicySet::compile(DEFAULT)
    }

    /// Judges one action. Any fault of evaluation denies.
    pub fn decide(&self, action: Action, facts: &Facts, scope: &str) -> Decision {
        let question = self.memo.question(action, facts, scope);
        if let Some(made) = self.memo.find(&question) {
            return made;
        }
        let decision = self.decide_among(action, facts, scope, false);
        self.memo.keep(question, &decision);
        decision
    }

    fn decide_among(&self, action: Action, facts: &Facts, scope: &str, all: bool) -> Decision {
        let who = (uid(&self.names.person, &facts.person), uid(&self.names.client, &facts.client));
        self.judge(action, who, facts.context(scope), all)
    }

    fn judge(&self, action: Action, (principal, resource): (EntityUid, EntityUid), context: Option<Context>, all: bool) -> Decision {
        let closed = Decision {
            allowed: false,
            policies: Vec::new(),
            refusal: Refusal::Unavailable,
            say: None,
            effect: None,
        };
        let Some(act) = self.names.actions.get(&action).cloned() else { return closed };
        let Some(context) = context else { return closed };
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
            let by_effect = first.effect.filter(|_| action.runs()).map_or(Refusal::Denied, Effect::refusal);
            let strongest = || decided.iter().filter(|n| n.effect == first.effect);
            decision.refusal = strongest().find_map(|n| n.code).unwrap_or(by_effect);
            decision.say = strongest().find_map(|n| n.say.clone());
        }
        decision.policies.sort();
        decision
    }

    /// Judges whether a screen, or a client, may begin at all. Who will approve is not known yet.
    pub fn opens(&self, facts: &Facts) -> Result<MayBegin, Denied> {
        match self.rule(Action::Open, facts, None, &[]) {
            Ruling::Allow(_) => Ok(MayBegin(())),
            Ruling::Deny(denied) => Err(denied),
        }
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
                judged: judged(action, facts, false, &[], &[]),
            });
        }
        let mut policies = base.policies;
        let (mut kept, mut cut, mut unlocked, mut timed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let role = Role::parse(&facts.role);
        let vouching = client.and_then(|c| c.without_phone.as_ref()).filter(|_| facts.vouched);
        for scope in scopes {
            if facts.vouched && !client.zip(vouching).is_some_and(|(c, v)| v.gives(c, scope)) {
                cut.push(scope.clone());
                continue;
            }
            if client.is_some_and(|c| c.is_privileged(scope)) {
                let one = self.decide(Action::Unlock, facts, scope);
                policies.extend(one.policies);
                let offered = client.and_then(|c| c.offers(scope));
                // Somebody else's approval is judged by their own role.
                let gives = facts.purpose == Purpose::Right;
                let may = |o: &right::Offered, r| if gives { o.approved_by.contains(&r) } else { o.is_for(r) && (o.is_own() || action.runs()) };
                let asks = offered.is_none_or(|o| role.is_some_and(|r| may(o, r)));
                if !one.allowed || !asks {
                    cut.push(scope.clone());
                    continue;
                }
                timed.extend(offered.map(|o| o.timed(gives && facts.presence == Presence::Unproven)));
                unlocked.push(scope.clone());
            }
            kept.push(scope.clone());
        }
        policies.sort();
        policies.dedup();
        // A right makes no session.
        let session_s = if facts.purpose == Purpose::Right { 0 } else { client.map_or(limits::UNKNOWN_SESSION_S, |c| c.session_s) };
        let session_s = vouching.map_or(session_s, |v| v.for_s.min(session_s));
        let clients: Vec<ClientId> = client.map(|c| c.id.clone()).into_iter().collect();
        Ruling::Allow(Allowed {
            rights: Rights {
                scopes: kept,
                session_s: session_s.min(limits::UNKNOWN_SESSION_S),
                clients,
                timed,
            },
            privileged: !unlocked.is_empty(),
            judged: judged(action, facts, true, &unlocked, &cut),
            policies,
            cut,
        })
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

#[cfg(test)]
mod tests;
