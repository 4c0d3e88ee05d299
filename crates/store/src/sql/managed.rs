use super::{Store, Write};
use crate::{Query, Statement, StoreError};
use countersign_wire::{DeviceId, Time};

impl Store {
    /// The device that a managing system knows by this name.
    pub async fn managed(&self, source: &str, name: &str) -> Result<Option<DeviceId>, StoreError> {
        let q = Query::new("SELECT device FROM managed WHERE id = $1", [format!("{source}/{name}").into()]);
        self.engine.first(q).await?.map(|row| row.parsed(0)).transpose()
    }
}

impl Write {
    /// What a device was called by this system before is forgotten.
    pub fn managed_forgotten(source: &str, device: &DeviceId) -> Write {
        Write(Statement::any(
            "DELETE FROM managed WHERE device = $1 AND source = $2",
            [device.as_str().into(), source.into()],
        ))
    }
    /// A managing system knows a device by this name; a name that another device has is a conflict.
    pub fn managed_named(source: &str, name: &str, device: &DeviceId, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO managed (id, source, device, at) VALUES ($1, $2, $3, $4)",
            [format!("{source}/{name}").into(), source.into(), device.as_str().into(), at.0.into()],
        ))
    }
}
