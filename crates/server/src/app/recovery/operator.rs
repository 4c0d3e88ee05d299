//! The operator at the machine's console lets a person back in: the way for the only administrator.
//! It takes the configuration, the store and the key that seals the server's keys; no door of the
//! server leads there. From the operator's page a recovery is only announced.

use super::{active, asked, ticket};
use crate::app::people::uninvited;
use crate::app::{App, Context, Fault, devices};
use countersign_store::{Commit, Table, Write};
use countersign_trust::{Refusal, limits};
use countersign_trust::audit::Kind;
use countersign_trust::device::DeviceState;
use countersign_trust::principal::PersonState;
use countersign_wire::PersonId;
use countersign_wire::message::Invitation;

/// A link for one new device of a person who has none left; `lost` ones end with all they opened.
pub async fn begin(app: &App, ctx: &Context, login: &str, lost: &[String]) -> Result<Invitation, Fault> {
    let none = || Fault::because(Refusal::NoSuchThing, "no such login");
    let named = app.store.person_by_login(login).await?.ok_or_else(none)?;
    let theirs = app.store.devices_of(&named.person.id).await?;
    for id in lost {
        let known = theirs.iter().find(|d| d.device.id.as_str() == id);
        let known = known.ok_or(Fault::because(Refusal::NoSuchThing, "no such device of this person"))?;
        if known.device.state != DeviceState::Lost {
            devices::by_operator(app, ctx, id, DeviceState::Lost).await?;
        }
    }
    app.judged_anew(|_| async {
        let now = app.now();
        let person = app.store.person(&named.person.id).await?.ok_or_else(none)?;
        if person.state != PersonState::Active {
            return Err(Fault::because(Refusal::Denied, "the person is not active"));
        }
        let txn = app.txn(now);
        let (given, facts, write) = ticket(app, &person.id, None, Vec::new(), &txn, now);
        let mut event = app
            .event(Kind::RecoveryBegun, &txn, now)
            .fact("by", "console")
            .fact("invitation", facts.id.as_str());
        event.person = Some(person.id.clone());
        let mut commit = Commit::new(event);
        commit.also(uninvited(app, &person.id, &txn, "invited_again", now).await?).write(write);
        commit.write(Write::notice_given(&asked(app, &person.id, facts.until, now)));
        commit.guard(Table::Person, person.id.as_str(), person.version);
        app.commit(commit).await?;
        Ok(Invitation { link: format!("{}/enrol#{}", app.config.issuer, given.ticket), left_ms: given.left_ms })
    })
    .await
}

/// Tells a person's devices that somebody is about to get back in as them; any of them can stop what comes of it. No
/// ticket, no approval: it only makes sure that the person hears of it before anything is asked.
pub async fn announce(app: &App, ctx: &Context, person: &PersonId, by: &PersonId) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        let now = ctx.anew(app, n).now;
        let who = active(app, person).await?;
        let mut event = app.event(Kind::RecoveryBegun, &ctx.txn, now).fact("by", by.as_str());
        event.person = Some(who.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::notice_given(&asked(app, &who.id, now.plus_s(limits::RECOVERY_S), now)));
        commit.guard(Table::Person, who.id.as_str(), who.version);
        app.commit(commit).await?;
        Ok(())
    })
    .await
}
