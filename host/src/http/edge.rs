//! What happens to every request before it is routed, and to every response
//! after it was made.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use axum::{extract::Request, response::Response};
use http::{HeaderName, HeaderValue, Method, header};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use super::{Problem, count, templates::TEMPLATES};
use crate::{host::Host, identity::RequestId, telemetry};

/// The header that carries the request's id to the caller.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request its id, writes what went wrong to the log once, counts the
/// answers, and adds the headers that every response has.
///
/// An id that the caller sends is ignored: it could forge a trail.
#[derive(Clone)]
pub struct EdgeLayer {
    host: Host,
    around: Around,
}

/// What is inside.
#[derive(Clone, Copy)]
enum Around {
    /// The host's own routes.
    Own,
    /// Routes of others, which are not told apart.
    Others,
    /// What operators ask, which is not counted: they look at what others do.
    Admin,
}

impl EdgeLayer {
    /// Around the host's own routes.
    pub(super) fn around_own(host: Host) -> Self {
        Self { host, around: Around::Own }
    }

    /// Around routes of others.
    pub(super) fn around_others(host: Host) -> Self {
        Self { host, around: Around::Others }
    }

    /// Around what operators ask.
    pub(super) fn around_admin(host: Host) -> Self {
        Self { host, around: Around::Admin }
    }

    /// The span of a request, without anything that names whose it is.
    fn span(&self, request: &Request, route: usize, id: RequestId) -> Span {
        if matches!(self.around, Around::Admin) {
            return Span::none();
        }
        let span = tracing::info_span!(
            target: "vestibule::span",
            "request",
            otel.kind = "server",
            http.request.method = method(request.method()),
            http.route = TEMPLATES.name(route),
            http.response.status_code = tracing::field::Empty,
            request.id = %id,
        );
        let is_trusted =
            || count::is_from_trusted_proxy(request.extensions(), &self.host.config().server);
        if !span.is_disabled() && is_trusted() {
            telemetry::continue_trace(&span, request.headers());
        }
        span
    }

    fn template(&self, path: &str) -> usize {
        match self.around {
            Around::Own => TEMPLATES.number(path),
            Around::Others | Around::Admin => 0,
        }
    }
}

/// A service with an [`EdgeLayer`] around it. Not `middleware::from_fn`, which
/// clones and boxes what is inside for each request.
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    layer: EdgeLayer,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, layer: self.clone() }
    }
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = next_request_id();
        let route = self.layer.template(request.uri().path());
        let span = self.layer.span(&request, route, id);
        let passage = Passage { id, started: Instant::now(), route, layer: self.layer.clone() };
        request.extensions_mut().insert(id);
        let response = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        Box::pin(async move {
            let response = passage.finish(response.await?);
            span.record("http.response.status_code", response.status().as_u16());
            Ok(response)
        })
    }
}

/// One request on its way through.
struct Passage {
    id: RequestId,
    started: Instant,
    /// The number of its route's template.
    route: usize,
    layer: EdgeLayer,
}

impl Passage {
    fn finish(self, mut response: Response) -> Response {
        let Self { id, started, route, layer: EdgeLayer { host, around } } = self;
        let is_counted = !matches!(around, Around::Admin);
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            problem.log(id);
            let denial = || problem.denial(host.clock().now(), id, TEMPLATES.name(route));
            if let Some(denial) = is_counted.then(denial).flatten() {
                host.metrics().denials.add(denial);
            }
            // What the path does allow is the router's to say (RFC 9110 section 15.5.6).
            let allowed = response.headers_mut().remove(header::ALLOW);
            response = problem.render(id);
            if let Some(allowed) = allowed {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
        }
        if is_counted {
            let status = response.status().as_u16();
            host.metrics().answered(route, status, started.elapsed());
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id_header(id));
        let no_store = const { HeaderValue::from_static("no-store") };
        headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        let nosniff = const { HeaderValue::from_static("nosniff") };
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }
}

/// The method's name, where it is one that everybody knows.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn id_header(id: RequestId) -> HeaderValue {
    HeaderValue::from_bytes(&id.digits()).unwrap_or(const { HeaderValue::from_static("-") })
}

/// Counts from a random place on each thread, so that ids hardly ever meet and
/// threads never wait for each other.
fn next_request_id() -> RequestId {
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(getrandom::u64().unwrap_or(0));
    }
    let id = NEXT.get();
    NEXT.set(id.wrapping_add(1));
    RequestId::new(id)
}
