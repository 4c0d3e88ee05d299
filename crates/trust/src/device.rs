//! Enrolled devices and their passkeys: a life in one direction.

use crate::posture::Posture;
use crate::seat::Seat;
use crate::signal::Signal;
use countersign_wire::jose::Jwk;
use countersign_wire::{CredentialId, DeviceId, PersonId, Thumbprint, Time};
use serde::{Deserialize, Serialize};

/// Where a device is in its life. A revoked thing never comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Bound, waiting for another device to allow it.
    Pending,
    /// May act.
    Active,
    /// Stopped for now.
    Suspended,
    /// Reported lost.
    Lost,
    /// Ended by an operator or by undo.
    Revoked,
    /// Ended in peace.
    Retired,
}

impl DeviceState {
    /// Every state.
    pub const ALL: [DeviceState; 6] = [
        DeviceState::Pending,
        DeviceState::Active,
        DeviceState::Suspended,
        DeviceState::Lost,
        DeviceState::Revoked,
        DeviceState::Retired,
    ];
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceState::Pending => "pending",
            DeviceState::Active => "active",
            DeviceState::Suspended => "suspended",
            DeviceState::Lost => "lost",
            DeviceState::Revoked => "revoked",
            DeviceState::Retired => "retired",
        }
    }
    /// From the store.
    pub fn parse(text: &str) -> Option<DeviceState> {
        DeviceState::ALL.into_iter().find(|s| s.as_str() == text)
    }
    /// Whether the life may go on to `next`.
    pub fn may_become(self, next: DeviceState) -> bool {
        use DeviceState::{Active, Lost, Pending, Retired, Revoked, Suspended};
        matches!(
            (self, next),
            (Pending, Active | Revoked | Lost)
                | (Active, Suspended | Lost | Revoked | Retired)
                | (Suspended, Active | Lost | Revoked | Retired)
        )
    }
}

/// How well the device key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyClass {
    /// By software, as every WebCrypto key.
    Software,
    /// By hardware that attested it.
    Hardware,
}

impl KeyClass {
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyClass::Software => "software",
            KeyClass::Hardware => "hardware",
        }
    }
}

/// A device as decisions see it.
#[derive(Clone, Debug)]
pub struct Device {
    /// Device id.
    pub id: DeviceId,
    /// Row version.
    pub version: i64,
    /// Its person.
    pub person: PersonId,
    /// Life.
    pub state: DeviceState,
    /// Device key dk.
    pub dk: Jwk,
    /// Thumbprint of dk.
    pub jkt: Thumbprint,
    /// How dk is kept.
    pub key: KeyClass,
    /// Reduced rights until.
    pub limited_until: Option<Time>,
    /// Enrolled at.
    pub added_at: Time,
    /// What is known of its health.
    pub posture: Posture,
    /// When it last spoke for itself; moves without the version.
    pub seen_at: Option<Time>,
    /// News about it.
    pub signals: Vec<Signal>,
    /// Enrolled by a recovery: a code, two people, or the operator.
    pub recovered: bool,
    /// The phone of a shift that it is a person's seat on, if it is one.
    pub seat: Option<Seat>,
}

impl Device {
    /// Whether rights are reduced at `now`.
    pub fn is_limited(&self, now: Time) -> bool {
        self.limited_until.is_some_and(|until| now < until)
    }
    /// Whether others hold it as well.
    pub fn is_shared(&self) -> bool {
        self.seat.is_some()
    }
    /// Whether what it approves is worth no more than the recovery that let it in.
    pub fn is_recovering(&self, now: Time) -> bool {
        self.recovered && self.is_limited(now)
    }
}

/// A passkey.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Credential id.
    pub id: CredentialId,
    /// Row version.
    pub version: i64,
    /// Its person.
    pub person: PersonId,
    /// The device record it was registered on.
    pub device: DeviceId,
    /// Whether it is live.
    pub live: bool,
    /// Public key.
    pub key: Jwk,
    /// Counter last seen.
    pub counter: u32,
    /// Registered as backup-eligible.
    pub backup_eligible: bool,
    /// Whether hardware attested it.
    pub attested: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_revoked_or_retired_never_comes_back() {
        for dead in [DeviceState::Lost, DeviceState::Revoked, DeviceState::Retired] {
            for next in DeviceState::ALL {
                assert!(!dead.may_become(next), "{dead:?} {next:?}");
            }
        }
        assert!(DeviceState::Pending.may_become(DeviceState::Active));
        assert!(!DeviceState::Active.may_become(DeviceState::Pending));
    }
}
