//! Mutations without coverage, by seeded dice: what stable Rust can do.

/// Seeded chance (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall alike for one seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }
    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `n`, 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.roll() % n as u64) as usize }
    }
}

/// Pieces that mean something to one parser or another.
const WORDS: [&[u8]; 44] = [
    b"", b"{}", b"[]", b"null", b"true", b"-1", b"1e400", b"9007199254740992", b"\"\"", b"\\u0000", b"\\ud800", b"{\"", b"\":",
    b",", b".", b"..", b"=", b"&", b"%00", b"%ff", b"%", b"+", b"\0", b"\r\n", b"\xff\xfe", "\u{202e}".as_bytes(), "\u{feff}".as_bytes(),
    "\u{fffd}".as_bytes(), b"/../", b"//", b"@", b":443", b"#", b"?", b"http://", b"<script>", b"client_id", b"\x9f\xff",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xbf\x80\x01", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"alg", b"none",
];

/// `data` changed a few times, perhaps with parts of `other`; never longer than `limit`.
pub fn mutate(dice: &mut Dice, data: &[u8], other: &[u8], limit: usize) -> Vec<u8> {
    let mut out = data.to_vec();
    for _ in 0..=dice.below(4) {
        let (at, len) = (dice.below(out.len() + 1), dice.below(9) + 1);
        let end = (at + len).min(out.len());
        match dice.below(9) {
            0 if at < out.len() => out[at] ^= 1 << dice.below(8),
            1 if at < out.len() => out[at] = dice.roll() as u8,
            2 => drop(out.drain(at..end)),
            3 => {
                let word = WORDS[dice.below(WORDS.len())];
                out.splice(at..at, word.iter().copied());
            }
            4 => {
                let word = WORDS[dice.below(WORDS.len())];
                out.splice(at..(at + word.len()).min(out.len()), word.iter().copied());
            }
            5 => {
                let part = out[at..end].to_vec();
                let to = dice.below(out.len() + 1);
                out.splice(to..to, part);
            }
            6 => {
                // The end of another input behind the beginning of this one.
                let from = dice.below(other.len() + 1);
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            7 => {
                let from = dice.below(other.len() + 1);
                let part = &other[from..(from + len * 4).min(other.len())];
                out.splice(at..end, part.iter().copied());
            }
            _ if at < out.len() => {
                // A number a little higher or lower, as lengths are.
                out[at] = out[at].wrapping_add((dice.below(5) as u8).wrapping_sub(2));
            }
            _ => {}
        }
        out.truncate(limit);
    }
    out
}
