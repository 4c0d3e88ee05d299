//! Somebody works without a phone: it is flat, or phones are not allowed where they stand. They only say who they are;
//! somebody else, who stands beside them, vouches with a phone of their own.
//!
//! 1. A client's registration says whether it takes such sessions, who may vouch, what they can do and how long they last.
//! 2. Whoever vouches scans the code of the registered terminal and approves as ever. It is never the person themself.
//! 3. The session is the person's, and rests on who vouched: on them, their device and their passkey. It proves nothing
//!    that the person has or knows, and says so by a class of its own ([`crate::acr::Earned::Vouched`]).

use crate::client::Client;
use crate::limits;
use crate::principal::{Person, PersonState, Role};
use serde::{Deserialize, Serialize};

/// How a client takes people who have no phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vouching {
    /// Roles of whom one must vouch, never the person themself.
    pub approved_by: Vec<Role>,
    /// Scopes that such a session can have: none of them privileged.
    pub scopes: Vec<String>,
    /// For how long at most, seconds.
    pub for_s: i64,
}

impl Vouching {
    /// Whether a client may be registered with it; the message says what is wrong.
    pub fn check(&self, client: &Client) -> Result<(), &'static str> {
        if self.approved_by.is_empty() || !(60..=limits::VOUCHED_S).contains(&self.for_s) {
            return Err("without_phone: roles that approve, and for_s from 60 to 3600");
        }
        if self.scopes.iter().any(|s| !client.may_ask(s) || client.is_privileged(s) || s == crate::client::OFFLINE_ACCESS) {
            return Err("without_phone: scopes among its own, none of them privileged or offline_access");
        }
        Ok(())
    }
    /// Whether `by` may vouch for `person` as both are now.
    pub fn may(&self, by: &Person, person: &Person) -> bool {
        let active = by.state == PersonState::Active && person.state == PersonState::Active;
        active && by.id != person.id && self.approved_by.contains(&by.role)
    }
    /// Whether a session can have this scope, whatever the registration of the scope has become since.
    pub fn gives(&self, client: &Client, scope: &str) -> bool {
        self.scopes.iter().any(|s| s == scope) && !client.is_privileged(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::{PersonId, Time};
    use serde_json::json;

    fn person(n: u8, role: Role, state: PersonState) -> Person {
        Person { id: PersonId::new(Time(1), [n; 10]), version: 1, state, role, signals: vec![] }
    }

    #[test]
    fn nobody_vouches_for_themself_and_only_those_who_may_and_act() {
        let v: Vouching = serde_json::from_value(json!({"approved_by": ["supervisor"], "scopes": ["openid"], "for_s": 3600})).unwrap();
        let (lea, boss) = (person(1, Role::Member, PersonState::Active), person(2, Role::Supervisor, PersonState::Active));
        assert!(v.may(&boss, &lea) && !v.may(&boss, &boss) && !v.may(&lea, &boss));
        for state in [PersonState::Invited, PersonState::Locked, PersonState::Ended] {
            assert!(!v.may(&Person { state, ..boss.clone() }, &lea) && !v.may(&boss, &Person { state, ..lea.clone() }), "{state:?}");
        }
    }

    #[test]
    fn nothing_privileged_is_registered_for_it_or_given_by_it() {
        let client = |privileged: serde_json::Value| -> Client {
            serde_json::from_value(json!({"id": "till", "name": "Till", "scopes": ["stock", "refund"], "privileged_scopes": privileged, "refresh": "offline_access"})).unwrap()
        };
        let v = |scopes: serde_json::Value, for_s: i64| -> Vouching { serde_json::from_value(json!({"approved_by": ["supervisor"], "scopes": scopes, "for_s": for_s})).unwrap() };
        let c = client(json!(["refund"]));
        assert!(v(json!(["openid", "stock"]), 3600).check(&c).is_ok());
        for (scopes, for_s) in [(json!(["refund"]), 600), (json!(["other"]), 600), (json!(["offline_access"]), 600), (json!([]), 3601), (json!([]), 59)] {
            assert!(v(scopes.clone(), for_s).check(&c).is_err(), "{scopes} {for_s}");
        }
        let stock = v(json!(["stock"]), 600);
        assert!(stock.gives(&c, "stock") && !stock.gives(&c, "refund") && !stock.gives(&client(json!(["stock"])), "stock"));
    }
}
