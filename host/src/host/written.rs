//! What the host itself writes down in the audit: on its own account, or for requests
//! whose answers do not wait for it.

use std::net::IpAddr;

use super::Host;
use crate::{
    identity::{RequestId, UserId},
    limit::{Limited, Who},
    store::AuditEntry,
};

impl Host {
    /// Counts one request of somebody's. The first one too many in a window is written
    /// down, for all of them.
    pub(crate) fn count(
        &self,
        who: &Who,
        address: Option<IpAddr>,
        request: RequestId,
    ) -> Result<(), Limited> {
        let shared = &self.shared;
        let counted = shared.limiter.count(who, &self.config().rate_limits, shared.clock.now());
        if let (Err(limited), Some(limit)) = (&counted, who.limit()) {
            self.metrics().limited(limit);
            if limited.first {
                self.store().note_soon(AuditEntry {
                    actor: who.user().map(ToString::to_string),
                    address: address.map(|address| address.to_string()),
                    action: "rate-limit".to_owned(),
                    target: Some(limit.text().to_owned()),
                    outcome: "refused".to_owned(),
                    reason: Some(format!("more than {} requests in a window", limited.limit)),
                    request_id: Some(request.to_string()),
                    ..AuditEntry::default()
                });
            }
        }
        counted
    }

    /// Writes down that something of a user's could not be renewed; once a minute,
    /// because whoever wants it asks again and again. `entry` has the reason, and what
    /// else is known.
    pub(crate) fn note_failed_refresh(
        &self,
        user: &UserId,
        what: &str,
        request: RequestId,
        entry: AuditEntry,
    ) {
        let denied = Who::Denied(user.clone(), format!("refresh:{what}"));
        if self.count(&denied, None, request).is_err() {
            return;
        }
        self.store().note_soon(AuditEntry {
            actor: Some(user.to_string()),
            action: "refresh".to_owned(),
            target: Some(what.to_owned()),
            outcome: "failed".to_owned(),
            strategy_digest: Some(self.registry().current().digest().to_owned()),
            request_id: Some(request.to_string()),
            ..entry
        });
    }
}
