//! A strategy for tests that need users: a header says who it is, and a key acts
//! for its owner.

use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, Plugin, Request, TokenProvider,
    UserAuth, export,
};

struct Named;

impl Plugin for Named {
    fn describe() -> Description {
        Description {
            headers: vec!["x-user".into(), "x-org".into()],
            ..Description::new("named", env!("CARGO_PKG_VERSION"), "Believes a header")
        }
    }
}

impl UserAuth for Named {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        let org_id = request.header(1).map(Into::into);
        match (&request.credential, request.header(0)) {
            (Credential::Absent, None) => Ok(Decision::anonymous()),
            (Credential::Absent, Some(user)) => {
                Ok(Decision::authenticated(Identity { org_id, ..Identity::user(user) }))
            }
            (Credential::ApiKey(key), _) => {
                let owner = key.owner.clone();
                let owner =
                    owner.ok_or_else(|| Error::unauthenticated("a key without an owner"))?;
                // What a strategy must not be able to do is tried as well.
                match request.header(0) {
                    Some(user) if key.name == "impersonate" => {
                        Ok(Decision::authenticated(Identity::user(user)))
                    }
                    _ => Ok(Decision::authenticated(owner)),
                }
            }
            _ => Err(Error::unauthenticated("only x-user and keys count here")),
        }
    }

    fn restore(_: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        last_known.ok_or_else(|| Error::unauthenticated("never seen"))
    }
}

impl Login for Named {}
impl TokenProvider for Named {}

export!(Named);
