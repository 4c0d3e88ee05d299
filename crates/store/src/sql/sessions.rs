use super::{Store, Write, from_json, json, opt_json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::session::{Session, SessionFacts};
use countersign_trust::signal::Signal;
use countersign_trust::standing::Standing;
use countersign_wire::{DeviceId, PersonId, SessionId, TerminalId, Time};

macro_rules! session_query {
    ($where:literal) => {
        concat!(
            "SELECT id, version, ended, idle_until, body, signals, standing FROM session ",
            $where
        )
    };
}

fn session(row: &Row) -> Result<Session, StoreError> {
    let facts: SessionFacts = from_json(row, 4)?;
    Ok(Session {
        version: row.int(1)?,
        ended: row.opt_text(2)?.map(str::to_owned),
        idle_until: Time(row.int(3)?),
        signals: opt_json(row, 5)?.unwrap_or_default(),
        standing: opt_json(row, 6)?,
        facts,
    })
}

impl Store {
    /// A session, ended or not.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let q = Query::new(session_query!("WHERE id = $1"), [id.as_str().into()]).kept(Table::Session, "id");
        self.one(q, session).await
    }
    /// The session of a cookie, by its hash.
    pub async fn session_by_cookie(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let q = Query::new(session_query!("WHERE cookie_hash = $1"), [hash.into()]).kept(Table::Session, "cookie");
        self.one(q, session).await
    }
    /// Sessions of a person that were not ended, newest first.
    pub async fn sessions_of(&self, person: &PersonId) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE person = $1 AND ended IS NULL ORDER BY id DESC LIMIT 100"),
            [person.as_str().into()],
        );
        self.many(q, session).await
    }
    /// Sessions that a device opened and that were not ended.
    pub async fn sessions_by_device(&self, device: &DeviceId) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE device = $1 AND ended IS NULL ORDER BY id DESC LIMIT 1000"),
            [device.as_str().into()],
        );
        self.many(q, session).await
    }
    /// The next sessions that a device opened and that were not ended, by id.
    pub async fn sessions_of_device_after(&self, device: &DeviceId, after: &str, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE device = $1 AND ended IS NULL AND id > $2 ORDER BY id LIMIT $3"),
            [device.as_str().into(), after.into(), limit.into()],
        );
        self.many(q, session).await
    }
    /// The next sessions of a person that were not ended, by id.
    pub async fn sessions_of_person_after(&self, person: &PersonId, after: &str, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE person = $1 AND ended IS NULL AND id > $2 ORDER BY id LIMIT $3"),
            [person.as_str().into(), after.into(), limit.into()],
        );
        self.many(q, session).await
    }
    /// The next sessions that were not ended, whosever they are, by id.
    pub async fn sessions_after(&self, after: &str, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE ended IS NULL AND id > $1 ORDER BY id LIMIT $2"),
            [after.into(), limit.into()],
        )
        .long();
        self.many(q, session).await
    }
    /// Sessions that do not simply go on, so that they go on once their reason is over.
    pub async fn sessions_resting(&self, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE ended IS NULL AND standing IS NOT NULL ORDER BY id LIMIT $1"),
            [limit.into()],
        );
        self.many(q, session).await
    }
    /// Sessions whose page's silence is to be looked at, the longest waiting first.
    pub async fn sessions_silent(&self, now: Time, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE ended IS NULL AND silence_at <= $1 ORDER BY silence_at LIMIT $2"),
            [now.0.into(), limit.into()],
        );
        self.many(q, session).await
    }
    /// Sessions whose time is over and that were not ended yet.
    pub async fn sessions_due(&self, now: Time, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE ended IS NULL AND idle_until <= $1 ORDER BY idle_until LIMIT $2"),
            [now.0.into(), limit.into()],
        );
        self.many(q, session).await
    }
    /// Sessions that were not ended although their person, device or terminal may not act.
    pub async fn sessions_stopped(&self, limit: i64) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!(
                "WHERE ended IS NULL AND id IN (\
                 SELECT s.id FROM person p CROSS JOIN session s WHERE p.state <> 'active' AND s.person = p.id AND s.ended IS NULL UNION \
                 SELECT s.id FROM device d CROSS JOIN session s WHERE d.state <> 'active' AND s.device = d.id AND s.ended IS NULL UNION \
                 SELECT s.id FROM terminal t CROSS JOIN session s WHERE t.state <> 'active' AND s.terminal = t.id AND s.terminal IS NOT NULL AND s.ended IS NULL) LIMIT $1"
            ),
            [limit.into()],
        )
        .long();
        self.many(q, session).await
    }
    /// Sessions at a terminal that were not ended.
    pub async fn sessions_at(&self, terminal: &TerminalId) -> Result<Vec<Session>, StoreError> {
        let q = Query::new(
            session_query!("WHERE terminal = $1 AND terminal IS NOT NULL AND ended IS NULL ORDER BY id LIMIT 100"),
            [terminal.as_str().into()],
        );
        self.many(q, session).await
    }
    /// Activity: the idle deadline moves, no decision rests on it, no version changes.
    pub async fn session_seen(&self, id: &SessionId, idle_until: Time) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE session SET idle_until = $2 WHERE id = $1 AND ended IS NULL",
            [id.as_str().into(), idle_until.0.into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }
}

impl Write {
    /// A session begins.
    pub fn session_opened(session: &Session) -> Write {
        let s = &session.facts;
        Write(Statement::one(
            "INSERT INTO session (id, version, cookie_hash, person, device, jkt, ended, idle_until, until, body, terminal) \
             VALUES ($1, 1, $2, $3, $4, $5, NULL, $6, $7, $8, $9)",
            [
                s.id.as_str().into(),
                s.cookie_hash.as_str().into(),
                s.person.as_str().into(),
                s.device.as_str().into(),
                s.jkt.as_str().into(),
                session.idle_until.0.into(),
                s.until.0.into(),
                json(s).into(),
                s.terminal.as_ref().map(|t| t.id.to_string()).into(),
            ],
        ))
        .becoming(Table::Session, s.id.as_str(), &[("id", s.id.as_str())], Session { version: 1, ended: None, signals: Vec::new(), standing: None, ..session.clone() })
    }
    /// A session is raised from the version it was loaded with. What made it rest was about the time before.
    pub fn session_raised(from: &Session, to: &SessionFacts) -> Write {
        Write(Statement::one(
            "UPDATE session SET cookie_hash = $3, device = $4, body = $5, signals = NULL, standing = NULL, version = version + 1 \
             WHERE id = $1 AND version = $2 AND ended IS NULL",
            [
                to.id.as_str().into(),
                from.version.into(),
                to.cookie_hash.as_str().into(),
                to.device.as_str().into(),
                json(to).into(),
            ],
        ))
    }
    /// The facts of a session that moved, its rights or what it is bound to, from the version it was loaded with.
    pub fn session_moved(from: &Session, to: &SessionFacts) -> Write {
        Write(Statement::one(
            "UPDATE session SET body = $3, version = version + 1 WHERE id = $1 AND version = $2 AND ended IS NULL",
            [to.id.as_str().into(), from.version.into(), json(to).into()],
        ))
    }
    /// The news about a session, from the version it was loaded with.
    pub fn session_signals(session: &Session, signals: &[Signal]) -> Write {
        Write(Statement::one(
            "UPDATE session SET signals = $3, version = version + 1 WHERE id = $1 AND version = $2 AND ended IS NULL",
            [session.facts.id.as_str().into(), session.version.into(), json(&signals).into()],
        ))
    }
    /// How a session stands now, from the version it was loaded with.
    pub fn session_stands(session: &Session, standing: Option<&Standing>) -> Write {
        Write(Statement::one(
            "UPDATE session SET standing = $3, version = version + 1 WHERE id = $1 AND version = $2 AND ended IS NULL",
            [session.facts.id.as_str().into(), session.version.into(), standing.map(json).into()],
        ))
    }
    /// A session ends; whatever it gave ends with it, as nothing counts without its session.
    pub fn session_ended(id: &SessionId, why: &str) -> [Write; 2] {
        [
            Write(Statement::any(
                "UPDATE session SET ended = $2, version = version + 1 WHERE id = $1 AND ended IS NULL",
                [id.as_str().into(), why.into()],
            )),
            Write(Statement::any(
                "UPDATE code SET state = 'revoked', version = version + 1 WHERE session = $1 AND state <> 'revoked'",
                [id.as_str().into()],
            )),
        ]
    }
}
