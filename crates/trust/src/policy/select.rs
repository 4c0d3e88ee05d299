//! Candidate selection: which policies can possibly apply to a request.
//!
//! Each policy is filed once for every action it may apply to: under the one resource that it names, else
//! under the one principal, else among those for everybody. Named things are looked up together with all
//! groups they are in, so that `in` finds its way as well as `==`. What names nothing is always a
//! candidate; a type that does not fit is left to the evaluation. Cost grows with what may apply.

use super::PolicyFault;
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

/// An action with the names by which a policy may mean it: its own and those of the groups it is in.
pub(super) struct Known<A> {
    pub action: A,
    pub names: Vec<EntityUid>,
}

/// Policies by what their scope names.
pub(super) struct Index<A> {
    everything: PolicySet,
    by_action: HashMap<A, Filed>,
}

/// Policies of one action.
#[derive(Default)]
struct Filed {
    /// Those that name neither resource nor principal.
    general: PolicySet,
    /// Those that name one resource (`==` or `in`).
    by_resource: HashMap<EntityUid, Vec<Policy>>,
    /// Those that name one principal (`==` or `in`) and no resource.
    by_principal: HashMap<EntityUid, Vec<Policy>>,
}

impl<A: Copy + Eq + Hash> Index<A> {
    pub(super) fn build(set: &PolicySet, actions: &[Known<A>]) -> Result<Index<A>, PolicyFault> {
        let mut by_action: HashMap<A, Filed> = actions.iter().map(|k| (k.action, Filed::default())).collect();
        let known = |uid: &EntityUid| actions.iter().any(|k| k.names.contains(uid));
        for policy in set.policies() {
            let named: Vec<EntityUid> = match policy.action_constraint() {
                ActionConstraint::Any => Vec::new(),
                ActionConstraint::Eq(uid) => vec![uid],
                ActionConstraint::In(uids) => uids,
            };
            // A name that nobody knows may mean anything.
            let open = named.is_empty() || !named.iter().all(known);
            for k in actions.iter().filter(|k| open || named.iter().any(|n| k.names.contains(n))) {
                if let Some(filed) = by_action.get_mut(&k.action) {
                    filed.place(policy)?;
                }
            }
        }
        Ok(Index { everything: set.clone(), by_action })
    }

    /// The policies to evaluate; the whole set when `all`, or when anything is odd. Both are given with
    /// every group they are in.
    pub(super) fn candidates(&self, action: A, principal: &[EntityUid], resource: &[EntityUid], all: bool) -> Cow<'_, PolicySet> {
        let Some(filed) = self.by_action.get(&action).filter(|_| !all) else {
            return Cow::Borrowed(&self.everything);
        };
        let mut named = resource
            .iter()
            .filter_map(|uid| filed.by_resource.get(uid))
            .chain(principal.iter().filter_map(|uid| filed.by_principal.get(uid)))
            .flatten()
            .peekable();
        if named.peek().is_none() {
            return Cow::Borrowed(&filed.general);
        }
        let mut chosen = filed.general.clone();
        for policy in named {
            if chosen.add(policy.clone()).is_err() {
                return Cow::Borrowed(&self.everything);
            }
        }
        Cow::Owned(chosen)
    }
}

impl Filed {
    fn place(&mut self, policy: &Policy) -> Result<(), PolicyFault> {
        use PrincipalConstraint as P;
        use ResourceConstraint as R;
        if let R::Eq(uid) | R::In(uid) | R::IsIn(_, uid) = policy.resource_constraint() {
            self.by_resource.entry(uid).or_default().push(policy.clone());
        } else if let P::Eq(uid) | P::In(uid) | P::IsIn(_, uid) = policy.principal_constraint() {
            self.by_principal.entry(uid).or_default().push(policy.clone());
        } else {
            self.general.add(policy.clone()).map_err(|e| PolicyFault(e.to_string()))?;
        }
        Ok(())
    }
}

/// What only workloads do.
const OF_WORKLOADS: [super::Action; 3] = [super::Action::Mint, super::Action::Delegate, super::Action::Call];

/// Whether a permit says for which kind of principal it is, by itself or by its actions: nothing that
/// is allowed to people is allowed to workloads by the way, nor the reverse. A forbid may be for all.
pub(super) fn says_whom(policy: &Policy) -> bool {
    let by_action = match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(_) => true,
        ActionConstraint::In(uids) => {
            let for_workloads = |uid: &EntityUid| OF_WORKLOADS.iter().any(|a| uid.id().unescaped() == a.as_str());
            uids.iter().all(for_workloads) || !uids.iter().any(for_workloads)
        }
    };
    policy.effect() == Effect::Forbid || by_action || !matches!(policy.principal_constraint(), PrincipalConstraint::Any)
}
