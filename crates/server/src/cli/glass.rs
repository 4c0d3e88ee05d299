//! `countersign glass`: what two people opened at terminals that could not ask, and its review.

use super::Ended;
use crate::app::{App, glass, terminals};
use countersign_trust::glass::{Glass, GlassUse, Mark};
use countersign_wire::{PersonId, TerminalId, Time};
use serde_json::json;

#[derive(clap::Subcommand)]
pub enum GlassCommand {
    /// Uses that wait for review.
    List {
        /// Those that were reviewed, too.
        #[arg(long)]
        all: bool,
    },
    /// Grants that terminals have, or did not hand in in time.
    Grants {
        /// Those that were handed in, too.
        #[arg(long)]
        all: bool,
    },
    /// Say that a terminal's grant is lost, with whatever was opened with it: its disk is gone, or the answer never came.
    Forget {
        /// Id or name.
        terminal: String,
    },
    /// Say that you looked at a use: an operator who neither opened it nor worked with it.
    Review {
        /// Its id, from `list`.
        id: String,
        /// Login name of whoever reviews. This console believes who says so.
        #[arg(long)]
        by: String,
        /// What was found.
        #[arg(long)]
        word: String,
    },
}

/// Runs it.
pub async fn run(app: &App, what: GlassCommand, json: bool) -> Result<(), Ended> {
    match what {
        GlassCommand::List { all } => {
            for used in glass::uses(app, all).await? {
                show(app, &used, json).await?;
            }
        }
        GlassCommand::Grants { all } => {
            for grant in glass::grants(app, all).await? {
                tell(app, &grant, json).await?;
            }
        }
        GlassCommand::Forget { terminal } => {
            glass::forget(app, &terminal).await?;
            if json { println!("{}", json!({"forgotten": terminal})) } else { println!("forgotten; the log has it as `glass.doubted`") }
        }
        GlassCommand::Review { id, by, word } => {
            glass::review(app, &id, &by, &word).await?;
            if json { println!("{}", json!({"reviewed": id})) } else { println!("reviewed") }
        }
    }
    Ok(())
}

async fn name(app: &App, person: &PersonId) -> Result<String, Ended> {
    Ok(app.store.named(person).await?.map_or_else(|| person.to_string(), |n| n.login))
}

async fn plate(app: &App, id: &TerminalId) -> Result<String, Ended> {
    Ok(terminals::named(app, id.as_str()).await.map_or_else(|_| id.to_string(), |t| t.facts.name))
}

async fn show(app: &App, used: &GlassUse, json: bool) -> Result<(), Ended> {
    let f = &used.facts;
    let mut by = Vec::new();
    for b in &f.by {
        by.push(name(app, &b.person).await?);
    }
    let works = match &f.works {
        Some(person) => Some(name(app, person).await?),
        None => None,
    };
    let terminal = plate(app, &f.terminal).await?;
    if json {
        println!("{}", json!({
            "id": used.id, "glass": f.glass, "use": f.number, "terminal": f.terminal, "name": terminal, "client": f.client, "scopes": f.scopes, "reason": f.reason,
            "by": by, "works": works, "begin": f.begin, "end": f.end, "handed_at": f.handed_at.seconds(), "marks": f.marks, "why": f.why, "record": f.record,
            "review": f.review.as_ref().map(|r| json!({"by": r.by, "at": r.at.seconds(), "word": r.word})),
        }));
        return Ok(());
    }
    println!("{}", used.id);
    println!("    {terminal}, use {}: {} for {}, {} to {}", f.number, f.scopes.join(" "), f.client, Time::from_seconds(f.begin).rfc3339(), Time::from_seconds(f.end).rfc3339());
    match f.why {
        None => println!("    opened by {}; for {}; reason: {}", by.join(" and "), works.as_deref().unwrap_or("nobody by name"), f.reason),
        Some(_) => println!("    could be opened by {}", by.join(", ")),
    }
    for mark in &f.marks {
        println!("    ! {}{}", Mark::words(*mark), f.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default());
    }
    match &f.review {
        Some(r) => println!("    reviewed by {}: {}", name(app, &r.by).await?, r.word),
        None => println!("    waits for review"),
    }
    Ok(())
}

async fn tell(app: &App, g: &Glass, json: bool) -> Result<(), Ended> {
    let terminal = plate(app, &g.terminal).await?;
    if json {
        println!("{}", json!({
            "glass": g.id, "terminal": g.terminal, "name": terminal, "client": g.client, "serial": g.serial, "state": g.state.as_str(),
            "made_at": g.made_at.seconds(), "until": g.until.seconds(), "due": g.due().seconds(),
        }));
    } else {
        println!("{} {:7} {:24} {} until {}, due {}", g.id, g.state.as_str(), terminal, g.client, g.until.rfc3339(), g.due().rfc3339());
    }
    Ok(())
}
