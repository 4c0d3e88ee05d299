//! Sessions that a browser binds to a key in its hardware (Device Bound Session Credentials, W3C draft): a copy of its
//! cookies, and of its whole profile, is worth nothing once a cookie of ten minutes is over.
//!
//! 1. What opens or raises a session in a browser offers it ([`offer`]). A browser that cannot ignores the header: its
//!    session stands on the terminal key alone, as it did before.
//! 2. The browser makes a key, signs the challenge and registers it ([`register`]), once a session. From then on whatever
//!    the session does needs the bound cookie as well ([`is_shown`]), beside its own cookie and the terminal key.
//! 3. The browser holds what it wants to send without that cookie, and asks for another ([`refresh`]). The gate is asked
//!    first: where trust has fallen there is no challenge, so there is nothing to sign.

use super::issue::{Ground, Vetoes, gate_in_session};
use super::once::hashed;
use super::{App, Context, Fault, observe};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::issuance::Product;
use countersign_trust::session::{Session, SessionFacts};
use countersign_trust::{Refusal, limits};
use countersign_wire::dbsc::{self, About};
use countersign_wire::limits::DBSC_CHALLENGE_S;
use countersign_wire::{Secret, SessionId, Thumbprint};
use serde::Serialize;

/// Where a key is registered.
pub const REGISTER: &str = "/session/bound";
/// Where a cookie is refreshed.
pub const REFRESH: &str = "/session/bound/refresh";
/// What signed challenges are burnt under.
const BURNT: &str = "dbsc";
/// Paths on which a session is used: nothing else waits for a refresh.
const USED: [&str; 4] = ["/ceremonies", "/operator", "/session", "/sign-in"];

/// Session instructions ("JSON Session Instruction Format").
#[derive(Serialize)]
pub struct Instructions {
    session_identifier: Thumbprint,
    refresh_url: &'static str,
    scope: Scope,
    credentials: [Credential; 1],
}

#[derive(Serialize)]
struct Scope {
    origin: String,
    include_site: bool,
    /// The last that matches decides.
    scope_specification: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    r#type: &'static str,
    domain: &'static str,
    path: &'static str,
}

#[derive(Serialize)]
struct Credential {
    r#type: &'static str,
    name: &'static str,
    attributes: &'static str,
}

/// A bound cookie, and what its browser is told.
pub struct Given {
    /// The cookie.
    pub cookie: String,
    /// What goes along.
    pub instructions: Instructions,
}

/// What came of asking for a cookie.
pub enum Refreshed {
    /// Another.
    Given(Given),
    /// A proof is needed first: a challenge, and the session it is for.
    Asked(String),
}

fn about<'a>(session: &'a Session, key: Option<&'a Thumbprint>) -> About<'a> {
    About { session: session.facts.id.as_str(), key }
}

/// What an answer says to a browser that may bind this session; `None` where the operator does not want it.
pub fn offer(app: &App, session: &SessionId) -> Option<String> {
    let challenge = About { session: session.as_str(), key: None }.challenge(app.keys.k().1.expose(), app.now());
    let algs = dbsc::ALGS.map(|a| a.as_str()).join(" ");
    app.config.device_bound_sessions.then(|| format!("({algs});path=\"{REGISTER}\";challenge=\"{challenge}\""))
}

/// Whether a request shows what its session is bound to; one that is bound to nothing needs nothing.
pub fn is_shown(app: &App, ctx: &Context, session: &Session) -> bool {
    let Some(key) = &session.facts.bound else { return true };
    let key = key.thumbprint();
    let live = |cookie: &str| app.keys.k_live().iter().any(|k| about(session, Some(&key)).is_live_cookie(k.expose(), cookie, ctx.now));
    ctx.bound.as_ref().is_some_and(|cookie| live(cookie.text()))
}

fn give(app: &App, ctx: &Context, session: &Session, key: Thumbprint) -> Given {
    let until = ctx.now.plus_s(limits::BOUND_S).min(session.facts.until);
    let cookie = about(session, Some(&key)).cookie(app.keys.k().1.expose(), until);
    let rule = |r#type, path| Rule { r#type, domain: "*", path };
    let instructions = Instructions {
        session_identifier: key,
        refresh_url: REFRESH,
        scope: Scope {
            origin: app.config.issuer.clone(),
            include_site: false,
            scope_specification: std::iter::once(rule("exclude", "/")).chain(USED.map(|path| rule("include", path))).collect(),
        },
        credentials: [Credential { r#type: "cookie", name: crate::http::cookies::BOUND, attributes: crate::http::cookies::ATTRIBUTES }],
    };
    Given { cookie, instructions }
}

/// The session of a cookie, if it lives and trust in it holds.
async fn trusted(app: &App, ctx: &Context, cookie: &str) -> Result<(Session, Result<Vetoes, Fault>), Fault> {
    app.in_order()?;
    let none = |why| Fault::because(Refusal::NoSession, why);
    let session = app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?.ok_or_else(|| none("no session"))?;
    if !session.is_live(ctx.now) {
        return Err(none("over"));
    }
    let session = observe::terminal(app, ctx, session).await?;
    let client = session.facts.clients.first().cloned().ok_or_else(|| none("a session for nobody"))?;
    let judged = gate_in_session(app, Product::Decision, &client, &session, &Ground::of(&session, &[], &[]), ctx.now).await;
    Ok((session, judged.map(|(_, vetoes)| vetoes)))
}

fn is_signed(app: &App, ctx: &Context, session: &Session, key: Option<&Thumbprint>, challenge: &str) -> bool {
    let good = |k: &Secret| about(session, key).is_live_challenge(k.expose(), challenge, ctx.now);
    app.keys.k_live().iter().any(good)
}

/// Binds the session of `cookie` to the key that made `proof`. A browser that did not hear the answer may ask again.
pub async fn register(app: &App, ctx: &Context, cookie: &str, proof: &str) -> Result<Given, Fault> {
    let bad = |why| Fault::because(Refusal::BadProof, why);
    app.judged_anew(|n| async move {
        let ctx: &Context = &ctx.anew(app, n);
        let (session, vetoes) = trusted(app, ctx, cookie).await?;
        let vetoes = vetoes?;
        let registered = dbsc::registration(proof).map_err(|m| bad(m.0))?;
        if !is_signed(app, ctx, &session, None, &registered.challenge) {
            return Err(bad("a challenge that was not given for this session, or is old"));
        }
        let (f, key) = (&session.facts, registered.jwk.thumbprint());
        match &f.bound {
            Some(bound) if *bound == registered.jwk => return Ok(give(app, ctx, &session, key)),
            Some(_) => return Err(bad("a session that is bound to another key")),
            None => {}
        }
        let facts = SessionFacts { bound: Some(registered.jwk), ..f.clone() };
        let mut event = app.session_event(Kind::SessionBound, &f.txn, &f.id, ctx.now).fact("key", key.as_str());
        event.person = Some(f.person.clone());
        event.device = Some(f.device.clone());
        event.ceremony.clone_from(&f.ceremony);
        let mut commit = Commit::new(event);
        commit.guard(Table::Session, f.id.as_str(), session.version);
        commit.write(Write::session_moved(&session, &facts));
        vetoes.guard(&mut commit);
        app.commit(commit).await?;
        Ok(give(app, ctx, &session, key))
    })
    .await
}

/// Another bound cookie for the session of `cookie`, to whoever has its key. `id` is the session that the browser means.
pub async fn refresh(app: &App, ctx: &Context, cookie: &str, id: &str, proof: Option<&str>) -> Result<Refreshed, Fault> {
    let (session, judged) = trusted(app, ctx, cookie).await?;
    let none = |why| Fault::because(Refusal::NoSession, why);
    let bound = session.facts.bound.as_ref().ok_or_else(|| none("a session that is bound to nothing"))?;
    let key = bound.thumbprint();
    if key.as_str() != id {
        return Err(none("bound to another key"));
    }
    match judged {
        Ok(_) => {}
        // Nothing is given before its person has stepped up, and to be raised it must show that it is this browser's.
        Err(fault) if fault.refusal == Refusal::StepUp => {}
        Err(fault) => return Err(fault),
    }
    if let Some(proof) = proof {
        let signed = dbsc::refresh(proof, bound).map_err(|m| Fault::because(Refusal::BadProof, m.0))?;
        ctx.known_as("session", session.facts.id.as_str());
        let until = ctx.now.plus_s(DBSC_CHALLENGE_S + 2);
        if is_signed(app, ctx, &session, Some(&key), &signed) && app.store.burn_first(BURNT, &format!("{key}/{signed}"), until).await? {
            return Ok(Refreshed::Given(give(app, ctx, &session, key)));
        }
    }
    let challenge = about(&session, Some(&key)).challenge(app.keys.k().1.expose(), app.now());
    Ok(Refreshed::Asked(format!("\"{challenge}\";id=\"{key}\"")))
}
