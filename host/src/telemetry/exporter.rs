//! How spans leave: by the house's own HTTP client, on its runtime.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::capability::http_client::Courier;

/// How long a collector has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends from a thread of the exporter's own, which has no runtime.
#[derive(Debug)]
pub(super) struct Sender {
    courier: Courier,
    runtime: Handle,
}

impl Sender {
    pub(super) fn new() -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let courier = Courier::new().map_err(|error| error.to_string())?;
        Ok(Self { courier, runtime })
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    #[expect(clippy::disallowed_methods, reason = "the runtime is not that of this thread")]
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let courier = self.courier.clone();
        let sent = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(PATIENCE, courier.send(request)).await;
            sent.unwrap_or_else(|late| Err(late.into()))
        });
        Box::pin(async move { sent.await? })
    }
}
