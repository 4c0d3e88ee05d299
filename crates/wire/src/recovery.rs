//! Recovery codes: 128 random bits on paper, for whoever has no device left.
//!
//! A code is written as seven groups of four letters and digits (Crockford's base 32, without I, L, O
//! and U): the 128 bits, and twelve bits of a digest over them, so that a slip of the pen is noticed
//! before anybody is asked.

use crate::{Malformed, mac};

/// Random bytes of a code.
pub const BYTES: usize = 16;
/// Letters and digits of a code, without hyphens: 140 bits.
const SIGNS: usize = 28;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Twelve bits of a digest, and four that are zero.
fn check(code: &[u8]) -> [u8; 2] {
    let [a, b, ..] = mac::labelled("countersign/recovery-code/check", code);
    [a, b & 0xf0]
}

/// The code as it is shown, once.
pub fn text(code: &[u8; BYTES]) -> String {
    let mut out = String::with_capacity(SIGNS + 6);
    let (mut held, mut bits, mut signs) = (0_u32, 0_u32, 0);
    for byte in code.iter().chain(&check(code)) {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            if signs > 0 && signs % 4 == 0 {
                out.push('-');
            }
            signs += 1;
            let value = usize::try_from((held >> bits) & 31).unwrap_or(0);
            out.push(ALPHABET.get(value).map_or('0', |c| char::from(*c)));
        }
        held &= (1 << bits) - 1;
    }
    out
}

/// A code as somebody typed it: blanks, hyphens and case do not matter, and what looks alike is alike.
pub fn parse(typed: &str) -> Result<[u8; BYTES], Malformed> {
    let wrong = Malformed("a recovery code of seven groups of four");
    let mut bytes = Vec::with_capacity(BYTES + 2);
    let (mut held, mut bits, mut signs) = (0_u32, 0_u32, 0);
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let sign = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = ALPHABET.iter().position(|a| char::from(*a) == sign).ok_or(wrong)?;
        signs += 1;
        if signs > SIGNS {
            return Err(wrong);
        }
        held = (held << 5) | u32::try_from(value).unwrap_or(0);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from(held >> bits));
            held &= (1 << bits) - 1;
        }
    }
    // Four bits are left: the last of the digest.
    bytes.extend(u8::try_from(held << 4));
    let code: [u8; BYTES] = bytes.get(..BYTES).and_then(|b| b.try_into().ok()).ok_or(wrong)?;
    if signs == SIGNS && bytes.get(BYTES..) == Some(&check(&code)) { Ok(code) } else { Err(wrong) }
}

/// What the server keeps of a code: one SHA-256 under a label. Nothing slower is needed for 128 bits.
pub fn digest(code: &[u8; BYTES]) -> [u8; 32] {
    mac::labelled("countersign/recovery-code/1", code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(n: u8) -> [u8; 16] {
        let digest = mac::h(&[n]);
        digest[..16].try_into().unwrap()
    }

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        for n in 0..=255 {
            let (code, shown) = (some(n), text(&some(n)));
            assert_eq!(shown.len(), 34);
            assert_eq!(parse(&shown), Ok(code));
            let sloppy = shown.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            assert_eq!(parse(&sloppy), Ok(code));
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_noticed() {
        let shown = text(&some(1));
        let mut slipped = 0;
        for at in 0..shown.len() {
            for sign in ALPHABET.iter().filter(|a| shown.as_bytes()[at] != b'-' && **a != shown.as_bytes()[at]) {
                let mut bytes = shown.clone().into_bytes();
                bytes[at] = *sign;
                slipped += usize::from(parse(std::str::from_utf8(&bytes).unwrap()).is_ok());
            }
        }
        // One in 4096 passes; then it is another code, and no better than a guess.
        assert!(slipped <= 3, "{slipped} of 868");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let good = text(&[7; 16]);
        for bad in ["", "0000", &good[..33], &format!("{good}0"), &good.replace('-', "_"), &"U".repeat(28), &"0".repeat(28)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&text(&[0; 16])).is_ok() && parse(&text(&[255; 16])).is_ok());
    }
}
