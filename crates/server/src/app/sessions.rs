//! Countersign's own sessions: begun through the gate, tethered to the terminal's key and to the
//! device that opened them, ended from either side.

use super::ceremony::{ended_along, rings};
use super::issue::{Ground, Vetoes, gate};
use super::once::{burn, hashed, refuse_if_burnt};
use super::silence::{self, Span};
use super::{App, Context, Fault, bound, observe, rights, signals, vouch};
use crate::config::Origin;
use crate::oidc::back::Way;
use countersign_store::sql::{AuthRequest, CodeFacts, OwedLogout, RequestFacts};
use countersign_store::{Commit, StoreError, Table, Write};
use countersign_trust::acr::Earned;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::State;
use countersign_trust::ceremony::collect::Collector;
use countersign_trust::client::Client;
use countersign_trust::detail;
use countersign_trust::issuance::{Permit, Product};
use countersign_trust::policy::MayBegin;
use countersign_trust::right::{self, Giver, Offered};
use countersign_trust::session::{Session, SessionFacts};
use countersign_trust::signal::{self, Subject};
use countersign_trust::terminal::AtTerminal;
use countersign_trust::{Refusal, limits, operator};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{BeatTaken, Next};
use countersign_wire::statement::Timed;
use countersign_wire::{
    CeremonyId, ClientId, DeviceId, EventId, PersonId, RequestId, SessionId, Thumbprint, Time, TxnId, b64,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Lists of sessions that are ended one after the other, at most: whoever opens more than that at the
/// same time is left to the sweep.
const LISTS: usize = 100;

/// New cookies, given once.
#[derive(Clone)]
pub struct Fresh {
    /// Cookie b, replaced.
    pub browser: String,
    /// Session cookie.
    pub session: String,
    /// Its session.
    pub id: SessionId,
    /// Life of the session cookie, seconds.
    pub session_s: i64,
    /// Whether the session begins with them, and is not raised.
    pub begins: bool,
}

/// What a new session is made from.
pub struct Started {
    /// Its id.
    pub id: SessionId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// How it came to begin.
    pub by: By,
    /// The terminal key.
    pub jkt: Thumbprint,
    /// What was earned.
    pub earned: Earned,
    /// Whether hardware attested the passkey.
    pub attested: bool,
    /// When the person approved.
    pub auth_time: Time,
    /// Life at most, seconds.
    pub session_s: i64,
    /// Agent family of the screen.
    pub agent: String,
    /// What was shown, for the `cs` claim.
    pub shown: serde_json::Value,
    /// The client that collects, if one does.
    pub collector: Option<Collector>,
    /// Scopes that were read and approved for a while only.
    pub timed: Vec<Timed>,
    /// Where the terminal was when the person approved, and where it is now.
    pub origins: Vec<Origin>,
    /// The registered terminal it runs at.
    pub terminal: Option<AtTerminal>,
}

/// How a session comes to begin; either way, rules let it.
pub enum By {
    /// By a ceremony, which rules let begin when it was opened.
    Ceremony(CeremonyId),
    /// By a passkey on the screen.
    Passkey(MayBegin),
}

fn start(app: &App, permit: &Permit, vetoes: &Vetoes, s: Started, now: Time) -> (Session, Fresh) {
    let cookies = Fresh {
        browser: b64::encode(&app.random::<32>()),
        session: b64::encode(&app.random::<32>()),
        id: s.id.clone(),
        session_s: s.session_s,
        begins: true,
    };
    let idle_s = vetoes.client.as_ref().map_or(limits::IDLE_S, |c| c.client.idle_s);
    let facts = SessionFacts {
        id: s.id,
        txn: s.txn,
        person: permit.person().clone(),
        device: vetoes.device.id.clone(),
        credential: vetoes.credential.id.clone(),
        ceremony: match s.by {
            By::Ceremony(id) => Some(id),
            By::Passkey(_) => None,
        },
        clients: permit.client().cloned().into_iter().collect(),
        jkt: s.jkt,
        cookie_hash: hashed(cookies.session.as_bytes()),
        scopes: permit.scopes().iter().filter(|s| vetoes.client.as_ref().is_none_or(|c| c.client.offers(s).is_none())).cloned().collect(),
        earned: s.earned,
        attested: s.attested,
        auth_time: s.auth_time,
        opened_at: now,
        until: now.plus_s(s.session_s),
        idle_s,
        agent: s.agent,
        shown: s.shown,
        collector: s.collector,
        rights: Vec::new(),
        country: s.origins.last().and_then(|o| o.country.clone()),
        networks: s.origins.into_iter().map(|o| o.network).fold(Vec::new(), |mut all, n| {
            if !all.contains(&n) {
                all.push(n);
            }
            all
        }),
        bound: None,
        terminal: s.terminal,
        vouched_by: vetoes.voucher.as_ref().map(|v| v.id.clone()),
    };
    let giver = Giver { person: facts.person.clone(), device: facts.device.clone(), ceremony: facts.ceremony.clone() };
    let given = permit.client().map(|client| right::narrowed(permit.timed(), &s.timed).into_iter().map(|timed| rights::given(app, client, timed, giver.clone(), None, now)));
    let facts = facts.with_rights(given.into_iter().flatten(), now);
    (Session::begun(facts), cookies)
}

/// What a sign-in makes of a browser: a session of its own, or the one that it raises.
pub struct Begun {
    /// The session as it will be.
    pub session: Session,
    /// Its cookies.
    pub cookies: Fresh,
    /// What keeps it.
    pub write: Write,
    /// What is recorded.
    pub event: Event,
}

/// Makes a session that the gate has permitted, or raises `raised`. The commit is the caller's.
pub fn begin(app: &App, permit: &Permit, vetoes: &Vetoes, started: Started, raised: Option<&Session>, now: Time) -> Begun {
    let (fresh, cookies) = start(app, permit, vetoes, started, now);
    let (kind, session, write) = match raised {
        None => (Kind::SessionOpened, fresh.clone(), Write::session_opened(&fresh)),
        Some(old) => {
            let facts = old.raised(fresh.facts, now);
            let write = Write::session_raised(old, &facts);
            (Kind::SessionRaised, Session { version: old.version + 1, facts, signals: Vec::new(), standing: None, ..old.clone() }, write)
        }
    };
    let f = &session.facts;
    let cookies = Fresh { session_s: f.until.seconds() - now.seconds(), begins: raised.is_none(), ..cookies };
    let given: Vec<Value> = f.rights.iter().filter(|r| r.at == now).map(rights::told).collect();
    let mut event = app
        .session_event(kind, &f.txn, &f.id, now)
        .fact("acr", f.earned.acr())
        .fact("amr", f.earned.amr(f.attested))
        .fact("scopes", f.scopes_at(vetoes.client.as_ref().map(|c| &c.client), now))
        .fact("until", f.until.seconds());
    if let Some(voucher) = &f.vouched_by {
        event = event.fact("vouched_by", voucher.as_str());
    }
    if !given.is_empty() {
        event = event.fact("rights", given);
    }
    if let Some(old) = raised {
        event = event.fact("acr_was", old.facts.earned.acr());
    }
    event.person = Some(f.person.clone());
    event.device = Some(f.device.clone());
    Begun { session, cookies, write, event }
}

/// The live session that a browser wants raised: it says so, its cookie came along and its own key proves. The
/// wish is needed, as the key of a registered terminal stays the same from one person to the next. A greeting
/// that waits for an answer comes first.
pub async fn to_raise(
    app: &App,
    ctx: &Context,
    wish: bool,
    cookie: Option<&str>,
    proof: &Proof,
    client: &ClientId,
) -> Result<Option<Session>, Fault> {
    let Some(cookie) = cookie.filter(|_| wish) else { return Ok(None) };
    let session = match shown(app, ctx, cookie, proof, false).await {
        Ok(session) if session.facts.clients.contains(client) && bound::is_shown(app, ctx, &session) => observe::terminal(app, ctx, session).await?,
        Err(fault) if fault.store.is_some() => return Err(fault),
        _ => return Ok(None),
    };
    match unclaimed(app, &session).await {
        Ok(_) => Ok(Some(session)),
        Err(fault) if fault.store.is_some() => Err(fault),
        Err(_) => Ok(None),
    }
}

/// The browser changes hands: its other ceremonies and its former session end, and its open requests
/// follow it to its new cookie, for whoever signs in. Where a session begins, and is not raised, at a registered terminal
/// everybody else's end as well, and with one on somebody's word every other one that its person has so: each once,
/// whatever it ends for. Whatever answers one of these comes before in the commit.
pub async fn take_over(
    app: &App,
    browser_hash: &str,
    redeemed: Option<&CeremonyId>,
    former: Option<&str>,
    vetoes: &Vetoes,
    fresh: &Fresh,
    now: Time,
) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let (mut writes, mut events, person) = (Vec::new(), Vec::new(), &vetoes.person);
    for other in app.store.ceremonies_of_browser(browser_hash).await? {
        if redeemed != Some(&other.opening.id) && other.is_pending() {
            let (w, e) = ended_along(app, &other, &other.abandon("another_redeemed", now), now).await?;
            writes.extend(w);
            events.extend(e);
            // They are here, by another way than their bell: that is an answer to it.
            if rings(app, &other) == Some(&person.id) {
                writes.push(Write::push_answered(&person.id, &other.opening.asker.id));
            }
        }
    }
    let mut leaving: BTreeMap<SessionId, (Session, &str)> = BTreeMap::new();
    let mut leaves = |why, all: Vec<Session>| {
        for session in all {
            leaving.entry(session.facts.id.clone()).or_insert((session, why));
        }
    };
    if fresh.begins && vetoes.voucher.is_some() {
        // Of two that begin at the same moment, one is judged anew and finds the other.
        writes.push(Write::person_vouched_for(person));
        let mut theirs = app.store.sessions_of(&person.id).await?;
        theirs.retain(|s| s.facts.vouched_by.is_some());
        leaves("vouched_again", theirs);
    }
    if let (true, Some((terminal, _))) = (fresh.begins, &vetoes.terminal) {
        writes.push(Write::terminal_taken(terminal));
        let mut there = app.store.sessions_at(&terminal.id).await?;
        there.retain(|s| s.facts.person != person.id);
        leaves("next_person", there);
    }
    if let Some(cookie) = former.filter(|_| fresh.begins) {
        leaves("next_person", app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?.into_iter().collect());
    }
    for (last, why) in leaving.values() {
        let (w, e) = ending(app, last, why, now).await?;
        writes.extend(w);
        events.extend(e);
    }
    writes.push(Write::requests_moved(browser_hash, &hashed(fresh.browser.as_bytes())));
    Ok((writes, events))
}

/// The code that answers a request in a session, through the gate: the place to go, the writes,
/// the record. A page of our own asks for nothing but the session: there is no code.
pub fn code(
    app: &App,
    request: &AuthRequest,
    ceremony: Option<&CeremonyId>,
    vetoes: &Vetoes,
    now: Time,
) -> Result<(String, Vec<Write>, Event), Fault> {
    let session = vetoes.session().ok_or(Fault::because(Refusal::Gone, "no session"))?;
    let f = &session.facts;
    let r = &request.facts;
    let counts = f.scopes_at(vetoes.client.as_ref().map(|c| &c.client), now);
    let scopes: Vec<String> = r.scopes.iter().filter(|s| counts.contains(s)).cloned().collect();
    let ground = Ground::of(session, &r.acr_values, &scopes).about(detail::types(&r.details));
    let own = r.client.as_str() == operator::CLIENT;
    let (permit, _) = gate(app, if own { Product::Decision } else { Product::Code }, vetoes, &ground, now)?;
    if r.person.as_ref().is_some_and(|p| *p != f.person) {
        return Err(Fault::because(Refusal::Denied, "another person than the request is for"));
    }
    // Where the code goes was registered when it was asked for; it must be registered still.
    if !vetoes.client.as_ref().is_some_and(|c| c.client.allows_redirect(&r.redirect_uri)) {
        return Err(Fault::because(Refusal::Denied, "a redirect URI that is registered no more"));
    }
    let client = &vetoes.client.as_ref().ok_or(Refusal::Denied)?.client;
    let answered = |kind| {
        let mut event = app.session_event(kind, &r.txn, &f.id, now);
        event.person = Some(f.person.clone());
        event.client = Some(r.client.clone());
        event.ceremony = f.ceremony.clone();
        event
    };
    if own {
        let next = Way::of(r, client).url(app, &r.id, &[], now)?;
        return Ok((next, vec![Write::request_done(request)], answered(Kind::OperatorEntered)));
    }
    let text = b64::encode(&app.random::<32>());
    let facts = CodeFacts {
        txn: r.txn.clone(),
        session: f.id.clone(),
        request: r.id.clone(),
        ceremony: ceremony.cloned(),
        client: r.client.clone(),
        redirect_uri: r.redirect_uri.clone(),
        code_challenge: r.code_challenge.clone(),
        dpop_jkt: r.dpop_jkt.as_deref().and_then(|t| t.parse().ok()),
        scopes: permit.scopes().to_vec(),
        nonce: r.nonce.clone(),
    };
    let writes = vec![
        Write::request_done(request),
        Write::code_made(&hashed(text.as_bytes()), &facts, now.plus_s(limits::CODE_S)),
    ];
    let next = Way::of(r, client).url(app, &r.id, &[("code", &text)], now)?;
    Ok((next, writes, answered(Kind::CodeIssued)))
}

/// The live session of a browser, if its cookie and the proof by its terminal key agree, and it shows what it is bound
/// to; as it is now that this request has come from wherever it comes.
pub async fn of_terminal(app: &App, ctx: &Context, cookie: &str, proof: &Proof) -> Result<Session, Fault> {
    let session = shown(app, ctx, cookie, proof, true).await?;
    let session = observe::terminal(app, ctx, session).await?;
    if bound::is_shown(app, ctx, &session) {
        return Ok(session);
    }
    // Its cookie and its key, and not its hardware: that is what a copied profile looks like.
    Err(Fault::because(Refusal::BadProof, "a bound session without its bound cookie"))
}

/// The same from anywhere, and without what it is bound to: to end it, that is not needed. Whether another key than the
/// session's is a sign of a stolen cookie: a page that begins anew has a new one.
async fn shown(app: &App, ctx: &Context, cookie: &str, proof: &Proof, own_key: bool) -> Result<Session, Fault> {
    let none = |why| Fault::because(Refusal::NoSession, why);
    let session = app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?.ok_or_else(|| none("no session"))?;
    if session.facts.jkt != proof.jkt {
        if own_key {
            observe::wrong_key(app, ctx, &session).await?;
        }
        return Err(none("the cookie without its key"));
    }
    if !session.is_live(ctx.now) {
        return Err(none("over"));
    }
    ctx.known_as("session", session.facts.id.as_str());
    Ok(session)
}

/// A running session answers another request of a client it serves.
pub async fn resume(app: &App, ctx: &Context, flow: &str, browser: &str, cookie: &str, proof: &Proof) -> Result<Next, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let session = of_terminal(app, ctx, cookie, proof).await?;
        let f = &session.facts;
        let request = open_request(app, flow, browser, ctx.now).await?;
        let r = &request.facts;
        answers(&session, r, ctx.now)?;
        let unclaimed = unclaimed(app, &session).await?;
        let vetoes = Vetoes::of(app, &session, Some(&r.client), ctx.now).await?;
        stopped(app, &vetoes, &session, r, ctx.now)?;
        reaches(&session, vetoes.client.as_ref().map(|c| &c.client), r, ctx.now)?;
        let (next, writes, event) = code(app, &request, unclaimed.as_ref(), &vetoes, ctx.now)?;
        let mut resumed = app.session_event(Kind::SessionResumed, &r.txn, &f.id, ctx.now);
        resumed.person = Some(f.person.clone());
        resumed.client = Some(r.client.clone());
        resumed.device = Some(f.device.clone());
        let mut commit = Commit::new(resumed);
        commit.event(event).writes(writes).write(burn(proof));
        commit.guard(Table::Session, f.id.as_str(), session.version);
        vetoes.guard(&mut commit);
        app.commit(commit).await?;
        app.store.session_seen(&f.id, session.next_idle(ctx.now)).await?;
        Ok(Next { next })
    })
    .await
}

/// A right that a rule stops for a reason of its own is not asked for: whoever waits is told which.
fn stopped(app: &App, vetoes: &Vetoes, session: &Session, r: &RequestFacts, now: Time) -> Result<(), Fault> {
    let offers = |s: &&String| vetoes.client.as_ref().is_some_and(|c| c.client.offers(s).is_some());
    let asked = r.scopes.iter().filter(offers).map(|scope| rights::may_ask(app, vetoes, session, scope, now));
    asked.filter_map(Result::err).find(|fault| fault.refusal == Refusal::RemoteControlled).map_or(Ok(()), Err)
}

/// Whether a session is of the right client and person, and may answer without asking anybody.
pub fn answers(session: &Session, r: &RequestFacts, now: Time) -> Result<(), Fault> {
    let f = &session.facts;
    let must_ask = r.prompt.iter().any(|p| p == "login" || p == "select_account" || p == "consent");
    let serves = f.clients.contains(&r.client) && r.person.as_ref().is_none_or(|p| *p == f.person);
    if must_ask || !serves || !session.is_live(now) {
        return Err(Fault::because(Refusal::NoSession, "the session does not answer this request"));
    }
    Ok(())
}

/// Whether what was earned, and when, is enough for a request, and nothing is asked that its person
/// did not read. What policy rules on one by one is left to policy: it may have been read and cut.
pub fn reaches(session: &Session, client: Option<&Client>, r: &RequestFacts, now: Time) -> Result<(), Fault> {
    let f = &session.facts;
    let by_policy = |scope: &String| client.is_some_and(|c| c.is_privileged(scope));
    let unread = r.scopes.iter().any(|s| !f.scopes.contains(s) && !by_policy(s));
    // Zero asks for a fresh sign-in, whatever the clock says (OpenID Connect Core §3.1.2.1).
    let stale = r.max_age_s.is_some_and(|max| max == 0 || now.seconds() - f.auth_time.seconds() > max);
    // What is given just in time is asked for on the person's own device, each time anew.
    let over = |s: &String| client.is_some_and(|c| c.offers(s).is_some_and(Offered::is_own) && f.right(&c.id, s, now).is_none());
    if stale || unread || r.scopes.iter().any(over) || !r.details.is_empty() || !f.earned.satisfies(&r.acr_values) {
        return Err(Fault::because(Refusal::StepUp, "the session must be raised first"));
    }
    Ok(())
}

/// The ceremony whose result was not used yet, for the code that will claim it. While its greeting
/// waits for an answer the session serves nobody: "You are …?" has no way around.
pub(super) async fn unclaimed(app: &App, session: &Session) -> Result<Option<CeremonyId>, Fault> {
    let Some(id) = &session.facts.ceremony else { return Ok(None) };
    let Some(c) = app.store.ceremony(id).await? else { return Ok(None) };
    match &c.state {
        State::Redeemed(r) if r.claimed => Ok(None),
        State::Redeemed(r) if !r.greet => Ok(Some(id.clone())),
        _ => Err(Fault::because(Refusal::NoSession, "the greeting was not answered")),
    }
}

/// An open request of this browser.
pub async fn open_request(app: &App, flow: &str, browser: &str, now: Time) -> Result<AuthRequest, Fault> {
    let none = || Fault::because(Refusal::NoSuchFlow, "unknown, ended, or of another browser");
    let id: RequestId = flow.parse().map_err(|_| none())?;
    let request = app.store.request(&id).await?.ok_or_else(none)?;
    let bound = request.browser_hash == hashed(browser.as_bytes());
    if bound && request.state == "open" && now < request.until { Ok(request) } else { Err(none()) }
}

/// The person goes back to the client without signing in.
pub async fn cancel(app: &App, ctx: &Context, flow: &str, browser: &str) -> Result<Next, Fault> {
    app.judged_anew(|_| async {
        let request = open_request(app, flow, browser, ctx.now).await?;
        let mut event = app.event(Kind::StepRefused, &request.facts.txn, ctx.now).fact("step", "cancel");
        event.client = Some(request.facts.client.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::request_done(&request));
        app.commit(commit).await?;
        let client = app.client(&request.facts.client).await?.ok_or(Refusal::Denied)?;
        // A page that may not ask has not asked.
        let silent = request.facts.prompt.iter().any(|p| p == "none");
        let error = if silent { "login_required" } else { "access_denied" };
        let next = Way::of(&request.facts, &client.client).url(app, &request.facts.id, &[("error", error)], ctx.now)?;
        Ok(Next { next })
    })
    .await
}

/// What ends a session, its codes and tokens, and tells every client that got something in it.
pub async fn ending(app: &App, session: &Session, why: &str, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let f = &session.facts;
    if session.ended.is_some() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut writes: Vec<Write> = Write::session_ended(&f.id, why).into();
    let mut event = app.session_event(Kind::SessionEnded, &f.txn, &f.id, now).fact("why", why);
    event.person = Some(f.person.clone());
    event.device = Some(f.device.clone());
    event.ceremony.clone_from(&f.ceremony);
    let told: BTreeSet<_> = app.store.clients_of_session(&f.id).await?.into_iter().collect();
    for client in told {
        let wants = app.client(&client).await?.is_some_and(|c| c.client.backchannel_logout_uri.is_some());
        if wants {
            let owed = OwedLogout {
                id: EventId::new(now, app.id10()),
                version: 0,
                client,
                session: f.id.clone(),
                person: f.person.clone(),
                txn: f.txn.clone(),
                tries: 0,
            };
            writes.push(Write::logout_owed(&owed, now));
        }
    }
    Ok((writes, vec![event]))
}

/// Ends a session now, if nobody else did.
pub async fn end(app: &App, session: &Session, why: &str, now: Time) -> Result<(), Fault> {
    let mut session = session.clone();
    for _ in 0..limits::RACES {
        match end_with(app, &session, why, now, None).await {
            Err(Fault { store: Some(StoreError::Conflict), .. }) => {}
            done => return done,
        }
        // Ended, or raised meanwhile.
        match app.store.session(&session.facts.id).await? {
            Some(moved) if moved.ended.is_none() => session = moved,
            _ => return Ok(()),
        }
    }
    Err(Refusal::Unavailable.into())
}

/// Ends every session that `list` names, however many one list holds. Asked after the commit from
/// which on no more can be opened, it also finds those that were opened at that very moment.
pub async fn end_every<F, Fut>(app: &App, list: F, why: &str) -> Result<usize, Fault>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Vec<Session>, StoreError>>,
{
    let mut ended = 0;
    for _ in 0..LISTS {
        let found = list().await?;
        if found.is_empty() {
            break;
        }
        for session in &found {
            end(app, session, why, app.now()).await?;
        }
        ended += found.len();
    }
    Ok(ended)
}

async fn end_with(app: &App, session: &Session, why: &str, now: Time, extra: Option<Write>) -> Result<(), Fault> {
    let (writes, events) = ending(app, session, why, now).await?;
    let Some(mut commit) = Commit::of(events) else { return Ok(()) };
    commit.guard(Table::Session, session.facts.id.as_str(), session.version);
    commit.writes(writes).writes(extra);
    app.commit(commit).await?;
    Ok(())
}

/// The page of a session is there (`visible`), or goes. What it proves is kept in memory: a beat is no
/// activity of a person, and moves no idle end.
pub async fn beat(app: &App, ctx: &Context, cookie: &str, proof: &Proof, visible: bool) -> Result<BeatTaken, Fault> {
    let session = of_terminal(app, ctx, cookie, proof).await?;
    let id = &session.facts.id;
    let silence_at = visible.then(|| Span::of_page(&app.config).silent(ctx.now));
    if !app.heard.page(id, &proof.jti, silence_at) {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    for signal in session.signals.iter().filter(|s| s.kind == signal::Kind::SessionSilent && s.source == silence::SOURCE) {
        signals::clear(app, &Subject::Session(id.clone()), signal.kind, Some(silence::SOURCE), &ctx.txn).await?;
    }
    let standing = session.standing.as_ref().map(|s| s.effect.as_str().to_owned());
    Ok(BeatTaken { every_s: app.config.page_heartbeat_s, standing })
}

/// Signed out on the terminal itself.
pub async fn end_here(app: &App, ctx: &Context, cookie: &str, proof: &Proof) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let session = shown(app, ctx, cookie, proof, true).await?;
        end_with(app, &session, "signed_out", ctx.now, Some(burn(proof))).await
    })
    .await
}

/// A person ends one of their sessions, or all, from a device. Answers how many ended.
pub async fn end_from_device(app: &App, ctx: &Context, person: &PersonId, which: Option<&str>) -> Result<usize, Fault> {
    app.in_order()?;
    let Some(id) = which else {
        return end_every(app, || vouch::sessions_of(app, person), "from_device").await;
    };
    let none = || Fault::because(Refusal::NoSuchThing, "no such session of this person");
    let id: SessionId = id.parse().map_err(|_| none())?;
    let session = app.store.session(&id).await?.filter(|s| (s.facts.person == *person || s.facts.vouched_by.as_ref() == Some(person)) && s.ended.is_none());
    end(app, &session.ok_or_else(none)?, "from_device", ctx.now).await?;
    Ok(1)
}

/// What ends every session that a device opened.
pub async fn end_all_of_device(app: &App, device: &DeviceId, why: &str, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let (mut writes, mut events) = (Vec::new(), Vec::new());
    for session in app.store.sessions_by_device(device).await? {
        let (w, e) = ending(app, &session, why, now).await?;
        writes.extend(w);
        events.extend(e);
    }
    Ok((writes, events))
}

/// One sweep of sessions whose person or device may not act: left by a node that ended between the
/// commit that stopped them and the end of what was opened at that moment.
pub async fn sweep_stopped(app: &App) -> Result<usize, Fault> {
    end_every(app, || app.store.sessions_stopped(limits::LIST), "stopped").await
}

/// One sweep: sessions whose time is over end, and their clients are told.
pub async fn sweep(app: &App, now: Time) -> Result<usize, Fault> {
    let due = app.store.sessions_due(now, limits::LIST).await?;
    for session in &due {
        let why = if now >= session.facts.until { "absolute" } else { "idle" };
        end(app, session, why, now).await?;
    }
    Ok(due.len())
}

