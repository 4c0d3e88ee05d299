//! A decision and an assertion with real keys: change any one thing, and it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use countersign_wire::approval::{self, Decision, Verb};
use countersign_wire::jose::jws::{SignFault, encode};
use countersign_wire::jose::{Alg, Jwk, Signer};
use countersign_wire::webauthn::{self, Asked, Assertion, Fault, Verified};
use countersign_wire::{CeremonyId, DeviceId, Time, b64, mac, statement};
use serde_json::{Map, Value, json};

struct Key {
    jws: EcdsaKeyPair,
    webauthn: EcdsaKeyPair,
    jwk: Jwk,
    says: Alg,
}

impl Key {
    fn new() -> Key {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let jws = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
        let webauthn = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref()).unwrap();
        let point = jws.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let jwk = Jwk::parse(&json!({"kty": "EC", "crv": "P-256", "x": b64::encode(x), "y": b64::encode(y)}));
        Key { jws, webauthn, jwk: jwk.unwrap(), says: Alg::ES256 }
    }
}

impl Signer for Key {
    fn alg(&self) -> Alg {
        self.says
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let made = self.jws.sign(&SystemRandom::new(), message).map_err(|_| SignFault)?;
        Ok(made.as_ref().to_vec())
    }
}

const ISSUER: &str = "https://id.example";

struct Scene {
    key: Key,
    device: DeviceId,
    cid: CeremonyId,
    sd: [u8; 32],
}

impl Scene {
    fn new() -> Scene {
        let at = Time::from_seconds(1_800_000_000);
        Scene {
            key: Key::new(),
            device: DeviceId::new(at, [1; 10]),
            cid: CeremonyId::new(at, [2; 10]),
            sd: statement::digest(b"{\"v\":1}"),
        }
    }
    fn decision(&self, verb: Verb) -> Decision {
        Decision {
            iss: self.device.clone(),
            aud: ISSUER.into(),
            cid: self.cid.clone(),
            sd: b64::encode(&self.sd),
            decision: verb,
            wa: (verb == Verb::Approve).then(|| b64::encode(&[5; 32])),
            jti: "j1".into(),
        }
    }
    fn accepts(&self, text: &str) -> bool {
        let want = approval::Expected {
            key: &self.key.jwk,
            device: &self.device,
            issuer: ISSUER,
            cid: &self.cid,
            sd: &self.sd,
        };
        approval::verify(text, &want).is_ok()
    }
    /// A decision with one claim or header member replaced (`null` removes it), well signed.
    fn changed(&self, header: &[(&str, Value)], claims: &[(&str, Value)], by: &Key) -> String {
        let mut head = json!({"typ": approval::TYP, "kid": self.key.jwk.thumbprint().as_str()});
        let mut body = serde_json::to_value(self.decision(Verb::Approve)).unwrap();
        for (target, changes) in [(&mut head, header), (&mut body, claims)] {
            let map = target.as_object_mut().unwrap();
            for (name, value) in changes {
                if value.is_null() { map.remove(*name) } else { map.insert((*name).into(), value.clone()) };
            }
        }
        let Value::Object(head) = head else { panic!() };
        encode(head, &serde_json::to_vec(&body).unwrap(), by).unwrap()
    }
}

#[test]
fn a_decision_about_this_statement_by_this_device_is_taken() {
    let s = Scene::new();
    for verb in [Verb::Approve, Verb::Refuse, Verb::NotMe] {
        let text = approval::make(&s.decision(verb), &s.key.jwk, &s.key).unwrap();
        assert!(s.accepts(&text), "{verb:?}");
    }
    assert!(s.accepts(&s.changed(&[], &[], &s.key)));
}

#[test]
fn a_decision_with_any_one_thing_changed_is_refused() {
    let s = Scene::new();
    let other = Scene::new();
    let stranger = Key::new();
    let thumb = stranger.jwk.thumbprint();
    let headers = [
        ("typ", json!("dpop+jwt")), ("typ", json!("JWT")), ("typ", json!("CS-APPROVAL+JWS")),
        ("typ", Value::Null), ("typ", json!(1)),
        ("kid", json!(thumb.as_str())), ("kid", Value::Null), ("kid", json!("")),
        ("crit", json!(["exp"])), ("b64", json!(false)),
    ];
    for (name, value) in headers {
        assert!(!s.accepts(&s.changed(&[(name, value.clone())], &[], &s.key)), "{name} {value}");
    }
    let at = Time::from_seconds(1);
    let claims = [
        ("iss", json!(DeviceId::new(at, [9; 10]).as_str())), ("iss", json!("x")), ("iss", Value::Null),
        ("aud", json!("https://id.example/")), ("aud", json!("https://evil.example")),
        ("aud", json!([ISSUER])), ("aud", Value::Null),
        ("cid", json!(CeremonyId::new(at, [9; 10]).as_str())), ("cid", Value::Null),
        ("sd", json!(b64::encode(&statement::digest(b"{\"v\":2}")))), ("sd", json!("")), ("sd", Value::Null),
        ("wa", Value::Null),
        ("jti", json!("")), ("jti", Value::Null), ("jti", json!("j".repeat(129))),
        // An approval re-labelled as a refusal would carry a `wa` that refusals have not.
        ("decision", json!("refuse")), ("decision", json!("not_me")), ("decision", json!("Approve")),
        ("decision", Value::Null),
    ];
    for (name, value) in claims {
        assert!(!s.accepts(&s.changed(&[], &[(name, value.clone())], &s.key)), "{name} {value}");
    }
    assert!(!s.accepts(&s.changed(&[], &[], &stranger)), "another key");
    assert!(!s.accepts(&s.changed(&[("kid", json!(thumb.as_str()))], &[], &stranger)), "its own kid");
    let embedded = ("jwk", serde_json::to_value(&stranger.jwk).unwrap());
    assert!(!s.accepts(&s.changed(&[embedded], &[], &stranger)), "a key of its own in the header");
    assert!(!other.accepts(&s.changed(&[], &[], &s.key)), "another ceremony's device");
}

#[test]
fn a_decision_under_another_algorithm_or_with_broken_parts_is_refused() {
    let mut s = Scene::new();
    let good = s.changed(&[], &[], &s.key);
    for says in [Alg::EdDSA, Alg::RS256, Alg::PS256] {
        s.key.says = says;
        let text = s.changed(&[], &[], &s.key);
        assert!(!s.accepts(&text), "{says:?}");
    }
    s.key.says = Alg::ES256;
    let parts: Vec<&str> = good.split('.').collect();
    let head: Map<String, Value> = serde_json::from_slice(&b64::decode(parts[0]).unwrap()).unwrap();
    for alg in ["none", "HS256", "es256", ""] {
        let mut head = head.clone();
        head.insert("alg".into(), alg.into());
        let head = b64::encode(&serde_json::to_vec(&head).unwrap());
        assert!(!s.accepts(&format!("{head}.{}.{}", parts[1], parts[2])), "{alg}");
        assert!(!s.accepts(&format!("{head}.{}.", parts[1])), "{alg}");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).unwrap();
        assert!(!s.accepts(&text), "character {at}");
    }
    for text in [good.replace('.', ""), format!("{good}="), format!("{good}.x"), format!(" {good}")] {
        assert!(!s.accepts(&text));
    }
}

/// An assertion to be made, each part of which can be changed.
#[derive(Clone)]
struct Made {
    client: Value,
    rp_id: &'static str,
    flags: u8,
    counter: u32,
}

const CHALLENGE: [u8; 32] = [6; 32];
const UP: u8 = 1;
const UV: u8 = 4;
const BE: u8 = 8;
const BS: u8 = 16;

impl Made {
    fn good() -> Made {
        let client = json!({"type": "webauthn.get", "challenge": b64::encode(&CHALLENGE),
            "origin": ISSUER, "crossOrigin": false});
        Made { client, rp_id: "id.example", flags: UP | UV, counter: 8 }
    }
    fn by(&self, key: &Key) -> Assertion {
        let client_data_json = serde_json::to_vec(&self.client).unwrap();
        let mut authenticator_data = mac::h(self.rp_id.as_bytes()).to_vec();
        authenticator_data.push(self.flags);
        authenticator_data.extend_from_slice(&self.counter.to_be_bytes());
        let mut signed = authenticator_data.clone();
        signed.extend_from_slice(&mac::h(&client_data_json));
        let signature = key.webauthn.sign(&SystemRandom::new(), &signed).unwrap();
        Assertion { authenticator_data, client_data_json, signature: signature.as_ref().to_vec() }
    }
}

fn judge(assertion: &Assertion, key: &Key, counter: u32, eligible: bool) -> Result<Verified, Fault> {
    webauthn::verify(assertion, &webauthn::Expected {
        asked: Asked::strictly(&CHALLENGE, ISSUER, "id.example"),
        key: &key.jwk,
        counter,
        backup_eligible: eligible,
    })
}

#[test]
fn a_good_assertion_is_taken_with_its_counter_and_backup_state() {
    let key = Key::new();
    let got = judge(&Made::good().by(&key), &key, 7, false).unwrap();
    assert_eq!(got, Verified { counter: 8, backup_state: false, user_verified: true });
    let synced = Made { flags: UP | UV | BE | BS, counter: 0, ..Made::good() };
    let got = judge(&synced.by(&key), &key, 0, true).unwrap();
    assert_eq!(got, Verified { counter: 0, backup_state: true, user_verified: true });
    // Members that browsers may add later do no harm; absent `crossOrigin` means false.
    let mut added = Made::good();
    added.client["other"] = json!({"x": 1});
    added.client.as_object_mut().unwrap().remove("crossOrigin");
    assert!(judge(&added.by(&key), &key, 7, false).is_ok());
}

#[test]
fn an_assertion_with_any_one_thing_changed_is_refused() {
    use Fault::{Backup, Challenge, Counter, Malformed, Origin, RpId, Type, User};
    let key = Key::new();
    let client = [
        ("type", json!("webauthn.create"), Type),
        ("type", json!("payment.get"), Type),
        ("challenge", json!(b64::encode(&[7; 32])), Challenge),
        ("challenge", json!(format!("{}=", b64::encode(&CHALLENGE))), Challenge),
        ("challenge", json!(""), Challenge),
        ("origin", json!("https://id.example.evil.example"), Origin),
        ("origin", json!("https://id.example:8443"), Origin),
        ("origin", json!("http://id.example"), Origin),
        ("origin", json!("https://ID.example"), Origin),
        ("crossOrigin", json!(true), Origin),
        ("topOrigin", json!("https://evil.example"), Origin),
        ("topOrigin", json!(ISSUER), Origin),
        ("origin", json!(1), Malformed),
        ("challenge", Value::Null, Malformed),
    ];
    for (name, value, want) in client {
        let mut made = Made::good();
        made.client[name] = value.clone();
        assert_eq!(judge(&made.by(&key), &key, 7, false), Err(want), "{name} {value}");
    }
    let data = [
        ("rpIdHash", Made { rp_id: "evil.example", ..Made::good() }, RpId),
        ("UP", Made { flags: UV, ..Made::good() }, User),
        ("UV", Made { flags: UP, ..Made::good() }, User),
        ("BE appears", Made { flags: UP | UV | BE, ..Made::good() }, Backup),
        ("BS without BE", Made { flags: UP | UV | BS, ..Made::good() }, Backup),
        ("counter stands", Made { counter: 7, ..Made::good() }, Counter),
        ("counter falls", Made { counter: 6, ..Made::good() }, Counter),
        ("counter vanishes", Made { counter: 0, ..Made::good() }, Counter),
    ];
    for (what, made, want) in data {
        assert_eq!(judge(&made.by(&key), &key, 7, false), Err(want), "{what}");
    }
    assert_eq!(judge(&Made::good().by(&key), &key, 7, true), Err(Backup), "BE vanishes");
}

#[test]
fn an_assertion_by_another_key_or_with_any_byte_changed_is_refused() {
    let key = Key::new();
    let good = Made::good().by(&key);
    let stranger = Made::good().by(&Key::new());
    assert_eq!(judge(&stranger, &key, 7, false), Err(Fault::Signature));
    for at in 0..good.authenticator_data.len() {
        let mut bad = good.clone();
        bad.authenticator_data[at] ^= 1;
        assert!(judge(&bad, &key, 7, false).is_err(), "authenticator data {at}");
    }
    for at in 0..good.client_data_json.len() {
        let mut bad = good.clone();
        bad.client_data_json[at] ^= 1;
        assert!(judge(&bad, &key, 7, false).is_err(), "client data {at}");
    }
    for at in 0..good.signature.len() {
        let mut bad = good.clone();
        bad.signature[at] ^= 1;
        assert!(judge(&bad, &key, 7, false).is_err(), "signature {at}");
    }
    for (data, client) in [(&good.authenticator_data[..36], &good.client_data_json[..]), (&[][..], &b"{}"[..])] {
        let bad = Assertion {
            authenticator_data: data.to_vec(),
            client_data_json: client.to_vec(),
            signature: good.signature.clone(),
        };
        assert_eq!(judge(&bad, &key, 7, false), Err(Fault::Malformed));
    }
}

#[test]
fn what_a_decision_names_is_this_assertion_and_no_other() {
    let key = Key::new();
    let (one, two) = (Made::good().by(&key), Made::good().by(&key));
    assert_ne!(one.digest(), two.digest(), "two signatures over the same words differ");
    let mut bad = one.clone();
    bad.client_data_json.push(b' ');
    assert_ne!(one.digest(), bad.digest());
    assert_eq!(one.digest(), one.clone().digest());
}
