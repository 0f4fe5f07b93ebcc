//! From an HTTP request to a question for the strategy.
//!
//! What is presented decides: a credential that cannot be read is refused, and
//! never passed over in favour of another.

use std::{borrow::Cow, net::SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, header, request::Parts};
use secrecy::SecretString;

use super::Problem;
use crate::{
    host::Host,
    identity::{Credential, Identity, Outcome, Request, RequestId, Scheme},
};

/// Who sent the request, as the strategy decided it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who is calling.
    pub outcome: Outcome,
}

impl Caller {
    /// The caller's identity; nobody being logged in is a 401.
    pub fn identity(self) -> Result<Identity, Problem> {
        match self.outcome {
            Outcome::Authenticated(identity) => Ok(identity),
            Outcome::Anonymous => Err(Problem::not_authenticated()),
        }
    }
}

impl FromRequestParts<Host> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let strategy = host.registry().current();
        let wanted = &strategy.description().headers;
        let asked_host = asked_host(parts)?;
        let request = Request {
            method: parts.method.as_str(),
            scheme: scheme(host),
            host: &asked_host,
            path: parts.uri.path(),
            query: parts.uri.query(),
            client_address: parts
                .extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(address)| address.ip().to_canonical()),
            credential: credential(&parts.headers)?,
            headers: wanted
                .iter()
                .map(|name| only_value(&parts.headers, name))
                .collect::<Result<_, _>>()?,
            id: parts.extensions.get().copied().unwrap_or(RequestId::new(0)),
        };
        let decision = strategy.authenticate(request).await??;
        Ok(Self { outcome: decision.outcome })
    }
}

/// The scheme of the public origin: a request does not know it behind a proxy.
fn scheme(host: &Host) -> Scheme {
    match &host.config().server.public_url {
        Some(url) if url.scheme() == "https" => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The host that was asked for: the target's before the header's (RFC 9112
/// section 3.2.2), in lower case.
fn asked_host(parts: &Parts) -> Result<Cow<'_, str>, Problem> {
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => only_value(&parts.headers, header::HOST.as_str())?.unwrap_or_default(),
    };
    Ok(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

/// The credential that a request presents.
fn credential(headers: &HeaderMap) -> Result<Credential, Problem> {
    let Some(value) = only_value(headers, header::AUTHORIZATION.as_str())? else {
        return Ok(Credential::Absent);
    };
    // The scheme's name is case-insensitive (RFC 9110 section 11.1).
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::bad_credential("the authorization scheme is not Bearer"));
    }
    if token.is_empty() || !token.bytes().all(is_token68) {
        return Err(Problem::bad_credential("the bearer token is empty or not of the form of one"));
    }
    Ok(Credential::Bearer(SecretString::from(token)))
}

/// RFC 6750 section 2.1.
const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// The value of a header that may come once and must be visible ASCII.
fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::ambiguous("a header that may come once is repeated"));
    }
    let text = value.to_str().map_err(|_| Problem::ambiguous("a header is not visible ASCII"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parsed(values: &[&str]) -> Result<Credential, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        credential(&headers)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test looks at what was parsed")]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for value in ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def"] {
            match parsed(&[value]).unwrap() {
                Credential::Bearer(token) => assert_eq!(token.expose_secret(), "abc.def"),
                Credential::Absent => panic!("{value:?} was passed over"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_passed_over() {
        assert!(matches!(parsed(&[]), Ok(Credential::Absent)));
        for values in [
            &["Basic dTpw"][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearer a", "Bearer a"],
            &[""],
        ] {
            assert!(parsed(values).is_err(), "{values:?}");
        }
    }
}
