//! Connections: accepted, bounded in number and patience, and let go of in peace.

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::Service as _;

use super::{admin_router, grpc, router};
use crate::host::Host;

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most connections at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 10_000;

/// Those of operators.
const MAX_OPERATORS: usize = 256;

/// Those of Envoy, which has one for each of its threads.
const MAX_ENVOYS: usize = 1_024;

/// How long to wait after the system had no connection to give, for want of
/// file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where requests arrive. A [`TcpListener`] alone is for everybody.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody.
    pub everybody: TcpListener,
    /// For Envoy, which asks over gRPC; others are closed unheard.
    pub envoy: Option<TcpListener>,
    /// For operators.
    pub operators: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(everybody: TcpListener) -> Self {
        Self { everybody, envoy: None, operators: None }
    }
}

/// Serves until `shutdown` is done and for as long as `[server] drain` says, then lets
/// running requests end.
pub async fn serve(
    listeners: impl Into<Listeners>,
    host: Host,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let Listeners { everybody, envoy, operators } = listeners.into();
    let (router, admin) = (router(host.clone()), admin_router(host.clone()));
    let graceful = GracefulShutdown::new();
    let draining = async {
        shutdown.await;
        // Whoever sends requests here must see that no more should come, before
        // connections are refused.
        host.drain();
        let drain = host.config().server.drain;
        tracing::info!(?drain, "no longer ready, requests may still come");
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        () = draining => {}
        never = accept(Some(everybody), MAX_CONNECTIONS, &graceful, |stream, peer| {
            ready(Some(answered(stream, peer, router.clone(), &host)))
        }) => match never {},
        never = accept(operators, MAX_OPERATORS, &graceful, |stream, peer| {
            ready(Some(answered(stream, peer, admin.clone(), &host)))
        }) => match never {},
        never = accept(envoy, MAX_ENVOYS, &graceful, |stream, peer| {
            grpc::answered(stream, peer, host.clone(), router.clone())
        }) => match never {},
    }

    let patience = host.config().server.shutdown_timeout;
    tracing::info!(?patience, "shutting down, requests that are running may end");
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running and are cut off");
    }
    Ok(())
}

/// Accepts for as long as somebody waits for it; what `answered` is not willing to hear
/// is closed, and so is, when nobody waits any more, what it has not decided about.
#[expect(clippy::disallowed_methods, reason = "every connection is a task")]
async fn accept<C, A>(
    listener: Option<TcpListener>,
    most: usize,
    graceful: &GracefulShutdown,
    answered: impl Fn(TcpStream, SocketAddr) -> A,
) -> Infallible
where
    A: Future<Output = Option<C>> + Send + 'static,
    C: GracefulConnection<Error = hyper::Error> + Send + 'static,
{
    let Some(listener) = listener else { return pending().await };
    let places = Arc::new(Semaphore::new(most));
    let (_accepting, ended) = watch::channel(());
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let (Ok(place), Ok((stream, peer))) = (place, listener.accept().await) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A response is one write; waiting to fill a packet only delays it.
        let _ = stream.set_nodelay(true);
        let answered = answered(stream, peer);
        let (watcher, mut ended) = (graceful.watcher(), ended.clone());
        tokio::spawn(async move {
            let connection = tokio::select! {
                biased;
                connection = answered => connection,
                _ = ended.changed() => None,
            };
            if let Some(connection) = connection
                && let Err(error) = watcher.watch(connection).await
            {
                tracing::debug!(client.address = %peer.ip(), "connection ended: {error}");
            }
            drop(place);
        });
    }
}

/// A connection whose requests a router answers.
fn answered(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    host: &Host,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request.map(Body::new))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(host.config().server.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
}
