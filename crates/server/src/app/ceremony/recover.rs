//! One of the two approvals that let somebody back in, taken by the device that wants to come back.

use super::redeem::{Redeemed, claimed_at_once, pass, refuse_at_gate, setting, vouched};
use super::{Around, keep};
use crate::app::issue::Vetoes;
use crate::app::recovery::{self, officers};
use crate::app::{App, Context, Fault};
use countersign_store::{Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::ceremony::{Approved, Ceremony};
use countersign_trust::issuance::Product;
use countersign_trust::recovery::{Approval, Request, RequestState};
use countersign_wire::Time;
use countersign_wire::dpop::Proof;
use countersign_wire::message::RedeemedReply;

/// Keeps the approval; with the second one the wait begins.
pub(super) async fn approval(app: &App, ctx: &Context, c: &Ceremony, approved: &Approved, proof: &Proof) -> Result<Redeemed, Fault> {
    let (scan, now) = (&approved.scan, ctx.now);
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, None).await?;
    let allowed = match pass(app, ctx, c, approved, &vetoes, Product::EnrolmentTicket).await {
        Ok((_, allowed)) => allowed,
        Err(fault) => return refuse_at_gate(app, ctx, c, proof, fault).await,
    };
    let whom = c.opening.recovers.clone().ok_or(Refusal::Denied)?;
    let by = Approval { by: vouched(c, approved), ceremony: c.opening.id.clone(), at: approved.at };
    let officers::Approving { facts, writes, begins } = match officers::approved(app, &whom, &proof.jkt, by, &c.opening.txn, now).await {
        Ok(approving) => approving,
        Err(fault) if fault.store.is_none() => return refuse_at_gate(app, ctx, c, proof, fault).await,
        Err(fault) => return Err(fault),
    };
    let set = setting(app, &vetoes, c, scan);
    let step = c.redeem(&proof.jti, None, Ok(Passed { allowed: &allowed, setting: &set, near: &scan.near }), now);
    if let Err(refusal) = step.answer {
        keep(app, ctx, c, step, Around::default().burn(proof)).await?;
        return Err(refusal.into());
    }
    let mut around = Around::by(&scan.person, &scan.device).burn(proof);
    around.guards.extend(vetoes.guards());
    let person = app.store.person(&whom).await?.ok_or(Refusal::Denied)?;
    around.guards.push((Table::Person, person.id.to_string(), person.version));
    around.writes.extend(writes);
    if begins {
        around.writes.push(Write::notice_given(&recovery::asked(app, &whom, facts.until.plus_s(app.config.recovery_delay_s), now)));
    }
    let mut event = app
        .event(Kind::RecoveryApproved, &c.opening.txn, now)
        .fact("recovery", facts.id.as_str())
        .fact("approvals", facts.approvals.len())
        .fact("by", scan.person.as_str())
        .fact("ready_at", facts.ready_at.map(Time::seconds));
    event.person = Some(whom);
    around.events.push(event);
    keep(app, ctx, c, claimed_at_once(step), around).await?;
    let request = Request { version: 1, state: RequestState::Open, facts };
    let view = officers::view(&request.facts, request.standing(now), now);
    let name = app.store.named(&scan.person).await?.map(|n| n.name).unwrap_or_default();
    Ok(Redeemed { reply: RedeemedReply { name, greet: false, next: None, ticket: None, recovery: Some(view) }, cookies: None })
}
