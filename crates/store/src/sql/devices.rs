use super::{Store, Write, from_json, json, opt_json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::device::{Credential, Device, DeviceState, KeyClass};
use countersign_trust::posture::Posture;
use countersign_trust::seat::Seat;
use countersign_trust::signal::Signal;
use countersign_wire::{CredentialId, DeviceId, NoticeId, PersonId, TerminalId, Thumbprint, Time};

/// A device with the name its person gave it.
#[derive(Clone, Debug)]
pub struct StoredDevice {
    /// The device.
    pub device: Device,
    /// Its name.
    pub name: String,
    /// Networks that it was seen in, oldest first.
    pub networks: Vec<String>,
}

/// Something the person's other devices must hear.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// Row version.
    pub version: i64,
    /// Whom it is for.
    pub person: PersonId,
    /// `device_added` `device_rebound` `not_me`.
    pub kind: String,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// When.
    pub at: Time,
    /// `open` `undone` `ok`.
    pub state: String,
    /// [Undo] works until.
    pub undo_until: Time,
}

macro_rules! device_query {
    ($where:literal) => {
        concat!(
            "SELECT id, version, person, state, jkt, dk, key_class, limited_until, added_at, name, posture, seen_at, signals, recovered, networks, phone, unlocked_until, rests FROM device ",
            $where
        )
    };
}
macro_rules! credential_query {
    ($where:literal) => {
        concat!(
            "SELECT id, version, person, device, live, public_key, counter, backup_eligible, attested FROM credential ",
            $where
        )
    };
}
macro_rules! notice_query {
    ($where:literal) => {
        concat!("SELECT id, version, person, kind, device, at, state, undo_until FROM notice ", $where)
    };
}

fn device(row: &Row) -> Result<StoredDevice, StoreError> {
    let key = match row.text(6)? {
        "software" => KeyClass::Software,
        "hardware" => KeyClass::Hardware,
        _ => return Err(row.corrupt(6)),
    };
    Ok(StoredDevice {
        device: Device {
            id: row.parsed(0)?,
            version: row.int(1)?,
            person: row.parsed(2)?,
            state: DeviceState::parse(row.text(3)?).ok_or_else(|| row.corrupt(3))?,
            jkt: row.parsed(4)?,
            dk: from_json(row, 5)?,
            key,
            limited_until: row.opt_int(7)?.map(Time),
            added_at: Time(row.int(8)?),
            posture: opt_json(row, 10)?.unwrap_or_default(),
            seen_at: row.opt_int(11)?.map(Time),
            signals: opt_json(row, 12)?.unwrap_or_default(),
            recovered: row.flag(13)?,
            seat: match row.opt_parsed(15)? {
                Some(phone) => Some(Seat { phone, unlocked_until: row.opt_int(16)?.map(Time), rests: row.flag(17)? }),
                None => None,
            },
        },
        name: row.text(9)?.to_owned(),
        networks: opt_json(row, 14)?.unwrap_or_default(),
    })
}

fn credential(row: &Row) -> Result<Credential, StoreError> {
    Ok(Credential {
        id: row.parsed(0)?,
        version: row.int(1)?,
        person: row.parsed(2)?,
        device: row.parsed(3)?,
        live: row.flag(4)?,
        key: from_json(row, 5)?,
        counter: u32::try_from(row.int(6)?).map_err(|_| row.corrupt(6))?,
        backup_eligible: row.flag(7)?,
        attested: row.flag(8)?,
    })
}

fn notice(row: &Row) -> Result<Notice, StoreError> {
    Ok(Notice {
        id: row.parsed(0)?,
        version: row.int(1)?,
        person: row.parsed(2)?,
        kind: row.text(3)?.to_owned(),
        device: row.opt_parsed(4)?,
        at: Time(row.int(5)?),
        state: row.text(6)?.to_owned(),
        undo_until: Time(row.int(7)?),
    })
}

impl Store {
    /// The device with this key, whatever its state.
    pub async fn device_by_key(
        &self,
        jkt: &Thumbprint,
    ) -> Result<Option<StoredDevice>, StoreError> {
        let q = Query::new(device_query!("WHERE jkt = $1"), [jkt.as_str().into()]).kept(Table::Device, "key");
        self.one(q, device).await
    }
    /// A device.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        let q = Query::new(device_query!("WHERE id = $1"), [id.as_str().into()]).kept(Table::Device, "id");
        self.one(q, device).await
    }
    /// All devices of a person, oldest first.
    pub async fn devices_of(&self, person: &PersonId) -> Result<Vec<StoredDevice>, StoreError> {
        let q = Query::new(
            device_query!("WHERE person = $1 ORDER BY added_at LIMIT 100"),
            [person.as_str().into()],
        );
        self.many(q, device).await
    }
    /// Every seat on a phone, whatever its state, oldest first.
    pub async fn seats_on(&self, phone: &TerminalId) -> Result<Vec<StoredDevice>, StoreError> {
        let q = Query::new(device_query!("WHERE phone = $1 ORDER BY added_at, id"), [phone.as_str().into()]).long();
        self.many(q, device).await
    }
    /// Devices whose silence is to be looked at, the longest waiting first.
    pub async fn devices_silent(&self, now: Time, limit: i64) -> Result<Vec<StoredDevice>, StoreError> {
        let q = Query::new(
            device_query!("WHERE silence_at <= $1 ORDER BY silence_at LIMIT $2"),
            [now.0.into(), limit.into()],
        );
        self.many(q, device).await
    }
    /// A passkey.
    pub async fn credential(&self, id: &CredentialId) -> Result<Option<Credential>, StoreError> {
        let q = Query::new(credential_query!("WHERE id = $1"), [id.as_str().into()]).kept(Table::Credential, "id");
        self.one(q, credential).await
    }
    /// All live passkeys of a person.
    pub async fn credentials_of(&self, person: &PersonId) -> Result<Vec<Credential>, StoreError> {
        let q = Query::new(
            credential_query!("WHERE person = $1 AND live = 1 ORDER BY added_at LIMIT 100"),
            [person.as_str().into()],
        );
        self.many(q, credential).await
    }
    /// Notices of a person, newest first.
    pub async fn notices_of(&self, person: &PersonId) -> Result<Vec<Notice>, StoreError> {
        let q = Query::new(
            notice_query!("WHERE person = $1 AND state = 'open' ORDER BY at DESC LIMIT 20"),
            [person.as_str().into()],
        );
        self.many(q, notice).await
    }
    /// One notice.
    pub async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, StoreError> {
        let q = Query::new(notice_query!("WHERE id = $1"), [id.as_str().into()]);
        self.one(q, notice).await
    }
}

impl Write {
    /// A newly enrolled device; its key exists once.
    pub fn device_added(d: &Device, name: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO device (id, version, person, state, jkt, dk, key_class, limited_until, added_at, name, recovered, phone) \
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            [
                d.id.as_str().into(),
                d.person.as_str().into(),
                d.state.as_str().into(),
                d.jkt.as_str().into(),
                json(&d.dk).into(),
                d.key.as_str().into(),
                d.limited_until.map(|t| t.0).into(),
                d.added_at.0.into(),
                name.into(),
                d.recovered.into(),
                d.seat.as_ref().map(|s| s.phone.to_string()).into(),
            ],
        ))
    }
    /// A device's life goes on. A seat is locked with it.
    pub fn device_moved(d: &Device, state: DeviceState) -> Write {
        Write(Statement::one(
            "UPDATE device SET state = $3, unlocked_until = NULL, rests = 0, version = version + 1 WHERE id = $1 AND version = $2",
            [
                d.id.as_str().into(),
                d.version.into(),
                state.as_str().into(),
            ],
        ))
    }
    /// A seat rests while its phone does.
    pub fn seat_rests(d: &Device) -> Write {
        let sql = "UPDATE device SET state = 'suspended', unlocked_until = NULL, rests = 1, version = version + 1 WHERE id = $1 AND version = $2";
        Write(Statement::one(sql, [d.id.as_str().into(), d.version.into()]))
    }
    /// The person of a seat showed themself, or handed the phone on.
    pub fn seat_open_until(d: &Device, until: Option<Time>) -> Write {
        Write(Statement::one(
            "UPDATE device SET unlocked_until = $3, version = version + 1 WHERE id = $1 AND version = $2 AND phone IS NOT NULL",
            [d.id.as_str().into(), d.version.into(), until.map(|t| t.0).into()],
        ))
    }
    /// A device gets a new key, with reduced rights for a while or not. What the old key said of its health goes.
    pub fn device_rebound(d: &Device, new: &Device) -> Write {
        Write(Statement::one(
            "UPDATE device SET jkt = $3, dk = $4, key_class = $5, limited_until = $6, posture = NULL, version = version + 1 \
             WHERE id = $1 AND version = $2",
            [
                d.id.as_str().into(),
                d.version.into(),
                new.jkt.as_str().into(),
                json(&new.dk).into(),
                new.key.as_str().into(),
                new.limited_until.map(|t| t.0).into(),
            ],
        ))
    }
    /// What is known of a device's health, from the version it was loaded with.
    pub fn posture_learnt(d: &Device, posture: &Posture) -> Write {
        Write(Statement::one(
            "UPDATE device SET posture = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [d.id.as_str().into(), d.version.into(), json(posture).into()],
        ))
    }
    /// The news about a device, from the version it was loaded with.
    pub fn device_signals(d: &Device, signals: &[Signal]) -> Write {
        Write(Statement::one(
            "UPDATE device SET signals = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [d.id.as_str().into(), d.version.into(), json(&signals).into()],
        ))
    }
    /// A device's new name.
    pub fn device_renamed(d: &Device, name: &str) -> Write {
        Write(Statement::one(
            "UPDATE device SET name = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [d.id.as_str().into(), d.version.into(), name.into()],
        ))
    }
    /// A new passkey; `attestation` names format and model.
    pub fn credential_added(c: &Credential, attestation: &str, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO credential (id, version, person, device, live, public_key, counter, backup_eligible, \
             attested, attestation, added_at) VALUES ($1, 1, $2, $3, 1, $4, $5, $6, $7, $8, $9)",
            [
                c.id.as_str().into(),
                c.person.as_str().into(),
                c.device.as_str().into(),
                json(&c.key).into(),
                i64::from(c.counter).into(),
                c.backup_eligible.into(),
                c.attested.into(),
                attestation.into(),
                at.0.into(),
            ],
        ))
    }
    /// A passkey was used; its counter went up (or there is none).
    pub fn credential_used(c: &Credential, counter: u32) -> Write {
        let used = Credential { counter, version: c.version + 1, ..c.clone() };
        Write(Statement::one(
            "UPDATE credential SET counter = $3, version = version + 1 WHERE id = $1 AND version = $2 AND live = 1",
            [
                c.id.as_str().into(),
                c.version.into(),
                i64::from(counter).into(),
            ],
        ))
        .becoming(Table::Credential, c.id.as_str(), &[("id", c.id.as_str())], used)
    }
    /// The passkeys of a device that is lost or revoked end with it.
    pub fn credentials_ended(device: &DeviceId) -> Write {
        Write(Statement::any(
            "UPDATE credential SET live = 0, version = version + 1 WHERE device = $1 AND live = 1",
            [device.as_str().into()],
        ))
    }
    /// Something all channels must be told.
    pub fn notice_given(n: &Notice) -> Write {
        Write(Statement::one(
            "INSERT INTO notice (id, version, person, kind, device, at, state, undo_until) \
             VALUES ($1, 1, $2, $3, $4, $5, 'open', $6)",
            [
                n.id.as_str().into(),
                n.person.as_str().into(),
                n.kind.as_str().into(),
                n.device.as_ref().map(|d| d.to_string()).into(),
                n.at.0.into(),
                n.undo_until.0.into(),
            ],
        ))
    }
    /// A notice was answered.
    pub fn notice_answered(n: &Notice, state: &'static str) -> Write {
        Write(Statement::one(
            "UPDATE notice SET state = $3, version = version + 1 WHERE id = $1 AND version = $2 AND state = 'open'",
            [n.id.as_str().into(), n.version.into(), state.into()],
        ))
    }
}
