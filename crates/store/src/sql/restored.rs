use super::row_of;
use crate::{Batch, Statement, Value};
use countersign_trust::audit::{Event, Kind};
use countersign_wire::{EventId, Time, TxnId};

/// What a restore does beside bringing rows back: everything that lived ends, and devices that
/// were revoked since the backup stay revoked. Recorded as one event.
pub fn restored(revoked: &[String], id: [u8; 10], txn: [u8; 10], at: Time) -> Batch {
    let event = Event::new(EventId::new(at, id), TxnId::new(at, txn), Kind::ServerRestored, at)
        .fact("revoked", i64::try_from(revoked.len()).unwrap_or(0));
    let none = || -> Vec<Value> { Vec::new() };
    let mut batch = Batch::new(row_of(&event))
        .write(Statement::any("UPDATE session SET ended = 'restored', version = version + 1 WHERE ended IS NULL", none()))
        .write(Statement::any("UPDATE code SET state = 'revoked', version = version + 1 WHERE state <> 'revoked'", none()))
        .write(Statement::any("UPDATE oauth_grant SET ended = 'restored', version = version + 1 WHERE ended IS NULL", none()))
        .write(Statement::any("UPDATE invitation SET state = 'ended', version = version + 1 WHERE state = 'open'", none()))
        .write(Statement::any("UPDATE request SET state = 'done', version = version + 1 WHERE state <> 'done'", none()))
        .write(Statement::any("DELETE FROM challenge", none()))
        .write(Statement::any("DELETE FROM push_place", none()))
        .write(Statement::any(
            "DELETE FROM ceremony WHERE state IN ('opened', 'scanned', 'confirmed', 'approved', 'redeemed') AND deadline IS NOT NULL",
            none(),
        ))
        .write(Statement::any("DELETE FROM key WHERE purpose = 'K'", none()));
    for device in revoked {
        batch = batch
            .write(Statement::any(
                "UPDATE device SET state = 'revoked', version = version + 1 WHERE id = $1",
                [device.as_str().into()],
            ))
            .write(Statement::any(
                "UPDATE credential SET live = 0, version = version + 1 WHERE device = $1",
                [device.as_str().into()],
            ));
    }
    batch
}
