//! New passkeys: what a browser is asked for, and how its answer is judged. The operator decides
//! what must vouch for one.

use super::{App, Fault};
use crate::config::{Attestation, Config};
use countersign_store::sql::Named;
use countersign_trust::Refusal;
use countersign_trust::device::Credential;
use countersign_wire::attestation::{self, Statement};
use countersign_wire::jose::Jwk;
use countersign_wire::message::NewCredential;
use countersign_wire::webauthn::{Asked, CoseAlg, Created, Registration, register};
use countersign_wire::x509::Roots;
use countersign_wire::{CredentialId, Time, b64, webauthn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Time that the browser gives the person, milliseconds.
const TIMEOUT_MS: u32 = 300_000;

/// A passkey that was judged good.
pub struct Made {
    /// Its id.
    pub id: CredentialId,
    /// Its public key.
    pub key: Jwk,
    /// Its counter.
    pub counter: u32,
    /// Whether it may be copied.
    pub backup_eligible: bool,
    /// Whether its attestation leads to one of the operator's roots.
    pub attested: bool,
    /// Format of the attestation.
    pub format: String,
}

/// What is kept between asking and judging.
#[derive(Serialize, Deserialize)]
struct Begun {
    challenge: String,
}

/// Options for `navigator.credentials.create` (WebAuthn L3 §5.4), and the state to judge the answer
/// by.
pub fn begin(app: &App, named: &Named, known: &[Credential]) -> Result<(Value, Value), Fault> {
    let challenge = b64::encode(&app.random::<32>());
    let conveyance = match app.config.attestation {
        Attestation::None => "none",
        Attestation::Wanted | Attestation::Required => "direct",
    };
    let algorithms = CoseAlg::ALL.map(|alg| json!({"type": "public-key", "alg": alg.number()}));
    let known: Vec<Value> = known.iter().map(|c| json!({"type": "public-key", "id": c.id})).collect();
    let options = json!({
        "rp": {"id": app.config.rp_id(), "name": app.config.organisation},
        "user": {"id": b64::encode(named.person.id.as_str().as_bytes()), "name": named.login, "displayName": named.name},
        "challenge": challenge,
        "pubKeyCredParams": algorithms,
        "timeout": TIMEOUT_MS,
        "excludeCredentials": known,
        "authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
        "attestation": conveyance,
    });
    let state = serde_json::to_value(Begun { challenge }).map_err(|_| Fault::because(Refusal::Unavailable, "options"))?;
    Ok((options, state))
}

/// A registration and its attestation, judged as the server does wherever one arrives.
pub fn judge<'a>(made: &'a Registration, asked: &Asked<'_>) -> Result<(Created<'a>, Statement<'a>), webauthn::Fault> {
    let created = register(made, asked, &CoseAlg::ALL)?;
    let statement = attestation::judge(&created)?;
    Ok((created, statement))
}

/// Judges a new passkey. Attestation is verified in form wherever it is present; it counts only
/// where it leads to one of the operator's roots and tells of hardware.
pub fn finish(app: &App, state: Value, sent: &NewCredential, now: Time) -> Result<Made, Fault> {
    let begun: Begun = serde_json::from_value(state).map_err(|_| Fault::because(Refusal::BadProof, "begun by another version"))?;
    let challenge = b64::decode(&begun.challenge)?;
    let made = Registration {
        client_data_json: b64::decode(&sent.client_data_json)?,
        attestation_object: b64::decode(&sent.attestation_object)?,
    };
    let rp_id = app.config.rp_id();
    let asked = Asked::strictly(&challenge, &app.config.issuer, &rp_id);
    let (created, statement) = judge(&made, &asked).map_err(|fault| Fault::because(Refusal::BadProof, fault.say()))?;
    if b64::encode(created.id) != sent.id {
        return Err(Fault::because(Refusal::BadProof, webauthn::Fault::CredentialId.say()));
    }
    // What counts is the chain alone, never what the configuration asks for.
    let roots = roots(&app.config)?.unwrap_or_default();
    let attested = statement.hardware && statement.leads_to(&roots, now).is_ok();
    if app.config.attestation == Attestation::Required && !attested {
        return Err(Fault::because(Refusal::AttestationNeeded, "no attestation that leads to a listed root"));
    }
    Ok(Made {
        id: sent.id.parse()?,
        key: created.key,
        counter: created.counter,
        backup_eligible: created.backup_eligible,
        attested,
        format: created.format.to_owned(),
    })
}

/// The operator's roots. A file that names none, or anything unreadable, is a mistake and not an
/// empty list.
pub fn roots(config: &Config) -> Result<Option<Roots>, Fault> {
    let Some(path) = &config.attestation_roots else { return Ok(None) };
    let broken = || Fault::because(Refusal::Unavailable, "attestation_roots holds no readable certificate");
    let text = std::fs::read_to_string(path).map_err(|_| broken())?;
    Roots::from_pem(&text).map(Some).map_err(|_| broken())
}
