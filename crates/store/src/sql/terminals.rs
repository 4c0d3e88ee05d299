use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::device::DeviceState;
use countersign_trust::terminal::{Terminal, TerminalFacts};
use countersign_wire::{DeviceId, TerminalId, Thumbprint, Time};

/// A live badge on somebody's phone.
#[derive(Clone, Debug)]
pub struct Badge {
    /// Hash of its handle.
    pub id: String,
    /// The phone.
    pub device: DeviceId,
    /// Version of the server key it is made of.
    pub k: i64,
    /// When it was made.
    pub at: Time,
    /// Until when it works.
    pub until: Time,
}

macro_rules! terminal_query {
    ($where:literal) => {
        concat!("SELECT id, version, state, jkt, counter, opened_at, added_at, until, body FROM terminal ", $where)
    };
}

fn terminal(row: &Row) -> Result<Terminal, StoreError> {
    Ok(Terminal {
        id: row.parsed(0)?,
        version: row.int(1)?,
        state: DeviceState::parse(row.text(2)?).ok_or_else(|| row.corrupt(2))?,
        jkt: row.opt_parsed(3)?,
        counter: row.int(4)?,
        opened_at: row.opt_int(5)?.map(Time),
        added_at: Time(row.int(6)?),
        until: Time(row.int(7)?),
        facts: from_json(row, 8)?,
    })
}

impl Store {
    /// A terminal, whatever its state.
    pub async fn terminal(&self, id: &TerminalId) -> Result<Option<Terminal>, StoreError> {
        let q = Query::new(terminal_query!("WHERE id = $1"), [id.as_str().into()]);
        self.one(q, terminal).await
    }
    /// The terminal with this key, whatever its state.
    pub async fn terminal_by_key(&self, jkt: &Thumbprint) -> Result<Option<Terminal>, StoreError> {
        let q = Query::new(terminal_query!("WHERE jkt = $1 AND jkt IS NOT NULL"), [jkt.as_str().into()]);
        self.one(q, terminal).await
    }
    /// The terminal of a link that was not used, by the hash of its token.
    pub async fn terminal_by_token(&self, hash: &str) -> Result<Option<Terminal>, StoreError> {
        let q = Query::new(terminal_query!("WHERE token_hash = $1 AND token_hash IS NOT NULL"), [hash.into()]);
        self.one(q, terminal).await
    }
    /// The terminal that lives under this name.
    pub async fn terminal_by_name(&self, name: &str) -> Result<Option<Terminal>, StoreError> {
        let q = Query::new(terminal_query!("WHERE name = $1 AND state IN ('pending', 'active', 'suspended')"), [name.into()]);
        self.one(q, terminal).await
    }
    /// All of them after `after`, in the order in which they were invited.
    pub async fn terminals(&self, after: &str, limit: i64) -> Result<Vec<Terminal>, StoreError> {
        let q = Query::new(terminal_query!("WHERE id > $1 ORDER BY id LIMIT $2"), [after.into(), limit.into()]).long();
        self.many(q, terminal).await
    }
    /// The badge of a handle, by its hash.
    pub async fn badge(&self, hash: &str, now: Time) -> Result<Option<Badge>, StoreError> {
        let q = Query::new("SELECT id, device, k, at, expires_at FROM badge WHERE id = $1 AND expires_at > $2", [hash.into(), now.0.into()]);
        let read = |r: &Row| {
            Ok(Badge { id: r.text(0)?.to_owned(), device: r.parsed(1)?, k: r.int(2)?, at: Time(r.int(3)?), until: Time(r.int(4)?) })
        };
        self.one(q, read).await
    }
}

impl Write {
    /// A terminal is invited.
    pub fn terminal_invited(t: &Terminal, token_hash: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO terminal (id, version, state, name, jkt, token_hash, counter, opened_at, added_at, until, body) \
             VALUES ($1, 1, 'pending', $2, NULL, $3, 0, NULL, $4, $5, $6)",
            [
                t.id.as_str().into(),
                t.facts.name.as_str().into(),
                token_hash.into(),
                t.added_at.0.into(),
                t.until.0.into(),
                json(&t.facts).into(),
            ],
        ))
    }
    /// A terminal joins with its key; its link is used up.
    pub fn terminal_registered(t: &Terminal, jkt: &Thumbprint, facts: &TerminalFacts) -> Write {
        Write(Statement::one(
            "UPDATE terminal SET state = 'active', jkt = $3, body = $4, token_hash = NULL, version = version + 1 \
             WHERE id = $1 AND version = $2 AND state = 'pending'",
            [t.id.as_str().into(), t.version.into(), jkt.as_str().into(), json(facts).into()],
        ))
    }
    /// A terminal's life goes on; the link of one that never joined is forgotten.
    pub fn terminal_moved(t: &Terminal, state: DeviceState) -> Write {
        Write(Statement::one(
            "UPDATE terminal SET state = $3, token_hash = NULL, version = version + 1 WHERE id = $1 AND version = $2",
            [t.id.as_str().into(), t.version.into(), state.as_str().into()],
        ))
    }
    /// What the operator says of a terminal is something else now.
    pub fn terminal_changed(t: &Terminal, facts: &TerminalFacts) -> Write {
        Write(Statement::one(
            "UPDATE terminal SET name = $3, body = $4, version = version + 1 WHERE id = $1 AND version = $2",
            [t.id.as_str().into(), t.version.into(), facts.name.as_str().into(), json(facts).into()],
        ))
    }
    /// Somebody else signs in at a terminal: of two who do at the same moment, one is judged anew.
    pub fn terminal_taken(t: &Terminal) -> Write {
        let sql = "UPDATE terminal SET version = version + 1 WHERE id = $1 AND version = $2";
        Write(Statement::one(sql, [t.id.as_str().into(), t.version.into()]))
    }
    /// A terminal opens. Its counter goes on or nothing is kept; no version moves, so that what runs there stays as
    /// it is.
    pub fn terminal_opened(id: &TerminalId, counter: i64, at: Time) -> Write {
        Write(Statement::one(
            "UPDATE terminal SET counter = $2, opened_at = $3 WHERE id = $1 AND counter < $2 AND state = 'active'",
            [id.as_str().into(), counter.into(), at.0.into()],
        ))
    }
    /// What a phone showed before is nothing any more.
    pub fn badges_forgotten(device: &DeviceId) -> Write {
        Write(Statement::any("DELETE FROM badge WHERE device = $1", [device.as_str().into()]))
    }
    /// A phone shows a badge.
    pub fn badge_made(b: &Badge) -> Write {
        Write(Statement::one(
            "INSERT INTO badge (id, device, k, at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            [b.id.as_str().into(), b.device.as_str().into(), b.k.into(), b.at.0.into(), b.until.0.into()],
        ))
    }
    /// A terminal has read it; nobody reads it again.
    pub fn badge_used(b: &Badge) -> Write {
        Write(Statement::one("DELETE FROM badge WHERE id = $1", [b.id.as_str().into()]))
    }
}
