use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_trust::glass::{Glass, GlassState, GlassUse, UseFacts};
use countersign_wire::{GlassId, TerminalId, Time};

macro_rules! glass_query {
    ($where:literal) => {
        concat!("SELECT id, version, terminal, client, serial, state, made_at, until, last FROM glass ", $where)
    };
}
macro_rules! use_query {
    ($where:literal) => {
        concat!("SELECT id, version, body FROM glass_use ", $where)
    };
}

fn glass(row: &Row) -> Result<Glass, StoreError> {
    Ok(Glass {
        id: row.parsed(0)?,
        version: row.int(1)?,
        terminal: row.parsed(2)?,
        client: row.parsed(3)?,
        serial: row.int(4)?,
        state: GlassState::parse(row.text(5)?).ok_or_else(|| row.corrupt(5))?,
        made_at: Time(row.int(6)?),
        until: Time(row.int(7)?),
        last: row.opt_text(8)?.map(str::to_owned),
    })
}

fn used(row: &Row) -> Result<GlassUse, StoreError> {
    Ok(GlassUse { id: row.text(0)?.to_owned(), version: row.int(1)?, facts: from_json(row, 2)? })
}

impl Store {
    /// A grant, whatever its state.
    pub async fn glass(&self, id: &GlassId) -> Result<Option<Glass>, StoreError> {
        self.one(Query::new(glass_query!("WHERE id = $1"), [id.as_str().into()]), glass).await
    }
    /// The newest grant of a terminal.
    pub async fn glass_of(&self, terminal: &TerminalId) -> Result<Option<Glass>, StoreError> {
        let q = Query::new(glass_query!("WHERE terminal = $1 ORDER BY serial DESC, made_at DESC LIMIT 1"), [terminal.as_str().into()]);
        self.one(q, glass).await
    }
    /// The open grant of a terminal.
    pub async fn glass_open(&self, terminal: &TerminalId) -> Result<Option<Glass>, StoreError> {
        let q = Query::new(glass_query!("WHERE terminal = $1 AND state = 'open'"), [terminal.as_str().into()]);
        self.one(q, glass).await
    }
    /// Open grants that should have been handed in.
    pub async fn glass_overdue(&self, now: Time, limit: i64) -> Result<Vec<Glass>, StoreError> {
        let q = Query::new(glass_query!("WHERE state = 'open' AND due <= $1 ORDER BY due LIMIT $2"), [now.0.into(), limit.into()]);
        self.many(q, glass).await
    }
    /// Grants after `after`, oldest first; those that are not closed alone, or all.
    pub async fn glasses(&self, after: &str, all: bool, limit: i64) -> Result<Vec<Glass>, StoreError> {
        let sql = match all {
            true => glass_query!("WHERE id > $1 ORDER BY id LIMIT $2"),
            false => glass_query!("WHERE id > $1 AND state <> 'closed' ORDER BY id LIMIT $2"),
        };
        self.many(Query::new(sql, [after.into(), limit.into()]).long(), glass).await
    }
    /// One use.
    pub async fn glass_use(&self, id: &str) -> Result<Option<GlassUse>, StoreError> {
        self.one(Query::new(use_query!("WHERE id = $1"), [id.into()]), used).await
    }
    /// Uses handed in after a moment, oldest first; those that wait for review alone, or all.
    pub async fn glass_uses(&self, (at, id): (Time, &str), all: bool, limit: i64) -> Result<Vec<GlassUse>, StoreError> {
        let sql = match all {
            true => use_query!("WHERE (handed_at > $1 OR handed_at = $1 AND id > $2) ORDER BY handed_at, id LIMIT $3"),
            false => use_query!("WHERE waits = 1 AND (handed_at > $1 OR handed_at = $1 AND id > $2) ORDER BY handed_at, id LIMIT $3"),
        };
        self.many(Query::new(sql, [at.0.into(), id.into(), limit.into()]).long(), used).await
    }
}

impl Write {
    /// A terminal gets a grant, of which it has one open at a time.
    pub fn glass_sealed(g: &Glass) -> Write {
        Write(Statement::one(
            "INSERT INTO glass (id, version, terminal, client, serial, state, made_at, until, due, last) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                g.id.as_str().into(),
                g.terminal.as_str().into(),
                g.client.as_str().into(),
                g.serial.into(),
                g.state.as_str().into(),
                g.made_at.0.into(),
                g.until.0.into(),
                g.due().0.into(),
                g.last.clone().into(),
            ],
        ))
    }
    /// A grant's life goes on.
    pub fn glass_moved(g: &Glass, state: GlassState, last: Option<&str>) -> Write {
        Write(Statement::one(
            "UPDATE glass SET state = $3, last = $4, version = version + 1 WHERE id = $1 AND version = $2",
            [g.id.as_str().into(), g.version.into(), state.as_str().into(), last.map(str::to_owned).into()],
        ))
    }
    /// A use that was handed in; the same record once.
    pub fn glass_used(id: &str, f: &UseFacts) -> Write {
        Write(Statement::any(
            "INSERT INTO glass_use (id, version, glass, waits, handed_at, body) VALUES ($1, 1, $2, 1, $3, $4) ON CONFLICT (id) DO NOTHING",
            [id.into(), f.glass.as_str().into(), f.handed_at.0.into(), json(f).into()],
        ))
    }
    /// A use was reviewed, once.
    pub fn glass_reviewed(u: &GlassUse, facts: &UseFacts) -> Write {
        Write(Statement::one(
            "UPDATE glass_use SET waits = 0, body = $3, version = version + 1 WHERE id = $1 AND version = $2 AND waits = 1",
            [u.id.as_str().into(), u.version.into(), json(facts).into()],
        ))
    }
}
