//! `session-store`: renewing the caller's session in the middle of a call.

use super::{Context, Violation, secrets::handles};
use crate::{
    bindings::vestibule::auth::session_store::{Host, Session, SessionError},
    identity::SessionContent,
    store::{SessionLease, StoreError},
};

/// The session that a call renews.
#[derive(Debug)]
pub(crate) struct Renewing {
    /// What makes this the only renewal.
    pub(crate) lease: SessionLease,
    /// The session as it goes on, where its storing has begun and was not acknowledged.
    pub(crate) unsaved: Option<SessionContent>,
}

impl From<SessionLease> for Renewing {
    fn from(lease: SessionLease) -> Self {
        Self { lease, unsaved: None }
    }
}

fn renewing(context: &mut Context) -> Result<&mut Renewing, SessionError> {
    context.renewing.as_mut().ok_or(SessionError::NotRenewing)
}

fn error(error: StoreError) -> SessionError {
    match error {
        StoreError::LeaseLost => SessionError::LeaseLost,
        other => SessionError::Unavailable(other.to_string()),
    }
}

impl Host for Context {
    async fn current(&mut self) -> wasmtime::Result<Result<Session, SessionError>> {
        let lease = match renewing(self) {
            Ok(renewing) => &renewing.lease,
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
        Ok(match renewing(self) {
            Ok(renewing) => renewing.lease.begin_rotation().await.map_err(error),
            Err(error) => Err(error),
        })
    }

    async fn abandon_rotation(&mut self) -> wasmtime::Result<Result<(), SessionError>> {
        Ok(match renewing(self) {
            Ok(renewing) => renewing.lease.abandon_rotation().await.map_err(error),
            Err(error) => Err(error),
        })
    }

    async fn save(&mut self, session: Session) -> wasmtime::Result<Result<(), SessionError>> {
        let content = handles::take_session(&mut self.table, session)
            .map_err(|what| Violation(what.to_owned()))?;
        let Renewing { lease, unsaved } = match renewing(self) {
            Ok(renewing) => renewing,
            Err(error) => return Ok(Err(error)),
        };
        let saved = lease.save(unsaved.insert(content)).await;
        if matches!(saved, Ok(_) | Err(StoreError::LeaseLost)) {
            *unsaved = None;
        }
        Ok(match saved {
            Ok(true) => Ok(()),
            Ok(false) => Err(SessionError::LeaseLost),
            Err(failure) => Err(error(failure)),
        })
    }
}
