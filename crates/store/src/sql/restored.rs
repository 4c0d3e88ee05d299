use super::{Store, row_of};
use crate::{Batch, Query, Statement, StoreError, Value};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use countersign_wire::{CredentialId, DeviceId, EventId, PersonId, Time, TerminalId, TxnId, WorkloadId};

/// Somebody or something that was stopped, for now or for good: what a backup cannot know if it
/// happened since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A device: suspended, or at the end of its life.
    Device(DeviceId, DeviceState),
    /// A person: locked or ended.
    Person(PersonId, PersonState),
    /// A passkey that is not live any more.
    Passkey(CredentialId),
    /// A workload that ended.
    Workload(WorkloadId),
    /// A terminal: suspended, or at the end of its life.
    Terminal(TerminalId, DeviceState),
}

impl Store {
    /// Whatever is stopped now.
    pub async fn stopped(&self) -> Result<Vec<Stopped>, StoreError> {
        let all = |sql| self.engine.query(Query::new(sql, []).long());
        let mut out = Vec::new();
        for r in all("SELECT id, state FROM person WHERE state IN ('locked', 'ended') ORDER BY id").await? {
            out.push(Stopped::Person(r.parsed(0)?, PersonState::parse(r.text(1)?).ok_or_else(|| r.corrupt(1))?));
        }
        for r in all("SELECT id, state FROM device WHERE state IN ('suspended', 'lost', 'revoked', 'retired') AND (state <> 'suspended' OR rests = 0) ORDER BY id").await? {
            out.push(Stopped::Device(r.parsed(0)?, DeviceState::parse(r.text(1)?).ok_or_else(|| r.corrupt(1))?));
        }
        for r in all("SELECT id FROM credential WHERE live = 0 ORDER BY id").await? {
            out.push(Stopped::Passkey(r.parsed(0)?));
        }
        for r in all("SELECT id FROM workload WHERE ended IS NOT NULL ORDER BY id").await? {
            out.push(Stopped::Workload(r.parsed(0)?));
        }
        for r in all("SELECT id, state FROM terminal WHERE state IN ('suspended', 'lost', 'revoked', 'retired') ORDER BY id").await? {
            out.push(Stopped::Terminal(r.parsed(0)?, DeviceState::parse(r.text(1)?).ok_or_else(|| r.corrupt(1))?));
        }
        Ok(out)
    }
}

/// What a restore does beside bringing rows back: everything that lived ends, all server keys go
/// (those that sign could be sealed under a key that is lost), and whatever was stopped since the
/// backup stays stopped. Recorded as one event.
pub fn restored(stopped: &[Stopped], id: [u8; 10], txn: [u8; 10], at: Time) -> Batch {
    let event = Event::new(EventId::new(at, id), TxnId::new(at, txn), Kind::ServerRestored, at)
        .fact("stopped", i64::try_from(stopped.len()).unwrap_or(0));
    let none = || -> Vec<Value> { Vec::new() };
    let mut batch = Batch::new(row_of(&event))
        .write(Statement::any("UPDATE session SET ended = 'restored', version = version + 1 WHERE ended IS NULL", none()))
        .write(Statement::any("UPDATE code SET state = 'revoked', version = version + 1 WHERE state <> 'revoked'", none()))
        .write(Statement::any("UPDATE oauth_grant SET ended = 'restored', version = version + 1 WHERE ended IS NULL", none()))
        .write(Statement::any("UPDATE invitation SET state = 'ended', version = version + 1 WHERE state = 'open'", none()))
        .write(Statement::any("UPDATE terminal SET state = 'revoked', token_hash = NULL, version = version + 1 WHERE state = 'pending'", none()))
        .write(Statement::any("DELETE FROM badge", none()))
        // Which of them were handed in since is not known, and none can be verified any more.
        .write(Statement::any("UPDATE glass SET state = 'missed', version = version + 1 WHERE state = 'open'", none()))
        .write(Statement::any("UPDATE device SET unlocked_until = NULL WHERE unlocked_until IS NOT NULL", none()))
        .write(Statement::any("UPDATE request SET state = 'done', version = version + 1 WHERE state <> 'done'", none()))
        .write(Statement::any("UPDATE recovery SET state = 'cancelled', version = version + 1 WHERE state = 'open'", none()))
        // Which of them were used since the backup is not known.
        .write(Statement::any("DELETE FROM recovery_codes", none()))
        .write(Statement::any("DELETE FROM challenge", none()))
        .write(Statement::any("DELETE FROM push_place", none()))
        .write(Statement::any("DELETE FROM push_owed", none()))
        // Push services know keys of ours that are gone; and who wants to be told no more since is not known.
        .write(Statement::any("DELETE FROM push_subscription", none()))
        .write(Statement::any(
            "DELETE FROM ceremony WHERE state IN ('opened', 'scanned', 'confirmed', 'approved', 'redeemed') AND deadline IS NOT NULL",
            none(),
        ))
        .write(Statement::any("DELETE FROM key", none()));
    for one in stopped {
        for statement in stay_stopped(one) {
            batch = batch.write(statement);
        }
    }
    batch
}

fn stay_stopped(one: &Stopped) -> Vec<Statement> {
    let of = |sql, id: &str| Statement::any(sql, [id.into()]);
    match one {
        Stopped::Device(id, DeviceState::Suspended) => vec![of(
            "UPDATE device SET state = 'suspended', rests = 0, version = version + 1 WHERE id = $1 AND state IN ('active', 'pending', 'suspended')",
            id.as_str(),
        )],
        Stopped::Device(id, _) => vec![
            of("UPDATE device SET state = 'revoked', version = version + 1 WHERE id = $1", id.as_str()),
            of("UPDATE credential SET live = 0, version = version + 1 WHERE device = $1", id.as_str()),
        ],
        Stopped::Person(id, PersonState::Ended) => vec![
            of("UPDATE person SET state = 'ended', version = version + 1 WHERE id = $1", id.as_str()),
            of("UPDATE device SET state = 'revoked', version = version + 1 WHERE person = $1", id.as_str()),
            of("UPDATE credential SET live = 0, version = version + 1 WHERE person = $1", id.as_str()),
            of("UPDATE workload SET ended = 'restored', version = version + 1 WHERE owner = $1 AND ended IS NULL", id.as_str()),
        ],
        Stopped::Person(id, _) => {
            vec![of("UPDATE person SET state = 'locked', version = version + 1 WHERE id = $1 AND state <> 'ended'", id.as_str())]
        }
        Stopped::Workload(id) => {
            vec![of("UPDATE workload SET ended = 'restored', version = version + 1 WHERE id = $1 AND ended IS NULL", id.as_str())]
        }
        Stopped::Terminal(id, DeviceState::Suspended) => vec![
            of("UPDATE terminal SET state = 'suspended', version = version + 1 WHERE id = $1 AND state = 'active'", id.as_str()),
            of("UPDATE device SET state = 'suspended', rests = 1, version = version + 1 WHERE phone = $1 AND state = 'active'", id.as_str()),
        ],
        // A phone that a shift shared goes with whoever had a seat on it.
        Stopped::Terminal(id, _) => vec![
            of("UPDATE terminal SET state = 'revoked', version = version + 1 WHERE id = $1", id.as_str()),
            of("UPDATE credential SET live = 0, version = version + 1 WHERE device IN (SELECT id FROM device WHERE phone = $1)", id.as_str()),
            of("UPDATE device SET state = 'revoked', version = version + 1 WHERE phone = $1", id.as_str()),
        ],
        Stopped::Passkey(id) => vec![of("UPDATE credential SET live = 0, version = version + 1 WHERE id = $1", id.as_str())],
    }
}
