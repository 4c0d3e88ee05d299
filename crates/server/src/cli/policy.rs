//! `countersign policy`: rules are tried before they take effect, and explained afterwards.

use super::{Ended, acting};
use crate::app::policies;
use crate::config::Config;
use countersign_trust::policy::PolicySet;
use countersign_trust::policy::case::{Case, Judged, action};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Events read at once.
const PAGE: i64 = 500;
/// Differences told in full; the rest are counted.
const TOLD: usize = 50;

#[derive(clap::Subcommand)]
pub enum PolicyCommand {
    /// Try cases on a set: every case must be decided as it says.
    Test {
        /// File or folder with rules; without, those in force.
        #[arg(long, value_name = "PATH")]
        policies: Option<PathBuf>,
        /// JSON files with cases.
        #[arg(required = true, value_name = "FILE")]
        cases: Vec<PathBuf>,
    },
    /// Say in plain words why something was decided as it was.
    Explain {
        /// The reference that a person was told, a transaction of the log, or a ceremony.
        reference: String,
        /// Explain what these rules would have said.
        #[arg(long, value_name = "PATH")]
        policies: Option<PathBuf>,
    },
    /// Ask another set everything that was decided, and name what it would have decided otherwise.
    Replay {
        /// File or folder with the other rules.
        #[arg(long, value_name = "PATH")]
        policies: PathBuf,
        /// Begin after this number of the log.
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
}

/// Runs it.
pub async fn run(config: Config, what: PolicyCommand, json: bool) -> Result<(), Ended> {
    match what {
        PolicyCommand::Test { policies, cases } => test(&chosen(&config, policies.as_deref())?, &cases, json),
        PolicyCommand::Explain { reference, policies } => {
            let set = chosen(&config, policies.as_deref())?;
            explain(config, &set, &reference, json).await
        }
        PolicyCommand::Replay { policies, after } => {
            let set = chosen(&config, Some(&policies))?;
            replay(config, &set, after, json).await
        }
    }
}

fn chosen(config: &Config, path: Option<&Path>) -> Result<PolicySet, Ended> {
    let set = match path.or(config.policies.as_deref()) {
        None => PolicySet::shipped(),
        Some(path) => policies::text(path).and_then(|text| PolicySet::compile(&text)),
    };
    set.map_err(|e| Ended::usage(format!("policies: {e}")))
}

fn test(set: &PolicySet, files: &[PathBuf], json: bool) -> Result<(), Ended> {
    let (mut tried, mut wrong) = (0_usize, 0_usize);
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|e| Ended::store(format!("`{}`: {e}", file.display())))?;
        for case in Case::read(&text).map_err(|e| Ended::usage(format!("`{}`: {e}", file.display())))? {
            tried += 1;
            let instead = case.try_on(set).err();
            wrong += usize::from(instead.is_some());
            match (&instead, json) {
                (_, true) => println!("{}", json!({"case": case.name, "good": instead.is_none(), "instead": instead})),
                (Some(instead), false) => println!("wrong  {}\n       expected `{}`, got {instead}", case.name, case.expect),
                (None, false) => println!("good   {}", case.name),
            }
        }
    }
    if !json {
        println!("{} of {tried} cases are good; the set is {}", tried - wrong, set.version());
    }
    if wrong > 0 { Err(Ended::refused(format!("{wrong} cases are decided otherwise"))) } else { Ok(()) }
}

/// A decision that an event has written down.
fn judged(body: &Value) -> Option<Judged> {
    serde_json::from_value(body.pointer("/facts/judged")?.clone()).ok()
}

async fn explain(config: Config, set: &PolicySet, reference: &str, json: bool) -> Result<(), Ended> {
    let app = acting(config).await?;
    let rows = if reference.starts_with("R-") {
        app.store.by_reference(reference).await?.into_iter().collect()
    } else if let Ok(cid) = reference.parse() {
        match app.store.ceremony(&cid).await? {
            Some(c) => app.store.transaction(c.opening.txn.as_str()).await?,
            None => app.store.transaction(reference).await?,
        }
    } else {
        app.store.transaction(reference).await?
    };
    if rows.is_empty() {
        return Err(Ended::refused("nothing is recorded under this name"));
    }
    let mut decided = 0_usize;
    for (_, row) in rows {
        let body: Value = serde_json::from_str(&row.body).unwrap_or_default();
        let Some(j) = judged(&body) else { continue };
        let Some(asked) = action(&j.action) else { continue };
        decided += 1;
        let now = set.decide(asked, &j.facts, "");
        if json {
            println!("{}", json!({"event": row.kind, "action": j.action, "was_allowed": j.allowed, "allowed": now.allowed,
                "policies": now.policies, "code": (!now.allowed).then(|| now.refusal.code()),
                "effect": now.effect, "say": now.say, "facts": j.facts, "unlocked": j.unlocked, "cut": j.cut}));
            continue;
        }
        println!("{}", row.kind);
        for line in now.explained(&j.action, &j.facts) {
            println!("  {line}");
        }
        if now.allowed != j.allowed {
            println!("  it was decided otherwise then, by the rules of that time");
        }
        for scope in &j.cut {
            println!("  `{scope}` was not opened");
        }
    }
    if decided == 0 {
        return Err(Ended::refused("it is recorded, but no rule was asked: `countersign log` has the reason"));
    }
    Ok(())
}

async fn replay(config: Config, set: &PolicySet, after: i64, json: bool) -> Result<(), Ended> {
    let app = acting(config).await?;
    let (mut cursor, mut asked, mut other) = (after, 0_usize, 0_usize);
    loop {
        let page = app.store.engine().events_after(cursor, PAGE).await?;
        let Some(last) = page.last() else { break };
        cursor = last.seq;
        for event in &page {
            let body: Value = serde_json::from_str(&event.event.body).unwrap_or_default();
            let Some(j) = judged(&body) else { continue };
            asked += 1;
            for d in j.again(set) {
                other += 1;
                if json {
                    println!("{}", json!({"seq": event.seq, "txn": event.event.txn, "what": d.what, "was_allowed": d.was,
                        "allowed": d.is.allowed, "policies": d.is.policies}));
                } else if other <= TOLD {
                    let (was, is) = if d.was { ("allowed", "refused") } else { ("refused", "allowed") };
                    println!("{:>8}  {}  {} was {was}, would be {is} by {}", event.seq, event.event.txn, d.what, d.is.policies.join(", "));
                }
            }
        }
    }
    if json {
        println!("{}", json!({"asked": asked, "otherwise": other}));
    } else {
        println!("{asked} decisions asked again, {other} would come out otherwise");
    }
    Ok(())
}
