//! `http-client`: requests to granted origins.
//!
//! An origin is granted by the operator's own line, and by nothing else. Secrets
//! are put into a request and taken out of its reply on this side of the border.

mod addresses;
mod authorities;
mod capture;
mod origins;
mod request;
mod transport;

use std::time::{Duration, UNIX_EPOCH};

use http::header::{DATE, HeaderName, HeaderValue};
use rustls::RootCertStore;
use url::Url;
use wasmtime::component::ResourceTableError;
use zeroize::Zeroizing;

pub(crate) use self::authorities::authorities;
pub(super) use self::{capture::Pointer, origins::readable};
use self::{
    capture::{Sought, capture},
    origins::Origins,
    transport::{Reply, Transport},
};
use super::{Context, LookUp, secrets::Secret};
use crate::{
    bindings::vestibule::auth::http_client::{Header, Host, HttpError, Request, Response},
    config::Config,
};

/// The most fields that one request may have captured.
const MAX_CAPTURED: usize = 64;

/// How long an operator waits to hear whether a server can be reached.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Headers of a reply that a strategy does not see: those with secrets of the
/// server's, and those that belong to one connection.
const WITHHELD: [&str; 13] = [
    "authentication-info",
    "authorization",
    "connection",
    "cookie",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "set-cookie",
    "set-cookie2",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What one generation may reach, and its connections there.
pub(crate) struct Client {
    origins: Origins,
    transport: Transport,
}

impl Client {
    /// A client for these origins.
    pub(crate) fn new(
        origins: &[String],
        authorities: RootCertStore,
        look_up: Option<LookUp>,
    ) -> Result<Self, rustls::Error> {
        let transport = Transport::new(authorities, look_up)?;
        Ok(Self { origins: Origins::new(origins), transport })
    }

    /// Whether the operator granted the origin of a URL.
    pub(super) fn grants(&self, url: &Url) -> bool {
        self.origins.hold(url)
    }

    /// The document at a URL, which the host asks for on its own account: whoever
    /// calls has decided that it may.
    pub(super) async fn document(
        &self,
        url: Url,
        patience: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let told = |error: HttpError| format!("{error:?}");
        let request = request::document(origins::sendable(url).map_err(told)?);
        let reply = self.transport.exchange(request, patience).await.map_err(told)?;
        match reply.head.status.as_u16() {
            200 => Ok(reply.body),
            other => Err(format!("the answer is {other}")),
        }
    }
}

/// How a server answers an operator who asks whether it can be reached.
pub(crate) struct Probe {
    /// The status.
    pub(crate) status: u16,
    /// The time there, in seconds since the Unix epoch, where the answer says it.
    pub(crate) date: Option<u64>,
    /// The body.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Probe {
    /// Asks at a URL of the operator's, by the certificates that a strategy would trust.
    pub(crate) async fn of(config: &Config, url: Url) -> Result<Self, String> {
        let client = Client::new(&[], authorities(config)?, None);
        client.map_err(|error| error.to_string())?.probe(url).await
    }
}

impl Client {
    /// How each granted origin answers.
    pub(crate) async fn probe_all(&self) -> Vec<(String, Result<Probe, String>)> {
        let mut answers = Vec::new();
        for origin in self.origins.texts() {
            let answer = match Url::parse(&origin) {
                Ok(url) => self.probe(url).await,
                Err(error) => Err(error.to_string()),
            };
            answers.push((origin, answer));
        }
        answers
    }

    async fn probe(&self, url: Url) -> Result<Probe, String> {
        let request = request::document(origins::sendable(url).map_err(in_words)?);
        let reply = self.transport.exchange(request, PROBE_PATIENCE).await.map_err(in_words)?;
        let date = reply.head.headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let date = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        Ok(Probe {
            status: reply.head.status.as_u16(),
            date: date.map(|date| date.as_secs()),
            body: reply.body,
        })
    }
}

/// What an operator is told of a failure.
fn in_words(error: HttpError) -> String {
    match error {
        HttpError::Timeout => "there was no answer in time".to_owned(),
        HttpError::Connection(what) => what,
        HttpError::Tls(what) => format!("TLS: {what}"),
        HttpError::ForbiddenAddress => {
            "the name stands for an address that it may not stand for; to mean it, grant the \
             address itself"
                .to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Why there is no reply.
enum Failure {
    /// The strategy is told.
    Answer(HttpError),
    /// The call ends.
    Trap(wasmtime::Error),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Answer(error)
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl Host for Context {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, HttpError>> {
        match self.exchange(request).await {
            Ok(response) => Ok(Ok(response)),
            Err(Failure::Answer(error)) => Ok(Err(error)),
            Err(Failure::Trap(error)) => Err(error),
        }
    }
}

impl Context {
    async fn exchange(&mut self, mut request: Request) -> Result<Response, Failure> {
        let patience = self.patience(request.timeout_seconds);
        let granted = self.granted.clone();
        let Some(client) = &granted.http else {
            return Err(HttpError::NotGranted("no origin is".to_owned()).into());
        };
        let admitted = client.origins.admit(&request.url);
        let uri = admitted.inspect_err(|error| self.note_refusal(error))?;
        let captures = std::mem::take(&mut request.capture);
        let count = captures.len();
        let pointers: Vec<_> = captures.into_iter().map_while(Pointer::parse).collect();
        if count > MAX_CAPTURED || pointers.len() < count {
            let what = "capture is at most 64 JSON pointers (RFC 6901)";
            return Err(HttpError::InvalidRequest(what.to_owned()).into());
        }
        let outgoing = request::outgoing(&self.table, uri, request)?;
        let reply = client.transport.exchange(outgoing.request, patience).await?;
        self.response(reply, &pointers, &outgoing.secrets)
    }

    /// What the strategy sees of a reply.
    fn response(
        &mut self,
        Reply { head, mut body }: Reply,
        pointers: &[Pointer],
        sent: &[Zeroizing<String>],
    ) -> Result<Response, Failure> {
        let status = head.status.as_u16();
        let mut captured = Vec::new();
        if !pointers.is_empty() {
            (body, captured) =
                capture(&body, pointers).ok_or(HttpError::UnreadableReply(status))?;
        }
        let mut sought = Sought::default();
        sent.iter().chain(captured.iter().flatten()).for_each(|secret| sought.add(secret));
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            let shown = !WITHHELD.contains(&name.as_str());
            let value = sought.leave_out(Zeroizing::new(value.as_bytes().to_vec()));
            // One that is no text could not be told.
            let value = String::from_utf8(value.to_vec()).ok()?;
            shown.then(|| Header { name: name.as_str().to_owned(), value })
        };
        Ok(Response {
            status,
            headers: head.headers.iter().filter_map(header).collect(),
            body: sought.leave_out(body).to_vec(),
            captured: capture::secrets(captured)
                .into_iter()
                .map(|text| text.map(|text| self.table.push(Secret::new(text))).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    /// How long a request may take: less than the call, so that the strategy can
    /// still say what became of it.
    fn patience(&self, seconds: Option<u32>) -> Duration {
        let left = self.time_left();
        seconds.map_or(left, |seconds| left.min(Duration::from_secs(seconds.into())))
    }

    /// Tells the operator of the first refusal of a call.
    fn note_refusal(&mut self, error: &HttpError) {
        if let HttpError::NotGranted(origin) = error
            && !std::mem::replace(&mut self.refused, true)
        {
            tracing::warn!(
                strategy.name = self.granted.strategy,
                request.id = %self.request,
                origin,
                "the strategy asked for an origin that is not granted ([auth.grants] http)"
            );
        }
    }
}
