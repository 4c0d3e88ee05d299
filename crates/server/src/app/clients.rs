//! Clients as they count now. What is stored of one that nobody listed was made by the rules of its day; what it may be
//! is what the configuration says today, on this node, at every use.

use super::App;
use super::startup::COMMAND;
use crate::oidc::{documents, register};
use countersign_store::StoreError;
use countersign_store::sql::StoredClient;
use countersign_trust::client::{Client, Refresh};
use countersign_trust::limits;
use countersign_trust::operator;
use countersign_wire::{ClientId, Time};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Between "by command" and where a client came from that a command switched off.
const FROM: char = '/';

/// What clients that may act are registered for, taken together, by whatever way they came.
#[derive(Default)]
pub struct Registered {
    /// Scopes.
    pub scopes: BTreeSet<String>,
    /// Whether one gets refresh tokens.
    pub refresh: bool,
    /// Whether one asks for a word of a person's own.
    pub user_code: bool,
    /// Whether one that an idle screen signs people in to takes them without a phone.
    pub without_phone: bool,
    /// Whether one needs no key.
    pub bearer: bool,
}

/// The same as it was a moment ago, for whoever comes: pages and documents ask for it that anybody may fetch. Forgotten when a
/// client changes; what another process did is heard by the log, or when its time is over.
#[derive(Default)]
pub struct Known(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    changes: u64,
    until: Option<(Time, Arc<Registered>)>,
}

impl Known {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A client changed.
    pub fn forget(&self) {
        let mut kept = self.kept();
        *kept = Kept { changes: kept.changes + 1, until: None };
    }
}

impl App {
    /// What clients are registered for.
    pub async fn registered(&self) -> Result<Arc<Registered>, StoreError> {
        let now = self.now();
        let changes = match &*self.known.kept() {
            Kept { until: Some((until, all)), .. } if now < *until => return Ok(all.clone()),
            kept => kept.changes,
        };
        let mut all = Registered::default();
        for client in self.store.clients().await?.into_iter().map(|stored| ruled(self, stored).client) {
            if client.disabled || client.id.as_str() == operator::CLIENT {
                continue;
            }
            all.refresh |= client.refresh != Refresh::Never;
            all.user_code |= client.ciba.is_some_and(|ciba| ciba.user_code);
            all.without_phone |= client.without_phone.is_some() && self.config.terminals.idle_for(&client.id);
            all.bearer |= client.danger_allow_bearer;
            all.scopes.extend(client.scopes);
        }
        let all = Arc::new(all);
        let mut kept = self.known.kept();
        // What was read before a change is not kept after it.
        if kept.changes == changes {
            kept.until = Some((now.plus_s(limits::REGISTERED_S), all.clone()));
        }
        Ok(all)
    }
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
