use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::recovery::{Codes, CodesFacts, Request, RequestFacts, RequestState};
use countersign_wire::{PersonId, Thumbprint};

macro_rules! request_query {
    ($where:literal) => {
        concat!("SELECT id, version, state, body FROM recovery ", $where)
    };
}

fn codes(row: &Row) -> Result<Codes, StoreError> {
    Ok(Codes { version: row.int(1)?, facts: from_json(row, 2)? })
}

fn request(row: &Row) -> Result<Request, StoreError> {
    Ok(Request {
        version: row.int(1)?,
        state: RequestState::parse(row.text(2)?).ok_or_else(|| row.corrupt(2))?,
        facts: from_json(row, 3)?,
    })
}

impl Store {
    /// The recovery codes of a person, if any were made.
    pub async fn recovery_codes(&self, person: &PersonId) -> Result<Option<Codes>, StoreError> {
        let sql = "SELECT id, version, body FROM recovery_codes WHERE id = $1";
        self.one(Query::new(sql, [person.as_str().into()]), codes).await
    }
    /// The newest way back of a device's key.
    pub async fn recovery_by_key(&self, jkt: &Thumbprint) -> Result<Option<Request>, StoreError> {
        let q = Query::new(request_query!("WHERE jkt = $1 ORDER BY id DESC LIMIT 1"), [jkt.as_str().into()]);
        self.one(q, request).await
    }
    /// The open ways back of a person.
    pub async fn recoveries_of(&self, person: &PersonId) -> Result<Vec<Request>, StoreError> {
        let q = Query::new(
            request_query!("WHERE person = $1 AND state = 'open' ORDER BY id LIMIT 1000"),
            [person.as_str().into()],
        );
        self.many(q, request).await
    }
}

impl Write {
    /// A person's codes, in place of `old` ones.
    pub fn recovery_codes_made(old: Option<&Codes>, new: &CodesFacts) -> Write {
        match old {
            None => Write(Statement::one(
                "INSERT INTO recovery_codes (id, version, made_at, body) VALUES ($1, 1, $2, $3) ON CONFLICT (id) DO NOTHING",
                [new.person.as_str().into(), new.made_at.0.into(), json(new).into()],
            )),
            Some(old) => Write(Statement::one(
                "UPDATE recovery_codes SET made_at = $3, body = $4, version = version + 1 WHERE id = $1 AND version = $2",
                [new.person.as_str().into(), old.version.into(), new.made_at.0.into(), json(new).into()],
            )),
        }
    }
    /// Somebody lets a person back in: the first approval.
    pub fn recovery_asked(f: &RequestFacts) -> Write {
        Write(Statement::one(
            "INSERT INTO recovery (id, version, person, jkt, state, expires_at, body) VALUES ($1, 1, $2, $3, 'open', $4, $5) \
             ON CONFLICT DO NOTHING",
            [
                f.id.as_str().into(),
                f.person.as_str().into(),
                f.jkt.as_str().into(),
                f.until.0.into(),
                json(f).into(),
            ],
        ))
    }
    /// It goes on, or ends.
    pub fn recovery_moved(from: &Request, state: RequestState, facts: &RequestFacts) -> Write {
        Write(Statement::one(
            "UPDATE recovery SET state = $3, expires_at = $4, body = $5, version = version + 1 \
             WHERE id = $1 AND version = $2 AND state = 'open'",
            [
                from.facts.id.as_str().into(),
                from.version.into(),
                state.as_str().into(),
                facts.until.0.into(),
                json(facts).into(),
            ],
        ))
    }
}
