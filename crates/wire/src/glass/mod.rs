//! Rights without the line, "behind glass": what a terminal may open while it cannot ask the server (docs/break-glass.md).
//!
//! 1. While the line is up the server *seals* a grant to a registered terminal: which scopes of which client, how
//!    often, how long, until when, and which people's keys may open it ([`grant`]).
//! 2. Without the line the terminal asks by a *challenge* ([`challenge`]), which two people's phones *answer*: each with
//!    its device key and a passkey ([`answer`]).
//! 3. The terminal writes a *record* of it, signed, into a chain, before it uses it ([`record`]).
//! 4. [`Chain::take`] judges one record in its place. The terminal asks it before it writes, the application before it
//!    believes, and the server when the chain is handed in: all of them the same function.
//!
//! Nothing here asks for the time: where it matters it is an argument, or stands in what was signed.

mod answer;
mod chain;
mod challenge;
mod grant;
mod record;

pub use answer::{Answer, answered, approve};
pub use chain::{Bundle, Chain, Judged, Opened, Opener};
pub use challenge::{Challenge, Slip};
pub use grant::{Grant, Holder, Sealed, roster_bytes};
pub use record::{Closed, Record, close, keep};

use crate::Malformed;

/// Why something is not opened, or not believed. The code is interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Not of the form.
    Malformed,
    /// The grant is of no key of this server, of another server, or over its limits.
    Grant,
    /// The list of people is not the one that was sealed.
    Roster,
    /// Not signed by the terminal that the grant is for.
    Terminal,
    /// The challenge is for another grant.
    Challenge,
    /// Not the next in its chain.
    Order,
    /// More uses than were granted.
    Count,
    /// A scope that was not granted.
    Scope,
    /// Longer than was granted.
    Minutes,
    /// Before the grant began or after it ended, or answered too late.
    Time,
    /// The clock went back.
    Clock,
    /// Somebody, or a device, that the grant does not name.
    Stranger,
    /// The device key did not sign this challenge.
    Device,
    /// The passkey did not sign this challenge.
    Passkey,
    /// One person twice.
    SamePerson,
    /// One phone, or one passkey, twice.
    SameDevice,
    /// No supervisor among the two.
    Supervisor,
    /// Whoever works with it is one of the two.
    Works,
    /// The last word of the chain does not fit to it.
    Close,
}

impl Why {
    /// Every reason.
    pub const ALL: [Why; 19] = [
        Why::Malformed,
        Why::Grant,
        Why::Roster,
        Why::Terminal,
        Why::Challenge,
        Why::Order,
        Why::Count,
        Why::Scope,
        Why::Minutes,
        Why::Time,
        Why::Clock,
        Why::Stranger,
        Why::Device,
        Why::Passkey,
        Why::SamePerson,
        Why::SameDevice,
        Why::Supervisor,
        Why::Works,
        Why::Close,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Why::Malformed => "malformed",
            Why::Grant => "grant",
            Why::Roster => "roster",
            Why::Terminal => "terminal",
            Why::Challenge => "challenge",
            Why::Order => "order",
            Why::Count => "count",
            Why::Scope => "scope",
            Why::Minutes => "minutes",
            Why::Time => "time",
            Why::Clock => "clock",
            Why::Stranger => "stranger",
            Why::Device => "device",
            Why::Passkey => "passkey",
            Why::SamePerson => "same_person",
            Why::SameDevice => "same_device",
            Why::Supervisor => "supervisor",
            Why::Works => "works",
            Why::Close => "close",
        }
    }

    /// A sentence for whoever stands before the terminal, or reads the log.
    pub const fn say(self) -> &'static str {
        match self {
            Why::Malformed => "it is not of the form",
            Why::Grant => "this server did not seal this grant",
            Why::Roster => "the list of people is not the one that was sealed",
            Why::Terminal => "the terminal that the grant is for did not sign it",
            Why::Challenge => "it is for another grant",
            Why::Order => "it is not the next in its chain",
            Why::Count => "the grant is used up",
            Why::Scope => "the grant does not have this right",
            Why::Minutes => "the grant does not last so long",
            Why::Time => "the grant has not begun or is over, or the answers came too late",
            Why::Clock => "the clock went back",
            Why::Stranger => "the grant does not name this person's phone",
            Why::Device => "the phone's key did not sign this challenge",
            Why::Passkey => "the passkey did not sign this challenge",
            Why::SamePerson => "one person answered twice: it takes two",
            Why::SameDevice => "one phone answered twice: it takes two",
            Why::Supervisor => "one of the two must be a supervisor",
            Why::Works => "whoever works with it cannot open it",
            Why::Close => "the last word does not fit to the chain",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.say())
    }
}

impl std::error::Error for Why {}

impl From<Malformed> for Why {
    fn from(_: Malformed) -> Why {
        Why::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: std::collections::HashSet<_> = Why::ALL.iter().map(|w| w.code()).collect();
        assert_eq!(codes.len(), Why::ALL.len());
    }
}
