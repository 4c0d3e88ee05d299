//! A software authenticator (WebAuthn Level 3 §6): makes a passkey, signs with it.
//!
//! It is a *software* key: it says so by its AAGUID and by a self-attestation, and sets UV because
//! whoever runs this program has unlocked this machine's account. It says that it cannot be copied,
//! unless it was made as a synced one, which tests of re-binding need.

pub mod cbor;

use crate::{Fault, SoftwareKey, machine};
use cbor::Cbor;
use countersign_wire::jose::Jwk;
use countersign_wire::message::{AssertionAsk, NewCredential};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{b64, mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names this kind of authenticator, `c0de5167-0001-4e00-8000-736f66747761`.
pub const AAGUID: [u8; 16] =
    [0xc0, 0xde, 0x51, 0x67, 0x00, 0x01, 0x4e, 0x00, 0x80, 0x00, 0x73, 0x6f, 0x66, 0x74, 0x77, 0x61];

/// Flags of authenticator data (WebAuthn L3 §6.1).
pub mod flag {
    /// Somebody is present.
    pub const UP: u8 = 0x01;
    /// The person was verified.
    pub const UV: u8 = 0x04;
    /// The credential may be copied to other devices.
    pub const BE: u8 = 0x08;
    /// It has been.
    pub const BS: u8 = 0x10;
    /// Attested credential data follows.
    pub const AT: u8 = 0x40;
}

/// What is known of a passkey besides its key; the key has a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Credential id, base64url.
    pub id: String,
    /// Relying party.
    pub rp_id: String,
    /// User handle, base64url.
    pub user_handle: String,
    /// Signatures made so far; the next one says one more. A synced one stays at 0.
    pub counter: u32,
    /// Whether it says that it may be copied to other devices, and was.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub synced: bool,
}

impl About {
    /// Flags of its signatures.
    pub fn flags(&self) -> u8 {
        let copies = if self.synced { flag::BE | flag::BS } else { 0 };
        flag::UP | flag::UV | copies
    }
}

/// A passkey with its private key.
pub struct Passkey {
    /// What is known of it.
    pub about: About,
    /// Its key.
    pub key: SoftwareKey,
    /// Flags of every signature. Tests of a relying party set others.
    pub flags: u8,
}

/// Whether registration vouches for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// `none`: no statement (WebAuthn L3 §8.7).
    None,
    /// `packed`, signed by the new key itself (§8.2).
    Itself,
}

/// The creation options this authenticator reads (WebAuthn L3 §5.4).
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Challenge.
    pub challenge: Vec<u8>,
    /// Relying party id.
    pub rp_id: String,
    /// User handle, 1 to 64 bytes.
    pub user: Vec<u8>,
    /// What the relying party wants to be told.
    pub attestation: Attestation,
}

impl Wanted {
    /// Reads `PublicKeyCredentialCreationOptionsJSON`, bare or inside `publicKey`. `host` is the
    /// relying party where the options leave it out.
    pub fn parse(options: &Value, host: &str) -> Result<Wanted, Fault> {
        let inner = options.get("publicKey").unwrap_or(options);
        let wrong = |what: &str| Fault::Unreachable(format!("the server's passkey options lack {what}"));
        let text = |at: &str| inner.pointer(at).and_then(Value::as_str);
        let bytes = |at: &str, what: &str| -> Result<Vec<u8>, Fault> {
            b64::decode(text(at).unwrap_or_default()).ok().filter(|b| !b.is_empty()).ok_or_else(|| wrong(what))
        };
        let algorithms = inner.get("pubKeyCredParams").and_then(Value::as_array);
        let es256 = algorithms.is_some_and(|all| all.iter().any(|p| p.get("alg") == Some(&Value::from(-7))));
        if !es256 {
            return Err(wrong("ES256"));
        }
        let rp_id = text("/rp/id").unwrap_or(host).to_owned();
        if !may_claim(host, &rp_id) {
            return Err(Fault::Unsigned("the passkey was asked for another site"));
        }
        Ok(Wanted {
            challenge: bytes("/challenge", "a challenge")?,
            rp_id,
            user: bytes("/user/id", "a user handle")?,
            attestation: match text("/attestation") {
                None | Some("none") => Attestation::None,
                _ => Attestation::Itself,
            },
        })
    }
}

/// Whether a page of `host` may use passkeys of `rp_id` (WebAuthn L3 §5.1.3 step 8): the same
/// host or one above it, and never a bare top-level name.
pub fn may_claim(host: &str, rp_id: &str) -> bool {
    host == rp_id
        || (rp_id.contains('.') && host.strip_suffix(rp_id).is_some_and(|rest| rest.ends_with('.')))
}

impl Passkey {
    /// Makes a passkey for `wanted` on the page at `origin`. It is bound to this device (BE = 0).
    pub fn create(wanted: &Wanted, origin: &str) -> Result<(Passkey, NewCredential), Fault> {
        Passkey::make(wanted, origin, false)
    }

    /// The same as an account in a cloud would keep it: it may be copied, and was (BE = BS = 1).
    pub fn create_synced(wanted: &Wanted, origin: &str) -> Result<(Passkey, NewCredential), Fault> {
        Passkey::make(wanted, origin, true)
    }

    fn make(wanted: &Wanted, origin: &str, synced: bool) -> Result<(Passkey, NewCredential), Fault> {
        let about = About {
            id: b64::encode(&machine::bytes::<32>()?),
            rp_id: wanted.rp_id.clone(),
            user_handle: b64::encode(&wanted.user),
            counter: 0,
            synced,
        };
        let flags = about.flags();
        let passkey = Passkey { about, key: SoftwareKey::generate()?, flags };
        let credential = passkey.attest(wanted, origin)?;
        Ok((passkey, credential))
    }

    fn attest(&self, wanted: &Wanted, origin: &str) -> Result<NewCredential, Fault> {
        let client_data = client_data("webauthn.create", &wanted.challenge, origin);
        let id = b64::decode(&self.about.id).map_err(|_| Fault::Local("a damaged credential id".into()))?;
        let mut data = self.head(self.flags | flag::AT);
        data.extend_from_slice(&AAGUID);
        data.extend_from_slice(&u16::try_from(id.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend_from_slice(&id);
        data.extend(cose(self.key.public())?);
        let mut signed = data.clone();
        signed.extend_from_slice(&mac::h(&client_data));
        let signature = self.key.sign_asn1(&signed)?;
        // CTAP2 canonical order: shorter names first.
        let (format, statement) = match wanted.attestation {
            Attestation::None => ("none", vec![]),
            Attestation::Itself => (
                "packed",
                vec![
                    (Cbor::Text("alg"), Cbor::Int(-7)),
                    (Cbor::Text("sig"), Cbor::Bytes(&signature)),
                ],
            ),
        };
        let object = Cbor::Map(vec![
            (Cbor::Text("fmt"), Cbor::Text(format)),
            (Cbor::Text("attStmt"), Cbor::Map(statement)),
            (Cbor::Text("authData"), Cbor::Bytes(&data)),
        ]);
        Ok(NewCredential {
            id: self.about.id.clone(),
            client_data_json: b64::encode(&client_data),
            attestation_object: b64::encode(&object.encode()),
            transports: vec!["internal".into()],
        })
    }

    /// Signs `ask` on the page at `origin`, with `counter` as the count of signatures. Whoever
    /// calls has kept the counter already: a count used twice looks like a copied key.
    pub fn assert(&self, ask: &AssertionAsk, origin: &str, counter: u32) -> Result<AssertionText, Fault> {
        if ask.rp_id != self.about.rp_id || !may_claim(host_of(origin), &ask.rp_id) {
            return Err(Fault::Unsigned("the passkey belongs to another site"));
        }
        if !ask.allow.is_empty() && !ask.allow.contains(&self.about.id) {
            return Err(Fault::Unsigned("another passkey was asked for"));
        }
        let challenge = b64::decode(&ask.challenge)
            .map_err(|_| Fault::Unsigned("the passkey's challenge is damaged"))?;
        self.sign(&challenge, origin, counter)
    }

    /// The bare signature, without asking whether it makes sense. Tests of a relying party need it.
    pub fn sign(&self, challenge: &[u8], origin: &str, counter: u32) -> Result<AssertionText, Fault> {
        let client_data = client_data("webauthn.get", challenge, origin);
        let data = self.head_with(self.flags, counter);
        let mut signed = data.clone();
        signed.extend_from_slice(&mac::h(&client_data));
        Ok(AssertionText {
            credential_id: self.about.id.clone(),
            authenticator_data: b64::encode(&data),
            client_data_json: b64::encode(&client_data),
            signature: b64::encode(&self.key.sign_asn1(&signed)?),
            user_handle: Some(self.about.user_handle.clone()),
        })
    }

    fn head(&self, flags: u8) -> Vec<u8> {
        self.head_with(flags, self.about.counter)
    }

    fn head_with(&self, flags: u8, counter: u32) -> Vec<u8> {
        let mut data = mac::h(self.about.rp_id.as_bytes()).to_vec();
        data.push(flags);
        data.extend_from_slice(&counter.to_be_bytes());
        data
    }
}

/// COSE_Key of an ES256 key (RFC 9053 §7.1.1), in canonical order.
fn cose(key: &Jwk) -> Result<Vec<u8>, Fault> {
    let Jwk::P256(point) = key else { return Err(Fault::Local("not a P-256 key".into())) };
    let (x, y) = point.split_at(32);
    Ok(Cbor::Map(vec![
        (Cbor::Int(1), Cbor::Int(2)),
        (Cbor::Int(3), Cbor::Int(-7)),
        (Cbor::Int(-1), Cbor::Int(1)),
        (Cbor::Int(-2), Cbor::Bytes(x)),
        (Cbor::Int(-3), Cbor::Bytes(y)),
    ])
    .encode())
}

/// `clientDataJSON` byte for byte as browsers write it (WebAuthn L3 §5.8.1.1).
pub fn client_data(kind: &str, challenge: &[u8], origin: &str) -> Vec<u8> {
    let mut out = String::from("{\"type\":");
    quote(kind, &mut out);
    out.push_str(",\"challenge\":");
    quote(&b64::encode(challenge), &mut out);
    out.push_str(",\"origin\":");
    quote(origin, &mut out);
    out.push_str(",\"crossOrigin\":false}");
    out.into_bytes()
}

/// CCDToString of the same section.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Host of an origin, without scheme and port.
pub fn host_of(origin: &str) -> &str {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    rest.rsplit_once(':').map_or(rest, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::webauthn::{Asked, Expected, Fault as Wrong, verify};
    use serde_json::json;

    const ORIGIN: &str = "https://id.harbour.example";

    fn wanted(attestation: Attestation) -> Wanted {
        Wanted { challenge: vec![1; 32], rp_id: "id.harbour.example".into(), user: vec![9; 16], attestation }
    }
    fn ask(passkey: &Passkey) -> AssertionAsk {
        AssertionAsk {
            challenge: b64::encode(&[5; 32]),
            rp_id: passkey.about.rp_id.clone(),
            allow: vec![passkey.about.id.clone()],
            user_verification: "required".into(),
            hints: vec![],
            timeout_ms: 60_000,
        }
    }

    #[test]
    fn client_data_is_written_as_browsers_do() {
        assert_eq!(
            String::from_utf8(client_data("webauthn.get", &[0, 1, 2], "https://a.example")).unwrap(),
            r#"{"type":"webauthn.get","challenge":"AAEC","origin":"https://a.example","crossOrigin":false}"#
        );
    }

    #[test]
    fn an_assertion_verifies_and_a_counter_that_stands_still_does_not() {
        let (passkey, _) = Passkey::create(&wanted(Attestation::None), ORIGIN).unwrap();
        let check = |counter: u32, kept: u32| {
            let made = passkey.assert(&ask(&passkey), ORIGIN, counter).unwrap().decode().unwrap();
            verify(&made, &Expected {
                asked: Asked::strictly(&[5; 32], ORIGIN, "id.harbour.example"),
                key: passkey.key.public(),
                counter: kept,
                backup_eligible: false,
            })
        };
        assert_eq!(check(8, 7).unwrap().counter, 8);
        assert_eq!(check(7, 7).unwrap_err(), Wrong::Counter);
    }

    #[test]
    fn nothing_is_signed_for_another_site_or_another_passkey() {
        let (passkey, _) = Passkey::create(&wanted(Attestation::None), ORIGIN).unwrap();
        let good = ask(&passkey);
        assert!(passkey.assert(&good, "https://id.harbour.example.evil", 1).is_err());
        assert!(passkey.assert(&good, "https://harbour.example", 1).is_err());
        let other = AssertionAsk { rp_id: "harbour.example".into(), ..good.clone() };
        assert!(passkey.assert(&other, ORIGIN, 1).is_err());
        let other = AssertionAsk { allow: vec!["AAAA".into()], ..good };
        assert!(passkey.assert(&other, ORIGIN, 1).is_err());
    }

    #[test]
    fn attestation_data_is_laid_out_as_the_standard_says() {
        for (attestation, start) in [
            (Attestation::None, &b"\xa3cfmtdnonegattStmt\xa0hauthDataX"[..]),
            (Attestation::Itself, b"\xa3cfmtfpackedgattStmt\xa2calg&csigX"),
        ] {
            let (passkey, made) = Passkey::create(&wanted(attestation), ORIGIN).unwrap();
            let object = b64::decode(&made.attestation_object).unwrap();
            assert!(object.starts_with(start), "{object:02x?}");
            // rpIdHash 32, flags 1, counter 4, AAGUID 16, length 2, id 32, COSE key 77.
            let data = &object[object.len() - 164..];
            assert_eq!(data[..32], mac::h(b"id.harbour.example"));
            assert_eq!(data[32..37], [0x45, 0, 0, 0, 0]);
            assert_eq!(data[37..53], AAGUID);
            assert_eq!(data[53..55], [0, 32]);
            assert_eq!(data[55..87], b64::decode(&passkey.about.id).unwrap());
            assert_eq!(data[87..97], [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 0x20]);
            let Jwk::P256(point) = passkey.key.public() else { panic!() };
            assert_eq!(data[97..129], point[..32]);
            assert_eq!(data[129..132], [0x22, 0x58, 0x20]);
            assert_eq!(data[132..], point[32..]);
            if attestation == Attestation::Itself {
                let len = usize::from(object[start.len()]);
                let signature = &object[start.len() + 1..start.len() + 1 + len];
                let mut signed = data.to_vec();
                signed.extend(mac::h(&b64::decode(&made.client_data_json).unwrap()));
                assert!(passkey.key.public().verify_webauthn(&signed, signature));
            }
        }
    }

    #[test]
    fn creation_options_are_read_and_a_foreign_relying_party_is_refused() {
        let options = json!({"challenge": "AQID", "rp": {"name": "x"}, "user": {"id": "CQk", "name": "a"},
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}], "attestation": "direct"});
        let read = Wanted::parse(&json!({"publicKey": options}), "id.example").unwrap();
        assert_eq!((read.rp_id.as_str(), read.attestation), ("id.example", Attestation::Itself));
        let mut other = options.clone();
        other["rp"]["id"] = json!("evil.example");
        assert!(Wanted::parse(&other, "id.example").is_err());
        let mut other = options;
        other["pubKeyCredParams"] = json!([{"type": "public-key", "alg": -257}]);
        assert!(Wanted::parse(&other, "id.example").is_err());
    }

    #[test]
    fn a_page_may_use_its_own_host_and_those_above_it() {
        assert!(may_claim("a.b.example", "b.example"));
        assert!(may_claim("localhost", "localhost"));
        for (host, rp) in [("ab.example", "b.example"), ("b.example", "a.b.example"), ("a.example", "example")] {
            assert!(!may_claim(host, rp), "{host} {rp}");
        }
    }
}
