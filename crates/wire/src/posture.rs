//! Posture: what a device reports about its own health, signed by the device key
//! (docs/posture.md).
//!
//! A report is whole: what it does not name is unknown from then on. It carries a nonce of the
//! server, so it was made now, and a number that only grows, so that two copies of one key cannot
//! both report unnoticed.

use crate::dpop::{self, NumericDate};
use crate::evidence::Evidence;
use crate::jose::{Alg, Jwk, Jws, Signer, jws};
use crate::{DeviceId, Malformed, Time};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use std::collections::BTreeMap;

/// `typ` of a report.
pub const TYP: &str = "cs-posture+jws";
/// Longest value of a fact, bytes: a kernel's release is the longest in sight.
pub const VALUE_BYTES: usize = 128;
/// Longest name of a source, bytes: a path below `/sys`.
pub const SOURCE_BYTES: usize = 64;
/// Most pieces of evidence in one report.
pub const EVIDENCE: usize = 2;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a fact is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Name { $($(#[$doc])* #[serde(rename = $text)] $name),+ }
        impl Name {
            /// Every name.
            pub const ALL: &'static [Name] = &[$(Name::$name),+];
            /// Its text.
            pub fn as_str(self) -> &'static str {
                match self { $(Name::$name => $text),+ }
            }
            /// From its text.
            pub fn parse(text: &str) -> Option<Name> {
                Name::ALL.iter().copied().find(|n| n.as_str() == text)
            }
        }
    };
}

names! {
    /// Operating system.
    Os = "os",
    /// Its version.
    OsVersion = "os_version",
    /// Kernel release.
    Kernel = "kernel",
    /// Whether the system's disk is encrypted.
    DiskEncrypted = "disk_encrypted",
    /// Whether the screen locks by itself.
    ScreenLock = "screen_lock",
    /// Whether only signed code starts the machine.
    SecureBoot = "secure_boot",
    /// Whether there is a TPM.
    Tpm = "tpm",
    /// Whether its protections were removed.
    Rooted = "rooted",
    /// Whether the security agent runs.
    AgentRunning = "agent_running",
    /// Version of the device program.
    Program = "program",
    /// Whether a management system is in charge of it; never by the device's own word.
    Managed = "managed",
    /// Whether it meets that system's rules; never by the device's own word.
    Compliant = "compliant",
}

impl Name {
    /// Whether a device's own word counts for it.
    pub fn is_own(self) -> bool {
        !matches!(self, Name::Managed | Name::Compliant)
    }
    /// Whether it is answered by yes, no or unknown.
    pub fn is_answer(self) -> bool {
        !matches!(self, Name::Os | Name::OsVersion | Name::Kernel | Name::Program)
    }
    /// The answer that nobody gives to look better.
    pub fn bad_news(self) -> Option<&'static str> {
        match self {
            Name::Rooted => Some("yes"),
            name if name.is_answer() => Some("no"),
            _ => None,
        }
    }
}

/// How well a fact was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Somebody says so: a setting, a person, another program.
    #[default]
    Claimed,
    /// A program measured it where the system itself says it, or a system that manages the device says so.
    Measured,
    /// Hardware signed it, and the server verified that.
    Attested,
}

impl Confidence {
    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Claimed => "claimed",
            Confidence::Measured => "measured",
            Confidence::Attested => "attested",
        }
    }
}

/// One fact, as a device reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// `yes`, `no` or `unknown`, or a text such as a version.
    pub value: String,
    /// Where on the device it was found.
    pub source: String,
    /// How well it was shown; `attested` is the server's word alone.
    pub confidence: Confidence,
}

/// Why a report was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Somebody asked for it.
    Asked,
    /// The watching program began.
    Start,
    /// Something changed.
    Change,
    /// It was time.
    Beat,
}

impl Why {
    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Asked => "asked",
            Why::Start => "start",
            Why::Change => "change",
            Why::Beat => "beat",
        }
    }
}

/// Claims of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Device that reports.
    pub iss: DeviceId,
    /// The server, by its issuer URL.
    pub aud: String,
    /// Number of the report: higher than every one before.
    pub n: i64,
    /// Nonce of the server.
    pub nonce: String,
    /// When, by the device's clock: for people who read it, never judged.
    pub iat: NumericDate,
    /// What made it report.
    pub why: Why,
    /// It promises to report again within the interval that the server names: its silence means
    /// something from now on.
    pub beats: bool,
    /// What it found.
    pub facts: BTreeMap<Name, Said>,
    /// What its hardware signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// What a report must match.
pub struct Expected<'a> {
    /// Key of the device.
    pub key: &'a Jwk,
    /// That device.
    pub device: &'a DeviceId,
    /// This server.
    pub issuer: &'a str,
    /// Keys that a live nonce can be of.
    pub keys: &'a [&'a [u8]],
    /// The server's time.
    pub now: Time,
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFault {
    /// It is no report.
    Malformed(Malformed),
    /// It is another device's, another server's, or nobody's.
    Foreign(&'static str),
    /// Its nonce is over.
    Old,
}

impl From<Malformed> for ReportFault {
    fn from(m: Malformed) -> ReportFault {
        ReportFault::Malformed(m)
    }
}

/// A report of this device to this server, made now. Only [`verify`] makes one. Whether its number
/// is new is for whoever knows the last one.
#[derive(Clone, Debug)]
pub struct Verified(Report);

impl Verified {
    /// What it says.
    pub fn report(&self) -> &Report {
        &self.0
    }
}

/// Verifies a report.
pub fn verify(text: &str, expected: &Expected<'_>) -> Result<Verified, ReportFault> {
    let jws = Jws::parse(text)?;
    if jws.header_text("typ") != Some(TYP) {
        return Err(Malformed("typ cs-posture+jws").into());
    }
    if jws.alg() != Alg::ES256 && jws.alg() != Alg::EdDSA {
        return Err(Malformed("an ES256 or EdDSA report").into());
    }
    if jws.header_text("kid") != Some(expected.key.thumbprint().as_str()) {
        return Err(ReportFault::Foreign("a report by another key"));
    }
    let claims = jws.verify(expected.key).map_err(|_| ReportFault::Foreign("a signature of another key"))?;
    let report: Report = claims.read()?;
    if report.iss != *expected.device {
        return Err(ReportFault::Foreign("a report of another device"));
    }
    if report.aud != expected.issuer {
        return Err(ReportFault::Foreign("a report to another server"));
    }
    bounded(&report)?;
    if !expected.keys.iter().any(|key| dpop::is_live_nonce(key, &report.nonce, expected.now)) {
        return Err(ReportFault::Old);
    }
    Ok(Verified(report))
}

fn bounded(report: &Report) -> Result<(), Malformed> {
    // Beyond 2^53 other readers of JSON would round it.
    if !(1..=1 << 53).contains(&report.n) {
        return Err(Malformed("a number from 1 on"));
    }
    if report.evidence.len() > EVIDENCE {
        return Err(Malformed("less evidence"));
    }
    for (name, said) in &report.facts {
        if !name.is_own() {
            return Err(Malformed("facts that are a device's to say"));
        }
        if said.confidence == Confidence::Attested {
            return Err(Malformed("confidence claimed or measured"));
        }
        if !is_plain(&said.value, VALUE_BYTES) || !is_plain(&said.source, SOURCE_BYTES) {
            return Err(Malformed("values and sources of short plain text"));
        }
        if name.is_answer() && !matches!(said.value.as_str(), "yes" | "no" | "unknown") {
            return Err(Malformed("yes, no or unknown"));
        }
    }
    Ok(())
}

/// Text that can be kept and shown as it stands.
fn is_plain(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Signs a report, for programs that hold the device key.
pub fn make(report: &Report, key: &Jwk, signer: &dyn Signer) -> Result<String, jws::SignFault> {
    let mut header = Map::new();
    header.insert("typ".into(), TYP.into());
    header.insert("kid".into(), key.thumbprint().as_str().into());
    let payload = serde_json::to_vec(report).map_err(|_| jws::SignFault)?;
    jws::encode(header, &payload, signer)
}
