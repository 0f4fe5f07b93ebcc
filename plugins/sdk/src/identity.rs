//! Identities and the decisions about them.

use crate::{Claim, Decision, Identity, Outcome, Request, SessionChange};

impl Identity {
    /// The one person whom a strategy with `local_owner` serves.
    #[must_use]
    pub fn local_owner() -> Self {
        Self {
            user_id: None,
            org_id: None,
            display_name: None,
            email: None,
            email_verified: false,
            roles: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// A user of whom nothing but the id is known.
    #[must_use]
    pub fn user(id: impl Into<String>) -> Self {
        Self { user_id: Some(id.into()), ..Self::local_owner() }
    }
}

impl Claim {
    /// One further fact about a caller.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl Decision {
    /// Nobody is logged in; only for absent credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { outcome: Outcome::Anonymous, session: SessionChange::Keep }
    }

    /// This is who is calling; the session stays as it is.
    #[must_use]
    pub fn authenticated(identity: Identity) -> Self {
        Self { outcome: Outcome::Authenticated(identity), session: SessionChange::Keep }
    }
}

impl Request {
    /// The value of the header at this place in the description's `headers`.
    #[must_use]
    pub fn header(&self, index: usize) -> Option<&str> {
        self.headers.get(index)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_not_the_local_owner() {
        assert_eq!(Identity::user("ada").user_id.as_deref(), Some("ada"));
        assert_eq!(Identity::local_owner().user_id, None);
    }

    #[test]
    fn decisions_keep_the_session() {
        assert!(matches!(Decision::anonymous().session, SessionChange::Keep));
        let decision = Decision::authenticated(Identity::user("ada"));
        assert!(matches!(decision.session, SessionChange::Keep));
    }
}
