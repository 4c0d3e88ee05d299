//! Phones are told that something waits while nobody looks at their page (Web Push: RFC 8030, 8291, 8292).
//!
//! 1. A page subscribes at its browser's push service, with our key, and a device's proof brings what the browser gave
//!    ([`subscribe`]). An address comes from a stranger: only hosts that the operator lists are ever called, as guarded as every
//!    other address.
//! 2. A request that is offered to a person owes a word to their phones, in the same commit (`ceremony::open::offer`).
//! 3. [`courier`] sends it: that something waits, in as many bytes as ever, and nothing of who or what. The page asks what it is,
//!    with the device's own key, as it does when it is open.
//! 4. A client whose requests the person does not approve rings no phone for a while, and longer each time
//!    ([`countersign_trust::quiet`]). Its requests stand on the open page all the same.

pub mod courier;

use crate::app::devices::Acting;
use crate::app::{App, Context, Fault};
use crate::oidc::egress::Reach;
use countersign_store::sql::{StoredDevice, Subscription};
use countersign_store::{Commit, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::Device;
use countersign_trust::limits::SUBSCRIPTION_S;
use countersign_trust::{Refusal, limits};
use countersign_wire::message::{PushItem, Subscribe};
use countersign_wire::webpush::{self, Subscriber};
use countersign_wire::{Secret, Time, TxnId};
use std::sync::Arc;

/// What it is sealed for.
const SEALED: &str = "push";

/// How near a push service may be: never in a private network, and on this machine only where that may be reached.
fn reach(app: &App) -> Reach {
    Reach::of(app, false)
}

/// The key that phones subscribe with now, and as browsers read it.
fn key(app: &App) -> Option<(Arc<crate::app::keys::OwnSigner>, String)> {
    app.config.push.as_ref()?;
    let signer = app.keys.vapid()?;
    let text = webpush::public(signer.public())?;
    Some((signer, text))
}

/// What the page of a device needs; nothing where this server tells nobody.
pub async fn view(app: &App, by: &StoredDevice, now: Time) -> Result<Option<PushItem>, Fault> {
    let Some((signer, key)) = key(app) else { return Ok(None) };
    let found = app.store.subscription(&by.device.id, now).await?.filter(|s| s.jkt == by.device.jkt);
    let half = SUBSCRIPTION_S / 2;
    let renew = found.as_ref().is_some_and(|s| s.vapid != *signer.kid() || s.until <= now.plus_s(half));
    Ok(Some(PushItem { key, on: found.is_some(), renew }))
}

fn event(app: &App, kind: Kind, device: &Device, txn: &TxnId, now: Time) -> Event {
    let mut event = app.event(kind, txn, now);
    event.device = Some(device.id.clone());
    event.person = Some(device.person.clone());
    event
}

/// A device wants to be told.
pub async fn subscribe(app: &App, ctx: &Context, by: &StoredDevice, body: &Subscribe) -> Result<(), Fault> {
    let off = || Fault::because(Refusal::NoSuchThing, "nobody is told anything");
    let (Some(push), Some((signer, key))) = (&app.config.push, key(app)) else { return Err(off()) };
    if body.key != key {
        return Err(Fault::because(Refusal::Malformed, "subscribed with another key than ours"));
    }
    if push.endpoint(&body.endpoint, reach(app)).is_none() {
        return Err(Fault::because(Refusal::Denied, "a push service that is not listed"));
    }
    Subscriber::parse(&body.p256dh, &body.auth)?;
    let plain = serde_json::to_vec(body).map_err(|_| Fault::because(Refusal::Malformed, "a subscription"))?;
    let id = &by.device.id;
    let sealed = app.keys.seal_for(id.as_str(), SEALED, &Secret::new(plain));
    let sealed = sealed.map_err(|_| Fault::because(Refusal::Unavailable, "sealing"))?;
    app.judged_anew(|n| {
        let (sealed, vapid) = (sealed.clone(), signer.kid().clone());
        async move {
            let now = ctx.anew(app, n).now;
            let acting = Acting::load(app, by, Some(id), now).await?;
            let known = app.store.subscription(id, now).await?.is_some();
            let mut commit = Commit::new(event(app, Kind::PushOn, &acting.device, &ctx.txn, now).fact("renewed", known));
            commit.write(Write::push_subscribed(&Subscription {
                device: id.clone(),
                person: acting.person.id.clone(),
                jkt: acting.device.jkt.clone(),
                vapid,
                sealed,
                at: now,
                until: now.plus_s(limits::SUBSCRIPTION_S),
            }));
            acting.guard(&mut commit, None);
            app.commit(commit).await?;
            Ok(())
        }
    })
    .await
}

/// A device wants to be told no more.
pub async fn unsubscribe(app: &App, ctx: &Context, by: &StoredDevice) -> Result<(), Fault> {
    let device = &by.device;
    app.judged_anew(|n| async move {
        let now = ctx.anew(app, n).now;
        if app.store.subscription(&device.id, now).await?.is_none() {
            return Ok(());
        }
        let mut commit = Commit::new(event(app, Kind::PushOff, device, &ctx.txn, now).fact("why", "person"));
        commit.write(Write::push_unsubscribed(&device.id));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}
