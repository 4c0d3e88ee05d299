//! Who may use the operator's page, and what for. Whatever it does takes something away: it approves
//! nothing, lets nobody in and gives nothing back, so a stolen operator's screen can stop people and cannot
//! become one of them.

use crate::issuance::Permit;
use crate::principal::{Person, Role};
use crate::session::Session;
use crate::{Refusal, limits};
use countersign_wire::Time;

/// The page as a client: what a phone is asked about, and what a session of it serves.
pub const CLIENT: &str = "countersign-operator";
/// The privileged scope that policy must allow: a far screen, a push and a device with reduced rights do not get it.
pub const SCOPE: &str = "operate";

/// What somebody wants on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To see what happens.
    Look,
    /// To end, stop or begin something.
    Act,
}

/// Judges a use of the page by what the gate left of its session (`permit`), whatever the policies say: the
/// role as it is now, the scope, and for an act how long ago the person approved.
pub fn permit(wish: Wish, permit: &Permit, person: &Person, session: &Session, now: Time) -> Result<(), Refusal> {
    let of_page = permit.client().is_some_and(|c| c.as_str() == CLIENT) && permit.person() == &person.id;
    if !of_page || person.role != Role::Operator || !permit.scopes().iter().any(|s| s == SCOPE) {
        return Err(Refusal::Denied);
    }
    let age_s = now.seconds() - session.facts.auth_time.seconds();
    if wish == Wish::Act && !(0..=limits::OPERATE_S).contains(&age_s) {
        return Err(Refusal::StepUp);
    }
    Ok(())
}
