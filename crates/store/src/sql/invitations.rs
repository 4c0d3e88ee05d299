use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::enrolment::{Invitation, InvitationFacts};
use countersign_wire::PersonId;

fn invitation(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        version: row.int(1)?,
        state: row.text(2)?.to_owned(),
        facts: from_json(row, 3)?,
    })
}

impl Store {
    /// The invitation of a token, by its hash.
    pub async fn invitation_by_token(&self, hash: &str) -> Result<Option<Invitation>, StoreError> {
        let q = Query::new(
            "SELECT id, version, state, body FROM invitation WHERE token_hash = $1",
            [hash.into()],
        );
        self.one(q, invitation).await
    }
    /// Invitations of a person that were neither used nor ended.
    pub async fn invitations_of(&self, person: &PersonId) -> Result<Vec<Invitation>, StoreError> {
        let q = Query::new(
            "SELECT id, version, state, body FROM invitation WHERE person = $1 AND state = 'open' ORDER BY id LIMIT 1000",
            [person.as_str().into()],
        );
        self.many(q, invitation).await
    }
}

impl Write {
    /// Somebody is invited.
    pub fn invitation_made(f: &InvitationFacts) -> Write {
        Write(Statement::one(
            "INSERT INTO invitation (id, version, token_hash, person, state, expires_at, body) \
             VALUES ($1, 1, $2, $3, 'open', $4, $5)",
            [
                f.id.as_str().into(),
                f.token_hash.as_str().into(),
                f.person.as_str().into(),
                f.until.0.into(),
                json(f).into(),
            ],
        ))
    }
    /// A registration was begun with it, or it is `used` or `ended`.
    pub fn invitation_moved(
        from: &Invitation,
        state: &'static str,
        facts: &InvitationFacts,
    ) -> Write {
        Write(Statement::one(
            "UPDATE invitation SET state = $3, body = $4, version = version + 1 \
             WHERE id = $1 AND version = $2 AND state = 'open'",
            [
                from.facts.id.as_str().into(),
                from.version.into(),
                state.into(),
                json(facts).into(),
            ],
        ))
    }
}
