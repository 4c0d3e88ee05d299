//! A browser that forgot its key comes back by passkey alone: to the same device only if that
//! passkey cannot have been copied; otherwise as a new device that waits or has reduced rights.

use super::enrol::notice;
use super::issue::may_make;
use super::once::{burn, hashed, refuse_if_burnt};
use super::passkey::{Judged, ask, judge};
use super::people::name_of;
use super::{App, Context, Fault, devices};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::posture::Posture;
use countersign_trust::device::{Device, DeviceState, KeyClass};
use countersign_trust::principal::PersonState;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{AssertionAsk, Enrolled, Rebind};
use countersign_wire::DeviceId;

/// What stands in for the request of a challenge that is for re-binding.
const FOR: &str = "rebind";

/// Options for any passkey of this server.
pub async fn options(app: &App, ctx: &Context, proof: &Proof) -> Result<AssertionAsk, Fault> {
    app.in_order()?;
    let challenge: [u8; 32] = app.random();
    let mut commit = Commit::new(app.event(Kind::PasskeyAsked, &ctx.txn, ctx.now).fact("for", FOR));
    let until = ctx.now.plus_s(limits::CHALLENGE_S);
    commit.write(burn(proof));
    commit.write(Write::challenge_made(&hashed(&challenge), FOR, proof.jkt.as_str(), until));
    app.commit(commit).await?;
    Ok(ask(app, &challenge, Vec::new(), &["client-device"], limits::CHALLENGE_S * 1_000))
}

/// Judges the passkey and binds the new key.
pub async fn finish(app: &App, ctx: &Context, proof: &Proof, body: &Rebind) -> Result<Enrolled, Fault> {
    app.judged_anew(|n| attempt(app, ctx, proof, body, n)).await
}

async fn attempt(app: &App, ctx: &Context, proof: &Proof, body: &Rebind, n: usize) -> Result<Enrolled, Fault> {
    refuse_if_burnt(app, n, proof).await?;
    let now = ctx.now;
    let name = name_of(&body.device_name)?;
    let made_for = (FOR, proof.jkt.as_str());
    let Judged { credential, counter, challenge_hash } = judge(app, ctx, &body.assertion, made_for, now).await?;
    ctx.known_as("passkey", credential.id.as_str());
    let named = app.store.named(&credential.person).await?.ok_or(Refusal::Denied)?;
    if named.person.state != PersonState::Active {
        return Err(Fault::because(Refusal::Denied, "person not active"));
    }
    if devices::is_key_taken(app, &proof.jkt).await? {
        return Err(Fault::because(Refusal::BadProof, "a key that a device or a terminal has"));
    }
    let old = app.store.device(&credential.device).await?.ok_or(Refusal::Denied)?.device;
    // A passkey is no way around a device that was stopped.
    if old.state != DeviceState::Active {
        return Err(Fault::because(Refusal::Denied, "the device of this passkey may not act"));
    }
    may_make(app, &named.person, &old, now)?;
    let same = !credential.backup_eligible;
    let others = app.store.devices_of(&credential.person).await?;
    if !same && others.iter().filter(|d| d.device.state == DeviceState::Pending).count() >= limits::DEVICES_WAITING {
        return Err(Fault::because(Refusal::TooMany, "devices of this person wait already"));
    }
    let waits = !same && others.iter().any(|d| vouches(&d.device, &old) || disowned(&d.device));
    let fresh = Device {
        id: if same { old.id.clone() } else { DeviceId::new(now, app.id10()) },
        version: 1,
        person: credential.person.clone(),
        state: if waits { DeviceState::Pending } else { DeviceState::Active },
        dk: proof.jwk.clone(),
        jkt: proof.jkt.clone(),
        key: KeyClass::Software,
        limited_until: Some(now.plus_s(limits::LIMITED_S)),
        added_at: now,
        posture: Posture::default(),
        seen_at: None,
        signals: Vec::new(),
        recovered: old.recovered,
        seat: None,
    };
    let txn = &ctx.txn;
    let kind = if same { Kind::DeviceRebound } else { Kind::DeviceEnrolled };
    let mut event = app.event(kind, txn, now).fact("by", "passkey").fact("state", fresh.state.as_str());
    event.person = Some(fresh.person.clone());
    event.device = Some(fresh.id.clone());
    let mut commit = Commit::new(event);
    commit.write(burn(proof));
    commit.write(Write::challenge_used(&challenge_hash));
    commit.write(Write::credential_used(&credential, counter));
    commit.guard(Table::Person, named.person.id.as_str(), named.person.version);
    if same {
        commit.write(Write::device_rebound(&old, &fresh));
        commit.write(Write::push_unsubscribed(&old.id));
        // What the former key had in hand ends with it.
        devices::cut(app, &old, "rebound", now, &mut commit).await?;
    } else {
        commit.guard(Table::Device, old.id.as_str(), old.version);
        commit.write(Write::device_added(&fresh, name));
    }
    let told = if same { "device_rebound" } else { "device_added" };
    commit.write(Write::notice_given(&notice(app, &fresh.person, told, Some(&fresh.id), now)));
    app.commit(commit).await?;
    Ok(Enrolled {
        device_id: fresh.id.to_string(),
        device_state: fresh.state.as_str().to_owned(),
        name: named.name,
        recovered: fresh.recovered,
    })
}

/// Another device that could allow the new one. The one on which the passkey was registered may be
/// this very phone before it forgot its key.
fn vouches(device: &Device, old: &Device) -> bool {
    device.state == DeviceState::Active && device.id != old.id && !device.is_shared()
}

/// Somebody said of an earlier binding by passkey that it was not theirs: whoever has the passkey now
/// does not begin by acting.
fn disowned(device: &Device) -> bool {
    device.state == DeviceState::Revoked && device.limited_until.is_some()
}
