//! Never shipped: the example till and whatever else plays a part beside the server.
#![forbid(unsafe_code)]

pub mod decisions;
pub mod demo;
pub mod fuzz;
pub mod stage;
pub mod till;
