//! What this server itself observes of those who call it, and raises as signals (docs/signals.md).
//!
//! 1. A session's terminal, or an enrolled device, in a network that it was not in when its person
//!    approved. What is known stands in the row that every request loads anyway, so a request from a
//!    known network costs nothing, and one from an unknown network writes once: until its person has
//!    approved anew there, the signal stands and nothing more is said.
//! 2. More approvals in a minute than a person makes, refusals without end, a session's cookie that
//!    comes with other keys.
//!
//! The caller gets the row back as it is now, so the same request is judged with what it showed.

use super::noise::What;
use super::posture::OBSERVED;
use super::{App, Context, Fault, signals, terminals};
use crate::config::Origin;
use countersign_store::sql::StoredDevice;
use countersign_trust::client::{Client, ClientAuth};
use countersign_trust::principal::Person;
use countersign_trust::session::Session;
use countersign_trust::signal::{Kind, Signal, Subject};
use countersign_trust::{Refusal, limits};
use countersign_wire::{CeremonyId, DeviceId, PersonId, Time, TxnId};

/// Where a request came from.
pub fn origin(app: &App, ctx: &Context) -> Origin {
    app.config.network.origin(ctx.address)
}

/// Odd behaviour counts for a while.
fn odd(kind: Kind, now: Time) -> Signal {
    Signal { kind, source: OBSERVED.to_owned(), at: now, until: Some(now.plus_s(limits::ODD_S)) }
}

fn over() -> Fault {
    Fault::because(Refusal::NoSession, "over")
}

fn stands(signals: &[Signal], kind: Kind, since: Time, now: Time) -> bool {
    signals.iter().any(|s| s.kind == kind && s.source == OBSERVED && s.is_live(now) && s.at >= since)
}

async fn raise(app: &App, ctx: &Context, subject: &Subject, kind: Kind, until: Option<Time>) -> Result<(), Fault> {
    say(app, subject, Signal { kind, source: OBSERVED.to_owned(), at: ctx.now, until }, kind.words(), &ctx.txn).await
}

async fn say(app: &App, subject: &Subject, signal: Signal, says: &str, txn: &TxnId) -> Result<(), Fault> {
    match signals::raise_saying(app, subject, signal, says, txn).await {
        // It ended meanwhile.
        Err(Fault { refusal: Refusal::NoSuchThing, .. }) => Ok(()),
        done => done.map(|_| ()),
    }
}

/// The terminal of a session called, from wherever this request came. The session as it is now.
pub async fn terminal(app: &App, ctx: &Context, session: Session) -> Result<Session, Fault> {
    let session = terminals::spoke(app, ctx, session).await?;
    let f = &session.facts;
    let here = origin(app, ctx);
    if !app.config.network.sessions || f.knows(&here.network) || !session.is_live(ctx.now) {
        return Ok(session);
    }
    let abroad = matches!((&f.country, &here.country), (Some(was), Some(is)) if was != is);
    let kinds = [(Kind::SessionNetworkChanged, true), (Kind::SessionPlaceChanged, abroad)];
    let news: Vec<Kind> = kinds
        .into_iter()
        .filter(|(kind, is)| *is && !stands(&session.signals, *kind, Time(0), ctx.now))
        .map(|(kind, _)| kind)
        .collect();
    if news.is_empty() {
        return Ok(session);
    }
    let id = f.id.clone();
    for kind in news {
        raise(app, ctx, &Subject::Session(id.clone()), kind, None).await?;
    }
    app.store.session(&id).await?.filter(|s| s.is_live(ctx.now)).ok_or_else(over)
}

/// The same for a client that runs where the session's terminal is: a public one, as others call from servers of
/// their own.
pub async fn client(app: &App, ctx: &Context, client: &Client, session: Session) -> Result<Session, Fault> {
    if client.auth == ClientAuth::None && !client.any_network { terminal(app, ctx, session).await } else { Ok(session) }
}

/// An enrolled device called. The device as it is now.
pub async fn device(app: &App, ctx: &Context, stored: StoredDevice) -> Result<StoredDevice, Fault> {
    let here = origin(app, ctx).network;
    if !app.config.network.devices || stored.networks.contains(&here) {
        return Ok(stored);
    }
    let (id, kind) = (stored.device.id.clone(), Kind::DeviceNetworkChanged);
    if !stored.networks.is_empty() {
        let pause = ctx.now.plus_s(-limits::NETWORK_PAUSE_S);
        if stands(&stored.device.signals, kind, pause, ctx.now) {
            return Ok(stored);
        }
        let until = ctx.now.plus_s(limits::NETWORK_NEWS_S);
        raise(app, ctx, &Subject::Device(id.clone()), kind, Some(until)).await?;
    }
    // Told first, then known: who falls in between tells it twice.
    let mut networks = stored.networks;
    networks.push(here);
    networks.drain(..networks.len().saturating_sub(limits::NETWORKS));
    app.store.device_seen_in(&id, &networks).await?;
    app.store.device(&id).await?.ok_or(Fault::because(Refusal::BadProof, "an unknown device key"))
}

/// A passkey's counter did not go up: there are two of it. The device that it was registered on is told of.
pub async fn counter(app: &App, ctx: &Context, device: &DeviceId) -> Result<(), Fault> {
    raise(app, ctx, &Subject::Device(device.clone()), Kind::DeviceCloned, None).await
}

/// A person approves: more of that in a minute than anybody does is told of before it is judged. What comes twice, or
/// is judged anew, is one approval.
pub async fn approval(app: &App, ctx: &Context, person: &PersonId, id: &CeremonyId) -> Result<(), Fault> {
    if app.noise.is_burst(What::Approval, ("ceremony", id.to_string()), 1, ctx.now) {
        return Ok(());
    }
    let caller = ("person", person.to_string());
    if app.noise.is_burst(What::Approval, caller, limits::APPROVALS_MIN, ctx.now) {
        let known = app.store.person(person).await?.is_some_and(|p: Person| stands(&p.signals, Kind::PersonRiskMedium, Time(0), ctx.now));
        if !known {
            let signal = odd(Kind::PersonRiskMedium, ctx.now);
            say(app, &Subject::Person(person.clone()), signal, "More approvals in a minute than a person makes.", &ctx.txn).await?;
        }
    }
    Ok(())
}

/// A session's cookie came with another key than its own. Once may be a page that lost its key.
pub async fn wrong_key(app: &App, ctx: &Context, session: &Session) -> Result<(), Fault> {
    let caller = ("session", session.facts.id.to_string());
    let again = app.noise.is_burst(What::WrongKey, caller, limits::WRONG_KEYS_MIN, ctx.now);
    if again && session.is_live(ctx.now) && !stands(&session.signals, Kind::SessionKeyRefused, Time(0), ctx.now) {
        raise(app, ctx, &Subject::Session(session.facts.id.clone()), Kind::SessionKeyRefused, None).await?;
    }
    Ok(())
}

/// Somebody known was refused more often in a minute than the log takes lines of.
pub async fn refused_without_end(app: &App, role: &str, who: &str, now: Time) -> Result<(), Fault> {
    let (subject, kind) = match (role, who.parse(), who.parse()) {
        ("session", Ok(id), _) => (Subject::Session(id), Kind::SessionRateOdd),
        ("device", _, Ok(id)) => (Subject::Device(id), Kind::DeviceRiskMedium),
        _ => return Ok(()),
    };
    say(app, &subject, odd(kind, now), "It was refused more often in a minute than the log takes lines of.", &app.txn(now)).await
}
