//! Compact JWS (RFC 7515 §7.1): parse, verify, and put together what somebody else signs.

use super::{Alg, Jwk};
use crate::limits::JWS_BYTES;
use crate::{Malformed, b64, object};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A parsed, not yet verified JWS. Its claims are reached through [`Jws::verify`] alone.
pub struct Jws<'a> {
    header: Map<String, Value>,
    alg: Alg,
    payload: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
}

/// A JWS whose signature was checked: the only way to its claims.
#[derive(Clone, Debug)]
pub struct Claims(Vec<u8>);

/// Why a JWS was not taken by a key that came as JSON. The code is interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsFault {
    /// No JWS that is read here: not compact, `crit`, an algorithm that is not spoken.
    Malformed(Malformed),
    /// No key that is read here.
    Key(Malformed),
    /// The key is for another algorithm (RFC 7517 §4.4).
    Algorithm,
    /// The signature is not of this key.
    Signature,
}

impl JwsFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            JwsFault::Malformed(_) => "malformed",
            JwsFault::Key(_) => "key",
            JwsFault::Algorithm => "algorithm",
            JwsFault::Signature => "signature",
        }
    }
}

impl std::fmt::Display for JwsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JwsFault::Malformed(Malformed(what)) => write!(f, "malformed: expected {what}"),
            JwsFault::Key(Malformed(what)) => write!(f, "key: expected {what}"),
            JwsFault::Algorithm => f.write_str("algorithm: the key is for another algorithm than the JWS names"),
            JwsFault::Signature => f.write_str("signature: it is not of this key over these bytes"),
        }
    }
}

impl std::error::Error for JwsFault {}

/// Judges `text` by a key as JSON (RFC 7517). A key that says which algorithm it is for serves no
/// other.
pub fn verify_by<'a>(text: &'a str, jwk: &Value) -> Result<(Jws<'a>, Claims), JwsFault> {
    let jws = Jws::parse(text).map_err(JwsFault::Malformed)?;
    let key = Jwk::parse(jwk).map_err(JwsFault::Key)?;
    let named = jwk.get("alg").and_then(Value::as_str).and_then(Alg::parse);
    if named.is_some_and(|alg| alg != jws.alg) {
        return Err(JwsFault::Algorithm);
    }
    let claims = jws.verify(&key).map_err(|_| JwsFault::Signature)?;
    Ok((jws, claims))
}

/// Whoever holds a private key. Implemented outside this crate.
pub trait Signer: Send + Sync {
    /// The algorithm of the key.
    fn alg(&self) -> Alg;
    /// The signature over `message`, in JWS form (r ‖ s for ECDSA).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault>;
}

/// The key could not sign: it is gone, locked or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignFault;

impl<'a> Jws<'a> {
    /// Splits and decodes. `crit`, `b64`, unknown algorithms and oversize are [`Malformed`].
    pub fn parse(text: &'a str) -> Result<Jws<'a>, Malformed> {
        if text.len() > JWS_BYTES {
            return Err(Malformed("a shorter JWS"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Malformed("a compact JWS"))?;
        let (head, payload) = signed.split_once('.').ok_or(Malformed("a compact JWS"))?;
        if payload.contains('.') {
            return Err(Malformed("a compact JWS"));
        }
        let header: Map<String, Value> =
            serde_json::from_slice(&b64::decode(head)?).map_err(|_| Malformed("a JWS header"))?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Malformed("a JWS without critical extensions"));
        }
        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Alg::parse)
            .ok_or(Malformed("a known asymmetric algorithm"))?;
        Ok(Jws { header, alg, payload, signed, signature: b64::decode(signature)? })
    }

    /// A header member that is text.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// The public key inside the header (RFC 7515 §4.1.3), if there is a good one.
    pub fn header_jwk(&self) -> Result<Jwk, Malformed> {
        Jwk::parse(self.header.get("jwk").ok_or(Malformed("a key in the header"))?)
    }

    /// What was signed (RFC 7515 §5.1): the same in whatever way its signature is written. By this, and not by the
    /// whole text, one JWS is told from another: of ECDSA's (r, s) anybody can make (r, n − s).
    pub fn signed(&self) -> &str {
        self.signed
    }

    /// The algorithm it claims.
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Claims (RFC 7519 §7.2: an object) that nobody has vouched for yet: only to find the key that would.
    pub fn unverified<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        object::parse(&b64::decode(self.payload)?).map_err(|_| Malformed("claims"))
    }

    /// The claims, if `key` made the signature.
    pub fn verify(&self, key: &Jwk) -> Result<Claims, Malformed> {
        if key.verify(self.alg, self.signed.as_bytes(), &self.signature) {
            Ok(Claims(b64::decode(self.payload)?))
        } else {
            Err(Malformed("a good signature"))
        }
    }
}

impl Claims {
    /// The verified payload.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// The verified payload as a structure; claims are an object (RFC 7519 §7.2).
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        object::parse(&self.0).map_err(|_| Malformed("claims"))
    }
}

/// Makes a compact JWS. `alg` is set by the signer.
pub fn encode(
    mut header: Map<String, Value>,
    payload: &[u8],
    signer: &dyn Signer,
) -> Result<String, SignFault> {
    header.insert("alg".into(), signer.alg().as_str().into());
    let head = serde_json::to_vec(&header).map_err(|_| SignFault)?;
    let mut text = b64::encode(&head);
    text.push('.');
    text.push_str(&b64::encode(payload));
    let signature = signer.sign(text.as_bytes())?;
    text.push('.');
    text.push_str(&b64::encode(&signature));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_es256_and_eddsa_examples_of_the_rfcs_verify() {
        // RFC 7515 A.3
        let key = Jwk::parse(&json!({"kty":"EC","crv":"P-256",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})).unwrap();
        let text = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let jws = Jws::parse(text).unwrap();
        assert!(jws.verify(&key).is_ok());
        let broken = text.replace("DtEh", "DtEi");
        assert!(Jws::parse(&broken).unwrap().verify(&key).is_err());
        // RFC 8037 A.4
        let key = Jwk::parse(&json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})).unwrap();
        let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(Jws::parse(text).unwrap().verify(&key).unwrap().bytes(), b"Example of Ed25519 signing");
    }

    #[test]
    fn none_hmac_and_critical_headers_do_not_parse() {
        for header in [json!({"alg":"none"}), json!({"alg":"HS256"}), json!({"alg":"ES256","crit":["x"]}), json!({})] {
            let text = format!("{}.e30.AAAA", b64::encode(header.to_string().as_bytes()));
            assert!(Jws::parse(&text).is_err(), "{header}");
        }
        for text in ["", "a", "a.b", "a.b.c.d", "....", &"a".repeat(20_000)] {
            assert!(Jws::parse(text).is_err());
        }
    }
}
