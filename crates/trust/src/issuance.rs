//! The one gate. Every session, code and token passes [`permit`], whatever asked for it, and the
//! [`Permit`] it leaves behind is demanded by whoever makes the thing.

use crate::Refusal;
use crate::acr::Earned;
use crate::client::Client;
use crate::device::{Credential, Device, DeviceState};
use crate::policy::Ruling;
use crate::principal::{Person, PersonState};
use crate::session::Session;
use countersign_wire::{ClientId, PersonId, Time};

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Countersign's own session.
    Session,
    /// An authorization code.
    Code,
    /// ID and access token.
    Tokens,
    /// An answer about the person at the userinfo endpoint.
    UserInfo,
    /// An answer about a token at the introspection endpoint.
    Introspection,
    /// An answer of the decision point about a session or token.
    Decision,
    /// A ticket to enrol a further device.
    EnrolmentTicket,
}

/// Everything that can veto, re-read just now.
pub struct Facts<'a> {
    /// Whose.
    pub person: &'a Person,
    /// By which device.
    pub device: &'a Device,
    /// By which passkey.
    pub credential: &'a Credential,
    /// For whom; `None` for our own enrolment.
    pub client: Option<&'a Client>,
    /// In which session; `None` when this makes one.
    pub session: Option<&'a Session>,
    /// What policy says to it.
    pub ruling: &'a Ruling,
    /// What was earned.
    pub earned: Earned,
    /// Classes that were asked for.
    pub acr_values: &'a [String],
    /// Types of the authorization details that go along.
    pub details: &'a [String],
}

/// The gate was passed, for this person and client, with these scopes. Only [`permit`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    person: PersonId,
    client: Option<ClientId>,
    scopes: Vec<String>,
}

impl Permit {
    /// Whose.
    pub fn person(&self) -> &PersonId {
        &self.person
    }
    /// For whom.
    pub fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }
    /// Scopes that policy leaves.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }
}

/// Judges everything once more. Out of order means closed: whatever is not plainly good is refused.
pub fn permit(product: Product, facts: &Facts<'_>, now: Time) -> Result<Permit, Refusal> {
    let Facts { person, device, credential, client, session, ruling, earned, acr_values, details } = facts;
    let person_good = person.state == PersonState::Active;
    let device_good = device.state == DeviceState::Active && device.person == person.id;
    let credential_good = credential.live && credential.person == person.id;
    if !person_good || !device_good || !credential_good {
        return Err(Refusal::Denied);
    }
    if let Some(client) = client {
        if client.disabled {
            return Err(Refusal::Denied);
        }
        use countersign_wire::statement::Boundary;
        let needs = match product {
            Product::Tokens | Product::Code | Product::UserInfo | Product::Introspection => Boundary::Tokens,
            Product::Session | Product::Decision => Boundary::Session,
            Product::EnrolmentTicket => return Err(Refusal::Denied),
        };
        if client.boundary < needs || details.iter().any(|d| !client.detail_types.contains(d)) {
            return Err(Refusal::Denied);
        }
    } else if product != Product::EnrolmentTicket {
        return Err(Refusal::Denied);
    }
    if let Some(session) = session {
        let serves = client.is_none_or(|c| session.facts.clients.contains(&c.id));
        if !session.is_live(now) || session.facts.person != person.id || !serves {
            return Err(Refusal::Gone);
        }
    } else if !matches!(product, Product::Session | Product::EnrolmentTicket) {
        return Err(Refusal::Gone);
    }
    if !earned.satisfies(acr_values) {
        return Err(Refusal::Denied);
    }
    match ruling {
        Ruling::Deny(deny) => Err(deny.refusal),
        Ruling::Allow(allow) => Ok(Permit {
            person: person.id.clone(),
            client: client.map(|c| c.id.clone()),
            // A registration that lost a scope since the request gives it no more.
            scopes: allow.rights.scopes.iter().filter(|s| client.is_none_or(|c| c.may_ask(s))).cloned().collect(),
        }),
    }
}
