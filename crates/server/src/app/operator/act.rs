//! What an operator does: ends, stops, and begins what others must approve. Nothing here approves, lets in or gives
//! back. Each act is recorded first; whoever does it afterwards is the same function as ever.

use super::see::{Whom, named, vouchers};
use super::Operator;
use crate::app::recovery::operator::announce;
use crate::app::touched::{self, Touched};
use crate::app::{App, Context, Fault, devices, sessions};
use countersign_store::sql::StoredDevice;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::DeviceState;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::{DeviceId, SessionId};
use serde::Serialize;

/// Why a session ended that an operator ended.
const WHY: &str = "operator";

fn acted(by: &Operator, app: &App, ctx: &Context, act: &'static str) -> Event {
    by.event(app, ctx, Kind::OperatorActed).fact("act", act)
}

/// Ends one session, with its tokens; whoever it served is told.
pub async fn end_session(app: &App, ctx: &Context, by: &Operator, id: &str, proof: &Proof) -> Result<(), Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such session, or it has ended");
    let id: SessionId = id.parse().map_err(|_| none())?;
    let session = app.store.session(&id).await?.filter(|s| s.ended.is_none()).ok_or_else(none)?;
    let mut event = acted(by, app, ctx, "end_session");
    event.session = Some(id);
    event.person = Some(session.facts.person.clone());
    event.device = Some(session.facts.device.clone());
    by.record(app, ctx, event, Some(proof)).await?;
    sessions::end(app, &session, WHY, app.now()).await
}

async fn target(app: &App, id: &str) -> Result<StoredDevice, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such device");
    let id: DeviceId = id.parse().map_err(|_| none())?;
    app.store.device(&id).await?.ok_or_else(none)
}

/// Stops a device for now: what it opened ends, and it approves nothing. Who resumes it is the console.
pub async fn suspend(app: &App, ctx: &Context, by: &Operator, id: &str, proof: &Proof) -> Result<(), Fault> {
    let device = target(app, id).await?.device;
    if !device.state.may_become(DeviceState::Suspended) {
        return Err(Fault::because(Refusal::Denied, "its life does not go there"));
    }
    let mut event = acted(by, app, ctx, "suspend_device");
    event.device = Some(device.id);
    event.person = Some(device.person);
    by.record(app, ctx, event, Some(proof)).await?;
    devices::by_operator(app, ctx, id, DeviceState::Suspended).await
}

/// Everything that a device touched of late, and what of it lives.
pub async fn touched(app: &App, id: &str) -> Result<Touched, Fault> {
    let device = target(app, id).await?.device;
    touched::since(app, &device.id, app.now().plus_s(-limits::TOUCHED_S)).await
}

/// How it stood before and after.
#[derive(Serialize)]
pub struct Undone {
    /// How many things lived that it touched.
    pub lived: usize,
    /// What is left.
    pub after: Touched,
}

/// Ends whatever lives of what a device touched, in one act: it counts as compromised from now on.
pub async fn end_touched(app: &App, ctx: &Context, by: &Operator, id: &str, proof: &Proof) -> Result<Undone, Fault> {
    let device = target(app, id).await?.device;
    let mut event = acted(by, app, ctx, "end_touched");
    event.device = Some(device.id.clone());
    event.person = Some(device.person);
    by.record(app, ctx, event, Some(proof)).await?;
    let (before, after) = touched::end(app, ctx, &device.id, app.now().plus_s(-limits::TOUCHED_S)).await?;
    Ok(Undone { lived: before.living(), after })
}

/// How somebody gets back in from here on.
#[derive(Serialize)]
pub struct Begun {
    /// Where the person goes with the new device.
    pub address: String,
    /// The login name to type there.
    pub login: String,
    /// Who may be one of the two, by name.
    pub vouchers: Vec<String>,
}

/// Begins to let somebody back in: their devices are told, and each can stop it. It lets nobody in: the new device
/// still needs two people who vouch, and the wait, like one that nobody announced.
pub async fn recovery(app: &App, ctx: &Context, by: &Operator, whom: &Whom, proof: &Proof) -> Result<Begun, Fault> {
    let who = named(app, whom).await?;
    if who.person.id == by.person {
        return Err(Fault::because(Refusal::Denied, "nobody begins it for themself"));
    }
    let vouchers = vouchers(app, &who.person.id).await?;
    let mut event = acted(by, app, ctx, "begin_recovery");
    event.person = Some(who.person.id.clone());
    by.record(app, ctx, event, Some(proof)).await?;
    announce(app, ctx, &who.person.id, &by.person).await?;
    Ok(Begun { address: format!("{}/recover", app.config.issuer), login: who.login, vouchers })
}
