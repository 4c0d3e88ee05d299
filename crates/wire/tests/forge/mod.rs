//! An authenticator and a certificate authority that do wrong on request: every format of
//! attestation, with any one thing changed.
#![allow(dead_code)]

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use countersign_wire::webauthn::Registration;
use countersign_wire::{b64, mac};

pub const ORIGIN: &str = "https://id.example";
pub const RP_ID: &str = "id.example";
pub const CHALLENGE: [u8; 32] = [7; 32];
pub const MODEL: [u8; 16] = [0xa1; 16];

/// A P-256 key.
pub struct Key {
    pair: EcdsaKeyPair,
    pub point: Vec<u8>,
}

impl Key {
    pub fn new() -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        Key { pair, point }
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

/// One DER element.
pub fn tlv(tag: &[u8], body: &[u8]) -> Vec<u8> {
    let n = body.len();
    let len = match n {
        0..0x80 => vec![n as u8],
        0x80..0x100 => vec![0x81, n as u8],
        _ => vec![0x82, (n >> 8) as u8, n as u8],
    };
    [tag, &len, body].concat()
}
fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(&[0x30], &parts.concat())
}
fn attribute(oid: &[u8], string: u8, text: &[u8]) -> Vec<u8> {
    tlv(&[0x31], &seq(&[tlv(&[6], oid), tlv(&[string], text)]))
}

const BASIC: &[u8] = &[0x55, 0x1d, 19];
const PURPOSES: &[u8] = &[0x55, 0x1d, 37];
const OTHER_NAMES: &[u8] = &[0x55, 0x1d, 17];
const MODEL_OID: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0xe5, 0x1c, 1, 1, 4];
const NONCE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 8, 2];
const DESCRIPTION: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 1, 0x11];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(&[1], &[0xff]) } else { vec![] };
    seq(&[tlv(&[6], oid), critical, tlv(&[4], value)])
}

/// What a certificate says.
struct Says<'a> {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    valid: (&'a str, &'a str),
    key: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    version: u8,
}

impl Says<'_> {
    fn signed(self, by: &Key) -> Vec<u8> {
        let algorithm = seq(&[tlv(&[6], ECDSA_SHA256)]);
        let time = |t: &str| tlv(&[24], t.as_bytes());
        let tbs = seq(&[
            tlv(&[0xa0], &tlv(&[2], &[self.version])),
            tlv(&[2], &[1, 2, 3]),
            algorithm.clone(),
            self.issuer,
            seq(&[time(self.valid.0), time(self.valid.1)]),
            self.subject,
            self.key,
            tlv(&[0xa3], &seq(&self.extensions)),
        ]);
        let signature = tlv(&[3], &[&[0][..], &by.sign(&tbs)].concat());
        seq(&[tbs, algorithm, signature])
    }
}

/// SubjectPublicKeyInfo of a point.
fn p256(point: &[u8]) -> Vec<u8> {
    let curve = [tlv(&[6], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), tlv(&[6], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])];
    seq(&[seq(&curve), tlv(&[3], &[&[0], point].concat())])
}

/// The certificate of a TPM's endorsement key, an RSA key that nobody has.
pub fn endorsement(ca: &Key) -> Vec<u8> {
    let modulus = tlv(&[2], &[&[0][..], &[0xc3; 256]].concat());
    let pair = seq(&[modulus, tlv(&[2], &[1, 0, 1])]);
    let kind = seq(&[tlv(&[6], &[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1]), tlv(&[5], &[])]);
    certified(ca, seq(&[kind, tlv(&[3], &[&[0][..], &pair].concat())]), extension(PURPOSES, false, &seq(&[tlv(&[6], &[0x67, 0x81, 5, 8, 1])])))
}

/// The certificate of a key that Android describes so.
pub fn described(ca: &Key, key: &Key, description: &[u8]) -> Vec<u8> {
    certified(ca, p256(&key.point), extension(DESCRIPTION, false, description))
}

fn certified(ca: &Key, key: Vec<u8>, more: Vec<u8>) -> Vec<u8> {
    Says {
        issuer: name("Good root", "Roots"),
        subject: name("A device", "Devices"),
        valid: ("20240101000000Z", "20340101000000Z"),
        key,
        extensions: vec![more, extension(BASIC, true, &seq(&[]))],
        version: 2,
    }
    .signed(ca)
}

/// A signature of `key` over what a TPM says, TPMT_SIGNATURE.
pub fn tpm_signature(key: &Key, message: &[u8]) -> Vec<u8> {
    let der = key.sign(message);
    let (r, s) = der[4..].split_at(usize::from(der[3]));
    [&[0, 0x18, 0, 0x0b][..], &sized(r), &sized(&s[2..])].concat()
}

/// TPMT_PUBLIC of a point, with these attributes.
pub fn tpm_public(point: &[u8], attributes: u32) -> Vec<u8> {
    let (x, y) = point[1..].split_at(32);
    let fixed = [&[0, 0x23, 0, 0x0b][..], &attributes.to_be_bytes(), &[0, 0, 0, 0x10, 0, 0x10, 0, 3, 0, 0x10]].concat();
    [fixed, sized(x), sized(y)].concat()
}

/// TPMS_ATTEST: a quote of register 7, for this asker.
pub fn tpm_quote(extra: &[u8], digest: &[u8]) -> Vec<u8> {
    [&[0xff, 0x54, 0x43, 0x47, 0x80, 0x18][..], &sized(&[1; 34]), &sized(extra), &[0; 25], &[0, 0, 0, 1, 0, 0x0b, 3, 0x80, 0, 0], &sized(digest)].concat()
}

/// A TPM2B.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn name(common: &str, unit: &str) -> Vec<u8> {
    seq(&[
        attribute(&[0x55, 4, 6], 19, b"AA"),
        attribute(&[0x55, 4, 10], 12, b"Maker"),
        attribute(&[0x55, 4, 11], 12, unit.as_bytes()),
        attribute(&[0x55, 4, 3], 12, common.as_bytes()),
    ])
}

/// A root for `key`.
pub fn root(common: &str, key: &Key) -> Vec<u8> {
    let own = name(common, "Roots");
    Says {
        issuer: own.clone(),
        subject: own,
        valid: ("20240101000000Z", "20440101000000Z"),
        key: p256(&key.point),
        extensions: vec![extension(BASIC, true, &seq(&[tlv(&[1], &[0xff])]))],
        version: 2,
    }
    .signed(key)
}

/// CBOR, one item.
fn head(major: u8, n: usize) -> Vec<u8> {
    match n {
        0..24 => vec![major << 5 | n as u8],
        24..0x100 => vec![major << 5 | 24, n as u8],
        _ => vec![major << 5 | 25, (n >> 8) as u8, n as u8],
    }
}
pub fn int(n: i64) -> Vec<u8> {
    if n >= 0 { head(0, n as usize) } else { head(1, (-1 - n) as usize) }
}
pub fn bytes(b: &[u8]) -> Vec<u8> {
    [head(2, b.len()), b.to_vec()].concat()
}
pub fn text(t: &str) -> Vec<u8> {
    [head(3, t.len()), t.as_bytes().to_vec()].concat()
}
pub fn map(members: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let body: Vec<u8> = members.iter().flat_map(|(k, v)| [k.clone(), v.clone()].concat()).collect();
    [head(5, members.len()), body].concat()
}
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len()), items.concat()].concat()
}

/// A new passkey with its attestation; good as it is made, and every field may be changed.
pub struct Forge {
    pub format: &'static str,
    /// Packed without a certificate.
    pub by_itself: bool,
    pub ca: Key,
    pub leaf: Key,
    pub credential: Key,
    pub issuer: &'static str,
    pub unit: &'static str,
    pub model: [u8; 16],
    pub certified: Option<[u8; 16]>,
    pub certified_critical: bool,
    pub valid: (&'static str, &'static str),
    pub version: u8,
    pub authority: Option<bool>,
    pub alg: i64,
    pub flags: u8,
    pub tail: Vec<u8>,
    pub origin: &'static str,
    pub challenge: [u8; 32],
    /// What the statement is made over instead of the client data.
    pub other_client: Option<Vec<u8>>,
    pub spoil_signature: bool,
    /// The certificate of `apple` and `android-key` is for another key.
    pub foreign_key: bool,
    /// What `android-key` says it was made for is another ceremony.
    pub foreign_challenge: bool,
    pub purpose: bool,
    pub maker: bool,
    pub named_tpm: bool,
    pub ver: &'static str,
    pub magic: u32,
    pub foreign_area: bool,
    pub attributes: u32,
    pub level: u8,
    /// AuthorizationList of the hardware.
    pub hardware: Vec<u8>,
    pub more_certificates: Vec<Vec<u8>>,
}

/// Generated there, and signs.
pub const GOOD_KEY: [u8; 14] = [0xa1, 5, 0x31, 3, 2, 1, 2, 0xbf, 0x85, 0x3e, 3, 2, 1, 0];

impl Forge {
    pub fn new(format: &'static str) -> Forge {
        Forge {
            format,
            by_itself: false,
            ca: Key::new(),
            leaf: Key::new(),
            credential: Key::new(),
            issuer: "Good root",
            unit: "Authenticator Attestation",
            model: MODEL,
            certified: Some(MODEL),
            certified_critical: false,
            valid: ("20240101000000Z", "20340101000000Z"),
            version: 2,
            authority: Some(false),
            alg: -7,
            flags: 0x45,
            tail: vec![],
            origin: ORIGIN,
            challenge: CHALLENGE,
            other_client: None,
            spoil_signature: false,
            foreign_key: false,
            foreign_challenge: false,
            purpose: true,
            maker: true,
            named_tpm: false,
            ver: "2.0",
            magic: 0xff54_4347,
            foreign_area: false,
            attributes: 0x0004_0072,
            level: 1,
            hardware: GOOD_KEY.to_vec(),
            more_certificates: vec![],
        }
    }

    pub fn root(&self) -> Vec<u8> {
        root("Good root", &self.ca)
    }

    fn client(&self) -> Vec<u8> {
        let challenge = b64::encode(&self.challenge);
        format!("{{\"type\":\"webauthn.create\",\"challenge\":\"{challenge}\",\"origin\":\"{}\",\"crossOrigin\":false}}", self.origin).into_bytes()
    }

    fn data(&self) -> Vec<u8> {
        let (x, y) = self.credential.point[1..].split_at(32);
        let cose = map(&[(int(1), int(2)), (int(3), int(-7)), (int(-1), int(1)), (int(-2), bytes(x)), (int(-3), bytes(y))]);
        [&mac::h(RP_ID.as_bytes())[..], &[self.flags], &[0; 4], &self.model, &[0, 16], &[9; 16], &cose, &self.tail].concat()
    }

    fn certificate(&self, subject: Vec<u8>, point: &[u8], more: Vec<Vec<u8>>) -> Vec<u8> {
        let mut extensions = more;
        if let Some(authority) = self.authority {
            extensions.push(extension(BASIC, true, &if authority { seq(&[tlv(&[1], &[0xff])]) } else { seq(&[]) }));
        }
        if let Some(model) = self.certified {
            extensions.push(extension(MODEL_OID, self.certified_critical, &tlv(&[4], &model)));
        }
        Says { issuer: name(self.issuer, "Roots"), subject, valid: self.valid, key: p256(point), extensions, version: self.version }.signed(&self.ca)
    }

    pub fn made(&self) -> Registration {
        let (client, data) = (self.client(), self.data());
        let hash = mac::h(self.other_client.as_ref().unwrap_or(&client));
        let signed = [&data[..], &hash].concat();
        let subject = name("A model", self.unit);
        let spoilt = |mut signature: Vec<u8>| {
            if self.spoil_signature {
                *signature.last_mut().unwrap() ^= 1;
            }
            bytes(&signature)
        };
        let alg = (text("alg"), int(self.alg));
        let chain = |leaf: Vec<u8>| {
            let all: Vec<Vec<u8>> = [leaf].into_iter().chain(self.more_certificates.clone()).map(|c| bytes(&c)).collect();
            (text("x5c"), list(&all))
        };
        let own = if self.foreign_key { &self.leaf } else { &self.credential };
        let statement = match self.format {
            "none" => map(&[]),
            "packed" if self.by_itself => map(&[alg, (text("sig"), spoilt(self.credential.sign(&signed)))]),
            "packed" => {
                let leaf = self.certificate(subject, &self.leaf.point, vec![]);
                map(&[alg, (text("sig"), spoilt(self.leaf.sign(&signed))), chain(leaf)])
            }
            "fido-u2f" => {
                let message = [&[0][..], &mac::h(RP_ID.as_bytes()), &hash, &[9; 16], &self.credential.point].concat();
                let leaf = self.certificate(subject, &self.leaf.point, vec![]);
                map(&[(text("sig"), spoilt(self.leaf.sign(&message))), chain(leaf)])
            }
            "apple" => {
                let nonce = seq(&[tlv(&[0xa1], &tlv(&[4], &mac::h(&signed)))]);
                map(&[chain(self.certificate(subject, &own.point, vec![extension(NONCE, false, &nonce)]))])
            }
            "android-key" => {
                let described = seq(&[
                    tlv(&[2], &[4]),
                    tlv(&[10], &[self.level]),
                    tlv(&[2], &[4]),
                    tlv(&[10], &[self.level]),
                    tlv(&[4], if self.foreign_challenge { &[0; 32] } else { &hash }),
                    tlv(&[4], &[]),
                    seq(&[]),
                    tlv(&[0x30], &self.hardware),
                ]);
                let leaf = self.certificate(subject, &own.point, vec![extension(DESCRIPTION, false, &described)]);
                map(&[alg, (text("sig"), spoilt(own.sign(&signed))), chain(leaf)])
            }
            "tpm" => self.tpm(&signed, subject, spoilt, alg, chain),
            _ => map(&[]),
        };
        let object = map(&[(text("fmt"), text(self.format)), (text("attStmt"), statement), (text("authData"), bytes(&data))]);
        Registration { client_data_json: client, attestation_object: object }
    }

    fn tpm(
        &self,
        signed: &[u8],
        subject: Vec<u8>,
        spoilt: impl Fn(Vec<u8>) -> Vec<u8>,
        alg: (Vec<u8>, Vec<u8>),
        chain: impl Fn(Vec<u8>) -> (Vec<u8>, Vec<u8>),
    ) -> Vec<u8> {
        let area = |key: &Key| tpm_public(&key.point, self.attributes);
        let public = area(&self.credential);
        let certified = if self.foreign_area { area(&self.leaf) } else { public.clone() };
        let own_name = [&[0, 0x0b][..], digest(&SHA256, &certified).as_ref()].concat();
        let info = [
            &self.magic.to_be_bytes()[..],
            &[0x80, 0x17],
            &sized(&[1; 34]),
            &sized(&mac::h(signed)),
            &[0; 25],
            &sized(&own_name),
            &sized(&[]),
        ]
        .concat();
        let made_by: Vec<Vec<u8>> = (1..=3).map(|n| attribute(&[0x67, 0x81, 5, 2, n], 12, b"id:00000000")).collect();
        let other_names = seq(&[tlv(&[0xa4], &seq(if self.maker { &made_by } else { &made_by[..2] }))]);
        let mut more = vec![extension(OTHER_NAMES, true, &other_names)];
        if self.purpose {
            more.push(extension(PURPOSES, false, &seq(&[tlv(&[6], &[0x67, 0x81, 5, 8, 3])])));
        }
        let subject = if self.named_tpm { subject } else { seq(&[]) };
        let leaf = self.certificate(subject, &self.leaf.point, more);
        map(&[
            alg,
            (text("sig"), spoilt(self.leaf.sign(&info))),
            (text("ver"), text(self.ver)),
            chain(leaf),
            (text("pubArea"), bytes(&public)),
            (text("certInfo"), bytes(&info)),
        ])
    }
}
