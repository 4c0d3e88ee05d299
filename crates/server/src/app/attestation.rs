//! New passkeys: webauthn-rs judges the registration and its attestation; the operator decides
//! what is asked for.

use super::enrol::id_bytes;
use super::{App, Fault};
use crate::config::Attestation;
use countersign_store::sql::Named;
use countersign_trust::Refusal;
use countersign_trust::device::Credential;
use countersign_wire::jose::Jwk;
use countersign_wire::message::NewCredential;
use countersign_wire::{CredentialId, b64};
use serde_json::{Value, json};
use std::time::Duration;
use webauthn_attestation_ca::AttestationCaList;
use webauthn_rs_core::WebauthnCore;

use webauthn_rs_core::proto::{
    AttestationConveyancePreference, COSEKey, COSEKeyType, ECDSACurve, EDDSACurve,
    RegisterPublicKeyCredential, RegistrationState, UserVerificationPolicy,
};

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

fn core(app: &App) -> Result<WebauthnCore, Fault> {
    let origin = url::Url::parse(&app.config.issuer).map_err(|_| Fault::because(Refusal::Unavailable, "issuer"))?;
    Ok(WebauthnCore::new_unsafe_experts_only(
        &app.config.organisation,
        &app.config.rp_id(),
        vec![origin],
        Duration::from_secs(300),
        Some(false),
        Some(false),
    ))
}

/// Options for `navigator.credentials.create`, and the state to judge the answer by.
pub fn begin(app: &App, named: &Named, known: &[Credential]) -> Result<(Value, Value), Fault> {
    let broken = |_| Fault::because(Refusal::Unavailable, "registration options");
    let core = core(app)?;
    let conveyance = match app.config.attestation {
        Attestation::None => AttestationConveyancePreference::None,
        Attestation::Wanted | Attestation::Required => AttestationConveyancePreference::Direct,
    };
    let builder = core
        .new_challenge_register_builder(named.person.id.as_str().as_bytes(), &named.login, &named.name)
        .map_err(broken)?
        .attestation(conveyance)
        .user_verification_policy(UserVerificationPolicy::Required)
        .require_resident_key(true)
        .exclude_credentials(Some(known.iter().map(|c| id_bytes(&c.id)).collect()));
    let (options, state) = core.generate_challenge_register(builder).map_err(broken)?;
    let options = serde_json::to_value(&options.public_key).map_err(|_| Fault::because(Refusal::Unavailable, "options"))?;
    let state = serde_json::to_value(&state).map_err(|_| Fault::because(Refusal::Unavailable, "options"))?;
    Ok((options, state))
}

/// Judges a new passkey. Attestation is verified in form wherever it is present; it counts only
/// where it leads to one of the operator's roots.
pub fn finish(app: &App, state: Value, sent: &NewCredential) -> Result<Made, Fault> {
    let bad = |why| Fault::because(Refusal::BadProof, why);
    let state: RegistrationState =
        serde_json::from_value(state).map_err(|_| Fault::because(Refusal::Unavailable, "registration state"))?;
    let registration: RegisterPublicKeyCredential = serde_json::from_value(json!({
        "id": sent.id, "rawId": sent.id, "type": "public-key", "extensions": {},
        "response": {"attestationObject": sent.attestation_object, "clientDataJSON": sent.client_data_json},
    }))
    .map_err(|_| Fault::because(Refusal::Malformed, "a new passkey"))?;
    let roots = roots(app)?;
    let core = core(app)?;
    let required = app.config.attestation == Attestation::Required;
    let credential = core
        .register_credential(&registration, &state, if required { roots.as_ref() } else { None })
        .map_err(|e| {
            tracing::debug!(error = %e, "a registration was refused");
            if required { Fault::because(Refusal::AttestationNeeded, "attestation") } else { bad("registration") }
        })?;
    if !credential.user_verified {
        return Err(bad("nobody was verified"));
    }
    let attested = required
        || roots.as_ref().is_some_and(|r| credential.verify_attestation(r).is_ok_and(|found| found.is_some()));
    Ok(Made {
        id: b64::encode(credential.cred_id.as_ref()).parse()?,
        key: key(&credential.cred).ok_or_else(|| bad("a key of another kind"))?,
        counter: credential.counter,
        backup_eligible: credential.backup_eligible,
        attested,
        format: format!("{:?}", credential.attestation_format).to_ascii_lowercase(),
    })
}

fn roots(app: &App) -> Result<Option<AttestationCaList>, Fault> {
    let Some(path) = &app.config.attestation_roots else { return Ok(None) };
    let broken = || Fault::because(Refusal::Unavailable, "attestation roots");
    let text = std::fs::read_to_string(path).map_err(|_| broken())?;
    let mut all: Option<AttestationCaList> = None;
    for part in text.split_inclusive("-----END CERTIFICATE-----") {
        if !part.contains("-----BEGIN CERTIFICATE-----") {
            continue;
        }
        let one = AttestationCaList::try_from(part.trim().as_bytes()).map_err(|_| broken())?;
        match &mut all {
            Some(list) => list.union(&one),
            None => all = Some(one),
        }
    }
    Ok(all)
}

fn key(cose: &COSEKey) -> Option<Jwk> {
    match &cose.key {
        COSEKeyType::EC_EC2(k) if k.curve == ECDSACurve::SECP256R1 => {
            let mut point = [0; 64];
            let (x, y) = point.split_at_mut(32);
            x.copy_from_slice(k.x.get(..32).filter(|_| k.x.len() == 32)?);
            y.copy_from_slice(k.y.get(..32).filter(|_| k.y.len() == 32)?);
            Some(Jwk::P256(point))
        }
        COSEKeyType::EC_OKP(k) if k.curve == EDDSACurve::ED25519 => {
            Some(Jwk::Ed25519(k.x.as_slice().try_into().ok()?))
        }
        COSEKeyType::RSA(k) => {
            let e = k.e.iter().copied().skip_while(|b| *b == 0).collect();
            Jwk::parse(&serde_json::to_value(Jwk::Rsa { n: k.n.clone(), e }).ok()?).ok()
        }
        _ => None,
    }
}
