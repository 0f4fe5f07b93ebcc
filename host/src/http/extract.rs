//! From an HTTP request to a question for the strategy.
//!
//! What is presented decides: a credential that cannot be read is refused, and
//! never passed over in favour of another.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, header, header::AsHeaderName, request::Parts, uri::Authority};
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
    /// The strategy that decided it.
    pub strategy: String,
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
        let scheme = scheme(host);
        let asked_host = asked_host(parts, scheme)?;
        if strategy.description().local_owner {
            refuse_rebinding(host, &asked_host)?;
        }
        let request = Request {
            method: parts.method.as_str(),
            scheme,
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
                .map(|name| only_value(&parts.headers, name.as_str()))
                .collect::<Result<_, _>>()?,
            id: parts.extensions.get().copied().unwrap_or(RequestId::new(0)),
        };
        let decision = strategy.authenticate(request).await??;
        Ok(Self { outcome: decision.outcome, strategy: strategy.description().name.clone() })
    }
}

/// The scheme of the public origin: a request does not know it behind a proxy.
fn scheme(host: &Host) -> Scheme {
    match &host.config().server.public_url {
        Some(url) if url.scheme() == "https" => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The host that was asked for, in lower case and without the scheme's default
/// port: the target's before the header's (RFC 9112 section 3.2.2). A request
/// that names no host, two, or one with a user in it is refused.
fn asked_host(parts: &Parts, scheme: Scheme) -> Result<Cow<'_, str>, Problem> {
    let header = only_value(&parts.headers, header::HOST)?;
    let host = match (parts.uri.authority(), header) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host,
        (None, None) => return Err(Problem::ambiguous("the request names no host")),
    };
    let authority = Authority::try_from(host)
        .ok()
        .filter(|authority| !host.contains('@') && is_host(authority.host()))
        .ok_or_else(|| Problem::ambiguous("the host is not a host"))?;
    let default = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let host = match authority.port_u16() {
        Some(port) if port == default => &host[..authority.host().len()],
        // `host:` is as good as `host` (RFC 3986 section 3.2.3).
        _ => host.trim_end_matches(':'),
    };
    Ok(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

/// A name or an address. Narrower than RFC 3986, which allows a comma: proxies
/// join two hosts with one.
fn is_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    }
}

/// With a strategy that lets everybody in, a web page that has its own name point
/// here could read what the owner can (DNS rebinding). So the host must be one
/// that no stranger can have: this machine's, or that of the public URL.
fn refuse_rebinding(host: &Host, asked: &str) -> Result<(), Problem> {
    let server = &host.config().server;
    let name = asked.rsplit_once(':').map_or(asked, |(name, port)| {
        // The colons of a bare IPv6 address are no port's.
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { asked }
    });
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let ours = name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
        || server.public_url.as_ref().and_then(url::Url::host_str) == Some(name);
    if ours || server.allow_open { Ok(()) } else { Err(Problem::misdirected()) }
}

/// The credential that a request presents.
fn credential(headers: &HeaderMap) -> Result<Credential, Problem> {
    let Some(value) = only_value(headers, header::AUTHORIZATION)? else {
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
fn only_value(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, Problem> {
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
