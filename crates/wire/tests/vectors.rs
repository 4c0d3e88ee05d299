//! Ring 1: our own vectors, in `vectors/`, read here and by the pages' tests, so that both sides
//! compute the same. `COUNTERSIGN_WRITE_VECTORS=1 cargo test -p countersign-wire --test vectors`
//! writes them anew; the difference is then looked at like any other change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fixtures;

use countersign_wire::code::{self, Direction};
use countersign_wire::frame::{self, Frame, Grade, Stale};
use countersign_wire::jose::Jwk;
use countersign_wire::webauthn::Assertion;
use countersign_wire::{b64, jcs, mac, statement};
use serde_json::{Value, json};

fn seed(n: u8) -> [u8; 32] {
    mac::h(&[n])
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    b64::decode_array(value.as_str().unwrap()).unwrap()
}

/// Compares what the code makes with the file, or writes the file.
#[expect(clippy::disallowed_methods, reason = "whether to write anew is a setting of this test alone")]
fn same_as_file(name: &str, made: Value) {
    let path = fixtures::root().join("vectors").join(name);
    if std::env::var_os("COUNTERSIGN_WRITE_VECTORS").is_some() {
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&made).unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(kept, made, "{name}");
}

#[test]
fn keys_and_frames() {
    let (cid, jkt) = ("01931d2b-7a00-7000-8000-000000000001", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let k = seed(1);
    let ck = frame::channel_key(&k, cid, jkt);
    let mut handle = [0; 16];
    handle.copy_from_slice(&seed(2)[..16]);
    let frames: Vec<Value> = [0_u16, 1, 7, 39, 255, 256, 65_535]
        .into_iter()
        .map(|i| {
            let f = Frame::make(&ck, handle, i);
            json!({"index": i, "mac": b64::encode(&f.mac), "text": f.text(),
                "link": format!("https://id.example/q#{}", f.text())})
        })
        .collect();
    let ages = [0, 1, 2_999, 3_000, 3_001, 119_999, 120_000]
        .map(|ms| json!({"age_ms": ms, "index": frame::index_at(ms)}));
    let made = json!({
        "k": b64::encode(&k), "cid": cid, "jkt": jkt, "ck": b64::encode(&ck),
        "wk": b64::encode(&frame::wait_key(&ck)), "handle": b64::encode(&handle),
        "frames": frames,
        "index_at": ages,
        "refused_links": [
            format!("https://id.example/q#{}x", Frame::make(&ck, handle, 7).text()),
            format!("https://id.example/q?a#{}", Frame::make(&ck, handle, 7).text()),
            format!("https://id.example/Q#{}", Frame::make(&ck, handle, 7).text()),
            format!("https://id.example.evil.example/q#{}", Frame::make(&ck, handle, 7).text()),
            format!("http://id.example/q#{}", Frame::make(&ck, handle, 7).text()),
            format!("https://id.example/q#{}=", &Frame::make(&ck, handle, 7).text()[..34]),
            "https://id.example/q#".to_owned(),
            "https://id.example/q".to_owned(),
        ],
    });
    for link in made["refused_links"].as_array().unwrap() {
        assert!(Frame::parse_link(link.as_str().unwrap(), "https://id.example").is_err(), "{link}");
    }
    for f in made["frames"].as_array().unwrap() {
        let parsed = Frame::parse_link(f["link"].as_str().unwrap(), "https://id.example").unwrap();
        assert_eq!(parsed.mac, bytes::<8>(&f["mac"]));
    }
    same_as_file("frames.json", made);
}

#[test]
fn judging_frames() {
    let (ck, handle) = (seed(3), [9; 16]);
    let name = |judged: Result<Grade, Stale>| match judged {
        Ok(Grade::Frame) => "frame",
        Ok(Grade::Pair) => "pair",
        Err(Stale::Forged) => "forged",
        Err(Stale::Late) => "late",
        Err(Stale::Early) => "early",
        Err(Stale::OutOfSequence) => "out_of_sequence",
    };
    let mut cases = Vec::new();
    let shown = [
        (10, None), (11, None), (5, None), (6, None), (12, None), (9, Some(10)), (8, Some(10)),
        (7, Some(10)), (10, Some(10)), (10, Some(9)), (7, Some(8)), (6, Some(7)), (10, Some(12)),
        (11, Some(12)),
    ];
    for (first, second) in shown {
        for age_ms in [30_000_i64, 32_999] {
            let make = |i: u16| Frame::make(&ck, handle, i);
            let judged = frame::judge(make(first), second.map(make), &ck, age_ms);
            let frames: Vec<String> =
                [Some(first), second].into_iter().flatten().map(|i| make(i).text()).collect();
            cases.push(json!({"frames": frames, "age_ms": age_ms, "judged": name(judged)}));
        }
    }
    let mut forged = Frame::make(&ck, handle, 10);
    forged.mac[7] ^= 1;
    let judged = name(frame::judge(forged, None, &ck, 30_000));
    cases.push(json!({"frames": [forged.text()], "age_ms": 30_000, "judged": judged}));
    same_as_file("judge.json", json!({"ck": b64::encode(&ck), "cases": cases}));
}

fn statement_text() -> String {
    let value = json!({
        "v": 1, "iss": "https://id.example", "cid": "01931d2b-7a00-7000-8000-000000000001",
        "txn": "01931d2b-7a00-7000-8000-000000000002", "purpose": "sign-in",
        "client": {"id": "till", "name": "Till 4 · Café", "redirect_host": "till.example"},
        "boundary": "tokens",
        "request": {"hash": b64::encode(&seed(4)), "scopes": ["openid", "refund"], "details": [
            {"type": "refund", "title": "Refund", "rows": [{"label": "Reference", "value": "R\"7\\8"}],
                "asked": {"type": "refund", "amount_cents": 2_450, "reference": "R\"7\\8"}}],
            "message": "Refund for order 7 😀"},
        "terminal": {"jkt": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "kind": "browser",
            "agent": "Chromium", "opened_at": 1_800_000_000},
        "start": false, "device": "01931d2b-7a00-7000-8000-000000000003",
        "dk": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "sub": "01931d2b-7a00-7000-8000-000000000004", "channel": "pair", "near": ["same_network"],
        "confirm": {"directions": ["typed_on_terminal"], "digits": 4},
        "rights": {"scopes": ["openid", "refund"], "session_s": 3600, "clients": ["till"]},
        "n": b64::encode(&seed(5)), "iat": 1_800_000_010, "exp": 1_800_000_130, "tpl": "1",
        "locale": "en",
    });
    String::from_utf8(jcs::encode(&value, 8, 8192).unwrap()).unwrap()
}

#[test]
fn statements_and_their_challenges() {
    let full = statement_text();
    statement::Statement::parse(full.as_bytes()).expect("the first vector is a whole statement");
    let texts = [full.as_str(), "{}", "{\"a\":[true,false,-1,9007199254740991],\"é\":\"\\\"\\\\\"}"];
    let good: Vec<Value> = texts
        .iter()
        .map(|text| {
            assert!(jcs::parse(text.as_bytes(), 8, 8192).is_ok(), "{text}");
            let sd = statement::digest(text.as_bytes());
            json!({"text": text, "bytes": b64::encode(text.as_bytes()), "sd": b64::encode(&sd),
                "challenge": b64::encode(&statement::challenge(&sd))})
        })
        .collect();
    let refused = [
        "{\"b\":1,\"a\":2}", "{\"a\":1,\"a\":1}", "{\"a\": 1}", "{\"a\":1.5}", "{\"a\":1e2}",
        "{\"a\":null}", "{\"a\":9007199254740992}", "{\"a\":\"\\u0041\"}", "{\"a\":\"\u{202e}\"}",
        "{\"a\":\"\u{7}\"}", "[[[[[[[[[1]]]]]]]]]", "{\"a\":-0}", "{\"a\":01}", " {}", "{} ", "",
    ];
    for text in refused {
        assert!(jcs::parse(text.as_bytes(), 8, 8192).is_err(), "{text:?}");
    }
    same_as_file("statements.json", json!({"canonical": good, "refused": refused}));
}

#[test]
fn digits() {
    let device = "01931d2b-7a00-7000-8000-000000000003";
    let mut cases = Vec::new();
    for key in [6, 7] {
        for direction in [Direction::TypedOnTerminal, Direction::TypedOnDevice] {
            for n in [4_u8, 6] {
                let (k, sd) = (seed(key), statement::digest(statement_text().as_bytes()));
                cases.push(json!({"k": b64::encode(&k), "direction": direction.as_str(),
                    "sd": b64::encode(&sd), "device": device, "n": n,
                    "digits": code::digits(&k, direction, &sd, device, n)}));
            }
        }
    }
    same_as_file("digits.json", json!({ "cases": cases }));
}

#[test]
fn thumbprints() {
    let keys = [
        json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        json!({"kty": "EC", "crv": "P-256", "ext": true, "key_ops": ["verify"],
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
    ];
    let cases = keys.map(|jwk| {
        let jkt = Jwk::parse(&jwk).unwrap().thumbprint();
        json!({"jwk": jwk, "jkt": jkt.as_str()})
    });
    same_as_file("thumbprints.json", json!({ "cases": cases }));
}

#[test]
fn typed_codes() {
    let typed = [
        "WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "W-D-J-B-M-J-H-T", "WDJB\u{2013}MJHT", "WDJB\u{2011}MJHT",
        "WDJB-MJH", "WDJB-MJHTT", "WDJA-MJHT", "WDJB-MJH1", "WDJB_MJHT", "", "----",
    ];
    let cases = typed.map(|text| json!({"typed": text, "code": code::parse_user_code(text).ok()}));
    same_as_file("user-codes.json", json!({"alphabet": std::str::from_utf8(code::ALPHABET).unwrap(),
        "shown": code::hyphenated("WDJBMJHT"), "cases": cases}));
}

#[test]
fn what_a_decision_says_of_its_assertion() {
    let client = br#"{"type":"webauthn.get","challenge":"x","origin":"https://id.example"}"#;
    let assertion = Assertion {
        authenticator_data: seed(8).to_vec(),
        client_data_json: client.to_vec(),
        signature: seed(9).to_vec(),
    };
    same_as_file("wa.json", json!({"cases": [{
        "authenticator_data": b64::encode(&assertion.authenticator_data),
        "client_data_json": b64::encode(client), "signature": b64::encode(&assertion.signature),
        "wa": b64::encode(&assertion.digest()),
    }]}));
}
