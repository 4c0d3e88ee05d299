//! What passkeys say: assertions, registrations with their attestation, keys.

use super::{Seen, key, spoilt, tried, two};
use countersign_wire as wire;
use countersign_wire::Time;
use countersign_wire::attestation;
use countersign_wire::cbor::Cbor;
use countersign_wire::webauthn::{
    self, Asked, Assertion, AssertionText, AuthenticatorHead, CoseAlg, Expected, Registration, Within,
};
use countersign_wire::x509::Roots;
use serde_json::Value;

/// Challenge of every input.
pub const CHALLENGE: [u8; 32] = [7; 32];
/// Origin of every input.
pub const ORIGIN: &str = "https://id.example";
/// Relying party of every input.
pub const RP_ID: &str = "id.example";

fn asked() -> Asked<'static> {
    Asked::strictly(&CHALLENGE, ORIGIN, RP_ID)
}

/// Client data that was taken says what was asked, whoever reads it.
fn said(client_data: &[u8], kind: &str) {
    // A member that nobody looks at may hold half a character, which not every reader minds.
    let Ok(said) = serde_json::from_slice::<Value>(client_data) else { return };
    assert!(said.is_object(), "client data is an object (WebAuthn L3 §5.8.1)");
    let challenge = Value::String(wire::b64::encode(&CHALLENGE));
    assert_eq!((&said["type"], &said["challenge"], &said["origin"]), (&kind.into(), &challenge, &ORIGIN.into()));
    assert!(said["crossOrigin"] != true && said["topOrigin"].is_null(), "inside another page");
}

/// Two parts: client data, authenticator data; our key signs them.
pub fn assertion(data: &[u8], seen: &mut Seen) {
    let (client_data, authenticator_data) = two(data);
    let signature = key().sign_asn1(&[authenticator_data, &wire::mac::h(client_data)].concat()).unwrap();
    let text = AssertionText {
        credential_id: "AAAA".into(),
        authenticator_data: wire::b64::encode(authenticator_data),
        client_data_json: wire::b64::encode(client_data),
        signature: wire::b64::encode(&signature),
        user_handle: None,
    };
    let damaged = AssertionText { signature: super::text(data).into(), ..text.clone() };
    tried!(seen, AssertionText::decode(&damaged));
    let made = tried!(seen, AssertionText::decode(&text)).unwrap();
    let want = Expected { asked: asked(), key: key().public(), counter: 3, backup_eligible: false };
    let framed = Expected { asked: Asked { within: Within::Page(None), ..want.asked }, ..want };
    let strict = tried!(seen, webauthn::verify(&made, &want));
    assert!(strict.is_none() || webauthn::verify(&made, &framed).is_ok(), "what is strict is not lax");
    let Some(good) = strict else { return };
    said(client_data, "webauthn.get");
    let flags = authenticator_data[32];
    assert!(flags & 0x05 == 0x05 && flags & 0x18 == 0 && good.user_verified && !good.backup_state);
    assert!(good.counter > 3);
    assert_eq!(authenticator_data[..32], wire::mac::h(RP_ID.as_bytes()));
    for signature in spoilt(&made.signature) {
        assert!(webauthn::verify(&Assertion { signature, ..made.clone() }, &want).is_err(), "forged");
    }
    for authenticator_data in spoilt(&made.authenticator_data) {
        assert!(webauthn::verify(&Assertion { authenticator_data, ..made.clone() }, &want).is_err(), "forged");
    }
    for client_data_json in spoilt(&made.client_data_json) {
        assert!(webauthn::verify(&Assertion { client_data_json, ..made.clone() }, &want).is_err(), "forged");
    }
    for other in [
        Expected { counter: good.counter, ..want },
        Expected { backup_eligible: true, ..want },
        Expected { asked: Asked { challenge: &[8; 32], ..want.asked }, ..want },
        Expected { asked: Asked { origin: "https://id.example.evil", ..want.asked }, ..want },
        Expected { asked: Asked { rp_id: "example", ..want.asked }, ..want },
    ] {
        assert!(webauthn::verify(&made, &other).is_err());
    }
}

/// The fixed head, at its fixed places.
pub fn authenticator_data(data: &[u8], seen: &mut Seen) {
    let head = tried!(seen, AuthenticatorHead::parse(data));
    assert_eq!(head.is_some(), data.len() >= 37);
    let Some(head) = head else { return };
    assert_eq!((&head.rp_id_hash[..], head.flags, &head.counter.to_be_bytes()[..]), (&data[..32], data[32], &data[33..37]));
    let bit = |n: u8| data[32] >> n & 1 == 1;
    assert_eq!((head.up(), head.uv(), head.be(), head.bs()), (bit(0), bit(2), bit(3), bit(4)));
}

/// Two parts: client data, attestation object.
pub fn attestation_object(data: &[u8], seen: &mut Seen) {
    let (client_data, object) = two(data);
    let made = Registration { client_data_json: client_data.to_vec(), attestation_object: object.to_vec() };
    let Some(created) = tried!(seen, webauthn::register(&made, &asked(), &CoseAlg::ALL)) else { return };
    said(client_data, "webauthn.create");
    assert!((1..=1023).contains(&created.id.len()) && created.user_verified);
    assert!(created.alg.suits(&created.key) && created.key.is_sound());
    assert!(!created.backup_state || created.backup_eligible);
    assert!(webauthn::register(&made, &asked(), &[]).is_err(), "no algorithm was asked for");
    let longer = Registration { attestation_object: [object, &[0]].concat(), ..made.clone() };
    assert!(webauthn::register(&longer, &asked(), &CoseAlg::ALL).is_err(), "something behind it");
    let Some(statement) = tried!(seen, attestation::judge(&created)) else { return };
    let now = Time::from_seconds(1_800_000_000);
    assert!(tried!(seen, attestation::Statement::leads_to(&statement, &Roots::default(), now)).is_none(), "no roots trust nobody");
    assert!(["none", "packed", "fido-u2f", "tpm", "android-key", "apple"].contains(&created.format));
    assert_eq!(created.format == "none", statement.kind == attestation::Kind::None);
    if statement.kind == attestation::Kind::None {
        assert!(!statement.hardware);
        return;
    }
    // The client data is under the signature, whatever the format.
    let spaced = Registration { client_data_json: [client_data, b" "].concat(), ..made.clone() };
    if let Ok(other) = webauthn::register(&spaced, &asked(), &CoseAlg::ALL) {
        assert!(attestation::judge(&other).is_err(), "vouched for something else");
    }
}

/// A key is one of its algorithm, and can be.
pub fn cose_key(data: &[u8], seen: &mut Seen) {
    let Ok(map) = Cbor::whole(data) else { return };
    tried!(seen, CoseAlg::of(map.label(3).and_then(Cbor::int).unwrap_or(0)));
    let Some((alg, key)) = tried!(seen, webauthn::cose_key(&map)) else { return };
    assert!(alg.suits(&key) && key.is_sound());
    assert_eq!(map.label(3).and_then(Cbor::int), Some(alg.number()));
    assert_eq!(wire::jose::Jwk::parse(&Value::Object(key.members())).unwrap(), key);
    assert!(!key.verify_webauthn(b"message", data), "a signature out of nothing");
}
