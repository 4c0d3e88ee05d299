//! Public keys as authenticators write them (COSE, RFC 9052 §7; WebAuthn L3 §5.8.5).

use super::Fault;
use crate::cbor::Cbor;
use crate::jose::Jwk;

/// Algorithms of passkeys and of attestation, by their COSE numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoseAlg {
    /// ECDSA with SHA-256, on P-256 alone: -7.
    ES256,
    /// Ed25519 as `EdDSA`: -8.
    EdDSA,
    /// ECDSA with SHA-384, on P-384 alone: -35.
    ES384,
    /// ECDSA with SHA-512, on P-521 alone: -36.
    ES512,
    /// RSASSA-PKCS1-v1_5 with SHA-256: -257.
    RS256,
}

impl CoseAlg {
    /// All, in the order in which new passkeys are asked for them.
    pub const ALL: [CoseAlg; 5] = [CoseAlg::ES256, CoseAlg::EdDSA, CoseAlg::ES384, CoseAlg::ES512, CoseAlg::RS256];

    /// Its number in the registry of COSE algorithms.
    pub const fn number(self) -> i64 {
        match self {
            CoseAlg::ES256 => -7,
            CoseAlg::EdDSA => -8,
            CoseAlg::ES384 => -35,
            CoseAlg::ES512 => -36,
            CoseAlg::RS256 => -257,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            CoseAlg::ES256 => "ES256",
            CoseAlg::EdDSA => "EdDSA",
            CoseAlg::ES384 => "ES384",
            CoseAlg::ES512 => "ES512",
            CoseAlg::RS256 => "RS256",
        }
    }

    /// The algorithm of that number.
    pub fn of(number: i64) -> Option<CoseAlg> {
        CoseAlg::ALL.into_iter().find(|alg| alg.number() == number)
    }

    /// Whether `key` is one for it.
    pub fn suits(self, key: &Jwk) -> bool {
        matches!(
            (self, key),
            (CoseAlg::ES256, Jwk::P256(_))
                | (CoseAlg::ES384, Jwk::P384(_))
                | (CoseAlg::ES512, Jwk::P521(_))
                | (CoseAlg::EdDSA, Jwk::Ed25519(_))
                | (CoseAlg::RS256, Jwk::Rsa { .. })
        )
    }
}

/// Labels of COSE_Key: kty, alg; crv, x, y; n, e.
const KTY: i64 = 1;
const ALG: i64 = 3;
const CRV_OR_N: i64 = -1;
const X_OR_E: i64 = -2;
const Y: i64 = -3;

/// Reads a COSE_Key. Each algorithm has one kind of key; any other pair is [`Fault::Key`].
pub fn cose_key(map: &Cbor<'_>) -> Result<(CoseAlg, Jwk), Fault> {
    let int = |label| map.label(label).and_then(Cbor::int);
    let bytes = |label| map.label(label).and_then(Cbor::bytes).ok_or(Fault::Key);
    let alg = int(ALG).and_then(CoseAlg::of).ok_or(Fault::Key)?;
    let curve = match alg {
        CoseAlg::ES256 => Some((2, 1)),
        CoseAlg::ES384 => Some((2, 2)),
        CoseAlg::ES512 => Some((2, 3)),
        CoseAlg::EdDSA => Some((1, 6)),
        CoseAlg::RS256 => None,
    };
    let key = match curve {
        Some((kty, crv)) if int(KTY) == Some(kty) && int(CRV_OR_N) == Some(crv) => {
            if kty == 2 {
                Jwk::from_coordinates(bytes(X_OR_E)?, bytes(Y)?).map_err(|_| Fault::Key)?
            } else {
                Jwk::Ed25519(bytes(X_OR_E)?.try_into().map_err(|_| Fault::Key)?)
            }
        }
        None if int(KTY) == Some(3) => Jwk::rsa(bytes(CRV_OR_N)?, bytes(X_OR_E)?).map_err(|_| Fault::Key)?,
        _ => return Err(Fault::Key),
    };
    if alg.suits(&key) && key.is_sound() { Ok((alg, key)) } else { Err(Fault::Key) }
}
