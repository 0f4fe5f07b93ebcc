//! `session-store`: renewing the caller's session in the middle of a call.
//!
//! There are no sessions yet, so that no call renews one.

use super::Context;
use crate::bindings::vestibule::auth::session_store::{Host, Session, SessionError};

impl Host for Context {
    async fn current(&mut self) -> wasmtime::Result<Result<Session, SessionError>> {
        Ok(Err(SessionError::NotRenewing))
    }

    async fn begin_rotation(&mut self) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(Err(SessionError::NotRenewing))
    }

    async fn abandon_rotation(&mut self) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(Err(SessionError::NotRenewing))
    }

    async fn save(&mut self, _session: Session) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(Err(SessionError::NotRenewing))
    }
}
