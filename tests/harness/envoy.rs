//! Envoy's question over gRPC, as `envoy.service.auth.v3` writes it down: encoded and
//! read here by hand, so that the server's own messages are held against another reading.

use std::{future::pending, net::SocketAddr};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use vestibule::{
    host::Host,
    http::{Listeners, serve},
};

use crate::Reply;

/// The service whose methods Envoy calls.
const SERVICE: &str = "http://envoy/envoy.service.auth.v3.Authorization";

/// What a request says, of what Envoy passes on.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The scheme, for which Envoy sets a header.
    pub scheme: &'a str,
    /// The host.
    pub host: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// The headers; Envoy has one value for each name.
    pub headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// A `CheckRequest`.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut http = Vec::new();
        field(&mut http, 2, self.method.as_bytes());
        let scheme = HeaderValue::from_str(self.scheme).expect("a scheme");
        let mut headers = self.headers.clone();
        headers.insert("x-forwarded-proto", scheme);
        for name in headers.keys() {
            let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let mut entry = Vec::new();
            field(&mut entry, 1, name.as_str().as_bytes());
            field(&mut entry, 2, &values.join(&b","[..]));
            field(&mut http, 3, &entry);
        }
        field(&mut http, 4, self.path.as_bytes());
        field(&mut http, 5, self.host.as_bytes());
        let (mut request, mut attributes, mut check) = (Vec::new(), Vec::new(), Vec::new());
        field(&mut request, 2, &http);
        field(&mut attributes, 4, &request);
        field(&mut check, 1, &attributes);
        check
    }
}

/// Asks over a connection of its own.
pub async fn ask(host: &Host, asked: &Asked<'_>) -> Reply {
    let answer = call(host, "Check", &asked.message()).await.expect("an answer");
    told(&answer.expect("a message"))
}

/// What becomes of the request that a `CheckResponse` is about, as an answer over HTTP
/// would say it.
#[must_use]
pub fn told(answer: &[u8]) -> Reply {
    let fields = fields(answer);
    let (tag, outcome) = fields.iter().find(|(tag, _)| *tag != 1).expect("what becomes of it");
    let outcome = self::fields(outcome.bytes());
    let mut headers = HeaderMap::new();
    let mut removed = Vec::new();
    for (tag, value) in &outcome {
        match tag {
            2 => {
                let (name, value) = header_of(value.bytes());
                headers.append(name, value);
            }
            // Envoy takes it from the request, as if it were empty.
            5 => {
                headers.append(name_of(value.bytes()), HeaderValue::from_static(""));
                removed.push(value.bytes());
            }
            _ => {}
        }
    }
    if !removed.is_empty() {
        let removed = HeaderValue::from_bytes(&removed.join(&b","[..])).expect("names");
        headers.insert("x-envoy-auth-headers-to-remove", removed);
    }
    let (status, body) = match tag {
        3 => (StatusCode::OK, String::new()),
        2 => {
            let text =
                |tag| outcome.iter().find(|(found, _)| *found == tag).map(|(_, value)| value);
            let status = self::fields(text(1).expect("a status").bytes());
            let code = u16::try_from(status[0].1.number()).expect("a status");
            let body = text(3).map(|body| body.bytes().to_vec()).unwrap_or_default();
            let body = String::from_utf8(body).expect("text");
            (StatusCode::from_u16(code).expect("a status"), body)
        }
        other => panic!("an outcome {other}"),
    };
    Reply { status, headers, body }
}

/// Calls a method of a host with any bytes: its message, nothing where it fails, an error
/// where the connection is refused.
pub async fn call(host: &Host, method: &str, message: &[u8]) -> Result<Option<Bytes>, String> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let envoy = bind().await.expect("a port");
    let address = envoy.local_addr().expect("an address");
    let listeners = Listeners { envoy: Some(envoy), ..bind().await.expect("a port").into() };
    // It ends with this call.
    let mut server = JoinSet::new();
    server.spawn(serve(listeners, host.clone(), pending()));
    Connection::to(address).await?.call(method, message).await
}

/// A connection to a listener for Envoy.
#[derive(Debug)]
pub struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    driven: JoinSet<Result<(), String>>,
}

impl Connection {
    /// Connects.
    pub async fn to(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let mut driven = JoinSet::new();
        driven.spawn(async move { connection.await.map_err(|error| error.to_string()) });
        Ok(Self { sender, driven })
    }

    /// Waits until the server ends it: whether it said so, or broke it off.
    pub async fn ended(mut self) -> Result<(), String> {
        self.driven.join_next().await.expect("one task").expect("it does not panic")
    }

    /// Calls a method with any bytes: its message, or nothing where it fails.
    pub async fn call(&mut self, method: &str, message: &[u8]) -> Result<Option<Bytes>, String> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).expect("a small message"));
        body.extend_from_slice(message);
        let request = Request::post(format!("{SERVICE}/{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(body.freeze()))
            .expect("a request");
        let response =
            self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let at_once = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        let status = status.or(at_once).expect("a status of gRPC's");
        Ok((status == "0").then(|| body.to_bytes().slice(5..)))
    }
}

/// A field of a message.
#[derive(Debug)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Value {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} where bytes should be"),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => panic!("{bytes:?} where a number should be"),
        }
    }
}

/// Writes a field of bytes.
fn field(message: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    message.push(tag << 3 | 2);
    let mut length = bytes.len();
    while length > 127 {
        message.push(u8::try_from(length & 127).expect("seven bits") | 128);
        length >>= 7;
    }
    message.push(u8::try_from(length).expect("seven bits"));
    message.extend_from_slice(bytes);
}

/// The fields of a message, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).expect("a length");
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes.to_vec())
            }
            other => panic!("a field of type {other}"),
        };
        found.push((key >> 3, value));
    }
    found
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = message.split_first().expect("another byte");
        *message = rest;
        number |= u64::from(first & 127) << shift;
        if first & 128 == 0 {
            break;
        }
    }
    number
}

/// The header of a `HeaderValueOption`, which has to take the place of the client's.
fn header_of(option: &[u8]) -> (HeaderName, HeaderValue) {
    let option = fields(option);
    let action = option.iter().find(|(tag, _)| *tag == 3).expect("an action");
    assert_eq!(action.1.number(), 2, "OVERWRITE_IF_EXISTS_OR_ADD");
    let header = option.iter().find(|(tag, _)| *tag == 1).expect("a header");
    let header = fields(header.1.bytes());
    let text = |tag| header.iter().find(|(found, _)| *found == tag).expect("text").1.bytes();
    (name_of(text(1)), HeaderValue::from_bytes(text(2)).expect("a value"))
}

fn name_of(name: &[u8]) -> HeaderName {
    HeaderName::from_bytes(name).expect("a header's name")
}
