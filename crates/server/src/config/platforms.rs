//! Platforms that vouch for the workloads they run (docs/workloads.md).

use countersign_wire::ClientId;
use countersign_wire::jose::Alg;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster or build server whose tokens we take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Its name here; registrations of workloads name it.
    pub id: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens, which must be the only one; our issuer if absent.
    #[serde(default)]
    pub audience: Option<String>,
    /// Where its keys are.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// A file with its keys, where they are nowhere to be fetched.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Algorithms that it signs with.
    #[serde(default = "algs")]
    pub algs: Vec<Alg>,
    /// Its keys may stand in a private network.
    #[serde(default)]
    pub allow_private_network: bool,
    /// Longest life of its tokens, seconds.
    #[serde(default = "life")]
    pub life_s: i64,
    /// Which of its tokens mean which workload.
    pub workloads: Vec<Meaning>,
}

/// What a token must say to mean a workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// The workload.
    pub workload: ClientId,
    /// Claims, by name or JSON Pointer (RFC 6901), and what they must be. `*` stands for anything without
    /// `/` and `:`.
    pub claims: BTreeMap<String, String>,
}

fn algs() -> Vec<Alg> {
    vec![Alg::RS256, Alg::ES256]
}
fn life() -> i64 {
    3_600
}

impl Meaning {
    /// Whether these claims mean it: every one that is listed must be there and fit.
    pub fn means(&self, all: &Map<String, Value>) -> bool {
        let whole = Value::Object(all.clone());
        self.claims.iter().all(|(name, wanted)| {
            let found = if name.starts_with('/') { whole.pointer(name) } else { all.get(name) };
            match found {
                Some(Value::String(text)) => fits(wanted, text),
                Some(plain @ (Value::Bool(_) | Value::Number(_))) => {
                    let text = plain.to_string();
                    *wanted == text
                }
                _ => false,
            }
        })
    }
}

/// Whether a text fits a pattern.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let reach = rest.find(['/', ':']).unwrap_or(rest.len());
    (0..=reach).filter_map(|n| rest.get(n..)).any(|rest| fits(after, rest))
}

impl Platform {
    /// What makes it impossible.
    pub fn check(&self, own: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("platform `{}`: {what}", self.id));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=40).contains(&self.id.len()) || !self.id.bytes().all(plain) {
            return wrong("id of 1 to 40 characters a-z 0-9 -");
        }
        if self.issuer.is_empty() || self.issuer == own {
            return wrong("issuer: another one than this server");
        }
        if self.jwks_uri.is_some() == self.jwks_file.is_some() {
            return wrong("either jwks_uri or jwks_file");
        }
        if !(60..=86_400).contains(&self.life_s) {
            return wrong("life_s from 60 to 86400");
        }
        for meaning in &self.workloads {
            // A pattern that begins with anything would let every tenant of a shared platform in.
            let named = meaning.claims.get("sub").is_some_and(|s| !s.is_empty() && !s.starts_with('*'));
            if !named {
                return wrong(&format!("workload `{}`: claims must name `sub`, from its beginning", meaning.workload));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_reaches_no_further_than_its_part_of_a_name() {
        for (pattern, text, good) in [
            ("system:serviceaccount:shop:sync", "system:serviceaccount:shop:sync", true),
            ("system:serviceaccount:shop:*", "system:serviceaccount:shop:sync", true),
            ("system:serviceaccount:*:sync", "system:serviceaccount:shop:sync", true),
            ("system:serviceaccount:*", "system:serviceaccount:shop:sync", false),
            ("repo:shop/*:ref:refs/heads/main", "repo:shop/till:ref:refs/heads/main", true),
            ("repo:shop/*:ref:refs/heads/main", "repo:shop/till:ref:refs/heads/other", false),
            ("repo:shop/*:ref:refs/heads/main", "repo:shop/till:pull:ref:refs/heads/main", false),
            ("repo:shop/*", "repo:shop2/till", false),
            ("a*b*c", "axbyc", true),
            ("a*b*c", "axbyd", false),
            ("a*", "a", true),
        ] {
            assert_eq!(fits(pattern, text), good, "{pattern} {text}");
        }
    }

    #[test]
    fn every_claim_that_is_listed_must_be_there() {
        let meaning: Meaning = serde_json::from_value(json!({
            "workload": "sync", "claims": {"sub": "job:1", "/kubernetes.io/namespace": "shop", "protected": "true"}
        }))
        .unwrap();
        let means = |value: Value| meaning.means(value.as_object().unwrap());
        assert!(means(json!({"sub": "job:1", "kubernetes.io": {"namespace": "shop"}, "protected": true})));
        for bad in [
            json!({"sub": "job:1", "protected": true}),
            json!({"sub": "job:1", "kubernetes.io": {"namespace": "other"}, "protected": true}),
            json!({"sub": "job:1", "kubernetes.io": {"namespace": "shop"}, "protected": false}),
            json!({"sub": ["job:1"], "kubernetes.io": {"namespace": "shop"}, "protected": true}),
        ] {
            assert!(!means(bad));
        }
    }
}
