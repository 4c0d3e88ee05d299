//! Rights without the line ([`countersign_trust::glass`]).
//!
//! 1. [`take`] seals a grant to a registered terminal at its site, for a client that lists what can be opened so, with the
//!    phones of those whom the site names and whom the rules would let approve and unlock it there now.
//! 2. [`hand_in`] judges a whole chain once more and keeps every use, with what did not fit. What does not hold together,
//!    or is another chain than before, suspends the terminal.
//! 3. [`sweep`] suspends terminals that did not hand in.
//! 4. [`review`] is by somebody who had no part in it.

use super::once::{DPOP, burn, hashed, refuse_if_burnt};
use super::terminals::{Met, by_key, event, falls, named};
use super::{App, Context, Fault};
use crate::app::ceremony::open::{Beginning, may_begin};
use countersign_store::sql::{Counter, Named, StoredClient, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::device::{Credential, DeviceState};
use countersign_trust::glass::{By, Glass, GlassState, GlassUse, Mark, Review, Stood, UseFacts, marks, may_hold, may_review, was};
use countersign_trust::policy::{Action, Facts};
use countersign_trust::presence::Presence;
use countersign_trust::principal::{PersonState, Role};
use countersign_trust::terminal::{Stands, Terminal};
use countersign_trust::{Refusal, limits, signal};
use countersign_wire::dpop::Proof;
use countersign_wire::glass::{Bundle, Grant, Holder, Judged, Opened, Opener, Sealed, Why, roster_bytes};
use countersign_wire::jose::{Alg, Keys};
use countersign_wire::limits::{GLASS_HOLDERS, GLASS_USES};
use countersign_wire::message::{GlassAsk, GlassGiven, GlassTaken};
use countersign_wire::statement::Purpose;
use countersign_wire::{ClientId, GlassId, Time, b64, jcs};
use serde_json::Value;
use std::collections::BTreeSet;

fn denied(why: &'static str) -> Fault {
    Fault::because(Refusal::Denied, why)
}

fn counter(what: &str, t: &Terminal, now: Time) -> Counter {
    Counter::new(what, t.id.as_str(), 3_600, limits::GLASS_HOUR, now)
}

/// Seals a grant for the terminal that proves.
pub async fn take(app: &App, ctx: &Context, proof: &Proof, sent: &GlassAsk) -> Result<GlassGiven, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let ctx: &Context = &ctx.anew(app, n);
        let at = by_key(app, ctx, &proof.jkt).await?.ok_or(Fault::because(Refusal::BadProof, "no terminal has this key"))?;
        let client = asked_for(app, ctx, &at, sent).await?;
        give(app, ctx, proof, &at, &client).await
    })
    .await
}

/// The client, if this terminal may ask for it now.
async fn asked_for(app: &App, ctx: &Context, at: &Met, sent: &GlassAsk) -> Result<StoredClient, Fault> {
    if at.at.stands != Stands::AtSite {
        return Err(denied("a terminal that is not at a site"));
    }
    if at.terminal.facts.signals.iter().any(|s| s.is_live(ctx.now) && s.kind == signal::Kind::TerminalRemoteControlled) {
        return Err(Refusal::RemoteControlled.into());
    }
    let id: ClientId = sent.client.parse()?;
    let client = app.client(&id).await?.filter(|c| !c.client.disabled).ok_or(denied("no such client"))?;
    if client.client.without_line.is_none() {
        return Err(denied("this client opens nothing without the line"));
    }
    if app.store.glass_open(&at.terminal.id).await?.is_some() {
        return Err(denied("the grant before it was not handed in"));
    }
    let often = counter("glass/take", &at.terminal, ctx.now);
    if app.store.used(&often).await? >= often.limit {
        return Err(Fault::because(Refusal::TooMany, "grants without the line"));
    }
    let what = Beginning { client: Some(&client.client), purpose: Purpose::SignIn, details: &[], met: Some(at), collector: None, txn: &ctx.txn };
    may_begin(app, ctx, &what).await?;
    Ok(client)
}

async fn give(app: &App, ctx: &Context, proof: &Proof, at: &Met, client: &StoredClient) -> Result<GlassGiven, Fault> {
    let (now, t, c) = (ctx.now, &at.terminal, &client.client);
    let rule = c.without_line.as_ref().ok_or(Refusal::Denied)?;
    let (holders, guards) = holders(app, at, client, now).await?;
    let people: BTreeSet<_> = holders.iter().map(|h| &h.person).collect();
    if people.len() < 2 || !holders.iter().any(|h| h.supervisor) {
        return Err(denied("fewer than two people, or no supervisor among them, could open it"));
    }
    let (roster, digest) = roster_bytes(&holders)?;
    let signer = app.keys.signer(Alg::ES256).ok_or(Refusal::Unavailable)?;
    let before = app.store.glass_of(&t.id).await?;
    let glass = Glass {
        id: GlassId::new(now, app.id10()),
        version: 1,
        terminal: t.id.clone(),
        client: c.id.clone(),
        serial: before.map_or(0, |g| g.serial).saturating_add(1),
        state: GlassState::Open,
        made_at: now,
        until: Time::from_seconds(now.seconds()).plus_s(rule.valid_s),
        last: None,
    };
    let sealed = Sealed {
        v: 1,
        iss: app.config.issuer.clone(),
        rp_id: app.config.rp_id(),
        id: glass.id.clone(),
        serial: glass.serial,
        terminal: t.id.clone(),
        jkt: proof.jkt.clone(),
        plate: t.plate(),
        client: c.id.clone(),
        client_name: c.name.clone(),
        scopes: rule.scopes.clone(),
        for_s: rule.for_s,
        uses: rule.uses,
        roster: digest,
        iat: now.seconds(),
        exp: glass.until.seconds(),
    };
    let grant = sealed.seal(signer.kid().as_str(), &*signer).map_err(|_| Fault::because(Refusal::Unavailable, "a grant cannot be sealed"))?;
    let mut told = event(app, Kind::GlassSealed, &ctx.txn, t, now)
        .fact("glass", glass.id.as_str())
        .fact("serial", glass.serial)
        .fact("scopes", rule.scopes.clone())
        .fact("uses", rule.uses)
        .fact("for_s", rule.for_s)
        .fact("until", sealed.exp)
        .fact("people", i64::try_from(people.len()).unwrap_or_default());
    told.client = Some(c.id.clone());
    let mut commit = Commit::new(told);
    commit.write(burn(proof)).write(Write::glass_sealed(&glass)).write(Write::counted(&counter("glass/take", t, now)));
    commit.guard(Table::Terminal, t.id.as_str(), t.version).guard(Table::Client, c.id.as_str(), client.version).guards(guards);
    app.commit(commit).await?;
    Ok(GlassGiven { grant, roster: b64::encode(&roster) })
}

type Guards = Vec<(Table, String, i64)>;

/// The phones that can open it, and the rows that this rests on: of those whom the site names, each that is in order and
/// that the rules would let approve there, and unlock all of it, now.
async fn holders(app: &App, at: &Met, client: &StoredClient, now: Time) -> Result<(Vec<Holder>, Guards), Fault> {
    let site = at.terminal.facts.site.as_ref().and_then(|s| app.config.terminals.sites.get(s));
    let (mut found, mut guards) = (Vec::new(), Vec::new());
    for login in site.map_or(&[][..], |s| &s.keyholders) {
        let Some(named) = app.store.person_by_login(login).await? else { continue };
        let devices = app.store.devices_of(&named.person.id).await?;
        for credential in app.store.credentials_of(&named.person.id).await? {
            let Some(device) = devices.iter().find(|d| d.device.id == credential.device) else { continue };
            if !may_hold(&named.person, &device.device, &credential, now) || !is_let(app, at, client, &named, device, now) {
                continue;
            }
            guards.push((Table::Person, named.person.id.to_string(), named.person.version));
            guards.push((Table::Device, device.device.id.to_string(), device.device.version));
            guards.push((Table::Credential, credential.id.to_string(), credential.version));
            found.push(holder(&named, device, &credential));
        }
    }
    guards.sort();
    guards.dedup();
    if found.len() > GLASS_HOLDERS {
        return Err(denied("more phones than a grant can name"));
    }
    Ok((found, guards))
}

/// What the rules say to an approval there by this phone, and to each of the privileged scopes.
fn is_let(app: &App, at: &Met, client: &StoredClient, named: &Named, device: &StoredDevice, now: Time) -> bool {
    let (c, policies) = (&client.client, app.policies.current());
    let facts = Facts::of(&named.person, &device.device, Some(c), Purpose::SignIn, "frame", Presence::Weak, now).at(Some((&at.terminal, at.at.stands)), now);
    let scopes = c.without_line.iter().flat_map(|w| &w.scopes);
    policies.decide(Action::Approve, &facts, "").allowed
        && scopes.filter(|s| c.is_privileged(s)).all(|s| policies.decide(Action::Unlock, &facts, s).allowed)
}

fn holder(named: &Named, device: &StoredDevice, credential: &Credential) -> Holder {
    Holder {
        person: named.person.id.clone(),
        name: named.name.clone(),
        supervisor: named.person.role == Role::Supervisor,
        device: device.device.id.clone(),
        dk: device.device.dk.clone(),
        credential: credential.id.clone(),
        passkey: credential.key.clone(),
        backup_eligible: credential.backup_eligible,
        counter: credential.counter,
    }
}

/// Takes a chain that a terminal hands in. A terminal that was stopped hands in all the same: what was opened is to be known.
pub async fn hand_in(app: &App, ctx: &Context, proof: &Proof, sent: &Bundle) -> Result<GlassTaken, Fault> {
    app.in_order()?;
    if !app.store.burn_first(DPOP, &proof.name(), proof.burn_until).await? {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    app.judged_anew(|n| async move {
        let ctx: &Context = &ctx.anew(app, n);
        let t = app.store.terminal_by_key(&proof.jkt).await?.ok_or(Fault::because(Refusal::BadProof, "no terminal has this key"))?;
        ctx.known_as("terminal", t.id.as_str());
        let often = counter("glass/hand-in", &t, ctx.now);
        if app.store.used(&often).await? >= often.limit {
            return Err(Fault::because(Refusal::TooMany, "chains handed in"));
        }
        let keys = Keys::of(&app.keys.jwks());
        let judged = sent.judge(&keys).map_err(|why| match why {
            Why::Grant => Fault::because(Refusal::NoSuchThing, "a grant that no key of this server signed"),
            _ => Fault::because(Refusal::Malformed, "a bundle that cannot be read"),
        })?;
        let s = &judged.grant.sealed;
        if s.terminal != t.id || s.iss != app.config.issuer || sent.close.is_none() || sent.records.len() > usize::try_from(GLASS_USES).unwrap_or_default() {
            return Err(Fault::because(Refusal::Malformed, "another terminal's or server's, or without its last word"));
        }
        let glass = app.store.glass(&s.id).await?.ok_or(Fault::because(Refusal::NoSuchThing, "a grant that is not remembered"))?;
        let last = judged.opened.last().map(|o| b64::encode(&o.digest)).unwrap_or_default();
        let same = glass.state == GlassState::Closed && glass.last.as_deref() == Some(last.as_str()) && judged.wrong.is_none();
        if !same {
            keep(app, ctx, &t, &glass, sent, &judged, &last).await?;
        }
        Ok(GlassTaken { uses: i64::try_from(judged.opened.len()).unwrap_or_default(), why: judged.wrong.map(|w| w.code().to_owned()) })
    })
    .await
}

/// Keeps what was handed in, with what did not fit.
async fn keep(app: &App, ctx: &Context, t: &Terminal, glass: &Glass, sent: &Bundle, judged: &Judged, last: &str) -> Result<(), Fault> {
    let now = ctx.now;
    let mut common = Vec::new();
    common.extend((glass.state == GlassState::Closed).then_some(Mark::Forked));
    common.extend((glass.state == GlassState::Missed || now > glass.due()).then_some(Mark::Late));
    common.extend((!t.is_active()).then_some(Mark::TerminalStopped));
    let doubted = common.iter().any(|m| m.doubts_terminal()) || judged.wrong.is_some();
    let told = |kind: Kind| {
        let mut told = event(app, kind, &ctx.txn, t, now).fact("glass", glass.id.as_str()).fact("serial", glass.serial);
        told.client = Some(glass.client.clone());
        told
    };
    let uses = i64::try_from(judged.opened.len()).unwrap_or_default();
    let mut commit = Commit::new(told(Kind::GlassClosed).fact("uses", uses).fact("ref", ctx.reference.as_str()));
    for (opened, record) in judged.opened.iter().zip(&sent.records) {
        // What was handed in before is known.
        if app.store.glass_use(&b64::encode(&opened.digest)).await?.is_some() {
            continue;
        }
        let mut f = facts(glass, opened, record, now);
        f.marks = marks(opened, [stood(app, &opened.by[0], opened).await?, stood(app, &opened.by[1], opened).await?], now);
        f.marks.extend(&common);
        let mut used = told(Kind::GlassUsed).fact("use", opened.number).fact("scopes", opened.scopes.clone()).fact("begin", opened.begin).fact("end", opened.end);
        let by: Vec<Value> = f.by.iter().map(|b| b.person.as_str().into()).collect();
        used = used.fact("opened_by", by).fact("marks", f.marks.iter().map(|m| m.as_str()).collect::<Vec<_>>());
        used.person = opened.works.clone();
        commit.event(used).write(Write::glass_used(&b64::encode(&opened.digest), &f));
    }
    // What is not believed is kept once for a grant: whoever has the terminal's key could go on for ever.
    if let Some(why) = judged.wrong.filter(|_| glass.state != GlassState::Closed) {
        // The first that is not believed, and whatever follows it.
        for (at, record) in sent.records.iter().enumerate().skip(judged.opened.len()) {
            let f = unbelieved(glass, at, record, &judged.grant, why, &common, now);
            commit.write(Write::glass_used(&hashed(record.as_bytes()), &f));
        }
    }
    if glass.state != GlassState::Closed {
        commit.write(Write::glass_moved(glass, GlassState::Closed, Some(last)));
    }
    commit.guard(Table::Glass, glass.id.as_str(), glass.version).write(Write::counted(&counter("glass/hand-in", t, now)));
    if !doubted {
        app.commit(commit).await?;
        return Ok(());
    }
    let why = judged.wrong.map_or(Mark::Forked.as_str(), Why::code);
    commit.event(told(Kind::GlassDoubted).fact("why", why).fact("was", t.state.as_str()));
    match t.is_active() {
        true => falls(app, t, DeviceState::Suspended, commit, now).await,
        false => Ok(app.commit(commit).await.map(|_| ())?),
    }
}

fn facts(glass: &Glass, o: &Opened, record: &str, now: Time) -> UseFacts {
    let by = |b: &Opener| By { person: b.person.clone(), device: b.device.clone(), credential: b.credential.clone(), supervisor: b.supervisor };
    UseFacts {
        glass: glass.id.clone(),
        terminal: glass.terminal.clone(),
        client: glass.client.clone(),
        number: o.number,
        scopes: o.scopes.clone(),
        reason: o.reason.clone(),
        works: o.works.clone(),
        by: o.by.iter().map(by).collect(),
        begin: o.begin,
        end: o.end,
        handed_at: now,
        marks: Vec::new(),
        why: None,
        record: record.to_owned(),
        review: None,
    }
}

/// Who opened it is not known then: anybody who could have had a part in it.
fn unbelieved(glass: &Glass, at: usize, record: &str, grant: &Grant, why: Why, common: &[Mark], now: Time) -> UseFacts {
    let number = i64::try_from(at).unwrap_or_default() + 1;
    let marks = [&[Mark::NotBelieved], common].concat();
    UseFacts {
        glass: glass.id.clone(),
        terminal: glass.terminal.clone(),
        client: glass.client.clone(),
        number,
        scopes: Vec::new(),
        reason: String::new(),
        works: None,
        by: grant.roster.iter().map(|h| By { person: h.person.clone(), device: h.device.clone(), credential: h.credential.clone(), supervisor: h.supervisor }).collect(),
        begin: 0,
        end: 0,
        handed_at: now,
        marks,
        why: Some(why.code().to_owned()),
        record: record.to_owned(),
        review: None,
    }
}

/// What one of the two was when a use began: what they are now, and before the first change since.
async fn stood(app: &App, by: &Opener, o: &Opened) -> Result<Stood, Fault> {
    // The second in which it began counts against whoever fell in it.
    let since = Time::from_seconds(o.begin).plus_s(1);
    let (mut person_was, mut device_was) = (None, None);
    for (_, line) in app.store.changes_of(&by.person, &since).await? {
        let body: Value = serde_json::from_str(&line.body).unwrap_or_default();
        let text = |name: &str| body.pointer(&format!("/facts/{name}")).and_then(Value::as_str);
        let Some((_, before)) = text("state").zip(text("was")) else { continue };
        match line.kind == Kind::DeviceChanged.as_str() {
            true if line.device.as_deref() == Some(by.device.as_str()) => _ = device_was.get_or_insert(DeviceState::parse(before)),
            true => {}
            false => _ = person_was.get_or_insert(PersonState::parse(before)),
        }
    }
    let person = app.store.person(&by.person).await?;
    let device = app.store.device(&by.device).await?;
    let passkey = app.store.credential(&by.credential).await?;
    Ok(Stood {
        person: was(person.as_ref().map(|p| p.state), person_was) == Some(PersonState::Active),
        device: was(device.map(|d| d.device.state), device_was) == Some(DeviceState::Active),
        passkey: passkey.is_some_and(|c| c.live),
        supervisor: person.is_some_and(|p| p.role == Role::Supervisor),
    })
}

/// The operator says that a terminal's open grant is lost: its answer never came, or its disk is gone. It takes the next one;
/// what turns up of this one later is marked.
pub async fn forget(app: &App, terminal: &str) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let t = named(app, terminal).await?;
        let glass = app.store.glass_open(&t.id).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no open grant"))?;
        let now = app.now();
        let mut told = event(app, Kind::GlassDoubted, &app.txn(now), &t, now).fact("why", "lost").fact("glass", glass.id.as_str()).fact("serial", glass.serial);
        told.client = Some(glass.client.clone());
        let mut commit = Commit::new(told);
        commit.write(Write::glass_moved(&glass, GlassState::Missed, None));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// Suspends terminals that did not hand in what they had to.
pub async fn sweep(app: &App) -> Result<(), Fault> {
    for glass in app.store.glass_overdue(app.now(), limits::LIST).await? {
        app.judged_anew(|_| async {
            let now = app.now();
            let Some(glass) = app.store.glass(&glass.id).await?.filter(|g| g.state == GlassState::Open && now >= g.due()) else { return Ok(()) };
            let Some(t) = app.store.terminal(&glass.terminal).await? else { return Ok(()) };
            let mut told = event(app, Kind::GlassDoubted, &app.txn(now), &t, now).fact("why", "missed").fact("glass", glass.id.as_str()).fact("serial", glass.serial);
            told.client = Some(glass.client.clone());
            let mut commit = Commit::new(told.fact("was", t.state.as_str()));
            commit.write(Write::glass_moved(&glass, GlassState::Missed, None));
            match t.is_active() {
                true => falls(app, &t, DeviceState::Suspended, commit, now).await,
                false => Ok(app.commit(commit).await.map(|_| ())?),
            }
        })
        .await?;
    }
    Ok(())
}

/// Somebody who had no part in it says what they found.
pub async fn review(app: &App, id: &str, login: &str, word: &str) -> Result<(), Fault> {
    let word = word.trim();
    if word.is_empty() || word.chars().count() > limits::REVIEW_CHARS || !jcs::is_plain(word) {
        return Err(Fault::because(Refusal::Malformed, "a word of 1 to 200 plain characters"));
    }
    app.judged_anew(|_| async {
        let now = app.now();
        let used = app.store.glass_use(id).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no such use"))?;
        let by = app.store.person_by_login(login).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no such login"))?;
        if used.facts.review.is_some() {
            return Err(Fault::because(Refusal::Decided, "reviewed already"));
        }
        if !may_review(&by.person, &used.facts) {
            return Err(denied("not an operator who acts, or one who had a part in it"));
        }
        let facts = UseFacts { review: Some(Review { by: by.person.id.clone(), at: now, word: word.to_owned() }), ..used.facts.clone() };
        let mut told = app.event(Kind::GlassReviewed, &app.txn(now), now).fact("glass", facts.glass.as_str()).fact("use", facts.number);
        told = told.fact("terminal", facts.terminal.as_str()).fact("marks", facts.marks.iter().map(|m| m.as_str()).collect::<Vec<_>>());
        (told.client, told.person) = (Some(facts.client.clone()), Some(by.person.id.clone()));
        let mut commit = Commit::new(told);
        commit.guard(Table::Person, by.person.id.as_str(), by.person.version).write(Write::glass_reviewed(&used, &facts));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// Uses that wait for review, or all.
pub async fn uses(app: &App, all: bool) -> Result<Vec<GlassUse>, Fault> {
    let mut out: Vec<GlassUse> = Vec::new();
    loop {
        let after = out.last().map_or((Time(0), String::new()), |u| (u.facts.handed_at, u.id.clone()));
        let page = app.store.glass_uses((after.0, &after.1), all, limits::LIST).await?;
        let full = i64::try_from(page.len()).is_ok_and(|n| n == limits::LIST);
        out.extend(page);
        if !full {
            return Ok(out);
        }
    }
}

/// Grants that terminals have or missed to hand in, or all.
pub async fn grants(app: &App, all: bool) -> Result<Vec<Glass>, Fault> {
    let mut out: Vec<Glass> = Vec::new();
    loop {
        let after = out.last().map(|g| g.id.to_string()).unwrap_or_default();
        let page = app.store.glasses(&after, all, limits::LIST).await?;
        let full = i64::try_from(page.len()).is_ok_and(|n| n == limits::LIST);
        out.extend(page);
        if !full {
            return Ok(out);
        }
    }
}
