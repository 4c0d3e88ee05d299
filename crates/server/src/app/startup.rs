//! What is done once, before the first request: rules, clients, the first administrator.

use super::{App, Fault, people};
use crate::config::Config;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::policy::{PolicyFault, PolicySet};
use countersign_trust::principal::Role;

/// The operator's rules, or the shipped ones. A bad file stops the start.
pub fn policy(config: &Config) -> Result<PolicySet, PolicyFault> {
    match &config.policies {
        None => PolicySet::shipped(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| PolicyFault(format!("cannot read `{}`: {e}", path.display())))?;
            PolicySet::compile(&text)
        }
    }
}

/// Clients of the configuration as facts of the store. One that is no longer listed is disabled.
pub async fn clients(app: &App) -> Result<(), Fault> {
    let stored = app.store.clients().await?;
    let now = app.now();
    let txn = app.txn(now);
    let change = |id: &countersign_wire::ClientId, what: &str| {
        let mut event = app.event(Kind::ClientChanged, &txn, now).fact("what", what);
        event.client = Some(id.clone());
        Commit::new(event)
    };
    for client in &app.config.clients {
        let commit = match stored.iter().find(|s| s.client.id == client.id) {
            Some(old) if serde_json::to_value(&old.client).ok() == serde_json::to_value(client).ok() => continue,
            Some(old) => {
                let mut commit = change(&client.id, "changed");
                commit.write(Write::client_changed(old, client, "configuration"));
                commit
            }
            None => {
                let mut commit = change(&client.id, "added");
                commit.write(Write::client_added(client, "configuration"));
                commit
            }
        };
        app.commit(commit).await?;
    }
    for old in stored.iter().filter(|s| s.source == "configuration" && !s.client.disabled) {
        if !app.config.clients.iter().any(|c| c.id == old.client.id) {
            let gone = countersign_trust::client::Client { disabled: true, ..old.client.clone() };
            let mut commit = change(&gone.id, "disabled");
            commit.write(Write::client_changed(old, &gone, "configuration"));
            app.commit(commit).await?;
        }
    }
    for alg in app.config.clients.iter().map(|c| c.id_token_alg) {
        app.keys.ensure(&app.store, alg).await.map_err(|_| Fault::because(countersign_trust::Refusal::Unavailable, "signing key"))?;
    }
    Ok(())
}

/// A one-time link for the first administrator, as long as there is none who can act.
pub async fn first_administrator(app: &App) -> Result<Option<String>, Fault> {
    if app.store.has_administrator().await? {
        return Ok(None);
    }
    let invited = people::invite(app, "Administrator", "admin", Role::Administrator, None).await?;
    Ok(Some(invited.link))
}

/// The start itself is an event.
pub async fn record_start(app: &App) -> Result<(), Fault> {
    let now = app.now();
    let event = app.event(Kind::ServerStarted, &app.txn(now), now).fact("version", env!("CARGO_PKG_VERSION"));
    app.commit(Commit::new(event)).await?;
    Ok(())
}
