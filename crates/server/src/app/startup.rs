//! What is done once, before the first request: rules, clients, the first administrator.

use super::{App, Fault, attestation, clients, people, policies};
use countersign_store::{Commit, Write};
use countersign_store::sql::StoredClient;
use countersign_trust::audit::Kind;
use countersign_trust::client::Client;
use countersign_trust::principal::{PersonState, Role};

/// Registered by the configuration file.
pub const CONFIGURATION: &str = "configuration";
/// Registered or changed by command.
pub const COMMAND: &str = "command";

/// What the configuration makes of a client that the store knows. One that a command switched off
/// stays off: a restart is no way back for it.
fn configured(old: &StoredClient, listed: &Client) -> Option<Client> {
    let stopped = clients::is_commands(&old.source) && old.client.disabled;
    let new = Client { disabled: listed.disabled || stopped, ..listed.clone() };
    let owned = old.source == CONFIGURATION || stopped;
    (!same(&old.client, &new) || !owned).then_some(new)
}

/// Whether two are registered alike.
pub fn same(a: &Client, b: &Client) -> bool {
    serde_json::to_value(a).ok() == serde_json::to_value(b).ok()
}

/// Clients of the configuration as facts of the store. One that is no longer listed is disabled.
pub async fn clients(app: &App) -> Result<(), Fault> {
    // A file that enrolments need later is read once now, so that a mistake stops the start.
    attestation::roots(&app.config)?;
    let stored = app.store.clients().await?;
    let now = app.now();
    let txn = app.txn(now);
    let change = |id: &countersign_wire::ClientId, what: &str| {
        let mut event = app.event(Kind::ClientChanged, &txn, now).fact("what", what);
        event.client = Some(id.clone());
        Commit::new(event)
    };
    let page = super::operator::client(&app.config.issuer)?;
    let listed: Vec<&Client> = app.config.clients.iter().chain([&page]).collect();
    for client in &listed {
        let commit = match stored.iter().find(|s| s.client.id == client.id) {
            Some(old) => {
                let Some(new) = configured(old, client) else { continue };
                let source = if new.disabled && clients::is_commands(&old.source) { clients::stopped(CONFIGURATION) } else { CONFIGURATION.to_owned() };
                let mut commit = change(&client.id, "changed");
                commit.write(Write::client_changed(old, &new, &source));
                commit
            }
            None if app.store.workload_by_client(&client.id).await?.is_some() => {
                return Err(Fault::because(countersign_trust::Refusal::Denied, "a workload has the id of a client"));
            }
            None => {
                let mut commit = change(&client.id, "added");
                commit.write(Write::client_added(client, CONFIGURATION));
                commit
            }
        };
        app.commit(commit).await?;
    }
    for old in stored.iter().filter(|s| s.source == CONFIGURATION && !s.client.disabled) {
        if !listed.iter().any(|c| c.id == old.client.id) {
            let gone = Client { disabled: true, ..old.client.clone() };
            let mut commit = change(&gone.id, "disabled");
            commit.write(Write::client_changed(old, &gone, CONFIGURATION));
            app.commit(commit).await?;
        }
    }
    // Those that nobody listed are what the rules for them say now. At every use they are so anyway: this is for those who look.
    for old in stored {
        let new = clients::ruled(app, old.clone()).client;
        if !same(&old.client, &new) {
            let mut commit = change(&new.id, if new.disabled && !old.client.disabled { "disabled" } else { "changed" });
            commit.write(Write::client_changed(&old, &new, &old.source));
            app.commit(commit).await?;
        }
    }
    for alg in app.config.clients.iter().map(|c| c.id_token_alg) {
        app.keys.ensure(&app.store, alg).await.map_err(|_| Fault::because(countersign_trust::Refusal::Unavailable, "signing key"))?;
    }
    if app.config.push.is_some() {
        app.keys.ensure_vapid(&app.store).await.map_err(|_| Fault::because(countersign_trust::Refusal::Unavailable, "key for push services"))?;
    }
    crate::ssf::prepare(app).await
}

/// Login name of the first administrator.
const FIRST: &str = "admin";

/// A one-time link for the first administrator, as long as there is none who can act.
pub async fn first_administrator(app: &App) -> Result<Option<String>, Fault> {
    if app.store.has_administrator().await? {
        return Ok(None);
    }
    // Somebody locked or ended, or of another role, has the name: the operator decides, the server starts.
    if let Some(known) = app.store.person_by_login(FIRST).await?
        && (known.person.role != Role::Administrator || known.person.state != PersonState::Invited)
    {
        tracing::warn!("no administrator can act and the login `{FIRST}` is taken: `countersign invite` makes one");
        return Ok(None);
    }
    let invited = people::invite(app, "Administrator", FIRST, Role::Administrator, None).await?;
    Ok(Some(invited.link))
}

/// The start itself is an event.
pub async fn record_start(app: &App) -> Result<(), Fault> {
    let now = app.now();
    let event = app.event(Kind::ServerStarted, &app.txn(now), now).fact("version", env!("CARGO_PKG_VERSION"));
    app.commit(Commit::new(event)).await?;
    policies::record(app, app.policies.current().version()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client(name: &str, disabled: bool) -> Client {
        let uris = ["https://till.example/cb"];
        serde_json::from_value(json!({"id": "till", "name": name, "redirect_uris": uris, "disabled": disabled})).unwrap()
    }
    fn stored(name: &str, disabled: bool, source: &str) -> StoredClient {
        StoredClient { client: client(name, disabled), version: 1, source: source.to_owned() }
    }

    #[test]
    fn only_what_differs_is_written() {
        assert!(configured(&stored("Till", false, CONFIGURATION), &client("Till", false)).is_none());
        assert_eq!(configured(&stored("Till", false, CONFIGURATION), &client("New", false)).unwrap().name, "New");
        assert!(configured(&stored("Till", false, COMMAND), &client("Till", false)).is_some(), "it is the configuration's now");
        assert!(!configured(&stored("Till", true, CONFIGURATION), &client("Till", false)).unwrap().disabled, "listed again");
    }

    #[test]
    fn what_a_command_switched_off_stays_off_after_a_restart() {
        assert!(configured(&stored("Till", true, COMMAND), &client("Till", false)).is_none());
        let changed = configured(&stored("Till", true, COMMAND), &client("New", false)).unwrap();
        assert!(changed.disabled && changed.name == "New");
    }
}
