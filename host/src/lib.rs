//! Vestibule: the room every request passes before it reaches a server.
//!
//! This is the host. It defines what a *strategy* is (who is calling, and which
//! Git-provider tokens do they hold?), runs it as a sandboxed component, and
//! gives it only what the operator granted. What a strategy knows of any
//! identity provider is in the strategy, never here.
//!
//! `ARCHITECTURE.md` is the map; the contract with strategies is in `wit/`.

#![forbid(unsafe_code)]

mod assertion;
pub mod authz;
mod bindings;
mod capability;
pub mod cipher;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod doctor;
pub mod engine;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hex;
pub mod host;
pub mod http;
pub mod identity;
pub mod kit;
mod limit;
mod metrics;
pub mod provider;
pub mod sandbox;
mod secret;
pub mod store;
mod task;
mod telemetry;
mod text;
