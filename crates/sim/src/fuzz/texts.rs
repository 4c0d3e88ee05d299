//! Short texts: what is scanned, typed, named, or carried in a header.

use super::{Seen, spoilt, text, tried};
use axum::http::{HeaderMap, HeaderValue};
use countersign_server::http::cookies as jar;
use countersign_wire as wire;
use countersign_wire::frame::{Frame, Stale};
use countersign_wire::refresh::RefreshToken;
use countersign_wire::{ClientId, CredentialId, DeviceId, Thumbprint, Time};

/// A frame has one text; only the key that made it makes it good, and only for a while.
pub fn frame(data: &[u8], seen: &mut Seen) {
    const ORIGIN: &str = "https://id.example";
    let ck = [9; 32];
    if let Some(found) = tried!(seen, Frame::parse_link(text(data), ORIGIN)) {
        assert_eq!(text(data), format!("{ORIGIN}/q#{}", found.text()));
        assert!(Frame::parse_link(text(data), "https://id.example.evil").is_err());
    }
    let Some(read) = tried!(seen, Frame::parse(text(data))) else { return };
    assert_eq!(read.text(), text(data), "one text for one frame");
    let age_ms = i64::from(read.index) * wire::limits::FRAME_MS;
    let genuine = Frame::make(&ck, read.handle, read.index);
    let judged = tried!(seen, wire::frame::judge(read, None, &ck, age_ms));
    assert_eq!(judged.is_some(), read == genuine);
    assert!(wire::frame::judge(genuine, None, &ck, age_ms).is_ok());
    assert_eq!(wire::frame::judge(genuine, None, &[8; 32], age_ms), Err(Stale::Forged));
    assert_eq!(wire::frame::judge(genuine, None, &ck, age_ms + 60_000), Err(Stale::Late));
    assert_eq!(wire::frame::judge(genuine, None, &ck, age_ms - 60_000), Err(Stale::Early));
    assert_eq!(wire::frame::judge(genuine, Some(genuine), &ck, age_ms), Err(Stale::OutOfSequence), "the same twice");
    for bytes in spoilt(&wire::b64::decode(&genuine.text()).unwrap()) {
        let other = Frame::parse(&wire::b64::encode(&bytes)).unwrap();
        assert_eq!(wire::frame::judge(other, None, &ck, age_ms), Err(Stale::Forged));
    }
}

/// What was typed becomes one form, and that form is its own.
pub fn user_code(data: &[u8], seen: &mut Seen) {
    if let Some(code) = tried!(seen, wire::code::parse_user_code(text(data))) {
        assert!(code.len() == 8 && code.bytes().all(|b| wire::code::ALPHABET.contains(&b)));
        assert_eq!(wire::code::parse_user_code(&code).unwrap(), code);
        assert_eq!(wire::code::parse_user_code(&wire::code::hyphenated(&code)).unwrap(), code);
        assert_eq!(wire::code::parse_user_code(&code.to_lowercase()).unwrap(), code);
    }
    if let Some(made) = tried!(seen, wire::code::user_code(data)) {
        assert_eq!(wire::code::parse_user_code(&made).unwrap(), made);
    }
    // Whatever was typed can be shown in two halves.
    wire::code::hyphenated(text(data));
}

/// A code reads back however it is written, and as no other.
pub fn recovery_code(data: &[u8], seen: &mut Seen) {
    if let Some(code) = tried!(seen, wire::recovery::parse(text(data))) {
        assert_eq!(wire::recovery::parse(&wire::recovery::text(&code)), Ok(code));
    }
    let Some((code, _)) = data.split_first_chunk::<{ wire::recovery::BYTES }>() else { return };
    let shown = wire::recovery::text(code);
    assert_eq!(tried!(seen, wire::recovery::parse(&shown)), Some(*code));
    assert_eq!(wire::recovery::parse(&shown.to_lowercase().replace('-', " ")), Ok(*code));
    assert!(wire::recovery::parse(&shown[1..]).is_err() && wire::recovery::parse(&format!("{shown}0")).is_err());
}

/// A name that is taken is the text that came.
pub fn id(data: &[u8], seen: &mut Seen) {
    let text = text(data);
    if let Some(id) = seen.note("wire::DeviceId", text.parse::<DeviceId>()) {
        assert!(id.as_str() == text && text.len() == 36 && id.made() >= Time(0));
        assert_eq!(serde_json::from_value::<DeviceId>(text.into()).unwrap(), id);
    }
    let plain = |t: &str| t.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>&\\%".contains(&b));
    if let Some(id) = seen.note("wire::ClientId", text.parse::<ClientId>()) {
        assert!(id.as_str() == text && (1..=128).contains(&text.len()) && plain(text));
    }
    if let Some(id) = seen.note("wire::CredentialId", text.parse::<CredentialId>()) {
        assert!(id.as_str() == text && plain(text));
    }
    if let Some(id) = seen.note("wire::Thumbprint", text.parse::<Thumbprint>()) {
        assert!(id.as_str() == text && text.len() <= 43 && plain(text));
    }
}

/// A token reads back; with anything changed it is none of the same family.
pub fn refresh_token(data: &[u8], seen: &mut Seen) {
    let Some(token) = tried!(seen, RefreshToken::parse(text(data))) else { return };
    assert_eq!(token.text(), text(data));
    let (k, other) = ([7; 32], [8; 32]);
    let next = token.next(&k);
    assert!(next.grant() == token.grant() && next.family_hash() == token.family_hash());
    assert!(next.own_hash() != token.own_hash() && next.own_hash() == token.next(&k).own_hash());
    assert_ne!(next.own_hash(), token.next(&other).own_hash());
    assert_eq!(RefreshToken::parse(&next.text()).map(|t| t.own_hash()), Ok(next.own_hash()));
}

/// A date within the years that have four digits.
pub fn rfc3339(data: &[u8], seen: &mut Seen) {
    let text = text(data);
    let Some(time) = tried!(seen, Time::parse_rfc3339(text)) else { return };
    assert!(text.is_ascii() && text.len() >= 20);
    assert!((-62_200_000_000..253_500_000_000).contains(&time.seconds()), "{}", time.seconds());
    // An hour further east is an hour earlier.
    if let Some(bare) = text.strip_suffix(['Z', 'z']) {
        assert_eq!(Time::parse_rfc3339(&format!("{bare}+00:00")), Ok(time));
        assert_eq!(Time::parse_rfc3339(&format!("{bare}+01:00")), Ok(time.plus_s(-3_600)));
    }
}

/// A name that comes twice is nobody's, and a value is never a part of another.
pub fn cookies(data: &[u8], seen: &mut Seen) {
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("cookie", value);
        }
    }
    let Some(value) = tried!(seen, jar::read(&headers, jar::BROWSER)) else { return };
    assert!(value.len() == 43 && !value.contains(';'));
    let pairs: Vec<&str> = headers.get_all("cookie").iter().flat_map(|l| l.to_str().unwrap().split(';')).map(str::trim).collect();
    let named: Vec<_> = pairs.iter().filter_map(|p| p.strip_prefix("__Host-cs_b=")).collect();
    assert_eq!(named, [value.as_str()]);
}
