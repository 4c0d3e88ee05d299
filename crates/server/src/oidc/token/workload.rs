//! A workload gets a token by its own key (RFC 6749 §4.4, RFC 7523 §2.2).
//!
//! 1. It authenticates by `private_key_jwt`, or its platform vouches for it ([`super::platform`]); nothing
//!    else is known of it, and nobody else is served.
//! 2. The token is for one audience (RFC 8707) and carries the scopes that were asked for by name: all
//!    of them or none is given.
//! 3. The one gate reads workload, owner and policy. Assertion and proof are used up and the record is
//!    written in one commit, which rests on both versions. There is no other row and no refresh token.

use super::platform::{self, PlatformToken};
use super::{ASSERTED_AGAIN, No, no, refuse_repetition, token_type};
use crate::app::issue::{Asking, WorkloadVetoes, gate_workload};
use crate::app::once::burn;
use crate::app::{App, Fault, workloads};
use crate::http::request::Incoming;
use crate::oidc::answer::{self, Party};
use crate::oidc::client_auth::Used;
use crate::oidc::jwt::{self, WorkloadShared};
use crate::oidc::params::Params;
use countersign_store::Commit;
use countersign_store::sql::StoredWorkload;
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::workload::Workload;
use countersign_wire::TokenId;
use countersign_wire::dpop::Proof;
use countersign_wire::jose::Alg;
use serde_json::{Value, json};

/// The grant.
pub const GRANT: &str = "client_credentials";

/// What shows who a workload is, to be used up.
pub(super) enum ShownBy<'a> {
    /// An assertion of its own.
    Assertion(&'a Used),
    /// A token of the platform that runs it.
    Platform(&'a PlatformToken),
}

/// Gives a workload a token.
pub(super) async fn mint(app: &App, r: &Incoming, params: &Params) -> Result<Value, No> {
    app.in_order()?;
    let known = match answer::party(app, r, params, true).await? {
        Party::Workload(known) => known,
        Party::Client(_) => return Err(no("unauthorized_client", Refusal::Denied, "a client that is no workload")),
    };
    mint_for(app, r, params, &known.stored, &ShownBy::Assertion(&known.assertion)).await
}

/// The same, however it showed who it is.
pub(super) async fn mint_for(app: &App, r: &Incoming, params: &Params, stored: &StoredWorkload, by: &ShownBy<'_>) -> Result<Value, No> {
    let proof = answer::any_proof(app, r)?;
    let w = &stored.workload;
    // What a platform says is good for whoever holds it: only a key makes it the workload's.
    if proof.is_none() && !(w.facts.danger_allow_bearer && matches!(by, ShownBy::Assertion(_))) {
        return Err(no("invalid_dpop_proof", Refusal::BadProof, "no proof"));
    }
    let audience = audience(params, w)?.to_owned();
    let scopes = scopes(params, w)?;
    let done = app.judged_anew(|n| attempt(app, r, (stored, by), proof.as_ref(), (&audience, &scopes), n)).await;
    done.map_err(refusing)
}

/// What a workload hears of a refusal.
pub(super) fn refusing(fault: Fault) -> No {
    match fault.refusal {
        Refusal::BadProof if fault.because == ASSERTED_AGAIN => No { error: "invalid_client", fault },
        Refusal::BadProof if fault.because == platform::ANOTHER_KEY => No { error: "invalid_request", fault },
        // Who it is was shown; that it may not, now, is said in the one word RFC 6749 §5.2 has for it.
        Refusal::Unavailable | Refusal::Clock | Refusal::BadProof => fault.into(),
        _ => No { error: "unauthorized_client", fault },
    }
}

async fn attempt(
    app: &App,
    r: &Incoming,
    (known, by): (&StoredWorkload, &ShownBy<'_>),
    proof: Option<&Proof>,
    (audience, scopes): (&str, &[String]),
    n: usize,
) -> Result<Value, Fault> {
    let ctx = r.ctx.anew(app, n);
    let now = ctx.now;
    let assertion = match by {
        ShownBy::Assertion(used) => Some(*used),
        ShownBy::Platform(_) => None,
    };
    let stored = match n {
        0 => known.clone(),
        _ => {
            refuse_repetition(app, proof, assertion).await?;
            let again = app.store.workload(&known.workload.id).await?;
            again.ok_or(Fault::because(Refusal::Gone, "no workload"))?
        }
    };
    let (used, by) = match by {
        ShownBy::Assertion(used) => (vec![used.burn()], "key"),
        ShownBy::Platform(token) => (token.keep(app, proof).await?, "platform"),
    };
    let vetoes = WorkloadVetoes::of(app, stored).await?;
    let w = &vetoes.stored.workload;
    let (permit, policies) = gate_workload(app, &vetoes, &Asking { audience, scopes, bound: proof.is_some(), behalf: None, call: None }, now)?;
    let jkt = proof.map(|p| &p.jkt);
    let shared = WorkloadShared { issuer: &app.config.issuer, workload: w, permit: &permit, jkt, now };
    let id = TokenId::new(now, app.id10());
    let token = jwt::sign(app, Alg::ES256, jwt::ACCESS, &shared.access(&id)).await?;
    let mut told = json!({
        "access_token": token,
        "token_type": token_type(jkt.is_some()),
        "expires_in": shared.until().seconds() - now.seconds(),
    });
    if let (false, Some(map)) = (scopes.is_empty(), told.as_object_mut()) {
        map.insert("scope".into(), permit.scopes().join(" ").into());
    }
    let record = workloads::event(app, Kind::WorkloadToken, &ctx.txn, w, now)
        .fact("token", id.as_str())
        .fact("owner", w.owner.as_str())
        .fact("audience", permit.audience())
        .fact("scopes", permit.scopes().to_vec())
        .fact("bound", permit.is_bound())
        .fact("by", by)
        .fact("until", shared.until().seconds())
        .fact("policies", policies);
    let mut commit = Commit::new(record);
    vetoes.guard(&mut commit);
    commit.writes(proof.map(burn)).writes(used);
    app.commit(commit).await?;
    app.uses.saw(&w.id, audience, scopes, now);
    Ok(told)
}

/// Whom the token is for: one of its audiences, which must be named where there are several (RFC 8707 §2).
fn audience<'a>(params: &Params, w: &'a Workload) -> Result<&'a str, No> {
    let target = |why| no("invalid_target", Refusal::Denied, why);
    match (params.one("resource"), w.facts.audiences.as_slice()) {
        (None, [one]) => Ok(one),
        (None, _) => Err(target("a resource must be named")),
        (Some(asked), known) => {
            known.iter().find(|a| *a == asked).map(String::as_str).ok_or(target("a resource it is not registered for"))
        }
    }
}

/// The scopes asked for, each once. Where none is asked for, none is given (RFC 6749 §3.3): the token
/// says who the workload is.
pub(super) fn scopes(params: &Params, w: &Workload) -> Result<Vec<String>, No> {
    let mut out: Vec<String> = Vec::new();
    for scope in params.list("scope") {
        if !w.facts.scopes.contains(&scope) {
            return Err(no("invalid_scope", Refusal::Denied, "a scope it is not registered for"));
        }
        if !out.contains(&scope) {
            out.push(scope);
        }
    }
    Ok(out)
}
