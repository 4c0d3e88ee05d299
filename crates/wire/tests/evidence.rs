//! Android key attestation of real phones, as evidence: what is read is what was published beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use countersign_wire::android::{Boot, DESCRIPTION, Description};
use countersign_wire::evidence::{self, AndroidKey, Asked, Evidence, EvidenceFault, Kind, Trusted};
use countersign_wire::posture::Name;
use countersign_wire::x509::{Certificate, Roots};
use countersign_wire::{Time, b64};
use serde_json::Value;

const DATA: &str = "android-attestation/testdata";

fn ders(pem: &str) -> Vec<Vec<u8>> {
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    blocks.map(|b| standard(&b.split("-----END").next().unwrap().split_whitespace().collect::<String>())).collect()
}

fn standard(text: &str) -> Vec<u8> {
    b64::decode(text.replace('+', "-").replace('/', "_").trim_end_matches('=')).unwrap()
}

fn roots() -> Option<Roots> {
    let list = fixtures::load("android-attestation/roots.json", "Android key attestation")?;
    let mut roots = Roots::default();
    for pem in list.as_array().unwrap() {
        ders(pem.as_str().unwrap()).iter().for_each(|der| roots.add(der).unwrap());
    }
    Some(roots)
}

/// A chain and what was published about it, without the comments that JSON does not have.
fn published() -> Vec<(String, Vec<Vec<u8>>, Value)> {
    let told: Vec<(String, String)> = fixtures::texts(DATA, "json");
    let pems = fixtures::texts(DATA, "pem").into_iter();
    pems.filter_map(|(name, pem)| {
        let wanted = name.replace(".pem", ".json");
        let (_, text) = told.iter().find(|(n, _)| *n == wanted)?;
        let bare: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        Some((name, ders(&pem), serde_json::from_str(&bare).ok()?))
    })
    .collect()
}

#[test]
fn what_real_phones_say_of_themselves_is_read_as_it_was_published() {
    if roots().is_none() {
        return;
    }
    let mut read = 0;
    for (name, chain, told) in published() {
        let Ok(leaf) = Certificate::parse(&chain[0]) else { continue };
        let found = leaf.extension(DESCRIPTION).unwrap_or_else(|| panic!("{name}: no description"));
        let said = Description::parse(found.value).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(said.challenge, standard(told["attestationChallenge"].as_str().unwrap()), "{name}");
        let hardware = &told["hardwareEnforced"];
        let number = |v: &Value| v.as_str().map(|t| t.parse::<u32>().unwrap());
        assert_eq!(said.hardware.os_version, number(&hardware["osVersion"]), "{name}");
        assert_eq!(said.hardware.os_patch_level, number(&hardware["osPatchLevel"]), "{name}");
        let trust = hardware["rootOfTrust"].as_object();
        assert_eq!(said.hardware.root_of_trust.is_some(), trust.is_some(), "{name}");
        if let (Some(is), Some(told)) = (said.hardware.root_of_trust, trust) {
            assert_eq!(is.locked, told["deviceLocked"] == true, "{name}");
            let state = match is.boot {
                Boot::Verified => "VERIFIED",
                Boot::SelfSigned => "SELF_SIGNED",
                Boot::Unverified => "UNVERIFIED",
                Boot::Failed => "FAILED",
            };
            assert_eq!(told["verifiedBootState"], state, "{name}");
        }
        let packages = told["softwareEnforced"]["attestationApplicationId"]["packages"].as_array();
        if let (Some(packages), Ok(application)) = (packages, said.software.applications()) {
            let named: Vec<&[u8]> = packages.iter().map(|p| p["name"].as_str().unwrap().as_bytes()).collect();
            assert_eq!(application.packages, named, "{name}");
        }
        read += 1;
    }
    eprintln!("{read} real descriptions were read as published");
    assert!(read >= 15, "{read}");
}

#[test]
fn a_real_phones_word_counts_for_nothing_but_what_it_was_asked() {
    let Some(android) = roots() else { return };
    let trusted = Trusted { android, ..Trusted::default() };
    let device = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".parse().unwrap();
    let judge = |chain: &[Vec<u8>], trusted: &Trusted, now: Time| {
        let piece = Evidence::AndroidKey(AndroidKey { chain: chain.iter().map(|c| b64::encode(c)).collect() });
        evidence::judge(&piece, &Asked { nonce: "n", device: &device, keys: &[], trusted, now })
    };
    let months: Vec<Time> = (0..130).map(|n| Time::from_seconds(1_483_228_800 + n * 2_629_800)).collect();
    let mut unbound = 0;
    for (name, chain, _) in published() {
        // Made for another asker: that is found only where everything before it is in order.
        let found: Vec<_> = months.iter().map(|now| judge(&chain, &trusted, *now).unwrap_err()).collect();
        unbound += usize::from(found.contains(&EvidenceFault::Unbound));
        assert_eq!(judge(&chain, &Trusted::default(), months[100]).unwrap_err(), EvidenceFault::Untrusted, "{name}");
        assert!(judge(&chain[1..], &trusted, months[100]).is_err(), "{name}");
        assert!(found.iter().all(|f| matches!(f, EvidenceFault::Unbound | EvidenceFault::Untrusted | EvidenceFault::Expired | EvidenceFault::Malformed)), "{name}");
    }
    eprintln!("{unbound} real chains are refused for their challenge alone");
    assert!(unbound >= 12, "{unbound}");
}

#[test]
fn what_is_malformed_is_read_as_nothing() {
    if roots().is_none() {
        return;
    }
    for (name, pem) in fixtures::texts(&format!("{DATA}/invalid"), "pem") {
        let chain = ders(&pem);
        let read = Certificate::parse(&chain[0]).ok().and_then(|leaf| leaf.extension(DESCRIPTION).map(|e| Description::parse(e.value).map(|_| ()).is_ok()));
        assert_ne!(read, Some(true), "{name}");
    }
}

#[test]
fn no_kind_shows_what_is_not_a_devices_to_show() {
    for kind in Kind::ALL {
        assert!(kind.shows().iter().all(|n| n.is_own() && *n != Name::AgentRunning), "{kind:?}");
    }
}
