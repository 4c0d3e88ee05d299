//! The vectors published with W3C Web Authentication Level 3, and the one list of what is made of
//! them.
#![allow(dead_code)]

use super::fixtures;
use countersign_wire::Time;
use countersign_wire::attestation::Kind;
use countersign_wire::webauthn::{Assertion, Fault, Registration};
use countersign_wire::x509::Roots;
use serde_json::Value;

pub const ORIGIN: &str = "https://example.org";
pub const RP_ID: &str = "example.org";
/// The certificates are valid from 2024 to 3024.
pub const VALID: Time = Time::from_seconds(1_800_000_000);

/// What is made of one vector by the standard, and what this server asks beyond it.
pub struct Row {
    pub title: &'static str,
    /// Format and who vouches; a fault where the vector is not spoken here, with the reason.
    pub standard: Result<(&'static str, Kind), (Fault, &'static str)>,
    /// What the server says to registration and assertion, which it asks more of.
    pub server: [Result<(), Fault>; 2],
}

const TAKEN: Result<(), Fault> = Ok(());
/// Nobody was verified: the server always asks for it.
const NO_UV: Result<(), Fault> = Err(Fault::User);
/// Made inside another site's page: the server's pages never are.
const FRAMED: Result<(), Fault> = Err(Fault::Origin);

const NO_KEY: Result<(), Fault> = Err(Fault::Key);

/// The one list: every published vector by its title. One that is not here fails the test.
/// docs/verify.md has the same table in words.
pub static ROWS: [Row; 15] = {
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

pub fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A published vector.
pub struct Vector {
    pub registration: Registration,
    pub challenges: [Vec<u8>; 2],
    pub assertion: Assertion,
    pub credential_id: Vec<u8>,
}

pub struct Set {
    pub root: Vec<u8>,
    vectors: Vec<(String, Vector)>,
}

pub fn set() -> Option<Set> {
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
    pub fn roots(&self) -> Roots {
        let mut roots = Roots::default();
        roots.add(&self.root).unwrap();
        roots
    }
    pub fn each(&self) -> impl Iterator<Item = (&'static Row, &Vector)> {
        self.vectors.iter().map(|(title, vector)| {
            let row = ROWS.iter().position(|r| r.title == title).unwrap_or_else(|| panic!("`{title}` is not listed"));
            (&ROWS[row], vector)
        })
    }
}
