//! The one place that sends requests: bounded in time, size and attempts.

use std::time::Duration;

use reqwest::{
    Client, Response,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::Error;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The largest answer: more than anybody's settings or secret has.
const MAX_BYTES: usize = 4 << 20;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How much of what a server says about an error is told.
const MAX_DETAIL_CHARS: usize = 200;

/// How long to wait for an answer, and how often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often to ask, where there is no answer or the server fails.
    pub attempts: u32,
    /// How long to wait before the second attempt; the double before the third,
    /// and so on up to five seconds.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_mins(1), attempts: 3, pause: Duration::from_secs(1) }
    }
}

/// Sends requests.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client);

/// What a request presents. Its headers are marked as secret, so that nothing shows them.
#[derive(Default)]
pub(crate) struct Presented {
    headers: HeaderMap,
    secrets: Vec<SecretString>,
}

impl Presented {
    /// The same with one more key in a header, after `scheme`.
    pub(crate) fn with(
        mut self,
        name: HeaderName,
        scheme: &str,
        key: &SecretString,
    ) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "a key is for the server that gave it")]
        let text = key.expose_secret();
        let is_key = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("{scheme}{text}")).ok().filter(|_| is_key);
        let mut value = value.ok_or_else(|| Error::Key(name.to_string()))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self.secrets.push(key.clone());
        Ok(self)
    }

    /// Whether a text that a server sends repeats what was presented.
    fn is_repeated_in(&self, text: &str) -> bool {
        #[expect(clippy::disallowed_methods, reason = "what a server repeats is not shown")]
        self.secrets.iter().any(|secret| text.contains(secret.expose_secret()))
    }
}

/// What is wrong, in the words of a problem document.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Http {
    /// No redirect is followed: the session key would go along.
    pub(crate) fn new() -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("vestibule-client/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| Error::Tls(error.into()))
    }

    /// A JSON document.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        url: Url,
        presented: &Presented,
        patience: &Patience,
    ) -> Result<T, Error> {
        let path = url.path().to_owned();
        let body = self.get(url, presented, patience).await?;
        // What serde says would repeat values.
        serde_json::from_slice(&body)
            .map_err(|_| Error::Answer { path, reason: "is not the JSON that it should be" })
    }

    /// A body, with more attempts where there may be one a little later.
    pub(crate) async fn get(
        &self,
        url: Url,
        presented: &Presented,
        patience: &Patience,
    ) -> Result<Vec<u8>, Error> {
        let mut pause = patience.pause.min(MAX_PAUSE);
        for _ in 1..patience.attempts {
            match self.once(url.clone(), presented, patience.timeout).await {
                Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
                answered => return answered,
            }
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
        self.once(url, presented, patience.timeout).await
    }

    async fn once(
        &self,
        url: Url,
        presented: &Presented,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let path = url.path().to_owned();
        let request = self.0.get(url).headers(presented.headers.clone()).timeout(timeout);
        let response = request.send().await.map_err(|error| unreachable(&path, error))?;
        let status = response.status();
        let body = body(response, &path).await;
        if status.is_success() {
            return body;
        }
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
        let detail = problem
            .map(|problem| problem.detail)
            .filter(|detail| !presented.is_repeated_in(detail))
            .map(|detail| detail.chars().take(MAX_DETAIL_CHARS).collect::<String>())
            .map(|detail| detail.escape_debug().to_string());
        Err(Error::Status { status: status.as_u16(), path, detail })
    }
}

/// The whole of a body, of whatever length the server says that it is.
async fn body(mut response: Response, path: &str) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(path, error))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Error::Answer { path: path.to_owned(), reason: "has no end" });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(path: &str, error: reqwest::Error) -> Error {
    let reason = if error.is_timeout() {
        "there was no answer in time"
    } else if error.is_connect() {
        "no connection can be made"
    } else {
        "the connection broke"
    };
    Error::Unreachable { path: path.to_owned(), reason, source: error.without_url().into() }
}
