//! A document of an issuer's, kept for a while: read by one at a time, seldom,
//! and by nobody who has a usable one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use crate::{clock::Clock, task};

/// How long a document is taken as it is, in seconds.
const FRESH: u64 = 3600;

/// How long it is used while no newer one can be had, in seconds.
const USABLE: u64 = 24 * 3600;

/// How long nobody asks again, whatever the last answer was, in seconds.
const PAUSE: u64 = 10;

/// A document, and who reads it.
pub(super) struct Kept<T> {
    clock: Clock,
    state: Mutex<State<T>>,
    /// Held by whoever reads.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct State<T> {
    /// With the time when it was read.
    document: Option<(Arc<T>, u64)>,
    asked_at: Option<u64>,
    failure: String,
}

impl<T: Send + Sync + 'static> Kept<T> {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        let failure = "nobody has answered yet".to_owned();
        let state = Mutex::new(State { document: None, asked_at: None, failure });
        Arc::new(Self { clock, state, turn: Arc::default() })
    }

    /// The document: at once where there is a usable one, and a stale one is read
    /// anew meanwhile.
    pub(super) async fn current<F>(
        self: &Arc<Self>,
        patience: Duration,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<T>, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        match self.usable() {
            Some((document, age)) if age < FRESH => Ok(document),
            Some((document, _)) => {
                self.start(read);
                Ok(document)
            }
            None => self.renewed(patience, read).await,
        }
    }

    /// The document where it need not be read.
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        self.usable().and_then(|(document, age)| (age < FRESH).then_some(document))
    }

    /// The document as it is now, as far as it may be asked for again already.
    pub(super) async fn renewed<F>(
        self: &Arc<Self>,
        patience: Duration,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<T>, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        self.start(read);
        if timeout(patience, self.turn.lock()).await.is_err() {
            return Err("it takes too long".to_owned());
        }
        let usable = self.usable().map(|(document, _)| document);
        usable.ok_or_else(|| self.state().failure.clone())
    }

    /// Begins to read, unless somebody does or did a moment ago. It goes on when
    /// the call that began it is over: others wait for it.
    fn start<F>(self: &Arc<Self>, read: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let Ok(turn) = self.turn.clone().try_lock_owned() else { return };
        let now = self.clock.now();
        let paused = |at: u64| now.abs_diff(at) < PAUSE;
        {
            let mut state = self.state();
            if state.asked_at.is_some_and(paused) {
                return;
            }
            state.asked_at = Some(now);
        }
        let (this, read) = (Arc::clone(self), read());
        task::begin(async move {
            let answer = read.await;
            this.take(answer);
            drop(turn);
        });
    }

    /// A newer document takes the place of the older one, with all that was in it.
    fn take(&self, answer: Result<T, String>) {
        let mut state = self.state();
        match answer {
            Ok(document) => state.document = Some((Arc::new(document), self.clock.now())),
            Err(failure) => state.failure = failure,
        }
    }

    fn usable(&self) -> Option<(Arc<T>, u64)> {
        let state = self.state();
        let (document, read_at) = state.document.as_ref()?;
        let age = self.clock.now().saturating_sub(*read_at);
        (age < USABLE).then(|| (Arc::clone(document), age))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
