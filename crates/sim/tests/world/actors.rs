//! Phones and screens: their keys, what they remember, the messages they make.

use super::chance::Seeded;
use super::net::{Answer, Message};
use super::play::ISSUER;
use countersign_device::SoftwareKey;
use countersign_device::passkey::client_data;
use countersign_wire::approval::{self, Decision, Verb};
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::frame::{self, Frame};
use countersign_wire::message::{DecisionBody, DeviceView};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{CredentialId, DeviceId, PersonId, Time, b64, mac, statement};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// An enrolled phone.
pub struct Phone {
    /// Its device key.
    pub dk: Arc<SoftwareKey>,
    /// Its passkey.
    pub passkey: Arc<SoftwareKey>,
    /// Its id.
    pub device: DeviceId,
    /// Its passkey's id.
    pub credential: CredentialId,
    /// Its person.
    pub person: PersonId,
    /// Where it is.
    pub at: IpAddr,
    /// How wrong its clock is, seconds.
    pub skew_s: i64,
    /// What it was shown, by ceremony.
    pub views: BTreeMap<String, DeviceView>,
    /// Whether somebody reported it lost.
    pub lost: bool,
}

/// A screen with one browser.
#[derive(Default)]
pub struct Screen {
    /// Its key for the ceremony under way.
    pub key: Option<Arc<SoftwareKey>>,
    /// The key of its session.
    pub session_key: Option<Arc<SoftwareKey>>,
    /// Cookie b.
    pub browser: Option<String>,
    /// Session cookie.
    pub session: Option<String>,
    /// The client it wants to sign in to.
    pub client: String,
    /// The authorization request.
    pub flow: Option<String>,
    /// The ceremony.
    pub cid: Option<String>,
    /// Its handle and channel key.
    pub code: Option<([u8; 16], [u8; 32])>,
    /// The typed code.
    pub user_code: String,
    /// When it was opened, by the server's clock.
    pub opened: Time,
    /// Which phone scanned it last, and what digits are to be typed.
    pub scanned: Option<usize>,
    /// Digits to type on it.
    pub digits: Option<String>,
    /// What it believes: 0 nothing, 1 flow, 2 opened, 3 scanned, 4 confirmed, 5 approved, 6 greeted, 7 code, 8 tokens.
    pub stage: u8,
    /// The client's code.
    pub grant: Option<String>,
    /// The access token.
    pub token: Option<String>,
}

/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where the client is.
pub const CALLBACK: &str = "https://till.example/cb";

/// What a proof is made with besides the key.
pub struct Around<'a> {
    /// The server's nonce, as the page carries it.
    pub nonce: &'a str,
    /// The server's time, plus how wrong the sender's clock is.
    pub clock: Time,
    /// For names.
    pub chance: &'a Seeded,
}

fn proof(key: &SoftwareKey, around: &Around<'_>, method: &str, path: &str, body: Option<&str>, token: Option<&str>) -> String {
    let claims = ProofClaims {
        jti: around.chance.name(),
        htm: method.to_owned(),
        htu: format!("{ISSUER}{}", path.split('?').next().unwrap_or_default()),
        iat: NumericDate(around.clock.seconds()),
        nonce: Some(around.nonce.to_owned()),
        ath: token.map(|t| b64::encode(&mac::h(t.as_bytes()))),
        bd: body.map(|b| b64::encode(&mac::h(b.as_bytes()))),
    };
    dpop::make(&claims, key.public(), key).unwrap()
}

impl Phone {
    fn post(&self, around: &Around<'_>, path: String, body: &Value) -> Message {
        let body = body.to_string();
        let skewed = Around { clock: around.clock.plus_s(self.skew_s), ..*around };
        let dpop = proof(&self.dk, &skewed, "POST", &path, Some(&body), None);
        let headers = vec![("dpop", dpop), ("content-type", "application/json".to_owned())];
        Message { method: "POST", path, headers, body, from: self.at }
    }
    /// Scans frames.
    pub fn scan(&self, around: &Around<'_>, frames: &[String]) -> Message {
        self.post(around, "/device/scans".to_owned(), &json!({ "frames": frames }))
    }
    /// Types a code.
    pub fn type_code(&self, around: &Around<'_>, code: &str) -> Message {
        self.post(around, "/device/scans".to_owned(), &json!({ "user_code": code }))
    }
    /// Ends every session of its person.
    pub fn end_all(&self, around: &Around<'_>) -> Message {
        self.post(around, "/device/sessions/end".to_owned(), &json!({}))
    }
    /// Reports a device as lost.
    pub fn report_lost(&self, around: &Around<'_>, device: &DeviceId) -> Message {
        self.post(around, format!("/device/devices/{device}/lost"), &json!({}))
    }
    /// Digits typed on it.
    pub fn confirm(&self, around: &Around<'_>, cid: &str, digits: &str) -> Message {
        self.post(around, format!("/device/ceremonies/{cid}/confirm"), &json!({ "digits": digits }))
    }
    /// A decision about what it was shown, signed with its own passkey or with `passkey`.
    pub fn decide(&self, around: &Around<'_>, cid: &str, verb: Verb, signer: &Phone, counter: u32) -> Option<Message> {
        let sd = match self.views.get(cid).and_then(|v| v.statement.as_ref()) {
            Some(bytes) => statement::digest(&b64::decode(bytes).unwrap()),
            None => [0; 32],
        };
        let assertion = (verb == Verb::Approve).then(|| signer.assert(&sd, counter));
        let decision = Decision {
            iss: self.device.clone(),
            aud: ISSUER.to_owned(),
            cid: cid.parse().ok()?,
            sd: b64::encode(&sd),
            decision: verb,
            wa: assertion.as_ref().map(|a| b64::encode(&a.decode().unwrap().digest())),
            jti: around.chance.name(),
        };
        let body = DecisionBody { approval: approval::make(&decision, self.dk.public(), &*self.dk).unwrap(), assertion };
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = serde_json::to_string(&body).unwrap();
        Some(Message { method: "POST", path: format!("/device/ceremonies/{cid}/decision"), headers, body, from: self.at })
    }
    fn assert(&self, sd: &[u8; 32], counter: u32) -> AssertionText {
        let mut data = mac::h(b"localhost").to_vec();
        data.push(0b101);
        data.extend(counter.to_be_bytes());
        let client = client_data("webauthn.get", &statement::challenge(sd), ISSUER);
        let mut signed = data.clone();
        signed.extend(mac::h(&client));
        AssertionText {
            credential_id: self.credential.to_string(),
            authenticator_data: b64::encode(&data),
            client_data_json: b64::encode(&client),
            signature: b64::encode(&self.passkey.sign_asn1(&signed).unwrap()),
            user_handle: None,
        }
    }
}

impl Screen {
    /// Where a screen asks for a sign-in.
    pub fn authorize(&self, from: IpAddr, chance: &Seeded, bound: Option<&SoftwareKey>) -> Message {
        let bound = bound.map(|k| format!("&dpop_jkt={}", k.public().thumbprint())).unwrap_or_default();
        let path = format!(
            "/authorize?response_type=code&client_id={}&redirect_uri={}&scope=openid%20profile&state=s&nonce={}\
             &code_challenge={CHALLENGE}&code_challenge_method=S256{bound}",
            self.client,
            CALLBACK.replace(':', "%3A").replace('/', "%2F"),
            chance.name()
        );
        Message { method: "GET", path, headers: self.cookies(), body: String::new(), from }
    }
    fn cookies(&self) -> Vec<(&'static str, String)> {
        let both = [("__Host-cs_b", &self.browser), ("__Host-cs_s", &self.session)];
        let line: Vec<String> = both.iter().filter_map(|(n, v)| v.as_ref().map(|v| format!("{n}={v}"))).collect();
        if line.is_empty() { vec![] } else { vec![("cookie", line.join("; "))] }
    }
    fn post(&self, from: IpAddr, path: String, body: &Value) -> Message {
        let mut headers = self.cookies();
        headers.push(("origin", ISSUER.to_owned()));
        headers.push(("content-type", "application/json".to_owned()));
        if let Some((_, ck)) = &self.code {
            headers.push(("authorization", format!("Ceremony {}", b64::encode(&frame::wait_key(ck)))));
        }
        Message { method: "POST", path, headers, body: body.to_string(), from }
    }
    fn proved(&self, around: &Around<'_>, key: &SoftwareKey, mut message: Message) -> Message {
        message.headers.push(("dpop", proof(key, around, "POST", &message.path, None, None)));
        message
    }
    /// Opens a ceremony for the flow.
    pub fn open(&self, around: &Around<'_>, from: IpAddr, key: &SoftwareKey) -> Message {
        let body = json!({ "flow": self.flow, "prev": self.cid });
        let message = self.post(from, "/ceremonies".to_owned(), &body);
        self.proved(around, key, message)
    }
    /// The frames it shows, `behind` frames ago.
    pub fn frames(&self, now: Time, behind: i64, pair: bool) -> Vec<String> {
        let Some((handle, ck)) = &self.code else { return vec![] };
        let at = frame::index_at(now.ms_since(self.opened)) - behind;
        if behind > 0 && at < 0 {
            // A screen this young has no frame that old.
            return vec![];
        }
        let one = |i: i64| Frame::make(ck, *handle, u16::try_from(i.clamp(0, 65_535)).unwrap()).text();
        if pair { vec![one(at - 1), one(at)] } else { vec![one(at)] }
    }
    /// Types digits.
    pub fn confirm(&self, from: IpAddr, digits: &str) -> Option<Message> {
        Some(self.post(from, format!("/ceremonies/{}/confirm", self.cid.as_ref()?), &json!({ "digits": digits })))
    }
    /// Gives up.
    pub fn abandon(&self, from: IpAddr) -> Option<Message> {
        Some(self.post(from, format!("/ceremonies/{}/abandon", self.cid.as_ref()?), &json!({})))
    }
    /// Redeems with `key`.
    pub fn redeem(&self, around: &Around<'_>, from: IpAddr, key: &SoftwareKey) -> Option<Message> {
        let message = self.post(from, format!("/ceremonies/{}/redeem", self.cid.as_ref()?), &json!({}));
        Some(self.proved(around, key, message))
    }
    /// "Continue".
    pub fn go_on(&self, around: &Around<'_>, from: IpAddr) -> Option<Message> {
        let message = self.post(from, format!("/ceremonies/{}/continue", self.cid.as_ref()?), &json!({}));
        Some(self.proved(around, self.session_key.as_ref()?, message))
    }
    /// A running session answers another request.
    pub fn resume(&self, around: &Around<'_>, from: IpAddr) -> Option<Message> {
        let message = self.post(from, format!("/sign-in/{}/resume", self.flow.as_ref()?), &json!({}));
        Some(self.proved(around, self.session_key.as_ref()?, message))
    }
    /// Signs out.
    pub fn sign_out(&self, around: &Around<'_>, from: IpAddr) -> Option<Message> {
        let message = self.post(from, "/session/end".to_owned(), &json!({}));
        Some(self.proved(around, self.session_key.as_ref()?, message))
    }
    /// The client changes its code for tokens.
    pub fn exchange(&self, around: &Around<'_>, from: IpAddr, key: &SoftwareKey, verifier: &str) -> Option<Message> {
        let body = format!(
            "grant_type=authorization_code&client_id={}&code={}&redirect_uri={}&code_verifier={verifier}",
            self.client,
            self.grant.as_ref()?,
            CALLBACK.replace(':', "%3A").replace('/', "%2F")
        );
        let headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("dpop", proof(key, around, "POST", "/token", None, None)),
        ];
        Some(Message { method: "POST", path: "/token".to_owned(), headers, body, from })
    }
    /// The client asks who it is.
    pub fn ask_who(&self, around: &Around<'_>, from: IpAddr, key: &SoftwareKey) -> Option<Message> {
        let token = self.token.as_ref()?;
        let headers = vec![
            ("authorization", format!("DPoP {token}")),
            ("dpop", proof(key, around, "GET", "/userinfo", None, Some(token))),
        ];
        Some(Message { method: "GET", path: "/userinfo".to_owned(), headers, body: String::new(), from })
    }

    /// Remembers an opening.
    pub fn heard_opened(&mut self, answer: &Answer, key: Arc<SoftwareKey>, now: Time) {
        let bytes = |name: &str| answer.text(name).and_then(|t| b64::decode(&t).ok()).unwrap_or_default();
        let (Ok(handle), Ok(ck)) = (bytes("handle").try_into(), bytes("ck").try_into()) else { return };
        self.code = Some((handle, ck));
        self.cid = answer.text("cid");
        self.user_code = answer.text("user_code").unwrap_or_default();
        (self.key, self.opened, self.stage, self.scanned, self.digits) = (Some(key), now, 2, None, None);
    }
    /// Remembers where it was sent.
    pub fn heard_next(&mut self, next: &str) {
        let code = next.split(['?', '&', '#']).find_map(|p| p.strip_prefix("code="));
        if let Some(code) = code {
            (self.grant, self.stage) = (Some(code.to_owned()), 7);
        }
    }
}
