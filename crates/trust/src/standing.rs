//! How a running session stands after it was judged again, and why.

use crate::Refusal;
use countersign_wire::Time;
use serde::{Deserialize, Serialize};

/// What a rule does to a running session, from mild to final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Privileged rights rest until the reason is gone.
    Limit,
    /// It goes on after its person has approved anew.
    StepUp,
    /// It rests until the reason is gone, or its person approves from a device in order.
    Lock,
    /// It ends.
    End,
}

impl Effect {
    /// Every effect, mildest first.
    pub const ALL: [Effect; 4] = [Effect::Limit, Effect::StepUp, Effect::Lock, Effect::End];
    /// Its name in policies and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Limit => "limit",
            Effect::StepUp => "step_up",
            Effect::Lock => "lock",
            Effect::End => "end",
        }
    }
    /// From its name.
    pub fn parse(text: &str) -> Option<Effect> {
        Effect::ALL.into_iter().find(|e| e.as_str() == text)
    }
    /// What is answered to whoever uses the session meanwhile.
    pub fn refusal(self) -> Refusal {
        match self {
            Effect::Limit => Refusal::Denied,
            Effect::StepUp => Refusal::StepUp,
            Effect::Lock => Refusal::Locked,
            Effect::End => Refusal::Gone,
        }
    }
}

/// Why a session does not simply go on. Kept for people to see; whether it may be used is judged
/// anew at every use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What happened to it.
    pub effect: Effect,
    /// Rules that decided.
    pub policies: Vec<String>,
    /// Their sentence for the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// Since when.
    pub at: Time,
}

impl Standing {
    /// Whether both say the same, whenever they began.
    pub fn is_like(&self, other: &Standing) -> bool {
        self.effect == other.effect && self.policies == other.policies
    }
}
