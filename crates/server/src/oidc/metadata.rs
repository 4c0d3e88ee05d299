//! What a client that nobody listed says of itself (RFC 7591 §2), and what becomes of it: a public client, or one with a
//! key of its own, with redirect URIs that were said. Never a secret, never an address that we would have to call.

use crate::config::{Newcomers, registrable};
use countersign_trust::client::{Client, ClientAuth};
use countersign_wire::jcs;
use serde_json::{Map, Value, json};
use url::{Host, Url};

/// Redirect URIs of one client, and their length, bytes.
const URIS: usize = 10;
const URI_BYTES: usize = 512;
/// Keys of one client.
const KEYS: usize = 4;
/// Characters of its own name; where it comes from stands behind it.
const NAME_CHARS: usize = 40;

/// What is wrong, in the words of RFC 7591 §3.2.2.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// `invalid_redirect_uri`.
    Redirect(&'static str),
    /// `invalid_client_metadata`.
    Metadata(&'static str),
}

impl Wrong {
    /// The code.
    pub fn code(&self) -> &'static str {
        match self {
            Wrong::Redirect(_) => "invalid_redirect_uri",
            Wrong::Metadata(_) => "invalid_client_metadata",
        }
    }
    /// A word for developers.
    pub fn why(&self) -> &'static str {
        match self {
            Wrong::Redirect(why) | Wrong::Metadata(why) => why,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(a)) => a.is_loopback(),
        Some(Host::Ipv6(a)) => a.is_loopback(),
        None => false,
    }
}

fn texts<'a>(said: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, Wrong> {
    let odd = Wrong::Metadata("a list that is none");
    match said.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|v| v.as_str().ok_or(Wrong::Metadata("a list of something else"))).collect(),
        Some(_) => Err(odd),
    }
}

/// The client `id` that says this of itself. `from` is what stands behind its name: people must see where it comes from.
/// `site` is the host that its web redirect URIs must be on.
pub fn client(said: &Map<String, Value>, id: &str, from: &str, site: Option<&str>, rules: &Newcomers) -> Result<Client, Wrong> {
    let bad = |why| Err(Wrong::Metadata(why));
    let name = said.get("client_name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || name.chars().count() > NAME_CHARS || !jcs::is_plain(name) {
        return bad("client_name: 1 to 40 plain characters");
    }
    if ["client_secret", "client_secret_expires_at", "jwks_uri", "request_uris"].iter().any(|n| said.contains_key(*n)) {
        return bad("no secrets, and no addresses of keys and requests");
    }
    let grants = texts(said, "grant_types")?;
    if grants.iter().any(|g| !["authorization_code", "refresh_token"].contains(g)) || !(grants.is_empty() || grants.contains(&"authorization_code")) {
        return bad("grant_types: authorization_code");
    }
    if texts(said, "response_types")?.iter().any(|t| *t != "code") {
        return bad("response_types: code");
    }
    let uris = texts(said, "redirect_uris")?;
    if !(1..=URIS).contains(&uris.len()) {
        return Err(Wrong::Redirect("redirect_uris: one to ten"));
    }
    for uri in &uris {
        let url = Url::parse(uri).ok().filter(|_| uri.len() <= URI_BYTES).ok_or(Wrong::Redirect("a redirect URI that is none"))?;
        let web = url.scheme() == "https" && site.is_none_or(|site| url.host_str() == Some(site));
        if !(web || url.scheme() == "http" && is_loopback(&url)) || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(Wrong::Redirect("redirect URIs: https on its own host, or http on loopback"));
        }
    }
    let keys = said.get("jwks").and_then(|set| set.get("keys")).and_then(Value::as_array).cloned().unwrap_or_default();
    let auth = match said.get("token_endpoint_auth_method").and_then(Value::as_str) {
        None | Some("none") => ClientAuth::None,
        Some("private_key_jwt") if (1..=KEYS).contains(&keys.len()) => ClientAuth::PrivateKeyJwt,
        _ => return bad("token_endpoint_auth_method: none, or private_key_jwt with its keys in jwks"),
    };
    let keys = if auth == ClientAuth::None { Vec::new() } else { keys };
    let whole = json!({
        "id": id, "name": format!("{name} ({from})"), "redirect_uris": uris, "auth": auth, "keys": keys, "scopes": rules.scopes,
        "audience": rules.audience, "resources": rules.resources, "danger_allow_bearer": rules.danger_allow_bearer,
    });
    let client: Client = serde_json::from_value(whole).map_err(|_| Wrong::Metadata("keys that cannot be used"))?;
    registrable(&client).map_err(|_| Wrong::Metadata("a client that cannot be registered"))?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(more: Value) -> Result<Client, &'static str> {
        let mut said = json!({"client_name": "Notes", "redirect_uris": ["https://app.example/cb", "http://127.0.0.1/cb"]});
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let rules = Newcomers { scopes: vec!["profile".into()], ..Newcomers::default() };
        client(said.as_object().unwrap(), "https://app.example/client.json", "app.example", Some("app.example"), &rules).map_err(|w| w.code())
    }

    #[test]
    fn whoever_describes_itself_is_a_public_client_that_says_where_it_comes_from() {
        let client = made(json!({"grant_types": ["authorization_code", "refresh_token"], "logo_uri": "https://app.example/l.png", "scope": "admin"})).unwrap();
        assert_eq!((client.name.as_str(), client.auth, client.scopes.as_slice()), ("Notes (app.example)", ClientAuth::None, &["profile".to_owned()][..]));
        assert!(!client.danger_allow_bearer && client.privileged_scopes.is_empty() && client.introspects.is_empty() && client.asks_about.is_empty());
        let key = json!({"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
        let keyed = made(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}})).unwrap();
        assert_eq!((keyed.auth, keyed.keys.len()), (ClientAuth::PrivateKeyJwt, 1));
    }

    #[test]
    fn nobody_brings_a_secret_a_foreign_address_or_an_odd_grant() {
        for uris in [
            json!([]), json!("https://app.example/cb"), json!(["https://other.example/cb"]), json!(["http://app.example/cb"]), json!(["myapp://cb"]),
            json!(["https://app.example/cb#a"]), json!(["https://a@app.example/cb"]), json!(["https://app.example.evil/cb"]), json!(vec!["https://app.example/cb"; 11]),
        ] {
            assert!(made(json!({"redirect_uris": uris})).is_err(), "{uris}");
        }
        for more in [
            json!({"client_name": ""}), json!({"client_name": "a\u{202e}b"}), json!({"client_name": "a".repeat(41)}), json!({"client_secret": "a"}),
            json!({"jwks_uri": "https://app.example/jwks"}), json!({"token_endpoint_auth_method": "client_secret_basic"}),
            json!({"token_endpoint_auth_method": "private_key_jwt"}), json!({"grant_types": ["client_credentials"]}), json!({"grant_types": ["refresh_token"]}),
            json!({"response_types": ["token"]}), json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}),
        ] {
            assert_eq!(made(more.clone()).err(), Some("invalid_client_metadata"), "{more}");
        }
    }
}
