//! People: invited, locked, ended. Nobody approves for them.

use super::enrol::invitation;
use super::{App, Context, Fault, sessions, vouch, workloads};
use super::issue::may_make;
use countersign_store::sql::{Named, StoredDevice};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::device::{Device, DeviceState};
use countersign_trust::enrolment::{InvitedBy, Why};
use countersign_trust::limits;
use countersign_trust::principal::{Person, PersonState, Role};
use countersign_trust::signal::Subject;
use countersign_wire::message::{Invitation, Invite};
use countersign_wire::{PersonId, Time, TxnId, jcs};

/// Who invites from a device: a guarded fact of the commit.
pub struct Inviter<'a> {
    /// The administrator.
    pub named: &'a Named,
    /// Their device.
    pub device: &'a StoredDevice,
}

/// A name that people are shown, without the blanks around it: 1 to 80 plain characters.
pub fn name_of(text: &str) -> Result<&str, Fault> {
    let name = text.trim();
    let good = !name.is_empty() && name.chars().count() <= limits::NAME_CHARS && jcs::is_plain(name);
    if good { Ok(name) } else { Err(Fault::because(Refusal::Malformed, "a name of 1 to 80 plain characters")) }
}

/// Whether a text can be a login name at all.
pub fn is_login(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@+".contains(&b))
        && jcs::is_plain(text)
}

/// Invites a person to enrol a first device. A person who has an active device adds others by it.
pub async fn invite(app: &App, name: &str, login: &str, role: Role, by: Option<&Inviter<'_>>) -> Result<Invitation, Fault> {
    let name = name_of(name)?;
    if !is_login(login) {
        return Err(Fault::because(Refusal::Malformed, "a login of a-z 0-9 . _ - @ +"));
    }
    app.judged_anew(|_| async {
        let now = app.now();
        let txn = app.txn(now);
        let mut writes = Vec::new();
        let mut guards = Vec::new();
        let mut ended = (Vec::new(), Vec::new());
        let person = match app.store.person_by_login(login).await? {
            Some(known) => {
                if !matches!(known.person.state, PersonState::Invited | PersonState::Active) {
                    return Err(Fault::because(Refusal::Denied, "person locked or ended"));
                }
                if known.person.role != role {
                    return Err(Fault::because(Refusal::Denied, "this login has another role"));
                }
                let devices = app.store.devices_of(&known.person.id).await?;
                if devices.iter().any(|d| d.device.state == DeviceState::Active && !d.device.is_shared()) {
                    return Err(Fault::because(Refusal::Denied, "a further device is added by approving it on the first"));
                }
                guards.push((Table::Person, known.person.id.to_string(), known.person.version));
                ended = uninvited(app, &known.person.id, &txn, "invited_again", now).await?;
                known.person.id
            }
            None => {
                let id = PersonId::new(now, app.id10());
                writes.push(Write::person_added(&id, PersonState::Invited, role, now));
                writes.push(Write::name_given(&id, name, login));
                id
            }
        };
        let (token, mut facts) = invitation(app, &person, Why::First, None, Vec::new(), &txn, now);
        facts.by = by.map(|by| InvitedBy { person: by.named.person.id.clone(), device: by.device.device.id.clone() });
        writes.push(Write::invitation_made(&facts));
        let mut event = app
            .event(Kind::InvitationMade, &txn, now)
            .fact("why", "first")
            .fact("role", role.as_str())
            .fact("invitation", facts.id.as_str());
        event.person = Some(person);
        if let Some(by) = by {
            event = event.fact("by", by.named.person.id.as_str());
            guards.push((Table::Person, by.named.person.id.to_string(), by.named.person.version));
            guards.push((Table::Device, by.device.device.id.to_string(), by.device.device.version));
        }
        let mut commit = Commit::new(event);
        if let Some(by) = by {
            let mut event = app.event(Kind::PersonInvited, &txn, now).fact("invitation", facts.id.as_str());
            event.person = Some(by.named.person.id.clone());
            event.device = Some(by.device.device.id.clone());
            commit.event(event);
        }
        commit.also(ended).writes(writes).guards(guards);
        app.commit(commit).await?;
        Ok(Invitation {
            link: format!("{}/enrol#{token}", app.config.issuer),
            left_ms: limits::INVITATION_S * 1_000,
        })
    })
    .await
}

/// Whatever invites a person ends, each with its record.
pub(super) async fn uninvited(app: &App, person: &PersonId, txn: &TxnId, why: &str, now: Time) -> Result<(Vec<Write>, Vec<Event>), Fault> {
    let open = app.store.invitations_of(person).await?;
    let writes = open.iter().map(|i| Write::invitation_moved(i, "ended", &i.facts)).collect();
    let events = open.iter().map(|i| {
        let mut event =
            app.event(Kind::InvitationEnded, txn, now).fact("why", why).fact("invitation", i.facts.id.as_str());
        event.person = Some(person.clone());
        event
    });
    Ok((writes, events.collect()))
}

/// Whether a person may invite by this device now: an administrator, by an active one with full rights that rules do not stop.
fn may_invite(app: &App, person: &Person, device: &Device, now: Time) -> Result<(), Fault> {
    let may = person.role == Role::Administrator
        && person.state == PersonState::Active
        && device.state == DeviceState::Active
        && !device.is_limited(now);
    if !may {
        return Err(Fault::because(Refusal::Denied, "not an administrator with an active device"));
    }
    may_make(app, person, device, now)
}

/// Whoever invited is judged once more, as if they invited now; what that rests on is for the commit.
pub(super) async fn still_invited(app: &App, by: &InvitedBy, now: Time) -> Result<[(Table, String, i64); 2], Fault> {
    let over = || Fault::because(Refusal::InvitationOver, "whoever invited may not any more");
    let named = app.store.named(&by.person).await?.ok_or_else(over)?;
    let device = app.store.device(&by.device).await?.ok_or_else(over)?.device;
    may_invite(app, &named.person, &device, now).map_err(|_| over())?;
    Ok([(Table::Person, by.person.to_string(), named.person.version), (Table::Device, by.device.to_string(), device.version)])
}

/// An administrator invites from a device.
pub async fn invite_by_device(app: &App, ctx: &Context, device: &StoredDevice, body: &Invite) -> Result<Invitation, Fault> {
    let denied = |why| Fault::because(Refusal::Denied, why);
    let named = app.store.named(&device.device.person).await?.ok_or_else(|| denied("no person"))?;
    may_invite(app, &named.person, &device.device, ctx.now)?;
    let role = match body.role.as_deref() {
        None => Role::Member,
        Some(word) => Role::parse(word).ok_or(Fault::because(Refusal::Malformed, "role"))?,
    };
    if role == Role::Operator {
        return Err(denied("operators are named by command alone"));
    }
    invite(app, &body.name, &body.login, role, Some(&Inviter { named: &named, device })).await
}

/// Gives a person another role. What they have open is judged again: a session that rested on the old role ends.
pub async fn give_role(app: &App, login: &str, role: Role) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let now = app.now();
        let named = app.store.person_by_login(login).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no such login"))?;
        let person = named.person;
        if person.state == PersonState::Ended || person.role == role {
            return Err(Fault::because(Refusal::Denied, "ended, or of that role already"));
        }
        let txn = app.txn(now);
        let mut event = app
            .event(Kind::PersonChanged, &txn, now)
            .fact("role", role.as_str())
            .fact("was", person.role.as_str());
        event.person = Some(person.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::person_role(&person, role));
        commit.write(Write::to_judge(Some(&Subject::Person(person.id)), &txn, now));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// Locks, unlocks or ends a person. Whatever they have open ends with them, and so does what they
/// opened at that moment.
pub async fn change(app: &App, login: &str, to: PersonState) -> Result<(), Fault> {
    let person = app.judged_anew(|_| async {
        let now = app.now();
        let named = app.store.person_by_login(login).await?.ok_or(Fault::because(Refusal::NoSuchThing, "no such login"))?;
        let from = named.person.state;
        let allowed = matches!(
            (from, to),
            (PersonState::Active, PersonState::Locked) | (PersonState::Locked, PersonState::Active)
        ) || (to == PersonState::Ended && from != PersonState::Ended);
        if !allowed {
            return Err(Fault::because(Refusal::Denied, "not from this state"));
        }
        let txn = app.txn(now);
        let mut event = app.event(Kind::PersonChanged, &txn, now).fact("state", to.as_str()).fact("was", from.as_str());
        event.person = Some(named.person.id.clone());
        let mut commit = Commit::new(event);
        commit.write(Write::person_moved(&named.person, to));
        if to != PersonState::Active {
            for session in vouch::sessions_of(app, &named.person.id).await? {
                commit.also(sessions::ending(app, &session, to.as_str(), now).await?);
            }
            for c in app.store.ceremonies_of_person(&named.person.id).await? {
                let step = c.cut(to.as_str(), now);
                commit.also(super::ceremony::ended_along(app, &c, &step, now).await?);
            }
        }
        if to == PersonState::Ended {
            commit.also(uninvited(app, &named.person.id, &txn, "ended", now).await?);
            commit.also(workloads::without_owner(app, &named.person.id, &txn, now).await?);
            for d in app.store.devices_of(&named.person.id).await? {
                if d.device.state.may_become(DeviceState::Revoked) {
                    commit.write(Write::device_moved(&d.device, DeviceState::Revoked));
                    commit.write(Write::credentials_ended(&d.device.id));
                    commit.write(Write::push_unsubscribed(&d.device.id));
                    let mut event = app.event(Kind::DeviceChanged, &txn, now).fact("state", "revoked").fact("was", d.device.state.as_str());
                    event.device = Some(d.device.id.clone());
                    event.person = Some(named.person.id.clone());
                    commit.event(event);
                }
            }
        }
        app.commit(commit).await?;
        Ok(named.person.id)
    });
    let person = person.await?;
    if to != PersonState::Active {
        sessions::end_every(app, || vouch::sessions_of(app, &person), to.as_str()).await?;
    }
    Ok(())
}
