//! The client of a sandbox.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod environment;
mod error;
mod http;
mod llm;
mod lookup;
mod mcp;
mod workspace;

pub use self::{
    environment::SESSION_KEY_VARIABLES,
    error::Error,
    http::Patience,
    llm::{Llm, Overrides},
    lookup::LookupSecret,
    mcp::McpServer,
    workspace::Workspace,
};
