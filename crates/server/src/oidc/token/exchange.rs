//! A workload acts for a person (RFC 8693): it was handed their token, and gets one of its own that says
//! for whom it acts.
//!
//! 1. The workload authenticates as ever and proves the key that the new token is bound to. Its own token
//!    may come along (`actor_token`); nobody else's may.
//! 2. The token that it was handed is judged again by the one gate, as if it were used now, and every
//!    workload through whose hands it came is, too.
//! 3. The client of that token names the workload (`may_act`), and policy allows it (`delegate`), with the
//!    facts of person, session, device and client.
//! 4. Audience, scopes, details and life are what both have: nothing is given that was not in the token
//!    before it and asked for by name.
//!
//! What comes of it is a person's token with `act`. A workload's own token is never exchanged, and nothing
//! here makes one of a person's. With another type of subject, a platform vouches for a workload
//! ([`super::platform`]).

use super::workload::{refusing, scopes};
use super::{No, no, platform, refuse_repetition};
use crate::app::issue::{Asking, WorkloadVetoes, gate_workload};
use crate::app::once::burn;
use crate::app::{App, Fault};
use crate::http::request::Incoming;
use crate::oidc::access::{Access, Standing, WorkloadAccess};
use crate::oidc::answer::{self, Party};
use crate::oidc::client_auth::KnownWorkload;
use crate::oidc::jwt::{self, Delegated, Shared};
use crate::oidc::params::Params;
use countersign_store::Commit;
use countersign_trust::audit::Kind;
use countersign_trust::issuance::Product;
use countersign_trust::workload::{Behalf, Workload};
use countersign_trust::{Refusal, detail};
use countersign_wire::TokenId;
use countersign_wire::dpop::Proof;
use countersign_wire::jose::Alg;
use serde_json::{Value, json};

/// The grant.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of what is given, and of a token of ours that is handed on (RFC 8693 §3).
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of what a platform says.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What is to be handed on: all of it asked for by name.
struct Wanted<'a> {
    subject: &'a Access,
    audience: String,
    scopes: Vec<String>,
    details: Vec<Value>,
}

/// RFC 8693 §2.2.2: a token that was not taken, for whatever reason.
fn unacceptable(fault: Fault) -> No {
    match fault.refusal {
        Refusal::Unavailable | Refusal::Clock | Refusal::StepUp | Refusal::Locked => fault.into(),
        _ => No { error: "invalid_request", fault },
    }
}

fn malformed(why: &'static str) -> No {
    no("invalid_request", Refusal::Malformed, why)
}

/// Exchanges a token.
pub(super) async fn take(app: &App, r: &Incoming, params: &Params) -> Result<Value, No> {
    app.in_order()?;
    let asked = params.one("requested_token_type");
    if params.one("subject_token_type") == Some(JWT) {
        return platform::take(app, r, params, asked).await;
    }
    let known = match answer::party(app, r, params, true).await? {
        Party::Workload(known) => known,
        Party::Client(_) => return Err(no("unauthorized_client", Refusal::Denied, "a client that is no workload")),
    };
    if params.one("subject_token_type") != Some(ACCESS_TOKEN) || asked.is_some_and(|t| t != ACCESS_TOKEN) {
        return Err(malformed("another type of token than is exchanged here"));
    }
    let proof = answer::any_proof(app, r)?.ok_or(no("invalid_dpop_proof", Refusal::BadProof, "no proof"))?;
    let text = params.one("subject_token").ok_or(malformed("subject_token is missing"))?;
    let subject = Access::read(app, text).ok_or(no("invalid_request", Refusal::BadProof, "a subject token that speaks for no person"))?;
    actor(app, r, params, &known, &proof).await?;
    let wanted = wanted(app, params, &subject, &known.stored.workload)?;
    app.judged_anew(|n| attempt(app, r, &known, &proof, &wanted, n)).await.map_err(refusing)?
}

/// The workload's own token, where it comes along: its own, alive, and of the key that is proved.
async fn actor(app: &App, r: &Incoming, params: &Params, known: &KnownWorkload, proof: &Proof) -> Result<(), No> {
    let (text, kind) = (params.one("actor_token"), params.one("actor_token_type"));
    let Some(text) = text else {
        return if kind.is_none() { Ok(()) } else { Err(malformed("actor_token_type without actor_token")) };
    };
    if kind != Some(ACCESS_TOKEN) {
        return Err(malformed("actor_token_type: another type"));
    }
    let bad = |why| no("invalid_request", Refusal::BadProof, why);
    let access = WorkloadAccess::read(app, text).ok_or(bad("an actor token that is no workload's"))?;
    if access.workload() != &known.stored.workload.id {
        return Err(bad("the actor token of another workload"));
    }
    if access.claims.cnf.as_ref().is_some_and(|b| b.jkt != proof.jkt.as_str()) {
        return Err(bad("an actor token of another key"));
    }
    access.permit(app, r.ctx.now).await.map(|_| ()).map_err(unacceptable)
}

fn wanted<'a>(app: &App, params: &Params, subject: &'a Access, w: &Workload) -> Result<Wanted<'a>, No> {
    let target = |why| no("invalid_target", Refusal::Denied, why);
    let audience = match (params.one("resource"), params.one("audience")) {
        (Some(a), Some(b)) if a != b => return Err(target("two audiences")),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => {
            let mut all = subject.audiences(&app.config.issuer);
            all.next().filter(|_| all.next().is_none()).ok_or(target("an audience must be named"))?
        }
    };
    if audience == app.config.issuer || !subject.is_for(audience) {
        return Err(target("an audience that the token is not for"));
    }
    if !w.facts.audiences.iter().any(|a| a == audience) {
        return Err(target("an audience it is not registered for"));
    }
    let scopes = scopes(params, w)?;
    let had = subject.scopes();
    if !scopes.iter().all(|s| had.contains(s)) {
        return Err(no("invalid_scope", Refusal::Denied, "a scope that the token does not have"));
    }
    let odd = no("invalid_authorization_details", Refusal::Denied, "details that the token does not have");
    let details: Vec<Value> = match params.one("authorization_details").map(serde_json::from_str) {
        None => Vec::new(),
        Some(Ok(Value::Array(asked))) => asked,
        Some(_) => return Err(odd),
    };
    let approved = subject.all.get("authorization_details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !details.iter().all(|d| approved.contains(d)) || details.len() > detail::DETAILS {
        return Err(odd);
    }
    Ok(Wanted { subject, audience: audience.to_owned(), scopes, details })
}

/// The inner refusal is one that names its own OAuth error.
async fn attempt(app: &App, r: &Incoming, known: &KnownWorkload, proof: &Proof, wanted: &Wanted<'_>, n: usize) -> Result<Result<Value, No>, Fault> {
    let ctx = r.ctx.anew(app, n);
    let now = ctx.now;
    let stored = match n {
        0 => known.stored.clone(),
        _ => {
            refuse_repetition(app, Some(proof), Some(&known.assertion)).await?;
            app.store.workload(&known.stored.workload.id).await?.ok_or(Fault::because(Refusal::Gone, "no workload"))?
        }
    };
    let Wanted { subject, audience, scopes, details } = wanted;
    let standing = match subject.standing(app, Product::Tokens, &detail::types_asked(details), now).await {
        Ok(standing) => standing,
        Err(fault) if fault.store.is_some() => return Err(fault),
        Err(fault) => return Ok(Err(unacceptable(fault))),
    };
    let Standing { permit, facts, grant, session, actors, .. } = &standing;
    let client = &standing.vetoes.client.as_ref().ok_or(Fault::because(Refusal::Denied, "no client"))?.client;
    let vetoes = WorkloadVetoes::of(app, stored).await?;
    let behalf = Behalf { permit, facts, client, depth: actors.len() + 1 };
    let (given, policies) = gate_workload(app, &vetoes, &Asking { audience, scopes, bound: true, behalf: Some(behalf), call: None }, now)?;
    let w = &vetoes.stored.workload;
    let chain = subject.lineage();
    let issuer = &app.config.issuer;
    let shared = Shared { issuer, session: &session.facts, grant: &grant.id, client, scopes, resource: None, details, jkt: Some(&proof.jkt), now };
    let made = Delegated { shared, workload: w, before: subject.all.get("act"), permit: &given, chain: &chain, parent_until: subject.until() };
    let id = TokenId::new(now, app.id10());
    let mut told = json!({
        "access_token": jwt::sign(app, Alg::ES256, jwt::ACCESS, &made.access(&id)).await?,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": super::token_type(true),
        "expires_in": made.until().seconds() - now.seconds(),
        "scope": scopes.join(" "),
    });
    if let (false, Some(map)) = (details.is_empty(), told.as_object_mut()) {
        map.insert("authorization_details".into(), json!(details));
    }
    let mut record = app
        .session_event(Kind::TokensExchanged, &grant.facts.txn, &session.facts.id, now)
        .fact("token", id.as_str())
        .fact("from", subject.id().as_str())
        .fact("grant", grant.id.as_str())
        .fact("workload", w.id.as_str())
        .fact("depth", chain.len())
        .fact("audience", audience.as_str())
        .fact("scopes", scopes.clone())
        .fact("until", made.until().seconds())
        .fact("policies", policies);
    record.person = Some(session.facts.person.clone());
    record.device = Some(session.facts.device.clone());
    record.client = Some(w.client.clone());
    let mut commit = Commit::new(record);
    standing.guard(&mut commit);
    vetoes.guard(&mut commit);
    commit.before(made.until()).write(burn(proof)).write(known.assertion.burn());
    app.commit(commit).await?;
    app.uses.saw(&w.id, audience, scopes, now);
    Ok(Ok(told))
}
