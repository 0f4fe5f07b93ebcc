//! The benchmark's guest: a session cookie with a MAC, checked within the sandbox.

use vestibule_sdk::{
    Claim, Credential, Decision, Description, Error, Identity, Login, Plugin, Request,
    TokenProvider, UserAuth, clock, export,
};

pub mod policy;

use policy::{Caller, KEY, Refusal};

/// The strategy.
pub struct SessionCookie;

impl Plugin for SessionCookie {
    fn describe() -> Description {
        Description {
            headers: vec!["x-cookies".into()],
            ..Description::new(
                "session",
                env!("CARGO_PKG_VERSION"),
                "Reads a session cookie with a MAC",
            )
        }
    }
}

impl UserAuth for SessionCookie {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        if !matches!(request.credential, Credential::Absent) {
            return Err(Error::unauthenticated("only a cookie is a credential here"));
        }
        let Some(cookies) = request.header(0) else {
            return Ok(Decision::anonymous());
        };
        match policy::decide(cookies, clock::now(), &KEY) {
            Ok(caller) => Ok(Decision::authenticated(identity(caller))),
            Err(Refusal::NoSession) => Ok(Decision::anonymous()),
            Err(Refusal::Malformed) => Err(Error::unauthenticated("malformed")),
            Err(Refusal::Forged) => Err(Error::unauthenticated("forged")),
            Err(Refusal::Expired) => Err(Error::unauthenticated("expired")),
        }
    }

    fn restore(_: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        last_known.ok_or_else(|| Error::unauthenticated("never seen"))
    }
}

fn identity(caller: Caller) -> Identity {
    Identity {
        org_id: Some(caller.org_id),
        roles: caller.roles,
        claims: vec![Claim::new("exp", caller.expires_at.to_string())],
        ..Identity::user(caller.user_id)
    }
}

impl Login for SessionCookie {}
impl TokenProvider for SessionCookie {}

export!(SessionCookie, panics: silent);
