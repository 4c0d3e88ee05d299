//! Invitations: one-time, short-lived, for one person, for one device.

use crate::acr::Earned;
use countersign_wire::statement::{Channel, Near, Purpose};
use countersign_wire::{CredentialId, DeviceId, InvitationId, PersonId, Thumbprint, Time, TxnId};
use serde::{Deserialize, Serialize};

/// Why an invitation exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A new person's first device, by an administrator's link.
    First,
    /// A further device, approved on one that the person has.
    Further,
    /// A device for somebody who has none left: by a code, two people, or the operator. Its rights are
    /// reduced at first.
    Recovery,
}

/// An invitation with the version of its row.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Row version.
    pub version: i64,
    /// `open`, `used`, `ended`.
    pub state: String,
    /// Its facts.
    pub facts: InvitationFacts,
}

/// What is fixed when it is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvitationFacts {
    /// Its id.
    pub id: InvitationId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// base64url H(token): the token itself is never kept.
    pub token_hash: String,
    /// For whom.
    pub person: PersonId,
    /// Why.
    pub why: Why,
    /// For a further device: the key that was approved, and no other.
    pub jkt: Option<Thumbprint>,
    /// The approvals it rests on, each of which is judged again when the device enrols: one for a further
    /// device, two where two people let somebody back in.
    #[serde(default)]
    pub vouched: Vec<Vouched>,
    /// Who invited by a device of theirs, judged again at each use; nobody where the console did.
    #[serde(default)]
    pub by: Option<InvitedBy>,
    /// Good until.
    pub until: Time,
    /// State of a begun registration, sealed to this server's own format.
    #[serde(default)]
    pub registration: Option<serde_json::Value>,
}

/// An administrator's device that invited somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitedBy {
    /// Whose it is.
    pub person: PersonId,
    /// The device.
    pub device: DeviceId,
}

/// An approval that lets a device in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// Who approved.
    pub person: PersonId,
    /// What for.
    pub purpose: Purpose,
    /// The device that approved.
    pub device: DeviceId,
    /// The passkey that signed.
    pub credential: CredentialId,
    /// How the two devices met.
    pub channel: Channel,
    /// How near they were shown to be.
    pub near: Vec<Near>,
    /// What it earned.
    pub earned: Earned,
}

impl Invitation {
    /// Whether it can be used at `now` by the device key `jkt`.
    pub fn is_open(&self, jkt: &Thumbprint, now: Time) -> bool {
        self.state == "open"
            && now < self.facts.until
            && self.facts.jkt.as_ref().is_none_or(|k| k == jkt)
    }
}
