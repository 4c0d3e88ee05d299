//! What a device says of its own health (docs/posture.md), and what it hears back.

use serde::{Deserialize, Serialize};

/// `POST /device/posture`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostureBody {
    /// The report JWS ([`crate::posture`]).
    pub report: String,
}

/// `GET /device/posture`: what a device needs in order to report, and what the server knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureView {
    /// Nonce for the next report.
    pub nonce: String,
    /// Number of the newest report that was taken; 0 before the first.
    pub n: i64,
    /// A device that promised to report does so at least this often, seconds.
    pub every_s: i64,
    /// Whether this one promised.
    pub beats: bool,
    /// What counts of each fact.
    pub facts: Vec<PostureFact>,
    /// News about the device that count now, by their names.
    pub signals: Vec<String>,
}

/// One fact as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureFact {
    /// What about.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Who said so.
    pub source: String,
    /// `claimed`, `measured` or `attested`.
    pub confidence: String,
    /// When it was learnt, seconds.
    pub at: i64,
}

/// `POST /device/evidence/tpm`; binary members in base64url.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmAsk {
    /// Nonce of the report that will carry the quote.
    pub nonce: String,
    /// Certificate of the TPM's endorsement key, and those above it.
    pub ek: Vec<String>,
    /// The attestation key, TPMT_PUBLIC.
    pub ak: String,
}

/// Reply to [`TpmAsk`]: a secret that only that TPM gives back (TPM2_MakeCredential).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmSealed {
    /// TPMS_ID_OBJECT.
    pub object: String,
    /// The seed, for the endorsement key.
    pub seed: String,
}

/// Reply to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureTaken {
    /// Whether it changed what the server knows.
    pub changed: bool,
    /// Nonce for the next report.
    pub nonce: String,
    /// A device that promised to report does so again within this, seconds.
    pub every_s: i64,
}
