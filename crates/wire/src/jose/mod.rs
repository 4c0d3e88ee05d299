//! JSON Web Keys and Signatures, as far as Countersign speaks them.

pub mod jwk;
pub mod jws;

pub use jwk::{Alg, Jwk, Keys};
pub use jws::{Jws, Signer};
