//! Step 5: the terminal that opened takes the result, once; and "Continue" where it must greet.

use super::terminal::{Holder, held};
use super::{Around, client_of, is_stopped, keep, recover};
use crate::app::once::{hashed, refuse_if_burnt};
use crate::app::issue::{Ground, Vetoes, gate};
use crate::app::sessions::{self, Begun, By, Fresh, Started};
use crate::app::{App, Context, Fault, enrol, observe, once, terminals, vouch};
use crate::config::Origin;
use countersign_store::Write;
use countersign_trust::ceremony::{Approved, Ceremony, State};
use countersign_trust::enrolment::Vouched;
use countersign_trust::detail;
use countersign_trust::issuance::{Permit, Product};
use countersign_trust::audit::Kind;
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::policy::{Allowed, Denied};
use countersign_trust::presence::{self, Presence};
use countersign_trust::{Refusal, operator, verdict};
use countersign_trust::session::Session;
use countersign_wire::dpop::Proof;
use countersign_wire::message::{Next, RedeemedReply};
use countersign_wire::secret::same;
use countersign_wire::SessionId;
use countersign_wire::statement::Purpose;
use serde_json::json;

/// The request was cancelled, answered in another window, or ran out: nothing would take a result.
const REQUEST_OVER: &str = "request_over";

/// What a redemption gives: the reply, and the cookies that go with it.
pub struct Redeemed {
    /// Reply.
    pub reply: RedeemedReply,
    /// New cookie b and session cookie; none for a ticket.
    pub cookies: Option<Fresh>,
}

/// Redeems. `proof` is by the terminal key, with a nonce. `former` is the session cookie the
/// browser came with: the next person's sign-in ends the last one's.
pub async fn redeem(
    app: &App,
    ctx: &Context,
    cid: &str,
    holder: &Holder,
    proof: &Proof,
    former: Option<&str>,
) -> Result<Redeemed, Fault> {
    app.judged_anew(|n| async move { attempt(app, &ctx.anew(app, n), cid, holder, proof, former).await }).await
}

async fn attempt(
    app: &App,
    ctx: &Context,
    cid: &str,
    holder: &Holder,
    proof: &Proof,
    former: Option<&str>,
) -> Result<Redeemed, Fault> {
    let c = held(app, ctx, cid, holder).await?;
    if !same(proof.jkt.as_str().as_bytes(), c.opening.jkt.as_str().as_bytes()) {
        return Err(Fault::because(Refusal::BadProof, "another terminal key"));
    }
    let State::Approved(approved) = &c.state else {
        // Not approved, or redeemed before: the state answers, and a replay takes back.
        let won = matches!(&c.state, State::Redeemed(r) if r.jti == proof.jti);
        let burnt = once::is_burnt(app, proof).await?;
        if burnt && !won {
            return Err(Fault::because(Refusal::BadProof, "a jti used before"));
        }
        let step = c.redeem(&proof.jti, None, Err(&Denied::of(Refusal::Denied)), ctx.now);
        let mut around = Around::default();
        if step.next.is_some() && !burnt {
            around = around.burn(proof);
        }
        keep(app, ctx, &c, step, around).await?;
        return Err(Refusal::Pending.into());
    };
    let approved = &here(ctx, &c, approved);
    match c.opening.purpose {
        Purpose::EnrolDevice => ticket(app, ctx, &c, approved, proof).await,
        // It has no screen: the decision point spends it.
        Purpose::ToolCall => Err(Fault::because(Refusal::NoSuchCeremony, "an approval of a call")),
        Purpose::Recover => recover::approval(app, ctx, &c, approved, proof).await,
        // It gave what it gives when it was approved.
        Purpose::Right => Err(Fault::because(Refusal::NoSuchCeremony, "nothing to collect")),
        Purpose::SignIn | Purpose::StepUp | Purpose::Vouch => sign_in(app, ctx, &c, approved, holder, proof, former).await,
    }
}

/// The approval as it stands here and now: what was near at the scan is not near elsewhere.
pub(super) fn here(ctx: &Context, c: &Ceremony, approved: &Approved) -> Approved {
    let mut approved = approved.clone();
    if presence::source(ctx.address) != c.opening.source {
        approved.scan.near.clear();
    }
    approved
}

/// Asks the gate, for a screen that may still ask this person.
pub(super) async fn pass(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    approved: &Approved,
    vetoes: &Vetoes,
    product: Product,
) -> Result<(Permit, Allowed), Fault> {
    if is_stopped(app, c, &approved.scan.person, ctx.now).await? {
        return Err(Fault::because(Refusal::Denied, "this screen is in quarantine for this person"));
    }
    let ground = Ground {
        earned: approved.earned,
        acr_values: &c.opening.acr_values,
        scopes: &approved.scan.rights.scopes,
        channel: approved.scan.channel.as_str(),
        presence: Presence::of(&approved.scan.near),
        purpose: c.opening.purpose,
        details: detail::types(&c.opening.asked.details),
        collector: c.opening.collects.as_ref().map(|c| c.by),
    };
    gate(app, product, vetoes, &ground, ctx.now)
}

pub(super) async fn refuse_at_gate(app: &App, ctx: &Context, c: &Ceremony, proof: &Proof, fault: Fault) -> Result<Redeemed, Fault> {
    let step = c.redeem(&proof.jti, None, Err(&Denied::of(fault.refusal)), ctx.now);
    keep(app, ctx, c, step, Around::default().burn(proof)).await?;
    Err(fault)
}

async fn sign_in(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    approved: &Approved,
    holder: &Holder,
    proof: &Proof,
    former: Option<&str>,
) -> Result<Redeemed, Fault> {
    let scan = &approved.scan;
    let client = client_of(c);
    // Whose session it becomes: of whoever approved, or of whom they vouched for.
    let vouches = c.opening.purpose == Purpose::Vouch;
    let person = if vouches { c.opening.vouches.as_ref().ok_or(Refusal::Denied)? } else { &scan.person };
    let vetoes = Vetoes::load(app, person, &scan.device, &approved.credential, client.as_ref()).await?;
    let vetoes = vetoes.vouched_by(app, vouches.then_some(&scan.person)).await?;
    // A terminal that went elsewhere meanwhile is not where it was when it opened.
    let terminal = terminals::of_opening(app, &c.opening, Some(ctx.address)).await?;
    let vetoes = vetoes.standing(terminal);
    let (permit, allowed) = match pass(app, ctx, c, approved, &vetoes, Product::Session).await {
        Ok(passed) => passed,
        Err(fault) => return refuse_at_gate(app, ctx, c, proof, fault).await,
    };
    let request = match &c.opening.flow {
        Some(flow) => app.store.request(flow).await?,
        None => None,
    };
    if request.as_ref().is_some_and(|r| r.state != "open" || ctx.now >= r.until) {
        keep(app, ctx, c, c.abandon(REQUEST_OVER, ctx.now), Around::default().burn(proof)).await?;
        return Err(Fault::because(Refusal::Gone, REQUEST_OVER));
    }
    let raised = match &c.opening.raises {
        None => None,
        Some(raises) => match live(app, &raises.session, ctx).await? {
            Some(session) => Some(session),
            None => return refuse_at_gate(app, ctx, c, proof, Fault::because(Refusal::Gone, "the session ended")).await,
        },
    };
    let id = raised.as_ref().map_or_else(|| SessionId::new(ctx.now, app.id10()), |s| s.facts.id.clone());
    let setting = setting(app, &vetoes, c, scan);
    let step = c.redeem(&proof.jti, Some(id.clone()), Ok(Passed { allowed: &allowed, setting: &setting, near: &scan.near }), ctx.now);
    if let Err(refusal) = step.answer {
        // Late, or refused by the state: it ends, and nothing goes along with it.
        keep(app, ctx, c, step, Around::default().burn(proof)).await?;
        return Err(refusal.into());
    }
    let greet = matches!(&step.next, Some(State::Redeemed(r)) if r.greet);
    let Begun { session, cookies, write, event } = sessions::begin(
        app,
        &permit,
        &vetoes,
        Started {
            id,
            txn: c.opening.txn.clone(),
            by: By::Ceremony(c.opening.id.clone()),
            jkt: proof.jkt.clone(),
            earned: approved.earned,
            attested: approved.attested,
            auth_time: approved.at,
            session_s: scan.rights.session_s,
            agent: c.opening.agent.clone(),
            shown: shown(c, approved, &setting),
            collector: None,
            timed: scan.rights.timed.clone(),
            origins: origins(app, ctx, c),
            terminal: c.opening.terminal.clone(),
        },
        raised.as_ref(),
        ctx.now,
    );
    let mut around = Around::by(&scan.person, &scan.device).burn(proof);
    around.also((vec![write], vec![event]));
    around.writes.extend(vouch::told(app, &vetoes, ctx.now));
    // A session that was there before is not taken back because its client was slow; a page of our own has nothing
    // to fetch.
    let own = client.as_ref().is_some_and(|c| c.as_str() == operator::CLIENT) && !greet;
    let step = if raised.is_some() || own { claimed_at_once(step) } else { step };
    let mut next = None;
    let vetoes = vetoes.in_session(app, &session, ctx.now).await?;
    around.guards.extend(vetoes.guards());
    if let (false, Some(request)) = (greet, &request) {
        let (code, writes, event) = sessions::code(app, request, raised.is_none().then_some(&c.opening.id), &vetoes, ctx.now)?;
        around.also((writes, vec![event]));
        next = Some(code);
    } else if let Err(fault) = gate(app, Product::Decision, &vetoes, &Ground::of(&session, &[], &[]), ctx.now) {
        // Whose code is made later, or never, is judged as they will be then: nothing begins that could not go on.
        return refuse_at_gate(app, ctx, c, proof, fault).await;
    }
    let browser = hashed(holder.collector.as_bytes());
    around.also(sessions::take_over(app, &browser, Some(&c.opening.id), former, &vetoes, &cookies, ctx.now).await?);
    keep(app, ctx, c, step, around).await?;
    let name = app.store.named(person).await?.map(|n| n.name).unwrap_or_default();
    Ok(Redeemed { reply: RedeemedReply { name, greet, next, ticket: None, recovery: None }, cookies: Some(cookies) })
}

/// Where the screen was when its person looked at it, and where it is now: the same key was shown in both.
pub(super) fn origins(app: &App, ctx: &Context, c: &Ceremony) -> Vec<Origin> {
    let opened = c.opening.address.parse().ok().map(|address| app.config.network.origin(address));
    opened.into_iter().chain([observe::origin(app, ctx)]).collect()
}

/// A session that lives.
async fn live(app: &App, id: &SessionId, ctx: &Context) -> Result<Option<Session>, Fault> {
    Ok(app.store.session(id).await?.filter(|s| s.is_live(ctx.now)))
}

async fn ticket(app: &App, ctx: &Context, c: &Ceremony, approved: &Approved, proof: &Proof) -> Result<Redeemed, Fault> {
    let scan = &approved.scan;
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, None).await?;
    let allowed = match pass(app, ctx, c, approved, &vetoes, Product::EnrolmentTicket).await {
        Ok((_, allowed)) => allowed,
        Err(fault) => return refuse_at_gate(app, ctx, c, proof, fault).await,
    };
    let setting = setting(app, &vetoes, c, scan);
    let step = c.redeem(&proof.jti, None, Ok(Passed { allowed: &allowed, setting: &setting, near: &scan.near }), ctx.now);
    if let Err(refusal) = step.answer {
        keep(app, ctx, c, step, Around::default().burn(proof)).await?;
        return Err(refusal.into());
    }
    let (token, facts) = enrol::ticket(app, ctx, &scan.person, vouched(c, approved), &proof.jkt, &c.opening.txn);
    let mut around = Around::by(&scan.person, &scan.device).burn(proof);
    around.guards.extend(vetoes.guards());
    around.writes.push(Write::invitation_made(&facts));
    around.events.push(
        app.event(Kind::InvitationMade, &c.opening.txn, ctx.now)
            .fact("why", "further")
            .fact("invitation", facts.id.as_str()),
    );
    // A ticket is bound to the new device's key and used in its own commit: it counts as claimed.
    let step = claimed_at_once(step);
    keep(app, ctx, c, step, around).await?;
    let name = app.store.named(&scan.person).await?.map(|n| n.name).unwrap_or_default();
    Ok(Redeemed { reply: RedeemedReply { name, greet: false, next: None, ticket: Some(token), recovery: None }, cookies: None })
}

/// The approval, as it is judged again later.
pub(super) fn vouched(c: &Ceremony, approved: &Approved) -> Vouched {
    let scan = &approved.scan;
    Vouched {
        person: scan.person.clone(),
        purpose: c.opening.purpose,
        device: scan.device.clone(),
        credential: approved.credential.clone(),
        channel: scan.channel,
        near: scan.near.clone(),
        earned: approved.earned,
    }
}

pub(super) fn claimed_at_once(mut step: countersign_trust::ceremony::Step) -> countersign_trust::ceremony::Step {
    if let Some(State::Redeemed(r)) = &mut step.next {
        r.claimed = true;
    }
    step
}

/// "Continue as …": the session's own key claims the result, and the client gets its code.
pub async fn go_on(app: &App, ctx: &Context, cid: &str, cookie: &str, proof: &Proof) -> Result<Next, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let ctx: &Context = &ctx.anew(app, n);
        let none = || Fault::because(Refusal::NoSuchCeremony, "unknown, or not of this session");
        let session = sessions::of_terminal(app, ctx, cookie, proof).await?;
        let id = session.facts.ceremony.clone().filter(|id| id.as_str() == cid).ok_or_else(none)?;
        let c = app.store.ceremony(&id).await?.ok_or_else(none)?;
        let f = &session.facts;
        let client = client_of(&c);
        let vetoes = Vetoes::of(app, &session, client.as_ref(), ctx.now).await?;
        let mut around = Around::by(&f.person, &f.device).burn(proof);
        let Some(flow) = &c.opening.flow else {
            // An idle screen took it: the session is there, and nobody waits for a code.
            gate(app, Product::Decision, &vetoes, &Ground::of(&session, &[], &f.scopes_at(None, ctx.now)), ctx.now)?;
            around.guards.extend(vetoes.guards());
            keep(app, ctx, &c, c.claim(ctx.now), around).await?;
            return Ok(Next { next: String::new() });
        };
        let request = app.store.request(flow).await?.ok_or_else(none)?;
        if request.state != "open" {
            keep(app, ctx, &c, c.abandon(REQUEST_OVER, ctx.now), around).await?;
            return Err(Fault::because(Refusal::Gone, REQUEST_OVER));
        }
        let step = c.claim(ctx.now);
        let next = if step.answer.is_ok() {
            let (next, writes, event) = sessions::code(app, &request, None, &vetoes, ctx.now)?;
            around.guards.extend(vetoes.guards());
            around.also((writes, vec![event]));
            next
        } else {
            String::new()
        };
        keep(app, ctx, &c, step, around).await?;
        Ok(Next { next })
    })
    .await
}

/// What the ceremony showed, kept with the session and put into the `cs` claim.
pub(super) fn shown(c: &Ceremony, approved: &Approved, setting: &verdict::Setting) -> serde_json::Value {
    let scan = &approved.scan;
    let verdicts: Vec<String> = verdict::verdicts(c, approved, setting)
        .iter()
        .filter(|v| v.verdict != verdict::Met::Not)
        .map(|v| format!("{}{}", v.n, if v.verdict == verdict::Met::Met { "" } else { "p" }))
        .collect();
    let confirm: Vec<&str> = scan.done.iter().map(|d| d.as_str()).collect();
    json!({
        "channel": scan.channel.as_str(),
        "confirm": confirm,
        "near": Presence::of(&scan.near).as_str(),
        "terminal": terminals::word(c.opening.terminal.as_ref()),
        "verdicts": verdicts,
    })
}

/// How the server and client are set up, for the verdicts.
pub fn setting(app: &App, vetoes: &Vetoes, c: &Ceremony, scan: &countersign_trust::ceremony::Scan) -> verdict::Setting {
    let client = vetoes.client.as_ref().map(|c| &c.client);
    verdict::Setting {
        declared_filter: app.config.declared_filter,
        access_s: countersign_trust::limits::ACCESS_S,
        bound_tokens: client.is_some_and(|c| !c.danger_allow_bearer),
        told: client.is_some_and(|c| c.backchannel_logout_uri.is_some()),
        cut: scan.rights.scopes.len() < c.opening.asked.scopes.len(),
        listed: client.is_some_and(|c| !c.privileged_scopes.is_empty()),
    }
}
