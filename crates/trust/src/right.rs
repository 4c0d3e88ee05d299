//! Rights that are given just in time: a scope that exists in one session only, for minutes, because
//! somebody approved it there and then.
//!
//! 1. A client's registration says which of its scopes are given so, which roles may ask, for how long at
//!    most, and who approves: the person on their own device, or somebody else of a named role.
//! 2. The right stands in its session's row. It ends with the session, its terminal key and its device, when
//!    its time is over, when its person ends it, and wherever policy no longer unlocks its scope.
//! 3. The gate asks for it whenever the scope is to be given or told ([`crate::issuance::permit`]), and
//!    nothing that carries the scope outlives it.

use crate::limits;
use crate::principal::Role;
use countersign_wire::statement::Timed;
use countersign_wire::{CeremonyId, ClientId, DeviceId, PersonId, RightId, Time};
use serde::{Deserialize, Serialize};

/// A scope that a client's people may ask for just in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// The scope.
    pub scope: String,
    /// Roles that may ask for it.
    pub roles: Vec<Role>,
    /// For how long at most, seconds.
    pub for_s: i64,
    /// Roles of whom one must approve, never the person themself; empty where the person's own device does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<Role>,
}

impl Offered {
    /// Whether it can be offered at all; the message says what is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.roles.is_empty() || !(1..=limits::RIGHT_S).contains(&self.for_s) {
            return Err("just_in_time: roles that may ask, and for_s from 1 to 3600");
        }
        Ok(())
    }
    /// Whether this role may ask.
    pub fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
    /// Whether the person's own approval gives it.
    pub fn is_own(&self) -> bool {
        self.approved_by.is_empty()
    }
    /// As statements carry it: shorter where whoever approves is not shown to be near the screen.
    pub fn timed(&self, far: bool) -> Timed {
        let most = if far { limits::FAR_RIGHT_S } else { limits::RIGHT_S };
        Timed { scope: self.scope.clone(), for_s: self.for_s.min(most) }
    }
}

/// Who approved a right, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Giver {
    /// The person.
    pub person: PersonId,
    /// Their device.
    pub device: DeviceId,
    /// The ceremony; none where a passkey was used on the terminal.
    pub ceremony: Option<CeremonyId>,
}

/// A right of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Its id.
    pub id: RightId,
    /// For which client.
    pub client: ClientId,
    /// The scope.
    pub scope: String,
    /// Given at.
    pub at: Time,
    /// Ends then.
    pub until: Time,
    /// Who approved.
    pub by: Giver,
    /// Why it was asked for, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Right {
    /// Whether it lives at `now`.
    pub fn is_live(&self, now: Time) -> bool {
        now < self.until
    }
}

/// Of what the gate would give for a while, as much as was approved.
pub fn narrowed(given: &[Timed], approved: &[Timed]) -> Vec<Timed> {
    let both = |t: &Timed| approved.iter().find(|a| a.scope == t.scope).map(|a| Timed { scope: t.scope.clone(), for_s: t.for_s.min(a.for_s) });
    given.iter().filter_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn timed(scope: &str, for_s: i64) -> Timed {
        Timed { scope: scope.into(), for_s }
    }

    #[test]
    fn what_was_approved_is_never_widened() {
        let given = [timed("refund", 600), timed("discount", 60)];
        assert_eq!(narrowed(&given, &[timed("refund", 300), timed("void", 60)]), [timed("refund", 300)]);
        assert_eq!(narrowed(&given, &[timed("refund", 900)]), [timed("refund", 600)]);
    }

    #[test]
    fn an_offer_names_who_may_ask_and_for_how_long() {
        let offer = |value| serde_json::from_value::<Offered>(value).unwrap();
        let good = offer(json!({"scope": "refund", "roles": ["member"], "for_s": 600}));
        assert_eq!((good.timed(false).for_s, good.timed(true).for_s), (600, limits::FAR_RIGHT_S));
        assert!(good.check().is_ok() && good.is_own() && good.is_for(Role::Member) && !good.is_for(Role::Administrator));
        let other = offer(json!({"scope": "refund", "roles": ["member"], "for_s": 3600, "approved_by": ["administrator"]}));
        assert!(other.check().is_ok() && !other.is_own());
        assert!(offer(json!({"scope": "refund", "roles": [], "for_s": 600})).check().is_err());
        for for_s in [0, -1, 3601] {
            assert!(offer(json!({"scope": "refund", "roles": ["member"], "for_s": for_s})).check().is_err());
        }
    }
}
