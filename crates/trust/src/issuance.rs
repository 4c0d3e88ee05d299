//! The one gate. Every session, code and token passes [`permit`], whatever asked for it, and the
//! [`Permit`] it leaves behind is demanded by whoever makes the thing. What workloads ask for passes
//! [`permit_workload`]: another permit, of which nothing for people can be made, and the reverse.

use crate::Refusal;
use crate::acr::Earned;
use crate::client::Client;
use crate::detail;
use crate::device::{Credential, Device, DeviceState};
use crate::limits::ACTORS;
use crate::policy::{Ruling, WorkloadRuling};
use crate::principal::{Person, PersonState};
use crate::session::Session;
use crate::{operator, seat};
use crate::terminal::Terminal;
use crate::workload::{Agent, Wish};
use countersign_wire::statement::Timed;
use countersign_wire::{ClientId, PersonId, Time, WorkloadId};

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
    /// One call of a tool, and nothing else.
    Approval,
}

/// Everything that can veto, re-read just now.
pub struct Facts<'a> {
    /// Whose.
    pub person: &'a Person,
    /// Who vouches for them, where somebody does; device and passkey are theirs then.
    pub voucher: Option<&'a Person>,
    /// By which device.
    pub device: &'a Device,
    /// By which passkey.
    pub credential: &'a Credential,
    /// At which registered terminal, as it is now.
    pub terminal: Option<&'a Terminal>,
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
    timed: Vec<Timed>,
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
    #[cfg(test)]
    pub(crate) fn for_tests(person: PersonId) -> Permit {
        Permit { person, client: None, scopes: vec!["read".to_owned(), "write".to_owned()], timed: Vec::new() }
    }
    /// Those of them that a session which begins or is raised now gets for a while only.
    pub fn timed(&self) -> &[Timed] {
        &self.timed
    }
}

/// Judges everything once more. Out of order means closed: whatever is not plainly good is refused.
pub fn permit(product: Product, facts: &Facts<'_>, now: Time) -> Result<Permit, Refusal> {
    let Facts { person, voucher, device, credential, terminal, client, session, ruling, earned, acr_values, details } = facts;
    let person_good = person.state == PersonState::Active;
    let holder = voucher.unwrap_or(person);
    let device_good = device.state == DeviceState::Active && device.person == holder.id;
    let credential_good = credential.live && credential.person == holder.id;
    let terminal_good = terminal.is_none_or(Terminal::is_active);
    if !person_good || !device_good || !credential_good || !terminal_good {
        return Err(Refusal::Denied);
    }
    // What runs at a terminal is judged with it, or not at all.
    if session.is_some_and(|s| s.facts.terminal.as_ref().map(|t| &t.id) != terminal.map(|t| &t.id)) {
        return Err(Refusal::Denied);
    }
    seat::may_give(device, product, *earned, client.is_some_and(|c| c.id.as_str() == operator::CLIENT))?;
    if !vouched_for(product, facts) {
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
            Product::Approval => Boundary::Approval,
            Product::EnrolmentTicket => return Err(Refusal::Denied),
        };
        let own = |d: &String| product == Product::Approval || d == detail::RIGHT || (d == detail::VOUCH && voucher.is_some());
        if client.boundary < needs || details.iter().any(|d| !own(d) && !client.detail_types.contains(d)) {
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
    } else if !matches!(product, Product::Session | Product::EnrolmentTicket | Product::Approval) {
        return Err(Refusal::Gone);
    }
    if !earned.satisfies(acr_values) {
        return Err(Refusal::Denied);
    }
    match ruling {
        Ruling::Deny(deny) => Err(deny.refusal),
        Ruling::Allow(allow) => {
            // A registration that lost a scope since the request gives it no more; and what is given just in
            // time is there only while the session holds the right to it.
            let right = |scope: &str| session.zip(*client).map(|(s, c)| s.facts.right(&c.id, scope, now));
            let given = |scope: &str| client.and_then(|c| c.offers(scope)).is_none() || right(scope).is_none_or(|r| r.is_some());
            let within = |s: &str| voucher.is_none() || client.is_some_and(|c| c.without_phone.as_ref().is_some_and(|v| v.gives(c, s)));
            let may = |s: &&String| client.is_none_or(|c| c.may_ask(s)) && given(s) && within(s);
            let scopes: Vec<String> = allow.rights.scopes.iter().filter(may).cloned().collect();
            let timed: Vec<Timed> = allow.rights.timed.iter().filter(|t| scopes.contains(&t.scope)).cloned().collect();
            Ok(Permit { person: person.id.clone(), client: client.map(|c| c.id.clone()), scopes, timed })
        }
    }
}

/// Whether it is plain who vouches, or that nobody does. On somebody's word there are sessions at registered terminals, for
/// clients that take them, and what is given in such a session: no device, no approval, no other class.
fn vouched_for(product: Product, facts: &Facts<'_>) -> bool {
    let Facts { person, voucher, terminal, client, session, earned, .. } = facts;
    let same = session.is_none_or(|s| s.facts.vouched_by.as_ref() == voucher.map(|v| &v.id));
    let Some(voucher) = voucher else { return same && *earned != Earned::Vouched };
    let taken = client.is_some_and(|c| c.without_phone.as_ref().is_some_and(|v| v.may(voucher, person)));
    let fits = !matches!(product, Product::EnrolmentTicket | Product::Approval);
    same && taken && fits && terminal.is_some() && *earned == Earned::Vouched
}

/// The gate was passed by this workload, for this audience, with these scopes. Only
/// [`permit_workload`] makes one.
#[derive(Clone, Debug)]
pub struct WorkloadPermit {
    workload: WorkloadId,
    audience: String,
    scopes: Vec<String>,
    bound: bool,
}

impl WorkloadPermit {
    /// Whose.
    pub fn workload(&self) -> &WorkloadId {
        &self.workload
    }
    /// Whom the token is for.
    pub fn audience(&self) -> &str {
        &self.audience
    }
    /// Its scopes: all that were asked for.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }
    /// Whether it is for a token that is bound to a key.
    pub fn is_bound(&self) -> bool {
        self.bound
    }
}

/// Judges a workload as [`permit`] judges people: whatever is not plainly good is refused. It gets all
/// it asks for, or nothing. Where it acts for a person, theirs was judged before: the wish has the permit.
pub fn permit_workload(wish: &Wish<'_>, ruling: &WorkloadRuling, now: Time) -> Result<WorkloadPermit, Refusal> {
    let Wish { workload, owner, audience, scopes, bound, behalf, device, call } = *wish;
    if !workload.is_live(now) {
        return Err(Refusal::Gone);
    }
    let answered_for = owner.id == workload.owner && owner.state == PersonState::Active;
    let f = &workload.facts;
    let registered = f.audiences.iter().any(|a| a == audience) && scopes.iter().all(|s| f.scopes.contains(s));
    if !answered_for || !registered || !(bound || f.danger_allow_bearer) {
        return Err(Refusal::Denied);
    }
    let runs = |agent: &Agent| device.is_some_and(|d| d.id == agent.device && d.state == DeviceState::Active && d.person == owner.id);
    let may_call = |tool: &str| f.agent.as_ref().is_some_and(|agent| agent.tools.iter().any(|t| t == tool));
    if !f.agent.as_ref().is_none_or(runs) || !call.is_none_or(|call| may_call(call.tool)) {
        return Err(Refusal::Denied);
    }
    if let Some(behalf) = &behalf {
        // Whoever acts for a person has no more than the person's own token has, and a key.
        let within = scopes.iter().all(|s| behalf.permit.scopes().contains(s)) && behalf.permit.client() == Some(&behalf.client.id);
        if !bound || !within || behalf.depth > ACTORS || !behalf.client.may_act.contains(&workload.client) {
            return Err(Refusal::Denied);
        }
    }
    match ruling {
        WorkloadRuling::Deny(denied) => Err(denied.refusal),
        WorkloadRuling::Allow { .. } => Ok(WorkloadPermit {
            workload: workload.id.clone(),
            audience: audience.to_owned(),
            scopes: scopes.to_vec(),
            bound,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Denied;
    use crate::principal::{Role, Workload};
    use serde_json::json;

    const T: Time = Time(1_800_000_000_000_000);

    #[test]
    fn a_workload_gets_what_it_is_registered_for_while_somebody_answers_for_it() {
        let owner = Person { id: PersonId::new(T, [1; 10]), version: 1, state: PersonState::Active, role: Role::Member, signals: vec![] };
        let workload = Workload {
            id: WorkloadId::new(T, [2; 10]),
            version: 1,
            client: "sync".parse().unwrap(),
            owner: owner.id.clone(),
            until: T.plus_s(60),
            ended: None,
            added_at: T,
            facts: serde_json::from_value(json!({"name": "Sync", "environment": "test", "keys": [], "audiences": ["https://a"], "scopes": ["read"]})).unwrap(),
        };
        let allow = WorkloadRuling::Allow { policies: vec![] };
        let deny = WorkloadRuling::Deny(Denied::of(Refusal::TooFar));
        let ask = |w: &Workload, p: &Person, audience: &str, scope: &str, bound, ruling: &WorkloadRuling, now| {
            let scopes = [scope.to_owned()];
            permit_workload(&Wish { workload: w, owner: p, audience, scopes: &scopes, bound, behalf: None, device: None, call: None }, ruling, now).map(|p| p.scopes().len())
        };
        let (w, p, no) = (&workload, &owner, Err(Refusal::Denied));
        assert_eq!(ask(w, p, "https://a", "read", true, &allow, T), Ok(1));
        assert_eq!(ask(w, p, "https://b", "read", true, &allow, T), no);
        assert_eq!(ask(w, p, "https://a", "write", true, &allow, T), no);
        assert_eq!(ask(w, p, "https://a", "read", false, &allow, T), no, "without a key");
        assert_eq!(ask(w, p, "https://a", "read", true, &deny, T), Err(Refusal::TooFar));
        assert_eq!(ask(w, p, "https://a", "read", true, &allow, T.plus_s(60)), Err(Refusal::Gone));
        let ended = Workload { ended: Some("x".into()), ..workload.clone() };
        assert_eq!(ask(&ended, p, "https://a", "read", true, &allow, T), Err(Refusal::Gone));
        for state in [PersonState::Invited, PersonState::Locked, PersonState::Ended] {
            assert_eq!(ask(w, &Person { state, ..owner.clone() }, "https://a", "read", true, &allow, T), no, "{state:?}");
        }
        let other = Person { id: PersonId::new(T, [9; 10]), ..owner.clone() };
        assert_eq!(ask(w, &other, "https://a", "read", true, &allow, T), no, "somebody else's word");
    }

    #[test]
    fn an_agent_acts_on_its_owners_active_device_and_calls_its_tools_alone() {
        let owner = Person { id: PersonId::new(T, [1; 10]), version: 1, state: PersonState::Active, role: Role::Member, signals: vec![] };
        let device = crate::policy::case::device(&owner.id, T);
        let facts = json!({"name": "Agent", "environment": "test", "audiences": ["https://a"], "agent": {"device": device.id, "tools": ["read"]}});
        let workload = Workload {
            id: WorkloadId::new(T, [2; 10]),
            version: 1,
            client: "agent".parse().unwrap(),
            owner: owner.id.clone(),
            until: T.plus_s(60),
            ended: None,
            added_at: T,
            facts: serde_json::from_value(facts).unwrap(),
        };
        let allow = WorkloadRuling::Allow { policies: vec![] };
        let ask = |device: Option<&Device>, tool: Option<&str>| {
            let call = tool.map(|tool| crate::workload::Call { tool, arguments: &[], ask: false, approved: false });
            let wish = Wish { workload: &workload, owner: &owner, audience: "https://a", scopes: &[], bound: true, behalf: None, device, call };
            permit_workload(&wish, &allow, T).is_ok()
        };
        assert!(ask(Some(&device), None) && ask(Some(&device), Some("read")));
        assert!(!ask(None, None) && !ask(Some(&device), Some("write")));
        for state in [DeviceState::Pending, DeviceState::Suspended, DeviceState::Lost, DeviceState::Revoked, DeviceState::Retired] {
            assert!(!ask(Some(&Device { state, ..device.clone() }), None), "{state:?}");
        }
        let foreign = Device { person: PersonId::new(T, [9; 10]), ..device.clone() };
        let other = Device { id: countersign_wire::DeviceId::new(T, [9; 10]), ..device.clone() };
        assert!(!ask(Some(&foreign), None) && !ask(Some(&other), None));
    }

    #[test]
    fn whoever_acts_for_a_person_has_no_more_than_their_token_and_only_where_it_is_registered() {
        let owner = Person { id: PersonId::new(T, [1; 10]), version: 1, state: PersonState::Active, role: Role::Member, signals: vec![] };
        let workload = Workload {
            id: WorkloadId::new(T, [2; 10]),
            version: 1,
            client: "helper".parse().unwrap(),
            owner: owner.id.clone(),
            until: T.plus_s(60),
            ended: None,
            added_at: T,
            facts: serde_json::from_value(json!({"name": "Helper", "environment": "test", "audiences": ["https://a"], "scopes": ["read", "write"],
                "danger_allow_bearer": true})).unwrap(),
        };
        let client = |more: serde_json::Value| -> Client {
            serde_json::from_value(json!({"id": "till", "name": "Till", "redirect_uris": [], "may_act": more})).unwrap()
        };
        let (open, shut) = (client(json!(["helper"])), client(json!(["other"])));
        let facts = crate::policy::Facts::default();
        let theirs = Permit { person: owner.id.clone(), client: Some(open.id.clone()), scopes: vec!["read".to_owned()], timed: Vec::new() };
        let foreign = Permit { client: Some("stock".parse().unwrap()), ..theirs.clone() };
        let allow = WorkloadRuling::Allow { policies: vec![] };
        for (what, good, permit, client, scope, bound, depth) in [
            ("as registered", true, &theirs, &open, "read", true, 1),
            ("as deep as may be", true, &theirs, &open, "read", true, ACTORS),
            ("deeper", false, &theirs, &open, "read", true, ACTORS + 1),
            ("a scope that the person did not give", false, &theirs, &open, "write", true, 1),
            ("without a key", false, &theirs, &open, "read", false, 1),
            ("a client that names somebody else", false, &theirs, &shut, "read", true, 1),
            ("a permit for another client", false, &foreign, &open, "read", true, 1),
        ] {
            let scopes = [scope.to_owned()];
            let behalf = Some(crate::workload::Behalf { permit, facts: &facts, client, depth });
            let wish = Wish { workload: &workload, owner: &owner, audience: "https://a", scopes: &scopes, bound, behalf, device: None, call: None };
            assert_eq!(permit_workload(&wish, &allow, T).is_ok(), good, "{what}");
        }
    }
}
