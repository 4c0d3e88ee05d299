//! Who spoke when, and who promised to speak. Written in batches; no version moves.

use super::Store;
use crate::{Query, Statement, StoreError};
use countersign_wire::{DeviceId, SessionId, Time};

/// What is known of a device's reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastReport {
    /// Number of the newest; 0 before the first.
    pub n: i64,
    /// Which report that was.
    pub tag: String,
}

/// A device spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceBeat {
    /// Which device.
    pub device: DeviceId,
    /// When.
    pub seen_at: Time,
    /// The newest report.
    pub last: LastReport,
    /// When its silence is looked at, if it promised to speak.
    pub silence_at: Option<Time>,
}

impl Store {
    /// The newest report of a device that was written down.
    pub async fn last_report(&self, device: &DeviceId) -> Result<LastReport, StoreError> {
        let q = Query::new("SELECT report_n, report_tag FROM device WHERE id = $1", [device.as_str().into()]);
        let Some(row) = self.engine.first(q).await? else { return Ok(LastReport::default()) };
        Ok(LastReport { n: row.opt_int(0)?.unwrap_or(0), tag: row.opt_text(1)?.unwrap_or_default().to_owned() })
    }

    /// Devices spoke. What another node wrote meanwhile stays where it is newer.
    pub async fn devices_spoke(&self, beats: &[DeviceBeat]) -> Result<(), StoreError> {
        let moved = beats.iter().map(|b| {
            Statement::any(
                "UPDATE device SET seen_at = $2, report_n = $3, report_tag = $4, silence_at = COALESCE($5, silence_at) \
                 WHERE id = $1 AND (seen_at IS NULL OR seen_at <= $2)",
                [
                    b.device.as_str().into(),
                    b.seen_at.0.into(),
                    b.last.n.into(),
                    b.last.tag.as_str().into(),
                    b.silence_at.map(|t| t.0).into(),
                ],
            )
        });
        self.engine.upkeep(moved.collect()).await.map(|_| ())
    }

    /// The networks that a device was seen in are these from now on.
    pub async fn device_seen_in(&self, device: &DeviceId, networks: &[String]) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE device SET networks = $2 WHERE id = $1",
            [device.as_str().into(), super::json(&networks).into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }

    /// A device's silence is looked at again at `at`, or no more until it speaks; unless it spoke
    /// since `seen`.
    pub async fn device_silence_at(&self, device: &DeviceId, seen: Option<Time>, at: Option<Time>) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE device SET silence_at = $2 WHERE id = $1 AND (seen_at IS NULL OR seen_at <= $3)",
            [device.as_str().into(), at.map(|t| t.0).into(), seen.map_or(i64::MAX, |t| t.0).into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }

    /// Pages of sessions spoke, or said that they go: then their silence means nothing.
    pub async fn sessions_spoke(&self, beats: &[(SessionId, Option<Time>)]) -> Result<(), StoreError> {
        let moved = beats.iter().map(|(id, at)| {
            Statement::any(
                "UPDATE session SET silence_at = $2 WHERE id = $1 AND ended IS NULL",
                [id.as_str().into(), at.map(|t| t.0).into()],
            )
        });
        self.engine.upkeep(moved.collect()).await.map(|_| ())
    }

    /// When the silence of a session's page is looked at.
    pub async fn session_silence_at(&self, id: &SessionId) -> Result<Option<Time>, StoreError> {
        let q = Query::new("SELECT silence_at FROM session WHERE id = $1", [id.as_str().into()]);
        match self.engine.first(q).await? {
            Some(row) => Ok(row.opt_int(0)?.map(Time)),
            None => Ok(None),
        }
    }

    /// The silence of a session's page is looked at again at `to`, or no more; unless it spoke meanwhile.
    pub async fn session_silence_moves(&self, id: &SessionId, from: Time, to: Option<Time>) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE session SET silence_at = $3 WHERE id = $1 AND silence_at = $2",
            [id.as_str().into(), from.0.into(), to.map(|t| t.0).into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }
}
