//! Clients that collect by themselves, step by step: by a typed code (RFC 8628), or by asking for a person
//! whom they name (CIBA).

use super::ways::{CODES, Play, Step, unmade};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_device::Fault;
use countersign_device::http::{Call, Prover};
use countersign_sim::stage::{CIBA, DEVICE, SECRET};
use countersign_wire::CeremonyId;
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

/// Clients that may ask for people by name, one for each play.
pub const ASKING: u32 = 250;
/// What their screens show.
const DIGITS: &str = "739204";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One of them.
pub fn asking(n: u32) -> String {
    format!("life-asking-{n}")
}

/// The next that no play had.
pub fn next() -> String {
    let n = NEXT.fetch_add(1, Ordering::SeqCst);
    assert!(n < ASKING, "more plays than clients");
    asking(n)
}

/// What such a client was told.
#[derive(Default)]
pub struct Told {
    /// `device_code` or `auth_req_id`.
    code: Option<String>,
    user_code: Option<String>,
    /// What is offered to the person.
    pub offered: Option<CeremonyId>,
}

impl Play<'_> {
    /// A form of a client that shows its secret and the terminal's key; once more with the nonce that it is told to take.
    async fn by_secret(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Value, Fault> {
        let raw = self.scene.raw(&self.place);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
        let send = async |nonce: String| {
            let proof = raw.proof(&self.terminal.key, "POST", path, &body, |c| (c.nonce, c.bd) = (Some(nonce), None));
            let headers = [
                ("dpop", proof), ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("authorization", format!("Basic {}", STANDARD.encode(format!("{}:{}", self.client, SECRET.replace(' ', "+"))))),
            ];
            raw.send("POST", path, &headers, body.clone()).await
        };
        let mut reply = send(raw.nonce().await).await;
        if let Some(nonce) = reply.told_nonce() {
            reply = send(nonce).await;
        }
        if reply.status == 200 {
            return Ok(reply.json());
        }
        let code = reply.code();
        let known = CODES.into_iter().find(|c| *c == code);
        Err(Fault::ended(known.unwrap_or_else(|| panic!("{path}: {} {}", reply.status, reply.json()))))
    }

    /// A form of a public client that shows the terminal's key.
    async fn by_key(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Value, Fault> {
        let url = self.scene.stage.issuer.join(path).map_err(|_| unmade())?;
        self.terminal.http.ask(&Call::form(url, pairs).proved(Prover::terminal(&self.terminal.key))).await
    }

    fn keep(&mut self, told: Value) -> Result<(), Fault> {
        self.tokens = Some(serde_json::from_value(told).map_err(|_| unmade())?);
        Ok(())
    }

    pub(super) async fn collect(&mut self, step: Step) -> Result<(), Fault> {
        let text = |told: &Value, name: &str| told[name].as_str().unwrap().to_owned();
        let code = self.told.code.clone().ok_or_else(unmade);
        match step {
            Step::AskForCode => {
                let told = self.by_key("/device_authorization", &[("client_id", &self.client), ("scope", "openid profile")]).await?;
                (self.told.code, self.told.user_code) = (Some(text(&told, "device_code")), Some(text(&told, "user_code")));
            }
            Step::TypeCode => {
                let typed = self.told.user_code.as_deref().ok_or_else(unmade)?;
                self.checked = Some(self.phone.scan_code(typed).await?);
            }
            Step::CollectTokens => {
                let pairs = [("grant_type", DEVICE), ("client_id", &*self.client), ("device_code", &*code?)];
                let told = self.by_key("/token", &pairs).await?;
                self.keep(told)?;
            }
            Step::Call => {
                let context = format!("{{\"ip_address\":\"{}\"}}", self.place);
                let message = format!("Till 3: {DIGITS}");
                let pairs = [("scope", "openid profile"), ("login_hint", &*self.login), ("binding_message", &*message), ("request_context", &*context)];
                let told = text(&self.by_secret("/bc-authorize", &pairs).await?, "auth_req_id");
                self.checked = None;
                self.told.offered = told.split('.').next().and_then(|id| id.parse().ok());
                self.told.code = Some(told);
            }
            Step::TypeDigits => {
                let cid = self.told.offered.clone().ok_or_else(unmade)?;
                self.phone.confirm(&cid, DIGITS).await?;
            }
            Step::Hear => {
                let told = self.by_secret("/token", &[("grant_type", CIBA), ("auth_req_id", &code?)]).await?;
                self.keep(told)?;
            }
            Step::Renew => {
                let token = self.tokens()?.refresh_token.clone().ok_or_else(unmade)?;
                let told = self.by_secret("/token", &[("grant_type", "refresh_token"), ("refresh_token", &token)]).await?;
                self.keep(told)?;
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}
