use super::Store;
use crate::{EventRow, Query, Row, StoreError};
use countersign_wire::{CeremonyId, DeviceId, PersonId, Time};

/// An event with its number, once it has one.
type Line = (Option<i64>, EventRow);

fn line(row: &Row) -> Result<Line, StoreError> {
    Ok((row.opt_int(10)?, EventRow::read(row)?))
}

macro_rules! event_query {
    ($where:literal) => {
        concat!(
            "SELECT id, txn, kind, at, ceremony, session, person, device, client, body, seq FROM event ",
            $where
        )
    };
}

impl Store {
    /// Everything recorded about one ceremony, in order.
    pub async fn story(&self, cid: &CeremonyId) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE ceremony = $1 ORDER BY COALESCE(seq, 9223372036854775807), written_at, place LIMIT 500"),
            [cid.as_str().into()],
        );
        self.many(q, line).await
    }
    /// Everything of one cause, in order.
    pub async fn transaction(&self, txn: &str) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE txn = $1 ORDER BY COALESCE(seq, 9223372036854775807), written_at, place LIMIT 1000"),
            [txn.into()],
        );
        self.many(q, line).await
    }
    /// What a device of a person did since then, or had done to it, oldest first.
    pub async fn events_of_device(
        &self,
        person: &PersonId,
        device: &DeviceId,
        since: &Time,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE person = $1 AND at >= $3 AND (at > $3 OR id > $4) AND device = $2 ORDER BY at, id LIMIT $5"),
            [person.as_str().into(), device.as_str().into(), since.0.into(), after.into(), limit.into()],
        )
        .long();
        self.many(q, line).await
    }
    /// Changes of a person's life and of their devices' since then, oldest first.
    pub async fn changes_of(&self, person: &PersonId, since: &Time) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE person = $1 AND at >= $2 AND kind IN ('person.changed', 'device.changed') ORDER BY at, id LIMIT 500"),
            [person.as_str().into(), since.0.into()],
        )
        .long();
        self.many(q, line).await
    }
    /// What happened to a person lately, newest first.
    pub async fn activity(&self, person: &PersonId, limit: i64) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!(
                "WHERE person = $1 AND kind IN ('ceremony.redeemed', 'ceremony.refused', 'ceremony.revoked', \
                 'passkey.used', 'session.ended', 'person.not_me', 'device.enrolled', 'device.rebound', 'device.changed') \
                 ORDER BY at DESC LIMIT $2"
            ),
            [person.as_str().into(), limit.into()],
        );
        self.many(q, line).await
    }
    /// The refusal with this reference.
    pub async fn by_reference(&self, reference: &str) -> Result<Option<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE kind = 'step.refused' AND body LIKE $1 ORDER BY at DESC LIMIT 1"),
            [format!("%\"ref\":\"{reference}\"%").into()],
        )
        .long();
        self.one(q, line).await
    }
    /// What an operator wants to see among the events after a number, newest first.
    pub async fn notable(&self, after: i64, limit: i64) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!(
                "WHERE seq > $1 AND kind IN ('step.refused', 'ceremony.refused', 'ceremony.revoked', 'session.judged', \
                 'session.ended', 'person.not_me', 'source.quarantined', 'device.changed', 'signal.raised', 'signal.cleared', \
                 'refresh.replayed', 'code.replayed', 'recovery.begun', 'recovery.approved', 'recovery.stopped', \
                 'recovery.taken', 'recovery.code_used', 'person.changed', 'operator.entered', 'operator.acted', \
                 'glass.used', 'glass.doubted', 'glass.reviewed') \
                 ORDER BY seq DESC LIMIT $2"
            ),
            [after.into(), limit.into()],
        )
        .long();
        self.many(q, line).await
    }
    /// Newest events, newest first.
    pub async fn latest(&self, limit: i64) -> Result<Vec<Line>, StoreError> {
        let q = Query::new(
            event_query!("WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT $1"),
            [limit.into()],
        )
        .long();
        self.many(q, line).await
    }
}
