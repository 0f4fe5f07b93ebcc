//! What happens to every request before it is routed, and to every response
//! after it was made.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{extract::Request, response::Response};
use http::{HeaderName, HeaderValue, header};
use tower::{Layer, Service};

use super::Problem;
use crate::identity::RequestId;

/// The header that carries the request's id to the caller.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request its id, writes what went wrong to the log once, and adds
/// the headers that every response has.
///
/// An id that the caller sends is ignored: it could forge a trail.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLayer;

/// A service with an [`EdgeLayer`] around it. Not `middleware::from_fn`, which
/// clones and boxes what is inside for each request.
#[derive(Clone, Debug)]
pub struct Edge<S> {
    inner: S,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner }
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
        request.extensions_mut().insert(id);
        let response = self.inner.call(request);
        Box::pin(async move { Ok(finish(response.await?, id)) })
    }
}

fn finish(mut response: Response, id: RequestId) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.log(id);
        // What the path does allow is the router's to say (RFC 9110 section 15.5.6).
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = problem.render(id);
        if let Some(allowed) = allowed {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id_header(id));
    headers.entry(header::CACHE_CONTROL).or_insert(const { HeaderValue::from_static("no-store") });
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, const { HeaderValue::from_static("nosniff") });
    response
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
