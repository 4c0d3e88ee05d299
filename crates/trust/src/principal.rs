//! The two kinds of principal, which share no type: people here, [`Workload`]s in a module of their own.

pub use crate::workload::Workload;

use crate::signal::Signal;
use countersign_wire::PersonId;
use serde::{Deserialize, Serialize};

/// Whether a person may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonState {
    /// Invited, no device yet.
    Invited,
    /// May act.
    Active,
    /// Stopped for now.
    Locked,
    /// Gone for good.
    Ended,
}

impl PersonState {
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            PersonState::Invited => "invited",
            PersonState::Active => "active",
            PersonState::Locked => "locked",
            PersonState::Ended => "ended",
        }
    }
    /// From the store.
    pub fn parse(text: &str) -> Option<PersonState> {
        [PersonState::Invited, PersonState::Active, PersonState::Locked, PersonState::Ended]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// What a person may do to Countersign itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Signs in.
    Member,
    /// Signs in, and approves rights for others where a client says so.
    Supervisor,
    /// Signs in, and is one of the two who let somebody back in.
    RecoveryOfficer,
    /// Invites people as well, and is one of the two who let somebody back in; never approves for them. To lock or end somebody is for the operator.
    Administrator,
    /// Signs in to the operator's page, and takes away there what should not go on. Lets nobody in: the hand that
    /// stops is not the one that vouches.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Member, Role::Supervisor, Role::RecoveryOfficer, Role::Administrator, Role::Operator];
    /// Name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Supervisor => "supervisor",
            Role::RecoveryOfficer => "recovery_officer",
            Role::Administrator => "administrator",
            Role::Operator => "operator",
        }
    }
    /// From the store.
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

/// A person as decisions see them: no name.
#[derive(Clone, Debug)]
pub struct Person {
    /// Pseudonym.
    pub id: PersonId,
    /// Row version.
    pub version: i64,
    /// Whether they may act.
    pub state: PersonState,
    /// Role.
    pub role: Role,
    /// News about them.
    pub signals: Vec<Signal>,
}
