//! How long a token lives, and how long before its end it is renewed.

use crate::{Setting, SettingType};

/// Longer than any token lives that is renewed at all.
const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;

/// A lifetime as a provider states it, in seconds; `None` means forever.
///
/// Providers write 0 for a token that does not expire. What is over before it
/// began counts as over, and what outlives the century as everlasting.
pub(super) fn believed(seconds: i64) -> Option<u64> {
    match u64::try_from(seconds) {
        Ok(0) => None,
        Ok(seconds) if seconds > LONGEST => None,
        Ok(seconds) => Some(seconds),
        Err(_) => Some(0),
    }
}

/// When a token expires that lives for so many seconds from `now` on.
#[must_use]
pub fn expires_at(now: u64, lifetime: Option<u64>) -> Option<u64> {
    lifetime.map(|seconds| now.saturating_add(seconds))
}

/// How long before its end a token is renewed: a part of its lifetime, and at most so
/// long. A fixed margin would renew a token that lives for less than that at every
/// call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// The part, in per cent of the lifetime.
    pub percent: u64,
    /// The longest, in seconds.
    pub seconds: u64,
}

impl Default for Margin {
    /// A tenth, and at most five minutes.
    fn default() -> Self {
        Self { percent: 10, seconds: 5 * 60 }
    }
}

impl Margin {
    /// The settings by which an operator chooses it, for a strategy's description.
    /// The strategy reads them as whole numbers `renew_percent` and `renew_seconds`.
    #[must_use]
    pub fn settings() -> [Setting; 2] {
        let usual = Self::default();
        let setting = |name, usual: u64, help| Setting {
            default: Some(usual.to_string()),
            ..Setting::new(name, SettingType::Integer, help)
        };
        [
            setting(
                "renew_percent",
                usual.percent,
                "Renew a provider's token within the last so many per cent of its life, at most 50",
            ),
            setting(
                "renew_seconds",
                usual.seconds,
                "And within so many seconds of its end at most",
            ),
        ]
    }

    /// Takes what an operator has chosen. More than half of a life would have tokens
    /// renewed that have hardly been used.
    pub fn chosen(percent: i64, seconds: i64) -> Result<Self, String> {
        let percent = u64::try_from(percent).ok().filter(|percent| *percent <= 50);
        let percent = percent.ok_or("renew_percent is no part of a life: write 0 to 50")?;
        let seconds = u64::try_from(seconds);
        let seconds = seconds.map_err(|_| "renew_seconds is less than nothing: write 0 or more")?;
        Ok(Self { percent, seconds })
    }

    /// How long before its end a token of this lifetime is renewed.
    #[must_use]
    pub fn of(self, lifetime: u64) -> u64 {
        (lifetime.saturating_mul(self.percent) / 100).min(self.seconds)
    }
}

/// The usual margin of a token of this lifetime.
#[must_use]
pub fn margin(lifetime: u64) -> u64 {
    Margin::default().of(lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_follows_the_lifetime() {
        assert_eq!(margin(8 * 60 * 60), 300);
        assert_eq!(margin(2 * 60 * 60), 300);
        assert_eq!(margin(10 * 60), 60);
        assert_eq!(margin(0), 0);
        let wide = Margin::chosen(50, 3600).expect("a margin");
        assert_eq!((wide.of(60), wide.of(8 * 60 * 60)), (30, 3600));
    }

    #[test]
    fn a_margin_that_makes_no_sense_is_named() {
        for (percent, seconds, name) in [(51, 0, "percent"), (-1, 0, "percent"), (5, -1, "seconds")]
        {
            let told = Margin::chosen(percent, seconds).expect_err("it is refused");
            assert!(told.starts_with(&format!("renew_{name} ")), "{told}");
        }
        assert_eq!(Margin::chosen(10, 300), Ok(Margin::default()));
    }

    #[test]
    fn a_token_without_a_lifetime_never_expires() {
        assert_eq!(expires_at(1000, None), None);
        assert_eq!(expires_at(1000, Some(60)), Some(1060));
    }
}
