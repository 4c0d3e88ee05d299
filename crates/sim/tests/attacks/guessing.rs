//! Guessing names, codes and digits: rows 3, 4, 11, 12.

use super::stage;
use countersign_device::SoftwareKey;
use countersign_sim::stage::place;
use countersign_wire::frame::Frame;
use countersign_wire::message::Open;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn x03_handles_are_random_and_wrong_ones_get_one_answer() {
    let scene = stage().scene().await;
    // As many as budgets allow in a few seconds; a window may turn over in between, so one source
    // is asked for two windows' worth and must meet its limit.
    let (mut handles, mut cids, mut codes, mut cks) = (vec![], HashSet::new(), HashSet::new(), HashSet::new());
    let mut limited = false;
    for source in 0..6 {
        let mut terminal = scene.terminal(&place());
        let (_, page) = scene.arrive(&terminal, "stock", "openid").await;
        for _ in 0..if source == 0 { 62 } else { 30 } {
            terminal.key = SoftwareKey::generate().unwrap();
            let ceremony = match terminal.open(&page).await {
                Ok(ceremony) => ceremony,
                refused => {
                    assert!(scene.refused(refused, "too_many").await.retry_after_s.is_some());
                    limited = true;
                    break;
                }
            };
            handles.push(ceremony.handle);
            cids.insert(ceremony.cid.to_string());
            codes.insert(ceremony.user_code.clone());
            cks.insert(ceremony.ck);
        }
    }
    assert!(limited, "no source met its limit");
    let n = handles.len();
    assert!(n >= 100, "only {n} handles");
    assert_eq!((cids.len(), codes.len(), cks.len()), (n, n, n));
    let starts: HashSet<[u8; 5]> = handles.iter().map(|h| h[..5].try_into().unwrap()).collect();
    assert_eq!(starts.len(), n, "handles share their beginnings");
    for bit in 0..128 {
        let ones = handles.iter().filter(|h| h[bit / 8] >> (bit % 8) & 1 == 1).count();
        // Half expected; seven standard deviations to either side.
        let off = (ones as f64 - n as f64 / 2.0).abs();
        assert!(off <= 3.5 * (n as f64).sqrt(), "bit {bit} is set in {ones} of {n}");
    }
    for pair in handles.windows(2) {
        let step = u128::from_be_bytes(pair[1]).abs_diff(u128::from_be_bytes(pair[0]));
        assert!(step > 1 << 64, "handles follow each other");
    }

    // Unknown, forged, late, early, taken: one answer, the same bytes but for the reference.
    let here = place();
    let (phone, other) = (scene.phone("Guesser", &here).await, scene.phone("Other", &here).await);
    let open = scene.open("far", "openid", &here).await.ceremony;
    let taken = scene.open("far", "openid", &here).await.ceremony;
    other.scan(&[taken.frame()]).await.unwrap();
    let raw = scene.raw(&here);
    let mut forged = open.frame();
    forged.mac[3] ^= 1;
    let mut answers = HashSet::new();
    for frame in [
        Frame::make(&open.ck, [9; 16], 0),
        Frame::make(&[1; 32], open.handle, open.frame().index),
        forged,
        open.frame_from_now(3),
        taken.frame(),
    ] {
        let body = serde_json::json!({"frames": [frame.text()]});
        let reply = raw.proved(&phone.key, "/device/scans", &body, None).await;
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "code_not_live").await;
        let length = reply.headers["content-length"].to_str().unwrap().to_owned();
        answers.insert((reply.status, reply.without_reference().to_string(), length));
    }
    let answers: Vec<_> = answers.into_iter().collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((answers[0].0, answers[0].1.as_str()), (409, "{\"code\":\"code_not_live\"}"));
}

#[tokio::test]
async fn x04_nobody_chooses_a_handle() {
    let scene = stage().scene().await;
    let here = place();
    let attempt = scene.open_till(&here).await;
    let raw = scene.raw(&here);
    let cookie = attempt.terminal.http.jar().value(&scene.stage.issuer, "__Host-cs_b").unwrap().to_owned();
    for name in ["cid", "handle", "h", "id", "ck", "user_code", "uuid", "qrid", "state", "t_ms", "collector"] {
        let key = SoftwareKey::generate().unwrap();
        let body = serde_json::json!({"flow": attempt.page, name: "AAAAAAAAAAAAAAAAAAAAAA"}).to_string().into_bytes();
        let nonce = raw.nonce().await;
        let proof = raw.proof(&key, "POST", "/ceremonies", &body, |c| c.nonce = Some(nonce));
        let headers = [
            ("dpop", proof),
            ("content-type", "application/json".to_owned()),
            ("origin", raw.origin()),
            ("cookie", format!("__Host-cs_b={cookie}")),
        ];
        let reply = raw.send("POST", "/ceremonies", &headers, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "malformed"), "{name}");
        scene.recorded(reply.json()["ref"].as_str().unwrap(), "malformed").await;
    }
    // A flow of the caller's own making is none.
    let flow = countersign_wire::RequestId::new(countersign_wire::Time(1), [1; 10]).to_string();
    let mut terminal = attempt.terminal;
    terminal.key = SoftwareKey::generate().unwrap();
    let heard = terminal.open_as(&Open { flow: Some(flow), ..Open::default() }).await;
    scene.refused(heard, "no_such_flow").await;
}

#[tokio::test]
async fn x11_digits_are_typed_and_three_tries_end_it() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Tippi", &here).await;
    // Typed on the screen.
    let attempt = scene.open_till(&here).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    let view = attempt.terminal.state(&attempt.ceremony, None).await.unwrap();
    assert_eq!((view.ask.as_deref(), view.n), (Some("type_here"), Some(4)));
    assert!(view.digits.is_none(), "the screen must not show what has to be carried to it");
    let text = serde_json::to_value(&checked.view).unwrap();
    assert!(text.as_object().unwrap().iter().all(|(name, v)| name == "assertion" || !v.is_array()), "a list to pick from");
    let right = checked.digits().unwrap().to_owned();
    assert!(right.len() == 4 && right.bytes().all(|b| b.is_ascii_digit()));
    let wrong: String = right.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
    for left in [2, 1] {
        let heard = attempt.terminal.confirm(&attempt.ceremony, &wrong).await;
        assert_eq!(scene.refused(heard, "wrong_code").await.left, Some(left));
    }
    scene.refused(attempt.terminal.confirm(&attempt.ceremony, &wrong).await, "denied").await;
    scene.refused(attempt.terminal.confirm(&attempt.ceremony, &right).await, "gone").await;
    // Typed on the phone.
    let attempt = scene.open("far", "openid", &place()).await;
    let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
    attempt.terminal.confirm(&attempt.ceremony, checked.digits().unwrap()).await.unwrap();
    let right = attempt.terminal.state(&attempt.ceremony, None).await.unwrap().digits.unwrap();
    let wrong: String = right.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
    for code in ["wrong_code", "wrong_code", "denied"] {
        scene.refused(phone.confirm(&attempt.ceremony.cid, &wrong).await, code).await;
    }
    scene.refused(phone.approve(&checked).await, "gone").await;
}

#[tokio::test]
async fn x12_guessing_codes_runs_into_a_budget() {
    let scene = stage().scene().await;
    let here = place();
    let phone = scene.phone("Rater", &here).await;
    // User codes: five wrong ones for a device, whatever is opened meanwhile.
    let mut budget = 0;
    for n in 0..1_000_u32 {
        let letter = |k: u32| char::from(countersign_wire::code::ALPHABET[(n / 20_u32.pow(k) % 20) as usize]);
        let guess: String = (0..8).map(letter).collect();
        let heard = phone.scan_code(&guess).await;
        if n < 5 {
            scene.refused(heard, "code_not_live").await;
        } else {
            budget += 1;
            if n % 100 == 5 {
                scene.refused(heard, "too_many").await;
            } else {
                assert!(heard.is_err_and(|fault| fault.is("too_many")));
            }
        }
        if n >= 150 {
            break;
        }
    }
    assert_eq!(budget, 146);
    let fresh = scene.open_till(&here).await;
    scene.refused(phone.scan_code(&fresh.ceremony.user_code).await, "too_many").await;

    // Digits: ten wrong ones a day for a person and a device; a new ceremony resets nothing.
    let phone = scene.phone("Zahler", &here).await;
    let mut wrongs = 0;
    'all: for _ in 0..5 {
        let attempt = scene.open_till(&here).await;
        let checked = phone.scan(&[attempt.ceremony.frame()]).await.unwrap();
        let right = checked.digits().unwrap();
        let wrong: String = right.chars().map(|c| if c == '9' { '0' } else { '9' }).collect();
        for code in ["wrong_code", "wrong_code", "denied"] {
            let heard = attempt.terminal.confirm(&attempt.ceremony, &wrong).await;
            if wrongs == 10 {
                scene.refused(heard, "too_many").await;
                scene.refused(attempt.terminal.confirm(&attempt.ceremony, right).await, "too_many").await;
                break 'all;
            }
            scene.refused(heard, code).await;
            wrongs += 1;
        }
    }
    assert_eq!(wrongs, 10);
}

#[tokio::test]
async fn x12_guesses_at_the_same_moment_are_counted_too() {
    let scene = stage().scene().await;
    let here = place();
    let phone = Arc::new(scene.phone("Parallel", &here).await);
    let mut all = JoinSet::new();
    for n in 0..40_usize {
        let phone = phone.clone();
        let letter = |k: usize| char::from(countersign_wire::code::ALPHABET[(n + k) % 20]);
        let guess: String = (0..8).map(letter).collect();
        all.spawn(async move { phone.scan_code(&guess).await.unwrap_err().code().to_owned() });
    }
    let codes = all.join_all().await;
    let tried = codes.iter().filter(|c| *c == "code_not_live").count();
    assert_eq!((tried, codes.iter().filter(|c| *c == "too_many").count()), (5, 35), "{codes:?}");
    // Codes that were right use nothing up.
    let phone = scene.phone("Tippt richtig", &here).await;
    for n in 0..6 {
        let attempt = scene.open(&format!("crowd-{n}"), "openid", &here).await;
        let checked = phone.scan_code(&attempt.ceremony.user_code).await.unwrap();
        phone.refuse(&checked).await.unwrap();
    }
}
