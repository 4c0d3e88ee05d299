use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::workload::{Use, Workload};
use countersign_wire::{ClientId, PersonId, Time, WorkloadId};

/// A workload with what only the store and operators ask.
#[derive(Clone, Debug)]
pub struct StoredWorkload {
    /// The workload.
    pub workload: Workload,
    /// Tokens made before this are worth nothing.
    pub access_after: Time,
    /// `configuration` or `command`.
    pub source: String,
}

macro_rules! workload_query {
    ($where:literal) => {
        concat!(
            "SELECT id, version, client, owner, until, ended, access_after, added_at, source, body FROM workload ",
            $where
        )
    };
}

fn workload(row: &Row) -> Result<StoredWorkload, StoreError> {
    Ok(StoredWorkload {
        workload: Workload {
            id: row.parsed(0)?,
            version: row.int(1)?,
            client: row.parsed(2)?,
            owner: row.parsed(3)?,
            until: Time(row.int(4)?),
            ended: row.opt_text(5)?.map(str::to_owned),
            added_at: Time(row.int(7)?),
            facts: from_json(row, 9)?,
        },
        access_after: Time(row.int(6)?),
        source: row.text(8)?.to_owned(),
    })
}

impl Store {
    /// A workload, ended or not.
    pub async fn workload(&self, id: &WorkloadId) -> Result<Option<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE id = $1"), [id.as_str().into()]);
        self.one(q, workload).await
    }
    /// The workload that was not ended and asks under this name.
    pub async fn workload_by_client(&self, client: &ClientId) -> Result<Option<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE client = $1 AND ended IS NULL"), [client.as_str().into()]);
        self.one(q, workload).await
    }
    /// The newest workload of this name, ended or not.
    pub async fn workload_latest(&self, client: &ClientId) -> Result<Option<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE client = $1 ORDER BY id DESC LIMIT 1"), [client.as_str().into()]);
        self.one(q, workload).await
    }
    /// Workloads of an owner that were not ended.
    pub async fn workloads_of(&self, owner: &PersonId) -> Result<Vec<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE owner = $1 AND ended IS NULL ORDER BY id"), [owner.as_str().into()]).long();
        self.many(q, workload).await
    }
    /// Workloads whose end date is over and that were not ended yet.
    pub async fn workloads_due(&self, now: Time, limit: i64) -> Result<Vec<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE ended IS NULL AND until <= $1 LIMIT $2"), [now.0.into(), limit.into()]);
        self.many(q, workload).await
    }
    /// All of them, ended or not, after `after`, in the order in which they were registered.
    pub async fn workloads(&self, after: &str, limit: i64) -> Result<Vec<StoredWorkload>, StoreError> {
        let q = Query::new(workload_query!("WHERE id > $1 ORDER BY id LIMIT $2"), [after.into(), limit.into()]).long();
        self.many(q, workload).await
    }
    /// What a workload used, and when last.
    pub async fn uses_of(&self, id: &WorkloadId) -> Result<Vec<Use>, StoreError> {
        let q = Query::new("SELECT what, name, at FROM workload_use WHERE workload = $1", [id.as_str().into()]);
        let read = |r: &Row| Ok(Use { what: r.text(0)?.to_owned(), name: r.text(1)?.to_owned(), at: Time(r.int(2)?) });
        self.many(q, read).await
    }
    /// Writes uses down: no decision rests on them.
    pub async fn workloads_used(&self, uses: &[(WorkloadId, Use)]) -> Result<(), StoreError> {
        let one = |(id, u): &(WorkloadId, Use)| {
            Statement::any(
                "INSERT INTO workload_use (id, workload, what, name, at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (id) DO UPDATE SET at = $5 WHERE workload_use.at < $5",
                [
                    format!("{id}/{}/{}", u.what, u.name).into(),
                    id.as_str().into(),
                    u.what.as_str().into(),
                    u.name.as_str().into(),
                    u.at.0.into(),
                ],
            )
        };
        self.engine.upkeep(uses.iter().map(one).collect()).await.map(|_| ())
    }
}

impl Write {
    /// A new workload.
    pub fn workload_added(w: &Workload, source: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO workload (id, version, client, owner, until, ended, access_after, added_at, source, body) \
             VALUES ($1, 1, $2, $3, $4, NULL, 0, $5, $6, $7)",
            [
                w.id.as_str().into(),
                w.client.as_str().into(),
                w.owner.as_str().into(),
                w.until.0.into(),
                w.added_at.0.into(),
                source.into(),
                json(&w.facts).into(),
            ],
        ))
    }
    /// A workload changes from the version it was loaded with. Tokens made before `access_after` end.
    pub fn workload_changed(w: &Workload, access_after: Time, source: &str) -> Write {
        Write(Statement::one(
            "UPDATE workload SET owner = $3, until = $4, access_after = $5, source = $6, body = $7, version = version + 1 \
             WHERE id = $1 AND version = $2 AND ended IS NULL",
            [
                w.id.as_str().into(),
                w.version.into(),
                w.owner.as_str().into(),
                w.until.0.into(),
                access_after.0.into(),
                source.into(),
                json(&w.facts).into(),
            ],
        ))
    }
    /// A workload ends for good, from the version it was loaded with.
    pub fn workload_ended(w: &Workload, why: &str) -> Write {
        Write(Statement::one(
            "UPDATE workload SET ended = $3, version = version + 1 WHERE id = $1 AND version = $2 AND ended IS NULL",
            [w.id.as_str().into(), w.version.into(), why.into()],
        ))
    }
}
