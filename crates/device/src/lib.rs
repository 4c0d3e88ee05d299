//! The device program of Countersign, as a library: a software phone, a console terminal, and a
//! player that acts a person's whole part.
//!
//! Nothing in here prints except [`console`]; every step of a ceremony is a call of its own, so
//! that tests can leave one out, repeat it, or take it with another key.
//!
//! Keys are **software keys**: files that whoever may read this user's files can copy. They prove
//! continuity, never hardware.
#![forbid(unsafe_code)]

pub mod browser;
pub mod console;
pub mod fault;
pub mod http;
pub mod keys;
pub mod live;
pub mod machine;
pub mod oidc;
pub mod passkey;
pub mod phone;
pub mod play;
pub mod posture;
pub mod terminal;

pub use fault::{Fault, Refusal};
pub use http::{Http, Transport};
pub use keys::SoftwareKey;
pub use live::Live;
pub use passkey::Passkey;
pub use phone::Phone;
pub use terminal::Terminal;
