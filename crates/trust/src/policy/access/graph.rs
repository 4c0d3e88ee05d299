//! The operator's entities: what is known of things beyond what a request says.

use super::shape::{Members, attributes};
use crate::policy::PolicyFault;
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, Schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::str::FromStr;

/// The attribute that the server alone fills in.
pub(super) const LIVE: &str = "live";
/// Entities that one decision may need, at most.
const REACH: usize = 1_000;

/// A line of the file: an AuthZEN entity, and the groups it is in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    r#type: String,
    id: String,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parent {
    r#type: String,
    id: String,
}

/// One known thing.
pub(super) struct Node {
    pub properties: Map<String, Value>,
    pub parents: HashSet<EntityUid>,
    /// Itself and every group it is in, however far.
    pub within: Vec<EntityUid>,
    /// What its attributes name.
    names: Vec<EntityUid>,
    /// As it stands, where its type has nothing that the server must fill in.
    whole: Option<Entity>,
}

/// All known things.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<EntityUid, Node>,
    /// Names by type, in order: what searches walk through.
    by_type: BTreeMap<String, BTreeSet<String>>,
}

pub(super) fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).ok()?, EntityId::new(id)))
}

impl Graph {
    /// Reads one, validated strictly against the schema.
    pub(super) fn read(texts: &[String], schema: &Schema, types: &HashMap<String, Members>) -> Result<Graph, PolicyFault> {
        let fault = |what: String| PolicyFault(format!("entities: {what}"));
        let mut graph = Graph::default();
        let mut all = Vec::new();
        for text in texts {
            let lines: Vec<Line> = serde_json::from_str(text).map_err(|e| fault(e.to_string()))?;
            for line in lines {
                let about = format!("{}::{:?}", line.r#type, line.id);
                let members = types.get(&line.r#type).ok_or_else(|| fault(format!("{about}: its type is not declared")))?;
                if let Some(odd) = line.properties.keys().find(|k| *k == LIVE || !members.contains_key(*k)) {
                    return Err(fault(format!("{about}: `{odd}` is not its to have")));
                }
                let bad = || fault(format!("{about}: a name"));
                let own = uid(&line.r#type, &line.id).ok_or_else(bad)?;
                let parents: Option<HashSet<_>> = line.parents.iter().map(|p| uid(&p.r#type, &p.id)).collect();
                let parents = parents.ok_or_else(bad)?;
                let (mut names, live) = (Vec::new(), members.get(LIVE).is_some_and(|(_, required)| *required));
                let here: Members = members.iter().filter(|(k, _)| *k != LIVE).map(|(k, v)| (k.clone(), v.clone())).collect();
                let values = attributes(&here, &[&line.properties], &mut names).map_err(|e| fault(format!("{about}: {e}")))?;
                let entity = Entity::new(own.clone(), values.into_iter().collect(), parents.clone()).map_err(|e| fault(format!("{about}: {e}")))?;
                if !live {
                    all.push(entity.clone());
                }
                let node = Node { properties: line.properties, parents, within: Vec::new(), names, whole: (!live).then_some(entity) };
                if graph.nodes.insert(own, node).is_some() {
                    return Err(fault(format!("{about} is listed twice")));
                }
                graph.by_type.entry(line.r#type).or_default().insert(line.id);
            }
        }
        Entities::from_entities(all, Some(schema)).map_err(|e| fault(e.to_string()))?;
        graph.close()?;
        Ok(graph)
    }

    /// Follows every way up, once. A group that is in itself is a mistake.
    fn close(&mut self) -> Result<(), PolicyFault> {
        let mut within: HashMap<EntityUid, Vec<EntityUid>> = HashMap::new();
        for own in self.nodes.keys() {
            let mut found = vec![own.clone()];
            let mut at = 0;
            while let Some(next) = found.get(at).cloned() {
                at += 1;
                for parent in self.nodes.get(&next).iter().flat_map(|n| &n.parents) {
                    if parent == own || found.len() > REACH {
                        return Err(PolicyFault(format!("entities: {own} is in itself, or in too many groups")));
                    }
                    if !found.contains(parent) {
                        found.push(parent.clone());
                    }
                }
            }
            within.insert(own.clone(), found);
        }
        for (own, node) in &mut self.nodes {
            node.within = within.remove(own).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, uid: &EntityUid) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Names of a type after `after`, in order.
    pub(super) fn after(&self, kind: &str, after: &str) -> impl Iterator<Item = &str> {
        let from = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        self.by_type.get(kind).into_iter().flat_map(move |ids| ids.range::<String, _>(from.clone())).map(String::as_str)
    }

    /// An entity as it stands, if nothing is to be added to it.
    pub(super) fn whole(&self, uid: &EntityUid) -> Option<&Entity> {
        self.nodes.get(uid)?.whole.as_ref()
    }

    /// Everything known that `from` lead to, beside what is there already.
    pub(super) fn reach(&self, from: Vec<EntityUid>, there: &mut Vec<Entity>) -> Option<()> {
        let mut seen: HashSet<EntityUid> = there.iter().map(Entity::uid).collect();
        let mut open = from;
        while let Some(next) = open.pop() {
            let Some(node) = self.nodes.get(&next) else { continue };
            if !seen.insert(next) {
                continue;
            }
            if seen.len() > REACH {
                return None;
            }
            // One that the server should fill in and that nobody asked about stays away: a rule that
            // looks at it fails, and what fails is refused.
            there.extend(node.whole.clone());
            open.extend(node.parents.iter().chain(&node.names).cloned());
        }
        Some(())
    }

    /// Where the attributes of a known thing lead.
    pub(super) fn named_by(&self, uid: &EntityUid) -> impl Iterator<Item = &EntityUid> {
        self.nodes.get(uid).into_iter().flat_map(|n| n.parents.iter().chain(&n.names))
    }
}
