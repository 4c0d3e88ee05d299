//! Decisions as texts: cases that a set of policies must decide so, and decisions of the log that another
//! set is asked again.

use super::{Action, Decision, Facts, PolicyFault, PolicySet};
use crate::signal::Kind;
use crate::standing::Effect;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a set must say to one question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// The action.
    pub action: String,
    /// What is known; see [`Facts`].
    pub facts: Facts,
    /// For `unlock`: the scope.
    #[serde(default)]
    pub scope: String,
    /// `allow`, or the code of the refusal.
    pub expect: String,
    /// A rule that must be among those that decided.
    #[serde(default)]
    pub by: Option<String>,
    /// The effect on a running session; `none` if not given.
    #[serde(default)]
    pub effect: Option<String>,
}

impl Case {
    /// The cases of a file.
    pub fn read(text: &str) -> Result<Vec<Case>, PolicyFault> {
        serde_json::from_str(text).map_err(|e| PolicyFault(format!("cases: {e}")))
    }
    /// The rules that decided, or what was said instead.
    pub fn try_on(&self, set: &PolicySet) -> Result<Vec<String>, String> {
        let action = action(&self.action).ok_or_else(|| format!("no action `{}`", self.action))?;
        let got = set.decide(action, &self.facts, &self.scope);
        let word = if got.allowed { "allow" } else { got.refusal.code() };
        let effect = got.effect.map_or("none", Effect::as_str);
        let by = self.by.as_ref().is_none_or(|by| got.policies.contains(by));
        if word == self.expect && effect == self.effect.as_deref().unwrap_or("none") && by {
            return Ok(got.policies);
        }
        Err(format!("`{word}` with effect `{effect}` by {:?}", got.policies))
    }
}

/// The action of this name.
pub fn action(name: &str) -> Option<Action> {
    Action::ALL.into_iter().find(|a| a.as_str() == name)
}

/// A decision as the log keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// What was asked.
    pub action: String,
    /// Whether it was allowed.
    pub allowed: bool,
    /// Privileged scopes that were opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// Those that were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// What was known.
    pub facts: Facts,
}

/// The same as a value for an event.
pub(super) fn judged(action: Action, facts: &Facts, allowed: bool, unlocked: &[String], cut: &[String]) -> Value {
    let action = action.as_str().to_owned();
    let judged = Judged { action, allowed, unlocked: unlocked.to_vec(), cut: cut.to_vec(), facts: facts.clone() };
    serde_json::to_value(judged).unwrap_or_default()
}

/// Where another set decides otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The action, or `unlock SCOPE`.
    pub what: String,
    /// Whether it was allowed then.
    pub was: bool,
    /// What the other set says.
    pub is: Decision,
}

impl Judged {
    /// Asks another set the same.
    pub fn again(&self, set: &PolicySet) -> Vec<Difference> {
        let Some(asked) = action(&self.action) else { return Vec::new() };
        let base = (self.action.clone(), self.allowed, set.decide(asked, &self.facts, ""));
        let scopes = self.unlocked.iter().map(|s| (s, true)).chain(self.cut.iter().map(|s| (s, false)));
        let scopes = scopes.map(|(scope, was)| {
            let is = set.decide(Action::Unlock, &self.facts, scope);
            (format!("unlock {scope}"), was, is)
        });
        let all = std::iter::once(base).chain(scopes);
        all.filter(|(_, was, is)| *was != is.allowed).map(|(what, was, is)| Difference { what, was, is }).collect()
    }
}

impl Decision {
    /// In plain words, one line each.
    pub fn explained(&self, action: &str, facts: &Facts) -> Vec<String> {
        let verb = if self.allowed { "allowed" } else { "refused" };
        let by = if self.policies.is_empty() { "no rule permits it".to_owned() } else { format!("by {}", self.policies.join(", ")) };
        let mut lines = vec![format!("`{action}` is {verb}: {by}")];
        if !self.allowed {
            lines.push(format!("the code is `{}`", self.refusal.code()));
        }
        lines.extend(self.effect.map(|e| format!("a running session: {}", effect_words(e))));
        lines.extend(self.say.as_ref().map(|say| format!("the person reads: {say}")));
        lines.push("what it rested on:".to_owned());
        let known = serde_json::to_value(facts).unwrap_or_default();
        let usual = json!(Facts::default());
        for (name, value) in known.as_object().into_iter().flatten() {
            let odd = if usual.get(name) == Some(value) { "" } else { "  *" };
            lines.push(format!("  {name:15} {value}{odd}"));
        }
        let news = facts.signals.iter().filter_map(|name| Kind::parse(name));
        lines.extend(news.map(|kind| format!("  {}: {}", kind.as_str(), kind.words())));
        lines
    }
}

fn effect_words(effect: Effect) -> &'static str {
    match effect {
        Effect::Limit => "its privileged rights rest until the reason is gone",
        Effect::StepUp => "it goes on once its person approves anew",
        Effect::Lock => "it rests until the reason is gone",
        Effect::End => "it ends",
    }
}

/// Ids of the rules of a text that no case names.
pub fn untested<'a>(text: &'a str, decided: &BTreeSet<String>) -> Vec<&'a str> {
    let ids = text.lines().filter_map(|l| l.trim().strip_prefix("@id(\"")).filter_map(|l| l.split('"').next());
    ids.filter(|id| !decided.contains(*id)).collect()
}

/// A device for tests.
#[cfg(test)]
pub(crate) fn device(person: &countersign_wire::PersonId, now: countersign_wire::Time) -> crate::device::Device {
    let dk: countersign_wire::jose::Jwk = serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
        .unwrap_or_else(|e| unreachable!("{e}"));
    crate::device::Device {
        id: countersign_wire::DeviceId::new(now, [4; 10]),
        version: 1,
        person: person.clone(),
        state: crate::device::DeviceState::Active,
        jkt: dk.thumbprint(),
        dk,
        key: crate::device::KeyClass::Software,
        limited_until: None,
        added_at: now,
        posture: crate::posture::Posture::default(),
        seen_at: None,
        signals: Vec::new(),
        recovered: false,
        seat: None,
    }
}
