//! What the rooms below say went wrong, as problems.

use http::StatusCode;

use super::Problem;
use crate::{
    context::{ContextError, RefreshError, RefreshReason, SessionError, TokenError},
    engine::CallError,
    identity::{Refusal, TokenRefusal},
    store::StoreError,
    text,
};

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::unavailable("the caller cannot be identified now, try again")
            .because(error.to_string())
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Call(error) => error.into(),
            SessionError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated(reason) => Self::bad_credential(reason),
            Refusal::Forbidden(reason) => Self::forbidden(reason),
            Refusal::Unavailable(reason) => {
                Self::unavailable("the caller cannot be identified now, try again").because(reason)
            }
            Refusal::Internal(reason) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something is broken here")
                    .because(reason)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let told = error.to_string();
        let status = match &error {
            StoreError::NoUser(_) => StatusCode::NOT_FOUND,
            StoreError::NoSecret(_) => return Self::absent("Secret not found"),
            StoreError::NotMember { .. } | StoreError::Disabled(_) => StatusCode::FORBIDDEN,
            StoreError::Conflict
            | StoreError::SecretTwice(_)
            | StoreError::KeyTwice(_)
            | StoreError::SandboxExists(_) => StatusCode::CONFLICT,
            StoreError::SecretName(_)
            | StoreError::TooManySecrets(_)
            | StoreError::SecretTooLarge { .. }
            | StoreError::KeyName(_)
            | StoreError::KeyExpired { .. }
            | StoreError::KeyScope(_)
            | StoreError::SandboxId(_)
            | StoreError::SettingsShape(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Cipher(_) | StoreError::Damaged(_) => {
                return Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "something that was stored cannot be read",
                )
                .because(told);
            }
            StoreError::Query(source) => {
                return Self::unavailable("the database does not answer, try again")
                    .because(format!("{told}: {source}"));
            }
            _ => return Self::unavailable("this cannot be done now, try again").because(told),
        };
        Self::telling(status, text::escape(&text::cut(told, 512)))
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::UnknownProvider(name) => Self::unknown_provider(&name),
            TokenError::Missing(_) => Self::absent("no account of this provider is connected"),
            TokenError::Refused(TokenRefusal::Reconnect(why)) => Self::reconnect().because(why),
            TokenError::Refused(TokenRefusal::Unavailable(why)) => {
                Self::unavailable("the provider does not answer, try again").because(why)
            }
            TokenError::Refused(TokenRefusal::Internal(why)) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something is broken here")
                    .because(why)
            }
            TokenError::Call(error) => error.into(),
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<ContextError> for Problem {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::NoUser(_) => Self::absent("there is no such user"),
            ContextError::Disabled(_) => Self::forbidden_because("the user is disabled"),
            ContextError::NotMember(_) => {
                Self::forbidden_because("the user is no member of the organisation any more")
            }
            // It is not the caller whom the strategy refuses.
            ContextError::Refused(Refusal::Unauthenticated(why) | Refusal::Forbidden(why)) => {
                Self::forbidden_because("the strategy does not let this user in").because(why)
            }
            ContextError::Refused(refusal) => refusal.into(),
            ContextError::Call(error) => error.into(),
            ContextError::Store(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        let told = error.to_string();
        match error {
            RefreshError::User(error) => error.into(),
            RefreshError::UnknownProvider(name) => Self::unknown_provider(&name),
            RefreshError::Store(error) => error.into(),
            RefreshError::Tokens(failures) => {
                let any = |reason| failures.iter().any(|failure| failure.reason == reason);
                // What another try would not change comes first.
                let status = if any(RefreshReason::Reconnect) || any(RefreshReason::OtherAccount) {
                    StatusCode::CONFLICT
                } else if any(RefreshReason::Broken) {
                    StatusCode::INTERNAL_SERVER_ERROR
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                Self::telling(status, told)
            }
        }
    }
}
