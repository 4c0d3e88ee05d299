//! What a device says of its health, and what its hardware signs about it.

use super::jose::{ISSUER, NOW, forged, signed};
use super::{Seen, key, text, tried, two};
use countersign_wire as wire;
use countersign_wire::Thumbprint;
use countersign_wire::android::Description;
use countersign_wire::evidence::{self, Asked, Evidence, EvidenceFault, Kind, Trusted};
use countersign_wire::posture::{self, Confidence, Expected, Name};
use countersign_wire::tpm::{self, Attest, Attested, Public};
use countersign_wire::x509::Roots;
use serde_json::{Value, json};

/// Nonce of every piece.
pub const NONCE: &str = "n";
/// Key of every secret and nonce.
pub const K: &[u8] = &[7; 32];
/// The application that is asked.
pub const PACKAGE: &str = "example.phone";
/// Digest of what signs it.
pub const SIGNER: [u8; 32] = [3; 32];

/// The device of every piece.
pub fn device() -> Thumbprint {
    Thumbprint::from_digest(&[1; 32])
}

/// TPMT_PUBLIC: a whole one, with the name of these bytes and no others.
pub fn tpm_public(data: &[u8], seen: &mut Seen) {
    let Some(area) = tried!(seen, Public::parse(data)) else { return };
    assert!(!area.is_attestation_key() || area.is_fixed());
    assert!(area.key.as_ref().is_none_or(wire::jose::Jwk::is_sound), "a key that can be none");
    if let Some(name) = area.name(data) {
        assert!(data.starts_with(&data[..2]) && name[..2] == data[2..4] && [34, 50, 66].contains(&name.len()));
        assert_ne!(area.name(&[data, &[0]].concat()).unwrap(), name);
    }
    assert!(Public::parse(&[data, &[0]].concat()).is_none() && Public::parse(&data[..data.len() - 1]).is_none(), "more or less than one");
    assert!(!area.key.is_some_and(|key| tpm::is_signed(&key, b"message", data)), "a signature out of nothing");
}

/// TPMS_ATTEST: a whole one, of which every part lies in what was given.
pub fn tpm_attest(data: &[u8], seen: &mut Seen) {
    assert!(!tpm::is_signed(key().public(), b"message", data), "a signature out of nothing");
    let Some(attest) = tried!(seen, Attest::parse(data)) else { return };
    assert!(data.starts_with(&[0xff, 0x54, 0x43, 0x47]), "not the TPM's own word");
    let inside = |part: &[u8]| part.is_empty() || data.windows(part.len()).any(|w| w == part);
    assert!(inside(attest.extra));
    match attest.about {
        Attested::Certify { name } => assert!(inside(name)),
        Attested::Quote { pcrs, digest } => {
            assert!(inside(digest) && pcrs.is_sorted_by(|a, b| a < b) && pcrs.iter().all(|n| *n < 32));
        }
    }
    assert!(Attest::parse(&[data, &[0]].concat()).is_none() && Attest::parse(&data[..data.len() - 1]).is_none(), "more or less than one");
}

/// The description of a key: hardware alone says that hardware made it.
pub fn android_description(data: &[u8], seen: &mut Seen) {
    let Some(read) = tried!(seen, Description::parse(data)) else { return };
    assert!(!read.in_hardware() || read.is_of_hardware());
    assert!(!read.is_of_hardware() || read.hardware.is_ours() || !read.in_hardware());
    for list in [&read.software, &read.hardware] {
        if let Some(application) = tried!(seen, wire::android::Authorizations::applications(list)) {
            let inside = |part: &&[u8]| part.is_empty() || data.windows(part.len()).any(|w| w == *part);
            assert!(application.packages.iter().all(inside) && application.signers.iter().all(inside));
        }
    }
    assert!(Description::parse(&[data, &[0]].concat()).is_err() && Description::parse(&data[..data.len() - 1]).is_err());
}

/// Two parts: a root, and a piece of evidence. It counts under that root for what it was asked, and for nothing else.
pub fn piece(data: &[u8], seen: &mut Seen) {
    let (root, said) = two(data);
    let Ok(piece) = serde_json::from_slice::<Evidence>(said) else { return };
    let written = serde_json::to_value(&piece).unwrap();
    assert_eq!(serde_json::from_value::<Evidence>(written).unwrap(), piece, "written and read again");
    let mut roots = Roots::default();
    let _ = roots.add(root);
    let trusted = Trusted { tpm: roots.clone(), secure_boot: vec![[0; 32]], android: roots, applications: vec![(PACKAGE.into(), SIGNER)] };
    let device = device();
    let asked = Asked { nonce: NONCE, device: &device, keys: &[K], trusted: &trusted, now: NOW };
    let nobody = Trusted::default();
    assert!(evidence::judge(&piece, &Asked { trusted: &nobody, ..asked }).is_err(), "no root, and yet believed");
    if let Evidence::TpmQuote(quote) = &piece
        && let Ok(ak) = wire::b64::decode(&quote.ak)
        && tried!(seen, evidence::tpm::endorsed_key(&quote.ek, &ak, key().public(), &trusted.tpm, NOW)).is_none()
        && let Some(endorsed) = tried!(seen, evidence::tpm::endorsed(&quote.ek, &ak, &trusted.tpm, NOW))
    {
        let secret = evidence::tpm::secret(K, &endorsed, NONCE, &device);
        assert_ne!(secret, evidence::tpm::secret(K, &endorsed, "m", &device));
        assert_ne!(secret, evidence::tpm::secret(&[8; 32], &endorsed, NONCE, &device));
    }
    let Some(shown) = tried!(seen, evidence::judge(&piece, &asked)) else { return };
    assert!(shown.facts.iter().all(|(name, value)| shown.kind.shows().contains(name) && !value.is_empty() && value.len() <= posture::VALUE_BYTES));
    let other_device = Thumbprint::from_digest(&[2; 32]);
    for other in [
        Asked { nonce: "m", ..asked },
        Asked { device: &other_device, ..asked },
        Asked { now: NOW.plus_s(40 * 366 * 86_400), ..asked },
        Asked { now: NOW.plus_s(-40 * 366 * 86_400), ..asked },
    ] {
        assert!(evidence::judge(&piece, &other).is_err(), "good for something else");
    }
    let strict = match shown.kind {
        Kind::TpmQuote => evidence::judge(&piece, &Asked { keys: &[&[8; 32]], ..asked }),
        Kind::AndroidKey => evidence::judge(&piece, &Asked { trusted: &Trusted { applications: vec![], ..trusted.clone() }, ..asked }),
        Kind::WebAuthn => panic!("no evidence of health"),
    };
    assert!(matches!(strict, Err(EvidenceFault::Key | EvidenceFault::Application)), "{strict:?}");
}

/// The input as it is, and as claims that the device signed.
pub fn posture_report(data: &[u8], seen: &mut Seen) {
    seen.note("posture::parse", Name::parse(text(data)));
    let device = "01931d2b-7a00-7000-8000-000000000003".parse().unwrap();
    let other_device = "01931d2b-7a00-7000-8000-000000000004".parse().unwrap();
    let want = Expected { key: key().public(), device: &device, issuer: ISSUER, keys: &[K], now: NOW };
    tried!(seen, posture::verify(text(data), &want));
    let kid = key().public().thumbprint();
    let made = signed(json!({"typ": posture::TYP, "kid": kid}), data);
    let Some(good) = tried!(seen, posture::verify(&made, &want)) else { return };
    let report = good.report();
    assert!((1..=1 << 53).contains(&report.n) && report.evidence.len() <= posture::EVIDENCE);
    for (name, fact) in &report.facts {
        assert!(name.is_own() && fact.confidence != Confidence::Attested, "{name:?} is not a device's to say so");
        assert!((1..=posture::VALUE_BYTES).contains(&fact.value.len()) && (1..=posture::SOURCE_BYTES).contains(&fact.source.len()));
    }
    if let Ok(said) = serde_json::from_slice::<Value>(data) {
        assert_eq!((&said["iss"], &said["aud"], &said["n"]), (&json!(device), &json!(ISSUER), &json!(report.n)));
    }
    for other in [
        Expected { device: &other_device, ..want },
        Expected { issuer: "https://other.example", ..want },
        Expected { keys: &[&[8; 32]], ..want },
        Expected { now: NOW.plus_s(86_400), ..want },
    ] {
        assert!(posture::verify(&made, &other).is_err());
    }
    for other in [json!({"typ": "dpop+jwt", "kid": kid}), json!({"typ": posture::TYP, "kid": "x"})] {
        assert!(posture::verify(&signed(other, data), &want).is_err(), "another kind, or another key");
    }
    for other in forged(&made) {
        assert!(posture::verify(&other, &want).is_err(), "forged");
    }
}
