use super::Store;
use crate::{Query, StoreError};

/// Things whose names can be walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// People.
    People,
    /// Devices.
    Devices,
    /// Sessions, ended or not.
    Sessions,
    /// Clients.
    Clients,
}

impl Listed {
    /// What a decision's type means, if it is one of these.
    pub fn of(kind: &str) -> Option<Listed> {
        match kind {
            "user" => Some(Listed::People),
            "device" => Some(Listed::Devices),
            "session" => Some(Listed::Sessions),
            "client" => Some(Listed::Clients),
            _ => None,
        }
    }
}

impl Store {
    /// The next names after `after`, in order. A walk does not hold still what it walks through.
    pub async fn names_after(&self, listed: Listed, after: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let sql = match listed {
            Listed::People => "SELECT id FROM person WHERE id > $1 ORDER BY id LIMIT $2",
            Listed::Devices => "SELECT id FROM device WHERE id > $1 ORDER BY id LIMIT $2",
            Listed::Sessions => "SELECT id FROM session WHERE id > $1 ORDER BY id LIMIT $2",
            Listed::Clients => "SELECT id FROM client WHERE id > $1 ORDER BY id LIMIT $2",
        };
        let q = Query::new(sql, [after.into(), limit.into()]).long();
        self.many(q, |row| row.text(0).map(str::to_owned)).await
    }
}
