//! Connections: accepted, bounded in number and patience, and let go of in peace.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::Service as _;

use super::router;
use crate::host::Host;

/// How long a client may take to send the head of a request, and to keep a
/// connection open between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most connections at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 10_000;

/// How long to wait after the system had no connection to give, for want of
/// file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` is done and for as long as `[server] drain` says, then lets
/// running requests end.
#[expect(clippy::disallowed_methods, reason = "every connection is a task")]
pub async fn serve(
    listener: TcpListener,
    host: Host,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = router(host.clone());
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let accept = async || -> Option<(TcpStream, SocketAddr, _)> {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let (stream, peer) = listener.accept().await.ok()?;
        Some((stream, peer, place))
    };

    let draining = async {
        shutdown.await;
        // Whoever sends requests here must see that no more should come, before
        // connections are refused.
        host.drain();
        let drain = host.config().server.drain;
        tracing::info!(?drain, "no longer ready, requests may still come");
        tokio::time::sleep(drain).await;
    };
    let mut shutdown = std::pin::pin!(draining);
    loop {
        let accepted = tokio::select! {
            accepted = accept() => accepted,
            () = &mut shutdown => break,
        };
        let Some((stream, peer, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A response is one write; waiting to fill a packet only delays it.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request.map(Body::new))
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(client.address = %peer.ip(), "connection ended: {error}");
            }
            drop(place);
        });
    }

    drop(listener);
    let patience = host.config().server.shutdown_timeout;
    tracing::info!(?patience, "shutting down, requests that are running may end");
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running and are cut off");
    }
    Ok(())
}
