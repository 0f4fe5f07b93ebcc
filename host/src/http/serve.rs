//! Connections: accepted, bounded in number and patience, and let go of in peace.

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    io, mem,
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
    task::JoinSet,
};
use tower::Service as _;

use super::{admin_router, grpc, router};
use crate::host::Host;

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most connections at once; for more, those that ask for nothing make room.
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
    let [mut here, mut operating, mut asking] = <[Guests; 3]>::default();
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
        never = accept(Some(everybody), MAX_CONNECTIONS, &mut here, |stream, peer| {
            ready(Some(answered(stream, peer, router.clone(), &host)))
        }) => match never {},
        never = accept(operators, MAX_OPERATORS, &mut operating, |stream, peer| {
            ready(Some(answered(stream, peer, admin.clone(), &host)))
        }) => match never {},
        never = accept(envoy, MAX_ENVOYS, &mut asking, |stream, peer| {
            grpc::answered(stream, peer, host.clone(), router.clone())
        }) => match never {},
    }

    let patience = host.config().server.shutdown_timeout;
    tracing::info!(?patience, "shutting down, requests that are running may end");
    let gone = async { tokio::join!(here.gone(), operating.gone(), asking.gone()) };
    if tokio::time::timeout(patience, gone).await.is_err() {
        tracing::warn!("requests were still running and are cut off");
    }
    Ok(())
}

/// The connections of a listener.
#[derive(Default)]
struct Guests {
    staying: GracefulShutdown,
    /// Who has not begun listens for its end.
    unbegun: watch::Sender<()>,
    leaving: JoinSet<()>,
}

impl Guests {
    /// Closes connections on which nothing is asked, and others once they are answered.
    fn make_room(&mut self) {
        while self.leaving.try_join_next().is_some() {}
        drop(mem::take(&mut self.unbegun));
        self.leaving.spawn(mem::take(&mut self.staying).shutdown());
    }

    /// Waits until all of them are closed.
    async fn gone(mut self) {
        self.make_room();
        while self.leaving.join_next().await.is_some() {}
    }
}

/// Accepts for as long as somebody waits for it; what `answered` is not willing to hear
/// is closed, and so is, where room is made, what it has not decided about.
#[expect(clippy::disallowed_methods, reason = "every connection is a task")]
async fn accept<C, A>(
    listener: Option<TcpListener>,
    most: usize,
    guests: &mut Guests,
    answered: impl Fn(TcpStream, SocketAddr) -> A,
) -> Infallible
where
    A: Future<Output = Option<C>> + Send + 'static,
    C: GracefulConnection<Error = hyper::Error> + Send + 'static,
{
    let Some(listener) = listener else { return pending().await };
    let places = Arc::new(Semaphore::new(most));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Who gave up while they waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::warn!("no connection can be accepted: {error}");
                // Those who came last are heard first.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                guests.make_room();
                continue;
            }
        };
        let place = loop {
            let place = Arc::clone(&places).acquire_owned();
            match tokio::time::timeout(ACCEPT_PAUSE, place).await {
                Ok(Ok(place)) => break place,
                Ok(Err(_)) => return pending().await,
                Err(_) => guests.make_room(),
            }
        };
        // A response is one write; waiting to fill a packet only delays it.
        let _ = stream.set_nodelay(true);
        let answered = answered(stream, peer);
        let (watcher, mut closing) = (guests.staying.watcher(), guests.unbegun.subscribe());
        tokio::spawn(async move {
            let connection = tokio::select! {
                biased;
                connection = answered => connection,
                _ = closing.changed() => None,
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
