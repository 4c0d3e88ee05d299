//! Clients as they count now. What is stored of one that nobody listed was made by the rules of its day; what it may be
//! is what the configuration says today, on this node, at every use.

use super::App;
use crate::oidc::{documents, register};
use countersign_store::StoreError;
use countersign_store::sql::StoredClient;
use countersign_trust::client::Client;
use countersign_wire::ClientId;

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
