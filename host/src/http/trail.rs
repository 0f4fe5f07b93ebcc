//! What is done at the edge, as the audit tells of it: by which request, and from where.

use std::{convert::Infallible, net::IpAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Problem, count::Peer};
use crate::{
    context::UserContext,
    engine::Strategy,
    host::Host,
    identity::RequestId,
    store::{AuditEntry, Scope},
};

/// One request, for the audit.
#[derive(Clone)]
pub(super) struct Trail {
    host: Host,
    id: RequestId,
    address: Option<IpAddr>,
    /// The strategy that answers it.
    digest: String,
}

impl Trail {
    pub(super) fn of(parts: &Parts, host: &Host, generation: &Strategy) -> Self {
        let peer = Peer::of(parts, &generation.config().server);
        let (id, address) = (peer.request(), peer.address());
        Self { host: host.clone(), id, address, digest: generation.digest().to_owned() }
    }

    pub(super) fn id(&self) -> RequestId {
        self.id
    }

    /// An entry about somebody and something.
    pub(super) fn entry(&self, action: &str, target: Option<&str>) -> AuditEntry {
        AuditEntry {
            address: self.address.map(|address| address.to_string()),
            action: action.to_owned(),
            target: target.map(str::to_owned),
            outcome: "done".to_owned(),
            strategy_digest: Some(self.digest.clone()),
            request_id: Some(self.id.to_string()),
            ..AuditEntry::default()
        }
    }

    /// An entry about what is a user's.
    pub(super) fn of_scope(&self, action: &str, scope: &Scope, target: &str) -> AuditEntry {
        AuditEntry {
            actor: Some(scope.user.to_string()),
            org: Some(scope.org.to_string()),
            ..self.entry(action, Some(target))
        }
    }

    /// Writes down what the caller did with what is theirs.
    pub(super) async fn did(&self, user: &UserContext, action: &str, target: &str) {
        self.note(&self.of_scope(action, user.scope(), target)).await;
    }

    /// Writes down what has happened; a gap is told loudly.
    pub(super) async fn note(&self, entry: &AuditEntry) {
        if let Err(error) = self.host.store().note(entry).await {
            let action = &entry.action;
            tracing::error!(request.id = %self.id, %error, action, "the audit has a gap");
        }
    }

    /// Writes down what must not happen unseen: where it cannot be written, it does not
    /// happen.
    pub(super) async fn require(&self, entry: &AuditEntry) -> Result<(), Problem> {
        self.host.store().note(entry).await.map_err(|error| {
            Problem::unavailable("this cannot be written down now, and so is not done")
                .because(error.to_string())
        })
    }
}

impl FromRequestParts<Host> for Trail {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Infallible> {
        Ok(Self::of(parts, host, &host.registry().current()))
    }
}
