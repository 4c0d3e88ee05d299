//! A plain sign-in with the `openidconnect` crate, which knows nothing of Countersign: discovery, the code
//! flow with PKCE, the ID token verified by the crate, userinfo. It starts nothing; it needs what
//! `../oidc/signin.mjs` needs, and
//!   API_SECRET  the secret of the client `rust` (`client_secret_basic`, `danger_allow_bearer`: the crate has
//!               no DPoP)

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims};
use openidconnect::http::{Response, Uri};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use std::collections::HashMap;
use std::env::var;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, ExitCode};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One request to this machine, without TLS: the crate brings no HTTP of its own that is needed elsewhere.
fn http(request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
    let wrong = |what: &str| std::io::Error::other(what.to_owned());
    let to: &Uri = request.uri();
    let host = to.authority().ok_or_else(|| wrong("no host"))?.as_str();
    let path = to.path_and_query().map_or("/", |p| p.as_str());
    let mut head = format!("{} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", request.method(), request.body().len());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().map_err(|_| wrong("a header"))?);
    }
    let mut stream = TcpStream::connect(host)?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(request.body())?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| wrong("no answer"))?;
    let text = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).ok_or_else(|| wrong("no status"))?;
    let mut answer = Response::builder().status(status);
    for (name, value) in lines.filter_map(|l| l.split_once(": ")) {
        answer = answer.header(name, value);
    }
    answer.body(all[end + 4..].to_vec()).map_err(|_| wrong("an answer"))
}

/// What held, and what did not.
#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
}

impl Count {
    fn check(&mut self, what: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            eprintln!("not so: {what}");
        }
    }
}

fn sign_in(count: &mut Count) -> Outcome<()> {
    let issuer = var("ISSUER")?;
    let metadata = CoreProviderMetadata::discover(&IssuerUrl::new(issuer.clone())?, &http)?;
    let client = CoreClient::from_provider_metadata(
        metadata,
        ClientId::new(var("CLIENT").unwrap_or("rust".into())),
        Some(ClientSecret::new(var("API_SECRET")?)),
    )
    .set_redirect_uri(RedirectUrl::new(var("REDIRECT").unwrap_or("http://127.0.0.1/cb".into()))?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("profile".into()))
        .set_pkce_challenge(challenge)
        .url();

    let played = Command::new(var("PLAY")?)
        .args(["play", "authorize", url.as_str()])
        .env("COUNTERSIGN_DEVICE_STATE", var("STATE")?)
        .output()?;
    let said = String::from_utf8(played.stdout)?;
    let back: Uri = said.trim().lines().next_back().ok_or("nobody came back")?.parse()?;
    let query: HashMap<&str, &str> = back.query().unwrap_or_default().split('&').filter_map(|p| p.split_once('=')).collect();
    count.check("the state comes back", query.get("state") == Some(&state.secret().as_str()));
    let code = query.get("code").ok_or("no code")?;

    let exchange = |verifier: &str| {
        let code = AuthorizationCode::new((*code).to_owned());
        client.exchange_code(code).map(|asked| asked.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned())).request(&http))
    };
    let other = exchange("another-verifier-of-at-least-forty-three-characters")?;
    count.check("another verifier gets nothing", other.is_err());
    let tokens = exchange(verifier.secret())??;
    let text = tokens.id_token().ok_or("no ID token")?;
    let check = client.id_token_verifier();
    let claims = text.claims(&check, &nonce)?;
    count.check("the crate verifies the ID token", claims.issuer().as_str() == issuer);
    count.check("for this sign-in alone", text.claims(&check, &Nonce::new("another".into())).is_err());
    count.check("acr says what a scan earns", claims.auth_context_ref().is_some_and(|acr| acr.as_str() == "urn:countersign:acr:xd2"));
    count.check("it says when", claims.auth_time().is_some());
    if let Some(hash) = claims.access_token_hash() {
        let own = AccessTokenHash::from_token(tokens.access_token(), text.signing_alg()?, text.signing_key(&check)?)?;
        count.check("it belongs to the access token", own == *hash);
    }
    let info: CoreUserInfoClaims =
        client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()))?.request(&http)?;
    let name = info.name().and_then(|names| names.get(None)).map(|name| name.as_str().to_owned());
    count.check("userinfo has the person's name", name.as_deref() == Some("Administrator"));
    count.check("a code that comes again is refused", exchange(verifier.secret())?.is_err());
    let after: Result<CoreUserInfoClaims, _> = client.user_info(tokens.access_token().clone(), None)?.request(&http);
    count.check("and takes back what it gave", after.is_err());
    Ok(())
}

fn main() -> ExitCode {
    let mut count = Count::default();
    if let Err(fault) = sign_in(&mut count) {
        count.failed += 1;
        eprintln!("{fault}");
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
