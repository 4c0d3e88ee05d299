//! The live frame: what the QR code carries, and how it is judged (docs/protocol.md §2).
//!
//! A grade says that the device saw something live; never that it was near.

use crate::limits::{FRAME_BACK, FRAME_MS};
use crate::mac::m;
use crate::secret::same;
use crate::{Malformed, b64};
use serde::{Deserialize, Serialize};

/// Length of the fragment in characters: base64url of 16 + 2 + 8 bytes.
pub const TEXT_LEN: usize = 35;

/// One frame as read from a QR code: a lookup name, a counter and a proof that it is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The handle, 128 random bits. It finds the ceremony and gives nothing else.
    pub handle: [u8; 16],
    /// Number of the 3-second frame since the opening.
    pub index: u16,
    /// First 8 bytes of `M(ck, "frame", handle, index)`.
    pub mac: [u8; 8],
}

/// What one or two frames show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// One frame, at most 15 s old.
    Frame,
    /// Two frames in sequence: a copied picture cannot do it.
    Pair,
}

/// Why frames were not taken. The scanner hears one answer for all but `Early`'s cause is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The proof is not of this ceremony's channel key.
    Forged,
    /// Older than the window.
    Late,
    /// From the future: more than one frame ahead of the server's clock.
    Early,
    /// Two frames that do not follow each other.
    OutOfSequence,
}

/// `ck`, from which the page computes frames: `M(K, "ck", cid, jkt)`.
pub fn channel_key(k: &[u8], cid: &str, jkt: &str) -> [u8; 32] {
    m(k, "ck", &[cid.as_bytes(), jkt.as_bytes()])
}

/// The same for a phone's live badge: `M(K, "badge", handle, device)`.
pub fn badge_key(k: &[u8], handle: &[u8; 16], device: &str) -> [u8; 32] {
    m(k, "badge", &[handle, device.as_bytes()])
}

/// `wk`, which lets the terminal watch, confirm and abandon: `M(ck, "wait")`.
pub fn wait_key(ck: &[u8; 32]) -> [u8; 32] {
    m(ck, "wait", &[])
}

/// Number of the frame at `age_ms` milliseconds after the opening.
pub fn index_at(age_ms: i64) -> i64 {
    age_ms.div_euclid(FRAME_MS)
}

impl Frame {
    /// The frame that the channel key makes for `index`.
    pub fn make(ck: &[u8; 32], handle: [u8; 16], index: u16) -> Frame {
        let full = m(ck, "frame", &[&handle, &index.to_be_bytes()]);
        let mut mac = [0; 8];
        mac.copy_from_slice(full.split_at(8).0);
        Frame { handle, index, mac }
    }

    /// The 35 characters behind `#`.
    pub fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(26);
        bytes.extend_from_slice(&self.handle);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.mac);
        b64::encode(&bytes)
    }

    /// Reads the 35 characters; only this exact form parses.
    pub fn parse(text: &str) -> Result<Frame, Malformed> {
        if text.len() != TEXT_LEN {
            return Err(Malformed("a frame of 35 characters"));
        }
        let bytes: [u8; 26] = b64::decode_array(text)?;
        let (head, mac_part) = bytes.split_at(18);
        let (handle_part, index_part) = head.split_at(16);
        let mut frame = Frame { handle: [0; 16], index: 0, mac: [0; 8] };
        frame.handle.copy_from_slice(handle_part);
        let mut index = [0; 2];
        index.copy_from_slice(index_part);
        frame.index = u16::from_be_bytes(index);
        frame.mac.copy_from_slice(mac_part);
        Ok(frame)
    }

    /// Reads a scanned link: `ORIGIN/q#` and the frame, acting on this origin alone.
    pub fn parse_link(link: &str, origin: &str) -> Result<Frame, Malformed> {
        let text = link
            .strip_prefix(origin)
            .and_then(|rest| rest.strip_prefix("/q#"))
            .ok_or(Malformed("a code of this server"))?;
        Frame::parse(text)
    }

    fn is_made_by(&self, ck: &[u8; 32]) -> bool {
        same(&Frame::make(ck, self.handle, self.index).mac, &self.mac)
    }
}

/// Judges one or two frames of one handle at `age_ms` after the opening, by the server's clock.
/// Proofs are checked before ages, and every given frame is checked.
pub fn judge(first: Frame, second: Option<Frame>, ck: &[u8; 32], age_ms: i64) -> Result<Grade, Stale> {
    let now = index_at(age_ms);
    let i1 = i64::from(first.index);
    let genuine = first.is_made_by(ck)
        && second.is_none_or(|f| f.handle == first.handle && f.is_made_by(ck));
    if !genuine {
        return Err(Stale::Forged);
    }
    let last = second.map_or(i1, |f| i64::from(f.index));
    if last > now + 1 || i1 > now + 1 {
        return Err(Stale::Early);
    }
    match second {
        None if i1 < now - FRAME_BACK => Err(Stale::Late),
        None => Ok(Grade::Frame),
        Some(_) if !(1..=2).contains(&(last - i1)) => Err(Stale::OutOfSequence),
        Some(_) if last < now - 2 => Err(Stale::Late),
        Some(_) => Ok(Grade::Pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CK: [u8; 32] = [3; 32];
    fn f(i: u16) -> Frame {
        Frame::make(&CK, [9; 16], i)
    }

    #[test]
    fn a_frame_survives_its_text_and_only_its_exact_form_parses() {
        let text = f(7).text();
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(Frame::parse(&text).unwrap(), f(7));
        let link = format!("https://id.example/q#{text}");
        assert_eq!(Frame::parse_link(&link, "https://id.example").unwrap(), f(7));
        for bad in [
            format!("https://id.example/q#{text}x"),
            format!("https://id.example/q?x=1#{text}"),
            format!("https://evil.example/q#{text}"),
            format!("http://id.example/q#{text}"),
            format!(" https://id.example/q#{text}"),
        ] {
            assert!(Frame::parse_link(&bad, "https://id.example").is_err(), "{bad}");
        }
    }

    #[test]
    fn every_age_of_one_frame_is_judged_as_the_table_says() {
        for shown in 0_u16..60 {
            for age_ms in (0..180_000).step_by(500) {
                let now = age_ms / 3000;
                let i = i64::from(shown);
                let want = if i > now + 1 {
                    Err(Stale::Early)
                } else if i < now - 4 {
                    Err(Stale::Late)
                } else {
                    Ok(Grade::Frame)
                };
                assert_eq!(judge(f(shown), None, &CK, age_ms), want, "{shown} {age_ms}");
            }
        }
    }

    #[test]
    fn a_pair_needs_sequence_and_a_newer_last_frame() {
        let at = |a, b, now: i64| judge(f(a), Some(f(b)), &CK, now * 3000);
        assert_eq!(at(10, 11, 11), Ok(Grade::Pair));
        assert_eq!(at(10, 12, 14), Ok(Grade::Pair));
        assert_eq!(at(10, 12, 15), Err(Stale::Late));
        assert_eq!(at(10, 10, 10), Err(Stale::OutOfSequence));
        assert_eq!(at(10, 13, 13), Err(Stale::OutOfSequence));
        assert_eq!(at(11, 10, 11), Err(Stale::OutOfSequence));
        assert_eq!(at(10, 12, 10), Err(Stale::Early));
    }

    #[test]
    fn a_forged_or_foreign_frame_is_refused_whatever_its_age() {
        let mut bad = f(5);
        bad.mac[0] ^= 1;
        assert_eq!(judge(bad, None, &CK, 15_000), Err(Stale::Forged));
        assert_eq!(judge(f(5), Some(bad), &CK, 15_000), Err(Stale::Forged));
        assert_eq!(judge(f(5), None, &[4; 32], 15_000), Err(Stale::Forged));
        let other = Frame::make(&CK, [8; 16], 6);
        assert_eq!(judge(f(5), Some(other), &CK, 18_000), Err(Stale::Forged));
    }
}
