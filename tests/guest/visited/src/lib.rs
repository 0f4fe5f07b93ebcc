//! A strategy for tests with a log-in and without an identity provider: what the
//! browser brings back says who has arrived and how their session behaves.

use std::hint;

use vestibule_sdk::login::{
    Attempt, Callback, LogOutRedirect, LogOutRequest, LoginRequest, LoginState, LoginStep,
    Redirect, SignedIn,
};
use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, NamedSecret, NewToken, Outcome,
    Plugin, Request, Session, SessionChange, TokenProvider, UserAuth, clock, export, session_store,
};

struct Visited;

/// How long a session lasts before it is renewed, in seconds.
const FRESH_SECONDS: u64 = 300;

impl Plugin for Visited {
    fn describe() -> Description {
        Description {
            log_in: Some("Sign in with Example <Corp>".into()),
            ..Description::new("visited", env!("CARGO_PKG_VERSION"), "Believes a callback")
        }
    }
}

/// What a session holds: whose it is, how its renewal goes, and how often it was
/// renewed.
struct Visit {
    user: String,
    renewal: String,
    count: u32,
}

impl Visit {
    fn parse(data: &[u8]) -> Option<Self> {
        let mut parts = str::from_utf8(data).ok()?.split('|');
        Some(Self {
            user: parts.next()?.into(),
            renewal: parts.next()?.into(),
            count: parts.next()?.parse().ok()?,
        })
    }

    fn session(&self, secrets: Vec<NamedSecret>) -> Session {
        let Self { user, renewal, count } = self;
        Session {
            secrets,
            refresh_at: (renewal != "never").then(|| clock::now() + FRESH_SECONDS),
            ..Session::new(format!("{user}|{renewal}|{count}"))
        }
    }

    fn identity(&self) -> Identity {
        let name = format!("{} renewed {} times", self.user, self.count);
        Identity { display_name: Some(name), ..Identity::user(&self.user) }
    }

    fn renewed(mut self, session: Session) -> Result<Decision, Error> {
        self.count += 1;
        let next = self.session(session.secrets);
        let lost = |error| Error::unavailable(format!("{error:?}"));
        let change = match self.renewal.as_str() {
            "replace" => SessionChange::Replace(next),
            "save" | "touch" => {
                session_store::begin_rotation().map_err(lost)?;
                session_store::save(next).map_err(lost)?;
                SessionChange::Keep
            }
            "save-then-trap" => {
                session_store::begin_rotation().map_err(lost)?;
                session_store::save(next).map_err(lost)?;
                panic!("after the session was saved");
            }
            "trap" => {
                session_store::begin_rotation().map_err(lost)?;
                panic!("with a token that may be used up");
            }
            "down" => return Err(Error::unavailable("the identity provider is down")),
            "refused" => return Err(Error::unauthenticated("invalid_grant")),
            "clear" => SessionChange::Clear,
            other => return Err(Error::internal(format!("no renewal is called {other}"))),
        };
        let outcome = Outcome::Authenticated(self.identity());
        Ok(Decision { outcome, session: change })
    }
}

impl UserAuth for Visited {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match request.credential {
            Credential::Absent => Ok(Decision::anonymous()),
            Credential::Session(presented) => {
                let visit = Visit::parse(&presented.session.data)
                    .ok_or_else(|| Error::internal("a session of another strategy"))?;
                if presented.refresh {
                    return visit.renewed(presented.session);
                }
                if visit.renewal == "touch" {
                    // For long enough that another request overtakes this one.
                    (0..200_000_000_u64).for_each(|n| _ = hint::black_box(n));
                    let next = visit.session(presented.session.secrets);
                    let outcome = Outcome::Authenticated(visit.identity());
                    return Ok(Decision { outcome, session: SessionChange::Replace(next) });
                }
                let who = match visit.renewal.as_str() {
                    // What a strategy must not be able to do is tried as well.
                    "impersonate" => Identity::user("somebody-else"),
                    _ => visit.identity(),
                };
                Ok(Decision::authenticated(who))
            }
            Credential::ApiKey(key) => {
                let owner = key.owner.ok_or_else(|| Error::unauthenticated("no owner"))?;
                Ok(Decision::authenticated(owner))
            }
            Credential::Bearer(_) => Err(Error::unauthenticated("no bearer tokens here")),
        }
    }

    fn restore(_: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        last_known.ok_or_else(|| Error::unauthenticated("never seen"))
    }
}

/// The trip to the identity provider, with all that a real one needs.
fn trip(attempt: &Attempt, host: &str, data: &str, secrets: Vec<NamedSecret>) -> LoginStep {
    let Attempt { redirect_uri, state, nonce, code_challenge } = attempt;
    let location = format!(
        "https://{host}/authorize?redirect_uri={redirect_uri}&state={state}&nonce={nonce}\
         &code_challenge={code_challenge}&code_challenge_method=S256"
    );
    LoginStep::Redirect(Redirect { location, state: LoginState { data: data.into(), secrets } })
}

impl Login for Visited {
    fn begin(request: LoginRequest) -> Result<LoginStep, Error> {
        match request.hint.as_deref() {
            Some("elsewhere") => Ok(trip(&request.attempt, "evil.example", "", Vec::new())),
            Some("down") => Err(Error::unavailable("the identity provider is down")),
            Some("large") => {
                Ok(trip(&request.attempt, "idp.example", &"x".repeat(4096), Vec::new()))
            }
            _ => Ok(trip(&request.attempt, "idp.example", "first", Vec::new())),
        }
    }

    fn complete(callback: Callback) -> Result<LoginStep, Error> {
        if let Some(error) = callback.parameter("error") {
            return Err(match error {
                "temporarily_unavailable" => Error::unavailable(error),
                _ => Error::forbidden(error),
            });
        }
        let code = callback.code.ok_or_else(|| Error::unauthenticated("there is no code"))?;
        let parameter = |name: &str| {
            let found = callback.parameters.iter().find(|parameter| parameter.name == name)?;
            Some(found.value.clone())
        };
        if parameter("again").is_some() {
            let kept = vec![NamedSecret::new("first-code", code)];
            return Ok(trip(&callback.next, "idp.example", "second", kept));
        }
        let user = parameter("user").ok_or_else(|| Error::unauthenticated("nobody"))?;
        if user == "stranger" {
            return Err(Error::forbidden("a stranger"));
        }
        // On the second trip, what the first one brought is still there.
        let carried = callback.state.secrets.into_iter().next();
        if callback.state.data == b"second" && carried.is_none() {
            return Err(Error::internal("the first code is lost"));
        }
        let renewal = parameter("renewal").unwrap_or_else(|| "never".into());
        let visit = Visit { user, renewal, count: 0 };
        let tokens = match parameter("token") {
            Some(name) => vec![NewToken {
                name,
                access: carried.map(|secret| secret.value),
                refresh: None,
                access_expires_at: None,
                refresh_expires_at: None,
                host: None,
                account_id: None,
            }],
            None => Vec::new(),
        };
        let session = visit.session(vec![NamedSecret::new("code", code)]);
        Ok(LoginStep::SignedIn(SignedIn { identity: visit.identity(), session, tokens }))
    }

    fn log_out(request: LogOutRequest) -> Result<Option<LogOutRedirect>, Error> {
        let visit = Visit::parse(&request.session.data)
            .ok_or_else(|| Error::internal("a session of another strategy"))?;
        match visit.user.as_str() {
            "unlucky" => Err(Error::unavailable("the identity provider is down")),
            "visitor" => Ok(Some(LogOutRedirect {
                location: format!("https://idp.example/logout?back={}", request.return_to),
                parameters: request.session.secrets,
            })),
            _ => Ok(None),
        }
    }
}

impl TokenProvider for Visited {}

export!(Visited);
