//! Refresh tokens: opaque for clients (RFC 6749 §1.5), and what the server reads in them.
//!
//! A token names its grant and carries two secrets of 256 bits: one that all tokens of the grant
//! share, and one of its own. The server keeps a digest of each. So it tells the token that is good
//! from one that was good once, in one row, however often the grant was renewed; and it tells both
//! from what somebody made up.
//!
//! A successor is derived from its predecessor with a key of the server: whoever asks again because
//! the answer was lost gets the same successor, and nothing but digests is kept.

use crate::{GrantId, Malformed, b64, mac};
use zeroize::Zeroizing;

/// A refresh token. It has no `Debug`: it must not print by accident.
pub struct RefreshToken {
    grant: GrantId,
    family: Zeroizing<[u8; 32]>,
    own: Zeroizing<[u8; 32]>,
}

impl RefreshToken {
    /// The first one of a grant, from chance.
    pub fn first(grant: GrantId, family: [u8; 32], own: [u8; 32]) -> RefreshToken {
        RefreshToken { grant, family: family.into(), own: own.into() }
    }

    /// Reads one; whether it is good is for the grant to say.
    pub fn parse(text: &str) -> Result<RefreshToken, Malformed> {
        let bad = Malformed("a refresh token");
        let (grant, secrets) = text.split_once('.').ok_or(bad)?;
        let (family, own) = secrets.split_once('.').ok_or(bad)?;
        Ok(RefreshToken {
            grant: grant.parse()?,
            family: b64::decode_array(family)?.into(),
            own: b64::decode_array(own)?.into(),
        })
    }

    /// What the client gets.
    pub fn text(&self) -> String {
        format!("{}.{}.{}", self.grant, b64::encode(&*self.family), b64::encode(&*self.own))
    }

    /// The grant it names.
    pub fn grant(&self) -> &GrantId {
        &self.grant
    }
    /// base64url SHA-256 of what all tokens of the grant share.
    pub fn family_hash(&self) -> String {
        b64::encode(&mac::h(&*self.family))
    }
    /// base64url SHA-256 of its own secret.
    pub fn own_hash(&self) -> String {
        b64::encode(&mac::h(&*self.own))
    }

    /// Its successor, derived with the server's key `k`: the same each time it is asked for.
    pub fn next(&self, k: &[u8]) -> RefreshToken {
        let own = mac::m(k, "refresh", &[self.grant.as_str().as_bytes(), &*self.family, &*self.own]);
        RefreshToken { grant: self.grant.clone(), family: self.family.clone(), own: own.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn token() -> RefreshToken {
        RefreshToken::first(GrantId::new(Time(1), [1; 10]), [2; 32], [3; 32])
    }

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let text = token().text();
        let read = RefreshToken::parse(&text).unwrap();
        assert!(read.text() == text && read.grant() == token().grant());
        for bad in ["", "a.b.c", "a.b", &text[1..], &text[..text.len() - 1], &format!("{text}."), &text.replace('.', "")] {
            assert!(RefreshToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_successor_keeps_its_family_and_comes_out_the_same_only_from_the_same() {
        let (first, k) = (token(), [7; 32]);
        let next = first.next(&k);
        assert_eq!(next.family_hash(), first.family_hash());
        assert_ne!(next.own_hash(), first.own_hash());
        assert_eq!(next.own_hash(), token().next(&k).own_hash());
        assert_ne!(next.own_hash(), first.next(&[8; 32]).own_hash());
        assert_ne!(next.own_hash(), next.next(&k).own_hash());
    }
}
