//! `session-store`: renewing the caller's session in the middle of a call.

use super::{Context, Violation, secrets::handles};
use crate::{
    bindings::vestibule::auth::session_store::{Host, Session, SessionError},
    store::{SessionLease, StoreError},
};

/// The lease of the session that a call renews.
#[derive(Debug)]
pub(crate) struct Renewing(pub(crate) SessionLease);

fn lease(context: &mut Context) -> Result<&mut SessionLease, SessionError> {
    context.renewing.as_mut().map(|Renewing(lease)| lease).ok_or(SessionError::NotRenewing)
}

fn error(error: StoreError) -> SessionError {
    match error {
        StoreError::LeaseLost => SessionError::LeaseLost,
        other => SessionError::Unavailable(other.to_string()),
    }
}

impl Host for Context {
    async fn current(&mut self) -> wasmtime::Result<Result<Session, SessionError>> {
        let lease = match lease(self) {
            Ok(lease) => lease,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match lease.current().await {
            Ok(Some(session)) => Ok(handles::give_session(&mut self.table, session.content)?),
            // It has ended meanwhile: nobody can renew it.
            Ok(None) => Err(SessionError::LeaseLost),
            Err(failure) => Err(error(failure)),
        })
    }

    async fn begin_rotation(&mut self) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(match lease(self) {
            Ok(lease) => lease.begin_rotation().await.map_err(error),
            Err(error) => Err(error),
        })
    }

    async fn abandon_rotation(&mut self) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(match lease(self) {
            Ok(lease) => lease.abandon_rotation().await.map_err(error),
            Err(error) => Err(error),
        })
    }

    async fn save(&mut self, session: Session) -> wasmtime::Result<Result<(), SessionError>> {
        let content = handles::take_session(&mut self.table, session)
            .map_err(|what| Violation(what.to_owned()))?;
        let lease = match lease(self) {
            Ok(lease) => lease,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match lease.save(&content).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SessionError::LeaseLost),
            Err(failure) => Err(error(failure)),
        })
    }
}
