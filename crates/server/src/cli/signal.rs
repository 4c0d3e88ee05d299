//! `countersign signal`: what an operator knows about a device, a person, a session or a registered terminal.

use super::Ended;
use crate::app::{App, signals, terminals};
use countersign_trust::signal::{About, Kind, Signal, Subject};
use countersign_wire::Time;
use serde_json::json;

/// Who says so, in the log and to whoever takes it back.
const OPERATOR: &str = "operator";

#[derive(clap::Subcommand)]
pub enum SignalCommand {
    /// Every signal there is.
    Kinds,
    /// Say something about a device or session (by id), a person (by login) or a terminal (by id or name).
    Raise {
        /// For instance device.compromised.
        kind: String,
        /// Device id, session id, login, or a terminal's id or name.
        subject: String,
        /// It counts so many seconds; without, until it is cleared.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=31_536_000))]
        for_s: Option<i64>,
    },
    /// Take it back, whoever said it.
    Clear {
        /// The signal.
        kind: String,
        /// Device id, session id, login, or a terminal's id or name.
        subject: String,
    },
}

/// Runs it.
pub async fn run(app: &App, what: SignalCommand, json: bool) -> Result<(), Ended> {
    let (kind, subject, until) = match &what {
        SignalCommand::Kinds => {
            for kind in Kind::ALL {
                if json {
                    println!("{}", json!({"signal": kind, "says": kind.words()}));
                } else {
                    println!("{:26} {}", kind.as_str(), kind.words());
                }
            }
            return Ok(());
        }
        SignalCommand::Raise { kind, subject, for_s } => (kind, subject, *for_s),
        SignalCommand::Clear { kind, subject } => (kind, subject, None),
    };
    let kind = Kind::parse(kind).ok_or_else(|| Ended::usage("no such signal; `countersign signal kinds` lists them"))?;
    let subject = subject_of(app, kind, subject).await?;
    let now = app.now();
    let txn = app.txn(now);
    let changed = match what {
        SignalCommand::Clear { .. } => signals::clear(app, &subject, kind, None, &txn).await?,
        _ => {
            let until = until.map(|s| now.plus_s(s));
            signals::raise(app, &subject, Signal { kind, source: OPERATOR.to_owned(), at: now, until }, &txn).await?
        }
    };
    tell(changed, &txn.to_string(), until, now, json);
    Ok(())
}

fn tell(changed: bool, txn: &str, for_s: Option<i64>, now: Time, json: bool) {
    if json {
        println!("{}", json!({"changed": changed, "txn": txn, "until": for_s.map(|s| now.plus_s(s).seconds())}));
    } else if changed {
        println!("done; the log has it as {txn}");
    } else {
        println!("nothing changed: it stood so before");
    }
}

async fn subject_of(app: &App, kind: Kind, text: &str) -> Result<Subject, Ended> {
    let no_id = |what: &str| Ended::usage(format!("`{text}` is no {what} id"));
    Ok(match kind.about() {
        About::Device => Subject::Device(text.parse().map_err(|_| no_id("device"))?),
        About::Session => Subject::Session(text.parse().map_err(|_| no_id("session"))?),
        About::Terminal => Subject::Terminal(terminals::named(app, text).await?.id),
        About::Person => {
            let found = app.store.person_by_login(text).await?;
            Subject::Person(found.ok_or_else(|| Ended::refused("no_such_thing: no such login"))?.person.id)
        }
    })
}
