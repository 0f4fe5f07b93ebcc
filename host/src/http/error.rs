//! From what went wrong to what the caller is told: the only place that chooses
//! status codes.
//!
//! The caller gets a problem document (RFC 9457) with one bland sentence; the
//! reason goes to the log, once, with the request's id to join the two.

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    engine::CallError,
    identity::{Refusal, RequestId},
    store::StoreError,
};

/// How long a caller should wait after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A request that cannot be answered as asked.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    /// For the caller.
    detail: &'static str,
    /// For the log.
    reason: Option<String>,
    /// The challenge of a 401 (RFC 9110 section 11.6.1).
    challenge: Option<&'static str>,
}

/// Nothing was presented (RFC 6750 section 3.1: then no error code either).
const CHALLENGE: &str = r#"Bearer realm="vestibule""#;
/// Something was presented and is bad.
const CHALLENGE_INVALID: &str = r#"Bearer realm="vestibule", error="invalid_token""#;

impl Problem {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status, detail, reason: None, challenge: None }
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
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
        let document = Json(json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "request_id": id.to_string(),
        }));
        let mut response = (self.status, document).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            const { HeaderValue::from_static("application/problem+json") },
        );
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
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
        let reason = match &error {
            StoreError::Query(source) => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::unavailable("the database does not answer, try again").because(reason)
    }
}
