//! Seeds that are made: valid artefacts, so that mutations begin behind the first checks.

use crate::forge::{self, Forge};
use countersign_device::SoftwareKey;
use countersign_device::passkey::{client_data, flag};
use countersign_sim::fuzz::{evidence, joined};
use countersign_wire::evidence::binding;
use countersign_wire::evidence::tpm::{endorsed, secret};
use countersign_wire::frame::Frame;
use countersign_wire::jose::{Jwk, jws};
use countersign_wire::refresh::RefreshToken;
use countersign_wire::x509::Roots;
use countersign_wire::{GrantId, Time, b64, dpop, mac};
use serde_json::{Value, json};
use std::path::Path;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

/// Writes them all.
pub fn write(corpus: &Path) {
    let put = |target: &str, name: &str, data: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("made-{name}")), data).unwrap();
    };
    passkeys(&put);
    signed(&put);
    shipped(&put);
    health(&put);
}

/// What a certificate says, damaged where only whoever asks for it looks.
const DAMAGED: &[(&str, &[u8], &[u8])] = &[
    ("subject", &[6, 3, 0x55, 4, 6], &[5, 3, 0x55, 4, 6]),
    ("authority", &[0x55, 0x1d, 19, 1, 1, 0xff, 4, 2, 0x30], &[0x55, 0x1d, 19, 1, 1, 0xff, 4, 2, 0x31]),
    ("purpose", &[0x30, 7, 6, 5, 0x67, 0x81, 5, 8, 3], &[0x30, 7, 5, 5, 0x67, 0x81, 5, 8, 3]),
    ("names", &[6, 5, 0x67, 0x81, 5, 2], &[5, 5, 0x67, 0x81, 5, 2]),
    ("key", &[3, 0x42, 0, 4], &[3, 0x42, 1, 4]),
];

type Put<'a> = &'a dyn Fn(&str, &str, &[u8]);

fn passkeys(put: Put<'_>) {
    let formats = ["none", "packed", "fido-u2f", "tpm", "android-key", "apple"];
    let mut forges: Vec<(String, Forge)> = formats.iter().map(|f| ((*f).to_owned(), Forge::new(f))).collect();
    let itself = Forge { by_itself: true, ..Forge::new("packed") };
    forges.push(("self".to_owned(), itself));
    let extended = Forge { flags: 0xc5, tail: vec![0xa1, 0x61, b'a', 0xf5], ..Forge::new("none") };
    forges.push(("extensions".to_owned(), extended));
    forges.push(("spoilt".to_owned(), Forge { spoil_signature: true, ..Forge::new("packed") }));
    forges.push(("unknown".to_owned(), Forge::new("compound")));
    forges.push(("foreign".to_owned(), Forge { foreign_key: true, ..Forge::new("apple") }));
    for (name, forge) in forges {
        let made = forge.made();
        put("attestation_object", &name, &joined(&made.client_data_json, &made.attestation_object));
        put("cbor", &name, &made.attestation_object);
        let at = |needle: &[u8]| made.attestation_object.windows(needle.len()).position(|w| w == needle);
        // A certificate begins with a long sequence of a long sequence.
        if let Some(start) = at(&[0x30, 0x82]) {
            let rest = &made.attestation_object[start..];
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 4;
            put("x509", &name, &rest[..len]);
            for (what, good, bad) in DAMAGED {
                if let Some(at) = rest[..len].windows(good.len()).rposition(|w| w == *good) {
                    let mut other = rest[..len].to_vec();
                    other[at..at + good.len()].copy_from_slice(bad);
                    put("x509", &format!("damaged-{what}"), &other);
                }
            }
            put("der", &name, &rest[..len]);
        }
    }
    let root = forge::root("Good root", &forge::Key::new());
    put("x509", "root", &root);
    use base64::Engine as _;
    let lines = base64::engine::general_purpose::STANDARD.encode(&root);
    put("pem", "root", format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n").as_bytes());
    let head = |flags: u8, counter: u32| [&mac::h(forge::RP_ID.as_bytes())[..], &[flags], &counter.to_be_bytes()].concat();
    let client = |kind: &str| client_data(kind, &forge::CHALLENGE, forge::ORIGIN);
    for (name, flags, counter) in [("good", flag::UP | flag::UV, 4), ("copied", flag::UP | flag::UV, 3), ("synced", 0x1d, 9), ("absent", 0, 9)] {
        put("assertion", name, &joined(&client("webauthn.get"), &head(flags, counter)));
        put("authenticator_data", name, &head(flags, counter));
    }
    put("assertion", "created", &joined(&client("webauthn.create"), &head(0x05, 4)));
    let key = forge::Key::new();
    let (x, y) = key.point[1..].split_at(32);
    let es256 = |kty, alg, crv| {
        forge::map(&[(forge::int(1), forge::int(kty)), (forge::int(3), forge::int(alg)), (forge::int(-1), forge::int(crv)), (forge::int(-2), forge::bytes(x)), (forge::int(-3), forge::bytes(y))])
    };
    put("cose_key", "es256", &es256(2, -7, 1));
    put("cose_key", "other-curve", &es256(2, -35, 2));
    let ed = forge::map(&[(forge::int(1), forge::int(1)), (forge::int(3), forge::int(-8)), (forge::int(-1), forge::int(6)), (forge::int(-2), forge::bytes(&[0x58; 32]))]);
    put("cose_key", "ed25519", &ed);
    let rsa = forge::map(&[(forge::int(1), forge::int(3)), (forge::int(3), forge::int(-257)), (forge::int(-1), forge::bytes(&[0xc3; 256])), (forge::int(-2), forge::bytes(&[1, 0, 1]))]);
    put("cose_key", "rsa", &rsa);
    put("cbor", "rsa", &rsa);
    put("jwk", "point", &key.point);
    put("jwk", "coordinates", &joined(x, y));
    put("jwk", "numbers", &joined(&[0xc3; 256], &[1, 0, 1]));
}

fn signed(put: Put<'_>) {
    let key = SoftwareKey::generate().unwrap();
    let Value::Object(header) = json!({"typ": "JWT", "kid": "one"}) else { unreachable!() };
    let text = jws::encode(header, b"{\"sub\":\"ana\",\"exp\":1800000300}", &key).unwrap();
    put("jws", "es256", format!("{}\n{text}", json!(key.public())).as_bytes());
    let claims = dpop::ProofClaims { jti: "one".into(), htm: "POST".into(), htu: format!("{ISSUER}/token"), iat: dpop::NumericDate(NOW), ..Default::default() };
    put("jws", "another-key", format!("{}\n{text}", json!(SoftwareKey::generate().unwrap().public())).as_bytes());
    put("dpop", "claims", &serde_json::to_vec(&claims).unwrap());
    let with_nonce = dpop::ProofClaims { nonce: Some(dpop::nonce(&[7; 32], Time::from_seconds(NOW))), ..claims.clone() };
    put("dpop", "nonce", &serde_json::to_vec(&with_nonce).unwrap());
    put("dpop", "only-a-nonce", with_nonce.nonce.unwrap().as_bytes());
    let proof = dpop::make(&claims, key.public(), &key).unwrap();
    put("dpop", "proof", proof.as_bytes());
    put("jws", "proof", format!("\n{proof}").as_bytes());
    put("jwk", "p256", json!(key.public()).to_string().as_bytes());
    let rsa = Jwk::Rsa { n: vec![0xc3; 256], e: vec![1, 0, 1] };
    put("jwk", "rsa", json!(rsa).to_string().as_bytes());
    put("jwk", "ed25519", json!(Jwk::Ed25519([0x58; 32])).to_string().as_bytes());
    for (name, claims) in [
        ("approve", json!({"decision": "approve", "wa": b64::encode(&[3; 32])})),
        ("refuse", json!({"decision": "refuse"})),
        ("not-me", json!({"decision": "not_me"})),
        ("no-passkey", json!({"decision": "approve"})),
    ] {
        let mut all = json!({"iss": "01931d2b-7a00-7000-8000-000000000003", "aud": ISSUER, "cid": "01931d2b-7a00-7000-8000-000000000001", "sd": b64::encode(&[5; 32]), "jti": "one"});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        put("approval", name, all.to_string().as_bytes());
    }
    let object = json!({"iss": "bank", "client_id": "bank", "aud": ISSUER, "exp": NOW + 300, "nbf": NOW, "response_type": "code", "max_age": 30, "claims": {"id_token": {"acr": null}}});
    put("request_object", "good", object.to_string().as_bytes());
    let assertion = json!({"iss": "bank", "sub": "bank", "aud": ISSUER, "exp": NOW + 60, "jti": "one"});
    put("client_assertion", "good", &joined(b"", assertion.to_string().as_bytes()));
    put("client_assertion", "basic", &joined(b"Basic YmFuazphJTIwc2VjcmV0", b"grant_type=authorization_code"));
    put("client_assertion", "name", &joined(b"", b"client_id=bank"));
}

/// Evidence that counts under a root of its own, and evidence with one thing wrong.
fn health(put: Put<'_>) {
    let (ca, own) = (forge::Key::new(), forge::Key::new());
    let root = forge::root("Good root", &ca);
    let device = evidence::device();
    let bound = binding(evidence::NONCE, &device);
    let piece = |name: &str, json: Value| put("piece", name, &joined(&root, json.to_string().as_bytes()));
    let text = |bytes: &[u8]| b64::encode(bytes);
    let hardware = [&forge::GOOD_KEY[..], &[0xbf, 0x85, 0x40, 12, 0x30, 10, 4, 2, 1, 1, 1, 1, 0xff, 10, 1, 0], &[0xbf, 0x85, 0x41, 5, 2, 3, 1, 0xfb, 0xd0]].concat();
    let of = |tag: &[u8], body: &[u8]| forge::tlv(tag, body);
    let package = of(&[0x30], &[of(&[4], evidence::PACKAGE.as_bytes()), of(&[2], &[1])].concat());
    let application = of(&[0x30], &[of(&[0x31], &package), of(&[0x31], &of(&[4], &evidence::SIGNER))].concat());
    let software = of(&[0xbf, 0x85, 0x45], &of(&[4], &application));
    let described = |challenge: &[u8], level: u8| {
        let level = of(&[10], &[level]);
        of(&[0x30], &[of(&[2], &[4]), level.clone(), of(&[2], &[4]), level, of(&[4], challenge), of(&[4], &[]), of(&[0x30], &software), of(&[0x30], &hardware)].concat())
    };
    put("android_description", "whole", &described(&bound, 1));
    for (name, challenge, level) in [("android", bound, 1), ("android-unbound", [0; 32], 1), ("android-software", bound, 0)] {
        let leaf = forge::described(&ca, &own, &described(&challenge, level));
        piece(name, json!({"android-key": {"chain": [text(&leaf)]}}));
    }
    let ek = forge::endorsement(&ca);
    put("x509", "endorsement", &ek);
    let mut roots = Roots::default();
    roots.add(&root).unwrap();
    for (name, attributes, nonce) in [("tpm", 0x0005_0072, evidence::NONCE), ("tpm-any-key", 0x0004_0072, evidence::NONCE), ("tpm-unbound", 0x0005_0072, "m")] {
        let ak = forge::tpm_public(&own.point, attributes);
        let secret = endorsed(&[text(&ek)], &ak, &roots, Time::from_seconds(NOW)).map_or([0; 32], |e| secret(evidence::K, &e, evidence::NONCE, &device));
        let attest = forge::tpm_quote(&binding(nonce, &device), &mac::h(&[0; 32]));
        let signature = forge::tpm_signature(&own, &attest);
        piece(name, json!({"tpm-quote": {"ek": [text(&ek)], "ak": text(&ak), "secret": text(&secret), "attest": text(&attest), "signature": text(&signature), "pcrs": {"7": text(&[0; 32])}}}));
        put("tpm_attest", name, &attest);
        put("tpm_public", name, &ak);
    }
    let said = json!({"value": "yes", "source": "sys/class", "confidence": "measured"});
    let report = json!({
        "iss": "01931d2b-7a00-7000-8000-000000000003", "aud": ISSUER, "n": 1, "nonce": dpop::nonce(evidence::K, Time::from_seconds(NOW)), "iat": NOW, "why": "start",
        "beats": true, "facts": {"os": {"value": "linux", "source": "uname", "confidence": "measured"}, "tpm": said},
    });
    put("posture_report", "good", report.to_string().as_bytes());
    for (name, at, value) in [
        ("managed", "/facts/managed", said), ("attested", "/facts/tpm/confidence", json!("attested")), ("zero", "/n", json!(0)),
        ("old", "/nonce", json!(dpop::nonce(evidence::K, Time::from_seconds(NOW - 86_400)))), ("evidence", "/evidence", json!([{}, {}, {}])),
    ] {
        let mut other = report.clone();
        let (path, member) = at.rsplit_once('/').unwrap();
        other.pointer_mut(path).unwrap()[member] = value;
        put("posture_report", name, other.to_string().as_bytes());
    }
}

fn shipped(put: Put<'_>) {
    let frame = Frame::make(&[9; 32], [1; 16], 7);
    put("frame", "genuine", frame.text().as_bytes());
    put("frame", "foreign", Frame::make(&[8; 32], [1; 16], 7).text().as_bytes());
    put("frame", "link", format!("{ISSUER}/q#{}", frame.text()).as_bytes());
    let token = RefreshToken::first(GrantId::new(Time::from_seconds(NOW), [1; 10]), [2; 32], [3; 32]).text();
    put("refresh_token", "good", token.as_bytes());
    let form = format!("grant_type=refresh_token&client_id=till&refresh_token={token}");
    put("token", "refresh", form.as_bytes());
    put("revoke", "refresh", format!("client_id=till&token={token}").as_bytes());
    put("introspect", "refresh", format!("token={token}").as_bytes());
    let vectors: Value = serde_json::from_str(include_str!("../../../../vectors/statements.json")).unwrap();
    for (n, one) in vectors["canonical"].as_array().unwrap().iter().enumerate() {
        let text = one["text"].as_str().unwrap().as_bytes();
        put("statement", &format!("vector-{n}"), text);
        put("jcs", &format!("vector-{n}"), text);
    }
    for (n, one) in vectors["refused"].as_array().unwrap().iter().enumerate() {
        put("jcs", &format!("refused-{n}"), one.as_str().unwrap().as_bytes());
    }
}
