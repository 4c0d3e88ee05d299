//! Somebody works at a registered terminal without a phone, on somebody else's word
//! ([`countersign_trust::vouch`]).
//!
//! 1. [`asked`] makes an opening one of this kind: the person's name is all that they bring.
//! 2. [`may`] is asked of whoever scans and approves: another person, of a role that the client names.
//! 3. Their session takes the place of every other one on somebody's word ([`super::sessions::take_over`]), and they are [`told`].

use super::people::is_login;
use super::{App, Context, Fault, enrol};
use crate::app::issue::Vetoes;
use countersign_store::sql::Counter;
use countersign_store::Write;
use countersign_trust::acr::Earned;
use countersign_trust::ceremony::Ceremony;
use countersign_trust::client::Client;
use countersign_trust::device::Device;
use countersign_trust::policy::{Action, Facts};
use countersign_trust::presence::Presence;
use countersign_trust::principal::Person;
use countersign_trust::session::Session;
use countersign_trust::vouch::Vouching;
use countersign_trust::{Refusal, detail, limits};
use countersign_wire::statement::{Asked, Detail, DetailRow, Plate, Purpose};
use countersign_wire::{PersonId, Time};
use serde_json::json;

fn denied(why: &'static str) -> Fault {
    Fault::because(Refusal::Denied, why)
}

/// How a client takes people without a phone, if it does.
pub fn taken(client: &Client) -> Result<&Vouching, Fault> {
    client.without_phone.as_ref().ok_or(denied("this client takes nobody without a phone"))
}

/// What whoever vouches is asked, and for whom. A name that nobody has opens alike: whoever scans it is told.
pub async fn asked(app: &App, client: &Client, login: &str, plate: &Plate, asked: &Asked, acr_values: &[String]) -> Result<(Option<PersonId>, Asked), Fault> {
    let taken = taken(client)?;
    if !asked.details.is_empty() || !Earned::Vouched.satisfies(acr_values) {
        return Err(denied("more than somebody else's word can give"));
    }
    if !is_login(login) {
        return Err(Fault::because(Refusal::Malformed, "no login name"));
    }
    let named = app.store.person_by_login(login).await?;
    let name = named.as_ref().map_or_else(|| login.to_owned(), |n| n.name.clone());
    let row = |label: &str, value: &str| DetailRow { label: label.to_owned(), value: value.to_owned() };
    let words = Detail {
        r#type: detail::VOUCH.to_owned(),
        title: "Work without a phone, on your word".to_owned(),
        rows: vec![row("Who", &name), row("At", &plate.name), row("Minutes", &(taken.for_s / 60).to_string())],
        asked: json!({ "type": detail::VOUCH, "who": login, "at": plate.name, "for_s": taken.for_s }),
    };
    let asked = Asked { details: vec![words], message: Some(name), ..asked.clone() };
    Ok((named.map(|n| n.person.id), asked))
}

fn counter(by: &PersonId, now: Time) -> Counter {
    Counter::new("vouch", by.as_str(), 3_600, limits::VOUCHES_HOUR, now)
}

/// Whether this person may vouch for whom a ceremony is for, with this device: somebody else, who acts, and whom rules
/// let work; and not too often. Whoever vouches for nobody here hears nothing of anybody.
pub async fn may(app: &App, ctx: &Context, c: &Ceremony, by: &Person, device: &Device) -> Result<(), Fault> {
    let no = |why, say: &str| denied(why).saying(Some(say.to_owned()));
    let client = super::ceremony::client(app, c).await?.map(|c| c.client).ok_or(denied("no client"))?;
    let taken = taken(&client)?;
    if !taken.approved_by.contains(&by.role) {
        return Err(no("not of a role that vouches", "You are not one of those who can vouch for somebody here."));
    }
    let person = match &c.opening.vouches {
        Some(id) => app.store.person(id).await?,
        None => None,
    };
    let person = person.ok_or(no("nobody of that name", "Nobody here has that name."))?;
    if person.id == by.id {
        return Err(no("nobody vouches for themself", "Nobody can vouch for themselves."));
    }
    // As their session will be judged. Which rule it is, and why, is theirs to hear.
    let facts = Facts::of(&person, device, Some(&client), Purpose::SignIn, "frame", Presence::Strong, ctx.now).vouched_by(Some(by), ctx.now);
    if !taken.may(by, &person) || !app.policies.current().decide(Action::Continue, &facts, "").allowed {
        return Err(no("somebody who may not act", "This person can't work here now."));
    }
    let often = counter(&by.id, ctx.now);
    if app.store.used(&often).await? >= often.limit {
        return Err(Fault::because(Refusal::TooMany, "vouches"));
    }
    Ok(())
}

/// One more time that they did.
pub fn counted(by: &PersonId, now: Time) -> Write {
    Write::counted(&counter(by, now))
}

/// Whoever works on somebody's word is told so, on whatever devices they have.
pub fn told(app: &App, vetoes: &Vetoes, now: Time) -> Option<Write> {
    vetoes.voucher.as_ref()?;
    Some(Write::notice_given(&enrol::notice(app, &vetoes.person.id, "vouched", None, now)))
}

/// Sessions of others that rest on this person's word.
pub async fn vouched_by(app: &App, person: &PersonId) -> Result<Vec<Session>, countersign_store::StoreError> {
    let mut all = Vec::new();
    for device in app.store.devices_of(person).await? {
        let sessions = app.store.sessions_by_device(&device.device.id).await?;
        all.extend(sessions.into_iter().filter(|s| s.facts.vouched_by.as_ref() == Some(person)));
    }
    Ok(all)
}

/// Sessions of a person, and those that rest on their word.
pub async fn sessions_of(app: &App, person: &PersonId) -> Result<Vec<Session>, countersign_store::StoreError> {
    let mut all = app.store.sessions_of(person).await?;
    all.extend(vouched_by(app, person).await?);
    Ok(all)
}
