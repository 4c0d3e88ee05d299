use super::{Store, StoredCode, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::grant::{Grant, Renewal};
use countersign_wire::{ClientId, GrantId, SessionId, Time, b64};

impl StoredCode {
    /// The grant that this code gives. It follows from the code, so that one code never gives two.
    pub fn grant(&self) -> GrantId {
        grant_of(&self.hash, self.until)
    }
}

/// The grant that a secret of this hash gives, whoever comes with it.
pub fn grant_of(hash: &str, at: Time) -> GrantId {
    let digest = b64::decode(hash).unwrap_or_default();
    let mut chance = [0; 10];
    for (to, from) in chance.iter_mut().zip(digest) {
        *to = from;
    }
    GrantId::new(at, chance)
}

fn grant(row: &Row) -> Result<Grant, StoreError> {
    let renewal = match row.opt_text(7)? {
        None => None,
        Some(family) => Some(Renewal {
            family: family.to_owned(),
            current: row.text(8)?.to_owned(),
            former: row.opt_text(9)?.map(str::to_owned),
            at: Time(row.int(10)?),
            k: row.int(11)?,
        }),
    };
    Ok(Grant {
        id: row.parsed(0)?,
        version: row.int(1)?,
        session: row.parsed(2)?,
        client: row.parsed(3)?,
        ended: row.opt_text(4)?.map(str::to_owned),
        until: Time(row.int(5)?),
        access_after: Time(row.int(6)?),
        renewal,
        facts: from_json(row, 12)?,
    })
}

impl Store {
    /// A grant, ended or not.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let q = Query::new(
            "SELECT id, version, session, client, ended, expires_at, access_after, family, good, former, renewed_at, k, body \
             FROM oauth_grant WHERE id = $1",
            [id.as_str().into()],
        )
        .kept(Table::Grant, "id");
        self.one(q, grant).await
    }
    /// Everything that was given in a session.
    pub async fn grants_of_session(&self, session: &SessionId) -> Result<Vec<Grant>, StoreError> {
        let q = Query::new(
            "SELECT id, version, session, client, ended, expires_at, access_after, family, good, former, renewed_at, k, body \
             FROM oauth_grant WHERE session = $1 LIMIT 1000",
            [session.as_str().into()],
        );
        self.many(q, grant).await
    }
    /// Clients that got something in a session, for as long as it may last.
    pub async fn clients_of_session(&self, id: &SessionId) -> Result<Vec<ClientId>, StoreError> {
        let q = Query::new(
            "SELECT client FROM oauth_grant WHERE session = $1 UNION SELECT client FROM code WHERE session = $1",
            [id.as_str().into()],
        );
        self.many(q, |r| r.parsed(0)).await
    }
}

impl Write {
    /// A client is given something for a code.
    pub fn grant_made(g: &Grant, code_hash: &str) -> Write {
        let r = g.renewal.as_ref();
        Write(Statement::one(
            "INSERT INTO oauth_grant (id, version, session, client, code, ended, expires_at, access_after, \
             family, good, former, renewed_at, k, body) \
             VALUES ($1, 1, $2, $3, $4, NULL, $5, $6, $7, $8, NULL, $9, $10, $11)",
            [
                g.id.as_str().into(),
                g.session.as_str().into(),
                g.client.as_str().into(),
                code_hash.into(),
                g.until.0.into(),
                g.access_after.0.into(),
                r.map(|r| r.family.as_str()).into(),
                r.map(|r| r.current.as_str()).into(),
                r.map_or(0, |r| r.at.0).into(),
                r.map_or(0, |r| r.k).into(),
                json(&g.facts).into(),
            ],
        ))
        .becoming(Table::Grant, g.id.as_str(), &[("id", g.id.as_str())], Grant { version: 1, ..g.clone() })
    }
    /// Its refresh token was used: the next one is good.
    pub fn grant_renewed(g: &Grant, next: &str, k: i64, at: Time) -> Write {
        Write(Statement::one(
            "UPDATE oauth_grant SET former = good, good = $3, k = $4, renewed_at = $5, version = version + 1 \
             WHERE id = $1 AND version = $2 AND ended IS NULL",
            [g.id.as_str().into(), g.version.into(), next.into(), k.into(), at.0.into()],
        ))
    }
    /// Access tokens made before `after` are worth nothing.
    pub fn access_ended(id: &GrantId, after: Time) -> Write {
        Write(Statement::any(
            "UPDATE oauth_grant SET access_after = $2, version = version + 1 WHERE id = $1 AND access_after < $2",
            [id.as_str().into(), after.0.into()],
        ))
    }
    /// It ends, with every token that names it.
    pub fn grant_ended(id: &GrantId, why: &str) -> Write {
        Write(Statement::any(
            "UPDATE oauth_grant SET ended = $2, version = version + 1 WHERE id = $1 AND ended IS NULL",
            [id.as_str().into(), why.into()],
        ))
    }
    /// Everything that was given in a session ends.
    pub fn grants_ended(session: &SessionId, why: &str) -> Write {
        Write(Statement::any(
            "UPDATE oauth_grant SET ended = $2, version = version + 1 WHERE session = $1 AND ended IS NULL",
            [session.as_str().into(), why.into()],
        ))
    }
}
