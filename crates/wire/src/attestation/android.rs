//! `android-key` (WebAuthn L3 §8.4): a certificate for this one key, in which Android says where the
//! key was made and what it may do.

use super::{Kind, Statement, algorithm, bytes, chain, leaf_key, signed_by};
use crate::Malformed;
use crate::der::{Der, Tag, number};
use crate::webauthn::{Created, Fault};

/// 1.3.6.1.4.1.11129.2.1.17.
const DESCRIPTION: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 1, 0x11];
/// Members of an AuthorizationList by their tags.
const PURPOSE: Tag = Tag::explicit(1);
const ALL_APPLICATIONS: Tag = Tag::explicit(600);
const ORIGIN: Tag = Tag::explicit(702);
/// KM_PURPOSE_SIGN and KM_ORIGIN_GENERATED.
const SIGN: u32 = 2;
const GENERATED: u32 = 0;
/// SecurityLevel: 0 software, 1 trusted environment, 2 StrongBox.
const SOFTWARE: u32 = 0;

pub(super) fn judge<'a>(made: &Created<'a>) -> Result<Statement<'a>, Fault> {
    let (alg, signature) = (algorithm(made)?, bytes(made, "sig")?);
    let (chain, leaf) = chain(made)?;
    let key = leaf_key(&leaf)?;
    signed_by(&key, alg, &made.signed(), signature)?;
    if key != made.key {
        return Err(Fault::Statement);
    }
    let found = leaf.extension(DESCRIPTION).ok_or(Fault::Certificate)?;
    let described = Description::parse(found.value).map_err(|_| Fault::Certificate)?;
    if described.challenge != made.client_hash {
        return Err(Fault::Statement);
    }
    if !described.software.is_ours() || !described.hardware.is_ours() {
        return Err(Fault::Certificate);
    }
    Ok(Statement { kind: Kind::Certificate, hardware: described.in_hardware(), chain })
}

/// `KeyDescription`, as much of it as is judged.
struct Description<'a> {
    levels: [u32; 2],
    challenge: &'a [u8],
    software: Authorizations,
    hardware: Authorizations,
}

/// `AuthorizationList`, as much of it as is judged.
#[derive(Default)]
struct Authorizations {
    all_applications: bool,
    purposes: Option<Vec<u32>>,
    origin: Option<u32>,
}

impl<'a> Description<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Description<'a>, Malformed> {
        let mut all = Der::inside(bytes, Tag::SEQUENCE)?;
        all.small(Tag::INTEGER)?;
        let attested = all.small(Tag::ENUMERATED)?;
        all.small(Tag::INTEGER)?;
        let keymint = all.small(Tag::ENUMERATED)?;
        let challenge = all.take(Tag::OCTETS)?;
        all.take(Tag::OCTETS)?;
        let software = Authorizations::parse(all.take(Tag::SEQUENCE)?)?;
        let hardware = Authorizations::parse(all.take(Tag::SEQUENCE)?)?;
        all.end()?;
        Ok(Description { levels: [attested, keymint], challenge, software, hardware })
    }

    /// The hardware itself says that it made the key, and that the key signs and does nothing else.
    fn in_hardware(&self) -> bool {
        self.levels.iter().all(|level| *level != SOFTWARE)
            && self.hardware.origin == Some(GENERATED)
            && self.hardware.purposes.as_deref() == Some(&[SIGN])
    }
}

impl Authorizations {
    fn parse(bytes: &[u8]) -> Result<Authorizations, Malformed> {
        let (mut list, mut read) = (Der::new(bytes), Authorizations::default());
        while !list.is_empty() {
            let (tag, body) = list.any()?;
            let mut inside = Der::new(body);
            match tag {
                ALL_APPLICATIONS => read.all_applications = true,
                ORIGIN => read.origin = Some(inside.small(Tag::INTEGER)?),
                PURPOSE => {
                    let (mut set, mut purposes) = (Der::new(inside.take(Tag::SET)?), Vec::new());
                    while !set.is_empty() {
                        purposes.push(number(set.take(Tag::INTEGER)?)?);
                    }
                    read.purposes = Some(purposes);
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// Nothing in it contradicts a key that was made there, for this application and for signing.
    /// The published vector says neither origin nor purpose, so silence is no contradiction; it
    /// is no evidence of hardware either.
    fn is_ours(&self) -> bool {
        !self.all_applications
            && self.origin.is_none_or(|o| o == GENERATED)
            && self.purposes.as_ref().is_none_or(|p| p == &[SIGN])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn description(level: u8, software: &[u8], hardware: &[u8]) -> Vec<u8> {
        let mut inside = vec![2, 2, 1, 0x2c, 10, 1, level, 2, 1, 4, 10, 1, level, 4, 1, 9, 4, 0];
        for list in [software, hardware] {
            inside.extend([0x30, u8::try_from(list.len()).unwrap()]);
            inside.extend(list);
        }
        [&[0x30, u8::try_from(inside.len()).unwrap()], &inside[..]].concat()
    }

    const SIGNS: [u8; 7] = [0xa1, 5, 0x31, 3, 2, 1, 2];
    const MADE_HERE: [u8; 7] = [0xbf, 0x85, 0x3e, 3, 2, 1, 0];
    const IMPORTED: [u8; 7] = [0xbf, 0x85, 0x3e, 3, 2, 1, 2];
    const DECRYPTS_TOO: [u8; 10] = [0xa1, 8, 0x31, 6, 2, 1, 1, 2, 1, 2];
    const FOR_ALL: [u8; 6] = [0xbf, 0x84, 0x58, 2, 5, 0];

    #[test]
    fn only_the_hardwares_own_word_makes_a_hardware_key() {
        let good = [SIGNS, MADE_HERE].concat();
        for (level, software, hardware, want) in [
            (1, &[][..], &good[..], true),
            (2, &[], &good, true),
            (0, &[], &good, false),
            (1, &good, &[], false),
            (1, &[], &SIGNS, false),
            (1, &[], &MADE_HERE, false),
        ] {
            let bytes = description(level, software, hardware);
            let read = Description::parse(&bytes).unwrap();
            assert!(read.software.is_ours() && read.hardware.is_ours());
            assert_eq!(read.in_hardware(), want, "{level} {software:02x?} {hardware:02x?}");
        }
    }

    #[test]
    fn a_key_that_was_brought_does_more_or_is_everybodys_is_not_ours() {
        for bad in [&IMPORTED[..], &DECRYPTS_TOO, &FOR_ALL] {
            let bytes = description(1, &[], bad);
            assert!(!Description::parse(&bytes).unwrap().hardware.is_ours(), "{bad:02x?}");
        }
        assert!(Description::parse(&description(1, &[], &FOR_ALL[..5])).is_err(), "cut off");
    }
}
