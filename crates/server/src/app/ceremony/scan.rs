//! Step 2: an enrolled device scans, types a code, or takes what was offered.

use super::{Around, challenge, right, digits, ended_along, is_stopped, named, scan_counter, keep};
use crate::app::once::{burn, hashed, refuse_if_burnt};
use crate::app::issue::{on_terminal, resting_on};
use crate::app::noise::{self, What};
use crate::app::recovery::officers;
use crate::app::{App, Context, Fault, passkey, terminals, vouch};
use countersign_store::sql::{Counter, StoredDevice};
use countersign_store::{Commit, Write};
use countersign_trust::ceremony::scan::ScanBy;
use countersign_trust::ceremony::{Ceremony, State};
use countersign_trust::detail;
use countersign_trust::device::DeviceState;
use countersign_trust::policy::{Action, Facts, Ruling};
use countersign_trust::presence::{self, Presence};
use countersign_trust::principal::PersonState;
use countersign_trust::seat::{self, Act};
use countersign_trust::terminal::{AtTerminal, Stands};
use countersign_trust::{Refusal, limits};
use countersign_wire::code::Direction;
use countersign_wire::dpop::Proof;
use countersign_wire::message::{DeviceView, PendingItem, Scan, device_ask};
use countersign_wire::statement::{Channel, Near, Purpose};
use countersign_wire::{code, frame, limits as protocol};
use std::borrow::Cow;
use std::net::IpAddr;

/// What a device brought.
pub struct Scanning<'a> {
    /// The device, found by its proof.
    pub device: &'a StoredDevice,
    /// Its proof.
    pub proof: &'a Proof,
    /// A terminal cookie that came along: then both roles are one browser.
    pub cookie: Option<&'a str>,
}

impl Scanning<'_> {
    /// The device as it is for this attempt: what made the last one fail may have been its own life.
    async fn device_anew(&self, app: &App, attempt: usize) -> Result<Cow<'_, StoredDevice>, Fault> {
        if attempt == 0 {
            return Ok(Cow::Borrowed(self.device));
        }
        let found = app.store.device_by_key(&self.proof.jkt).await?;
        found.map(Cow::Owned).ok_or(Fault::because(Refusal::BadProof, "an unknown device key"))
    }
}

/// A scan of frames, or a typed code.
pub async fn scan(app: &App, ctx: &Context, by: &Scanning<'_>, body: &Scan) -> Result<DeviceView, Fault> {
    app.judged_anew(|attempt| async move {
        refuse_if_burnt(app, attempt, by.proof).await?;
        let ctx: &Context = &ctx.anew(app, attempt);
        let by = &Scanning { device: &*by.device_anew(app, attempt).await?, ..*by };
        let (c, channel) = match (&body.frames[..], &body.user_code) {
            ([first], None) => (framed(app, ctx, first, None).await?, Channel::Frame),
            ([first, second], None) => (framed(app, ctx, first, Some(second)).await?, Channel::Pair),
            ([], Some(typed)) => (typed_code(app, ctx, by, typed).await?, Channel::UserCode),
            _ => return Err(Fault::because(Refusal::Malformed, "one or two frames, or a user code")),
        };
        meet(app, ctx, by, c, channel).await
    })
    .await
}

/// An offered request is taken.
pub async fn take(app: &App, ctx: &Context, by: &Scanning<'_>, cid: &str) -> Result<DeviceView, Fault> {
    app.judged_anew(|attempt| async move {
        refuse_if_burnt(app, attempt, by.proof).await?;
        let ctx: &Context = &ctx.anew(app, attempt);
        let by = &Scanning { device: &*by.device_anew(app, attempt).await?, ..*by };
        let none = || Fault::because(Refusal::NoSuchCeremony, "nothing offered");
        let c = named(app, cid).await?.ok_or_else(none)?;
        let d = &by.device.device;
        let theirs = match &c.opening.badge {
            Some(shown_by) => *shown_by == d.id,
            None => c.opening.offered.as_ref() == Some(&d.person) || c.scan_facts().is_some_and(|s| s.device == d.id),
        };
        if !theirs {
            return Err(none());
        }
        let channel = if c.opening.badge.is_some() { Channel::Badge } else { Channel::Push };
        meet(app, ctx, by, c, channel).await
    })
    .await
}

/// What is offered to a person, but not by a screen that this person stopped; and what was opened by the badge of
/// this device.
pub async fn pending(app: &App, ctx: &Context, device: &StoredDevice) -> Result<Vec<PendingItem>, Fault> {
    let person = &device.device.person;
    let mut items = Vec::new();
    for c in app.store.ceremonies_of_person(person).await? {
        let left_ms = c.deadline().map_or(0, |end| ctx.now.ms_until(end));
        let badge = c.opening.badge.as_ref() == Some(&device.device.id);
        let pushed = seat::may_answer(&device.device, c.opening.purpose, Channel::Push, &c.opening.asker.id).is_ok();
        let asked = c.opening.push && c.opening.offered.is_some() && pushed || badge;
        let waits = asked && matches!(c.state, State::Opened(_)) && left_ms > 0;
        if waits && !is_stopped(app, &c, person, ctx.now).await? {
            items.push(PendingItem { cid: c.opening.id.to_string(), client: c.opening.asker.name, left_ms, badge });
        }
    }
    Ok(items)
}

/// A ceremony as its scanner sees it.
pub async fn look(app: &App, ctx: &Context, device: &StoredDevice, cid: &str) -> Result<DeviceView, Fault> {
    let c = scanned_by(app, device, cid).await?;
    view(app, ctx, &c).await
}

/// Digits typed on the device.
pub async fn confirm(app: &App, ctx: &Context, device: &StoredDevice, cid: &str, typed: &str) -> Result<DeviceView, Fault> {
    app.judged_anew(|n| async move {
        let c = scanned_by(app, device, cid).await?;
        super::terminal::confirm_step(app, &ctx.anew(app, n), &c, Direction::TypedOnDevice, typed).await
    })
    .await?;
    look(app, ctx, device, cid).await
}

async fn scanned_by(app: &App, device: &StoredDevice, cid: &str) -> Result<Ceremony, Fault> {
    let none = || Fault::because(Refusal::NoSuchCeremony, "unknown, or not scanned by this device");
    let c = named(app, cid).await?.ok_or_else(none)?;
    if c.scan_facts().is_some_and(|s| s.device == device.device.id) { Ok(c) } else { Err(none()) }
}

fn dead(why: &'static str) -> Fault {
    Fault::because(Refusal::CodeNotLive, why)
}

/// One frame or two, as they were sent.
pub(in crate::app) fn pair(first: &str, second: Option<&String>) -> Result<(frame::Frame, Option<frame::Frame>), Fault> {
    let read = |text: &str| frame::Frame::parse(text).map_err(|_| dead("not a frame"));
    Ok((read(first)?, second.map(|text| read(text)).transpose()?))
}

/// Holds frames to their channel key and to the server's clock.
pub(in crate::app) fn live(one: frame::Frame, two: Option<frame::Frame>, ck: &[u8; 32], age_ms: i64) -> Result<(), Fault> {
    let judged = frame::judge(one, two, ck, age_ms).map_err(|stale| match stale {
        frame::Stale::Forged => "forged frame",
        frame::Stale::Late => "late frame",
        frame::Stale::Early => "early frame",
        frame::Stale::OutOfSequence => "frames out of sequence",
    });
    judged.map(|_| ()).map_err(dead)
}

async fn framed(app: &App, ctx: &Context, first: &str, second: Option<&String>) -> Result<Ceremony, Fault> {
    let (one, two) = pair(first, second)?;
    let found = app.store.ceremony_by_handle(&hashed(&one.handle)).await?;
    // The same derivations whether the handle is known or not.
    let (serial, cid, jkt) = match &found {
        Some(c) => (c.opening.k, c.opening.id.to_string(), c.opening.jkt.to_string()),
        None => (app.keys.k().0, String::new(), String::new()),
    };
    let k = app.keys.k_by_serial(serial).ok_or_else(|| dead("its key is gone"))?;
    let ck = frame::channel_key(k.expose(), &cid, &jkt);
    let age_ms = found.as_ref().map_or(0, |c| ctx.now.ms_since(c.opening.at));
    let judged = live(one, two, &ck, age_ms);
    let c = found.ok_or_else(|| dead("unknown handle"))?;
    judged?;
    if matches!(c.state, State::Opened(_)) && age_ms >= protocol::OPENED_S * 1_000 {
        return Err(dead("code older than its life"));
    }
    Ok(c)
}

async fn typed_code(app: &App, ctx: &Context, by: &Scanning<'_>, typed: &str) -> Result<Ceremony, Fault> {
    let counts = [
        Counter::new("ucode", by.device.device.id.as_str(), 600, limits::WRONG_USER_CODES_10_MIN, ctx.now),
        Counter::new("ucode/source", &ctx.source(), 600, limits::WRONG_USER_CODES_SOURCE_10_MIN, ctx.now),
        Counter::new("ucode/all", "", 600, limits::WRONG_USER_CODES_ALL_10_MIN, ctx.now),
    ];
    // Counted before anything is looked for: guesses that come at the same moment pay as well. What a
    // wider count refuses was counted in the narrower ones: whoever goes on only pays more.
    for count in &counts {
        if !app.store.count_first(count).await? {
            return Err(Fault::because(Refusal::TooMany, "wrong user codes"));
        }
    }
    let found = match code::parse_user_code(typed) {
        Ok(code) => app.store.ceremony_by_code(&hashed(code.as_bytes())).await?,
        Err(_) => None,
    };
    match found {
        Some(c) => {
            for count in &counts {
                app.store.uncount(count).await?;
            }
            Ok(c)
        }
        None => {
            let mut event = ctx.refusal_event(app, &ctx.txn).fact("step", "user_code");
            event.refusal = Some(Refusal::CodeNotLive);
            event.device = Some(by.device.device.id.clone());
            event.person = Some(by.device.device.person.clone());
            let mut commit = Commit::new(event);
            commit.write(burn(by.proof));
            app.commit(commit).await?;
            Err(Fault::because(Refusal::CodeNotLive, "unknown user code").recorded())
        }
    }
}

/// The device has met the ceremony; policy and the state decide.
async fn meet(app: &App, ctx: &Context, by: &Scanning<'_>, c: Ceremony, channel: Channel) -> Result<DeviceView, Fault> {
    let d = &by.device.device;
    if is_same_device(&c, by) {
        return refuse(app, ctx, by, &c, Refusal::SameDevice, "one device in both roles").await;
    }
    let rescan = c.scan_facts().is_some_and(|s| s.device == d.id);
    let person = app.store.person(&d.person).await?.ok_or(Refusal::Denied)?;
    if person.state != PersonState::Active || d.state != DeviceState::Active {
        return refuse(app, ctx, by, &c, Refusal::Denied, "person or device not active").await;
    }
    if let Err(refusal) = seat::may_answer(d, c.opening.purpose, channel, &c.opening.asker.id) {
        return refuse(app, ctx, by, &c, refusal, "a phone that a shift shares").await;
    }
    let gives = c.opening.purpose == Purpose::Right;
    if !gives && c.opening.raises.as_ref().is_some_and(|r| r.person != d.person) {
        return refuse(app, ctx, by, &c, Refusal::Denied, "another person than the session's").await;
    }
    if c.opening.person.as_ref().is_some_and(|p| *p != d.person) {
        return refuse(app, ctx, by, &c, Refusal::Denied, "another person than the request is for").await;
    }
    let now = ctx.now;
    if c.opening.purpose == Purpose::Recover
        && let Err(fault) = officers::may_approve(app, &d.person, c.opening.recovers.as_ref(), &c.opening.jkt, now).await
    {
        return match fault.store {
            Some(_) => Err(fault),
            None => refuse(app, ctx, by, &c, fault.refusal, fault.because).await.map_err(|f| f.saying(fault.say)),
        };
    }
    if gives && let Err(fault) = right::may_give(app, &c, &person).await {
        return match fault.store {
            Some(_) => Err(fault),
            None => refuse(app, ctx, by, &c, fault.refusal, fault.because).await.map_err(|f| f.saying(fault.say)),
        };
    }
    if c.opening.purpose == Purpose::Vouch && let Err(fault) = vouch::may(app, ctx, &c, &person, d).await {
        return match fault.store {
            Some(_) => Err(fault),
            None => refuse(app, ctx, by, &c, fault.refusal, fault.because).await.map_err(|f| f.saying(fault.say)),
        };
    }
    let undecided = scan_counter(&d.id, now);
    if !rescan && app.store.used(&undecided).await? >= undecided.limit {
        return refuse(app, ctx, by, &c, Refusal::TooMany, "undecided scans").await;
    }
    if is_stopped(app, &c, &d.person, now).await? {
        return refuse(app, ctx, by, &c, Refusal::Denied, "this screen is in quarantine for this person").await;
    }
    let client = super::client(app, &c).await?;
    if client.as_ref().is_some_and(|c| c.client.disabled) {
        return refuse(app, ctx, by, &c, Refusal::Denied, "client disabled").await;
    }
    let terminal = terminals::of_opening(app, &c.opening, None).await?;
    if terminal.as_ref().is_some_and(|(t, _)| !t.is_active()) {
        return refuse(app, ctx, by, &c, Refusal::Denied, "a terminal that does not act").await;
    }
    let one_site = terminal.as_ref().is_some_and(|(t, stands)| {
        *stands == Stands::AtSite && app.config.terminals.stands(t.facts.site.as_deref(), ctx.address) == Stands::AtSite
    });
    let mut near = match c.opening.address.parse::<IpAddr>() {
        // An address of our own proxies is nobody's: they did not say, or not legibly, who asks.
        Ok(terminal) if !is_proxy(app, terminal) && !is_proxy(app, ctx.address) => {
            presence::near(terminal, ctx.address, one_site, &app.config.shared_networks)
        }
        _ => Vec::new(),
    };
    // Where a terminal stands goes with its live code, and with nothing that was typed or pushed.
    let live = matches!(channel, Channel::Frame | Channel::Pair | Channel::Badge);
    near.extend(c.opening.terminal.as_ref().filter(|_| live).and_then(AtTerminal::near));
    near.extend((channel == Channel::Badge).then_some(Near::Badge));
    let registered = client.as_ref().map(|c| &c.client);
    let facts = Facts::of(&person, d, registered, c.opening.purpose, channel.as_str(), Presence::of(&near), now)
        .at(terminal.as_ref().map(|(t, stands)| (t, *stands)), now)
        .with_details(detail::types(&c.opening.asked.details))
        .collected(c.opening.collects.as_ref().map(|c| c.by));
    let ruling = app.policies.current().rule(Action::Scan, &facts, registered, &c.opening.asked.scopes);
    if let (true, Ruling::Allow(allowed)) = (gives, &ruling)
        && allowed.rights.timed.is_empty()
    {
        return refuse(app, ctx, by, &c, Refusal::Denied, "policy does not let this person open it").await;
    }
    let scan_by = ScanBy {
        device: d.id.clone(),
        dk: d.jkt.clone(),
        person: d.person.clone(),
        channel,
        near,
        page: ctx.is_page(),
        issuer: app.config.issuer.clone(),
        nonce: app.random(),
        decide_s: app.config.decide_s,
    };
    let step = c.scan(&scan_by, &ruling, now);
    let mut around = Around { person: Some(d.person.clone()), device: Some(d.id.clone()), ..Around::default() }.burn(by.proof);
    let changed = step.next.is_some() && step.answer.is_ok();
    if let (Err(refusal), Ruling::Deny(deny)) = (step.answer, &ruling)
        && refusal == deny.refusal
    {
        around.writes.push(Write::scan_refused(&d.id, &c.opening.id, now.plus_s(limits::LATE_NOT_ME_S)));
    }
    if changed {
        around.guards.extend(resting_on(&person, d, client.as_ref()));
        around.guards.extend(terminal.as_ref().map(|(t, _)| on_terminal(t)));
        around.writes.push(Write::counted(&undecided));
        // Whoever has a shared phone in hand ends nothing in anybody's name.
        if seat::may(d, Act::Disown, now).is_ok() {
            supersede(app, &c, d, now, &mut around).await?;
        }
    }
    let next = step.next.clone();
    keep(app, ctx, &c, step, around).await.map_err(|fault| match &ruling {
        Ruling::Deny(deny) if fault.refusal == deny.refusal => fault.saying(deny.say.clone()),
        _ => fault,
    })?;
    let after = Ceremony { state: next.unwrap_or_else(|| c.state.clone()), ..c };
    view(app, ctx, &after).await
}

fn is_proxy(app: &App, address: IpAddr) -> bool {
    app.config.trusted_proxies.iter().any(|n| n.contains(address))
}

fn is_same_device(c: &Ceremony, by: &Scanning<'_>) -> bool {
    let own_cookie = by.cookie.is_some_and(|b| hashed(b.as_bytes()) == c.opening.collector_hash);
    own_cookie || c.opening.jkt == by.device.device.jkt
}

/// Refuses before the state is asked: recorded, and "not me" may be said about it.
async fn refuse(
    app: &App,
    ctx: &Context,
    by: &Scanning<'_>,
    c: &Ceremony,
    refusal: Refusal,
    because: &'static str,
) -> Result<DeviceView, Fault> {
    noise::admit(app, ctx, What::Refusal, refusal.code())?;
    let d = &by.device.device;
    let mut event = ctx.refusal_event(app, &c.opening.txn).fact("step", "scan").fact("because", because);
    event.refusal = Some(refusal);
    event.ceremony = Some(c.opening.id.clone());
    event.device = Some(d.id.clone());
    event.person = Some(d.person.clone());
    let mut commit = Commit::new(event);
    commit.write(burn(by.proof));
    commit.write(Write::scan_refused(&d.id, &c.opening.id, ctx.now.plus_s(limits::LATE_NOT_ME_S)));
    app.commit(commit).await?;
    Err(Fault::because(refusal, because).recorded())
}

/// A person's newer scan for a client ends the older.
async fn supersede(
    app: &App,
    c: &Ceremony,
    d: &countersign_trust::device::Device,
    now: countersign_wire::Time,
    around: &mut Around,
) -> Result<(), Fault> {
    for older in app.store.ceremonies_of_person(&d.person).await? {
        let other = older.opening.id != c.opening.id && older.opening.asker.id == c.opening.asker.id;
        if other && older.scan_facts().is_some() && older.is_pending() {
            let step = older.cut("superseded", now);
            around.also(ended_along(app, &older, &step, now).await?);
        }
    }
    Ok(())
}

/// What the scanner is shown.
pub async fn view(app: &App, ctx: &Context, c: &Ceremony) -> Result<DeviceView, Fault> {
    let now = ctx.now;
    let late = c.deadline().is_some_and(|d| now >= d) && c.is_pending();
    let mut view = DeviceView {
        cid: c.opening.id.to_string(),
        state: if late { "expired" } else { c.state_name() }.to_owned(),
        statement: None,
        left_ms: c.deadline().map_or(0, |d| now.ms_until(d)),
        ask: None,
        n: None,
        digits: None,
        assertion: None,
        me: None,
    };
    let Some(scan) = c.scan_facts() else { return Ok(view) };
    view.statement = Some(scan.statement.clone());
    view.me = app.store.named(&scan.person).await?.map(|n| n.name);
    if late || !matches!(c.state, State::Scanned(_) | State::Confirmed(_)) {
        return Ok(view);
    }
    let open: Vec<Direction> = scan.demanded.directions.iter().copied().filter(|d| !scan.done.contains(d)).collect();
    if matches!(c.state, State::Scanned(_)) && !open.is_empty() {
        view.ask = device_ask(&open).map(str::to_owned);
        view.n = Some(scan.demanded.digits);
        if open.contains(&Direction::TypedOnTerminal) {
            view.digits = Some(digits(app, c, Direction::TypedOnTerminal)?);
        }
    }
    let credentials = app.store.credentials_of(&scan.person).await?;
    let device = app.store.device(&scan.device).await?.map(|d| d.device);
    // A seat takes its own passkey, and others take no seat's.
    let own = device.as_ref().filter(|d| d.is_shared()).map(|d| &d.id);
    let allow = credentials.iter().filter(|c| own.is_none_or(|id| c.device == *id)).map(|c| c.id.to_string()).collect();
    view.assertion = Some(passkey::ask(app, &challenge(c)?, allow, &["client-device"], view.left_ms));
    Ok(view)
}
