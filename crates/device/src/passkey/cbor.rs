//! The little CBOR (RFC 8949) that an authenticator speaks: definite lengths, shortest heads.

/// One value. Maps keep the order they are given; callers give CTAP2's canonical one.
pub enum Cbor<'a> {
    /// A whole number, negative ones included.
    Int(i64),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// A map.
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
}

impl Cbor<'_> {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Cbor::Int(n) => match u64::try_from(*n) {
                Ok(n) => head(0, n, out),
                // -1 − n, which is never negative for a negative number.
                Err(_) => head(1, n.wrapping_neg().wrapping_sub(1).unsigned_abs(), out),
            },
            Cbor::Bytes(bytes) => {
                head(2, bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Cbor::Text(text) => {
                head(3, text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            Cbor::Map(pairs) => {
                head(5, pairs.len() as u64, out);
                for (name, value) in pairs {
                    name.write(out);
                    value.write(out);
                }
            }
        }
    }
}

fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = n.to_be_bytes();
    let keep = match n {
        0..=23 => return out.push(major | u8::try_from(n).unwrap_or(0)),
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    out.push(major | match keep { 1 => 24, 2 => 25, 4 => 26, _ => 27 });
    out.extend(bytes.iter().skip(8 - keep));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_8949_appendix_a_are_reproduced() {
        for (n, want) in [
            (0, vec![0x00]),
            (23, vec![0x17]),
            (24, vec![0x18, 0x18]),
            (100, vec![0x18, 0x64]),
            (1000, vec![0x19, 0x03, 0xe8]),
            (1_000_000, vec![0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, vec![0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]),
            (-1, vec![0x20]),
            (-10, vec![0x29]),
            (-100, vec![0x38, 0x63]),
            (-1000, vec![0x39, 0x03, 0xe7]),
        ] {
            assert_eq!(Cbor::Int(n).encode(), want, "{n}");
        }
        assert_eq!(Cbor::Bytes(&[1, 2, 3, 4]).encode(), [0x44, 1, 2, 3, 4]);
        assert_eq!(Cbor::Text("IETF").encode(), [0x64, 0x49, 0x45, 0x54, 0x46]);
        assert_eq!(Cbor::Text("\u{fc}").encode(), [0x62, 0xc3, 0xbc]);
        let map = Cbor::Map(vec![(Cbor::Int(1), Cbor::Int(2)), (Cbor::Int(3), Cbor::Int(4))]);
        assert_eq!(map.encode(), [0xa2, 1, 2, 3, 4]);
        assert_eq!(Cbor::Map(vec![]).encode(), [0xa0]);
        let long = vec![7; 300];
        assert_eq!(Cbor::Bytes(&long).encode()[..3], [0x59, 0x01, 0x2c]);
    }
}
