//! What a person sees and does about their devices and sessions, from a device of theirs.

use super::ceremony::{decide::is_name, ended_along};
use super::{App, Context, Fault, sessions};
use countersign_store::sql::{Notice, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::Kind;
use countersign_trust::device::{Device, DeviceState};
use countersign_wire::message::{ActivityItem, DeviceItem, Me, NoticeItem, Overview, SessionItem};
use countersign_wire::{DeviceId, NoticeId, Time};
use serde_json::Value;

/// Everything the overview page shows.
pub async fn overview(app: &App, ctx: &Context, by: &StoredDevice) -> Result<Overview, Fault> {
    let now = ctx.now;
    let named = app.store.named(&by.device.person).await?.ok_or(Refusal::Denied)?;
    let person = &named.person.id;
    let stored = app.store.devices_of(person).await?;
    let name_of = |id: &DeviceId| stored.iter().find(|d| d.device.id == *id).map(|d| d.name.clone());
    let mut open = Vec::new();
    for session in app.store.sessions_of(person).await? {
        if !session.is_live(now) {
            continue;
        }
        let f = &session.facts;
        let mut clients = Vec::new();
        for id in &f.clients {
            if let Some(client) = app.store.client(id).await? {
                clients.push(client.client.name);
            }
        }
        open.push(SessionItem {
            id: f.id.to_string(),
            screen: f.agent.clone(),
            client: clients.join(", "),
            rights: f.scopes.clone(),
            opened_at: f.opened_at.seconds(),
            until: f.until.seconds(),
            left_s: f.until.seconds() - now.seconds(),
            by: name_of(&f.device).unwrap_or_default(),
        });
    }
    let mut activity = Vec::new();
    for (_, event) in app.store.activity(person, 30).await? {
        let body: Value = serde_json::from_str(&event.body).unwrap_or(Value::Null);
        let screen = match event.ceremony.as_deref().map(str::parse) {
            Some(Ok(cid)) => app.store.ceremony(&cid).await?.map(|c| c.opening.agent),
            _ => None,
        };
        activity.push(ActivityItem {
            at: Time(event.at).seconds(),
            kind: event.kind,
            screen,
            cid: event.ceremony,
            code: body.get("code").and_then(Value::as_str).map(str::to_owned),
        });
    }
    let notices = app
        .store
        .notices_of(person)
        .await?
        .into_iter()
        .filter(|n| n.device.as_ref() != Some(&by.device.id))
        .map(|n| NoticeItem {
            id: n.id.to_string(),
            undo: n.device.is_some() && now < n.undo_until,
            device: n.device.as_ref().and_then(name_of),
            kind: n.kind,
            at: n.at.seconds(),
        })
        .collect();
    let devices = stored.iter().map(|d| item(d, by, now)).collect();
    Ok(Overview {
        me: Me { name: named.name, role: named.person.role.as_str().to_owned() },
        device: by.device.id.to_string(),
        devices,
        sessions: open,
        activity,
        notices,
    })
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
    }
}

/// The acting device, as a guarded fact: active, and not limited unless it only reports itself.
fn may_act(by: &StoredDevice, target: Option<&Device>, now: Time) -> Result<(), Fault> {
    let itself = target.is_some_and(|t| t.id == by.device.id);
    let active = by.device.state == DeviceState::Active;
    if active && (itself || !by.device.is_limited(now)) {
        Ok(())
    } else {
        Err(Fault::because(Refusal::Denied, "the acting device is not active, or limited"))
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
    if !is_name(name) {
        return Err(Fault::because(Refusal::Malformed, "a device name of 1 to 80 plain characters"));
    }
    app.settled(|_| async {
        let target = own_device(app, by, id).await?;
        may_act(by, Some(&target.device), ctx.now)?;
        let mut event = app.event(Kind::DeviceRenamed, &ctx.txn, ctx.now);
        event.device = Some(target.device.id.clone());
        event.person = Some(by.device.person.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::device_renamed(&target.device, name.trim()));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// The device is lost: it can't approve any more, and all it opened is closed.
pub async fn lost(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    move_to(app, ctx, Some(by), id, DeviceState::Lost, None).await
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
    notice: Option<&Notice>,
) -> Result<(), Fault> {
    app.settled(|_| async {
        let now = ctx.now;
        let target = match by {
            Some(by) => own_device(app, by, id).await?,
            None => {
                let id: DeviceId = id.parse().map_err(|_| Fault::from(Refusal::NoSuchThing))?;
                app.store.device(&id).await?.ok_or(Refusal::NoSuchThing)?
            }
        }
        .device;
        if let Some(by) = by {
            may_act(by, Some(&target), now)?;
        }
        if !target.state.may_become(to) {
            return Err(Fault::because(Refusal::Denied, "its life does not go there"));
        }
        let mut event = app
            .event(Kind::DeviceChanged, &ctx.txn, now)
            .fact("state", to.as_str())
            .fact("was", target.state.as_str());
        event.device = Some(target.id.clone());
        event.person = Some(target.person.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::device_moved(&target, to));
        if let Some(by) = by.filter(|b| b.device.id != target.id) {
            commit.guard(Table::Device, by.device.id.as_str(), by.device.version);
        }
        if let Some(notice) = notice {
            commit.write(Write::notice_answered(notice, "undone"));
        }
        if to != DeviceState::Active {
            fell(app, &target, to, now, &mut commit).await?;
        }
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// Whatever depended on a device that fell: its passkeys, the sessions it opened, the ceremonies
/// it scanned.
async fn fell(app: &App, target: &Device, to: DeviceState, now: Time, commit: &mut Commit) -> Result<(), Fault> {
    if to != DeviceState::Suspended {
        commit.write(Write::credentials_ended(&target.id));
    }
    let (writes, events) = sessions::end_all_of_device(app, &target.id, to.as_str(), now).await?;
    commit.writes(writes);
    for event in events {
        commit.event(event);
    }
    for c in app.store.ceremonies_of_person(&target.person).await? {
        if c.scan_facts().is_some_and(|s| s.device == target.id) {
            let step = c.cut("device", now);
            let (writes, events) = ended_along(app, &c, &step, now);
            commit.writes(writes);
            for event in events {
                commit.event(event);
            }
        }
    }
    Ok(())
}

/// A notice about a device is for the person's other devices: it never vouches for itself.
async fn own_notice(app: &App, by: &StoredDevice, id: &str) -> Result<Notice, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such notice of this person");
    let id: NoticeId = id.parse().map_err(|_| none())?;
    let notice = app.store.notice(&id).await?.ok_or_else(none)?;
    let about_itself = notice.device.as_ref() == Some(&by.device.id);
    if notice.person == by.device.person && notice.state == "open" && !about_itself { Ok(notice) } else { Err(none()) }
}

/// "Undo it now": the device that was added or re-bound is revoked, with all it opened.
pub async fn notice_undo(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    let notice = own_notice(app, by, id).await?;
    let target = notice.device.clone().ok_or(Fault::because(Refusal::Denied, "nothing to undo"))?;
    if ctx.now >= notice.undo_until {
        return Err(Fault::because(Refusal::Gone, "undo no longer works"));
    }
    move_to(app, ctx, Some(by), target.as_str(), DeviceState::Revoked, Some(&notice)).await
}

/// "It was me".
pub async fn notice_ok(app: &App, ctx: &Context, by: &StoredDevice, id: &str) -> Result<(), Fault> {
    app.settled(|_| async {
        let notice = own_notice(app, by, id).await?;
        may_act(by, None, ctx.now)?;
        let mut event = app.event(Kind::NoticeAnswered, &ctx.txn, ctx.now).fact("kind", notice.kind.as_str());
        event.person = Some(by.device.person.clone());
        event.device = Some(by.device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::notice_answered(&notice, "ok"));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}
