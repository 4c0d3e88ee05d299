//! Decisions that were made, by what was asked: the same facts are judged once.
//!
//! A decision of one set of policies follows from its question alone; a set never changes, and each has a memory of its own. So
//! what is kept is what would be decided again. Whoever asks and for whom is part of the question only where a policy names
//! somebody: people and clients have no attributes and no groups that a policy could see otherwise.

use super::{Action, Decision, Facts};
use cedar_policy::{EntityTypeName, PolicySet};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Decisions that are kept; when there are as many, it begins anew.
const KEPT: usize = 2_048;

#[derive(PartialEq, Eq, Hash)]
pub(super) struct Question {
    action: Action,
    facts: Facts,
    scope: String,
}

pub(super) struct Memo {
    names_people: bool,
    names_clients: bool,
    made: Mutex<HashMap<Question, Decision>>,
}

impl Memo {
    /// For a set in which people and clients are of these types.
    pub(super) fn of(set: &PolicySet, person: &EntityTypeName, client: &EntityTypeName) -> Memo {
        let named = |kind: &EntityTypeName| set.policies().any(|p| p.entity_literals().iter().any(|uid| uid.type_name() == kind));
        Memo { names_people: named(person), names_clients: named(client), made: Mutex::default() }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<Question, Decision>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn question(&self, action: Action, facts: &Facts, scope: &str) -> Question {
        // Policies see no moment, only whether a session was approved since: that is a signal.
        let mut facts = Facts { reconfirm: None, ..facts.clone() };
        if !self.names_people {
            facts.person.clear();
        }
        if !self.names_clients {
            facts.client.clear();
        }
        Question { action, facts, scope: scope.to_owned() }
    }

    pub(super) fn find(&self, question: &Question) -> Option<Decision> {
        self.made().get(question).cloned()
    }

    pub(super) fn keep(&self, question: Question, decision: &Decision) {
        let mut made = self.made();
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(question, decision.clone());
    }
}
