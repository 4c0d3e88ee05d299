//! The way back for whoever has no device left (docs/protocol.md §7). None of the ways is a sign-in:
//! each ends in a ticket for one new device, whose rights are reduced at first.
//!
//! 1. Another of the person's devices adds one, as ever (`ceremony::redeem`, `rebind`).
//! 2. A code on paper, made on a device before ([`codes`]).
//! 3. Two people of a named role, and a wait ([`officers`]; their approvals are ceremonies).
//! 4. The operator at the machine's console ([`operator`]).
//!
//! Every other device of the person is told at once, and each can stop it with one tap ([`stop`]).

pub mod codes;
pub mod officers;
pub mod operator;

use super::{App, Context, Fault, devices, enrol};
use countersign_store::sql::{Notice, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::DeviceState;
use countersign_trust::enrolment::{InvitationFacts, Vouched, Why};
use countersign_trust::principal::{Person, PersonState};
use countersign_trust::recovery::RequestState;
use countersign_trust::{Refusal, limits};
use countersign_wire::message::Ticket;
use countersign_wire::{PersonId, Thumbprint, Time, TxnId};

/// Somebody asks to get back in: told to every device that the person has.
pub const ASKED: &str = "recovery_asked";
/// New recovery codes were made: told to the other devices.
pub const CODES: &str = "recovery_codes";

/// What the person's devices hear, with a way to stop it until `until`.
pub(in crate::app) fn asked(app: &App, person: &PersonId, until: Time, now: Time) -> Notice {
    Notice { undo_until: until, ..enrol::notice(app, person, ASKED, None, now) }
}

/// What lets the new device enrol: an invitation for its key alone, or for whoever holds the link.
fn ticket(
    app: &App,
    person: &PersonId,
    jkt: Option<&Thumbprint>,
    vouched: Vec<Vouched>,
    txn: &TxnId,
    now: Time,
) -> (Ticket, InvitationFacts, Write) {
    let (token, facts) = enrol::invitation(app, person, Why::Recovery, jkt, vouched, txn, now);
    let write = Write::invitation_made(&facts);
    (Ticket { ticket: token, left_ms: limits::INVITATION_S * 1_000 }, facts, write)
}

/// The person, if they may act: who was locked or ended does not come back by this door.
async fn active(app: &App, person: &PersonId) -> Result<Person, Fault> {
    let found = app.store.person(person).await?.filter(|p| p.state == PersonState::Active);
    found.ok_or(Fault::because(Refusal::Denied, "the person is not active"))
}

/// One tap on any of the person's devices: whatever is under way to let somebody in as them ends,
/// and a device that came in by it since is revoked with all it opened.
pub async fn stop(app: &App, ctx: &Context, by: &StoredDevice, notice: &str) -> Result<(), Fault> {
    let person = &by.device.person;
    let asked_at = app.judged_anew(|n| async move {
        let now = ctx.anew(app, n).now;
        let device = app.store.device(&by.device.id).await?.filter(|d| d.device.state == DeviceState::Active);
        let device = device.ok_or(Fault::because(Refusal::Denied, "the acting device is not active"))?.device;
        let who = active(app, person).await?;
        let notice = devices::to_undo(app, by, notice, now).await?;
        let mut event = app.event(Kind::RecoveryStopped, &ctx.txn, now).fact("why", "person");
        event.person = Some(person.clone());
        event.device = Some(device.id.clone());
        let mut commit = Commit::new(event);
        commit.also(ended(app, person, RequestState::Stopped, now).await?);
        commit.write(Write::notice_answered(&notice, "undone"));
        commit.guard(Table::Person, who.id.as_str(), who.version);
        commit.guard(Table::Device, device.id.as_str(), device.version);
        app.commit(commit).await?;
        Ok(notice.at)
    })
    .await?;
    // From here on nothing more can come of it: these are all.
    for d in app.store.devices_of(person).await? {
        let since = d.device.recovered && d.device.added_at >= asked_at && d.device.id != by.device.id;
        if since && d.device.state.may_become(DeviceState::Revoked) {
            devices::by_operator(app, ctx, d.device.id.as_str(), DeviceState::Revoked).await?;
        }
    }
    Ok(())
}

/// Requests and tickets of recoveries end, each with its record.
async fn ended(app: &App, person: &PersonId, to: RequestState, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let (mut writes, mut events) = (Vec::new(), Vec::new());
    for request in app.store.recoveries_of(person).await? {
        writes.push(Write::recovery_moved(&request, to, &request.facts));
        let mut event = app
            .event(Kind::RecoveryStopped, &request.facts.txn, now)
            .fact("why", to.as_str())
            .fact("recovery", request.facts.id.as_str());
        event.person = Some(person.clone());
        events.push(event);
    }
    for open in app.store.invitations_of(person).await?.iter().filter(|i| i.facts.why == Why::Recovery) {
        writes.push(Write::invitation_moved(open, "ended", &open.facts));
        let mut event = app
            .event(Kind::InvitationEnded, &open.facts.txn, now)
            .fact("why", to.as_str())
            .fact("invitation", open.facts.id.as_str());
        event.person = Some(person.clone());
        events.push(event);
    }
    Ok((writes, events))
}
