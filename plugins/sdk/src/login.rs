//! The browser's way in and out.

pub use crate::bindings::exports::vestibule::auth::login::{
    Attempt, Callback, IdpSession, LogOutRedirect, LogOutRequest, LoginRequest, LoginState,
    LoginStep, Parameter, Redirect, SessionSelector, SignedIn,
};

use crate::{Error, Secret};

/// How browsers log in and out.
///
/// Every method has a default which says that the strategy has no log-in. The
/// host makes the anti-forgery value, the PKCE pair and the nonce, checks them
/// once and writes every response; a strategy only says where to go next or who
/// has arrived.
pub trait Login {
    /// Begins a log-in.
    fn begin(_request: LoginRequest) -> Result<LoginStep, Error> {
        Err(no_login())
    }

    /// Goes on with a log-in when the browser comes back.
    fn complete(_callback: Callback) -> Result<LoginStep, Error> {
        Err(no_login())
    }

    /// Says whether the identity provider has a page to visit when a browser
    /// logs out; the session ends whatever the answer is.
    fn log_out(_request: LogOutRequest) -> Result<Option<LogOutRedirect>, Error> {
        Err(no_login())
    }

    /// Names the sessions that the identity provider says are over.
    fn back_channel(_logout_token: Secret) -> Result<Vec<SessionSelector>, Error> {
        Err(no_login())
    }
}

fn no_login() -> Error {
    Error::unavailable("this strategy has no log-in")
}

impl LoginStep {
    /// Sends the browser to `location`, to find `data` again when it returns.
    #[must_use]
    pub fn redirect(location: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self::Redirect(Redirect {
            location: location.into(),
            state: LoginState { data: data.into(), secrets: Vec::new() },
        })
    }
}

impl Callback {
    /// The value of a parameter with which the browser came back.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let parameter = self.parameters.iter().find(|p| p.name == name)?;
        Some(&parameter.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct WithoutLogin;
    impl Login for WithoutLogin {}

    #[test]
    fn a_strategy_without_login_says_so() {
        let attempt = Attempt {
            redirect_uri: String::new(),
            state: String::new(),
            nonce: String::new(),
            code_challenge: String::new(),
        };
        let request = LoginRequest { attempt, hint: None };
        assert!(matches!(WithoutLogin::begin(request), Err(Error::Unavailable(_))));
    }
}
