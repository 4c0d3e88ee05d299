use super::{Store, Write};
use crate::{Query, Row, Statement, StoreError};
use countersign_wire::{KeyId, Time};

/// A key of the server, sealed.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// `kid`.
    pub id: KeyId,
    /// Row version.
    pub version: i64,
    /// `sign`, `vapid`, or `K`.
    pub purpose: String,
    /// Algorithm.
    pub alg: String,
    /// `next` `active` `old` `retired`; a K has no `next` and no `old`.
    pub state: String,
    /// Public part as JSON; empty for `K`.
    pub public: String,
    /// The private part, sealed.
    pub sealed: Vec<u8>,
    /// Made at.
    pub made_at: Time,
    /// Version of K.
    pub serial: i64,
}

fn key(row: &Row) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        id: row.parsed(0)?,
        version: row.int(1)?,
        purpose: row.text(2)?.to_owned(),
        alg: row.text(3)?.to_owned(),
        state: row.text(4)?.to_owned(),
        public: row.text(5)?.to_owned(),
        sealed: row.bytes(6)?.to_vec(),
        made_at: Time(row.int(7)?),
        serial: row.int(8)?,
    })
}

impl Store {
    /// All keys that are not retired, oldest first.
    pub async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let q = Query::new(
            "SELECT id, version, purpose, alg, state, public_key, sealed, made_at, serial FROM key \
             WHERE state <> 'retired' ORDER BY made_at",
            [],
        );
        self.many(q, key).await
    }
}

impl Write {
    /// A key is made; one serial exists once, so two nodes cannot both make it.
    pub fn key_made(k: &StoredKey) -> Write {
        Write(Statement::one(
            "INSERT INTO key (id, version, purpose, alg, state, public_key, sealed, made_at, serial) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8)",
            [
                k.id.as_str().into(),
                k.purpose.as_str().into(),
                k.alg.as_str().into(),
                k.state.as_str().into(),
                k.public.as_str().into(),
                k.sealed.clone().into(),
                k.made_at.0.into(),
                k.serial.into(),
            ],
        ))
    }
    /// A key's life goes on: `next` → `active` → `old` → `retired`.
    pub fn key_moved(k: &StoredKey, state: &'static str) -> Write {
        Write(Statement::one(
            "UPDATE key SET state = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [k.id.as_str().into(), k.version.into(), state.into()],
        ))
    }
}
