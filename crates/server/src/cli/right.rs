//! `countersign right`: what was given just in time, and its end.

use super::Ended;
use crate::app::{App, rights};
use countersign_trust::limits;
use serde_json::json;

#[derive(clap::Subcommand)]
pub enum RightCommand {
    /// Every right that lives now.
    List,
    /// End one.
    End {
        /// Session id.
        session: String,
        /// Right id.
        right: String,
    },
}

/// Runs it.
pub async fn run(app: &App, what: RightCommand, json: bool) -> Result<(), Ended> {
    match what {
        RightCommand::List => list(app, json).await,
        RightCommand::End { session, right } => {
            let session = session.parse().map_err(|_| Ended::usage("a session id"))?;
            let right = right.parse().map_err(|_| Ended::usage("a right id"))?;
            rights::end_by_operator(app, &session, &right).await?;
            if json { println!("{}", json!({"ended": right})) } else { println!("ended") }
            Ok(())
        }
    }
}

async fn list(app: &App, json: bool) -> Result<(), Ended> {
    let (now, mut after) = (app.now(), String::new());
    loop {
        let page = app.store.sessions_after(&after, limits::LIST).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.facts.id.to_string();
        for session in page.iter().filter(|s| s.is_live(now)) {
            let f = &session.facts;
            for r in f.rights.iter().filter(|r| r.is_live(now)) {
                if json {
                    println!("{}", json!({"id": r.id, "session": f.id, "person": f.person, "client": r.client, "scope": r.scope,
                        "until": r.until.seconds(), "by": r.by, "reason": r.reason}));
                } else {
                    let left_s = r.until.seconds() - now.seconds();
                    println!("{}  {}  {} for {}, {left_s} s left, {} approved by {}", r.id, f.id, r.scope, r.client, f.person, r.by.person);
                }
            }
        }
    }
}
