//! Attestation of every format, made here: good as it is, refused with any one thing changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;
mod forge;

use countersign_wire::attestation::{Kind, judge};
use countersign_wire::webauthn::{Asked, CoseAlg, Fault, register};
use countersign_wire::x509::{Certificate, Roots};
use countersign_wire::{Time, b64};
use forge::{CHALLENGE, Forge, Key, ORIGIN, RP_ID, root};

const NOW: Time = Time::from_seconds(1_800_000_000);
/// With certificates.
const FORMATS: [&str; 5] = ["packed", "fido-u2f", "tpm", "android-key", "apple"];

fn asked() -> Asked<'static> {
    Asked::strictly(&CHALLENGE, ORIGIN, RP_ID)
}

/// The verdict on a forged registration, with its root trusted, at `now`.
fn verdict_by(forge: &Forge, root: &[u8], now: Time) -> Result<(Kind, bool), Fault> {
    let made = forge.made();
    let created = register(&made, &asked(), &CoseAlg::ALL)?;
    let statement = judge(&created)?;
    let mut roots = Roots::default();
    roots.add(root).unwrap();
    if statement.kind == Kind::Certificate {
        statement.leads_to(&roots, now)?;
        assert_eq!(statement.leads_to(&Roots::default(), now), Err(Fault::Untrusted), "no roots trust nobody");
    }
    Ok((statement.kind, statement.hardware))
}

fn verdict(forge: &Forge) -> Result<(Kind, bool), Fault> {
    verdict_by(forge, &forge.root(), NOW)
}

fn changed(format: &'static str, change: impl FnOnce(&mut Forge)) -> Result<(Kind, bool), Fault> {
    let mut forge = Forge::new(format);
    change(&mut forge);
    verdict(&forge)
}

#[test]
fn every_format_is_taken_as_it_should_be_made() {
    for format in FORMATS {
        assert_eq!(verdict(&Forge::new(format)), Ok((Kind::Certificate, true)), "{format}");
        assert_eq!(changed(format, |f| f.certified = None), Ok((Kind::Certificate, true)), "{format}: names no model");
    }
    assert_eq!(verdict(&Forge::new("none")), Ok((Kind::None, false)));
    assert_eq!(changed("packed", |f| f.by_itself = true), Ok((Kind::Itself, false)));
    // Without the root of its own, or an intermediate in between.
    let forge = Forge::new("packed");
    let made = forge.made();
    let created = register(&made, &asked(), &CoseAlg::ALL).unwrap();
    assert_eq!((created.id, created.aaguid, created.alg), (&[9; 16][..], forge::MODEL, CoseAlg::ES256));
    assert!(created.user_verified && !created.backup_eligible);
}

#[test]
fn one_changed_byte_of_the_signature_is_refused() {
    for format in ["packed", "fido-u2f", "tpm", "android-key"] {
        assert_eq!(changed(format, |f| f.spoil_signature = true), Err(Fault::Signature), "{format}");
    }
    let by_itself = changed("packed", |f| (f.by_itself, f.spoil_signature) = (true, true));
    assert_eq!(by_itself, Err(Fault::Signature));
    // `apple` signs nothing but its certificate.
    let forge = Forge::new("apple");
    let mut made = forge.made();
    let at = made.attestation_object.windows(8).position(|w| w == b"authData").unwrap() - 3;
    made.attestation_object[at] ^= 1;
    let created = register(&made, &asked(), &CoseAlg::ALL).unwrap();
    let mut roots = Roots::default();
    roots.add(&forge.root()).unwrap();
    assert_eq!(judge(&created).and_then(|s| s.leads_to(&roots, NOW)), Err(Fault::Untrusted));
}

#[test]
fn another_challenge_is_refused_and_a_statement_over_other_client_data_too() {
    for format in FORMATS.into_iter().chain(["none"]) {
        assert_eq!(changed(format, |f| f.challenge = [8; 32]), Err(Fault::Challenge), "{format}");
        assert_eq!(changed(format, |f| f.origin = "https://id.example.evil"), Err(Fault::Origin), "{format}");
        assert_eq!(changed(format, |f| f.flags = 0x44), Err(Fault::User), "{format}: nobody there");
        assert_eq!(changed(format, |f| f.flags = 0x41), Err(Fault::User), "{format}: not verified");
        assert_eq!(changed(format, |f| f.flags = 0x55), Err(Fault::Backup), "{format}: BS without BE");
        assert_eq!(changed(format, |f| f.flags = 0x05), Err(Fault::Malformed), "{format}: no credential");
        assert_eq!(changed(format, |f| f.tail = vec![0xa0]), Err(Fault::Malformed), "{format}: a tail");
    }
    for (format, want) in [
        ("packed", Fault::Signature),
        ("fido-u2f", Fault::Signature),
        ("tpm", Fault::Statement),
        ("android-key", Fault::Signature),
        ("apple", Fault::Statement),
    ] {
        assert_eq!(changed(format, |f| f.other_client = Some(b"{}".to_vec())), Err(want), "{format}");
    }
    // Extensions that the flags announce are read.
    let extended = |f: &mut Forge| (f.flags, f.tail) = (0xc5, vec![0xa1, 0x61, b'x', 0xf5]);
    assert!(changed("packed", extended).is_ok());
    assert_eq!(changed("packed", |f| (f.flags, f.tail) = (0xc5, vec![])), Err(Fault::Malformed));
}

#[test]
fn only_a_chain_to_a_given_root_is_trusted_and_only_while_it_is_valid() {
    for format in FORMATS {
        let forge = Forge::new(format);
        let elsewhere = root("Another root", &Key::new());
        assert_eq!(verdict_by(&forge, &elsewhere, NOW), Err(Fault::Untrusted), "{format}: another root");
        let namesake = root("Good root", &Key::new());
        assert_eq!(verdict_by(&forge, &namesake, NOW), Err(Fault::Untrusted), "{format}: the name alone");
        assert_eq!(changed(format, |f| f.issuer = "Another root"), Err(Fault::Untrusted), "{format}: the key alone");
        let early = Time::from_seconds(1_700_000_000);
        assert_eq!(verdict_by(&forge, &forge.root(), early), Err(Fault::Expired), "{format}: not yet");
        let late = Time::from_seconds(2_100_000_000);
        assert_eq!(verdict_by(&forge, &forge.root(), late), Err(Fault::Expired), "{format}: no more");
        let much = changed(format, |f| f.more_certificates = vec![forge.root(); 9]);
        assert!(matches!(much, Err(Fault::Untrusted | Fault::Statement)), "{format}: {much:?}");
    }
}

#[test]
fn a_certificate_of_another_model_or_kind_is_refused() {
    for format in ["packed", "tpm"] {
        assert_eq!(changed(format, |f| f.certified = Some([0xb2; 16])), Err(Fault::Aaguid), "{format}");
        assert_eq!(changed(format, |f| f.model = [0xb2; 16]), Err(Fault::Aaguid), "{format}");
        assert_eq!(changed(format, |f| f.certified_critical = true), Err(Fault::Certificate), "{format}");
        assert_eq!(changed(format, |f| f.authority = Some(true)), Err(Fault::Certificate), "{format}");
        assert_eq!(changed(format, |f| f.authority = None), Err(Fault::Certificate), "{format}");
    }
    for format in FORMATS {
        assert_eq!(changed(format, |f| f.version = 0), Err(Fault::Certificate), "{format}: version 1");
    }
    assert_eq!(changed("packed", |f| f.unit = "Something else"), Err(Fault::Certificate));
    assert_eq!(changed("tpm", |f| f.purpose = false), Err(Fault::Certificate));
    assert_eq!(changed("tpm", |f| f.maker = false), Err(Fault::Certificate));
    assert_eq!(changed("tpm", |f| f.named_tpm = true), Err(Fault::Certificate));
    let both = changed("fido-u2f", |f| f.more_certificates = vec![f.root()]);
    assert_eq!(both, Err(Fault::Statement), "exactly one certificate");
}

#[test]
fn an_algorithm_that_does_not_suit_its_key_is_refused() {
    for format in ["packed", "tpm", "android-key"] {
        for alg in [-35, -36, -257, -8] {
            let got = changed(format, |f| f.alg = alg);
            let hashes_differ = format == "tpm" && matches!(alg, -35 | -36);
            let want = if hashes_differ { Fault::Statement } else { Fault::Algorithm };
            assert_eq!(got, Err(want), "{format} {alg}");
        }
        // RS1, HS256 and what nobody has registered.
        for alg in [-65_535, 5, -99] {
            assert_eq!(changed(format, |f| f.alg = alg), Err(Fault::Algorithm), "{format} {alg}");
        }
    }
    assert_eq!(changed("packed", |f| (f.by_itself, f.alg) = (true, -8)), Err(Fault::Algorithm));
    let made = Forge::new("none").made();
    let asked_for = register(&made, &asked(), &[CoseAlg::EdDSA]).map(|_| ());
    assert_eq!(asked_for, Err(Fault::Algorithm), "an algorithm that was not asked for");
}

#[test]
fn a_statement_about_another_key_or_another_structure_is_refused() {
    for format in ["android-key", "apple"] {
        assert_eq!(changed(format, |f| f.foreign_key = true), Err(Fault::Statement), "{format}");
    }
    assert_eq!(changed("android-key", |f| f.foreign_challenge = true), Err(Fault::Statement));
    assert_eq!(changed("tpm", |f| f.foreign_area = true), Err(Fault::Statement));
    assert_eq!(changed("tpm", |f| f.magic = 0), Err(Fault::Statement));
    assert_eq!(changed("tpm", |f| f.ver = "1.2"), Err(Fault::Statement));
    for (format, want) in [("android-safetynet", Fault::Format), ("compound", Fault::Format), ("", Fault::Format)] {
        assert_eq!(changed(format, |_| ()), Err(want), "{format}");
    }
    // `none` with a statement.
    let mut made = Forge::new("none").made();
    let at = made.attestation_object.windows(7).position(|w| w == b"attStmt").unwrap() + 7;
    made.attestation_object.splice(at..=at, [0xa1, 0x61, b'x', 1]);
    let created = register(&made, &asked(), &CoseAlg::ALL).unwrap();
    assert_eq!(judge(&created).map(|s| s.kind), Err(Fault::Statement));
}

#[test]
fn hardware_is_what_the_hardware_says_and_not_what_the_chain_is() {
    let weak = Ok((Kind::Certificate, false));
    assert_eq!(changed("tpm", |f| f.attributes = 0x0004_0000), weak, "it may leave this TPM");
    assert_eq!(changed("android-key", |f| f.level = 0), weak, "kept by software");
    assert_eq!(changed("android-key", |f| f.hardware = vec![]), weak, "says nothing");
    let imported = [&forge::GOOD_KEY[..13], &[2]].concat();
    assert_eq!(changed("android-key", |f| f.hardware = imported), Err(Fault::Certificate), "brought from outside");
    assert_eq!(changed("android-key", |f| f.level = 2), Ok((Kind::Certificate, true)), "StrongBox");
}

#[test]
fn no_byte_can_be_changed_or_cut_off_without_being_noticed() {
    for format in FORMATS {
        let forge = Forge::new(format);
        let (made, mut roots) = (forge.made(), Roots::default());
        roots.add(&forge.root()).unwrap();
        let taken = |made: &countersign_wire::webauthn::Registration| {
            let Ok(created) = register(made, &asked(), &CoseAlg::ALL) else { return false };
            judge(&created).is_ok_and(|s| s.leads_to(&roots, NOW).is_ok())
        };
        assert!(taken(&made), "{format}");
        let mut free = Vec::new();
        for at in 0..made.attestation_object.len() {
            let mut bad = made.clone();
            bad.attestation_object[at] ^= 1;
            if taken(&bad) {
                free.push(at);
            }
        }
        // U2F signs neither flags, counter nor AAGUID (§8.6); nothing else is free anywhere.
        let start = made.attestation_object.windows(8).position(|w| w == b"authData").unwrap() + 10;
        let unsigned = start + 32..start + 53;
        let allowed = |at: &usize| format == "fido-u2f" && unsigned.contains(at);
        assert!(free.iter().all(allowed), "{format}: {free:?} of {}, authenticator data at {start}", made.attestation_object.len());
        for len in 0..made.attestation_object.len() {
            let mut bad = made.clone();
            bad.attestation_object.truncate(len);
            assert!(!taken(&bad), "{format}: cut at {len}");
        }
    }
}

#[test]
fn real_android_chains_lead_to_the_published_roots() {
    let Some(list) = fixtures::load("android-attestation/roots.json", "Android key attestation") else { return };
    let mut roots = Roots::default();
    for pem in list.as_array().unwrap() {
        for der in ders(pem.as_str().unwrap()) {
            roots.add(&der).unwrap();
        }
    }
    let months: Vec<Time> = (0..130).map(|n| Time::from_seconds(1_483_228_800 + n * 2_629_800)).collect();
    let (mut led, mut not) = (0, Vec::new());
    for (name, text) in fixtures::texts("android-attestation/testdata", "pem") {
        let chain = ders(&text);
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let leaf = Certificate::parse(chain[0]);
        let fine = leaf.is_ok_and(|l| l.key().is_ok()) && months.iter().any(|m| roots.judge(&chain, *m).is_ok());
        if fine { led += 1 } else { not.push(name) }
    }
    eprintln!("{led} real chains lead to a root; these do not: {not:?}");
    assert!(led >= 16, "{led}");
}

fn ders(pem: &str) -> Vec<Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|block| {
            let body: String = block.split("-----END").next().unwrap().split_whitespace().collect();
            b64::decode(body.replace('+', "-").replace('/', "_").trim_end_matches('=')).unwrap()
        })
        .collect()
}
