//! Enrolment: an invitation, once, becomes a passkey and a device key.
//!
//! 1. Somebody is invited (`people::invite`), or a further device is approved on one that the
//!    person has ([`ticket`]).
//! 2. The new device looks at the invitation ([`look`]), begins ([`begin`]) and finishes
//!    ([`finish`]), each time with a proof by the key it brings.
//! 3. A browser that forgot its key comes back by passkey alone, as far as that passkey shows the
//!    device ([`super::rebind`]).

use super::attestation::{self, Made};
use super::people::{name_of, still_invited};
use super::once::{burn, hashed, refuse_if_burnt};
use super::{App, Context, Fault, devices, seats};
use crate::app::issue::{Ground, Vetoes, gate};
use countersign_store::sql::{Named, Notice, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::posture::Posture;
use countersign_trust::device::{Credential, Device, DeviceState, KeyClass};
use countersign_trust::enrolment::{Invitation, InvitationFacts, Vouched, Why};
use countersign_trust::issuance::Product;
use countersign_trust::presence::Presence;
use countersign_trust::principal::PersonState;
use countersign_trust::recovery::may_vouch;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::statement::Purpose;
use countersign_wire::message::{Creation, Enrolled, FinishEnrolment, Invited};
use countersign_wire::{
    DeviceId, InvitationId, NoticeId, PersonId, Thumbprint, Time, TxnId, b64,
};

/// A new invitation: the token for the person, and the facts, yet to be written.
pub fn invitation(
    app: &App,
    person: &PersonId,
    why: Why,
    jkt: Option<&Thumbprint>,
    vouched: Vec<Vouched>,
    txn: &TxnId,
    now: Time,
) -> (String, InvitationFacts) {
    let token = b64::encode(&app.random::<16>());
    let facts = InvitationFacts {
        id: InvitationId::new(now, app.id10()),
        txn: txn.clone(),
        token_hash: hashed(token.as_bytes()),
        person: person.clone(),
        why,
        jkt: jkt.cloned(),
        vouched,
        by: None,
        until: now.plus_s(limits::INVITATION_S),
        registration: None,
    };
    (token, facts)
}

/// The ticket that an approved further device gets: an invitation bound to its key.
pub fn ticket(
    app: &App,
    ctx: &Context,
    person: &PersonId,
    vouched: Vouched,
    jkt: &Thumbprint,
    txn: &TxnId,
) -> (String, InvitationFacts) {
    invitation(app, person, Why::Further, Some(jkt), vec![vouched], txn, ctx.now)
}

/// An invitation that counts for this key now, with what that rests on.
async fn open_invitation(app: &App, ctx: &Context, token: &str, jkt: &Thumbprint) -> Result<(Invitation, Vec<(Table, String, i64)>), Fault> {
    let over = || Fault::because(Refusal::InvitationOver, "used, old or unknown");
    let found = app.store.invitation_by_token(&hashed(token.as_bytes())).await?.ok_or_else(over)?;
    ctx.known_as("invitation", found.facts.id.as_str());
    if !found.is_open(jkt, ctx.now) {
        return Err(over());
    }
    let guards = match &found.facts.by {
        Some(by) => still_invited(app, by, ctx.now).await?.into(),
        None => Vec::new(),
    };
    Ok((found, guards))
}

/// What an invitation says, to whoever holds its token.
pub async fn look(app: &App, ctx: &Context, proof: &Proof, token: &str) -> Result<Invited, Fault> {
    app.in_order()?;
    let (open, _) = open_invitation(app, ctx, token, &proof.jkt).await?;
    let named = app.store.named(&open.facts.person).await?.ok_or(Refusal::InvitationOver)?;
    Ok(Invited {
        name: named.name,
        organisation: app.config.organisation.clone(),
        left_ms: ctx.now.ms_until(open.facts.until),
    })
}

/// Options for the new passkey. From here on only this key may finish.
pub async fn begin(app: &App, ctx: &Context, proof: &Proof, token: &str) -> Result<Creation, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let (open, guards) = open_invitation(app, ctx, token, &proof.jkt).await?;
        let named = app.store.named(&open.facts.person).await?.ok_or(Refusal::InvitationOver)?;
        if !matches!(named.person.state, PersonState::Invited | PersonState::Active) {
            return Err(Fault::because(Refusal::Denied, "person not active"));
        }
        let known = app.store.credentials_of(&open.facts.person).await?;
        let (creation, registration) = attestation::begin(app, &named, &known)?;
        let mut facts = open.facts.clone();
        facts.jkt = Some(proof.jkt.clone());
        facts.registration = Some(registration);
        let mut event = app.event(Kind::EnrolmentBegun, &facts.txn, ctx.now);
        event.person = Some(facts.person.clone());
        let mut commit = Commit::new(event);
        commit.write(burn(proof)).write(Write::invitation_moved(&open, "open", &facts)).guards(guards);
        app.commit(commit).await?;
        Ok(Creation { creation })
    })
    .await
}

/// The new passkey and the new device key; the invitation is used up in the same commit. With `on`, the proof of a phone that a
/// shift shares, the device is a seat there.
pub async fn finish(app: &App, ctx: &Context, proof: &Proof, on: Option<&Proof>, body: &FinishEnrolment) -> Result<Enrolled, Fault> {
    app.judged_anew(|n| attempt_finish(app, ctx, (proof, on), body, n)).await
}

async fn attempt_finish(app: &App, ctx: &Context, (proof, on): (&Proof, Option<&Proof>), body: &FinishEnrolment, n: usize) -> Result<Enrolled, Fault> {
    for proof in std::iter::once(proof).chain(on) {
        refuse_if_burnt(app, n, proof).await?;
    }
    let now = ctx.now;
    let name = name_of(&body.device_name)?;
    let Found { open, guards, named, others, made } = find(app, ctx, proof, body).await?;
    let facts = &open.facts;
    let mut event = app
        .event(Kind::DeviceEnrolled, &facts.txn, now)
        .fact("attestation", made.format.as_str())
        .fact("attested", made.attested)
        .fact("backup_eligible", made.backup_eligible);
    let format = made.format.clone();
    let recovered = facts.why == Why::Recovery;
    if recovered {
        event = event.fact("by", "recovery");
    }
    let mut seat = Vec::new();
    let (mut device, credential) = pair(app, proof, &facts.person, made, recovered, now);
    event.person = Some(facts.person.clone());
    event.device = Some(device.id.clone());
    if let Some(on) = on {
        let t = seats::vouching(app, ctx, on).await?;
        // What lets somebody back in is a device of their own.
        if recovered {
            return Err(Fault::because(Refusal::SharedPhone, "a recovery on a shared phone"));
        }
        event = event.fact("terminal", t.id.as_str());
        device.seat = Some(seats::taken(&t));
        seat = vec![burn(on), Write::terminal_taken(&t)];
    }
    let mut commit = Commit::new(event);
    commit.write(burn(proof)).writes(seat);
    commit.write(Write::invitation_moved(&open, "used", facts));
    commit.write(Write::device_added(&device, name));
    commit.write(Write::credential_added(&credential, &format, now));
    if named.person.state == PersonState::Invited {
        commit.write(Write::person_moved(&named.person, PersonState::Active));
        let mut event = app.event(Kind::PersonChanged, &facts.txn, now).fact("state", "active");
        event.person = Some(facts.person.clone());
        commit.event(event);
    } else {
        commit.guard(Table::Person, named.person.id.as_str(), named.person.version);
    }
    commit.guards(guards).guards(still_vouched(app, &facts.vouched, now).await?);
    // Where there is no other device there is nobody to tell, and later nothing to ask about.
    if !others.is_empty() {
        let told = if recovered { "device_recovered" } else { "device_added" };
        commit.write(Write::notice_given(&notice(app, &facts.person, told, Some(&device.id), now)));
    }
    if recovered {
        // From here on the notice about the device itself is the one that takes it back.
        let asked = app.store.notices_of(&facts.person).await?;
        commit.writes(asked.iter().filter(|n| n.kind == super::recovery::ASKED).map(|n| Write::notice_answered(n, "done")));
    }
    app.commit(commit).await?;
    Ok(Enrolled {
        device_id: device.id.to_string(),
        device_state: device.state.as_str().to_owned(),
        name: named.name,
        recovered,
    })
}

/// What an enrolment that may finish rests on.
struct Found {
    open: Invitation,
    guards: Vec<(Table, String, i64)>,
    named: Named,
    others: Vec<StoredDevice>,
    made: Made,
}

async fn find(app: &App, ctx: &Context, proof: &Proof, body: &FinishEnrolment) -> Result<Found, Fault> {
    let (open, guards) = open_invitation(app, ctx, &body.token, &proof.jkt).await?;
    let facts = &open.facts;
    let begun = facts.registration.clone().ok_or(Fault::because(Refusal::BadProof, "not begun"))?;
    let named = app.store.named(&facts.person).await?.ok_or(Refusal::InvitationOver)?;
    if !matches!(named.person.state, PersonState::Invited | PersonState::Active) {
        return Err(Fault::because(Refusal::Denied, "person not active"));
    }
    if devices::is_key_taken(app, &proof.jkt).await? {
        return Err(Fault::because(Refusal::BadProof, "a key that a device or a terminal has"));
    }
    let others = app.store.devices_of(&facts.person).await?;
    if facts.why == Why::First && others.iter().any(|d| d.device.state == DeviceState::Active && !d.device.is_shared()) {
        return Err(Fault::because(Refusal::InvitationOver, "the person has an active device by now"));
    }
    let made = attestation::finish(app, begun, &body.credential, ctx.now)?;
    if app.store.credential(&made.id).await?.is_some() {
        return Err(Fault::because(Refusal::BadProof, "a passkey that is registered already"));
    }
    Ok(Found { open, guards, named, others, made })
}

/// The new device and its passkey.
fn pair(app: &App, proof: &Proof, person: &PersonId, made: Made, recovered: bool, now: Time) -> (Device, Credential) {
    let device = Device {
        id: DeviceId::new(now, app.id10()),
        version: 1,
        person: person.clone(),
        state: DeviceState::Active,
        dk: proof.jwk.clone(),
        jkt: proof.jkt.clone(),
        key: KeyClass::Software,
        limited_until: recovered.then(|| now.plus_s(limits::LIMITED_S)),
        added_at: now,
        posture: Posture::default(),
        seen_at: None,
        signals: Vec::new(),
        recovered,
        seat: None,
    };
    let credential = Credential {
        id: made.id,
        version: 1,
        person: person.clone(),
        device: device.id.clone(),
        live: true,
        key: made.key,
        counter: made.counter,
        backup_eligible: made.backup_eligible,
        attested: made.attested,
    };
    (device, credential)
}

/// Each approval that lets a device in is judged once more, as it would be now; what it rests on is for
/// the commit.
pub(in crate::app) async fn still_vouched(app: &App, all: &[Vouched], now: Time) -> Result<Vec<(Table, String, i64)>, Fault> {
    let mut guards = Vec::new();
    for vouched in all {
        let vetoes = Vetoes::load(app, &vouched.person, &vouched.device, &vouched.credential, None).await?;
        if vouched.purpose == Purpose::Recover && (!may_vouch(vetoes.person.role) || vetoes.device.is_limited(now)) {
            return Err(Fault::because(Refusal::Denied, "somebody who approved may not any more"));
        }
        let ground = Ground {
            earned: vouched.earned,
            acr_values: &[],
            scopes: &[],
            channel: vouched.channel.as_str(),
            presence: Presence::of(&vouched.near),
            purpose: vouched.purpose,
            details: Vec::new(),
            collector: None,
        };
        gate(app, Product::EnrolmentTicket, &vetoes, &ground, now)?;
        guards.extend(vetoes.guards());
    }
    Ok(guards)
}

/// What every other channel of the person is told; about a device, with a way back.
pub fn notice(app: &App, person: &PersonId, kind: &str, device: Option<&DeviceId>, now: Time) -> Notice {
    Notice {
        id: NoticeId::new(now, app.id10()),
        version: 1,
        person: person.clone(),
        kind: kind.to_owned(),
        device: device.cloned(),
        at: now,
        state: "open".to_owned(),
        undo_until: if device.is_some() { now.plus_s(limits::UNDO_S) } else { now },
    }
}
