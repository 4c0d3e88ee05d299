//! `countersign verify`, the built program: everything that was published, one start for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../wire/tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../wire/tests/l3/mod.rs"]
mod l3;

use countersign_device::passkey::{Attestation, Wanted};
use countersign_device::Passkey;
use countersign_sim::stage::program;
use countersign_wire::attestation::Kind;
use countersign_wire::b64;
use countersign_wire::cbor::Cbor;
use l3::{ORIGIN, RP_ID, Set, Vector};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Exit code, what it said on standard output (read as JSON), and what it complained of.
fn run(words: &[&str], input: &[u8]) -> (i32, Value, String) {
    let mut child = Command::new(program())
        .arg("verify")
        .args(words)
        .arg("--json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever gives too much is not heard to the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    (out.status.code().unwrap(), serde_json::from_slice(&out.stdout).unwrap_or(Value::Null), said)
}

fn webauthn(question: &Value, now: &str) -> (i32, Value, String) {
    run(&["webauthn", "--now", now], question.to_string().as_bytes())
}

/// The code of a refusal, or `accepted`.
fn verdict(answer: &(i32, Value, String)) -> String {
    match answer {
        (0, told, _) => {
            assert_eq!(told["accepted"], true, "{told}");
            "accepted".to_owned()
        }
        (1, told, said) => {
            let code = told["code"].as_str().unwrap().to_owned();
            assert!(told["accepted"] == false && said.starts_with(&format!("refused: {code}: ")), "{told} {said}");
            assert_eq!(said.trim_end(), format!("refused: {code}: {}", told["why"].as_str().unwrap()));
            code
        }
        other => panic!("{other:?}"),
    }
}

const YEAR_2026: &str = "2026-01-01T00:00:00Z";

fn registration(set: &Set, vector: &Vector) -> Value {
    json!({
        "kind": "registration",
        "challenge": b64::encode(&vector.challenges[0]),
        "rp_id": RP_ID,
        "origin": ORIGIN,
        "cross_origin": true,
        "top_origin": "https://example.com",
        "client_data_json": b64::encode(&vector.registration.client_data_json),
        "attestation_object": b64::encode(&vector.registration.attestation_object),
        "credential_id": b64::encode(&vector.credential_id),
        "trust_root": b64::encode(&set.root),
    })
}

/// The COSE_Key at the end of the authenticator data.
fn cose(vector: &Vector) -> Vec<u8> {
    let object = Cbor::whole(&vector.registration.attestation_object).unwrap();
    let data = object.member("authData").unwrap().bytes().unwrap();
    data[55 + vector.credential_id.len()..].to_vec()
}

fn authentication(vector: &Vector) -> Value {
    json!({
        "kind": "authentication",
        "challenge": b64::encode(&vector.challenges[1]),
        "rp_id": RP_ID,
        "origin": ORIGIN,
        "cross_origin": true,
        "top_origin": "https://example.com",
        "client_data_json": b64::encode(&vector.assertion.client_data_json),
        "authenticator_data": b64::encode(&vector.assertion.authenticator_data),
        "signature": b64::encode(&vector.assertion.signature),
        "credential_id": b64::encode(&vector.credential_id),
        "public_key_cose": b64::encode(&cose(vector)),
    })
}

/// The same with one member changed.
fn with(question: &Value, name: &str, value: Value) -> Value {
    let mut changed = question.clone();
    changed[name] = value;
    changed
}

#[test]
fn every_published_ceremony_is_judged_as_listed() {
    let Some(set) = l3::set() else { return };
    let mut judged = 0;
    for (row, vector) in set.each() {
        judged += 1;
        let title = row.title;
        let (made, used) = (registration(&set, vector), authentication(vector));
        let answers = [webauthn(&made, YEAR_2026), webauthn(&used, YEAR_2026)];
        let (format, kind) = match row.standard {
            Ok(listed) => listed,
            Err((fault, _)) => {
                assert!(answers.iter().all(|a| verdict(a) == fault.code()), "{title}: {answers:?}");
                continue;
            }
        };
        assert!(answers.iter().all(|a| verdict(a) == "accepted"), "{title}: {answers:?}");
        let told = &answers[0].1;
        assert_eq!((told["format"].as_str(), told["attestation"].as_str()), (Some(format), Some(kind.as_str())), "{title}");
        assert_eq!(told["trusted"], kind == Kind::Certificate, "{title}");
        // As the server asks.
        let [first, later] = row.server.map(|r| r.map_or_else(|fault| fault.code(), |()| "accepted"));
        for (question, want) in [(&made, first), (&used, later)] {
            let mut strict = with(question, "user_verification", json!("required"));
            for name in ["cross_origin", "top_origin"] {
                strict.as_object_mut().unwrap().remove(name);
            }
            assert_eq!(verdict(&webauthn(&strict, YEAR_2026)), want, "{title}");
        }
        // One thing changed.
        let zeros = json!(b64::encode(&[0; 32]));
        for (name, value, want) in [
            ("challenge", zeros.clone(), "challenge"),
            ("origin", json!("https://example.com"), "origin"),
            ("rp_id", json!("example.com"), "rp_id"),
        ] {
            for question in [&made, &used] {
                assert_eq!(verdict(&webauthn(&with(question, name, value.clone()), YEAR_2026)), want, "{title}");
            }
        }
        assert_eq!(verdict(&webauthn(&with(&made, "credential_id", zeros.clone()), YEAR_2026)), "credential_id", "{title}");
        let mut spoilt = vector.assertion.signature.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        let spoilt = with(&used, "signature", json!(b64::encode(&spoilt)));
        assert_eq!(verdict(&webauthn(&spoilt, YEAR_2026)), "signature", "{title}");
        if kind == Kind::Certificate {
            for when in ["2023-12-31T23:59:59Z", "33300000000"] {
                assert_eq!(verdict(&webauthn(&made, when)), "expired", "{title}");
            }
            let mut elsewhere = set.root.clone();
            let at = elsewhere.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap();
            elsewhere[at + 20] ^= 1;
            let other = with(&made, "trust_root", json!([b64::encode(&elsewhere)]));
            assert_eq!(verdict(&webauthn(&other, YEAR_2026)), "untrusted", "{title}");
            let both = with(&made, "trust_root", json!([b64::encode(&elsewhere), b64::encode(&set.root)]));
            assert_eq!(verdict(&webauthn(&both, YEAR_2026)), "accepted", "{title}");
            let mut nobody = made.clone();
            nobody.as_object_mut().unwrap().remove("trust_root");
            let answer = webauthn(&nobody, YEAR_2026);
            assert_eq!((verdict(&answer).as_str(), &answer.1["trusted"]), ("accepted", &json!(false)), "{title}");
        }
    }
    assert_eq!(judged, 15);
}

#[test]
fn every_published_jws_is_judged_as_listed() {
    let Some(cases) = fixtures::jws() else { return };
    let (mut wrong, mut counts) = (Vec::new(), [0, 0]);
    for case in cases {
        let answer = run(&["jws"], json!({"jws": case.jws, "jwk": case.key}).to_string().as_bytes());
        let accepted = verdict(&answer) == "accepted";
        counts[usize::from(accepted)] += 1;
        if accepted != case.accepted() {
            wrong.push(format!("{}: {answer:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counts[0] >= 300 && counts[1] >= 12, "{counts:?}");
}

/// A passkey of the software phone, as questions to the program.
fn own() -> [Value; 2] {
    let wanted = Wanted { challenge: vec![3; 32], rp_id: RP_ID.into(), user: vec![9; 16], attestation: Attestation::Itself };
    let (passkey, made) = Passkey::create(&wanted, ORIGIN).unwrap();
    let used = passkey.sign(&[4; 32], ORIGIN, 8).unwrap();
    let object = b64::decode(&made.attestation_object).unwrap();
    let read = Cbor::whole(&object).unwrap();
    let key = &read.member("authData").unwrap().bytes().unwrap()[55 + 32..];
    let both = |kind: &str, challenge: [u8; 32]| json!({"kind": kind, "challenge": b64::encode(&challenge), "rp_id": RP_ID, "origin": ORIGIN, "user_verification": "required"});
    let (mut registration, mut authentication) = (both("registration", [3; 32]), both("authentication", [4; 32]));
    registration["client_data_json"] = json!(made.client_data_json);
    registration["attestation_object"] = json!(made.attestation_object);
    registration["credential_id"] = json!(made.id);
    authentication["client_data_json"] = json!(used.client_data_json);
    authentication["authenticator_data"] = json!(used.authenticator_data);
    authentication["signature"] = json!(used.signature);
    authentication["public_key_cose"] = json!(b64::encode(key));
    [registration, authentication]
}

#[test]
fn an_answer_is_judged_and_what_was_kept_is_held_against_it() {
    let [made, used] = own();
    let told = webauthn(&made, "0").1;
    assert_eq!((&told["attestation"], &told["trusted"], &told["user_verified"]), (&json!("self"), &json!(false), &json!(true)));
    assert_eq!(told["aaguid"], "c0de5167-0001-4e00-8000-736f66747761");
    for (question, want) in [
        (used.clone(), "accepted"),
        (with(&used, "counter", json!(7)), "accepted"),
        (with(&used, "counter", json!(8)), "counter"),
        (with(&used, "backup_eligible", json!(false)), "accepted"),
        (with(&used, "backup_eligible", json!(true)), "backup"),
        (with(&used, "kind", json!("authentication")), "accepted"),
        (with(&used, "client_data_json", made["client_data_json"].clone()), "type"),
        (with(&used, "public_key_cose", json!("oA")), "key"),
        (with(&made, "attestation_object", json!("oA")), "malformed"),
        (with(&made, "public_key_cose", used["public_key_cose"].clone()), "accepted"),
        (with(&made, "public_key_cose", own()[1]["public_key_cose"].clone()), "key"),
    ] {
        assert_eq!(verdict(&webauthn(&question, "0")), want, "{question}");
    }
}

#[test]
fn a_question_that_cannot_be_read_is_bad_usage() {
    let [made, used] = own();
    let without = |question: &Value, name: &str| {
        let mut less = question.clone();
        less.as_object_mut().unwrap().remove(name);
        less.to_string().into_bytes()
    };
    let texts = [
        Vec::new(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        vec![b' '; (1 << 20) + 1],
        without(&made, "kind"),
        without(&made, "challenge"),
        without(&made, "attestation_object"),
        without(&used, "signature"),
        without(&used, "public_key_cose"),
        with(&made, "trust_roots", json!("AA")).to_string().into_bytes(),
        with(&made, "trust_root", json!("AA")).to_string().into_bytes(),
        with(&made, "challenge", json!("not base64url")).to_string().into_bytes(),
        with(&made, "signature", json!("AA")).to_string().into_bytes(),
        with(&used, "attestation_object", json!("AA")).to_string().into_bytes(),
        [made.to_string(), made.to_string()].concat().into_bytes(),
    ];
    for text in texts {
        let (code, told, said) = run(&["webauthn"], &text);
        assert!(code == 2 && told.is_null() && !said.is_empty(), "{code} {told} {said}: {}", String::from_utf8_lossy(&text[..text.len().min(80)]));
    }
    for (words, text) in [
        (&["webauthn", "--now", "yesterday"][..], "{}"),
        (&["jws", "--now", "1"], "{}"),
        (&["jws"], "{\"jws\": \"a.b.c\"}"),
        (&["jws"], "{\"jws\": \"a.b.c\", \"jwk\": {}, \"alg\": \"none\"}"),
        (&["nothing"], "{}"),
        (&[], "{}"),
    ] {
        assert_eq!(run(words, text.as_bytes()).0, 2, "{words:?} {text}");
    }
}
