//! New passkeys: webauthn-rs judges the registration and its attestation; the operator decides
//! what is asked for.

use super::enrol::id_bytes;
use super::{App, Fault};
use crate::config::{Attestation, Config};
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
    AttestationConveyancePreference, COSEAlgorithm, COSEKey, COSEKeyType, ECDSACurve, EDDSACurve,
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
        .credential_algorithms(vec![COSEAlgorithm::ES256, COSEAlgorithm::EDDSA, COSEAlgorithm::RS256])
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
    let roots = roots(&app.config)?;
    let credential = core(app)?.register_credential(&registration, &state, None).map_err(|e| {
        tracing::debug!(error = %e, "a registration was refused");
        bad("registration")
    })?;
    if !credential.user_verified {
        return Err(bad("nobody was verified"));
    }
    // What counts is the chain alone, never what the configuration asks for.
    let attested = roots.as_ref().is_some_and(|r| credential.verify_attestation(r).is_ok_and(|found| found.is_some()));
    if app.config.attestation == Attestation::Required && !attested {
        return Err(Fault::because(Refusal::AttestationNeeded, "no attestation that leads to a listed root"));
    }
    Ok(Made {
        id: b64::encode(credential.cred_id.as_ref()).parse()?,
        key: key(&credential.cred).ok_or_else(|| bad("a key of another kind"))?,
        counter: credential.counter,
        backup_eligible: credential.backup_eligible,
        attested,
        format: format!("{:?}", credential.attestation_format).to_ascii_lowercase(),
    })
}

/// The operator's roots. A file that names none, or anything unreadable, is a mistake and not an
/// empty list.
pub fn roots(config: &Config) -> Result<Option<AttestationCaList>, Fault> {
    let Some(path) = &config.attestation_roots else { return Ok(None) };
    let broken = || Fault::because(Refusal::Unavailable, "attestation_roots holds no readable certificate");
    let text = std::fs::read_to_string(path).map_err(|_| broken())?;
    parse_roots(&text).map(Some).ok_or_else(broken)
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

fn parse_roots(text: &str) -> Option<AttestationCaList> {
    let mut all = AttestationCaList::default();
    for piece in text.split(BEGIN).skip(1) {
        let (inner, _) = piece.split_once(END)?;
        let block = format!("{BEGIN}{inner}{END}\n");
        all.union(&AttestationCaList::try_from(block.as_bytes()).ok()?);
    }
    (!all.is_empty()).then_some(all)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use webauthn_rs_core::proto::{COSEAlgorithm, COSEEC2Key, COSEOKPKey, COSERSAKey};

    #[test]
    fn a_file_without_a_whole_certificate_is_no_list_of_roots() {
        for bad in ["", "nothing", BEGIN, &format!("{BEGIN}\nAAAA\n{END}\n")] {
            assert!(parse_roots(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_the_kinds_that_were_asked_for_become_keys() {
        let cose = |key| COSEKey { type_: COSEAlgorithm::ES256, key };
        let ec = |curve, n| COSEKeyType::EC_EC2(COSEEC2Key { curve, x: vec![1; n], y: vec![2; n] });
        let okp = |curve, n| COSEKeyType::EC_OKP(COSEOKPKey { curve, x: vec![3; n] });
        let rsa = |n| COSEKeyType::RSA(COSERSAKey { n: vec![0x91; n], e: [1, 0, 1] });
        let Some(Jwk::P256(point)) = key(&cose(ec(ECDSACurve::SECP256R1, 32))) else { panic!() };
        assert_eq!((point[0], point[63]), (1, 2));
        assert!(matches!(key(&cose(okp(EDDSACurve::ED25519, 32))), Some(Jwk::Ed25519(_))));
        assert!(key(&cose(rsa(256))).is_some());
        for bad in [rsa(128), ec(ECDSACurve::SECP384R1, 32), ec(ECDSACurve::SECP256R1, 31), okp(EDDSACurve::ED448, 57)] {
            assert!(key(&cose(bad)).is_none());
        }
    }
}
