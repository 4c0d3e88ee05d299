//! Shared Signals: what is told to others in the words of CAEP 1.0, what others may tell us, and how a
//! stream of such events goes on (Shared Signals Framework 1.0).

pub mod caep;
pub mod heard;
pub mod stream;
