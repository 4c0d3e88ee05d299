use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_wire::{
    CeremonyId, ClientId, EventId, PersonId, RequestId, SessionId, Thumbprint, Time, TxnId,
};
use serde::{Deserialize, Serialize};

/// An authorization code.
#[derive(Clone, Debug)]
pub struct StoredCode {
    /// base64url H(code).
    pub hash: String,
    /// Row version.
    pub version: i64,
    /// `open` `used` `revoked`.
    pub state: String,
    /// Until when.
    pub until: Time,
    /// What it stands for.
    pub facts: CodeFacts,
}

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeFacts {
    /// Transaction of the log.
    pub txn: TxnId,
    /// The session it speaks for.
    pub session: SessionId,
    /// The request it answers.
    pub request: RequestId,
    /// The ceremony whose redemption it claims, if any.
    pub ceremony: Option<CeremonyId>,
    /// The only client that may use it.
    pub client: ClientId,
    /// The only redirect URI.
    pub redirect_uri: String,
    /// PKCE challenge.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// The only key, if the client named one.
    pub dpop_jkt: Option<Thumbprint>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// `nonce` for the ID token.
    pub nonce: Option<String>,
}

/// A relying party that must still be told that a session ended.
#[derive(Clone, Debug)]
pub struct OwedLogout {
    /// Its id.
    pub id: EventId,
    /// Row version.
    pub version: i64,
    /// Whom to tell.
    pub client: ClientId,
    /// Which session.
    pub session: SessionId,
    /// Whose.
    pub person: PersonId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// Tries so far.
    pub tries: i64,
}

impl Store {
    /// A code, by its hash.
    pub async fn code(&self, hash: &str) -> Result<Option<StoredCode>, StoreError> {
        let q = Query::new(
            "SELECT id, version, state, expires_at, body FROM code WHERE id = $1",
            [hash.into()],
        );
        let read = |row: Row| {
            Ok(StoredCode {
                hash: row.text(0)?.to_owned(),
                version: row.int(1)?,
                state: row.text(2)?.to_owned(),
                until: Time(row.int(3)?),
                facts: from_json(&row, 4)?,
            })
        };
        self.engine.first(q).await?.map(read).transpose()
    }
    /// Log-outs that are due.
    pub async fn logouts_due(&self, now: Time, limit: i64) -> Result<Vec<OwedLogout>, StoreError> {
        let q = Query::new(
            "SELECT id, version, client, session, person, txn, tries FROM logout \
             WHERE state = 'owed' AND next_at <= $1 ORDER BY next_at LIMIT $2",
            [now.0.into(), limit.into()],
        );
        let read = |row: &Row| {
            Ok(OwedLogout {
                id: row.parsed(0)?,
                version: row.int(1)?,
                client: row.parsed(2)?,
                session: row.parsed(3)?,
                person: row.parsed(4)?,
                txn: row.parsed(5)?,
                tries: row.int(6)?,
            })
        };
        self.engine.query(q).await?.iter().map(read).collect()
    }
}

impl Write {
    /// A code is made.
    pub fn code_made(hash: &str, f: &CodeFacts, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO code (id, version, state, session, client, expires_at, body) \
             VALUES ($1, 1, 'open', $2, $3, $4, $5)",
            [
                hash.into(),
                f.session.as_str().into(),
                f.client.as_str().into(),
                until.0.into(),
                json(f).into(),
            ],
        ))
    }
    /// A code is used, once.
    pub fn code_used(c: &StoredCode) -> Write {
        Write(Statement::one(
            "UPDATE code SET state = 'used', version = version + 1 WHERE id = $1 AND version = $2 AND state = 'open'",
            [c.hash.as_str().into(), c.version.into()],
        ))
    }
    /// A relying party must be told.
    pub fn logout_owed(l: &OwedLogout, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO logout (id, version, client, session, person, txn, state, tries, next_at) \
             VALUES ($1, 1, $2, $3, $4, $5, 'owed', 0, $6)",
            [
                l.id.as_str().into(),
                l.client.as_str().into(),
                l.session.as_str().into(),
                l.person.as_str().into(),
                l.txn.as_str().into(),
                at.0.into(),
            ],
        ))
    }
    /// It was told (`done`), or given up (`failed`), or is tried again later (`owed`).
    pub fn logout_tried(l: &OwedLogout, state: &'static str, next_at: Time) -> Write {
        Write(Statement::one(
            "UPDATE logout SET state = $3, tries = tries + 1, next_at = $4, version = version + 1 \
             WHERE id = $1 AND version = $2 AND state = 'owed'",
            [
                l.id.as_str().into(),
                l.version.into(),
                state.into(),
                next_at.0.into(),
            ],
        ))
    }
}
