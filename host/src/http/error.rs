//! From what went wrong to what the caller is told: the only place that chooses
//! status codes.
//!
//! The caller gets a problem document (RFC 9457) with one bland sentence; the
//! reason goes to the log, once, with the request's id to join the two.

use std::borrow::Cow;

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::document::Told;
use crate::{
    context::TokenError,
    engine::CallError,
    identity::{PROVIDERS, Refusal, RequestId, TokenRefusal},
    limit::Limited,
    sandbox::RuntimeError,
    store::StoreError,
    text,
};

/// How long a caller should wait after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A request that cannot be answered as asked.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    /// For the caller.
    detail: Cow<'static, str>,
    /// For the log.
    reason: Option<String>,
    /// The challenge of a 401 (RFC 9110 section 11.6.1).
    challenge: Option<&'static str>,
    /// The limit that a 429 is about.
    limited: Option<Limited>,
}

/// Nothing was presented (RFC 6750 section 3.1: then no error code either).
const CHALLENGE: &str = r#"Bearer realm="vestibule""#;
/// Something was presented and is bad.
const CHALLENGE_INVALID: &str = r#"Bearer realm="vestibule", error="invalid_token""#;
/// What was presented is good for something else.
const CHALLENGE_SCOPE: &str = r#"Bearer realm="vestibule", error="insufficient_scope""#;

impl Problem {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail: Cow::Borrowed(detail), reason: None, challenge: None, limited: None }
    }

    /// With a sentence that names what the caller gave.
    fn telling(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: Cow::Owned(detail.into()),
            reason: None,
            challenge: None,
            limited: None,
        }
    }

    /// A session key is missing.
    pub(super) fn no_session_key(detail: &'static str) -> Self {
        Self { challenge: Some(CHALLENGE), ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// A session key is bad.
    pub(super) fn bad_session_key(detail: &'static str) -> Self {
        Self { challenge: Some(CHALLENGE_INVALID), ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// The key of other services is not configured.
    pub(super) fn no_service_key() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service authentication is not configured")
            .because("set service_key_file in [server], or AUTOMATIONS_SERVICE_KEY")
    }

    /// The caller is known and may not do this.
    pub(super) fn forbidden_because(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// The caller's key is for something else (RFC 6750 section 3.1).
    pub(super) fn insufficient_scope(scope: &'static str) -> Self {
        Self {
            challenge: Some(CHALLENGE_SCOPE),
            ..Self::telling(StatusCode::FORBIDDEN, format!("the API key lacks the scope `{scope}`"))
        }
    }

    /// What the request names is not there.
    pub(super) fn absent(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The request is well formed, and its content cannot be used.
    pub(super) fn unprocessable(detail: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The body is not JSON, or does not say so.
    pub(super) fn unsupported_media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json")
    }

    /// The body is longer than anything that is asked for here.
    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off")
    }

    /// The body takes longer to arrive than anybody waits.
    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
    }

    /// The caller's key would have secrets sent where it says, and not their owner.
    pub(super) fn would_redirect() -> Self {
        Self {
            challenge: Some(CHALLENGE_SCOPE),
            ..Self::forbidden_because(
                "an API key without the scope `full` cannot have stored secrets sent elsewhere: \
                 send the secret (llm_api_key) along with its new address (llm_base_url)",
            )
        }
    }

    /// Nobody here starts sandboxes.
    pub(super) fn not_implemented(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// What runs sandboxes failed.
    pub(super) fn runtime_failed(error: &RuntimeError) -> Self {
        Self::unavailable("the sandbox cannot be reached now, try again").because(error.to_string())
    }

    /// Too many requests; in so many seconds there is room again.
    pub(super) fn too_many(limit: Limited) -> Self {
        Self {
            limited: Some(limit),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests, try again later")
        }
    }

    /// A name is no Git provider's.
    pub(super) fn unknown_provider(name: &str) -> Self {
        let list = PROVIDERS.join(", ");
        let name = text::escape(&text::cut(name.to_owned(), 64));
        Self::telling(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("{name:?} is no Git provider; there are {list}"),
        )
    }

    /// A handler takes the caller, and no layer has found out who that is.
    pub(super) fn no_layer() -> Self {
        Self::broken().because("UserContext is extracted without the layer of Host::layer")
    }

    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// There is nothing at this path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// There is something, and not for this method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not know that method")
    }

    /// The request can be read in more than one way, or in none.
    #[must_use]
    pub fn ambiguous(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Nobody is logged in, and somebody must be.
    #[must_use]
    pub fn not_authenticated() -> Self {
        Self {
            challenge: Some(CHALLENGE),
            ..Self::new(StatusCode::UNAUTHORIZED, "not authenticated")
        }
    }

    /// A credential was presented that is bad.
    #[must_use]
    pub fn bad_credential(reason: impl Into<String>) -> Self {
        Self {
            challenge: Some(CHALLENGE_INVALID),
            ..Self::new(StatusCode::UNAUTHORIZED, "the presented credential is not valid")
        }
        .because(reason)
    }

    /// The caller's account is closed.
    #[must_use]
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "you may not come in").because(reason)
    }

    /// A handler panicked.
    #[must_use]
    pub fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something is broken here")
            .because("a handler panicked")
    }

    /// The request is for somebody else: its host is not one of ours.
    #[must_use]
    pub fn misdirected() -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "this host is not served here")
    }

    /// Vestibule is starting, stopping or cut off from something that it needs.
    #[must_use]
    pub fn unavailable(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Whether something was presented that is bad.
    pub(super) fn is_bad_credential(&self) -> bool {
        self.challenge == Some(CHALLENGE_INVALID)
    }

    /// Writes the reason to the log: loud when the fault is ours.
    pub(super) fn log(&self, id: RequestId) {
        let status = self.status.as_u16();
        match &self.reason {
            Some(reason) if self.status.is_server_error() => {
                tracing::error!(request.id = %id, http.status = status, reason, "request failed");
            }
            Some(reason) => {
                tracing::info!(request.id = %id, http.status = status, reason, "request refused");
            }
            None => tracing::debug!(request.id = %id, http.status = status, "request refused"),
        }
    }

    /// The problem document.
    pub(super) fn render(self, id: RequestId) -> Response {
        let told = Told {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
            request_id: id.to_string(),
        };
        let mut response = (self.status, Json(told)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            const { HeaderValue::from_static("application/problem+json") },
        );
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // What is left of the body would be taken for a request.
            headers.insert(header::CONNECTION, const { HeaderValue::from_static("close") });
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(Limited { limit, reset }) = self.limited {
            headers.insert("x-ratelimit-limit", limit.into());
            headers.insert("x-ratelimit-remaining", const { HeaderValue::from_static("0") });
            headers.insert("x-ratelimit-reset", reset.into());
            headers.insert(header::RETRY_AFTER, reset.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// A 201 with what was made.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// Leaves the document to the layer that knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::unavailable("the caller cannot be identified now, try again")
            .because(error.to_string())
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
            TokenError::Refused(TokenRefusal::Reconnect(why)) => {
                Self::new(StatusCode::CONFLICT, "the account has to be connected again")
                    .because(why)
            }
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
