//! Proofs of possession (RFC 9449), for clients, terminals and devices alike.

use crate::jose::{Alg, Jwk, Jws, Signer, jws};
use crate::limits::{JTI_BYTES, NONCE_S, PROOF_AGE_S};
use crate::secret::same;
use crate::{Malformed, Thumbprint, Time, b64, mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims of a proof. `bd` is ours: SHA-256 of the request body, which a device's proof must carry.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProofClaims {
    /// Unique name of this proof; used once.
    pub jti: String,
    /// HTTP method.
    pub htm: String,
    /// URL without query and fragment.
    pub htu: String,
    /// When it was made, by the sender's clock. Demanded (RFC 9449 §4.2), and not looked at where there is a nonce.
    pub iat: NumericDate,
    /// Server-given nonce.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nonce: Option<String>,
    /// base64url SHA-256 of the access token shown with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ath: Option<String>,
    /// base64url SHA-256 of the request body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bd: Option<String>,
}

/// Seconds since the epoch; a fraction is accepted and dropped (RFC 7519 §2). Thirty million years
/// from now are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct NumericDate(pub i64);

impl NumericDate {
    /// Whole seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<NumericDate, D::Error> {
        let n = serde_json::Number::deserialize(d)?;
        // Bounded, so that a conversion keeps the whole part and no reckoning with it overflows.
        let whole = n.as_i64().or_else(|| n.as_f64().filter(|f| f.abs() < 1e15).map(|f| f.floor() as i64));
        match whole {
            Some(i) if i.unsigned_abs() < 1_000_000_000_000_000 => Ok(NumericDate(i)),
            _ => Err(serde::de::Error::custom("a NumericDate")),
        }
    }
}

/// How the proof is known to be fresh.
#[derive(Clone, Copy)]
pub enum Fresh<'a> {
    /// It must carry a nonce that one of these keys made at most [`NONCE_S`] ago; its `iat` is
    /// ignored (RFC 9449 §11.3 allows server-managed time), so wrong clocks do no harm.
    Nonce(&'a [&'a [u8]]),
    /// Its `iat` must lie within [`PROOF_AGE_S`] of now; a nonce, if it carries one, must be good.
    Age(&'a [&'a [u8]]),
    /// It must carry a nonce that this takes for the key of the proof.
    Bound(&'a (dyn Fn(&str, &Thumbprint) -> bool + Sync)),
    /// Something else in the request is fresh (a live frame, a statement's nonce).
    Elsewhere,
}

/// What the request was.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method in capitals.
    pub method: &'a str,
    /// The URL that the proof must name, as the server knows itself.
    pub url: &'a str,
    /// Access token shown with the proof, if any.
    pub token: Option<&'a str>,
    /// Body the proof must cover; `None` where `bd` is not asked.
    pub body: Option<&'a [u8]>,
    /// The server's time.
    pub now: Time,
    /// How freshness is shown.
    pub fresh: Fresh<'a>,
}

/// A verified proof: only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The key that made it.
    pub jwk: Jwk,
    /// Its thumbprint.
    pub jkt: Thumbprint,
    /// When it was made, by the sender's clock.
    pub made: NumericDate,
    /// To be burnt in the same commit as whatever the request changes.
    pub jti: String,
    /// Until when the jti must be remembered.
    pub burn_until: Time,
    /// The nonce that it carries.
    pub nonce: Option<String>,
}

impl Proof {
    /// What is burnt: a `jti` is unique among the proofs of its key.
    pub fn name(&self) -> String {
        format!("{}/{}", self.jkt, self.jti)
    }
}

/// Why a proof was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// The sender should take a fresh nonce and try again.
    UseNonce,
    /// Anything else; the word is for the log.
    Bad(&'static str),
}

impl From<Malformed> for ProofFault {
    fn from(m: Malformed) -> ProofFault {
        ProofFault::Bad(m.0)
    }
}

/// Verifies `text` for `request`.
pub fn verify(text: &str, request: &Request<'_>) -> Result<Proof, ProofFault> {
    let jws = Jws::parse(text)?;
    if jws.header_text("typ") != Some("dpop+jwt") {
        return Err(ProofFault::Bad("typ dpop+jwt"));
    }
    if !ALGS.contains(&jws.alg()) {
        return Err(ProofFault::Bad("an algorithm of the list"));
    }
    let jwk = jws.header_jwk()?;
    let claims: ProofClaims = jws.verify(&jwk)?.read()?;
    if claims.htm != request.method {
        return Err(ProofFault::Bad("htm of this request"));
    }
    if !is_same_url(&claims.htu, request.url) {
        return Err(ProofFault::Bad("htu of this request"));
    }
    let plain = claims.jti.bytes().all(|b| (0x21..=0x7e).contains(&b));
    if claims.jti.is_empty() || claims.jti.len() > JTI_BYTES || !plain {
        return Err(ProofFault::Bad("a jti of 1 to 128 visible characters"));
    }
    if let Some(token) = request.token {
        let want = b64::encode(&mac::h(token.as_bytes()));
        if claims.ath.as_deref() != Some(want.as_str()) {
            return Err(ProofFault::Bad("ath of this token"));
        }
    }
    if let Some(body) = request.body {
        let want = b64::encode(&mac::h(body));
        if claims.bd.as_deref() != Some(want.as_str()) {
            return Err(ProofFault::Bad("bd of this body"));
        }
    }
    let jkt = jwk.thumbprint();
    let burn_until = check_fresh(&claims, request, &jkt)?;
    Ok(Proof { jwk, jkt, made: claims.iat, jti: claims.jti, burn_until, nonce: claims.nonce })
}

fn check_fresh(claims: &ProofClaims, request: &Request<'_>, jkt: &Thumbprint) -> Result<Time, ProofFault> {
    let nonce_good = |keys: &[&[u8]]| {
        claims
            .nonce
            .as_deref()
            .is_some_and(|n| keys.iter().any(|k| is_live_nonce(k, n, request.now)))
    };
    match request.fresh {
        Fresh::Nonce(keys) if nonce_good(keys) => Ok(request.now.plus_s(NONCE_S + 1)),
        Fresh::Nonce(_) => Err(ProofFault::UseNonce),
        Fresh::Age(keys) if claims.nonce.is_some() => {
            if nonce_good(keys) {
                Ok(request.now.plus_s(NONCE_S + 1))
            } else {
                Err(ProofFault::UseNonce)
            }
        }
        Fresh::Age(_) => {
            let made = claims.iat.seconds();
            if (request.now.seconds() - made).abs() > PROOF_AGE_S {
                return Err(ProofFault::Bad("an iat close to now"));
            }
            Ok(Time::from_seconds(made).plus_s(2 * PROOF_AGE_S))
        }
        Fresh::Bound(takes) if claims.nonce.as_deref().is_some_and(|n| takes(n, jkt)) => Ok(request.now.plus_s(NONCE_S + 1)),
        Fresh::Bound(_) => Err(ProofFault::UseNonce),
        Fresh::Elsewhere => Ok(request.now.plus_s(2 * NONCE_S)),
    }
}

/// A nonce: the server's time and a MAC over it, good for [`NONCE_S`] on any node with the key.
pub fn nonce(key: &[u8], now: Time) -> String {
    let time = now.millis().to_be_bytes();
    let tag = mac::m(key, "nonce", &[&time]);
    let mut bytes = time.to_vec();
    bytes.extend(tag.iter().take(12));
    b64::encode(&bytes)
}

/// Whether `key` made `nonce` at most [`NONCE_S`] before `now`.
pub fn is_live_nonce(key: &[u8], nonce: &str, now: Time) -> bool {
    let Ok(bytes) = b64::decode_array::<20>(nonce) else { return false };
    let (time, tag) = bytes.split_at(8);
    let want = mac::m(key, "nonce", &[time]);
    let (want, _) = want.split_at(12);
    let mut ms = [0; 8];
    ms.copy_from_slice(time);
    let age_ms = now.millis().saturating_sub(i64::from_be_bytes(ms));
    same(want, tag) && (-1_000..=NONCE_S * 1_000).contains(&age_ms)
}

/// A nonce for one key: where it was made, in which window of time, and a MAC that binds both to the key.
pub fn bound_nonce(key: &[u8], place: &[u8; 8], window: i64, jkt: &Thumbprint) -> String {
    let said = [&place[..], &window.to_be_bytes()].concat();
    let tag = mac::m(key, "bound nonce", &[&said, jkt.as_str().as_bytes()]);
    b64::encode(&[&said, tag.get(..16).unwrap_or_default()].concat())
}

/// The window in which `key` made `nonce` at this place for this key; `None` if it did not.
pub fn window_of_nonce(key: &[u8], place: &[u8; 8], nonce: &str, jkt: &Thumbprint) -> Option<i64> {
    let bytes = b64::decode_array::<32>(nonce).ok()?;
    let window = i64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?);
    same(bound_nonce(key, place, window, jkt).as_bytes(), nonce.as_bytes()).then_some(window)
}

/// Makes a proof, for programs that hold a key.
pub fn make(claims: &ProofClaims, jwk: &Jwk, signer: &dyn Signer) -> Result<String, jws::SignFault> {
    let mut header = Map::new();
    header.insert("typ".into(), "dpop+jwt".into());
    header.insert("jwk".into(), Value::Object(jwk.members()));
    let payload = serde_json::to_vec(claims).map_err(|_| jws::SignFault)?;
    jws::encode(header, &payload, signer)
}

/// Compares without query and fragment; scheme and host without regard to case, default ports
/// left out (RFC 9449 §4.3 check 9).
pub fn is_same_url(a: &str, b: &str) -> bool {
    match (normal(a), normal(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

fn normal(url: &str) -> Option<(String, String, &str)> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let cut = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(cut)?;
    let scheme = scheme.to_ascii_lowercase();
    let mut host = host.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    if let Some(bare) = host.strip_suffix(default) {
        host = bare.to_owned();
    }
    if host.is_empty() || host.contains('@') {
        return None;
    }
    Some((scheme, host, if path.is_empty() { "/" } else { path }))
}

/// Algorithms a proof may use, for the discovery documents.
pub const ALGS: [Alg; 3] = [Alg::ES256, Alg::EdDSA, Alg::PS256];

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{rand::SystemRandom, signature::*};

    struct Key(EcdsaKeyPair);
    impl Signer for Key {
        fn alg(&self) -> Alg {
            Alg::ES256
        }
        fn sign(&self, m: &[u8]) -> Result<Vec<u8>, jws::SignFault> {
            Ok(self.0.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec())
        }
    }
    fn key() -> (Key, Jwk) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point: [u8; 64] = pair.public_key().as_ref()[1..].try_into().unwrap();
        (Key(pair), Jwk::P256(point))
    }
    const K: &[u8] = &[5; 32];
    const NOW: Time = Time(1_800_000_000_000_000);
    const URL: &str = "https://id.example/token";

    fn claims() -> ProofClaims {
        ProofClaims {
            jti: "a".into(),
            htm: "POST".into(),
            htu: URL.into(),
            iat: NumericDate(NOW.seconds()),
            nonce: Some(nonce(K, NOW)),
            ..ProofClaims::default()
        }
    }
    fn ask<'a>(fresh: Fresh<'a>) -> Request<'a> {
        Request { method: "POST", url: URL, token: None, body: None, now: NOW, fresh }
    }
    fn check(c: &ProofClaims, r: &Request<'_>) -> Result<Proof, ProofFault> {
        let (k, jwk) = key();
        verify(&make(c, &jwk, &k).unwrap(), r)
    }

    #[test]
    fn a_good_proof_passes_and_names_its_key() {
        let (k, jwk) = key();
        let text = make(&claims(), &jwk, &k).unwrap();
        let proof = verify(&text, &ask(Fresh::Nonce(&[K]))).unwrap();
        assert_eq!(proof.jkt, jwk.thumbprint());
    }

    #[test]
    fn every_changed_claim_is_refused() {
        let fresh = Fresh::Nonce(&[K]);
        let bad = |f: &dyn Fn(&mut ProofClaims)| {
            let mut c = claims();
            f(&mut c);
            check(&c, &ask(fresh)).unwrap_err()
        };
        assert!(matches!(bad(&|c| c.htm = "GET".into()), ProofFault::Bad(_)));
        assert!(matches!(bad(&|c| c.htu = "https://id.example/other".into()), ProofFault::Bad(_)));
        assert!(matches!(bad(&|c| c.htu = "https://id.example.evil/token".into()), ProofFault::Bad(_)));
        assert!(matches!(bad(&|c| c.jti = String::new()), ProofFault::Bad(_)));
        assert!(matches!(bad(&|c| c.jti = "j".repeat(129)), ProofFault::Bad(_)));
        assert_eq!(bad(&|c| c.nonce = None), ProofFault::UseNonce);
        assert_eq!(bad(&|c| c.nonce = Some(nonce(&[6; 32], NOW))), ProofFault::UseNonce);
        assert_eq!(bad(&|c| c.nonce = Some(nonce(K, NOW.plus_s(-61)))), ProofFault::UseNonce);
        assert_eq!(bad(&|c| c.nonce = Some(nonce(K, NOW.plus_s(30)))), ProofFault::UseNonce);
    }

    #[test]
    fn every_claim_of_the_list_must_be_there() {
        let (k, jwk) = key();
        let whole = serde_json::to_value(claims()).unwrap();
        for name in ["jti", "htm", "htu", "iat"] {
            let mut some = whole.clone();
            some.as_object_mut().unwrap().remove(name);
            let mut header = Map::new();
            header.insert("typ".into(), "dpop+jwt".into());
            header.insert("jwk".into(), Value::Object(jwk.members()));
            let text = jws::encode(header, some.to_string().as_bytes(), &k).unwrap();
            assert!(verify(&text, &ask(Fresh::Nonce(&[K]))).is_err(), "{name}");
        }
    }

    #[test]
    fn token_and_body_must_be_the_ones_sent() {
        let mut c = claims();
        let with = Request { token: Some("t"), body: Some(b"{}"), ..ask(Fresh::Nonce(&[K])) };
        assert!(check(&c, &with).is_err());
        c.ath = Some(b64::encode(&mac::h(b"t")));
        assert!(check(&c, &with).is_err());
        c.bd = Some(b64::encode(&mac::h(b"{}")));
        assert!(check(&c, &with).is_ok());
        c.bd = Some(b64::encode(&mac::h(b"{ }")));
        assert!(check(&c, &with).is_err());
    }

    #[test]
    fn without_a_nonce_age_decides_and_a_bad_nonce_is_never_ignored() {
        let mut c = claims();
        c.nonce = None;
        assert!(check(&c, &ask(Fresh::Age(&[K]))).is_ok());
        c.iat = NumericDate(NOW.seconds() - 61);
        assert!(check(&c, &ask(Fresh::Age(&[K]))).is_err());
        c.iat = NumericDate(NOW.seconds() + 61);
        assert!(check(&c, &ask(Fresh::Age(&[K]))).is_err());
        c.iat = NumericDate(NOW.seconds());
        c.nonce = Some("AAAA".into());
        assert_eq!(check(&c, &ask(Fresh::Age(&[K]))).unwrap_err(), ProofFault::UseNonce);
    }

    #[test]
    fn urls_are_compared_without_query_case_of_host_and_default_port() {
        assert!(is_same_url("HTTPS://ID.example:443/a?x#y", "https://id.example/a"));
        assert!(!is_same_url("https://id.example/A", "https://id.example/a"));
        assert!(!is_same_url("http://id.example/a", "https://id.example/a"));
        assert!(!is_same_url("https://user@id.example/a", "https://id.example/a"));
        assert!(!is_same_url("id.example/a", "id.example/a"));
    }
}
