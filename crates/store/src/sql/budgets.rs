use super::{Store, Write};
use crate::{Query, Row, Statement, StoreError, Value};
use countersign_trust::limits::QUIET_MAX_S;
use countersign_wire::{CeremonyId, DeviceId, PersonId, Time};

/// A count of attempts in a window. It is never reset by a new code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What is counted, whose, and which window.
    pub id: String,
    /// Start of the window.
    pub from: Time,
    /// End of the window.
    pub until: Time,
    /// Most that fit.
    pub limit: i64,
}

impl Counter {
    /// The counter of `what` for `whose`, in the window of `window_s` seconds that `now` lies in.
    pub fn new(what: &str, whose: &str, window_s: i64, limit: i64, now: Time) -> Counter {
        let n = now.seconds().div_euclid(window_s.max(1));
        let from = Time::from_seconds(n * window_s);
        Counter {
            id: format!("{what}/{whose}/{n}"),
            from,
            until: from.plus_s(window_s),
            limit,
        }
    }
}

/// A screen that may not ask a person, or anybody, for a while.
#[derive(Clone, Debug)]
pub struct Quarantine {
    /// Its id.
    pub id: String,
    /// Whom it may not ask; `None` for everyone.
    pub person: Option<PersonId>,
    /// The client it asked for; empty for any.
    pub client: String,
    /// What it asked from: a network, or a registered terminal.
    pub source: String,
    /// Key of the screen.
    pub jkt: String,
    /// Since.
    pub at: Time,
    /// Until.
    pub until: Time,
}

fn quarantine(row: &Row) -> Result<Quarantine, StoreError> {
    Ok(Quarantine {
        id: row.text(0)?.to_owned(),
        person: match row.text(1)? {
            "" => None,
            _ => Some(row.parsed(1)?),
        },
        client: row.text(2)?.to_owned(),
        source: row.text(3)?.to_owned(),
        jkt: row.text(4)?.to_owned(),
        at: Time(row.int(5)?),
        until: Time(row.int(6)?),
    })
}

impl Store {
    /// How much of a budget is used.
    pub async fn used(&self, counter: &Counter) -> Result<i64, StoreError> {
        let q = Query::new(
            "SELECT count FROM budget WHERE id = $1",
            [counter.id.as_str().into()],
        );
        self.engine.first(q).await?.map_or(Ok(0), |r| r.int(0))
    }
    /// Whether a name was used up.
    pub async fn is_burnt(&self, what: &str, name: &str) -> Result<bool, StoreError> {
        let q = Query::new(
            "SELECT id FROM burn WHERE id = $1",
            [format!("{what}/{name}").into()],
        );
        Ok(self.engine.first(q).await?.is_some())
    }
    /// Uses a name up by itself, before the act that it allows; false if it was used before.
    pub async fn burn_first(&self, what: &str, name: &str, until: Time) -> Result<bool, StoreError> {
        let Write(statement) = Write::burnt(what, name, until);
        match self.engine.upkeep(vec![statement]).await {
            Ok(rows) => Ok(rows == 1),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
    /// Whether a screen (its network or its key) may not ask this person for this client now; without
    /// a person, whether it may ask nobody.
    pub async fn is_stopped(
        &self,
        source: &str,
        jkt: &str,
        client: &str,
        person: Option<&PersonId>,
        now: Time,
    ) -> Result<bool, StoreError> {
        let q = Query::new(
            "SELECT id FROM quarantine WHERE (source = $1 OR jkt = $2) AND until > $3 AND person IN ('', $4) \
             AND client IN ('', $5) LIMIT 1",
            [
                source.into(),
                jkt.into(),
                now.0.into(),
                person.map_or_else(String::new, ToString::to_string).into(),
                client.into(),
            ],
        );
        Ok(self.engine.first(q).await?.is_some())
    }
    /// Quarantines of a screen (its network or its key) that still hold, newest first.
    pub async fn quarantines(
        &self,
        source: &str,
        jkt: &str,
        now: Time,
    ) -> Result<Vec<Quarantine>, StoreError> {
        let q = Query::new(
            "SELECT id, person, client, source, jkt, at, until FROM quarantine \
             WHERE (source = $1 OR jkt = $2) AND until > $3 ORDER BY at DESC LIMIT 200",
            [source.into(), jkt.into(), now.0.into()],
        );
        self.many(q, quarantine).await
    }
    /// Whether this device's scan of a ceremony was refused a moment ago.
    pub async fn was_refused(
        &self,
        device: &DeviceId,
        cid: &CeremonyId,
        now: Time,
    ) -> Result<bool, StoreError> {
        let q = Query::new(
            "SELECT until FROM refused_scan WHERE id = $1 AND until > $2",
            [format!("{device}/{cid}").into(), now.0.into()],
        );
        Ok(self.engine.first(q).await?.is_some())
    }
    /// A passkey challenge for a browser's request, if it lives.
    pub async fn challenge(
        &self,
        hash: &str,
        now: Time,
    ) -> Result<Option<(String, String)>, StoreError> {
        let q = Query::new(
            "SELECT id, request, browser_hash FROM challenge WHERE id = $1 AND expires_at > $2",
            [hash.into(), now.0.into()],
        );
        let read = |r: Row| Ok((r.text(1)?.to_owned(), r.text(2)?.to_owned()));
        self.engine.first(q).await?.map(read).transpose()
    }
    /// Counts an attempt by itself, before the act that it pays for; false if there were too many.
    pub async fn count_first(&self, counter: &Counter) -> Result<bool, StoreError> {
        let Write(statement) = Write::counted(counter);
        match self.engine.upkeep(vec![statement]).await {
            Ok(rows) => Ok(rows == 1),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
    /// Takes back what [`Store::count_first`] counted, where the attempt was none.
    pub async fn uncount(&self, counter: &Counter) -> Result<(), StoreError> {
        let Write(statement) = Write::uncounted(counter);
        self.engine.upkeep(vec![statement]).await.map(|_| ())
    }
    /// Clears what nobody could present any more.
    pub async fn clear_expired(&self, now: Time) -> Result<u64, StoreError> {
        let t = || -> Vec<Value> { vec![now.0.into()] };
        let day = || -> Vec<Value> { vec![now.plus_s(-86_400).0.into()] };
        self.engine
            .upkeep(vec![
                Statement::any("DELETE FROM burn WHERE expires_at < $1", t()),
                Statement::any("DELETE FROM budget WHERE expires_at < $1", t()),
                Statement::any("DELETE FROM challenge WHERE expires_at < $1", t()),
                Statement::any("DELETE FROM refused_scan WHERE until < $1", t()),
                Statement::any("DELETE FROM badge WHERE expires_at < $1", t()),
                Statement::any("DELETE FROM push_place WHERE expires_at < $1", t()),
                Statement::any("DELETE FROM push_subscription WHERE expires_at < $1", t()),
                // No request waits for so long, and nobody was silent for so long.
                Statement::any("DELETE FROM push_owed WHERE next_at < $1", day()),
                Statement::any("DELETE FROM push_quiet WHERE at < $1", vec![now.plus_s(-2 * QUIET_MAX_S).0.into()]),
                Statement::any("DELETE FROM quarantine WHERE until < $1", day()),
                Statement::any("DELETE FROM request WHERE expires_at < $1", day()),
                Statement::any("DELETE FROM code WHERE expires_at < $1", day()),
                Statement::any("DELETE FROM oauth_grant WHERE expires_at < $1", day()),
                Statement::any("DELETE FROM recovery WHERE expires_at < $1", day()),
            ])
            .await
    }
}

impl Write {
    /// A name is used up; a second use is a conflict.
    pub fn burnt(what: &str, name: &str, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO burn (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
            [format!("{what}/{name}").into(), until.0.into()],
        ))
    }
    /// One more attempt; beyond the limit it is a conflict.
    pub fn counted(c: &Counter) -> Write {
        Write(Statement::one(
            "INSERT INTO budget (id, window_start, count, expires_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (id) DO UPDATE SET count = budget.count + 1 WHERE budget.count < $4",
            [
                c.id.as_str().into(),
                c.from.0.into(),
                c.until.plus_s(1).0.into(),
                c.limit.into(),
            ],
        ))
    }
    /// One more attempt, however many there were: for counts of failures.
    pub fn tallied(c: &Counter) -> Write {
        Write(Statement::one(
            "INSERT INTO budget (id, window_start, count, expires_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (id) DO UPDATE SET count = budget.count + 1",
            [
                c.id.as_str().into(),
                c.from.0.into(),
                c.until.plus_s(1).0.into(),
            ],
        ))
    }
    /// One attempt less: it came to a good end.
    pub fn uncounted(c: &Counter) -> Write {
        Write(Statement::any("UPDATE budget SET count = count - 1 WHERE id = $1 AND count > 0", [c.id.as_str().into()]))
    }
    /// A count starts anew, where something better than a new code earned it.
    pub fn count_forgiven(c: &Counter) -> Write {
        Write(Statement::any(
            "DELETE FROM budget WHERE id = $1",
            [c.id.as_str().into()],
        ))
    }
    /// A screen is kept from asking.
    pub fn quarantined(q: &Quarantine) -> Write {
        Write(Statement::one(
            "INSERT INTO quarantine (id, person, client, source, jkt, at, until) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                q.id.as_str().into(),
                q.person
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string)
                    .into(),
                q.client.as_str().into(),
                q.source.as_str().into(),
                q.jkt.as_str().into(),
                q.at.0.into(),
                q.until.0.into(),
            ],
        ))
    }
    /// A scan was refused; "not me" may be said about it for a while.
    pub fn scan_refused(device: &DeviceId, cid: &CeremonyId, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO refused_scan (id, device, ceremony, until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO UPDATE SET until = $4",
            [
                format!("{device}/{cid}").into(),
                device.as_str().into(),
                cid.as_str().into(),
                until.0.into(),
            ],
        ))
    }
    /// A passkey challenge for one request of one browser.
    pub fn challenge_made(hash: &str, request: &str, browser_hash: &str, until: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO challenge (id, request, browser_hash, expires_at) VALUES ($1, $2, $3, $4)",
            [
                hash.into(),
                request.into(),
                browser_hash.into(),
                until.0.into(),
            ],
        ))
    }
    /// A passkey challenge is used up.
    pub fn challenge_used(hash: &str) -> Write {
        Write(Statement::one(
            "DELETE FROM challenge WHERE id = $1",
            [hash.into()],
        ))
    }
}
