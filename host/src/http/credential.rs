//! What a request presents, read in one place.
//!
//! What is presented decides: a credential that is bad is refused, and never
//! passed over in favour of another.

use http::{HeaderMap, HeaderName, HeaderValue, header, header::AsHeaderName};
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;

use super::{Problem, session::Cookies};
use crate::{
    config::{App, Server},
    host::Host,
    identity::{Credential, PresentedKey},
    metrics::Presented,
    secret,
    store::{KeyRefusal, Sandbox, SandboxStatus, Session, SessionKey, StoreError, VerifiedKey},
};

/// Carries the session key of a sandbox.
const SESSION_KEY: HeaderName = HeaderName::from_static("x-session-api-key");
/// Carries the key that other services share with Vestibule.
const SERVICE_KEY: HeaderName = HeaderName::from_static("x-service-api-key");

/// What every API key of our own begins with.
const KEY_PREFIX: &str = "sk-oh-";

/// What a request presents.
pub(super) struct Given {
    /// For the strategy.
    pub(super) credential: Credential,
    /// The API key among it.
    pub(super) key: Option<Box<VerifiedKey>>,
    /// The session whose cookie it is, for whoever may renew it.
    pub(super) session: Option<Box<Session>>,
}

/// By which cookie a browser is known.
#[derive(Clone, Copy)]
pub(super) enum Door<'a> {
    /// That of Vestibule's own origin.
    Own(&'a Server),
    /// That of an app on another host.
    App(&'a App),
}

/// Reads the credential that says who is calling.
pub(super) async fn presented(
    host: &Host,
    headers: &HeaderMap,
    door: Door<'_>,
) -> Result<Given, Problem> {
    // Where there is both, the header decides: a browser sends its cookie along
    // with whatever a script asks.
    let Some(token) = bearer(headers)? else {
        let session = session(host, headers, door).await?;
        return Ok(Given { credential: Credential::Absent, key: None, session });
    };
    match host.store().verify_key(token).await? {
        Ok(verified) => {
            let key = PresentedKey {
                id: verified.key.id.clone(),
                org_id: Some(verified.scope.org.clone()),
                name: verified.key.name.clone(),
                system: verified.key.system,
                scopes: verified.key.scopes.clone(),
                owner: verified.owner.clone(),
            };
            let credential = Credential::ApiKey(Box::new(key));
            Ok(Given { credential, key: Some(Box::new(verified)), session: None })
        }
        // Not one of ours: the strategy may know its issuer.
        Err(KeyRefusal::Unknown) if !token.starts_with(KEY_PREFIX) => {
            let credential = Credential::Bearer(SecretString::from(token));
            Ok(Given { credential, key: None, session: None })
        }
        Err(refusal) => Err(Problem::bad_credential(refusal.to_string())),
    }
}

/// The live session whose cookie a request presents.
pub(super) async fn session(
    host: &Host,
    headers: &HeaderMap,
    door: Door<'_>,
) -> Result<Option<Box<Session>>, Problem> {
    let cookies = match door {
        Door::Own(server) => Cookies::of(server),
        Door::App(app) => Cookies::of_app(app),
    };
    let Some(text) = cookies.session(headers)? else { return Ok(None) };
    let key = SessionKey::parse(text).ok_or_else(|| cookies.bad_session("it is no session's"))?;
    let found = match door {
        Door::Own(_) => host.store().session(&key).await,
        Door::App(app) => host.store().app_session(&key, app.host()).await,
    };
    let found = match found {
        // Nobody could ever get past it, not even by a new log-in.
        Err(error @ (StoreError::Cipher(_) | StoreError::Damaged(_))) => {
            tracing::error!(%error, "a session cannot be read, and is over");
            return Err(cookies.bad_session("it cannot be read"));
        }
        found => found?,
    };
    found.map(|session| Some(Box::new(session))).ok_or_else(|| cookies.bad_session("it is over"))
}

/// The running sandbox whose session key a request presents.
pub(super) async fn sandbox(host: &Host, headers: &HeaderMap) -> Result<Sandbox, Problem> {
    let key = only_value(headers, SESSION_KEY)?
        .ok_or_else(|| Problem::no_session_key("X-Session-API-Key header is required"))?;
    let found = host.store().sandbox_by_key(key).await?;
    let sandbox = found.ok_or_else(|| Problem::bad_session_key("Invalid session API key"))?;
    match sandbox.status {
        SandboxStatus::Running => Ok(sandbox),
        SandboxStatus::Paused => Err(Problem::bad_session_key("Sandbox is not running")),
    }
}

/// Refuses whoever does not present the key of other services.
pub(super) fn service(server: &Server, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(expected) = &server.service_key else {
        return Err(Problem::no_service_key());
    };
    let presented = only_value(headers, SERVICE_KEY)?
        .ok_or_else(|| Problem::bad_credential("no service key is presented"))?;
    if bool::from(secret::digest(expected).ct_eq(&secret::digest_of(presented))) {
        Ok(())
    } else {
        Err(Problem::bad_credential("the service key is wrong"))
    }
}

/// Refuses whoever does not present the token of operators.
pub(super) fn operator(server: &Server, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(admin) = &server.admin else { return Err(Problem::not_found()) };
    let presented = bearer(headers)?.ok_or_else(Problem::not_authenticated)?;
    if bool::from(secret::digest(&admin.token).ct_eq(&secret::digest_of(presented))) {
        Ok(())
    } else {
        Err(Problem::bad_credential("the admin token is wrong"))
    }
}

/// What a request presents by its looks, for whoever counts.
pub(super) fn kind(headers: &HeaderMap) -> Presented {
    match headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes) {
        // The scheme, one space, and how keys of ours begin.
        Some(value) if value.get(7..).is_some_and(|key| key.starts_with(KEY_PREFIX.as_bytes())) => {
            Presented::ApiKey
        }
        Some(_) => Presented::Bearer,
        None if headers.contains_key(header::COOKIE) => Presented::Session,
        None => Presented::Nothing,
    }
}

/// The bearer token that a request presents.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = only_value(headers, header::AUTHORIZATION)? else { return Ok(None) };
    // The scheme's name is case-insensitive (RFC 9110 section 11.1).
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::bad_credential("the authorization scheme is not Bearer"));
    }
    if token.is_empty() || !token.bytes().all(is_token68) {
        return Err(Problem::bad_credential("the bearer token is empty or not of the form of one"));
    }
    Ok(Some(token))
}

/// RFC 6750 section 2.1.
const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// The value of a header that may come once and must be visible ASCII.
pub(super) fn only_value(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Option<&str>, Problem> {
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
    use super::*;

    fn parsed(values: &[&str]) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for value in ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def"] {
            assert_eq!(parsed(&[value]).unwrap().as_deref(), Some("abc.def"));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_passed_over() {
        assert!(matches!(parsed(&[]), Ok(None)));
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
