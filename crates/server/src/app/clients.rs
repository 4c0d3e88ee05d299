//! Clients as they count now. What is stored of one that nobody listed was made by the rules of its day; what it may be
//! is what the configuration says today, on this node, at every use.

use super::App;
use super::startup::COMMAND;
use crate::oidc::{documents, register};
use countersign_store::StoreError;
use countersign_store::sql::StoredClient;
use countersign_trust::client::Client;
use countersign_wire::ClientId;

/// Between "by command" and where a client came from that a command switched off.
const FROM: char = '/';

impl App {
    /// A client. Everything but a look at the rows themselves asks here.
    pub async fn client(&self, id: &ClientId) -> Result<Option<StoredClient>, StoreError> {
        Ok(self.store.client(id).await?.map(|stored| ruled(self, stored)))
    }
}

/// What the rules for clients that nobody listed make of a client: its host must be listed, where it came by a document,
/// and it may ask for what they may ask for, no more and no less.
pub fn ruled(app: &App, stored: StoredClient) -> StoredClient {
    let listed = match stored.source.as_str() {
        documents::DOCUMENT => documents::is_known(app, &stored.client.id),
        register::REGISTRATION => true,
        _ => return stored,
    };
    let rules = &app.config.newcomers;
    let client = Client {
        disabled: stored.client.disabled || !listed,
        scopes: rules.scopes.clone(),
        audience: rules.audience.clone(),
        resources: rules.resources.clone(),
        danger_allow_bearer: rules.danger_allow_bearer,
        ..stored.client
    };
    StoredClient { client, ..stored }
}

/// The source of a client that a command switched off: that it did, and where the client came from.
pub fn stopped(source: &str) -> String {
    if is_commands(source) { source.to_owned() } else { format!("{COMMAND}{FROM}{source}") }
}

/// Where such a client came from: what it is again when a command switches it on.
pub fn origin(source: &str) -> &str {
    source.split_once(FROM).map_or(source, |(_, origin)| origin)
}

/// Whether a command said the last word about it.
pub fn is_commands(source: &str) -> bool {
    source.split(FROM).next() == Some(COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_switched_off_is_known_for_it_and_for_where_it_came_from() {
        for source in ["configuration", documents::DOCUMENT, register::REGISTRATION] {
            let off = stopped(source);
            assert!(is_commands(&off) && !is_commands(source) && origin(&off) == source && stopped(&off) == off, "{off}");
        }
        assert!(stopped(COMMAND) == COMMAND && origin(COMMAND) == COMMAND && is_commands(COMMAND));
    }
}
