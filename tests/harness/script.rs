//! What a scripted server answers where a test says so, and how often it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::peer::answer;

const JSON: &str = "application/json; charset=utf-8";

/// An answer that is not the server's own.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status and document.
    Json(u16, Value),
    /// This content type and body, with status 200.
    Text(&'static str, &'static str),
    /// This status, and a place where nobody should follow.
    Redirect(u16),
    /// JSON without end: two megabytes of it.
    Large,
    /// Nothing, for as long as anybody waits.
    Silence,
    /// Half a response.
    HangUp,
}

impl Answer {
    /// Gives it; `origin` is where nobody should follow a redirect to.
    pub(crate) async fn give(self, origin: &str) -> Response {
        match self {
            Self::Json(status, document) => json_of(status, &document),
            Self::Text(kind, body) => answer(200, kind, body),
            Self::Redirect(status) => {
                let status = StatusCode::from_u16(status).expect("a status");
                (status, [(header::LOCATION, format!("{origin}/elsewhere"))]).into_response()
            }
            Self::Large => json_of(200, &json!({"id": 1, "login": "a".repeat(2 << 20)})),
            Self::Silence => pending().await,
            Self::HangUp => {
                let headers = [(header::CONTENT_LENGTH, "1000"), (header::CONTENT_TYPE, JSON)];
                // Without a length of its own, which would be held against the header.
                let half = Full::new(Bytes::from_static(b"{")).map_frame(|frame| frame);
                (headers, Body::new(half)).into_response()
            }
        }
    }
}

/// A document with a status.
pub(crate) fn json_of(status: u16, document: &Value) -> Response {
    answer(status, JSON, document.to_string())
}

/// The answers of a server by what it can be asked.
#[derive(Debug)]
pub struct Script<E>(Mutex<Lines<E>>);

#[derive(Debug)]
struct Lines<E> {
    next: BTreeMap<E, VecDeque<Answer>>,
    always: BTreeMap<E, Answer>,
    delays: BTreeMap<E, Duration>,
    calls: BTreeMap<E, usize>,
}

impl<E> Default for Script<E> {
    fn default() -> Self {
        Self(Mutex::new(Lines {
            next: BTreeMap::new(),
            always: BTreeMap::new(),
            delays: BTreeMap::new(),
            calls: BTreeMap::new(),
        }))
    }
}

impl<E: Copy + Ord> Script<E> {
    fn lines(&self) -> MutexGuard<'_, Lines<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call of an endpoint is answered like this.
    pub fn answer_once(&self, endpoint: E, answer: Answer) {
        self.lines().next.entry(endpoint).or_default().push_back(answer);
    }

    /// Every call of an endpoint is answered like this.
    pub fn answer(&self, endpoint: E, answer: Answer) {
        self.lines().always.insert(endpoint, answer);
    }

    /// The endpoint takes so long from now on.
    pub fn delay(&self, endpoint: E, by: Duration) {
        self.lines().delays.insert(endpoint, by);
    }

    /// The endpoint answers by the server's own rules again, and at once.
    pub fn recover(&self, endpoint: E) {
        let mut lines = self.lines();
        lines.always.remove(&endpoint);
        lines.next.remove(&endpoint);
        lines.delays.remove(&endpoint);
    }

    /// How often an endpoint was called.
    #[must_use]
    pub fn calls(&self, endpoint: E) -> usize {
        self.lines().calls.get(&endpoint).copied().unwrap_or_default()
    }

    /// How often each was called since this was last asked.
    #[must_use]
    pub fn forget_calls(&self) -> BTreeMap<E, usize> {
        std::mem::take(&mut self.lines().calls)
    }

    /// Counts a call.
    pub(crate) fn count(&self, endpoint: E) {
        *self.lines().calls.entry(endpoint).or_default() += 1;
    }

    /// Counts a call; an error is the answer that a test wants for it.
    pub(crate) async fn enter(&self, endpoint: E, origin: &str) -> Result<(), Response> {
        self.count(endpoint);
        let (delay, answer) = {
            let mut lines = self.lines();
            let next = lines.next.get_mut(&endpoint).and_then(VecDeque::pop_front);
            let answer = next.or_else(|| lines.always.get(&endpoint).cloned());
            (lines.delays.get(&endpoint).copied(), answer)
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        match answer {
            None => Ok(()),
            Some(answer) => Err(answer.give(origin).await),
        }
    }
}
