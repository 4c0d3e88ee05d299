//! A right that somebody else approves: asked for in a session, offered to the approver's devices, and given to the
//! session by the approval itself. The terminal collects nothing: it holds its session already.

use super::open::{Beginning, begun, may_begin, offer};
use super::redeem::{claimed_at_once, pass, setting};
use super::{Around, client_of, keep};
use crate::app::issue::{Ground, Vetoes, gate_in_session};
use crate::app::once::hashed;
use crate::app::{App, Context, Fault, rights};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::ceremony::{Approved, Ceremony, Opening, Raises, State};
use countersign_trust::client::Client;
use countersign_trust::issuance::Product;
use countersign_trust::presence::Presence;
use countersign_trust::principal::Person;
use countersign_trust::right::{self, Giver, Offered, Right};
use countersign_trust::session::Session;
use countersign_trust::{Refusal, detail};
use countersign_wire::secret::same;
use countersign_wire::statement::{Asked, Asker, Boundary, Detail, DetailRow, Purpose};
use countersign_wire::{CeremonyId, SessionId, Time, b64, jcs, mac};
use serde_json::json;

/// Longest reason, characters.
const REASON_CHARS: usize = 200;
/// Clients of a session that are looked at.
const CLIENTS: usize = 8;

/// What is asked for, and by whom.
pub struct Ask<'a> {
    /// The enforcement point that asks.
    pub caller: &'a Client,
    /// Whose session is to hold the right.
    pub session: &'a str,
    /// The scope.
    pub scope: &'a str,
    /// Login name of whoever is to approve.
    pub approver: &'a str,
    /// Why, in the asker's words.
    pub reason: Option<String>,
}

/// What only the caller of a task is known by. No cookie has a hash of this form.
fn collector(caller: &Client, id: &CeremonyId) -> String {
    format!("request.{}", hashed(format!("{}/{id}", caller.id).as_bytes()))
}

/// Begins a task.
pub async fn ask(app: &App, ctx: &Context, ask: &Ask<'_>) -> Result<Ceremony, Fault> {
    app.judged_anew(|n| async move { begin(app, &ctx.anew(app, n), ask).await }).await
}

async fn begin(app: &App, ctx: &Context, ask: &Ask<'_>) -> Result<Ceremony, Fault> {
    let (now, denied) = (ctx.now, |why| Fault::because(Refusal::Denied, why));
    let id: SessionId = ask.session.parse().map_err(|_| denied("no session"))?;
    let session = app.store.session(&id).await?.filter(|s| s.is_live(now)).ok_or(denied("no session"))?;
    let (vetoes, offered) = offering(app, &session, ask.scope, now).await?;
    let f = &session.facts;
    let holder = app.store.named(&f.person).await?.ok_or(denied("no person"))?;
    if app.store.person_by_login(ask.approver).await?.is_some_and(|n| n.person.id == f.person) {
        return Err(denied("nobody approves for themself"));
    }
    if ask.reason.as_ref().is_some_and(|r| r.is_empty() || r.chars().count() > REASON_CHARS || !jcs::is_plain(r)) {
        return Err(Fault::because(Refusal::Malformed, "a reason of 1 to 200 plain characters"));
    }
    let client = vetoes.client.as_ref().ok_or(denied("no client"))?;
    let cid = CeremonyId::new(now, app.id10());
    let (approver, places) = offer(app, ask.approver, &client.client.id, &cid, now).await?;
    let row = |label: &str, value: &str| DetailRow { label: label.to_owned(), value: value.to_owned() };
    let asked = json!({ "type": detail::RIGHT, "scope": ask.scope, "session": f.id.as_str(), "for_s": offered.for_s });
    let words = Detail {
        r#type: detail::RIGHT.to_owned(),
        title: ask.scope.to_owned(),
        rows: [Some(row("For", &holder.name)), ask.reason.as_deref().map(|r| row("Reason", r))].into_iter().flatten().collect(),
        asked: asked.clone(),
    };
    let (txn, details) = (app.txn(now), [words]);
    let met = vetoes.met(f);
    let what =
        Beginning { client: Some(&client.client), purpose: Purpose::Right, details: &details, met: met.as_ref(), collector: None, txn: &txn };
    let may = may_begin(app, ctx, &what).await?;
    // Where the session's screen stood when it was opened: that is what the approver is near to, or not.
    let origin = match &f.ceremony {
        Some(id) => app.store.ceremony(id).await?.map(|c| c.opening),
        None => None,
    };
    // One that a passkey opened is told from every other by its own name: what stops it stops nobody else's.
    let own = || (f.id.to_string(), String::new(), String::new());
    let (source, address, kind) = origin.map_or_else(own, |o| (o.source, o.address, o.terminal_kind));
    let opening = Opening {
        collector_hash: collector(ask.caller, &cid),
        id: cid,
        txn,
        purpose: Purpose::Right,
        flow: None,
        asker: Asker { id: client.client.id.clone(), name: client.client.name.clone(), redirect_host: String::new() },
        boundary: Boundary::Approval,
        asked: Asked {
            hash: b64::encode(&mac::h(asked.to_string().as_bytes())),
            scopes: vec![ask.scope.to_owned()],
            details: details.into(),
            message: Some(holder.name),
        },
        acr_values: Vec::new(),
        jkt: f.jkt.clone(),
        terminal_kind: if kind.is_empty() { "browser".to_owned() } else { kind },
        agent: f.agent.clone(),
        source,
        address,
        k: app.keys.k().0,
        offered: approver,
        push: true,
        person: None,
        recovers: None,
        vouches: None,
        raises: Some(Raises { session: f.id.clone(), person: f.person.clone() }),
        collects: None,
        terminal: f.terminal.clone(),
        badge: None,
        at: now,
    };
    let (ceremony, event) = begun(app, opening, may);
    let mut event = event.fact("scope", ask.scope).fact("asker", ask.caller.id.as_str());
    event.session = Some(f.id.clone());
    event.person = Some(f.person.clone());
    let mut commit = Commit::new(event);
    commit.write(Write::ceremony_opened(&ceremony, &hashed(&app.random::<16>()), None)).writes(places);
    commit.guard(Table::Session, f.id.as_str(), session.version);
    vetoes.guard(&mut commit);
    app.commit(commit).await?;
    Ok(Ceremony { version: 1, ..ceremony })
}

/// The offer of this scope to the person of a session, where somebody else approves it.
async fn offering(app: &App, session: &Session, scope: &str, now: Time) -> Result<(Vetoes, Offered), Fault> {
    for id in session.facts.clients.iter().take(CLIENTS) {
        let Some(stored) = app.client(id).await? else { continue };
        let Some(offered) = stored.client.offers(scope).filter(|o| !o.is_own()) else { continue };
        let (_, vetoes) = gate_in_session(app, Product::Decision, id, session, &Ground::of(session, &[], &[]), now).await?;
        if !offered.is_for(vetoes.person.role) {
            return Err(Fault::because(Refusal::Denied, "a right beyond the role"));
        }
        rights::may_ask(app, &vetoes, session, scope, now)?;
        return Ok((vetoes, offered.clone()));
    }
    Err(Fault::because(Refusal::Denied, "no right that somebody else approves"))
}

/// Whether this person may approve it: of a role that may, and never for themself.
pub(super) async fn may_give(app: &App, c: &Ceremony, by: &Person) -> Result<(), Fault> {
    let denied = |why, say: &str| Fault::because(Refusal::Denied, why).saying(Some(say.to_owned()));
    let o = &c.opening;
    if o.raises.as_ref().is_none_or(|r| r.person == by.id) {
        return Err(denied("nobody approves for themself", "Nobody can approve this for themselves."));
    }
    let client = super::client(app, c).await?;
    let offered = client.as_ref().and_then(|c| o.asked.scopes.first().and_then(|s| c.client.offers(s)));
    if offered.is_some_and(|o| o.approved_by.contains(&by.role)) {
        return Ok(());
    }
    Err(denied("not of a role that approves it", "You are not one of those who approve this."))
}

/// A task of this caller.
pub async fn task_of(app: &App, caller: &Client, id: &str) -> Result<Option<Ceremony>, Fault> {
    let found = super::named(app, id).await?;
    Ok(found.filter(|c| same(c.opening.collector_hash.as_bytes(), collector(caller, &c.opening.id).as_bytes())))
}

/// The caller gives it up.
pub async fn withdraw(app: &App, ctx: &Context, c: &Ceremony) -> Result<(), Fault> {
    keep(app, ctx, c, c.abandon("cancelled", ctx.now), Around::default()).await
}

/// What it gave, if that lives.
pub async fn right_of(app: &App, c: &Ceremony, now: Time) -> Result<Option<Right>, Fault> {
    let Some(raises) = &c.opening.raises else { return Ok(None) };
    let session = app.store.session(&raises.session).await?.filter(|s| s.is_live(now));
    let of = |r: &Right| r.by.ceremony.as_ref() == Some(&c.opening.id) && r.is_live(now);
    Ok(session.and_then(|s| s.facts.rights.into_iter().find(of)))
}

/// The approval gives the right: everything is judged once more, for the approver and for whoever holds the session.
pub(super) async fn give(app: &App, ctx: &Context, id: &CeremonyId) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        let ctx = &ctx.anew(app, n);
        let Some(c) = app.store.ceremony(id).await? else { return Ok(()) };
        let State::Approved(approved) = &c.state else { return Ok(()) };
        match given(app, ctx, &c, approved).await {
            Err(fault) if fault.store.is_none() && !fault.recorded => {
                keep(app, ctx, &c, c.cut("not_given", ctx.now), Around::default()).await?;
                Err(fault)
            }
            done => done,
        }
    })
    .await
}

async fn given(app: &App, ctx: &Context, c: &Ceremony, approved: &Approved) -> Result<(), Fault> {
    let (scan, now, denied) = (&approved.scan, ctx.now, |why| Fault::because(Refusal::Denied, why));
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, client_of(c).as_ref()).await?;
    let vetoes = vetoes.at(app, c.opening.terminal.as_ref()).await?;
    may_give(app, c, &vetoes.person).await?;
    let (permit, allowed) = pass(app, ctx, c, approved, &vetoes, Product::Session).await?;
    let raises = c.opening.raises.as_ref().ok_or(denied("no session"))?;
    let session = app.store.session(&raises.session).await?.filter(|s| s.is_live(now)).ok_or(denied("the session ended"))?;
    let scope = c.opening.asked.scopes.first().ok_or(denied("no scope"))?;
    let (holder, _) = offering(app, &session, scope, now).await?;
    let client = permit.client().ok_or(denied("no client"))?;
    let timed = right::narrowed(permit.timed(), &scan.rights.timed).into_iter().find(|t| t.scope == *scope).ok_or(denied("not unlocked"))?;
    let giver = Giver { person: scan.person.clone(), device: scan.device.clone(), ceremony: Some(c.opening.id.clone()) };
    let reason = c.opening.asked.details.first().and_then(|d| d.rows.iter().find(|r| r.label == "Reason")).map(|r| r.value.clone());
    let right = rights::given(app, client, timed, giver, reason, now);
    let told = rights::told(&right);
    let facts = session.facts.clone().with_rights([right], now);
    let set = setting(app, &vetoes, c, scan);
    let step = claimed_at_once(c.redeem(&approved.jti, None, Ok(Passed { allowed: &allowed, setting: &set, near: &scan.near }), now));
    if step.answer.is_err() {
        return keep(app, ctx, c, step, Around::default()).await;
    }
    let mut around = Around::by(&scan.person, &scan.device);
    around.guards.extend(vetoes.guards());
    around.guards.extend(holder.guards());
    around.guards.sort();
    around.guards.dedup();
    around.writes.push(Write::session_moved(&session, &facts));
    let mut event = app
        .session_event(Kind::RightGiven, &c.opening.txn, &facts.id, now)
        .fact("right", told)
        .fact("by", scan.person.as_str())
        .fact("presence", Presence::of(&scan.near).as_str())
        .fact("details", detail::types(&c.opening.asked.details));
    event.person = Some(facts.person.clone());
    around.events.push(event);
    keep(app, ctx, c, step, around).await
}

/// What it gave is taken back with it.
pub(super) async fn taken_back(app: &App, c: &Ceremony, why: &str, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let nothing = (Vec::new(), Vec::new());
    let Some(raises) = c.opening.raises.as_ref().filter(|_| c.opening.purpose == Purpose::Right) else { return Ok(nothing) };
    let Some(session) = app.store.session(&raises.session).await?.filter(|s| s.ended.is_none()) else { return Ok(nothing) };
    let ours = |r: &&Right| r.by.ceremony.as_ref() == Some(&c.opening.id);
    let Some(right) = session.facts.rights.iter().find(ours) else { return Ok(nothing) };
    let mut event = app.session_event(Kind::RightEnded, &c.opening.txn, &session.facts.id, now).fact("right", rights::told(right)).fact("why", why);
    event.person = Some(session.facts.person.clone());
    let mut facts = session.facts.clone();
    facts.rights.retain(|r| !ours(&r));
    Ok((vec![Write::session_moved(&session, &facts)], vec![event]))
}
