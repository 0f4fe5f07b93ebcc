//! From an HTTP request to a question for the strategy.
//!
//! What is presented decides: a credential that cannot be read is refused, and
//! never passed over in favour of another.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{header, request::Parts, uri::Authority};

use super::{
    Problem,
    count::Peer,
    credential::{self, Door, only_value},
    session::Cookies,
    trail::Trail,
};
use crate::{
    config::Server,
    context::{AuthMethod, UserContext},
    engine::Strategy,
    host::Host,
    identity::{Credential, Outcome, Refusal, Request, RequestId, Scheme},
    metrics::Ending,
    store::{SessionId, VerifiedKey},
};

/// Who sent the request, as the strategy decided it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who is calling.
    pub outcome: Outcome,
    /// The strategy that decided it.
    pub strategy: String,
    /// The API key that was presented, where one was.
    pub(super) key: Option<Box<VerifiedKey>>,
    /// A bearer token was presented, and the strategy knew it.
    pub(super) bearer: bool,
    /// The live session whose cookie was presented.
    pub(super) session: Option<SessionId>,
}

impl FromRequestParts<Host> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        Self::of(parts, host, &host.registry().current()).await
    }
}

/// Who is calling by the cookie of a door, or by what else is presented, and what they
/// may reach; `None` where nobody is logged in.
pub(super) async fn who_calls(
    parts: &Parts,
    host: &Host,
    generation: &Arc<Strategy>,
    door: Door<'_>,
    request: RequestId,
) -> Result<Option<UserContext>, Problem> {
    let user = async {
        Caller::at(parts, host, generation, door).await?.into_context(host, request).await
    };
    let user = user.await;
    let ending = match &user {
        Ok(None) => Ending::Anonymous,
        Ok(Some(_)) => Ending::Authenticated,
        Err(problem) => problem.ending(),
    };
    count(host, parts, ending);
    user
}

fn count(host: &Host, parts: &Parts, ending: Ending) {
    host.metrics().decided(ending, credential::kind(&parts.headers));
}

impl Caller {
    /// Who is calling at Vestibule's own origin, by the generation that decides all of a
    /// request: its configuration and its strategy change together.
    pub(super) async fn of(
        parts: &Parts,
        host: &Host,
        generation: &Arc<Strategy>,
    ) -> Result<Self, Problem> {
        let door = Door::Own(&generation.config().server);
        let caller = Self::at(parts, host, generation, door).await;
        let ending = match &caller {
            Ok(caller) if caller.outcome == Outcome::Anonymous => Ending::Anonymous,
            Ok(_) => Ending::Authenticated,
            Err(problem) => problem.ending(),
        };
        count(host, parts, ending);
        caller
    }

    /// Finds out who is calling by the cookie of a door, or by what else is presented.
    async fn at(
        parts: &Parts,
        host: &Host,
        strategy: &Arc<Strategy>,
        door: Door<'_>,
    ) -> Result<Self, Problem> {
        let server = &strategy.config().server;
        let wanted = &strategy.description().headers;
        let scheme = scheme(server);
        let asked_host = asked_host(parts, scheme)?;
        if strategy.description().local_owner {
            refuse_rebinding(server, &asked_host)?;
        }
        let presented = credential::presented(host, &parts.headers, door).await?;
        if let Credential::ApiKey(key) = &presented.credential
            && key.owner.user_id.is_none()
            && !strategy.description().local_owner
        {
            // From the time of a strategy without log-in.
            return Err(Problem::bad_credential(
                "the key is the local owner's, who is nobody here",
            ));
        }
        if let Some(used) = presented.key.as_ref().filter(|key| key.first_use) {
            let trail = Trail::of(parts, host, strategy);
            trail.note(&trail.of_scope("key.first-use", &used.scope, &used.key.id)).await;
        }
        let bearer = matches!(presented.credential, Credential::Bearer(_));
        let request = Request {
            method: parts.method.as_str(),
            scheme,
            host: &asked_host,
            path: parts.uri.path(),
            query: parts.uri.query(),
            client_address: Peer::of(parts, server).address(),
            credential: presented.credential,
            headers: wanted
                .iter()
                .map(|name| only_value(&parts.headers, name.as_str()))
                .collect::<Result<_, _>>()?,
            id: parts.extensions.get().copied().unwrap_or(RequestId::new(0)),
        };
        let session = presented.session.as_ref().map(|session| session.id().clone());
        let decision = match presented.session {
            // Boxed, so that the future of the other paths stays small.
            Some(session) => Box::pin(host.decide_session(strategy, request, *session)).await?,
            None => strategy.authenticate(request).await?,
        };
        let decision = decision.map_err(|refusal| match refusal {
            Refusal::Unauthenticated(why) if session.is_some() => {
                Cookies::of(server).bad_session(&why)
            }
            other => other.into(),
        })?;
        Ok(Self {
            outcome: decision.outcome,
            strategy: strategy.description().name.clone(),
            key: presented.key,
            bearer,
            session,
        })
    }

    /// What the caller may reach; `None` where nobody is logged in.
    pub(super) async fn into_context(
        self,
        host: &Host,
        request: RequestId,
    ) -> Result<Option<UserContext>, Problem> {
        let Outcome::Authenticated(mut identity) = self.outcome else { return Ok(None) };
        let (scope, role, method) = match self.key {
            // Its owner was looked at together with the key.
            Some(verified) => {
                let VerifiedKey { key, scope, role, owner, .. } = *verified;
                if identity.user_id.is_none() {
                    identity = owner;
                }
                (scope, Some(role), AuthMethod::ApiKey(Box::new(key)))
            }
            None => {
                let user = host.store().establish_user(&identity).await?;
                if user.disabled_at.is_some() {
                    return Err(Problem::bad_credential("the user is disabled"));
                }
                if identity.user_id.is_none() {
                    identity = user.identity.clone();
                }
                let method = match (self.session.is_some(), self.bearer) {
                    (true, _) => AuthMethod::Session,
                    (false, true) => AuthMethod::Bearer,
                    (false, false) => AuthMethod::Strategy,
                };
                (user.scope(), user.role, method)
            }
        };
        if role.is_none() {
            return Err(Problem::forbidden("the user has left the organisation"));
        }
        let session = self.session;
        Ok(Some(UserContext::new(host.clone(), identity, scope, role, method, session, request)))
    }
}

/// What [`AuthLayer`](super::layer::AuthLayer) found out.
#[derive(Clone)]
pub(super) struct Established(pub(super) Option<UserContext>);

/// The caller; nobody being logged in is a 401. Needs the layer of
/// [`Host::layer`].
impl<S: Sync> FromRequestParts<S> for UserContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await?
            .ok_or_else(Problem::not_authenticated)
    }
}

/// The caller, where somebody is logged in. Needs the layer of [`Host::layer`].
impl<S: Sync> OptionalFromRequestParts<S> for UserContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let established = parts.extensions.get::<Established>();
        Ok(established.ok_or_else(Problem::no_layer)?.0.clone())
    }
}

/// The scheme of the public origin: a request does not know it behind a proxy.
fn scheme(server: &Server) -> Scheme {
    match &server.public_url {
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

/// A name or an address, and a port where one is given.
pub(super) fn is_authority(text: &str) -> bool {
    Authority::try_from(text).is_ok_and(|authority| {
        let port = &text[authority.host().len().min(text.len())..];
        let has_port = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
        !text.contains('@') && is_host(authority.host()) && has_port
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
fn refuse_rebinding(server: &Server, asked: &str) -> Result<(), Problem> {
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
