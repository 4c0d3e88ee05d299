//! The record of a commit, as the engines keep it.

use crate::{Row, StoreError, Value};

/// One event as columns. The engine adds its own: the number, the time of the write and the place within the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Unique for ever.
    pub id: String,
    /// Shared by all events of one cause.
    pub txn: String,
    /// What happened, such as `ceremony.scanned`.
    pub kind: String,
    /// When it was decided, microseconds.
    pub at: i64,
    /// The ceremony it belongs to.
    pub ceremony: Option<String>,
    /// The session it belongs to.
    pub session: Option<String>,
    /// The person, by pseudonym.
    pub person: Option<String>,
    /// The device.
    pub device: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// The canonical text, kept as it is.
    pub body: String,
}

/// An event with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Gapless, in commit order.
    pub seq: i64,
    /// The event.
    pub event: EventRow,
}

/// The columns of an event in the order [`EventRow::read`] expects, for loads that return events.
pub const EVENT_COLUMNS: &str =
    "id, txn, kind, at, ceremony, session, person, device, client, body";

pub(crate) const AFTER: &str = "SELECT id, txn, kind, at, ceremony, session, person, device, client, body, seq \
     FROM event WHERE seq > $1 ORDER BY seq LIMIT $2";
pub(crate) const LAST: &str = "SELECT seq FROM event_head WHERE id = 'head'";

impl EventRow {
    /// Reads the first ten columns of a row selected in the order of [`EVENT_COLUMNS`].
    pub fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            txn: row.text(1)?.to_owned(),
            kind: row.text(2)?.to_owned(),
            at: row.int(3)?,
            ceremony: row.opt_text(4)?.map(str::to_owned),
            session: row.opt_text(5)?.map(str::to_owned),
            person: row.opt_text(6)?.map(str::to_owned),
            device: row.opt_text(7)?.map(str::to_owned),
            client: row.opt_text(8)?.map(str::to_owned),
            body: row.text(9)?.to_owned(),
        })
    }

    pub(crate) fn into_values(self) -> [Value; 10] {
        [
            self.id.into(),
            self.txn.into(),
            self.kind.into(),
            self.at.into(),
            self.ceremony.into(),
            self.session.into(),
            self.person.into(),
            self.device.into(),
            self.client.into(),
            self.body.into(),
        ]
    }
}

impl Numbered {
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.int(10)?,
            event: EventRow::read(row)?,
        })
    }
}
