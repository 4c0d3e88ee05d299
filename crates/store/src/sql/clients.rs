use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::client::Client;
use countersign_wire::{ClientId, Time};

/// A client with the version of its row.
#[derive(Clone, Debug)]
pub struct StoredClient {
    /// As registered.
    pub client: Client,
    /// Row version.
    pub version: i64,
    /// `configuration`, `command`, `document` or `registration`; `command/` before it where a command switched it off.
    pub source: String,
}

fn client(row: &Row) -> Result<StoredClient, StoreError> {
    Ok(StoredClient {
        version: row.int(1)?,
        source: row.text(2)?.to_owned(),
        client: from_json(row, 3)?,
    })
}

impl Store {
    /// A client.
    pub async fn client(&self, id: &ClientId) -> Result<Option<StoredClient>, StoreError> {
        let q = Query::new(
            "SELECT id, version, source, body FROM client WHERE id = $1",
            [id.as_str().into()],
        )
        .kept(Table::Client, "id");
        self.one(q, client).await
    }
    /// All clients.
    pub async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        let q = Query::new(
            "SELECT id, version, source, body FROM client ORDER BY id",
            [],
        )
        .long();
        self.many(q, client).await
    }
    /// Clients of this source that nobody is signing in to and nobody holds tokens of: no grant lives, and no request
    /// waits that lasts beyond `until`.
    pub async fn idle_clients(&self, source: &str, until: Time, now: Time) -> Result<Vec<StoredClient>, StoreError> {
        let q = Query::new(
            "SELECT id, version, source, body FROM client WHERE source = $1 \
             AND id NOT IN (SELECT client FROM oauth_grant WHERE ended IS NULL AND expires_at > $2) \
             AND id NOT IN (SELECT client FROM request WHERE expires_at > $3) ORDER BY id",
            [source.into(), now.0.into(), until.0.into()],
        )
        .long();
        self.many(q, client).await
    }
}

impl Write {
    /// A new client.
    pub fn client_added(c: &Client, source: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO client (id, version, source, body) VALUES ($1, 1, $2, $3)",
            [c.id.as_str().into(), source.into(), json(c).into()],
        ))
    }
    /// A client is forgotten, from the version it was loaded with.
    pub fn client_forgotten(old: &StoredClient) -> Write {
        Write(Statement::one("DELETE FROM client WHERE id = $1 AND version = $2", [old.client.id.as_str().into(), old.version.into()]))
    }
    /// A client changes.
    pub fn client_changed(old: &StoredClient, new: &Client, source: &str) -> Write {
        Write(Statement::one(
            "UPDATE client SET body = $3, source = $4, version = version + 1 WHERE id = $1 AND version = $2",
            [
                old.client.id.as_str().into(),
                old.version.into(),
                json(new).into(),
                source.into(),
            ],
        ))
    }
}
