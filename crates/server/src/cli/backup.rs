//! `countersign backup` and `restore`. A restored store is older than what happened since: every
//! session, ceremony, code, token and open invitation in it ends in the same transaction.

use super::Ended;
use crate::app::App;
use crate::config::Config;
use crate::serve;
use countersign_store::Clock as _;
use countersign_store::sql::restored;
use serde_json::json;
use std::path::Path;

/// Takes a backup.
pub async fn take(app: &App, file: &Path, as_json: bool) -> Result<(), Ended> {
    let manifest = app.store.engine().backup(file).await.map_err(|e| Ended::store(e.to_string()))?;
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
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Ended::usage(format!("cannot read `{}`: {e}", path.display())))?
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect(),
    };
    let chance = serve::system_chance();
    let ids: [u8; 10] = crate::chance::bytes(&*chance);
    let txn: [u8; 10] = crate::chance::bytes(&*chance);
    let batch = restored(&list, ids, txn, countersign_wire::Time(countersign_store::SystemClock.now()));
    let manifest = countersign_store::backup::restore(&config.database, file, batch)
        .await
        .map_err(|e| Ended::store(e.to_string()))?;
    if as_json {
        println!("{}", json!({"rows": manifest.rows, "sha256": manifest.sha256}));
    } else {
        println!("{} rows are back. Every session and everything pending in them has ended.", manifest.rows);
    }
    Ok(())
}
