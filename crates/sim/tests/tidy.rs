//! Rules about the tree that nothing else would notice being broken. Each is a house rule of
//! CONTRIBUTING.md; an exception is written beside the rule with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/text.rs"]
mod text;
