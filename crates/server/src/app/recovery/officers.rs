//! Two people of a named role let somebody back in, each by a ceremony that the new device opens;
//! then a wait, in which the person can stop it.

use super::{active, ticket};
use crate::app::once::{burn, refuse_if_burnt};
use crate::app::{App, Context, Fault, enrol};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::recovery::{APPROVALS, Approval, Request, RequestFacts, RequestState, Standing, may_vouch};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{RecoveryView, Ticket};
use countersign_wire::{PersonId, RecoveryId, Thumbprint, Time, TxnId};

/// What one more approval does: the facts after it, and how they are written.
pub struct Approving {
    /// The request as it will be.
    pub facts: RequestFacts,
    /// Its write, behind those that clear away what ran out.
    pub writes: Vec<Write>,
    /// Whether it is the first.
    pub begins: bool,
}

/// The request of this person and key, if it still lives.
async fn living(app: &App, jkt: &Thumbprint, person: &PersonId, now: Time) -> Result<(Option<Request>, Option<Request>), Fault> {
    let found = app.store.recovery_by_key(jkt).await?.filter(|r| r.facts.person == *person);
    Ok(match found {
        Some(r) if r.standing(now) == Standing::Over => (None, Some(r)),
        other => (other, None),
    })
}

/// Whether somebody could be one of the two for this person and key.
pub async fn may_approve(app: &App, by: &PersonId, person: Option<&PersonId>, jkt: &Thumbprint, now: Time) -> Result<(), Fault> {
    let denied = |why, say: &str| Fault::because(Refusal::Denied, why).saying(Some(say.to_owned()));
    let Some(person) = person else {
        return Err(Fault::because(Refusal::Denied, "nobody has that login name"));
    };
    let officer = app.store.person(by).await?.ok_or(Refusal::Denied)?;
    if !may_vouch(officer.role) {
        return Err(denied("not of the role that lets people back in", "You are not one of those who let people back in."));
    }
    if by == person {
        return Err(denied("nobody lets themself back in", "Nobody can let themselves back in."));
    }
    active(app, person).await?;
    match living(app, jkt, person, now).await?.0 {
        Some(request) if request.has_word_of(by) => {
            Err(denied("both approvals by one person", "You approved it already. The second must be somebody else."))
        }
        Some(request) if request.standing(now) != Standing::Asked => Err(Fault::because(Refusal::Denied, "approved by two already")),
        _ => Ok(()),
    }
}

/// One more approval, found good by its ceremony.
pub async fn approved(app: &App, person: &PersonId, jkt: &Thumbprint, by: Approval, txn: &TxnId, now: Time) -> Result<Approving, Fault> {
    may_approve(app, &by.by.person, Some(person), jkt, now).await?;
    let (request, over) = living(app, jkt, person, now).await?;
    let because = |refusal| Fault::because(refusal, "not one more approval");
    match request {
        Some(request) => {
            let facts = request.approved(by, app.config.recovery_delay_s, now).map_err(because)?;
            let writes = vec![Write::recovery_moved(&request, RequestState::Open, &facts)];
            Ok(Approving { facts, writes, begins: false })
        }
        None => {
            let facts = RequestFacts::asked(RecoveryId::new(now, app.id10()), txn.clone(), person, jkt, by, now).map_err(because)?;
            let mut writes = Vec::new();
            if let Some(over) = over.filter(|r| r.state == RequestState::Open) {
                writes.push(Write::recovery_moved(&over, RequestState::Cancelled, &over.facts));
            }
            writes.push(Write::recovery_asked(&facts));
            Ok(Approving { facts, writes, begins: true })
        }
    }
}

/// How far a request is, for the page of the new device.
pub fn view(facts: &RequestFacts, standing: Standing, now: Time) -> RecoveryView {
    let (state, end) = match standing {
        Standing::Asked => ("asked", facts.until),
        Standing::Waiting(ready) => ("waiting", ready),
        Standing::Ready => ("ready", facts.until),
        Standing::Over => ("over", now),
    };
    RecoveryView {
        state: state.to_owned(),
        approvals: u8::try_from(facts.approvals.len()).unwrap_or(u8::MAX),
        needed: u8::try_from(APPROVALS).unwrap_or(u8::MAX),
        ready_at: facts.ready_at.map(Time::seconds),
        left_ms: now.ms_until(end),
    }
}

/// The same, asked by that device's key.
pub async fn standing(app: &App, ctx: &Context, proof: &Proof) -> Result<RecoveryView, Fault> {
    app.in_order()?;
    Ok(match app.store.recovery_by_key(&proof.jkt).await? {
        Some(request) => view(&request.facts, request.standing(ctx.now), ctx.now),
        None => RecoveryView {
            state: "none".to_owned(),
            approvals: 0,
            needed: u8::try_from(APPROVALS).unwrap_or(u8::MAX),
            ready_at: None,
            left_ms: 0,
        },
    })
}

/// The wait is over: a ticket for the key that was approved. Whoever vouched is judged once more.
pub async fn collect(app: &App, ctx: &Context, proof: &Proof) -> Result<Ticket, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let now = ctx.anew(app, n).now;
        let gone = || Fault::because(Refusal::Gone, "no recovery of this key, or it is over");
        let request = app.store.recovery_by_key(&proof.jkt).await?.ok_or_else(gone)?;
        let f = &request.facts;
        ctx.known_as("recovery", f.id.as_str());
        match request.standing(now) {
            Standing::Ready => {}
            Standing::Over => return Err(gone()),
            Standing::Asked | Standing::Waiting(_) => return Err(Fault::because(Refusal::NotYet, "the wait is not over")),
        }
        let who = active(app, &f.person).await?;
        let vouched: Vec<_> = f.approvals.iter().map(|a| a.by.clone()).collect();
        let guards = match enrol::still_vouched(app, &vouched, now).await {
            Ok(guards) => guards,
            Err(fault) if fault.store.is_some() => return Err(fault),
            Err(_) => return withdrawn(app, ctx, &request, now).await,
        };
        let (given, facts, write) = ticket(app, &f.person, Some(&f.jkt), vouched, &f.txn, now);
        let mut event = app
            .event(Kind::RecoveryTaken, &f.txn, now)
            .fact("recovery", f.id.as_str())
            .fact("invitation", facts.id.as_str());
        event.person = Some(f.person.clone());
        let mut commit = Commit::new(event);
        commit.write(burn(proof)).write(write).write(Write::recovery_moved(&request, RequestState::Used, f));
        commit.guard(Table::Person, who.id.as_str(), who.version).guards(guards);
        app.commit(commit).await?;
        Ok(given)
    })
    .await
}

async fn withdrawn(app: &App, ctx: &Context, request: &Request, now: Time) -> Result<Ticket, Fault> {
    let because = "somebody who approved may not any more";
    let mut event = ctx.refusal_event(app, &request.facts.txn).fact("because", because);
    event.refusal = Some(Refusal::Denied);
    let mut stopped = app.event(Kind::RecoveryStopped, &request.facts.txn, now).fact("why", "withdrawn");
    for told in [&mut event, &mut stopped] {
        told.person = Some(request.facts.person.clone());
    }
    let mut commit = Commit::new(event);
    commit.event(stopped).write(Write::recovery_moved(request, RequestState::Withdrawn, &request.facts));
    app.commit(commit).await?;
    Err(Fault::because(Refusal::Denied, because).recorded())
}

/// The page that asked gives it up.
pub async fn cancel(app: &App, ctx: &Context, proof: &Proof) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let now = ctx.anew(app, n).now;
        let open = app.store.recovery_by_key(&proof.jkt).await?.filter(|r| r.state == RequestState::Open);
        let request = open.ok_or(Fault::because(Refusal::Gone, "no recovery of this key, or it is over"))?;
        let mut event = app
            .event(Kind::RecoveryStopped, &request.facts.txn, now)
            .fact("why", "cancelled")
            .fact("recovery", request.facts.id.as_str());
        event.person = Some(request.facts.person.clone());
        let mut commit = Commit::new(event);
        commit.write(burn(proof)).write(Write::recovery_moved(&request, RequestState::Cancelled, &request.facts));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}
