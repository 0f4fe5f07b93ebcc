//! Who is calling, found out once and for every handler behind it.

use std::{
    convert::Infallible,
    mem,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts as _, Request},
    response::{IntoResponse as _, Response},
};
use tower::{
    Layer, Service,
    layer::util::{Identity, Stack},
};

use super::{Caller, Problem, edge::EdgeLayer, extract::Established};
use crate::{host::Host, identity::RequestId, limit::Who};

/// What [`Host::layer`] puts around a service.
pub type HostLayer = Stack<AuthLayer, Stack<EdgeLayer, Identity>>;

impl Host {
    /// Puts this host in front of a service: handlers behind it take a
    /// [`UserContext`](crate::context::UserContext) as an extractor, requests get
    /// an id, and what is refused is a problem document.
    #[must_use]
    pub fn layer(&self) -> HostLayer {
        Stack::new(AuthLayer::new(self.clone()), Stack::new(EdgeLayer, Identity::new()))
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

async fn establish(request: Request, host: &Host) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let id = parts.extensions.get().copied().unwrap_or(RequestId::new(0));
    let address = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_canonical());
    if let Some(address) = address {
        host.count(&Who::Address(address)).map_err(Problem::too_many)?;
    }
    let established = async {
        let caller = Caller::from_request_parts(&mut parts, host).await?;
        caller.into_context(host, id).await
    };
    let context = established.await.map_err(|problem| match address {
        // Who presents something good is answered whatever others present.
        Some(address) if problem.is_bad_credential() => {
            host.count(&Who::Refused(address)).map_or_else(Problem::too_many, |()| problem)
        }
        _ => problem,
    })?;
    if let Some(user) = &context {
        host.count(&Who::User(user.user_id().clone())).map_err(Problem::too_many)?;
    }
    parts.extensions.insert(Established(context));
    Ok(Request::from_parts(parts, body))
}
