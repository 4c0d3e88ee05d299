//! Encodings of bytes: base64url, CBOR, DER, certificates.

use super::{Seen, text, tried};
use countersign_wire as wire;
use countersign_wire::Time;
use wire::cbor::Cbor;
use wire::der::{Der, Tag};
use wire::x509::{Certificate, Roots};

/// What is read is written back as it stood.
pub fn base64url(data: &[u8], seen: &mut Seen) {
    let encoded = wire::b64::encode(data);
    assert_eq!(wire::b64::decode(&encoded).unwrap(), data);
    if let Some(bytes) = tried!(seen, wire::b64::decode(text(data))) {
        assert_eq!(wire::b64::encode(&bytes), text(data), "one text for one value");
        let array: Option<[u8; 16]> = tried!(seen, wire::b64::decode_array(text(data)));
        assert_eq!(array.is_some(), bytes.len() == 16);
    }
}

/// How many items, and how deep.
fn size(item: &Cbor<'_>) -> (usize, usize) {
    let inner: Vec<(usize, usize)> = match item {
        Cbor::List(list) => list.iter().map(size).collect(),
        Cbor::Map(members) => members.iter().flat_map(|(k, v)| [size(k), size(v)]).collect(),
        _ => vec![],
    };
    (1 + inner.iter().map(|i| i.0).sum::<usize>(), 1 + inner.iter().map(|i| i.1).max().unwrap_or(0))
}

fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    match n {
        0..24 => out.push(major << 5 | n as u8),
        24..0x100 => out.extend([major << 5 | 24, n as u8]),
        0x100..0x1_0000 => {
            out.push(major << 5 | 25);
            out.extend((n as u16).to_be_bytes());
        }
        _ => {
            out.push(major << 5 | 27);
            out.extend(n.to_be_bytes());
        }
    }
}

fn write(item: &Cbor<'_>, out: &mut Vec<u8>) {
    match item {
        Cbor::Int(n) if *n < 0 => head(1, (-1 - *n) as u64, out),
        Cbor::Int(n) => head(0, *n as u64, out),
        Cbor::Bytes(bytes) => {
            head(2, bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Cbor::Text(text) => {
            head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Cbor::List(list) => {
            head(4, list.len() as u64, out);
            list.iter().for_each(|i| write(i, out));
        }
        Cbor::Map(members) => {
            head(5, members.len() as u64, out);
            members.iter().for_each(|(k, v)| {
                write(k, out);
                write(v, out);
            });
        }
        Cbor::Other => out.push(0xf6),
    }
}

/// No item is read beyond the input, deeper than eight, or from a part of itself; no name comes twice.
pub fn cbor(data: &[u8], seen: &mut Seen) {
    let whole = tried!(seen, Cbor::whole(data));
    let Some((item, rest)) = tried!(seen, Cbor::first(data)) else {
        assert!(whole.is_none());
        return;
    };
    assert_eq!(whole.is_some(), rest.is_empty());
    let used = data.len() - rest.len();
    assert_eq!(&data[used..], rest, "what is left is the end of what was given");
    assert_eq!(Cbor::whole(&data[..used]).unwrap(), item);
    assert!(Cbor::first(&data[..used - 1]).is_err(), "an item is never the beginning of another");
    let (items, depth) = size(&item);
    assert!(items <= used && depth <= 8, "{items} items, {depth} deep, in {used} bytes");
    if let Cbor::Map(members) = &item {
        for (key, value) in members {
            let found = match key {
                Cbor::Text(name) => item.member(name),
                Cbor::Int(number) => item.label(*number),
                other => panic!("a key that is {other:?}"),
            };
            assert_eq!(found, Some(value), "one value a name");
        }
    }
    let mut again = Vec::new();
    write(&item, &mut again);
    assert_eq!(Cbor::whole(&again).unwrap(), item, "written and read again");
}

/// Elements lie inside their parents, and there is one way only to write each.
pub fn der(data: &[u8], seen: &mut Seen) {
    walk(data, 0, seen);
    if let Some(n) = tried!(seen, wire::der::number(data)) {
        let mut want: Vec<u8> = n.to_be_bytes().iter().copied().skip_while(|b| *b == 0).collect();
        if want.first().is_none_or(|b| b & 0x80 != 0) {
            want.insert(0, 0);
        }
        assert_eq!(want, data, "a number has one form");
    }
    tried!(seen, Der::inside(data, Tag::SEQUENCE));
}

fn walk(data: &[u8], depth: usize, seen: &mut Seen) {
    let mut list = Der::new(data);
    while !list.is_empty() && depth < 12 {
        let (mut a, mut b, mut c, mut d) = (list, list, list, list);
        let whole = tried!(seen, Der::raw(&mut a));
        let Some((tag, body)) = tried!(seen, Der::any(&mut list)) else {
            assert!(whole.is_none() && tried!(seen, Der::maybe(&mut b, Tag::SEQUENCE)).is_none());
            return;
        };
        let whole = whole.unwrap();
        assert!(whole.ends_with(body));
        let length = &whole[..whole.len() - body.len()];
        let n = body.len();
        let shortest = if n < 0x80 { vec![n as u8] } else {
            let bytes: Vec<u8> = n.to_be_bytes().iter().copied().skip_while(|b| *b == 0).collect();
            [vec![0x80 | bytes.len() as u8], bytes].concat()
        };
        assert!(length.ends_with(&shortest), "lengths are in their shortest form");
        assert_eq!(tried!(seen, Der::take(&mut b, tag)), Some(body));
        let other = if tag == Tag::SET { Tag::OID } else { Tag::SET };
        assert_eq!(tried!(seen, Der::maybe(&mut c, other)), Some(None));
        assert!(tried!(seen, Der::take(&mut c, other)).is_none(), "another tag takes nothing");
        tried!(seen, Der::small(&mut d, Tag::INTEGER));
        assert_eq!(tried!(seen, Der::end(list)).is_some(), list.is_empty());
        walk(body, depth + 1, seen);
    }
}

/// Whatever a certificate says can be asked, and nobody without a root is believed.
pub fn x509(data: &[u8], seen: &mut Seen) {
    let now = Time::from_seconds(1_800_000_000);
    assert!(tried!(seen, Roots::judge(&Roots::default(), &[data], now)).is_none(), "no root, and yet believed");
    let mut roots = Roots::default();
    if tried!(seen, Roots::add(&mut roots, data)).is_some() {
        assert!(!roots.is_empty());
        tried!(seen, Roots::judge(&roots, &[data], now));
        assert!(roots.judge(&[data; 9], now).is_err(), "a chain without end");
    }
    let Some(certificate) = tried!(seen, Certificate::parse(data)) else { return };
    tried!(seen, Certificate::subject(&certificate));
    tried!(seen, Certificate::is_authority(&certificate));
    tried!(seen, Certificate::has_purpose(&certificate, &[0x67, 0x81, 5, 8, 3]));
    tried!(seen, Certificate::directory_names(&certificate));
    if let Some(key) = tried!(seen, Certificate::key(&certificate)) {
        let members = serde_json::Value::Object(key.members());
        assert_eq!(wire::jose::Jwk::parse(&members).unwrap(), key);
    }
    // A certificate is all of its bytes: with one more, or one less, it is none.
    assert!(Certificate::parse(&[data, &[0]].concat()).is_err());
    assert!(Certificate::parse(&data[..data.len() - 1]).is_err());
}

/// Roots as a file.
pub fn pem(data: &[u8], seen: &mut Seen) {
    if let Some(roots) = tried!(seen, Roots::from_pem(text(data))) {
        assert!(!roots.is_empty());
    }
}
