//! What a terminal asks two people, word for word, and how it shows that to their phones.

use super::{Sealed, Why};
use crate::limits::{GLASS_CHALLENGE_BYTES, GLASS_REASON_CHARS, GLASS_SCOPES, GLASS_USES, JWS_BYTES};
use crate::{Malformed, PersonId, b64, jcs, mac};
use serde::{Deserialize, Serialize};

/// Deepest nesting of a challenge.
const DEPTH: usize = 3;
/// How a slip begins: what it is, and its format.
const HEAD: &str = "CSG1";

/// One use that is asked for. Terminal, place and application stand in the grant, which it names by its digest: what
/// both people read is the two together, and their signatures cover both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Format, 1.
    pub v: u8,
    /// base64url digest of the grant.
    pub grant: String,
    /// Which of its uses, from 1.
    pub number: i64,
    /// base64url digest of the record before, or of none.
    pub prev: String,
    /// What is to be opened.
    pub scopes: Vec<String>,
    /// For how long, seconds.
    pub for_s: i64,
    /// Why, in the asker's words.
    pub reason: String,
    /// Who will work with it, where that is said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub works: Option<PersonId>,
    /// When, by the terminal's clock, seconds.
    pub at: i64,
    /// base64url of 128 random bits.
    pub n: String,
}

impl Challenge {
    /// Canonical bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        if !self.is_sound() {
            return Err(Malformed("a challenge within its limits"));
        }
        let value = serde_json::to_value(self).map_err(|_| Malformed("a challenge"))?;
        jcs::encode(&value, DEPTH, GLASS_CHALLENGE_BYTES)
    }

    /// Reads canonical bytes, and nothing beside what is shown.
    pub fn parse(bytes: &[u8]) -> Result<Challenge, Malformed> {
        let value = jcs::parse(bytes, DEPTH, GLASS_CHALLENGE_BYTES)?;
        let read: Challenge = serde_json::from_value(value).map_err(|_| Malformed("a challenge"))?;
        if read.encode()? == bytes { Ok(read) } else { Err(Malformed("a challenge without unknown members")) }
    }

    fn is_sound(&self) -> bool {
        let reason = self.reason.trim();
        self.v == 1
            && !reason.is_empty()
            && self.reason.chars().count() <= GLASS_REASON_CHARS
            && (1..=GLASS_SCOPES).contains(&self.scopes.len())
            && (1..=GLASS_USES).contains(&self.number)
            && self.for_s > 0
            && self.at > 0
            && b64::decode_array::<16>(&self.n).is_ok()
            && b64::decode_array::<32>(&self.prev).is_ok()
            && b64::decode_array::<32>(&self.grant).is_ok()
    }

    /// Whether it asks for no more than the grant of this digest has, at a time within it.
    pub fn fits(&self, sealed: &Sealed, digest: &[u8; 32]) -> Result<(), Why> {
        for (holds, why) in [
            (self.grant == b64::encode(digest), Why::Challenge),
            (self.number <= sealed.uses, Why::Count),
            (self.scopes.iter().all(|scope| sealed.scopes.contains(scope)), Why::Scope),
            ((1..=sealed.for_s).contains(&self.for_s), Why::Minutes),
            (self.at >= sealed.from(), Why::Clock),
            (self.at < sealed.exp, Why::Time),
        ] {
            if !holds {
                return Err(why);
            }
        }
        Ok(())
    }

    /// What device keys sign: `H("countersign/glass/challenge/1" ‖ 00 ‖ bytes)`.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        mac::labelled("countersign/glass/challenge/1", bytes)
    }

    /// What passkeys sign: `H("countersign/glass/approve/1" ‖ 00 ‖ digest)`.
    pub fn for_passkey(digest: &[u8; 32]) -> [u8; 32] {
        mac::labelled("countersign/glass/approve/1", digest)
    }
}

/// What a terminal shows to phones, as text and as a picture: the challenge, and the grant without its list of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// Canonical bytes of the challenge.
    pub challenge: Vec<u8>,
    /// The grant as the server signed it.
    pub grant: String,
}

impl Slip {
    /// As text: `CSG1.` challenge `.` grant.
    pub fn text(&self) -> String {
        format!("{HEAD}.{}.{}", b64::encode(&self.challenge), self.grant)
    }

    /// Reads it; whether any of it is true is not looked at.
    pub fn parse(text: &str) -> Result<Slip, Why> {
        if text.len() > JWS_BYTES + 2 * GLASS_CHALLENGE_BYTES {
            return Err(Why::Malformed);
        }
        let rest = text.trim().strip_prefix(HEAD).and_then(|r| r.strip_prefix('.')).ok_or(Why::Malformed)?;
        let (challenge, grant) = rest.split_once('.').ok_or(Why::Malformed)?;
        Ok(Slip { challenge: b64::decode(challenge)?, grant: grant.to_owned() })
    }
}
