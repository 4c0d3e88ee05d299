//! What Android says of a key and of the phone that made it: the extension of a key attestation
//! certificate (Android Keystore, "Key and ID attestation"), shared by passkeys and evidence.

use crate::Malformed;
use crate::der::{Der, Tag, number};

/// 1.3.6.1.4.1.11129.2.1.17.
pub const DESCRIPTION: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 1, 0x11];
/// Members of an AuthorizationList by their tags.
const PURPOSE: Tag = Tag::explicit(1);
const ALL_APPLICATIONS: Tag = Tag::explicit(600);
const ORIGIN: Tag = Tag::explicit(702);
const ROOT_OF_TRUST: Tag = Tag::explicit(704);
const OS_VERSION: Tag = Tag::explicit(705);
const OS_PATCH_LEVEL: Tag = Tag::explicit(706);
const APPLICATION: Tag = Tag::explicit(709);
/// KM_PURPOSE_SIGN and KM_ORIGIN_GENERATED.
const SIGN: u32 = 2;
const GENERATED: u32 = 0;
/// SecurityLevel: 0 software, 1 trusted environment, 2 StrongBox.
const SOFTWARE: u32 = 0;

const WRONG: Malformed = Malformed("a key description");

/// `KeyDescription`, as much of it as is judged.
#[derive(Debug)]
pub struct Description<'a> {
    levels: [u32; 2],
    /// What the asker gave along.
    pub challenge: &'a [u8],
    /// What the system adds.
    pub software: Authorizations<'a>,
    /// What the hardware holds to.
    pub hardware: Authorizations<'a>,
}

/// `AuthorizationList`, as much of it as is judged.
#[derive(Debug, Default)]
pub struct Authorizations<'a> {
    all_applications: bool,
    purposes: Option<Vec<u32>>,
    origin: Option<u32>,
    /// How the phone started.
    pub root_of_trust: Option<RootOfTrust>,
    /// Version of Android: 130000 is 13.
    pub os_version: Option<u32>,
    /// Month of its patches: 202307.
    pub os_patch_level: Option<u32>,
    application: Option<&'a [u8]>,
}

/// `RootOfTrust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootOfTrust {
    /// The boot loader takes no other system.
    pub locked: bool,
    /// How it was verified.
    pub boot: Boot,
}

/// `VerifiedBootState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// By the maker's key.
    Verified,
    /// By a key of the owner.
    SelfSigned,
    /// Not at all.
    Unverified,
    /// It was, and failed.
    Failed,
}

impl RootOfTrust {
    fn parse(bytes: &[u8]) -> Result<RootOfTrust, Malformed> {
        let mut all = Der::inside(bytes, Tag::SEQUENCE)?;
        all.take(Tag::OCTETS)?;
        let locked = match all.take(Tag::BOOLEAN)? {
            [0] => false,
            [0xff] => true,
            _ => return Err(WRONG),
        };
        let boot = match all.small(Tag::ENUMERATED)? {
            0 => Boot::Verified,
            1 => Boot::SelfSigned,
            2 => Boot::Unverified,
            3 => Boot::Failed,
            _ => return Err(WRONG),
        };
        // The hash of what was started, from version 3 on.
        all.maybe(Tag::OCTETS)?;
        all.end()?;
        Ok(RootOfTrust { locked, boot })
    }
}

impl<'a> Description<'a> {
    /// Reads the extension's value.
    pub fn parse(bytes: &'a [u8]) -> Result<Description<'a>, Malformed> {
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

    /// The key and this word about it are kept by hardware, and the key was made there.
    pub fn is_of_hardware(&self) -> bool {
        self.levels.iter().all(|level| *level != SOFTWARE) && self.hardware.origin == Some(GENERATED)
    }

    /// One with nothing but this, for tests.
    #[cfg(test)]
    pub(crate) fn of(root_of_trust: RootOfTrust) -> Description<'a> {
        let hardware = Authorizations { root_of_trust: Some(root_of_trust), ..Authorizations::default() };
        Description { levels: [1, 1], challenge: &[], software: Authorizations::default(), hardware }
    }

    /// The hardware itself says that it made the key, and that the key signs and does nothing else.
    pub fn in_hardware(&self) -> bool {
        self.is_of_hardware() && self.hardware.purposes.as_deref() == Some(&[SIGN])
    }
}

impl<'a> Authorizations<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Authorizations<'a>, Malformed> {
        let (mut list, mut read) = (Der::new(bytes), Authorizations::default());
        let mut last = None;
        while !list.is_empty() {
            let (tag, body) = list.any()?;
            // A list says each thing once, in the order of its tags.
            if last.replace(tag.number()).is_some_and(|before| tag.number() <= before) {
                return Err(WRONG);
            }
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
                ROOT_OF_TRUST => read.root_of_trust = Some(RootOfTrust::parse(body)?),
                OS_VERSION => read.os_version = Some(inside.small(Tag::INTEGER)?),
                OS_PATCH_LEVEL => read.os_patch_level = Some(inside.small(Tag::INTEGER)?),
                APPLICATION => read.application = Some(inside.take(Tag::OCTETS)?),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Nothing in it contradicts a key that was made there, for this application and for signing.
    /// The published vector says neither origin nor purpose, so silence is no contradiction; it
    /// is no evidence of hardware either.
    pub fn is_ours(&self) -> bool {
        !self.all_applications
            && self.origin.is_none_or(|o| o == GENERATED)
            && self.purposes.as_ref().is_none_or(|p| p == &[SIGN])
    }

    /// The packages that asked for the key and the SHA-256 digests of the certificates that signed
    /// them (`AttestationApplicationId`).
    pub fn applications(&self) -> Result<Application<'a>, Malformed> {
        let mut all = Der::inside(self.application.ok_or(WRONG)?, Tag::SEQUENCE)?;
        let (mut packages, mut signers) = (Vec::new(), Vec::new());
        let mut set = Der::new(all.take(Tag::SET)?);
        while !set.is_empty() {
            packages.push(Der::new(set.take(Tag::SEQUENCE)?).take(Tag::OCTETS)?);
        }
        let mut set = Der::new(all.take(Tag::SET)?);
        while !set.is_empty() {
            signers.push(set.take(Tag::OCTETS)?);
        }
        all.end()?;
        Ok(Application { packages, signers })
    }
}

/// Who asked for a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Application<'a> {
    /// Names of packages; several where they share an identity.
    pub packages: Vec<&'a [u8]>,
    /// Digests of the certificates that signed them.
    pub signers: Vec<&'a [u8]>,
}

#[cfg(test)]
mod tests {
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
