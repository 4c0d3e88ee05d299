//! A push service as browsers have them, and a browser that subscribed there with keys of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use countersign_device::machine;
use countersign_wire::b64;
use countersign_wire::jose::{Jwk, Jws};
use countersign_wire::message::Subscribe;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One message that came.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Where to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

#[derive(Clone)]
struct Heard {
    came: Arc<Mutex<Vec<Rung>>>,
    answers: Arc<Mutex<(u16, Option<String>)>>,
}

/// A push service.
pub struct Bell {
    /// Host and port.
    pub host: String,
    heard: Heard,
}

async fn hear(State(heard): State<Heard>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    heard.came.lock().unwrap().push(Rung { path: uri.path().to_owned(), headers, body: body.to_vec() });
    let (status, to) = heard.answers.lock().unwrap().clone();
    let status = StatusCode::from_u16(status).unwrap();
    match to {
        Some(to) => (status, [("location", to)]).into_response(),
        None => status.into_response(),
    }
}

impl Bell {
    /// Opens one that takes everything.
    pub async fn open() -> Bell {
        let heard = Heard { came: Arc::default(), answers: Arc::new(Mutex::new((201, None))) };
        let app = axum::Router::new().fallback(hear).with_state(heard.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("127.0.0.1:{}", socket.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Bell { host, heard }
    }
    /// Its lines of the configuration.
    pub fn lines(&self) -> String {
        format!("[push]\ncontact = \"mailto:help@harbour.example\"\nhosts = [\"{}\"]\n", self.host)
    }
    /// Answers so from now on; sends elsewhere where a place is named.
    pub fn turn(&self, status: u16, to: Option<&str>) {
        *self.heard.answers.lock().unwrap() = (status, to.map(str::to_owned));
    }
    /// What came so far.
    pub fn came(&self) -> Vec<Rung> {
        self.heard.came.lock().unwrap().clone()
    }
    /// Waits until so much came.
    pub async fn until(&self, count: usize) -> Vec<Rung> {
        super::wait::so_much("messages", count, || self.came()).await
    }
    /// What came once whatever is under way has come.
    pub async fn settled(&self) -> Vec<Rung> {
        // Longer than a round of the server takes to begin.
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        self.came()
    }
}

/// What a browser keeps of its subscription.
pub struct Browser {
    key: PrivateKey,
    auth: [u8; 16],
    /// Where its push service takes messages.
    pub endpoint: String,
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
}

impl Browser {
    /// One that subscribed at `bell` under a name of its own.
    pub fn at(bell: &Bell, name: &str) -> Browser {
        Browser {
            key: PrivateKey::generate(&ECDH_P256).unwrap(),
            auth: machine::bytes().unwrap(),
            endpoint: format!("http://{}/for/{name}", bell.host),
        }
    }

    /// What it gives to those who want to tell it something; `key` is theirs.
    pub fn gives(&self, key: &str) -> Subscribe {
        Subscribe {
            endpoint: self.endpoint.clone(),
            p256dh: b64::encode(self.key.compute_public_key().unwrap().as_ref()),
            auth: b64::encode(&self.auth),
            key: key.to_owned(),
        }
    }

    /// Opens a message, as RFC 8291 §3.4 and RFC 8188 §2 say: written from their text, with nothing of what the server seals with.
    pub fn opens(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = body.split_at(16);
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap());
        let (sender, sealed) = rest[5..].split_at(usize::from(rest[4]));
        assert!(sealed.len() <= size as usize, "one record");
        let own = self.key.compute_public_key().unwrap();
        let shared = agree(&self.key, UnparsedPublicKey::new(&ECDH_P256, sender), (), |s| Ok(s.to_vec())).ok()?;
        let ikm = hmac(&hmac(&self.auth, &[&shared]), &[b"WebPush: info\0", own.as_ref(), sender, &[1]]);
        let prk = hmac(salt, &[&ikm]);
        let key = hmac(&prk, &[b"Content-Encoding: aes128gcm\0\x01"]);
        let nonce = hmac(&prk, &[b"Content-Encoding: nonce\0\x01"]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
        let mut text = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce[..12].try_into().unwrap());
        let open = key.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
        let end = open.iter().rposition(|b| *b != 0)?;
        assert_eq!(open[end], 2, "the last record");
        Some(open[..end].to_vec())
    }
}

impl Rung {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    /// Who sent it, as a push service checks it (RFC 8292 §2 to §4): the key, and what it says.
    pub fn sender(&self) -> (String, Value) {
        let (token, key) = self.header("authorization").strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let public = Jwk::from_point(&b64::decode(key).unwrap()).unwrap();
        let jws = Jws::parse(token).unwrap();
        assert_eq!((jws.header_text("typ"), jws.header_text("alg")), (Some("JWT"), Some("ES256")));
        let said = jws.verify(&public).unwrap().read().unwrap();
        (key.to_owned(), said)
    }
}
