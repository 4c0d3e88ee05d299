//! Keys and whatever is signed by them.
//!
//! What is signed is read in two ways: the input as it is, which seldom gets past the signature; and
//! the input as the payload of something that a key of ours signed.

use super::{Seen, key, spoilt, text, tried, two};
use countersign_device::SoftwareKey;
use countersign_server::oidc::{client_auth, jar};
use countersign_trust::client::Client;
use countersign_wire as wire;
use countersign_wire::approval::{self, Expected};
use countersign_wire::dbsc::{self, About};
use countersign_wire::dpop::{self, Fresh, Request};
use countersign_wire::jose::jws::Claims;
use countersign_wire::jose::{Alg, Jwk, Jws, Signer as _, jws};
use countersign_wire::{CeremonyId, DeviceId, Time, nonces};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use url::Url;

pub(super) const NOW: Time = Time::from_seconds(1_800_000_000);
pub(super) const ISSUER: &str = "https://id.example";

/// `payload` under a signature of our key.
pub(super) fn signed(header: Value, payload: &[u8]) -> String {
    let Value::Object(header) = header else { unreachable!() };
    jws::encode(header, payload, key()).unwrap()
}

/// `text` with one character of its signature, its payload or its header changed for another.
pub(super) fn forged(text: &str) -> Vec<String> {
    let ends: Vec<usize> = text.match_indices('.').map(|(at, _)| at).collect();
    [ends[0] / 2, (ends[0] + ends[1]).div_ceil(2), ends[1] + (text.len() - ends[1]) / 2]
        .into_iter()
        .filter(|at| text.as_bytes()[*at] != b'.')
        .map(|at| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .filter(|other| other != text)
        .collect()
}

/// A public key reads back from its own members, has one name, and nothing private was overlooked.
pub fn jwk(data: &[u8], seen: &mut Seen) {
    tried!(seen, Jwk::from_point(data));
    let (first, second) = two(data);
    tried!(seen, Jwk::from_coordinates(first, second));
    if let Some(rsa) = tried!(seen, Jwk::rsa(first, second)) {
        assert_eq!(Jwk::parse(&Value::Object(rsa.members())).unwrap(), rsa);
    }
    tried!(seen, Alg::parse(text(data)));
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let Some(read) = tried!(seen, Jwk::parse(&value)) else { return };
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert!(value.get(private).is_none(), "`{private}` was taken");
    }
    let members = Value::Object(read.members());
    assert_eq!(Jwk::parse(&members).unwrap(), read);
    assert_eq!(wire::b64::decode(read.thumbprint().as_str()).unwrap().len(), 32);
    // The name is that of exactly these members (RFC 7638 §3).
    assert_eq!(wire::b64::encode(&wire::mac::h(members.to_string().as_bytes())), read.thumbprint().as_str());
    for name in ["crv", "kty", "x", "y", "n", "e"] {
        assert!(members.get(name).is_none_or(|kept| value.get(name) == Some(kept)), "`{name}` was read as something else");
    }
    for alg in [Alg::ES256, Alg::EdDSA, Alg::RS256, Alg::PS256] {
        assert!(!read.verify(alg, b"message", data), "a signature out of nothing");
    }
    read.is_sound();
}

/// A line with a key, and behind it what it may have signed.
pub fn jws(data: &[u8], seen: &mut Seen) {
    let (line, compact) = text(data).split_once('\n').unwrap_or(("", text(data)));
    if let Some(jws) = tried!(seen, Jws::parse(compact)) {
        assert!(compact.len() <= wire::limits::JWS_BYTES && compact.matches('.').count() == 2);
        assert_eq!(Some(jws.alg()), jws.header_text("alg").and_then(Alg::parse));
        assert!(jws.header_text("crit").is_none() && jws.header_text("b64").is_none());
        tried!(seen, Jws::header_jwk(&jws));
        let claims: Option<Value> = tried!(seen, Jws::unverified(&jws));
        if let Some(claims) = claims {
            assert!(claims.is_object(), "claims are an object (RFC 7519 §7.2)");
        }
        assert!(tried!(seen, Jws::verify(&jws, key().public())).is_none(), "signed by a key that was made just now");
    }
    // Our own signature over the same bytes is good.
    let own = signed(json!({"typ": "x"}), data);
    if own.len() <= wire::limits::JWS_BYTES {
        let own = Jws::parse(&own).unwrap();
        let claims = tried!(seen, Jws::verify(&own, key().public())).unwrap();
        assert_eq!(claims.bytes(), data);
        let read: Option<Map<String, Value>> = tried!(seen, Claims::read(&claims));
        assert_eq!(read.is_some(), serde_json::from_slice::<Map<String, Value>>(data).is_ok());
        let any: Option<Value> = claims.read().ok();
        assert!(any.is_none_or(|v| v.is_object()), "claims are an object (RFC 7519 §7.2)");
    }
    let Ok(jwk) = serde_json::from_str::<Value>(line) else { return };
    let Some((_, claims)) = tried!(seen, wire::jose::jws::verify_by(compact, &jwk)) else { return };
    let payload = compact.split('.').nth(1).unwrap();
    assert_eq!(wire::b64::encode(claims.bytes()), payload, "the bytes that were signed");
    for other in forged(compact) {
        assert!(jws::verify_by(&other, &jwk).is_err(), "forged: {other}");
    }
    let mut bent = jwk.clone();
    let name = if jwk.get("x").is_some() { "x" } else { "n" };
    if let Some(x) = bent.get_mut(name) {
        *x = json!(wire::b64::encode(&spoilt(&wire::b64::decode(x.as_str().unwrap()).unwrap()).next().unwrap()));
        assert!(bent == jwk || jws::verify_by(compact, &bent).is_err(), "taken by another key");
    }
}

fn asked<'a>(nonces: &'a [&'a [u8]]) -> Request<'a> {
    Request { method: "POST", url: "https://id.example/token", token: None, body: None, now: NOW, fresh: Fresh::Age(nonces) }
}

/// A key is registered by its own signature, a cookie refreshed by that key's; a stamp is nobody else's.
pub fn dbsc(data: &[u8], seen: &mut Seen) {
    let own = About { session: "s", key: None };
    tried!(seen, dbsc::registration(text(data)));
    tried!(seen, dbsc::refresh(text(data), key().public()));
    assert!(!own.is_live_challenge(&[7; 32], text(data), NOW) && !own.is_live_cookie(&[7; 32], text(data), NOW));
    assert!(!dbsc::string(text(data)).contains(';'));
    let registers = signed(json!({"typ": "dbsc+jwt", "jwk": key().public().members()}), data);
    let Some(registered) = tried!(seen, dbsc::registration(&registers)) else { return };
    assert_eq!(&registered.jwk, key().public());
    assert!((1..=wire::limits::JTI_BYTES).contains(&registered.challenge.len()) && registered.challenge.is_ascii());
    assert_eq!(dbsc::string(&format!("\"{registers}\";x=1")), registers);
    assert_eq!(tried!(seen, dbsc::refresh(&registers, key().public())), Some(registered.challenge));
    for other in forged(&registers) {
        assert!(dbsc::registration(&other).is_err(), "forged");
    }
}

/// What a proof says must be about this request, whoever signed it.
pub fn dpop(data: &[u8], seen: &mut Seen) {
    tried!(seen, dpop::verify(text(data), &asked(&[])));
    tried!(seen, dpop::is_live_nonce(&[7; 32], text(data), NOW));
    assert!(dpop::is_live_nonce(&[7; 32], &dpop::nonce(&[7; 32], NOW), NOW));
    let proof = signed(json!({"typ": "dpop+jwt", "jwk": key().public().members()}), data);
    let good = match dpop::verify(&proof, &asked(&[&[7; 32]])) {
        Ok(good) => good,
        Err(_) => return,
    };
    // A member that nobody looks at may hold half a character, which not every reader minds.
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    assert!(said.is_object(), "claims are an object (RFC 7519 §7.2)");
    assert_eq!(said["htm"], "POST");
    let own = tried!(seen, nonces::by_key(&proof, &asked(&[]), good.jkt.as_str()));
    assert!(own.is_none_or(|own| own.jkt == good.jkt), "by its own key, whatever its nonce");
    tried!(seen, nonces::by_key(&proof, &asked(&[]), "another"));
    assert!(dpop::is_same_url(said["htu"].as_str().unwrap(), "https://id.example/token"));
    assert_eq!(good.jkt, key().public().thumbprint());
    assert!((1..=wire::limits::JTI_BYTES).contains(&good.jti.len()) && good.jti.is_ascii());
    assert!(good.burn_until > NOW && good.burn_until <= NOW.plus_s(4 * wire::limits::PROOF_AGE_S), "forgotten too early, or never");
    let (made, old) = (good.made.seconds(), NOW.plus_s(-600));
    assert!(said.get("nonce").is_some_and(|n| !n.is_null()) || (NOW.seconds() - made).abs() <= wire::limits::PROOF_AGE_S);
    // Anything else about the request, and it is another request.
    for other in [
        Request { method: "GET", ..asked(&[]) },
        Request { url: "https://id.example/par", ..asked(&[]) },
        Request { url: "http://id.example/token", ..asked(&[]) },
        Request { now: old, ..asked(&[]) },
        Request { token: Some("a token"), ..asked(&[]) },
        Request { body: Some(b"a body"), ..asked(&[]) },
        Request { fresh: Fresh::Nonce(&[]), ..asked(&[]) },
    ] {
        assert!(dpop::verify(&proof, &other).is_err(), "{said}");
    }
    for other in forged(&proof) {
        assert!(dpop::verify(&other, &asked(&[&[7; 32]])).is_err(), "forged");
    }
}

/// Two lines are one place only if whoever opens them arrives at one place (RFC 9449 §4.3, RFC 3986 §6.2).
pub fn htu(data: &[u8], seen: &mut Seen) {
    let (a, b) = text(data).split_once('\n').unwrap_or((text(data), "https://id.example/token"));
    let same = tried!(seen, dpop::is_same_url(a, b)).is_some();
    assert_eq!(same, dpop::is_same_url(b, a));
    if !same {
        return;
    }
    assert!(dpop::is_same_url(a, a) && dpop::is_same_url(b, b));
    if let (Ok(a), Ok(b)) = (Url::parse(a), Url::parse(b)) {
        let place = |u: &Url| (u.scheme().to_owned(), u.host_str().map(str::to_owned), u.port_or_known_default(), u.path().to_owned());
        assert_eq!(place(&a), place(&b));
        assert!(a.username().is_empty() && a.password().is_none(), "somebody's name in `{a}`");
    }
}

/// A decision counts for one device, one server, one ceremony, one statement.
pub fn approval(data: &[u8], seen: &mut Seen) {
    let device: DeviceId = "01931d2b-7a00-7000-8000-000000000003".parse().unwrap();
    let cid: CeremonyId = "01931d2b-7a00-7000-8000-000000000001".parse().unwrap();
    let other_device: DeviceId = "01931d2b-7a00-7000-8000-000000000004".parse().unwrap();
    let other_cid: CeremonyId = "01931d2b-7a00-7000-8000-000000000002".parse().unwrap();
    let public = key().public();
    let want = Expected { key: public, device: &device, issuer: ISSUER, cid: &cid, sd: &[5; 32] };
    tried!(seen, approval::verify(text(data), &want));
    let made = signed(json!({"typ": approval::TYP, "kid": public.thumbprint()}), data);
    let Some(decision) = tried!(seen, approval::verify(&made, &want)) else { return };
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!((&said["sd"], &said["iss"], &said["cid"]), (&json!(wire::b64::encode(&[5; 32])), &json!(device), &json!(cid)));
    assert_eq!(decision.decision == approval::Verb::Approve, decision.wa.is_some());
    for other in [
        Expected { device: &other_device, ..want },
        Expected { issuer: "https://other.example", ..want },
        Expected { cid: &other_cid, ..want },
        Expected { sd: &[6; 32], ..want },
    ] {
        assert!(approval::verify(&made, &other).is_err());
    }
    let stranger = another();
    assert!(approval::verify(&made, &Expected { key: stranger.public(), ..want }).is_err());
    for other in forged(&made) {
        assert!(approval::verify(&other, &want).is_err(), "forged");
    }
}

fn another() -> &'static SoftwareKey {
    static KEY: OnceLock<SoftwareKey> = OnceLock::new();
    KEY.get_or_init(|| SoftwareKey::generate().unwrap())
}

pub(super) fn bank() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        serde_json::from_value(json!({
            "id": "bank", "name": "Bank", "redirect_uris": ["https://bank.example/cb"], "auth": "private_key_jwt",
            "keys": [key().public()], "detail_types": ["payment", "tool_call"],
        }))
        .unwrap()
    })
}

/// A request object (RFC 9101) is for this server, by this client, for now, and holds plain parameters.
pub fn request_object(data: &[u8], seen: &mut Seen) {
    tried!(seen, jar::open(text(data), bank(), ISSUER, NOW));
    let made = signed(json!({"typ": "oauth-authz-req+jwt"}), data);
    let Some(params) = tried!(seen, jar::open(&made, bank(), ISSUER, NOW)) else { return };
    let said: Value = serde_json::from_slice(data).unwrap();
    assert_eq!((&said["iss"], &said["client_id"]), (&json!("bank"), &json!("bank")));
    assert!(said["aud"] == ISSUER || said["aud"].as_array().is_some_and(|a| a.iter().any(|one| one == ISSUER)));
    for about in ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "request", "request_uri"] {
        assert!(params.one(about).is_none(), "`{about}` became a parameter");
    }
    for (name, value) in params.all() {
        assert!(said.get(name).is_some() && !value.chars().any(char::is_control));
    }
    assert!(jar::open(&made, bank(), "https://other.example", NOW).is_err());
    assert!(jar::open(&made, bank(), ISSUER, NOW.plus_s(2 * 3_600)).is_err(), "it never ends");
    for other in forged(&made) {
        assert!(jar::open(&other, bank(), ISSUER, NOW).is_err(), "forged");
    }
}

/// How a client shows who it is (RFC 7523): the first part a Basic header, the second the claims of an
/// assertion, or the form by itself.
pub fn client_assertion(data: &[u8], seen: &mut Seen) {
    use countersign_server::oidc::params::Params;
    let (line, rest) = two(data);
    let mut headers = axum::http::HeaderMap::new();
    if let (false, Ok(value)) = (line.is_empty(), axum::http::HeaderValue::from_bytes(line)) {
        headers.insert("authorization", value);
    }
    if let Ok(params) = Params::parse(rest)
        && let Some(shown) = tried!(seen, client_auth::shown(&headers, &params))
    {
        assert!(client_auth::check(bank(), &shown, ISSUER, NOW).is_err(), "nobody signed this");
    }
    let made = signed(json!({"typ": "JWT"}), rest);
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let form = |text: &str| Params::parse(format!("client_assertion_type={kind}&client_assertion={text}").as_bytes());
    let none = axum::http::HeaderMap::new();
    let Ok(params) = form(&made) else { return };
    let Some(shown) = tried!(seen, client_auth::shown(&none, &params)) else { return };
    if client_auth::check(bank(), &shown, ISSUER, NOW).is_err() {
        return;
    }
    let Ok(said) = serde_json::from_slice::<Value>(rest) else { return };
    assert_eq!((&said["iss"], &said["sub"]), (&json!("bank"), &json!("bank")));
    assert!(client_auth::check(bank(), &shown, "https://other.example", NOW).is_err());
    assert!(client_auth::check(bank(), &shown, ISSUER, NOW.plus_s(600)).is_err(), "it never ends");
    for other in forged(&made) {
        if let Ok(shown) = client_auth::shown(&none, &form(&other).unwrap()) {
            assert!(client_auth::check(bank(), &shown, ISSUER, NOW).is_err(), "forged");
        }
    }
    assert_eq!(key().alg(), Alg::ES256);
}
