//! Step 4: the person decides on the device that scanned.

use super::{Around, ended_along, right, is_stopped, named, scan_counter, keep, statement_digest};
use crate::app::issue::{on_terminal, resting_on};
use crate::app::passkey::{self, Checked};
use crate::app::{App, Context, Fault, enrol, observe, sessions, terminals, vouch};
use countersign_store::sql::{Counter, Quarantine};
use countersign_store::{Commit, StoreError, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::decide::Proven;
use countersign_trust::ceremony::{Ceremony, Opening, State};
use countersign_trust::detail;
use countersign_trust::device::{Credential, Device, DeviceState};
use countersign_trust::policy::{Action, Denied, Facts, Ruling};
use countersign_trust::presence::Presence;
use countersign_trust::seat::{self, Act};
use countersign_trust::{Refusal, limits};
use countersign_wire::approval::{self, Decision, Verb};
use countersign_wire::jose::Jws;
use countersign_wire::message::{DecisionBody, StateOnly};
use countersign_wire::statement::Purpose;
use countersign_wire::{CredentialId, Thumbprint, b64, statement};

/// What a device's "not me" about a request is kept under.
const NOT_ME: &str = "not_me";

/// A decision as it arrived.
pub async fn decide(app: &App, ctx: &Context, cid: &str, body: &DecisionBody) -> Result<StateOnly, Fault> {
    app.judged_anew(|n| async move { attempt(app, &ctx.anew(app, n), cid, body).await }).await
}

async fn attempt(app: &App, ctx: &Context, cid: &str, body: &DecisionBody) -> Result<StateOnly, Fault> {
    let none = || Fault::because(Refusal::NoSuchCeremony, "unknown, or not this device's");
    let kid: Thumbprint = Jws::parse(&body.approval)
        .ok()
        .and_then(|j| j.header_text("kid").map(str::to_owned))
        .and_then(|k| k.parse().ok())
        .ok_or(Fault::because(Refusal::BadProof, "no decision with a kid"))?;
    let found = app.store.device_by_key(&kid).await?;
    let stored = found.ok_or(Fault::because(Refusal::BadProof, "an unknown device key"))?;
    let device = &stored.device;
    if device.state != DeviceState::Active {
        return Err(Fault::because(Refusal::BadProof, "a device that does not act"));
    }
    let c = named(app, cid).await?.ok_or_else(none)?;
    // Without a scan there is no statement: only an offer, or a scan refused a moment ago, can be answered.
    let sd = if c.scan_facts().is_some() { statement_digest(&c)? } else { statement::digest(b"") };
    let expected = approval::Expected {
        key: &device.dk,
        device: &device.id,
        issuer: &app.config.issuer,
        cid: &c.opening.id,
        sd: &sd,
    };
    let scanner = c.scan_facts().is_some_and(|s| s.device == device.id);
    let decision = match approval::verify(&body.approval, &expected) {
        Ok(decision) => decision,
        // A refusal costs nothing and may be about something this device never saw.
        Err(_) if !scanner => unseen(&body.approval, &expected)?,
        Err(m) => return Err(Fault::because(Refusal::BadProof, m.0)),
    };
    ctx.known_as("device", device.id.as_str());
    let act = if decision.decision == Verb::NotMe { Act::Disown } else { Act::Decide };
    seat::may(device, act, ctx.now)?;
    let device = &observe::device(app, ctx, stored).await?.device;
    match decision.decision {
        Verb::Approve => approve(app, ctx, &c, device, &decision, body).await?,
        Verb::Refuse | Verb::NotMe => refuse(app, ctx, &c, device, decision.decision == Verb::NotMe).await?,
    }
    if c.opening.purpose == Purpose::Right && decision.decision == Verb::Approve {
        right::give(app, ctx, &c.opening.id).await?;
    }
    let after = app.store.ceremony(&c.opening.id).await?.ok_or_else(none)?;
    Ok(StateOnly { state: after.state_name().to_owned() })
}

/// A refusal by a device that has no statement: signed all the same, about this ceremony.
fn unseen(text: &str, expected: &approval::Expected<'_>) -> Result<Decision, Fault> {
    let jws = Jws::parse(text)?;
    let decision: Decision = jws
        .verify(expected.key)
        .and_then(|c| c.read())
        .map_err(|m| Fault::because(Refusal::BadProof, m.0))?;
    let good = jws.header_text("typ") == Some(approval::TYP)
        && decision.iss == *expected.device
        && decision.aud == expected.issuer
        && decision.cid == *expected.cid
        && decision.decision != Verb::Approve;
    if good { Ok(decision) } else { Err(Fault::because(Refusal::NoSuchCeremony, "not scanned by this device")) }
}

async fn approve(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    device: &Device,
    decision: &Decision,
    body: &DecisionBody,
) -> Result<(), Fault> {
    let mut around = Around::by(&device.person, &device.id);
    let (proof, ruling) = match c.scan_facts() {
        Some(scan) if matches!(c.state, State::Confirmed(_)) && scan.device == device.id => {
            let found = prove(app, ctx, c, device, decision, body).await?;
            if found.is_some() {
                observe::approval(app, ctx, &scan.person, &c.opening.id).await?;
            }
            seat::may_answer(device, c.opening.purpose, scan.channel, &c.opening.asker.id)?;
            let person = app.store.person(&scan.person).await?.ok_or(Refusal::Denied)?;
            let client = super::client(app, c).await?;
            let terminal = terminals::of_opening(app, &c.opening, None).await?;
            let facts = Facts::of(
                &person,
                device,
                client.as_ref().map(|c| &c.client),
                c.opening.purpose,
                scan.channel.as_str(),
                Presence::of(&scan.near),
                ctx.now,
            )
            .at(terminal.as_ref().map(|(t, stands)| (t, *stands)), ctx.now)
            .with_details(detail::types(&c.opening.asked.details))
            .collected(c.opening.collects.as_ref().map(|c| c.by));
            let stopped = is_stopped(app, c, &person.id, ctx.now).await?;
            let active = person.state == countersign_trust::principal::PersonState::Active
                && !client.as_ref().is_some_and(|c| c.client.disabled)
                && terminal.as_ref().is_none_or(|(t, _)| t.is_active());
            let mut ruling = app.policies.current().rule(Action::Approve, &facts, client.as_ref().map(|c| &c.client), &scan.rights.scopes);
            if !active || stopped {
                let why = if active { "quarantine" } else { "not-active" };
                ruling = Ruling::Deny(Denied { policies: vec![why.to_owned()], ..Denied::of(Refusal::Denied) });
            }
            if c.opening.purpose == Purpose::Vouch {
                vouch::may(app, ctx, c, &person, device).await?;
                around.writes.push(vouch::counted(&person.id, ctx.now));
            }
            around.guards.extend(resting_on(&person, device, client.as_ref()));
            around.guards.extend(terminal.as_ref().map(|(t, _)| on_terminal(t)));
            if let Some((credential, keeper, counter, _)) = &found {
                around.writes.push(Write::credential_used(credential, *counter));
                if keeper.id != device.id {
                    around.guards.push((Table::Device, keeper.id.to_string(), keeper.version));
                }
            }
            (found.map(|(.., proven)| proven), ruling)
        }
        _ => (None, Ruling::Deny(Denied::of(Refusal::Denied))),
    };
    let step = c.approve(&device.id, &decision.jti, proof, &ruling, ctx.now);
    if step.next.is_none() {
        around.writes.clear();
        around.guards.clear();
    } else if let Some(scan) = c.scan_facts() {
        around.writes.push(Write::uncounted(&scan_counter(&device.id, scan.at)));
    }
    keep(app, ctx, c, step, around).await.map_err(|fault| match &ruling {
        // A rule ended it after the scan: whoever scanned hears which.
        _ if let State::Ended(ended) = &c.state
            && c.scan_facts().is_some_and(|s| s.device == device.id) =>
        {
            fault.saying(app.policies.current().sentence(&ended.reason).map(str::to_owned))
        }
        Ruling::Deny(d) if fault.refusal == Refusal::Denied => fault.saying(d.say.clone()),
        _ => fault,
    })
}

/// The passkey's part: a good assertion over this statement by a live passkey of the person whose
/// device scanned, named by the decision, and kept on a device that acts. `None` where any of it is
/// not so.
async fn prove(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    device: &Device,
    decision: &Decision,
    body: &DecisionBody,
) -> Result<Option<(Credential, Device, u32, Proven)>, Fault> {
    let Some(text) = &body.assertion else { return Ok(None) };
    let (Ok(assertion), Ok(id)) = (text.decode(), text.credential_id.parse::<CredentialId>()) else {
        return Ok(None);
    };
    if decision.wa.as_deref() != Some(b64::encode(&assertion.digest()).as_str()) {
        return Ok(None);
    }
    let Some(credential) = app.store.credential(&id).await? else { return Ok(None) };
    if !credential.live || credential.person != device.person {
        return Ok(None);
    }
    let keeper = app.store.device(&credential.device).await?.map(|d| d.device);
    let Some(keeper) = keeper.filter(|d| d.state == DeviceState::Active && seat::fits(device, d)) else { return Ok(None) };
    let verified = match passkey::check(app, &credential, &assertion, &super::challenge(c)?) {
        Checked::Good(verified) => verified,
        Checked::Bad => return Ok(None),
        Checked::Behind => {
            // Taken meanwhile: it is judged by what is there now.
            if app.store.ceremony(&c.opening.id).await?.is_none_or(|now| now.version != c.version) {
                return Err(StoreError::Conflict.into());
            }
            observe::counter(app, ctx, &credential.device).await?;
            return Ok(None);
        }
    };
    let proven = Proven {
        recovering: keeper.is_recovering(ctx.now) || device.is_recovering(ctx.now),
        shared: device.is_shared(),
        jws: body.approval.clone(),
        assertion: text.clone(),
        credential: credential.id.clone(),
        attested: credential.attested,
    };
    Ok(Some((credential, keeper, verified.counter, proven)))
}

async fn refuse(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    device: &Device,
    not_me: bool,
) -> Result<(), Fault> {
    let scanner = c.scan_facts().is_some_and(|s| s.device == device.id);
    let offered = c.opening.offered.as_ref() == Some(&device.person);
    let mut around = Around::by(&device.person, &device.id);
    around.guards.push((Table::Device, device.id.to_string(), device.version));
    // A device says it once about a request, however often it repeats itself.
    let said = format!("{}/{}", device.id, c.opening.id);
    let repeated = app.store.is_burnt(NOT_ME, &said).await?;
    let saying = Write::burnt(NOT_ME, &said, ctx.now.plus_s(limits::DISOWN_S + 60));
    if !scanner && !offered {
        // A scan that was refused a moment ago may be called "not me" as well.
        if !not_me || !app.store.was_refused(&device.id, &c.opening.id, ctx.now).await? {
            return Err(Fault::because(Refusal::NoSuchCeremony, "not this device's"));
        }
        if repeated {
            return Ok(());
        }
        let mut event = quarantine(app, ctx, c, &device.person, &mut around).await?;
        event.person = Some(device.person.clone());
        event.device = Some(device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(saying).guards(around.guards).also((around.writes, around.events));
        app.commit(commit).await?;
        return Ok(());
    }
    let gives = match c.session() {
        Some(id) => app.store.session(id).await?.is_some_and(|s| s.is_live(ctx.now)),
        None => right::right_of(app, c, ctx.now).await?.is_some(),
    };
    if not_me && !c.may_be_disowned(gives, ctx.now) {
        return Err(Fault::because(Refusal::Gone, "not me, too late"));
    }
    let mut counts = not_me;
    // Ending what one approved oneself is no refusal; and whoever has a shared phone in hand refuses in nobody's name.
    if c.is_pending() && seat::may(device, Act::Disown, ctx.now).is_ok() {
        let count = Counter::new("refused", &format!("{}/{}", device.person, c.opening.asker.id), 3_600, i64::MAX, ctx.now);
        counts |= app.store.used(&count).await? + 1 >= limits::REFUSALS_AS_NOT_ME;
        around.writes.push(Write::tallied(&count));
    }
    let mut step = c.refuse(&device.id, &device.person, not_me, ctx.now);
    if counts {
        // The quarantine's own record says it, once.
        step.records.retain(|r| r.kind != Kind::NotMe);
    }
    if counts && !repeated {
        let event = quarantine(app, ctx, c, &device.person, &mut around).await?;
        around.events.push(event);
        around.writes.push(saying);
    }
    if let (Some(_), Some(scan)) = (&step.next, c.scan_facts()) {
        around.writes.push(Write::uncounted(&scan_counter(&scan.device, scan.at)));
    }
    keep(app, ctx, c, step, around).await
}

/// "This was not me": this screen may not ask this person for a while; what it opened for them is
/// closed; if enough persons say so, it may ask nobody.
async fn quarantine(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    person: &countersign_wire::PersonId,
    around: &mut Around,
) -> Result<Event, Fault> {
    let now = ctx.now;
    let o = &c.opening;
    let known = app.store.quarantines(o.screen(), o.jkt.as_str(), now).await?;
    let mut row = Quarantine {
        id: format!("{}", app.txn(now)),
        person: Some(person.clone()),
        client: o.asker.id.to_string(),
        source: o.screen().to_owned(),
        jkt: o.jkt.to_string(),
        at: now,
        until: now.plus_s(limits::QUARANTINE_S),
    };
    around.writes.push(Write::quarantined(&row));
    if app.config.push.is_some() {
        around.writes.push(Write::push_missed(person, &o.asker.id, limits::RINGS_NOT_ME, now));
    }
    let recent: std::collections::HashSet<String> = known
        .iter()
        .filter(|q| now.ms_since(q.at) < 600_000)
        .filter_map(|q| q.person.as_ref().map(ToString::to_string))
        .chain([person.to_string()])
        .collect();
    if recent.len() >= limits::PERSONS_FOR_SOURCE {
        row.id = format!("{}", app.txn(now));
        row.person = None;
        row.client = String::new();
        around.writes.push(Write::quarantined(&row));
        let mut event = app.event(Kind::Quarantined, &o.txn, now).fact("persons", recent.len());
        event.ceremony = Some(o.id.clone());
        around.events.push(event);
    }
    // A page makes a new key for each opening: what one screen's requests share is place and client.
    let same = |other: &Opening| other.screen() == o.screen() && other.asker.id == o.asker.id;
    for other in app.store.ceremonies_of_person(person).await? {
        if other.opening.id != o.id && same(&other.opening) {
            around.also(ended_along(app, &other, &other.cut("not_me", now), now).await?);
        }
    }
    for session in app.store.sessions_of(person).await? {
        let f = &session.facts;
        let here = f.jkt == o.jkt
            || match &f.ceremony {
                Some(id) => app.store.ceremony(id).await?.is_some_and(|c| same(&c.opening)),
                None => false,
            };
        if here && c.session() != Some(&f.id) {
            around.also(sessions::ending(app, &session, "not_me", now).await?);
        }
    }
    around.writes.push(Write::notice_given(&enrol::notice(app, person, "not_me", None, now)));
    let mut event = app.event(Kind::NotMe, &o.txn, now).fact("was", c.state_name());
    event.ceremony = Some(o.id.clone());
    Ok(event)
}
