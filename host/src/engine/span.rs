//! The span of a call, for whoever follows requests through several servers.

use tracing::Span;

use super::{call::Answer, output::Decision, strategy::Strategy};
use crate::identity::{Outcome, Refusal};

impl Strategy {
    /// The span of a call.
    pub(super) fn span(&self, what: &'static str) -> Span {
        tracing::info_span!(
            target: "vestibule::span",
            "strategy",
            strategy.name = self.description.name,
            plugin.digest = self.digest,
            call = what,
            outcome = tracing::field::Empty,
        )
    }
}

/// Says in a call's span how it ended.
pub(super) fn told(span: &Span, answer: &Answer<Decision>) {
    if span.is_disabled() {
        return;
    }
    span.record(
        "outcome",
        match answer {
            Ok(Ok(decision)) if decision.outcome == Outcome::Anonymous => "anonymous",
            Ok(Ok(_)) => "authenticated",
            Ok(Err(Refusal::Unauthenticated(_))) => "unauthenticated",
            Ok(Err(Refusal::Forbidden(_))) => "forbidden",
            Ok(Err(Refusal::Unavailable(_))) => "unavailable",
            Ok(Err(Refusal::Internal(_))) => "broken",
            Err(error) => error.kind().text(),
        },
    );
}
