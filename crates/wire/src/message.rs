//! Bodies of the HTTP calls, shared by the server and the device program so that they cannot drift
//! apart (docs/protocol.md §6). Unknown members are refused where the server reads.

mod overview;
mod posture;
mod terminal;

pub use overview::{ActivityItem, CodesItem, DeviceItem, Me, NoticeItem, Overview, Pending, PendingItem, PushItem, RightItem, SessionItem, StandingItem, Story, Subscribe};
pub use terminal::{BadgeMade, GlassAsk, GlassGiven, GlassTaken, RegisterTerminal, Registered, TerminalAsked, TerminalReport, TerminalTpm};
pub use posture::{PostureBody, PostureFact, PostureTaken, PostureView, TpmAsk, TpmSealed};

use crate::code::Direction;
use crate::object;
use crate::webauthn::AssertionText;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every refusal: a stable code, a reference the help desk can look up, and perhaps a sentence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Stable code, e.g. `code_not_live`.
    pub code: String,
    /// `R-481-720-936`.
    pub r#ref: String,
    /// The deciding policy's sentence for people; only on the person's own device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub say: Option<String>,
    /// Tries left, with `wrong_code`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left: Option<u8>,
}

/// `POST /ceremonies`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The authorization request it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flow: Option<String>,
    /// `enrol-device` or `recover`, where there is no flow.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub purpose: Option<String>,
    /// Name of the device that wants to join, where there is no flow.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The ceremony this one replaces.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prev: Option<String>,
    /// Login name to offer the request to (push); an unknown one answers alike.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offer: Option<String>,
    /// Login name of who wants to be let back in, with `recover`; an unknown one answers alike.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub login: Option<String>,
    /// Wish to raise the session that the same key holds. Without it a sign-in is another person's,
    /// perhaps: a registered key stays from one to the next.
    #[serde(skip_serializing_if = "is_false", default)]
    pub raise: bool,
    /// Of a registered terminal: how often it has opened, this time included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counter: Option<i64>,
    /// Of a registered terminal, instead of `flow`: sign in to what its class is for.
    #[serde(skip_serializing_if = "is_false", default)]
    pub kiosk: bool,
    /// Of a registered terminal, with `flow` or `kiosk`: login name of somebody who has no phone at hand and for whom
    /// somebody else vouches. It only says who; an unknown one answers alike.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_phone: Option<String>,
    /// Of a registered terminal: two frames that it read from a phone's badge, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub badge: Vec<String>,
}

fn is_false(b: &bool) -> bool {
    !b
}

/// Reply to [`Open`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// Ceremony id.
    pub cid: String,
    /// Handle, base64url of 16 bytes.
    pub handle: String,
    /// Channel key, base64url of 32 bytes; given once.
    pub ck: String,
    /// The typed code, `WDJB-MJHT`.
    pub user_code: String,
    /// Server time since the opening, milliseconds.
    pub t_ms: i64,
    /// Left until it ends, milliseconds.
    pub left_ms: i64,
    /// For programs without cookies: the collector, once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collector: Option<String>,
}

/// What the terminal hears: the state, never who or why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateView {
    /// `opened` `scanned` `confirmed` `approved` `redeemed` `refused` `expired` `abandoned` `revoked`.
    pub state: String,
    /// Left in this state, milliseconds.
    pub left_ms: i64,
    /// Server time since the opening, milliseconds.
    pub t_ms: i64,
    /// What the terminal must do: `type_here` (post the digits) or `type_there` (show them).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ask: Option<String>,
    /// How many digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n: Option<u8>,
    /// Digits to show, with `type_there`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digits: Option<String>,
}

/// `POST …/confirm`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The digits typed.
    pub digits: String,
}

/// A state on its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateOnly {
    /// The state's name.
    pub state: String,
}

/// Reply to redeem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedeemedReply {
    /// Name of the person who approved.
    pub name: String,
    /// Whether the page must ask "You are …?" first.
    pub greet: bool,
    /// Where to go now; absent while `greet`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
    /// With `enrol-device`: the enrolment ticket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticket: Option<String>,
    /// With `recover`: how far it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<RecoveryView>,
}

/// How far a person's way back through two others is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryView {
    /// `none` `asked` `waiting` `ready` `over`.
    pub state: String,
    /// Approvals so far.
    pub approvals: u8,
    /// Approvals that are needed.
    pub needed: u8,
    /// The device may be enrolled from then on, seconds; once both have approved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready_at: Option<i64>,
    /// Left in this state, milliseconds.
    pub left_ms: i64,
}

/// `POST /recovery/code`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseCode {
    /// Login name.
    pub login: String,
    /// A recovery code as it was typed.
    pub code: String,
}

/// What lets a recovered device enrol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// Token for `/enrolments/begin`, good for this key alone.
    pub ticket: String,
    /// Left, milliseconds.
    pub left_ms: i64,
}

/// `POST /device/recovery-codes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeCodes {
    /// The person's passkey, over the challenge of `/device/recovery-codes/options`.
    #[serde(deserialize_with = "object::member")]
    pub assertion: AssertionText,
}

/// New recovery codes, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodesMade {
    /// The codes, in groups.
    pub codes: Vec<String>,
}

/// A place to go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Next {
    /// Absolute URL.
    pub next: String,
}

/// `POST /device/scans`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// One or two frames, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub frames: Vec<String>,
    /// Or a typed code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_code: Option<String>,
}

/// What the device may see of a ceremony.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceView {
    /// Ceremony id.
    pub cid: String,
    /// State.
    pub state: String,
    /// base64url of the statement's exact bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statement: Option<String>,
    /// Left, milliseconds.
    pub left_ms: i64,
    /// `show`: digits to be typed on the terminal; `type`: digits to be typed here; `both`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ask: Option<String>,
    /// How many digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n: Option<u8>,
    /// Digits to show.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digits: Option<String>,
    /// What the passkey must sign.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assertion: Option<AssertionAsk>,
    /// The name of the person, for the head of the page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub me: Option<String>,
}

/// Request options of a passkey (WebAuthn L3 §5.5), binary members in base64url.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AssertionAsk {
    /// Challenge.
    pub challenge: String,
    /// Relying party id.
    pub rp_id: String,
    /// Credential ids; empty for a discoverable one.
    pub allow: Vec<String>,
    /// `required`.
    pub user_verification: String,
    /// Hints (WebAuthn L3 §5.8.7), most wanted first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hints: Vec<String>,
    /// Time-out, milliseconds.
    pub timeout_ms: i64,
}

/// `POST /device/ceremonies/{cid}/decision`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// The decision JWS.
    pub approval: String,
    /// The passkey's assertion, on approve.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "object::maybe")]
    pub assertion: Option<AssertionText>,
}

/// `POST /enrolments/look` and `/enrolments/begin`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Invitation token, base64url of 16 bytes.
    pub token: String,
}

/// What an invitation says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invited {
    /// Name of the invited person.
    pub name: String,
    /// Name of the operator.
    pub organisation: String,
    /// Left, milliseconds.
    pub left_ms: i64,
}

/// Options for making a passkey.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Creation {
    /// `PublicKeyCredentialCreationOptionsJSON` (WebAuthn L3 §5.1.8).
    pub creation: Value,
}

/// A new passkey as it arrives; binary members in base64url.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// Credential id.
    pub id: String,
    /// Client data.
    pub client_data_json: String,
    /// Attestation object.
    pub attestation_object: String,
    /// Transports, as the browser names them.
    #[serde(default)]
    pub transports: Vec<String>,
}

/// `POST /enrolments/finish`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishEnrolment {
    /// Invitation token.
    pub token: String,
    /// What the person calls the device.
    pub device_name: String,
    /// The new passkey.
    #[serde(deserialize_with = "object::member")]
    pub credential: NewCredential,
    /// On a phone that a shift shares: a proof of this request by that phone's key over the thumbprint of the new one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phone: Option<String>,
}

/// `POST /device/unlock`: who has a shared phone in hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Assertion by the passkey of the seat.
    #[serde(deserialize_with = "object::member")]
    pub assertion: AssertionText,
    /// A proof of this request by the phone's key over the thumbprint of the seat's.
    pub phone: String,
}

/// A seat is open for a while.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Unlocked {
    /// Left, milliseconds.
    pub left_ms: i64,
}

/// The device as enrolled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    /// Device id.
    pub device_id: String,
    /// `active` or `pending`.
    pub device_state: String,
    /// Name of its person.
    pub name: String,
    /// A recovery let it in: its rights are reduced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

/// `POST /rebind/finish`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebind {
    /// Assertion by any passkey of the person.
    #[serde(deserialize_with = "object::member")]
    pub assertion: AssertionText,
    /// What the person calls the device.
    pub device_name: String,
}

/// `POST /device/invitations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// The person's name.
    pub name: String,
    /// Login name, unique.
    pub login: String,
    /// `member`, `recovery_officer` or `administrator`.
    #[serde(default)]
    pub role: Option<String>,
}

/// A new invitation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// The one-time link; its token stands behind `#`.
    pub link: String,
    /// Left, milliseconds.
    pub left_ms: i64,
}

/// `POST /device/devices/{id}/rename`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// New name.
    pub name: String,
}

/// `POST /device/user-code`. It does not print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCode {
    /// What clients must bring from now on; empty to remove it.
    pub code: String,
}

/// `POST /session/beat`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The page is in front of somebody, and promises to say so again; or it goes, and its silence
    /// means nothing.
    pub visible: bool,
}

/// Reply to [`Beat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatTaken {
    /// A visible page speaks again within this, seconds.
    pub every_s: i64,
    /// What was done to the session, if it does not simply go on: `limit`, `step_up`, `lock`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub standing: Option<String>,
}

/// Both directions in the order in which they are asked, for `ask`.
pub fn device_ask(directions: &[Direction]) -> Option<&'static str> {
    let here = directions.contains(&Direction::TypedOnDevice);
    let there = directions.contains(&Direction::TypedOnTerminal);
    match (there, here) {
        (true, true) => Some("both"),
        (true, false) => Some("show"),
        (false, true) => Some("type"),
        (false, false) => None,
    }
}
