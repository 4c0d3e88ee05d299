//! Badge mode: the same ceremony turned round. The phone shows a live code and a registered terminal reads it.
//!
//! 1. [`make`] gives the phone what frames are made of, once.
//! 2. [`read`] judges two frames that a terminal brought with its opening. The opening is then for that phone alone.
//! 3. The phone takes it, reads what any phone reads before an approval, and decides (`ceremony::scan::take`).

use super::ceremony::scan::{live, pair};
use super::issue::resting_on;
use super::once::{burn, hashed, refuse_if_burnt};
use super::{App, Context, Fault};
use countersign_store::sql::{Badge, Counter, StoredDevice};
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::device::{Device, DeviceState};
use countersign_trust::principal::PersonState;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::BadgeMade;
use countersign_wire::{b64, frame};

/// A fresh badge for a device; what it showed before is nothing any more.
pub async fn make(app: &App, ctx: &Context, by: &StoredDevice, proof: &Proof) -> Result<BadgeMade, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        app.in_order()?;
        let ctx: &Context = &ctx.anew(app, n);
        let device = app.store.device(&by.device.id).await?.ok_or(Refusal::BadProof)?.device;
        let person = app.store.person(&device.person).await?.ok_or(Refusal::Denied)?;
        if person.state != PersonState::Active || device.state != DeviceState::Active {
            return Err(Fault::because(Refusal::Denied, "person or device not active"));
        }
        let budget = Counter::new("badge", device.id.as_str(), 600, limits::BADGES_10_MIN, ctx.now);
        if app.store.used(&budget).await? >= budget.limit {
            return Err(Fault::because(Refusal::TooMany, "badges"));
        }
        let (handle, (serial, k)) = (app.random::<16>(), app.keys.k());
        let badge = Badge {
            id: hashed(&handle),
            device: device.id.clone(),
            k: serial,
            at: ctx.now,
            until: ctx.now.plus_s(limits::BADGE_S),
        };
        let mut event = app.event(Kind::BadgeMade, &ctx.txn, ctx.now);
        event.person = Some(device.person.clone());
        event.device = Some(device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(burn(proof)).write(Write::badges_forgotten(&device.id)).write(Write::badge_made(&badge));
        commit.write(Write::counted(&budget)).guards(resting_on(&person, &device, None));
        app.commit(commit).await?;
        let ck = frame::badge_key(k.expose(), &handle, device.id.as_str());
        Ok(BadgeMade { handle: b64::encode(&handle), ck: b64::encode(&ck), t_ms: 0, left_ms: ctx.now.ms_until(badge.until) })
    })
    .await
}

/// The badge that two frames are of, and whose it is. A picture of one has no second frame.
pub async fn read(app: &App, ctx: &Context, frames: &[String]) -> Result<(Badge, Device), Fault> {
    let dead = |why| Fault::because(Refusal::CodeNotLive, why);
    let [first, second] = frames else {
        return Err(Fault::because(Refusal::Malformed, "two frames of a badge"));
    };
    let (one, two) = pair(first, Some(second))?;
    let found = app.store.badge(&hashed(&one.handle), ctx.now).await?;
    // The same derivations whether the handle is known or not.
    let (serial, device) = found.as_ref().map_or((app.keys.k().0, String::new()), |b| (b.k, b.device.to_string()));
    let k = app.keys.k_by_serial(serial).ok_or_else(|| dead("its key is gone"))?;
    let ck = frame::badge_key(k.expose(), &one.handle, &device);
    let judged = live(one, two, &ck, found.as_ref().map_or(0, |b| ctx.now.ms_since(b.at)));
    let badge = found.ok_or_else(|| dead("unknown badge"))?;
    judged?;
    let device = app.store.device(&badge.device).await?.ok_or_else(|| dead("a badge of no device"))?.device;
    if device.state != DeviceState::Active {
        return Err(dead("a badge of a device that does not act"));
    }
    Ok((badge, device))
}
