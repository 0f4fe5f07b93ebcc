//! Envoy's `ext_authz` over gRPC, on a listener of its own.
//!
//! Another envelope for the same question: what Envoy asks becomes a request for
//! `/authz/envoy/…`, and the router's answer to it becomes Envoy's.

mod messages;

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncReadExt as _, join},
    net::TcpStream,
    time::timeout,
};
use tonic::{Status, server::Grpc};
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;

use self::messages::{
    AppendAction, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption,
    HttpRequest, HttpResponse, HttpStatus, OkHttpResponse, Outcome,
};
use crate::host::Host;

/// The one method that Envoy calls.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// `google.rpc.Code.PERMISSION_DENIED`
const PERMISSION_DENIED: i32 = 7;

/// How HTTP/2 begins (RFC 9113 section 3.4), before a client hears anything.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Questions at once on one connection.
const MAX_QUESTIONS: u32 = 1_024;

/// How often a connection on which nothing comes is asked for a sign of life: an Envoy
/// that went without a word holds no place.
const STILL_THERE: Duration = Duration::from_secs(30);

/// The largest page that says why a request does not pass.
const MAX_PAGE_BYTES: usize = 64 * 1024;

/// What an answer says to the gateway itself, and to nobody else.
const OWN: [&str; 5] = [
    "cache-control",
    "content-length",
    "x-content-type-options",
    "x-envoy-auth-headers-to-remove",
    "x-request-id",
];

/// A connection on which Envoy asks; none to anybody else.
pub(super) async fn answered(
    mut stream: TcpStream,
    peer: SocketAddr,
    host: Host,
    router: Router,
) -> Option<impl GracefulConnection<Error = hyper::Error> + Send> {
    let head_timeout = host.config().server.head_timeout;
    // Nobody else has anything to ask here.
    if !host.config().server.trusts(peer.ip().to_canonical()) {
        tracing::info!(client.address = %peer.ip(), "a connection to envoy_listen is refused");
        return None;
    }
    // hyper waits for it without end, and before it there is nothing to end in peace.
    let begun = timeout(head_timeout, begins(&mut stream)).await;
    if !matches!(begun, Ok(Ok(true))) {
        tracing::debug!(client.address = %peer.ip(), "a connection does not begin as HTTP/2 does");
        return None;
    }
    let (rest, answers) = stream.into_split();
    let stream = join(PREFACE.chain(rest), answers);
    let service = service_fn(move |request| answer(request, router.clone(), peer));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(STILL_THERE)
        .max_concurrent_streams(MAX_QUESTIONS)
        .serve_connection(TokioIo::new(stream), service);
    Some(connection)
}

/// Whether a connection begins as HTTP/2 does, once it has.
async fn begins(stream: &mut TcpStream) -> io::Result<bool> {
    let mut begin = [0; PREFACE.len()];
    let mut read = 0;
    while read < begin.len() {
        let more = stream.read(&mut begin[read..]).await?;
        read += more;
        if more == 0 || !PREFACE.starts_with(&begin[..read]) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn answer(
    request: Request<Incoming>,
    router: Router,
    peer: SocketAddr,
) -> Result<Response<tonic::body::Body>, Infallible> {
    if request.uri().path() != CHECK {
        return Ok(Status::unimplemented("there is no such method").into_http());
    }
    let check = tower::service_fn(move |asked: tonic::Request<CheckRequest>| {
        let router = router.clone();
        async move {
            Ok::<_, Status>(tonic::Response::new(check(asked.into_inner(), router, peer).await))
        }
    });
    Ok(Grpc::new(ProstCodec::default()).unary(check, request).await)
}

async fn check(asked: CheckRequest, router: Router, peer: SocketAddr) -> CheckResponse {
    let http = asked.attributes.and_then(|attributes| attributes.request?.http);
    let Some(request) = http.and_then(|http| question(&http, peer)) else {
        return denied(400, Vec::new(), String::new());
    };
    let Ok(response) = router.oneshot(request).await;
    let status = i32::from(response.status().as_u16());
    let (parts, body) = response.into_parts();
    if status == 200 {
        return passes(&parts.headers);
    }
    let body = Limited::new(body, MAX_PAGE_BYTES).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let told = options(&parts.headers, |name| !matches!(name.as_str(), "content-length"));
    denied(status, told, String::from_utf8_lossy(&body).into_owned())
}

/// What Envoy asks, as it would ask over HTTP.
fn question(asked: &HttpRequest, peer: SocketAddr) -> Option<Request<Body>> {
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(format!("/authz/envoy{}", asked.path))
        .header(header::HOST, &asked.host)
        .body(Body::empty())
        .ok()?;
    let headers = request.headers_mut();
    for (name, value) in &asked.headers {
        // What begins with a colon is told apart, and so is the host.
        let Ok(name) = name.parse::<HeaderName>() else { continue };
        if name != header::HOST && name != header::CONTENT_LENGTH {
            headers.insert(name, value.parse().ok()?);
        }
    }
    request.extensions_mut().insert(ConnectInfo(peer));
    Some(request)
}

fn passes(headers: &HeaderMap) -> CheckResponse {
    let removed = headers.get("x-envoy-auth-headers-to-remove");
    let removed = removed.and_then(|names| names.to_str().ok()).unwrap_or_default();
    let headers_to_remove = removed.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
    // Those without a value are among the removed.
    let told = options(headers, |name| !OWN.contains(&name.as_str()));
    let told = told
        .into_iter()
        .filter(|option| option.header.as_ref().is_some_and(|header| !header.value.is_empty()));
    CheckResponse {
        status: Some(Outcome { code: 0 }),
        http_response: Some(HttpResponse::Ok(OkHttpResponse {
            headers: told.collect(),
            headers_to_remove: headers_to_remove.collect(),
        })),
    }
}

fn denied(status: i32, headers: Vec<HeaderValueOption>, body: String) -> CheckResponse {
    let status = Some(HttpStatus { code: status });
    CheckResponse {
        status: Some(Outcome { code: PERMISSION_DENIED }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse { status, headers, body })),
    }
}

fn options(headers: &HeaderMap, told: impl Fn(&HeaderName) -> bool) -> Vec<HeaderValueOption> {
    let of = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let value = value.to_str().ok()?.to_owned();
        Some(HeaderValueOption {
            header: Some(HeaderValue { key: name.to_string(), value }),
            append_action: AppendAction::OverwriteIfExistsOrAdd.into(),
        })
    };
    headers.iter().filter(|(name, _)| told(name)).filter_map(of).collect()
}
