//! What a schema says of attributes, so that JSON from outside becomes values of the policy language:
//! what is not declared is left out, what is of another type is refused.

use crate::policy::PolicyFault;
use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Deepest nesting of declared types: more is a declaration that names itself.
const DEPTH: usize = 16;

/// Type of a value.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Bool,
    Long,
    Text,
    /// A value that is written as text: an address, a decimal, a moment, a length of time.
    Written(fn(&str) -> RestrictedExpression),
    Named(EntityTypeName),
    Set(Box<Shape>),
    Record(Members),
}

/// Attributes by name, each with its type and whether it must be there.
pub(super) type Members = BTreeMap<String, (Shape, bool)>;

/// Attributes by name, as values.
pub(super) type Attributes = BTreeMap<String, RestrictedExpression>;

impl Shape {
    /// The value that `json` stands for. Entities that it names are added to `named`. `None` where it is
    /// of another type, or one of its members is missing.
    pub(super) fn value(&self, json: &Value, named: &mut Vec<EntityUid>) -> Option<RestrictedExpression> {
        match self {
            Shape::Bool => json.as_bool().map(RestrictedExpression::new_bool),
            Shape::Long => json.as_i64().map(RestrictedExpression::new_long),
            Shape::Text => json.as_str().map(|t| RestrictedExpression::new_string(t.to_owned())),
            Shape::Written(read) => json.as_str().map(read),
            Shape::Named(kind) => {
                let right = json.get("type")?.as_str()? == kind.to_string();
                let uid = EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(json.get("id")?.as_str()?));
                named.push(uid.clone());
                right.then(|| RestrictedExpression::new_entity_uid(uid))
            }
            Shape::Set(of) => {
                let all: Option<Vec<_>> = json.as_array()?.iter().map(|one| of.value(one, named)).collect();
                all.map(RestrictedExpression::new_set)
            }
            Shape::Record(members) => {
                RestrictedExpression::new_record(attributes(members, &[json.as_object()?], named).ok()?).ok()
            }
        }
    }
}

/// The declared attributes from several sources, the first of which counts. What no source has and must
/// be there, or is of another type, is named in the error.
pub(super) fn attributes(members: &Members, from: &[&Map<String, Value>], named: &mut Vec<EntityUid>) -> Result<Attributes, String> {
    let mut out = Attributes::new();
    for (name, (shape, required)) in members {
        match from.iter().find_map(|source| source.get(name)) {
            Some(json) => {
                let value = shape.value(json, named).ok_or_else(|| format!("`{name}` is of another type than declared"))?;
                out.insert(name.clone(), value);
            }
            None if *required => return Err(format!("`{name}` is missing")),
            None => {}
        }
    }
    Ok(out)
}

/// A schema in its JSON form.
pub(super) struct Declared<'a>(pub &'a Map<String, Value>);

impl Declared<'_> {
    /// Attributes of a type of entity.
    pub(super) fn entity(&self, kind: &EntityTypeName) -> Result<Members, PolicyFault> {
        let space = kind.namespace();
        match self.0.get(&space).and_then(|s| s.get("entityTypes")?.get(kind.basename())?.get("shape")) {
            Some(shape) => self.members(&space, shape, 0),
            None => Ok(Members::new()),
        }
    }

    /// Attributes of the context of an action.
    pub(super) fn context(&self, space: &str, action: &str) -> Result<Members, PolicyFault> {
        match self.0.get(space).and_then(|s| s.get("actions")?.get(action)?.get("appliesTo")?.get("context")) {
            Some(shape) => self.members(space, shape, 0),
            None => Ok(Members::new()),
        }
    }

    fn members(&self, space: &str, json: &Value, depth: usize) -> Result<Members, PolicyFault> {
        match self.shape(space, json, depth)? {
            Shape::Record(members) => Ok(members),
            _ => Err(PolicyFault("schema: attributes that are no record".into())),
        }
    }

    fn shape(&self, space: &str, json: &Value, depth: usize) -> Result<Shape, PolicyFault> {
        let wrong = |what: &str| PolicyFault(format!("schema: {what}"));
        if depth > DEPTH {
            return Err(wrong("types nested too deep"));
        }
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        match text("type").unwrap_or_default() {
            "Set" => {
                let of = json.get("element").ok_or_else(|| wrong("a set of nothing"))?;
                Ok(Shape::Set(Box::new(self.shape(space, of, depth + 1)?)))
            }
            "Record" => {
                let mut members = Members::new();
                for (name, of) in json.get("attributes").and_then(Value::as_object).into_iter().flatten() {
                    let required = of.get("required").and_then(Value::as_bool).unwrap_or(true);
                    members.insert(name.clone(), (self.shape(space, of, depth + 1)?, required));
                }
                Ok(Shape::Record(members))
            }
            "EntityOrCommon" => self.named(space, text("name").unwrap_or_default(), depth),
            other => Err(wrong(&format!("the type `{other}`"))),
        }
    }

    /// A name means a common type, then a type of entity, then one that is built in; in its own
    /// namespace before the one without name.
    fn named(&self, space: &str, name: &str, depth: usize) -> Result<Shape, PolicyFault> {
        let (inner, base) = name.rsplit_once("::").unwrap_or(("", name));
        let spaces: &[&str] = if inner.is_empty() { &[space, ""] } else { &[inner] };
        for at in spaces {
            let Some(space) = self.0.get(*at) else { continue };
            if let Some(common) = space.get("commonTypes").and_then(|t| t.get(base)) {
                return self.shape(at, common, depth + 1);
            }
            if space.get("entityTypes").and_then(|t| t.get(base)).is_some() {
                let full = if at.is_empty() { base.to_owned() } else { format!("{at}::{base}") };
                return EntityTypeName::from_str(&full).map(Shape::Named).map_err(|e| PolicyFault(format!("schema: {e}")));
            }
        }
        match base {
            "Bool" | "Boolean" => Ok(Shape::Bool),
            "Long" => Ok(Shape::Long),
            "String" => Ok(Shape::Text),
            "ipaddr" => Ok(Shape::Written(|t| RestrictedExpression::new_ip(t))),
            "decimal" => Ok(Shape::Written(|t| RestrictedExpression::new_decimal(t))),
            "datetime" => Ok(Shape::Written(|t| RestrictedExpression::new_datetime(t))),
            "duration" => Ok(Shape::Written(|t| RestrictedExpression::new_duration(t))),
            other => Err(PolicyFault(format!("schema: the type `{other}`"))),
        }
    }
}
