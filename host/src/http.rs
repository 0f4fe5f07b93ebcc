//! The edge: requests in, the strategy's decision, responses out.
//!
//! Nothing here decides who is calling. A request becomes an
//! [`identity::Request`](crate::identity::Request), the engine answers, and only
//! `http/error.rs` turns what went wrong into a status.

mod error;
mod extract;
mod health;
mod me;
mod whoami;

use std::{cell::Cell, future::Future, io, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http::{HeaderName, HeaderValue, header};
use tokio::net::TcpListener;

pub use self::{error::Problem, extract::Caller};
use crate::{host::Host, identity::RequestId};

/// The header that carries the request's id to the caller.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that Vestibule answers.
pub fn router(host: Host) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/auth/session", get(whoami::session))
        .route("/api/v1/users/me", get(me::me))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn(edge))
        .with_state(host)
}

/// Serves until `shutdown` is done, then lets running requests end.
pub async fn serve(
    listener: TcpListener,
    host: Host,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let patience = host.config().server.shutdown_timeout;
    let (asked, told) = tokio::sync::oneshot::channel();
    let draining = host.clone();
    let service = router(host).into_make_service_with_connect_info::<std::net::SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        draining.drain();
        tracing::info!(patience = ?patience, "shutting down, requests that are running may end");
        let _ = asked.send(());
    });
    tokio::select! {
        result = server => result,
        () = impatience(told, patience) => {
            tracing::warn!("requests were still running and are cut off");
            Ok(())
        }
    }
}

/// Done when shutdown was asked for and `patience` is over.
async fn impatience(told: tokio::sync::oneshot::Receiver<()>, patience: Duration) {
    match told.await {
        Ok(()) => tokio::time::sleep(patience).await,
        Err(_) => std::future::pending().await,
    }
}

/// Gives each request its id, writes what went wrong to the log once, and adds
/// the headers that every response has.
///
/// An id that the caller sends is ignored: it could forge a trail.
async fn edge(mut request: Request, next: Next) -> Response {
    let id = next_request_id();
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.log(id);
        response = problem.render(id);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id_header(id));
    headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, const { HeaderValue::from_static("nosniff") });
    response
}

fn id_header(id: RequestId) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).unwrap_or(const { HeaderValue::from_static("-") })
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
