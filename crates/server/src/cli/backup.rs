//! `countersign backup` and `restore`. A restored store is older than what happened since: every
//! session, ceremony, code, token and open invitation in it ends in the same transaction.

use super::Ended;
use crate::app::App;
use crate::config::Config;
use crate::serve;
use countersign_store::Clock as _;
use countersign_store::sql::restored;
use countersign_wire::DeviceId;
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

/// Brings a backup back. `revoked` lists devices that were revoked since; they never come back.
pub async fn restore(config: Config, file: &Path, revoked: Option<&Path>, as_json: bool) -> Result<(), Ended> {
    let list = match revoked {
        None => Vec::new(),
        Some(path) => ids(
            &std::fs::read_to_string(path).map_err(|e| Ended::usage(format!("cannot read `{}`: {e}", path.display())))?,
        )?,
    };
    let chance = serve::system_chance();
    let ids: [u8; 10] = crate::chance::bytes(&*chance);
    let txn: [u8; 10] = crate::chance::bytes(&*chance);
    let batch = restored(&list, ids, txn, countersign_wire::Time(countersign_store::SystemClock.now()));
    let manifest = countersign_store::backup::restore(&config.database, file, batch).await?;
    if as_json {
        println!("{}", json!({"rows": manifest.rows, "sha256": manifest.sha256}));
    } else {
        println!("{} rows are back. Every session and everything pending in them has ended.", manifest.rows);
    }
    Ok(())
}

/// Device ids, one a line. Anything else stops the restore: a list that is read wrongly would bring
/// a revoked device back.
fn ids(text: &str) -> Result<Vec<String>, Ended> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| match line.parse::<DeviceId>() {
            Ok(id) => Ok(id.to_string()),
            Err(_) => Err(Ended::usage(format!("`{}` is no device id", line.escape_default().take(60).collect::<String>()))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_list_that_is_not_only_ids_is_refused() {
        let id = "0190a7a0-0000-7000-8000-000000000001";
        assert!(ids(&format!("# lost\n\n {id} \n{id}")).is_ok_and(|all| all == [id, id]));
        for bad in ["nonsense", &format!("{id},"), &format!("id\n{id}")] {
            assert!(ids(bad).is_err(), "{bad}");
        }
    }
}
