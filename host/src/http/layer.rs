//! Who is calling, found out once and for every handler behind it.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use tower::{
    Layer, Service,
    layer::util::{Identity, Stack},
};

use http::{HeaderMap, HeaderName, Method, header, request::Parts};

use super::{
    Problem,
    count::Peer,
    credential::{Door, only_value},
    edge::EdgeLayer,
    extract::{Established, who_calls},
};
use crate::{
    config::Server,
    context::{AuthMethod, UserContext},
    host::Host,
    identity::{OrgId, RequestId},
    limit::Who,
    store::Scope,
};

/// Names the organisation that a request is for.
const ORG_ID: HeaderName = HeaderName::from_static("x-org-id");
/// Where a browser says that a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What [`Host::layer`] puts around a service.
pub type HostLayer = Stack<AuthLayer, Stack<EdgeLayer, Identity>>;

impl Host {
    /// Puts this host in front of a service: handlers behind it take a
    /// [`UserContext`] as an extractor, requests get
    /// an id, and what is refused is a problem document.
    #[must_use]
    pub fn layer(&self) -> HostLayer {
        let edge = EdgeLayer::around_others(self.clone());
        Stack::new(AuthLayer::new(self.clone()), Stack::new(edge, Identity::new()))
    }
}

/// Has the strategy decide who is calling, and refuses bad credentials.
#[derive(Clone)]
pub struct AuthLayer {
    host: Host,
}

impl AuthLayer {
    pub(super) fn new(host: Host) -> Self {
        Self { host }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, host: self.host.clone() }
    }
}

/// A service with an [`AuthLayer`] around it.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    host: Host,
}

impl<S> Service<Request> for Auth<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready goes, its clone stays.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let host = self.host.clone();
        Box::pin(async move {
            match establish(request, &host).await {
                Ok(request) => inner.call(request).await,
                Err(problem) => Ok(problem.into_response()),
            }
        })
    }
}

/// The organisation that the request names by `X-Org-Id`, where the user may act for it.
async fn for_organisation(
    user: UserContext,
    host: &Host,
    headers: &HeaderMap,
) -> Result<UserContext, Problem> {
    let Some(named) = only_value(headers, ORG_ID)? else { return Ok(user) };
    if named == user.scope().org.as_str() {
        return Ok(user);
    }
    if matches!(user.auth_method(), AuthMethod::ApiKey(key) if key.bound) {
        return Err(Problem::forbidden_because("API key is not authorized for this organization"));
    }
    let org = OrgId::new(named).map_err(|_| Problem::ambiguous("X-Org-Id is no id"))?;
    let scope = Scope::new(user.user_id().clone(), org);
    let role = host.store().role(&scope).await?.ok_or_else(|| {
        Problem::forbidden_because("User is not a member of the requested organization")
    })?;
    Ok(user.acting_for(scope, role))
}

/// Who presents nothing is known by where they are, and so is whatever page they
/// look at: it must not write in their name.
fn refuse_cross_site(user: &UserContext, server: &Server, parts: &Parts) -> Result<(), Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match user.auth_method() {
        AuthMethod::Strategy => {}
        AuthMethod::Session => return refuse_foreign_origin(server, &parts.headers),
        // No browser sends these by itself.
        AuthMethod::ApiKey(_) | AuthMethod::Bearer | AuthMethod::Restored => return Ok(()),
    }
    let foreign = || Problem::forbidden_because("this request comes from another site");
    let site = only_value(&parts.headers, SEC_FETCH_SITE)?;
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(foreign());
    }
    let Some(origin) = only_value(&parts.headers, header::ORIGIN)? else { return Ok(()) };
    let asked = only_value(&parts.headers, header::HOST)?.unwrap_or_default();
    let ours = origin.split_once("://").is_some_and(|(_, authority)| authority == asked);
    let public = server.public_url.as_ref();
    if ours || public.is_some_and(|url| url.origin().ascii_serialization() == origin) {
        Ok(())
    } else {
        Err(foreign())
    }
}

/// A write by a cookie needs the origin of a page that may write: browsers send
/// it with everything that is not a plain read.
pub(super) fn refuse_foreign_origin(server: &Server, headers: &HeaderMap) -> Result<(), Problem> {
    let origin = only_value(headers, header::ORIGIN)?;
    let ours = server.public_origin();
    let known = origin.is_some_and(|origin| {
        ours.iter()
            .chain(&server.allowed_origins)
            .any(|known| known.origin().ascii_serialization() == origin)
    });
    if known {
        Ok(())
    } else {
        let told = "a write with a session cookie needs the Origin of this host, or one of \
                    allowed_origins in [server]";
        Err(Problem::forbidden_because(told))
    }
}

async fn establish(request: Request, host: &Host) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let id = parts.extensions.get().copied().unwrap_or(RequestId::new(0));
    let generation = host.registry().current();
    let server = &generation.config().server;
    let peer = Peer::of(&parts, server);
    let established = who_calls(&parts, host, &generation, Door::Own(server), id);
    let context = peer.asks(host, established).await?;
    let context = match context {
        Some(user) => Some(for_organisation(user, host, &parts.headers).await?),
        None => None,
    };
    if let Some(user) = &context {
        refuse_cross_site(user, server, &parts)?;
        peer.counts(host, &Who::User(user.user_id().clone()))?;
    }
    parts.extensions.insert(Established(context));
    Ok(Request::from_parts(parts, body))
}
