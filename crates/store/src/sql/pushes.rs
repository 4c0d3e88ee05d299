use super::{Store, Write};
use crate::{Query, Statement, StoreError};
use countersign_wire::{CeremonyId, Time};

impl Store {
    /// The places that requests for a login name hold now; `login` is its digest.
    pub async fn push_places(&self, login: &str, now: Time) -> Result<Vec<String>, StoreError> {
        let q = Query::new(
            "SELECT id FROM push_place WHERE login = $1 AND expires_at > $2 LIMIT 16",
            [login.into(), now.0.into()],
        );
        let rows = self.engine.query(q).await?;
        rows.iter().map(|r| Ok(r.text(0)?.to_owned())).collect()
    }
}

impl Write {
    /// A request takes a place; one that is held and has not run out is a conflict.
    pub fn push_place_taken(id: &str, login: &str, ceremony: &CeremonyId, now: Time, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO push_place (id, login, ceremony, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET ceremony = $3, expires_at = $4 WHERE push_place.expires_at <= $5",
            [id.into(), login.into(), ceremony.as_str().into(), until.0.into(), now.0.into()],
        ))
    }
    /// A request that waits no longer leaves its places.
    pub fn push_places_left(ceremony: &CeremonyId) -> Write {
        Write(Statement::any("DELETE FROM push_place WHERE ceremony = $1", [ceremony.as_str().into()]))
    }
}
