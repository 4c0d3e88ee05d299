//! Reports of a device's health: change any one thing, and it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use countersign_wire::dpop::{self, NumericDate};
use countersign_wire::jose::jws::{SignFault, encode};
use countersign_wire::jose::{Alg, Jwk, Signer};
use countersign_wire::posture::{self, Confidence, Expected, Name, Report, ReportFault, Said, Why};
use countersign_wire::{DeviceId, Time};
use serde_json::{Map, Value, json};

struct Key(EcdsaKeyPair, Jwk);

impl Key {
    fn new() -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let jwk = Jwk::from_point(pair.public_key().as_ref()).unwrap();
        Key(pair, jwk)
    }
}

impl Signer for Key {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(&SystemRandom::new(), message).map_err(|_| SignFault)?.as_ref().to_vec())
    }
}

const K: &[u8] = &[7; 32];
const NOW: Time = Time(1_800_000_000_000_000);
const ISSUER: &str = "https://id.example";

fn device() -> DeviceId {
    DeviceId::new(NOW, [1; 10])
}

fn report() -> Report {
    let said = |value: &str| Said { value: value.into(), source: "sys/class".into(), confidence: Confidence::Measured };
    Report {
        iss: device(),
        aud: ISSUER.into(),
        n: 1,
        nonce: dpop::nonce(K, NOW),
        iat: NumericDate(NOW.seconds()),
        why: Why::Start,
        beats: true,
        facts: [(Name::Os, said("linux")), (Name::Tpm, said("yes"))].into(),
        evidence: Vec::new(),
    }
}

fn judge(text: &str, key: &Key, now: Time) -> Result<Report, ReportFault> {
    let (device, keys) = (device(), [K]);
    let expected = Expected { key: &key.1, device: &device, issuer: ISSUER, keys: &keys, now };
    posture::verify(text, &expected).map(|v| v.report().clone())
}

fn changed(change: impl FnOnce(&mut Report)) -> Result<Report, ReportFault> {
    let key = Key::new();
    let mut report = report();
    change(&mut report);
    judge(&posture::make(&report, &key.1, &key).unwrap(), &key, NOW)
}

fn is_malformed(result: &Result<Report, ReportFault>) -> bool {
    matches!(result, Err(ReportFault::Malformed(_)))
}

#[test]
fn a_good_report_is_read_as_it_was_written() {
    assert_eq!(changed(|_| ()).unwrap(), report());
}

#[test]
fn a_report_of_another_device_or_to_another_server_is_foreign() {
    assert!(matches!(changed(|r| r.iss = DeviceId::new(NOW, [2; 10])), Err(ReportFault::Foreign(_))));
    assert!(matches!(changed(|r| r.aud = "https://other.example".into()), Err(ReportFault::Foreign(_))));
    let (mine, theirs) = (Key::new(), Key::new());
    let text = posture::make(&report(), &theirs.1, &theirs).unwrap();
    assert!(matches!(judge(&text, &mine, NOW), Err(ReportFault::Foreign(_))));
    // Their signature under my key's name.
    let text = posture::make(&report(), &mine.1, &theirs).unwrap();
    assert!(matches!(judge(&text, &mine, NOW), Err(ReportFault::Foreign(_))));
}

#[test]
fn a_report_is_made_with_a_nonce_of_this_minute() {
    let key = Key::new();
    let text = posture::make(&report(), &key.1, &key).unwrap();
    assert!(judge(&text, &key, NOW.plus_s(59)).is_ok());
    assert_eq!(judge(&text, &key, NOW.plus_s(61)).unwrap_err(), ReportFault::Old);
    assert_eq!(changed(|r| r.nonce = dpop::nonce(&[8; 32], NOW)).unwrap_err(), ReportFault::Old);
    assert_eq!(changed(|r| r.nonce = String::new()).unwrap_err(), ReportFault::Old);
}

#[test]
fn nothing_is_said_that_is_not_a_devices_to_say_or_does_not_fit() {
    let say = |name: Name, value: &str, source: &str, confidence: Confidence| {
        changed(|r| drop(r.facts.insert(name, Said { value: value.into(), source: source.into(), confidence })))
    };
    for (name, value, source, confidence) in [
        (Name::Managed, "yes", "x", Confidence::Claimed),
        (Name::Compliant, "yes", "x", Confidence::Measured),
        (Name::Tpm, "yes", "x", Confidence::Attested),
        (Name::Tpm, "maybe", "x", Confidence::Measured),
        (Name::Rooted, "", "x", Confidence::Measured),
        (Name::Os, &"x".repeat(129), "x", Confidence::Measured),
        (Name::Os, "a\nb", "x", Confidence::Measured),
        (Name::Os, "linux", "", Confidence::Measured),
        (Name::Os, "linux", &"x".repeat(65), Confidence::Measured),
        (Name::Os, "l\u{ed}nux", "x", Confidence::Measured),
    ] {
        assert!(is_malformed(&say(name, value, source, confidence)), "{name:?} {value}");
    }
    for n in [0, -1, i64::MAX] {
        assert!(is_malformed(&changed(|r| r.n = n)), "{n}");
    }
}

#[test]
fn only_the_form_of_a_report_is_one() {
    let key = Key::new();
    let signed = |typ: &str, change: &dyn Fn(&mut Map<String, Value>)| {
        let mut header = Map::new();
        header.insert("typ".into(), typ.into());
        header.insert("kid".into(), key.1.thumbprint().as_str().into());
        let mut claims = serde_json::to_value(report()).unwrap().as_object().unwrap().clone();
        change(&mut claims);
        judge(&encode(header, &serde_json::to_vec(&claims).unwrap(), &key).unwrap(), &key, NOW)
    };
    assert!(signed(posture::TYP, &|_| ()).is_ok());
    for typ in ["dpop+jwt", "cs-approval+jws", "JWT", ""] {
        assert!(is_malformed(&signed(typ, &|_| ())), "{typ}");
    }
    type Change = Box<dyn Fn(&mut Map<String, Value>)>;
    let changes: Vec<Change> = vec![
        Box::new(|c| drop(c.insert("more".into(), json!(1)))),
        Box::new(|c| drop(c.remove("n"))),
        Box::new(|c| drop(c.remove("nonce"))),
        Box::new(|c| drop(c.insert("n".into(), json!("1")))),
        Box::new(|c| drop(c.insert("facts".into(), json!([])))),
        Box::new(|c| drop(c.insert("facts".into(), json!({"hostname": {"value": "x", "source": "x", "confidence": "claimed"}})))),
        Box::new(|c| drop(c.insert("facts".into(), json!({"os": {"value": "x", "source": "x", "confidence": "claimed", "more": 1}})))),
        Box::new(|c| drop(c.insert("why".into(), json!("because")))),
    ];
    for (n, change) in changes.iter().enumerate() {
        assert!(is_malformed(&signed(posture::TYP, change)), "{n}");
    }
    for text in ["", "a.b.c", &"x".repeat(20_000)] {
        assert!(is_malformed(&judge(text, &key, NOW)));
    }
}
