//! What is allowed, given what is known and the time; and what must then be recorded.
//!
//! Nothing here waits, reads a clock or rolls dice: facts, time and chance are arguments, and a
//! decision is a value. [`ceremony`] holds the protocol's states, [`issuance`] the one gate,
//! [`policy`] the Cedar rules, [`audit`] what is written down.
#![forbid(unsafe_code)]

pub mod acr;
pub mod audit;
pub mod ceremony;
pub mod client;
pub mod detail;
pub mod device;
pub mod enrolment;
pub mod glass;
pub mod grant;
pub mod issuance;
pub mod limits;
pub mod operator;
pub mod policy;
pub mod posture;
pub mod presence;
pub mod principal;
pub mod quiet;
pub mod recovery;
pub mod refusal;
pub mod right;
pub mod seat;
pub mod session;
pub mod shared;
pub mod signal;
pub mod standing;
pub mod terminal;
pub mod verdict;
pub mod vouch;
pub mod workload;

pub use refusal::Refusal;
