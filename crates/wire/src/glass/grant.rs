//! What the server seals while the line is up.

use super::Why;
use crate::jose::jws::SignFault;
use crate::jose::{Alg, Jwk, Jws, Keys, Signer, jws};
use crate::limits::{GLASS_HOLDERS, GLASS_ROSTER_BYTES, GLASS_S, GLASS_SCOPES, GLASS_SLACK_S, GLASS_USE_S, GLASS_USES};
use crate::statement::Plate;
use crate::{ClientId, CredentialId, DeviceId, GlassId, Malformed, PersonId, TerminalId, Thumbprint, b64, jcs, mac};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use std::collections::HashSet;

/// `typ` of a sealed grant.
const TYP: &str = "cs-glass-grant+jws";
/// Longest scope, bytes.
const SCOPE_BYTES: usize = 64;
/// Longest name shown, characters.
const NAME_CHARS: usize = 80;
/// Deepest nesting of the list of people.
const DEPTH: usize = 4;

/// What was granted; phones check and show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Format, 1.
    pub v: u8,
    /// The server.
    pub iss: String,
    /// Relying party of the passkeys.
    pub rp_id: String,
    /// Its id.
    pub id: GlassId,
    /// The terminal's how many-th.
    pub serial: i64,
    /// For which terminal.
    pub terminal: TerminalId,
    /// Thumbprint of its key.
    pub jkt: Thumbprint,
    /// What it is known as.
    pub plate: Plate,
    /// For which application.
    pub client: ClientId,
    /// Its name.
    pub client_name: String,
    /// What can be opened.
    pub scopes: Vec<String>,
    /// For how long each time at most, seconds.
    pub for_s: i64,
    /// How often.
    pub uses: i64,
    /// base64url digest of the list of people.
    pub roster: String,
    /// Made at, seconds.
    pub iat: i64,
    /// Nothing is open after that, seconds.
    pub exp: i64,
}

/// Somebody who may open it, by one phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: String,
    /// Whether they count as the supervisor of whom there must be one.
    pub supervisor: bool,
    /// The phone.
    pub device: DeviceId,
    /// Its key.
    pub dk: Jwk,
    /// The passkey made on it.
    pub credential: CredentialId,
    /// Its public key.
    pub passkey: Jwk,
    /// Whether it was registered as backup-eligible.
    pub backup_eligible: bool,
    /// Its counter when the grant was made.
    pub counter: u32,
}

/// A grant with its list of people, both found to be the server's. Only [`Grant::open`] makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What was granted.
    pub sealed: Sealed,
    /// Who may open it.
    pub roster: Vec<Holder>,
    /// Names it in challenges.
    pub digest: [u8; 32],
}

impl Sealed {
    /// Reads a grant that one of the server's keys signed. Whether its time has come is not looked at.
    pub fn open(text: &str, keys: &Keys) -> Result<(Sealed, [u8; 32]), Why> {
        let jws = Jws::parse(text)?;
        if jws.header_text("typ") != Some(TYP) {
            return Err(Why::Malformed);
        }
        let key = jws.header_text("kid").and_then(|kid| keys.find(kid)).ok_or(Why::Grant)?;
        let sealed: Sealed = jws.verify(key).map_err(|_| Why::Grant)?.read()?;
        if sealed.is_sound() { Ok((sealed, mac::labelled("countersign/glass/grant/1", jws.signed().as_bytes()))) } else { Err(Why::Grant) }
    }

    /// Signs it with the server's key of this name.
    pub fn seal(&self, kid: &str, signer: &dyn Signer) -> Result<String, SignFault> {
        let mut header = Map::new();
        header.insert("typ".into(), TYP.into());
        header.insert("kid".into(), kid.into());
        let payload = serde_json::to_vec(self).map_err(|_| SignFault)?;
        if self.is_sound() && signer.alg() == Alg::ES256 { jws::encode(header, &payload, signer) } else { Err(SignFault) }
    }

    /// No clock may show less, seconds.
    pub fn from(&self) -> i64 {
        self.iat.saturating_sub(GLASS_SLACK_S)
    }

    /// Whether it keeps the limits, whoever signed it.
    pub fn is_sound(&self) -> bool {
        let plain = |text: &str, max: usize| text.chars().count() <= max && jcs::is_plain(text);
        let shown = [&self.client_name, &self.plate.name, &self.plate.place, &self.plate.class];
        let scopes: HashSet<&String> = self.scopes.iter().collect();
        self.v == 1
            && (1..=GLASS_SCOPES).contains(&self.scopes.len())
            && scopes.len() == self.scopes.len()
            && self.scopes.iter().all(|s| !s.is_empty() && s.len() <= SCOPE_BYTES && plain(s, SCOPE_BYTES) && !s.contains(' '))
            && shown.iter().all(|text| plain(text, NAME_CHARS))
            && (1..=GLASS_USE_S).contains(&self.for_s)
            && (1..=GLASS_USES).contains(&self.uses)
            && self.serial > 0
            && self.iat > 0
            && (1..=GLASS_S).contains(&self.exp.saturating_sub(self.iat))
    }
}

/// Canonical bytes of a list of people, and what a grant names them by.
pub fn roster_bytes(roster: &[Holder]) -> Result<(Vec<u8>, String), Malformed> {
    let value = serde_json::to_value(roster).map_err(|_| Malformed("a list of people"))?;
    let bytes = jcs::encode(&value, DEPTH, GLASS_ROSTER_BYTES)?;
    let digest = b64::encode(&digest_of(&bytes));
    Ok((bytes, digest))
}

fn digest_of(roster: &[u8]) -> [u8; 32] {
    mac::labelled("countersign/glass/roster/1", roster)
}

impl Grant {
    /// A grant of the server with these keys, and the list of people that it names.
    pub fn open(text: &str, roster: &[u8], keys: &Keys) -> Result<Grant, Why> {
        let (sealed, digest) = Sealed::open(text, keys)?;
        if b64::encode(&digest_of(roster)) != sealed.roster {
            return Err(Why::Roster);
        }
        let value = jcs::parse(roster, DEPTH, GLASS_ROSTER_BYTES)?;
        let roster: Vec<Holder> = serde_json::from_value(value).map_err(|_| Why::Malformed)?;
        if roster.len() > GLASS_HOLDERS {
            return Err(Why::Roster);
        }
        Ok(Grant { sealed, roster, digest })
    }
}
