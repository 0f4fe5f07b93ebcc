//! What the host itself writes down in the audit: on its own account, or for requests
//! whose answers do not wait for it.

use super::Host;
use crate::{
    identity::{RequestId, UserId},
    limit::{Limited, Who},
    store::AuditEntry,
};

impl Host {
    /// Counts one request of somebody's. The first one too many in a window is written
    /// down, for all of them.
    pub(crate) fn count(&self, who: &Who) -> Result<(), Limited> {
        let shared = &self.shared;
        let counted = shared.limiter.count(who, &self.config().rate_limits, shared.clock.now());
        if let (Err(limited), Some(limit)) = (&counted, who.limit()) {
            self.metrics().limited(limit);
            if limited.first {
                let (actor, address) = who.parts();
                self.store().note_soon(AuditEntry {
                    actor,
                    address,
                    action: "rate-limit".to_owned(),
                    target: Some(limit.text().to_owned()),
                    outcome: "refused".to_owned(),
                    reason: Some(format!("more than {} requests in a window", limited.limit)),
                    ..AuditEntry::default()
                });
            }
        }
        counted
    }

    /// Writes down that something of a user's could not be renewed; once a minute,
    /// because whoever wants it asks again and again.
    pub(crate) fn note_failed_refresh(
        &self,
        user: &UserId,
        what: &str,
        reason: String,
        request: RequestId,
    ) {
        if self.count(&Who::Denied(user.clone(), format!("refresh:{what}"))).is_err() {
            return;
        }
        self.store().note_soon(AuditEntry {
            actor: Some(user.to_string()),
            action: "refresh".to_owned(),
            target: Some(what.to_owned()),
            outcome: "failed".to_owned(),
            reason: Some(reason),
            strategy_digest: Some(self.registry().current().digest().to_owned()),
            request_id: Some(request.to_string()),
            ..AuditEntry::default()
        });
    }
}
