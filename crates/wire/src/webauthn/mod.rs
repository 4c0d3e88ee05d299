//! WebAuthn Level 3: registrations (§7.1) and assertions (§7.2) over challenges that we choose
//! ourselves, which libraries refuse by design. Attestation is in [`crate::attestation`].

mod assertion;
mod client;
mod cose;
mod fault;
mod registration;

pub use assertion::{Assertion, AssertionText, Expected, Verified, verify};
pub use client::{Asked, Within, AuthenticatorHead};
pub use cose::{CoseAlg, cose_key};
pub use fault::Fault;
pub use registration::{Created, Registration, register};
