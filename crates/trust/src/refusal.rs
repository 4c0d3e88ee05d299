//! Every way to say no, each with a stable code. Codes are part of the interface: they are never
//! renamed. Sentences for people belong to the pages.

use serde::{Deserialize, Serialize};

/// A refusal: a value, not a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The input is not of the form it must have.
    Malformed,
    /// Stale, taken, forged or unknown code: one answer for all.
    CodeNotLive,
    /// No such ceremony for this caller.
    NoSuchCeremony,
    /// No such authorization request for this browser.
    NoSuchFlow,
    /// Nothing of that name for this caller.
    NoSuchThing,
    /// Nothing shows that phone and screen are in one place.
    TooFar,
    /// Both roles were played by one device.
    SameDevice,
    /// Policy or a person says no.
    Denied,
    /// The digits come before the decision.
    ConfirmFirst,
    /// There is nothing to confirm yet.
    NotYet,
    /// The digits do not match.
    WrongCode,
    /// Not decided yet.
    Pending,
    /// Time ran out.
    Expired,
    /// It has ended.
    Gone,
    /// Another decision was taken before.
    Decided,
    /// A proof is missing or wrong.
    BadProof,
    /// Take a fresh nonce and try again.
    UseDpopNonce,
    /// It was redeemed before.
    AlreadyRedeemed,
    /// Too many tries.
    TooMany,
    /// The server's clock cannot be trusted.
    Clock,
    /// A part of the server is out of order.
    Unavailable,
    /// An invitation that was used, is old, or never was.
    InvitationOver,
    /// The passkey is not of the kind that policy asks for.
    AttestationNeeded,
    /// No live session goes with this request.
    NoSession,
    /// Name or code lets nobody back in: one answer for all.
    NotRecovered,
    /// The session lives, but this request needs more than it has: raise it (RFC 9470).
    StepUp,
    /// The session rests until whatever made it rest is gone.
    Locked,
    /// A report about a device's health that is not the newest, or not made now.
    PostureOld,
    /// What was to show something about a device does not show it.
    BadEvidence,
    /// A client asks more often than it was told to (RFC 8628 §3.5).
    SlowDown,
    /// Somebody far away has this screen in hand: nothing privileged is given there.
    RemoteControlled,
    /// On a phone that a shift shares, its person's passkey comes first.
    SeatLocked,
    /// Not from a phone that a shift shares.
    SharedPhone,
}

impl Refusal {
    /// Every refusal, for tables and tests.
    pub const ALL: [Refusal; 33] = [
        Refusal::Malformed,
        Refusal::CodeNotLive,
        Refusal::NoSuchCeremony,
        Refusal::NoSuchFlow,
        Refusal::NoSuchThing,
        Refusal::TooFar,
        Refusal::SameDevice,
        Refusal::Denied,
        Refusal::ConfirmFirst,
        Refusal::NotYet,
        Refusal::WrongCode,
        Refusal::Pending,
        Refusal::Expired,
        Refusal::Gone,
        Refusal::Decided,
        Refusal::BadProof,
        Refusal::UseDpopNonce,
        Refusal::AlreadyRedeemed,
        Refusal::TooMany,
        Refusal::Clock,
        Refusal::Unavailable,
        Refusal::InvitationOver,
        Refusal::AttestationNeeded,
        Refusal::NoSession,
        Refusal::NotRecovered,
        Refusal::StepUp,
        Refusal::Locked,
        Refusal::PostureOld,
        Refusal::BadEvidence,
        Refusal::SlowDown,
        Refusal::RemoteControlled,
        Refusal::SeatLocked,
        Refusal::SharedPhone,
    ];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::CodeNotLive => "code_not_live",
            Refusal::NoSuchCeremony => "no_such_ceremony",
            Refusal::NoSuchFlow => "no_such_flow",
            Refusal::NoSuchThing => "no_such_thing",
            Refusal::TooFar => "too_far",
            Refusal::SameDevice => "same_device",
            Refusal::Denied => "denied",
            Refusal::ConfirmFirst => "confirm_first",
            Refusal::NotYet => "not_yet",
            Refusal::WrongCode => "wrong_code",
            Refusal::Pending => "pending",
            Refusal::Expired => "expired",
            Refusal::Gone => "gone",
            Refusal::Decided => "decided",
            Refusal::BadProof => "bad_proof",
            Refusal::UseDpopNonce => "use_dpop_nonce",
            Refusal::AlreadyRedeemed => "already_redeemed",
            Refusal::TooMany => "too_many",
            Refusal::Clock => "clock",
            Refusal::Unavailable => "unavailable",
            Refusal::InvitationOver => "invitation_over",
            Refusal::AttestationNeeded => "attestation_needed",
            Refusal::NoSession => "no_session",
            Refusal::NotRecovered => "not_recovered",
            Refusal::StepUp => "step_up",
            Refusal::Locked => "locked",
            Refusal::PostureOld => "posture_old",
            Refusal::BadEvidence => "bad_evidence",
            Refusal::SlowDown => "slow_down",
            Refusal::RemoteControlled => "remote_controlled",
            Refusal::SeatLocked => "seat_locked",
            Refusal::SharedPhone => "shared_phone",
        }
    }

    /// The refusal of that code.
    pub fn parse(code: &str) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|r| r.code() == code)
    }
}
