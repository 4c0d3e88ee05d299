//! A code becomes tokens, once, for the client it was made for (RFC 6749 §4.1.3). It is bound to
//! client, redirect URI, PKCE and, if the client named one, to the key.

use super::first::{First, Given};
use super::{Asked, No, dead, no};
use crate::app::ceremony::{Around, keep};
use crate::app::issue::{Ground, Vetoes, gate_in_session};
use crate::app::once::{burn, hashed};
use crate::app::{App, Context, Fault, observe};
use crate::oidc::client_auth::Used;
use crate::oidc::params::Params;
use countersign_store::sql::StoredCode;
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::detail;
use countersign_trust::issuance::Product;
use countersign_trust::session::Session;
use countersign_wire::dpop::Proof;
use countersign_wire::secret::same;
use countersign_wire::{b64, mac};
use serde_json::Value;

/// Takes the code.
pub(super) async fn exchange(asked: &Asked<'_>) -> Result<Value, No> {
    let code = asked.params.one("code").ok_or(no("invalid_request", Refusal::Malformed, "code is missing"))?;
    let hash = hashed(code.as_bytes());
    asked.app.judged_anew(|n| attempt(asked, &hash, n)).await.map_err(refusing)
}

/// RFC 8707 §2 has a word of its own.
pub(super) fn refusing(fault: Fault) -> No {
    if fault.because == ANOTHER_RESOURCE { No { error: "invalid_target", fault } } else { fault.into() }
}

async fn attempt(asked: &Asked<'_>, hash: &str, n: usize) -> Result<Value, Fault> {
    let Asked { app, r, params, known, proof } = *asked;
    let ctx = &r.ctx.anew(app, n);
    let (now, client) = (ctx.now, &known.stored.client);
    let code = app.store.code(hash).await?.ok_or(dead("an unknown code"))?;
    if code.facts.client != client.id {
        return Err(dead("a code of another client"));
    }
    ctx.known_as("session", code.facts.session.as_str());
    if n > 0 || code.state != "open" {
        asked.refuse_repetition().await?;
    }
    match code.state.as_str() {
        "open" => {}
        "used" => return Err(replayed(asked, &code).await?),
        _ => return Err(dead("a code whose session ended")),
    }
    check_bound(params, &code, proof)?;
    if now >= code.until {
        return Err(dead("a code that has expired"));
    }
    let f = &code.facts;
    let session = app.store.session(&f.session).await?.ok_or(dead("no session"))?;
    let session = observe::client(app, ctx, client, session).await?;
    let request = app.store.request(&f.request).await?.ok_or(dead("no request"))?;
    let acr_values = &request.facts.acr_values;
    let ground = Ground::of(&session, acr_values, &f.scopes).about(detail::types(&request.facts.details));
    let (permit, vetoes) =
        gate_in_session(app, Product::Tokens, &client.id, &session, &ground, now).await?;
    proof.into_iter().for_each(|p| r.trusts(&p.jkt));
    let resource = resource_of(params, client, request.facts.resource.as_deref())?;
    let first = First {
        session: &session,
        txn: &f.txn,
        grant: code.grant(),
        hash,
        scopes: permit.scopes(),
        details: request.facts.details.iter().map(|d| d.asked.clone()).collect(),
        acr_values,
        nonce: f.nonce.as_deref(),
        id_claims: &request.facts.id_claims,
        resource,
    };
    let Given { answer, write, event } = asked.first(first, now).await?;
    let mut writes = vec![write];
    writes.extend(proof.map(burn));
    writes.extend(known.assertion.as_ref().map(Used::burn));
    spend(app, ctx, &code, &session, &vetoes, event, writes).await?;
    Ok(answer)
}

/// What is written down where a token is asked for another resource than its grant is for.
pub(super) const ANOTHER_RESOURCE: &str = "a resource that was not asked for, or that it is not registered for";

/// The one audience that is meant (RFC 8707 §2.2): that of the request, or one that is named now, where the
/// request named none. The client must be registered for it still.
pub(super) fn resource_of<'a>(params: &'a Params, client: &Client, granted: Option<&'a str>) -> Result<Option<&'a str>, Fault> {
    let asked = params.one("resource");
    let meant = granted.or(asked);
    let same = asked.is_none() || asked == meant;
    if same && meant.is_none_or(|m| client.may_reach(m)) { Ok(meant) } else { Err(Fault::because(Refusal::Denied, ANOTHER_RESOURCE)) }
}

/// Uses the code up, together with what it gives: in one commit that claims the ceremony it came of, if it came
/// of one. The session must not have moved.
pub(in crate::oidc) async fn spend(
    app: &App, ctx: &Context, code: &StoredCode, session: &Session, vetoes: &Vetoes, event: Event, writes: Vec<Write>,
) -> Result<(), Fault> {
    let f = &code.facts;
    let writes = [vec![Write::code_used(code)], writes].concat();
    let mut guards = vetoes.guards();
    guards.push((Table::Session, f.session.to_string(), session.version));
    let Some(cid) = &f.ceremony else {
        let mut commit = Commit::new(event);
        commit.writes(writes).before(code.until).guards(guards);
        app.commit(commit).await?;
        return Ok(());
    };
    let ceremony = app.store.ceremony(cid).await?.ok_or(dead("no ceremony"))?;
    let step = ceremony.claim(ctx.now);
    // A claim that comes too late is itself a change: what was redeemed is taken back.
    let around = match step.answer {
        Ok(()) => Around { writes, guards, events: vec![event], ..Around::default() },
        Err(_) => Around::default(),
    };
    keep(app, ctx, &ceremony, step, around).await
}

/// The code belongs to this redirect URI, this PKCE verifier and, if one was named, this key.
fn check_bound(params: &Params, code: &StoredCode, proof: Option<&Proof>) -> Result<(), Fault> {
    let f = &code.facts;
    if params.one("redirect_uri") != Some(f.redirect_uri.as_str()) {
        return Err(dead("another redirect_uri"));
    }
    check_verifier(params.one("code_verifier"), f.code_challenge.as_deref())?;
    if f.dpop_jkt.is_some() && f.dpop_jkt.as_ref() != proof.map(|p| &p.jkt) {
        return Err(dead("another key than dpop_jkt"));
    }
    Ok(())
}

/// RFC 7636 §4.6. A verifier where nothing was challenged is a downgrade (RFC 9700 §2.1.1).
pub(in crate::oidc) fn check_verifier(verifier: Option<&str>, challenge: Option<&str>) -> Result<(), Fault> {
    let Some(challenge) = challenge else {
        return if verifier.is_none() { Ok(()) } else { Err(dead("a code_verifier without a code_challenge")) };
    };
    let verifier = verifier.unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(plain) {
        return Err(dead("no usable code_verifier"));
    }
    let made = b64::encode(&mac::h(verifier.as_bytes()));
    if same(made.as_bytes(), challenge.as_bytes()) { Ok(()) } else { Err(dead("another code_verifier")) }
}

/// A code that comes again: what it gave is revoked (RFC 6749 §4.1.2).
async fn replayed(asked: &Asked<'_>, code: &StoredCode) -> Result<Fault, Fault> {
    let (app, ctx, f) = (asked.app, &asked.r.ctx, &code.facts);
    let mut event =
        app.session_event(Kind::CodeReplayed, &f.txn, &f.session, ctx.now).fact("ref", ctx.reference.as_str());
    event.client = Some(f.client.clone());
    event.ceremony.clone_from(&f.ceremony);
    event.refusal = Some(Refusal::AlreadyRedeemed);
    let mut commit = Commit::new(event);
    commit.write(Write::grant_ended(&code.grant(), "code_replayed"));
    app.commit(commit).await?;
    Ok(Fault::because(Refusal::AlreadyRedeemed, "a code that was used before").recorded())
}

#[cfg(test)]
mod tests {
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
            code_challenge: Some(CHALLENGE.into()),
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
