//! What a person sees and does about their devices and sessions, from a device of theirs.

use super::ceremony::ended_along;
use super::people::name_of;
use super::{App, Context, Fault, recovery, rights, seats, sessions, signals, vouch};
use super::issue::may_make;
use crate::push;
use countersign_store::sql::{Named, Notice, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::device::{Device, DeviceState};
use countersign_trust::posture::{Confidence, Fact, Name};
use countersign_trust::principal::{Person, PersonState};
use countersign_wire::message::{ActivityItem, CodesItem, DeviceItem, Me, NoticeItem, Overview, SessionItem, StandingItem};
use countersign_wire::{DeviceId, NoticeId, PersonId, Thumbprint, Time};
use serde_json::Value;

/// Everything the overview page shows. A device that does not act yet, or not now, sees itself and
/// nothing else: whoever took a synced passkey learns no more from a waiting device.
pub async fn overview(app: &App, ctx: &Context, by: &StoredDevice) -> Result<Overview, Fault> {
    let now = ctx.now;
    let named = app.store.named(&by.device.person).await?.ok_or(Refusal::Denied)?;
    let person = &named.person.id;
    if by.device.state != DeviceState::Active || named.person.state != PersonState::Active {
        return Ok(only(by, named, now));
    }
    let stored = app.store.devices_of(person).await?;
    if by.device.is_shared() {
        return shared(app, by, named, &stored, now).await;
    }
    Ok(Overview {
        devices: stored.iter().map(|d| item(d, by, now)).collect(),
        sessions: open_sessions(app, person, &stored, now).await?,
        activity: activity(app, person).await?,
        notices: notices(app, by, &stored, now).await?,
        user_code: if app.registered().await?.user_code {
            Some(app.store.user_code(person).await?.is_some())
        } else {
            None
        },
        recovery: app.store.recovery_codes(person).await?.map(|set| CodesItem {
            left: set.facts.left(),
            made_at: set.facts.made_at.seconds(),
        }),
        badge: !app.store.terminals("", 1).await?.is_empty(),
        push: push::view(app, by, now).await?,
        me: Me { name: named.name, role: named.person.role.as_str().to_owned() },
        device: by.device.id.to_string(),
    })
}

/// The same on a seat: what is open and what happened, and nothing that is settled on devices of the person's own.
async fn shared(app: &App, by: &StoredDevice, named: Named, stored: &[StoredDevice], now: Time) -> Result<Overview, Fault> {
    Ok(Overview {
        sessions: open_sessions(app, &named.person.id, stored, now).await?,
        activity: activity(app, &named.person.id).await?,
        badge: !app.store.terminals("", 1).await?.is_empty(),
        ..only(by, named, now)
    })
}

/// A device alone.
fn only(by: &StoredDevice, named: Named, now: Time) -> Overview {
    Overview {
        me: Me { name: named.name, role: named.person.role.as_str().to_owned() },
        device: by.device.id.to_string(),
        devices: vec![item(by, by, now)],
        sessions: Vec::new(),
        activity: Vec::new(),
        notices: Vec::new(),
        recovery: None,
        user_code: None,
        badge: false,
        push: None,
    }
}

fn called(devices: &[StoredDevice], id: &DeviceId) -> Option<String> {
    devices.iter().find(|d| d.device.id == *id).map(|d| d.name.clone())
}

/// Whether a device or a registered terminal has this key: it is never another's.
pub async fn is_key_taken(app: &App, jkt: &Thumbprint) -> Result<bool, Fault> {
    Ok(app.store.device_by_key(jkt).await?.is_some() || app.store.terminal_by_key(jkt).await?.is_some())
}

async fn open_sessions(app: &App, person: &PersonId, devices: &[StoredDevice], now: Time) -> Result<Vec<SessionItem>, Fault> {
    let mut open = Vec::new();
    for session in vouch::sessions_of(app, person).await? {
        if !session.is_live(now) {
            continue;
        }
        let f = &session.facts;
        let (mut clients, mut registered) = (Vec::new(), Vec::new());
        for id in &f.clients {
            if let Some(client) = app.client(id).await? {
                clients.push(client.client.name.clone());
                registered.push(client.client);
            }
        }
        open.push(SessionItem {
            id: f.id.to_string(),
            screen: f.agent.clone(),
            terminal: f.terminal.as_ref().map(|t| t.plate.name.clone()),
            place: f.terminal.as_ref().map(|t| t.plate.place.clone()),
            client: clients.join(", "),
            rights: f.scopes_at(registered.first(), now),
            timed: f.rights.iter().filter(|r| r.is_live(now)).map(|r| rights::item(r, now)).collect(),
            opened_at: f.opened_at.seconds(),
            until: f.until.seconds(),
            left_s: f.until.seconds() - now.seconds(),
            by: called(devices, &f.device).unwrap_or_default(),
            whose: name_unless(app, person, Some(&f.person)).await?,
            vouched_by: name_unless(app, person, f.vouched_by.as_ref()).await?,
            standing: session.standing.as_ref().map(|s| StandingItem {
                effect: s.effect.as_str().to_owned(),
                say: s.say.clone(),
                since: s.at.seconds(),
            }),
        });
    }
    Ok(open)
}

/// Name of somebody else than the person.
async fn name_unless(app: &App, person: &PersonId, id: Option<&PersonId>) -> Result<Option<String>, Fault> {
    let Some(other) = id.filter(|id| *id != person) else { return Ok(None) };
    Ok(app.store.named(other).await?.map(|n| n.name))
}

async fn activity(app: &App, person: &PersonId) -> Result<Vec<ActivityItem>, Fault> {
    let mut activity = Vec::new();
    for (_, event) in app.store.activity(person, 30).await? {
        let body: Value = serde_json::from_str(&event.body).unwrap_or(Value::Null);
        let opening = match event.ceremony.as_deref().map(str::parse) {
            Some(Ok(cid)) => app.store.ceremony(&cid).await?.map(|c| c.opening),
            _ => None,
        };
        activity.push(ActivityItem {
            at: Time(event.at).seconds(),
            kind: event.kind,
            purpose: opening.as_ref().map(|o| o.purpose),
            screen: opening.map(|o| o.terminal.map_or(o.agent, |t| t.plate.name)),
            cid: event.ceremony,
            code: body.get("code").and_then(Value::as_str).map(str::to_owned),
        });
    }
    Ok(activity)
}

/// What the person was told, but not on the device that it is about.
async fn notices(app: &App, by: &StoredDevice, devices: &[StoredDevice], now: Time) -> Result<Vec<NoticeItem>, Fault> {
    let told = app.store.notices_of(&by.device.person).await?;
    let others = told.into_iter().filter(|n| n.device.as_ref() != Some(&by.device.id));
    Ok(others
        .map(|n| NoticeItem {
            id: n.id.to_string(),
            undo: now < n.undo_until,
            device: n.device.as_ref().and_then(|id| called(devices, id)),
            kind: n.kind,
            at: n.at.seconds(),
        })
        .collect())
}

fn item(d: &StoredDevice, by: &StoredDevice, now: Time) -> DeviceItem {
    DeviceItem {
        id: d.device.id.to_string(),
        name: d.name.clone(),
        state: d.device.state.as_str().to_owned(),
        this: d.device.id == by.device.id,
        key: d.device.key.as_str().to_owned(),
        limited_until: d.device.limited_until.filter(|_| d.device.is_limited(now)).map(Time::seconds),
        added_at: d.device.added_at.seconds(),
        shared: d.device.is_shared(),
    }
}

/// Who acts, read anew for every attempt, as facts that the commit is held to.
pub(crate) struct Acting {
    pub device: Device,
    pub person: Person,
}

impl Acting {
    /// An active device of an active person, and not limited unless it only reports itself.
    pub async fn load(app: &App, by: &StoredDevice, target: Option<&DeviceId>, now: Time) -> Result<Acting, Fault> {
        let denied = || Fault::because(Refusal::Denied, "the acting device is not active, or limited");
        // Bound anew meanwhile means that another key acts for it now.
        let found = app.store.device(&by.device.id).await?.filter(|d| d.device.jkt == by.device.jkt);
        let device = found.ok_or_else(denied)?.device;
        let person = app.store.person(&device.person).await?.ok_or_else(denied)?;
        let itself = target == Some(&device.id);
        let active = device.state == DeviceState::Active && person.state == PersonState::Active;
        if active && (itself || !device.is_limited(now)) { Ok(Acting { device, person }) } else { Err(denied()) }
    }
    /// A row that the commit itself writes is its own guard.
    pub fn guard(&self, commit: &mut Commit, written: Option<&DeviceId>) {
        commit.guard(Table::Person, self.person.id.as_str(), self.person.version);
        if written != Some(&self.device.id) {
            commit.guard(Table::Device, self.device.id.as_str(), self.device.version);
        }
    }
}

async fn own_device(app: &App, by: &StoredDevice, id: &str) -> Result<StoredDevice, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such device of this person");
    let id: DeviceId = id.parse().map_err(|_| none())?;
    let found = app.store.device(&id).await?.ok_or_else(none)?;
    if found.device.person == by.device.person { Ok(found) } else { Err(none()) }
}

/// A device gets another name.
pub async fn rename(app: &App, ctx: &Context, by: &StoredDevice, id: &str, name: &str) -> Result<(), Fault> {
    let name = name_of(name)?;
    app.judged_anew(|_| async {
        let target = own_device(app, by, id).await?;
        let acting = Acting::load(app, by, Some(&target.device.id), ctx.now).await?;
        let mut event = app.event(Kind::DeviceRenamed, &ctx.txn, ctx.now);
        event.device = Some(target.device.id.clone());
        event.person = Some(by.device.person.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::device_renamed(&target.device, name));
        acting.guard(&mut commit, Some(&target.device.id));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// The device is lost: it can't approve any more, and all it opened is closed.
pub async fn lost(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    move_to(app, ctx, Some(by), id, DeviceState::Lost, None).await
}

/// A person leaves a phone that a shift shares: their seat ends, with all it opened.
pub async fn leave(app: &App, ctx: &Context, by: &StoredDevice) -> Result<(), Fault> {
    move_to(app, ctx, Some(by), by.device.id.as_str(), DeviceState::Retired, None).await
}

/// A waiting device is allowed by another of the person's devices.
pub async fn allow(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    if id == by.device.id.as_str() {
        return Err(Fault::because(Refusal::Denied, "a device never allows itself"));
    }
    move_to(app, ctx, Some(by), id, DeviceState::Active, None).await
}

/// A device that the person does not know is revoked.
pub async fn not_mine(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    move_to(app, ctx, Some(by), id, DeviceState::Revoked, None).await
}

/// An operator moves a device on.
pub async fn by_operator(app: &App, ctx: &Context, id: &str, to: DeviceState) -> Result<(), Fault> {
    move_to(app, ctx, None, id, to, None).await
}

async fn move_to(
    app: &App,
    ctx: &Context,
    by: Option<&StoredDevice>,
    id: &str,
    to: DeviceState,
    notice: Option<&str>,
) -> Result<(), Fault> {
    let moved = app.judged_anew(|_| async {
        let now = ctx.now;
        let target = match by {
            Some(by) => own_device(app, by, id).await?,
            None => {
                let id: DeviceId = id.parse().map_err(|_| Fault::from(Refusal::NoSuchThing))?;
                app.store.device(&id).await?.ok_or(Refusal::NoSuchThing)?
            }
        }
        .device;
        let acting = match by {
            Some(by) => Some(Acting::load(app, by, Some(&target.id), now).await?),
            None => None,
        };
        let undone = match by.zip(notice) {
            Some((by, id)) => Some(to_undo(app, by, id, now).await?),
            None => None,
        };
        if !may_move(target.state, to, acting.is_some()) {
            return Err(Fault::because(Refusal::Denied, "its life does not go there"));
        }
        if let Some(acting) = acting.as_ref().filter(|_| to == DeviceState::Active) {
            may_make(app, &acting.person, &acting.device, now)?;
        }
        let rests_on = match to {
            DeviceState::Active => seats::rests_on(app, &target).await?,
            _ => None,
        };
        let mut event = app
            .event(Kind::DeviceChanged, &ctx.txn, now)
            .fact("state", to.as_str())
            .fact("was", target.state.as_str());
        event.device = Some(target.id.clone());
        event.person = Some(target.person.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::device_moved(&target, to)).guards(rests_on);
        if let Some(acting) = &acting {
            acting.guard(&mut commit, Some(&target.id));
        }
        if let Some(notice) = &undone {
            commit.write(Write::notice_answered(notice, "undone"));
        }
        if to != DeviceState::Active {
            fell(app, &target, to, now, &mut commit).await?;
        }
        app.commit(commit).await?;
        Ok(target.id)
    });
    let id = moved.await?;
    if to != DeviceState::Active {
        // What it opened at that moment.
        sessions::end_every(app, || app.store.sessions_by_device(&id), to.as_str()).await?;
    }
    Ok(())
}

/// Whose word moves a device where. To act again is different things: a person allows a device that
/// waits, an operator resumes one that an operator suspended, and neither does the other's part.
fn may_move(from: DeviceState, to: DeviceState, by_person: bool) -> bool {
    let fits = match to {
        DeviceState::Active => from == if by_person { DeviceState::Pending } else { DeviceState::Suspended },
        _ => true,
    };
    fits && from.may_become(to)
}

/// Whatever depended on a device that fell: its passkeys, the sessions it opened, the ceremonies
/// it scanned.
pub(super) async fn fell(app: &App, target: &Device, to: DeviceState, now: Time, commit: &mut Commit) -> Result<(), Fault> {
    if to != DeviceState::Suspended {
        commit.write(Write::credentials_ended(&target.id));
    }
    commit.write(Write::push_unsubscribed(&target.id));
    commit.also(sessions::end_all_of_device(app, &target.id, to.as_str(), now).await?);
    cut(app, target, "device", now, commit).await
}

/// The ceremonies that a device scanned end.
pub(super) async fn cut(app: &App, target: &Device, why: &str, now: Time, commit: &mut Commit) -> Result<(), Fault> {
    for c in app.store.ceremonies_of_person(&target.person).await? {
        if c.scan_facts().is_some_and(|s| s.device == target.id) {
            let step = c.cut(why, now);
            commit.also(ended_along(app, &c, &step, now).await?);
        }
    }
    Ok(())
}

/// A notice about a device is for the person's other devices: it never vouches for itself.
async fn own_notice(app: &App, by: &StoredDevice, id: &str) -> Result<Notice, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such notice of this person");
    let id: NoticeId = id.parse().map_err(|_| none())?;
    let notice = app.store.notice(&id).await?.ok_or_else(none)?;
    // A device has no say about the notice that the others get about it.
    let about_it = notice.device.as_ref() == Some(&by.device.id);
    let theirs = notice.person == by.device.person && !about_it;
    if theirs && notice.state == "open" { Ok(notice) } else { Err(none()) }
}

/// "Undo it now": the device that was added or re-bound is revoked, with all it opened; a recovery is
/// stopped; codes end.
pub async fn notice_undo(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    let notice = to_undo(app, by, id, ctx.now).await?;
    match notice.kind.as_str() {
        recovery::ASKED => return recovery::stop(app, ctx, by, id).await,
        recovery::CODES => return recovery::codes::end(app, ctx, by, id).await,
        _ => {}
    }
    let target = notice.device.clone().ok_or(Fault::because(Refusal::Denied, "nothing to undo"))?;
    let ended = app.store.device(&target).await?.is_none_or(|d| !d.device.state.may_become(DeviceState::Revoked));
    if ended {
        // It ended in another way meanwhile: only the notice is left to answer.
        return answer(app, ctx, by, id, "undone").await;
    }
    move_to(app, ctx, Some(by), target.as_str(), DeviceState::Revoked, Some(id)).await
}

/// A notice that may still be undone. It is read after whatever it is about, and again after every lost race: another
/// tap, or what was undone itself, may have answered it.
pub(super) async fn to_undo(app: &App, by: &StoredDevice, id: &str, now: Time) -> Result<Notice, Fault> {
    let notice = own_notice(app, by, id).await?;
    if now >= notice.undo_until {
        return Err(Fault::because(Refusal::Gone, "undo no longer works"));
    }
    Ok(notice)
}

/// "It was me".
pub async fn notice_ok(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    answer(app, ctx, by, id, "ok").await
}

async fn answer(app: &App, ctx: &Context, by: &StoredDevice, id: &str, state: &'static str) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let notice = own_notice(app, by, id).await?;
        let acting = Acting::load(app, by, None, ctx.now).await?;
        let mut event =
            app.event(Kind::NoticeAnswered, &ctx.txn, ctx.now).fact("kind", notice.kind.as_str()).fact("answer", state);
        event.person = Some(by.device.person.clone());
        event.device = Some(by.device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::notice_answered(&notice, state));
        acting.guard(&mut commit, None);
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// A managing system knows a device by this name from now on: then it is managed, by that system's word.
pub async fn managed(app: &App, id: &str, by: &str, name: &str) -> Result<(), Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such device");
    if !app.config.signals.manages(by) || name.is_empty() || name.len() > 200 || !countersign_wire::jcs::is_plain(name) {
        return Err(Fault::because(Refusal::Malformed, "no system of that name that manages devices, or no name"));
    }
    let id: DeviceId = id.parse().map_err(|_| none())?;
    let device = app.store.device(&id).await?.ok_or_else(none)?.device;
    let now = app.now();
    let txn = app.txn(now);
    let mut event = app.event(Kind::DeviceManaged, &txn, now).fact("source", by);
    (event.device, event.person) = (Some(id.clone()), Some(device.person.clone()));
    let mut commit = Commit::new(event);
    commit.write(Write::managed_forgotten(by, &id)).write(Write::managed_named(by, name, &id, now));
    app.commit(commit).await?;
    let fact = Fact { name: Name::Managed, value: "yes".to_owned(), source: by.to_owned(), confidence: Confidence::Measured, at: now };
    signals::learn(app, &id, &txn, |known| Ok(known.learn(std::slice::from_ref(&fact)))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_allows_and_an_operator_resumes_and_never_the_other_way() {
        use DeviceState::{Active, Lost, Pending, Revoked, Suspended};
        assert!(may_move(Pending, Active, true) && may_move(Suspended, Active, false));
        assert!(!may_move(Suspended, Active, true), "a suspension is not lifted by the person's other device");
        assert!(!may_move(Pending, Active, false), "an operator never vouches for a person");
        for by_person in [true, false] {
            for dead in [Lost, Revoked] {
                assert!(!may_move(dead, Active, by_person) && !may_move(dead, Revoked, by_person));
            }
            assert!(may_move(Pending, Revoked, by_person) && may_move(Active, Lost, by_person));
        }
    }
}
