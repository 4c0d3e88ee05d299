//! Ring 1: Project Wycheproof's vectors, through our own keys and JWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use countersign_wire::b64;
use countersign_wire::jose::jws::verify_by;
use countersign_wire::jose::{Alg, Jwk};
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// What is judged and how many there were, so that an empty set shows.
#[derive(Default)]
struct Tally {
    good: usize,
    bad: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn judge(&mut self, set: &str, id: usize, comment: &str, result: TestResult, accepted: bool) {
        match result {
            TestResult::Valid => self.good += 1,
            TestResult::Invalid => self.bad += 1,
            // Either answer is right; ours must only be one of them.
            TestResult::Acceptable => return,
        }
        if accepted == result.must_fail() {
            self.wrong.push(format!("{set} {id} ({comment}): accepted {accepted}, {result:?}"));
        }
    }
    fn done(self, least_good: usize, least_bad: usize) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.good >= least_good, "only {} good ones", self.good);
        assert!(self.bad >= least_bad, "only {} bad ones", self.bad);
    }
}

fn p256(uncompressed: &[u8]) -> Jwk {
    let [4, rest @ ..] = uncompressed else { panic!("an uncompressed point") };
    let (x, y) = rest.split_at(32);
    Jwk::parse(&json!({"kty": "EC", "crv": "P-256", "x": b64::encode(x), "y": b64::encode(y)}))
        .unwrap()
}

fn rsa(n: &[u8], e: &[u8]) -> Jwk {
    let trim = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        b64::encode(&bytes[zeros..])
    };
    Jwk::parse(&json!({"kty": "RSA", "n": trim(n), "e": trim(e)})).unwrap()
}

#[test]
fn ecdsa_signatures_of_a_jws_are_judged_as_published() {
    let mut tally = Tally::default();
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    for group in set.test_groups {
        let key = p256(&group.key.key);
        for t in group.tests {
            let accepted = key.verify(Alg::ES256, &t.msg, &t.sig);
            tally.judge("p1363", t.tc_id, &t.comment, t.result, accepted);
        }
    }
    tally.done(150, 80);
}

#[test]
fn ecdsa_signatures_of_a_passkey_are_judged_as_published() {
    let mut tally = Tally::default();
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    for group in set.test_groups {
        let key = p256(&group.key.key);
        for t in group.tests {
            let accepted = key.verify_webauthn(&t.msg, &t.sig);
            tally.judge("der", t.tc_id, &t.comment, t.result, accepted);
        }
    }
    tally.done(150, 200);
}

#[test]
fn ed25519_signatures_are_judged_as_published() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let x = b64::encode(&group.key.pk);
        let key = Jwk::parse(&json!({"kty": "OKP", "crv": "Ed25519", "x": x})).unwrap();
        for t in group.tests {
            let accepted = key.verify(Alg::EdDSA, &t.msg, &t.sig);
            assert_eq!(accepted, key.verify_webauthn(&t.msg, &t.sig));
            tally.judge("ed25519", t.tc_id, &t.comment, t.result, accepted);
        }
    }
    tally.done(50, 50);
}

#[test]
fn rsa_signatures_are_judged_as_published() {
    use rsa_pkcs1_verify::TestName as V15;
    use rsa_pss_verify::TestName as Pss;
    let mut tally = Tally::default();
    for name in [V15::Rsa2048Sha256, V15::Rsa3072Sha256, V15::Rsa4096Sha256, V15::Rsa8192Sha256] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for t in group.tests {
                let accepted = key.verify(Alg::RS256, &t.msg, &t.sig);
                tally.judge("rs256", t.tc_id, &t.comment, t.result, accepted);
            }
        }
    }
    let names = [
        Pss::RsaPss2048Sha256Mgf1SaltLen32,
        Pss::RsaPss3072Sha256Mgf1SaltLen32,
        Pss::RsaPss4096Sha256Mgf1SaltLen32,
    ];
    for name in names {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = rsa(&group.key.n, &group.key.e);
            for t in group.tests {
                let accepted = key.verify(Alg::PS256, &t.msg, &t.sig);
                tally.judge("ps256", t.tc_id, &t.comment, t.result, accepted);
            }
        }
    }
    tally.done(100, 500);
}

#[test]
fn whole_jws_are_judged_as_published() {
    let Some(cases) = fixtures::jws() else { return };
    let (mut good, mut bad, mut listed, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for case in cases {
        let text = case.jws.as_str().map_or_else(|| case.jws.to_string(), str::to_owned);
        let accepted = verify_by(&text, &case.key).is_ok();
        match (case.valid, case.unsupported) {
            (true, Some(why)) => listed.push(format!("{}: {why}", case.name)),
            (true, None) => good += 1,
            (false, _) => bad += 1,
        }
        if accepted != case.accepted() {
            wrong.push(format!("{}: accepted {accepted}", case.name));
        }
    }
    eprintln!("not spoken, {} of {}:\n{}", listed.len(), good + bad + listed.len(), listed.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(good >= 12 && bad >= 300, "{good} good, {bad} bad");
}

#[test]
fn a_key_for_something_else_does_not_parse() {
    let base = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let with = |name: &str, value: Value| {
        let mut key = base.clone();
        key[name] = value;
        Jwk::parse(&key).is_ok()
    };
    assert!(with("use", json!("sig")) && with("alg", json!("EdDSA")) && with("alg", json!("Ed25519")));
    assert!(with("key_ops", json!(["verify"])) && with("kid", json!("x")));
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES256")),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("alg", json!(null)),
    ] {
        assert!(!with(name, value.clone()), "{name} {value}");
    }
}
