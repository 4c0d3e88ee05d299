//! What a person approves (docs/protocol.md §3). Only the server encodes it; everyone else hashes,
//! parses and shows the bytes received.

use crate::code::Direction;
use crate::limits::{STATEMENT_BYTES, STATEMENT_DEPTH};
use crate::{CeremonyId, ClientId, DeviceId, Malformed, PersonId, Thumbprint, TxnId, jcs, mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the ceremony is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Sign in to a client on the terminal.
    SignIn,
    /// Raise a running session.
    StepUp,
    /// Add a device to the person's devices.
    EnrolDevice,
    /// Let somebody back in who has no device left: one of two approvals.
    Recover,
    /// Let an agent call a tool once, with these arguments.
    ToolCall,
    /// Give somebody else's session a right for a while.
    Right,
    /// Let somebody work on a terminal who has no phone at hand, on one's own word.
    Vouch,
}

impl Purpose {
    /// The word in the statement.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SignIn => "sign-in",
            Purpose::StepUp => "step-up",
            Purpose::EnrolDevice => "enrol-device",
            Purpose::Recover => "recover",
            Purpose::ToolCall => "tool-call",
            Purpose::Right => "right",
            Purpose::Vouch => "vouch",
        }
    }
    /// Whether this server itself asks, and no client.
    pub fn is_own(self) -> bool {
        matches!(self, Purpose::EnrolDevice | Purpose::Recover)
    }
}

/// What the approval yields at most (scenario A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// An approved transaction and nothing else.
    Approval,
    /// A browser session.
    Session,
    /// Tokens.
    Tokens,
}

impl Boundary {
    /// The word in statements, tokens and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Boundary::Approval => "approval",
            Boundary::Session => "session",
            Boundary::Tokens => "tokens",
        }
    }
}

/// How the device met the ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// One live frame.
    Frame,
    /// Two live frames in sequence.
    Pair,
    /// A typed user code.
    UserCode,
    /// A request offered to a named person.
    Push,
    /// The phone's live badge, scanned by a registered terminal.
    Badge,
}

impl Channel {
    /// The word in the statement, in policies and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Frame => "frame",
            Channel::Pair => "pair",
            Channel::UserCode => "user_code",
            Channel::Push => "push",
            Channel::Badge => "badge",
        }
    }
}

/// One piece of evidence that person and terminal are in one place, weakest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Near {
    /// Both requests came from one IPv4 address or IPv6 /64. Weak.
    SameNetwork,
    /// A registered terminal has read the phone's live badge. Weak: a film of it can be sent on.
    Badge,
    /// A registered terminal in one of its site's networks. Medium.
    Site,
    /// The same, of a terminal whose key a TPM keeps. Strong.
    AttestedSite,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Registered client, or this server itself (`countersign`).
    pub id: ClientId,
    /// Registered name.
    pub name: String,
    /// Host of the redirect URI, so that a look-alike name shows.
    pub redirect_host: String,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// base64url SHA-256 of the whole authorization request.
    pub hash: String,
    /// Scopes, in the order asked.
    pub scopes: Vec<String>,
    /// RFC 9396 details, with the words they are shown in.
    pub details: Vec<Detail>,
    /// The client's own words, shown as a quotation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}

/// One authorization detail (RFC 9396 §2) with the words that the person reads. Both are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// `type`.
    pub r#type: String,
    /// What approving it does.
    pub title: String,
    /// All of it, row by row.
    pub rows: Vec<DetailRow>,
    /// The detail exactly as it was asked for, and as tokens will carry it.
    pub asked: Value,
}

/// One row of a detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailRow {
    /// What it is called.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// The screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// Thumbprint of the terminal key.
    pub jkt: Thumbprint,
    /// `browser`, `console` or `device`.
    pub kind: String,
    /// Family of browser or program, as it calls itself; a claim, never proof.
    pub agent: String,
    /// When it opened, seconds.
    pub opened_at: i64,
    /// What it is registered as; absent for a screen that nobody knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plate: Option<Plate>,
}

/// What a registered terminal is known as, on its own screen and on the phone. Only its registered key
/// puts it into a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plate {
    /// Its name: `Till 4`.
    pub name: String,
    /// Where it stands.
    pub place: String,
    /// `till`, `kiosk`, `workstation`, `console`, or another word of the operator's.
    pub class: String,
    /// Whether a TPM showed that it keeps the key.
    pub attested: bool,
}

/// The digits that were demanded, in which directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demanded {
    /// Directions, in the order asked; empty if none.
    pub directions: Vec<Direction>,
    /// How many digits each.
    pub digits: u8,
}

/// What may be unlocked at most. Later decisions may only narrow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Scopes that may be granted.
    pub scopes: Vec<String>,
    /// Absolute life of the session, seconds.
    pub session_s: i64,
    /// Clients the session will serve.
    pub clients: Vec<ClientId>,
    /// Those of the scopes that are given for a while only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timed: Vec<Timed>,
}

/// A scope that is given for a while only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// The scope.
    pub scope: String,
    /// For how long from the moment it is given, seconds.
    pub for_s: i64,
}

/// The whole statement. Field names are the specification's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Format, 1.
    pub v: u8,
    /// Issuer URL.
    pub iss: String,
    /// Ceremony.
    pub cid: CeremonyId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// What for.
    pub purpose: Purpose,
    /// Who asks.
    pub client: Asker,
    /// What it yields at most.
    pub boundary: Boundary,
    /// What was asked.
    pub request: Asked,
    /// The screen.
    pub terminal: Screen,
    /// Whether a start number matched.
    pub start: bool,
    /// The device that scanned.
    pub device: DeviceId,
    /// Thumbprint of its key.
    pub dk: Thumbprint,
    /// The person, as an opaque subject.
    pub sub: PersonId,
    /// How the device met the ceremony.
    pub channel: Channel,
    /// Evidence of nearness; empty means `unproven`.
    pub near: Vec<Near>,
    /// Digits demanded.
    pub confirm: Demanded,
    /// What may be unlocked at most.
    pub rights: Rights,
    /// 256 random bits, base64url.
    pub n: String,
    /// Made at, seconds.
    pub iat: i64,
    /// Decide before, seconds.
    pub exp: i64,
    /// Version of the text shown.
    pub tpl: String,
    /// Language of the text shown.
    pub locale: String,
}

impl Statement {
    /// Canonical bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let value = serde_json::to_value(self).map_err(|_| Malformed("a statement"))?;
        jcs::encode(&value, STATEMENT_DEPTH, STATEMENT_BYTES)
    }
    /// Reads canonical bytes. All of them: what would not be shown must not be signed, so a member
    /// that is not known here makes it [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Statement, Malformed> {
        let value = jcs::parse(bytes, STATEMENT_DEPTH, STATEMENT_BYTES)?;
        let read: Statement = serde_json::from_value(value).map_err(|_| Malformed("a statement"))?;
        if read.encode()? == bytes { Ok(read) } else { Err(Malformed("a statement without unknown members")) }
    }
}

/// `SD = H("countersign/statement/1" ‖ 00 ‖ bytes)`.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    mac::labelled("countersign/statement/1", bytes)
}

/// The WebAuthn challenge of an approval: `H("countersign/approve/1" ‖ 00 ‖ SD)`.
pub fn challenge(sd: &[u8; 32]) -> [u8; 32] {
    mac::labelled("countersign/approve/1", sd)
}
