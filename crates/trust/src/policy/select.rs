//! Candidate selection: which policies can possibly apply to a request.

use super::{Action, PolicyFault};
use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use std::borrow::Cow;
use std::collections::HashMap;

/// Policies by what their scope names.
pub(super) struct Index {
    everything: PolicySet,
    /// For each action: the policies that name neither resource nor principal.
    general: HashMap<Action, PolicySet>,
    /// Those that name one resource (`resource == X`).
    by_resource: HashMap<(Action, String), Vec<Policy>>,
    /// Those that name one principal (`principal == X`) and no resource.
    by_principal: HashMap<(Action, String), Vec<Policy>>,
}

impl Index {
    pub(super) fn build(set: &PolicySet) -> Result<Index, PolicyFault> {
        let mut index = Index {
            everything: set.clone(),
            general: Action::ALL.into_iter().map(|a| (a, PolicySet::new())).collect(),
            by_resource: HashMap::new(),
            by_principal: HashMap::new(),
        };
        for policy in set.policies() {
            for action in Action::ALL {
                if may_apply(&policy.action_constraint(), action) {
                    index.place(action, policy)?;
                }
            }
        }
        Ok(index)
    }

    fn place(&mut self, action: Action, policy: &Policy) -> Result<(), PolicyFault> {
        if let ResourceConstraint::Eq(resource) = policy.resource_constraint() {
            self.by_resource.entry((action, resource.to_string())).or_default().push(policy.clone());
        } else if let PrincipalConstraint::Eq(principal) = policy.principal_constraint() {
            self.by_principal.entry((action, principal.to_string())).or_default().push(policy.clone());
        } else if let Some(set) = self.general.get_mut(&action) {
            set.add(policy.clone()).map_err(|e| PolicyFault(e.to_string()))?;
        }
        Ok(())
    }

    /// The policies to evaluate; the whole set when `all`, or when anything is odd.
    pub(super) fn candidates(
        &self,
        action: Action,
        principal: &EntityUid,
        resource: &EntityUid,
        all: bool,
    ) -> Cow<'_, PolicySet> {
        let Some(general) = self.general.get(&action).filter(|_| !all) else {
            return Cow::Borrowed(&self.everything);
        };
        if self.by_resource.is_empty() && self.by_principal.is_empty() {
            return Cow::Borrowed(general);
        }
        let named = self.by_resource.get(&(action, resource.to_string()));
        let owned = self.by_principal.get(&(action, principal.to_string()));
        if named.is_none() && owned.is_none() {
            return Cow::Borrowed(general);
        }
        let mut chosen = general.clone();
        for policy in named.into_iter().chain(owned).flatten() {
            if chosen.add(policy.clone()).is_err() {
                return Cow::Borrowed(&self.everything);
            }
        }
        Cow::Owned(chosen)
    }
}

/// Whether a policy with this action scope may apply. A group (a name that is no action of ours)
/// counts as "may".
fn may_apply(constraint: &ActionConstraint, action: Action) -> bool {
    let is_ours = |uid: &EntityUid| uid.id().unescaped() == action.as_str();
    let is_known =
        |uid: &EntityUid| Action::ALL.iter().any(|a| uid.id().unescaped() == a.as_str());
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is_ours(uid) || !is_known(uid),
        ActionConstraint::In(uids) => uids.iter().any(|u| is_ours(u) || !is_known(u)),
    }
}
