use super::{Store, Write};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::signal::Subject;
use countersign_wire::{Time, TxnId};

/// Something changed that running sessions rest on; they are still to be judged again.
#[derive(Clone, Debug)]
pub struct Judgement {
    id: String,
    /// What changed; `None` where it was the policies, for everybody.
    pub subject: Option<Subject>,
    /// The cause.
    pub txn: TxnId,
    /// When.
    pub at: Time,
}

const EVERYBODY: &str = "policy:";

fn name(subject: Option<&Subject>) -> String {
    match subject {
        Some(Subject::Device(id)) => format!("device:{id}"),
        Some(Subject::Person(id)) => format!("person:{id}"),
        Some(Subject::Session(id)) => format!("session:{id}"),
        Some(Subject::Terminal(id)) => format!("terminal:{id}"),
        None => EVERYBODY.to_owned(),
    }
}

fn judgement(row: &Row) -> Result<Judgement, StoreError> {
    let id = row.text(0)?.to_owned();
    let subject = match id.split_once(':') {
        Some(("device", id)) => Some(Subject::Device(id.parse().map_err(|_| row.corrupt(0))?)),
        Some(("person", id)) => Some(Subject::Person(id.parse().map_err(|_| row.corrupt(0))?)),
        Some(("session", id)) => Some(Subject::Session(id.parse().map_err(|_| row.corrupt(0))?)),
        Some(("terminal", id)) => Some(Subject::Terminal(id.parse().map_err(|_| row.corrupt(0))?)),
        _ if id == EVERYBODY => None,
        _ => return Err(row.corrupt(0)),
    };
    Ok(Judgement { subject, txn: row.parsed(1)?, at: Time(row.int(2)?), id })
}

impl Store {
    /// What is to be judged again, oldest first.
    pub async fn judgements(&self, limit: i64) -> Result<Vec<Judgement>, StoreError> {
        let q = Query::new("SELECT id, txn, at FROM judgement ORDER BY at, id LIMIT $1", [limit.into()]);
        self.many(q, judgement).await
    }
    /// It was judged; a change that came meanwhile stays.
    pub async fn judged(&self, done: &Judgement) -> Result<(), StoreError> {
        let s = Statement::any(
            "DELETE FROM judgement WHERE id = $1 AND txn = $2 AND at = $3",
            [done.id.as_str().into(), done.txn.as_str().into(), done.at.0.into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }
}

impl Store {
    /// A word that the store keeps for the server, by its name.
    pub async fn meta(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        let q = Query::new("SELECT value FROM meta WHERE name = $1", [name.into()]);
        self.one(q, |row| Ok(row.text(0)?.to_owned())).await
    }
}

impl Write {
    /// A word for the server itself, by its name; the former one goes.
    pub fn meta(name: &'static str, value: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name.into(), value.into()],
        ))
    }
    /// Whatever rests on this is to be judged again; `None` for everything there is.
    pub fn to_judge(subject: Option<&Subject>, txn: &TxnId, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO judgement (id, txn, at) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET txn = excluded.txn, at = excluded.at",
            [name(subject).into(), txn.as_str().into(), at.0.into()],
        ))
    }
}
