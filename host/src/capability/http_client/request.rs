//! A request as it is sent: secrets are put in place here, and nowhere else.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use secrecy::SecretString;
use url::form_urlencoded;
use wasmtime::component::{Resource, ResourceTable};
use zeroize::Zeroizing;

use super::Failure;
use crate::{
    bindings::vestibule::auth::http_client as wit,
    capability::secrets::{Secret, shown},
};

/// Headers that the host writes, or that belong to one connection: a strategy
/// that set them could smuggle a request, or pose as somebody else.
const WRITTEN_BY_THE_HOST: [&str; 17] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

const USER: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

/// Bytes that go when they are dropped.
type Passing = Zeroizing<Vec<u8>>;

/// A request, and the secrets that are in it as they stand there.
pub(super) struct Outgoing {
    pub(super) request: Request<Full<Bytes>>,
    pub(super) secrets: Vec<Zeroizing<String>>,
}

/// A value, once it is known what its handle stands for.
enum Text {
    Plain(String),
    Secret(Arc<SecretString>),
}

impl Text {
    /// The text itself, on its way to a server that the operator granted.
    fn shown(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => shown(secret),
        }
    }
}

/// Makes of a strategy's request what is sent.
pub(super) fn outgoing(
    table: &ResourceTable,
    uri: Uri,
    request: wit::Request,
) -> Result<Outgoing, Failure> {
    let mut writer = Writer { table, secrets: Vec::new() };
    let mut headers = writer.headers(request.headers)?;
    if let Some(value) = writer.authorization(request.authorization)? {
        headers.insert(AUTHORIZATION, value);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(USER));
    let (kind, body) = writer.body(request.body)?;
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, kind);
    }
    let mut sent = Request::new(Full::new(Bytes::from_owner(body)));
    *sent.method_mut() = method(request.method);
    *sent.uri_mut() = uri;
    *sent.headers_mut() = headers;
    Ok(Outgoing { request: sent, secrets: writer.secrets })
}

/// A request of the host's own, for a document that everybody may see.
pub(super) fn document(uri: Uri) -> Request<Full<Bytes>> {
    let mut sent = Request::new(Full::default());
    *sent.uri_mut() = uri;
    let headers = sent.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(USER));
    sent
}

struct Writer<'a> {
    table: &'a ResourceTable,
    secrets: Vec<Zeroizing<String>>,
}

impl Writer<'_> {
    fn secret(&mut self, handle: &Resource<Secret>) -> Result<Text, Failure> {
        let text = Text::Secret(self.table.get(handle)?.text());
        self.secrets.push(Zeroizing::new(text.shown().to_owned()));
        Ok(text)
    }

    fn value(&mut self, value: wit::Value) -> Result<Text, Failure> {
        match value {
            wit::Value::Text(text) => Ok(Text::Plain(text)),
            wit::Value::Secret(handle) => self.secret(&handle),
        }
    }

    fn headers(&mut self, fields: Vec<wit::Field>) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| invalid("a header's name is none"))?;
            if WRITTEN_BY_THE_HOST.contains(&name.as_str()) {
                return Err(invalid(&format!("the header {name} is the host's to write")));
            }
            let value = self.value(field.value)?;
            let value = header(Zeroizing::new(value.shown().as_bytes().to_vec()))?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn authorization(
        &mut self,
        authorization: wit::Authorization,
    ) -> Result<Option<HeaderValue>, Failure> {
        let text = match authorization {
            wit::Authorization::None => return Ok(None),
            wit::Authorization::Bearer(token) => {
                let token = self.secret(&token)?;
                Zeroizing::new(format!("Bearer {}", token.shown()))
            }
            wit::Authorization::Basic(wit::Basic { username, password }) => {
                let password = self.value(password)?;
                // Encoded, so that a colon in the user's name is not the one between.
                let pair = Zeroizing::new(format!(
                    "{}:{}",
                    *encoded(&username),
                    *encoded(password.shown())
                ));
                let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                let text = Zeroizing::new(format!("Basic {}", *pair));
                self.secrets.push(pair);
                text
            }
        };
        header(Zeroizing::new(text.as_bytes().to_vec())).map(Some)
    }

    fn body(&mut self, body: wit::Body) -> Result<(Option<HeaderValue>, Passing), Failure> {
        let mut bytes = Passing::default();
        let kind = match body {
            wit::Body::Empty => return Ok((None, bytes)),
            wit::Body::Raw(raw) => {
                *bytes = raw.bytes;
                HeaderValue::from_str(&raw.content_type)
                    .map_err(|_| invalid("the body's type is none"))?
            }
            wit::Body::Form(fields) => {
                for (index, field) in fields.into_iter().enumerate() {
                    let value = self.value(field.value)?;
                    let (name, value) = (encoded(&field.name), encoded(value.shown()));
                    make_room(&mut bytes, name.len() + value.len() + 2);
                    if index > 0 {
                        bytes.push(b'&');
                    }
                    bytes.extend_from_slice(name.as_bytes());
                    bytes.push(b'=');
                    bytes.extend_from_slice(value.as_bytes());
                }
                HeaderValue::from_static("application/x-www-form-urlencoded")
            }
            wit::Body::Json(fields) => {
                bytes.push(b'{');
                for (index, field) in fields.into_iter().enumerate() {
                    let value = self.value(field.value)?;
                    let (name, value) = (quoted(&field.name), quoted(value.shown()));
                    make_room(&mut bytes, name.len() + value.len() + 3);
                    if index > 0 {
                        bytes.push(b',');
                    }
                    bytes.extend_from_slice(name.as_bytes());
                    bytes.push(b':');
                    bytes.extend_from_slice(value.as_bytes());
                }
                bytes.push(b'}');
                HeaderValue::from_static("application/json")
            }
        };
        Ok((Some(kind), bytes))
    }
}

/// Moves the bytes where they do not fit, and leaves no copy behind.
fn make_room(bytes: &mut Passing, more: usize) {
    if bytes.capacity() - bytes.len() < more {
        let mut larger = Passing::new(Vec::with_capacity((bytes.len() + more) * 2));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}

/// As a form has it.
pub(super) fn encoded(text: &str) -> Zeroizing<String> {
    // As long as it can get, so that nothing is moved.
    let room = String::with_capacity(text.len() * 3);
    let mut writer = form_urlencoded::Serializer::new(room);
    writer.append_key_only(text);
    Zeroizing::new(writer.finish())
}

/// As JSON has it.
pub(super) fn quoted(text: &str) -> Zeroizing<String> {
    let mut room = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
    serde_json::to_writer(&mut *room, text)
        .unwrap_or_else(|_| unreachable!("a text can be written"));
    Zeroizing::new(String::from_utf8_lossy(&room).into_owned())
}

fn header(bytes: Passing) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
        .map_err(|_| invalid("a header's value has a control character in it"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn invalid(what: &str) -> Failure {
    Failure::Answer(wit::HttpError::InvalidRequest(what.to_owned()))
}

fn method(method: wit::Method) -> Method {
    match method {
        wit::Method::Get => Method::GET,
        wit::Method::Head => Method::HEAD,
        wit::Method::Post => Method::POST,
        wit::Method::Put => Method::PUT,
        wit::Method::Patch => Method::PATCH,
        wit::Method::Delete => Method::DELETE,
    }
}
