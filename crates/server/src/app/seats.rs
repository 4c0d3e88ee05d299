//! Seats: each person's place on a phone that a shift shares (`trust::seat` says what one may do).
//!
//! 1. The phone's key vouches once for a seat ([`vouching`]), in the commit that enrols it.
//! 2. Its person shows themself by the seat's passkey, with the phone's key beside the seat's ([`options`], [`unlock`]); for
//!    some minutes the seat shows what is theirs, until somebody hands the phone on ([`lock`]) or the time is over.
//! 3. A phone that may not act takes its seats along, with all they opened, in one commit ([`along`]).

use super::once::{burn, hashed, refuse_if_burnt};
use super::passkey::{Judged, ask, judge};
use super::{App, Context, Fault, devices, terminals};
use countersign_store::sql::StoredDevice;
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::{Device, DeviceState};
use countersign_trust::principal::PersonState;
use countersign_trust::seat::Seat;
use countersign_trust::terminal::{Stands, Terminal};
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{AssertionAsk, Unlock, Unlocked};
use countersign_wire::{TerminalId, Thumbprint, Time};

/// What stands in for the request of a challenge that opens a seat.
const FOR: &str = "seat";

/// Whom a challenge that opens a seat is made for. Whatever moves the seat, handing it on above all, leaves no challenge that it
/// could still be opened by.
fn asker(d: &Device) -> String {
    format!("{}/{}", d.jkt.as_str(), d.version)
}

/// The phone of this key, if it may act and is where it belongs.
async fn phone(app: &App, ctx: &Context, jkt: &Thumbprint) -> Result<Terminal, Fault> {
    let none = |why| Fault::because(Refusal::BadProof, why);
    let t = app.store.terminal_by_key(jkt).await?.filter(Terminal::is_phone).ok_or_else(|| none("no shared phone has this key"))?;
    if !t.is_active() {
        return Err(none("a shared phone that does not act"));
    }
    match app.config.terminals.stands(t.facts.site.as_deref(), ctx.address) {
        Stands::Away => Err(Fault::because(Refusal::Denied, "a shared phone that is not at its site").saying(Some("This phone is not where it belongs.".to_owned()))),
        Stands::Anywhere | Stands::AtSite => Ok(t),
    }
}

/// The phone that vouches for a new seat, with room for one. The commit that uses it moves its version: of that and of what
/// happens to the phone meanwhile, one is judged anew.
pub async fn vouching(app: &App, ctx: &Context, on: &Proof) -> Result<Terminal, Fault> {
    let t = phone(app, ctx, &on.jkt).await?;
    let held = |d: &&StoredDevice| matches!(d.device.state, DeviceState::Active | DeviceState::Suspended);
    if app.store.seats_on(&t.id).await?.iter().filter(held).count() >= limits::SEATS {
        return Err(Fault::because(Refusal::TooMany, "seats on this phone"));
    }
    Ok(t)
}

/// A seat on this phone as it begins.
pub fn taken(t: &Terminal) -> Seat {
    Seat { phone: t.id.clone(), unlocked_until: None, rests: false }
}

/// Options for the seat's own passkey.
pub async fn options(app: &App, ctx: &Context, by: &StoredDevice) -> Result<AssertionAsk, Fault> {
    app.in_order()?;
    let d = &by.device;
    let challenge: [u8; 32] = app.random();
    let mut event = app.event(Kind::PasskeyAsked, &ctx.txn, ctx.now).fact("for", FOR);
    (event.device, event.person) = (Some(d.id.clone()), Some(d.person.clone()));
    let mut commit = Commit::new(event);
    commit.write(Write::challenge_made(&hashed(&challenge), FOR, &asker(d), ctx.now.plus_s(limits::CHALLENGE_S)));
    app.commit(commit).await?;
    let known = app.store.credentials_of(&d.person).await?;
    let allow = known.iter().filter(|c| c.device == d.id).map(|c| c.id.to_string()).collect();
    Ok(ask(app, &challenge, allow, &["client-device"], limits::CHALLENGE_S * 1_000))
}

/// Opens a seat for its person, for a while: by its own passkey, on its own phone.
pub async fn unlock(app: &App, ctx: &Context, by: &StoredDevice, on: &Proof, body: &Unlock) -> Result<Unlocked, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, on).await?;
        let ctx: &Context = &ctx.anew(app, n);
        let denied = |why| Fault::because(Refusal::Denied, why);
        let d = app.store.device(&by.device.id).await?.ok_or(Refusal::BadProof)?.device;
        let seat = d.seat.as_ref().ok_or(denied("no seat"))?;
        let t = phone(app, ctx, &on.jkt).await?;
        if t.id != seat.phone {
            return Err(Fault::because(Refusal::BadProof, "a seat on another phone"));
        }
        let Judged { credential, counter, challenge_hash } = judge(app, ctx, &body.assertion, (FOR, &asker(&d)), ctx.now).await?;
        if credential.device != d.id {
            return Err(Fault::because(Refusal::BadProof, "a passkey of another seat or device"));
        }
        let person = app.store.person(&d.person).await?.ok_or(Refusal::Denied)?;
        if person.state != PersonState::Active || d.state != DeviceState::Active {
            return Err(denied("person or device not active"));
        }
        let until = ctx.now.plus_s(limits::SEAT_OPEN_S);
        let mut commit = Commit::new(event(app, Kind::SeatUnlocked, ctx, &d, seat));
        commit.write(burn(on)).write(Write::challenge_used(&challenge_hash)).write(Write::credential_used(&credential, counter));
        commit.write(Write::seat_open_until(&d, Some(until)));
        commit.guard(Table::Person, person.id.as_str(), person.version);
        commit.guard(Table::Terminal, t.id.as_str(), t.version);
        app.commit(commit).await?;
        Ok(Unlocked { left_ms: ctx.now.ms_until(until) })
    })
    .await
}

fn event(app: &App, kind: Kind, ctx: &Context, d: &Device, seat: &Seat) -> Event {
    let mut event = app.event(kind, &ctx.txn, ctx.now).fact("terminal", seat.phone.as_str());
    (event.device, event.person) = (Some(d.id.clone()), Some(d.person.clone()));
    event
}

/// The phone is handed on: whatever is its person's is shown no more, and an answer that is under way opens nothing.
pub async fn lock(app: &App, ctx: &Context, by: &StoredDevice) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let d = app.store.device(&by.device.id).await?.ok_or(Refusal::BadProof)?.device;
        let Some(seat) = &d.seat else { return Ok(()) };
        let mut commit = Commit::new(event(app, Kind::SeatLocked, ctx, &d, seat));
        commit.write(Write::seat_open_until(&d, None)).write(Write::badges_forgotten(&d.id));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// What happens to a phone happens to its seats, in the same commit: whoever comes back is whoever rested with it.
pub async fn along(app: &App, t: &Terminal, to: DeviceState, told: &Event, now: Time, commit: &mut Commit) -> Result<(), Fault> {
    if !t.is_phone() {
        return Ok(());
    }
    for one in app.store.seats_on(&t.id).await? {
        let d = &one.device;
        let Some(seat) = &d.seat else { continue };
        let moves = match to {
            DeviceState::Active => d.state == DeviceState::Suspended && seat.rests,
            to => d.state.may_become(to),
        };
        if !moves {
            continue;
        }
        let mut event = app.event(Kind::DeviceChanged, &told.txn, now).fact("state", to.as_str()).fact("was", d.state.as_str()).fact("by", "phone");
        (event.device, event.person) = (Some(d.id.clone()), Some(d.person.clone()));
        commit.event(event);
        commit.write(if to == DeviceState::Suspended { Write::seat_rests(d) } else { Write::device_moved(d, to) });
        if to != DeviceState::Active {
            devices::fell(app, d, to, now, commit).await?;
        }
    }
    Ok(())
}

/// What a device rests on besides itself when it is to act again: a seat on its phone, which must act.
pub async fn rests_on(app: &App, d: &Device) -> Result<Option<(Table, String, i64)>, Fault> {
    let Some(seat) = &d.seat else { return Ok(None) };
    let t = app.store.terminal(&seat.phone).await?.filter(Terminal::is_active);
    let t = t.ok_or(Fault::because(Refusal::Denied, "a seat on a phone that does not act"))?;
    Ok(Some((Table::Terminal, t.id.to_string(), t.version)))
}

/// The name of the phone that a device is a seat on.
pub async fn phone_of(app: &App, d: &Device) -> Result<Option<String>, Fault> {
    let Some(seat) = &d.seat else { return Ok(None) };
    Ok(app.store.terminal(&seat.phone).await?.map(|t| t.facts.name))
}

/// Every seat on a phone with its person's name, for whoever runs the server.
pub async fn on(app: &App, name: &str) -> Result<(TerminalId, Vec<(StoredDevice, String, String)>), Fault> {
    let t = terminals::named(app, name).await?;
    let mut seats = Vec::new();
    for d in app.store.seats_on(&t.id).await? {
        let named = app.store.named(&d.device.person).await?;
        let (name, login) = named.map_or_else(Default::default, |n| (n.name, n.login));
        seats.push((d, name, login));
    }
    Ok((t.id, seats))
}
