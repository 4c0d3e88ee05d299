//! Ring 1: the vectors published with W3C Web Authentication Level 3, registration and assertion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;
mod l3;

use countersign_wire::Time;
use countersign_wire::attestation::{Kind, judge};
use countersign_wire::jose::Jwk;
use countersign_wire::webauthn::{Asked, CoseAlg, Created, Expected, Fault, Within, register, verify};
use countersign_wire::x509::Roots;
use l3::{ORIGIN, ROWS, RP_ID, VALID, Vector, set};

/// By the standard: nobody need be verified, and the page may stand inside `https://example.com`.
fn standard(challenge: &[u8]) -> Asked<'_> {
    let within = Within::Page(Some("https://example.com"));
    Asked { within, verified: false, ..Asked::strictly(challenge, ORIGIN, RP_ID) }
}

fn strictly(challenge: &[u8]) -> Asked<'_> {
    Asked::strictly(challenge, ORIGIN, RP_ID)
}

fn created<'a>(vector: &'a Vector, asked: &Asked<'_>) -> Result<Created<'a>, Fault> {
    register(&vector.registration, asked, &CoseAlg::ALL)
}

fn asserted(vector: &Vector, asked: Asked<'_>, key: &Jwk, backup_eligible: bool) -> Result<(), Fault> {
    verify(&vector.assertion, &Expected { asked, key, counter: 0, backup_eligible }).map(|_| ())
}

#[test]
fn every_published_vector_is_judged_as_listed() {
    let Some(set) = set() else { return };
    let (roots, mut judged) = (set.roots(), 0);
    for (row, vector) in set.each() {
        let title = row.title;
        judged += 1;
        let [registration, assertion] = row.server;
        assert_eq!(created(vector, &strictly(&vector.challenges[0])).map(|_| ()), registration, "{title}");
        let made = created(vector, &standard(&vector.challenges[0]));
        let (made, (format, kind)) = match (made, row.standard) {
            (Ok(made), Ok(want)) => (made, want),
            (Err(fault), Err((want, why))) => {
                assert_eq!((fault, assertion), (want, Err(want)), "{title}");
                eprintln!("not spoken: {title}: {why}");
                continue;
            }
            (made, _) => panic!("{title}: {:?}", made.map(|m| m.alg)),
        };
        assert_eq!(made.id, vector.credential_id, "{title}");
        let statement = judge(&made).unwrap_or_else(|f| panic!("{title}: {f}"));
        assert_eq!((made.format, statement.kind), (format, kind), "{title}");
        let trusted = statement.leads_to(&roots, VALID);
        assert_eq!(trusted.is_ok(), kind == Kind::Certificate, "{title}: {trusted:?}");
        asserted(vector, standard(&vector.challenges[1]), &made.key, made.backup_eligible).unwrap_or_else(|f| panic!("{title}: {f}"));
        // And as the server asks.
        assert_eq!(asserted(vector, strictly(&vector.challenges[1]), &made.key, made.backup_eligible), assertion, "{title}");
    }
    assert_eq!(judged, ROWS.len());
}

#[test]
fn a_published_vector_with_one_thing_changed_is_refused() {
    let Some(set) = set() else { return };
    let (roots, mut chains) = (set.roots(), 0);
    for (row, vector) in set.each().filter(|(row, _)| row.standard.is_ok()) {
        let title = row.title;
        let [challenge, later] = &vector.challenges;
        let good = created(vector, &standard(challenge)).unwrap();
        let assertion = |asked: Asked<'_>, key: &Jwk, eligible| asserted(vector, asked, key, eligible);
        for (change, want) in [
            (Asked { challenge: &challenge[1..], ..standard(challenge) }, Fault::Challenge),
            (Asked { challenge: later, ..standard(challenge) }, Fault::Challenge),
            (Asked { origin: "https://example.com", ..standard(challenge) }, Fault::Origin),
            (Asked { rp_id: "example.com", ..standard(challenge) }, Fault::RpId),
        ] {
            assert_eq!(created(vector, &change).map(|_| ()), Err(want), "{title}");
            // The same of the assertion, with its own challenge where another was not asked.
            let other = if want == Fault::Challenge { &challenge[..] } else { later };
            assert_eq!(assertion(Asked { challenge: other, ..change }, &good.key, good.backup_eligible), Err(want), "{title}");
        }
        assert_eq!(assertion(standard(later), &good.key, !good.backup_eligible), Err(Fault::Backup), "{title}");
        let mut spoilt = vector.assertion.clone();
        *spoilt.signature.last_mut().unwrap() ^= 1;
        let expected = Expected { asked: standard(later), key: &good.key, counter: 0, backup_eligible: good.backup_eligible };
        assert_eq!(verify(&spoilt, &expected), Err(Fault::Signature), "{title}");
        let statement = judge(&good).unwrap();
        if statement.kind != Kind::Certificate {
            continue;
        }
        chains += 1;
        // 2023 and 3025.
        for when in [1_672_531_200, 33_292_857_600] {
            assert_eq!(statement.leads_to(&roots, Time::from_seconds(when)), Err(Fault::Expired), "{title}");
        }
        // The same root with another key: the name alone leads nowhere.
        let mut der = set.root.clone();
        let at = der.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap();
        der[at + 20] ^= 1;
        let mut namesake = Roots::default();
        namesake.add(&der).unwrap();
        assert_eq!(statement.leads_to(&namesake, VALID), Err(Fault::Untrusted), "{title}");
    }
    assert_eq!(chains, 9);
}

#[test]
fn no_byte_of_a_published_attestation_can_be_changed() {
    let Some(set) = set() else { return };
    let roots = set.roots();
    for (row, vector) in set.each() {
        let Ok((format, Kind::Certificate)) = row.standard else { continue };
        let challenge = &vector.challenges[0];
        let length = vector.registration.attestation_object.len();
        let data = vector.registration.attestation_object.windows(8).position(|w| w == b"authData").unwrap() + 10;
        for at in 0..length {
            let mut registration = vector.registration.clone();
            registration.attestation_object[at] ^= 1;
            let Ok(made) = register(&registration, &standard(challenge), &CoseAlg::ALL) else { continue };
            let taken = judge(&made).is_ok_and(|s| s.leads_to(&roots, VALID).is_ok());
            // U2F signs neither flags, counter nor AAGUID (§8.6).
            let unsigned = format == "fido-u2f" && (data + 32..data + 53).contains(&at);
            assert!(!taken || unsigned, "{}: byte {at} of {length}", row.title);
        }
    }
}

#[test]
fn every_code_is_explained_in_the_document() {
    let text = std::fs::read_to_string(fixtures::root().join("docs/verify.md")).unwrap();
    let (_, table) = text.split_once("| code | meaning |").unwrap();
    let named: Vec<&str> = table.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(named, Fault::ALL.map(Fault::code));
}
