//! One exchange with a server: connections, certificates, bounds.
//!
//! By its making this client follows no redirect, asks no proxy, keeps no cookie
//! and unpacks nothing.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::addresses::{Forbidden, Resolver};
use crate::{
    bindings::vestibule::auth::http_client::HttpError,
    capability::Hooks,
    metrics::{Exchange, Metrics},
    text::{cut, escape},
};

/// The most bytes of a reply's body.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;

/// The most bytes of a reply's head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long a connection is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is kept without a request: for less than most servers
/// do, so that it is seldom closed under a request that cannot be repeated.
const IDLE: Duration = Duration::from_secs(15);

/// The longest text about a failure.
const MAX_TEXT_BYTES: usize = 200;

/// The connections of one generation.
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    pub(super) metrics: Arc<Metrics>,
    /// Where everything goes instead.
    peer: Option<SocketAddr>,
}

/// A whole reply.
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(in crate::capability) enum Unanswered {
    /// What the strategy is told says it all.
    Told(HttpError),
    /// The name stands for this address, and may not.
    Address(IpAddr),
}

impl From<HttpError> for Unanswered {
    fn from(error: HttpError) -> Self {
        Self::Told(error)
    }
}

impl From<Unanswered> for HttpError {
    fn from(error: Unanswered) -> Self {
        match error {
            Unanswered::Told(error) => error,
            Unanswered::Address(..) => Self::ForbiddenAddress,
        }
    }
}

/// What an operator is told.
impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(HttpError::Timeout) => f.write_str("there was no answer in time"),
            Self::Told(HttpError::Connection(what)) => f.write_str(what),
            Self::Told(HttpError::Tls(what)) => write!(f, "TLS: {what}"),
            Self::Told(HttpError::ForbiddenAddress) => {
                f.write_str("the name stands for an address that it may not stand for")
            }
            Self::Told(other) => write!(f, "{other:?}"),
            Self::Address(address) => write!(
                f,
                "the name stands for {address}, which it may not stand for; to mean it, grant \
                 the address itself"
            ),
        }
    }
}

impl Transport {
    pub(super) fn new(
        authorities: RootCertStore,
        hooks: &Hooks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(hooks.look_up.clone()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { client, metrics, peer: hooks.peer })
    }

    /// Sends a request and waits for all of the reply, for at most so long.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Reply, Unanswered> {
        // The origin, and nothing that stands behind it.
        let span = tracing::info_span!(
            target: "vestibule::span",
            "outbound",
            otel.kind = "client",
            server.address = request.uri().host().unwrap_or_default(),
            server.port = request.uri().port_u16(),
            url.scheme = request.uri().scheme_str().unwrap_or_default(),
            http.response.status_code = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        if let Some(peer) = self.peer {
            lead_to(peer, &mut request)
                .ok_or_else(|| HttpError::Connection("it cannot be led elsewhere".to_owned()))?;
        }
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| told(&error))?;
            let (head, body) = response.into_parts();
            let encoding = head.headers.get(header::CONTENT_ENCODING);
            if encoding.is_some_and(|encoding| encoding != "identity") {
                let what = "the reply is compressed, which was not asked for";
                return Err(HttpError::Connection(what.to_owned()).into());
            }
            Ok(Reply { body: collect(body).await?, head })
        };
        let started = Instant::now();
        let timed = tokio::time::timeout(patience, exchange).instrument(span.clone());
        let reply = timed.await.unwrap_or(Err(HttpError::Timeout.into()));
        let how = match &reply {
            Ok(reply) => {
                span.record("http.response.status_code", reply.head.status.as_u16());
                Exchange::Replied
            }
            Err(Unanswered::Told(HttpError::Timeout)) => Exchange::Timeout,
            Err(_) => Exchange::Failed,
        };
        span.record("outcome", how.text());
        self.metrics.exchanged(how, started.elapsed());
        reply
    }
}

/// Has a request go elsewhere, and say where it would have gone.
fn lead_to(peer: SocketAddr, request: &mut Request<Full<Bytes>>) -> Option<()> {
    let uri = request.uri().clone();
    let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
    let scheme = HeaderValue::from_str(uri.scheme_str()?).ok()?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert("x-forwarded-proto", scheme);
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let elsewhere = Uri::builder().scheme("http").authority(peer.to_string()).path_and_query(path);
    *request.uri_mut() = elsewhere.build().ok()?;
    Some(())
}

/// Takes in a body, and gives up where it is too large.
async fn collect(mut body: hyper::body::Incoming) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
    let announced = body.size_hint().lower();
    if announced > MAX_BODY_BYTES as u64 {
        return Err(HttpError::TooLarge.into());
    }
    // Where the length is known nothing is moved, so that no copy is left behind.
    let capacity = usize::try_from(announced).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| told(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(HttpError::TooLarge.into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// What a failure means, by its cause and never by its text.
fn told(error: &(dyn Error + 'static)) -> Unanswered {
    let mut cause = error;
    loop {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Unanswered::Address(forbidden.address.to_canonical());
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return HttpError::Tls(short(error)).into();
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return HttpError::TooLarge.into();
        }
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return HttpError::Timeout.into();
        }
        // Such an error passes over what is in it when it is asked for its source.
        let inner = io.and_then(io::Error::get_ref).map(|inner| inner as &(dyn Error + 'static));
        match inner.or_else(|| cause.source()) {
            Some(deeper) => cause = deeper,
            None => return HttpError::Connection(short(cause)).into(),
        }
    }
}

fn short(error: &dyn Error) -> String {
    escape(&cut(error.to_string(), MAX_TEXT_BYTES))
}
