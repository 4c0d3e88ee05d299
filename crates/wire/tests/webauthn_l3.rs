//! Ring 1: the assertion vectors published with W3C Web Authentication Level 3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use countersign_wire::jose::Jwk;
use countersign_wire::webauthn::{Assertion, AssertionFault, AuthenticatorHead, Expected, verify};
use countersign_wire::{b64, mac};
use serde_json::{Value, json};

/// What we make of each vector, by its title. One that is not here fails the test.
enum Want {
    Good,
    /// We ask for more than the specification must; the signature itself is good.
    Refused(AssertionFault, &'static str),
    /// A kind of key that we do not speak.
    Key(&'static str),
    /// Has no assertion.
    Nothing,
}

const NO_UV: &str = "nobody was verified: we always ask for it";
const FRAMED: &str = "made inside another site's page";

fn want(title: &str) -> Option<Want> {
    use AssertionFault::{Origin, User};
    Some(match title {
        "Attestation trust root certificate" | "Test Vectors for [=WebAuthn Extensions=]" => {
            Want::Nothing
        }
        "ES256 Credential with very long credential ID"
        | "Packed Attestation with ES256 Credential"
        | "TPM Attestation with ES256 Credential" => Want::Good,
        "ES256 Credential with No Attestation"
        | "ES256 Credential with Self Attestation"
        | "Packed Attestation with RS256 Credential"
        | "Packed Attestation with Ed25519 Credential"
        | "Android Key Attestation with ES256 Credential"
        | "Apple Anonymous Attestation with ES256 Credential"
        | "FIDO U2F Attestation with ES256 Credential" => Want::Refused(User, NO_UV),
        "ES256 Credential with \"crossOrigin\": true in clientDataJSON"
        | "ES256 Credential with \"topOrigin\" in clientDataJSON" => Want::Refused(Origin, FRAMED),
        "Packed Attestation with ES384 Credential" => Want::Key("P-384"),
        "Packed Attestation with ES512 Credential" => Want::Key("P-521"),
        "Packed Attestation with Ed448 Credential" => Want::Key("Ed448"),
        _ => return None,
    })
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// As much CBOR (RFC 8949) as attestation objects and COSE keys are made of.
enum Cbor {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    Map(Vec<(Cbor, Cbor)>),
    Other,
}

fn cbor(b: &[u8], at: &mut usize) -> Cbor {
    let (major, low) = (b[*at] >> 5, b[*at] & 31);
    *at += 1;
    let extra = match low {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => panic!("cbor {low}"),
    };
    let mut n = if extra == 0 { usize::from(low) } else { 0 };
    for _ in 0..extra {
        n = n << 8 | usize::from(b[*at]);
        *at += 1;
    }
    let mut take = |len: usize| {
        *at += len;
        b[*at - len..*at].to_vec()
    };
    match major {
        0 => Cbor::Int(n as i64),
        1 => Cbor::Int(-1 - n as i64),
        2 => Cbor::Bytes(take(n)),
        3 => Cbor::Text(String::from_utf8(take(n)).unwrap()),
        4 => {
            for _ in 0..n {
                cbor(b, at);
            }
            Cbor::Other
        }
        5 => Cbor::Map((0..n).map(|_| (cbor(b, at), cbor(b, at))).collect()),
        _ => Cbor::Other,
    }
}

/// The credential's public key out of an attestation object, or the curve that we do not speak.
fn key_of(attestation: &[u8]) -> Result<(Jwk, bool), String> {
    let Cbor::Map(members) = cbor(attestation, &mut 0) else { panic!("no map") };
    let data = members
        .into_iter()
        .find_map(|(k, v)| match (k, v) {
            (Cbor::Text(k), Cbor::Bytes(v)) if k == "authData" => Some(v),
            _ => None,
        })
        .unwrap();
    let eligible = AuthenticatorHead::parse(&data).unwrap().be();
    let id_len = usize::from(data[53]) << 8 | usize::from(data[54]);
    let Cbor::Map(cose) = cbor(&data, &mut (55 + id_len)) else { panic!("no key") };
    let int = |n: i64| {
        cose.iter().find_map(|(k, v)| match (k, v) {
            (Cbor::Int(k), Cbor::Int(v)) if *k == n => Some(*v),
            _ => None,
        })
    };
    let bytes = |n: i64| {
        cose.iter().find_map(|(k, v)| match (k, v) {
            (Cbor::Int(k), Cbor::Bytes(v)) if *k == n => Some(b64::encode(v)),
            _ => None,
        })
    };
    let jwk = match (int(1), int(-1)) {
        (Some(2), Some(1)) => json!({"kty": "EC", "crv": "P-256", "x": bytes(-2), "y": bytes(-3)}),
        (Some(2), Some(2)) => json!({"kty": "EC", "crv": "P-384", "x": bytes(-2), "y": bytes(-3)}),
        (Some(2), Some(3)) => json!({"kty": "EC", "crv": "P-521", "x": bytes(-2), "y": bytes(-3)}),
        (Some(1), Some(6)) => json!({"kty": "OKP", "crv": "Ed25519", "x": bytes(-2)}),
        (Some(1), Some(7)) => json!({"kty": "OKP", "crv": "Ed448", "x": bytes(-2)}),
        (Some(3), _) => json!({"kty": "RSA", "n": bytes(-1), "e": bytes(-2)}),
        other => panic!("{other:?}"),
    };
    let name = jwk["crv"].as_str().unwrap_or("RSA").to_owned();
    Jwk::parse(&jwk).map(|k| (k, eligible)).map_err(|_| name)
}

#[test]
fn published_assertions_are_judged_as_listed() {
    let Some(set) = fixtures::load("webauthn-l3/l3-vectors.json", "WebAuthn Level 3") else {
        return;
    };
    let mut judged = 0;
    for vector in set.as_array().unwrap() {
        let title = vector["title"].as_str().unwrap();
        let want = want(title).unwrap_or_else(|| panic!("`{title}` is not listed"));
        if let Want::Nothing = want {
            assert!(vector.get("authentication").is_none(), "{title}");
            continue;
        }
        judged += 1;
        let key = key_of(&hex(&vector["registration"]["attestationObject"]));
        let v = &vector["authentication"];
        let assertion = Assertion {
            authenticator_data: hex(&v["authenticatorData"]),
            client_data_json: hex(&v["clientDataJSON"]),
            signature: hex(&v["signature"]),
        };
        let challenge = hex(&v["challenge"]);
        let (key, backup_eligible) = match (key, &want) {
            (Err(got), Want::Key(named)) => {
                assert_eq!(got, *named, "{title}");
                eprintln!("not spoken: {title}: keys on {named}");
                continue;
            }
            (Err(got), _) => panic!("{title}: key {got}"),
            (Ok(_), Want::Key(named)) => panic!("{title}: {named} is spoken after all"),
            (Ok(key), _) => key,
        };
        let expected = Expected {
            challenge: &challenge,
            origin: "https://example.org",
            rp_id: "example.org",
            key: &key,
            counter: 0,
            backup_eligible,
        };
        let mut signed = assertion.authenticator_data.clone();
        signed.extend_from_slice(&mac::h(&assertion.client_data_json));
        assert!(key.verify_webauthn(&signed, &assertion.signature), "{title}: signature");
        match (verify(&assertion, &expected), want) {
            (Ok(_), Want::Good) => {
                let other = Expected { challenge: &challenge[1..], ..expected };
                assert_eq!(verify(&assertion, &other), Err(AssertionFault::Challenge), "{title}");
            }
            (Err(got), Want::Refused(fault, why)) => {
                assert_eq!(got, fault, "{title}");
                eprintln!("refused: {title}: {why}");
            }
            (got, _) => panic!("{title}: {got:?}"),
        }
    }
    assert_eq!(judged, 15);
}
