//! From what went wrong to what the caller is told: the only place that chooses
//! status codes.
//!
//! The caller gets a problem document (RFC 9457) with one bland sentence; the
//! reason goes to the log, once, with the request's id to join the two.

mod answers;
mod causes;
mod changes;
mod counted;

mod verdict;

use std::borrow::Cow;

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

pub(super) use self::{
    answers::{Created, NotAuthenticated, Unauthenticated},
    verdict::Verdict,
};
use super::document::Told;
use super::pages::{self, Notice};
use crate::{
    identity::{PROVIDERS, RequestId, UserId},
    limit::Limited,
    sandbox::RuntimeError,
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
    /// For a caller that is a program, where the status alone does not say it.
    code: Option<&'static str>,
    /// For the log.
    reason: Option<String>,
    /// The challenge of a 401 (RFC 9110 section 11.6.1).
    challenge: Option<&'static str>,
    /// The limit that a 429 is about.
    limited: Option<Limited>,
    /// A person is told, by a page.
    notice: Option<Notice>,
    /// A cookie to set or to delete.
    cookie: Option<Box<HeaderValue>>,
    /// Whom it is about, for operators.
    user: Option<Box<UserId>>,
}

const BAD_LOG_OUT_TOKEN: &str = "the log-out token is not believed";

/// Nothing was presented (RFC 6750 section 3.1: then no error code either).
const CHALLENGE: &str = r#"Bearer realm="vestibule""#;
/// Something was presented and is bad.
const CHALLENGE_INVALID: &str = r#"Bearer realm="vestibule", error="invalid_token""#;
/// What was presented is good for something else.
const CHALLENGE_SCOPE: &str = r#"Bearer realm="vestibule", error="insufficient_scope""#;

impl Problem {
    const fn new(status: StatusCode, detail: &'static str) -> Self {
        Self {
            status,
            detail: Cow::Borrowed(detail),
            code: None,
            reason: None,
            challenge: None,
            limited: None,
            notice: None,
            cookie: None,
            user: None,
        }
    }

    /// With a sentence that names what the caller gave.
    fn telling(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { detail: Cow::Owned(detail.into()), ..Self::new(status, "") }
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

    /// The user has to connect an account of a Git provider again.
    pub(super) fn reconnect() -> Self {
        let detail = "the account has to be connected again";
        Self {
            code: Some("provider_reconnect_required"),
            ..Self::new(StatusCode::CONFLICT, detail)
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

    /// About this user.
    pub(super) fn about(mut self, user: &UserId) -> Self {
        self.user = Some(Box::new(user.clone()));
        self
    }

    /// Deletes a cookie by the way.
    pub(super) fn clearing(self, cookie: &'static str) -> Self {
        self.setting(HeaderValue::from_static(cookie))
    }

    /// Sets or deletes a cookie by the way.
    pub(super) fn setting(mut self, cookie: HeaderValue) -> Self {
        self.cookie = Some(Box::new(cookie));
        self
    }

    /// As a page, for a person.
    pub(super) fn noticed(mut self, notice: Notice) -> Self {
        self.notice = Some(notice);
        self
    }

    /// As whatever page fits.
    pub(super) fn for_a_person(self) -> Self {
        let notice = self.notice.unwrap_or(match self.status {
            StatusCode::FORBIDDEN => Notice::Denied,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Notice::Unavailable,
            _ => Notice::Failed,
        });
        self.noticed(notice)
    }

    /// The identity provider, or the visitor there, declined.
    pub(super) fn declined(mut self, why: &str) -> Self {
        if self.status.is_client_error() {
            self.detail = format!("The sign-in provider said: {why}").into();
            self.notice = Some(Notice::Declined);
        }
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

    /// An identity provider's log-out token is not believed (OpenID Connect Back-Channel
    /// Logout 1.0 section 2.8).
    pub(super) fn bad_log_out_token(reason: impl Into<String>) -> Self {
        Self::ambiguous(BAD_LOG_OUT_TOKEN).because(reason)
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

    /// Whether it counts against the address that it is answered to.
    pub(super) fn is_refusal(&self) -> bool {
        let failed_log_in = self.notice.is_some() && self.status.is_client_error();
        self.is_bad_credential() || failed_log_in || self.detail == BAD_LOG_OUT_TOKEN
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
        let mut response = match self.notice {
            Some(notice) => pages::notice(notice, &self.detail, id).into_response(),
            None => {
                let told = Told {
                    kind: "about:blank",
                    title: self.status.canonical_reason().unwrap_or_default(),
                    status: self.status.as_u16(),
                    detail: self.detail,
                    code: self.code,
                    request_id: id.to_string(),
                };
                let problem = const { HeaderValue::from_static("application/problem+json") };
                ([(header::CONTENT_TYPE, problem)], Json(told)).into_response()
            }
        };
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(cookie) = self.cookie {
            headers.append(header::SET_COOKIE, *cookie);
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // What is left of the body would be taken for a request.
            headers.insert(header::CONNECTION, const { HeaderValue::from_static("close") });
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(Limited { limit, reset, .. }) = self.limited {
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

/// Leaves the document to the layer that knows the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
