//! Words for a phone that nobody is looking at (Web Push): sealed for one browser (RFC 8291, in the content coding `aes128gcm` of
//! RFC 8188), with what shows the push service who sends them (RFC 8292).

use crate::jose::jws::{self, SignFault, Signer};
use crate::jose::Jwk;
use crate::{Malformed, Time, b64};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use serde_json::{Map, json};

/// Record size that is named in the header (RFC 8188 §2.1): the whole message is one record, and a push service carries no longer
/// one (RFC 8030 §7.2).
const RECORD: u32 = 4_096;
/// What a record holds beside its text: the delimiter and the tag.
const AROUND: usize = 17;
/// Salt, record size, length of the key's name, and the name: the sender's key.
const HEADER: usize = 86;
/// How long a word about the sender is good, seconds (RFC 8292 §2: a day at most).
const SENDER_S: i64 = 3_600;

/// What a browser gave for those who want to tell it something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    point: [u8; 65],
    auth: [u8; 16],
}

impl Subscriber {
    /// Its key (`p256dh`) and its secret (`auth`), both base64url (RFC 8291 §2.1, §3.2).
    pub fn parse(p256dh: &str, auth: &str) -> Result<Subscriber, Malformed> {
        let point: [u8; 65] = b64::decode_array(p256dh)?;
        let auth = b64::decode_array(auth)?;
        ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, &point)).map_err(|_| Malformed("a point on P-256"))?;
        if point.first() == Some(&4) { Ok(Subscriber { point, auth }) } else { Err(Malformed("an uncompressed point")) }
    }

    /// Seals `text`, which looks as if it were `length` bytes long, with a key and a salt for this message alone (RFC 8291 §3.4).
    /// `None` where `private` is no key or the text is too long.
    pub fn seal(&self, private: &[u8; 32], salt: &[u8; 16], text: &[u8], length: usize) -> Option<Vec<u8>> {
        let length = length.max(text.len());
        if HEADER + length + AROUND > usize::try_from(RECORD).ok()? {
            return None;
        }
        let own = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
        let public = own.compute_public_key().ok()?;
        let prk = agree(&own, UnparsedPublicKey::new(&ECDH_P256, &self.point), (), |shared| {
            Ok(Salt::new(HKDF_SHA256, &self.auth).extract(shared))
        })
        .ok()?;
        let mut input = [0; 32];
        expand(&prk, &[b"WebPush: info\0", &self.point, public.as_ref()], &mut input)?;
        let prk = Salt::new(HKDF_SHA256, salt).extract(&input);
        let (mut key, mut nonce) = ([0; 16], [0; NONCE_LEN]);
        expand(&prk, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
        expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce)?;
        let mut body = text.to_vec();
        // The delimiter of the last record, and what hides the length (RFC 8188 §2).
        body.push(2);
        body.resize(length + 1, 0);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body).ok()?;
        let mut message = salt.to_vec();
        message.extend(RECORD.to_be_bytes());
        message.push(u8::try_from(public.as_ref().len()).ok()?);
        message.extend(public.as_ref());
        message.extend(body);
        Some(message)
    }
}

struct Bytes(usize);
impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    prk.expand(info, Bytes(out.len())).ok()?.fill(out).ok()
}

/// A server's key as browsers and push services read it: the uncompressed point, base64url (RFC 8292 §3.2).
pub fn public(key: &Jwk) -> Option<String> {
    let Jwk::P256(both) = key else { return None };
    Some(b64::encode(&[&[4][..], both].concat()))
}

/// The `Authorization` of a message for the push service at `origin`: who sends it, and how they are reached (RFC 8292 §2, §3).
pub fn authorization(origin: &str, contact: &str, signer: &dyn Signer, key: &Jwk, now: Time) -> Result<String, SignFault> {
    let public = public(key).ok_or(SignFault)?;
    let header = Map::from_iter([("typ".to_owned(), "JWT".into())]);
    let claims = json!({ "aud": origin, "exp": now.seconds() + SENDER_S, "sub": contact });
    let token = jws::encode(header, claims.to_string().as_bytes(), signer)?;
    Ok(format!("vapid t={token}, k={public}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Alg, Jws};

    const SUBSCRIBER: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const PRIVATE: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
    const SALT: &str = "DGv6ra1nlYgDCS1FRnbzlw";

    fn seal(text: &[u8], length: usize) -> Option<Vec<u8>> {
        let to = Subscriber::parse(SUBSCRIBER, AUTH).unwrap();
        to.seal(&b64::decode_array(PRIVATE).unwrap(), &b64::decode_array(SALT).unwrap(), text, length)
    }

    #[test]
    fn the_example_of_rfc_8291_is_sealed_byte_by_byte() {
        let text = b"When I grow up, I want to be a watermelon";
        assert_eq!(
            b64::encode(&seal(text, 0).unwrap()),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_\
             yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn every_message_is_as_long_as_every_other_and_none_is_longer_than_is_carried() {
        let lengths: Vec<usize> = [&b""[..], b"a", &[7; 32]].iter().map(|text| seal(text, 32).unwrap().len()).collect();
        assert_eq!(lengths, [86 + 32 + 17; 3]);
        assert_eq!(seal(b"a", 4_096 - 86 - 17).unwrap().len(), 4_096);
        assert!(seal(b"a", 4_096 - 86 - 16).is_none());
        let to = Subscriber::parse(SUBSCRIBER, AUTH).unwrap();
        assert!(to.seal(&[0; 32], &[0; 16], b"a", 1).is_none(), "nought is no key");
        assert!(to.seal(&[255; 32], &[0; 16], b"a", 1).is_none(), "nor what is beyond the order of the curve");
    }

    #[test]
    fn what_is_no_point_or_no_secret_is_refused() {
        let mut beside = b64::decode(SUBSCRIBER).unwrap();
        beside[64] ^= 1;
        let compressed = b64::encode(&[&[2][..], &beside[1..33]].concat());
        for key in ["", "AAAA", &b64::encode(&beside), &compressed, &b64::encode(&[4; 65]), &format!("{SUBSCRIBER}="), &b64::encode(&[0; 65])] {
            assert!(Subscriber::parse(key, AUTH).is_err(), "{key}");
        }
        for auth in ["", "AAAA", &format!("{AUTH}=="), &b64::encode(&[1; 17])] {
            assert!(Subscriber::parse(SUBSCRIBER, auth).is_err(), "{auth}");
        }
    }

    #[test]
    fn the_example_of_rfc_8292_is_of_the_key_that_it_names() {
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
        let k = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
        let key = Jwk::from_point(&b64::decode(k).unwrap()).unwrap();
        assert_eq!(public(&key).unwrap(), k);
        assert!(Jws::parse(token).unwrap().verify(&key).is_ok());
    }

    #[test]
    fn what_is_sent_has_the_form_of_that_example() {
        struct Same;
        impl Signer for Same {
            fn alg(&self) -> Alg {
                Alg::ES256
            }
            fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignFault> {
                Ok(vec![0; 64])
            }
        }
        let key = Jwk::from_point(&b64::decode(SUBSCRIBER).unwrap()).unwrap();
        let text = authorization("https://push.example.net", "mailto:push@example.com", &Same, &key, Time::from_seconds(1_453_520_168)).unwrap();
        let (token, k) = text.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(k, SUBSCRIBER);
        let part = |n: usize| serde_json::from_slice::<serde_json::Value>(&b64::decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap();
        assert_eq!(part(0), json!({"typ": "JWT", "alg": "ES256"}));
        assert_eq!(part(1), json!({"aud": "https://push.example.net", "exp": 1_453_523_768, "sub": "mailto:push@example.com"}));
    }
}
