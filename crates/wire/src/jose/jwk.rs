//! Public keys as JWK (RFC 7517), their thumbprints (RFC 7638), and what they verify.

use crate::{Malformed, Thumbprint, b64, mac};
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A signature algorithm (RFC 7518, RFC 8037). `none` and the symmetric ones do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alg {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// RSASSA-PKCS1-v1_5 with SHA-256; only where a standard asks for it.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
}

impl Alg {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Alg::ES256 => "ES256",
            Alg::EdDSA => "EdDSA",
            Alg::RS256 => "RS256",
            Alg::PS256 => "PS256",
        }
    }
    /// The algorithm of that name; `Ed25519` (RFC 9864) is taken for `EdDSA`.
    pub fn parse(name: &str) -> Option<Alg> {
        match name {
            "ES256" => Some(Alg::ES256),
            "EdDSA" | "Ed25519" => Some(Alg::EdDSA),
            "RS256" => Some(Alg::RS256),
            "PS256" => Some(Alg::PS256),
            _ => None,
        }
    }
}

/// A public key. There is no private form: a JWK with private members does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwk {
    /// A point on P-256, uncompressed without its leading 04: x ‖ y.
    P256([u8; 64]),
    /// The same on P-384. Passkeys and certificates alone have it: no JWS here is verified by it.
    P384([u8; 96]),
    /// The same on P-521, likewise.
    P521([u8; 132]),
    /// An Ed25519 point.
    Ed25519([u8; 32]),
    /// RSA modulus and exponent, big-endian without leading zeros.
    Rsa {
        /// Modulus, 2048 to 8192 bits.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
}

impl Jwk {
    /// Reads a JWK object. Private or symmetric members make it [`Malformed`], as does a `use`,
    /// `key_ops` or `alg` that is not for our signatures. Which algorithm an RSA key is for is the
    /// caller's to hold: `alg` is checked here and not kept.
    pub fn parse(value: &Value) -> Result<Jwk, Malformed> {
        let map = value.as_object().ok_or(Malformed("a JWK object"))?;
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|m| map.contains_key(*m)) {
            return Err(Malformed("a public JWK"));
        }
        let text = |name: &str| map.get(name).and_then(Value::as_str);
        let verifies = |ops: &Value| {
            ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"))
        };
        // A key that says what it is for is not used for anything else (RFC 7517 §4.2 to §4.4).
        if map.get("use").is_some_and(|u| u != "sig")
            || map.get("key_ops").is_some_and(|ops| !verifies(ops))
        {
            return Err(Malformed("a key that verifies signatures"));
        }
        let key = Jwk::parse_members(&text)?;
        match map.get("alg") {
            Some(alg) if !alg.as_str().and_then(Alg::parse).is_some_and(|a| key.suits(a)) => {
                Err(Malformed("a key for an algorithm that suits it"))
            }
            _ => Ok(key),
        }
    }

    /// Whether signatures of `alg` are verified by a key of this kind.
    pub fn suits(&self, alg: Alg) -> bool {
        matches!(
            (self, alg),
            (Jwk::P256(_), Alg::ES256)
                | (Jwk::Ed25519(_), Alg::EdDSA)
                | (Jwk::Rsa { .. }, Alg::RS256 | Alg::PS256)
        )
    }

    fn parse_members<'a>(text: &impl Fn(&str) -> Option<&'a str>) -> Result<Jwk, Malformed> {
        match (text("kty"), text("crv")) {
            (Some("EC"), Some(curve)) => {
                let x = b64::decode(text("x").unwrap_or_default())?;
                let y = b64::decode(text("y").unwrap_or_default())?;
                let key = Jwk::from_coordinates(&x, &y)?;
                if key.curve() == curve { Ok(key) } else { Err(Malformed("a point on its curve")) }
            }
            (Some("OKP"), Some("Ed25519")) => {
                Ok(Jwk::Ed25519(b64::decode_array(text("x").unwrap_or_default())?))
            }
            (Some("RSA"), _) => {
                let n = b64::decode(text("n").unwrap_or_default())?;
                let e = b64::decode(text("e").unwrap_or_default())?;
                if n.first() == Some(&0) || e.first() == Some(&0) {
                    return Err(Malformed("numbers in their shortest form"));
                }
                Jwk::rsa(&n, &e)
            }
            _ => Err(Malformed("a key of kind EC, OKP Ed25519 or RSA")),
        }
    }

    /// The EC key with these coordinates; their length tells the curve (RFC 7518 §6.2.1).
    pub fn from_coordinates(x: &[u8], y: &[u8]) -> Result<Jwk, Malformed> {
        let wrong = Malformed("coordinates of P-256, P-384 or P-521");
        let whole = [x, y].concat();
        match (x.len(), y.len()) {
            (32, 32) => whole.try_into().map(Jwk::P256).map_err(|_| wrong),
            (48, 48) => whole.try_into().map(Jwk::P384).map_err(|_| wrong),
            (66, 66) => whole.try_into().map(Jwk::P521).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    /// The EC key of an uncompressed point (SEC 1 §2.3.3).
    pub fn from_point(point: &[u8]) -> Result<Jwk, Malformed> {
        let [4, both @ ..] = point else { return Err(Malformed("an uncompressed point")) };
        let (x, y) = both.split_at(both.len() / 2);
        Jwk::from_coordinates(x, y)
    }

    /// An RSA key as COSE and certificates have it: zeros in front do not count.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Jwk, Malformed> {
        let bare = |bytes: &[u8]| bytes.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>();
        let (n, e) = (bare(n), bare(e));
        if !(256..=1024).contains(&n.len()) || e.is_empty() || e.len() > 8 {
            return Err(Malformed("an RSA key of 2048 to 8192 bits"));
        }
        Ok(Jwk::Rsa { n, e })
    }

    /// The `crv` of an EC or OKP key; of an RSA key nothing.
    pub fn curve(&self) -> &'static str {
        match self {
            Jwk::P256(_) => "P-256",
            Jwk::P384(_) => "P-384",
            Jwk::P521(_) => "P-521",
            Jwk::Ed25519(_) => "Ed25519",
            Jwk::Rsa { .. } => "",
        }
    }

    /// x ‖ y of an EC key.
    fn both(&self) -> &[u8] {
        match self {
            Jwk::P256(both) => both,
            Jwk::P384(both) => both,
            Jwk::P521(both) => both,
            _ => &[],
        }
    }

    /// The members that name the key and nothing else, as RFC 7638 orders them.
    pub fn members(&self) -> Map<String, Value> {
        let value = match self {
            Jwk::P256(_) | Jwk::P384(_) | Jwk::P521(_) => {
                let (x, y) = self.both().split_at(self.both().len() / 2);
                json!({"crv": self.curve(), "kty": "EC", "x": b64::encode(x), "y": b64::encode(y)})
            }
            Jwk::Ed25519(x) => json!({"crv": "Ed25519", "kty": "OKP", "x": b64::encode(x)}),
            Jwk::Rsa { n, e } => json!({"e": b64::encode(e), "kty": "RSA", "n": b64::encode(n)}),
        };
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// SHA-256 thumbprint (RFC 7638 §3).
    pub fn thumbprint(&self) -> Thumbprint {
        let text = match self {
            Jwk::P256(_) | Jwk::P384(_) | Jwk::P521(_) => {
                let (x, y) = self.both().split_at(self.both().len() / 2);
                format!(
                    "{{\"crv\":\"{}\",\"kty\":\"EC\",\"x\":\"{}\",\"y\":\"{}\"}}",
                    self.curve(),
                    b64::encode(x),
                    b64::encode(y)
                )
            }
            Jwk::Ed25519(x) => {
                format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}", b64::encode(x))
            }
            Jwk::Rsa { n, e } => {
                format!("{{\"e\":\"{}\",\"kty\":\"RSA\",\"n\":\"{}\"}}", b64::encode(e), b64::encode(n))
            }
        };
        Thumbprint::from_digest(&mac::h(text.as_bytes()))
    }

    /// Whether `signature` over `message` was made by this key with `alg`. In a JWS an ECDSA
    /// signature is r ‖ s (RFC 7518 §3.4).
    pub fn verify(&self, alg: Alg, message: &[u8], signature: &[u8]) -> bool {
        match (self, alg) {
            (Jwk::P256(_), Alg::ES256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, self.point())
                    .verify(message, signature)
                    .is_ok()
            }
            (Jwk::Ed25519(x), Alg::EdDSA) => UnparsedPublicKey::new(&signature::ED25519, x)
                .verify(message, signature)
                .is_ok(),
            (Jwk::Rsa { n, e }, Alg::RS256) => signature::RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Jwk::Rsa { n, e }, Alg::PS256) => signature::RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PSS_2048_8192_SHA256, message, signature)
                .is_ok(),
            _ => false,
        }
    }

    /// As [`Jwk::verify`], for a WebAuthn signature: ECDSA comes in ASN.1 (WebAuthn L3 §6.5.5).
    pub fn verify_webauthn(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Jwk::P256(_) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, self.point())
                .verify(message, signature)
                .is_ok(),
            Jwk::P384(_) => UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_ASN1, self.long_point())
                .verify(message, signature)
                .is_ok(),
            Jwk::P521(_) => UnparsedPublicKey::new(&signature::ECDSA_P521_SHA512_ASN1, self.long_point())
                .verify(message, signature)
                .is_ok(),
            Jwk::Ed25519(_) => self.verify(Alg::EdDSA, message, signature),
            Jwk::Rsa { .. } => self.verify(Alg::RS256, message, signature),
        }
    }

    /// Whether there can be such a key: an EC key is a point on its curve. Nothing verifies by one
    /// that is none; whoever keeps a key asks before.
    pub fn is_sound(&self) -> bool {
        match self {
            Jwk::P256(_) => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, self.long_point()).is_ok(),
            Jwk::P384(_) => ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_ASN1, self.long_point()).is_ok(),
            Jwk::P521(_) => ParsedPublicKey::new(&signature::ECDSA_P521_SHA512_ASN1, self.long_point()).is_ok(),
            Jwk::Ed25519(x) => ParsedPublicKey::new(&signature::ED25519, x).is_ok(),
            Jwk::Rsa { .. } => true,
        }
    }

    fn long_point(&self) -> Vec<u8> {
        [&[4], self.both()].concat()
    }

    /// The same for P-256, which every request needs, without asking for memory.
    fn point(&self) -> [u8; 65] {
        let mut out = [0; 65];
        if let (Jwk::P256(point), [head, rest @ ..]) = (self, &mut out) {
            *head = 4;
            rest.copy_from_slice(point);
        }
        out
    }
}

/// A published key set (RFC 7517 §5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(String, Jwk)>);

impl Keys {
    /// The keys of `set` that have a name. Those of kinds unknown here are passed over, as the RFC says.
    pub fn of(set: &Value) -> Keys {
        let named = |key: &Value| Some((key.get("kid")?.as_str()?.to_owned(), Jwk::parse(key).ok()?));
        Keys(set.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(named).collect())
    }
    /// The key of that name.
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.0.iter().find(|(name, _)| name == kid).map(|(_, key)| key)
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Thumbprint {
    /// The thumbprint whose SHA-256 is `digest`.
    pub fn from_digest(digest: &[u8; 32]) -> Thumbprint {
        // 32 bytes always make 43 characters of the allowed alphabet.
        Thumbprint::try_from(b64::encode(digest)).unwrap_or_else(|_| unreachable!())
    }
}

impl Serialize for Jwk {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.members().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Jwk, D::Error> {
        Jwk::parse(&Value::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_7638_is_reproduced() {
        let jwk = json!({"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29",
            "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"});
        assert_eq!(
            Jwk::parse(&jwk).unwrap().thumbprint().as_str(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_key_with_private_members_does_not_parse() {
        let mut jwk = json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert!(Jwk::parse(&jwk).is_ok());
        jwk["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        assert!(Jwk::parse(&jwk).is_err());
        assert!(Jwk::parse(&json!({"kty":"oct","k":"AAAA"})).is_err());
    }
}
