//! As much CBOR (RFC 8949) as WebAuthn is made of: definite lengths, no tags, no key twice.
//!
//! A reader of bytes that strangers send: it borrows, allocates no more than the input is long, and
//! goes no deeper than [`DEPTH`].

use crate::Malformed;

/// Deepest nesting; CTAP 2.2 §8 allows four levels.
const DEPTH: u8 = 8;
/// Most members of one map: every name is held against all before it. Keys have seven, extensions some.
const MEMBERS: u64 = 64;

/// One data item.
#[derive(Clone, Debug, PartialEq)]
pub enum Cbor<'a> {
    /// A whole number.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// A list.
    List(Vec<Cbor<'a>>),
    /// Members in the order in which they stand; keys are numbers or texts.
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
    /// True, false, null, or a fraction: nothing that WebAuthn's checks look at.
    Other,
}

const WRONG: Malformed = Malformed("CBOR");

impl<'a> Cbor<'a> {
    /// The first item of `bytes`, and what stands behind it.
    pub fn first(bytes: &'a [u8]) -> Result<(Cbor<'a>, &'a [u8]), Malformed> {
        item(bytes, DEPTH)
    }

    /// The one item that `bytes` are.
    pub fn whole(bytes: &'a [u8]) -> Result<Cbor<'a>, Malformed> {
        match Cbor::first(bytes)? {
            (item, []) => Ok(item),
            _ => Err(WRONG),
        }
    }

    /// A member of a map by its name.
    pub fn member(&self, name: &str) -> Option<&Cbor<'a>> {
        self.find(&Cbor::Text(name))
    }

    /// A member of a map by its number, as in COSE keys.
    pub fn label(&self, number: i64) -> Option<&Cbor<'a>> {
        self.find(&Cbor::Int(number))
    }

    fn find(&self, key: &Cbor<'_>) -> Option<&Cbor<'a>> {
        let Cbor::Map(members) = self else { return None };
        members.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The number, if it is one.
    pub fn int(&self) -> Option<i64> {
        if let Cbor::Int(n) = self { Some(*n) } else { None }
    }

    /// The bytes, if it is such.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        if let Cbor::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&'a str> {
        if let Cbor::Text(text) = self { Some(text) } else { None }
    }

    /// The elements, if it is a list.
    pub fn list(&self) -> Option<&[Cbor<'a>]> {
        if let Cbor::List(list) = self { Some(list) } else { None }
    }
}

fn take(bytes: &[u8], n: usize) -> Result<(&[u8], &[u8]), Malformed> {
    bytes.split_at_checked(n).ok_or(WRONG)
}

fn item(bytes: &[u8], depth: u8) -> Result<(Cbor<'_>, &[u8]), Malformed> {
    let deeper = depth.checked_sub(1).ok_or(WRONG)?;
    let (head, rest) = bytes.split_first().ok_or(WRONG)?;
    let (major, low) = (head >> 5, head & 0x1f);
    let extra = match low {
        0..24 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        // Indefinite lengths, and what is reserved.
        _ => return Err(WRONG),
    };
    let (more, mut rest) = take(rest, extra)?;
    let number = if extra == 0 { u64::from(low) } else { more.iter().fold(0, |n, b| n << 8 | u64::from(*b)) };
    let value = match major {
        0 => Cbor::Int(i64::try_from(number).map_err(|_| WRONG)?),
        1 => Cbor::Int(-1 - i64::try_from(number).map_err(|_| WRONG)?),
        2 | 3 => {
            let (body, after) = take(rest, usize::try_from(number).map_err(|_| WRONG)?)?;
            rest = after;
            if major == 2 { Cbor::Bytes(body) } else { Cbor::Text(std::str::from_utf8(body).map_err(|_| WRONG)?) }
        }
        4 => {
            let mut list = Vec::new();
            for _ in 0..number {
                let (one, after) = item(rest, deeper)?;
                rest = after;
                list.push(one);
            }
            Cbor::List(list)
        }
        5 => {
            if number > MEMBERS {
                return Err(WRONG);
            }
            let mut members: Vec<(Cbor<'_>, Cbor<'_>)> = Vec::new();
            for _ in 0..number {
                let (key, after) = item(rest, deeper)?;
                let (value, after) = item(after, deeper)?;
                rest = after;
                let named = matches!(key, Cbor::Int(_) | Cbor::Text(_));
                if !named || members.iter().any(|(k, _)| *k == key) {
                    return Err(WRONG);
                }
                members.push((key, value));
            }
            Cbor::Map(members)
        }
        7 => Cbor::Other,
        _ => return Err(WRONG),
    };
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_the_rfc_are_read() {
        // RFC 8949 appendix A.
        for (bytes, want) in [
            (&[0x00][..], Cbor::Int(0)),
            (&[0x18, 0x64], Cbor::Int(100)),
            (&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0], Cbor::Int(1_000_000_000_000)),
            (&[0x39, 0x03, 0xe7], Cbor::Int(-1000)),
            (&[0x44, 1, 2, 3, 4], Cbor::Bytes(&[1, 2, 3, 4])),
            (&[0x64, b'I', b'E', b'T', b'F'], Cbor::Text("IETF")),
            (&[0x83, 1, 2, 3], Cbor::List(vec![Cbor::Int(1), Cbor::Int(2), Cbor::Int(3)])),
            (&[0xf5], Cbor::Other),
            (&[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], Cbor::Other),
        ] {
            assert_eq!(Cbor::whole(bytes).unwrap(), want, "{bytes:02x?}");
        }
        let map = Cbor::whole(&[0xa2, 0x61, b'a', 1, 0x20, 0x41, 9]).unwrap();
        assert_eq!(map.member("a").unwrap().int(), Some(1));
        assert_eq!(map.label(-1).unwrap().bytes(), Some(&[9][..]));
        assert!(map.member("b").is_none());
    }

    #[test]
    fn what_is_cut_off_nested_without_end_or_said_twice_is_refused() {
        for bad in [
            &[][..],
            &[0x18],
            &[0x44, 1, 2, 3],
            &[0x62, 0xff, 0xff],
            &[0x9f, 1, 0xff],
            &[0x5f, 0x41, 1, 0xff],
            &[0xc0, 0x61, b'a'],
            &[0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xa2, 1, 1, 1, 2],
            &[0xa1, 0x80, 1],
            &[0x00, 0x00],
            &[0x81; 600],
        ] {
            assert!(Cbor::whole(bad).is_err(), "{:02x?}", &bad[..bad.len().min(12)]);
        }
    }
}
