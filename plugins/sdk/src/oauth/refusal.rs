//! What a refusal on the way of a log-in means for the person who logs in.

use super::Failure;
use crate::{Error, log};

/// Why the browser came back without a code (RFC 6749 section 4.1.2.1, OpenID
/// Connect Core section 3.1.2.6). `who` is the identity provider, for people.
#[must_use]
pub fn declined(who: &str, error: &str) -> Error {
    match error {
        "access_denied" | "consent_required" => {
            Error::forbidden(format!("the visitor declined at {who}"))
        }
        // Not the standard's, but GitHub's: redirect_uri_mismatch, application_suspended.
        "redirect_uri_mismatch"
        | "application_suspended"
        | "unauthorized_client"
        | "invalid_request"
        | "invalid_scope"
        | "unsupported_response_type" => {
            let fields = [("provider", who), ("error", error)];
            log::error("the client is refused: look at its page at the provider", &fields);
            Error::unavailable(format!("{who} refuses the client"))
        }
        "temporarily_unavailable" | "server_error" => {
            Error::unavailable(format!("{who} is not well"))
        }
        _ => Error::unauthenticated(format!("{who} sends an error that is not known")),
    }
}

impl Failure {
    /// What becomes of a log-in whose code was not exchanged.
    #[must_use]
    pub fn of_code_exchange(self, who: &str) -> Error {
        match self {
            Self::Definite(reason) => {
                Error::unauthenticated(format!("the code is no good: {reason}"))
            }
            other => Error::unavailable(format!("{who} gives no token: {}", other.told(who))),
        }
    }

    /// The reason, after it was told to the operator: as an error where only they can mend
    /// it.
    #[must_use]
    pub fn told(self, who: &str) -> String {
        match self {
            Self::Client(reason) => {
                log::error(
                    "the client is refused: check client_id, client_secret, the redirect URI at the \
                     provider and [auth.grants] http",
                    &[("provider", who), ("reason", &reason)],
                );
                reason
            }
            Self::Definite(reason) | Self::Transient(reason) => {
                log::warn("no token is given", &[("provider", who), ("reason", &reason)]);
                reason
            }
        }
    }
}
