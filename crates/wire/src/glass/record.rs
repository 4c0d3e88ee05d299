//! What a terminal writes down, signed with its key, before it uses what two people opened; and its last word.

use super::{Answer, Grant, Why};
use crate::jose::jws::{Claims, SignFault};
use crate::jose::{Alg, Jwk, Jws, Signer, jws};
use crate::limits::GLASS_RECORD_BYTES;
use crate::{GlassId, b64, mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `typ` of a record.
const RECORD: &str = "cs-glass-record+jws";
/// `typ` of the last word.
const CLOSE: &str = "cs-glass-close+jws";

/// One use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Format, 1.
    pub v: u8,
    /// base64url of the challenge's canonical bytes: it has grant, number and the record before.
    pub challenge: String,
    /// What the two people said.
    pub answers: [Answer; 2],
    /// Open from, by the terminal's clock, seconds.
    pub begin: i64,
    /// Open until, seconds.
    pub end: i64,
}

/// The last word about a grant: so many uses, and no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Format, 1.
    pub v: u8,
    /// The grant.
    pub id: GlassId,
    /// How many uses there were.
    pub uses: i64,
    /// base64url digest of the last record, or of none.
    pub last: String,
    /// When, by the terminal's clock, seconds.
    pub at: i64,
}

/// What a chain begins with.
pub(super) fn first(grant: &Grant) -> [u8; 32] {
    mac::labelled("countersign/glass/chain/1", &grant.digest)
}

fn encode<T: Serialize>(typ: &str, claims: &T, key: &Jwk, signer: &dyn Signer) -> Result<String, SignFault> {
    let mut header = Map::new();
    header.insert("typ".into(), typ.into());
    header.insert("jwk".into(), Value::Object(key.members()));
    let payload = serde_json::to_vec(claims).map_err(|_| SignFault)?;
    jws::encode(header, &payload, signer)
}

/// What the terminal of the grant signed, with the digest that the next record names it by.
fn of_terminal(text: &str, typ: &str, grant: &Grant) -> Result<(Claims, [u8; 32]), Why> {
    let jws = Jws::parse(text)?;
    if jws.header_text("typ") != Some(typ) || !matches!(jws.alg(), Alg::ES256 | Alg::EdDSA) {
        return Err(Why::Malformed);
    }
    let key = jws.header_jwk()?;
    if key.thumbprint() != grant.sealed.jkt {
        return Err(Why::Terminal);
    }
    let claims = jws.verify(&key).map_err(|_| Why::Terminal)?;
    Ok((claims, mac::labelled("countersign/glass/record/1", jws.signed().as_bytes())))
}

/// A record, signed by the terminal.
pub fn keep(record: &Record, key: &Jwk, signer: &dyn Signer) -> Result<String, SignFault> {
    encode(RECORD, record, key, signer)
}

/// A last word, signed by the terminal.
pub fn close(closed: &Closed, key: &Jwk, signer: &dyn Signer) -> Result<String, SignFault> {
    encode(CLOSE, closed, key, signer)
}

/// Reads a record of the grant's terminal.
pub(super) fn read(text: &str, grant: &Grant) -> Result<(Record, Vec<u8>, [u8; 32]), Why> {
    if text.len() > GLASS_RECORD_BYTES {
        return Err(Why::Malformed);
    }
    let (claims, digest) = of_terminal(text, RECORD, grant)?;
    let record: Record = claims.read()?;
    if record.v != 1 {
        return Err(Why::Malformed);
    }
    let challenge = b64::decode(&record.challenge)?;
    Ok((record, challenge, digest))
}

/// Reads a last word of the grant's terminal.
pub(super) fn read_close(text: &str, grant: &Grant) -> Result<Closed, Why> {
    let closed: Closed = of_terminal(text, CLOSE, grant)?.0.read()?;
    if closed.v == 1 { Ok(closed) } else { Err(Why::Malformed) }
}
