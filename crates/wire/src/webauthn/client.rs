//! What registrations and assertions have in common: the browser's account of the ceremony, and
//! the head of the authenticator's.

use super::Fault;
use crate::{Malformed, b64, mac, object};
use serde::Deserialize;

/// Where the page may have stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within<'a> {
    /// In a window of its own. Countersign's pages refuse to stand anywhere else.
    Nothing,
    /// Perhaps inside another site's page; where the browser names that site's origin, it must be
    /// this one (§7.1 step 10, §7.2 step 13).
    Page(Option<&'a str>),
}

/// What the page was asked, as the answer must repeat it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Challenge that the server chose or derived.
    pub challenge: &'a [u8],
    /// Origin of the page, exactly.
    pub origin: &'a str,
    /// Relying party id.
    pub rp_id: &'a str,
    /// Where the page may have stood.
    pub within: Within<'a>,
    /// Whether the person must have been verified. The server always asks for it.
    pub verified: bool,
}

impl<'a> Asked<'a> {
    /// As the server asks: in a window of its own, with the person verified.
    pub fn strictly(challenge: &'a [u8], origin: &'a str, rp_id: &'a str) -> Asked<'a> {
        Asked { challenge, origin, rp_id, within: Within::Nothing, verified: true }
    }

    /// Holds both accounts against what was asked. `ceremony` is `webauthn.create` or `webauthn.get`.
    pub(super) fn check(&self, ceremony: &str, client_data: &[u8], authenticator_data: &[u8]) -> Result<AuthenticatorHead, Fault> {
        let client: ClientData = object::parse(client_data)?;
        if client.r#type != ceremony {
            return Err(Fault::Type);
        }
        if client.challenge != b64::encode(self.challenge) {
            return Err(Fault::Challenge);
        }
        if client.origin != self.origin || !self.stands(&client) {
            return Err(Fault::Origin);
        }
        let head = AuthenticatorHead::parse(authenticator_data)?;
        if head.rp_id_hash != mac::h(self.rp_id.as_bytes()) {
            return Err(Fault::RpId);
        }
        if !head.up() || (self.verified && !head.uv()) {
            return Err(Fault::User);
        }
        if head.bs() && !head.be() {
            return Err(Fault::Backup);
        }
        Ok(head)
    }

    fn stands(&self, client: &ClientData) -> bool {
        match (&client.top_origin, self.within) {
            (None, Within::Nothing) => !client.cross_origin,
            (None, Within::Page(_)) => true,
            (Some(top), Within::Page(Some(expected))) => client.cross_origin && top == expected,
            (Some(_), _) => false,
        }
    }
}

/// `CollectedClientData` (§5.8.1), as much of it as is checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

/// Fixed head of authenticator data: rpIdHash, flags, counter.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatorHead {
    /// SHA-256 of the relying party id.
    pub rp_id_hash: [u8; 32],
    /// UP 0x01, UV 0x04, BE 0x08, BS 0x10, AT 0x40, ED 0x80.
    pub flags: u8,
    /// Signature counter.
    pub counter: u32,
}

impl AuthenticatorHead {
    /// Its length, bytes.
    pub(super) const LEN: usize = 37;

    /// Reads the first 37 bytes.
    pub fn parse(bytes: &[u8]) -> Result<AuthenticatorHead, Malformed> {
        let wrong = Malformed("authenticator data");
        let (hash, rest) = bytes.split_first_chunk::<32>().ok_or(wrong)?;
        let (flags, rest) = rest.split_first().ok_or(wrong)?;
        let (counter, _) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        Ok(AuthenticatorHead {
            rp_id_hash: *hash,
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
        })
    }
    /// Somebody was present.
    pub fn up(&self) -> bool {
        self.flags & 0x01 != 0
    }
    /// The person was verified.
    pub fn uv(&self) -> bool {
        self.flags & 0x04 != 0
    }
    /// The credential may be copied to other devices.
    pub fn be(&self) -> bool {
        self.flags & 0x08 != 0
    }
    /// It has been.
    pub fn bs(&self) -> bool {
        self.flags & 0x10 != 0
    }
    /// Attested credential data follows.
    pub(super) fn at(&self) -> bool {
        self.flags & 0x40 != 0
    }
    /// Extensions follow.
    pub(super) fn ed(&self) -> bool {
        self.flags & 0x80 != 0
    }
}
