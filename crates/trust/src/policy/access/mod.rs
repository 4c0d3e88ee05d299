//! Decisions about the operator's own resources, asked for in AuthZEN's words (Authorization API 1.0 §5).
//!
//! An [`AccessSet`] is made of a schema, policies and entities, all of which the operator writes, and of
//! what Countersign adds about its own sessions, devices and people. It is compiled once and validated
//! strictly. [`AccessSet::decide`] takes facts as they come: attributes of the operator's entities count
//! before those of a request, and what the server knows by itself (`live`) comes from nowhere else.

mod graph;
mod notes;
mod shape;

pub use notes::{Duty, Requestable};

use super::PolicyFault;
use super::select::{Index, Known};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicyId, Request, Schema, SchemaFragment,
    ValidationMode, Validator,
};
use graph::{Graph, LIVE, uid};
use notes::Notes;
use serde_json::{Map, Value};
use shape::{Attributes, Declared, Members, attributes};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

/// What is known of our own things.
const TYPES: &str = include_str!("../../../../../policies/access.cedarschema");
/// The rules about them.
const RULES: &str = include_str!("../../../../../policies/access.cedar");
/// Types that the server fills in, and what it knows of them. Unless the operator declares one it is this.
const OWN: [(&str, &str, &str); 6] = [
    ("session", "Countersign::Session", "entity session = { live: Countersign::Session };"),
    ("token", "Countersign::Session", "entity token = { live: Countersign::Session };"),
    ("device", "Countersign::Device", "entity device = { live: Countersign::Device };"),
    ("user", "Countersign::Person", "entity user = { live?: Countersign::Person };"),
    ("workload", "Countersign::Workload", "entity workload = { live: Countersign::Workload };"),
    ("client", "", "entity client;"),
];
/// Rules in one set, at most.
const RULES_MAX: usize = 100_000;

/// What the operator writes; each text with the name of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Schemas.
    pub schemas: Vec<(String, String)>,
    /// Policies.
    pub policies: Vec<(String, String)>,
    /// Entities.
    pub entities: Vec<(String, String)>,
}

/// A subject or a resource that a decision is about.
#[derive(Clone, Copy, Debug)]
pub struct Thing<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its name within the type.
    pub id: &'a str,
    /// What the request says of it.
    pub properties: &'a Map<String, Value>,
    /// What the server knows of it, if it is one of ours.
    pub live: Option<&'a Value>,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who.
    pub subject: Thing<'a>,
    /// Does what.
    pub action: &'a str,
    /// How.
    pub action_properties: &'a Map<String, Value>,
    /// To what.
    pub resource: Thing<'a>,
    /// In which surroundings.
    pub context: &'a Map<String, Value>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Yes or no.
    pub allowed: bool,
    /// Why not: a code of a rule, or one of [`NOT_COVERED`], [`BAD_PROPERTY`], [`DENIED`], [`FAILED`].
    pub reason: Option<String>,
    /// More about it, for whoever runs the enforcement point.
    pub detail: Option<String>,
    /// Rules that decided.
    pub policies: Vec<String>,
    /// A sentence for the person.
    pub say: Option<String>,
    /// What the enforcement point must do along with it.
    pub duties: Vec<Duty>,
    /// How access could be asked for.
    pub request: Option<Requestable>,
}

/// No type, action or combination of them that anybody declared.
pub const NOT_COVERED: &str = "not_covered";
/// A property is missing or is of another type than declared.
pub const BAD_PROPERTY: &str = "bad_property";
/// No rule permits it, or one forbids it without a code of its own.
pub const DENIED: &str = "denied";
/// A rule could not be evaluated.
pub const FAILED: &str = "failed";

impl Verdict {
    /// No, for this reason.
    pub fn no(reason: &str, detail: Option<String>) -> Verdict {
        Verdict { allowed: false, reason: Some(reason.to_owned()), detail, policies: Vec::new(), say: None, duties: Vec::new(), request: None }
    }
}

/// An action that may be asked about.
struct Act {
    uid: EntityUid,
    principals: HashSet<String>,
    resources: HashSet<String>,
    context: Members,
    /// Itself and the groups it is in, where it is in any.
    within: Vec<Entity>,
}

/// A compiled, validated set.
pub struct AccessSet {
    schema: Schema,
    types: HashMap<String, Members>,
    actions: Vec<Act>,
    names: BTreeMap<String, usize>,
    graph: Graph,
    index: Index<usize>,
    notes: HashMap<PolicyId, Notes>,
    authorizer: Authorizer,
}

impl AccessSet {
    /// Parses and validates strictly; a set with any fault never takes effect.
    pub fn compile(sources: &Sources) -> Result<AccessSet, PolicyFault> {
        let fault = |what: &str, e: &dyn std::fmt::Display| PolicyFault(format!("{what}: {e}"));
        let (schema, declared) = schema(sources)?;
        let declared = Declared(&declared);
        let mut types = HashMap::new();
        for kind in schema.entity_types() {
            types.insert(kind.to_string(), declared.entity(kind)?);
        }
        let groups = schema.action_entities().map_err(|e| fault("schema", &e))?;
        let (mut actions, mut names, mut known) = (Vec::new(), BTreeMap::new(), Vec::new());
        for act in schema.actions() {
            let above: Vec<EntityUid> = groups.ancestors(act).into_iter().flatten().cloned().collect();
            let within = if above.is_empty() { Vec::new() } else { std::iter::once(act).chain(&above).filter_map(|u| groups.get(u)).cloned().collect() };
            let of = |types: Option<Vec<String>>| types.unwrap_or_default().into_iter().collect();
            let n = actions.len();
            known.push(Known { action: n, names: std::iter::once(act.clone()).chain(above).collect() });
            if act.type_name().namespace().is_empty() {
                names.insert(act.id().unescaped().to_owned(), n);
            }
            actions.push(Act {
                principals: of(schema.principals_for_action(act).map(|all| all.map(ToString::to_string).collect())),
                resources: of(schema.resources_for_action(act).map(|all| all.map(ToString::to_string).collect())),
                context: declared.context(&act.type_name().namespace(), act.id().unescaped())?,
                uid: act.clone(),
                within,
            });
        }
        let (set, notes) = rules(sources)?;
        let checked = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if let Some(error) = checked.validation_errors().next() {
            return Err(fault("policies", error));
        }
        let texts: Vec<String> = sources.entities.iter().map(|(_, text)| text.clone()).collect();
        let graph = Graph::read(&texts, &schema, &types)?;
        let index = Index::build(&set, &known)?;
        Ok(AccessSet { schema, types, actions, names, graph, index, notes, authorizer: Authorizer::new() })
    }

    /// The rules shipped with the program, about our own things alone.
    pub fn shipped() -> Result<AccessSet, PolicyFault> {
        AccessSet::compile(&Sources::default())
    }

    /// Judges one question. Whatever is odd is a no.
    pub fn decide(&self, ask: &Ask<'_>) -> Verdict {
        self.decide_among(ask, false)
    }

    /// The same answer by evaluating every rule there is: what choosing candidates is measured against.
    pub fn decide_by_all(&self, ask: &Ask<'_>) -> Verdict {
        self.decide_among(ask, true)
    }

    fn decide_among(&self, ask: &Ask<'_>, all: bool) -> Verdict {
        let not_covered = || Verdict::no(NOT_COVERED, None);
        let Some((n, act)) = self.names.get(ask.action).and_then(|n| Some((*n, self.actions.get(*n)?))) else { return not_covered() };
        if !act.principals.contains(ask.subject.kind) || !act.resources.contains(ask.resource.kind) {
            return not_covered();
        }
        let (Some(principal), Some(resource)) = (uid(ask.subject.kind, ask.subject.id), uid(ask.resource.kind, ask.resource.id)) else {
            return not_covered();
        };
        let bad = |of: &str, e: String| Verdict::no(BAD_PROPERTY, Some(format!("{of}: {e}")));
        let (mut there, mut leads) = (act.within.clone(), Vec::new());
        match self.entity(&principal, &ask.subject, &mut leads) {
            Ok(entity) => there.push(entity),
            Err(e) => return bad("subject", e),
        }
        if resource != principal {
            match self.entity(&resource, &ask.resource, &mut leads) {
                Ok(entity) => there.push(entity),
                Err(e) => return bad("resource", e),
            }
        }
        let context = match context(act, ask, &mut leads) {
            Ok(values) => values,
            Err(e) => return bad("context", e),
        };
        let failed = |e: &dyn std::fmt::Display| Verdict::no(FAILED, Some(e.to_string()));
        if self.graph.reach(leads, &mut there).is_none() {
            return failed(&"it leads to too many entities");
        }
        let context = match Context::from_pairs(context) {
            Ok(context) => context,
            Err(e) => return bad("context", e.to_string()),
        };
        let chosen = self.index.candidates(n, &self.within(&principal), &self.within(&resource), all);
        let entities = match Entities::from_entities(there, None) {
            Ok(entities) => entities,
            Err(e) => return failed(&e),
        };
        let request = match Request::new(principal, act.uid.clone(), resource, context, Some(&self.schema)) {
            Ok(request) => request,
            Err(e) => return failed(&e),
        };
        let answer = self.authorizer.is_authorized(&request, &chosen, &entities);
        if let Some(error) = answer.diagnostics().errors().next() {
            return failed(error);
        }
        let mut verdict = Verdict { allowed: answer.decision() == Decision::Allow, ..Verdict::no(DENIED, None) };
        let mut decided: Vec<&Notes> = answer.diagnostics().reason().filter_map(|id| self.notes.get(id)).collect();
        decided.sort_by(|a, b| a.id.cmp(&b.id));
        if verdict.allowed {
            verdict.reason = None;
        } else if let Some(code) = decided.iter().find_map(|n| n.code.clone()) {
            verdict.reason = Some(code);
        }
        for notes in decided {
            verdict.policies.push(notes.id.clone());
            verdict.say = verdict.say.or_else(|| notes.say.clone().filter(|_| !verdict.allowed));
            verdict.duties.extend(notes.duties.iter().cloned());
            verdict.request = verdict.request.or_else(|| notes.request.clone().filter(|_| !verdict.allowed));
        }
        verdict
    }

    /// Itself and every group it is in, as the operator's entities say.
    fn within(&self, uid: &EntityUid) -> Vec<EntityUid> {
        self.graph.node(uid).map_or_else(|| vec![uid.clone()], |n| n.within.clone())
    }

    /// An entity with what is known of it; where that leads is added to `leads`.
    fn entity(&self, own: &EntityUid, thing: &Thing<'_>, leads: &mut Vec<EntityUid>) -> Result<Entity, String> {
        let none = Members::new();
        let members = self.types.get(thing.kind).unwrap_or(&none);
        leads.extend(self.graph.named_by(own).cloned());
        let adds = thing.properties.keys().any(|k| k != LIVE && members.contains_key(k));
        if let Some(whole) = self.graph.whole(own).filter(|_| thing.live.is_none() && !adds) {
            return Ok(whole.clone());
        }
        let nothing = Map::new();
        let node = self.graph.node(own);
        let known = node.map_or(&nothing, |n| &n.properties);
        let mut values = Attributes::new();
        if let Some((shape, required)) = members.get(LIVE) {
            match thing.live {
                Some(live) => {
                    let value = shape.value(live, leads).ok_or("`live` is of another type than declared")?;
                    values.insert(LIVE.to_owned(), value);
                }
                None if *required => return Err("it is not known here".to_owned()),
                None => {}
            }
        }
        // What the operator wrote down counts before what a request says.
        let rest = members.iter().filter(|(k, _)| *k != LIVE).map(|(k, v)| (k.clone(), v.clone())).collect();
        values.extend(attributes(&rest, &[known, thing.properties], leads)?);
        let parents = node.map(|n| n.parents.clone()).unwrap_or_default();
        Entity::new(own.clone(), values.into_iter().collect(), parents).map_err(|e| e.to_string())
    }

    /// Known names of a type after `after`, in order.
    pub fn names_after(&self, kind: &str, after: &str) -> impl Iterator<Item = &str> {
        self.graph.after(kind, after)
    }
    /// Whether the operator wrote something down about it.
    pub fn knows(&self, kind: &str, id: &str) -> bool {
        uid(kind, id).is_some_and(|own| self.graph.node(&own).is_some())
    }
    /// Actions that subjects of one type may do to resources of another, by name.
    pub fn actions_between(&self, subject: &str, resource: &str) -> impl Iterator<Item = &str> {
        let fits = move |n: &usize| self.actions.get(*n).is_some_and(|a| a.principals.contains(subject) && a.resources.contains(resource));
        self.names.iter().filter(move |(_, n)| fits(n)).map(|(name, _)| name.as_str())
    }
    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.notes.len()
    }
    /// How many entities there are.
    pub fn entities(&self) -> usize {
        self.graph.len()
    }
}

/// What rules see of the surroundings: `action` holds the action's properties, the rest is the request's.
fn context(act: &Act, ask: &Ask<'_>, leads: &mut Vec<EntityUid>) -> Result<Attributes, String> {
    if !act.context.contains_key("action") {
        return attributes(&act.context, &[ask.context], leads);
    }
    let how = Map::from_iter([("action".to_owned(), Value::Object(ask.action_properties.clone()))]);
    attributes(&act.context, &[&how, ask.context], leads)
}

/// All schemas as one, and its JSON form.
fn schema(sources: &Sources) -> Result<(Schema, Map<String, Value>), PolicyFault> {
    let read = |name: &str, text: &str| {
        let fault = |e: &dyn std::fmt::Display| PolicyFault(format!("`{name}`: {e}"));
        let (fragment, _) = SchemaFragment::from_cedarschema_str(text).map_err(|e| fault(&e))?;
        let json = fragment.clone().to_json_value().map_err(|e| fault(&e))?;
        Ok::<_, PolicyFault>((fragment, json))
    };
    let mut all = Vec::new();
    let mut whole = Map::new();
    for (name, text) in &sources.schemas {
        all.push(read(name, text)?);
    }
    let declared = |kind: &str| all.iter().find_map(|(_, json)| json.get("")?.get("entityTypes")?.get(kind).map(|_| ()));
    let missing: String = OWN.iter().filter(|(kind, _, _)| declared(kind).is_none()).map(|(_, _, text)| *text).collect();
    all.push(read("access.cedarschema", TYPES)?);
    all.push(read("access.cedarschema", &missing)?);
    for (_, json) in &all {
        for (space, kinds) in json.as_object().into_iter().flatten() {
            let target = whole.entry(space.clone()).or_insert_with(|| Value::Object(Map::new()));
            for (kind, members) in kinds.as_object().into_iter().flatten() {
                let Some(target) = target.as_object_mut() else { continue };
                let target = target.entry(kind.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let (Some(target), Some(members)) = (target.as_object_mut(), members.as_object()) {
                    target.extend(members.clone());
                }
            }
        }
    }
    reserved(&whole)?;
    let schema = Schema::from_schema_fragments(all.into_iter().map(|(fragment, _)| fragment));
    Ok((schema.map_err(|e| PolicyFault(format!("schema: {e}")))?, whole))
}

/// `live` is ours: only our own types have it, and it is what we fill in.
fn reserved(whole: &Map<String, Value>) -> Result<(), PolicyFault> {
    for (space, kinds) in whole {
        for (kind, of) in kinds.get("entityTypes").and_then(Value::as_object).into_iter().flatten() {
            let Some(live) = of.get("shape").and_then(|s| s.get("attributes")?.get(LIVE)) else { continue };
            let ours = OWN.iter().find(|(own, _, _)| space.is_empty() && own == kind).map(|(_, holds, _)| *holds);
            if ours.is_none_or(|holds| live.get("name").and_then(Value::as_str) != Some(holds)) {
                return Err(PolicyFault(format!("schema: `{kind}`: the attribute `{LIVE}` is the server's")));
            }
        }
    }
    Ok(())
}

/// All rules as one set, named by their `@id`, with what they say of themselves.
fn rules(sources: &Sources) -> Result<(cedar_policy::PolicySet, HashMap<PolicyId, Notes>), PolicyFault> {
    let mut set = cedar_policy::PolicySet::new();
    let mut notes = HashMap::new();
    let shipped = ("access.cedar".to_owned(), RULES.to_owned());
    for (name, text) in std::iter::once(&shipped).chain(&sources.policies) {
        let fault = |e: &dyn std::fmt::Display| PolicyFault(format!("`{name}`: {e}"));
        let read = cedar_policy::PolicySet::from_str(text).map_err(|e| fault(&e))?;
        if read.templates().next().is_some() {
            return Err(fault(&"templates are not supported"));
        }
        for policy in read.policies() {
            let said = Notes::read(policy.annotations()).map_err(|e| fault(&e))?;
            let id = PolicyId::new(&said.id);
            set.add(policy.new_id(id.clone())).map_err(|_| fault(&format!("`{id}` is there twice")))?;
            notes.insert(id, said);
            if notes.len() > RULES_MAX {
                return Err(fault(&"too many policies"));
            }
        }
    }
    Ok((set, notes))
}

#[cfg(test)]
mod tests;
