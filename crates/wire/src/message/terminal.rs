//! Registered terminals: how one joins, and the badge that a phone shows to one.

use super::TpmSealed;
use crate::statement::Plate;
use serde::{Deserialize, Serialize};

/// What a terminal that keeps its key in a TPM shows of it; binary members in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalTpm {
    /// Certificate of the endorsement key, and those above it.
    pub ek: Vec<String>,
    /// The terminal's own key, TPMT_PUBLIC.
    pub public: String,
    /// A nonce of ours.
    pub nonce: String,
    /// The secret that the TPM gave back; absent in the question for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<String>,
}

/// `POST /terminals/look` and `/terminals/register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterTerminal {
    /// What the link carries.
    pub token: String,
    /// Where a TPM keeps the key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tpm: Option<TerminalTpm>,
}

/// `POST /terminals/report`: what a registered terminal says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalReport {
    /// Somebody far away has it in hand.
    pub remote_controlled: bool,
}

/// `POST /terminals/glass`: a terminal wants rights that two people can open while it cannot ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassAsk {
    /// For this application.
    pub client: String,
}

/// They are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlassGiven {
    /// The grant, as the server signed it.
    pub grant: String,
    /// base64url of its list of people.
    pub roster: String,
}

/// A chain was handed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlassTaken {
    /// Uses that were opened as they had to be.
    pub uses: i64,
    /// Why the rest is not believed, or all of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// What a link registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalAsked {
    /// Its plate.
    pub plate: Plate,
    /// The operator's name.
    pub organisation: String,
    /// How long the link works, milliseconds.
    pub left_ms: i64,
    /// To a question for one: the secret, sealed to the TPM and the key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealed: Option<TpmSealed>,
}

/// A terminal was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its id.
    pub terminal: String,
    /// Its plate.
    pub plate: Plate,
    /// Whether its idle screen signs people in.
    pub kiosk: bool,
}

/// `POST /device/badges`: what a live badge is made of, as a screen's code is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadgeMade {
    /// Handle, base64url of 16 bytes.
    pub handle: String,
    /// Channel key, base64url of 32 bytes; given once.
    pub ck: String,
    /// Server time since it was made, milliseconds.
    pub t_ms: i64,
    /// Left until it ends, milliseconds.
    pub left_ms: i64,
}
