//! A strategy that makes the mistakes which the conformance kit looks for.

use vestibule_sdk::{
    Credential, Decision, Description, Error, GrantSource, Identity, Login, Plugin, ProposedGrants,
    Request, Secret, Session, TokenProvider, UserAuth, export,
    http::{self, Body, Field},
    log,
    login::{Callback, LoginRequest, LoginStep, SessionSelector, SignedIn},
};

struct Careless;

impl Plugin for Careless {
    fn describe() -> Description {
        Description {
            grants: ProposedGrants {
                http: vec![GrantSource::fixed("https://idp.example")],
                ..ProposedGrants::none()
            },
            log_in: Some("Sign in".into()),
            ..Description::new("careless", "0.1.0", "Makes mistakes, for tests")
        }
    }
}

impl UserAuth for Careless {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        Ok(match request.credential {
            Credential::Absent => Decision::anonymous(),
            Credential::ApiKey(key) => {
                let owner = key.owner.ok_or_else(|| Error::unauthenticated("nobody"))?;
                Decision::authenticated(owner)
            }
            Credential::Session(_) => return Err(Error::unauthenticated("no session")),
            // Whoever has any token is let in.
            Credential::Bearer(_) => Decision::authenticated(Identity::user("admin")),
        })
    }

    fn restore(_: Option<String>, _: Option<Identity>) -> Result<Identity, Error> {
        // Whoever was asked about.
        Ok(Identity::user("admin"))
    }
}

impl Login for Careless {
    fn begin(_: LoginRequest) -> Result<LoginStep, Error> {
        Ok(LoginStep::redirect("https://idp.example/authorize", *b"trip"))
    }

    fn complete(callback: Callback) -> Result<LoginStep, Error> {
        let code = callback.code.ok_or_else(|| Error::unauthenticated("no code"))?;
        let mut request = http::Request::new(http::Method::Post, "https://idp.example/token");
        request.body = Body::Form(vec![
            Field::text("grant_type", "authorization_code"),
            Field::secret("code", &code),
        ]);
        let reply = http::send(&request).map_err(|_| Error::unavailable("no reply"))?;
        // The token is neither captured nor kept out of the log, and what is no JSON panics.
        let tokens: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        log::info("the tokens", &[("tokens", &tokens.to_string())]);
        Ok(LoginStep::SignedIn(SignedIn {
            identity: Identity::user("admin"),
            session: Session::new(*b"admin"),
            tokens: Vec::new(),
        }))
    }

    fn back_channel(_: Secret) -> Result<Vec<SessionSelector>, Error> {
        Ok(vec![SessionSelector::User("admin".into())])
    }
}

impl TokenProvider for Careless {}

export!(Careless);
