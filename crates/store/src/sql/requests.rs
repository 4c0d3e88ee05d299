use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_wire::statement::Detail;
use countersign_wire::{ClientId, PersonId, RequestId, Time, TxnId};
use serde::{Deserialize, Serialize};

/// An authorization request, bound to the browser that asked.
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// Row version.
    pub version: i64,
    /// base64url H(b); while pushed, of the secret in its `request_uri`.
    pub browser_hash: String,
    /// `pushed`, `open` or `done`.
    pub state: String,
    /// Until when.
    pub until: Time,
    /// What was asked; never changes.
    pub facts: RequestFacts,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFacts {
    /// Its id, the `flow` of the page.
    pub id: RequestId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// Client.
    pub client: ClientId,
    /// Redirect URI, checked.
    pub redirect_uri: String,
    /// `state`, returned as it came.
    pub state: Option<String>,
    /// `nonce`, returned in the ID token.
    pub nonce: Option<String>,
    /// Scopes that the client may ask for.
    pub scopes: Vec<String>,
    /// Authorization details (RFC 9396), with their words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// The only audience that its tokens are for, where it names one (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// PKCE challenge (S256); none for a client that is registered to go without.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// Thumbprint the code shall be bound to.
    pub dpop_jkt: Option<String>,
    /// Classes asked for.
    pub acr_values: Vec<String>,
    /// `prompt` values.
    pub prompt: Vec<String>,
    /// The only person it is for, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Claims that the ID token shall carry beside the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_claims: Vec<String>,
    /// `max_age`, seconds.
    pub max_age_s: Option<i64>,
    /// How the answer travels: `query` or `form_post`, signed with `.jwt` behind it.
    pub response_mode: String,
    /// base64url H of the whole request as it came.
    pub hash: String,
    /// Asked at.
    pub at: Time,
}

fn request(row: &Row) -> Result<AuthRequest, StoreError> {
    Ok(AuthRequest {
        version: row.int(1)?,
        browser_hash: row.text(2)?.to_owned(),
        state: row.text(3)?.to_owned(),
        until: Time(row.int(4)?),
        facts: from_json(row, 5)?,
    })
}

impl Store {
    /// An authorization request.
    pub async fn request(&self, id: &RequestId) -> Result<Option<AuthRequest>, StoreError> {
        let q = Query::new(
            "SELECT id, version, browser_hash, state, expires_at, body FROM request WHERE id = $1",
            [id.as_str().into()],
        )
        .kept(Table::Request, "id");
        self.one(q, request).await
    }
}

impl Write {
    /// A new request.
    pub fn request_added(facts: &RequestFacts, browser_hash: &str, until: Time) -> Write {
        let (state, browser) = ("open".to_owned(), browser_hash.to_owned());
        Write(Statement::one(
            "INSERT INTO request (id, version, browser_hash, client, state, expires_at, body) \
             VALUES ($1, 1, $2, $3, 'open', $4, $5)",
            [
                facts.id.as_str().into(),
                browser_hash.into(),
                facts.client.as_str().into(),
                until.0.into(),
                json(facts).into(),
            ],
        ))
        .now(AuthRequest { version: 1, browser_hash: browser, state, until, facts: facts.clone() })
    }
    /// A request that a client pushed: open once a browser comes with its secret.
    pub fn request_pushed(facts: &RequestFacts, secret_hash: &str, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO request (id, version, browser_hash, client, state, expires_at, body) \
             VALUES ($1, 1, $2, $3, 'pushed', $4, $5)",
            [
                facts.id.as_str().into(),
                secret_hash.into(),
                facts.client.as_str().into(),
                until.0.into(),
                json(facts).into(),
            ],
        ))
    }
    /// A browser came for a pushed request, once.
    pub fn request_taken(r: &AuthRequest, browser_hash: &str, until: Time) -> Write {
        Write(Statement::one(
            "UPDATE request SET browser_hash = $3, state = 'open', expires_at = $4, version = version + 1 \
             WHERE id = $1 AND version = $2 AND state = 'pushed'",
            [r.facts.id.as_str().into(), r.version.into(), browser_hash.into(), until.0.into()],
        ))
    }
    /// A request was answered.
    pub fn request_done(r: &AuthRequest) -> Write {
        Write(Statement::one(
            "UPDATE request SET state = 'done', version = version + 1 WHERE id = $1 AND version = $2 AND state = 'open'",
            [r.facts.id.as_str().into(), r.version.into()],
        ))
        .now(AuthRequest { version: r.version + 1, state: "done".to_owned(), ..r.clone() })
    }
    fn now(self, request: AuthRequest) -> Write {
        let id = request.facts.id.to_string();
        self.becoming(Table::Request, &id, &[("id", &id)], request)
    }
    /// Open requests of a browser follow it to its new cookie.
    pub fn requests_moved(old_hash: &str, new_hash: &str) -> Write {
        Write(Statement::any(
            "UPDATE request SET browser_hash = $2, version = version + 1 WHERE browser_hash = $1 AND state = 'open'",
            [old_hash.into(), new_hash.into()],
        ))
    }
}
