//! `countersign verify`: judges one WebAuthn answer or one JWS by the functions that the server
//! itself uses, without configuration and store. For whoever builds or tests the other side.

use super::Ended;
use crate::app::attestation;
use countersign_store::{Clock, SystemClock};
use countersign_wire::attestation::Kind;
use countersign_wire::cbor::Cbor;
use countersign_wire::jose::jws;
use countersign_wire::webauthn::{Asked, Assertion, AuthenticatorHead, Expected, Fault, Registration, Within, cose_key, verify};
use countersign_wire::x509::Roots;
use countersign_wire::{Time, b64};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read as _;

/// Longest input, bytes: a registration is below 16 KiB, a JWS too.
const INPUT: u64 = 1 << 20;

#[derive(clap::Subcommand)]
pub enum VerifyCommand {
    /// Judge a WebAuthn registration or authentication (Level 3): one JSON object on standard input.
    #[command(after_help = WEBAUTHN)]
    Webauthn {
        /// When it is judged: Unix seconds, or as in RFC 3339. Now, if absent.
        #[arg(long, value_name = "TIME", value_parser = moment, allow_negative_numbers = true)]
        now: Option<Time>,
    },
    /// Judge a compact JWS by a public key: one JSON object on standard input.
    #[command(after_help = JWS)]
    Jws,
}

const WEBAUTHN: &str = "\
Members (binary as base64url without padding):
  kind                \"registration\" or \"authentication\"
  challenge           what the page was given
  rp_id, origin       of the relying party
  client_data_json    as the browser made it
  attestation_object  registration: as the authenticator made it
  authenticator_data, signature, public_key_cose
                      authentication: the answer, and the credential's COSE_Key
  credential_id       must be that of the registration
  trust_root          registration: DER of a root, or a list of them, that
                      certificates must lead to
  cross_origin        true: the page may stand inside another site's page
  top_origin          that site's origin, if the browser names it
  user_verification   \"required\": as the server asks; else it is only told
  counter, backup_eligible
                      authentication: as they were kept

Without `trust_root` certificates are checked in form, and nobody is trusted.
Exit codes: 0 accepted, 1 refused, 2 bad usage. All codes: docs/verify.md.";

const JWS: &str = "\
Members: `jws` (text) and `jwk` (object). ES256, EdDSA, RS256 and PS256 are spoken.

Exit codes: 0 accepted, 1 refused, 2 bad usage. All codes: docs/verify.md.";

fn moment(text: &str) -> Result<Time, String> {
    match text.parse() {
        Ok(seconds) => Ok(Time::from_seconds(seconds)),
        Err(_) => Time::parse_rfc3339(text).map_err(|_| "Unix seconds, or a date and time as in RFC 3339".to_owned()),
    }
}

/// Runs it.
pub fn run(what: &VerifyCommand, json: bool) -> Result<(), Ended> {
    let verdict = match what {
        VerifyCommand::Webauthn { now } => {
            let answer: Answer = input()?;
            judged(&answer, now.unwrap_or_else(|| Time(SystemClock.now())))?.map_err(|fault| (fault.code(), fault.to_string()))
        }
        VerifyCommand::Jws => {
            let sent: Signed = input()?;
            let text = sent.jws.as_str().map_or_else(|| sent.jws.to_string(), str::to_owned);
            signed(&text, &sent.jwk).map_err(|fault| (fault.code(), fault.to_string()))
        }
    };
    match verdict {
        Ok(told) if json => {
            println!("{told}");
            Ok(())
        }
        Ok(told) => {
            println!("accepted");
            for (name, value) in told.as_object().into_iter().flatten().filter(|(name, _)| *name != "accepted") {
                println!("  {name:16} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            Ok(())
        }
        Err((code, said)) => {
            let why = said.split_once(": ").map_or(said.as_str(), |(_, why)| why);
            if json {
                println!("{}", json!({"accepted": false, "code": code, "why": why}));
            }
            Err(Ended::refused(format!("refused: {said}")))
        }
    }
}

fn input<T: serde::de::DeserializeOwned>() -> Result<T, Ended> {
    let mut text = Vec::new();
    std::io::stdin().take(INPUT + 1).read_to_end(&mut text).map_err(|e| Ended::usage(format!("standard input: {e}")))?;
    if text.len() as u64 > INPUT {
        return Err(Ended::usage("standard input: longer than 1 MiB"));
    }
    serde_json::from_slice(&text).map_err(|e| Ended::usage(format!("standard input: {e}")))
}

/// Bytes as base64url.
struct Binary(Vec<u8>);

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Binary, D::Error> {
        b64::decode(&String::deserialize(d)?).map(Binary).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ceremony {
    Registration,
    Authentication,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Required,
    Preferred,
    Discouraged,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    One(Binary),
    Many(Vec<Binary>),
}

/// One answer and what was asked. Names that nobody knows are refused: a misspelt `trust_root` would
/// trust everybody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    kind: Ceremony,
    challenge: Binary,
    rp_id: String,
    origin: String,
    #[serde(default)]
    top_origin: Option<String>,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    user_verification: Option<Wish>,
    client_data_json: Binary,
    #[serde(default)]
    attestation_object: Option<Binary>,
    #[serde(default)]
    authenticator_data: Option<Binary>,
    #[serde(default)]
    signature: Option<Binary>,
    #[serde(default)]
    credential_id: Option<Binary>,
    #[serde(default)]
    public_key_cose: Option<Binary>,
    #[serde(default)]
    trust_root: Option<Given>,
    #[serde(default)]
    counter: u32,
    #[serde(default)]
    backup_eligible: Option<bool>,
}

impl Answer {
    fn asked(&self) -> Asked<'_> {
        let framed = self.cross_origin || self.top_origin.is_some();
        Asked {
            within: if framed { Within::Page(self.top_origin.as_deref()) } else { Within::Nothing },
            verified: self.user_verification == Some(Wish::Required),
            ..Asked::strictly(&self.challenge.0, &self.origin, &self.rp_id)
        }
    }

    fn roots(&self) -> Result<Option<Roots>, Ended> {
        let mut roots = Roots::default();
        let given: &[Binary] = match &self.trust_root {
            None => return Ok(None),
            Some(Given::One(one)) => std::slice::from_ref(one),
            Some(Given::Many(many)) => many,
        };
        for root in given {
            roots.add(&root.0).map_err(|_| Ended::usage("`trust_root`: not the DER of a certificate"))?;
        }
        Ok(Some(roots))
    }
}

fn lacking(name: &str, kind: &str) -> Ended {
    Ended::usage(format!("standard input: missing field `{name}` of {kind}"))
}

/// The verdict, or what is wrong with the question.
fn judged(answer: &Answer, now: Time) -> Result<Result<Value, Fault>, Ended> {
    match answer.kind {
        Ceremony::Registration => {
            let object = answer.attestation_object.as_ref().ok_or_else(|| lacking("attestation_object", "a registration"))?;
            if answer.authenticator_data.is_some() || answer.signature.is_some() {
                return Err(Ended::usage("`authenticator_data` and `signature` are of an authentication"));
            }
            Ok(registered(answer, &object.0, answer.roots()?.as_ref(), now))
        }
        Ceremony::Authentication => {
            if answer.attestation_object.is_some() {
                return Err(Ended::usage("`attestation_object` is of a registration"));
            }
            let part = |part: &Option<Binary>, name| part.as_ref().map(|b| b.0.clone()).ok_or_else(|| lacking(name, "an authentication"));
            let assertion = Assertion {
                authenticator_data: part(&answer.authenticator_data, "authenticator_data")?,
                client_data_json: answer.client_data_json.0.clone(),
                signature: part(&answer.signature, "signature")?,
            };
            Ok(authenticated(answer, &assertion, &part(&answer.public_key_cose, "public_key_cose")?))
        }
    }
}

fn registered(answer: &Answer, object: &[u8], roots: Option<&Roots>, now: Time) -> Result<Value, Fault> {
    let made = Registration { client_data_json: answer.client_data_json.0.clone(), attestation_object: object.to_vec() };
    let (created, statement) = attestation::judge(&made, &answer.asked())?;
    if answer.credential_id.as_ref().is_some_and(|id| id.0 != created.id) {
        return Err(Fault::CredentialId);
    }
    if let Some(key) = &answer.public_key_cose
        && cose_key(&Cbor::whole(&key.0)?)?.1 != created.key
    {
        return Err(Fault::Key);
    }
    let mut trusted = false;
    if let Some(roots) = roots.filter(|_| statement.kind == Kind::Certificate) {
        statement.leads_to(roots, now)?;
        trusted = true;
    }
    Ok(json!({
        "accepted": true,
        "credential_id": b64::encode(created.id),
        "public_key": created.key.members(),
        "algorithm": created.alg.as_str(),
        "format": created.format,
        "attestation": statement.kind.as_str(),
        "trusted": trusted,
        "hardware": statement.hardware,
        "aaguid": model(&created.aaguid),
        "counter": created.counter,
        "user_verified": created.user_verified,
        "backup_eligible": created.backup_eligible,
        "backed_up": created.backup_state,
    }))
}

/// An AAGUID in the form of a UUID.
fn model(aaguid: &[u8; 16]) -> String {
    let mut text = String::new();
    for (at, byte) in aaguid.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        text.push_str(&format!("{dash}{byte:02x}"));
    }
    text
}

fn authenticated(answer: &Answer, assertion: &Assertion, cose: &[u8]) -> Result<Value, Fault> {
    let (_, key) = cose_key(&Cbor::whole(cose)?)?;
    // Where nobody kept what the registration said, there is nothing to compare with.
    let said = AuthenticatorHead::parse(&assertion.authenticator_data)?.be();
    let backup_eligible = answer.backup_eligible.unwrap_or(said);
    let good = verify(assertion, &Expected { asked: answer.asked(), key: &key, counter: answer.counter, backup_eligible })?;
    Ok(json!({
        "accepted": true,
        "counter": good.counter,
        "user_verified": good.user_verified,
        "backup_eligible": backup_eligible,
        "backed_up": good.backup_state,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    jws: Value,
    jwk: Value,
}

fn signed(text: &str, jwk: &Value) -> Result<Value, jws::JwsFault> {
    let (jws, claims) = jws::verify_by(text, jwk)?;
    Ok(json!({
        "accepted": true,
        "algorithm": jws.alg().as_str(),
        "payload": b64::encode(claims.bytes()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_seconds_or_a_date() {
        assert_eq!(moment("1795244400"), Ok(Time::from_seconds(1_795_244_400)));
        assert_eq!(moment("2026-11-21T07:00:00Z"), moment("1795244400"));
        assert!(moment("yesterday").is_err() && moment("").is_err());
    }

    #[test]
    fn a_misspelt_member_is_no_answer() {
        let good = json!({"kind": "registration", "challenge": "AA", "rp_id": "x", "origin": "https://x", "client_data_json": "AA"});
        assert!(serde_json::from_value::<Answer>(good.clone()).is_ok());
        for (name, value) in [("trust_roots", json!("AA")), ("challenge", json!("A=")), ("kind", json!("login")), ("trust_root", json!(1))] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(serde_json::from_value::<Answer>(bad).is_err(), "{name}");
        }
    }
}
