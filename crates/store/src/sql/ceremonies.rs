use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::ceremony::{Ceremony, State};
use countersign_wire::{CeremonyId, PersonId, TerminalId, Time};

macro_rules! ceremony_query {
    ($where:literal) => {
        concat!("SELECT id, version, opening, body FROM ceremony ", $where)
    };
}

fn ceremony(row: &Row) -> Result<Ceremony, StoreError> {
    Ok(Ceremony {
        version: row.int(1)?,
        opening: from_json(row, 2)?,
        state: from_json(row, 3)?,
    })
}

impl Store {
    /// A ceremony.
    pub async fn ceremony(&self, id: &CeremonyId) -> Result<Option<Ceremony>, StoreError> {
        let q = Query::new(ceremony_query!("WHERE id = $1"), [id.as_str().into()]).kept(Table::Ceremony, "id");
        self.one(q, ceremony).await
    }
    /// The ceremony of a handle, by its hash.
    pub async fn ceremony_by_handle(&self, hash: &str) -> Result<Option<Ceremony>, StoreError> {
        let q = Query::new(ceremony_query!("WHERE handle_hash = $1"), [hash.into()]).kept(Table::Ceremony, "handle");
        self.one(q, ceremony).await
    }
    /// The ceremony of a typed code, by its hash.
    pub async fn ceremony_by_code(&self, hash: &str) -> Result<Option<Ceremony>, StoreError> {
        let q = Query::new(ceremony_query!("WHERE code_hash = $1"), [hash.into()]);
        self.one(q, ceremony).await
    }
    /// Ceremonies of a browser that could still give something.
    pub async fn ceremonies_of_browser(&self, hash: &str) -> Result<Vec<Ceremony>, StoreError> {
        let q = Query::new(
            ceremony_query!(
                "WHERE collector_hash = $1 AND state IN ('opened', 'scanned', 'confirmed', 'approved', 'redeemed') \
                 ORDER BY opened_at DESC LIMIT 32"
            ),
            [hash.into()],
        );
        self.many(q, ceremony).await
    }
    /// Ceremonies of a person that are not over, newest first: scanned by or offered to them.
    pub async fn ceremonies_of_person(
        &self,
        person: &PersonId,
    ) -> Result<Vec<Ceremony>, StoreError> {
        let q = Query::new(
            ceremony_query!(
                "WHERE person = $1 AND state IN ('opened', 'scanned', 'confirmed', 'approved') \
                 ORDER BY opened_at DESC LIMIT 32"
            ),
            [person.as_str().into()],
        );
        self.many(q, ceremony).await
    }
    /// Ceremonies at a terminal that are not over.
    pub async fn ceremonies_at(&self, terminal: &TerminalId) -> Result<Vec<Ceremony>, StoreError> {
        let q = Query::new(
            ceremony_query!(
                "WHERE terminal = $1 AND terminal IS NOT NULL AND state IN ('opened', 'scanned', 'confirmed', 'approved') \
                 ORDER BY opened_at DESC LIMIT 100"
            ),
            [terminal.as_str().into()],
        );
        self.many(q, ceremony).await
    }
    /// Ceremonies whose state has run out.
    pub async fn ceremonies_due(&self, now: Time, limit: i64) -> Result<Vec<Ceremony>, StoreError> {
        let q = Query::new(
            ceremony_query!(
                "WHERE deadline IS NOT NULL AND deadline <= $1 ORDER BY deadline LIMIT $2"
            ),
            [now.0.into(), limit.into()],
        );
        self.many(q, ceremony).await
    }
}

/// Columns that follow from the state.
fn derived(c: &Ceremony) -> [crate::Value; 4] {
    let scan = c.scan_facts();
    let person = scan
        .map(|s| s.person.to_string())
        .or_else(|| c.opening.offered.as_ref().map(ToString::to_string));
    [
        person.into(),
        scan.map(|s| s.device.to_string()).into(),
        c.session().map(ToString::to_string).into(),
        c.deadline().map(|t| t.0).into(),
    ]
}

impl Write {
    /// A new ceremony, found by its handle and perhaps by a typed code.
    pub fn ceremony_opened(c: &Ceremony, handle_hash: &str, code_hash: Option<&str>) -> Write {
        let [person, device, session, deadline] = derived(c);
        let o = &c.opening;
        Write(Statement::one(
            "INSERT INTO ceremony (id, version, state, handle_hash, code_hash, collector_hash, person, device, \
             client, jkt, source, session, opened_at, deadline, opening, body, terminal) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            [
                o.id.as_str().into(),
                c.state_name().into(),
                handle_hash.into(),
                code_hash.map(str::to_owned).into(),
                o.collector_hash.as_str().into(),
                person,
                device,
                o.asker.id.as_str().into(),
                o.jkt.as_str().into(),
                o.source.as_str().into(),
                session,
                o.at.0.into(),
                deadline,
                json(o).into(),
                json(&c.state).into(),
                o.terminal.as_ref().map(|t| t.id.to_string()).into(),
            ],
        ))
        .becoming(Table::Ceremony, o.id.as_str(), &[("id", o.id.as_str()), ("handle", handle_hash)], Ceremony { version: 1, ..c.clone() })
    }
    /// A ceremony goes on from the version it was loaded with. When it ends, its handle and code
    /// are forgotten; before that their columns are not named, so that their indexes stay untouched.
    pub fn ceremony_moved(from: &Ceremony, next: State) -> Write {
        let to = Ceremony {
            opening: from.opening.clone(),
            state: next,
            version: from.version + 1,
        };
        let [person, device, session, deadline] = derived(&to);
        let sql = if to.is_over() {
            "UPDATE ceremony SET state = $3, person = $4, device = $5, session = $6, deadline = $7, body = $8, \
             handle_hash = NULL, code_hash = NULL, version = version + 1 WHERE id = $1 AND version = $2"
        } else {
            "UPDATE ceremony SET state = $3, person = $4, device = $5, session = $6, deadline = $7, body = $8, \
             version = version + 1 WHERE id = $1 AND version = $2"
        };
        let write = Write(Statement::one(
            sql,
            [
                from.opening.id.as_str().into(),
                from.version.into(),
                to.state_name().into(),
                person,
                device,
                session,
                deadline,
                json(&to.state).into(),
            ],
        ));
        // What is over is hardly asked for again.
        if to.is_over() {
            return write;
        }
        let id = from.opening.id.as_str();
        write.becoming(Table::Ceremony, id, &[("id", id)], to)
    }
}
