//! A person is asked to let an agent call a tool once, with these arguments. The same ceremony, offered to
//! them as a push; what differs is that there is no screen, and that the decision point spends the approval.
//!
//! 1. [`open`] offers the call: its words and its digest go into the statement, so the signature covers both.
//! 2. A device of that person takes it and decides as ever ([`super::scan`], [`super::decide`]).
//! 3. [`spend`] takes an approval of exactly this call, by the one gate, once, in the commit that records the
//!    call. Any other argument is another digest.

use super::open::{Beginning, Minted, Opener, begun, may_begin, offer};
use super::redeem::{claimed_at_once, pass, setting};
use super::{Around, keep};
use crate::app::issue::Vetoes;
use crate::app::once::hashed;
use crate::app::{App, Context, Fault};
use countersign_store::{Commit, Write};
use countersign_trust::Refusal;
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::ceremony::{Ceremony, End, Opening, State};
use countersign_trust::client::Client;
use countersign_trust::issuance::Product;
use countersign_wire::statement::{Asked, Asker, Boundary, Detail, Purpose};
use countersign_wire::{CeremonyId, PersonId, Thumbprint, Time};

/// What a person is to be asked.
pub struct Offer<'a> {
    /// The gate through which the tool is called.
    pub caller: &'a Client,
    /// Host of the tool.
    pub host: String,
    /// Who decides.
    pub person: &'a PersonId,
    /// The agent, as people know it.
    pub agent: &'a str,
    /// Its id, under which a person stops it.
    pub source: &'a str,
    /// Its key.
    pub jkt: Thumbprint,
    /// Digest of the call.
    pub digest: &'a str,
    /// The call in words.
    pub detail: Detail,
}

/// What became of an approval that was asked for.
pub enum Found {
    /// A device has to decide yet; until when.
    Waits(CeremonyId, Time),
    /// Approved, and not spent.
    Approved(Box<Ceremony>),
    /// The person, or time, said no.
    Over(Refusal),
    /// There is none.
    None,
}

/// The approval of this call that lives, or what became of the one that is named.
pub async fn find(app: &App, person: &PersonId, jkt: &Thumbprint, digest: &str, named: Option<&CeremonyId>, now: Time) -> Result<Found, Fault> {
    let own = |c: &Ceremony| c.opening.purpose == Purpose::ToolCall && c.opening.asked.hash == digest && c.opening.jkt == *jkt;
    for c in app.store.ceremonies_of_person(person).await?.into_iter().filter(own) {
        match &c.state {
            State::Approved(a) if now < a.until => return Ok(Found::Approved(Box::new(c))),
            State::Opened(_) | State::Scanned(_) | State::Confirmed(_) => {
                if let Some(until) = c.deadline().filter(|until| now < *until) {
                    return Ok(Found::Waits(c.opening.id, until));
                }
            }
            _ => {}
        }
    }
    let Some(id) = named else { return Ok(Found::None) };
    let over = app.store.ceremony(id).await?.filter(own);
    Ok(match over.map(|c| c.state) {
        Some(State::Ended(ended)) => Found::Over(if ended.end == End::Refused { Refusal::Denied } else { Refusal::Expired }),
        Some(State::Redeemed(_)) => Found::Over(Refusal::AlreadyRedeemed),
        Some(_) => Found::Over(Refusal::Expired),
        None => Found::None,
    })
}

/// Offers the call to its person.
pub async fn open(app: &App, ctx: &Context, asked: Offer<'_>) -> Result<(CeremonyId, Time), Fault> {
    let now = ctx.now;
    let Offer { caller, host, person, agent, source, jkt, digest, detail } = asked;
    if app.store.is_stopped(source, jkt.as_str(), caller.id.as_str(), Some(person), now).await? {
        return Err(Fault::because(Refusal::Denied, "an agent that this person stopped"));
    }
    let txn = app.txn(now);
    let details = [detail];
    let what = Beginning { client: Some(caller), purpose: Purpose::ToolCall, details: &details, met: None, collector: None, txn: &txn };
    let may = may_begin(app, ctx, &what).await?;
    let login = app.store.named(person).await?.ok_or(Fault::because(Refusal::Denied, "nobody to ask"))?.login;
    let minted = Minted::new(app, &Opener::Program, now)?;
    let (offered, places) = offer(app, &login, &caller.id, &minted.id, now).await?;
    let opening = Opening {
        id: minted.id.clone(),
        txn,
        purpose: Purpose::ToolCall,
        flow: None,
        asker: Asker { id: caller.id.clone(), name: caller.name.clone(), redirect_host: host },
        boundary: Boundary::Approval,
        asked: Asked { hash: digest.to_owned(), scopes: Vec::new(), details: details.into(), message: None },
        acr_values: Vec::new(),
        jkt,
        // Nobody comes for it with a secret.
        collector_hash: hashed(&app.random::<32>()),
        terminal_kind: "device".to_owned(),
        agent: agent.to_owned(),
        source: source.to_owned(),
        address: String::new(),
        k: minted.k.0,
        collects: None,
        terminal: None,
        badge: None,
        offered,
        push: true,
        person: Some(person.clone()),
        recovers: None,
        vouches: None,
        raises: None,
        at: now,
    };
    let (ceremony, event) = begun(app, opening, may);
    let event = event.fact("workload", source);
    let mut commit = Commit::new(event);
    commit.write(Write::ceremony_opened(&ceremony, &hashed(&minted.handle), None)).writes(places);
    app.commit(commit).await?;
    let until = ceremony.deadline().unwrap_or(now);
    Ok((minted.id, until))
}

/// Spends an approval on its call, in one commit with what the call itself leaves behind.
pub async fn spend(app: &App, ctx: &Context, c: &Ceremony, mut around: Around) -> Result<(), Fault> {
    let State::Approved(approved) = &c.state else { return Err(Fault::because(Refusal::Pending, "not approved")) };
    let scan = &approved.scan;
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, Some(&c.opening.asker.id)).await?;
    let (_, allowed) = pass(app, ctx, c, approved, &vetoes, Product::Approval).await?;
    let setting = setting(app, &vetoes, c, scan);
    let passed = Passed { allowed: &allowed, setting: &setting, near: &scan.near };
    let step = claimed_at_once(c.redeem("call", None, Ok(passed), ctx.now));
    if step.answer.is_err() {
        // Nothing goes along with what is not spent.
        return keep(app, ctx, c, step, Around::default()).await;
    }
    around.person = Some(scan.person.clone());
    around.device = Some(scan.device.clone());
    around.guards.extend(vetoes.guards());
    keep(app, ctx, c, step, around).await
}
