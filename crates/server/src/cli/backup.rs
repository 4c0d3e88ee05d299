//! `countersign backup` and `restore`. A restored store is older than what happened since: every
//! session, ceremony, code, token and open invitation in it ends in the same transaction.

use super::Ended;
use crate::app::App;
use crate::config::Config;
use crate::serve;
use countersign_store::Clock as _;
use countersign_store::sql::{Stopped, restored};
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use serde_json::json;
use std::path::Path;

/// Takes a backup.
pub async fn take(app: &App, file: &Path, as_json: bool) -> Result<(), Ended> {
    let manifest = app.store.engine().backup(file).await?;
    if as_json {
        println!("{}", json!({"rows": manifest.rows, "sha256": manifest.sha256}));
    } else {
        println!("{} rows in `{}`", manifest.rows, file.display());
        println!("The sealing key is not in it: keep a copy of that apart.");
    }
    Ok(())
}

/// Brings a backup back. `revoked` lists what was stopped since; it stays stopped.
pub async fn restore(config: Config, file: &Path, revoked: Option<&Path>, as_json: bool) -> Result<(), Ended> {
    let stopped = match revoked {
        None => Vec::new(),
        Some(path) => list(
            &std::fs::read_to_string(path).map_err(|e| Ended::usage(format!("cannot read `{}`: {e}", path.display())))?,
        )?,
    };
    let chance = serve::system_chance();
    let ids: [u8; 10] = crate::chance::bytes(&*chance);
    let txn: [u8; 10] = crate::chance::bytes(&*chance);
    let batch = restored(&stopped, ids, txn, countersign_wire::Time(countersign_store::SystemClock.now()));
    let manifest = countersign_store::backup::restore(&config.database, file, batch).await?;
    if as_json {
        println!("{}", json!({"rows": manifest.rows, "sha256": manifest.sha256}));
    } else {
        println!("{} rows are back. Every session and everything pending in them has ended.", manifest.rows);
    }
    Ok(())
}

/// Whatever is stopped now, one a line: what a restore from an older backup needs.
pub async fn stopped(app: &App) -> Result<(), Ended> {
    for one in app.store.stopped().await? {
        match one {
            Stopped::Device(id, state) => println!("device {id} {}", state.as_str()),
            Stopped::Person(id, state) => println!("person {id} {}", state.as_str()),
            Stopped::Passkey(id) => println!("passkey {id}"),
            Stopped::Workload(id) => println!("workload {id}"),
            Stopped::Terminal(id, state) => println!("terminal {id} {}", state.as_str()),
        }
    }
    Ok(())
}

/// Reads such a list. Anything else stops the restore: a list that is read wrongly would bring
/// somebody back who was stopped.
fn list(text: &str) -> Result<Vec<Stopped>, Ended> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let told = line.escape_default().take(90).collect::<String>();
            read(line).ok_or_else(|| Ended::usage(format!("`{told}` is no line of `countersign device ended`")))
        })
        .collect()
}

fn read(line: &str) -> Option<Stopped> {
    let words: Vec<&str> = line.split(' ').collect();
    Some(match words[..] {
        ["device", id, state] => {
            let state = DeviceState::parse(state)?;
            let stopped = !matches!(state, DeviceState::Active | DeviceState::Pending);
            Stopped::Device(id.parse().ok().filter(|_| stopped)?, state)
        }
        ["person", id, state] => {
            let state = PersonState::parse(state)?;
            let stopped = matches!(state, PersonState::Locked | PersonState::Ended);
            Stopped::Person(id.parse().ok().filter(|_| stopped)?, state)
        }
        ["terminal", id, state] => {
            let state = DeviceState::parse(state)?;
            let stopped = !matches!(state, DeviceState::Active | DeviceState::Pending);
            Stopped::Terminal(id.parse().ok().filter(|_| stopped)?, state)
        }
        ["passkey", id] => Stopped::Passkey(id.parse().ok()?),
        ["workload", id] => Stopped::Workload(id.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_not_only_what_was_stopped_is_refused() {
        let id = "0190a7a0-0000-7000-8000-000000000001";
        let good = format!("# since Monday\n\n device {id} lost \nperson {id} locked\npasskey AbC-_\nperson {id} ended\nworkload {id}\nterminal {id} suspended");
        assert_eq!(list(&good).ok().unwrap().len(), 6);
        for bad in [
            "nonsense".to_owned(),
            id.to_owned(),
            format!("device {id}"),
            format!("device {id} active"),
            format!("device {id} lost,"),
            format!("person {id} invited"),
            format!("terminal {id}"),
            format!("terminal {id} active"),
            format!("person {id}  locked"),
            "passkey".to_owned(),
            format!("# so\nrobot {id} lost"),
        ] {
            assert!(list(&bad).is_err(), "{bad}");
        }
    }
}
