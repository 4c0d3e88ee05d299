//! Recovery codes: made on a device with a passkey, shown once, each good once.

use super::{CODES, active, asked, ticket};
use crate::app::devices::{Acting, to_undo};
use crate::app::issue::may_make;
use crate::app::noise::{self, What};
use crate::app::once::{burn, hashed, refuse_if_burnt};
use crate::app::passkey::{Judged, ask, judge};
use crate::app::people::is_login;
use crate::app::{App, Context, Fault, devices, enrol};
use countersign_store::sql::{Counter, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::device::DeviceState;
use countersign_trust::recovery::{CodesFacts, NoCode};
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{AssertionAsk, CodesMade, MakeCodes, Ticket, UseCode};
use countersign_wire::{PersonId, b64, recovery};

/// What stands in for the request of a challenge that is for making codes.
const FOR: &str = "recovery-codes";

/// What the passkey must sign before codes are made.
pub async fn options(app: &App, ctx: &Context, by: &StoredDevice) -> Result<AssertionAsk, Fault> {
    app.in_order()?;
    let acting = Acting::load(app, by, None, ctx.now).await?;
    let challenge: [u8; 32] = app.random();
    let mut event = app.event(Kind::PasskeyAsked, &ctx.txn, ctx.now).fact("for", FOR);
    event.person = Some(acting.person.id.clone());
    event.device = Some(acting.device.id.clone());
    let mut commit = Commit::new(event);
    let until = ctx.now.plus_s(limits::CHALLENGE_S);
    commit.write(Write::challenge_made(&hashed(&challenge), FOR, acting.device.jkt.as_str(), until));
    app.commit(commit).await?;
    let allow = app.store.credentials_of(&acting.person.id).await?.iter().map(|c| c.id.to_string()).collect();
    Ok(ask(app, &challenge, allow, &["client-device"], limits::CHALLENGE_S * 1_000))
}

/// New codes; those before are worth nothing from now on. Shown in this answer and never again.
pub async fn make(app: &App, ctx: &Context, by: &StoredDevice, body: &MakeCodes) -> Result<CodesMade, Fault> {
    app.judged_anew(|n| async move {
        let now = ctx.anew(app, n).now;
        let acting = Acting::load(app, by, None, now).await?;
        let made_for = (FOR, acting.device.jkt.as_str());
        let Judged { credential, counter, challenge_hash } = judge(app, ctx, &body.assertion, made_for, now).await?;
        if credential.person != acting.person.id {
            return Err(Fault::because(Refusal::BadProof, "another person's passkey"));
        }
        let keeper = app.store.device(&credential.device).await?.map(|d| d.device);
        let keeper = keeper
            .filter(|d| d.state == DeviceState::Active && !d.is_limited(now))
            .ok_or(Fault::because(Refusal::Denied, "the device of this passkey may not act"))?;
        may_make(app, &acting.person, &acting.device, now)?;
        may_make(app, &acting.person, &keeper, now)?;
        let person = &acting.person.id;
        let old = app.store.recovery_codes(person).await?;
        let codes: Vec<[u8; recovery::BYTES]> = (0..limits::RECOVERY_CODES).map(|_| app.random()).collect();
        let hashes = codes.iter().map(|code| b64::encode(&recovery::digest(code))).collect();
        let facts = CodesFacts::new(person, &acting.device.id, hashes, now);
        let mut event = app.event(Kind::RecoveryCodesMade, &ctx.txn, now).fact("codes", codes.len());
        event.person = Some(person.clone());
        event.device = Some(acting.device.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::challenge_used(&challenge_hash)).write(Write::credential_used(&credential, counter));
        commit.write(Write::recovery_codes_made(old.as_ref(), &facts));
        if app.store.devices_of(person).await?.len() > 1 {
            commit.write(Write::notice_given(&enrol::notice(app, person, CODES, Some(&acting.device.id), now)));
        }
        acting.guard(&mut commit, None);
        if keeper.id != acting.device.id {
            commit.guard(Table::Device, keeper.id.as_str(), keeper.version);
        }
        app.commit(commit).await?;
        Ok(CodesMade { codes: codes.iter().map(recovery::text).collect() })
    })
    .await
}

/// "Undo it now": the codes that a device of the person made are worth nothing.
pub async fn end(app: &App, ctx: &Context, by: &StoredDevice, notice: &str) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        let now = ctx.anew(app, n).now;
        let acting = Acting::load(app, by, None, now).await?;
        let notice = to_undo(app, by, notice, now).await?;
        let person = &acting.person.id;
        let mut event = app.event(Kind::RecoveryCodesEnded, &ctx.txn, now);
        event.person = Some(person.clone());
        event.device = Some(acting.device.id.clone());
        let mut commit = Commit::new(event);
        // A set that was made later is not what the notice is about.
        if let Some(set) = app.store.recovery_codes(person).await?.filter(|set| set.facts.made_at == notice.at) {
            let none = CodesFacts { codes: Vec::new(), ..set.facts.clone() };
            commit.write(Write::recovery_codes_made(Some(&set), &none));
        }
        commit.write(Write::notice_answered(&notice, "undone"));
        acting.guard(&mut commit, None);
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// A code lets one new device in: the key of `proof` and no other. What was wrong is not told.
pub async fn use_code(app: &App, ctx: &Context, proof: &Proof, body: &UseCode) -> Result<Ticket, Fault> {
    app.in_order()?;
    let whose = hashed(body.login.as_bytes());
    // Counted before anything is looked for, for names that nobody has as well.
    for count in [
        Counter::new("recover/source", &ctx.source(), 600, limits::RECOVERY_PER_SOURCE_10_MIN, ctx.now),
        Counter::new("recover/login", &whose, 3_600, limits::RECOVERY_PER_LOGIN_HOUR, ctx.now),
    ] {
        if !app.store.count_first(&count).await? {
            return Err(Fault::because(Refusal::TooMany, "recovery codes"));
        }
    }
    app.judged_anew(|n| async move { attempt(app, &ctx.anew(app, n), proof, body, n).await }).await
}

async fn attempt(app: &App, ctx: &Context, proof: &Proof, body: &UseCode, n: usize) -> Result<Ticket, Fault> {
    refuse_if_burnt(app, n, proof).await?;
    let now = ctx.now;
    let person = if is_login(&body.login) { app.store.person_by_login(&body.login).await? } else { None };
    let person = person.map(|named| named.person.id);
    let set = match &person {
        Some(id) => app.store.recovery_codes(id).await?,
        None => None,
    };
    // The same work whether there is such a person or not.
    let hash = recovery::parse(&body.code).map_or_else(|_| hashed(body.code.as_bytes()), |code| b64::encode(&recovery::digest(&code)));
    let (Some(id), Some(set)) = (&person, set) else {
        return refuse(app, ctx, person.as_ref(), "no such person, or no codes").await;
    };
    let after = match set.facts.used(&hash, now) {
        Ok(after) => after,
        Err(NoCode::Unknown) => return refuse(app, ctx, Some(id), "another code").await,
        Err(NoCode::Replayed) => return refuse(app, ctx, Some(id), "a code used before").await,
    };
    let Ok(who) = active(app, id).await else { return refuse(app, ctx, Some(id), "the person is not active").await };
    if devices::is_key_taken(app, &proof.jkt).await? {
        return refuse(app, ctx, Some(id), "a key that a device or a terminal has").await;
    }
    let txn = app.txn(now);
    let (given, facts, write) = ticket(app, id, Some(&proof.jkt), Vec::new(), &txn, now);
    let mut event = app
        .event(Kind::RecoveryCodeUsed, &txn, now)
        .fact("left", after.left())
        .fact("invitation", facts.id.as_str());
    event.person = Some(id.clone());
    let mut commit = Commit::new(event);
    commit.write(burn(proof)).write(write).write(Write::recovery_codes_made(Some(&set), &after));
    commit.write(Write::notice_given(&asked(app, id, facts.until, now)));
    commit.guard(Table::Person, who.id.as_str(), who.version);
    app.commit(commit).await?;
    Ok(given)
}

/// One answer for every reason; the log has which, and about whom.
async fn refuse(app: &App, ctx: &Context, person: Option<&PersonId>, because: &'static str) -> Result<Ticket, Fault> {
    let refusal = Refusal::NotRecovered;
    noise::admit(app, ctx, What::Refusal, refusal.code())?;
    let mut event = ctx.refusal_event(app, &ctx.txn).fact("step", "recovery_code").fact("because", because);
    event.refusal = Some(refusal);
    event.person = person.cloned();
    app.commit(Commit::new(event)).await?;
    Err(Fault::because(refusal, because).recorded())
}
