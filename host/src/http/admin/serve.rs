//! The listener for operators.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::Service as _;

use super::admin_router;
use crate::host::Host;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most connections at once.
const MAX_CONNECTIONS: usize = 256;

/// How long to wait after the system had no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers operators for as long as somebody waits for it.
#[expect(clippy::disallowed_methods, reason = "every connection is a task")]
pub async fn serve_admin(listener: TcpListener, host: Host) -> Infallible {
    let router = admin_router(host);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let (Ok(place), Ok((stream, peer))) = (place, listener.accept().await) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            router.clone().call(request.map(Body::new))
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(client.address = %peer.ip(), "connection ended: {error}");
            }
            drop(place);
        });
    }
}
