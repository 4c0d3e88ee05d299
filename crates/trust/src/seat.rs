//! A phone that a shift shares, and each person's seat on it (docs/decisions/0021-shared-phones.md).
//!
//! 1. The phone is a registered terminal of its own class ([`CLASS`]): a name, a place, a life and a key. It opens nothing.
//! 2. A seat is a device of one person that names the phone. Whoever has the phone in hand has every seat's key in hand, so
//!    that key shows where somebody is and nothing about who: who they are is shown by the seat's own passkey.
//! 3. [`may`] is the one place that says what a seat may do, and what it shows first. Whatever takes a device's proof names
//!    its [`Act`]; whatever a device answers is held to [`may_answer`]; the gate asks once more ([`crate::issuance::permit`]).

use crate::Refusal;
use crate::acr::Earned;
use crate::device::Device;
use crate::issuance::Product;
use crate::operator;
use countersign_wire::statement::{Channel, Purpose};
use countersign_wire::{ClientId, TerminalId, Time};

/// The class of terminals that are phones of a shift. No configuration describes it.
pub const CLASS: &str = "shared-phone";

/// Where a device sits, if it is a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The phone.
    pub phone: TerminalId,
    /// Its person showed themself by the seat's passkey; good until then.
    pub unlocked_until: Option<Time>,
    /// Suspended along with the phone, and resumed along with it.
    pub rests: bool,
}

impl Seat {
    /// Whether its person showed themself a short while ago.
    pub fn is_unlocked(&self, now: Time) -> bool {
        self.unlocked_until.is_some_and(|until| now < until)
    }
}

/// What a device asks for with its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Scan a code, or type one.
    Scan,
    /// Look at what it scanned, type digits for it.
    Follow,
    /// Approve what it scanned, with a passkey, or refuse it.
    Decide,
    /// Say "this was not me": it ends more than what was scanned.
    Disown,
    /// See what is open, what waits, what happened.
    See,
    /// Show a badge.
    Badge,
    /// Take what was offered by a badge, or pushed.
    Take,
    /// End a session or a right of its person's.
    End,
    /// Show by a passkey who is there, or lock again.
    Unlock,
    /// Leave the phone for good.
    Leave,
    /// Rename, end or allow a device.
    Manage,
    /// Answer a notice about another device.
    Answer,
    /// Be told that something waits while nobody looks.
    Subscribe,
    /// Say how healthy it is.
    Report,
    /// Invite somebody.
    Invite,
    /// Make recovery codes.
    Codes,
    /// Set the word that clients must bring.
    Word,
}

impl Act {
    /// Every act.
    pub const ALL: [Act; 17] = [
        Act::Scan,
        Act::Follow,
        Act::Decide,
        Act::Disown,
        Act::See,
        Act::Badge,
        Act::Take,
        Act::End,
        Act::Unlock,
        Act::Leave,
        Act::Manage,
        Act::Answer,
        Act::Subscribe,
        Act::Report,
        Act::Invite,
        Act::Codes,
        Act::Word,
    ];
    /// What a seat shows first.
    pub fn needs(self) -> Needs {
        match self {
            // A code on a screen says nothing of anybody, and an approval carries its own passkey.
            Act::Scan | Act::Follow | Act::Decide | Act::Unlock => Needs::Key,
            Act::Disown | Act::See | Act::Badge | Act::Take | Act::End | Act::Leave => Needs::Passkey,
            Act::Manage | Act::Answer | Act::Subscribe | Act::Report | Act::Invite | Act::Codes | Act::Word => Needs::OwnDevice,
        }
    }
}

/// What an act rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The key of the device.
    Key,
    /// On a seat, its person's passkey a short while ago as well.
    Passkey,
    /// A device that its person shares with nobody.
    OwnDevice,
}

/// Whether a device may do this now. One that nobody shares may, as far as this goes; what only seats do it may not.
pub fn may(device: &Device, act: Act, now: Time) -> Result<(), Refusal> {
    match (&device.seat, act.needs()) {
        (None, _) if matches!(act, Act::Unlock | Act::Leave) => Err(Refusal::Denied),
        (None, _) | (Some(_), Needs::Key) => Ok(()),
        (Some(seat), Needs::Passkey) if seat.is_unlocked(now) => Ok(()),
        (Some(_), Needs::Passkey) => Err(Refusal::SeatLocked),
        (Some(_), Needs::OwnDevice) => Err(Refusal::SharedPhone),
    }
}

/// Whether a device may answer a request of this kind that came this way. A seat opens and raises sessions of its own
/// person, at a screen that somebody stands before, and not the operator's page.
pub fn may_answer(device: &Device, purpose: Purpose, channel: Channel, asker: &ClientId) -> Result<(), Refusal> {
    let own = match purpose {
        Purpose::SignIn | Purpose::StepUp => true,
        Purpose::EnrolDevice | Purpose::Recover | Purpose::ToolCall | Purpose::Right | Purpose::Vouch => false,
    };
    let there = match channel {
        Channel::Frame | Channel::Pair | Channel::UserCode | Channel::Badge => true,
        Channel::Push => false,
    };
    let operators = asker.as_str() == operator::CLIENT;
    if !device.is_shared() || (own && there && !operators) { Ok(()) } else { Err(Refusal::SharedPhone) }
}

/// Whether a passkey that is kept on `keeper` counts beside the key of `device`: a seat's on that seat alone, and no other there.
pub fn fits(device: &Device, keeper: &Device) -> bool {
    device.id == keeper.id || !(device.is_shared() || keeper.is_shared())
}

/// What the gate asks of whatever rests on a device: from a seat come sessions, of their own class, and what is given in them.
pub fn may_give(device: &Device, product: Product, earned: Earned, is_operators: bool) -> Result<(), Refusal> {
    let made = match product {
        Product::Session | Product::Code | Product::Tokens | Product::UserInfo | Product::Introspection | Product::Decision => true,
        Product::EnrolmentTicket | Product::Approval => false,
    };
    if device.is_shared() && !(made && earned == Earned::Shared && !is_operators) { Err(Refusal::SharedPhone) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::PersonId;

    const NOW: Time = Time(1_800_000_000_000_000);

    fn own() -> Device {
        crate::policy::case::device(&PersonId::new(NOW, [1; 10]), NOW)
    }

    fn seat(unlocked_until: Option<Time>) -> Device {
        let seat = Seat { phone: TerminalId::new(NOW, [7; 10]), unlocked_until, rests: false };
        Device { seat: Some(seat), ..own() }
    }

    #[test]
    fn what_a_seat_may_do_is_said_for_every_act() {
        let (locked, open, over) = (seat(None), seat(Some(NOW.plus_s(1))), seat(Some(NOW)));
        for act in Act::ALL {
            let (when_locked, when_open) = match act {
                Act::Scan | Act::Follow | Act::Decide | Act::Unlock => (Ok(()), Ok(())),
                Act::Disown | Act::See | Act::Badge | Act::Take | Act::End | Act::Leave => (Err(Refusal::SeatLocked), Ok(())),
                Act::Manage | Act::Answer | Act::Subscribe | Act::Report | Act::Invite | Act::Codes | Act::Word => {
                    (Err(Refusal::SharedPhone), Err(Refusal::SharedPhone))
                }
            };
            assert_eq!((may(&locked, act, NOW), may(&open, act, NOW), may(&over, act, NOW)), (when_locked, when_open, when_locked), "{act:?}");
            let only_seats = matches!(act, Act::Unlock | Act::Leave);
            assert_eq!(may(&own(), act, NOW).is_ok(), !only_seats, "{act:?} on a device that nobody shares");
        }
    }

    #[test]
    fn a_seat_signs_its_person_in_where_they_stand_and_answers_nothing_else() {
        use Channel::{Badge, Frame, Pair, Push, UserCode};
        use Purpose::{EnrolDevice, Recover, Right, SignIn, StepUp, ToolCall, Vouch};
        let (till, operators): (ClientId, ClientId) = ("till".parse().unwrap(), operator::CLIENT.parse().unwrap());
        for purpose in [SignIn, StepUp, EnrolDevice, Recover, ToolCall, Right, Vouch] {
            for channel in [Frame, Pair, UserCode, Badge, Push] {
                let good = matches!(purpose, SignIn | StepUp) && channel != Push;
                assert_eq!(may_answer(&seat(None), purpose, channel, &till).is_ok(), good, "{purpose:?} {channel:?}");
                assert!(may_answer(&seat(None), purpose, channel, &operators).is_err());
                assert!(may_answer(&own(), purpose, channel, &operators).is_ok());
            }
        }
    }

    #[test]
    fn a_seats_passkey_counts_on_that_seat_alone() {
        let other = |d: Device| Device { id: countersign_wire::DeviceId::new(NOW, [9; 10]), ..d };
        assert!(fits(&seat(None), &seat(None)) && fits(&own(), &other(own())));
        assert!(!fits(&seat(None), &other(seat(None))) && !fits(&seat(None), &other(own())) && !fits(&own(), &other(seat(None))));
    }

    #[test]
    fn nothing_comes_of_a_seat_but_sessions_of_their_own_class() {
        use Product::{Approval, Code, Decision, EnrolmentTicket, Introspection, Session, Tokens, UserInfo};
        for product in [Session, EnrolmentTicket, Approval, Code, Tokens, UserInfo, Introspection, Decision] {
            let good = !matches!(product, EnrolmentTicket | Approval);
            assert_eq!(may_give(&seat(None), product, Earned::Shared, false).is_ok(), good, "{product:?}");
            assert!(may_give(&seat(None), product, Earned::Shared, true).is_err(), "the operator's page");
            for earned in [Earned::CrossDevice, Earned::CrossDevicePush, Earned::Offered, Earned::Passkey, Earned::PasskeyHardware, Earned::Recovery, Earned::Vouched] {
                assert!(may_give(&seat(None), product, earned, false).is_err(), "{product:?} {earned:?}");
                assert!(may_give(&own(), product, earned, true).is_ok());
            }
        }
    }
}
