//! The server: [`app`] does, [`http`] and [`oidc`] speak, [`pages`] show, [`jobs`] keep time.
#![forbid(unsafe_code)]

pub mod app;
pub mod authzen;
pub mod chance;
pub mod cli;
pub mod config;
pub mod http;
pub mod jobs;
pub mod mcp;
pub mod oidc;
pub mod pages;
pub mod push;
pub mod seal;
pub mod serve;
pub mod ssf;

pub use config::Config;
pub use serve::{Running, start};
