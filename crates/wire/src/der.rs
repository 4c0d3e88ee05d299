//! As much DER (X.690) as certificates and what stands in them is made of.

use crate::Malformed;

/// Class, form and number of an element: what its first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 0 universal, 2 context-specific.
    class: u8,
    constructed: bool,
    number: u32,
}

impl Tag {
    /// BOOLEAN.
    pub const BOOLEAN: Tag = Tag::plain(1);
    /// INTEGER.
    pub const INTEGER: Tag = Tag::plain(2);
    /// BIT STRING.
    pub const BITS: Tag = Tag::plain(3);
    /// OCTET STRING.
    pub const OCTETS: Tag = Tag::plain(4);
    /// OBJECT IDENTIFIER.
    pub const OID: Tag = Tag::plain(6);
    /// ENUMERATED.
    pub const ENUMERATED: Tag = Tag::plain(10);
    /// SEQUENCE.
    pub const SEQUENCE: Tag = Tag { class: 0, constructed: true, number: 16 };
    /// SET.
    pub const SET: Tag = Tag { class: 0, constructed: true, number: 17 };

    const fn plain(number: u32) -> Tag {
        Tag { class: 0, constructed: false, number }
    }

    /// `[number] EXPLICIT`, or an implicit tag over something constructed.
    pub const fn explicit(number: u32) -> Tag {
        Tag { class: 2, constructed: true, number }
    }
}

impl Tag {
    /// Its number.
    pub const fn number(self) -> u32 {
        self.number
    }
}

const WRONG: Malformed = Malformed("DER");

/// Elements one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The elements that `bytes` hold.
    pub fn new(bytes: &'a [u8]) -> Der<'a> {
        Der(bytes)
    }

    /// Inside the one element that `bytes` are, which must be a `tag`.
    pub fn inside(bytes: &'a [u8], tag: Tag) -> Result<Der<'a>, Malformed> {
        let mut outer = Der(bytes);
        let body = outer.take(tag)?;
        outer.end()?;
        Ok(Der(body))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(WRONG) }
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<(Tag, &'a [u8]), Malformed> {
        let (tag, body, rest) = element(self.0)?;
        self.0 = rest;
        Ok((tag, body))
    }

    /// The next element, which must be a `tag`.
    pub fn take(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        self.maybe(tag)?.ok_or(WRONG)
    }

    /// The next element if it is a `tag`; otherwise nothing is taken.
    pub fn maybe(&mut self, tag: Tag) -> Result<Option<&'a [u8]>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let (found, body, rest) = element(self.0)?;
        if found != tag {
            return Ok(None);
        }
        self.0 = rest;
        Ok(Some(body))
    }

    /// The next element with its tag and length, as it stands.
    pub fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let whole = self.0;
        let (_, _, rest) = element(whole)?;
        self.0 = rest;
        whole.get(..whole.len().saturating_sub(rest.len())).ok_or(WRONG)
    }

    /// A small whole number, INTEGER or ENUMERATED, that is not negative.
    pub fn small(&mut self, tag: Tag) -> Result<u32, Malformed> {
        number(self.take(tag)?)
    }
}

/// The number in the body of a small INTEGER.
pub fn number(body: &[u8]) -> Result<u32, Malformed> {
    match body {
        [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) && rest.len() <= 4 => Ok(fold(rest)),
        [first, ..] if first & 0x80 == 0 && body.len() <= 4 && !(body.len() > 1 && *first == 0) => Ok(fold(body)),
        _ => Err(WRONG),
    }
}

fn fold(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

fn element(bytes: &[u8]) -> Result<(Tag, &[u8], &[u8]), Malformed> {
    let (first, mut rest) = bytes.split_first().ok_or(WRONG)?;
    let mut number = u32::from(first & 0x1f);
    if number == 0x1f {
        // The long form (X.690 §8.1.2.4), as Android's tags from 600 on have it.
        number = 0;
        loop {
            let (next, after) = rest.split_first().ok_or(WRONG)?;
            rest = after;
            if number == 0 && *next == 0x80 || number >= 1 << 21 {
                return Err(WRONG);
            }
            number = number << 7 | u32::from(next & 0x7f);
            if next & 0x80 == 0 {
                break;
            }
        }
        if number < 0x1f {
            return Err(WRONG);
        }
    }
    let (len, mut rest) = rest.split_first().ok_or(WRONG)?;
    let mut len = usize::from(*len);
    if len >= 0x80 {
        let n = len - 0x80;
        let (more, after) = rest.split_at_checked(n).filter(|_| (1..=3).contains(&n)).ok_or(WRONG)?;
        rest = after;
        len = more.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        // The shortest form alone is DER.
        if len < 0x80 || more.first() == Some(&0) {
            return Err(WRONG);
        }
    }
    let (body, rest) = rest.split_at_checked(len).ok_or(WRONG)?;
    Ok((Tag { class: first >> 6, constructed: first & 0x20 != 0, number }, body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_in_short_and_long_form() {
        // SEQUENCE { INTEGER 300, [702] { INTEGER 0 }, ENUMERATED 1 }
        let bytes = [0x30, 0x0e, 2, 2, 1, 0x2c, 0xbf, 0x85, 0x3e, 3, 2, 1, 0, 0x0a, 1, 1];
        let mut inside = Der::inside(&bytes, Tag::SEQUENCE).unwrap();
        assert_eq!(inside.small(Tag::INTEGER).unwrap(), 300);
        assert!(inside.maybe(Tag::explicit(600)).unwrap().is_none());
        assert_eq!(inside.take(Tag::explicit(702)).unwrap(), [2, 1, 0]);
        assert_eq!(inside.small(Tag::ENUMERATED).unwrap(), 1);
        inside.end().unwrap();
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        assert_eq!(Der::new(&long).take(Tag::OCTETS).unwrap().len(), 128);
        assert_eq!(number(&[0, 0xff, 0xff, 0xff, 0xff]).unwrap(), u32::MAX);
    }

    #[test]
    fn what_is_cut_off_or_not_in_its_shortest_form_is_refused() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x04, 0x81, 0x7f, 0],
            &[0x04, 0x82, 0, 0x80],
            &[0x04, 0x80, 0, 0],
            &[0x04, 0x84, 0, 0, 0, 1, 0],
            &[0xbf, 0x80, 1, 0],
            &[0xbf, 0x1e, 0],
            &[0xbf, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
        ] {
            assert!(Der::new(bad).any().is_err(), "{bad:02x?}");
        }
        for bad in [&[][..], &[0x80], &[0, 1], &[1, 0, 0, 0, 0]] {
            assert!(number(bad).is_err(), "{bad:02x?}");
        }
        assert!(Der::inside(&[0x30, 0, 0], Tag::SEQUENCE).is_err(), "something behind it");
    }
}
