//! The time: the one place that asks the system for it, so that tests can move it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A source of the current time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands still until a test moves it; seconds since the Unix epoch.
    Fixed(watch::Sender<u64>),
}

impl Clock {
    /// A clock that stands still at `now`, in seconds since the Unix epoch.
    #[must_use]
    pub fn fixed(now: u64) -> Self {
        Self::Fixed(watch::Sender::new(now))
    }

    /// Seconds since the Unix epoch; a system clock before 1970 reads as 0.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
            }
            Self::Fixed(now) => *now.borrow(),
        }
    }

    /// Moves a fixed clock on by `seconds`; the system's clock is left alone.
    pub fn advance(&self, seconds: u64) {
        if let Self::Fixed(now) = self {
            now.send_modify(|now| *now += seconds);
        }
    }

    /// Waits for so many seconds to go by.
    pub async fn pass(&self, seconds: u64) {
        match self {
            Self::System => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Self::Fixed(now) => {
                let over = self.now().saturating_add(seconds);
                // The clock is not gone while it is waited for.
                let _ = now.subscribe().wait_for(|now| *now >= over).await;
            }
        }
    }
}
