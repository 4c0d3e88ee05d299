//! `/token` (RFC 6749 §4.1.3): a code becomes tokens, once, for the client it was made for.
//!
//! 1. The client shows who it is, by the one method it registered.
//! 2. It proves its key with a nonce of ours (RFC 9449 §8); bearer tokens only where a client is
//!    registered so.
//! 3. The code is bound to client, redirect URI, PKCE and, if the client named one, to the key.
//! 4. The one gate re-reads every fact. The code is used, the ceremony claimed, the proof burnt and
//!    the token written down in one commit, guarded by every version the decision rested on.
//! 5. A code that comes again takes back what it gave.

use super::client_auth::{self, Known};
use super::jwt::{self, Grant};
use super::params::Params;
use super::record;
use crate::app::ceremony::{Around, burn, hashed, settle};
use crate::app::issue::gate_in_session;
use crate::app::{App, Fault, once};
use crate::http::answer::put_nonce;
use crate::http::request::Incoming;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_store::sql::StoredCode;
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::issuance::Product;
use countersign_wire::dpop::Proof;
use countersign_wire::jose::Alg;
use countersign_wire::secret::same;
use countersign_wire::{TokenId, b64, mac};
use serde_json::{Value, json};
use std::sync::Arc;

/// An error of RFC 6749 §5.2 or RFC 9449.
struct No {
    error: &'static str,
    fault: Fault,
}

fn no(error: &'static str, refusal: Refusal, because: &'static str) -> No {
    No { error, fault: Fault::because(refusal, because) }
}

/// Faults of the exchange itself as their OAuth errors.
impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        let error = match fault.refusal {
            Refusal::Malformed => "invalid_request",
            Refusal::UseDpopNonce => "use_dpop_nonce",
            Refusal::BadProof => "invalid_dpop_proof",
            Refusal::Unavailable | Refusal::Clock => "temporarily_unavailable",
            _ => "invalid_grant",
        };
        No { error, fault }
    }
}

/// `POST /token`.
pub async fn post(State(app): State<Arc<App>>, r: Incoming, body: Bytes) -> Response {
    match exchange(&app, &r, &body).await {
        Ok(tokens) => {
            let mut response = Json(tokens).into_response();
            put_nonce(&app, &mut response);
            kept_by_nobody(response)
        }
        Err(no) => refused(&app, &r, no).await,
    }
}

async fn exchange(app: &App, r: &Incoming, body: &[u8]) -> Result<Value, No> {
    let params = Params::of_form(&r.headers, body).map_err(|why| no("invalid_request", Refusal::Malformed, why))?;
    let known = client_auth::authenticate(app, &r.headers, &params, r.ctx.now).await.map_err(|fault| {
        match fault.refusal {
            Refusal::BadProof => No { error: "invalid_client", fault },
            _ => No::from(fault),
        }
    })?;
    match params.one("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return Err(no("unsupported_grant_type", Refusal::Malformed, "only authorization_code")),
        None => return Err(no("invalid_request", Refusal::Malformed, "grant_type is missing")),
    }
    let proof = match r.headers.contains_key("dpop") {
        false if known.stored.client.danger_allow_bearer => None,
        _ => Some(r.terminal_proof(app)?),
    };
    let code = params.one("code").ok_or(no("invalid_request", Refusal::Malformed, "code is missing"))?;
    let hash = hashed(code.as_bytes());
    Ok(app.settled(|n| attempt(app, r, &params, &known, proof.as_ref(), &hash, n)).await?)
}

fn dead(because: &'static str) -> Fault {
    Fault::because(Refusal::Gone, because)
}

async fn attempt(
    app: &App,
    r: &Incoming,
    params: &Params,
    known: &Known,
    proof: Option<&Proof>,
    hash: &str,
    n: usize,
) -> Result<Value, Fault> {
    let (now, client) = (r.ctx.now, &known.stored.client);
    let code = app.store.code(hash).await?.ok_or(dead("an unknown code"))?;
    if code.facts.client != client.id {
        return Err(dead("a code of another client"));
    }
    if n > 0 || code.state != "open" {
        refuse_repetition(app, known, proof).await?;
    }
    match code.state.as_str() {
        "open" => {}
        "used" => return Err(replayed(app, r, &code).await?),
        _ => return Err(dead("a code whose session ended")),
    }
    check_bound(params, &code, proof)?;
    if now >= code.until {
        return Err(dead("a code that has expired"));
    }
    let f = &code.facts;
    let session = app.store.session(&f.session).await?.ok_or(dead("no session"))?;
    let request = app.store.request(&f.request).await?.ok_or(dead("no request"))?;
    let acr_values = &request.facts.acr_values;
    let (permit, vetoes) =
        gate_in_session(app, Product::Tokens, &session, &client.id, acr_values, &f.scopes, now).await?;
    let scopes = permit.scopes();
    let grant = Grant {
        issuer: &app.config.issuer,
        session: &session.facts,
        client,
        scopes,
        jkt: proof.map(|p| &p.jkt),
        now,
    };
    let id = TokenId::new(now, app.id10());
    let mut answer = json!({
        "access_token": jwt::sign(app, Alg::ES256, jwt::ACCESS, &grant.access(&id)).await?,
        "token_type": if proof.is_some() { "DPoP" } else { "Bearer" },
        "expires_in": grant.access_until().seconds() - now.seconds(),
        "scope": scopes.join(" "),
    });
    if scopes.iter().any(|s| s == "openid") {
        let token = jwt::sign(app, client.id_token_alg, jwt::ID, &grant.id(f.nonce.as_deref())).await?;
        if let Some(map) = answer.as_object_mut() {
            map.insert("id_token".into(), token.into());
        }
    }
    let mut issued = app
        .session_event(Kind::TokensIssued, &f.txn, &f.session, now)
        .fact("token", id.as_str())
        .fact("scopes", scopes.to_vec())
        .fact("bound", proof.is_some())
        .fact("until", grant.access_until().seconds());
    issued.person = Some(session.facts.person.clone());
    issued.device = Some(session.facts.device.clone());
    issued.client = Some(client.id.clone());
    issued.ceremony.clone_from(&session.facts.ceremony);
    let mut writes = vec![Write::code_used(&code), Write::token_made(&id, f, hash, grant.access_until())];
    writes.extend(proof.map(burn));
    writes.extend(known.assertion.as_ref().map(client_auth::Used::burn));
    let mut guards = vetoes.guards();
    guards.push((Table::Session, f.session.to_string(), session.version));
    match &f.ceremony {
        None => {
            let mut commit = Commit::new(issued);
            commit.writes(writes).before(code.until).guards(guards);
            app.commit(commit).await?;
        }
        Some(cid) => {
            let ceremony = app.store.ceremony(cid).await?.ok_or(dead("no ceremony"))?;
            let step = ceremony.claim(now);
            // A claim that comes too late is itself a change: what was redeemed is taken back.
            let around = match step.answer {
                Ok(()) => Around { writes, guards, events: vec![issued], ..Around::default() },
                Err(_) => Around::default(),
            };
            settle(app, &r.ctx, &ceremony, step, around).await?;
        }
    }
    Ok(answer)
}

/// The code belongs to this redirect URI, this PKCE verifier and, if one was named, this key.
fn check_bound(params: &Params, code: &StoredCode, proof: Option<&Proof>) -> Result<(), Fault> {
    let f = &code.facts;
    if params.one("redirect_uri") != Some(f.redirect_uri.as_str()) {
        return Err(dead("another redirect_uri"));
    }
    let verifier = params.one("code_verifier").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(plain) {
        return Err(dead("no usable code_verifier"));
    }
    let challenge = b64::encode(&mac::h(verifier.as_bytes()));
    if !same(challenge.as_bytes(), f.code_challenge.as_bytes()) {
        return Err(dead("another code_verifier"));
    }
    if f.dpop_jkt.is_some() && f.dpop_jkt.as_ref() != proof.map(|p| &p.jkt) {
        return Err(dead("another key than dpop_jkt"));
    }
    Ok(())
}

/// The same message sent twice is told so, without harm to what its first copy got.
async fn refuse_repetition(app: &App, known: &Known, proof: Option<&Proof>) -> Result<(), Fault> {
    if let Some(proof) = proof
        && once::is_burnt(app, proof).await?
    {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    if let Some(used) = &known.assertion
        && used.is_burnt(app).await?
    {
        return Err(Fault::because(Refusal::BadProof, "an assertion that was used before"));
    }
    Ok(())
}

/// A code that comes again: what it gave is revoked (RFC 6749 §4.1.2).
async fn replayed(app: &App, r: &Incoming, code: &StoredCode) -> Result<Fault, Fault> {
    let f = &code.facts;
    let mut event = app
        .session_event(Kind::CodeReplayed, &f.txn, &f.session, r.ctx.now)
        .fact("ref", r.ctx.reference.as_str());
    event.client = Some(f.client.clone());
    event.ceremony.clone_from(&f.ceremony);
    event.refusal = Some(Refusal::AlreadyRedeemed);
    let mut commit = Commit::new(event);
    commit.write(Write::tokens_of_code_revoked(&code.hash));
    app.commit(commit).await?;
    Ok(Fault::because(Refusal::AlreadyRedeemed, "a code that was used before").recorded())
}

async fn refused(app: &App, r: &Incoming, no: No) -> Response {
    let No { mut error, fault } = no;
    if !record(app, &r.ctx, "token", &fault).await {
        error = "temporarily_unavailable";
    }
    let status = match error {
        "invalid_client" => StatusCode::UNAUTHORIZED,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let told = json!({ "error": error, "error_description": format!("see {}", r.ctx.reference) });
    let mut response = (status, Json(told)).into_response();
    if status == StatusCode::UNAUTHORIZED && r.headers.contains_key(header::AUTHORIZATION) {
        let challenge = HeaderValue::from_static("Basic realm=\"token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if matches!(error, "use_dpop_nonce" | "invalid_dpop_proof") {
        put_nonce(app, &mut response);
    }
    kept_by_nobody(response)
}

/// RFC 6749 §5.1.
fn kept_by_nobody(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use countersign_store::sql::CodeFacts;
    use countersign_wire::{RequestId, SessionId, Time, TxnId};

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn code() -> StoredCode {
        let at = Time(1);
        let facts = CodeFacts {
            txn: TxnId::new(at, [1; 10]),
            session: SessionId::new(at, [1; 10]),
            request: RequestId::new(at, [1; 10]),
            ceremony: None,
            client: "till".parse().unwrap(),
            redirect_uri: "https://till.example/cb".into(),
            code_challenge: CHALLENGE.into(),
            dpop_jkt: None,
            scopes: vec!["openid".into()],
            nonce: None,
        };
        StoredCode { hash: "h".into(), version: 1, state: "open".into(), until: at, facts }
    }

    #[test]
    fn a_code_is_bound_to_redirect_uri_verifier_and_key() {
        let check = |form: String, code: &StoredCode| check_bound(&Params::parse(form.as_bytes()).unwrap(), code, None);
        let uri = "redirect_uri=https://till.example/cb";
        assert!(check(format!("{uri}&code_verifier={VERIFIER}"), &code()).is_ok());
        for form in [
            format!("code_verifier={VERIFIER}"),
            format!("{uri}/&code_verifier={VERIFIER}"),
            uri.to_owned(),
            format!("{uri}&code_verifier={CHALLENGE}"),
            format!("{uri}&code_verifier=short"),
            format!("{uri}&code_verifier={}", "a".repeat(129)),
        ] {
            assert!(check(form.clone(), &code()).is_err(), "{form}");
        }
        let mut bound = code();
        bound.facts.dpop_jkt = Some("a".repeat(43).parse().unwrap());
        assert!(check(format!("{uri}&code_verifier={VERIFIER}"), &bound).is_err());
    }
}
