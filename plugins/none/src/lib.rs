//! No authentication: every caller is the local owner.
//!
//! For a server on one's own machine. What was presented and does not belong to
//! the local owner is refused all the same. Provider tokens come with the
//! host's token store.

use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, Plugin, Request, TokenProvider,
    UserAuth, export,
};

/// The strategy that lets everybody in as the local owner.
pub struct NoAuthentication;

impl Plugin for NoAuthentication {
    fn describe() -> Description {
        Description {
            aliases: vec!["no_auth".into(), "default".into()],
            local_owner: true,
            ..Description::new(
                "none",
                env!("CARGO_PKG_VERSION"),
                "No authentication: every caller is the local owner",
            )
        }
    }
}

impl UserAuth for NoAuthentication {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        let refusal = match request.credential {
            Credential::Absent => return Ok(Decision::authenticated(Identity::local_owner())),
            Credential::ApiKey(key) if key.user_id.is_none() => {
                return Ok(Decision::authenticated(Identity::local_owner()));
            }
            Credential::ApiKey(_) => "the API key belongs to a user, and there are none here",
            Credential::Session(_) => "there are no sessions without a log-in",
            Credential::Bearer(_) => "there is nobody who could have issued a bearer token",
        };
        Err(Error::unauthenticated(refusal))
    }

    fn restore(user_id: Option<String>, _last_known: Option<Identity>) -> Result<Identity, Error> {
        match user_id {
            None => Ok(Identity::local_owner()),
            Some(_) => Err(Error::unauthenticated("there is nobody but the local owner")),
        }
    }
}

impl Login for NoAuthentication {}

impl TokenProvider for NoAuthentication {}

export!(NoAuthentication, panics: silent);

#[cfg(test)]
mod tests {
    use super::*;
    use vestibule_sdk::{ApiKey, Method, Outcome, Scheme, Session, SessionCredential};

    fn decide(credential: Credential) -> Result<Decision, Error> {
        NoAuthentication::authenticate(Request {
            method: Method::Get,
            scheme: Scheme::Http,
            host: "localhost".into(),
            path: "/".into(),
            query: None,
            client_address: None,
            credential,
            headers: Vec::new(),
        })
    }

    fn key(user_id: Option<&str>) -> Credential {
        Credential::ApiKey(ApiKey {
            id: "key".into(),
            user_id: user_id.map(Into::into),
            org_id: None,
            name: "laptop".into(),
            system: false,
            scopes: Vec::new(),
            owner: None,
        })
    }

    fn is_local_owner(decision: Result<Decision, Error>) -> bool {
        decision.is_ok_and(
            |decision| matches!(decision.outcome, Outcome::Authenticated(who) if who == Identity::local_owner()),
        )
    }

    #[test]
    fn every_caller_is_the_local_owner() {
        assert!(is_local_owner(decide(Credential::Absent)));
        assert!(is_local_owner(decide(key(None))));
        assert_eq!(NoAuthentication::restore(None, None), Ok(Identity::local_owner()));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let session = Credential::Session(SessionCredential {
            session: Session::new(*b"left over"),
            refresh: false,
        });
        for credential in [key(Some("ada")), session] {
            assert!(matches!(decide(credential), Err(Error::Unauthenticated(_))));
        }
        let restored = NoAuthentication::restore(Some("ada".into()), None);
        assert!(matches!(restored, Err(Error::Unauthenticated(_))));
    }
}
