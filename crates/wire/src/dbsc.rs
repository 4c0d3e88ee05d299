//! Device Bound Session Credentials: what a browser signs with the key of a session that it keeps in hardware, and what
//! it is asked to sign (W3C draft of 17 February 2026).
//!
//! A challenge and a bound cookie are both a time and a MAC over it and over what it is for, so that nothing need be kept.

use crate::jose::{Alg, Jwk, Jws};
use crate::limits::{DBSC_CHALLENGE_S, JTI_BYTES};
use crate::secret::same;
use crate::{Malformed, Thumbprint, Time, b64, mac};
use serde::Deserialize;

/// Offers a bound session, in an answer (`Secure-Session-Registration`).
pub const REGISTRATION: &str = "secure-session-registration";
/// Asks for a proof, in an answer (`Secure-Session-Challenge`).
pub const CHALLENGE: &str = "secure-session-challenge";
/// Carries a proof, in a request (`Secure-Session-Response`).
pub const RESPONSE: &str = "secure-session-response";
/// Names the session that a request wants to refresh (`Sec-Secure-Session-Id`).
pub const ID: &str = "sec-secure-session-id";
/// Algorithms of the draft that verify something: `none` is not offered and does not parse.
pub const ALGS: [Alg; 2] = [Alg::ES256, Alg::RS256];

/// Claims of a proof ("DBSC Proof JWT Syntax"); others are ignored.
#[derive(Deserialize)]
struct Said {
    jti: String,
}

/// A key that a browser made for a session and proved.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The key.
    pub jwk: Jwk,
    /// The challenge that was signed.
    pub challenge: String,
}

/// Reads a proof of registration: the key stands in its header.
pub fn registration(text: &str) -> Result<Registered, Malformed> {
    let jwk = read(text)?.header_jwk()?;
    if !jwk.is_sound() {
        return Err(Malformed("a key that can be one"));
    }
    Ok(Registered { challenge: refresh(text, &jwk)?, jwk })
}

/// Reads a proof by the key that was registered: the challenge that was signed. A key in its header counts for nothing.
pub fn refresh(text: &str, key: &Jwk) -> Result<String, Malformed> {
    let said: Said = read(text)?.verify(key)?.read()?;
    let plain = said.jti.bytes().all(|b| (0x21..=0x7e).contains(&b));
    if said.jti.is_empty() || said.jti.len() > JTI_BYTES || !plain {
        return Err(Malformed("a challenge of 1 to 128 visible characters"));
    }
    Ok(said.jti)
}

fn read(text: &str) -> Result<Jws<'_>, Malformed> {
    let jws = Jws::parse(text)?;
    if jws.header_text("typ") != Some("dbsc+jwt") {
        return Err(Malformed("typ dbsc+jwt"));
    }
    if !ALGS.contains(&jws.alg()) {
        return Err(Malformed("an algorithm that was offered"));
    }
    Ok(jws)
}

/// The text of a header that is one string (RFC 9651 §3.3.3), with or without its quotes; parameters are ignored. What
/// would need escapes is none of ours.
pub fn string(header: &str) -> &str {
    let item = header.split(';').next().unwrap_or_default().trim();
    item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(item)
}

/// What a challenge or a cookie is for.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The session.
    pub session: &'a str,
    /// The key that it is bound to, once it is.
    pub key: Option<&'a Thumbprint>,
}

impl About<'_> {
    fn stamp(&self, key: &[u8], tag: &str, time: Time) -> String {
        let time = time.millis().to_be_bytes();
        let bound = self.key.map_or("", Thumbprint::as_str);
        let whole = mac::m(key, tag, &[&time, self.session.as_bytes(), bound.as_bytes()]);
        b64::encode(&[&time, whole.get(..24).unwrap_or_default()].concat())
    }

    /// The time, in milliseconds, if `key` made the stamp for this.
    fn stamped(&self, key: &[u8], tag: &str, text: &str) -> Option<i64> {
        let bytes = b64::decode_array::<32>(text).ok()?;
        let ms = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        // Beyond that, no time is meant.
        let time = Time(ms.checked_mul(1_000)?);
        same(self.stamp(key, tag, time).as_bytes(), text.as_bytes()).then_some(ms)
    }

    /// Something to sign, good for [`DBSC_CHALLENGE_S`] on any node with the key.
    pub fn challenge(&self, key: &[u8], now: Time) -> String {
        self.stamp(key, "dbsc challenge", now)
    }

    /// Whether `key` made this challenge, not long ago.
    pub fn is_live_challenge(&self, key: &[u8], text: &str, now: Time) -> bool {
        let age_ms = |made: i64| now.millis().saturating_sub(made);
        self.stamped(key, "dbsc challenge", text).is_some_and(|made| (-1_000..=DBSC_CHALLENGE_S * 1_000).contains(&age_ms(made)))
    }

    /// The value of a bound cookie.
    pub fn cookie(&self, key: &[u8], until: Time) -> String {
        self.stamp(key, "dbsc cookie", until)
    }

    /// Whether `key` made this cookie, and its time has not come.
    pub fn is_live_cookie(&self, key: &[u8], text: &str, now: Time) -> bool {
        self.stamped(key, "dbsc cookie", text).is_some_and(|until| now.millis() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Signer, jws};
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::KeyPair as _;
    use aws_lc_rs::{rand::SystemRandom, rsa::KeySize, signature::*};
    use serde_json::{Map, Value, json};

    const K: &[u8] = &[5; 32];
    const NOW: Time = Time(1_800_000_000_000_000);

    enum Key {
        Ec(EcdsaKeyPair),
        Rsa(RsaKeyPair, Alg),
    }
    impl Signer for Key {
        fn alg(&self) -> Alg {
            match self {
                Key::Ec(_) => Alg::ES256,
                Key::Rsa(_, alg) => *alg,
            }
        }
        fn sign(&self, m: &[u8]) -> Result<Vec<u8>, jws::SignFault> {
            let rng = SystemRandom::new();
            Ok(match self {
                Key::Ec(pair) => pair.sign(&rng, m).unwrap().as_ref().to_vec(),
                Key::Rsa(pair, alg) => {
                    let mut out = vec![0; pair.public_modulus_len()];
                    let padding: &dyn RsaEncoding = if *alg == Alg::RS256 { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                    pair.sign(padding, &rng, m, &mut out).unwrap();
                    out
                }
            })
        }
    }
    fn ec() -> (Key, Jwk) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point: [u8; 64] = pair.public_key().as_ref()[1..].try_into().unwrap();
        (Key::Ec(pair), Jwk::P256(point))
    }
    fn rsa(alg: Alg) -> (Key, Jwk) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let _ = pair.as_der();
        let public = pair.public_key();
        let jwk = Jwk::rsa(public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero()).unwrap();
        (Key::Rsa(pair, alg), jwk)
    }
    fn proof(key: &Key, header: Value, claims: &Value) -> String {
        let Value::Object(header) = header else { panic!() };
        jws::encode(header, claims.to_string().as_bytes(), key).unwrap()
    }

    #[test]
    fn a_key_is_registered_by_its_own_signature_and_refreshes_by_it() {
        for (key, jwk) in [ec(), rsa(Alg::RS256)] {
            let text = proof(&key, json!({"typ": "dbsc+jwt", "jwk": jwk.members()}), &json!({"jti": "c", "authorization": "a", "iat": 1}));
            let registered = registration(&text).unwrap();
            assert_eq!((registered.jwk.thumbprint(), registered.challenge.as_str()), (jwk.thumbprint(), "c"));
            let text = proof(&key, json!({"typ": "dbsc+jwt"}), &json!({"jti": "d"}));
            assert_eq!(refresh(&text, &jwk).unwrap(), "d");
            assert!(registration(&text).is_err(), "no key in the header");
            assert!(refresh(&text, &ec().1).is_err(), "another key");
        }
    }

    #[test]
    fn what_is_not_such_a_proof_is_refused() {
        let ((key, jwk), (_, other), (pss, long)) = (ec(), ec(), rsa(Alg::PS256));
        let good = json!({"typ": "dbsc+jwt", "jwk": jwk.members()});
        for (header, claims) in [
            (json!({"typ": "dpop+jwt", "jwk": jwk.members()}), json!({"jti": "c"})),
            (json!({"jwk": jwk.members()}), json!({"jti": "c"})),
            (json!({"typ": "dbsc+jwt", "jwk": other.members()}), json!({"jti": "c"})),
            (good.clone(), json!({})),
            (good.clone(), json!({"jti": ""})),
            (good.clone(), json!({"jti": "a b"})),
            (good.clone(), json!({"jti": "j".repeat(129)})),
            (good.clone(), json!({"jti": 1})),
            (good.clone(), json!(["c"])),
        ] {
            assert!(registration(&proof(&key, header.clone(), &claims)).is_err(), "{header} {claims}");
        }
        let text = proof(&pss, json!({"typ": "dbsc+jwt", "jwk": long.members()}), &json!({"jti": "c"}));
        assert!(registration(&text).is_err(), "an algorithm that was not offered");
        let head = |alg: &str| b64::encode(json!({"typ": "dbsc+jwt", "alg": alg, "jwk": jwk.members()}).to_string().as_bytes());
        assert!(registration(&format!("{}.{}.", head("none"), b64::encode(br#"{"jti":"c"}"#))).is_err(), "no signature");
        let map: Map<String, Value> = jwk.members();
        let off = json!({"kty": "EC", "crv": "P-256", "x": map["x"], "y": map["x"]});
        assert!(registration(&proof(&key, json!({"typ": "dbsc+jwt", "jwk": off}), &json!({"jti": "c"}))).is_err(), "no point");
    }

    #[test]
    fn a_stamp_is_for_one_session_one_key_one_use_and_its_time() {
        let (jkt, other) = (ec().1.thumbprint(), ec().1.thumbprint());
        let about = About { session: "s", key: Some(&jkt) };
        let challenge = about.challenge(K, NOW);
        assert_eq!(challenge.len(), 43);
        assert!(about.is_live_challenge(K, &challenge, NOW) && about.is_live_challenge(K, &challenge, NOW.plus_s(DBSC_CHALLENGE_S)));
        assert!(!about.is_live_challenge(K, &challenge, NOW.plus_s(DBSC_CHALLENGE_S + 1)), "old");
        assert!(!about.is_live_challenge(K, &challenge, NOW.plus_s(-2)), "of a time to come");
        let cookie = about.cookie(K, NOW.plus_s(600));
        assert!(about.is_live_cookie(K, &cookie, NOW.plus_s(599)) && !about.is_live_cookie(K, &cookie, NOW.plus_s(600)));
        for wrong in [About { session: "t", ..about }, About { key: None, ..about }, About { key: Some(&other), ..about }] {
            assert!(!wrong.is_live_challenge(K, &challenge, NOW) && !wrong.is_live_cookie(K, &cookie, NOW));
        }
        assert!(!about.is_live_cookie(K, &challenge, NOW.plus_s(-5)) && !about.is_live_challenge(K, &cookie, NOW.plus_s(600)), "the other's");
        assert!(!about.is_live_challenge(&[6; 32], &challenge, NOW), "another server's");
        for text in ["", "AAAA", &"A".repeat(43), &b64::encode(&[0xff; 32])] {
            assert!(!about.is_live_challenge(K, text, NOW) && !about.is_live_cookie(K, text, NOW));
        }
    }

    #[test]
    fn a_header_is_read_with_or_without_its_quotes() {
        for text in ["\"a.b.c\"", "a.b.c", " \"a.b.c\" ", "\"a.b.c\";x=1", "a.b.c;x"] {
            assert_eq!(string(text), "a.b.c", "{text}");
        }
    }
}
