//! Ring 1: the vectors published with W3C Web Authentication Level 3, registration and assertion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use countersign_wire::attestation::{Kind, judge};
use countersign_wire::jose::Jwk;
use countersign_wire::webauthn::{Asked, Assertion, CoseAlg, Created, Expected, Fault, Registration, Within, register, verify};
use countersign_wire::x509::Roots;
use countersign_wire::Time;
use serde_json::Value;

const ORIGIN: &str = "https://example.org";
const RP_ID: &str = "example.org";
/// The certificates are valid from 2024 to 3024.
const VALID: Time = Time::from_seconds(1_800_000_000);

/// What is made of one vector by the standard, and what this server asks beyond it.
struct Row {
    title: &'static str,
    /// Format and who vouches; a fault where the vector is not spoken here, with the reason.
    standard: Result<(&'static str, Kind), (Fault, &'static str)>,
    /// What the server says to registration and assertion, which it asks more of.
    server: [Result<(), Fault>; 2],
}

const TAKEN: Result<(), Fault> = Ok(());
/// Nobody was verified: the server always asks for it.
const NO_UV: Result<(), Fault> = Err(Fault::User);
/// Made inside another site's page: the server's pages never are.
const FRAMED: Result<(), Fault> = Err(Fault::Origin);

const NO_KEY: Result<(), Fault> = Err(Fault::Key);

/// The one list: every published vector by its title. One that is not here fails the test.
/// docs/verify.md has the same table in words.
static ROWS: [Row; 15] = {
    use Kind::{Certificate, Itself, None as Nobody};
    const fn row(title: &'static str, format: &'static str, kind: Kind, server: [Result<(), Fault>; 2]) -> Row {
        Row { title, standard: Ok((format, kind)), server }
    }
    [
        row("ES256 Credential with No Attestation", "none", Nobody, [NO_UV, NO_UV]),
        row("ES256 Credential with Self Attestation", "packed", Itself, [TAKEN, NO_UV]),
        row("ES256 Credential with \"crossOrigin\": true in clientDataJSON", "none", Nobody, [FRAMED, FRAMED]),
        row("ES256 Credential with \"topOrigin\" in clientDataJSON", "none", Nobody, [FRAMED, FRAMED]),
        row("ES256 Credential with very long credential ID", "none", Nobody, [NO_UV, TAKEN]),
        row("Packed Attestation with ES256 Credential", "packed", Certificate, [TAKEN, TAKEN]),
        row("Packed Attestation with ES384 Credential", "packed", Certificate, [NO_UV, TAKEN]),
        row("Packed Attestation with ES512 Credential", "packed", Certificate, [TAKEN, NO_UV]),
        row("Packed Attestation with RS256 Credential", "packed", Certificate, [TAKEN, NO_UV]),
        row("Packed Attestation with Ed25519 Credential", "packed", Certificate, [NO_UV, NO_UV]),
        Row {
            title: "Packed Attestation with Ed448 Credential",
            standard: Err((Fault::Key, "Ed448 is not in the crypto library")),
            server: [NO_UV, NO_KEY],
        },
        row("TPM Attestation with ES256 Credential", "tpm", Certificate, [TAKEN, TAKEN]),
        row("Android Key Attestation with ES256 Credential", "android-key", Certificate, [TAKEN, NO_UV]),
        row("Apple Anonymous Attestation with ES256 Credential", "apple", Certificate, [NO_UV, NO_UV]),
        row("FIDO U2F Attestation with ES256 Credential", "fido-u2f", Certificate, [NO_UV, NO_UV]),
    ]
};

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A published vector.
struct Vector {
    registration: Registration,
    challenges: [Vec<u8>; 2],
    assertion: Assertion,
    credential_id: Vec<u8>,
}

struct Set {
    root: Vec<u8>,
    vectors: Vec<(String, Vector)>,
}

fn set() -> Option<Set> {
    let all = fixtures::load("webauthn-l3/l3-vectors.json", "WebAuthn Level 3")?;
    let mut set = Set { root: Vec::new(), vectors: Vec::new() };
    for one in all.as_array().unwrap() {
        let title = one["title"].as_str().unwrap();
        if let Some(root) = one["root"].get("attestation_ca_cert") {
            set.root = hex(root);
        }
        let (r, a) = (&one["registration"], &one["authentication"]);
        if r.is_null() {
            assert!(a.is_null(), "{title}");
            continue;
        }
        let vector = Vector {
            registration: Registration {
                client_data_json: hex(&r["clientDataJSON"]),
                attestation_object: hex(&r["attestationObject"]),
            },
            challenges: [hex(&r["challenge"]), hex(&a["challenge"])],
            assertion: Assertion {
                authenticator_data: hex(&a["authenticatorData"]),
                client_data_json: hex(&a["clientDataJSON"]),
                signature: hex(&a["signature"]),
            },
            credential_id: hex(&r["credential_id"]),
        };
        set.vectors.push((title.to_owned(), vector));
    }
    Some(set)
}

impl Set {
    fn roots(&self) -> Roots {
        let mut roots = Roots::default();
        roots.add(&self.root).unwrap();
        roots
    }
    fn each(&self) -> impl Iterator<Item = (&'static Row, &Vector)> {
        self.vectors.iter().map(|(title, vector)| {
            let row = ROWS.iter().position(|r| r.title == title).unwrap_or_else(|| panic!("`{title}` is not listed"));
            (&ROWS[row], vector)
        })
    }
}

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
