//! `countersign workload`: programs that act for themselves.

use super::Ended;
use crate::app::{App, startup, workloads};
use countersign_store::sql::StoredWorkload;
use countersign_trust::principal::PersonState;
use countersign_trust::workload::{Findings, Registration};
use countersign_wire::Time;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum WorkloadCommand {
    /// Register a workload, or change one, from a JSON file.
    Add {
        /// The registration.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// All workloads, with whatever should be looked at: past their date, without an owner who may act,
    /// unused, or with rights that they do not use.
    List {
        /// What was not used for so many days is unused.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        unused_days: u16,
        /// Only those with something to look at, and exit with 1 if there is one.
        #[arg(long)]
        findings: bool,
    },
    /// End a workload for good, by its id or by the name under which it asks.
    End {
        /// Id or name.
        id: String,
    },
}

/// `countersign workload`.
pub async fn run(app: &App, what: WorkloadCommand, as_json: bool) -> Result<(), Ended> {
    match what {
        WorkloadCommand::Add { file } => {
            let text = std::fs::read_to_string(&file).map_err(|e| Ended::usage(format!("cannot read `{}`: {e}", file.display())))?;
            let r: Registration = serde_json::from_str(&text).map_err(|e| Ended::usage(format!("registration: {e}")))?;
            r.check().map_err(Ended::usage)?;
            if app.config.workloads.iter().any(|c| c.client == r.client) {
                return Err(Ended::refused("the configuration lists this workload: change it there"));
            }
            let id = workloads::register(app, &r, startup::COMMAND).await?;
            println!("{id}");
            Ok(())
        }
        WorkloadCommand::End { id } => Ok(workloads::end(app, &id, "operator").await?),
        WorkloadCommand::List { unused_days, findings } => list(app, unused_days, findings, as_json).await,
    }
}

async fn list(app: &App, unused_days: u16, only: bool, as_json: bool) -> Result<(), Ended> {
    let now = app.now();
    let since = now.plus_s(-86_400 * i64::from(unused_days));
    let mut found = 0;
    for stored in workloads::all(app).await? {
        let shown = Shown::of(app, stored, since, now).await?;
        let lives = shown.stored.workload.ended.is_none();
        let worth_a_look = lives && shown.findings != Findings::default();
        found += usize::from(worth_a_look);
        if only && !worth_a_look {
            continue;
        }
        if as_json { println!("{}", shown.json()) } else { println!("{}", shown.text()) }
    }
    if only && found > 0 { Err(Ended::refused(format!("{found} workloads to look at"))) } else { Ok(()) }
}

/// One line of the list.
struct Shown {
    stored: StoredWorkload,
    owner: String,
    owner_state: &'static str,
    used_at: Option<Time>,
    findings: Findings,
}

impl Shown {
    async fn of(app: &App, stored: StoredWorkload, since: Time, now: Time) -> Result<Shown, Ended> {
        let w = &stored.workload;
        let named = app.store.named(&w.owner).await?;
        let uses = app.store.uses_of(&w.id).await?;
        let acts = named.as_ref().is_some_and(|n| n.person.state == PersonState::Active);
        let findings = Findings::of(w, acts, &uses, since, now);
        let (owner, owner_state) = named.map_or((String::new(), "gone"), |n| (n.login, n.person.state.as_str()));
        Ok(Shown { used_at: uses.iter().map(|u| u.at).max(), findings, owner, owner_state, stored })
    }

    fn state(&self) -> String {
        match &self.stored.workload.ended {
            Some(why) => format!("ended ({why})"),
            None => "live".to_owned(),
        }
    }

    fn json(&self) -> serde_json::Value {
        let w = &self.stored.workload;
        let keys: Vec<String> = w.facts.keys.iter().map(|k| k.thumbprint().to_string()).collect();
        json!({
            "id": w.id, "client_id": w.client, "name": w.facts.name, "owner": self.owner, "owner_state": self.owner_state,
            "environment": w.facts.environment, "until": w.until.seconds(), "ended": w.ended, "source": self.stored.source,
            "audiences": w.facts.audiences, "scopes": w.facts.scopes, "keys": keys, "bearer": w.facts.danger_allow_bearer,
            "used_at": self.used_at.map(Time::seconds), "findings": self.findings,
        })
    }

    fn text(&self) -> String {
        let w = &self.stored.workload;
        let mut out = format!(
            "{:32} {:12} {:24} {:20} {}",
            w.client.as_str(), w.facts.environment, self.owner, self.state(), w.facts.name
        );
        if w.ended.is_some() {
            return out;
        }
        let f = &self.findings;
        let words = [
            (f.over, "past its date"),
            (f.without_owner, "its owner may not act"),
            (f.unused, "unused"),
        ];
        for (_, word) in words.iter().filter(|(is, _)| *is) {
            out.push_str(&format!("\n    {word}"));
        }
        for right in &f.over_granted {
            out.push_str(&format!("\n    never asks for {right}"));
        }
        out
    }
}
