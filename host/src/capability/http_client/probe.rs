//! Whether servers can be reached, for an operator who asks.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use http::header::DATE;
use url::Url;
use zeroize::Zeroizing;

use super::{Client, authorities};
use crate::{capability::Hooks, config::Config};

/// How long an operator waits.
const PATIENCE: Duration = Duration::from_secs(5);

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
        let client = Client::new(&[], authorities(config)?, &Hooks::default(), Arc::default());
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
        let reply = self.fetch(url, PATIENCE).await.map_err(|error| error.to_string())?;
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
