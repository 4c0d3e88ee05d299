//! Certificates (RFC 5280) as attestation needs them: what one says, and whether a chain leads to a
//! root. The chain itself is rustls-webpki's to judge.

use crate::der::{Der, Tag};
use crate::jose::Jwk;
use crate::{Malformed, Time};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// Object identifiers, as they stand in DER.
pub mod oid {
    /// countryName.
    pub const COUNTRY: &[u8] = &[0x55, 4, 6];
    /// organizationName.
    pub const ORGANISATION: &[u8] = &[0x55, 4, 10];
    /// organizationalUnitName.
    pub const UNIT: &[u8] = &[0x55, 4, 11];
    /// commonName.
    pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    /// subjectAltName.
    pub const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
    /// basicConstraints.
    pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    /// extKeyUsage.
    pub const PURPOSES: &[u8] = &[0x55, 0x1d, 37];

    pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    pub(super) const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
    pub(super) const P521: &[u8] = &[0x2b, 0x81, 4, 0, 0x23];
    pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
}

/// Most certificates of one chain; authenticators send up to five.
const CHAIN: usize = 8;
/// Most extensions of one certificate: each is held against all before it. Real ones have about ten.
const EXTENSIONS: usize = 64;
/// Version 3, as it is written.
const V3: u32 = 2;

const WRONG: Malformed = Malformed("a certificate");

/// An attribute of a name: its type and its text.
pub type Attribute<'a> = (&'a [u8], &'a [u8]);

/// An extension (RFC 5280 §4.2).
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    id: &'a [u8],
    /// Whether whoever does not know it must refuse.
    pub critical: bool,
    /// Its value.
    pub value: &'a [u8],
}

/// What a certificate says. Nobody has vouched for it yet.
#[derive(Debug)]
pub struct Certificate<'a> {
    subject: &'a [u8],
    key: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate of version 3; all formats of attestation ask for it.
    pub fn parse(der: &'a [u8]) -> Result<Certificate<'a>, Malformed> {
        let mut outer = Der::inside(der, Tag::SEQUENCE)?;
        let mut tbs = Der::new(outer.take(Tag::SEQUENCE)?);
        let mut version = Der::new(tbs.take(Tag::explicit(0))?);
        if version.small(Tag::INTEGER)? != V3 {
            return Err(WRONG);
        }
        tbs.take(Tag::INTEGER)?;
        // Algorithm, issuer, validity: for whoever judges the chain.
        for _ in 0..3 {
            tbs.take(Tag::SEQUENCE)?;
        }
        let subject = tbs.take(Tag::SEQUENCE)?;
        let key = tbs.take(Tag::SEQUENCE)?;
        let mut extensions: Vec<Extension<'a>> = Vec::new();
        if let Some(body) = tbs.maybe(Tag::explicit(3))? {
            let mut list = Der::inside(body, Tag::SEQUENCE)?;
            while !list.is_empty() {
                let mut one = Der::new(list.take(Tag::SEQUENCE)?);
                let id = one.take(Tag::OID)?;
                let critical = one.maybe(Tag::BOOLEAN)? == Some(&[0xff]);
                let value = one.take(Tag::OCTETS)?;
                one.end()?;
                if extensions.len() >= EXTENSIONS || extensions.iter().any(|e| e.id == id) {
                    return Err(WRONG);
                }
                extensions.push(Extension { id, critical, value });
            }
        }
        tbs.end()?;
        Ok(Certificate { subject, key, extensions })
    }

    /// An extension by its identifier.
    pub fn extension(&self, id: &[u8]) -> Option<Extension<'a>> {
        self.extensions.iter().find(|e| e.id == id).copied()
    }

    /// The attributes of its subject.
    pub fn subject(&self) -> Result<Vec<Attribute<'a>>, Malformed> {
        attributes(self.subject)
    }

    /// Whether it says of itself that it may sign others; nothing where it says neither.
    pub fn is_authority(&self) -> Result<Option<bool>, Malformed> {
        let Some(found) = self.extension(oid::BASIC_CONSTRAINTS) else { return Ok(None) };
        let mut inside = Der::inside(found.value, Tag::SEQUENCE)?;
        Ok(Some(inside.maybe(Tag::BOOLEAN)? == Some(&[0xff])))
    }

    /// Whether it may be used for `purpose` by its own word.
    pub fn has_purpose(&self, purpose: &[u8]) -> Result<bool, Malformed> {
        let Some(found) = self.extension(oid::PURPOSES) else { return Ok(false) };
        let mut inside = Der::inside(found.value, Tag::SEQUENCE)?;
        let mut has = false;
        while !inside.is_empty() {
            has |= inside.take(Tag::OID)? == purpose;
        }
        Ok(has)
    }

    /// Directory names among its alternative names (RFC 5280 §4.2.1.6).
    pub fn directory_names(&self) -> Result<Vec<Attribute<'a>>, Malformed> {
        let mut all = Vec::new();
        let Some(found) = self.extension(oid::ALTERNATIVE_NAME) else { return Ok(all) };
        let mut names = Der::inside(found.value, Tag::SEQUENCE)?;
        while !names.is_empty() {
            let (tag, body) = names.any()?;
            if tag == Tag::explicit(4) {
                let mut name = Der::new(body);
                all.extend(attributes(name.take(Tag::SEQUENCE)?)?);
            }
        }
        Ok(all)
    }

    /// Its public key, if it is of a kind that we verify with.
    pub fn key(&self) -> Result<Jwk, Malformed> {
        let mut info = Der::new(self.key);
        let mut kind = Der::new(info.take(Tag::SEQUENCE)?);
        let algorithm = kind.take(Tag::OID)?;
        let [0, bits @ ..] = info.take(Tag::BITS)? else { return Err(WRONG) };
        match algorithm {
            oid::EC => {
                let curve = kind.take(Tag::OID)?;
                let key = Jwk::from_point(bits)?;
                let fits = matches!((&key, curve), (Jwk::P256(_), oid::P256) | (Jwk::P384(_), oid::P384) | (Jwk::P521(_), oid::P521));
                if fits { Ok(key) } else { Err(WRONG) }
            }
            oid::ED25519 => Ok(Jwk::Ed25519(bits.try_into().map_err(|_| WRONG)?)),
            oid::RSA => {
                let mut pair = Der::inside(bits, Tag::SEQUENCE)?;
                Jwk::rsa(pair.take(Tag::INTEGER)?, pair.take(Tag::INTEGER)?)
            }
            _ => Err(WRONG),
        }
    }
}

/// Name ::= SEQUENCE OF SET OF SEQUENCE { type, value } (RFC 5280 §4.1.2.4), its inside.
fn attributes(name: &[u8]) -> Result<Vec<Attribute<'_>>, Malformed> {
    let (mut all, mut sets) = (Vec::new(), Der::new(name));
    while !sets.is_empty() {
        let mut set = Der::new(sets.take(Tag::SET)?);
        while !set.is_empty() {
            let mut pair = Der::new(set.take(Tag::SEQUENCE)?);
            all.push((pair.take(Tag::OID)?, pair.any()?.1));
            pair.end()?;
        }
    }
    Ok(all)
}

/// Certificates that chains must lead to.
#[derive(Clone, Debug, Default)]
pub struct Roots(Vec<CertificateDer<'static>>);

/// Why a chain is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// It leads to none of the roots.
    Untrusted,
    /// Some certificate of it is not valid yet, or no more.
    Expired,
}

impl Roots {
    /// Adds one root. Something that cannot be a root is [`Malformed`].
    pub fn add(&mut self, der: &[u8]) -> Result<(), Malformed> {
        let root = CertificateDer::from(der.to_vec());
        webpki::anchor_from_trusted_cert(&root).map_err(|_| Malformed("a root certificate"))?;
        self.0.push(root);
        Ok(())
    }

    /// Every certificate of a PEM text (RFC 7468). One that is damaged makes the whole text
    /// [`Malformed`], and so does a text without any.
    pub fn from_pem(text: &str) -> Result<Roots, Malformed> {
        let mut roots = Roots::default();
        for block in CertificateDer::pem_slice_iter(text.as_bytes()) {
            roots.add(&block.map_err(|_| Malformed("PEM"))?)?;
        }
        if roots.0.is_empty() { Err(Malformed("at least one root certificate")) } else { Ok(roots) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges a chain, its leaf first, at `now` (RFC 5280 §6; revocation is not looked up).
    pub fn judge(&self, chain: &[&[u8]], now: Time) -> Result<(), ChainFault> {
        let certificates: Vec<CertificateDer<'_>> = chain.iter().take(CHAIN).map(|der| CertificateDer::from(*der)).collect();
        let anchors: Vec<_> = self.0.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
        let (leaf, others) = certificates.split_first().filter(|_| chain.len() <= CHAIN).ok_or(ChainFault::Untrusted)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|_| ChainFault::Untrusted)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0)));
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, others, now, AnyPurpose, None, None).map(|_| ()).map_err(|e| match e {
            webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } | webpki::Error::InvalidCertValidity => ChainFault::Expired,
            _ => ChainFault::Untrusted,
        })
    }
}

/// What a certificate is for is a matter of the format of attestation.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.try_for_each(|p| p.map(|_| ()))
    }
}
