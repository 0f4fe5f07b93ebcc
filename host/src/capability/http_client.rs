//! `http-client`: requests to granted origins.
//!
//! An origin is granted by the operator's own line, and by nothing else. Secrets
//! are put into a request and taken out of its reply on this side of the border.

mod addresses;
mod authorities;
mod capture;
mod courier;
mod origins;
mod probe;
mod request;
mod transport;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    header::{HeaderName, HeaderValue},
    uri::Authority,
};
use rustls::RootCertStore;
use url::Url;
use wasmtime::component::ResourceTableError;
use zeroize::Zeroizing;

pub(crate) use self::{authorities::authorities, courier::Courier, probe::Probe};
pub(super) use self::{capture::Pointer, origins::readable, transport::Unanswered};
use self::{
    capture::{Sought, capture},
    origins::Origins,
    transport::{Reply, Transport},
};
use super::{Context, Hooks, log::denials::Denied, secrets::Secret};
use crate::{
    bindings::vestibule::auth::http_client::{Header, Host, HttpError, Request, Response},
    metrics::Metrics,
};

/// The most fields that one request may have captured.
const MAX_CAPTURED: usize = 64;

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
        hooks: &Hooks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, rustls::Error> {
        let transport = Transport::new(authorities, hooks, metrics)?;
        Ok(Self { origins: Origins::new(origins), transport })
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.transport.metrics
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
    ) -> Result<Zeroizing<Vec<u8>>, Unanswered> {
        let reply = self.fetch(url, patience).await?;
        match reply.head.status.as_u16() {
            200 => Ok(reply.body),
            other => Err(HttpError::Connection(format!("the answer is {other}")).into()),
        }
    }

    async fn fetch(&self, url: Url, patience: Duration) -> Result<Reply, Unanswered> {
        let request = request::document(origins::sendable(url)?);
        self.transport.exchange(request, patience).await
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
        let uri = admitted.inspect_err(|error| {
            if let HttpError::NotGranted(origin) = error {
                granted.deny(self.request, Denied::Origin(origin));
            }
        })?;
        let captures = std::mem::take(&mut request.capture);
        let count = captures.len();
        let pointers: Vec<_> = captures.into_iter().map_while(Pointer::parse).collect();
        if count > MAX_CAPTURED || pointers.len() < count {
            let what = "capture is at most 64 JSON pointers (RFC 6901)";
            return Err(HttpError::InvalidRequest(what.to_owned()).into());
        }
        let asked = uri.clone();
        let outgoing = request::outgoing(&self.table, uri, request)?;
        let started = Instant::now();
        let reply = client.transport.exchange(outgoing.request, patience).await;
        self.waited += started.elapsed();
        if let Err(Unanswered::Address(address)) = reply {
            let (scheme, authority) = (asked.scheme_str(), asked.authority());
            let authority = authority.map(Authority::as_str).unwrap_or_default();
            let origin = format!("{}://{authority}", scheme.unwrap_or_default());
            granted.deny(self.request, Denied::Address(&origin, address));
        }
        let reply = reply.map_err(HttpError::from)?;
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
}
