use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use countersign_wire::jose::jws::{self, SignFault};
use countersign_wire::jose::{Alg, Jwk, Signer};
use serde_json::{Map, Value, json};

const NOW: Time = Time(1_800_000_000_000_000);
const ISSUER: &str = "https://id.example";

struct Key(EcdsaKeyPair);
impl Signer for Key {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, m: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.0.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec())
    }
}
fn key() -> (Key, Jwk) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref()[1..].try_into().unwrap();
    (Key(pair), Jwk::P256(point))
}
fn client(auth: &str, more: Value) -> Client {
    let mut value = json!({"id": "till", "name": "Till", "redirect_uris": ["https://till.example/cb"], "auth": auth});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}
fn secret_client(auth: &str) -> Client {
    client(auth, json!({"secret_hash": b64::encode(&mac::h(b"s/e:c+ret"))}))
}
fn basic_header(pair: &str) -> HeaderMap {
    let text = b64::encode(pair.as_bytes()).replace('-', "+").replace('_', "/");
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Basic {text}").parse().unwrap());
    headers
}
fn show(headers: &HeaderMap, form: &str) -> Result<Shown, Fault> {
    shown(headers, &Params::parse(form.as_bytes()).unwrap())
}

#[test]
fn each_method_serves_only_the_client_that_registered_it() {
    let none = HeaderMap::new();
    let ways = [
        show(&none, "client_id=till").unwrap(),
        show(&basic_header("till:s%2Fe%3Ac%2Bret"), "").unwrap(),
        show(&none, "client_id=till&client_secret=s/e:c%2Bret").unwrap(),
    ];
    let clients = [client("none", json!({})), secret_client("client_secret_basic"), secret_client("client_secret_post")];
    for (i, way) in ways.iter().enumerate() {
        for (j, client) in clients.iter().enumerate() {
            assert_eq!(check(client, way, ISSUER, NOW).is_ok(), i == j, "{i} {j}");
        }
    }
    let wrong = show(&basic_header("till:other"), "").unwrap();
    assert!(check(&clients[1], &wrong, ISSUER, NOW).is_err());
}

#[test]
fn two_methods_at_once_or_two_names_are_refused() {
    assert!(show(&basic_header("till:x"), "client_secret=x").is_err());
    assert!(show(&basic_header("till:x"), "client_id=other").is_err());
    assert!(show(&HeaderMap::new(), "client_id=till&client_secret=x&client_assertion=a.b.c").is_err());
    assert!(show(&HeaderMap::new(), "").is_err());
    let mut bearer = HeaderMap::new();
    bearer.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
    assert!(show(&bearer, "client_id=till").is_err());
}

#[test]
fn an_assertion_serves_once_here_and_briefly() {
    let (key, jwk) = key();
    let client = client("private_key_jwt", json!({"keys": [jwk]}));
    let good = json!({"iss": "till", "sub": "till", "aud": ISSUER, "exp": NOW.seconds() + 60, "jti": "j"});
    let by = |client: &Client, name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        let text = jws::encode(Map::new(), claims.to_string().as_bytes(), &key).unwrap();
        assertion(&Asserting::client(client), &text, ISSUER, NOW)
    };
    let with = |name: &str, value: Value| by(&client, name, value);
    let used = with("aud", json!("https://id.example/token")).unwrap();
    assert_eq!(used.name, "till/j");
    assert!(with("aud", json!([ISSUER])).is_ok());
    for endpoint in ["par", "introspect", "revoke"] {
        assert!(with("aud", json!(format!("{ISSUER}/{endpoint}"))).is_ok(), "{endpoint}");
    }
    // Common libraries make theirs for an hour; the strict profile takes none of those.
    assert!(with("exp", json!(NOW.seconds() + 3600)).is_ok());
    let strict = Client { profile: Profile::Fapi2, ..client.clone() };
    assert!(by(&strict, "exp", json!(NOW.seconds() + 300)).is_ok());
    for (name, value) in [
        ("exp", json!(NOW.seconds() + 400)),
        ("aud", json!([ISSUER])),
        ("aud", json!("https://id.example/token")),
    ] {
        assert!(by(&strict, name, value.clone()).is_err(), "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!("https://other.example")),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!("https://id.example/tokens")),
        ("iss", json!("other")),
        ("sub", json!("other")),
        ("exp", json!(NOW.seconds())),
        ("exp", json!(NOW.seconds() + 3700)),
        ("nbf", json!(NOW.seconds() + 60)),
        ("iat", json!(NOW.seconds() + 60)),
        ("jti", json!("")),
        ("jti", json!("j".repeat(200))),
    ] {
        assert!(with(name, value.clone()).is_err(), "{name} {value}");
    }
    let (stranger, _) = self::key();
    let text = jws::encode(Map::new(), good.to_string().as_bytes(), &stranger).unwrap();
    assert!(assertion(&Asserting::client(&client), &text, ISSUER, NOW).is_err());
}
