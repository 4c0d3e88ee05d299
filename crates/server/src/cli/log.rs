//! `countersign log`: what was recorded, as a story or as JSON lines.

use super::Ended;
use crate::app::{App, ceremony::story};
use countersign_wire::Time;
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub enum LogCommand {
    /// The story of one ceremony, with its 17 verdicts.
    Story { cid: String },
    /// Everything of one cause, from the request to the tokens.
    Txn { txn: String },
    /// The refusal that a person was told by reference.
    Ref { reference: String },
    /// The newest events.
    Tail {
        /// How many.
        #[arg(short, default_value_t = 20)]
        n: i64,
    },
}

/// Runs it.
pub async fn run(app: &App, what: LogCommand, json: bool) -> Result<(), Ended> {
    match what {
        LogCommand::Story { cid } => {
            let id = cid.parse().map_err(|_| Ended::usage("a ceremony id"))?;
            let told = story::story(app, &id).await?;
            if json {
                println!("{}", json!({"events": told.events, "verdicts": told.verdicts}));
                return Ok(());
            }
            for e in &told.events {
                let text = |name: &str| e.get(name).and_then(Value::as_str).unwrap_or("");
                let ms = e.get("ms").and_then(Value::as_i64).unwrap_or(0);
                println!("{:>9.3} s  {:22} {:16} {}", ms as f64 / 1000.0, text("kind"), text("code"), e.get("facts").unwrap_or(&Value::Null));
            }
            for v in &told.verdicts {
                let text = |name: &str| v.get(name).and_then(Value::as_str).unwrap_or("");
                println!("  mitigation {:>2}  {:8} {}", v.get("n").unwrap_or(&Value::Null), text("verdict"), text("because"));
            }
            Ok(())
        }
        LogCommand::Txn { txn } => {
            print(app.store.transaction(&txn).await?, json);
            Ok(())
        }
        LogCommand::Ref { reference } => {
            let shape = reference.len() == 13 && reference.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'R');
            if !shape {
                return Err(Ended::usage("a reference such as R-481-720-936"));
            }
            let found = app.store.by_reference(&reference).await?;
            let line = found.ok_or_else(|| Ended::refused("nothing is recorded under this reference"))?;
            print(vec![line], json);
            Ok(())
        }
        LogCommand::Tail { n } => {
            let mut lines = app.store.latest(n.clamp(1, 1_000)).await?;
            lines.reverse();
            print(lines, json);
            Ok(())
        }
    }
}

fn print(lines: Vec<(Option<i64>, countersign_store::EventRow)>, json: bool) {
    for (seq, e) in lines {
        let body: Value = serde_json::from_str(&e.body).unwrap_or(Value::Null);
        if json {
            println!("{}", json!({"seq": seq, "event": body}));
            continue;
        }
        let code = body.get("code").and_then(Value::as_str).unwrap_or("");
        let seq = seq.map_or_else(|| "-".to_owned(), |s| s.to_string());
        println!("{seq:>8}  {}  {:22} {code:16} {}", Time(e.at).seconds(), e.kind, body.get("facts").unwrap_or(&Value::Null));
    }
}
