//! A server in memory with one person signed in, a client that holds a key, and its doors.

use crate::app::once::hashed;
use crate::app::keys::Keys;
use crate::app::{App, Made, nonces, sessions};
use crate::chance::System;
use crate::config::Config;
use crate::oidc::details::DetailTypes;
use crate::seal::Seal;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use countersign_store::sql::{AuthRequest, CodeFacts, RequestFacts};
use countersign_store::{Clock, Commit, Engine, Store, Write};
use countersign_trust::acr::Earned;
use countersign_trust::audit::Kind;
use countersign_trust::client::Client;
use countersign_trust::device::{Credential, Device, DeviceState, KeyClass};
use crate::app::policies::Policies;
use countersign_trust::principal::{PersonState, Role};
use countersign_trust::session::{Session, SessionFacts};
use countersign_wire::dpop::{self, NumericDate, ProofClaims};
use countersign_wire::jose::jws::SignFault;
use countersign_wire::jose::{Alg, Jwk, Signer};
use countersign_wire::*;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tower::ServiceExt as _;

pub const T0: Time = Time(1_800_000_000_000_000);
pub const ISSUER: &str = "http://localhost:7310";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// The network that requests come from where nothing else is said.
pub const HERE: &str = "0.0.0.0/24";
pub const CB: &str = "https://till.example/cb";

pub struct Hand(AtomicI64);
impl Clock for Hand {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub struct Key(EcdsaKeyPair);
impl Signer for Key {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, m: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec())
    }
}
impl Key {
    pub fn new() -> Key {
        Key(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }
    pub fn public(&self) -> Jwk {
        Jwk::P256(self.0.public_key().as_ref()[1..].try_into().unwrap())
    }
}

pub struct World {
    pub app: Arc<App>,
    pub clock: Arc<Hand>,
    pub session: SessionFacts,
    pub cookie: String,
    /// The key of the screen that the session is on.
    pub terminal: Arc<Key>,
    doors: Router,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}
impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

pub fn client(id: &str, more: Value) -> Client {
    let mut value = json!({
        "id": id, "name": "Till", "redirect_uris": [CB], "scopes": ["profile"],
        "post_logout_redirect_uris": ["https://till.example/bye"],
    });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

impl World {
    pub async fn new(clients: Vec<Client>) -> World {
        World::with(clients, "").await
    }
    pub async fn with(clients: Vec<Client>, config: &str) -> World {
        let clock = Arc::new(Hand(AtomicI64::new(T0.0)));
        let store = Store::new(Engine::open_with("sqlite::memory:", clock.clone()).await.unwrap());
        let chance = Arc::new(System::default());
        let keys = Keys::load(&store, Seal::new(&[3; 32]), chance.clone()).await.unwrap();
        let config = Arc::new(Config::parse(config, std::iter::empty()).unwrap());
        let policies = Policies::load(None).unwrap();
        let details = DetailTypes::load(&[]).unwrap();
        let access = crate::app::access::Access::load(None).unwrap();
        let trusted = Default::default();
        let app = Arc::new(App::new(Made { store, config, keys, policies, access, details, trusted, chance }));
        let person = PersonId::new(T0, app.id10());
        let dk = Key::new().public();
        let device = Device {
            id: DeviceId::new(T0, app.id10()),
            version: 0,
            person: person.clone(),
            state: DeviceState::Active,
            jkt: dk.thumbprint(),
            dk: dk.clone(),
            key: KeyClass::Software,
            limited_until: None,
            added_at: T0,
            posture: Default::default(),
            seen_at: None,
            signals: Vec::new(),
            recovered: false,
            seat: None,
        };
        let credential = Credential {
            id: "cred".parse().unwrap(),
            version: 0,
            person: person.clone(),
            device: device.id.clone(),
            live: true,
            key: dk,
            counter: 0,
            backup_eligible: false,
            attested: false,
        };
        let cookie = b64::encode(&app.random::<32>());
        let terminal = Arc::new(Key::new());
        let session = SessionFacts {
            id: SessionId::new(T0, app.id10()),
            txn: app.txn(T0),
            person: person.clone(),
            device: device.id.clone(),
            credential: credential.id.clone(),
            ceremony: None,
            clients: clients.iter().map(|c| c.id.clone()).collect(),
            jkt: terminal.public().thumbprint(),
            cookie_hash: hashed(cookie.as_bytes()),
            scopes: vec!["openid".into(), "profile".into()],
            earned: Earned::CrossDevice,
            attested: false,
            auth_time: T0,
            opened_at: T0,
            until: T0.plus_s(3600),
            idle_s: 900,
            agent: "A program".into(),
            shown: json!({"channel": "frame", "near": "weak"}),
            collector: None,
            rights: Vec::new(),
            networks: vec![HERE.to_owned()],
            country: None,
            bound: None,
            terminal: None,
            vouched_by: None,
        };
        let mut commit = Commit::new(app.event(Kind::SessionOpened, &session.txn, T0));
        commit
            .write(Write::person_added(&person, PersonState::Active, Role::Member, T0))
            .write(Write::name_given(&person, "Ana Petrović", "ana"))
            .write(Write::device_added(&device, "Phone"))
            .write(Write::credential_added(&credential, "none", T0))
            .write(Write::session_opened(&countersign_trust::session::Session::begun(session.clone())))
            .writes(clients.iter().map(|c| Write::client_added(c, "test")));
        app.commit(commit).await.unwrap();
        let doors = crate::http::router(app.clone());
        World { app, clock, session, cookie, terminal, doors }
    }

    pub fn clock_ms(&self, ms: i64) {
        self.clock.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
    pub fn later(&self, s: i64) {
        self.clock.0.fetch_add(s * 1_000_000, Ordering::SeqCst);
    }

    /// A second server over the same store.
    pub async fn node(&self) -> World {
        let old = &self.app;
        let keys = Keys::load(&old.store, Seal::new(&[3; 32]), old.chance.clone()).await.unwrap();
        let details = DetailTypes::load(&[]).unwrap();
        let access = crate::app::access::Access::load(None).unwrap();
        let policies = Policies::load(None).unwrap();
        let (store, config, chance) = (old.store.clone(), old.config.clone(), old.chance.clone());
        let trusted = Default::default();
        let app = Arc::new(App::new(Made { store, config, keys, policies, access, details, trusted, chance }));
        let doors = crate::http::router(app.clone());
        World { app, clock: self.clock.clone(), session: self.session.clone(), cookie: self.cookie.clone(), terminal: self.terminal.clone(), doors }
    }

    /// A code for `client`, as the sign-in page would have got it.
    pub async fn code(&self, client: &str, dpop_jkt: Option<Thumbprint>) -> String {
        self.code_for(client, dpop_jkt, "openid profile").await
    }
    pub async fn code_for(&self, client: &str, dpop_jkt: Option<Thumbprint>, scopes: &str) -> String {
        self.code_of(client, dpop_jkt, scopes, Some(CHALLENGE)).await
    }
    pub async fn code_challenged(&self, client: &str, challenge: Option<&str>) -> String {
        self.code_of(client, None, "openid profile", challenge).await
    }
    async fn code_of(&self, client: &str, dpop_jkt: Option<Thumbprint>, scopes: &str, challenge: Option<&str>) -> String {
        let (app, now) = (&self.app, self.app.now());
        let text = b64::encode(&app.random::<32>());
        let request = RequestFacts {
            resource: None,
            details: vec![],
            id: RequestId::new(now, app.id10()),
            txn: app.txn(now),
            client: client.parse().unwrap(),
            redirect_uri: CB.into(),
            state: Some("s".into()),
            nonce: Some("n-1".into()),
            scopes: scopes.split(' ').map(str::to_owned).collect(),
            code_challenge: challenge.map(str::to_owned),
            dpop_jkt: None,
            acr_values: vec![],
            prompt: vec![],
            max_age_s: None,
            person: None,
            id_claims: vec![],
            response_mode: "query".into(),
            hash: String::new(),
            at: now,
        };
        let facts = CodeFacts {
            txn: request.txn.clone(),
            session: self.session.id.clone(),
            request: request.id.clone(),
            ceremony: None,
            client: request.client.clone(),
            redirect_uri: CB.into(),
            code_challenge: challenge.map(str::to_owned),
            dpop_jkt,
            scopes: request.scopes.clone(),
            nonce: request.nonce.clone(),
        };
        let mut commit = Commit::new(app.event(Kind::CodeIssued, &request.txn, now));
        commit
            .write(Write::request_added(&request, "h", now.plus_s(1800)))
            .write(Write::code_made(&hashed(text.as_bytes()), &facts, now.plus_s(60)));
        app.commit(commit).await.unwrap();
        text
    }

    pub async fn request(&self, id: &str) -> AuthRequest {
        self.app.store.request(&id.parse().unwrap()).await.unwrap().unwrap()
    }

    pub async fn end_session(&self) {
        let session = self.live().await;
        sessions::end(&self.app, &session, "test", self.app.now()).await.unwrap();
    }
    pub async fn live(&self) -> Session {
        self.app.store.session(&self.session.id).await.unwrap().unwrap()
    }

    /// A nonce for whoever asks.
    pub fn nonce(&self) -> String {
        dpop::nonce(self.app.keys.k().1.expose(), self.app.now())
    }
    /// A proof with a nonce that its key would have got.
    pub fn proof(&self, key: &Key, method: &str, path: &str, token: Option<&str>) -> String {
        let nonce = nonces::give(&self.app, &key.public().thumbprint());
        self.proof_with(key, method, path, token, Some(nonce))
    }
    pub fn proof_with(&self, key: &Key, method: &str, path: &str, token: Option<&str>, nonce: Option<String>) -> String {
        let claims = ProofClaims {
            jti: b64::encode(&self.app.random::<12>()),
            htm: method.into(),
            htu: format!("{ISSUER}{path}"),
            iat: NumericDate(0),
            nonce,
            ath: token.map(|t| hashed(t.as_bytes())),
            bd: None,
        };
        dpop::make(&claims, &key.public(), key).unwrap()
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if method == "POST" && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response: Response =
            self.doors.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub fn form(client: &str, code: &str) -> String {
        form(&[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("redirect_uri", CB),
            ("code_verifier", VERIFIER),
        ])
    }
    /// Sends a form with a fresh proof.
    pub async fn post(&self, path: &str, key: &Key, pairs: &[(&str, &str)]) -> Answer {
        let proof = self.proof(key, "POST", path, None);
        self.send("POST", path, &[("dpop", &proof)], &form(pairs)).await
    }
    /// Renews with a fresh proof.
    pub async fn renew(&self, client: &str, token: &str, key: &Key) -> Answer {
        self.post("/token", key, &[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)]).await
    }
    /// Exchanges a code with a fresh proof.
    pub async fn exchange(&self, client: &str, code: &str, key: &Key) -> Answer {
        let proof = self.proof(key, "POST", "/token", None);
        self.send("POST", "/token", &[("dpop", &proof)], &Self::form(client, code)).await
    }
    pub async fn userinfo(&self, token: &str, key: &Key) -> Answer {
        let proof = self.proof(key, "GET", "/userinfo", Some(token));
        self.send("GET", "/userinfo", &[("dpop", &proof), ("authorization", &format!("DPoP {token}"))], "").await
    }
    /// Kinds of the newest events, newest first.
    pub async fn log(&self) -> Vec<String> {
        let kinds = self.app.store.latest(50).await.unwrap();
        kinds.into_iter().map(|(_, e)| e.kind).collect()
    }
}
