//! Where the time of a call goes.

use std::time::{Duration, Instant};

use super::{call::CallError, strategy::Strategy};
use crate::identity::Request;

/// What a call goes through, each step named by its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A place is found and a store is made.
    Store,
    /// The request is lowered and an instance is made.
    Instantiate,
    /// The component has answered.
    Call,
    /// The instance is gone, and its memory reset.
    Drop,
}

/// Somebody who wants to know when a step ends.
pub(super) trait Watch: Send {
    /// A step has ended.
    fn passed(&mut self, step: Step);
}

/// Nobody does, and then nothing of this is compiled in.
impl Watch for () {
    #[inline]
    fn passed(&mut self, _: Step) {}
}

/// How long each step of one call took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Profile {
    /// Finding a place and making a store.
    pub store: Duration,
    /// Lowering the request and making an instance.
    pub instantiate: Duration,
    /// The component, its imports and lifting its answer included.
    pub call: Duration,
    /// Dropping the instance and resetting its memory.
    pub drop: Duration,
}

impl Strategy {
    /// Makes the very call that [`authenticate`](Self::authenticate) makes, and
    /// measures its steps. A strategy's refusal is an answer like any other.
    ///
    /// Reading the clock costs some 20 ns a step.
    pub async fn profile(&self, request: Request<'_>) -> Result<Profile, CallError> {
        let mut watch = Stopwatch { profile: Profile::default(), last: Instant::now() };
        // Whether it lets the caller in is not the question here.
        let _ = self.authenticate_watched(request, &mut watch).await?;
        Ok(watch.profile)
    }
}

struct Stopwatch {
    profile: Profile,
    last: Instant,
}

impl Watch for Stopwatch {
    fn passed(&mut self, step: Step) {
        let now = Instant::now();
        let took = now.duration_since(self.last);
        self.last = now;
        match step {
            Step::Store => self.profile.store = took,
            Step::Instantiate => self.profile.instantiate = took,
            Step::Call => self.profile.call = took,
            Step::Drop => self.profile.drop = took,
        }
    }
}
