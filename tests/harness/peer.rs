//! A server on loopback that answers as a test tells it to, and remembers what it
//! was asked.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    serve::{Listener, ListenerExt as _},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::workspace;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// A server that lives as long as this.
pub struct Peer {
    /// Scheme, host and port.
    pub origin: String,
    /// The port alone.
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Answers plain HTTP.
    pub async fn start<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self::serve("http", port, listener, answer)
    }

    /// Answers HTTPS with a certificate of the tests' own authority.
    pub async fn start_tls<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = plain.local_addr().expect("an address").port();
        Self::serve("https", port, Encrypted { plain, tls: tls() }, answer)
    }

    fn serve<F: Future<Output = Response> + Send + 'static>(
        scheme: &str,
        port: u16,
        listener: impl Listener<Addr = SocketAddr>,
        answer: impl Fn(Seen) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let noted = Arc::clone(&seen);
        let handler = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let request = Seen {
                method: parts.method,
                target: parts.uri.to_string(),
                headers: parts.headers,
                body: body.collect().await.expect("a whole body").to_bytes(),
            };
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            answer(request).await
        };
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        let router = Router::new().fallback(handler);
        #[expect(clippy::disallowed_methods, reason = "a server runs beside its test")]
        let task = tokio::spawn(async move {
            axum::serve(
                listener.tap_io(move |_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                }),
                router,
            )
            .await
            .expect("it serves for ever");
        });
        Self { origin: format!("{scheme}://127.0.0.1:{port}"), port, seen, connections, task }
    }

    /// How many connections there were so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with a body of a type.
#[must_use]
pub fn answer(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("content-type", kind)
        .body(body.into())
        .expect("a response")
}

/// A body that does not say how long it is: so many pieces of so many bytes.
pub fn unannounced(pieces: usize, bytes: usize) -> Body {
    Body::new(Unannounced { pieces, piece: Bytes::from(vec![b'x'; bytes]) })
}

struct Unannounced {
    pieces: usize,
    piece: Bytes,
}

impl axum::body::HttpBody for Unannounced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(pieces) = self.pieces.checked_sub(1) else { return Poll::Ready(None) };
        self.pieces = pieces;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

/// The certificate of the tests' own authority.
#[must_use]
pub fn authority() -> PathBuf {
    workspace().join("tests/harness/tls/authority.pem")
}

/// For `localhost`, `idp.example` and 127.0.0.1, good for a hundred years; the
/// authority's key is gone.
fn tls() -> TlsAcceptor {
    let folder = workspace().join("tests/harness/tls");
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

struct Encrypted {
    plain: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.plain.accept().await.expect("a connection");
            // Who does not trust the certificate goes away.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.local_addr()
    }
}
