//! Why a request was not done: a refusal with its code, or something out of order.

use countersign_store::StoreError;
use countersign_trust::Refusal;
use countersign_wire::Malformed;
use countersign_wire::dpop::ProofFault;

/// A request that was not done.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The refusal that the caller hears.
    pub refusal: Refusal,
    /// The store's answer, where that was the reason.
    pub store: Option<StoreError>,
    /// Whether the log already has it.
    pub recorded: bool,
    /// The deciding policy's sentence, for the person's own device.
    pub say: Option<String>,
    /// Tries left.
    pub left: Option<u8>,
    /// A word for the log.
    pub because: &'static str,
}

impl Fault {
    /// A refusal with a word for the log.
    pub fn because(refusal: Refusal, because: &'static str) -> Fault {
        Fault { refusal, store: None, recorded: false, say: None, left: None, because }
    }
    /// The same, already in the log.
    pub fn recorded(mut self) -> Fault {
        self.recorded = true;
        self
    }
    /// With the policy's sentence.
    pub fn saying(mut self, say: Option<String>) -> Fault {
        self.say = say;
        self
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::because(refusal, "")
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        if let StoreError::Corrupt { table, column, row } = &error {
            tracing::error!(%table, %column, %row, "unreadable value in the store");
        }
        if error == StoreError::Unfit {
            return Fault::because(Refusal::Malformed, "a text that cannot be kept");
        }
        Fault { store: Some(error), ..Fault::because(Refusal::Unavailable, "store") }
    }
}

impl From<Malformed> for Fault {
    fn from(m: Malformed) -> Fault {
        Fault::because(Refusal::Malformed, m.0)
    }
}

impl From<ProofFault> for Fault {
    fn from(fault: ProofFault) -> Fault {
        match fault {
            ProofFault::UseNonce => Refusal::UseDpopNonce.into(),
            ProofFault::Bad(why) => Fault::because(Refusal::BadProof, why),
        }
    }
}
