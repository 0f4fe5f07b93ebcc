//! What a gateway is told, in the way that each of them understands.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{CHALLENGE, Problem};
use crate::http::authz::Gateway;

/// What becomes of the request that a gateway asks about.
pub(in crate::http) enum Verdict {
    /// It passes, with these headers for the app.
    Pass(HeaderMap),
    /// A person has to log in first.
    LogIn {
        /// Where.
        location: HeaderValue,
        /// The request is one that may be sent again.
        reads: bool,
    },
}

impl Gateway {
    /// Tells the gateway. Exactly 200 lets a request pass: one of them takes no other
    /// status for it, and all of them would take any other for something.
    pub(in crate::http) fn told(self, verdict: Result<Verdict, Problem>) -> Response {
        match verdict {
            Ok(Verdict::Pass(headers)) => (StatusCode::OK, headers).into_response(),
            Ok(Verdict::LogIn { location, reads }) => self.sent_to(location, reads),
            Err(problem) => self.refusing(problem).into_response(),
        }
    }

    /// nginx knows no answer that redirects, and makes its own of this one.
    fn sent_to(self, location: HeaderValue, reads: bool) -> Response {
        let status = match self {
            Self::Nginx => StatusCode::UNAUTHORIZED,
            _ if reads => StatusCode::FOUND,
            // Not a status by which a form would be sent again.
            _ => StatusCode::SEE_OTHER,
        };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        let no_referrer = const { HeaderValue::from_static("no-referrer") };
        headers.insert(header::REFERRER_POLICY, no_referrer);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, const { HeaderValue::from_static(CHALLENGE) });
        }
        response
    }

    /// No cookie reaches a browser this way, and nginx turns what is neither 401 nor
    /// 403 into 500.
    fn refusing(self, mut problem: Problem) -> Problem {
        problem.cookie = None;
        problem.notice = None;
        problem.status = match (self, problem.status) {
            (_, StatusCode::MISDIRECTED_REQUEST) => StatusCode::FORBIDDEN,
            (Self::Nginx, StatusCode::UNAUTHORIZED) => StatusCode::UNAUTHORIZED,
            (Self::Nginx, status) if status.is_client_error() => StatusCode::FORBIDDEN,
            (Self::Nginx, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (_, status) => status,
        };
        problem
    }
}

impl Problem {
    /// The caller is known, and the app is not theirs.
    pub(in crate::http) fn not_yours(rule: String, bearer: bool) -> Self {
        let challenge = bearer.then_some(super::CHALLENGE_SCOPE);
        Self { challenge, ..Self::forbidden_because("this app is not for you") }.because(rule)
    }

    /// What an app would have to be told does not fit.
    pub(in crate::http) fn too_much_to_tell() -> Self {
        Self::forbidden_because("what there is to say of you does not fit into headers")
    }
}
