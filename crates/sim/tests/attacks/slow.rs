//! Callers that hold on to what they were given, and callers that send what no page sends.

use super::stage;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use countersign_sim::stage::{PATIENCE, place, until};
use countersign_wire::jose::{Alg, Jwk, Signer, jws::SignFault};
use countersign_wire::{b64, dpop, mac};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let stage = stage();
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", stage.issuer.port().unwrap())).await.unwrap();
    let head = "POST /enrolments/look HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    // A proof lives sixty seconds: whoever could hold a request open for longer could use it twice.
    let begun = Instant::now();
    let mut heard = [0; 64];
    let n = tokio::time::timeout(PATIENCE, socket.read(&mut heard)).await.expect("still waiting").unwrap();
    let line = String::from_utf8_lossy(&heard[..n]).into_owned();
    assert!(line.starts_with("HTTP/1.1 408"), "{line}");
    assert!(begun.elapsed() > Duration::from_secs(5), "an honest slow line needs some seconds");
}

#[tokio::test]
async fn one_ceremony_is_not_watched_by_many() {
    let scene = stage().scene().await;
    let attempt = scene.open_till(&place()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = scene.stage.issuer.join(&format!("/ceremonies/{}/events", attempt.ceremony.cid)).unwrap();
    let cookie = attempt.terminal.http.jar().header(&scene.stage.issuer).unwrap();
    let (mut open, mut refused) = (vec![], 0);
    for _ in 0..24 {
        let request = client.get(url.clone()).header("cookie", &cookie).header("x-forwarded-for", place());
        let request = request.header("authorization", format!("Ceremony {}", attempt.ceremony.wait_key()));
        let reply = request.send().await.unwrap();
        match reply.status().as_u16() {
            200 => open.push(reply),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!((2..=8).contains(&open.len()) && refused >= 16, "{} streams of one page", open.len());
    // Whoever lets go makes room.
    drop(open);
    let state = until("room", async || attempt.terminal.watch(&attempt.ceremony).next().await.ok()).await.state;
    assert_eq!(state, "opened");
}

#[tokio::test]
async fn x17_a_form_from_another_site_replaces_no_cookie() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    let challenge = b64::encode(&mac::h(b"verifier"));
    let form = format!(
        "response_type=code&client_id=till&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcb&scope=openid+profile&state=a%26b\
         &code_challenge={challenge}&code_challenge_method=S256"
    );
    let kind = ("content-type", "application/x-www-form-urlencoded".to_owned());
    // A form on another site: the browser sends no cookie along (SameSite=Lax), and would take a new one.
    let foreign = [kind.clone(), ("origin", "https://elsewhere.example".to_owned()), ("sec-fetch-site", "cross-site".to_owned())];
    let reply = raw.send("POST", "/authorize", &foreign, form.clone().into_bytes()).await;
    assert_eq!(reply.status, 303);
    assert!(reply.headers.get("set-cookie").is_none(), "a cookie for somebody else's form");
    let to = reply.headers["location"].to_str().unwrap();
    assert!(to.starts_with("/authorize?"), "{to}");
    // The GET that the browser makes of it brings its cookie and keeps it.
    let own = "c".repeat(43);
    let reply = raw.send("GET", to, &[("cookie", format!("__Host-cs_b={own}"))], vec![]).await;
    assert_eq!(reply.status, 303);
    assert!(reply.headers["location"].to_str().unwrap().starts_with("/sign-in/"));
    assert!(reply.headers["set-cookie"].to_str().unwrap().starts_with(&format!("__Host-cs_b={own};")));
}

/// An RSA key of a client.
struct Rsa(RsaKeyPair);

impl Signer for Rsa {
    fn alg(&self) -> Alg {
        Alg::RS256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| SignFault)?;
        Ok(signature)
    }
}

#[tokio::test]
async fn x26_a_proof_is_signed_as_the_metadata_says() {
    let scene = stage().scene().await;
    let raw = scene.raw(&place());
    let metadata = raw.send("GET", "/.well-known/openid-configuration", &[], vec![]).await.json();
    let listed: Vec<&str> = metadata["dpop_signing_alg_values_supported"].as_array().unwrap().iter().filter_map(|a| a.as_str()).collect();
    assert!(listed.contains(&"ES256") && !listed.contains(&"RS256"), "{listed:?}");
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let n = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
    let e = pair.public_key().exponent().big_endian_without_leading_zero().to_vec();
    let claims = dpop::ProofClaims {
        jti: "rsa".into(),
        htm: "POST".into(),
        htu: scene.stage.issuer.join("/rebind/options").unwrap().to_string(),
        nonce: Some(raw.nonce().await),
        bd: Some(b64::encode(&mac::h(b""))),
        ..dpop::ProofClaims::default()
    };
    let proof = dpop::make(&claims, &Jwk::Rsa { n, e }, &Rsa(pair)).unwrap();
    let reply = raw.send("POST", "/rebind/options", &[("dpop", proof)], vec![]).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "bad_proof"));
}
