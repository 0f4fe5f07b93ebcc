//! Errors: short constructors, and what a capability's error means for a caller.

use crate::Error;
use crate::http::HttpError;
use crate::jose::JoseError;
use crate::secrets::SecretError;
use crate::token_provider::TokenError;
use crate::token_store::StoreError;

impl Error {
    /// The presented credential is bad or over.
    #[must_use]
    pub fn unauthenticated(reason: impl Into<String>) -> Self {
        Self::Unauthenticated(reason.into())
    }

    /// The caller is known and may not come in.
    #[must_use]
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::Forbidden(reason.into())
    }

    /// Something that the strategy needs does not answer now.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// The strategy itself is at fault.
    #[must_use]
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::Internal(reason.into())
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let reason = format!("{error:?}");
        match error {
            HttpError::NotGranted(_) | HttpError::InvalidRequest(_) => Self::Internal(reason),
            HttpError::ForbiddenAddress
            | HttpError::Connection(_)
            | HttpError::Tls(_)
            | HttpError::Timeout
            | HttpError::TooLarge
            | HttpError::UnreadableReply(_) => Self::Unavailable(reason),
        }
    }
}

impl From<JoseError> for Error {
    fn from(error: JoseError) -> Self {
        let reason = format!("{error:?}");
        match error {
            JoseError::NotGranted(_) | JoseError::InvalidRequest(_) => Self::Internal(reason),
            JoseError::Unavailable(_) => Self::Unavailable(reason),
            JoseError::Rejected(_) => Self::Unauthenticated(reason),
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        Self::Internal(format!("{error:?}"))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let reason = format!("{error:?}");
        match error {
            StoreError::NotGranted(_) | StoreError::WrongUser => Self::Internal(reason),
            StoreError::Busy | StoreError::LeaseLost | StoreError::Unavailable(_) => {
                Self::Unavailable(reason)
            }
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        let reason = format!("{error:?}");
        match error {
            StoreError::NotGranted(_) | StoreError::WrongUser => Self::Internal(reason),
            StoreError::Busy | StoreError::LeaseLost | StoreError::Unavailable(_) => {
                Self::Unavailable(reason)
            }
        }
    }
}

impl From<HttpError> for TokenError {
    fn from(error: HttpError) -> Self {
        match Error::from(error) {
            Error::Unavailable(reason) => Self::Unavailable(reason),
            Error::Unauthenticated(reason) | Error::Forbidden(reason) | Error::Internal(reason) => {
                Self::Internal(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Rejection;

    #[test]
    fn an_unreachable_provider_is_not_the_callers_fault() {
        assert!(matches!(Error::from(HttpError::Timeout), Error::Unavailable(_)));
        assert!(matches!(
            Error::from(JoseError::Unavailable("keys".into())),
            Error::Unavailable(_)
        ));
    }

    #[test]
    fn a_rejected_token_is_a_bad_credential() {
        let error = Error::from(JoseError::Rejected(Rejection::Expired));
        assert!(matches!(error, Error::Unauthenticated(reason) if reason.contains("Expired")));
    }
}
