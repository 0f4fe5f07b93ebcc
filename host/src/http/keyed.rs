//! Callers who are no users: running sandboxes and other services, each known by a
//! key. Who they are is found out before any body is read.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Problem, count::Peer, credential};
use crate::{host::Host, limit::Who, store::Sandbox};

/// A running sandbox, by its session key.
pub(super) struct Running(pub(super) Sandbox);

impl FromRequestParts<Host> for Running {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let sandbox = credential::sandbox(host, &parts.headers);
        let peer = Peer::of(parts, &host.config().server);
        let sandbox = peer.asks(host, sandbox).await?;
        let owner = Who::Sandboxes(sandbox.scope.user.clone());
        peer.counts(host, &owner)?;
        Ok(Self(sandbox))
    }
}

/// Another service, by the key that it shares with Vestibule.
pub(super) struct Service;

impl FromRequestParts<Host> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let config = host.config();
        let known = async { credential::service(&config.server, &parts.headers) };
        Peer::of(parts, &config.server).asks(host, known).await?;
        Ok(Self)
    }
}
