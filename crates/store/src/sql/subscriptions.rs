use super::{Store, Write, from_json, json};
use crate::{Query, Row, Statement, StoreError};
use countersign_wire::{CeremonyId, ClientId, DeviceId, KeyId, PersonId, Thumbprint, Time};

/// A phone that wants to be told that something waits.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub person: PersonId,
    /// Key of the device when it subscribed.
    pub jkt: Thumbprint,
    /// The key of ours that its push service knows.
    pub vapid: KeyId,
    /// What its browser gave, sealed.
    pub sealed: Vec<u8>,
    /// Since.
    pub at: Time,
    /// Until.
    pub until: Time,
}

/// A request that phones are still to be told of.
#[derive(Clone, Debug)]
pub struct OwedPush {
    /// The request's ceremony.
    pub ceremony: CeremonyId,
    /// Tries so far.
    pub tries: i64,
    /// Devices that need not be told any more.
    pub told: Vec<DeviceId>,
    /// What went wrong last.
    pub because: Option<String>,
}

macro_rules! subscription_query {
    ($where:literal) => {
        concat!("SELECT s.id, s.person, s.jkt, s.vapid, s.sealed, s.made_at, s.expires_at FROM push_subscription s ", $where)
    };
}

fn subscription(row: &Row) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        device: row.parsed(0)?,
        person: row.parsed(1)?,
        jkt: row.parsed(2)?,
        vapid: row.parsed(3)?,
        sealed: row.bytes(4)?.to_vec(),
        at: Time(row.int(5)?),
        until: Time(row.int(6)?),
    })
}

fn owed(row: &Row) -> Result<OwedPush, StoreError> {
    Ok(OwedPush {
        ceremony: row.parsed(0)?,
        tries: row.int(1)?,
        told: from_json(row, 2)?,
        because: row.opt_text(3)?.map(str::to_owned),
    })
}

fn name(person: &PersonId, client: &ClientId) -> String {
    format!("{person}/{client}")
}

impl Store {
    /// What a device gave in order to be told, if that counts still.
    pub async fn subscription(&self, device: &DeviceId, now: Time) -> Result<Option<Subscription>, StoreError> {
        let q = Query::new(subscription_query!("WHERE s.id = $1 AND s.expires_at > $2"), [device.as_str().into(), now.0.into()]);
        self.one(q, subscription).await
    }
    /// Phones of a person that are to be told: of those that act, with the key that they subscribed with.
    pub async fn subscriptions_of(&self, person: &PersonId, now: Time) -> Result<Vec<Subscription>, StoreError> {
        let q = Query::new(
            subscription_query!(
                "JOIN device d ON d.id = s.id WHERE s.person = $1 AND s.expires_at > $2 AND d.state = 'active' AND d.jkt = s.jkt \
                 AND d.person = s.person ORDER BY s.made_at LIMIT 100"
            ),
            [person.as_str().into(), now.0.into()],
        );
        self.many(q, subscription).await
    }
    /// What is due to be told.
    pub async fn pushes_due(&self, now: Time, limit: i64) -> Result<Vec<OwedPush>, StoreError> {
        let q = Query::new(
            "SELECT id, tries, told, because FROM push_owed WHERE next_at <= $1 ORDER BY next_at LIMIT $2",
            [now.0.into(), limit.into()],
        );
        self.many(q, owed).await
    }
    /// Takes a try by itself: nobody else tries before `next`. False where somebody has.
    pub async fn push_tried(&self, owed: &OwedPush, next: Time) -> Result<bool, StoreError> {
        let s = Statement::any(
            "UPDATE push_owed SET tries = tries + 1, next_at = $3 WHERE id = $1 AND tries = $2",
            [owed.ceremony.as_str().into(), owed.tries.into(), next.0.into()],
        );
        Ok(self.engine.upkeep(vec![s]).await? == 1)
    }
    /// Some were told; the others are tried again.
    pub async fn push_goes_on(&self, ceremony: &CeremonyId, told: &[DeviceId], because: &str) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE push_owed SET told = $2, because = $3 WHERE id = $1",
            [ceremony.as_str().into(), json(&told).into(), because.into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }
    /// There was nobody to be told.
    pub async fn push_dropped(&self, ceremony: &CeremonyId) -> Result<(), StoreError> {
        let Write(statement) = Write::push_done(ceremony);
        self.engine.upkeep(vec![statement]).await.map(|_| ())
    }
    /// How many requests of a client in a row a person did not approve, and when they missed the newest.
    pub async fn missed(&self, person: &PersonId, client: &ClientId) -> Result<Option<(i64, Time)>, StoreError> {
        let q = Query::new("SELECT misses, at FROM push_quiet WHERE id = $1", [name(person, client).into()]);
        self.engine.first(q).await?.map(|row| Ok((row.int(0)?, Time(row.int(1)?)))).transpose()
    }
}

impl Write {
    /// A phone is to be told from now on, by what it gave now.
    pub fn push_subscribed(s: &Subscription) -> Write {
        Write(Statement::one(
            "INSERT INTO push_subscription (id, person, jkt, vapid, sealed, made_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (id) DO UPDATE SET person = $2, jkt = $3, vapid = $4, sealed = $5, made_at = $6, expires_at = $7",
            [
                s.device.as_str().into(),
                s.person.as_str().into(),
                s.jkt.as_str().into(),
                s.vapid.as_str().into(),
                s.sealed.clone().into(),
                s.at.0.into(),
                s.until.0.into(),
            ],
        ))
    }
    /// A device is told no more.
    pub fn push_unsubscribed(device: &DeviceId) -> Write {
        Write(Statement::any("DELETE FROM push_subscription WHERE id = $1", [device.as_str().into()]))
    }
    /// What a phone gave then is worth nothing; one that gave something else since is left alone.
    pub fn push_gone(s: &Subscription) -> Write {
        Write(Statement::one("DELETE FROM push_subscription WHERE id = $1 AND made_at = $2", [s.device.as_str().into(), s.at.0.into()]))
    }
    /// Phones are to be told of a request.
    pub fn push_owed(ceremony: &CeremonyId, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO push_owed (id, tries, next_at, told, because) VALUES ($1, 0, $2, '[]', NULL)",
            [ceremony.as_str().into(), at.0.into()],
        ))
    }
    /// They were, or are not any more.
    pub fn push_done(ceremony: &CeremonyId) -> Write {
        Write(Statement::any("DELETE FROM push_owed WHERE id = $1", [ceremony.as_str().into()]))
    }
    /// A person did not approve what a client asked, or said worse of it.
    pub fn push_missed(person: &PersonId, client: &ClientId, count: i64, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO push_quiet (id, misses, at) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET misses = push_quiet.misses + $2, at = $3",
            [name(person, client).into(), count.into(), at.0.into()],
        ))
    }
    /// They approved it.
    pub fn push_answered(person: &PersonId, client: &ClientId) -> Write {
        Write(Statement::any("DELETE FROM push_quiet WHERE id = $1", [name(person, client).into()]))
    }
}
